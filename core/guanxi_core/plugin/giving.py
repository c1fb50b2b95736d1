"""Nobody gives what they do not have, or for longer: the rule for whoever decides about rights."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from guanxi_core import api_tokens, identity
from guanxi_core.grants import Grant, covered
from guanxi_sdk import Context, Forbidden, Permission, Scope

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext

DECIDE = Permission("guanxi.access", "Decide who may do what.")
_NEVER: Final = dt.datetime.max.replace(tzinfo=dt.UTC)


def reaches_all(ctx: Context, permission: Permission) -> bool:
    """Whether the caller has ``permission`` for all rows, whatever it is about."""
    return Scope.ALL in ctx.caller.rights.scopes(permission.name)


def require_all(ctx: Context, permission: Permission) -> None:
    """Refuse what is about no row yet to whoever does not have ``permission`` for all rows."""
    if not reaches_all(ctx, permission):
        raise Forbidden(
            permission.name, f"This needs the permission '{permission.name}' for all rows."
        )


def only_ones_own(ctx: Context, grants: Iterable[Grant], *, as_another: bool = False) -> None:
    """Refuse grants that the caller does not have.

    Whoever acts ``as_another`` user finds that user's own rows, not the caller's: so the caller
    must have each grant for all rows, whatever its scope.
    """
    mine = cast("TransactionContext", ctx).access.grants
    for grant in grants:
        if not covered(grant, mine):
            raise Forbidden(
                DECIDE.name, f"You cannot give '{grant}', because you do not have it, or not with "
                f"the clearance {grant.clearance.name}.",
            )  # fmt: skip
        if as_another and not covered(replace(grant, scope=Scope.ALL), mine):
            raise Forbidden(
                DECIDE.name, f"You cannot let anybody act as another user with '{grant}', because "
                f"you do not have '{grant.pattern}' for all rows.",
            )  # fmt: skip


async def only_as_long(
    ctx: Context,
    grants: Iterable[Grant],
    until: dt.datetime | None,
    *,
    as_another: bool = False,
) -> None:
    """Refuse grants that the caller does not have, or not until ``until``; None stands for ever."""
    given = list(grants)
    only_ones_own(ctx, given, as_another=as_another)
    held = await _held(ctx)
    for grant in given:
        wanted = replace(grant, scope=Scope.ALL) if as_another else grant
        ends = [end for own, end in held if covered(wanted, [own])]
        latest = max(ends, default=ctx.now())
        if (until or _NEVER) > latest:
            raise Forbidden(
                DECIDE.name, f"You have '{grant}' until {latest.isoformat(timespec='seconds')} "
                "only, by your role or your token, and cannot give it for longer: use grantRole or "
                "createToken with an expiresAt until then.",
            )  # fmt: skip


async def _held(ctx: Context) -> list[tuple[Grant, dt.datetime]]:
    """What the caller has, and when it ends: with the role's time, and with the token.

    An issuer's session has no end of its own: it is prolonged as long as the issuer lets the user
    in.
    """
    core = cast("TransactionContext", ctx)
    caller, tenant, connection = core.caller, core.tenant, await core.raw()
    role_id, end = None, _NEVER
    if caller.token_id is not None:
        tokens = await api_tokens.list_tokens(connection, tenant)
        token = next(token for token in tokens if token.id == caller.token_id)
        role_id = token.role_id
        if core.access.until is None:
            end = token.expires_at or _NEVER
    if caller.user_id is None:
        return [(grant, end) for grant in core.access.grants]
    held = await identity.held_until(connection, tenant, caller.user_id, role_id)
    return [(grant, min(end, until or _NEVER)) for grant, until in held]
