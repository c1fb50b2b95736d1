"""``guanxi plugins``, ``guanxi enable`` and ``guanxi disable``."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:
    from guanxi_core.discovery import Registry
    from guanxi_core.enabling import Change


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    version: str | None
    requires: list[str]
    state: str
    reason: str | None = None
    settings: Mapping[str, Any] | None = None


@click.command(epilog="Examples: guanxi plugins · guanxi plugins --tenant acme --json")
@click.option("--tenant", metavar="T", help="Show what this tenant has enabled.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plugins(tenant: str | None, as_json: bool) -> None:
    """List the installed plugins, and those that cannot be used with the reason."""
    from guanxi_core.cli.printing import print_json, print_table

    rows = asyncio.run(_rows(tenant))
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("No plugins are installed.")
    else:
        print_table(
            ("NAME", "VERSION", "REQUIRES", "STATE"),
            [(r.name, r.version, ", ".join(r.requires), r.state) for r in rows],
        )
        for row in rows:
            if row.reason:
                click.echo(f"{row.name}: {row.reason}")


@click.command(
    epilog="Examples: guanxi enable tiers --tenant acme · "
    "guanxi enable notes --tenant acme --set max_length=500"
)
@click.argument("plugin")
@click.option("--tenant", required=True, metavar="T", help="The tenant's name.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE",
    help="A setting; repeatable. Lists and objects as JSON.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def enable(
    plugin: str, tenant: str, settings: tuple[str, ...], dry_run: bool, as_json: bool
) -> None:
    """Switch PLUGIN on for a tenant, or change its settings.

    Running servers follow at the next request. What PLUGIN requires must be enabled already.
    """
    given = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not (key and equals):
            raise click.UsageError(f"--set {setting} is not like KEY=VALUE.")
        given[key] = value
    _show(asyncio.run(_change(plugin, tenant, True, given, dry_run)), dry_run, as_json)


@click.command(epilog="Example: guanxi disable tiers --tenant acme")
@click.argument("plugin")
@click.option("--tenant", required=True, metavar="T", help="The tenant's name.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def disable(plugin: str, tenant: str, dry_run: bool, as_json: bool) -> None:
    """Switch PLUGIN off for a tenant; its data and settings stay.

    Plugins that require it must be disabled before.
    """
    _show(asyncio.run(_change(plugin, tenant, False, {}, dry_run)), dry_run, as_json)


async def _rows(tenant_name: str | None) -> list[_Row]:
    from guanxi_core.discovery import discover

    if tenant_name is None:
        return _installed(discover(), "installed")
    from guanxi_core.cli.opening import opened
    from guanxi_core.enabling import what_is_served
    from guanxi_core.tenancy import enabled_plugins, find_tenant

    async with opened() as guanxi:
        tenant = await find_tenant(guanxi.pool, tenant_name)
        enabled = await enabled_plugins(guanxi.pool, tenant)
        left_out = what_is_served(guanxi.registry, enabled).left_out
        rows = {row.name: row for row in _installed(guanxi.registry, "not enabled")}
        for name, settings in enabled.items():
            state = "left out" if name in left_out else "enabled"
            former = rows.get(name, _Row(name, None, [], state))
            rows[name] = replace(former, state=state, reason=left_out.get(name), settings=settings)
    return [rows[name] for name in sorted(rows)]


def _installed(registry: "Registry", state: str) -> list[_Row]:
    from guanxi_core.discovery import unsatisfied

    found = [
        _Row(
            plugin.manifest.name,
            plugin.manifest.version,
            [f"{name}{versions}" for name, versions in plugin.manifest.requires],
            state,
            unsatisfied(registry, plugin),
        )
        for plugin in registry.plugins.values()
    ]
    found += [_Row(name, None, [], "broken", why) for name, why in registry.broken.items()]
    return sorted(found, key=lambda row: row.name)


async def _change(
    plugin: str, tenant_name: str, on: bool, settings: Mapping[str, str], dry_run: bool
) -> "Change":
    from guanxi_core import enabling
    from guanxi_core.cli.opening import opened, operator
    from guanxi_core.tenancy import find_tenant

    async with opened() as guanxi:
        tenant = await find_tenant(guanxi.pool, tenant_name)
        if on:
            return await enabling.enable(
                guanxi.pool, guanxi.registry, tenant, plugin, settings,
                as_text=True, dry_run=dry_run, actor=operator(),
            )  # fmt: skip
        return await enabling.disable(
            guanxi.pool, guanxi.registry, tenant, plugin, dry_run=dry_run, actor=operator()
        )


def _show(change: "Change", dry_run: bool, as_json: bool) -> None:
    from guanxi_core.cli.printing import print_json

    if as_json:
        print_json(change)
        return
    subject = f"Plugin '{change.plugin}'"
    would = " would be" if dry_run else ""
    match change.verb:
        case "enable":
            click.echo(f"{subject}{would} enabled for tenant '{change.tenant}'.")
        case "disable":
            click.echo(f"{subject}{would} disabled for tenant '{change.tenant}'; its data stays.")
        case "configure":
            click.echo(f"Settings of plugin '{change.plugin}'{would} changed.")
        case "nothing":
            click.echo(f"{subject} is as you want it already; nothing changed.")
    for sign, names_by_kind in (("+", change.added), ("-", change.removed)):
        for kind, names in names_by_kind.items():
            click.echo(f"  {sign} {kind}: {', '.join(names)}")
    for one in change.broken_operations:
        click.echo(f"  ! breaks operation {one.name} ({one.sha256[:12]}…): {one.problems[0]}")
    if change.verb in ("enable", "configure"):
        for key, value in change.settings.items():
            click.echo(f"  {key} = {value!r}")
