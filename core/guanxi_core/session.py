"""The session that plugin code works with: bound to one tenant, closed to everything else.

Four lines of defence: criteria added to every model in every SELECT (the tenant, and the caller's
policies); a guard at flush; a guard on
what SQLAlchemy compiles (:mod:`guanxi_core.database.scoping`); and row-level security below. What
would pass by them, or by versions and audit, is refused with the way that does not.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NoReturn, cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction, with_loader_criteria
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.util import greenlet_spawn

from guanxi_core.checks import check_values
from guanxi_core.database.scoping import NO_BULK, WRITE, UnscopedStatement, enter
from guanxi_core.database.violations import refusal_of
from guanxi_core.journal import Journal
from guanxi_core.policies import RowPolicies
from guanxi_core.search.keeping import keep_flushed
from guanxi_core.subjects import kept, people_named
from guanxi_sdk import EVERY_ROW, Extension, GuanxiError, Model, NotFound
from guanxi_sdk.info import ModelInfo

__all__ = ["ForeignTenant", "SessionRefused", "TenantSession", "UnscopedStatement"]


class SessionRefused(GuanxiError):
    """The session does not offer this; the message says what to use instead."""


class ForeignTenant(GuanxiError):
    """A row of another tenant was about to enter the session."""


@lru_cache(maxsize=1024)
def _criteria(tenant_id: UUID) -> tuple[Any, ...]:
    """What restricts every model, aliases and eager loads included, to one tenant's rows.

    The tenant is a subquery, so that PostgreSQL plans for a tenant like the others: of one that it
    has not counted yet it believes that it has no rows, and its plans take minutes.
    """

    def mine(cls: Any) -> Any:
        return cls.tenant_id == sa.select(sa.cast(tenant_id, sa.Uuid)).scalar_subquery()

    return tuple(
        with_loader_criteria(base, mine, include_aliases=True) for base in (Model, Extension)
    )


class GuardedSession(Session):
    """The synchronous half of :class:`TenantSession`, where the guards sit."""

    def __init__(
        self,
        bind: sa.Engine,
        *,
        tenant_id: UUID,
        on_begin: Callable[[sa.Connection], None] | None = None,
        **options: Any,
    ) -> None:
        options["expire_on_commit"] = False
        options["close_resets_only"] = False  # what is kept of it opens no transaction any more
        super().__init__(**options)
        self.tenant_id = tenant_id
        self.journal = Journal()
        #: What the caller may see; None for callers who may see every row.
        self.policies: RowPolicies | None = None
        self.finishing = False
        #: Whether its transaction ends, and has ended, without there being another.
        self.ending = self.ended = False
        #: What the database refused in this transaction, which can only be undone since then.
        self.failure: Exception | None = None
        self._engine = bind
        self._on_begin = on_begin
        self._savepoints: dict[SessionTransaction | None, int] = {}

    def get_bind(self, *_: Any, **__: Any) -> sa.Engine:
        """The guarded engine, whatever is asked for."""
        return self._engine

    def core_connection(self) -> sa.Connection:
        """The connection of the current transaction, for the core alone."""
        return super().connection()

    def execute_core(self, statement: sa.Executable, values: Any = None) -> Any:
        """Run one of the core's own statements, which the guards would keep from others."""
        with self._explaining():
            return self.core_connection().execute(
                statement, values, execution_options={WRITE: True}
            )

    def finish(self) -> None:
        """Commit, which is the context's business."""
        if self.failure is not None:
            raise self.failure
        self.finishing = True
        try:
            with self._explaining():
                super().commit()
        finally:
            self.finishing = False

    def close(self) -> None:
        """Undo what was not committed; for good only when the transaction is over."""
        if self.ending:
            super().close()
            self.ended = True
        else:
            self.reset()

    def execute(self, *arguments: Any, **keywords: Any) -> Any:
        """Execute; what the database refuses comes back as a refusal."""
        with self._explaining():
            return super().execute(*arguments, **keywords)

    def scalar(self, *arguments: Any, **keywords: Any) -> Any:
        """Execute and return the first value."""
        with self._explaining():
            return super().scalar(*arguments, **keywords)

    def flush(self, objects: Any = None) -> None:
        """Write what is pending; what the database refuses comes back as a refusal."""
        with self._explaining():
            super().flush(objects)

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, StaleDataError, PendingRollbackError) as error:
            if self.failure is None:
                self.failure = refusal_of(error) or error
            if self.failure is error:
                raise
            raise self.failure from error

    def connection(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: a connection knows neither models nor versions nor audit."""
        raise SessionRefused("connections are not handed out: use ctx.db.execute(select(…)).")

    def bulk_save_objects(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: passes by versions and audit."""
        raise SessionRefused(NO_BULK)

    bulk_insert_mappings = bulk_update_mappings = bulk_save_objects


class TenantSession(AsyncSession):
    """An ``AsyncSession`` bound to one tenant; :attr:`Context.db` of the SDK."""

    sync_session_class = GuardedSession
    sync_session: GuardedSession  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self,
        bind: AsyncEngine,
        *,
        tenant_id: UUID,
        on_begin: Callable[[sa.Connection], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(bind, tenant_id=tenant_id, on_begin=on_begin, **options)

    async def __aexit__(self, *raised: Any) -> None:
        """Close for good."""
        self.sync_session.ending = True
        await super().__aexit__(*raised)

    async def connection(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: a connection knows neither models nor versions nor audit."""
        self.sync_session.connection()

    def get_bind(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: other connections have no tenant."""
        raise SessionRefused("engines are not handed out: use ctx.db.execute(select(…)).")

    async def core_connection(self) -> sa.Connection:
        """The connection of the current transaction, for the core alone."""
        return await greenlet_spawn(self.sync_session.core_connection)

    async def execute_core(self, statement: sa.Executable, values: Any = None) -> Any:
        """Run one of the core's own statements, which the guards would keep from others."""
        return await greenlet_spawn(self.sync_session.execute_core, statement, values)

    async def finish(self) -> None:
        """Commit, which is the context's business."""
        await greenlet_spawn(self.sync_session.finish)


@event.listens_for(GuardedSession, "after_begin")
def _enter_tenant(
    session: GuardedSession, transaction: SessionTransaction, connection: sa.Connection
) -> None:
    if transaction.nested:
        return
    enter(connection, session.tenant_id)
    if session._on_begin is not None:
        session._on_begin(connection)


@event.listens_for(GuardedSession, "do_orm_execute")
def _guard_statement(state: ORMExecuteState) -> None:
    if state.is_select:
        if not (state.is_column_load or state.is_relationship_load):
            session = cast(GuardedSession, state.session)
            options = _criteria(session.tenant_id)
            if session.policies and not EVERY_ROW.items() <= state.execution_options.items():
                options += session.policies.options()
            state.statement = state.statement.options(*options)
    elif state.is_insert or state.is_update or state.is_delete:
        if state.execution_options.get(WRITE) is not True:
            raise SessionRefused(NO_BULK)
    else:
        raise UnscopedStatement(
            "only SELECT statements are executed: write them with select() and the models."
        )


@event.listens_for(GuardedSession, "before_attach")
def _guard_entrance(session: GuardedSession, row: Any) -> None:
    if not isinstance(row, Model | Extension):
        raise SessionRefused(f"{type(row).__name__} is not a Model, so it has no tenant.")
    key = instance_state(row).key
    if key is not None and session.tenant_id not in key[1]:
        raise ForeignTenant(f"this {type(row).__name__} belongs to another tenant.")


@event.listens_for(GuardedSession, "before_flush")
def _guard_rows(session: GuardedSession, *_: Any) -> None:
    for row in session.new:
        if row.tenant_id is None:
            row.tenant_id = session.tenant_id
    for row in (*session.new, *session.dirty, *session.deleted):
        if row.tenant_id != session.tenant_id:
            raise ForeignTenant(f"this {type(row).__name__} belongs to another tenant.")
        if row.info.append_only and row not in session.new and session.is_modified(row):
            raise SessionRefused(f"{type(row).__name__} is append-only: add a new row instead.")
        if row.info.subject and row.erased_at is not None and session.is_modified(row):
            raise NotFound
        state = instance_state(row)
        changed = state.committed_state if state.persistent else state.dict
        check_values(
            row.info,
            {
                name: state.dict[name]
                for name, field in (*row.info.fields.items(), *row.info.private.items())
                if name in state.dict and not changed.keys().isdisjoint(field.columns)
            },
        )


@event.listens_for(GuardedSession, "before_flush")
def _guard_references(session: GuardedSession, *_: Any) -> None:
    """Let nothing refer anew to a person who was erased, or is being erased at this moment."""
    added = {row.id for row in session.new if row.info.of is None}
    wanted: dict[str, tuple[ModelInfo, dict[UUID, str]]] = {}
    for row in (*session.new, *session.dirty):
        state = instance_state(row)
        for column, target in people_named(row.info):
            identity = state.dict.get(column)
            unchanged = state.persistent and column != "id" and column not in state.committed_state
            if not unchanged and identity is not None and identity not in added:
                wanted.setdefault(target.name, (target, {}))[1][identity] = column
    for target, columns in wanted.values():
        there = set(session.execute_core(kept(target, session.tenant_id, columns)).scalars())
        for identity, column in columns.items():
            if identity not in there:
                raise NotFound(column)


@event.listens_for(GuardedSession, "after_flush")
def _record(session: GuardedSession, _: Any) -> None:
    session.journal.record_flush(session)
    keep_flushed(session)


@event.listens_for(GuardedSession, "after_transaction_create")
def _remember_savepoint(session: GuardedSession, transaction: SessionTransaction) -> None:
    if transaction.nested:
        session._savepoints[transaction] = len(session.journal.entries)


@event.listens_for(GuardedSession, "after_commit")
def _release_savepoint(session: GuardedSession) -> None:
    session._savepoints.pop(session.get_nested_transaction(), None)


@event.listens_for(GuardedSession, "after_transaction_end")
def _forget_undone(session: GuardedSession, transaction: SessionTransaction) -> None:
    if transaction.nested:
        length = session._savepoints.pop(transaction, None)
    else:
        length = None if transaction.parent or session.finishing else 0
    if length is not None:
        session.journal.rewind(length)
        session.failure = None


@event.listens_for(GuardedSession, "before_commit")
def _guard_commit(session: GuardedSession) -> None:
    if not (session.finishing or session.in_nested_transaction()):
        raise SessionRefused("guanxi commits when the mutation has ended: leave commit() out.")
