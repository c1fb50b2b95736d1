"""``guanxi import``."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:
    from guanxi_core.importing import ImportResult, Progress


@click.command(
    "import",
    epilog="Examples: guanxi import customers customers.csv --tenant acme · guanxi import "
    "purchases Orders.csv --map orders.toml --tenant acme --dry-run",
)
@click.argument("model")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--tenant", required=True, metavar="T", help="The tenant's name.")
@click.option(
    "--map", "mapping", type=click.Path(path_type=Path), metavar="MAP.toml",
    help="Mapping file: which column becomes which attribute. Without one, columns are matched by "
    "their names.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Do everything, then undo it; prints the counts.")
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="FILE",
    help="Where rejected rows go; FILE.rejected.csv in the current folder when left out.",
)  # fmt: skip
@click.option("--reason", help="Why; the audit tells it.")
@click.option("--encoding", help="Encoding of the file, instead of the mapping's or UTF-8.")
@click.option("--delimiter", help="Character between the cells, instead of the mapping's or ','.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def import_(
    ctx: click.Context,
    model: str,
    file: Path,
    tenant: str,
    mapping: Path | None,
    dry_run: bool,
    report: Path | None,
    reason: str | None,
    encoding: str | None,
    delimiter: str | None,
    as_json: bool,
) -> None:
    """Import rows of MODEL (customers, employees, purchases…) from the CSV file FILE.

    Rows are matched by the model's natural key or by the mapping's key: running an import again
    updates what changed and doubles nothing. All valid rows are written in one transaction;
    rejected ones go to a report with line number and reason, and the exit status is 1. When the
    file or the mapping itself is wrong, nothing is written.
    """
    from guanxi_core.cli.printing import progress_bar

    with progress_bar() as bar:
        result = asyncio.run(
            _import(
                model, file, tenant, mapping, bar.tell if bar else None,
                dry_run=dry_run, report=report, reason=reason,
                encoding=encoding, delimiter=delimiter,
            )
        )  # fmt: skip
    _print(result, as_json)
    rejected = result.total("rejected")
    if rejected:
        rows = "1 row was" if rejected == 1 else f"{rejected} rows were"
        where = " and ".join(str(path) for path in result.reports)
        click.echo(f"guanxi: {rows} rejected: see {where}. {result.first_rejection}", err=True)
        ctx.exit(1)


async def _import(
    model: str,
    file: Path,
    tenant: str,
    mapping: Path | None,
    progress: "Progress | None",
    *,
    encoding: str | None,
    delimiter: str | None,
    **options: Any,
) -> "ImportResult":
    from guanxi_core.cli.opening import opened, operator
    from guanxi_core.importing import Document, import_file, plan_import
    from guanxi_core.platform import Platform
    from guanxi_core.tenancy import find_tenant

    document = Document.read(mapping) if mapping else None
    async with opened() as guanxi:
        found = await find_tenant(guanxi.pool, tenant)
        async with await Platform.open(
            guanxi.database.app_url, registry=guanxi.registry, pool_size=2
        ) as platform:
            access = await platform.system_access(found, operator())
            edition = access.installation.edition
            plan = plan_import(
                model, edition.models.values(), document, custom=edition.custom,
                encoding=encoding, delimiter=delimiter,
            )  # fmt: skip
            return await import_file(platform, access, plan, file, progress=progress, **options)


def _print(result: "ImportResult", as_json: bool) -> None:
    from guanxi_core.cli.printing import print_json

    counts = ("created", "updated", "unchanged", "rejected")
    if as_json:
        print_json(
            {
                **{what: result.total(what) for what in counts},
                "seconds": round(result.seconds, 3),
                "report": str(result.reports[0]) if result.reports else None,
                "reports": [str(path) for path in result.reports],
                "dry_run": result.dry_run,
                "steps": result.steps,
                "warnings": result.warnings,
            }
        )
        return
    for step in result.steps:
        told = ", ".join(f"{getattr(step, what):,} {what}" for what in counts)
        click.echo(f"{step.model} from {step.file}: {told}")
    for warning in result.warnings:
        click.echo(f"guanxi: {warning}", err=True)
    rows = sum(result.total(what) for what in counts)
    undone = "; dry run, nothing was written" if result.dry_run else ""
    click.echo(f"{rows:,} row{'' if rows == 1 else 's'} in {result.seconds:.1f} s{undone}.")
