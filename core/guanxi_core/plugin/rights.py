"""Users, roles and who holds which, as everybody with the right to may see and change them."""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from guanxi_core.grants import Grant, covered, known_grants
from guanxi_core.plugin.giving import DECIDE, only_as_long, only_ones_own, require_all
from guanxi_sdk import (
    Choice,
    Confidentiality,
    Context,
    Invalid,
    Model,
    NotFound,
    Permission,
    Refusal,
    column,
    reference,
)

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext

SEE = Permission("guanxi.rights", "See who may do what.")
EXPORT = Permission("guanxi.export", "Take many rows out at once.")
_CLOSED = ("create", "update", "archive", "restore")


class Clearance(Choice):
    """The most confidential values that somebody may read."""

    INTERNAL = "INTERNAL", "内部", "Internal"
    CONFIDENTIAL = "CONFIDENTIAL", "机密", "Confidential"
    SECRET = "SECRET", "绝密", "Secret"


class User(Model, plugin="guanxi", closed=_CLOSED, read=SEE.name, write=DECIDE.name, subject=True):
    """A person or a machine of the enterprise."""

    __table_args__ = (sa.UniqueConstraint("tenant_id", "name"),)

    name: Mapped[str] = column(readonly=True)
    """Name, unique in the enterprise."""

    email: Mapped[str | None] = column(readonly=True)
    """Address for people to write to."""


class Role(Model, plugin="guanxi", closed=_CLOSED, read=SEE.name, write=DECIDE.name):
    """What those who hold it may do."""

    name: Mapped[str] = column(readonly=True)
    """Name, unique in the enterprise."""

    description: Mapped[str | None] = column(readonly=True)
    """What the role is for."""

    permissions: Mapped[list[str]] = column(readonly=True)
    """Permissions, `*.<last part>` or `*`, each with a scope unless for all rows: `*.read:own`."""

    clearance: Mapped[Clearance] = column(readonly=True)
    """The most confidential values that the role may read."""


class UserRole(Model, plugin="guanxi", closed=_CLOSED, read=SEE.name, write=DECIDE.name):
    """A role that a user holds, for ever or for some time."""

    user_id: Mapped[UUID] = reference(User, reverse="user_roles", readonly=True)
    """Who holds the role."""

    role_id: Mapped[UUID] = reference(Role, reverse="user_roles", readonly=True)
    """The role that is held."""

    expires_at: Mapped[dt.datetime | None] = column(readonly=True)
    """When the user ceases to hold it; null for never."""

    purpose: Mapped[str | None] = column(readonly=True)
    """What it was given for, for instance a reception."""


async def create_role(
    ctx: Context, name: str, grants: Sequence[str], clearance: Clearance, description: str | None
) -> Role:
    """Make a role that gives no more than the caller has."""
    require_all(ctx, DECIDE)
    if not name or len(name) > 60 or name != name.strip() or not name.isprintable():
        raise Invalid("name", "must be up to 60 printable characters")
    wanted = _read(grants, clearance)
    only_ones_own(ctx, wanted)
    if await ctx.db.scalar(sa.select(Role.id).where(Role.name == name)):
        raise Invalid("name", "is taken: change that role, or choose another name")
    texts = [str(grant) for grant in wanted]
    return await ctx.add(
        Role(
            name=name, permissions=texts, clearance=clearance,
            description=_remark("description", description),
        )
    )  # fmt: skip


async def update_role(
    ctx: Context,
    role_id: UUID,
    grants: Sequence[str] | None,
    clearance: Clearance | None,
    description: str | None,
) -> Role:
    """Change a role; what it gains or loses must be the caller's own."""
    role = await ctx.get(Role, role_id, path="role_id")
    former = grants_of(role)
    wanted = _read(role.permissions if grants is None else grants, clearance or role.clearance)
    await only_as_long(ctx, (grant for grant in wanted if not covered(grant, former)), None)
    only_ones_own(ctx, (grant for grant in former if not covered(grant, wanted)))
    async with KeepingAdministrators(ctx):
        role.permissions = [str(grant) for grant in wanted]
        role.clearance = clearance or role.clearance
        if description is not None:
            role.description = _remark("description", description)
        await ctx.db.flush()
    return role


