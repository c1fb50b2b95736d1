"""A step of an import bound to its file: chunks of rows in, records for the database out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guanxi_core.importing.columns import Bad, Cells, Converters
from guanxi_core.importing.errors import ImportFailed
from guanxi_core.importing.matching import match_columns
from guanxi_core.importing.planning import Step
from guanxi_core.importing.reading import Chunk, CsvFile
from guanxi_core.importing.searching import searched

#: Asked about every row that could be read; answers what is wrong with it.
Check = Callable[[Mapping[str, Any]], list[str]]


@dataclass(slots=True)
class Converted:
    """The good rows of a chunk as records for the staging table, and what was wrong with others."""

    lines: list[int]
    records: list[tuple[Any, ...]]  # values of the staged columns, in their order
    rejected: list[tuple[int, str]]
    skipped: int
    position: int  # bytes of the file read so far


class Binding:
    """A step bound to the columns of its file. Every name is checked when it is made."""

    def __init__(self, step: Step, path: Path, currency: str) -> None:
        self.step = step
        self.file = CsvFile(path, step.file)
        try:
            for name in step.file.ignore:
                self.file.index(name)
            plans = match_columns(step, self.file.columns) if step.match else step.fields
            self._needed = tuple(self.file.index(name) for name in step.skip_unless)
        except ImportFailed as error:
            raise step.place.failure(str(error)) if step.place.named else error from None
        self._columns = Converters(step, self.file, currency)
        self.converters = tuple(self._columns.make(plan) for plan in plans)
        self.searched = searched(step, self.converters)
        columns = [column for made in self.converters for column in made.columns]
        columns += [column for one in self.searched for column in one.columns]
        self.staged = tuple(columns)  # in the order of a record
        self._key = tuple(
            self.staged.index(column)
            for field in step.key
            for made in self.converters
            if made.plan.info is field
            for column in made.columns
        )
        self._seen: dict[Any, int] = {}

    def prepare(self) -> None:
        """Read the second files that sums are taken from."""
        for name, lines in self._columns.lines.items():
            self._columns.sums[name] = lines.sums()

    def warnings(self) -> list[str]:
        """What the user should know although no row is wrong."""
        return [text for sums in self._columns.sums.values() if (text := sums.warning())]

    def convert(self, chunk: Chunk) -> Converted:
        """Convert a chunk; rows that are wrong or double are rejected with reasons."""
        count = len(chunk.rows)
        cells = chunk.columns() if count else [()] * len(self.file.columns)
        bad: Bad = {}
        values = [column for made in self.converters for column in made.convert(cells, count, bad)]
        values += [part for one in self.searched for part in one.convert(values, count)]
        skip = self._skipped(cells, count)
        result = Converted([], [], list(chunk.ragged), len(skip), chunk.position)
        for position, record in enumerate(zip(*values, strict=True)):
            line = chunk.lines[position]
            if position in skip:
                continue
            wrong = bad.get(position) or self._double(line, record)
            if wrong:
                result.rejected.append((line, "; ".join(dict.fromkeys(wrong))))
            else:
                result.lines.append(line)
                result.records.append(record)
        return result

    def _double(self, line: int, record: tuple[Any, ...]) -> list[str]:
        """Refuse a second row with the same key; remember the first."""
        key: Any
        if len(self._key) == 1:
            key = record[self._key[0]]
            if key is None:
                return [f"{self.step.key[0].name} is empty, and rows are matched by it"]
        else:
            key = tuple(record[index] for index in self._key)
        first = self._seen.setdefault(key, line)
        if first == line:
            return []
        names = " and ".join(field.name for field in self.step.key)
        return [f"{names}: the same as in line {first}"]

    def _skipped(self, cells: Cells, count: int) -> set[int]:
        """Rows in which a column that must be filled for them to count is empty."""
        empty = self._columns.empty
        return {
            position
            for index in self._needed
            for position in range(count)
            if cells[index][position].strip() in empty
        }
