"""Sums over a second file: an order's total from the file of its lines."""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from guanxi_core.importing.errors import BadValue, ImportFailed
from guanxi_core.importing.mapping import FileSpec
from guanxi_core.importing.reading import CsvFile
from guanxi_core.importing.values import Format, decimal_number

_OFFSET = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([-+])\s*(\S.*)")


@dataclass(frozen=True, slots=True)
class _Factor:
    """A column of the lines, or a constant plus or minus one: ``1 - Discount``."""

    column: str
    index: int
    constant: Decimal = Decimal(0)
    sign: int = 1

    def value(self, row: list[str], spelled: Format) -> Decimal:
        number = decimal_number(row[self.index].strip(), spelled)
        return self.constant + self.sign * number


def _factor(text: str, file: CsvFile) -> _Factor:
    match = _OFFSET.fullmatch(text.strip())
    if text not in file.columns and match:
        column = match[3].strip()
        sign = -1 if match[2] == "-" else 1
        return _Factor(column, file.index(column), Decimal(match[1]), sign)
    return _Factor(text, file.index(text))


@dataclass(slots=True)
class Sums:
    """For each key of the lines' file, the exact sum of the products of its factors."""

    name: str
    key: str
    totals: dict[str, Decimal] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def of(self, key: str) -> Decimal:
        """The sum of one row's lines; raises :class:`BadValue` when there is none."""
        self.used.add(key)
        if key in self.wrong:
            raise BadValue(self.wrong[key])
        if key not in self.totals:
            raise BadValue(f"has no lines in {self.name} where {self.key} is '{key[:60]}'")
        return self.totals[key]

    def warning(self) -> str | None:
        """Say so when lines belong to no row."""
        orphans = self.totals.keys() - self.used
        if not orphans:
            return None
        return (
            f"{self.name}: the lines of {len(orphans)} {self.key} were not counted, because the "
            f"file of the rows has none such (for instance {min(orphans)})."
        )


class LinesFile:
    """The file of the lines; its names are checked at once, its rows are read by :meth:`sums`."""

    def __init__(
        self, path: Path, spec: FileSpec, key: str, factors: tuple[str, ...], spelled: Format
    ) -> None:
        self._file = CsvFile(path, spec)
        self._key = key
        self._index = self._file.index(key)
        self._factors = [_factor(text, self._file) for text in factors]
        self._spelled = spelled

    def sums(self) -> Sums:
        """Read the whole file; only one number per key is kept."""
        result = Sums(self._file.path.name, self._key)
        totals, wrong, factors = result.totals, result.wrong, self._factors
        for chunk in self._file.chunks():
            for line, reason in chunk.ragged:
                raise ImportFailed(f"{result.name}, line {line}: {reason}.")
            for line, row in zip(chunk.lines, chunk.rows, strict=True):
                key = row[self._index].strip()
                product = Decimal(1)
                for factor in factors:
                    try:
                        product *= factor.value(row, self._spelled)
                    except BadValue as error:
                        problem = f"{result.name}, line {line}: {factor.column} {error}"
                        wrong.setdefault(key, problem)
                totals[key] = totals.get(key, Decimal(0)) + product
        return result
