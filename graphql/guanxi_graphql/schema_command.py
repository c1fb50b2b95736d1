"""``guanxi schema``: a tenant's schema, printed or compared."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from guanxi_core.custom.definitions import Definition
    from guanxi_core.discovery import Registry
    from guanxi_core.editions import Edition
    from guanxi_core.installing import Enabled
    from guanxi_core.operations import Broken
    from guanxi_graphql.comparing import SchemaChange


@dataclass(frozen=True, slots=True)
class _Difference:
    changes: "list[SchemaChange]"
    broken_operations: "list[Broken]"

    def fails(self, *, strict: bool) -> bool:
        """Whether a build should stop here."""
        wanted = ("breaking", "dangerous") if strict else ("breaking",)
        return bool(self.broken_operations) or any(c.severity in wanted for c in self.changes)


@click.group(
    invoke_without_command=True,
    epilog="Examples: guanxi schema --tenant acme > schema.graphql · "
    "guanxi schema diff --tenant acme --disable tiers",
    short_help="Print a tenant's GraphQL schema, or compare it.",
)
@click.option("--tenant", help="Whose schema; it depends on the enabled plugins.")
@click.pass_context
def schema(ctx: click.Context, tenant: str | None) -> None:
    """Print the GraphQL schema of a tenant in the schema definition language.

    Everything stands in alphabetical order, so that two files differ by what changed alone.
    """
    if ctx.invoked_subcommand is not None:
        return
    if tenant is None:
        raise click.UsageError("Missing option '--tenant'.")
    click.echo(asyncio.run(_printed(tenant)), nl=False)


@schema.command(
    epilog="Examples: guanxi schema diff --tenant acme --disable tiers · "
    "guanxi schema diff --tenant acme --since schema.graphql --json"
)
@click.option("--tenant", required=True, metavar="T", help="Whose schema.")
@click.option(
    "--enable", "enabled", multiple=True, metavar="PLUGIN",
    help="Compare with what it is when this plugin is switched on; repeatable.",
)  # fmt: skip
@click.option(
    "--disable", "disabled", multiple=True, metavar="PLUGIN",
    help="Compare with what it is when this plugin is switched off; repeatable.",
)  # fmt: skip
@click.option(
    "--since", type=click.Path(path_type=Path), metavar="FILE",
    help="Compare a schema that was printed before with what it is, or would be, now.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Fail on dangerous changes, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(
    tenant: str,
    enabled: tuple[str, ...],
    disabled: tuple[str, ...],
    since: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Tell breaking, dangerous and safe changes of a schema apart.

    The exit status is 1 where a change is breaking, or a registered operation would be broken.
    """
    from guanxi_core.cli.printing import print_json

    if not (enabled or disabled or since):
        raise click.UsageError("Say what to compare with: --enable, --disable or --since.")
    text = None if since is None else _read(since)
    found = asyncio.run(_compared(tenant, enabled, disabled, text))
    if as_json:
        print_json(found)
    else:
        _show(found)
    if found.fails(strict=strict):
        raise SystemExit(1)


def _show(found: _Difference) -> None:
    from guanxi_graphql.operating import told

    if not found.changes:
        click.echo("The schemas are alike.")
    former = None
    for change in found.changes:
        if change.severity != former:
            click.echo(f"{change.severity.capitalize()}:")
            former = change.severity
        click.echo(f"  {change.description}")
    if found.broken_operations:
        click.echo("Broken registered operations:")
        for line in told(found.broken_operations):
            click.echo(line)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise click.ClickException(f"{path} is not UTF-8 text.") from None


async def _printed(name: str) -> str:
    from guanxi_core.cli.opening import opened
    from guanxi_core.tenancy import find_tenant, settled
    from guanxi_graphql.schema import sdl

    async with opened() as guanxi:
        enabled, _, fields = await settled(guanxi.pool, await find_tenant(guanxi.pool, name))
        return sdl(_served(guanxi.registry, enabled, fields)).strip() + "\n"


def _served(
    registry: "Registry", enabled: "Enabled", fields: tuple["Definition", ...]
) -> "Edition":
    """What requests find, and a line on stderr for each plugin without which they do."""
    from guanxi_core.enabling import what_is_served

    found = what_is_served(registry, enabled, fields)
    for plugin, reason in found.left_out.items():
        click.echo(f"plugin '{plugin}' is left out: {reason}", err=True)
    return found.edition


async def _compared(
    name: str, enabled: Sequence[str], disabled: Sequence[str], since: str | None
) -> _Difference:
    from graphql import GraphQLError, build_schema

    from guanxi_core.cli.opening import opened
    from guanxi_core.editions import compose
    from guanxi_core.limits import WIDEST
    from guanxi_core.operations import broken, list_operations
    from guanxi_core.tenancy import find_tenant, settled
    from guanxi_graphql.comparing import compare
    from guanxi_graphql.schema import sdl

    async with opened() as guanxi:
        tenant = await find_tenant(guanxi.pool, name)
        running, _, fields = await settled(guanxi.pool, tenant)
        present = _served(guanxi.registry, running, fields)
        plugins = {plugin.manifest.name: plugin for plugin in present.plugins}
        plugins |= {plugin: guanxi.registry.get(plugin) for plugin in enabled}
        for plugin in disabled:
            if plugins.pop(plugin, None) is None:
                raise click.ClickException(f"plugin '{plugin}' is not enabled for '{name}'.")
        for plugin, made in plugins.items():
            if lost := {required for required, _ in made.manifest.requires} & {*disabled}:
                raise click.ClickException(
                    f"plugin '{plugin}' requires '{min(lost)}': add --disable {plugin}."
                )
        registered = await list_operations(guanxi.pool, tenant)
    wanted = compose(plugins.values(), fields)
    try:
        before = build_schema(sdl(present) if since is None else since)
    except (GraphQLError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise click.ClickException(f"the file holds no GraphQL schema: {reason}") from None
    changes = compare(before, build_schema(sdl(wanted)))
    return _Difference(changes, broken(wanted, registered, WIDEST))
