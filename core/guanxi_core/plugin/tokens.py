"""API tokens as everybody who decides about rights makes, lists and revokes them."""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

import sqlalchemy as sa

from guanxi_core import api_tokens
from guanxi_core import operations as registered
from guanxi_core.grants import Grant
from guanxi_core.plugin.giving import DECIDE, only_as_long, only_ones_own, reaches_all
from guanxi_core.plugin.rights import SEE, Role, User, grants_of
from guanxi_core.plugin.users import given_to, rights_of
from guanxi_sdk import EVERY_ROW, Context, Forbidden, Invalid, NotFound, Value

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext

_PREFIX: Final = "token_"


class ApiToken(Value):
    """An API token, or the session of a user of an identity provider; never its secret."""

    id: str
    """Id, by which it is revoked and the audit calls it."""

    label: str
    """What it is for."""

    user: str | None
    """Name of the user whose rights it has."""

    user_id: str | None
    """Id of that user."""

    role: str | None
    """Name of the role whose rights it has, as long as the user holds it where there is one."""

    created_at: dt.datetime
    """When it was made."""

    expires_at: dt.datetime | None
    """When it ends by itself; null for never."""

    revoked_at: dt.datetime | None
    """When it was ended."""

    operations: list[str] | None
    """SHA-256 of the registered operations that it is bound to; null where it is bound to none."""


class IssuedToken(Value):
    """A new token, and the only answer that ever has its secret."""

    token: ApiToken
    """The token."""

    secret: str | None
    """What clients send; null where a request is repeated with its Idempotency-Key."""


async def create_token(
    ctx: Context,
    user_id: UUID | None,
    role_id: UUID | None,
    label: str,
    expires_at: dt.datetime | None,
    operations: Sequence[str] | None,
) -> IssuedToken:
    """Make a token that may do no more than the caller, and no longer.

    What a role gives, or a user has, may grow later. So a token that is not the caller's own lasts
    no longer than the right to make it, either.
    """
    if user_id is None and role_id is None:
        raise Invalid("user_id", "is missing: give a user, a role or both")
    user = None if user_id is None else await ctx.get(User, user_id, path="user_id")
    role = None if role_id is None else await ctx.get(Role, role_id, path="role_id")
    api_tokens.check_label(label)
    bound = await _bound(ctx, operations)
    if expires_at is not None and expires_at <= ctx.now():
        raise Invalid("expires_at", "must lie in the future")
    if user is not None and user.archived_at is not None:
        raise Invalid("user_id", "is archived")
    held = [role] if role else []
    if user is not None:
        of_user = await rights_of(ctx, user.id)
        if role is not None and role.id not in {one.id for one in of_user}:
            raise Invalid("role_id", "is not one that the user holds")
        held = held or of_user
    given = [grant for one in held for grant in grants_of(one)]
    own = user_id is not None and user_id == ctx.caller.user_id
    if not own:
        given.append(Grant.parse(DECIDE.name))
    await only_as_long(ctx, given, expires_at, as_another=user is not None and not own)
    core = cast("TransactionContext", ctx)
    token_id, secret = await api_tokens.issue_token(
        await core.raw(), ctx.tenant, user_id=user_id, role_id=role_id, label=label,
        expires_at=expires_at, operations=bound,
    )  # fmt: skip
    core.tell_once(secret)
    changes: dict[str, Any] = {
        "label": label,
        "user": user and user.name,
        "role": role and role.name,
    }
    if expires_at is not None:
        changes["expires_at"] = expires_at.isoformat()
    if bound is not None:
        changes["operations"] = bound
    told = {name: [None, value] for name, value in changes.items()}
    await core.note("guanxi.create_token", f"{_PREFIX}{token_id}", told)
    return IssuedToken(token=_shown(await _find(ctx, token_id)), secret=secret)


async def revoke_token(ctx: Context, id: str) -> ApiToken:
    """End a token for good: one's own, or that of somebody who may do no more than the caller."""
    try:
        token_id = UUID(id.removeprefix(_PREFIX))
    except ValueError:
        raise NotFound from None
    token = await _find(ctx, token_id)
    if id != f"{_PREFIX}{token_id}":  # other spellings of a UUID
        raise NotFound
    if not _is_own(ctx, token):
        if not reaches_all(ctx, DECIDE):
            raise NotFound
        only_ones_own(ctx, await _given_by(ctx, token))
    if token.revoked_at is not None:
        return _shown(token)
    core = cast("TransactionContext", ctx)
    await api_tokens.end_token(await core.raw(), ctx.tenant, token_id)
    await core.note("guanxi.revoke_token", id, {})
    return _shown(await _find(ctx, token_id))


async def list_tokens(ctx: Context, user_id: UUID | None) -> list[ApiToken]:
    """All tokens, or a user's; oldest first. For whoever does not see all rows: one's own."""
    everybodys = reaches_all(ctx, SEE)
    return [
        _shown(token)
        for token in await _all(ctx)
        if user_id in (None, token.user_id) and (everybodys or _is_own(ctx, token))
    ]


async def _bound(ctx: Context, wanted: Sequence[str] | None) -> list[str] | None:
    """Registered operations; of a caller who is bound, those that the caller is bound to."""
    core = cast("TransactionContext", ctx)
    own = core.access.operations
    if wanted is None:
        if own is not None:
            raise Forbidden(
                DECIDE.name, "Your token is bound to operations: so are those it makes."
            )
        return None
    if not wanted:
        raise Invalid("operations", "is empty: name what the token may ask for, or leave it out")
    connection = await core.raw()
    known = {one.sha256 for one in await registered.list_operations(connection, ctx.tenant)}
    for digest in wanted:
        if digest not in known:
            raise Invalid("operations", "holds what is not the SHA-256 of a registered operation")
        if own is not None and digest not in own:
            raise Forbidden(DECIDE.name, "Your token is not bound to all of these operations.")
    return list(dict.fromkeys(wanted))


def _is_own(ctx: Context, token: api_tokens.Token) -> bool:
    """Whether a token is one of the caller's user, or that of a caller who is no user."""
    user_id = ctx.caller.user_id
    return token.id == ctx.caller.token_id if user_id is None else token.user_id == user_id


async def _given_by(ctx: Context, token: api_tokens.Token) -> list[Grant]:
    """What whoever has a token may do, all of it if it is a user's."""
    if token.user_id is not None:
        return await given_to(ctx, token.user_id)
    statement = sa.select(Role).where(Role.id == token.role_id)
    role = await ctx.db.scalar(statement, execution_options=EVERY_ROW)
    return grants_of(role) if role else []


def _shown(token: api_tokens.Token) -> ApiToken:
    return ApiToken(
        id=f"{_PREFIX}{token.id}",
        label=token.label,
        user=token.user,
        user_id=f"user_{token.user_id}" if token.user_id else None,
        role=token.role,
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
        operations=None if token.operations is None else list(token.operations),
    )


async def _find(ctx: Context, token_id: UUID) -> api_tokens.Token:
    for token in await _all(ctx):
        if token.id == token_id:
            return token
    raise NotFound


async def _all(ctx: Context) -> list[api_tokens.Token]:
    return await api_tokens.list_tokens(await cast("TransactionContext", ctx).raw(), ctx.tenant)
