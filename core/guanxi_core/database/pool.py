"""A pool of connections that remember the tenant they are set to.

asyncpg's own pool wraps, shields and resets each connection whenever it comes back; that costs more
than a small query. This one sends nothing at all while a connection is asked for the tenant it
served last. What makes that safe:

* the setting is changed only here, outside transactions, and forgotten before it is changed, so
  that an error or a cancellation in between leaves a connection that is set anew;
* a connection that comes back while an exception is in flight forgets its tenant, one with a
  cancelled query is not lent again before the server has acknowledged, and one that is left in a
  transaction is closed;
* nothing else may be left on a connection: no session-wide settings, locks, listeners or temporary
  tables that outlive their transaction.

Where the database shares the processors with this process, statements that read lists have turns:
more than a few at once crowd out each other's caches, and take longer than if they had waited. Who
has waited for a moment gets a connection all the same, so that long ones hold up nobody. What reads
one record is done before waiting would pay.
"""

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

import asyncpg

from guanxi_core.database.address import place_of
from guanxi_core.database.connections import NO_SETTINGS, TenantConnection, connect
from guanxi_core.database.outages import DatabaseUnavailable, outage_in, unavailable
from guanxi_core.database.waiting import Waiting
from guanxi_core.telemetry import metrics

log = logging.getLogger(__name__)

_SWITCH: Final = "SELECT set_config('guanxi.tenant', $1, false)"
_UNKNOWN: Final = object()
_EACH_PROCESSOR: Final = 3  # lent connections for each, from which on there are turns


class PoolState(NamedTuple):
    """How many connections there may be, there are, and are lent."""

    limit: int
    open: int
    used: int


