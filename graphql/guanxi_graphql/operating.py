"""``guanxi operations``: the documents that a tenant's clients may ask for by their SHA-256."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from guanxi_core.operations import Broken, Registered


@click.group(epilog="Example: guanxi operations register persisted.json --tenant acme")
def operations() -> None:
    """Register, list, check and remove operations that clients ask for by their SHA-256."""


@operations.command(
    epilog="Examples: guanxi operations register persisted.json --tenant acme · "
    "guanxi operations register queries/*.graphql --tenant acme"
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--tenant", required=True, metavar="T", help="The tenant's name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def register(files: tuple[Path, ...], tenant: str, as_json: bool) -> None:
    """Register the operations in FILES, all or none; they are asked for from the next request on.

    A file holds one named operation with its fragments; or, if it ends in .json, a manifest of a
    client's build: an object from SHA-256 to document, or Apollo's.
    """
    from guanxi_core.cli.printing import print_json

    documents = [document for path in files for document in _documents(path)]
    new = asyncio.run(_register(documents, tenant))
    if as_json:
        print_json(new)
        return
    for one in new:
        click.echo(f"{one.sha256}  {one.kind} {one.name}")
    already = len(set(documents)) - len(new)
    click.echo(f"{len(new)} registered for tenant '{tenant}', {already} were already.")


@operations.command("list", epilog="Example: guanxi operations list --tenant acme --json")
@click.option("--tenant", required=True, metavar="T", help="The tenant's name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the documents.")
def list_(tenant: str, as_json: bool) -> None:
    """List a tenant's registered operations."""
    from guanxi_core.cli.printing import print_json, print_table

    rows = asyncio.run(_list(tenant))
    if as_json:
        print_json(rows)
    else:
        print_table(("NAME", "KIND", "SHA-256"), [(r.name, r.kind, r.sha256) for r in rows])


@operations.command(epilog="Example: guanxi operations remove OldDashboard --tenant acme")
@click.argument("operations", nargs=-1, required=True, metavar="NAME-OR-SHA256…")
@click.option("--tenant", required=True, metavar="T", help="The tenant's name.")
def remove(operations: tuple[str, ...], tenant: str) -> None:
    """Remove operations; from the next request on nobody is answered them by their SHA-256."""
    for one in asyncio.run(_remove(operations, tenant)):
        click.echo(f"{one.kind} {one.name} ({one.sha256}) removed.")


@operations.command(epilog="Example: guanxi operations check --tenant acme")
@click.option("--tenant", required=True, metavar="T", help="The tenant's name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(tenant: str, as_json: bool) -> None:
    """Check that the schema answers all registered operations; fails where it does not."""
    from guanxi_core.cli.printing import print_json

    broken, count = asyncio.run(_check(tenant))
    if as_json:
        print_json(broken)
    else:
        for line in told(broken):
            click.echo(line)
        click.echo(f"{len(broken)} of {count} registered operations are broken.")
    if broken:
        raise SystemExit(1)


def told(broken: Sequence["Broken"]) -> list[str]:
    """Broken operations for people to read, each with its reasons."""
    return [f"  ! {one.name} ({one.sha256[:12]}…): {' '.join(one.problems)}" for one in broken]


def _documents(path: Path) -> list[str]:
    from guanxi_core.operations import from_manifest

    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise click.ClickException(f"{path} is not UTF-8 text.") from None
    return from_manifest(text) if path.suffix == ".json" else [text]


async def _register(documents: Sequence[str], name: str) -> "list[Registered]":
    from guanxi_core.cli.opening import opened, operator
    from guanxi_core.enabling import what_is_served
    from guanxi_core.limits import requests_of
    from guanxi_core.operations import examined, register_documents
    from guanxi_core.tenancy import find_tenant, settled

    async with opened() as guanxi:
        tenant = await find_tenant(guanxi.pool, name)
        enabled, stored, fields = await settled(guanxi.pool, tenant)
        edition = what_is_served(guanxi.registry, enabled, fields).edition
        limits = requests_of(stored, guanxi.config.limits).limits
        described = examined(edition, documents, limits)
        return await register_documents(guanxi.pool, tenant, described, documents, actor=operator())


async def _list(name: str) -> "list[Registered]":
    from guanxi_core.cli.opening import opened
    from guanxi_core.operations import list_operations
    from guanxi_core.tenancy import find_tenant

    async with opened() as guanxi:
        return await list_operations(guanxi.pool, await find_tenant(guanxi.pool, name))


async def _remove(operations: Sequence[str], name: str) -> "list[Registered]":
    from guanxi_core.cli.opening import opened, operator
    from guanxi_core.operations import remove_operations
    from guanxi_core.tenancy import find_tenant

    async with opened() as guanxi:
        tenant = await find_tenant(guanxi.pool, name)
        return await remove_operations(guanxi.pool, tenant, operations, actor=operator())


async def _check(name: str) -> "tuple[list[Broken], int]":
    from guanxi_core.cli.opening import opened
    from guanxi_core.enabling import what_is_served
    from guanxi_core.limits import requests_of
    from guanxi_core.operations import broken, list_operations
    from guanxi_core.tenancy import find_tenant, settled

    async with opened() as guanxi:
        tenant = await find_tenant(guanxi.pool, name)
        enabled, stored, fields = await settled(guanxi.pool, tenant)
        registered = await list_operations(guanxi.pool, tenant)
        edition = what_is_served(guanxi.registry, enabled, fields).edition
        limits = requests_of(stored, guanxi.config.limits).limits
        return broken(edition, registered, limits), len(registered)
