"""What plugin code is handed: tenant, user, clock, database, events, rights."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from guanxi_sdk.access import Rights
from guanxi_sdk.egress import Egress
from guanxi_sdk.events import EventInfo
from guanxi_sdk.graphql import GraphQL
from guanxi_sdk.model import Extension, Model
from guanxi_sdk.values import Event, Permission

M = TypeVar("M", bound=Model)
R = TypeVar("R")

#: Execution option of a SELECT that is to find rows of the tenant that the caller may not see.
EVERY_ROW: Final[Mapping[str, Any]] = {"guanxi_every_row": True}


@dataclass(frozen=True, slots=True)
class Tenant:
    """One enterprise."""

    id: UUID
    name: str
    currency: str  # ISO 4217, the currency the enterprise reports in


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a user of the tenant by an API token, or the system itself."""

    user_id: UUID | None
    name: str
    rights: Rights
    token_id: UUID | None = None

    @property
    def permissions(self) -> frozenset[str]:
        """What the caller may do, to some rows at least."""
        return self.rights.permissions

    def may(self, permission: str) -> bool:
        """Whether one of the caller's roles holds ``permission``."""
        return permission in self.permissions


class Job(Protocol):
    """Long work in progress, for people to watch; made by :meth:`Context.job`."""

    @property
    def id(self) -> UUID:
        """Its id: ``job(id)`` in GraphQL."""
        ...

    async def advance(self, by: int = 1, message: str | None = None) -> None:
        """Count what was done; others see it at once, whatever becomes of the transaction."""
        ...


class Context(Protocol):
    """Passed to every mutation, query, field and event handler; bound to one tenant."""

    @property
    def tenant(self) -> Tenant:
        """The enterprise whose data this is."""
        ...

    @property
    def caller(self) -> Caller:
        """Who asks."""
        ...

    @property
    def locale(self) -> str:
        """``zh`` or ``en``, from the request's Accept-Language."""
        ...

    @property
    def db(self) -> AsyncSession:
        """A session bound to the tenant.

        It finds the rows that the caller may see; a rule that must hold beyond them asks with
        ``execution_options=EVERY_ROW``, and never answers with what it found. Models are filtered
        by tenant by themselves; statements on bare tables must name ``tenant_id``; text, bulk
        writes and raw connections are refused.
        """
        ...

    @property
    def egress(self) -> Egress:
        """The only way to systems outside; inner addresses are refused."""
        ...

    @property
    def graphql(self) -> GraphQL:
        """The tenant's GraphQL, to ask what some user may see."""
        ...

    def now(self) -> dt.datetime:
        """The current time in UTC, by the request's clock."""
        ...

    def today(self) -> dt.date:
        """The current date in UTC, by the request's clock."""
        ...

    def require(self, permission: Permission) -> None:
        """Raise :class:`Forbidden` unless the caller has ``permission``."""
        ...

    async def rights_of(self, user_id: UUID) -> Rights:
        """What a user may do now, by all of their roles.

        Raises :class:`Forbidden` for a user who is archived or unknown.
        """
        ...

    def events(self) -> Mapping[str, EventInfo]:
        """All events that can happen in this tenant, by name."""
        ...

    def emit(self, event: Event) -> None:
        """Record an event; it is delivered after commit, or never if the transaction fails."""
        ...

    async def add(self, row: M) -> M:
        """Insert ``row`` into the caller's tenant; its id is set on return."""
        ...

    async def get(self, model: type[M], id: UUID, *, path: str = "id") -> M:
        """Fetch one row, or raise :class:`NotFound` for the argument ``path``."""
        ...

    async def update_where(
        self, model: type[Model], condition: sa.ColumnElement[bool], **values: Any
    ) -> int:
        """Change all rows that meet ``condition``; returns how many. Counts versions, audits."""
        ...

    async def delete_where(self, model: type[Model], condition: sa.ColumnElement[bool]) -> int:
        """Delete all rows that meet ``condition``; returns how many.

        Meant for logs that are kept for some time only: the audit keeps one record for all, and
        they are no events.
        """
        ...

    async def save_many(
        self, model: type[Model] | type[Extension], rows: Sequence[Mapping[str, Any]]
    ) -> int:
        """Insert or update by ``id`` in one statement per chunk, with one audit record each."""
        ...

    async def save_from(
        self, model: type[Model] | type[Extension], rows: sa.Select[*tuple[Any, ...]]
    ) -> int:
        """Insert or update by ``id`` what a SELECT finds, all in the database; returns how many.

        Its columns are labelled like those of the table; without ``id`` every row is a new one. The
        audit keeps one record. Not for models that are about people or refer to any, nor with
        ``search=True``: their rows are looked at in Python, so :meth:`save_many` saves them.
        """
        ...

    def tell_once(self, secret: str) -> None:
        """Say that only this answer tells ``secret``.

        The reply that is kept for an Idempotency-Key has null in its place, so that a repetition
        finds what was made and does not learn the secret.
        """
        ...

    def job(self, title: str, *, total: int | None = None) -> AbstractAsyncContextManager[Job]:
        """Report the progress of long work: ``async with ctx.job("Count", total=9) as job: …``.

        It is done when the transaction is committed, and failed when the block or the transaction
        fails, or the process dies.
        """
        ...

    def ask(self, hook: Callable[..., R], /, **arguments: Any) -> R:
        """Ask all enabled plugins the question ``hook`` and combine their answers."""
        ...


class Outside(Protocol):
    """Passed to handlers with ``outside=True``: no transaction is open while they wait.

    What the handler does in a :meth:`transaction` is committed at once, and its delivery is marked
    as done afterwards. Whatever ends the process in between makes it run again, so it must be able
    to tell what it has done already.
    """

    @property
    def tenant(self) -> Tenant:
        """The enterprise whose data this is."""
        ...

    @property
    def egress(self) -> Egress:
        """The only way to systems outside; inner addresses are refused."""
        ...

    @property
    def graphql(self) -> GraphQL:
        """The tenant's GraphQL, to ask what some user may see."""
        ...

    def now(self) -> dt.datetime:
        """The current time in UTC."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Context]:
        """A transaction with all permissions: ``async with ctx.transaction() as inner: …``."""
        ...
