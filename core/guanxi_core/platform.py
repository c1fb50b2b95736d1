"""The platform: one per process, serving all tenants with the plugins that are installed."""

import asyncio
import datetime as dt
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from guanxi_core import api_tokens, identity, plugin_states, tenancy
from guanxi_core.access import Access, Installation, StaleAccess, expand
from guanxi_core.breakers import Breakers, Change
from guanxi_core.composing import Editions
from guanxi_core.context import TransactionContext
from guanxi_core.custom.definitions import Definition
from guanxi_core.database.outages import DatabaseUnavailable, outage_in, unavailable
from guanxi_core.database.pool import PoolState, TenantPool
from guanxi_core.database.scoping import open_engine
from guanxi_core.delivery.bell import Bell
from guanxi_core.discovery import Registry, discover
from guanxi_core.editions import Edition
from guanxi_core.grants import EVERYTHING
from guanxi_core.installing import Enabled, instantiate
from guanxi_core.issuers import Issuer
from guanxi_core.jobs import Jobs
from guanxi_core.limits import Ceiling, Requests, requests_of
from guanxi_core.plugin import NAME as CORE
from guanxi_core.plugin import Guanxi
from guanxi_core.session import TenantSession
from guanxi_core.stamps import on_begin
from guanxi_core.telemetry import traces
from guanxi_core.turns import Turns
from guanxi_sdk import (
    Caller,
    Egress,
    Event,
    Forbidden,
    GraphQL,
    GuanxiError,
    Tenant,
    Unauthenticated,
)

if TYPE_CHECKING:
    from guanxi_core.config import Config
    from guanxi_core.egress import EgressClient
    from guanxi_core.oidc import Verifier
    from guanxi_core.services import GraphQLService

__all__ = ["Access", "Installation", "Platform", "StaleAccess"]

log = logging.getLogger(__name__)