async def grant_role(
    ctx: Context,
    user_id: UUID,
    role_id: UUID,
    expires_at: dt.datetime | None,
    purpose: str | None,
) -> UserRole:
    """Let a user hold a role, until a time if one is given."""
    user = await ctx.get(User, user_id, path="user_id")
    role = await ctx.get(Role, role_id, path="role_id")
    if user.archived_at is not None:
        raise Invalid("user_id", "is archived")
    if expires_at is not None and expires_at <= ctx.now():
        raise Invalid("expires_at", "must lie in the future")
    purpose = _remark("purpose", purpose)
    await only_as_long(ctx, grants_of(role), expires_at)
    async with KeepingAdministrators(ctx):
        held = await _held(ctx, user_id, role_id)
        if held is None:
            return await ctx.add(
                UserRole(user_id=user_id, role_id=role_id, expires_at=expires_at, purpose=purpose)
            )
        held.expires_at, held.purpose = expires_at, purpose
        await ctx.db.flush()
    return held


async def revoke_role(ctx: Context, user_id: UUID, role_id: UUID) -> User:
    """Take a role from a user."""
    user = await ctx.get(User, user_id, path="user_id")
    role = await ctx.get(Role, role_id, path="role_id")
    held = await _held(ctx, user_id, role_id)
    if held is None:
        raise NotFound("role_id", "is not one that the user holds")
    only_ones_own(ctx, grants_of(role))
    async with KeepingAdministrators(ctx):
        await ctx.db.delete(held)
        await ctx.db.flush()
    return user


async def _held(ctx: Context, user_id: UUID, role_id: UUID) -> UserRole | None:
    statement = sa.select(UserRole).where(UserRole.user_id == user_id, UserRole.role_id == role_id)
    return cast(UserRole | None, await ctx.db.scalar(statement))


def _remark(path: str, text: str | None) -> str | None:
    """A sentence about a role, or None for an empty one."""
    if text is not None and len(text) > 500:
        raise Invalid(path, "is longer than 500 characters")
    return text or None


def _read(texts: Sequence[str], clearance: Clearance) -> list[Grant]:
    level = Confidentiality[clearance.value]
    return [Grant.parse(text, level) for text in dict.fromkeys(texts)]


def grants_of(role: Role) -> list[Grant]:
    """What a role gives."""
    return known_grants(role.permissions, role.clearance.value)


@asynccontextmanager
async def keeping_administrators(ctx: Context, users: Sequence[UUID]) -> AsyncIterator[None]:
    """Refuse a block that ends ``users``, if there are any, and leaves nobody to decide."""
    if not users:
        yield
        return
    async with KeepingAdministrators(ctx):
        yield


class KeepingAdministrators:
    """Refuses a change after which nobody could decide about rights any more."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._before = (0, 0)

    async def __aenter__(self) -> None:
        connection = await cast("TransactionContext", self._ctx).raw()
        await connection.execute("SELECT guanxi_touch($1)", self._ctx.tenant.id)  # changes queue
        self._before = await self._administrators()

    async def __aexit__(self, kind: Any, *_: object) -> None:
        if kind is not None:
            return
        after = await self._administrators()
        if any(was and not now for was, now in zip(self._before, after, strict=True)):
            raise Refusal(
                None, "Nobody could decide about rights any more: give somebody else a role with "
                f"'{DECIDE.name}' first.",
            )  # fmt: skip

    async def _administrators(self) -> tuple[int, int]:
        """How many roles may decide, and how many users hold one of them for ever."""
        roles = await self._ctx.db.scalars(sa.select(Role))
        deciding = [role.id for role in roles if covered(Grant.parse(DECIDE.name), grants_of(role))]
        holders = (
            sa.select(sa.func.count(sa.distinct(UserRole.user_id)))
            .join(User, User.id == UserRole.user_id)
            .where(
                UserRole.role_id.in_(deciding),
                UserRole.expires_at.is_(None),
                User.archived_at.is_(None),
            )
        )
        return len(deciding), await self._ctx.db.scalar(holders) or 0
