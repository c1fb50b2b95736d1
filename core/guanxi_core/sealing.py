"""Sealing the audit: every entry becomes a link of its tenant's chain soon after its commit.

Writers never wait for the chain. What they commit is pending; whichever process comes first links
it, one at a time, and verifying (:mod:`guanxi_core.verifying`) tells later what was touched since.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, NoReturn
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from guanxi_core.database.pool import DatabaseUnavailable, TenantPool
from guanxi_core.idempotency import KEPT, forget_replies
from guanxi_sdk import Tenant

log = logging.getLogger(__name__)

#: Entries per transaction.
_BATCH: Final = 1000
_SEAL: Final = "SELECT guanxi_seal($1)"
_ERASE: Final = "SELECT guanxi_erase_audit($1, $2, $3, $4, $5, $6, $7)"
_UNREACHABLE: Final = (DatabaseUnavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


async def seal(pool: TenantPool) -> int:
    """Link all entries that are committed by now, of every tenant; returns how many."""
    done = 0
    while True:
        [row] = await pool.call(_SEAL, _BATCH)
        sealed: int = row[0]
        done += sealed
        if sealed < _BATCH:
            return done


async def erase_entries(
    pool: TenantPool,
    tenant: Tenant,
    entries: Sequence[UUID],
    *,
    who: bool = False,
    what: bool = True,
    actor: str,
    reason: str | None = None,
) -> int:
    """Blank audit entries for good, and record that; the chain still verifies.

    ``what`` takes changes and reason, ``who`` takes actor and origin. Time, action and row stay.
    """
    values = (tenant.id, list(entries), who, what, uuid7(), actor, reason)
    [row] = await pool.call(_ERASE, *values)
    erased: int = row[0]
    return erased


class Sealer:
    """Seals in the background, and lets stored replies go when their time is over.

    Any number of processes may run one each.
    """

    def __init__(self, pool: TenantPool, *, pause: float = 0.4, kept: dt.timedelta = KEPT) -> None:
        self._pool = pool
        self._pause = pause
        self._kept = kept

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """:meth:`run` beside the block."""
        task = asyncio.get_running_loop().create_task(self.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def run(self) -> NoReturn:
        """Work until it is cancelled; then seal what was written last.

        A database that is away is waited for.
        """
        told = False
        rounds = 0
        try:
            while True:
                try:
                    await seal(self._pool)
                    if rounds % 150 == 0:
                        await forget_replies(self._pool, self._kept)
                    rounds += 1
                    told = False
                except _UNREACHABLE as error:
                    if not told:
                        log.warning("the audit is not sealed at the moment: %s", error)
                        told = True
                await asyncio.sleep(self._pause)
        except asyncio.CancelledError:
            try:
                async with asyncio.timeout(2):
                    await seal(self._pool)
            except (TimeoutError, *_UNREACHABLE):
                pass
            raise
