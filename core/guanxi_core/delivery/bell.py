"""The bell: tells the workers of all processes that a tenant has new events."""

import asyncio
import logging
from typing import Any, Final
from uuid import UUID

from guanxi_core.access import Installation
from guanxi_core.database.pool import DatabaseUnavailable, TenantPool

log = logging.getLogger(__name__)

#: What workers listen to; the payload is a tenant's id.
CHANNEL: Final = "guanxi_work"
_PAUSE: Final = 0.02  # seconds in which all commits share one notification
_RING: Final = "SELECT pg_notify($2, tenant::text) FROM unnest($1::uuid[]) AS t (tenant)"


class Bell:
    """Rung after each commit; costs a commit nothing but a set's entry.

    A ring may get lost with its process: workers look around by themselves every second.
    """

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool
        self._waiting: set[UUID] = set()
        self._ringing: asyncio.Task[None] | None = None

    def ring(self, installation: Installation) -> None:
        """Somebody wrote for the tenant; nobody is woken where no plugin handles anything."""
        if installation.edition.handlers or installation.left_out:
            self._waiting.add(installation.tenant.id)
            if self._ringing is None:
                self._ringing = asyncio.get_running_loop().create_task(self._ring())

    async def close(self) -> None:
        """Ring for what is left, at once."""
        if self._ringing is not None:
            self._ringing.cancel()
            await asyncio.gather(self._ringing, return_exceptions=True)
        await self._tell()

    async def _ring(self) -> None:
        while self._waiting:
            await asyncio.sleep(_PAUSE)
            await self._tell()
        self._ringing = None

    async def _tell(self) -> None:
        waiting: list[Any] = list(self._waiting)
        self._waiting.clear()
        if not waiting:
            return
        try:
            await self._pool.call(_RING, waiting, CHANNEL)
        except DatabaseUnavailable as error:
            log.warning("workers were not woken, and will look by themselves: %s", error)
