"""Users, roles and API tokens.

A token is shown once and kept as its SHA-256 only: it holds 256 random bits, so neither salt nor a
slow hash would add anything, and looking it up by digest takes the same time whatever was guessed.
"""

import datetime as dt
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

from guanxi_core.database.pool import TenantPool
from guanxi_core.grants import Grant, known_grants
from guanxi_core.tenancy import names_of, record, transaction
from guanxi_sdk import Conflict, Invalid, NotFound, Tenant

PREFIX: Final = "gx_"
_LENGTH: Final = len(PREFIX) + 43  # 32 bytes in base64 without padding
EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
#: A token whose time is over ends for good: it does not come back with a clock that is set back.
_END: Final = "SELECT guanxi_end_token($1)"
_AUTHENTICATE: Final = "SELECT * FROM guanxi_authenticate($1)"


@dataclass(frozen=True, slots=True)
class User:
    """A person or a machine of one tenant."""

    id: UUID
    name: str
    email: str | None
    roles: tuple[str, ...]
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Role:
    """What those who hold it may do."""

    name: str
    permissions: tuple[str, ...]
    clearance: str
    description: str | None


@dataclass(frozen=True, slots=True)
class Token:
    """What is known about a token besides its secret."""

    id: UUID
    label: str
    user: str | None
    role: str | None
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token stands for, as of ``epoch``, the state of the tenant's rights it was read in."""

    token_id: UUID
    tenant: Tenant
    user_id: UUID | None
    name: str  # the user's, or one made of the token's label
    grants: tuple[Grant, ...]
    epoch: int
    plugins: Mapping[str, Mapping[str, Any]]  # the enabled ones and their settings


async def create_user(
    source: Any,
    tenant: Tenant,
    name: str,
    *,
    email: str | None = None,
    roles: Sequence[str] = (),
    actor: str = "system",
) -> User:
    """Add a user who holds ``roles``."""
    if not name or len(name) > 200 or name != name.strip() or not name.isprintable():
        raise Invalid("user", f"{name!r} is not a name: use up to 200 printable characters.")
    if email is not None and not (EMAIL.fullmatch(email) and email.isprintable()):
        raise Invalid("email", f"{email!r} is not an address such as ada@example.com.")
    user = User(uuid7(), name, email, tuple(dict.fromkeys(roles)))
    async with transaction(source, tenant.id) as connection:
        ids = [await _role_id(connection, tenant, role) for role in user.roles]
        try:
            async with connection.transaction():
                await connection.execute(
                    "INSERT INTO guanxi_user (tenant_id, id, name, email) VALUES ($1, $2, $3, $4)",
                    tenant.id, user.id, name, email,
                )  # fmt: skip
        except asyncpg.UniqueViolationError:
            raise Conflict(
                "user", f"'{name}' exists already in tenant '{tenant.name}': choose another name."
            ) from None
        await connection.executemany(
            "INSERT INTO guanxi_user_role (tenant_id, user_id, role_id) VALUES ($1, $2, $3)",
            [(tenant.id, user.id, role_id) for role_id in ids],
        )
        changes = {"name": [None, name], "email": [None, email], "roles": [None, list(user.roles)]}
        await record(
            connection, tenant.id, "guanxi.user.create", changes, row_id=user.id, actor=actor
        )
    return user


