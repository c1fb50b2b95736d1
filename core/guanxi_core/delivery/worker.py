"""The worker: takes turns for tenants that have work, woken by the bell or by looking around."""

import asyncio
import datetime as dt
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg

from guanxi_core.access import Installation
from guanxi_core.breakers import ends
from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_core.delivery import queue, schedules
from guanxi_core.delivery.bell import WORK, listen
from guanxi_core.delivery.outside import Beside
from guanxi_core.delivery.queue import Claimed
from guanxi_core.delivery.running import run
from guanxi_core.delivery.turns import Turns
from guanxi_core.platform import Platform
from guanxi_core.tenancy import list_tenants
from guanxi_sdk import Tenant

log = logging.getLogger(__name__)

_LOOK: Final = "SELECT * FROM guanxi_work($1, $2, $3)"
_SLICE: Final = 500  # tenants looked at in one second
_REST: Final = 0.1  # seconds in which all rings for a tenant are one: its next turn has more to do
_TURN: Final = 1.0  # seconds after which a turn begins nothing new
_GRACE: Final = 10.0  # seconds in which what runs may end before it is cut
_UNWATCHED: Final = 60.0  # seconds after which a worker hangs that no watchdog ends
_PURGE_EVERY: Final = 3600.0
_PURGE: Final = "SELECT guanxi_purge($1, 1000)"
_PURGE_ALONE: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended('guanxi.purge', 0))"


