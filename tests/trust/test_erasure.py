"""Row 18: "erasure of a person (GDPR, PIPL): 0 byte hits in tables, outbox, deliveries, idempotency
rows, logs; audit still verifies; shown by canaries, then grep a dump".
"""

import asyncio
import datetime as dt
import io
import json
import logging
import os
import random
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
import with_people as people
from sqlalchemy.orm import Mapped
from uuid_utils.compat import uuid7
from with_people import Allergy, Bill, Gossip, Guest, Guests, Loan, Mood, Visit, Wish

from figures import LONG, Figure
from guanxi_core.audit import Origin
from guanxi_core.disclosing import exported
from guanxi_core.discovery import Registry
from guanxi_core.editions import compose
from guanxi_core.erasing.collecting import Collection
from guanxi_core.erasing.person import erase
from guanxi_core.erasing.traces import Traces
from guanxi_core.erasing.words import finder
from guanxi_core.idempotency import KEPT, Once
from guanxi_core.importing import import_file, plan_import
from guanxi_core.platform import Platform
from guanxi_core.plugin.rights import User
from guanxi_core.sealing import Sealer, seal
from guanxi_core.telemetry.logs import formatter
from guanxi_core.tenancy import set_plugin
from guanxi_core.verifying import head, verify
from guanxi_customers import (
    Activity,
    ActivityKind,
    ActivityParticipant,
    Customer,
    Customers,
    Employee,
    Person,
    Stewardship,
)
from guanxi_graphql.asgi import Answer
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_sdk import (
    Erasure,
    Event,
    Extension,
    Invalid,
    Model,
    Money,
    NotFound,
    Plugin,
    PluginError,
    Refusal,
    column,
    hookimpl,
    reference,
)
from guanxi_sdk._docs import camel
from guanxi_sdk.testing import App, Boot, global_id
from guanxi_sdk.testing.databases import VARIABLE, ThrowAwayDatabase
from guanxi_sdk.testing.tokens import make_token
from guanxi_tiers import TierDecision, Tiers

ROW = "0 byte hits of an erased person; the audit verifies"
PERSONS = 50 if LONG else 3
ROUNDS = 50 if LONG else 3

ERASE = """mutation Erase($id: String!, $dry: Boolean) {
  erasePerson(id: $id, dryRun: $dry) {
    result {
      subjects dryRun rows { model deleted blanked fields } auditEntries events deliveries replies
      jobs tokens mentions { model id field }
    }
    errors { code path message }
  }
}"""
CREATE = """mutation ($in: CreatePersonInput!) {
  createPerson(input: $in) { person { name phone email hometown } errors { path } }
}"""
UPDATE = """mutation ($id: ID!, $in: UpdatePersonInput!, $version: Int! = 1) {
  updatePerson(id: $id, version: $version, input: $in) {
    person { id name phone email hometown } errors { code }
  }
}"""
GREET = """mutation ($id: ID!, $words: String!) {
  greet(guestId: $id, words: $words) { guest { name email } errors { code } }
}"""


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    """Handlers and hooks of the fixture plugin behave."""
    Guests.act, Guests.failing, Guests.heard = None, False, []
    yield
    Guests.act, Guests.failing = None, False


async def booted(guanxi: Boot) -> App:
    return await guanxi(Customers(), Tiers(), Guests())


async def asked(app: App, document: str, reason: str | None = None, **variables: Any) -> Any:
    answer = await app.execute(document, variables, reason=reason)
    assert "errors" not in answer, answer
    (payload,) = answer["data"].values()
    return payload


async def erased(app: App, row: Model, reason: str = "request 17", **variables: Any) -> Any:
    """The result of erasing a row that can be erased."""
    payload = await asked(app, ERASE, reason, id=global_id(row), **variables)
    assert payload["errors"] == []
    return payload["result"]


async def refused(app: App, id: str, reason: str | None = "request 17") -> tuple[str, str]:
    """Code and message of a refusal."""
    payload = await asked(app, ERASE, reason, id=id)
    assert payload["result"] is None
    (error,) = payload["errors"]
    return error["code"], error["message"]


async def post(app: App, document: str, key: str | None = None, **variables: Any) -> Any:
    """The same by HTTP, with an idempotency key."""
    endpoint = GraphQLEndpoint(Answer(200, (), b""))
    endpoint.open(app.platform, Engine(app.platform))
    headers = {"authorization": f"Bearer {await app.token()}", "guanxi-reason": "request 17"}
    if key is not None:
        headers["idempotency-key"] = key
    async with httpx.AsyncClient(transport=httpx.ASGITransport(endpoint)) as client:
        answer = await client.post(
            "http://guanxi/graphql", json={"query": document, "variables": variables},
            headers=headers,
        )  # fmt: skip
    return answer.json()


def superuser(database: ThrowAwayDatabase) -> str:
    """Whom no policy binds: the embedded server's owner, or the external server's superuser."""
    if server := os.environ.get(VARIABLE):
        parts = urlsplit(server)
        return urlunsplit(parts._replace(path=urlsplit(database.owner_url).path))
    return database.owner_url


async def dump(database: ThrowAwayDatabase) -> bytes:
    """Every row of every table, of all tenants."""
    connection = await asyncpg.connect(superuser(database))
    try:
        buffer = io.BytesIO()
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'p')"
        )
        assert len(tables) > 25
        for table in tables:
            buffer.write(f"\n{table['relname']}\n".encode())
            await connection.copy_from_table(table["relname"], output=buffer)
        return buffer.getvalue()
    finally:
        await connection.close()


def hits(haystack: bytes, canaries: list[str]) -> list[tuple[str, bytes]]:
    """Which canaries are there, as they are or in hexadecimal, and in which lines."""
    found = []
    for canary in canaries:
        for form in (canary.encode(), canary.encode().hex().encode()):
            at = haystack.find(form)
            if at >= 0:
                found.append((canary, haystack[max(0, at - 300) : at + 200]))
    return found