async def set_roles(
    connection: Any, tenant: Tenant, user_id: UUID, roles: Collection[str], *, actor: str
) -> None:
    """Let a user hold ``roles``, within a transaction; unknown ones are left out.

    Of the others the user keeps what was granted until some time only.
    """
    rows = await connection.fetch(
        "SELECT r.id, r.name, h.user_id IS NOT NULL AS held, h.expires_at"
        " FROM guanxi_role r LEFT JOIN guanxi_user_role h"
        " ON h.tenant_id = r.tenant_id AND h.role_id = r.id AND h.user_id = $2"
        " WHERE r.tenant_id = $1 ORDER BY r.name",
        tenant.id, user_id,
    )  # fmt: skip
    before = [row["name"] for row in rows if row["held"] and row["expires_at"] is None]
    after = [row["name"] for row in rows if row["name"] in roles]
    if before == after:
        return
    given = [row["id"] for row in rows if row["name"] in after and row["name"] not in before]
    taken = [row["id"] for row in rows if row["name"] in before and row["name"] not in after]
    if given:
        await connection.execute(
            "INSERT INTO guanxi_user_role AS h (tenant_id, user_id, role_id)"
            " SELECT $1, $2, role FROM unnest($3::uuid[]) AS role"
            " ON CONFLICT (tenant_id, user_id, role_id) DO UPDATE"
            " SET expires_at = NULL, version = h.version + 1, updated_at = now()",
            tenant.id, user_id, given,
        )  # fmt: skip
    if taken:
        await connection.execute(
            "DELETE FROM guanxi_user_role "
            "WHERE tenant_id = $1 AND user_id = $2 AND role_id = ANY ($3::uuid[])",
            tenant.id, user_id, taken,
        )  # fmt: skip
    await record(
        connection, tenant.id, "guanxi.user.roles", {"roles": [before, after]}, row_id=user_id,
        actor=actor,
    )  # fmt: skip


