"""What the values of one field come to, as SQL over the rows of a group."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from graphql import FieldNode

from guanxi_graphql.compile.filters import _TYPES
from guanxi_graphql.compile.json_text import Parts, constant, object_of, quoted
from guanxi_graphql.compile.scope import as_text, money_text
from guanxi_graphql.schema.bindings import Expression, Stored

if TYPE_CHECKING:
    from guanxi_graphql.compile.selections import Selections

#: What is too large for a Float, also when it is rounded; and what counts as nothing: PostgreSQL
#: refuses what it would have to round to nothing.
_BEYOND = sa.literal_column(str(2**1024 - 2**970), sa.Numeric)
_NOTHING = sa.literal_column("1e-300", sa.Numeric)
_ONE, _TWO = (sa.literal_column(digit, sa.Numeric) for digit in "12")


@dataclass(frozen=True, slots=True)
class Figure:
    """The figures of one field."""

    name: str  # the column that holds them
    binding: Stored | Expression
    inputs: tuple[Any, ...]  # labelled columns of each row
    currency: str | None  # the label of the currency
    of: Callable[[Any], Any]  # the JSON text of a group, from the rows' labelled columns


def figures_of(
    selections: "Selections", binding: Stored | Expression, number: int, kind: str, value: Any,
    currency: Any, nodes: Sequence[FieldNode],
) -> Figure:  # fmt: skip
    """The figures of a comparable field that ``nodes`` select."""
    name, label, code = f"f{number}", f"v{number}", f"c{number}"
    sets = [n.selection_set for n in nodes]
    if kind == "money":
        fields = selections.collect("MoneyAggregate", sets)
        known = sa.type_coerce(currency, sa.Text)  # an amount without one is no Money
        inputs = (
            sa.type_coerce(value, sa.BigInteger).label(label),
            sa.case((value.is_not(None), known)).label(code),
        )

        def of_money(rows: Any) -> Any:
            forms = _money(rows.c[label], rows.c[code])
            columns = [
                (key, _amount(selections, same, form, rows.c[code]))
                if isinstance(form := forms[same[0].name.value], _Minor)
                else (key, form)
                for key, same in fields.items()
            ]
            return object_of(columns).expression

        return Figure(name, binding, inputs, code, of_money)
    type_name = {"int": "Int", "float": "Float", "date": "Date", "datetime": "DateTime"}[kind]
    fields = selections.collect(f"{type_name}Aggregate", sets)

    def of(rows: Any) -> Any:
        column = rows.c[label]
        forms = {
            "__typename": constant(f"{type_name}Aggregate"), "count": sa.func.count(column),
            "min": sa.func.min(column), "max": sa.func.max(column),
        }  # fmt: skip
        if kind in ("int", "float"):
            exact, total = _sum(kind, column)
            forms |= {"sum": exact, "avg": total / sa.cast(sa.func.count(column), sa.Float(53))}
        return object_of([(k, forms[same[0].name.value]) for k, same in fields.items()]).expression

    column = sa.type_coerce(value, _TYPES[kind]).label(label)
    return Figure(name, binding, (column,), None, of)


def _sum(kind: str, column: Any) -> tuple[Any, Any]:
    """The sum as it is told, and as a Float to divide.

    Floats are added as the decimals that they are shown as: exactly, so that the order of the rows
    makes no difference, and beyond what a Float holds. Then the sum is null.
    """
    if kind == "int":
        total: Any = sa.func.sum(column)
        return sa.type_coerce(total, sa.BigInteger), sa.cast(total, sa.Float(53))
    exact: Any = sa.func.sum(sa.cast(as_text(column), sa.Numeric))
    size = sa.func.abs(exact)
    total = sa.case(
        (size < _NOTHING, sa.literal_column("0", sa.Float(53))),
        (size < _BEYOND, sa.cast(exact, sa.Float(53))),
    )
    return total, total


@dataclass(frozen=True, slots=True)
class _Minor:
    """An amount in minor units."""

    expression: Any


def _money(minor: Any, currency: Any) -> dict[str, Any]:
    total: Any = sa.cast(sa.func.sum(minor), sa.Numeric)
    count: Any = sa.cast(sa.func.count(minor), sa.Numeric)
    # half a unit away from zero, in whole numbers: a quotient's digits would be rounded already
    units = sa.func.div(sa.func.abs(total) * _TWO + count, count * _TWO, type_=sa.Numeric)
    return {
        "__typename": constant("MoneyAggregate"),
        "currency": currency,
        "count": sa.func.count(minor),
        "sum": _Minor(total),
        "avg": _Minor(sa.func.sign(total, type_=sa.Numeric) * units),
        "min": _Minor(sa.func.min(minor)),
        "max": _Minor(sa.func.max(minor)),
    }


def _amount(
    selections: "Selections", nodes: Sequence[FieldNode], minor: _Minor, currency: Any
) -> Parts:
    forms = {
        "__typename": constant("Money"),
        "amount": quoted(money_text(minor.expression, currency)),
        "currency": currency,
    }
    fields = selections.collect("Money", [n.selection_set for n in nodes])
    return object_of([(key, forms[same[0].name.value]) for key, same in fields.items()])
