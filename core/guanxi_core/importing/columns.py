"""Cells of one attribute as what its columns store, a chunk at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from guanxi_core.importing.errors import BadValue, ImportFailed
from guanxi_core.importing.formulas import unguarded
from guanxi_core.importing.lines import LinesFile, Sums
from guanxi_core.importing.mapping import FileSpec, text_of
from guanxi_core.importing.planning import FieldPlan, Step, parse_constant
from guanxi_core.importing.reading import CsvFile
from guanxi_core.importing.values import PLAIN, money, parser, rounded_money
from guanxi_sdk.info import FieldInfo

Cells = Sequence[tuple[str, ...]]  # by column
Bad = dict[int, list[str]]  # what is wrong with the row at a position of the chunk
Source = Callable[[Cells, int], Sequence[str]]
Convert = Callable[[Cells, int, Bad], list[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class StagedColumn:
    """A column of the staging table."""

    name: str
    type: sa.types.TypeEngine[Any]


@dataclass(frozen=True, slots=True)
class Converter:
    """Makes the values of one attribute's columns for a whole chunk."""

    plan: FieldPlan
    columns: tuple[StagedColumn, ...]
    convert: Convert


def lookup_column(column: str) -> str:
    """The staging column that holds what a reference is looked up by."""
    return f"{column}__by"


def stored_default(value: Any) -> Any:
    """A model's default as its column stores it: a list for an array."""
    return list(value) if isinstance(value, tuple) else value


def _staged(name: str, field: FieldInfo, type_: sa.types.TypeEngine[Any]) -> StagedColumn:
    """Plain types where the model's own would bring a constraint or a conversion along."""
    if field.kind == "choice":
        return StagedColumn(name, sa.Text())
    return StagedColumn(name, JSONB() if field.kind == "values" else type_)


