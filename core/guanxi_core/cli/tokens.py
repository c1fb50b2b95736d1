"""``guanxi token``."""

import asyncio
import datetime as dt
import re
from typing import Any, Final
from uuid import UUID

import rich_click as click

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class _Duration(click.ParamType[dt.timedelta]):
    """A number and its unit, such as ``30d``."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> dt.timedelta:
        if isinstance(value, dt.timedelta):
            return value
        match = re.fullmatch(r"([0-9]{1,6})([mhdw])", str(value))
        if match is None:
            self.fail(f"{value!r} is not a duration such as 90m, 12h, 30d or 8w.", param, ctx)
        return dt.timedelta(**{_UNITS[match[2]]: int(match[1])})


class _TokenId(click.ParamType[UUID]):
    """A token's id; what is no id is not repeated, because it may be a token."""

    name = "id"

    def convert(self, value: Any, param: Any, ctx: Any) -> UUID:
        try:
            return UUID(str(value))
        except ValueError:
            self.fail("this is not the ID of a token: see guanxi token list.", param, ctx)


@click.group(epilog="Example: guanxi token create --tenant acme")
def token() -> None:
    """Create, list and revoke API tokens."""


@token.command(
    epilog="Example: TOKEN=$(guanxi token create --tenant acme --user ada --expires 30d)"
)
@click.option("--tenant", required=True, help="The tenant whose data the token opens.")
@click.option(
    "--role", help="Rights of this role; 'admin' when neither --role nor --user is given."
)
@click.option("--user", help="Rights of this user's roles; with --role, of that one alone.")
@click.option("--label", default="", help="What the token is for.")
@click.option(
    "--expires", type=_Duration(), metavar="DURATION",
    help="How long it is valid: 90m, 12h, 30d, 8w. For ever when left out.",
)  # fmt: skip
@click.option(
    "--operation", "operations", multiple=True, metavar="NAME-OR-SHA256",
    help="A registered operation; with any, the token may ask for these alone. Repeatable.",
)  # fmt: skip
def create(
    tenant: str,
    role: str | None,
    user: str | None,
    label: str,
    expires: dt.timedelta | None,
    operations: tuple[str, ...],
) -> None:
    """Create a token and print it, alone, on standard output. It is never shown again."""
    made = asyncio.run(_create(tenant, role, user, label, expires, operations))
    click.echo(made)


@token.command("list", epilog="Example: guanxi token list --tenant acme")
@click.option("--tenant", required=True, help="Whose tokens.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(tenant: str, as_json: bool) -> None:
    """List a tenant's tokens, without their secrets."""
    asyncio.run(_list(tenant, as_json))


@token.command(epilog="Example: guanxi token revoke 0198c0de-… --tenant acme")
@click.argument("id", type=_TokenId())
@click.option("--tenant", required=True, help="The tenant the token belongs to.")
def revoke(id: UUID, tenant: str) -> None:
    """Revoke the token with this ID (see guanxi token list); it fails from the next request on."""
    asyncio.run(_revoke(id, tenant))
    click.echo(f"Token {id} revoked.")


async def _create(
    tenant: str,
    role: str | None,
    user: str | None,
    label: str,
    expires: dt.timedelta | None,
    operations: tuple[str, ...],
) -> str:
    from guanxi_core.api_tokens import create_token
    from guanxi_core.cli.opening import opened, operator
    from guanxi_core.operations import find
    from guanxi_core.tenancy import find_tenant

    if role is None and user is None:
        role = "admin"
    async with opened() as guanxi:
        found = await find_tenant(guanxi.pool, tenant)
        bound = [(await find(guanxi.pool, found, one)).sha256 for one in operations]
        return await create_token(
            guanxi.pool, found, role=role, user=user, label=label, expires_in=expires,
            operations=bound or None, actor=operator(),
        )  # fmt: skip


async def _list(tenant: str, as_json: bool) -> None:
    from guanxi_core.api_tokens import list_tokens
    from guanxi_core.cli.opening import opened
    from guanxi_core.cli.printing import print_json, print_table
    from guanxi_core.tenancy import find_tenant

    async with opened() as guanxi:
        tokens = await list_tokens(guanxi.pool, await find_tenant(guanxi.pool, tenant))
    if as_json:
        print_json(tokens)
        return
    now = dt.datetime.now(dt.UTC)
    print_table(
        ("ID", "LABEL", "USER", "ROLE", "OPERATIONS", "CREATED", "EXPIRES", "STATE"),
        [
            (
                t.id, t.label, t.user, t.role,
                None if t.operations is None else len(t.operations),
                _minute(t.created_at), _minute(t.expires_at),
                "revoked" if t.revoked_at
                else "expired" if t.expires_at and t.expires_at <= now else "valid",
            )
            for t in tokens
        ],
    )  # fmt: skip


async def _revoke(token_id: UUID, tenant: str) -> None:
    from guanxi_core.api_tokens import revoke_token
    from guanxi_core.cli.opening import opened, operator
    from guanxi_core.tenancy import find_tenant

    async with opened() as guanxi:
        found = await find_tenant(guanxi.pool, tenant)
        await revoke_token(guanxi.pool, found, token_id, actor=operator())


def _minute(at: dt.datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
