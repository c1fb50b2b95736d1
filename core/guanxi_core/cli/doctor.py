"""``guanxi doctor``."""

import asyncio

import rich_click as click


@click.command(epilog="Example: guanxi doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Check configuration, database, roles, isolation, migrations and plugins.

    Changes nothing. The exit status is 1 if anything is wrong.
    """
    from guanxi_core.cli.printing import print_json, print_table
    from guanxi_core.doctor import examine

    checks = asyncio.run(examine())
    if as_json:
        print_json(checks)
    else:
        print_table(
            ("", "CHECK", "FINDING"), [("✓" if c.ok else "✗", c.name, c.detail) for c in checks]
        )
    if wrong := sum(not c.ok for c in checks):
        raise click.ClickException(f"{wrong} of {len(checks)} checks failed.")
