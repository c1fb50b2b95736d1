"""Values of custom fields that an import gives: kept beside the rows, all of a chunk at once."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from guanxi_core.custom import keeping
from guanxi_core.custom.definitions import CustomValues
from guanxi_core.system_tables import custom_value_table


def kept_beside(
    fields: Sequence[CustomValues],
    tenant_id: UUID,
    target: sa.Table,
    staged: sa.FromClause,
    rows: sa.ColumnElement[bool],
    merged: Sequence[UUID],
) -> sa.Executable:
    """Give the rows of ``target`` the values that are ``staged`` for them.

    Those among ``merged`` were written already; of the others the version of those is counted
    whose values changed. Answers how many these are, the first and the last id.
    """
    conditions = [rows, target.c.tenant_id == tenant_id]
    if "erased_at" in target.c:
        conditions.append(target.c.erased_at.is_(None))
    given = sa.union_all(*(_values(one, target, staged).where(*conditions) for one in fields)).cte(
        "given"
    )
    tenant, values = sa.literal(tenant_id, sa.Uuid), custom_value_table.c
    kept = keeping.kept(tenant, given.c.id, given, given).returning(values.id).cte("kept")
    removed = keeping.removed(tenant, given.c.id, given).returning(values.id).cte("removed")
    changed = sa.union(sa.select(kept.c.id), sa.select(removed.c.id)).cte("changed")
    written = sa.literal(list(merged), ARRAY(sa.Uuid))
    counted = (
        sa.update(target)
        .values(version=target.c.version + 1, updated_at=sa.func.now())
        .where(
            target.c.tenant_id == tenant_id, target.c.id == changed.c.id,
            target.c.id != sa.all_(written),
        )
        .returning(target.c.id)
        .cte("counted")
    )  # fmt: skip
    ends = [
        sa.select(counted.c.id).order_by(order).limit(1).scalar_subquery()
        for order in (counted.c.id.asc(), counted.c.id.desc())
    ]
    return sa.select(
        sa.func.count().label("updated"), ends[0].label("first"), ends[1].label("last")
    ).select_from(counted)


def _values(one: CustomValues, target: sa.Table, staged: sa.FromClause) -> sa.Select[Any]:
    """The staged values of one field, each in the column of its kind."""
    definition, name = one.definition, one.field.name
    columns = {
        "field": definition.key, "kind": definition.kind, "revision": definition.revision,
        definition.column: staged.c[name],
    }  # fmt: skip
    return sa.select(
        target.c.id,
        *(
            sa.cast(columns.get(column.name, sa.null()), column.type).label(column.name)
            for column in keeping.GIVEN
            if column.name != "id"
        ),
    ).select_from(sa.join(target, staged, sa.true()))
