"""Tenants, and which plugins each has switched on.

Every function takes a :class:`TenantPool`, or an asyncpg connection whose transaction it joins.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

from guanxi_core.custom.definitions import Definition, read_definitions
from guanxi_core.database.pool import TenantPool
from guanxi_core.grants import FIRST_ROLES
from guanxi_sdk import Conflict, Invalid, NotFound, Tenant

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


async def create_tenant(
    source: Any,
    name: str,
    currency: str = "CNY",
    *,
    actor: str = "system",
    id: UUID | None = None,
) -> Tenant:
    """Make a tenant with the roles that every tenant begins with, and no plugin.

    ``id`` is for callers whose transaction is set to the tenant before there is one.
    """
    if not _NAME.fullmatch(name):
        raise Invalid(
            "tenant", f"{name!r} is not a name: use up to 40 lower case letters, digits and -."
        )
    if not _CURRENCY.fullmatch(currency):
        raise Invalid("currency", f"{currency!r} is not an ISO 4217 code such as CNY.")
    tenant = Tenant(id or uuid7(), name, currency)
    async with transaction(source, tenant.id) as connection:
        try:
            async with connection.transaction():
                await connection.execute(
                    "SELECT guanxi_create_tenant($1, $2, $3)", tenant.id, name, currency
                )
        except asyncpg.UniqueViolationError:
            raise Conflict("tenant", f"'{name}' exists already: choose another name.") from None
        await connection.executemany(
            "INSERT INTO guanxi_role (tenant_id, id, name, permissions, clearance, description) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            [
                (tenant.id, uuid7(), name, role.permissions, role.clearance.name, role.description)
                for name, role in FIRST_ROLES.items()
            ],
        )
        await record(
            connection, tenant.id, "guanxi.tenant.create",
            {"name": [None, name], "currency": [None, currency]}, actor=actor,
        )  # fmt: skip
    return tenant


async def find_tenant(source: Any, name: str) -> Tenant:
    """The tenant called ``name``; :class:`NotFound` names those that exist."""
    found = await _tenants(source, name) if _NAME.fullmatch(name) else []
    if found:
        return found[0]
    others = [tenant.name for tenant in await _tenants(source, None)]
    raise NotFound("tenant", f"'{name}' does not exist; {names_of('tenants', others)}.")


async def list_tenants(source: Any) -> list[Tenant]:
    """All tenants by name."""
    return await _tenants(source, None)


async def set_plugin(
    source: Any,
    tenant: Tenant,
    name: str,
    enabled: bool,
    settings: Mapping[str, Any] | None = None,
    *,
    version: str | None = None,
    actor: str = "system",
) -> None:
    """Switch a plugin on or off for a tenant; settings and version left out stay as they were.

    Whether the plugin is installed and its settings valid is for the caller to check.
    """
    async with transaction(source, tenant.id) as connection:
        await connection.execute("SELECT guanxi_touch($1)", tenant.id)  # takes the tenant's lock
        row = await connection.fetchrow(
            "SELECT enabled, settings, version FROM guanxi_plugin "
            "WHERE tenant_id = $1 AND name = $2",
            tenant.id, name,
        )  # fmt: skip
        was_enabled = row is not None and row["enabled"]
        former = msgspec.json.decode(row["settings"]) if row else {}
        wanted = former if settings is None else dict(settings)
        release = version if version is not None else row["version"] if row else ""
        if row is not None and (was_enabled, former, row["version"]) == (enabled, wanted, release):
            return
        await connection.execute(
            "INSERT INTO guanxi_plugin (tenant_id, name, enabled, settings, version) "
            "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id, name) DO UPDATE "
            "SET enabled = $3, settings = $4, version = $5, changed_at = now()",
            tenant.id, name, enabled, msgspec.json.encode(wanted).decode(), release,
        )  # fmt: skip
        verb = "configure" if was_enabled == enabled else "enable" if enabled else "disable"
        changes: dict[str, Any] = {
            "plugin": [name if was_enabled else None, name if enabled else None]
        }
        if former != wanted:
            changes["settings"] = [former, wanted]
        if row is None or row["version"] != release:
            changes["version"] = [row["version"] if row else None, release]
        await record(connection, tenant.id, f"guanxi.plugin.{verb}", changes, actor=actor)


async def enabled_plugins(source: Any, tenant: Tenant) -> dict[str, dict[str, Any]]:
    """The settings of each plugin that the tenant has switched on."""
    async with transaction(source, tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT name, settings FROM guanxi_plugin "
            "WHERE tenant_id = $1 AND enabled ORDER BY name",
            tenant.id,
        )
    return {row["name"]: msgspec.json.decode(row["settings"]) for row in rows}


async def settled(
    source: Any, tenant: Tenant
) -> tuple[dict[str, dict[str, Any]], Mapping[str, Any] | None, tuple[Definition, ...]]:
    """:func:`enabled_plugins`, the tenant's row in ``guanxi_limits`` if any, its custom fields."""
    async with transaction(source, tenant.id) as connection:
        row = await connection.fetchrow(
            "SELECT (SELECT jsonb_object_agg(name, settings) FROM guanxi_plugin"
            " WHERE tenant_id = $1 AND enabled) AS plugins,"
            " (SELECT to_jsonb(l) FROM guanxi_limits l WHERE tenant_id = $1) AS requests,"
            " guanxi_custom_fields($1) AS fields",
            tenant.id,
        )
    plugins, requests, fields = (msgspec.json.decode(value or "null") for value in row)
    return plugins or {}, requests, read_definitions(fields)


