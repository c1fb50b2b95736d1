"""Keeping the tokens of searched texts beside the rows, in the transaction that writes them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert
from sqlalchemy.orm.attributes import instance_state

from guanxi_core.custom.definitions import CustomValues
from guanxi_core.custom.keeping import forgotten
from guanxi_core.json_rows import rows_of_json
from guanxi_core.search.tokens import tokens_of
from guanxi_core.system_tables import search_table
from guanxi_sdk import Extension, Model

Owner = type[Model] | type[Extension] | CustomValues
#: A text of a row: the row, the name of the field, and what it says.
Text = tuple[UUID | None, str, str | None]

#: What the tokens of a text are given as: see :attr:`Tokens.lines`.
GIVEN: Final = [
    sa.Column("id", sa.Uuid),
    sa.Column("field", sa.Text),
    sa.Column("length", sa.SmallInteger),
    sa.Column("lines", sa.Text),
    sa.Column("lowest", sa.SmallInteger),
    sa.Column("highest", sa.SmallInteger),
]
_COLUMNS: Final = ("tenant_id", "id", "field", "length", "place", "token", "written")


def field_name(owner: Owner, attribute: str) -> str:
    """What the table calls a field: by its GraphQL type, which no other plugin can have."""
    info = owner.info
    return f"{(info.of.info if info.of else info).name}.{attribute}"


def given(texts: Iterable[Text]) -> str:
    """The tokens of texts as JSON."""
    rows = []
    for row_id, field, text in texts:
        tokens = tokens_of(text)
        rows.append(
            {"id": row_id, "field": field, "length": tokens.length, "lines": tokens.lines,
             "lowest": min(tokens.place, default=0), "highest": max(tokens.place, default=-1)}
        )  # fmt: skip
    return msgspec.json.encode(rows).decode()


def insertion(tenant: Any, id: Any, field: Any, length: Any, lines: Any, rows: Any) -> Insert:
    """Insert the tokens in ``lines`` for ``rows``."""
    line = (
        sa.func.string_to_table(lines, sa.literal("\n", sa.Text))
        .table_valued(sa.column("text", sa.Text), name="each")
        .render_derived()
        .lateral()
    )
    part = [sa.func.split_part(line.c.text, sa.literal("\t", sa.Text), n) for n in (1, 2, 3)]
    source = (
        sa.select(tenant, id, field, length, sa.cast(part[0], sa.SmallInteger), *part[1:])
        .select_from(sa.join(rows, line, sa.true()))
        .where(lines != "")
    )
    return insert(search_table).from_select(_COLUMNS, source, include_defaults=False)


def changes(tenant: Any, row: Any, text: Any) -> tuple[sa.Delete, Insert]:
    """Both in one statement: give the tokens of ``text`` to ``row``, and take what is left over.

    A statement cannot delete a row and insert it again, so that the tokens are overwritten.
    """
    held = search_table.c
    mine = (held.tenant_id == tenant, held.id == row.c.id, held.field == text.c.field)
    over = sa.not_(held.place.between(text.c.lowest, text.c.highest))
    made = insertion(
        tenant, row.c.id, text.c.field, text.c.length, text.c.lines, sa.join(row, text, sa.true())
    )
    key = [search_table.c[name] for name in ("tenant_id", "id", "field", "place")]
    values = {name: made.excluded[name] for name in ("length", "token", "written")}
    return (
        sa.delete(search_table).where(*mine, over),
        made.on_conflict_do_update(index_elements=key, set_=values),
    )


def _statements() -> tuple[sa.Delete, Insert]:
    tenant, text = sa.bindparam("tenant", type_=sa.Uuid), rows_of_json("texts", GIVEN)
    table = search_table.c
    mine = (table.tenant_id == tenant, table.id == text.c.id, table.field == text.c.field)
    made = insertion(tenant, text.c.id, text.c.field, text.c.length, text.c.lines, text)
    return sa.delete(search_table).where(*mine), made


FORGET, KEEP = _statements()


def forget_rows(tenant_id: UUID, owner: Owner, ids: Collection[UUID]) -> sa.Delete:
    """Delete what is kept beside rows: tokens, and values of custom fields.

    Of a side table's rows these are the tokens of its own fields.
    """
    table, info = search_table.c, owner.info
    mine = sa.delete(search_table).where(
        table.tenant_id == tenant_id, table.id == sa.any_(_ids(ids))
    )
    if info.of is not None:
        return mine.where(table.field.in_([field_name(owner, name) for name in info.searched]))
    values = forgotten(tenant_id, info.name, ids)
    mine = mine.where(table.field >= f"{info.name}.", table.field < f"{info.name}/")
    return mine.add_cte(values.cte("values"))


def forget_fields(
    tenant_id: UUID, owner: Owner, columns: Collection[str], ids: Collection[UUID]
) -> sa.Delete | None:
    """Delete the tokens of some columns of rows; None where none of them is searched."""
    fields = [field_name(owner, name) for name in owner.info.searched if name in columns]
    if not fields:
        return None
    table = search_table.c
    return sa.delete(search_table).where(
        table.tenant_id == tenant_id, table.id == sa.any_(_ids(ids)), table.field.in_(fields)
    )


def _ids(ids: Collection[UUID]) -> Any:
    return sa.literal(list(ids), ARRAY(sa.Uuid))


def texts_of(owner: Owner, id: UUID, values: Mapping[str, Any]) -> Iterator[Text]:
    """The searched texts among ``values`` of a row."""
    for name in owner.info.searched:
        if name in values:
            yield id, field_name(owner, name), values[name]


def keep_flushed(session: Any) -> None:
    """Bring the tokens of what ``session`` has just written up to date."""
    tenant = session.tenant_id
    made = [
        text for row in session.new if row.info.searched
        for text in _texts(session, row, instance_state(row).dict)
    ]  # fmt: skip
    changed = [
        text for row in session.dirty if row.info.searched
        for text in _texts(session, row, _changed(row))
    ]  # fmt: skip
    for row in session.deleted:
        session.execute_core(forget_rows(tenant, type(row), [row.id]))
    if changed:
        session.execute_core(FORGET, {"tenant": tenant, "texts": given(changed)})
    if made or changed:
        session.execute_core(KEEP, {"tenant": tenant, "texts": given([*made, *changed])})


def _texts(session: Any, row: Any, values: Mapping[str, Any]) -> Iterator[Text]:
    """The texts of one row; what was an expression is read, now that it is written."""
    column = row.info.table.c
    for row_id, field, text in texts_of(type(row), row.id, values):
        if isinstance(text, sa.ClauseElement):
            name = field.rpartition(".")[2]
            mine = (column.tenant_id == session.tenant_id, column.id == row_id)
            text = session.execute_core(sa.select(column[name]).where(*mine)).scalar_one()
        yield row_id, field, text


def _changed(row: Any) -> dict[str, Any]:
    attributes = sa.inspect(row).attrs
    return {
        name: getattr(row, name)
        for name in row.info.searched
        if attributes[name].history.has_changes()
    }
