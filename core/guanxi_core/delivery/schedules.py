"""Schedules: when each is due, and that it runs once for each time.

A due time becomes a delivery whose key is tenant, plugin, method and time, so whatever the clocks
of the processes say, nobody can make a second one.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from cronsim import CronSim

from guanxi_core.delivery.queue import ENTER
from guanxi_core.editions import Contributed, Edition

_SYNCHRONISE: Final = """
    INSERT INTO guanxi_schedule AS s (tenant_id, plugin, name, cron, next_at)
    SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[])
    ON CONFLICT (tenant_id, plugin, name) DO UPDATE
    SET cron = excluded.cron, next_at = excluded.next_at
    WHERE s.cron <> excluded.cron OR s.next_at IS NULL OR s.next_at > excluded.next_at
"""
_RETIRE: Final = """
    UPDATE guanxi_schedule SET next_at = NULL
    WHERE tenant_id = $1 AND next_at IS NOT NULL
    AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS k (plugin, name)
        WHERE k.plugin = guanxi_schedule.plugin AND k.name = guanxi_schedule.name)
"""
_DUE: Final = """
    SELECT plugin, name, cron FROM guanxi_schedule
    WHERE tenant_id = $1 AND next_at <= $2 FOR UPDATE SKIP LOCKED
"""
_PLAN: Final = """
    WITH planned AS (
        UPDATE guanxi_schedule SET next_at = $5 WHERE tenant_id = $1 AND plugin = $2 AND name = $3
    )
    INSERT INTO guanxi_delivery (tenant_id, plugin, handler, scheduled_for, entity, status)
    SELECT $1, $2, $3, $4, '', CASE WHEN EXISTS (
        SELECT FROM guanxi_delivery WHERE tenant_id = $1 AND plugin = $2 AND handler = $3
        AND entity = '' AND status IN ('waiting', 'running', 'held')
    ) THEN 'held' ELSE 'waiting' END
    ON CONFLICT DO NOTHING
"""


def next_time(cron: str, after: dt.datetime) -> dt.datetime | None:
    """The first time after ``after``; None for one that never comes."""
    return next(CronSim(cron, after), None)


def last_time(cron: str, now: dt.datetime) -> dt.datetime:
    """The latest time up to ``now``."""
    second = dt.timedelta(seconds=1)
    return next(CronSim(cron, now.replace(microsecond=0) + second, reverse=True))


async def synchronise(connection: Any, tenant_id: UUID, edition: Edition, now: dt.datetime) -> None:
    """Know the schedules of the tenant's plugins: new ones begin with their next time."""
    entries: Iterable[Contributed] = edition.schedules
    plugins = [entry.plugin for entry in entries]
    names = [entry.contribution.name for entry in entries]
    crons = [entry.contribution.cron or "" for entry in entries]
    async with connection.transaction():
        await connection.execute(_RETIRE, tenant_id, plugins, names)
        times = [next_time(cron, now) for cron in crons]
        await connection.execute(_SYNCHRONISE, tenant_id, plugins, names, crons, times)


async def plan(connection: Any, tenant_id: UUID, now: dt.datetime) -> None:
    """Make a delivery for each schedule that is due; several missed times make one."""
    async with connection.transaction():
        await connection.execute(ENTER, tenant_id)
        for plugin, name, cron in await connection.fetch(_DUE, tenant_id, now):
            last, following = last_time(cron, now), next_time(cron, now)
            await connection.execute(_PLAN, tenant_id, plugin, name, last, following)
