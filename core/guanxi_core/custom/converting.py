"""Giving the values of a custom field another kind, as imports would read them from text."""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from guanxi_core.custom import keeping
from guanxi_core.custom.definitions import Definition, custom_values
from guanxi_core.importing.errors import BadValue
from guanxi_core.importing.values import parser
from guanxi_core.plugin.fields import CustomFieldChange, CustomFieldLoss
from guanxi_sdk import Model

#: Rows that are converted at a time, and examples that are told.
_CHUNK: Final = 5_000
_EXAMPLES: Final = 20
_SHOWN: Final = 100
#: While values are converted, they refer to what their definition was before.
DEFER: Final = f"SET CONSTRAINTS {keeping.OUTDATED} DEFERRED"
CHECK: Final = f"SET CONSTRAINTS {keeping.OUTDATED} IMMEDIATE"
_MINE: Final = "tenant_id = $1 AND field = $2"
_READ: Final = f'SELECT id, "{{0}}" AS value FROM guanxi_custom_value WHERE {_MINE} ORDER BY id'  # noqa: S608  put together from constants
#: What others are writing at the moment is waited for, and converted as they leave it; who writes
#: later waits, and finds the reference gone.
_HOLD: Final = f"{_READ} FOR UPDATE"
_DELETE: Final = f"DELETE FROM guanxi_custom_value WHERE {_MINE} AND id = ANY ($3)"  # noqa: S608  likewise
_COUNT: Final = f"SELECT count(*) FROM guanxi_custom_value WHERE {_MINE}"  # noqa: S608  likewise

Convert = Callable[[Any], Any]


async def count(connection: Any, tenant_id: UUID, definition: Definition) -> int:
    """How many rows have a value."""
    found: int = await connection.fetchval(_COUNT, tenant_id, definition.key)
    return found


async def convert(
    connection: Any,
    tenant_id: UUID,
    before: Definition,
    after: Definition,
    model: type[Model],
    *,
    write: bool,
) -> CustomFieldChange:
    """Convert all values, or with ``write=False`` only see which could be."""
    make = converter(before, after, model)
    read = _HOLD if write else _READ
    cursor = await connection.cursor(read.format(before.column), tenant_id, before.key)
    converted = lost = 0
    examples: list[CustomFieldLoss] = []
    while rows := await cursor.fetch(_CHUNK):
        values, losses = await asyncio.to_thread(_each, make, rows)
        converted += len(values)
        lost += len(losses)
        for _, value, reason in losses[: _EXAMPLES - len(examples)]:
            text = spelled(before.kind, value)[:_SHOWN]
            examples.append(CustomFieldLoss(value=text, reason=reason))
        if write:
            given = keeping.given((row_id, after, value) for row_id, value in values)
            ends = rows[0]["id"], rows[-1]["id"]
            await connection.execute(keeping.REPLACE, tenant_id, after.key, given, *ends)
            await connection.execute(
                _DELETE, tenant_id, after.key, [row_id for row_id, *_ in losses]
            )
    return CustomFieldChange(converted=converted, lost=lost, examples=examples)


def _each(
    make: Convert, rows: Iterable[Any]
) -> tuple[list[tuple[UUID, Any]], list[tuple[UUID, Any, str]]]:
    values: list[tuple[UUID, Any]] = []
    losses: list[tuple[UUID, Any, str]] = []
    for row in rows:
        try:
            values.append((row["id"], make(row["value"])))
        except BadValue as error:
            losses.append((row["id"], row["value"], str(error)))
    return values, losses


def converter(before: Definition, after: Definition, model: type[Model]) -> Convert:
    """From a value of the former kind to one of the new; raises BadValue for what does not fit.

    A value goes by its text, and comes back as what an import reads there, so that nothing is
    rounded or cut off.
    """
    parse = parser(custom_values(after, model).field)

    def make(value: Any) -> Any:
        if before.kind == "bool" and after.kind in ("int", "float"):
            return parse(str(int(value)))
        if before.kind == "datetime" and after.kind == "date":
            value = value.astimezone(dt.UTC)
            if value.time() != dt.time(0):
                raise BadValue(f"'{spelled('datetime', value)}' is not the beginning of a day")
            return value.date()
        text = spelled(before.kind, value).strip()
        if not text:
            raise BadValue("is blank")
        return parse(text)

    return make


def spelled(kind: str, value: Any) -> str:
    """A stored value as text."""
    if kind == "bool":
        return "true" if value else "false"
    if kind == "float":
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    if kind == "datetime":
        return str(value.astimezone(dt.UTC).isoformat())
    return str(value)