class Canaries:
    """Texts that occur nowhere else, in every column of a model that can hold one."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(4)
        self.made: list[str] = []

    def text(self, name: str) -> str:
        self.made.append(f"canary{self.token}{len(self.made)}{name}鸟")
        return self.made[-1]

    def values(self, model: type[Model], **given: Any) -> dict[str, Any]:
        """A value for each attribute of ``model`` that is no reference."""
        one: dict[str, Any] = {
            "int": 4, "float": 4.5, "bool": True, "date": dt.date(2001, 2, 3),
            "datetime": dt.datetime(2001, 2, 3, 4, tzinfo=dt.UTC), "money": Money(77, "CNY"),
        }  # fmt: skip
        found: dict[str, Any] = {}
        for name, field in model.info.fields.items():
            if name in given or field.kind in ("id", "reference") or field.readonly:
                continue
            if field.kind == "text":
                found[name] = self.text(name)
            elif field.kind == "texts":
                found[name] = [self.text(name), self.text(name)]
            elif field.kind == "values":
                found[name] = [Wish(what=self.text(name))]
            elif field.kind == "choice":
                found[name] = list(field.python)[-1]
            else:
                found[name] = one[field.kind]
        return found | given


def graphql_of(values: dict[str, Any]) -> dict[str, Any]:
    """Values as an input of GraphQL takes them."""
    return {camel(name): getattr(value, "name", value) for name, value in values.items()}


async def rows_of(app: App, table: str, condition: str = "true") -> list[str]:
    async with app.platform.pool.connection(app.tenant.id) as connection:
        rows = await connection.fetch(
            f"SELECT to_jsonb(t)::text FROM {table} t WHERE {condition} ORDER BY 1"
        )
    return [row[0] for row in rows]


async def state_of(app: App) -> dict[str, list[str]]:
    """Everything that a tenant has, by table."""
    owners: list[Any] = [*app_models(app)]
    tables = {owner.info.table.name for owner in owners} | {
        "guanxi_outbox", "guanxi_idempotency", "guanxi_audit_link", "guanxi_session",
    }  # fmt: skip
    return {table: await rows_of(app, table) for table in sorted(tables)}


def app_models(app: App) -> Iterator[Any]:
    for plugin in (*app.platform.registry.plugins.values(),):
        yield from plugin.manifest.models
        yield from plugin.manifest.extensions
    yield User


async def guest(app: App, **values: Any) -> Guest:
    plain = {
        "code": uuid7().hex, "name": "Ada", "origin": "Here", "age": 30, "weight": 60.0,
        "born": dt.date(1990, 1, 1), "arrived": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        "mood": Mood.CROSS, "debt": Money(5, "CNY"), "tastes": [], "wishes": [],
    }  # fmt: skip
    return await app.add(Guest(**{**plain, **values}))


async def person(app: App, **values: Any) -> Person:
    customer = await app.add(Customer(code=uuid7().hex, name="Somebody Ltd"))
    return await app.add(Person(customer_id=customer.id, **{"name": "Ada", **values}))


# --- nothing is left -------------------------------------------------------------------------


async def test_no_byte_of_a_person_is_left(
    guanxi: Boot, guanxi_database: ThrowAwayDatabase, tmp_path: Path,
    caplog: pytest.LogCaptureFixture, figure: Figure,
) -> None:  # fmt: skip
    """Canaries in every column, written in every way there is; then a dump is searched."""
    caplog.set_level(logging.INFO)
    caplog.handler.setFormatter(formatter())  # as a server writes them
    app = await booted(guanxi)
    canaries = Canaries()
    customer = await app.add(Customer(code="C1", name="A customer"))
    # by GraphQL, twice, so that former values count
    values = canaries.values(Person, customer_id=global_id(customer))
    made = await post(app, CREATE, "create", **{"in": graphql_of(values)})
    assert made["data"]["createPerson"]["errors"] == []
    assert made["data"]["createPerson"]["person"]["phone"] == values["phone"]
    (row,) = await app.all(Person)
    values = canaries.values(Person, customer_id=global_id(customer), code=values["code"])
    made = await post(app, UPDATE, "update", id=global_id(row), **{"in": graphql_of(values)})
    assert made["data"]["updatePerson"]["errors"] == []
    # by an import
    access = await app.platform.system_access(app.tenant)
    file = tmp_path / "persons.csv"
    line = f"{values['code']},C1,{canaries.text('import')},x"
    file.write_text(f"code,customer,name,title\n{line}\n", "utf-8")
    plan = plan_import("persons", access.installation.edition.models.values(), None)
    imported = await import_file(app.platform, access, plan, file)
    assert imported.total("updated") == 1
    # by plugin code
    values = canaries.values(Guest)
    stays = await app.add(
        Guest(**values, passport=canaries.text("passport"), photo=canaries.text("photo").encode())
    )
    await app.add(Visit(guest_id=stays.id, remark=canaries.text("remark")))
    await app.add(Bill(guest_id=stays.id, addressee=canaries.text("bill"), amount=Money(1, "CNY")))
    async with app.context() as ctx:
        ctx.db.add(Allergy(id=stays.id, against=canaries.text("allergy")))
        gone = await ctx.add(Visit(guest_id=stays.id, remark=canaries.text("gone")))
    async with app.context() as ctx:  # only the audit knows of it from then on
        await ctx.db.delete(await ctx.get(Visit, gone.id))

    # by whoever exports a selection
    origin = Origin(app.tenant.id, access.caller)
    named = {"name": {"eq": values["name"]}}
    await exported(app.platform.pool, origin, "Person", ["code"], named, 1)

    # in events, errors of handlers and jobs
    async def fail(ctx: Any, event: Any) -> None:
        if isinstance(event, people.WordsSpoken):
            raise Invalid(None, f"I cannot hear {event.words}")
        raise RuntimeError(f"I cannot greet {event.words}")

    Guests.act = fail
    words = f"Hello {values['name']}, {canaries.text('words')}!"
    greeted = await post(app, GREET, "greet", id=global_id(stays), words=words)
    assert greeted["data"]["greet"]["guest"]["name"] == values["name"]
    spoken = GREET.replace("guest { name email }", "guest { email }")
    await post(app, spoken, "spoken", id=global_id(stays), words=values["name"])
    await app.deliver()
    before = await dump(guanxi_database)
    missing = [one for one in canaries.made if not hits(before, [one])]
    assert missing == [], "a canary that was never written proves nothing"
    assert "RuntimeError: see the server's log" in before.decode()
    assert "I cannot" not in before.decode(), "what plugins say of an error is not kept"
    await seal(app.platform.pool)
    anchor = await head(app.platform.pool, app.tenant)

    result = [await erased(app, row), await erased(app, stays)]
    assert [one["mentions"] for one in result] == [[], []]
    after = await dump(guanxi_database)
    assert hits(after, canaries.made) == []
    figure(18, ROW, f"{len(canaries.made)} canaries in a dump and the log: 0 bytes")
    assert hits(caplog.text.encode(), canaries.made) == []
    assert result[1]["events"] == 4
    assert result[1]["deliveries"] >= 3
    assert result[0]["replies"] == 2
    assert result[1]["replies"] == 2
    assert result[1]["jobs"] == 2
    assert {rows["model"]: rows["deleted"] for rows in result[1]["rows"]} == {
        "Guest": 0, "Allergy": 1, "Visit": 1, "Bill": 0,
    }  # fmt: skip
    # what is left works: handlers can still read the events, replies say what became of them
    Guests.act = None
    app.clock.advance(hours=1)
    await seal(app.platform.pool)
    verdict = await verify(app.platform.pool, app.tenant, [anchor])
    assert (verdict.broken, verdict.unsealed, verdict.anchors) == (None, 0, 1)
    assert verdict.erased >= 5
    again = await post(app, CREATE, "create", **{"in": graphql_of(
        {"customer_id": global_id(customer), "name": "x"})})  # fmt: skip
    assert again["errors"][0]["extensions"]["code"] == "CONFLICT"  # other variables than then
    assert len(await app.all(Person)) == 1


async def test_a_reply_that_was_erased_says_so_and_is_not_done_again(guanxi: Boot) -> None:
    app = await booted(guanxi)
    customer = await app.add(Customer(code="C1", name="A customer"))
    given = {"customerId": global_id(customer), "name": "Ada Unique", "code": "P1"}
    first = await post(app, CREATE, "key", **{"in": given})
    assert first["data"]["createPerson"]["person"]["name"] == "Ada Unique"
    (row,) = await app.all(Person)
    assert (await erased(app, row))["replies"] == 1
    again = await post(app, CREATE, "key", **{"in": given})
    assert again["data"] == {"createPerson": None}
    assert [error["extensions"]["code"] for error in again["errors"]] == ["ERASED"]
    assert len(await app.all(Person)) == 1


async def test_what_is_left_is_an_archived_stub(guanxi: Boot) -> None:
    app = await booted(guanxi)
    one = await person(app, code="P1", name="Ada", title="Chief", rank=4)
    host = await guest(app, name="Bea")
    other = await guest(app, host_id=host.id, name="Cy", vip=False)
    activity = await app.add(
        Activity(customer_id=one.customer_id, kind=ActivityKind.MEAL, subject="Lunch")
    )
    await app.add(ActivityParticipant(activity_id=activity.id, person_id=one.id, level=4))
    await erased(app, one)
    await erased(app, host)
    (stub,) = await app.all(Person)
    assert (stub.name, stub.code, stub.title, stub.rank) == ("[erased]", None, None, None)
    assert stub.customer_id == one.customer_id
    assert stub.archived_at is not None
    (took_part,) = await app.all(ActivityParticipant)
    assert (took_part.person_id, took_part.level) == (one.id, None)
    (stub,) = [row for row in await app.all(Guest) if row.id == host.id]
    assert (stub.code, stub.name, stub.age) == (f"erased-{host.id}", "[erased]", 1)
    assert (stub.vip, stub.mood, stub.debt) == (True, Mood.CALM, Money(0, "CNY"))
    assert (stub.tastes, stub.wishes, stub.secret_wishes) == ([], [], None)
    (guest_of,) = [row for row in await app.all(Guest) if row.id == other.id]
    assert (guest_of.name, guest_of.host_id) == ("Cy", host.id)
    shown = await app.graphql(
        "query ($id: ID!) { person(id: $id) { name erasedAt participations { totalCount } } }",
        id=one,
    )
    assert shown["person"]["name"] == "[erased]"
    assert shown["person"]["erasedAt"] is not None
    assert shown["person"]["participations"] == {"totalCount": 1}
    await app.deliver()
    assert Guests.heard == [host.id]


async def test_the_stub_cannot_be_changed_any_more(guanxi: Boot) -> None:
    app = await booted(guanxi)
    one, stays = await person(app), await guest(app)
    await erased(app, one)
    await erased(app, stays)
    changed = await asked(app, UPDATE, id=global_id(one), **{"in": {"name": "Ada"}})
    assert changed == {"person": None, "errors": [{"code": "NOT_FOUND"}]}
    restore = "mutation ($id: ID!) { restorePerson(id: $id) { errors { code } } }"
    assert await asked(app, restore, id=global_id(one)) == {"errors": [{"code": "NOT_FOUND"}]}
    async with app.context() as ctx:
        assert await ctx.update_where(Person, Person.id == one.id, name="Ada") == 0
    with pytest.raises(NotFound):
        await _rename(app, stays)
    with pytest.raises(NotFound):
        await _save(app, one)
    assert {row.name for row in [*await app.all(Person), *await app.all(Guest)]} == {"[erased]"}


async def _rename(app: App, stays: Guest) -> None:
    async with app.context() as ctx:
        (await ctx.get(Guest, stays.id)).name = "Ada"
        await ctx.db.flush()


async def _save(app: App, one: Person) -> None:
    row = {"id": one.id, "name": "Ada", "customer_id": one.customer_id}
    async with app.context() as ctx:
        await ctx.save_many(Person, [row])


# --- nothing else is touched -----------------------------------------------------------------


async def test_others_with_the_same_values_are_untouched(guanxi: Boot) -> None:
    """In the same tenant and in another."""
    app = await booted(guanxi)
    other = await booted(guanxi)
    canaries = Canaries()
    values = canaries.values(Person, code=None)
    twins = []
    for place in (app, app, other):
        customer = await place.add(Customer(code=uuid7().hex, name="C"))
        given = graphql_of({**values, "customer_id": global_id(customer)})
        made = await post(place, CREATE.replace("name phone", "id name phone"), uuid7().hex,
                          **{"in": given})  # fmt: skip
        twins.append(UUID(made["data"]["createPerson"]["person"]["id"].rpartition("_")[2]))
    same = canaries.values(Guest, code="x", tastes=[], fears=None, wishes=[], secret_wishes=None)
    guests = [await guest(app, **{**same, "code": f"G{n}"}) for n in range(2)]
    for one in guests:
        await post(app, GREET, uuid7().hex, id=global_id(one), words=f"Hello {one.name}")
    await seal(app.platform.pool)

    async def seen(identity: UUID) -> dict[str, list[str]]:
        tables = ("customers_person", "guests_guest", "guanxi_audit", "guanxi_idempotency",
                  "guanxi_outbox")  # fmt: skip
        found = {}
        for table in tables:
            rows = [json.loads(row) for row in await rows_of(app, table)]
            for row in rows:
                for part in ("body", "errors"):
                    if part in row:
                        row[part] = bytes.fromhex(row[part][2:]).decode()
            texts = [json.dumps(row, sort_keys=True) for row in rows]
            found[table] = [text for text in texts if str(identity) in text]
        return found

    before = [await seen(twins[1]), await seen(guests[1].id)]
    assert [len(rows) for rows in before[0].values()] == [1, 0, 1, 1, 1]
    assert [len(rows) for rows in before[1].values()] == [0, 1, 1, 0, 2]
    elsewhere = await state_of(other)
    assert canaries.made[0] in str(elsewhere)
    await asked(app, ERASE, "request 17", id=f"person_{twins[0]}")
    await erased(app, guests[0])
    assert [await seen(twins[1]), await seen(guests[1].id)] == before
    assert await state_of(other) == elsewhere
    told = await rows_of(app, "guanxi_outbox", f"payload::text LIKE '%{guests[0].id}%'")
    assert told
    assert canaries.made[0] not in str(await rows_of(app, "customers_person",
                                                     f"id = '{twins[0]}'"))  # fmt: skip


async def test_an_id_in_a_text_of_the_person_erases_nobody_else(guanxi: Boot) -> None:
    """Neither somebody else nor, which would refuse it, whoever erases."""
    app = await booted(guanxi)
    one, other = await person(app), await person(app, name="Bea")
    _, boss = await user_of(app, "Boss", "*")
    token, officer = await user_of(app, "Officer", "*")
    planted = {"hometown": global_id(other), "email": f"user_{boss}", "title": f"user_{officer}"}
    assert (await asked(app, UPDATE, id=global_id(one), **{"in": planted}))["errors"] == []
    reply = await Engine(app.platform).execute(
        await app.platform.authenticate(token), ERASE, {"id": global_id(one)}, reason="17"
    )
    payload = msgspec.json.decode(reply.body)["data"]["erasePerson"]
    assert payload["errors"] == []
    assert payload["result"]["subjects"] == [global_id(one)]
    assert [row.name for row in await app.all(Person)] == ["[erased]", "Bea"]
    assert sorted(row.name for row in await app.all(User)) == ["Boss", "Officer"]


async def test_words_planted_in_a_person_wipe_no_traces_of_others(guanxi: Boot) -> None:
    """Whoever may write the person's row could hide what they did to others, or what others did."""
    app = await booted(guanxi)
    token, eve = await user_of(app, "Eve", "*.read", "*.write")
    other = await person(app, name="Zed", hometown="Rome")
    stays = await guest(app, name="Bea")
    engine = Engine(app.platform)

    async def changed(key: bytes, one: Person, **given: Any) -> None:
        app.platform.forget(token)
        access = await app.platform.authenticate(token)
        variables = {"id": global_id(one), "in": given}
        reply = await engine.execute(access, UPDATE, variables, key=key, origin="10.9.8.7")
        assert b'"errors":[]' in reply.body

    await changed(b"misdeed", other, phone="123456")
    async with app.context() as ctx:
        ctx.emit(people.WordsSpoken(words="quarterly numbers of Siemens"))
        async with ctx.job("Quarterly numbers") as job:
            await job.advance(1, "quarterly")
    await asked(app, GREET, id=global_id(stays), words="quarterly")

    async def seen() -> dict[str, list[str]]:
        tables = {
            "guanxi_audit": f"row_id <> '{global_id(one)}'", "guanxi_job": "true",
            "guanxi_idempotency": "key = 'misdeed'",
            "guanxi_outbox": f"payload::text NOT LIKE '%{one.id}%'",
        }  # fmt: skip
        return {table: await rows_of(app, table, where) for table, where in tables.items()}

    one = await person(app, name="Eve", phone="10.9.8.7", email="hometown")
    before = await seen()
    texts = {"hometown": "10.9.8.7", "school": "quarterly", "title": "hometown", "phone": "test"}
    await changed(b"planted", one, **texts, email="system")
    result = await erased(app, one)
    assert (result["replies"], result["events"], result["jobs"]) == (1, 0, 0)
    assert await seen() == before
    entries = [json.loads(row) for row in
               await rows_of(app, "guanxi_audit", f"row_id = '{global_id(one)}'")]  # fmt: skip
    made, planted = sorted(entries, key=lambda entry: str(entry["created_at"]))[:2]
    assert made["changes"] == planted["changes"] == {}
    who = ("Eve", str(eve), "10.9.8.7")
    assert (planted["actor"], planted["actor_id"], planted["origin"]) == who


