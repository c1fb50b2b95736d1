"""``guanxi tenant``."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import rich_click as click


@dataclass(frozen=True, slots=True)
class _Row:
    id: UUID
    name: str
    currency: str
    plugins: tuple[str, ...]


@click.group(epilog="Example: guanxi tenant create acme --bundle telecom")
def tenant() -> None:
    """Create and list tenants, the enterprises that share this installation."""


@tenant.command(
    epilog="Examples: guanxi tenant create acme --bundle telecom · "
    "guanxi tenant create northwind --currency USD --enable customers --enable tiers"
)
@click.argument("name")
@click.option(
    "--currency", help="ISO 4217 code the tenant reports in; the bundle's when left out, else CNY."
)
@click.option("--bundle", help="Industry bundle: plugins, settings, vocabulary and sample data.")
@click.option(
    "--enable", "plugins", multiple=True, metavar="PLUGIN", help="Plugin to switch on; repeatable."
)
def create(name: str, currency: str | None, bundle: str | None, plugins: tuple[str, ...]) -> None:
    """Create a tenant called NAME (lower case letters, digits and -), whole or not at all."""
    if bundle and plugins:
        raise click.UsageError(
            "Give --bundle or --enable; more plugins can be enabled later with guanxi enable."
        )
    asyncio.run(_create(name, currency, bundle, plugins))
    click.echo(f"Tenant '{name}' created.")


@tenant.command("list", epilog="Example: guanxi tenant list --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List all tenants."""
    asyncio.run(_list(as_json))


async def _create(
    name: str, currency: str | None, bundle: str | None, plugins: Sequence[str]
) -> None:
    from guanxi_core.cli.opening import opened, operator
    from guanxi_core.database.connections import connect
    from guanxi_core.editions import compose
    from guanxi_core.enabling import enable
    from guanxi_core.tenancy import create_tenant

    async with opened() as guanxi:
        if bundle:
            from guanxi_core.bundles import create_tenant_with_bundle, discover_bundles
            from guanxi_core.platform import Platform

            wanted = discover_bundles().get(bundle)
            async with await Platform.open(
                guanxi.database.app_url, registry=guanxi.registry, pool_size=2
            ) as platform:
                await create_tenant_with_bundle(platform, name, wanted, currency, actor=operator())
            return
        chosen = [guanxi.registry.get(plugin) for plugin in dict.fromkeys(plugins)]
        ordered = compose(chosen).plugins  # refuses what does not go together
        connection = await connect(guanxi.database.app_url)
        try:
            async with connection.transaction():
                made = await create_tenant(connection, name, currency or "CNY", actor=operator())
                for plugin in ordered:
                    await enable(
                        connection, guanxi.registry, made, plugin.manifest.name, actor=operator()
                    )
        finally:
            await connection.close()


async def _list(as_json: bool) -> None:
    from guanxi_core.cli.opening import opened
    from guanxi_core.cli.printing import print_json, print_table
    from guanxi_core.tenancy import enabled_plugins, list_tenants

    async with opened() as guanxi:
        rows = [
            _Row(t.id, t.name, t.currency, tuple(await enabled_plugins(guanxi.pool, t)))
            for t in await list_tenants(guanxi.pool)
        ]
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("NAME", "CURRENCY", "PLUGINS", "ID"),
            [(r.name, r.currency, ", ".join(r.plugins), r.id) for r in rows],
        )
