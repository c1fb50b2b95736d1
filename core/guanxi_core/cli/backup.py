"""``guanxi backup`` and ``guanxi restore``."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from guanxi_core.backup import Summary


@click.command(epilog="Example: guanxi backup /safe/guanxi-2026-11-22.zip")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def backup(file: Path, as_json: bool) -> None:
    """Write all tenants to FILE, as they are at one moment, while the server goes on.

    FILE holds everything that the database holds: keep it as safe. Needs the address of the tables'
    owner (GUANXI_OWNER_DATABASE_URL) unless the database is embedded.
    """
    _print(asyncio.run(_backup(file)), f"written to {file}", as_json)


@click.command(epilog="Example: GUANXI_HOME=/srv/new guanxi restore /safe/guanxi-2026-11-22.zip")
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def restore(file: Path, as_json: bool) -> None:
    """Fill an empty database with what FILE holds, whole or not at all, and check every row.

    The plugins whose tables are in FILE must be installed.
    """
    _print(asyncio.run(_restore(file)), f"restored from {file}", as_json)
    if not as_json:
        click.echo("Whoever was erased since the backup was made is back: erase them again.")


async def _backup(file: Path) -> "Summary":
    from guanxi_core.backup import backup
    from guanxi_core.cli.migrate import owner_of
    from guanxi_core.cli.printing import progress_bar
    from guanxi_core.config import Config
    from guanxi_core.database.server import open_database

    with open_database(Config.load()) as database, progress_bar() as bar:
        progress = bar.counting("backup") if bar else None
        return await backup(owner_of(database.owner_url), file, progress=progress)


async def _restore(file: Path) -> "Summary":
    from guanxi_core.backup import restore
    from guanxi_core.cli.migrate import owner_of
    from guanxi_core.cli.printing import progress_bar
    from guanxi_core.config import Config
    from guanxi_core.database.address import role_of
    from guanxi_core.database.server import open_database
    from guanxi_core.discovery import discover

    with open_database(Config.load()) as database, progress_bar() as bar:
        return await restore(
            owner_of(database.owner_url), file, discover().plugins.values(),
            app_role=role_of(database.app_url), progress=bar.counting("restore") if bar else None,
        )  # fmt: skip


def _print(summary: "Summary", done: str, as_json: bool) -> None:
    from guanxi_core.cli.printing import print_json

    if as_json:
        print_json(summary)
        return
    tenants = "1 tenant" if summary.tenants == 1 else f"{summary.tenants:,} tenants"
    click.echo(f"{tenants}, {summary.tables} tables, {summary.rows:,} rows {done}.")