class Converters:
    """Makes the converters of one step; every column they name is checked then."""

    def __init__(self, step: Step, file: CsvFile, currency: str) -> None:
        self.empty = frozenset(step.file.empty) | {""}
        self.lines: dict[str, LinesFile] = {}
        self.sums: dict[str, Sums] = {}  # filled before the first row is converted
        self._step = step
        self._file = file
        self._currency = currency

    def make(self, plan: FieldPlan) -> Converter:
        """The converter of one attribute."""
        try:
            return self._make(plan)
        except ImportFailed as error:
            raise plan.failure(str(error)) from None

    def _make(self, plan: FieldPlan) -> Converter:
        if plan.lookup is not None:
            target = plan.lookup.attribute
            there = plan.lookup.reference.target.info.table
            column = _staged(lookup_column(plan.info.name), target, there.c[target.columns[0]].type)
            return Converter(plan, (column,), self._simple(plan, parser(target)))
        columns = tuple(
            _staged(name, plan.info, self._type(plan, name)) for name in plan.info.columns
        )
        if plan.spec.sum_of:
            return Converter(plan, columns, self._sum(plan))
        if plan.info.kind == "money":
            return Converter(plan, columns, self._money(plan))
        return Converter(plan, columns, self._simple(plan, parser(plan.info, plan.spelled)))

    def _type(self, plan: FieldPlan, column: str) -> sa.types.TypeEngine[Any]:
        custom = self._step.custom.get(plan.info.name)
        table = self._step.info.table if custom is None else custom.info.table
        return table.c[column].type

    def _source(self, plan: FieldPlan) -> Source:
        """The texts of a column or of several joined, stripped; empty ones are ``""``."""
        spec, empty = plan.spec, self.empty
        translate: Mapping[str, str] = {k: text_of(v) or "" for k, v in spec.values.items()}
        if spec.join:
            indexes = [self._file.index(name) for name in spec.join]

            def texts(cells: Cells, count: int) -> Sequence[str]:
                stripped = [_texts(cells[i]) for i in indexes]
                return [
                    spec.joiner.join(part for part in parts if part not in empty)
                    for parts in zip(*stripped, strict=True)
                ]
        else:
            index = self._file.index(spec.column or spec.key or "")

            def texts(cells: Cells, count: int) -> Sequence[str]:
                column = _texts(cells[index])
                if len(empty) > 1:
                    column = ["" if t in empty else t for t in column]
                return column

        if not translate:
            return texts
        return lambda cells, count: [translate.get(t, t) for t in texts(cells, count)]

    def _absent(self, plan: FieldPlan) -> tuple[Any, str | None]:
        """What an empty cell stands for: a value, or the reason why it must not be empty."""
        default = text_of(plan.spec.default)
        if default:
            return parse_constant(plan, default, plan.spec.currency or self._currency), None
        if plan.info.default is not None:
            return stored_default(plan.info.default), None
        required = not plan.info.nullable
        return None, "is missing" if required else None

    def _simple(self, plan: FieldPlan, parse: Callable[[str], Any]) -> Convert:
        name = plan.info.name
        if plan.spec.constant is not None:
            value = parse_constant(plan, text_of(plan.spec.constant) or "", None)
            return lambda cells, count, bad: [[value] * count]
        source = self._source(plan)
        absent, missing = self._absent(plan)

        def convert(cells: Cells, count: int, bad: Bad) -> list[Sequence[Any]]:
            texts = source(cells, count)
            if missing is None or all(texts):
                try:
                    return [[parse(text) if text else absent for text in texts]]
                except BadValue:
                    pass  # slowly, to find out where
            values: list[Any] = []
            for position, text in enumerate(texts):
                value = absent
                if text:
                    try:
                        value = parse(text)
                    except BadValue as error:
                        bad.setdefault(position, []).append(f"{name} {error}")
                elif missing:
                    bad.setdefault(position, []).append(f"{name} {missing}")
                values.append(value)
            return [values]

        return convert

    def _currencies(self, plan: FieldPlan) -> Source:
        fixed = plan.spelled.currency or self._currency
        if plan.spec.currency_column is None:
            return _constant(fixed)
        index = self._file.index(plan.spec.currency_column)
        return lambda cells, count: [t.strip().upper() or fixed for t in cells[index]]

    def _money(self, plan: FieldPlan) -> Convert:
        name = plan.info.name
        currencies = self._currencies(plan)
        constant = text_of(plan.spec.constant)
        source = _constant(constant) if constant is not None else self._source(plan)
        spelled = PLAIN if constant is not None else plan.spelled
        absent, missing = self._absent(plan)

        def convert(cells: Cells, count: int, bad: Bad) -> list[Sequence[Any]]:
            minors: list[int | None] = []
            units: list[str | None] = []
            pairs = zip(source(cells, count), currencies(cells, count), strict=True)
            for position, (text, currency) in enumerate(pairs):
                value = absent
                try:
                    if text:
                        value = money(text, currency, spelled)
                    elif missing:
                        raise BadValue(missing)
                except BadValue as error:
                    bad.setdefault(position, []).append(f"{name} {error}")
                minors.append(value.minor if value else None)
                units.append(value.currency if value else None)
            return [minors, units]

        return convert

    def _sum(self, plan: FieldPlan) -> Convert:
        name, spec = plan.info.name, plan.spec
        lines = self._file.path.with_name(spec.file or "")
        beside = FileSpec(encoding=self._file.spec.encoding, delimiter=self._file.spec.delimiter)
        self.lines[name] = LinesFile(lines, beside, spec.key or "", spec.sum_of, plan.spelled)
        source, currencies = self._source(plan), self._currencies(plan)

        def convert(cells: Cells, count: int, bad: Bad) -> list[Sequence[Any]]:
            sums = self.sums[name]
            amounts: list[Any] = []
            pairs = zip(source(cells, count), currencies(cells, count), strict=True)
            for position, (key, currency) in enumerate(pairs):
                value = None
                try:
                    value = _summed(plan, sums.of(key), currency)
                except BadValue as error:
                    bad.setdefault(position, []).append(f"{name} {error}")
                amounts.append(value)
            if plan.info.kind != "money":
                return [amounts]
            return [
                [value.minor if value else None for value in amounts],
                [value.currency if value else None for value in amounts],
            ]

        return convert


def _summed(plan: FieldPlan, amount: Decimal, currency: str) -> Any:
    if plan.info.kind == "money":
        return rounded_money(amount, currency)
    return parser(plan.info)(f"{amount:f}")


def _texts(column: Sequence[str]) -> list[str]:
    """Cells without blanks around them, and without what keeps spreadsheets from running them."""
    stripped = [cell.strip() for cell in column]
    return [unguarded(text) if text[:1] == "'" else text for text in stripped]


def _constant(text: str) -> Source:
    return lambda cells, count: [text] * count
