"""One step of an import: its chunks into the staging table, checked there, and into the model."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

from guanxi_core.access import Access
from guanxi_core.audit import Origin, audit_rows
from guanxi_core.custom import keeping
from guanxi_core.database.violations import refusal_of
from guanxi_core.importing.asking import Inquiry
from guanxi_core.importing.binding import Binding, Converted
from guanxi_core.importing.errors import ImportFailed
from guanxi_core.importing.report import Rejections, StepResult
from guanxi_core.importing.staging import EVERY_LINE, LEADING, Staging, Statement, inserted
from guanxi_core.journal import BulkChange, Report
from guanxi_core.outbox import outbox_rows
from guanxi_core.system_tables import audit_table, outbox_table
from guanxi_sdk._docs import words

if TYPE_CHECKING:
    from guanxi_core.importing.loading import Progress

Rejected = list[tuple[int, str]]
Written = tuple[int, int, Any, Any]  # created, updated, first id, last id

#: What the database says when a row is to blame.
_ROW_ERRORS = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    asyncpg.RaiseError,
)


class StepRun:
    """Runs one step inside the connection's transaction."""

    def __init__(
        self,
        binding: Binding,
        access: Access,
        connection: Any,
        rejections: Rejections,
        progress: "Progress | None",
        reason: str | None = None,
    ) -> None:
        self._reason = reason
        self._binding = binding
        self._access = access
        self._connection = connection
        self._rejections = rejections
        self._progress = progress
        self._info = binding.step.info
        self._tenant = access.installation.tenant
        self._staging = Staging(binding, self._tenant.id)
        self._result = StepResult(self._info.plural, binding.file.path.name)
        self._inquiry = Inquiry.of(access, binding)

    async def run(self) -> StepResult:
        """Import every chunk; rows that refer to rows of their own file wait for the last one."""
        await self._hold_custom()
        await self._execute(self._staging.create())
        chunks = self._binding.file.chunks()
        lines: list[int] = []  # staged, in files whose rows refer to each other
        writing: asyncio.Task[None] | None = None

        def following() -> Converted | None:
            chunk = next(chunks, None)
            if chunk is None:
                return None
            converted = self._binding.convert(chunk)
            if self._inquiry is not None and not self._staging.lookups:
                self._inquiry.check(converted)
            return converted

        try:
            while (converted := await asyncio.to_thread(following)) is not None:
                if writing is not None:
                    await writing
                self._reject(converted.rejected)
                self._result.skipped += converted.skipped
                if self._staging.own:
                    lines += converted.lines
                    writing = asyncio.create_task(self._copy(converted))
                else:
                    writing = asyncio.create_task(self._write_chunk(converted))
                self._tell(converted.position)
            if writing is not None:
                await writing
        finally:
            if writing is not None:  # the connection is busy until then
                await asyncio.gather(writing, return_exceptions=True)
        if self._staging.own:
            await self._settle(lines)
        await self._execute(self._staging.drop())
        return self._result

    async def _hold_custom(self) -> None:
        """Let nobody change the custom fields that the file gives, until the import is done."""
        wanted = {one.definition.key: one.definition for one in self._staging.custom}
        if not wanted:
            return
        found = await self._connection.fetch(keeping.HOLD, self._tenant.id, [*wanted])
        held = {row["field"]: (row["kind"], row["revision"]) for row in found}
        if held != {key: (one.kind, one.revision) for key, one in wanted.items()}:
            raise ImportFailed("the custom fields changed: run the import again.")

    async def _write_chunk(self, converted: Converted) -> None:
        await self._copy(converted)
        await self._settle(converted.lines)
        await self._execute(self._staging.empty())

    def _tell(self, position: int) -> None:
        if self._progress is not None:
            done = self._result
            rows = done.created + done.updated + done.unchanged + done.rejected
            self._progress(self._info.plural, position, self._binding.file.size, rows)

    def _reject(self, rejected: Rejected) -> None:
        self._rejections.add(self._info.plural, rejected)
        self._result.rejected += len(rejected)

    async def _execute(self, statement: Statement) -> None:
        await self._connection.execute(statement.sql, *statement.arguments)

    async def _fetch(self, statement: Statement) -> list[Any]:
        rows: list[Any] = await self._connection.fetch(statement.sql, *statement.arguments)
        return rows

    async def _copy(self, converted: Converted) -> None:
        records = (
            (line, uuid7(), *record)
            for line, record in zip(converted.lines, converted.records, strict=True)
        )
        names = [column.name for column in self._binding.staged]
        await self._connection.copy_records_to_table(
            self._staging.name, records=records, columns=[*LEADING, *names]
        )

    async def _check_resolved(self) -> Rejected:
        """Ask plugins about rows whose references had to be looked up first."""
        if self._inquiry is None or not self._staging.lookups:
            return []
        statement = self._staging.read()
        rows = self._connection.cursor(statement.sql, *statement.arguments, prefetch=1000)
        return [
            (line, wrong) async for line, *record in rows if (wrong := self._inquiry.wrong(record))
        ]

    async def _settle(self, lines: list[int]) -> None:
        """Check what is staged against the database, and write what passes."""
        staging = self._staging
        left = dict.fromkeys(lines)
        for plan in staging.lookups:
            if plan not in staging.own:
                await self._drop(left, await self._unresolved([plan]))
                await self._execute(staging.resolve(plan))
        if staging.adopts:
            if not self._binding.step.constrained:
                names = " and ".join(field.name for field in self._binding.step.key)
                several = f"several {self._info.plural} have the same {names} already"
                found = await self._fetch(staging.ambiguous())
                await self._drop(left, [(row["guanxi_line"], several) for row in found])
            await self._execute(staging.adopt())
        await self._settle_own(left)
        await self._drop(left, await self._check_resolved(), again=True)
        await self._write(left)

    async def _settle_own(self, left: dict[int, None]) -> None:
        """Resolve references among the rows; whoever refers to a rejected row is rejected too."""
        while rejected := await self._unresolved(self._staging.own):
            await self._drop(left, rejected)
        for plan in self._staging.own:
            await self._execute(self._staging.resolve(plan))

    async def _drop(
        self, left: dict[int, None], rejected: Rejected, *, again: bool = False
    ) -> None:
        """Remove rejected rows from what is staged; with ``again`` see who referred to them."""
        if not rejected:
            return
        for line, _ in rejected:
            left.pop(line, None)
        self._reject(rejected)
        await self._execute(self._staging.remove([line for line, _ in rejected]))
        if again:
            await self._settle_own(left)

    async def _unresolved(self, plans: Iterable[Any]) -> Rejected:
        rejected: dict[int, str] = {}
        for plan in plans:
            target = plan.lookup.reference.target.info
            by = plan.lookup.attribute.name
            for line, text, found in await self._fetch(self._staging.unresolved(plan)):
                who = f"{found} {target.plural} have" if found else f"no {words(target.name)} has"
                rejected.setdefault(line, f"{plan.info.name}: {who} the {by} '{text[:60]}'")
        return list(rejected.items())

    async def _write(self, left: dict[int, None]) -> None:
        lines = list(left)
        if not lines:
            return
        try:
            written = await self._merge()
        except _ROW_ERRORS as error:
            await self._execute(self._staging.index())
            if self._staging.own:
                async with _undone(self._connection):
                    _, rejected = await self._bisect(lines, without_own=True)
                await self._drop(left, rejected, again=True)
                if not rejected:
                    raise ImportFailed(f"{self._info.plural}: {self._blame(error)}") from None
                await self._write(left)
                return
            written, rejected = await self._bisect(lines)
            await self._drop(left, rejected)
        created, updated, first, last = written
        self._result.created += created
        self._result.updated += updated
        self._result.unchanged += len(left) - created - updated
        if created or updated:
            await self._record(created + updated, first, last)

    async def _merge(self, *between: tuple[int, int], without_own: bool = False) -> Written:
        """Merge in a savepoint: whole, or not at all."""
        statement = self._staging.merge(*between, without_own=without_own)
        async with self._connection.transaction():
            row = await self._connection.fetchrow(statement.sql, *statement.arguments)
            for search in self._staging.search(row["changed"]) if row["changed"] else ():
                await self._execute(search)
            written = row["created"], row["updated"], row["first"], row["last"]
            if self._staging.custom:
                lines = between[0] if between else EVERY_LINE
                beside = self._staging.keep_custom(row["merged"] or [], lines)
                [more] = await self._fetch(beside)
                written = _together(written, (0, more["updated"], more["first"], more["last"]))
        return written

    async def _bisect(
        self, lines: Sequence[int], *, without_own: bool = False
    ) -> tuple[Written, Rejected]:
        """Merge in ever smaller parts until the rows that the database refuses stand alone."""
        try:
            return await self._merge((lines[0], lines[-1]), without_own=without_own), []
        except _ROW_ERRORS as error:
            if len(lines) == 1:
                return (0, 0, None, None), [(lines[0], self._blame(error))]
        middle = len(lines) // 2
        one, wrong = await self._bisect(lines[:middle], without_own=without_own)
        two, more = await self._bisect(lines[middle:], without_own=without_own)
        return _together(one, two), wrong + more

    def _blame(self, error: Any) -> str:
        """What is wrong with a row, in words of the model."""
        refusal = refusal_of(error, [self._binding.step.model])
        if refusal is None:
            return str(error).partition("\n")[0]
        rule = str(error.constraint_name or "").removeprefix(f"ck_{self._info.table.name}_")
        if refusal.path is None and isinstance(error, asyncpg.CheckViolationError):
            return f"breaks the rule '{words(rule)}'"
        return str(refusal)

    async def _record(self, count: int, first: Any, last: Any) -> None:
        """One audit record and one event for a chunk."""
        info, tenant_id = self._info, self._tenant.id
        summary = {"count": count, "first": first, "last": last}
        changed = {name: (None, value) for name, value in summary.items()}
        origin = Origin(
            tenant_id, self._access.caller, reason=self._reason,
            origin=f"import {self._result.file}",
        )  # fmt: skip
        plural = "".join(part.capitalize() for part in info.plural.split("_"))
        event = Report(f"{plural}Imported", msgspec.to_builtins(summary))
        for table, rows in (
            (audit_table, audit_rows(origin, [BulkChange(info, "import", changed)])),
            (outbox_table, outbox_rows(self._access.installation, [event])),
        ):
            await self._execute(inserted(table, rows[0]))


def _together(one: Written, two: Written) -> Written:
    ids = sorted(i for i in (*one[2:], *two[2:]) if i is not None)
    first, last = (ids[0], ids[-1]) if ids else (None, None)
    return one[0] + two[0], one[1] + two[1], first, last


class _undone:  # noqa: N801  reads as a word
    """A savepoint that is always rolled back."""

    def __init__(self, connection: Any) -> None:
        self._transaction = connection.transaction()

    async def __aenter__(self) -> None:
        await self._transaction.start()

    async def __aexit__(self, *error: object) -> None:
        await self._transaction.rollback()