_MOST_ACCESSES: Final = 10_000
_MOST_INSTALLATIONS: Final = 4_096
#: Seconds that a plugin's asynchronous code may take, unless the configuration says otherwise.
DEADLINE: Final = 10.0
#: Told after each commit: the tenant and the events that plugin code emitted.
Listener = Callable[[Tenant, Sequence[Event]], None]
_Key = tuple[Tenant, bytes, Requests, tuple[Definition, ...]]


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
        ceiling: Ceiling | None = None,
    ) -> None:
        self.pool = pool
        self.registry = registry
        self.sessions = async_sessionmaker(engine, class_=TenantSession)
        self._snapshots = async_sessionmaker(
            engine.execution_options(isolation_level="REPEATABLE READ"), class_=TenantSession
        )
        #: Seconds that a plugin's asynchronous code may take for one field or mutation.
        self.deadline = deadline
        #: The most that tenants may set as their limits, where it is not what everybody may.
        self.ceiling: Ceiling = ceiling or {}
        #: What keeps a failing plugin from being called, by tenant.
        self.breakers = Breakers(self._keep)
        #: Composed so far; platforms of one process may share them.
        self.editions = Editions()
        #: Called after every commit of a context; what they raise is logged.
        self.listeners: list[Listener] = []
        #: Whose turn it is to answer a request with an idempotency key.
        self.turns = Turns()
        #: Rung after every commit, so that workers deliver its events.
        self.bell = Bell(pool)
        self._egress_allow = egress_allow
        self._egress: EgressClient | None = None
        self._graphql: GraphQLService | None = None
        self._verifier: Verifier | None = None
        if issuers:
            from guanxi_core import oidc  # its libraries take a moment to load

            self._verifier = oidc.Verifier(issuers)
        self._engine = engine
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._accesses: OrderedDict[bytes, Access] = OrderedDict()
        self._installations: OrderedDict[_Key, Installation] = OrderedDict()

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
        ceiling: Ceiling | None = None,
    ) -> Self:
        """Connect with the app role's address; ``registry`` defaults to what is installed.

        In seconds, ``deadline`` bounds a plugin's asynchronous code and ``statement_timeout`` each
        statement of the database. Tokens of ``issuers`` are believed besides guanxi's own.
        ``egress_allow`` are networks inside that plugins may reach, ``ceiling`` bounds limits.
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
        return cls(pool, engine, registry, clock, deadline, issuers, egress_allow, ceiling)

    @classmethod
    async def serving(
        cls, config: "Config", database_url: str, *, registry: Registry, pool_size: int = 16
    ) -> Self:
        """Connect as the configuration says, for a process that serves or works."""
        return await cls.open(
            database_url, registry=registry, pool_size=pool_size,
            deadline=config.plugin_deadline or None, statement_timeout=config.statement_timeout,
            issuers=config.issuers, egress_allow=config.egress_allow, ceiling=config.limits,
        )  # fmt: skip

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

    def connections(self) -> Mapping[str, PoolState]:
        """How busy the connections are: those of compiled statements and of plugins' sessions."""
        sessions: Any = self._engine.pool
        open_ = sessions.checkedin() + sessions.checkedout()
        plugins = PoolState(sessions.size(), open_, sessions.checkedout())
        return {"compiled": self.pool.state, "plugins": plugins}

    def now(self) -> dt.datetime:
        """The current time in UTC, by the clock given to :meth:`open`."""
        return self._clock() if self._clock else dt.datetime.now(dt.UTC)

    def egress(self, tenant: Tenant) -> Egress:
        """What a tenant's plugins reach the outside with, and nothing inside."""
        if self._egress is None:
            from guanxi_core.egress import EgressClient  # its library takes a moment to load

            self._egress = EgressClient(self._egress_allow)
        return self._egress.of(tenant.id)

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
        requests = requests_of(known.requests, self.ceiling)
        installation = await self._install(known.tenant, known.plugins, requests, known.fields)
        rights = expand(known.grants, installation.edition)
        caller = Caller(known.user_id, known.name, rights, known.token_id)
        access = Access(caller, installation, known.epoch, known.grants, until, known.operations)
        self._accesses[_digest(token)] = access
        if len(self._accesses) > _MOST_ACCESSES:
            self._accesses.popitem(last=False)
        return access

    async def _identify(self, token: str) -> tuple[api_tokens.Identity, float | None]:
        if self._verifier is not None and not token.startswith(api_tokens.PREFIX):
            from guanxi_core import sessions

            return await sessions.authenticate(self.pool, self._verifier, token)
        known = await api_tokens.authenticate(self.pool, token)
        if known is None:
            raise Unauthenticated
        return known, None

    def forget(self, token: str) -> None:
        """Authenticate ``token`` anew at its next use, because a statement found it stale."""
        self._accesses.pop(_digest(token), None)

    async def installation(self, tenant: Tenant) -> Installation:
        """The tenant's edition and plugins, as they are enabled now."""
        enabled, stored, fields = await tenancy.settled(self.pool, tenant)
        return await self._install(tenant, enabled, requests_of(stored, self.ceiling), fields)

    async def system_access(self, tenant: Tenant, name: str = "system") -> Access:
        """All permissions, without a token: for the command line and for handlers."""
        return self.system_access_to(await self.installation(tenant), name)

    def system_access_to(self, installation: Installation, name: str = "system") -> Access:
        """:meth:`system_access` where the tenant's installation is at hand."""
        caller = Caller(None, name, expand(EVERYTHING, installation.edition))
        return Access(caller, installation, 0, EVERYTHING)

    async def access_as(
        self, tenant: Tenant, *, user: str | None = None, role: str | None = None
    ) -> Access:
        """What a user, or whoever holds a role, may do, without a token: for the command line."""
        installation = await self.installation(tenant)
        user_id, grants = await identity.holder(self.pool, tenant, user=user, role=role)
        name = f"user {user}" if user is not None else f"role {role}"
        caller = Caller(user_id, name, expand(grants, installation.edition))
        return Access(caller, installation, 0, grants)

    def graphql(self, installation: Installation) -> GraphQL:
        """What plugin code asks the tenant's GraphQL with."""
        if self._graphql is None:
            from guanxi_core.services import graphql_service

            self._graphql = graphql_service(self)
        return self._graphql.of(installation)

    async def access_of(self, installation: Installation, user_id: UUID) -> Access:
        """What a user may do now, as with a token of theirs that is not limited to a role.

        Raises :class:`Forbidden` for one who is archived or unknown. Nothing is kept: whoever asks
        later asks anew.
        """
        known = await identity.grants_of(self.pool, installation.tenant, user_id)
        if known is None:
            raise Forbidden("", "This user is archived, or there is none of this id.")
        name, grants = known
        caller = Caller(user_id, name, expand(grants, installation.edition))
        return Access(caller, installation, 0, grants)

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
        snapshot: bool = False,
    ) -> AsyncIterator[TransactionContext]:
        """One transaction: committed when the block ends, undone when it raises.

        A ``read_only`` one refuses to write, and is undone in any case. With ``snapshot`` all its
        statements find the rows as they were at the first.

        ``action`` is what the audit calls all changes, for instance ``notes.add_note``; without one
        each is called by its model and verb. Raises :class:`StaleAccess` where the token's rights
        changed since ``access`` was made; then nothing was done.
        """
        tenant = access.installation.tenant
        make = self._snapshots if snapshot else self.sessions
        session = make(tenant_id=tenant.id, on_begin=on_begin(access, read_only))
        jobs = Jobs(self.pool, access, action or "administration")
        context = TransactionContext(
            access, session, jobs, now=self.now(), locale=locale, action=action, reason=reason,
            origin=origin, breakers=self.breakers.of(tenant), deadline=self.deadline,
            read_only=read_only, platform=self,
        )  # fmt: skip
        events: list[Event] = []
        span = traces.OFF if read_only else traces.span("transaction", guanxi__action=action)
        async with span, jobs, session:
            try:
                yield context
                if not read_only:
                    events = context.emitted
                    await context.finish()
            except GuanxiError:
                raise
            except PoolTimeout:
                raise DatabaseUnavailable(
                    "all connections to the database are busy: try again later."
                ) from None
            except Exception as error:
                if outage := outage_in(error):
                    raise unavailable(self.pool.url, outage) from error
                raise
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

    async def leave_out(self, edition: Edition, error: Exception) -> bool:
        """Serve tenants of ``edition`` without the plugin that ``error`` is due to, if any is.

        Whoever still has an access to it authenticates anew.
        """
        if not await self.editions.leave_out(edition, error):
            return False
        self._forget(lambda installation: installation.edition is edition)
        return True

    def _forget(self, stale: Callable[[Installation], bool]) -> None:
        """Let go of stale installations: whoever has an access to one authenticates anew."""
        for key, installation in list(self._installations.items()):
            if stale(installation):
                del self._installations[key]
        for digest, access in list(self._accesses.items()):
            if stale(access.installation):
                del self._accesses[digest]

    async def _install(
        self, tenant: Tenant, enabled: Enabled, requests: Requests, fields: tuple[Definition, ...]
    ) -> Installation:
        key = (tenant, msgspec.json.encode(enabled, order="deterministic"), requests, fields)
        installation = self._installations.get(key)
        if installation is not None:
            self._installations.move_to_end(key)
            return installation
        instances, left_out = instantiate(self.registry, enabled)
        composed = await self.editions.of((type(plugin) for plugin in instances.values()), fields)
        left_out |= composed.left_out
        for name, reason in left_out.items():
            log.error("tenant '%s' goes without plugin '%s': %s", tenant.name, name, reason)
        for reason in composed.hidden.values():
            log.error("tenant '%s' goes without a field: %s", tenant.name, reason)
        installation = Installation(
            tenant,
            composed.edition,
            {CORE: Guanxi(), **{name: instances[name] for name in composed.edition.names}},
            left_out,
            requests,
        )
        self.breakers.of(tenant).adopt(
            change
            for change in await plugin_states.opened(self.pool, tenant)
            if change.plugin in installation.plugins
        )
        held = self.editions.held
        self._forget(lambda one: one.tenant.id == tenant.id or id(one.edition) not in held)
        self._installations[key] = installation
        if len(self._installations) > _MOST_INSTALLATIONS:
            self._installations.popitem(last=False)
        return installation


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
