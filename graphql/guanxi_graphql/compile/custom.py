"""Values of custom fields, as generated mutations write them beside the row."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from guanxi_core.custom import keeping
from guanxi_core.custom.definitions import CustomValues
from guanxi_core.json_rows import rows_in
from guanxi_graphql.compile.filters import _TYPES
from guanxi_sdk import Model

if TYPE_CHECKING:
    from guanxi_graphql.compile.selections import Selections

#: The variable under which a plan finds its checked values, by attribute.
VALUES = "#values"


def custom_of(
    selections: "Selections", model: type[Model], written: Sequence[str], data: Any, *, new: bool
) -> list[Any]:
    """What gives the row ``data`` the values of its custom fields; nothing where none is given."""
    custom = selections.schema.edition.custom.get(model, {})
    named = [(name, custom[name].definition) for name in written if name in custom]
    if not named:
        return []

    def given(variables: Mapping[str, Any]) -> str:
        values = variables[VALUES]
        return keeping.given((None, definition, values[name]) for name, definition in named)

    binds = selections.binds
    rows = rows_in(binds.value(given, sa.Text), keeping.GIVEN, selections.alias())
    kept = keeping.kept(data.c.tenant_id, data.c.id, rows, sa.join(data, rows, sa.true()))
    if new:
        return [kept.cte("custom")]
    removed = keeping.removed(binds.context("tenant"), data.c.id, rows)
    return [removed.cte("uncustom"), kept.cte("custom")]


def custom_change(selections: "Selections", field: CustomValues, data: Any) -> tuple[Any, Any]:
    """The value that the row ``data`` had before the statement, and the one that is given."""
    side, name = field.info.table.alias(selections.alias()), field.field.name
    before = sa.select(side.c[name]).where(
        side.c.tenant_id == selections.binds.context("tenant"), side.c.id == data.c.id
    )
    type_ = _TYPES[field.field.kind]
    after = selections.binds.value(lambda v: v[VALUES][name], type_)
    return before.scalar_subquery(), sa.cast(after, type_)
