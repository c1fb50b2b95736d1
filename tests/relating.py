"""Customers with people, chains, levels and activities, and users who ask about them."""

import datetime as dt
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeVar

from uuid_utils.compat import uuid7

from guanxi_customers import (
    Activity,
    ActivityKind,
    ActivityParticipant,
    ActivityStatus,
    Customer,
    Customers,
    DecisionRole,
    Department,
    Employee,
    Person,
    Stewardship,
)
from guanxi_graphql.execute.engine import Engine
from guanxi_relationships import (
    ChainKind,
    ChainSeat,
    ClaimState,
    DecisionChain,
    LevelAssessment,
    LevelClaim,
    Relationships,
    RelationshipSettings,
)
from guanxi_sdk import Context, Model, Plugin
from guanxi_sdk.testing import App, Boot, GraphQLFailed
from guanxi_sdk.testing.app import _input
from guanxi_sdk.testing.tokens import make_token
from guanxi_tiers import Standing, Tier, Tiers

M = TypeVar("M", bound=Model)

NOW = dt.datetime(2024, 6, 30, 8, tzinfo=dt.UTC)
TODAY = NOW.date()
LONG_AGO = dt.date(2020, 1, 1)


def ago(days: int) -> dt.date:
    """So many days before today."""
    return TODAY - dt.timedelta(days=days)


