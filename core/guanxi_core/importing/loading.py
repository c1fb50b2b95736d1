"""Running an import: read, convert, stage, merge, in one transaction.

A chunk is converted in a thread while the server merges the one before.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from guanxi_core.access import Access
from guanxi_core.importing.binding import Binding
from guanxi_core.importing.errors import ImportFailed
from guanxi_core.importing.merging import StepRun
from guanxi_core.importing.planning import ImportPlan
from guanxi_core.importing.report import ImportResult, Rejections
from guanxi_core.jobs import Jobs, RunningJob
from guanxi_sdk import Forbidden

if TYPE_CHECKING:
    from guanxi_core.platform import Platform

_LOCK = """SELECT pg_advisory_xact_lock(hashtextextended(name, 0))
FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, place) ORDER BY place"""


#: Told of each chunk: the model, bytes of its file that are read, of how many, and rows so far.
Progress = Callable[[str, int, int, int], None]


class ImportRun:
    """One run of a plan. Files are opened and all names checked when it is made."""

    def __init__(
        self,
        access: Access,
        plan: ImportPlan,
        path: Path,
        *,
        base: Path | None = None,
        progress: Progress | None = None,
        reason: str | None = None,
    ) -> None:
        self._access = access
        self._reason = reason
        self._progress = progress
        self.rejections: dict[Path, Rejections] = {}
        self._bindings: list[Binding] = []
        for step in plan.steps:
            if not access.caller.may(step.info.write):
                raise Forbidden(step.info.write)
            file = (base or path.parent) / step.file.path if step.file.path else path
            if step.file.optional and not file.exists():
                continue
            self._bindings.append(Binding(step, file, access.installation.tenant.currency))

    @property
    def size(self) -> int:
        """Bytes to read; a file that several models come from counts for each."""
        return sum(binding.file.size for binding in self._bindings)

    async def run(self, connection: Any) -> ImportResult:
        """Import inside the open transaction of ``connection``, which is set to the tenant."""
        started = time.perf_counter()
        result = ImportResult(dry_run=False)
        tenant = self._access.installation.tenant
        models = sorted({binding.step.info.table.name for binding in self._bindings})
        await connection.execute(_LOCK, [f"guanxi.import.{tenant.id}.{name}" for name in models])
        for binding in self._bindings:
            await asyncio.to_thread(binding.prepare)
            path = binding.file.path
            rejections = self.rejections.setdefault(path, Rejections(binding.file))
            run = StepRun(
                binding, self._access, connection, rejections, self._progress, self._reason
            )
            result.steps.append(await run.run())
            result.warnings += binding.warnings()
        self.rejections = {p: r for p, r in self.rejections.items() if r.reasons}
        for rejections in self.rejections.values():
            result.first_rejection = result.first_rejection or rejections.first()
        result.seconds = time.perf_counter() - started
        return result


class _Told:
    """Passes progress on to whoever watches, and to the job."""

    def __init__(self, also: Progress | None) -> None:
        self._also = also
        self._done: dict[str, int] = {}
        self._rows: dict[str, int] = {}
        self.job: RunningJob | None = None

    def __call__(self, model: str, done: int, size: int, rows: int) -> None:
        self._done[model], self._rows[model] = done, rows
        if self.job is not None:
            self.job.done = sum(self._done.values())
            self.job.message = f"{sum(self._rows.values()):,} rows"
        if self._also is not None:
            self._also(model, done, size, rows)


def _write_reports(run: ImportRun, main: Path, report: Path | None) -> list[Path]:
    """One file of rejected rows per input, in the current folder unless ``report`` says else."""
    written = []
    for path, rejections in run.rejections.items():
        name = Path(f"{path.name}.rejected.csv")
        if report is not None:
            name = report if path == main else report.parent / name
        rejections.write(name)
        written.append(name)
    return written


async def import_file(
    platform: "Platform",
    access: Access,
    plan: ImportPlan,
    path: Path,
    *,
    dry_run: bool = False,
    report: Path | None = None,
    progress: Progress | None = None,
    reason: str | None = None,
) -> ImportResult:
    """Import a file whole: all valid rows in one transaction, the others into a report.

    The audit tells the ``reason``, and for each chunk of rows how many they were.

    Raises :class:`ImportFailed` when the file or the plan is wrong; then nothing was written.
    """
    started = time.perf_counter()
    told = _Told(progress)
    run = ImportRun(access, plan, path, progress=told, reason=reason)
    jobs = Jobs(platform.pool, access, "import")
    title = f"{'Try' if dry_run else 'Import'} {path.name}"
    async with (
        jobs,
        jobs.job(title, run.size) as told.job,
        platform.pool.connection(access.installation.tenant.id) as connection,
    ):
        transaction = connection.transaction()
        await transaction.start()
        try:
            result = await run.run(connection)
            result.dry_run = dry_run
            result.reports = await asyncio.to_thread(_write_reports, run, path, report)
        except BaseException as error:
            if not connection.is_closed():
                await transaction.rollback()
            if isinstance(error, asyncpg.PostgresError) and not connection.is_closed():
                raise refused(error) from error
            raise
        if dry_run:
            await transaction.rollback()
        else:
            await transaction.commit()
    platform.bell.ring(access.installation)
    result.seconds = time.perf_counter() - started
    return result


def refused(error: asyncpg.PostgresError) -> ImportFailed:
    """One line for an error of the database that no row is to blame for."""
    if isinstance(error, asyncpg.UndefinedTableError | asyncpg.UndefinedColumnError):
        return ImportFailed("the tables of a plugin are missing or old: run `guanxi migrate`.")
    if isinstance(error, asyncpg.DeadlockDetectedError):
        return ImportFailed("somebody else wrote the same rows: run the import again.")
    if isinstance(error, asyncpg.DiskFullError):
        return ImportFailed("the database's disk is full: make room and run the import again.")
    message = str(error).partition("\n")[0]
    return ImportFailed(f"the database refused the import: {message}")
