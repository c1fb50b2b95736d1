"""Reading CSV files in chunks, with line numbers, and one-line errors for what is not CSV."""

import codecs
import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from guanxi_core.importing.errors import ImportFailed, nearest
from guanxi_core.importing.mapping import FileSpec

#: Rows that travel together.
CHUNK: Final = 10_000
_BLOCK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file."""

    lines: list[int]  # where each row begins
    rows: list[list[str]]  # all as wide as the header
    ragged: list[tuple[int, str]]  # rows that are not, and why
    position: int  # bytes read so far

    def columns(self) -> list[tuple[str, ...]]:
        """The cells by column."""
        return list(zip(*self.rows, strict=True))


class CsvFile:
    """One CSV file. The header is read at once, the rows when they are asked for."""

    def __init__(self, path: Path, spec: FileSpec) -> None:
        self.path = path
        self.spec = spec
        self._raw: io.BufferedReader | None = None  # while rows are read
        try:
            codecs.lookup(spec.encoding)
        except LookupError:
            raise ImportFailed(
                f"'{spec.encoding}' is no encoding: write utf-8-sig, gb18030, cp1252…"
            ) from None
        try:
            self.size = path.stat().st_size
            with path.open("rb"):
                pass
        except FileNotFoundError:
            raise ImportFailed(f"{path}: there is no such file.") from None
        except OSError as error:
            raise ImportFailed(f"{path}: cannot be read: {error.strerror}.") from None
        if spec.header:
            first = next(self._rows(), None)
            if first is None:
                raise ImportFailed(f"{path.name}: is empty: its first line must name the columns.")
            self.columns = [name.strip() for name in first[1]]
        else:
            self.columns = list(spec.columns)
        for position, name in enumerate(self.columns):
            if not name:
                raise ImportFailed(f"{path.name}: column {position + 1} of the header has no name.")
            if name in self.columns[:position]:
                raise ImportFailed(
                    f"{path.name}: the header names '{name}' twice: rename one of the two."
                )

    def index(self, column: str) -> int:
        """The position of a column; raises :class:`ImportFailed` with a hint."""
        if column in self.columns:
            return self.columns.index(column)
        raise ImportFailed(
            f"{self.path.name} has no column '{column}': {nearest(column, self.columns)}"
        )

    def chunks(self, size: int = CHUNK) -> Iterator[Chunk]:
        """All rows after the header, at most ``size`` at a time."""
        width = len(self.columns)
        lines: list[int] = []
        rows: list[list[str]] = []
        ragged: list[tuple[int, str]] = []
        for line, row in self._data_rows():
            if len(row) == width:
                lines.append(line)
                rows.append(row)
            else:
                cells = "1 cell" if len(row) == 1 else f"{len(row)} cells"
                ragged.append((line, f"has {cells} instead of {width}"))
            if len(rows) + len(ragged) >= size:
                yield Chunk(lines, rows, ragged, self._position())
                lines, rows, ragged = [], [], []
        if rows or ragged:
            yield Chunk(lines, rows, ragged, self._position())

    def rows_at(self, wanted: Iterable[int]) -> Iterator[tuple[int, list[str]]]:
        """The rows that begin at ``wanted`` lines, once more."""
        lines = set(wanted)
        return ((line, row) for line, row in self._data_rows() if line in lines)

    def _position(self) -> int:
        return self.size if self._raw is None or self._raw.closed else self._raw.tell()

    def _data_rows(self) -> Iterator[tuple[int, list[str]]]:
        rows = self._rows()
        if self.spec.header:
            next(rows, None)
        return rows

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Each row with the line where it begins; blank lines are left out."""
        name = self.path.name
        line = 1
        with self.path.open("rb") as raw:
            self._raw = raw
            text = io.TextIOWrapper(raw, encoding=self.spec.encoding, newline="")
            reader = csv.reader(
                _without_nul(text, name), delimiter=self.spec.delimiter, strict=True
            )
            try:
                for row in reader:
                    if row:
                        yield line, row
                    line = reader.line_num + 1
            except UnicodeError:
                raise undecodable(self.path, self.spec.encoding) from None
            except csv.Error as error:
                raise ImportFailed(
                    f"{name}, line {line}: {error}: check the quotes of the row that begins there."
                ) from None


def _without_nul(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    for number, line in enumerate(text, 1):
        if "\0" in line:
            raise ImportFailed(
                f"{name}, line {number}: holds a NUL character, so it is not a CSV file in this "
                "encoding: save it as CSV, or set the encoding (utf-16?)."
            )
        yield line


def undecodable(path: Path, encoding: str) -> ImportFailed:
    """Find the first byte that is not in ``encoding``, and guess what the file is in."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, seen = 1, 0
    with path.open("rb") as raw:
        while True:
            block = raw.read(_BLOCK)
            seen += len(block)
            try:
                line += decoder.decode(block, final=not block).count("\n")
            except UnicodeDecodeError as error:
                line += error.object[: error.start].decode(encoding, "replace").count("\n")
                offset = seen - len(error.object) + error.start
                break
            except UnicodeError:  # utf-16 without a byte order mark has no position
                offset = 0
                break
            if not block:
                return ImportFailed(f"{path.name}: changed while it was read: try again.")
    return ImportFailed(
        f"{path.name}, line {line}, byte {offset + 1} of the file: is not {encoding}: set the "
        f"encoding to {_guess(path, offset)} (--encoding, or encoding under [file])."
    )


def _guess(path: Path, offset: int) -> str:
    with path.open("rb") as raw:
        mark = raw.read(2)
        raw.seek(max(0, offset - 200))
        sample = raw.read(4000)
    if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    # most Chinese characters are two bytes at or above 0xA1 (GBK); a Western text has few in a row
    high = [b >= 0xA1 for b in sample]
    pairs = sum(1 for a, b in itertools.pairwise(high) if a and b)
    return "gb18030" if pairs * 2 > sum(high) else "cp1252"
