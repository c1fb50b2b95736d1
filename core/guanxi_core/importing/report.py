"""What an import did, and the file of rejected rows."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from guanxi_core.importing.errors import ImportFailed
from guanxi_core.importing.reading import CsvFile


@dataclass(slots=True)
class StepResult:
    """What became of one step's rows."""

    model: str  # plural
    file: str
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    skipped: int = 0  # rows that the mapping leaves out


@dataclass(slots=True)
class ImportResult:
    """What an import did; nothing of it is in the database after a dry run."""

    dry_run: bool
    steps: list[StepResult] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    reports: list[Path] = field(default_factory=list)  # files of rejected rows
    first_rejection: str | None = None
    seconds: float = 0.0

    def total(self, what: str) -> int:
        """``created``, ``updated``, ``unchanged`` or ``rejected`` rows of all steps together."""
        return sum(getattr(step, what) for step in self.steps)


@dataclass(slots=True)
class Rejections:
    """Rejected rows of one file, by line; rows of several models may come from one line."""

    file: CsvFile
    reasons: dict[int, str] = field(default_factory=dict)

    def add(self, model: str, rejected: Sequence[tuple[int, str]]) -> None:
        """Remember why rows were rejected."""
        for line, reason in rejected:
            before = self.reasons.get(line)
            text = f"{model}: {reason}"
            self.reasons[line] = f"{before}; {text}" if before else text

    def first(self) -> str:
        """The first rejection, for a one-line message."""
        line = min(self.reasons)
        return f"{self.file.path.name}, line {line}: {self.reasons[line]}"

    def write(self, path: Path) -> None:
        """Write line, reason and the original cells as CSV that spreadsheets open."""
        columns = self.file.columns
        try:
            with path.open("w", encoding="utf-8-sig", newline="") as out:
                writer = csv.writer(out)
                writer.writerow(["line", "reason", *columns])
                for line, row in self.file.rows_at(self.reasons):
                    writer.writerow([line, self.reasons[line], *row])
        except OSError as error:
            raise ImportFailed(
                f"{path}: the report cannot be written: {error.strerror}: name another file with "
                "--report."
            ) from None
