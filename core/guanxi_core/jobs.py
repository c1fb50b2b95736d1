"""Jobs: long work whose progress others see while its transaction is still open.

They are written on other connections than the work. Whoever reports on a job gives a sign of life
every second; a job without one counts as failed.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Self
from uuid import UUID

from uuid_utils.compat import uuid7

from guanxi_core.access import Access
from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_core.database.pool import TenantPool
from guanxi_core.erasing.blanks import ERASED
from guanxi_core.telemetry import metrics
from guanxi_core.telemetry.errors import kind_of

_OFTEN: Final = 0.25  # seconds between two reports of progress
_ALIVE: Final = 1.0  # seconds between two signs of life, which tell of progress too
_BEGIN: Final = """INSERT INTO guanxi_job (tenant_id, id, kind, title, who, total)
VALUES ($1, $2, $3, $4, $5, $6)"""
#: What was erased of a job that runs stays erased.
_REPORT: Final = """UPDATE guanxi_job
SET done = $3, total = $4,
    message = CASE WHEN $7 IN (title, message) THEN $7 ELSE $5 END,
    seen_at = clock_timestamp(), status = $6,
    finished_at = CASE WHEN $6 <> 'running' THEN clock_timestamp() END
WHERE tenant_id = $1 AND id = $2"""


class RunningJob:
    """Implements :class:`guanxi_sdk.Job`; ``done`` and ``message`` are reported every second."""

    def __init__(self, pool: TenantPool, tenant_id: UUID, total: int | None) -> None:
        self.id = uuid7()
        self.total = total
        self.done = 0
        self.message: str | None = None
        self._pool = pool
        self._tenant_id = tenant_id
        self._reported = time.monotonic()

    async def advance(self, by: int = 1, message: str | None = None) -> None:
        """Count what was done."""
        self.done += by
        self.message = message or self.message
        if time.monotonic() - self._reported >= _OFTEN:
            await self.report("running")

    async def report(self, status: str) -> None:
        """Let others see it; where the database is away, the next report will do."""
        self._reported = time.monotonic()
        await self._write(
            _REPORT, self._tenant_id, self.id, self.done, self.total, self.message, status, ERASED,
        )  # fmt: skip

    async def begin(self, kind: str, title: str, who: str) -> None:
        """Show it for the first time."""
        await self._write(_BEGIN, self._tenant_id, self.id, kind, title, who, self.total)

    async def keep_alive(self) -> None:
        """Give a sign of life until cancelled."""
        while True:
            await asyncio.sleep(_ALIVE)
            await self.report("running")

    async def _write(self, statement: str, *values: Any) -> None:
        try:
            async with self._pool.connection(self._tenant_id) as connection:
                await connection.execute(statement, *values)
        except DatabaseUnavailable:
            return


class Jobs:
    """The jobs of one transaction: done when it is committed, failed when it is not."""

    def __init__(self, pool: TenantPool, access: Access, kind: str) -> None:
        self._pool = pool
        self._access = access
        self._kind = kind
        self._open: list[tuple[RunningJob, asyncio.Task[None]]] = []

    @asynccontextmanager
    async def job(self, title: str, total: int | None) -> AsyncIterator[RunningJob]:
        """Begin one; what its block raises fails it at once."""
        job = RunningJob(self._pool, self._access.installation.tenant.id, total)
        await job.begin(self._kind, title, self._access.caller.name)
        alive = asyncio.get_running_loop().create_task(job.keep_alive())
        self._open.append((job, alive))
        metrics.JOBS.inc()
        try:
            yield job
        except BaseException as error:
            self._open.remove((job, alive))
            await _end(job, alive, error)
            raise

    async def __aenter__(self) -> Self:
        """Around the transaction."""
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        """The transaction is committed, or undone."""
        while self._open:
            await _end(*self._open.pop(), error)


async def _end(job: RunningJob, alive: "asyncio.Task[None]", error: BaseException | None) -> None:
    metrics.JOBS.dec()
    alive.cancel()
    await asyncio.gather(alive, return_exceptions=True)
    if error is not None:
        job.message = f"It failed and was undone: {kind_of(error)}."
    await job.report("done" if error is None else "failed")
