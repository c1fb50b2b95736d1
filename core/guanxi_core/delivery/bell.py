"""The bell: tells all processes that a tenant has new events."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from guanxi_core.access import Installation
from guanxi_core.database.connections import connect
from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_core.database.pool import TenantPool
from guanxi_core.delivery.queue import NEW, status_of

log = logging.getLogger(__name__)

#: What workers listen to, and who serves subscriptions; the payload is a tenant's id.
WORK: Final = "guanxi_work"
EVENTS: Final = "guanxi_events"
_PAUSE: Final = 0.02  # seconds in which all commits share one notification
_RING: Final = (
    "SELECT pg_notify(channel, tenant::text) "
    "FROM unnest($1::text[], $2::uuid[]) AS t (channel, tenant)"
)


class Bell:
    """Rung after each commit; costs a commit nothing but a set's entry.

    A ring may get lost with its process: whoever listens looks around every second as well.
    """

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool
        self._waiting: set[tuple[str, UUID]] = set()
        self._ringing: asyncio.Task[None] | None = None

    def ring(self, installation: Installation, event: str | None = None) -> None:
        """Somebody wrote for the tenant, and ``event`` tells all of it if that is given.

        No worker is woken where no plugin handles what happened; it comes by within a second.
        """
        self._waiting.add((EVENTS, installation.tenant.id))
        handlers = installation.edition.handlers or installation.left_out
        if handlers if event is None else status_of(installation, event) == NEW:
            self._waiting.add((WORK, installation.tenant.id))
        if self._ringing is None:
            self._ringing = asyncio.get_running_loop().create_task(self._ring())

    async def close(self) -> None:
        """Ring for what is left, at once."""
        if self._ringing is not None:
            self._ringing.cancel()
            await asyncio.gather(self._ringing, return_exceptions=True)
        await self._tell()

    async def _ring(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(_PAUSE)
                await self._tell()
        finally:
            self._ringing = None

    async def _tell(self) -> None:
        waiting: list[Any] = list(self._waiting)
        self._waiting.clear()
        if not waiting:
            return
        channels, tenants = zip(*waiting, strict=True)
        try:
            await self._pool.call(_RING, channels, tenants)
        except DatabaseUnavailable as error:
            log.warning("nobody was woken, and all will look by themselves: %s", error)


async def listen(
    url: str,
    channel: str,
    hear: Callable[[UUID], None],
    begun: Callable[[], None] = lambda: None,
    first: tuple[Any, ...] = (),
) -> None:
    """Call ``hear`` for each ring, until the connection is lost.

    ``begun`` is called once rings are heard: those before were for nobody. ``first`` is a statement
    with its values that the connection executes before.
    """

    def heard(_connection: Any, _pid: int, _channel: str, payload: str) -> None:
        try:
            hear(UUID(payload))
        except ValueError:
            log.warning("somebody notifies %s of something that is no tenant", channel)

    connection = await connect(url)
    try:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda *_: lost.set())
        if first:
            await connection.execute(*first)
        await connection.add_listener(channel, heard)
        begun()
        await lost.wait()
    finally:
        connection.terminate()