async def test_a_reply_is_found_by_what_was_written_and_other_texts_are_told(guanxi: Boot) -> None:
    """No id and no name stand in it; where nothing ties a text to the person, it is left."""
    app = await booted(guanxi)
    customer = await app.add(Customer(code="C1", name="A customer"))
    given = {"customerId": global_id(customer), "name": "Ada Unique", "hometown": "Hunan"}
    create = (
        "mutation ($in: CreatePersonInput!) { createPerson(input: $in) { person { hometown } } }"
    )
    await post(app, create, "key", **{"in": given})
    (row,) = await app.all(Person)
    other = await guest(app, name="Bea")
    await asked(app, GREET, id=global_id(other), words="I come from Hunan")
    await app.add(Gossip(text="She is from Hunan"))
    result = await erased(app, row)
    assert result["replies"] == 1
    assert [(one["model"], one["field"]) for one in result["mentions"]] == [("Job", "message")]
    assert "Hunan" not in str(await rows_of(app, "guanxi_idempotency"))
    again = await post(app, create, "key", **{"in": given})
    assert [error["extensions"]["code"] for error in again["errors"]] == ["ERASED"]
    told = [json.loads(row) for row in
            await rows_of(app, "guanxi_outbox", "payload::text LIKE '%Hunan%'")]  # fmt: skip
    assert [event["name"] for event in told] == ["GuestGreeted", "WordsSpoken"]


