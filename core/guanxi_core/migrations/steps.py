"""Alembic, driven from here: no ``env.py``, no configuration file, our transaction."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from guanxi_core.migrations.scripts import MigrationError, Scripts


def upgrade(connection: sa.Connection, scripts: Scripts, revision: str = "head") -> None:
    """Run the revisions of one plugin up to ``revision`` in the caller's transaction."""
    directory = _directory(scripts)
    _run(connection, scripts, lambda heads, _: directory._upgrade_revs(revision, heads))


def downgrade(connection: sa.Connection, scripts: Scripts, revision: str) -> None:
    """Run them down to ``revision``; ``base`` takes everything away, the version table too."""
    directory = _directory(scripts)
    _run(connection, scripts, lambda heads, _: directory._downgrade_revs(revision, heads))
    if current(connection, scripts) is None:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {scripts.version_table}")


def current(connection: sa.Connection, scripts: Scripts) -> str | None:
    """The revision the database has, or None."""
    return MigrationContext.configure(
        connection, opts={"version_table": scripts.version_table}
    ).get_current_revision()


def _directory(scripts: Scripts) -> ScriptDirectory:
    if scripts.folder is None:
        raise MigrationError(f"the package of plugin '{scripts.name}' cannot be found.")
    return ScriptDirectory(str(scripts.folder.parent), version_locations=[str(scripts.folder)])


def _run(connection: sa.Connection, scripts: Scripts, plan: Any) -> None:
    at: list[str] = []

    def steps(heads: Any, context: Any) -> Iterator[Any]:
        for step in plan(heads, context):
            at[:] = [step.revision.revision]
            yield step

    context = MigrationContext.configure(
        connection, opts={"version_table": scripts.version_table, "fn": steps}
    )
    try:
        with Operations.context(context):
            context.run_migrations()
    except CommandError as error:
        raise MigrationError(
            f"plugin '{scripts.name}': {str(error).rstrip('.')}: "
            "install a version of the plugin that has it."
        ) from error
    except BaseException as error:
        if at:
            error.add_note(f"revision {at[0]}")
        raise
