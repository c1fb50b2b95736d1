"""``guanxi migrate``."""

import asyncio

import rich_click as click


@click.command(
    epilog='Examples: guanxi migrate · guanxi migrate --new notes "add a due date" · '
    "guanxi migrate --downgrade notes base"
)
@click.option(
    "--new", "new", nargs=2, metavar="PLUGIN MESSAGE",
    help="Write the plugin's next revision from its models, for the author to read and keep.",
)  # fmt: skip
@click.option(
    "--downgrade", "back", nargs=2, metavar="PLUGIN REVISION",
    help="Take one plugin back to a revision; 'base' drops its tables and their data.",
)  # fmt: skip
@click.option("--search", is_flag=True, help="Also make anew what all rows are found by.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def migrate(
    new: tuple[str, str] | None, back: tuple[str, str] | None, search: bool, as_json: bool
) -> None:
    """Make or update the tables of the core and of all installed plugins.

    Rows that a field is searched by for the first time are made ready for it.

    A plugin that fails is left as it was, with those that require it; the others go on. Needs the
    address of the tables' owner (GUANXI_OWNER_DATABASE_URL) unless the database is embedded.
    """
    if new and back:
        raise click.UsageError("Give --new or --downgrade, not both.")
    if new:
        click.echo(asyncio.run(_write(*new)))
    elif back:
        asyncio.run(_downgrade(*back, as_json))
    else:
        asyncio.run(_migrate(search, as_json))


async def _migrate(search: bool, as_json: bool) -> None:
    from guanxi_core.cli.printing import print_json, progress_bar
    from guanxi_core.config import Config
    from guanxi_core.database.address import role_of
    from guanxi_core.database.server import open_database
    from guanxi_core.discovery import discover
    from guanxi_core.migrations import MigrationResult, migrate

    def show(result: MigrationResult) -> None:
        if as_json:
            return
        mark = "✓" if result.status in ("current", "migrated") else "✗"
        change = (
            result.reason or f"{result.before or 'new'} → {result.after}"
            if result.status != "current"
            else f"{result.after} (up to date)"
        )
        click.echo(f"{mark} {result.plugin}: {change}")

    registry = discover()
    with open_database(Config.load()) as database, progress_bar() as bar:
        results = await migrate(
            owner_of(database.owner_url), registry.plugins.values(),
            app_role=role_of(database.app_url), progress=show,
            search_progress=bar.tell if bar else None, search_anew=search,
        )  # fmt: skip
    results += [
        MigrationResult(name, "failed", reason=f"it is broken: {reason}")
        for name, reason in registry.broken.items()
    ]
    for result in results[-len(registry.broken) :] if registry.broken else ():
        show(result)
    if as_json:
        print_json(results)
    if failed := [r.plugin for r in results if r.status in ("failed", "skipped")]:
        raise click.ClickException(
            f"not migrated: {', '.join(failed)}; mend what is said there and repeat."
        )


async def _downgrade(plugin: str, revision: str, as_json: bool) -> None:
    from guanxi_core.cli.printing import print_json
    from guanxi_core.config import Config
    from guanxi_core.database.address import role_of
    from guanxi_core.database.server import open_database
    from guanxi_core.discovery import discover
    from guanxi_core.migrations import downgrade

    with open_database(Config.load()) as database:
        result = await downgrade(
            owner_of(database.owner_url), plugin, revision,
            plugins=discover().plugins.values(), app_role=role_of(database.app_url),
        )  # fmt: skip
    if as_json:
        print_json(result)
    else:
        click.echo(f"✓ {plugin}: {result.before or 'none'} → {result.after or 'none'}")


async def _write(plugin: str, message: str) -> str:
    from guanxi_core.config import Config
    from guanxi_core.database.server import open_database
    from guanxi_core.discovery import discover
    from guanxi_core.migrations.authoring import write_revision

    registry = discover()
    found = registry.get(plugin)
    with open_database(Config.load()) as database:
        path = await write_revision(
            found, message, owner_url=owner_of(database.owner_url), plugins=registry.plugins
        )
    return str(path)


def owner_of(url: str | None) -> str:
    """The owner's address, or an error that says how to give it."""
    if url is None:
        raise click.ClickException(
            "this needs the owner of the tables: set GUANXI_OWNER_DATABASE_URL to their address."
        )
    return url
