"""API tokens: made, listed, ended, and known again.

A token is shown once and kept as its SHA-256 only: it holds 256 random bits, so neither salt nor a
slow hash would add anything, and looking it up by digest takes the same time whatever was guessed.
"""

import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from guanxi_core.custom.definitions import Definition, read_definitions
from guanxi_core.database.pool import TenantPool
from guanxi_core.grants import Grant, known_grants
from guanxi_core.identity import role_id_of, user_id_of
from guanxi_core.tenancy import record, transaction
from guanxi_sdk import Invalid, NotFound, Tenant

PREFIX: Final = "gx_"
_LENGTH: Final = len(PREFIX) + 43  # 32 bytes in base64 without padding
#: A token whose time is over ends for good: it does not come back with a clock that is set back.
_END: Final = "SELECT guanxi_end_token($1)"
_AUTHENTICATE: Final = (
    "SELECT a.*, guanxi_custom_fields(a.tenant_id) AS fields FROM guanxi_authenticate($1) AS a"
)


@dataclass(frozen=True, slots=True)
class Token:
    """What is known about a token besides its secret."""

    id: UUID
    label: str
    user: str | None
    user_id: UUID | None
    role: str | None
    role_id: UUID | None
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None
    operations: tuple[str, ...] | None = None  # the only ones it may ask for, by their SHA-256


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
    requests: Mapping[str, Any] | None = None  # the tenant's row in `guanxi_limits`
    operations: frozenset[str] | None = None  # as of :class:`Token`
    fields: tuple[Definition, ...] = ()  # the tenant's custom fields


async def create_token(
    source: Any,
    tenant: Tenant,
    *,
    role: str | None = None,
    user: str | None = None,
    label: str = "",
    expires_in: dt.timedelta | None = None,
    operations: Sequence[str] | None = None,
    actor: str = "system",
) -> str:
    """Make a token and return it; nobody can read it again.

    With a user it has the rights of that user's roles; with a role those of the role alone; with
    both those of the role for as long as the user holds it; with neither no rights at all. With
    ``operations``, by their SHA-256, it may ask for nothing but these.
    """
    check_label(label)
    if expires_in is not None and not dt.timedelta(0) < expires_in <= dt.timedelta(days=36500):
        raise Invalid("expires", "must lie in the future, within a hundred years.")
    async with transaction(source, tenant.id) as connection:
        role_id = None if role is None else await role_id_of(connection, tenant, role)
        user_id = None if user is None else await user_id_of(connection, tenant, user, role)
        token_id, token = await issue_token(
            connection, tenant, user_id=user_id, role_id=role_id, label=label,
            expires_in=expires_in, operations=operations,
        )  # fmt: skip
        changes: dict[str, list[Any]] = {
            "label": [None, label], "user": [None, user], "role": [None, role],
        }  # fmt: skip
        if operations is not None:
            changes["operations"] = [None, list(operations)]
        await record(
            connection,
            tenant.id,
            "guanxi.create_token",
            changes,
            row_id=f"token_{token_id}",
            actor=actor,
        )
    return token


def check_label(label: str) -> None:
    """Refuse a label that lists cannot show."""
    if len(label) > 200 or not label.isprintable():
        raise Invalid("label", "is too long or holds control characters: use up to 200 printable.")


async def issue_token(
    connection: Any,
    tenant: Tenant,
    *,
    user_id: UUID | None,
    role_id: UUID | None,
    label: str,
    expires_at: dt.datetime | None = None,
    expires_in: dt.timedelta | None = None,
    operations: Sequence[str] | None = None,
) -> tuple[UUID, str]:
    """Make a token, of whose rights and record the caller takes care: its id and its secret."""
    token_id, token = uuid7(), PREFIX + secrets.token_urlsafe(32)
    await connection.execute(
        "SELECT guanxi_create_token("
        "$1, $2, $3, $4, $5, $6, coalesce($7::timestamptz, now() + $8::interval), $9)",
        token_id, tenant.id, user_id, role_id, label, _digest(token), expires_at, expires_in,
        None if operations is None else list(operations),
    )  # fmt: skip
    return token_id, token


async def end_token(connection: Any, tenant: Tenant, token_id: UUID) -> bool:
    """End a token; whether it was a valid one. The caller takes care of the record."""
    ended = await connection.fetchval("SELECT guanxi_revoke_token($1, $2)", tenant.id, token_id)
    return bool(ended)


async def list_tokens(source: Any, tenant: Tenant) -> list[Token]:
    """All tokens of a tenant, oldest first, revoked and expired ones included."""
    async with transaction(source, tenant.id) as connection:
        rows = await connection.fetch("SELECT * FROM guanxi_tokens($1)", tenant.id)
    return [
        Token(
            id=r["id"], label=r["label"], user=r["user_name"], user_id=r["user_id"],
            role=r["role_name"], role_id=r["role_id"],
            created_at=r["created_at"], expires_at=r["expires_at"], revoked_at=r["revoked_at"],
            operations=None if r["operations"] is None else tuple(r["operations"]),
        )
        for r in rows
    ]  # fmt: skip


async def revoke_token(
    source: Any, tenant: Tenant, token_id: UUID, *, actor: str = "system"
) -> None:
    """End a token; the next request that carries it is refused."""
    async with transaction(source, tenant.id) as connection:
        if not await end_token(connection, tenant, token_id):
            raise NotFound(
                "token", f"{token_id} is not a valid one of tenant '{tenant.name}': "
                f"see guanxi token list --tenant {tenant.name}.",
            )  # fmt: skip
        row_id = f"token_{token_id}"
        await record(connection, tenant.id, "guanxi.revoke_token", {}, row_id=row_id, actor=actor)


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
        requests=row["requests"] and msgspec.json.decode(row["requests"]),
        operations=None if row["operations"] is None else frozenset(row["operations"]),
        fields=read_definitions(msgspec.json.decode(row["fields"])),
    )


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
