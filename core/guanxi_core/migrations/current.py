"""Is the database up to date? Asked at every start, so it is quick and never runs a revision."""

import logging
from dataclasses import replace
from typing import Any

from guanxi_core.database.address import role_of
from guanxi_core.database.connections import connect
from guanxi_core.database.server import Database
from guanxi_core.discovery import Registry
from guanxi_core.migrations.runner import migrate
from guanxi_core.migrations.scripts import CORE, MigrationError, Scripts, in_order, version_table

log = logging.getLogger(__name__)


async def revisions(connection: Any) -> dict[str, str]:
    """The revision of each plugin, also of those whose code is gone, by an asyncpg connection."""
    prefix = version_table("")
    tables = await connection.fetch(
        "SELECT relname::text AS name, quote_ident(relname) AS quoted FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
        "AND starts_with(relname, $1) AND has_table_privilege(oid, 'SELECT')",
        prefix,
    )
    if not tables:
        return {}
    found = await connection.fetch(
        " UNION ALL ".join(
            f"SELECT {position} AS position, version_num FROM {row['quoted']}"  # noqa: S608
            for position, row in enumerate(tables)
        )
    )
    return {
        tables[row["position"]]["name"].removeprefix(prefix): row["version_num"] for row in found
    }


async def outdated(url: str, registry: Registry) -> list[Scripts]:
    """Whose tables are not what the installed code expects, in dependency order."""
    connection = await connect(url)
    try:
        present = await revisions(connection)
    finally:
        await connection.close()
    return [
        scripts
        for scripts in in_order(registry.plugins.values())
        if (scripts.exists or scripts.has_models) and present.get(scripts.name) != _head(scripts)
    ]


async def ensure_migrated(database: Database, registry: Registry) -> Registry:
    """Make sure that the tables are there before the database is used.

    The embedded database has no operator, so it is migrated here. An external one is left alone:
    an outdated core raises :class:`MigrationError`. A plugin whose tables are not up to date is
    listed as broken in the registry that comes back, together with what requires it; the others
    serve.
    """
    behind = await outdated(database.app_url, registry)
    if behind and database.owner_url is not None and database.embedded:
        await migrate(
            database.owner_url, registry.plugins.values(), app_role=role_of(database.app_url)
        )
        behind = await outdated(database.app_url, registry)
    if not behind:
        return registry
    if behind[0].name == CORE:
        raise MigrationError("the database is not up to date: run `guanxi migrate`.")
    reasons = dict.fromkeys(
        (scripts.name for scripts in behind),
        "its tables are not up to date: run `guanxi migrate`",
    )
    for scripts in in_order(registry.plugins.values()):
        missing = next((name for name in scripts.requires if name in reasons), None)
        if missing:
            reasons.setdefault(scripts.name, f"it requires '{missing}', which is not up to date")
    for name, reason in reasons.items():
        log.warning("plugin '%s' is left out: %s", name, reason)
    return replace(
        registry,
        plugins={n: plugin for n, plugin in registry.plugins.items() if n not in reasons},
        broken={**registry.broken, **reasons},
    )


def _head(scripts: Scripts) -> str | None:
    """The newest revision; where that is unclear, none that a database could have."""
    try:
        return scripts.head() or ""
    except MigrationError:
        return ""
