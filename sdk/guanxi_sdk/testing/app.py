"""What ``await guanxi(…)`` gives a test: one tenant with the plugins under test."""

import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import msgspec
import sqlalchemy as sa

from guanxi_sdk._docs import camel
from guanxi_sdk.context import Context, Tenant
from guanxi_sdk.model import Model
from guanxi_sdk.model import global_id as model_id
from guanxi_sdk.testing.clock import Clock
from guanxi_sdk.values import Event, Money, Permission, Value

if TYPE_CHECKING:
    from guanxi_core.platform import Access, Platform

M = TypeVar("M", bound=Model)
R = TypeVar("R")
#: What a caller may do; None stands for everything.
Can = Iterable[Permission | str] | None


class GraphQLFailed(AssertionError):
    """The answer has top-level errors; :attr:`errors` holds them."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__("; ".join(str(error.get("message")) for error in errors))
        self.errors = errors

    @property
    def codes(self) -> list[str | None]:
        """The codes of the errors, for instance ``["FORBIDDEN"]``."""
        return [error.get("extensions", {}).get("code") for error in self.errors]


class App:
    """A tenant of its own in the test run's database, served by the plugins under test."""

    def __init__(self, platform: "Platform", tenant: Tenant, clock: Clock) -> None:
        #: The tenant that everything here belongs to.
        self.tenant = tenant
        #: Move it to test what depends on time.
        self.clock = clock
        #: Events emitted by plugin code and committed, in order.
        self.events: list[Event] = []
        #: The platform that serves the tenant, for tests that look below the SDK.
        self.platform = platform
        self._tokens: dict[frozenset[str], str] = {}
        self._engine: Any = None
        self._worker: Any = None
        platform.listeners.append(self._committed)

    async def add(self, row: M) -> M:
        """Insert ``row`` and give it back with its id."""
        async with self.context() as ctx:
            return await ctx.add(row)

    async def get(self, model: type[M], id: UUID) -> M:
        """Read one row."""
        async with self.context() as ctx:
            return await ctx.get(model, id)

    async def all(self, model: type[M]) -> list[M]:
        """Read all rows of ``model``, oldest first."""
        async with self.context() as ctx:
            statement = sa.select(model).order_by(model.created_at, model.id)
            return list(await ctx.db.scalars(statement))

    @asynccontextmanager
    async def context(
        self, *, can: Can = None, locale: str = "en", action: str | None = None
    ) -> AsyncIterator[Context]:
        """One transaction, as a mutation has it: committed at the end of the block."""
        access = await self.access(can)
        async with self.platform.context(access, locale=locale, action=action) as ctx:
            yield ctx

    async def ask(self, hook: Callable[..., R], /, **arguments: Any) -> R:
        """Ask the plugins a question."""
        async with self.context() as ctx:
            return ctx.ask(hook, **arguments)

    async def graphql(self, document: str, /, *, can: Can = None, **variables: Any) -> Any:
        """Execute ``document`` and return its data; top-level errors raise GraphQLFailed.

        ``can`` limits what the caller may do: ``can=[WRITE]``, or ``can=[]`` for nothing.
        """
        answer = await self.execute(document, variables, can=can)
        if answer.get("errors"):
            raise GraphQLFailed(answer["errors"])
        return answer["data"]

    async def execute(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        can: Can = None,
        operation: str | None = None,
        locale: str = "en",
        reason: str | None = None,
    ) -> dict[str, Any]:
        """Execute ``document`` and return the whole answer, errors included."""
        from guanxi_graphql.schema import schema_of

        if self._engine is None:
            from guanxi_graphql.execute.engine import Engine

            self._engine = Engine(self.platform)
        access = await self.access(can)
        schema_of(access.installation.edition)  # an author's mistake is told as it is
        reply = await self._engine.execute(
            access,
            document,
            {name: _input(value) for name, value in (variables or {}).items()},
            operation,
            locale=locale,
            reason=reason,
        )
        decoded: dict[str, Any] = msgspec.json.decode(reply.body)
        return decoded

    async def told(
        self, document: str, /, *, can: Can = None, **variables: Any
    ) -> list[dict[str, Any]]:
        """What the subscription ``document`` tells of all that has happened so far, in order."""
        from guanxi_sdk.testing.telling import told

        given = {name: _input(value) for name, value in variables.items()}
        bodies = await told(self.platform, await self.access(can), document, given)
        return [msgspec.json.decode(body) for body in bodies]

    async def deliver(self) -> int:
        """Run all handlers and schedules that are due by now; returns how many runs were done.

        Without this nothing is delivered. What fails is logged, and due again a moment later.
        """
        from guanxi_core.delivery.worker import Worker

        if self._worker is None:
            self._worker = Worker(self.platform)
        done: int = await self._worker.drain(self.tenant)
        return done

    async def access(self, can: Can = None) -> "Access":
        """What a caller may do whose token has the permissions ``can``, as of now."""
        token = await self.token(can)
        self.platform.forget(token)
        return await self.platform.authenticate(token)

    async def token(self, can: Can = None) -> str:
        """An API token with the permissions ``can``, made once."""
        patterns = (
            frozenset("*")
            if can is None
            else frozenset(p.name if isinstance(p, Permission) else p for p in can)
        )
        if patterns not in self._tokens:
            from guanxi_sdk.testing.tokens import make_token

            self._tokens[patterns] = await make_token(self.platform.pool, self.tenant, patterns)
        return self._tokens[patterns]

    def _committed(self, tenant: Tenant, events: Sequence[Event]) -> None:
        if tenant.id == self.tenant.id:
            self.events.extend(events)


def global_id(row: Model) -> str:
    """The id of ``row`` in GraphQL: ``customer_0198…``."""
    return model_id(type(row), row.id)


def _input(value: Any) -> Any:
    """A Python value as a GraphQL variable."""
    match value:
        case Model():
            return global_id(value)
        case Money():
            return {"amount": value.amount, "currency": value.currency}
        case Value():
            fields = {name: getattr(value, name) for name in value.__struct_fields__}
            return {camel(name): _input(item) for name, item in fields.items()}
        case dict():
            return {name: _input(item) for name, item in value.items()}
        case list() | tuple():
            return [_input(item) for item in value]
        case UUID() | Decimal():
            return str(value)
        case dt.date() | dt.datetime():
            return value.isoformat()
    return value
