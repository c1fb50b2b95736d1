"""``guanxi export``."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import rich_click as click

if TYPE_CHECKING:
    from guanxi_graphql.exporting import Exported, Wanted


@click.command(
    epilog="Examples: guanxi export customers --tenant acme --output customers.csv · guanxi export "
    "persons --tenant acme --user ada --fields name,customer.code --where "
    """'{"rank": {"gt": 3}}'""",
)
@click.argument("model")
@click.option("--tenant", required=True, metavar="T", help="The tenant's name.")
@click.option("--user", help="Export what this user may see; all there is when left out.")
@click.option("--role", help="Export what this role alone gives to see.")
@click.option(
    "--format", "format_", type=click.Choice(["jsonl", "csv"]),
    help="JSON Lines, or CSV; by the name of the file when left out, and else jsonl.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), metavar="FILE",
    help="Where to write; standard output when left out, or -.",
)  # fmt: skip
@click.option(
    "--fields", metavar="NAMES",
    help="Names with commas between them, such as name,tier,office.code; all stored and SQL "
    "fields when left out.",
)  # fmt: skip
@click.option("--where", metavar="JSON", help="Conditions, as the argument `where` in GraphQL.")
@click.option("--archived", is_flag=True, help="Archived rows, too.")
@click.option("--reason", help="Why, for the audit; secret fields are left out without it.")
@click.option("--excel", is_flag=True, help="Begin CSV with the mark by which Excel knows UTF-8.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def export(
    model: str,
    tenant: str,
    user: str | None,
    role: str | None,
    format_: Literal["jsonl", "csv"] | None,
    output: Path | None,
    fields: str | None,
    where: str | None,
    archived: bool,
    reason: str | None,
    excel: bool,
    as_json: bool,
) -> None:
    """Export rows of MODEL (customers, persons, purchases…) as the caller may see them.

    All rows are of one moment. FILE appears when it is whole, readable by its owner alone; it
    replaces one of the same name. With --user or --role, fields that may not be read are left out,
    and the permission guanxi.export is needed. The audit has an entry of every export.
    """
    if user is not None and role is not None:
        raise click.UsageError("Give --user or --role, not both.")
    path = None if output is None or str(output) == "-" else output
    by_name: Literal["jsonl", "csv"] = "csv" if path and path.suffix == ".csv" else "jsonl"
    chosen = format_ or by_name
    if excel and chosen != "csv":
        raise click.UsageError("--excel goes with CSV.")
    if reason is not None and not (reason.strip() and reason.isprintable() and len(reason) <= 500):
        raise click.UsageError("--reason takes up to 500 printable characters.")
    from guanxi_graphql.exporting import Wanted

    names = None if fields is None else [name.strip() for name in fields.split(",")]
    wanted = Wanted(model, names, _conditions(where), archived, chosen, excel)
    done = asyncio.run(_export(tenant, user, role, wanted, path, reason))
    _tell(done, path, as_json)


def _conditions(text: str | None) -> dict[str, Any] | None:
    import msgspec

    try:
        return None if text is None else msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise click.UsageError(
            """--where is not a JSON object such as {"name": {"eq": "Ada"}}."""
        ) from None


async def _export(
    tenant: str,
    user: str | None,
    role: str | None,
    wanted: "Wanted",
    path: Path | None,
    reason: str | None,
) -> "Exported":
    from guanxi_core.cli.opening import opened, operator
    from guanxi_core.cli.printing import progress_bar
    from guanxi_core.platform import Platform
    from guanxi_core.tenancy import find_tenant
    from guanxi_graphql.exporting import export

    async with opened() as guanxi:
        found = await find_tenant(guanxi.pool, tenant)
        async with await Platform.open(
            guanxi.database.app_url, registry=guanxi.registry, pool_size=2
        ) as platform:
            actor = operator()
            if user is None and role is None:
                access = await platform.system_access(found, actor)
            else:
                access = await platform.access_as(found, user=user, role=role)
                actor = f"{actor}, as {access.caller.name}"
            with _destination(path) as write, progress_bar() as bar:
                tell = bar.counting(wanted.model) if bar and not _mixed(path) else None
                return await export(
                    platform, access, wanted, write, actor=actor, reason=reason,
                    progress=tell and (lambda done, total: tell(done, total, done)),
                )  # fmt: skip


def _mixed(path: Path | None) -> bool:
    """Whether a bar would be drawn over the rows."""
    return path is None and sys.stdout.isatty()


@contextmanager
def _destination(path: Path | None) -> Iterator[Callable[[bytes], Any]]:
    """Standard output, or a file that appears when all has gone well."""
    if path is None:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    try:
        handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}.") from None
    try:
        with os.fdopen(handle, "wb", buffering=1 << 20) as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    finally:
        Path(aside).unlink(missing_ok=True)


def _tell(done: "Exported", path: Path | None, as_json: bool) -> None:
    """What was done; beside the rows where these go to standard output."""
    import msgspec

    for name, reason in done.left_out.items():
        click.echo(f"guanxi: {name} is left out: {_said(reason)}", err=True)
    if done.empty_in_part:
        names = ", ".join(done.empty_in_part)
        click.echo(f"guanxi: on some rows you may not read {names}: empty there.", err=True)
    if as_json:
        told = {**cast("dict[str, Any]", msgspec.to_builtins(done)), "file": path and str(path)}
        click.echo(msgspec.json.encode(told).decode(), err=path is None)
    elif path is not None:
        click.echo(f"{done.rows:,} {done.model} in {done.seconds:.1f} s, written to {path}.")


def _said(reason: str) -> str:
    from guanxi_graphql.compile.policies import NO_REASON

    return "secret values need --reason." if reason == NO_REASON else reason
