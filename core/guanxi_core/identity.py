"""Users and roles, and what they give."""

import datetime as dt
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from guanxi_core.grants import Grant, known_grants
from guanxi_core.tenancy import names_of, record, transaction
from guanxi_sdk import Conflict, Invalid, NotFound, Tenant

EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


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


def is_name(text: str) -> bool:
    """Whether a user may be called so."""
    return 0 < len(text) <= 200 and text == text.strip() and text.isprintable()


def is_email(text: str) -> bool:
    """Whether one may write there, as far as that can be seen."""
    return EMAIL.fullmatch(text) is not None and text.isprintable()


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
    if not is_name(name):
        raise Invalid("user", f"{name!r} is not a name: use up to 200 printable characters.")
    if email is not None and not is_email(email):
        raise Invalid("email", f"{email!r} is not an address such as ada@example.com.")
    user = User(uuid7(), name, email, tuple(dict.fromkeys(roles)))
    async with transaction(source, tenant.id) as connection:
        ids = [await role_id_of(connection, tenant, role) for role in user.roles]
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
            connection,
            tenant.id,
            "guanxi.create_user",
            changes,
            row_id=f"user_{user.id}",
            actor=actor,
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
        connection, tenant.id, "guanxi.user.roles", {"roles": [before, after]},
        row_id=f"user_{user_id}", actor=actor,
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


async def held_until(
    connection: Any, tenant: Tenant, user_id: UUID, role_id: UUID | None
) -> list[tuple[Grant, dt.datetime | None]]:
    """What a user's roles give now, or one of them, each with the time at which it ends."""
    rows = await connection.fetch(
        "SELECT r.permissions, r.clearance, h.expires_at FROM guanxi_user_role h "
        "JOIN guanxi_role r ON r.tenant_id = h.tenant_id AND r.id = h.role_id "
        "WHERE h.tenant_id = $1 AND h.user_id = $2 AND (h.role_id = $3 OR $3::uuid IS NULL) "
        "AND (h.expires_at IS NULL OR h.expires_at > now())",
        tenant.id, user_id, role_id,
    )  # fmt: skip
    return [
        (grant, row["expires_at"])
        for row in rows
        for grant in known_grants(row["permissions"], row["clearance"])
    ]


async def grants_of(
    source: Any, tenant: Tenant, user_id: UUID
) -> tuple[str, tuple[Grant, ...]] | None:
    """A user's name and what their roles give now; None for one who is archived or unknown."""
    async with transaction(source, tenant.id) as connection:
        name = await connection.fetchval(
            "SELECT name FROM guanxi_user "
            "WHERE tenant_id = $1 AND id = $2 AND archived_at IS NULL", tenant.id, user_id,
        )  # fmt: skip
        held = await held_until(connection, tenant, user_id, None)
    return None if name is None else (name, tuple(grant for grant, _ in held))


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


async def holder(
    source: Any, tenant: Tenant, *, user: str | None = None, role: str | None = None
) -> tuple[UUID | None, tuple[Grant, ...]]:
    """The id of a user, and the grants that a token of this user and role would have."""
    async with transaction(source, tenant.id) as connection:
        user_id = None if user is None else await user_id_of(connection, tenant, user, role)
        role_id = None if role is None else await role_id_of(connection, tenant, role)
        if user_id is not None:
            held = await held_until(connection, tenant, user_id, role_id)
            return user_id, tuple(grant for grant, _ in held)
        row = await connection.fetchrow(
            "SELECT permissions, clearance FROM guanxi_role WHERE tenant_id = $1 AND id = $2",
            tenant.id, role_id,
        )  # fmt: skip
    return None, tuple(known_grants(row["permissions"], row["clearance"]) if row else ())


async def role_id_of(connection: Any, tenant: Tenant, name: str) -> UUID:
    """The id of the role called ``name``."""
    rows = await connection.fetch(
        "SELECT id, name FROM guanxi_role WHERE tenant_id = $1 ORDER BY name", tenant.id
    )
    found: dict[str, UUID] = {row["name"]: row["id"] for row in rows}
    if name not in found:
        raise NotFound("role", f"'{name}' does not exist; {names_of('roles', list(found))}.")
    return found[name]


async def user_id_of(connection: Any, tenant: Tenant, name: str, role: str | None) -> UUID:
    """The id of the user called ``name``, who is not archived and holds ``role`` if it is given."""
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
        raise Invalid("user", f"'{name}' is archived and may do nothing.")
    if role is not None and role not in row["roles"]:
        held = names_of(f"roles of '{name}'", row["roles"])
        raise Invalid("role", f"'{role}' is not one that '{name}' holds; {held}.")
    found: UUID = row["id"]
    return found