async def test_erasing_again_is_harmless(guanxi: Boot) -> None:
    app = await booted(guanxi)
    one = await person(app)
    await erased(app, one)
    first = await rows_of(app, "customers_person", f"id = '{one.id}'")
    again = await erased(app, one)
    assert again["auditEntries"] == again["replies"] == again["jobs"] == 0
    second = await rows_of(app, "customers_person", f"id = '{one.id}'")
    volatile = ("updated_at", "version")
    plain = [{k: v for k, v in json.loads(row[0]).items() if k not in volatile}
             for row in (first, second)]  # fmt: skip
    assert plain[0] == plain[1]
    assert len(await rows_of(app, "guanxi_audit", "action = 'guanxi.erase_person'")) == 2
    await seal(app.platform.pool)
    assert (await verify(app.platform.pool, app.tenant)).broken is None


async def test_a_dry_run_and_a_rollback_leave_all_as_it_was(guanxi: Boot) -> None:
    app = await guanxi(Guests())
    stays = await guest(app, email="ada@example.com")
    await app.add(Visit(guest_id=stays.id, remark="late"))
    await asked(app, GREET, id=global_id(stays), words="Hello")
    await seal(app.platform.pool)
    before = await state_of(app)
    tried = await erased(app, stays, dry=True)
    assert tried["dryRun"]
    assert await state_of(app) == before
    with pytest.raises(ZeroDivisionError):
        await _erase_and_fail(app, stays)
    assert await state_of(app) == before
    done = await erased(app, stays)
    assert {**done, "dryRun": True} == tried


async def _erase_and_fail(app: App, stays: Guest) -> None:
    async with app.platform.context(await app.access(), reason="request 17") as ctx:
        assert (await erase(ctx, global_id(stays))).rows
        raise ZeroDivisionError


# --- it is on the record ---------------------------------------------------------------------


async def test_it_is_audited_without_what_was_erased(guanxi: Boot) -> None:
    app = await guanxi(Guests())
    stays = await guest(app, name="Ada Unique", email="ada@example.com")
    await app.add(Visit(guest_id=stays.id, remark="Ada was late"))
    result = await erased(app, stays, "request 17")
    await seal(app.platform.pool)
    (entry,) = [json.loads(row) for row in
                await rows_of(app, "guanxi_audit", "action = 'guanxi.erase_person'")]  # fmt: skip
    assert (entry["row_id"], entry["model"], entry["reason"]) == (
        global_id(stays), None, "request 17",
    )  # fmt: skip
    assert entry["changes"]["subjects"] == [None, [global_id(stays)]]
    assert entry["changes"]["audit_entries"] == [None, result["auditEntries"]]
    assert [rows["model"] for rows in entry["changes"]["rows"][1]] == ["Guest", "Visit"]
    assert "Ada" not in json.dumps(entry)
    assert (await verify(app.platform.pool, app.tenant)).broken is None


@pytest.mark.parametrize(
    ("reason", "complaint"),
    [
        (None, "needs a reason: send it in the header Guanxi-Reason"),
        (" ", "needs a reason"),
        ("Ada Unique asked for it", "The reason names the person"),
        ("write to ada@example.com", "The reason names the person"),
    ],
)
async def test_the_reason_is_needed_and_names_nobody(
    guanxi: Boot, reason: str | None, complaint: str
) -> None:
    app = await guanxi(Guests())
    stays = await guest(app, name="Ada Unique", email="ada@example.com")
    code, message = await refused(app, global_id(stays), reason)
    assert (code, complaint in message) == ("INVALID", True)
    assert [row.name for row in await app.all(Guest)] == ["Ada Unique"]


async def test_a_running_sealer_and_unsealed_entries_do_no_harm(guanxi: Boot) -> None:
    app = await guanxi(Guests())
    async with Sealer(app.platform.pool, pause=0.001, kept=KEPT).working():
        for number in range(ROUNDS):
            stays = await guest(app, name=f"Ada Number {number}")
            await erased(app, stays)
    await seal(app.platform.pool)
    verdict = await verify(app.platform.pool, app.tenant)
    assert (verdict.broken, verdict.unsealed) == (None, 0)
    assert "Ada Number" not in str(await rows_of(app, "guanxi_audit"))


# --- free text of others ---------------------------------------------------------------------


async def test_free_text_of_others_is_told_and_kept(guanxi: Boot) -> None:
    app = await booted(guanxi)
    stays = await guest(app, name="王芳", email="fang@example.com", origin="Hunan")
    kept = [
        await app.add(Gossip(text=text))
        for text in ("Lunch with 王芳 today", "Write to fang@example.com.", "She is from Hunan")
    ]
    customer = await app.add(Customer(code="C1", name="C", remarks="王芳 knows them"))
    result = await erased(app, stays)
    assert result["mentions"] == [
        {"model": "Customer", "id": global_id(customer), "field": "remarks"},
        {"model": "Gossip", "id": global_id(kept[0]), "field": "text"},
        {"model": "Gossip", "id": global_id(kept[1]), "field": "text"},
    ]
    assert (await app.all(Gossip))[0].text == "Lunch with 王芳 today"


class Diary(Model, plugin="keeper", closed=["create", "update"]):
    """What a plugin notes for itself."""

    page: Mapped[str] = column(private=True)
    words: Mapped[list[str]] = column(private=True)
    wishes: Mapped[list[Wish]] = column(private=True)
    payload: Mapped[str | None] = column(private=True)


class Keeper(Plugin, name="keeper", models=[Diary]):
    """Notes things for itself."""


