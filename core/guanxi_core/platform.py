"""The platform: one per process, serving all tenants with the plugins that are installed."""

import asyncio
import datetime as dt
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self

import asyncpg
import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from guanxi_core import identity, plugin_states, tenancy
from guanxi_core.access import Access, Installation, StaleAccess, expand
from guanxi_core.breakers import Breakers, Change
from guanxi_core.composing import Editions
from guanxi_core.context import TransactionContext
from guanxi_core.database.pool import DatabaseUnavailable, TenantPool, unavailable
from guanxi_core.database.scoping import first_row, open_engine
from guanxi_core.delivery.bell import Bell
from guanxi_core.discovery import Registry, discover
from guanxi_core.grants import EVERYTHING
from guanxi_core.installing import Enabled, instantiate
from guanxi_core.issuers import Issuer
from guanxi_core.jobs import Jobs
from guanxi_core.plugin import NAME as CORE
from guanxi_core.plugin import Guanxi
from guanxi_core.session import TenantSession
from guanxi_sdk import Caller, Egress, Event, Tenant, Unauthenticated

if TYPE_CHECKING:
    from guanxi_core.egress import EgressClient
    from guanxi_core.oidc import Verifier

__all__ = ["Access", "Installation", "Platform", "StaleAccess"]

log = logging.getLogger(__name__)

_MOST_ACCESSES: Final = 10_000
_MOST_INSTALLATIONS: Final = 4_096
#: Seconds that a plugin's asynchronous code may take, unless the configuration says otherwise.
DEADLINE: Final = 10.0
_STAMP: Final = (
    "SELECT epoch FROM guanxi_stamp "
    "WHERE tenant_id = $1 AND token_id = $2 AND epoch = $3 AND expires_at > now()"
)

#: Told after each commit: the tenant and the events that plugin code emitted.
Listener = Callable[[Tenant, Sequence[Event]], None]


