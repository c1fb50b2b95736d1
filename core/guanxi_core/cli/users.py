"""``guanxi user``."""

import asyncio
from collections.abc import Sequence

import rich_click as click


@click.group(epilog="Example: guanxi user create 王芳 --tenant acme --role admin")
def user() -> None:
    """Create and list a tenant's users."""


@user.command(
    epilog="Example: guanxi user create ada --tenant acme --role readonly --email ada@example.com"
)
@click.argument("name")
@click.option("--tenant", required=True, help="The tenant the user belongs to.")
@click.option("--role", "roles", multiple=True, help="Role the user holds; repeatable.")
@click.option("--email", help="Address for people to write to.")
def create(name: str, tenant: str, roles: tuple[str, ...], email: str | None) -> None:
    """Create a user called NAME. Without --role the user may do nothing yet."""
    asyncio.run(_create(name, tenant, roles, email))
    click.echo(f"User '{name}' created in tenant '{tenant}'.")


@user.command("list", epilog="Example: guanxi user list --tenant acme")
@click.option("--tenant", required=True, help="Whose users.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(tenant: str, as_json: bool) -> None:
    """List a tenant's users and their roles."""
    asyncio.run(_list(tenant, as_json))


async def _create(name: str, tenant: str, roles: Sequence[str], email: str | None) -> None:
    from guanxi_core.cli.opening import opened, operator
    from guanxi_core.identity import create_user
    from guanxi_core.tenancy import find_tenant

    async with opened() as guanxi:
        found = await find_tenant(guanxi.pool, tenant)
        await create_user(guanxi.pool, found, name, email=email, roles=roles, actor=operator())


async def _list(tenant: str, as_json: bool) -> None:
    from guanxi_core.cli.opening import opened
    from guanxi_core.cli.printing import print_json, print_table
    from guanxi_core.identity import list_users
    from guanxi_core.tenancy import find_tenant

    async with opened() as guanxi:
        users = await list_users(guanxi.pool, await find_tenant(guanxi.pool, tenant))
    if as_json:
        print_json(users)
    else:
        print_table(
            ("NAME", "ROLES", "EMAIL", "STATE", "ID"),
            [
                (u.name, ", ".join(u.roles), u.email, "archived" if u.archived else "", u.id)
                for u in users
            ],
        )
