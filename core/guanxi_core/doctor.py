"""Is this installation sound? Looks at everything and changes nothing."""

import asyncio
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg
import sqlalchemy as sa

from guanxi_core.composing import Composed, served, settle
from guanxi_core.config import Config, ConfigError
from guanxi_core.database.address import place_of, role_of
from guanxi_core.database.connections import connect
from guanxi_core.database.embedded import EmbeddedError
from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_core.database.pool import TenantPool
from guanxi_core.database.server import Database, open_database
from guanxi_core.discovery import Registry, discover, unsatisfied
from guanxi_core.installing import instantiate
from guanxi_core.issuers import Issuer, IssuerUnavailable
from guanxi_core.migrations.current import revisions
from guanxi_core.migrations.isolation import faults, role_faults
from guanxi_core.migrations.runner import owner_connection
from guanxi_core.migrations.scripts import CORE, MigrationError, Scripts, in_order
from guanxi_core.plugin_states import list_states
from guanxi_core.telemetry import traces
from guanxi_core.tenancy import custom_definitions, enabled_plugins, list_tenants

#: An event that has waited longer than this is a fault: nobody delivers.
_SLOW: Final = dt.timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


async def examine(config: Config | None = None, registry: Registry | None = None) -> list[Check]:
    """All checks, in an order in which the first that fails is worth mending first."""
    registry = registry or discover()
    checks: list[Check] = []
    try:
        config = config or Config.load()
        with open_database(config) as database:
            place = "an external database" if config.database_url else f"embedded in {config.home}"
            checks.append(Check("configuration", True, place))
            checks += await _database(database, registry)
        checks += [await _issuer(issuer) for issuer in config.issuers]
        checks += _traces()
    except ConfigError as error:
        checks.append(Check("configuration", False, str(error)))
    except (EmbeddedError, DatabaseUnavailable) as error:
        checks.append(Check("database", False, str(error)))
    for name, plugin in sorted(registry.plugins.items()):
        missing = unsatisfied(registry, plugin)
        detail = missing or f"version {plugin.manifest.version}"
        checks.append(Check(f"plugin {name}", missing is None, detail))
    for name, reason in sorted(registry.broken.items()):
        checks.append(Check(f"plugin {name}", False, reason))
    return checks


async def _database(database: Database, registry: Registry) -> list[Check]:
    app_role = role_of(database.app_url)
    connection = await connect(database.app_url)
    try:
        version = connection.get_server_version()
        present = await revisions(connection)
    finally:
        await connection.close()
    shown = f"PostgreSQL {version.major}.{version.micro} at {place_of(database.app_url)}"
    if version.major < 15:
        return [Check("database", False, f"{shown} is too old: guanxi needs 15 or newer")]
    checks = [Check("database", True, shown)]
    async with owner_connection(database.app_url) as inspected:  # the catalogues are open to all
        wrong = await inspected.run_sync(_role_faults, app_role)
        detail = "; ".join(wrong) or f"'{app_role}' is bound by row-level security"
        checks.append(Check("roles", not wrong, detail))
        for name, check in _migrations(registry, present):
            checks.append(check)
            if name in present:
                wrong = await inspected.run_sync(faults, name, app_role)
                detail = "; ".join(wrong) or "keys, policies and rights are in order"
                checks.append(Check(f"isolation {name}", not wrong, detail))
    checks += await _delivery(database.app_url, present.get(CORE))
    checks += await _plugin_states(database.app_url, present)
    checks += await _tenants(database.app_url, registry, present.get(CORE))
    if database.owner_url is not None and not database.embedded:
        checks.append(await _owner(database.owner_url, app_role))
    return checks


async def _delivery(url: str, revision: str | None) -> list[Check]:
    """What waits for delivery, and what was given up."""
    if revision is None or revision < "0004":
        return []
    connection = await connect(url)
    try:
        rows = await connection.fetch("SELECT * FROM guanxi_backlog()")
        now = await connection.fetchval("SELECT now()")
    finally:
        await connection.close()
    waiting, dead = sum(r["waiting"] for r in rows), sum(r["dead"] for r in rows)
    detail = "nothing waits"
    slow = False
    if waiting:
        oldest = min((r for r in rows if r["oldest"]), key=lambda r: r["oldest"])
        age = now - oldest["oldest"]
        slow = age > _SLOW
        seconds = dt.timedelta(seconds=int(age.total_seconds()))
        detail = f"{waiting} waiting, the oldest for {seconds} (tenant '{oldest['tenant']}')"
        detail += ": does `guanxi serve` or `guanxi worker` run?" if slow else ""
    names = ", ".join(f"'{r['tenant']}'" for r in rows if r["dead"])
    given_up = f"{dead} given up (tenant {names}): see deliveries in GraphQL" if dead else "none"
    return [Check("delivery", not slow, detail), Check("dead letters", not dead, given_up)]