async def test_names_go_from_what_plugins_keep_to_themselves(guanxi: Boot) -> None:
    app = await guanxi(Guests(), Keeper())
    stays = await guest(app, name="王芳", email="fang@example.com", origin="Hunan")
    other = await guest(app, passport="issued to 王芳, not Hunan")

    def note(who: str, address: str) -> Diary:
        said = {"to": [address, "x"], "name": who}
        return Diary(
            page=f"{who} from Hunan", words=["so", f'"{who}"', "\\"],
            wishes=[Wish(what=f"see {who}", urgent=True)], payload=json.dumps(said),
        )  # fmt: skip

    await app.add(note("王芳", "fang@example.com"))
    await app.add(note("王方", "fan@example.com"))
    before = await rows_of(app, "keeper_diary", "page LIKE '王方%'")
    result = await erased(app, stays)
    assert result["mentions"] == []
    assert {"model": "Diary", "deleted": 0, "blanked": 4,
            "fields": ["page", "payload", "wishes", "words"]} in result["rows"]  # fmt: skip
    assert {rows["model"]: rows["blanked"] for rows in result["rows"]}["Guest"] == 2
    [left, _] = await app.all(Diary)
    assert (left.page, left.words) == ("[erased] from Hunan", ["so", "[erased]", "\\"])
    assert left.wishes == [Wish(what="[erased]", urgent=True)]
    assert json.loads(left.payload or "") == {"to": ["[erased]", "x"], "name": "[erased]"}
    assert await rows_of(app, "keeper_diary", "page LIKE '王方%'") == before
    passports = {row.id: row.passport for row in await app.all(Guest)}
    assert passports == {stays.id: None, other.id: "issued to [erased], not Hunan"}


async def test_short_names_stand_alone_and_a_hundred_mentions_are_told(guanxi: Boot) -> None:
    app = await guanxi(Guests())
    stays = await guest(app, name="Ann")
    async with app.context() as ctx:
        for number in range(110):
            who = "Anna" if number < 5 else "Ann"
            await ctx.add(Gossip(text=f"{who} and her annual report"))
    mentions = (await erased(app, stays))["mentions"]
    assert len(mentions) == 100
    first = (await app.all(Gossip))[5]
    assert mentions[0]["id"] == global_id(first)


@pytest.mark.parametrize(
    ("word", "text", "found"),
    [
        ("Ada", "Ask Ada, please", True),
        ("Ada", "Adamant", False),
        ("Ada", "Canada", False),
        ("王芳", "请王芳来", True),
        ("Ada Unique", "xAda Uniquex", True),
        ("139-0000-12", "call 139-0000-12!", True),
        ("139-0000-12", "call 139-0000-123", False),
        ("a.b", "a.b", True),
        ("a.b", "axb", False),
    ],
)
def test_what_is_a_trace_of_a_word(word: str, text: str, found: bool) -> None:
    pattern = finder([word, "nothing of the kind"])
    assert pattern is not None
    assert bool(pattern.search(text)) == found


# --- who may, and whom -----------------------------------------------------------------------


async def test_only_a_person_who_is_seen_can_be_erased(guanxi: Boot) -> None:
    app, other = await booted(guanxi), await booted(guanxi)
    theirs = await guest(other)
    customer = await app.add(Customer(code="C", name="C"))
    missing = ("NOT_FOUND", "does not exist")
    for wrong in (global_id(theirs), f"guest_{uuid7()}", "", "nobody", f"nothing_{uuid7()}",
               f"guest_{uuid7()}x", "guest_", "猫", f"GUEST_{uuid7()}"):  # fmt: skip
        assert await refused(app, wrong) == missing
    code, message = await refused(app, global_id(customer))
    assert (code, "Employee, Guest, Person, User" in message) == ("INVALID", True)
    stays = await guest(app)
    answer = await app.execute(ERASE, {"id": global_id(stays)}, can=["guests.read"], reason="17")
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    blind = await app.execute(ERASE, {"id": global_id(stays)}, can=["guanxi.erase"], reason="17")
    assert blind["data"]["erasePerson"]["errors"][0]["code"] == "NOT_FOUND"
    scoped = ["guanxi.erase", "guests.read:own"]
    blind = await app.execute(ERASE, {"id": global_id(stays)}, can=scoped, reason="17")
    assert blind["data"]["erasePerson"]["errors"][0]["code"] == "NOT_FOUND"
    can = ["guanxi.erase", "guests.read"]
    done = await app.execute(ERASE, {"id": global_id(stays)}, can=can, reason="17")
    assert done["data"]["erasePerson"]["errors"] == []
    assert [row.name for row in await app.all(Guest)] == ["[erased]"]


async def test_what_hinders_an_erasure_is_said(guanxi: Boot) -> None:
    app = await guanxi(Guests())
    stays = await guest(app)
    loan = await app.add(Loan(guest_id=stays.id))
    assert await refused(app, global_id(stays)) == (
        "INVALID", "has something of ours: take it back first",
    )  # fmt: skip
    async with app.context() as ctx:
        (await ctx.get(Loan, loan.id)).returned = True
    await erased(app, stays)


async def test_a_primary_steward_needs_a_successor_first(guanxi: Boot) -> None:
    app = await booted(guanxi)
    customer = await app.add(Customer(code="C", name="C"))
    employee, next_one = [
        await app.add(Employee(code=code, name=f"Employee {code}", expertise=["5G", "Ada's"]))
        for code in "EF"
    ]
    assign = """mutation ($c: ID!, $e: ID!) {
      assignSteward(customerId: $c, employeeId: $e) { errors { code } } }"""
    await app.graphql(assign, c=customer, e=employee)
    code, message = await refused(app, global_id(employee))
    assert (code, "assign successors with assignSteward" in message) == ("INVALID", True)
    await app.graphql(assign, c=customer, e=next_one)
    await erased(app, employee)
    (stub,) = [row for row in await app.all(Employee) if row.id == employee.id]
    assert (stub.name, stub.code, stub.expertise) == ("[erased]", f"erased-{employee.id}", [])
    assert {row.employee_id for row in await app.all(Stewardship)} == {employee.id, next_one.id}


# --- users -----------------------------------------------------------------------------------


async def user_of(app: App, name: str, *patterns: str) -> tuple[str, UUID]:
    """A token of a user, and the user's id."""
    token = await make_token(app.platform.pool, app.tenant, patterns, user=name)
    access = await app.platform.authenticate(token)
    assert access.caller.user_id is not None
    return token, access.caller.user_id


async def test_a_user_is_erased_as_whoever_did_something(
    guanxi: Boot, guanxi_database: ThrowAwayDatabase
) -> None:
    app = await booted(guanxi)
    canaries = Canaries()
    name = canaries.text("user")
    token, user_id = await user_of(app, name, "*")
    customer = await app.add(Customer(code="C", name="C"))
    employee = await app.add(Employee(code=canaries.text("code"), name=canaries.text("employee")))
    await app.graphql(
        "mutation ($e: ID!, $u: String) { linkEmployee(employeeId: $e, userId: $u) "
        "{ errors { path } } }",
        e=employee, u=f"user_{user_id}",
    )  # fmt: skip
    app.platform.forget(token)
    access = await app.platform.authenticate(token)
    async with app.platform.context(access, origin=canaries.text("origin")) as ctx:
        await ctx.add(Gossip(text="by a user"))
        async with ctx.job(name) as job:
            await job.advance()
    engine = Engine(app.platform)
    tier = """mutation ($c: ID!) {
      overrideTier(customerId: $c, tier: A, reason: "so") { errors { code } }
    }"""
    reply = await engine.execute(access, tier, {"c": global_id(customer)})
    assert b'"errors":[]' in reply.body
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await connection.execute(
            "INSERT INTO guanxi_session (tenant_id, token_id, user_id, issuer, subject, issued_at,"
            " seen_at) VALUES ($1, $2, $3, 'https://issuer.example', $4, now(), now())",
            app.tenant.id, access.caller.token_id, user_id, canaries.text("subject"),
        )  # fmt: skip
    assert (await app.all(TierDecision))[0].decided_by == name
    await make_token(app.platform.pool, app.tenant, ["*"], user="Another")  # who may decide
    await seal(app.platform.pool)
    anchor = await head(app.platform.pool, app.tenant)
    before = await dump(guanxi_database)
    assert [one for one in canaries.made if not hits(before, [one])] == []

    result = await erased(app, employee)  # the user is the same person
    assert result["subjects"] == [global_id(employee), f"user_{user_id}"]
    assert (result["tokens"], result["jobs"], result["mentions"]) == (1, 1, [])
    assert hits(await dump(guanxi_database), canaries.made) == []
    assert await app.platform.pool.call("SELECT * FROM guanxi_authenticate($1)", b"x" * 32) == []
    app.platform.forget(token)
    with pytest.raises(Refusal):
        await app.platform.authenticate(token)
    assert (await app.all(TierDecision))[0].decided_by == "[erased]"
    await seal(app.platform.pool)
    verdict = await verify(app.platform.pool, app.tenant, [anchor])
    assert verdict.broken is None
    by = [json.loads(row) for row in await rows_of(app, "guanxi_audit", "model = 'Gossip'")]
    assert [(e["actor"], e["actor_id"], e["origin"]) for e in by] == [("", None, None)]
    assert by[0]["changes"] == {"text": [None, "by a user"]}