class World:
    """A tenant, and short ways to fill it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._numbers = count(1)
        self._chains: dict[Any, DecisionChain] = {}
        self._tokens: dict[Any, str] = {}
        self._ctx: Context | None = None

    @asynccontextmanager
    async def at_once(self) -> AsyncIterator[None]:
        """Make everything in the block in one transaction."""
        async with self.app.context() as self._ctx:
            yield
        self._ctx = None

    async def _add(self, row: M) -> M:
        if self._ctx is None:
            return await self.app.add(row)
        row.id = uuid7()
        self._ctx.db.add(row)
        return row

    async def customer(self, tier: Tier | None = None, **values: Any) -> Customer:
        number = next(self._numbers)
        values = {"code": f"C{number:03}", "name": f"客户 {number}", **values}
        customer = await self._add(Customer(**values))
        if tier is not None:
            row = {"id": customer.id, "tier": tier, "tiered_as_of": LONG_AGO}
            if self._ctx is not None:
                await self._ctx.save_many(Standing, [row])
            else:
                async with self.app.context() as ctx:
                    await ctx.save_many(Standing, [row])
        return customer

    async def department(self, customer: Customer, **values: Any) -> Department:
        name = f"Department {next(self._numbers)}"
        return await self._add(Department(customer_id=customer.id, name=name, **values))

    async def person(
        self,
        customer: Customer,
        role: DecisionRole | None = None,
        level: int | None = None,
        *,
        assessed_on: dt.date = LONG_AGO,
        **values: Any,
    ) -> Person:
        values = {"name": f"Person {next(self._numbers)}", **values}
        person = await self._add(Person(customer_id=customer.id, **values))
        if role is not None:
            await self.seat(customer, person, role)
        if level is not None:
            await self.level(person, level, assessed_on)
        return person

    async def chain(self, customer: Customer, kind: ChainKind = ChainKind.OVERALL) -> DecisionChain:
        if (customer.id, kind) not in self._chains:
            made = await self._add(DecisionChain(customer_id=customer.id, kind=kind))
            self._chains[customer.id, kind] = made
        return self._chains[customer.id, kind]

    async def seat(
        self,
        customer: Customer,
        person: Person,
        role: DecisionRole,
        kind: ChainKind = ChainKind.OVERALL,
        starts_on: dt.date = LONG_AGO,
        ends_on: dt.date | None = None,
    ) -> ChainSeat:
        chain = await self.chain(customer, kind)
        return await self._add(
            ChainSeat(
                chain_id=chain.id, person_id=person.id, role=role, starts_on=starts_on,
                ends_on=ends_on,
            )
        )  # fmt: skip

    async def level(self, person: Person, level: int, on: dt.date = LONG_AGO) -> None:
        claim = await self._add(
            LevelClaim(
                person_id=person.id, level=level, claimed_by="user_x", claimed_on=on,
                state=ClaimState.RECORDED,
            )
        )  # fmt: skip
        await self._add(
            LevelAssessment(
                person_id=person.id, level=level, assessed_on=on, assessor="user_x",
                claim_id=claim.id,
            )
        )  # fmt: skip

    async def employee(self, **values: Any) -> Employee:
        code = f"E{next(self._numbers):03}"
        return await self._add(Employee(**{"code": code, "name": f"员工 {code}", **values}))

    async def steward(
        self, customer: Customer, employee: Employee, since: dt.date = LONG_AGO, **values: Any
    ) -> Stewardship:
        values = {"is_primary": True, **values}
        return await self._add(
            Stewardship(
                customer_id=customer.id, employee_id=employee.id, starts_on=since, **values
            )
        )  # fmt: skip

    async def activity(
        self,
        customer: Customer,
        day: dt.date = TODAY,
        people: Iterable[Person | Employee] = (),
        kind: ActivityKind = ActivityKind.VISIT,
        status: ActivityStatus = ActivityStatus.DONE,
    ) -> Activity:
        done = status is ActivityStatus.DONE
        at = dt.datetime.combine(day, dt.time(7), tzinfo=dt.UTC) if done else None
        made = await self._add(
            Activity(
                customer_id=customer.id, kind=kind, subject="s", status=status, planned_on=day,
                done_at=at,
            )
        )  # fmt: skip
        for one in people:
            key = "person_id" if isinstance(one, Person) else "employee_id"
            await self._add(ActivityParticipant(activity_id=made.id, **{key: one.id}))
        return made

    async def access(self, user: str, *grants: str) -> Any:
        """What a user may do who holds these permissions; everything without any."""
        key = (user, grants)
        if key not in self._tokens:
            pool, tenant = self.app.platform.pool, self.app.tenant
            self._tokens[key] = await make_token(pool, tenant, list(grants) or ["*"], user=user)
        self.app.platform.forget(self._tokens[key])
        return await self.app.platform.authenticate(self._tokens[key])

    async def answer(self, user: str, document: str, *grants: str, **variables: Any) -> Any:
        """The whole answer to a user."""
        given = {name: _input(value) for name, value in variables.items()}
        access = await self.access(user, *grants)
        reply = await Engine(self.app.platform).execute(access, document, given, reason="a test")
        return json.loads(reply.body)

    async def ask(self, user: str, document: str, *grants: str, **variables: Any) -> Any:
        """The data of an answer without errors."""
        answer = await self.answer(user, document, *grants, **variables)
        if answer.get("errors"):
            raise GraphQLFailed(answer["errors"])
        return answer["data"]

    async def do(self, user: str, verb: str, select: str = "", **variables: Any) -> Any:
        """The payload of one mutation, whose arguments are all of these variables."""
        types = {name: _type(name, value) for name, value in variables.items()}
        head = ", ".join(f"${name}: {type_}" for name, type_ in types.items())
        call = ", ".join(f"{name}: ${name}" for name in variables)
        document = (
            f"mutation ({head}) {{ {verb}({call}) {{ {select} errors {{ code path message }} }} }}"
        )
        return (await self.ask(user, document, **variables))[verb]

    async def done(self, user: str, verb: str, select: str = "", **variables: Any) -> Any:
        """The same, which must not be refused."""
        payload = await self.do(user, verb, select, **variables)
        assert payload["errors"] == [], (verb, payload["errors"])
        return payload

    async def refused(self, user: str, verb: str, **variables: Any) -> tuple[str, str | None]:
        """The code and the path of the one error of a mutation that is refused."""
        [error] = (await self.do(user, verb, **variables))["errors"]
        return error["code"], error["path"]


_ENUMS = {"role": "DecisionRole", "kind": "ActivityKind"}


def _type(name: str, value: Any) -> str:
    if name in _ENUMS:
        return f"{_ENUMS[name]}!"
    if name == "id" or name.endswith("Id"):
        return "ID!"
    if isinstance(value, dt.date):
        return "Date!"
    return {bool: "Boolean!", int: "Int!", float: "Float!", str: "String!"}[type(value)]


async def world(
    guanxi: Boot,
    settings: RelationshipSettings | None = None,
    *others: Plugin[Any],
    now: dt.datetime = NOW,
) -> World:
    """A tenant with customers, tiers and relationships, and maybe other plugins."""
    app = await guanxi(Customers(), Tiers(), Relationships(settings), *others, now=now)
    return World(app)
