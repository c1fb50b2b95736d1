"""The context of one transaction: what plugin code is handed, and what it leaves behind.

Data, audit and outbox are written in one transaction. Nothing reaches the database before it is
needed, so that a context that only asks hooks or emits nothing costs nothing.
"""

import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import sqlalchemy as sa

from guanxi_core import bulk, hooks
from guanxi_core.access import Access
from guanxi_core.audit import Origin
from guanxi_core.breakers import TenantBreakers
from guanxi_core.composing import Editions
from guanxi_core.discovery import Registry
from guanxi_core.events import events_of
from guanxi_core.jobs import Jobs
from guanxi_core.journal import Noted, Report
from guanxi_core.limits import Ceiling
from guanxi_core.outbox import report_of
from guanxi_core.policies import RowPolicies
from guanxi_core.recording import record
from guanxi_core.session import SessionRefused, TenantSession
from guanxi_core.system_tables import audit_table
from guanxi_sdk import (
    Caller,
    Egress,
    Event,
    EventInfo,
    Extension,
    Forbidden,
    GraphQL,
    Job,
    Model,
    NotFound,
    Permission,
    PluginError,
    Rights,
    Tenant,
)
from guanxi_sdk.contributions import Ambient

if TYPE_CHECKING:
    from guanxi_core.platform import Platform

M = TypeVar("M", bound=Model)
R = TypeVar("R")

_DECLARED = "guanxi_core.events"


