"""What is left in a column when a row is kept without what it said."""

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from guanxi_sdk import Extension, Model, PluginError
from guanxi_sdk.info import FieldInfo

#: What a text says that must say something.
ERASED: Final = "[erased]"

#: What is least, by the type that SQLAlchemy knows; the first that fits.
_LEAST: Final[tuple[tuple[Any, Callable[[], Any]], ...]] = (
    (sa.Boolean, lambda: False),
    (sa.ARRAY, list),
    (sa.String, lambda: ERASED),
    (sa.Integer, lambda: 0),
    (sa.Float, lambda: 0.0),
    (sa.Numeric, lambda: 0),
    (sa.DateTime, lambda: dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
    (sa.Date, lambda: dt.date(1970, 1, 1)),
    (sa.Time, lambda: dt.time(0)),
    (sa.Interval, lambda: dt.timedelta(0)),
    (sa.LargeBinary, lambda: b""),
)


def blanks(model: type[Model] | type[Extension], columns: tuple[str, ...]) -> dict[str, Any]:
    """What to set ``columns`` of a row to."""
    table = model.info.table
    fields = {column: field for field in model.info.fields.values() for column in field.columns}
    unique = _unique(table)
    values: dict[str, Any] = {}
    for name in columns:
        column, field = table.c[name], fields.get(name)
        if column.nullable:
            values[name] = sa.null()
        elif name in unique and isinstance(column.type, sa.String):
            values[name] = sa.literal("erased-", sa.Text).concat(sa.cast(table.c.id, sa.Text))
        elif field is None or field.kind != "money" or field.columns[0] == name:
            values[name] = _least(model, column, field)  # the currency of nothing may stay
    return values


def _least(
    model: type[Model] | type[Extension], column: sa.Column[Any], field: FieldInfo | None
) -> Any:
    """A value for a column that is never empty: its default, else what says the least."""
    if field is not None and field.kind == "money":
        return 0
    if field is not None and field.kind != "text" and field.default is not None:
        return list(field.default) if field.kind in ("texts", "values") else field.default
    if isinstance(column.type, sa.Enum):
        return next(iter(field.python)) if field else column.type.enums[0]
    if field is not None and field.kind == "values":
        return []
    if isinstance(column.type, sa.JSON):
        return sa.literal_column("'null'::jsonb", JSONB)
    if field is not None and field.minimum is not None:
        return field.minimum if field.kind == "float" else int(field.minimum)
    for kind, least in _LEAST:
        if isinstance(column.type, kind):
            return least()
    raise PluginError(
        model.info.plugin, f"{model.__name__}.{column.name} has a type that cannot be blanked: let "
        "the hook 'erasures' delete the row.",
    )  # fmt: skip


def _unique(table: sa.Table) -> set[str]:
    """Columns that are part of a unique key."""
    found: set[str] = set()
    for constraint in table.constraints:
        if isinstance(constraint, sa.UniqueConstraint):
            found |= {column.name for column in constraint.columns}
    for index in table.indexes:
        if index.unique:
            found |= {column.name for column in index.columns}
    return found
