"""Deliveries to handlers that wait for strangers: beside the worker's slots, and only so many."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final
from uuid import UUID

from guanxi_core.access import Installation
from guanxi_core.delivery import queue
from guanxi_core.delivery.queue import Claimed
from guanxi_core.delivery.running import found, run
from guanxi_core.platform import Platform
from guanxi_core.shares import Shares

log = logging.getLogger(__name__)

#: How many run at a time, for all tenants and for each of them; see :class:`Shares`.
MOST: Final = 128
SHARE: Final = 32


class Beside:
    """Runs them as tasks; ``more`` is told of tenants for which there is room again."""

    def __init__(self, platform: Platform, lease: float, more: Callable[[UUID], None]) -> None:
        self._platform = platform
        self._lease = lease
        self._more = more
        self._running: dict[asyncio.Task[None], UUID] = {}
        self._shares = Shares(MOST, SHARE)
        self._refused: set[UUID] = set()
        #: How many deliveries are done.
        self.done = 0

    @property
    def tasks(self) -> list["asyncio.Task[None]"]:
        """What runs."""
        return list(self._running)

    def held_up(self, installation: Installation) -> list[str]:
        """Handlers of the tenant whose deliveries could not begin now."""
        tenant_id = installation.tenant.id
        if self._shares.room(tenant_id):
            return []
        self._refused.add(tenant_id)
        return [
            f"{entry.plugin}.{entry.contribution.name}"
            for entry in installation.edition.handlers
            if entry.contribution.outside
        ]

    def takes(self, installation: Installation, one: Claimed) -> bool:
        """Whether it is one that belongs here."""
        entry = found(installation, one)
        return entry is not None and entry.contribution.outside

    def begin(self, installation: Installation, one: Claimed) -> bool:
        """Run it, unless there is no room."""
        tenant_id = installation.tenant.id
        if not self._shares.room(tenant_id):
            self._refused.add(tenant_id)
            return False
        task = asyncio.get_running_loop().create_task(self._run(installation, one))
        self._running[task] = tenant_id
        self._shares.take(tenant_id)
        task.add_done_callback(self._ended)
        return True

    async def next(self, tenant_id: UUID) -> bool:
        """Wait until one of the tenant's has ended; False if none runs."""
        mine = [task for task, of in self._running.items() if of == tenant_id]
        if mine:
            await asyncio.wait(mine, return_when=asyncio.FIRST_COMPLETED)
        return bool(mine)

    async def _run(self, installation: Installation, one: Claimed) -> None:
        try:
            done = await run(self._platform, installation, one, self._lease)
            self.done += done  # not in one statement: others end during the wait
        except asyncio.CancelledError:
            async with self._platform.pool.connection(one.tenant_id) as connection:
                await queue.release(connection, one)
            raise
        except Exception:
            log.exception("%s.%s will be run again", one.plugin, one.handler)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        tenant_id = self._running.pop(task)
        self._shares.give(tenant_id)
        for waiting in {tenant_id, *self._refused}:
            self._more(waiting)
        self._refused.clear()
