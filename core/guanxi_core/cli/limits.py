"""``guanxi limits``."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import rich_click as click


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    value: int
    own: bool
    most: int
    means: str


@dataclass(frozen=True, slots=True)
class _Rules:
    tenant: str
    limits: list[_Row]
    only_registered: bool


@click.command(
    epilog="Examples: guanxi limits --tenant acme · "
    "guanxi limits --tenant acme --set cost=100000 --only-registered"
)
@click.option("--tenant", required=True, metavar="T", help="Whose requests.")
@click.option(
    "--set", "given", multiple=True, metavar="NAME=NUMBER",
    help="A limit, 0 for the default again; repeatable.",
)  # fmt: skip
@click.option(
    "--only-registered/--any-operation", "only_registered", default=None,
    help="Answer registered operations alone, or any.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def limits(
    tenant: str, given: tuple[str, ...], only_registered: bool | None, as_json: bool
) -> None:
    """Show how large a tenant's requests may be, or change it.

    Running servers follow at the next request. What a tenant may have at most is set under [limits]
    in guanxi.toml.
    """
    from guanxi_core.cli.printing import print_json, print_table
    from guanxi_core.limits import SETTABLE

    wanted: dict[str, int | bool | None] = {}
    for setting in given:
        name, _, value = setting.partition("=")
        if name not in SETTABLE or not (value.isascii() and value.isdigit()):
            names = ", ".join(SETTABLE)
            raise click.UsageError(f"--set {setting} is not NAME=NUMBER with a NAME of {names}.")
        wanted[name] = int(value)
    if only_registered is not None:
        wanted["only_registered"] = only_registered
    rules = asyncio.run(_rules(tenant, wanted))
    if as_json:
        print_json(rules)
        return
    print_table(
        ("LIMIT", "VALUE", "SET BY", "MOST", "MEANING"),
        [
            (r.name, r.value, "tenant" if r.own else "default", r.most, r.means)
            for r in rules.limits
        ],
    )
    which = "Only registered operations are" if rules.only_registered else "Any operation is"
    click.echo(f"{which} answered.")


async def _rules(name: str, wanted: Mapping[str, int | bool | None]) -> _Rules:
    from guanxi_core.cli.opening import opened, operator
    from guanxi_core.limits import SETTABLE, most, requests_of, set_limits, stored_requests
    from guanxi_core.tenancy import find_tenant

    async with opened() as guanxi:
        tenant, ceiling = await find_tenant(guanxi.pool, name), guanxi.config.limits
        await set_limits(guanxi.pool, tenant, wanted, ceiling, actor=operator())
        stored = await stored_requests(guanxi.pool, tenant) or {}
    requests = requests_of(stored, ceiling)
    rows = [
        _Row(one, getattr(requests.limits, one), stored.get(one) is not None, most(one, ceiling),
             bounds.means)
        for one, bounds in SETTABLE.items()
    ]  # fmt: skip
    return _Rules(name, rows, requests.only_registered)
