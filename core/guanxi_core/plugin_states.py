"""Which plugins are switched off for which tenants: kept for people to see, see breakers.

A worker decides by what it remembers itself; these rows say what the last one of them did. One that
is new adopts what they say, so that a plugin that was switched off by a worker which is gone is
tried again, and called on again when it works.
"""

import datetime as dt
import os
import socket
from dataclasses import dataclass
from typing import Any, Final

from uuid_utils.compat import uuid7

from guanxi_core.breakers import Change
from guanxi_core.database.pool import TenantPool
from guanxi_core.tenancy import transaction
from guanxi_sdk import Tenant

_KEEP: Final = """
    INSERT INTO guanxi_plugin_state AS s
        (tenant_id, id, plugin, state, since, until, failures, error, worker)
    VALUES ($1, $2, $3, $4, now(), now() + $5::interval, $6, $7, $8)
    ON CONFLICT (tenant_id, plugin) DO UPDATE SET state = $4, since = now(),
        until = now() + $5::interval, failures = $6, error = $7, worker = $8
    WHERE $4 = 'open' OR s.worker = $8 OR s.until <= now()
"""
_OPENED: Final = """
    SELECT plugin, failures, error, extract(epoch FROM until - now())::float8 AS pause
    FROM guanxi_plugin_state WHERE tenant_id = $1 AND state = 'open'
"""


@dataclass(frozen=True, slots=True)
class PluginState:
    """A plugin that is, or was, switched off for a tenant because it kept failing."""

    tenant: str
    plugin: str
    state: str  # open: not called; closed: works again
    since: dt.datetime
    until: dt.datetime  # when it is tried again
    failures: int
    error: str
    worker: str


async def keep(pool: TenantPool, change: Change) -> None:
    """Write down that a breaker opened or closed; one that another worker opened stays open."""
    async with transaction(pool, change.tenant.id) as connection:
        await connection.execute(
            _KEEP, change.tenant.id, uuid7(), change.plugin, change.state,
            dt.timedelta(seconds=change.pause), change.failures, change.error,
            f"{socket.gethostname()}:{os.getpid()}",
        )  # fmt: skip


async def opened(pool: TenantPool, tenant: Tenant) -> list[Change]:
    """The plugins that some worker has switched off for a tenant and not on again."""
    async with pool.connection(tenant.id) as connection:
        rows = await connection.fetch(_OPENED, tenant.id)
    return [
        Change(tenant, row["plugin"], "open", max(0.0, row["pause"]), row["failures"], row["error"])
        for row in rows
    ]


async def list_states(connection: Any) -> list[PluginState]:
    """What is known of all tenants, by tenant and plugin."""
    rows = await connection.fetch("SELECT * FROM guanxi_plugin_states()")
    return [PluginState(**dict(row)) for row in rows]
