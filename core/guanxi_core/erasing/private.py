"""Texts that plugins keep to themselves: nobody else could read or clear what they say of a person.

Copies of events are an example, and so is whatever waits to be sent.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from guanxi_core.erasing.blanks import ERASED
from guanxi_core.erasing.report import ErasedRows
from guanxi_core.erasing.traces import blanked
from guanxi_core.erasing.words import Owner, Speaker, field_of, finder, says
from guanxi_core.plugin import NAME as CORE
from guanxi_sdk.erasure import HOUSEKEEPING

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext


async def rewrite(
    ctx: "TransactionContext",
    owners: Sequence[Owner],
    erased: Mapping[Speaker, set[UUID]],
    names: set[str],
) -> list[ErasedRows]:
    """Take ``names`` out of all private texts of plugins but those of the rows that are erased."""
    pattern = finder(names)
    if pattern is None:
        return []
    spelled = {
        json.dumps(name, ensure_ascii=plain)[1:-1] for name in names for plain in (False, True)
    }
    sought = sorted(names | spelled)
    found: list[ErasedRows] = []
    for owner, column in _private(owners):
        table, text = owner.info.table, _text(column)
        rows = await ctx.db.execute_core(
            sa.select(table.c.id, text.label("text"))
            .where(
                table.c.tenant_id == ctx.tenant.id,
                table.c.id != sa.all_(sa.literal(list(erased.get(owner, ())), ARRAY(sa.Uuid))),
                sa.or_(*(sa.func.strpos(text, word) > 0 for word in sought)),
            )
            .order_by(table.c.id)
            .with_for_update()
        )
        changed = 0
        for identity, before in rows.all():
            if (after := _without(before, pattern)) != before:
                changed += 1
                mine = (table.c.tenant_id == ctx.tenant.id, table.c.id == identity)
                statement = sa.update(table).where(*mine).values({column: _value(column, after)})
                await ctx.db.execute_core(statement)
        if changed:
            names_of = [field_of(owner, column.name)]
            found.append(
                ErasedRows(model=owner.info.name, deleted=0, blanked=changed, fields=names_of)
            )
    return found


def _private(owners: Collection[Owner]) -> Iterator[tuple[Owner, Any]]:
    """Columns of plugins that hold words, and that no caller can see."""
    for owner in owners:
        info = owner.info
        seen = {column for field in info.fields.values() for column in field.columns}
        seen |= HOUSEKEEPING | {one.column for one in info.references.values()}
        for column in info.table.c:
            if info.plugin != CORE and column.name not in seen and says(owner, column):
                yield owner, column


def _text(column: sa.Column[Any]) -> sa.ColumnElement[str]:
    """A column as text; a list as JSON."""
    if isinstance(column.type, sa.ARRAY):
        return sa.cast(sa.func.to_json(column), sa.Text)
    return sa.cast(column, sa.Text)


def _value(column: sa.Column[Any], text: str) -> sa.ColumnElement[Any]:
    """Such a text as a value of the column."""
    if isinstance(column.type, sa.ARRAY):
        return sa.literal(json.loads(text), ARRAY(sa.Text))
    if isinstance(column.type, sa.String):
        return sa.literal(text, sa.Text)
    return sa.cast(sa.literal(text, sa.Text), JSONB)


def _without(text: str, pattern: Any) -> str:
    """A text without names; in JSON, values that hold one are blanked whole."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = None
    if not isinstance(value, dict | list):
        return str(pattern.sub(ERASED, text))
    blank = blanked(value, None, False, pattern)
    return text if blank == value else msgspec.json.encode(blank).decode()
