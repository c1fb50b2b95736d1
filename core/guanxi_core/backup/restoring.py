"""Restoring a backup into an empty database."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from guanxi_core.backup.contents import (
    BackupError,
    Manifest,
    Progress,
    Summary,
    digest_of,
    quoted,
    read_manifest,
    summary_of,
)
from guanxi_core.migrations import migrate, revisions
from guanxi_core.migrations.isolation import lift, protect
from guanxi_core.migrations.isolation import restore as force
from guanxi_core.migrations.runner import owner_connection
from guanxi_core.migrations.scripts import in_order
from guanxi_sdk import Plugin

#: Transactions are counted anew here. Entries of the audit that are linked come to be of one long
#: ago, and those that are not of this one, so that the sealer need not look at all of them.
_LONG_AGO: Final = "ALTER TABLE guanxi_audit ALTER xact SET DEFAULT '3'"
_FROM_NOW: Final = (
    "ALTER TABLE guanxi_audit ALTER xact SET DEFAULT pg_current_xact_id()",
    "UPDATE guanxi_audit a SET xact = DEFAULT WHERE NOT EXISTS (SELECT FROM guanxi_audit_link l "
    "WHERE l.tenant_id = a.tenant_id AND l.audit_id = a.id)",
    "DELETE FROM guanxi_audit_sealed",
    "INSERT INTO guanxi_audit_sealed SELECT t.id, pg_snapshot_xmax(s), ARRAY("
    "SELECT x FROM pg_snapshot_xip(s) x UNION "
    "SELECT x FROM pg_current_xact_id() x WHERE x < pg_snapshot_xmax(s)) "
    "FROM guanxi_tenant t, pg_current_snapshot() s",
)


async def restore(
    owner_url: str,
    path: Path,
    plugins: Iterable[type[Plugin[Any]]],
    *,
    app_role: str,
    progress: Progress | None = None,
) -> Summary:
    """Fill an empty database with what ``path`` holds, whole or not at all, and check every row.

    The tables are made as they were, filled, compared with the digests in the file, and then
    brought up to date.
    """
    installed = list(plugins)
    try:
        with zipfile.ZipFile(path) as file:
            manifest = read_manifest(file)
            await _prepare(owner_url, manifest, installed, app_role)
            async with owner_connection(owner_url) as connection, connection.begin():
                await _load(connection, file, manifest, app_role, progress)
    except (OSError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or "is not a backup of guanxi, or not a whole one"
        raise BackupError(f"{path}: {reason}.") from None
    await migrate(owner_url, installed, app_role=app_role)
    return summary_of(manifest.parts)


async def _prepare(
    owner_url: str, manifest: Manifest, plugins: list[type[Plugin[Any]]], app_role: str
) -> None:
    """The tables as they were, without rows."""
    known = {scripts.name for scripts in in_order(plugins) if scripts.exists}
    if missing := sorted(manifest.revisions.keys() - known):
        raise BackupError(
            f"the backup has tables of {', '.join(missing)}, not installed here: install it first."
        )
    async with owner_connection(owner_url) as connection, connection.begin():
        raw = await _driver(connection)
        present = await revisions(raw)
        if present and await raw.fetchval("SELECT EXISTS (SELECT FROM guanxi_tenant)"):
            raise BackupError("the database has tenants already: restore into an empty one.")
    results = await migrate(
        owner_url,
        [p for p in plugins if p.manifest.name in manifest.revisions],
        app_role=app_role,
        to=manifest.revisions,
    )
    for result in results:
        if result.after != manifest.revisions[result.plugin]:
            reason = result.reason or f"it is at {result.after}: restore into an empty database"
            raise BackupError(
                f"the tables of '{result.plugin}' cannot be made as they were: {reason}"
            )


async def _load(
    connection: AsyncConnection,
    file: zipfile.ZipFile,
    manifest: Manifest,
    app_role: str,
    progress: Progress | None,
) -> None:
    names = list(manifest.revisions)
    await connection.run_sync(lift, names)
    raw = await _driver(connection)
    tables = list(dict.fromkeys(part.table for part in manifest.parts))
    for table in tables:
        await raw.execute(f"ALTER TABLE {quoted(table)} DISABLE TRIGGER USER")
    sealed = "guanxi_audit_sealed" in tables  # a backup of an older guanxi is brought up to date
    if sealed:
        await raw.execute(_LONG_AGO)
    rows = 0
    for number, part in enumerate(manifest.parts, 1):
        with file.open(part.name) as entry:
            await raw.copy_to_table(
                part.table, schema_name="public", source=entry, columns=part.columns, format="text"
            )
        rows += part.rows
        if progress:
            progress(number, len(manifest.parts), rows)
    for part in manifest.parts:
        if (await digest_of(raw, part)).digest != part.digest:
            raise BackupError(f"{part.name} came out differently: the file is damaged.")
    for name, value in manifest.sequences.items():
        await raw.fetchval("SELECT setval($1::text::regclass, $2)", quoted(name), value)
    for statement in _FROM_NOW if sealed else ():
        await raw.execute(statement)
    for table in tables:
        await raw.execute(f"ALTER TABLE {quoted(table)} ENABLE TRIGGER USER")
    await connection.run_sync(force, names)
    await connection.run_sync(protect, names, app_role)


async def _driver(connection: AsyncConnection) -> Any:
    """asyncpg's connection, inside the transaction that has begun."""
    await connection.execute(sa.text("SELECT 1"))
    return (await connection.get_raw_connection()).driver_connection