async def test_who_erased_somebody_can_be_erased(
    guanxi: Boot, guanxi_database: ThrowAwayDatabase
) -> None:
    app = await guanxi(Guests())
    canaries = Canaries()
    token, user_id = await user_of(app, canaries.text("officer"), "*")
    stays = await guest(app)
    app.platform.forget(token)
    reply = await Engine(app.platform).execute(
        await app.platform.authenticate(token), ERASE, {"id": global_id(stays)}, reason="17"
    )
    assert b'"errors":[]' in reply.body
    await user_of(app, "Another", "*")
    assert (await asked(app, ERASE, "request 18", id=f"user_{user_id}"))["errors"] == []
    assert hits(await dump(guanxi_database), canaries.made) == []
    await seal(app.platform.pool)
    verdict = await verify(app.platform.pool, app.tenant)
    assert (verdict.broken, verdict.unsealed) == (None, 0)


async def test_nobody_erases_themselves_or_the_last_who_decides(guanxi: Boot) -> None:
    app = await guanxi(Guests())
    token, user_id = await user_of(app, "Ada", "*")
    access = await app.platform.authenticate(token)
    engine = Engine(app.platform)
    reply = await engine.execute(access, ERASE, {"id": f"user_{user_id}"}, reason="request 17")
    (error,) = msgspec.json.decode(reply.body)["data"]["erasePerson"]["errors"]
    assert (error["code"], error["message"]) == (
        "INVALID", "is yourself: somebody else has to erase you",
    )  # fmt: skip
    code, message = await refused(app, f"user_{user_id}")
    assert (code, "Nobody could decide about rights any more" in message) == ("REFUSED", True)
    await user_of(app, "Bea", "*")
    payload = await asked(app, ERASE, "request 17", id=f"user_{user_id}")
    assert payload["errors"] == []
    assert sorted(row.name for row in await app.all(User)) == ["Bea", f"erased-{user_id}"]


async def test_nobody_erases_a_user_who_may_do_more(guanxi: Boot) -> None:
    app = await booted(guanxi)
    await user_of(app, "Other", "*")
    boss, [_, idle] = (await user_of(app, "Boss", "*"))[1], await user_of(app, "Idle", "*")
    employee = await app.add(Employee(code="E", name="Boss"))
    link = """mutation ($e: ID!, $u: String) {
      linkEmployee(employeeId: $e, userId: $u) { errors { path } } }"""
    await app.graphql(link, e=employee, u=f"user_{boss}")
    rights = ["guanxi.erase", "guanxi.rights", "customers.read"]
    token, _ = await user_of(app, "Privacy", *rights)

    async def tried(id: str, dry: bool = False) -> Any:
        app.platform.forget(token)
        access, given = await app.platform.authenticate(token), {"id": id, "dry": dry}
        reply = await Engine(app.platform).execute(access, ERASE, given, reason="17")
        answer = msgspec.json.decode(reply.body)
        errors = answer.get("errors") or answer["data"]["erasePerson"]["errors"]
        return [error["message"].partition(":")[0] for error in errors]

    refusal = ["You cannot erase a user who may do more than you"]
    for one in (f"user_{boss}", global_id(employee)):
        assert [await tried(one), await tried(one, dry=True)] == [refusal, refusal]
    assert "Boss" in {row.name for row in await app.all(User)}
    assert [row.name for row in await app.all(Employee)] == ["Boss"]
    async with app.context() as ctx:  # who may do nothing any more can be erased
        (await ctx.get(User, idle)).archived_at = dt.datetime.now(dt.UTC)
    less = (await user_of(app, "Less", *rights[1:]))[1]
    assert [await tried(f"user_{idle}"), await tried(f"user_{less}")] == [[], []]
    done = await asked(app, ERASE, "request 18", id=global_id(employee))  # as the operator does
    assert done["result"]["subjects"] == [global_id(employee), f"user_{boss}"]


# --- plugins must answer ---------------------------------------------------------------------


class Note(Model, plugin="mute"):
    """A note about a guest."""

    guest_id: Mapped[UUID] = reference(Guest)


class Portrait(Extension, of=Guest, plugin="mute"):
    """A picture of a guest."""

    place: Mapped[str | None]


class Nurse(Model, plugin="mute", subject=True):
    """Somebody who looks after guests."""

    name: Mapped[str]


@pytest.mark.parametrize(
    ("model", "culprit"),
    [
        (Note, "Note.guest refers to Guest, which is about natural persons"),
        (Portrait, "Portrait extends Guest, which is about natural persons"),
        (Nurse, "Nurse is about natural persons"),
    ],
)
def test_a_plugin_that_keeps_people_must_answer(model: Any, culprit: str) -> None:
    class Mute(Plugin, name="mute", requires=["guests"], models=[model]):
        """Says nothing."""

    class Speaking(Plugin, name="mute", requires=["guests"], models=[model]):
        """Says that nothing is erased."""

        @hookimpl
        def erasures(self, subject: type[Model], id: UUID) -> list[Erasure]:
            """Nothing."""
            return []

    with pytest.raises(PluginError) as refusal:
        compose([Guests, Mute])
    assert refusal.value.plugin == "mute"
    assert culprit in str(refusal.value)
    assert "answer the hook 'erasures'" in str(refusal.value)
    compose([Guests, Speaking])


def test_rows_about_people_can_be_changed() -> None:
    with pytest.raises(PluginError, match="leave append_only or subject out"):

        class Trace(Model, plugin="mute", append_only=True, subject=True):
            """A trace of somebody."""


@pytest.mark.parametrize("name", ["name", "expertise", "id", "nonsense"])
def test_only_the_plugin_itself_says_who_the_same_person_is(name: str) -> None:
    with pytest.raises(PluginError, match=f"Employee has no readonly text '{name}'"):
        Erasure.blank(Employee, Employee.name == "Ada", same=name)


@pytest.mark.parametrize("name", ["id", "erased_at", "nonsense"])
def test_only_what_is_there_can_be_blanked(name: str) -> None:
    with pytest.raises(PluginError, match=f"Guest has no attribute '{name}'"):
        Erasure(Guest, Guest.name == "Ada", name)
    with pytest.raises(PluginError, match="Note has nothing but references"):
        Erasure.blank(Note, Note.guest_id.is_(None))


async def test_a_hook_that_fails_refuses_and_nothing_is_done(guanxi: Boot) -> None:
    app = await booted(guanxi)
    one, stays = await person(app), await guest(app)
    before = await state_of(app)
    Guests.failing = True
    for row in (stays, one):
        code, message = await refused(app, global_id(row))
        assert (code, "The plugin 'guests' failed to answer 'erasures'" in message) == (
            "PLUGIN_FAILED", True,
        )  # fmt: skip
    assert await state_of(app) == before


