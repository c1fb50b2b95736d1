"""Whether the database answers, asked the way requests ask it: by the pool that serves them."""

import asyncio
from typing import Final

from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_core.database.pool import TenantPool

SILENT: Final = "The database does not answer."
_BUSY: Final = "All connections to the database are busy, or it does not answer."
_PATIENCE: Final = 3.0  # seconds


async def unready(pool: TenantPool) -> str | None:
    """Why requests cannot be served, in a sentence; None if they can."""
    busy = pool.state.used >= pool.size
    try:
        async with asyncio.timeout(_PATIENCE):
            await pool.call("SELECT 1")
    except (DatabaseUnavailable, TimeoutError):
        return _BUSY if busy else SILENT
    return None
