"""``guanxi role``."""

import asyncio

import rich_click as click


@click.group(epilog="Example: guanxi role list --tenant acme")
def role() -> None:
    """List a tenant's roles; GraphQL changes them."""


@role.command("list", epilog="Example: guanxi role list --tenant acme")
@click.option("--tenant", required=True, help="Whose roles.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(tenant: str, as_json: bool) -> None:
    """List a tenant's roles, what each may do and how cleared it is."""
    asyncio.run(_list(tenant, as_json))


async def _list(tenant: str, as_json: bool) -> None:
    from guanxi_core.cli.opening import opened
    from guanxi_core.cli.printing import print_json, print_table
    from guanxi_core.identity import list_roles
    from guanxi_core.tenancy import find_tenant

    async with opened() as guanxi:
        roles = await list_roles(guanxi.pool, await find_tenant(guanxi.pool, tenant))
    if as_json:
        print_json(roles)
    else:
        print_table(
            ("NAME", "PERMISSIONS", "CLEARANCE", "DESCRIPTION"),
            [(r.name, ", ".join(r.permissions), r.clearance, r.description) for r in roles],
        )