class Wrong(Plugin, name="mute", requires=["guests"], models=[Note, Nurse]):
    """Answers what it must not."""

    answer: Any = None

    @hookimpl
    def erasures(self, subject: type[Model], id: UUID) -> list[Erasure]:
        """Whatever a test says."""
        return Wrong.answer(subject, id)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda _, one: [Erasure(Guest, Guest.id == one)], "'mute' failed to answer"),
        (lambda _, one: [1], "'mute' failed to answer"),
        (lambda _, one: [], "must blank the row of the Nurse itself"),
        (
            lambda _, one: [Erasure(Nurse, Nurse.id == one)],
            "must blank the row of the Nurse itself",
        ),
    ],
    ids=["about others", "nonsense", "nothing", "delete"],
)
async def test_a_wrong_answer_is_refused(guanxi: Boot, answer: Any, complaint: str) -> None:
    app = await guanxi(Guests(), Wrong())
    nurse = await app.add(Nurse(name="Ada"))
    Wrong.answer = answer
    code, message = await refused(app, global_id(nurse))
    assert (code, complaint in message) == ("PLUGIN_FAILED", True)
    assert "'mute'" in message
    assert [row.name for row in await app.all(Nurse)] == ["Ada"]


async def test_a_plugin_that_is_switched_off_is_reached(guanxi: Boot) -> None:
    app = await guanxi(Guests(), Wrong())
    Wrong.answer = lambda _, one: [Erasure(Note, Note.guest_id == one)]
    stays, other = await guest(app), await guest(app)
    for one in (stays, other):
        await app.add(Note(guest_id=one.id))
    await set_plugin(app.platform.pool, app.tenant, "mute", False)
    result = await erased(app, stays)
    assert {"model": "Note", "deleted": 1, "blanked": 0, "fields": []} in result["rows"]
    assert len(await rows_of(app, "mute_note")) == 1


async def test_a_plugin_without_code_must_not_have_rows(guanxi: Boot) -> None:
    app = await guanxi(Guests(), Wrong())
    Wrong.answer = lambda _, one: []
    stays = await guest(app)
    await app.add(Note(guest_id=stays.id))
    registry = Registry({"guests": Guests}, {"mute": "ImportError: no code."})
    async with await Platform.open(app.platform.pool.url, registry=registry) as platform:
        access = await platform.authenticate(await app.token())
        engine = Engine(platform)

        async def erase_it() -> Any:
            reply = await engine.execute(access, ERASE, {"id": global_id(stays)}, reason="17")
            return msgspec.json.decode(reply.body)["data"]["erasePerson"]["errors"]

        (error,) = await erase_it()
        assert error["code"] == "PLUGIN_FAILED"
        assert "'mute' keeps rows in mute_note and cannot be asked" in error["message"]
        assert "ImportError: no code. Mend or install it" in error["message"]
        assert [row.name for row in await app.all(Guest)] == ["Ada"]
        async with platform.pool.connection(app.tenant.id) as connection:
            await connection.execute("DELETE FROM mute_note")
        assert await erase_it() == []


# --- at the same time ------------------------------------------------------------------------


async def test_a_change_comes_before_or_not_at_all(guanxi: Boot) -> None:
    app = await booted(guanxi)
    await app.token()
    for number in range(ROUNDS):
        one = await person(app, code=f"P{number}", phone=f"phone-before-{number}")
        words = f"canary-of-round-{number}"
        changed, done = await asyncio.gather(
            asked(app, UPDATE, id=global_id(one), **{"in": {"hometown": words, "name": words}}),
            erased(app, one),
        )
        assert [e["code"] for e in changed["errors"]] in ([], ["CONFLICT"], ["NOT_FOUND"])
        assert done["subjects"] == [global_id(one)]
        for table in ("customers_person", "guanxi_audit", "guanxi_outbox"):
            assert words not in str(await rows_of(app, table))
    await seal(app.platform.pool)
    assert (await verify(app.platform.pool, app.tenant)).broken is None


async def test_an_open_change_is_waited_for_and_erased(guanxi: Boot) -> None:
    app = await guanxi(Guests())
    stays = await guest(app)
    async with app.context() as ctx:
        (await ctx.get(Guest, stays.id)).name = "Canary"
        await ctx.add(Visit(guest_id=stays.id, remark="Canary"))
        task = asyncio.create_task(erased(app, stays))
        await asyncio.sleep(0.2)
        assert not task.done()
    await task
    for table in ("guests_guest", "guests_visit", "guanxi_audit"):
        assert "Canary" not in str(await rows_of(app, table))


async def test_who_comes_while_it_is_erased_finds_nothing_to_change(guanxi: Boot) -> None:
    app = await booted(guanxi)
    one = await person(app, code="P1")
    access = await app.access()
    async with app.platform.context(access, reason="request 17") as ctx:
        await erase(ctx, global_id(one))
        tasks = [
            asyncio.create_task(
                asked(app, UPDATE, id=global_id(one), **{"in": {"name": "Canary"}})
            ),
            asyncio.create_task(_update_where(app, one)),
        ]
        await asyncio.sleep(0.3)
        assert not any(task.done() for task in tasks)
    (error,) = (await tasks[0])["errors"]
    assert error["code"] in ("CONFLICT", "NOT_FOUND")
    assert await tasks[1] == 0
    for table in ("customers_person", "guanxi_audit"):
        assert "Canary" not in str(await rows_of(app, table))


async def test_nothing_refers_anew_to_who_was_erased_or_is_being_erased(guanxi: Boot) -> None:
    app = await guanxi(Guests())
    stays, other = await guest(app), await guest(app)
    await app.add(Visit(guest_id=other.id, remark="Hello"))
    visit = """mutation ($guest: ID!) {
      createVisit(input: { guestId: $guest, remark: "Canary" }) { errors { code path } }
    }"""
    answers = []
    assert (await asked(app, visit, guest=global_id(other)))["errors"] == []
    async with app.platform.context(await app.access(), reason="request 17") as ctx:
        await erase(ctx, global_id(stays))
        tasks = [
            asyncio.create_task(asked(app, visit, guest=global_id(stays))),
            asyncio.create_task(_refer(app, Visit(guest_id=stays.id, remark="Canary"))),
            asyncio.create_task(_refer(app, Allergy(id=stays.id, against="Canary"))),
        ]
        await asyncio.sleep(0.3)
        assert not any(task.done() for task in tasks)
    answers += await asyncio.gather(*tasks)
    answers.append(await asked(app, visit, guest=global_id(stays)))
    answers.append(await _refer(app, Visit(guest_id=stays.id, remark="Canary")))
    for model, row in (
        (Visit, {"guest_id": stays.id, "remark": "Canary"}),
        (Allergy, {"id": stays.id, "against": "Canary"}),
    ):
        with pytest.raises(NotFound):
            await _save_many(app, model, row)
    await _save_many(app, Visit, {"guest_id": other.id, "remark": "Hello"})
    refusal = {"errors": [{"code": "NOT_FOUND", "path": "guestId"}]}
    assert answers == [refusal, "guest_id", "id", refusal, "guest_id"]
    assert [visit.guest_id for visit in await app.all(Visit)] == [other.id] * 3
    assert await rows_of(app, "guests_allergy") == []


async def _save_many(app: App, model: Any, row: dict[str, Any]) -> None:
    async with app.context() as ctx:
        await ctx.save_many(model, [row])


async def _refer(app: App, row: Any) -> str | None:
    """Which reference was refused."""
    try:
        async with app.context() as ctx:
            ctx.db.add(row)
            await ctx.db.flush()
    except NotFound as error:
        return error.path
    return None


async def _update_where(app: App, one: Person) -> int:
    async with app.context() as ctx:
        return await ctx.update_where(Person, Person.id == one.id, name="Canary")


