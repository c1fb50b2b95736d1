"""``guanxi erase``."""

import asyncio
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from guanxi_core.erasing.report import ErasureReport

#: What the platform itself keeps: attribute of the report, and what people call it.
_TRACES = {
    "audit_entries": "audit entries", "events": "events", "deliveries": "deliveries",
    "replies": "stored replies", "jobs": "jobs", "tokens": "tokens",
}  # fmt: skip


@click.command(
    epilog="Examples: guanxi erase person_01a2… --tenant acme --dry-run · "
    'guanxi erase person_01a2… --tenant acme --reason "request 17"'
)
@click.argument("person")
@click.option("--tenant", required=True, metavar="T", help="The tenant's name.")
@click.option("--reason", help="Why; it is kept in the audit, so it must not name the person.")
@click.option("--dry-run", is_flag=True, help="Show what would be erased, and erase nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; needs --yes or --dry-run.")
def erase(
    person: str, tenant: str, reason: str | None, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Erase, for good, all that is kept about PERSON, the id of a person, an employee or a user.

    The row itself stays, blank and archived. Backups keep what they have: after restoring one,
    erase again whom it brought back.
    """
    from guanxi_core.cli.printing import print_json

    if not dry_run and not reason:
        raise click.UsageError("Give --reason, which the audit keeps, or --dry-run.")
    if as_json and not (dry_run or yes):
        raise click.UsageError("With --json nothing is asked: give --yes or --dry-run.")
    if not (dry_run or yes):
        _print(asyncio.run(_erase(person, tenant, reason, True)))
        click.confirm("Erase this for good?", abort=True, err=True)
    report = asyncio.run(_erase(person, tenant, reason, dry_run))
    if as_json:
        print_json(report)
    elif dry_run or yes:
        _print(report)
    else:
        click.echo("Erased.")


async def _erase(person: str, tenant: str, reason: str | None, dry_run: bool) -> "ErasureReport":
    from guanxi_core.cli.opening import opened, operator
    from guanxi_core.erasing.person import erase
    from guanxi_core.platform import Platform
    from guanxi_core.tenancy import find_tenant

    async with opened() as guanxi:
        found = await find_tenant(guanxi.pool, tenant)
        async with await Platform.open(
            guanxi.database.app_url, registry=guanxi.registry, pool_size=2
        ) as platform:
            access = await platform.system_access(found, operator())
            async with platform.context(access, reason=reason, origin="administration") as ctx:
                return await erase(ctx, person, dry_run=dry_run)


def _print(report: "ErasureReport") -> None:
    from guanxi_core.cli.printing import print_table

    would = "Would be erased" if report.dry_run else "Erased"
    click.echo(f"{would}: {', '.join(report.subjects)}")
    rows = [(r.model, r.deleted, r.blanked, ", ".join(r.fields)) for r in report.rows]
    traces = [(what, "", getattr(report, name), "") for name, what in _TRACES.items()]
    print_table(("WHAT", "DELETED", "BLANKED", "FIELDS"), [*rows, *traces])
    if report.mentions:
        click.echo("Texts that still name the person; somebody has to read them:")
        print_table(
            ("MODEL", "FIELD", "ID"), [(one.model, one.field, one.id) for one in report.mentions]
        )
