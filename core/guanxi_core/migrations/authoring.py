"""Write a plugin's next revision from its models.

The revision says everything in plain SQLAlchemy types and never imports the plugin, so that it
still means the same when the models have moved on.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncConnection

from guanxi_core.migrations import steps
from guanxi_core.migrations.plain import DIALECT, plain_metadata
from guanxi_core.migrations.runner import owner_connection, reason_of
from guanxi_core.migrations.scripts import MigrationError, Scripts, in_order, scripts_of
from guanxi_sdk import Plugin

#: Holds the tables as the revisions make them, until the comparison's transaction is rolled back.
_SCRATCH = "guanxi_authoring"

_TEMPLATE = '''"""{message}"""

import sqlalchemy as sa
from alembic import op
{imports}
revision = "{revision}"
down_revision = {down}


def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
'''


async def write_revision(
    plugin: type[Plugin[Any]],
    message: str,
    *,
    owner_url: str,
    plugins: Mapping[str, type[Plugin[Any]]],
) -> Path:
    """Write what is missing between the plugin's revisions and its models; returns the file.

    For comparison the revisions there are run in a scratch schema of the database at ``owner_url``,
    in a transaction that is rolled back: nothing remains, and what the database holds does not
    matter. ``plugins`` are all installed ones.
    """
    scripts = scripts_of(plugin)
    if scripts.folder is None:
        raise MigrationError(
            f"plugin '{scripts.name}' lies in no package: move it into one, for instance "
            f"guanxi_{scripts.name}/__init__.py."
        )
    if not message.strip():
        raise MigrationError('say what the revision does: guanxi migrate --new PLUGIN "message".')
    parent = scripts.head()
    async with owner_connection(owner_url) as connection:
        upgrade, downgrade = await differences(connection, plugin, plugins)
    if not upgrade.ops:
        raise MigrationError(f"plugin '{scripts.name}': its migrations lack nothing of its models.")
    revision = _next(scripts.folder)
    slug = re.sub(r"\W+", "_", message.strip().lower()).strip("_")[:40].rstrip("_") or "changes"
    path = scripts.folder / f"{revision}_{slug}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_render(message, revision, parent, upgrade, downgrade), "utf-8")
    _format(path)
    return path


async def differences(
    connection: AsyncConnection,
    plugin: type[Plugin[Any]],
    plugins: Mapping[str, type[Plugin[Any]]],
) -> tuple[ops.UpgradeOps, ops.DowngradeOps]:
    """What lies between the newest revision of ``plugin`` and its models, and the way back."""
    async with connection.begin() as transaction:
        try:
            return await connection.run_sync(_compare, plugin, plugins)
        except MigrationError:
            raise
        except Exception as error:
            raise MigrationError(
                f"the revisions there cannot be run for comparison: {reason_of(error)}"
            ) from error
        finally:
            await transaction.rollback()


def _compare(
    connection: sa.Connection,
    plugin: type[Plugin[Any]],
    plugins: Mapping[str, type[Plugin[Any]]],
) -> tuple[ops.UpgradeOps, ops.DowngradeOps]:
    name = plugin.manifest.name
    connection.exec_driver_sql(f"CREATE SCHEMA {_SCRATCH}")
    connection.exec_driver_sql(f"SET LOCAL search_path = {_SCRATCH}")
    ordered = in_order({**plugins, name: plugin}.values())
    needed = _needed(name, {s.name: s for s in ordered})
    for scripts in ordered:
        if scripts.name not in needed:
            continue
        if scripts.exists:
            steps.upgrade(connection, scripts)
        elif scripts.has_models and scripts.name != name:
            raise MigrationError(
                f"plugin '{name}' requires '{scripts.name}', which has no migrations yet: "
                f'first run guanxi migrate --new {scripts.name} "first tables".'
            )
    own = {m.info.table.name for m in (*plugin.manifest.models, *plugin.manifest.extensions)}
    referenced = [
        key.column.table
        for model in (*plugin.manifest.models, *plugin.manifest.extensions)
        for key in model.info.table.foreign_keys
        if key.column.table.name not in own
    ]
    metadata = plain_metadata(plugin, referenced)
    longer = tuple(
        s.prefix for s in ordered if s.prefix != f"{name}_" and s.prefix.startswith(f"{name}_")
    )

    def is_own(table: str) -> bool:
        return table in own or (
            table.startswith(f"{name}_") and not (longer and table.startswith(longer))
        )

    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda n, kind, _: kind != "table" or is_own(n),
            "include_object": lambda o, n, kind, *_: kind != "table" or is_own(n),
        },
    )
    upgrade = produce_migrations(context, metadata).upgrade_ops
    if upgrade is None:
        raise MigrationError(f"plugin '{name}': Alembic made no comparison.")
    existing = set(sa.inspect(connection).get_table_names())
    for table in metadata.sorted_tables:
        if table.name in own and table.name in existing:
            _compare_checks(connection, table, upgrade)
    return upgrade, _without_indexes_of_dropped_tables(upgrade.reverse())


def _without_indexes_of_dropped_tables(operations: ops.DowngradeOps) -> ops.DowngradeOps:
    dropped = {o.table_name for o in operations.ops if isinstance(o, ops.DropTableOp)}
    return ops.DowngradeOps(
        [
            o
            for o in operations.ops
            if not (isinstance(o, ops.DropIndexOp | ops.ModifyTableOps) and o.table_name in dropped)
        ]
    )


def _needed(name: str, known: Mapping[str, Scripts]) -> set[str]:
    found: set[str] = {name}
    waiting = list(known[name].requires)
    while waiting:
        other = waiting.pop()
        if other not in known:
            raise MigrationError(f"plugin '{name}' requires '{other}', which is not installed.")
        if other not in found:
            found.add(other)
            waiting += known[other].requires
    return found


def _compare_checks(connection: sa.Connection, table: sa.Table, upgrade: ops.UpgradeOps) -> None:
    """Alembic does not compare CHECK constraints; here PostgreSQL itself tells both forms."""
    wanted = {str(c.name): c for c in table.constraints if isinstance(c, sa.CheckConstraint)}
    copy = sa.Table(
        f"guanxi_compare_{len(table.name)}",
        sa.MetaData(),
        *(sa.Column(c.name, c.type) for c in table.columns),
        *(sa.CheckConstraint(c.sqltext, name=c.name) for c in wanted.values()),
        prefixes=["TEMPORARY"],
    )
    copy.create(connection)
    shown = dict(_checks(connection, copy.name))
    present = dict(_checks(connection, table.name))
    copy.drop(connection)
    changes: list[ops.MigrateOperation] = []
    for check, text in present.items():
        if shown.get(check) != text:
            old = sa.CheckConstraint(text, name=check)
            old._set_parent_with_dispatch(sa.Table(table.name, sa.MetaData()))
            changes.append(ops.DropConstraintOp.from_constraint(old))
    changes += [
        ops.AddConstraintOp.from_constraint(wanted[check])
        for check, text in shown.items()
        if present.get(check) != text
    ]
    if changes:
        upgrade.ops.append(ops.ModifyTableOps(table.name, changes))


def _checks(connection: sa.Connection, table: str) -> list[tuple[str, str]]:
    return [
        (row.name, row.text)
        for row in connection.execute(
            sa.text(
                "SELECT conname AS name, pg_get_expr(conbin, conrelid) AS text FROM pg_constraint "
                "WHERE conrelid = CAST(CAST(:table AS text) AS regclass) AND contype = 'c' "
                "ORDER BY conname"
            ),
            {"table": table},
        )
    ]


def _next(folder: Path) -> str:
    numbers = [int(m[0]) for p in folder.glob("*.py") if (m := re.match(r"\d{4}", p.name))]
    return f"{max(numbers, default=0) + 1:04d}"


def _render(
    message: str,
    revision: str,
    parent: str | None,
    upgrade: ops.UpgradeOps,
    downgrade: ops.DowngradeOps,
) -> str:
    bodies = []
    for operations in (upgrade, downgrade):
        code = render_python_code(
            operations,
            render_item=_render_item,
            migration_context=MigrationContext.configure(dialect=DIALECT),
        )
        lines = [line for line in code.splitlines() if not line.strip().startswith("#")]
        bodies.append("\n".join(f"    {line}".rstrip() for line in lines).strip("\n"))
    text = " ".join(message.split()).replace('"', "'").replace("\\", "/")
    code = "".join(bodies)
    return _TEMPLATE.format(
        message=text[:1].upper() + text[1:].rstrip(".") + ".",
        imports="from sqlalchemy.dialects import postgresql\n" if "postgresql." in code else "",
        revision=revision,
        down=f'"{parent}"' if parent else None,
        upgrade=bodies[0],
        downgrade=bodies[1],
    )


def _render_item(kind: str, item: Any, _: Any) -> Any:
    """Break long CHECK texts into pieces that fit a line."""
    if kind != "check":
        return False
    pieces = re.findall(r".{1,70}(?:\s|$)|\S+", str(item.sqltext))
    text = " ".join(repr(piece) for piece in pieces)
    return f"sa.CheckConstraint({text}, name={item.name!r})"


def _format(path: Path) -> None:
    """Tidy the file with ruff where the author has it; it is correct without."""
    command = [sys.executable, "-m", "ruff"] if find_spec("ruff") else [shutil.which("ruff") or ""]
    if command[0]:
        subprocess.run(  # noqa: S603
            [*command, "format", "--quiet", str(path)], check=False, capture_output=True
        )
