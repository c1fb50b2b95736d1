"""Rows that a statement is given as JSON: one bound value for any number of them."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSON


def rows_of_json(name: str, columns: list[sa.Column[Any]]) -> sa.TableValuedAlias:
    """The rows of a JSON array, given as text in the parameter ``name``."""
    return rows_in(sa.bindparam(name, type_=sa.Text), columns, f"given_{name}")


def rows_in(
    text: sa.ColumnElement[str], columns: list[sa.Column[Any]], alias: str
) -> sa.TableValuedAlias:
    """The rows of a JSON array."""
    return (
        sa.func.json_to_recordset(sa.cast(text, JSON))
        .table_valued(*(sa.column(column.name, column.type) for column in columns))
        .render_derived(name=alias, with_types=True)
    )
