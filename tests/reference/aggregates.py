"""Aggregates of the reference executor: what rows in memory come to, added up in Python."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from graphql import GraphQLObjectType, get_named_type

from guanxi_sdk import Invalid, Model, Money
from guanxi_sdk._docs import camel, snake
from reference.worlds import Row

if TYPE_CHECKING:
    from reference.oracle import Oracle

#: How many groups there are at most.
DEFAULT, LARGEST = 50, 500


@dataclass
class Grouping:
    """The arguments of an aggregate, checked."""

    attributes: list[str]
    bucket: str
    order: str
    first: int


class Rows:
    """Some rows, and what they come to."""

    def __init__(self, oracle: "Oracle", model: type[Model], rows: Sequence[Row]) -> None:
        self.oracle = oracle
        self.model = model
        self.rows = rows

    def get(self, name: str) -> Any:
        """One field of an aggregate or a group."""
        return len(self.rows) if name == "count" else Values(self)


@dataclass
class Values:
    """The figures of all fields."""

    of: Rows

    def get(self, name: str) -> Any:
        """The figures of one field."""
        oracle, model = self.of.oracle, self.of.model
        oracle.demand(model, name)
        type_ = oracle.schema.type_map[f"{model.info.name}AggregateValues"]
        assert isinstance(type_, GraphQLObjectType)
        kind = get_named_type(type_.fields[name].type).name
        values = [
            value for row in self.of.rows if (value := oracle.value(row, snake(name))) is not None
        ]
        if kind == "MoneyAggregate":
            codes = sorted({value.currency for value in values})
            return [
                _of_money(code, [v.minor for v in values if v.currency == code]) for code in codes
            ]
        return _figures(kind, values)


class Group(Rows):
    """The rows that have a key in common."""

    def __init__(self, of: Rows, rows: Sequence[Row], key: Mapping[str, Any]) -> None:
        super().__init__(of.oracle, of.model, rows)
        self.key = key  # by attribute

    def get(self, name: str) -> Any:
        """One field."""
        return Key(self) if name == "key" else super().get(name)


@dataclass
class Key:
    """What the rows of a group share."""

    of: Group

    def get(self, name: str) -> Any:
        """One part of it, null for what the rows were not grouped by."""
        found = self.of.oracle.reference(self.of.model, name)
        if found is not None:
            target, column = found
            return self.of.oracle.world.find(target, self.of.key.get(column))
        return self.of.key.get(snake(name))


class Aggregate(Rows):
    """All rows, with their groups."""

    def __init__(
        self, oracle: "Oracle", model: type[Model], rows: Sequence[Row], by: Grouping
    ) -> None:
        super().__init__(oracle, model, rows)
        self.by = by

    def get(self, name: str) -> Any:
        """One field."""
        if name not in ("groups", "groupCount"):
            return super().get(name)
        groups = self._groups()
        return len(groups) if name == "groupCount" else groups[: self.by.first]

    def _groups(self) -> list[Group]:
        if not self.by.attributes:
            return []
        found: dict[tuple[Any, ...], list[Row]] = {}
        for row in self.rows:
            key = tuple(self._part(row, attribute) for attribute in self.by.attributes)
            found.setdefault(key, []).append(row)
        keys = sorted(found, key=lambda key: self._position(key, len(found[key])))
        return [
            Group(self, found[key], dict(zip(self.by.attributes, key, strict=True))) for key in keys
        ]

    def _part(self, row: Row, attribute: str) -> Any:
        value = self.oracle.value(row, attribute)
        return _bucket(value, self.by.bucket) if isinstance(value, dt.date) else value

    def _position(self, key: tuple[Any, ...], count: int) -> tuple[Any, ...]:
        by, _, way = self.by.order.partition("_")
        turned = by == "KEY" and way == "DESC"
        parts = tuple(self.oracle.place(part, turned=turned) for part in key)
        if by == "KEY":
            return parts
        return (count if way == "ASC" else -count, *parts)


def grouping(oracle: "Oracle", model: type[Model], arguments: Mapping[str, Any]) -> Grouping:
    """The arguments of an aggregate, or the refusal they deserve."""
    first = arguments.get("first")
    first = DEFAULT if first is None else first
    if not 0 <= first <= LARGEST:
        raise Invalid("first", "is no number of groups")
    attributes = []
    for name in dict.fromkeys(arguments.get("groupBy") or ()):
        oracle.permit_order(model, name.lower())
        found = oracle.reference(model, camel(name.lower()))
        attributes.append(found[1] if found else name.lower())
    return Grouping(
        attributes, arguments.get("bucket") or "DAY", arguments.get("orderBy") or "KEY_ASC", first
    )


def _bucket(value: dt.date, bucket: str) -> dt.date:
    """The first day of the day, week, month, quarter or year; of times, in UTC."""
    if isinstance(value, dt.datetime):
        value = value.astimezone(dt.UTC).date()
    if bucket == "WEEK":
        return value - dt.timedelta(days=value.isocalendar().weekday - 1)
    if bucket == "DAY":
        return value
    month = {"MONTH": value.month, "QUARTER": (value.month - 1) // 3 * 3 + 1, "YEAR": 1}[bucket]
    return value.replace(month=month, day=1)


def _figures(kind: str, values: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "count": len(values), "min": min(values, default=None), "max": max(values, default=None),
        "sum": None, "avg": None,
    }  # fmt: skip
    if values and kind in ("IntAggregate", "FloatAggregate"):
        total = sum(Fraction(Decimal(repr(value))) for value in values)
        try:
            found["sum"] = float(total)
        except OverflowError:
            return found
        found["avg"] = found["sum"] / len(values)
    return found


def _of_money(currency: str, minors: Sequence[int]) -> dict[str, Any]:
    total, count = sum(minors), len(minors)
    rounded = (2 * abs(total) + count) // (2 * count)  # half a unit away from zero
    return {
        "currency": currency,
        "count": count,
        "sum": Money(total, currency),
        "avg": Money(rounded if total >= 0 else -rounded, currency),
        "min": Money(min(minors), currency),
        "max": Money(max(minors), currency),
    }