class TenantPool:
    """At most ``size`` connections; who asks first is served first.

    ::

        async with pool.connection(tenant.id) as connection:
            await connection.fetchval("SELECT …")

    The hot path spares the context manager::

        connection = pool.ready(tenant.id) or await pool.take(tenant.id)
        try:
            …
        finally:
            pool.give(connection)
    """

    def __init__(
        self,
        url: str,
        *,
        size: int = 16,
        patience: float = 30,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> None:
        if size < 1:
            raise ValueError("a pool needs at least one connection")
        self.url: Final = url
        self.size: Final = size
        self._at_once = size  # lent connections from which on there are turns
        self._settings = settings
        self._idle: list[TenantConnection] = []  # the last one back is lent first
        self._count = 0  # open or being opened
        self._waiting = Waiting(patience)
        self._timer: asyncio.TimerHandle | None = None  # while anybody waits
        self._all: set[TenantConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._drained = asyncio.Event()

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        size: int = 16,
        patience: float = 30,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> Self:
        """Make a pool and its first connection, so that a wrong address shows at once.

        ``patience`` is how many seconds a caller waits for a connection when all are busy;
        ``settings`` are PostgreSQL's, for every connection.
        """
        pool = cls(url, size=size, patience=patience, settings=settings)
        connection = await pool.take(None)
        if connection.is_local:
            pool._at_once = min(size, _EACH_PROCESSOR * (os.cpu_count() or 1))
        pool.give(connection)
        return pool

    @asynccontextmanager
    async def connection(self, tenant_id: UUID | None) -> AsyncIterator[Any]:
        """Lend a connection; one that is lost meanwhile raises :class:`DatabaseUnavailable`."""
        connection = await self.take(tenant_id)
        try:
            yield connection
        except Exception as error:
            self.raise_if_lost(connection, error)
            raise
        finally:
            self.give(connection)

    async def call(self, query: str, *arguments: Any) -> list[Any]:
        """Fetch the rows of a system function, whatever tenant the next free connection is set to.

        The core's functions set the tenant themselves, so this costs one round trip always.
        """
        connection = await self._obtain(_UNKNOWN)
        try:
            rows: list[Any] = await connection.fetch(query, *arguments)
        except Exception as error:
            self.raise_if_lost(connection, error)
            raise
        else:
            return rows
        finally:
            self.give(connection)

    def ready(self, tenant_id: UUID, *, in_turn: bool = False) -> Any:
        """Lend the connection that came back last, if it is set to ``tenant_id``; else None.

        Also None where a statement that is to be sent ``in_turn`` has to wait for it.
        """
        idle = self._idle
        if in_turn and self._count - len(idle) >= self._at_once:
            return None
        if idle and idle[-1].tenant == tenant_id and not idle[-1].is_closed():
            connection = idle.pop()
            connection.lent = True
            return connection
        return None

    async def take(self, tenant_id: UUID | None, *, in_turn: bool = False) -> Any:
        """Lend a connection set to ``tenant_id``, or to no tenant for None."""
        while True:
            connection = await self._obtain(tenant_id, in_turn=in_turn)
            if connection.tenant == tenant_id:
                return connection
            connection.tenant = _UNKNOWN
            try:
                await connection.fetchval(_SWITCH, "" if tenant_id is None else str(tenant_id))
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                closed = connection.is_closed()
                self.give(connection)
                if not closed:
                    raise unavailable(self.url, error) from error
            except BaseException:
                self.give(connection)
                raise
            else:
                connection.tenant = tenant_id
                return connection

    @property
    def state(self) -> PoolState:
        """How busy it is."""
        return PoolState(self.size, self._count, self._count - len(self._idle))

    @property
    def waiting(self) -> int:
        """How many callers wait for a connection."""
        return len(self._waiting)

    def give(self, connection: Any) -> None:
        """Take a connection back. Call it in a ``finally`` clause, once."""
        if not connection.lent:
            raise RuntimeError("a connection was given back twice")
        if connection.is_closed():
            self._discard(connection)
        elif connection._protocol._is_cancelling():
            connection.tenant = _UNKNOWN
            self._later(self._recover(connection))
        elif connection.is_in_transaction():
            log.error("a connection came back inside a transaction; it is closed")
            self._discard(connection)
        else:
            if sys.exc_info()[0] is not None:
                connection.tenant = _UNKNOWN
            self._put_back(connection)

    def raise_if_lost(self, connection: Any, error: Exception) -> None:
        """Raise :class:`DatabaseUnavailable` if ``error`` broke it, or the server cannot go on."""
        if isinstance(error, asyncpg.InternalClientError):  # lost in the middle of an exchange
            connection.terminate()
            raise unavailable(self.url, error) from error
        broken = isinstance(error, OSError | asyncpg.PostgresError | asyncpg.InterfaceError)
        if broken and (connection.is_closed() or outage_in(error)):
            raise unavailable(self.url, error) from error

    async def close(self, *, timeout: float = 10) -> None:  # noqa: ASYNC109
        """Lend nothing more, wait for what is lent, then close; after ``timeout`` break it off."""
        self._closed = True
        self._waiting.dismiss("the connection pool is closed.")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._idle:
            self._later(self._farewell(self._idle.pop()))
        try:
            async with asyncio.timeout(timeout):
                while self._count:
                    self._drained.clear()
                    await self._drained.wait()
        except TimeoutError:
            log.warning("%d connections were still in use when the pool closed", len(self._all))
            for connection in self._all:
                connection.terminate()

    def _pick(self, tenant_id: object) -> TenantConnection | None:
        """An idle connection, one that is set to the tenant already if there is any."""
        idle = self._idle
        while idle:
            for position in range(len(idle) - 1, -1, -1):
                if idle[position].tenant == tenant_id:
                    break
            else:
                position = len(idle) - 1
            connection = idle.pop(position)
            connection.lent = True
            if not connection.is_closed():
                return connection
            self._all.discard(connection)  # it was not lent: nobody's turn comes by losing it
            self._count -= 1
        return None

    async def _obtain(self, tenant_id: object, *, in_turn: bool = False) -> TenantConnection:
        """One that is idle or new, as soon as there may be another lent."""
        if self._closed:
            raise DatabaseUnavailable("the connection pool is closed.")
        if self._count - len(self._idle) < (self._at_once if in_turn else self.size):
            if (picked := self._pick(tenant_id)) is not None:
                return picked
            self._count += 1
            return await self._connect()
        waiter = self._waiting.join(tenant_id, in_turn=in_turn)
        if self._timer is None:
            self._look_after(self._waiting.moment)
        outcome = "given_up"
        try:
            connection: TenantConnection | None = await waiter.lent
            outcome = "served"
        except asyncio.CancelledError:
            if waiter.lent.done() and not waiter.lent.cancelled() and not waiter.lent.exception():
                self._pass_on(waiter.lent.result())  # served and cancelled in the same moment
            raise
        finally:
            metrics.POOL_WAITS.observe(time.perf_counter() - waiter.since, outcome)
        return connection if connection is not None else await self._connect()

    def _serve(self) -> None:
        """Lend to those who need not wait any more."""
        while (lent := self._count - len(self._idle)) < self.size:
            waiter = self._waiting.next(crowded=lent >= self._at_once)
            if waiter is None:
                return
            picked = self._pick(waiter.tenant)
            self._count += picked is None
            waiter.lent.set_result(picked)

    def _look_after(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._tend)

    def _tend(self) -> None:
        """Serve who has waited for a moment, and turn away whose patience has ended."""
        self._timer = None
        self._serve()
        place = place_of(self.url)
        busy = f"all {self.size} connections to the database {place} are busy: try again later."
        rest = self._waiting.turn_away(busy)
        if self._waiting:
            self._look_after(rest)

    async def _connect(self) -> TenantConnection:
        """Fill a place that was counted already."""
        try:
            connection: TenantConnection = await connect(
                self.url, self._settings, connection_class=TenantConnection
            )
        except BaseException:
            self._vacate()
            raise
        self._all.add(connection)
        return connection

    def _pass_on(self, connection: TenantConnection | None) -> None:
        if connection is None:
            self._vacate()
        else:
            self.give(connection)

    def _put_back(self, connection: TenantConnection) -> None:
        """Keep the connection for who asks next, or waits."""
        if self._closed:
            self._later(self._farewell(connection))
            return
        connection.lent = False
        self._idle.append(connection)
        if self._timer is not None:
            self._serve()

    def _discard(self, connection: TenantConnection) -> None:
        connection.lent = False
        self._all.discard(connection)
        connection.terminate()
        self._vacate()

    def _vacate(self) -> None:
        """Give a place up; who waits for one may open a connection there."""
        self._count -= 1
        if self._timer is not None:
            self._serve()
        if not self._count:
            self._drained.set()

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _recover(self, connection: Any) -> None:
        """Wait until the server has acknowledged that a query was cancelled."""
        try:
            await connection._protocol._wait_for_cancellation(10)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()
        if connection.is_closed() or connection.is_in_transaction():
            self._discard(connection)
        else:
            self._put_back(connection)

    async def _farewell(self, connection: TenantConnection) -> None:
        try:
            await connection.close(timeout=5)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()
        self._discard(connection)