class TransactionContext:
    """Implements :class:`guanxi_sdk.Context` over one session; made by ``Platform.context``."""

    def __init__(
        self,
        access: Access,
        session: TenantSession,
        jobs: Jobs,
        *,
        now: dt.datetime,
        locale: str = "en",
        action: str | None = None,
        reason: str | None = None,
        origin: str | None = None,
        breakers: TenantBreakers,
        deadline: float | None = None,
        read_only: bool = False,
        platform: "Platform",
    ) -> None:
        self._access = access
        self._session = session
        self._jobs = jobs
        self._now = now
        self._locale = locale
        #: The breakers of the tenant's plugins.
        self.breakers = breakers
        #: Seconds that asynchronous plugin code may take.
        self.deadline = deadline
        #: Whether all that was done here is lost, whatever else is tried.
        self.lost = False
        #: Secret values that plugin code is about to tell, as the audit calls them.
        self.secrets: dict[str, None] = {}
        #: What only this answer tells.
        self.told_once: list[str] = []
        self._read_only = read_only
        self._platform = platform
        #: What the audit says of all changes made here.
        self.origin = Origin(self.tenant.id, access.caller, action, reason, origin)
        self._policies: RowPolicies | None = None
        if access.caller.rights.limited:
            edition = access.installation.edition
            self._policies = RowPolicies(edition, access.caller.rights, self.ambient())
            session.sync_session.policies = self._policies

    @property
    def access(self) -> Access:
        """What the caller may do, and with which edition."""
        return self._access

    @property
    def tenant(self) -> Tenant:
        """The enterprise whose data this is."""
        return self._access.installation.tenant

    @property
    def caller(self) -> Caller:
        """Who asks."""
        return self._access.caller

    @property
    def locale(self) -> str:
        """``zh`` or ``en``."""
        return self._locale

    @property
    def reason(self) -> str | None:
        """Why it is done, in the caller's words."""
        return self.origin.reason

    @property
    def db(self) -> TenantSession:
        """The session bound to the tenant, while the transaction lasts."""
        if self._session.sync_session.ended:
            raise SessionRefused("this context has ended with its transaction: keep none.")
        return self._session

    @property
    def ceiling(self) -> Ceiling:
        """The most that tenants may set as limits of their requests."""
        return self._platform.ceiling

    @property
    def registry(self) -> Registry:
        """All installed plugins, those that the tenant has switched off included."""
        return self._platform.registry

    @property
    def editions(self) -> Editions:
        """All editions of the process."""
        return self._platform.editions

    @property
    def egress(self) -> Egress:
        """The only way to systems outside."""
        self._session.sync_session.journal.outside = True
        return self._platform.egress(self.tenant)

    @property
    def graphql(self) -> GraphQL:
        """The tenant's GraphQL, to ask what some user may see."""
        return self._platform.graphql(self._access.installation)

    @property
    def emitted(self) -> list[Event]:
        """The events emitted so far, in order."""
        entries = self._session.sync_session.journal.entries
        return [entry.event for entry in entries if isinstance(entry, Report) and entry.event]

    def now(self) -> dt.datetime:
        """The time at which this began, in UTC."""
        return self._now

    def today(self) -> dt.date:
        """The date at which this began, in UTC."""
        return self._now.date()

    def require(self, permission: Permission) -> None:
        """Raise :class:`Forbidden` unless the caller has ``permission``."""
        if not self.caller.may(permission.name):
            raise Forbidden(permission.name)

    @contextmanager
    def within(self, needs: Permission | None) -> Iterator[None]:
        """Run plugin code that needs a permission: it finds rows in the scopes of that alone."""
        if needs is None or self._policies is None:
            yield
            return
        with self._policies.narrowed(self.caller.rights.scopes(needs.name)):
            yield

    async def rights_of(self, user_id: UUID) -> Rights:
        """What a user may do now, by all of their roles."""
        access = await self._platform.access_of(self._access.installation, user_id)
        return access.caller.rights

    def events(self) -> Mapping[str, EventInfo]:
        """All events that can happen in this tenant, by name."""
        return events_of(self._access.installation.edition)

    def emit(self, event: Event) -> None:
        """Record an event; it is delivered after commit, or never if the transaction fails."""
        if type(event) not in self._declared():
            raise PluginError(
                "", f"the event {type(event).__name__} is declared by no enabled plugin: "
                "name it in events=[…] of the manifest.",
            )  # fmt: skip
        self.db.sync_session.journal.entries.append(report_of(event))

    async def add(self, row: M) -> M:
        """Insert ``row`` into the caller's tenant; its id is set on return."""
        self.db.add(row)
        await self._session.flush()
        return row

    async def get(self, model: type[M], id: UUID, *, path: str = "id") -> M:
        """Fetch one row, or raise :class:`NotFound` for the argument ``path``."""
        row = (await self.db.scalars(sa.select(model).where(model.id == id))).one_or_none()
        if row is None:
            raise NotFound(path)
        return row

    async def update_where(
        self, model: type[Model], condition: sa.ColumnElement[bool], **values: Any
    ) -> int:
        """Change all rows that meet ``condition``; returns how many. Counts versions, audits."""
        installation = self._access.installation
        return await bulk.update_where(self.db, installation, self.origin, model, condition, values)

    async def delete_where(self, model: type[Model], condition: sa.ColumnElement[bool]) -> int:
        """Delete all rows that meet ``condition``; returns how many, and the audit once."""
        return await bulk.delete_where(self.db, model, condition)

    async def save_many(
        self, model: type[Model] | type[Extension], rows: Sequence[Mapping[str, Any]]
    ) -> int:
        """Insert or update by ``id`` in one statement per chunk, with one audit record each."""
        return await bulk.save_many(self.db, self.origin, model, rows)

    async def save_from(
        self, model: type[Model] | type[Extension], rows: sa.Select[*tuple[Any, ...]]
    ) -> int:
        """Insert or update by ``id`` what a SELECT finds, with one audit record."""
        return await bulk.save_from(self.db, model, rows)

    def tell_once(self, secret: str) -> None:
        """Say that only this answer tells ``secret``; a stored reply has null in its place."""
        self.told_once.append(secret)

    def job(self, title: str, *, total: int | None = None) -> AbstractAsyncContextManager[Job]:
        """Report the progress of long work; done when the transaction is committed."""
        return self._jobs.job(title, total)

    def ask(self, hook: Callable[..., R] | str, /, **arguments: Any) -> R:
        """Ask all enabled plugins the question ``hook`` and combine their answers."""
        installation = self._access.installation
        answer: R = hooks.ask(
            installation.edition, installation.plugins, hook, arguments,
            breakers=self.breakers,
        )  # fmt: skip
        return answer

    async def raw(self) -> Any:
        """asyncpg's connection, inside this transaction and after a flush, for the core's plans."""
        await self.db.flush()
        connection = await self._session.core_connection()
        return connection.connection.driver_connection

    async def note(self, action: str, row_id: str | None, changes: Mapping[str, Any]) -> None:
        """Write an audit entry about what no model stands for."""
        row = self.origin.row(action, None, row_id, dict(changes))
        await self._session.execute_core(sa.insert(audit_table).values(row))
        self._session.sync_session.journal.entries.append(Noted())

    def asked(self) -> None:
        """Say that a client's mutation runs: the audit tells of it if it did more than ask."""
        self._session.sync_session.journal.asked = True

    @asynccontextmanager
    async def contained(self) -> AsyncIterator[None]:
        """What fails in the block undoes the block alone, so that others can go on.

        If that cannot be, for instance because a statement was cut off, :attr:`lost` is set.
        """
        if self._read_only:
            try:
                yield
            except BaseException:
                self._session.expunge_all()  # rows that others answered stay readable
                await self._session.rollback()  # the next statement begins anew
                raise
            return
        connection = await self._session.core_connection()
        try:
            async with self._session.begin_nested():
                yield
        finally:
            self.lost = connection.invalidated

    async def finish(self) -> None:
        """Write audit and outbox, then commit; called once, when all has gone well."""
        await self._session.flush()
        await record(self._session, self.origin, self._access.installation)
        await self._session.finish()

    def ambient(self) -> Ambient:
        """What policies may refer to."""
        return Ambient(
            tenant_id=sa.bindparam(None, self.tenant.id, type_=sa.Uuid, unique=True),
            today=sa.bindparam(None, self.today(), type_=sa.Date, unique=True),
            currency=sa.bindparam(None, self.tenant.currency, type_=sa.Text, unique=True),
            user_id=sa.bindparam(None, self.caller.user_id, type_=sa.Uuid, unique=True),
            permissions=sa.bindparam(
                None, sorted(self.caller.permissions), type_=sa.ARRAY(sa.Text), unique=True
            ),
            bind_setting=lambda settings, name, type_: sa.bindparam(
                None, self._access.installation.setting(settings, name), type_=type_, unique=True
            ),
        )

    def _declared(self) -> frozenset[type[Event]]:
        edition = self._access.installation.edition
        declared: frozenset[type[Event]] | None = edition.attachments.get(_DECLARED)
        if declared is None:
            declared = frozenset(e for p in edition.plugins for e in p.manifest.events)
            edition.attachments[_DECLARED] = declared
        return declared