class Worker:
    """Delivers events and runs schedules with the connections of ``platform``.

    ``watchdog`` is how many seconds its event loop, and that of others, may stand still; 0 for
    ever. ::

        async with Worker(platform, concurrency=8).working():
            …
    """

    def __init__(
        self,
        platform: Platform,
        *,
        concurrency: int = 4,
        lease: float = 30,
        watchdog: float = 60,
        every: float = 1,
        keep: dt.timedelta = dt.timedelta(days=7),
    ) -> None:
        self._platform = platform
        self._concurrency = concurrency
        self._watchdog = watchdog or _UNWATCHED
        self._lease = min(lease, self._watchdog / 2)
        self._every = every
        self._keep = keep
        self._turns = Turns(max(1, concurrency - 1))
        self._beside = Beside(platform, self._lease, self._turns.add)
        self._busy: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._id = uuid4()
        self._there = asyncio.Event()  # set once others can tell whether this process is there
        self._tenants: dict[UUID, Tenant] = {}
        self._after: UUID | None = None  # the last tenant that was looked at
        #: When the plugins of each tenant last changed, and had changed when that was heeded.
        self._changed: dict[UUID, Any] = {}
        self._heeded: dict[UUID, Any] = {}
        self._due: set[UUID] = set()  # tenants with schedules that are due
        #: Tenants that were rung for a moment ago, and whether they have been again since.
        self._rung: dict[UUID, bool] = {}
        self._clock = platform.now()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work while the block runs; then finish what runs, or give it back."""
        loop = asyncio.get_running_loop()
        slots = [loop.create_task(self._slot()) for _ in range(self._concurrency)]
        works = (self._listen, self._look_around, self._purge)
        others = [loop.create_task(self._forever(work)) for work in works]
        try:
            yield
        finally:
            self._stopping = True
            await _cancel([*others, *(slot for slot in slots if slot not in self._busy)])
            if busy := [*(slot for slot in slots if not slot.done()), *self._beside.tasks]:
                await asyncio.wait(busy, timeout=_GRACE)
                await _cancel(busy)

    async def drain(self, tenant: Tenant) -> int:
        """Deliver all that is due for one tenant, and what comes of it; returns how many."""
        self._tenants[tenant.id] = tenant
        self._changed[tenant.id] = object()
        self._due.add(tenant.id)
        delivered, before = 0, self._beside.done
        while True:
            count = await self._turn(tenant.id)
            if count is None and not await self._beside.next(tenant.id):
                return delivered + self._beside.done - before
            delivered += count or 0

    # --- turns ---------------------------------------------------------------------------------

    async def _slot(self) -> None:
        task: Any = asyncio.current_task()
        await self._there.wait()
        while not self._stopping:
            tenant_id = await self._turns.take()
            self._busy.add(task)
            try:
                await self._turn(tenant_id)
            except (Exception, asyncio.CancelledError) as error:
                _complain(error)
                await asyncio.sleep(self._every)
            finally:
                self._busy.discard(task)
                self._turns.end(tenant_id)

    async def _turn(self, tenant_id: UUID) -> int | None:
        """Do some of a tenant's work; returns how many deliveries are done, None if none was due.

        It comes to stand behind all others for what is left.
        """
        tenant = await self._tenant(tenant_id)
        if tenant is None:
            return None
        installation = await self._platform.installation(tenant)
        async with self._platform.pool.connection(tenant_id) as connection:
            await self._heed(connection, installation)
            missing = sorted(installation.left_out)
            relayed = await queue.relay(connection, tenant_id, installation.edition, missing)
            held_up = self._beside.held_up(installation)
            await queue.recover(connection, tenant_id, self._lease, self._watchdog)
            claimed = await queue.claim(connection, tenant_id, self._id, self._lease, held_up)
        if not relayed and not claimed:
            return None
        if relayed == queue.RELAYED_AT_ONCE or len(claimed) == queue.CLAIMED_AT_ONCE:
            self._turns.add(tenant_id)  # others may help
        done = await self._run(installation, claimed)
        if claimed:
            self._turns.add(tenant_id)  # those who were held behind these may be due now
        return done

    async def _heed(self, connection: Any, installation: Installation) -> None:
        """Know the tenant's schedules, and plan those that are due."""
        tenant_id, edition = installation.tenant.id, installation.edition
        if tenant_id in self._changed:
            changed = self._changed.pop(tenant_id)
            await queue.welcome(connection, tenant_id, edition)
            await schedules.synchronise(connection, tenant_id, edition, self._platform.now())
            self._heeded[tenant_id] = changed
        if tenant_id in self._due:
            self._due.discard(tenant_id)
            await schedules.plan(connection, tenant_id, self._platform.now())

    async def _run(self, installation: Installation, claimed: list[Claimed]) -> int:
        """One after the other, those outside at once; what cannot begin soon is given back."""
        began, done = time.monotonic(), 0
        outside = [one for one in claimed if self._beside.takes(installation, one)]
        left = [one for one in claimed if one not in outside]
        back = [
            one for one in outside if self._stopping or not self._beside.begin(installation, one)
        ]
        ended = asyncio.Event()
        giving = asyncio.get_running_loop().create_task(
            self._give_back(installation.tenant.id, left, back, ended)
        )
        try:
            while left and not self._stopping and time.monotonic() - began < _TURN:
                done += await run(self._platform, installation, left[0], self._lease)
                del left[0]
        finally:
            ended.set()
            await giving
        return done

    async def _give_back(
        self, tenant_id: UUID, left: list[Claimed], back: list[Claimed], ended: asyncio.Event
    ) -> None:
        """When the turn is over, although the first of ``left`` may run on; and that at its end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_TURN):
                await ended.wait()
        if not ended.is_set():
            back += left[1:]
            del left[1:]
            await self._release(tenant_id, back)
            back.clear()
            self._turns.add(tenant_id)
            await ended.wait()
        await self._release(tenant_id, [*left, *back])

    async def _release(self, tenant_id: UUID, back: Sequence[Claimed]) -> None:
        if back:
            async with self._platform.pool.connection(tenant_id) as connection:
                for one in back:
                    await queue.release(connection, one)

    async def _tenant(self, tenant_id: UUID) -> Tenant | None:
        if tenant_id not in self._tenants:
            self._tenants = {one.id: one for one in await list_tenants(self._platform.pool)}
        return self._tenants.get(tenant_id)

    # --- hearing of work -----------------------------------------------------------------------

    async def _listen(self) -> None:
        me = uuid4()  # anew with each connection: what was claimed before an outage may be lost

        def begun() -> None:
            self._id = me
            self._there.set()

        url = self._platform.pool.url
        await listen(url, WORK, self._hear, begun, (queue.ATTEND, me))

    def _hear(self, tenant_id: UUID) -> None:
        if tenant_id in self._rung:
            self._rung[tenant_id] = True
            return
        self._rung[tenant_id] = False
        self._turns.add(tenant_id)
        asyncio.get_running_loop().call_later(_REST, self._rested, tenant_id)

    def _rested(self, tenant_id: UUID) -> None:
        if self._rung.pop(tenant_id):
            self._hear(tenant_id)

    async def _look_around(self) -> None:
        """Find what nobody rang for: events of killed processes, retries, lost claims, times."""
        while True:
            now = self._platform.now()
            if now < self._clock - dt.timedelta(minutes=1):  # the clock was set back
                self._heeded.clear()
            self._clock = now
            rows = await self._platform.pool.call(_LOOK, self._after, _SLICE, now)
            self._after = rows[-1]["id"] if len(rows) == _SLICE else None
            for row in rows:
                tenant_id, changed = row["id"], row["plugins_at"]
                self._tenants[tenant_id] = Tenant(tenant_id, row["name"], row["currency"])
                if changed != self._heeded.get(tenant_id):
                    self._changed[tenant_id] = changed
                if row["due"]:
                    self._due.add(tenant_id)
                if row["waiting"] or row["due"] or tenant_id in self._changed:
                    self._turns.add(tenant_id)
            await asyncio.sleep(self._every)

    async def _purge(self) -> None:
        """Forget what was done long ago, a batch at a time, one process for all."""
        while True:
            gone = 1
            while gone:
                before = self._platform.now() - self._keep
                async with (
                    self._platform.pool.connection(None) as connection,
                    connection.transaction(),
                ):
                    alone = await connection.fetchval(_PURGE_ALONE)
                    gone = alone and await connection.fetchval(_PURGE, before)
                await asyncio.sleep(0.1)
            await asyncio.sleep(_PURGE_EVERY)

    async def _forever(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (Exception, asyncio.CancelledError) as error:
                _complain(error)
            await asyncio.sleep(self._every)


def _complain(error: BaseException) -> None:
    """Say what came between; raise it again if the worker itself is to end."""
    if ends(error):
        raise error
    if isinstance(error, DatabaseUnavailable | OSError | asyncpg.InterfaceError):
        log.warning("the worker goes on when the database does: %s", error)
    else:
        log.error("the worker stumbled and goes on", exc_info=error)


async def _cancel(tasks: Sequence["asyncio.Task[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