async def test_a_handler_that_runs_meanwhile_begins_anew_with_what_is_left(guanxi: Boot) -> None:
    app = await guanxi(Guests())
    stays = await guest(app, name="Ada")
    heard: list[str] = []
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def act(ctx: Any, event: Event) -> None:
        assert isinstance(event, people.GuestGreeted | people.WordsSpoken)
        if isinstance(event, people.GuestGreeted):
            heard.append(event.words)
            await ctx.add(Gossip(text=f"heard {event.words}"))
            begun.set()
            await go_on.wait()

    Guests.act = act
    await asked(app, GREET, id=global_id(stays), words="Canary")
    delivering = asyncio.create_task(app.deliver())
    await begun.wait()
    await erased(app, stays)
    go_on.set()
    await delivering
    await app.deliver()
    assert heard == ["Canary", "[erased]"]
    assert [row.text for row in await app.all(Gossip)] == ["heard [erased]"]
    assert "Canary" not in str(await rows_of(app, "guanxi_audit"))


@pytest.mark.parametrize(
    ("owner", "step"), [(Collection, "read_history"), (Traces, "tokens")], ids=["early", "late"]
)
async def test_nobody_takes_up_an_event_meanwhile(
    guanxi: Boot, monkeypatch: pytest.MonkeyPatch, owner: Any, step: str
) -> None:
    """Another worker would know the event as it was before, and keep what it said."""
    app = await guanxi(Guests())
    stays, heard = await guest(app, name="Ada"), []

    async def act(ctx: Any, event: Event) -> None:
        assert isinstance(event, people.GuestGreeted | people.WordsSpoken)
        heard.append((type(event).__name__, event.words))
        await ctx.add(Gossip(text=event.words))

    Guests.act = act
    await asked(app, GREET, id=global_id(stays), words="Ask Ada")
    former = getattr(owner, step)

    async def step_later(self: Any, *given: Any) -> Any:
        async with asyncio.timeout(10):
            assert await app.deliver() == 0
        return await former(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(owner, step, step_later)
        await erased(app, stays)
    assert heard == []
    await app.deliver()
    assert heard == [("GuestGreeted", "[erased]"), ("WordsSpoken", "[erased]")]
    assert {row.text for row in await app.all(Gossip)} == {"[erased]"}


async def test_a_reply_that_is_about_to_be_kept_is_waited_for_and_erased(
    guanxi: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It only read the person, and so nothing else makes the erasure wait."""
    app = await guanxi(Guests())
    stays = await guest(app, name="Ada Unique")
    token, _ = await user_of(app, "Eve", "*")
    await app.token()
    app.platform.forget(token)
    access = await app.platform.authenticate(token)
    kept, go_on, keep = asyncio.Event(), asyncio.Event(), Once.keep

    async def keep_slowly(self: Once, *given: Any) -> None:
        await keep(self, *given)
        kept.set()
        await go_on.wait()

    def greeting(key: bytes) -> Any:
        given = {"id": global_id(stays), "words": "Hello"}
        return Engine(app.platform).execute(access, GREET, given, key=key)

    monkeypatch.setattr(Once, "keep", keep_slowly)
    open_one = asyncio.create_task(greeting(b"first"))
    await kept.wait()
    erasing = asyncio.create_task(erased(app, stays))
    done, _ = await asyncio.wait({erasing}, timeout=0.3)
    assert not done
    late_one = asyncio.create_task(greeting(b"second"))  # it reads nothing before the erasure
    done, _ = await asyncio.wait({late_one}, timeout=0.3)
    assert not done
    go_on.set()
    assert b"Ada Unique" in (await open_one).body
    assert (await erasing)["replies"] == 1
    assert b"Ada Unique" not in (await late_one).body
    async with app.platform.pool.connection(app.tenant.id) as connection:
        replies = await connection.fetch("SELECT body FROM guanxi_idempotency")
    assert len(replies) == 2
    assert b"Ada Unique" not in b"".join(row["body"] for row in replies)


async def test_erasures_with_keys_do_not_hinder_each_other(guanxi: Boot) -> None:
    app = await guanxi(Guests())
    rows = [await guest(app, name=f"Ada Number {number}") for number in range(4)]
    await app.token()
    token, _ = await user_of(app, "Eve", "*")
    app.platform.forget(token)
    access = await app.platform.authenticate(token)

    async def erased_by_key(row: Guest) -> Any:
        given, key = {"id": global_id(row)}, global_id(row).encode()
        reply = await Engine(app.platform).execute(access, ERASE, given, key=key, reason="17")
        return msgspec.json.decode(reply.body)["data"]["erasePerson"]["errors"]

    assert await asyncio.gather(*map(erased_by_key, rows)) == [[]] * 4
    assert {row.name for row in await app.all(Guest)} == {"[erased]"}


async def test_events_of_whoever_read_the_person_meanwhile_go_when_erased_again(
    guanxi: Boot,
) -> None:
    app = await guanxi(Guests())
    stays = await guest(app, name="Ada Unique")
    async with app.context() as ctx:
        name = (await ctx.get(Guest, stays.id)).name
        ctx.emit(people.GuestGreeted(guest_id=stays.id, words=name, mood=Mood.CALM, at=ctx.today()))
        await erased(app, stays)
    assert "Ada Unique" in str(await rows_of(app, "guanxi_outbox"))
    assert (await erased(app, stays))["events"] == 1
    assert "Ada Unique" not in str(await rows_of(app, "guanxi_outbox"))


async def test_what_is_erased_of_a_job_that_runs_stays_erased(guanxi: Boot) -> None:
    app = await guanxi(Guests())
    stays = await guest(app, name="Ada Unique")
    async with (
        app.context() as ctx,
        ctx.job("Call Ada Unique") as called,
        ctx.job("Call somebody") as other,
    ):
        for job, message in ((called, "soon"), (other, "Ada Unique is next")):
            await job.advance(1, message)
            await job.report("running")
        assert (await erased(app, stays))["jobs"] == 2
        await called.advance(1, "Ada Unique answers")
    jobs = [json.loads(row) for row in await rows_of(app, "guanxi_job")]
    found = sorted((job["title"], job["message"], job["done"], job["status"]) for job in jobs)
    assert found == [("Call somebody", "[erased]", 1, "done"), ("[erased]", "[erased]", 2, "done")]


# --- many ------------------------------------------------------------------------------------

_LETTERS = "abcdefghijklmnopqrstuvwxyz ÄÖß\"\\'%_\n\t王芳李娜張🦉"


async def test_random_persons_leave_nothing(
    guanxi: Boot, guanxi_database: ThrowAwayDatabase, figure: Figure
) -> None:
    seed = random.randrange(2**32) if LONG else 18
    dice = random.Random(seed)
    app = await booted(guanxi)
    customer = await app.add(Customer(code="C1", name="A customer"))
    token = f"zq{secrets.token_hex(3)}"  # in no number and in no id

    def text(longest: int) -> str:
        inner = "".join(dice.choice(_LETTERS) for _ in range(dice.randint(1, 20)))
        return f"{token}{inner}{token}"[:longest]

    said: list[str] = []
    for _ in range(PERSONS):
        values = {}
        for name, field in Person.info.fields.items():
            if field.kind == "text" and (not field.nullable or dice.random() < 0.7):
                values[name] = text(field.max_length or 100)
        said += values.values()
        given = graphql_of({**values, "customer_id": global_id(customer)})
        made = await post(app, CREATE, uuid7().hex, **{"in": given})
        assert made["data"]["createPerson"]["errors"] == [], (seed, made)
    assert token.encode() in await dump(guanxi_database)
    for row in await app.all(Person):
        await erased(app, row)
    left = await dump(guanxi_database)
    assert token.encode() not in left, seed
    assert token.encode().hex().encode() not in left, seed
    assert len(said) > PERSONS
    await seal(app.platform.pool)
    assert (await verify(app.platform.pool, app.tenant)).broken is None
    figure(18, ROW, f"{PERSONS} persons with {len(said)} random texts: 0 bytes")