def _migrations(registry: Registry, present: Mapping[str, str]) -> Iterator[tuple[str, Check]]:
    ordered = in_order(registry.plugins.values())
    for scripts in ordered:
        if scripts.exists or scripts.has_models:
            ok, detail = _compare(scripts, present.get(scripts.name))
            yield scripts.name, Check(f"migrations {scripts.name}", ok, detail)
    for name in sorted(set(present) - {scripts.name for scripts in ordered}):
        detail = f"{present[name]} (the plugin is not installed; its tables are kept)"
        yield name, Check(f"migrations {name}", True, detail)


def _compare(scripts: Scripts, revision: str | None) -> tuple[bool, str]:
    try:
        head = scripts.head()
    except MigrationError as error:
        return False, str(error)
    if head is None:
        return False, f'there are none: guanxi migrate --new {scripts.name} "first tables"'
    if revision == head:
        return True, f"{revision} (up to date)"
    return False, f"{revision or 'no tables yet'}, the newest is {head}: run guanxi migrate"


def _role_faults(connection: sa.Connection, app_role: str) -> list[str]:
    owner = connection.scalar(
        sa.text(
            "SELECT pg_get_userbyid(coalesce((SELECT relowner FROM pg_class "
            "WHERE oid = to_regclass('public.guanxi_tenant')), datdba)) "
            "FROM pg_database WHERE datname = current_database()"
        )
    )
    return role_faults(connection, app_role, owner or "")


async def _plugin_states(url: str, present: Mapping[str, str]) -> list[Check]:
    """Plugins that workers have switched off, for as long as they have."""
    if CORE not in present:
        return []
    connection = await connect(url)
    try:
        states = await list_states(connection)
    except asyncpg.UndefinedFunctionError:  # the core's tables are older, which is said above
        return []
    finally:
        await connection.close()
    return [
        Check(
            f"plugin {one.plugin} of {one.tenant}", False,
            f"switched off by {one.worker} since {one.since:%Y-%m-%d %H:%M} after {one.failures} "
            f"failures, the last of class {one.error}: see the log of that worker",
        )
        for one in states if one.state == "open"
    ]  # fmt: skip


async def _tenants(url: str, registry: Registry, revision: str | None) -> list[Check]:
    """Whether each tenant is served with all plugins and custom fields that it has."""
    if revision is None:
        return []
    composed: dict[frozenset[str], Composed] = {}
    found: list[Check] = []
    pool = await TenantPool.open(url, size=1)
    try:
        tenants = await list_tenants(pool)
        for tenant in tenants:
            instances, missing = instantiate(registry, await enabled_plugins(pool, tenant))
            names = frozenset(instances)
            if names not in composed:
                wanted = [type(plugin) for plugin in instances.values()]
                composed[names] = await asyncio.to_thread(served, wanted)
            for name, reason in sorted({**composed[names].left_out, **missing}.items()):
                detail = f"goes without plugin '{name}': {reason}"
                found.append(Check(f"tenant {tenant.name}", False, detail))
            if revision >= "0010" and (fields := await custom_definitions(pool, tenant)):
                plugins = composed[names].edition.plugins
                hidden = (await asyncio.to_thread(settle, plugins, fields)).hidden
                found += [Check(f"tenant {tenant.name}", False, why) for why in hidden.values()]
    finally:
        await pool.close()
    told = f"{len(tenants)}, each with all plugins and custom fields that it has"
    return found or [Check("tenants", True, told)]


def _traces() -> list[Check]:
    """Whether the traces that the environment asks for can be made."""
    if not traces.wanted():
        return []
    fault = traces.fault()
    return [Check("traces", fault is None, fault or "switched on by OTEL_* variables")]


async def _issuer(issuer: Issuer) -> Check:
    from guanxi_core.oidc import fetch_keys  # its libraries take a moment to load

    name = f"issuer {issuer.issuer}"
    try:
        keys = await fetch_keys(issuer.issuer)
    except IssuerUnavailable as error:
        return Check(name, False, str(error))
    return Check(name, True, f"publishes {len(keys)} key{'s' * (len(keys) != 1)}")


async def _owner(url: str, app_role: str) -> Check:
    """Whether the owner's address works and is another role's."""
    try:
        await (await connect(url)).close()
    except DatabaseUnavailable as error:
        return Check("owner", False, str(error))
    if role_of(url) == app_role:
        return Check("owner", False, "has the app role's address: use two roles")
    return Check("owner", True, f"'{role_of(url)}' can connect")