async def list_users(source: Any, tenant: Tenant) -> list[User]:
    """All users by name, archived ones included."""
    async with transaction(source, tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT u.id, u.name, u.email, u.archived_at, ARRAY("
            "  SELECT r.name FROM guanxi_user_role h JOIN guanxi_role r"
            "  ON r.tenant_id = h.tenant_id AND r.id = h.role_id"
            "  WHERE h.tenant_id = u.tenant_id AND h.user_id = u.id ORDER BY r.name) AS roles "
            "FROM guanxi_user u WHERE u.tenant_id = $1 ORDER BY u.name",
            tenant.id,
        )
    return [
        User(r["id"], r["name"], r["email"], tuple(r["roles"]), r["archived_at"] is not None)
        for r in rows
    ]


async def list_roles(source: Any, tenant: Tenant) -> list[Role]:
    """All roles by name."""
    async with transaction(source, tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT name, permissions, clearance, description FROM guanxi_role "
            "WHERE tenant_id = $1 ORDER BY name",
            tenant.id,
        )
    return [
        Role(r["name"], tuple(r["permissions"]), r["clearance"], r["description"]) for r in rows
    ]


async def create_token(
    source: Any,
    tenant: Tenant,
    *,
    role: str | None = None,
    user: str | None = None,
    label: str = "",
    expires_in: dt.timedelta | None = None,
    actor: str = "system",
) -> str:
    """Make a token and return it; nobody can read it again.

    With a user it has the rights of that user's roles; with a role those of the role alone; with
    both those of the role for as long as the user holds it; with neither no rights at all.
    """
    if len(label) > 200 or not label.isprintable():
        raise Invalid("label", "is too long or holds control characters: use up to 200 printable.")
    if expires_in is not None and not dt.timedelta(0) < expires_in <= dt.timedelta(days=36500):
        raise Invalid("expires", "must lie in the future, within a hundred years.")
    token = PREFIX + secrets.token_urlsafe(32)
    token_id = uuid7()
    async with transaction(source, tenant.id) as connection:
        role_id = None if role is None else await _role_id(connection, tenant, role)
        user_id = None if user is None else await _user_id(connection, tenant, user, role)
        await connection.execute(
            "SELECT guanxi_create_token($1, $2, $3, $4, $5, $6, now() + $7::interval)",
            token_id, tenant.id, user_id, role_id, label, _digest(token), expires_in,
        )  # fmt: skip
        changes = {"label": [None, label], "user": [None, user], "role": [None, role]}
        await record(
            connection, tenant.id, "guanxi.token.create", changes, row_id=token_id, actor=actor
        )
    return token


async def list_tokens(source: Any, tenant: Tenant) -> list[Token]:
    """All tokens of a tenant, oldest first, revoked and expired ones included."""
    async with transaction(source, tenant.id) as connection:
        rows = await connection.fetch("SELECT * FROM guanxi_tokens($1)", tenant.id)
    return [
        Token(
            id=r["id"], label=r["label"], user=r["user_name"], role=r["role_name"],
            created_at=r["created_at"], expires_at=r["expires_at"], revoked_at=r["revoked_at"],
        )
        for r in rows
    ]  # fmt: skip


async def revoke_token(
    source: Any, tenant: Tenant, token_id: UUID, *, actor: str = "system"
) -> None:
    """End a token; the next request that carries it is refused."""
    async with transaction(source, tenant.id) as connection:
        if not await connection.fetchval("SELECT guanxi_revoke_token($1, $2)", tenant.id, token_id):
            raise NotFound(
                "token", f"{token_id} is not a valid one of tenant '{tenant.name}': "
                f"see guanxi token list --tenant {tenant.name}.",
            )  # fmt: skip
        await record(connection, tenant.id, "guanxi.token.revoke", {}, row_id=token_id, actor=actor)


async def authenticate(pool: TenantPool, token: str) -> Identity | None:
    """Who ``token`` stands for; None if it is unknown, expired or revoked, or its user archived."""
    if len(token) != _LENGTH or not token.startswith(PREFIX) or not token.isascii():
        return None
    digest = _digest(token)
    known = await by_digest(pool, digest)
    if known is None:
        await pool.call(_END, digest)
    return known


async def by_digest(pool: TenantPool, digest: bytes) -> Identity | None:
    """Who the token with this digest stands for, if it is valid."""
    rows = await pool.call(_AUTHENTICATE, digest)
    if not rows:
        return None
    row = rows[0]
    return Identity(
        token_id=row["token_id"],
        tenant=Tenant(row["tenant_id"], row["tenant_name"], row["currency"]),
        user_id=row["user_id"],
        name=row["user_name"] or f"token {row['label'] or str(row['token_id'])[-12:]}",
        grants=tuple(
            grant
            for role in msgspec.json.decode(row["roles"])
            for grant in known_grants(role["permissions"], role["clearance"])
        ),
        epoch=row["epoch"],
        plugins=msgspec.json.decode(row["plugins"]),
    )


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


async def _role_id(connection: Any, tenant: Tenant, name: str) -> UUID:
    rows = await connection.fetch(
        "SELECT id, name FROM guanxi_role WHERE tenant_id = $1 ORDER BY name", tenant.id
    )
    found: dict[str, UUID] = {row["name"]: row["id"] for row in rows}
    if name not in found:
        raise NotFound("role", f"'{name}' does not exist; {names_of('roles', list(found))}.")
    return found[name]


async def _user_id(connection: Any, tenant: Tenant, name: str, role: str | None) -> UUID:
    row = None
    if name.isprintable():  # nobody has another name, and PostgreSQL could not read some
        row = await connection.fetchrow(
            "SELECT u.id, u.archived_at, ARRAY(SELECT r.name FROM guanxi_user_role h"
            " JOIN guanxi_role r ON r.tenant_id = h.tenant_id AND r.id = h.role_id"
            " WHERE h.tenant_id = u.tenant_id AND h.user_id = u.id ORDER BY r.name) AS roles "
            "FROM guanxi_user u WHERE u.tenant_id = $1 AND u.name = $2",
            tenant.id, name,
        )  # fmt: skip
    if row is None:
        raise NotFound(
            "user", f"'{name}' does not exist in tenant '{tenant.name}': "
            f"see guanxi user list --tenant {tenant.name}.",
        )  # fmt: skip
    if row["archived_at"] is not None:
        raise Invalid("user", f"'{name}' is archived: a token would not work.")
    if role is not None and role not in row["roles"]:
        held = names_of(f"roles of '{name}'", row["roles"])
        raise Invalid("role", f"'{role}' is not one that '{name}' holds; {held}.")
    found: UUID = row["id"]
    return found