async def custom_definitions(source: Any, tenant: Tenant) -> tuple[Definition, ...]:
    """The tenant's custom fields, without archived ones."""
    async with transaction(source, tenant.id) as connection:
        found = await connection.fetchval("SELECT guanxi_custom_fields($1)::text", tenant.id)
    return read_definitions(msgspec.json.decode(found))


async def record(
    connection: Any,
    tenant_id: UUID,
    action: str,
    changes: Mapping[str, Any],
    *,
    row_id: str | None = None,
    actor: str = "system",
) -> None:
    """Write one audit row about the administration of a tenant, in the caller's transaction.

    What GraphQL can do as well is called like its mutation, ``guanxi.create_user``; ``row_id`` is
    the row's id in GraphQL, ``user_0198…``.
    """
    await connection.execute(
        "INSERT INTO guanxi_audit (tenant_id, id, actor, action, row_id, changes, origin) "
        "VALUES ($1, $2, $3, $4, $5, $6, 'administration')",
        tenant_id, uuid7(), actor, action, row_id, msgspec.json.encode(changes).decode(),
    )  # fmt: skip


@asynccontextmanager
async def transaction(source: Any, tenant_id: UUID) -> AsyncIterator[Any]:
    """A connection in a transaction set to the tenant: one of the pool, or ``source`` itself."""
    if isinstance(source, TenantPool):
        async with source.connection(tenant_id) as connection, connection.transaction():
            yield connection
        return
    async with source.transaction():
        former = await source.fetchval("SELECT current_setting('guanxi.tenant', true)")
        await source.execute("SELECT set_config('guanxi.tenant', $1, true)", str(tenant_id))
        yield source
        await source.execute("SELECT set_config('guanxi.tenant', $1, true)", former or "")


def names_of(what: str, names: list[str], most: int = 20) -> str:
    """What there is to choose from, for an error: ``the tenants are acme, demo``."""
    if not names:
        return f"there are no {what} yet"
    shown = ", ".join(names[:most])
    return f"the {what} are {shown}{f' and {len(names) - most} more' if len(names) > most else ''}"


async def _tenants(source: Any, name: str | None) -> list[Tenant]:
    query = "SELECT id, name, currency FROM guanxi_tenants($1)"
    call = source.call if isinstance(source, TenantPool) else source.fetch
    return [Tenant(row["id"], row["name"], row["currency"]) for row in await call(query, name)]
