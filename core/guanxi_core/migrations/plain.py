"""A plugin's tables in plain SQLAlchemy: standard types, every constraint spelled out and named."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from guanxi_sdk import Plugin

DIALECT: Final[sa.Dialect] = postgresql.dialect()  # type: ignore[no-untyped-call]


def plain_metadata(plugin: type[Plugin[Any]], also: Sequence[sa.Table] = ()) -> sa.MetaData:
    """The plugin's tables in standard types, with each constraint spelled out and named."""
    metadata = sa.MetaData()
    for table in also:
        _plain_table(table, metadata)
    for model in (*plugin.manifest.models, *plugin.manifest.extensions):
        _plain_table(model.info.table, metadata)
    return metadata


def _plain_table(table: sa.Table, metadata: sa.MetaData) -> None:
    if table.name in metadata.tables:
        return
    for key in table.foreign_keys:
        if key.column.table is not table:
            _plain_table(key.column.table, metadata)
    plain = sa.Table(
        table.name,
        metadata,
        *(
            sa.Column(
                c.name, _plain_type(c.type), nullable=c.nullable, server_default=_default(c),
            )
            for c in table.columns
        ),
    )  # fmt: skip
    for constraint in sorted(table.constraints, key=_order):
        name = _name(constraint)
        if isinstance(constraint, sa.PrimaryKeyConstraint):
            plain.append_constraint(
                sa.PrimaryKeyConstraint(*(plain.c[c.name] for c in constraint), name=name)
            )
        elif isinstance(constraint, sa.ForeignKeyConstraint):
            plain.append_constraint(
                sa.ForeignKeyConstraint(
                    list(constraint.column_keys),
                    [f"{e.column.table.name}.{e.column.name}" for e in constraint.elements],
                    name=name,
                    ondelete=constraint.ondelete,
                    onupdate=constraint.onupdate,
                    deferrable=constraint.deferrable,
                    initially=constraint.initially,
                )
            )
        elif isinstance(constraint, sa.UniqueConstraint):
            plain.append_constraint(
                sa.UniqueConstraint(*(plain.c[c.name] for c in constraint), name=name)
            )
        elif isinstance(constraint, sa.CheckConstraint):
            plain.append_constraint(sa.CheckConstraint(_sql(constraint.sqltext), name=name))
    for index in sorted(table.indexes, key=_name):
        options: dict[str, Any] = {
            f"postgresql_{key}": sa.text(_sql(value))
            if isinstance(value, sa.ClauseElement)
            else value
            for key, value in index.dialect_options["postgresql"].items()
            if key in ("where", "using", "ops", "include", "nulls_not_distinct")
            and not (value is None or value is False or value == {})
        }
        sa.Index(
            _name(index),
            *(
                plain.c[e.name] if isinstance(e, sa.Column) else sa.text(_sql(e))
                for e in index.expressions
            ),
            unique=index.unique,
            _table=plain,
            **options,
        )


def _order(constraint: sa.Constraint) -> tuple[str, str]:
    return type(constraint).__name__, _name(constraint)


def _name(item: sa.Constraint | sa.Index) -> str:
    """The name as it will be in the database, shortened where it must be."""
    preparer = DIALECT.identifier_preparer
    formatted = (
        preparer.format_index(item)
        if isinstance(item, sa.Index)
        else preparer.format_constraint(item)
    )
    return str(formatted).strip('"')


def _sql(expression: Any) -> str:
    compiled = expression.compile(
        dialect=DIALECT, compile_kwargs={"literal_binds": True, "include_table": False}
    )
    return str(compiled)


def _default(column: sa.Column[Any]) -> Any:
    default = column.server_default
    if not isinstance(default, sa.DefaultClause):
        return None
    return default.arg if isinstance(default.arg, str) else sa.text(_sql(default.arg))


def _plain_type(type_: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    if isinstance(type_, sa.types.TypeDecorator):
        return _plain_type(type_.load_dialect_impl(DIALECT))
    if isinstance(type_, sa.Enum):
        return sa.String(type_.length)
    return type_
