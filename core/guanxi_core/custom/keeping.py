"""Keeping the values of custom fields: typed rows beside the rows of models."""

from collections.abc import Collection, Iterable
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, Insert, dialect, insert
from uuid_utils.compat import uuid7

from guanxi_core.custom.definitions import Definition
from guanxi_core.system_tables import custom_value_table

_KINDS: Final = ("text", "int", "float", "bool", "date", "datetime")
_OF: Final = ("kind", "revision")
_COLUMNS: Final = ("field", *_OF, *_KINDS)
#: Violated by whoever writes a value of a field that is gone, or takes other values by now.
OUTDATED: Final = "fk_guanxi_custom_value_field"
#: What values are given as; one without any takes the value away.
GIVEN: Final = [
    sa.Column("id", sa.Uuid),
    *(sa.Column(name, custom_value_table.c[name].type) for name in _COLUMNS),
]


async def store(connection: Any, tenant_id: UUID, definitions: Iterable[Definition]) -> None:
    """Write definitions that were checked, for a tenant that has none of them."""
    await connection.executemany(
        "INSERT INTO guanxi_custom_field "
        "(tenant_id, id, model, name, kind, description, options, clearance) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            (tenant_id, uuid7(), one.model, one.name, one.kind, one.description,
             list(one.options), one.clearance)
            for one in definitions
        ],
    )  # fmt: skip


def given(values: Iterable[tuple[UUID | None, Definition, Any]]) -> str:
    """Values of rows as JSON; None for one that is taken away."""
    rows = [
        {
            "id": row_id,
            "field": one.key,
            "kind": one.kind,
            "revision": one.revision,
            one.column: value,
        }
        for row_id, one, value in values
    ]
    return msgspec.json.encode(rows).decode()


def kept(tenant: Any, id: Any, rows: Any, source: Any) -> Insert:
    """Keep the values that ``rows`` give, instead of former ones that differ."""
    given = sa.select(tenant, id, *(rows.c[name] for name in _COLUMNS)).select_from(source)
    given = given.where(sa.func.num_nonnulls(*(rows.c[name] for name in _KINDS)) > _NONE)
    names = ("tenant_id", "id", *_COLUMNS)
    made = insert(custom_value_table).from_select(names, given, include_defaults=False)
    return made.on_conflict_do_update(
        index_elements=["tenant_id", "field", "id"],
        set_={name: made.excluded[name] for name in (*_OF, *_KINDS)},
        where=sa.or_(
            *(custom_value_table.c[name].is_distinct_from(made.excluded[name]) for name in _KINDS)
        ),
    )


def removed(tenant: Any, id: Any, rows: Any) -> sa.Delete:
    """Take away the values that ``rows`` give none of."""
    values = custom_value_table.c
    return sa.delete(custom_value_table).where(
        values.tenant_id == tenant, values.id == id, values.field == rows.c.field,
        sa.func.num_nonnulls(*(rows.c[name] for name in _KINDS)) == _NONE,
    )  # fmt: skip


def forgotten(tenant_id: UUID, model: str, ids: Collection[UUID]) -> sa.Delete:
    """Delete all values of rows of a model, also those of archived fields."""
    values, fields = custom_value_table.c, FIELDS.c
    mine = sa.select(fields.field).where(fields.tenant_id == tenant_id, fields.model == model)
    return sa.delete(custom_value_table).where(
        values.tenant_id == tenant_id, values.field.in_(mine),
        values.id == sa.any_(sa.literal(list(ids), ARRAY(sa.Uuid))),
    )  # fmt: skip


_SET: Final = ", ".join(f'"{name}" = g."{name}"' for name in (*_OF, *_KINDS))
_DIALECT: Final = dialect()  # type: ignore[no-untyped-call]
_TYPES: Final = ", ".join(f'"{one.name}" {one.type.compile(_DIALECT)}' for one in GIVEN)
#: Give rows of a field values that it takes now: the tenant, the field, what is given, and the
#: first and the last row, so that the others are not read, whatever the planner knows.
REPLACE: Final = (
    f"UPDATE guanxi_custom_value AS v SET {_SET} FROM json_to_recordset($3::text::json) "  # noqa: S608  put together from constants
    f"AS g ({_TYPES}) WHERE v.tenant_id = $1 AND v.field = $2 AND v.id = g.id "
    "AND v.id BETWEEN $4 AND $5"
)
#: Fields that nobody purges or gives another kind or options until the transaction ends: whoever
#: writes many rows holds them first, so as not to wait for a change that waits for these rows.
HOLD: Final = (
    "SELECT field, kind, revision FROM guanxi_custom_field "
    "WHERE tenant_id = $1 AND field = ANY ($2) ORDER BY field FOR KEY SHARE"
)
_NONE: Final[Any] = sa.literal_column("0", sa.Integer)  # not bound: plans have binds of their own
#: The definitions, with the name that their values are kept under.
FIELDS: Final = sa.table(
    "guanxi_custom_field",
    sa.column("tenant_id", sa.Uuid),
    sa.column("model", sa.Text),
    sa.column("field", sa.Text),
    sa.column("kind", sa.Text),
)
