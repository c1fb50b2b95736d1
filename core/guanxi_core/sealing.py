"""Sealing the audit: every entry becomes a link of its tenant's chain soon after its commit.

Writers never wait for the chain. Whichever process comes first links what they have committed, one
at a time, and verifying (:mod:`guanxi_core.verifying`) tells later what was touched since. An entry
knows its transaction, and ``guanxi_audit_sealed`` which transactions of a tenant are done with
(decision 0019).
"""

import asyncio
import datetime as dt
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, NoReturn, Self

import asyncpg

from guanxi_core.breakers import ends
from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_core.database.pool import TenantPool
from guanxi_core.idempotency import KEPT, forget_replies
from guanxi_core.telemetry.errors import describe

if TYPE_CHECKING:
    from guanxi_core.config import Config

log = logging.getLogger(__name__)

#: Entries per transaction.
_BATCH: Final = 1000
_SEAL: Final = "SELECT guanxi_seal($1)"
_SEEN: Final = "SELECT pg_current_snapshot()::text"
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


class Sealer:
    """Seals in the background, and lets stored replies go when their time is over.

    Any number of processes may run one each.
    """

    def __init__(self, pool: TenantPool, *, pause: float = 0.4, kept: dt.timedelta = KEPT) -> None:
        self._pool = pool
        self._pause = pause
        self._kept = kept
        #: The database as it was when there was nothing to link; all tenants are looked at again
        #: only after something was committed.
        self._quiet: str | None = None
        #: What was committed before this time (of time.monotonic) is sealed.
        self.sealed = time.monotonic()

    @classmethod
    def serving(cls, config: "Config", pool: TenantPool) -> Self:
        """As the configuration says, for a process that serves or works."""
        return cls(pool, kept=dt.timedelta(hours=config.idempotency_hours))

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
                    await self._seal()
                    if rounds % 150 == 0:
                        await forget_replies(self._pool, self._kept)
                    rounds += 1
                    told = False
                except (*_UNREACHABLE, asyncio.CancelledError) as error:
                    if ends(error):
                        raise
                    if not told:
                        log.warning("the audit is not sealed at the moment: %s", describe(error))
                        told = True
                await asyncio.sleep(self._pause)
        except asyncio.CancelledError:
            try:
                async with asyncio.timeout(2):
                    await seal(self._pool)
            except (TimeoutError, *_UNREACHABLE):
                pass
            raise

    async def _seal(self) -> None:
        began = time.monotonic()
        [row] = await self._pool.call(_SEEN)
        if row[0] != self._quiet:
            sealed = await seal(self._pool)
            self._quiet = None if sealed else row[0]
        self.sealed = began
