"""``guanxi audit``."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from guanxi_core.verifying import Anchor, Verdict


@click.group(epilog="Example: guanxi audit verify --tenant acme --against anchors.jsonl")
def audit() -> None:
    """Verify the audit's chain, and take anchors of it."""


@audit.command(epilog="Example: guanxi audit verify --tenant acme --against anchors.jsonl")
@click.option("--tenant", required=True, help="Whose audit.")
@click.option(
    "--against", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of anchors made by guanxi audit head; without one, a chain that was cut off or "
    "rewritten as a whole cannot be told from a sound one.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def verify(ctx: click.Context, tenant: str, against: Path | None, as_json: bool) -> None:
    """Compute every digest anew; exit status 1, and the first broken entry, if one differs."""
    from guanxi_core.cli.printing import print_json

    text = against.read_text("utf-8", "replace") if against else None
    verdict = asyncio.run(_verify(tenant, text))
    if as_json:
        print_json(verdict)
    else:
        click.echo(_sentences(verdict))
    if verdict.broken is not None:
        ctx.exit(1)


@audit.command(epilog="Example: guanxi audit head --tenant acme >> anchors.jsonl")
@click.option("--tenant", required=True, help="Whose audit.")
def head(tenant: str) -> None:
    """Print the newest link as one line of JSON: an anchor, to be kept somewhere else."""
    import msgspec

    click.echo(msgspec.json.encode(asyncio.run(_head(tenant))).decode())


async def _verify(tenant: str, against: str | None) -> "Verdict":
    from guanxi_core.cli.opening import opened
    from guanxi_core.tenancy import find_tenant
    from guanxi_core.verifying import Anchor
    from guanxi_core.verifying import verify as verify_chain

    anchors = [] if against is None else Anchor.read(against)
    async with opened() as guanxi:
        found = await find_tenant(guanxi.pool, tenant)
        return await verify_chain(guanxi.pool, found, anchors)


async def _head(tenant: str) -> "Anchor":
    from guanxi_core.cli.opening import opened
    from guanxi_core.sealing import seal
    from guanxi_core.tenancy import find_tenant
    from guanxi_core.verifying import head as newest

    async with opened() as guanxi:
        found = await find_tenant(guanxi.pool, tenant)
        await seal(guanxi.pool)
        return await newest(guanxi.pool, found)


def _sentences(verdict: "Verdict") -> str:
    name = verdict.tenant
    if verdict.broken is not None:
        where = verdict.broken.sequence
        entry = "The audit" if where is None else f"Entry {where} of the audit"
        return f"{entry} of '{name}' is broken: {verdict.broken.reason}."
    lines = [f"The audit of '{name}' is whole: {verdict.entries} entries."]
    if verdict.erased:
        lines.append(f"The content of {verdict.erased} was erased, as other entries say.")
    if verdict.unsealed:
        since = f"{verdict.unsealed_since:%Y-%m-%d %H:%M:%S} UTC"
        lines.append(f"{verdict.unsealed} more, since {since}, are not sealed yet.")
    if not verdict.anchors:
        lines.append("Without --against, an end that was cut off does not show.")
    return "\n".join(lines)
