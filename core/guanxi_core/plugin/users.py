"""Users as everybody who decides about rights makes, changes and archives them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast
from uuid import UUID

import sqlalchemy as sa

from guanxi_core import api_tokens, identity
from guanxi_core.grants import Grant
from guanxi_core.plugin.giving import DECIDE, only_as_long, only_ones_own, require_all
from guanxi_core.plugin.rights import KeepingAdministrators, Role, User, UserRole, grants_of
from guanxi_sdk import EVERY_ROW, Context, Invalid

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext


async def create_user(ctx: Context, name: str, email: str | None, roles: Sequence[UUID]) -> User:
    """Make a user who holds roles that give no more than the caller has."""
    require_all(ctx, DECIDE)
    held = [await ctx.get(Role, role_id, path="roles") for role_id in dict.fromkeys(roles)]
    await _check(ctx, name, email)
    await only_as_long(ctx, (grant for role in held for grant in grants_of(role)), None)
    user = await ctx.add(User(name=name, email=email))
    for role in held:
        await ctx.add(UserRole(user_id=user.id, role_id=role.id))
    return user


async def update_user(ctx: Context, user_id: UUID, name: str | None, email: str | None) -> User:
    """Call a user otherwise; whoever an issuer lets in by name is meant by the new one."""
    user = await _user(ctx, user_id)
    if name not in (None, user.name) and user.id != ctx.caller.user_id:
        await only_as_long(ctx, await given_to(ctx, user_id), None, as_another=True)
    await _check(ctx, name if name != user.name else None, email or None)
    user.name = user.name if name is None else name
    user.email = user.email if email is None else email or None
    await ctx.db.flush()
    return user


async def archive_user(ctx: Context, user_id: UUID) -> User:
    """Shut a user out, and end the user's tokens for good."""
    user = await _user(ctx, user_id)
    if user.archived_at is not None:
        return user
    async with KeepingAdministrators(ctx):
        user.archived_at = ctx.now()
        await ctx.db.flush()
    core = cast("TransactionContext", ctx)
    connection = await core.raw()
    for token in await api_tokens.list_tokens(connection, ctx.tenant):
        if token.user_id == user_id and token.revoked_at is None:
            await api_tokens.end_token(connection, ctx.tenant, token.id)
            await core.note("guanxi.revoke_token", f"token_{token.id}", {})
    return user


async def restore_user(ctx: Context, user_id: UUID) -> User:
    """Let an archived user in again, with the roles held before and new tokens."""
    user = await _user(ctx, user_id)
    await only_as_long(ctx, await given_to(ctx, user_id), None)
    user.archived_at = None
    await ctx.db.flush()
    return user


async def rights_of(ctx: Context, user_id: UUID) -> list[Role]:
    """The roles that a user holds now, whether or not the caller may see them."""
    held = sa.select(UserRole.role_id).where(
        UserRole.user_id == user_id,
        sa.or_(UserRole.expires_at.is_(None), UserRole.expires_at > sa.func.now()),
    )
    statement = sa.select(Role).where(Role.id.in_(held))
    return list(await ctx.db.scalars(statement, execution_options=EVERY_ROW))


async def given_to(ctx: Context, user_id: UUID) -> list[Grant]:
    """What a user's roles give now."""
    return [grant for role in await rights_of(ctx, user_id) for grant in grants_of(role)]


async def _user(ctx: Context, user_id: UUID) -> User:
    """A user who may do no more than the caller: nobody changes whom they could not make."""
    user = await ctx.get(User, user_id, path="user_id")
    only_ones_own(ctx, await given_to(ctx, user_id))
    return user


async def _check(ctx: Context, name: str | None, email: str | None) -> None:
    if name is not None:
        if not identity.is_name(name):
            raise Invalid("name", "must be up to 200 printable characters")
        if await ctx.db.scalar(sa.select(User.id).where(User.name == name)):
            raise Invalid("name", "is taken: choose another name")
    if email is not None and not identity.is_email(email):
        raise Invalid("email", "is not an address such as ada@example.com")