class Platform:
    """What one process needs to serve: connections, installed plugins, editions, accesses.

    ::

        platform = await Platform.open(database.app_url)
        access = await platform.authenticate(token)
        async with platform.context(access) as ctx:
            await ctx.add(Customer(name="Ada"))
    """

    def __init__(
        self,
        pool: TenantPool,
        engine: AsyncEngine,
        registry: Registry,
        clock: Callable[[], dt.datetime] | None = None,
        deadline: float | None = DEADLINE,
        issuers: Sequence[Issuer] = (),
        egress_allow: Sequence[str] = (),
    ) -> None:
        self.pool = pool
        self.registry = registry
        self.sessions = async_sessionmaker(engine, class_=TenantSession)
        #: Seconds that a plugin's asynchronous code may take for one field or mutation.
        self.deadline = deadline
        #: What keeps a failing plugin from being called, by tenant.
        self.breakers = Breakers(self._keep)
        #: Called after every commit of a context; what they raise is logged.
        self.listeners: list[Listener] = []
        #: Rung after every commit, so that workers deliver its events.
        self.bell = Bell(pool)
        self._egress_allow = egress_allow
        self._egress: EgressClient | None = None
        self._verifier = _verifier(issuers) if issuers else None
        self._engine = engine
        self._clock = clock
        self._editions = Editions()
        self._tasks: set[asyncio.Task[None]] = set()
        self._accesses: OrderedDict[bytes, Access] = OrderedDict()
        self._installations: OrderedDict[tuple[Tenant, bytes], Installation] = OrderedDict()

    @classmethod
    async def open(
        cls,
        database_url: str,
        *,
        registry: Registry | None = None,
        pool_size: int = 16,
        clock: Callable[[], dt.datetime] | None = None,
        deadline: float | None = DEADLINE,
        statement_timeout: float | None = None,
        issuers: Sequence[Issuer] = (),
        egress_allow: Sequence[str] = (),
    ) -> Self:
        """Connect with the app role's address; ``registry`` defaults to what is installed.

        In seconds, ``deadline`` bounds a plugin's asynchronous code and ``statement_timeout`` each
        statement of the database. Tokens of ``issuers`` are believed besides guanxi's own.
        ``egress_allow`` are networks inside that plugins may reach.
        """
        if registry is None:
            registry = discover()
        for name, reason in registry.broken.items():
            log.warning("plugin '%s' is broken: %s", name, reason)
        settings = {}
        if statement_timeout:
            settings["statement_timeout"] = str(round(statement_timeout * 1000))
        pool = await TenantPool.open(database_url, size=pool_size, settings=settings)
        engine = open_engine(database_url, size=pool_size, settings=settings)
        return cls(pool, engine, registry, clock, deadline, issuers, egress_allow)

    async def close(self) -> None:
        """Give all connections back to the server."""
        await self.bell.close()
        await asyncio.gather(*self._tasks)
        if self._egress is not None:
            await self._egress.close()
        await self._engine.dispose()
        await self.pool.close()

    async def __aenter__(self) -> Self:
        """Use it with ``async with``, and it closes itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    def now(self) -> dt.datetime:
        """The current time in UTC, by the clock given to :meth:`open`."""
        return self._clock() if self._clock else dt.datetime.now(dt.UTC)

    @property
    def egress(self) -> Egress:
        """What plugins reach the outside with, and nothing inside."""
        if self._egress is None:
            from guanxi_core.egress import EgressClient  # its library takes a moment to load

            self._egress = EgressClient(self._egress_allow)
        return self._egress

    def cached(self, token: str) -> Access | None:
        """What ``token`` gave at its last use, without asking the database whether it still does.

        The statements that use it carry its epoch, so that a stale one does nothing.
        """
        digest = _digest(token)
        access = self._accesses.get(digest)
        if access is not None:
            if access.until is not None and access.until <= time.monotonic():
                del self._accesses[digest]
                return None
            self._accesses.move_to_end(digest)
        return access

    async def authenticate(self, token: str) -> Access:
        """What ``token`` allows, or :class:`Unauthenticated`."""
        if access := self.cached(token):
            return access
        known, until = await self._identify(token)
        installation = await self._install(known.tenant, known.plugins)
        rights = expand(known.grants, installation.edition)
        caller = Caller(known.user_id, known.name, rights, known.token_id)
        access = Access(caller, installation, known.epoch, known.grants, until)
        self._accesses[_digest(token)] = access
        if len(self._accesses) > _MOST_ACCESSES:
            self._accesses.popitem(last=False)
        return access

    async def _identify(self, token: str) -> tuple[identity.Identity, float | None]:
        if self._verifier is not None and not token.startswith(identity.PREFIX):
            from guanxi_core import sessions

            return await sessions.authenticate(self.pool, self._verifier, token)
        known = await identity.authenticate(self.pool, token)
        if known is None:
            raise Unauthenticated
        return known, None

    def forget(self, token: str) -> None:
        """Authenticate ``token`` anew at its next use, because a statement found it stale."""
        self._accesses.pop(_digest(token), None)

    async def installation(self, tenant: Tenant) -> Installation:
        """The tenant's edition and plugins, as they are enabled now."""
        return await self._install(tenant, await tenancy.enabled_plugins(self.pool, tenant))

    async def system_access(self, tenant: Tenant, name: str = "system") -> Access:
        """All permissions, without a token: for the command line and for handlers."""
        return self.system_access_to(await self.installation(tenant), name)

    def system_access_to(self, installation: Installation, name: str = "system") -> Access:
        """:meth:`system_access` where the tenant's installation is at hand."""
        caller = Caller(None, name, expand(EVERYTHING, installation.edition))
        return Access(caller, installation, 0, EVERYTHING)

    @asynccontextmanager
    async def context(
        self,
        access: Access,
        *,
        locale: str = "en",
        action: str | None = None,
        reason: str | None = None,
        origin: str | None = None,
        read_only: bool = False,
    ) -> AsyncIterator[TransactionContext]:
        """One transaction: committed when the block ends, undone when it raises.

        A ``read_only`` one refuses to write, and is undone in any case.

        ``action`` is what the audit calls all changes, for instance ``notes.add_note``; without one
        each is called by its model and verb. Raises :class:`StaleAccess` where the token's rights
        changed since ``access`` was made; then nothing was done.
        """
        tenant = access.installation.tenant
        session = self.sessions(tenant_id=tenant.id, on_begin=_on_begin(access, read_only))
        jobs = Jobs(self.pool, access, action)
        context = TransactionContext(
            access, session, jobs, now=self.now(), locale=locale, action=action, reason=reason,
            origin=origin, breakers=self.breakers.of(tenant), deadline=self.deadline,
            read_only=read_only, egress=lambda: self.egress,
        )  # fmt: skip
        events: list[Event] = []
        async with jobs, session:
            try:
                yield context
                if not read_only:
                    events = context.emitted
                    await context.finish()
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise unavailable(self.pool.url, error.orig or error) from error
                raise
            except PoolTimeout:
                raise DatabaseUnavailable(
                    "all connections to the database are busy: try again later."
                ) from None
        if read_only:
            return
        self.bell.ring(access.installation)
        for listener in self.listeners:
            try:
                listener(tenant, events)
            except Exception:
                log.exception("a listener failed after the commit")

    def _keep(self, change: Change) -> None:
        """Write a breaker's state down, beside whatever is being done."""
        task = asyncio.get_running_loop().create_task(self._kept(change))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _kept(self, change: Change) -> None:
        try:
            await plugin_states.keep(self.pool, change)
        except (DatabaseUnavailable, asyncpg.PostgresError):
            log.exception("the state of plugin '%s' was not kept", change.plugin)

    async def _install(self, tenant: Tenant, enabled: Enabled) -> Installation:
        key = (tenant, msgspec.json.encode(enabled, order="deterministic"))
        installation = self._installations.get(key)
        if installation is not None:
            self._installations.move_to_end(key)
            return installation
        instances, left_out = instantiate(self.registry, enabled)
        composed = await self._editions.of(type(plugin) for plugin in instances.values())
        left_out |= composed.left_out
        for name, reason in left_out.items():
            log.error("tenant '%s' goes without plugin '%s': %s", tenant.name, name, reason)
        installation = Installation(
            tenant,
            composed.edition,
            {CORE: Guanxi(), **{name: instances[name] for name in composed.edition.names}},
            left_out,
        )
        self._installations[key] = installation
        if len(self._installations) > _MOST_INSTALLATIONS:
            self._installations.popitem(last=False)
        return installation


def _verifier(issuers: Sequence[Issuer]) -> "Verifier":
    from guanxi_core.oidc import Verifier  # its libraries take a moment to load

    return Verifier(issuers)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _on_begin(access: Access, read_only: bool) -> Callable[[sa.Connection], None] | None:
    """What every transaction of a context begins with."""
    check = _stamp_check(access)
    if not read_only:
        return check

    def begin(connection: sa.Connection) -> None:
        first_row(connection, "SELECT set_config('transaction_read_only', 'on', true)")
        if check is not None:
            check(connection)

    return begin


def _stamp_check(access: Access) -> Callable[[sa.Connection], None] | None:
    """What makes a transaction with outdated rights fail at its first statement."""
    token_id = access.caller.token_id
    if token_id is None:
        return None
    values = (access.installation.tenant.id, token_id, access.epoch)

    def check(connection: sa.Connection) -> None:
        if first_row(connection, _STAMP, *values) is None:
            raise StaleAccess("the caller's rights have changed: authenticate again and repeat.")

    return check
