"""Small tools for statements about many customers: layers of columns, sentences, reasons."""

from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from guanxi_sdk.values import MINOR_DIGITS
from guanxi_tiers.strategy import Because, Text

#: A subquery with one row per customer, to which strategies add columns.
Rows = sa.Subquery


def layer(rows: Rows, columns: Mapping[str, Any], name: str) -> Rows:
    """``rows`` with more columns.

    OFFSET 0 keeps PostgreSQL from working a column out again wherever the next layers use it.
    """
    added = [value.label(label) for label, value in columns.items()]
    return sa.select(*rows.c, *added).offset(0).subquery(name)


def in_order(
    found: sa.Select[*tuple[Any, ...]], by: sa.ColumnElement[Any]
) -> sa.Select[*tuple[Any, ...]]:
    """``found``, all of it before the first row of it is saved.

    Else a table that is looked at and written by one statement grows while it is looked through,
    again for every row.
    """
    return found.order_by(by)


def beside(rows: Rows, condition: sa.ColumnElement[bool], **columns: Any) -> sa.FromClause:
    """The one row of another table, if there is one, for each of ``rows``; by its id.

    A join would do the same, and PostgreSQL would look through all rows of the tenant for each as
    long as it believes that there are hardly any: they are new, or so is the tenant.
    """
    found = sa.select(*(column.label(name) for name, column in columns.items())).where(condition)
    return found.correlate(rows).offset(0).lateral(f"beside_{rows.name}")


def text(value: Any) -> Text:
    """A Python value as a text, or an expression as it is written."""
    if isinstance(value, sa.SQLColumnExpression):  # an attribute of a model is one as well
        return sa.cast(value, sa.Text)
    return sa.literal(str(value), sa.Text)


def sentence(template: str, *values: Any) -> Text:
    """``template`` with expressions in place of ``{}``, or of ``{0}`` and so on, by their order."""
    parts: list[Text] = []
    number = 0
    for literal, field, _, _ in Formatter().parse(template):
        if literal:
            parts.append(text(literal))
        if field is not None:
            parts.append(text(values[int(field or number)]))
            number += 1
    return sa.func.concat(*parts, type_=sa.Text)


def json_object(**values: Any) -> sa.ColumnElement[Any]:
    """A JSON object of expressions by name."""
    pairs = [part for name, value in values.items() for part in (text(name), value)]
    return sa.func.jsonb_build_object(*pairs, type_=JSONB)


def json_array(*items: Any) -> sa.ColumnElement[Any]:
    """A JSON array of expressions."""
    return sa.func.jsonb_build_array(*items, type_=JSONB)


def joined(*arrays: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """One JSON array of several."""
    whole = arrays[0]
    for array in arrays[1:]:
        whole = whole.op("||", return_type=JSONB())(array)
    return whole


def reasons(given: Sequence[Because]) -> sa.ColumnElement[Any]:
    """Reasons as the JSON array that columns of :class:`TierReason` hold."""
    arrays = []
    for one in given:
        made = json_array(
            json_object(
                code=text(one.code),
                message=sentence(one.message, *one.values),
                message_zh=sentence(one.message_zh, *one.values),
            )
        )
        arrays.append(made if one.when is None else sa.case((one.when, made), else_=json_array()))
    return joined(*arrays) if arrays else json_array()


def exact(number: int) -> sa.ColumnElement[Any]:
    """A whole number of any size."""
    return sa.cast(sa.literal(str(number), sa.Text), sa.Numeric)


def digits_of(currency: str) -> int:
    """How many decimals an amount in ``currency`` has."""
    return MINOR_DIGITS.get(currency, 2)


def amount(minor: sa.ColumnElement[Any], currency: str) -> Text:
    """Minor units as people write them, with the currency: `CNY 1200.00`."""
    digits = digits_of(currency)
    major = sa.cast(minor, sa.Numeric) / exact(10**digits)
    return sentence("{} {}", currency, sa.func.round(major, digits, type_=sa.Numeric))


def id_of(*parts: sa.SQLColumnExpression[Any]) -> sa.ColumnElement[UUID]:
    """An id that is always the same for the same parts, so that a row is written only once."""
    joined_parts = sa.func.concat_ws(" ", *(text(part) for part in parts))
    return sa.cast(sa.func.md5(joined_parts), sa.Uuid)
