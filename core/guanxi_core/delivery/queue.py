"""The queue of deliveries: how events enter it, and how each gets from waiting to done or dead.

Entering and leaving meet in one lock per tenant, which whoever enters takes alone and whoever
leaves shares with others: so that exactly one delivery of an entity and handler is first in line,
while the others are held behind it.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from guanxi_core.erasing.alone import NOBODY_ERASED
from guanxi_core.events import happening
from guanxi_sdk import AnyEvent, Event, GuanxiError, Model
from guanxi_sdk.events import entity_field, name_of

if TYPE_CHECKING:
    from guanxi_core.access import Installation
    from guanxi_core.editions import Contributed, Edition

#: Events handed on, and deliveries claimed, by one statement: the limits in _RELAY and _CLAIM.
RELAYED_AT_ONCE: Final = 500
CLAIMED_AT_ONCE: Final = 10
#: Attempts before a delivery is given up.
ATTEMPTS: Final = 10
#: Workers that may hang with a delivery and be lost before it is given up.
HANGS: Final = 3
_LATE: Final = 5.0  # seconds by which a watchdog may be late
_LONGEST_PAUSE: Final = 3600.0
_SUBSCRIPTIONS: Final = "guanxi_core.subscriptions"
_AWAITED: Final = "guanxi_core.awaited"
#: An event of the outbox: handlers are to have it, or nobody waits for it.
NEW: Final = "new"
RELAYED: Final = "relayed"
#: Stands for all handlers of a plugin that cannot run at the moment.
ANY: Final = "*"

#: A worker holds this lock while it is there, and loses it with its process.
_WORKER: Final = "hashtextextended('guanxi.worker.' || ({})::text, 0)"
ATTEND: Final = f"SELECT pg_advisory_lock_shared({_WORKER.format('$1::uuid')})"
#: Whether the worker that claimed a delivery is gone; nobody holds the lock of none.
_GONE: Final = (
    "pg_try_advisory_xact_lock("
    + _WORKER.format("coalesce(worker, '00000000-0000-0000-0000-000000000000')")
    + ")"
)
#: Taken by whoever adds deliveries, alone.
ENTER: Final = (
    "SELECT pg_advisory_xact_lock(hashtextextended('guanxi.delivery.' || ($1::uuid)::text, 0))"
)
_RELAY: Final = f"""
    WITH taken AS (
        UPDATE guanxi_outbox o SET status = 'relayed' FROM (
            SELECT id FROM guanxi_outbox WHERE tenant_id = $1 AND status = 'new'
            AND {NOBODY_ERASED} ORDER BY position LIMIT 500
        ) next WHERE o.tenant_id = $1 AND o.id = next.id
        RETURNING o.id, o.name, o.payload, o.position
    ), wanted AS (
        SELECT t.id, t.name, t.position, h.plugin, h.handler, t.payload ->> h.field AS entity,
            h.place
        FROM taken t JOIN unnest($2::text[], $3::text[], $4::text[], $5::text[])
            WITH ORDINALITY AS h (event, plugin, handler, field, place)
            ON h.event = t.name OR h.handler = '*'
    ), entered AS (
        INSERT INTO guanxi_delivery (tenant_id, event_id, event, plugin, handler, entity, status)
        SELECT $1, w.id, w.name, w.plugin, w.handler, w.entity, CASE
            WHEN w.handler = '*' THEN 'held'
            WHEN w.entity IS NULL THEN 'waiting'
            WHEN row_number() OVER (PARTITION BY w.plugin, w.handler, w.entity
                ORDER BY w.position) > 1 THEN 'held'
            WHEN (w.plugin, w.handler, w.entity) IN (
                SELECT d.plugin, d.handler, d.entity FROM guanxi_delivery d
                WHERE d.tenant_id = $1 AND d.status IN ('waiting', 'running', 'held')
                AND d.entity = ANY (ARRAY(SELECT entity FROM wanted))) THEN 'held'
            ELSE 'waiting' END
        FROM wanted w ORDER BY w.position, w.place
        ON CONFLICT DO NOTHING
    ) SELECT count(*) FROM taken
"""  # noqa: S608  put together from constants
#: What was kept for a plugin while it could not run enters again, as events that are new to it.
_RETURN: Final = """
    WITH kept AS (
        UPDATE guanxi_delivery SET status = 'done', finished_at = clock_timestamp()
        WHERE tenant_id = $1 AND handler = '*' AND status = 'held' AND plugin = ANY ($2)
        RETURNING event_id, event, plugin, position
    )
    INSERT INTO guanxi_delivery (tenant_id, event_id, event, plugin, handler, entity, status)
    SELECT $1, k.event_id, k.event, k.plugin, h.handler, o.payload ->> h.field, 'held'
    FROM kept k
    JOIN guanxi_outbox o ON o.tenant_id = $1 AND o.id = k.event_id
    JOIN unnest($3::text[], $4::text[], $5::text[], $6::text[])
        AS h (event, plugin, handler, field) ON h.event = k.event AND h.plugin = k.plugin
    ORDER BY k.position
    ON CONFLICT DO NOTHING
"""
#: Everybody who is held without anybody before them comes to wait.
_ADVANCE_ALL: Final = """
    UPDATE guanxi_delivery SET status = 'waiting', due_at = clock_timestamp()
    WHERE tenant_id = $1 AND status = 'held' AND handler <> '*' AND (entity IS NULL OR id IN (
        SELECT DISTINCT ON (d.plugin, d.handler, d.entity) d.id FROM guanxi_delivery d
        WHERE d.tenant_id = $1 AND d.status = 'held' AND NOT EXISTS (
            SELECT FROM guanxi_delivery e WHERE e.tenant_id = $1 AND e.plugin = d.plugin
            AND e.handler = d.handler AND e.entity = d.entity
            AND e.status IN ('waiting', 'running'))
        ORDER BY d.plugin, d.handler, d.entity, d.position))
"""
#: One whose claim was lost comes alone: should it be what ends the processes, the others that were
#: claimed with it do not use up their attempts beside it. If its process hung, it comes while no
#: other of that kind runs: should one of them be what hangs, the others do not hang with it again.
_CLAIM: Final = f"""
    UPDATE guanxi_delivery d SET status = 'running', attempts = attempts + 1, worker = $4,
        claim = gen_random_uuid(), due_at = clock_timestamp() + make_interval(secs => $2)
    FROM (
        SELECT n.id, n.due_at, o.payload::text AS payload, o.at FROM (
            SELECT *, first_value(lost) OVER w AS first, row_number() OVER w AS place FROM (
                SELECT id, event_id, due_at, position, status = 'running' OR hangs > 0 AS lost
                FROM guanxi_delivery
                WHERE tenant_id = $1 AND status IN ('waiting', 'running')
                AND due_at <= clock_timestamp() AND concat(plugin, '.', handler) <> ALL ($3)
                AND CASE status WHEN 'running' THEN {_GONE} ELSE true END
                AND (hangs = 0 OR NOT EXISTS (
                    SELECT FROM guanxi_delivery r WHERE r.tenant_id = $1 AND r.status = 'running'
                    AND r.due_at > clock_timestamp() AND r.hangs > 0))
                AND {NOBODY_ERASED} ORDER BY due_at, position LIMIT 10 FOR UPDATE SKIP LOCKED
            ) due WINDOW w AS (ORDER BY due_at, position)
        ) n LEFT JOIN guanxi_outbox o ON o.tenant_id = $1 AND o.id = n.event_id
        WHERE CASE WHEN n.first THEN n.place = 1 ELSE NOT n.lost END
    ) next WHERE d.tenant_id = $1 AND d.id = next.id
    RETURNING d.id, d.claim, d.event_id, d.event, d.plugin, d.handler, d.entity, d.attempts,
        coalesce(d.scheduled_for, next.at) AS at, next.payload, d.position
"""  # noqa: S608  put together from constants
#: Claims whose worker hung, or so it seems: they ran out long ago, the longer if it is still there.
#: The first time they are due at once, because most of them only happened to be beside.
_HUNG: Final = f"""
    UPDATE guanxi_delivery d SET hangs = d.hangs + 1, claim = gen_random_uuid(),
        status = CASE WHEN d.hangs + 1 < {HANGS} THEN 'waiting' ELSE 'running' END,
        error = 'The worker that ran it was lost.',
        due_at = clock_timestamp() + make_interval(secs => d.hangs * $4)
    FROM (
        SELECT id FROM guanxi_delivery
        WHERE tenant_id = $1 AND status = 'running'
        AND due_at <= clock_timestamp() - make_interval(secs => $2)
        AND (due_at <= clock_timestamp() - make_interval(secs => $3) OR {_GONE})
        AND {NOBODY_ERASED} FOR UPDATE SKIP LOCKED
    ) lost WHERE d.tenant_id = $1 AND d.id = lost.id
    RETURNING d.id, d.claim, d.status
"""  # noqa: S608  put together from constants
_LEAVE: Final = "SELECT guanxi_leave($1, $2, $3, $4, $5, $6)"
_RELEASE: Final = """
    UPDATE guanxi_delivery SET status = 'waiting', claim = NULL, attempts = attempts - 1,
        due_at = clock_timestamp()
    WHERE tenant_id = $1 AND id = $2 AND claim = $3 AND status = 'running'
"""
_RENEW: Final = """
    UPDATE guanxi_delivery SET due_at = clock_timestamp() + make_interval(secs => $4)
    WHERE tenant_id = $1 AND id = $2 AND claim = $3 AND status = 'running'
    RETURNING true
"""
_REPLAY: Final = """
    UPDATE guanxi_delivery SET status = 'held', attempts = 0, hangs = 0, error = NULL,
        finished_at = NULL
    WHERE tenant_id = $1 AND id = $2 AND status = 'dead' RETURNING true
"""


class LostClaim(GuanxiError):
    """The lease ran out while the handler worked, and somebody else has taken over."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """One delivery that this process may run, until its lease runs out."""

    tenant_id: UUID
    id: UUID
    claim: UUID
    event_id: UUID | None  # None for a scheduled run
    event: str | None
    plugin: str
    handler: str
    entity: str | None
    attempt: int
    at: Any
    payload: str | None


async def relay(
    connection: Any, tenant_id: UUID, edition: "Edition", missing: Sequence[str]
) -> int:
    """Hand on the tenant's next new events, one delivery for each handler; returns how many.

    ``missing`` are plugins that are switched on but cannot run: events are kept for them.
    """
    async with connection.transaction():
        await connection.execute(ENTER, tenant_id)
        columns = [list(column) for column in subscriptions(edition)]
        for plugin in missing:
            for column, value in zip(columns, (None, plugin, ANY, None), strict=True):
                column.append(value)
        count: int = await connection.fetchval(_RELAY, tenant_id, *columns)
        return count


async def welcome(connection: Any, tenant_id: UUID, edition: "Edition") -> None:
    """Let plugins that can run again have the events that were kept for them."""
    async with connection.transaction():
        await connection.execute(ENTER, tenant_id)
        columns = subscriptions(edition)
        await connection.execute(_RETURN, tenant_id, sorted(edition.names), *columns)
        await connection.execute(_ADVANCE_ALL, tenant_id)


async def recover(connection: Any, tenant_id: UUID, lease: float, watchdog: float) -> None:
    """Have what hung workers ran tried again later, or give it up when it was lost too often.

    Nobody can tell which of its deliveries a worker hangs with, nor whether it does while it is
    there. But it lasts until the ``watchdog``, in seconds: so a claim is left to a worker that is
    there for that long. One that is gone was killed if its claim ran out only a moment ago,
    and :func:`claim` takes it again; if nobody looked for longer, it may as well have hung.
    """
    left = watchdog - lease
    rows = await connection.fetch(_HUNG, tenant_id, left / 2, left + _LATE, watchdog + _LATE)
    for row in rows:
        if row["status"] == "running":
            reason = f"{HANGS} workers hung and were lost while they ran it."
            mine = (tenant_id, row["id"], row["claim"])
            await connection.fetchval(_LEAVE, *mine, "dead", reason, 0.0)


async def claim(
    connection: Any, tenant_id: UUID, worker: UUID, lease: float, without: Sequence[str] = ()
) -> list[Claimed]:
    """Claim for ``worker`` what is due, or was claimed by one that has died since.

    Nothing while somebody is erased: what the events say is about to go.
    Deliveries to the handlers ``without``, each as ``plugin.handler``, are left to wait.
    """
    rows = await connection.fetch(_CLAIM, tenant_id, lease, list(without), worker)
    return [
        Claimed(
            tenant_id, r["id"], r["claim"], r["event_id"], r["event"], r["plugin"], r["handler"],
            r["entity"], r["attempts"], r["at"], r["payload"],
        )
        for r in sorted(rows, key=lambda r: r["position"])
    ]  # fmt: skip


async def finish(connection: Any, one: Claimed) -> None:
    """Mark it done, in the transaction of what it did, or raise :class:`LostClaim`."""
    await _leave(connection, one, "done", None, 0.0)


async def fail(connection: Any, one: Claimed, reason: str) -> None:
    """Have it tried again later, or give it up after the last attempt."""
    if one.attempt < ATTEMPTS:
        await _leave(connection, one, "waiting", reason, pause(one.attempt))
    else:
        await _leave(connection, one, "dead", reason, 0.0)


async def release(connection: Any, one: Claimed) -> None:
    """Give it back untried."""
    await connection.execute(_RELEASE, one.tenant_id, one.id, one.claim)


async def renew(connection: Any, one: Claimed, lease: float) -> bool:
    """Keep it for another ``lease`` seconds; False if it is lost."""
    return bool(await connection.fetchval(_RENEW, one.tenant_id, one.id, one.claim, lease))


async def replay(connection: Any, tenant_id: UUID, delivery_id: UUID) -> bool:
    """Give a dead delivery all its attempts again; False if there is none, or it is not dead."""
    await connection.execute(ENTER, tenant_id)
    found = await connection.fetchval(_REPLAY, tenant_id, delivery_id)
    await connection.execute(_ADVANCE_ALL, tenant_id)
    return bool(found)


def pause(attempt: int) -> float:
    """Seconds before the next attempt: exponential backoff with full jitter."""
    return random.uniform(0, min(_LONGEST_PAUSE, 2.0 ** (attempt - 1)))  # noqa: S311


def subscriptions(edition: "Edition") -> tuple[list[Any], ...]:
    """What the edition's handlers want: event, plugin, handler, and the field of the entity."""
    known: tuple[list[Any], ...] | None = edition.attachments.get(_SUBSCRIPTIONS)
    if known is None:
        known = ([], [], [], [])
        for entry in edition.handlers:
            for event, model in _wanted(edition, entry):
                values = (
                    name_of(event, model), entry.plugin, entry.contribution.name,
                    entity_field(event),
                )  # fmt: skip
                for column, value in zip(known, values, strict=True):
                    column.append(value)
        edition.attachments[_SUBSCRIPTIONS] = known
    return known


def status_of(installation: "Installation", event: str) -> str:
    """What an event is when it is written, by name: what no plugin handles need not be relayed.

    A plugin that is switched on later hears of what happens from then on. One that is, and cannot
    run at the moment, may handle anything.
    """
    if installation.left_out:
        return NEW
    attachments = installation.edition.attachments
    awaited: frozenset[str] | None = attachments.get(_AWAITED)
    if awaited is None:
        awaited = attachments[_AWAITED] = frozenset(subscriptions(installation.edition)[0])
    return NEW if event in awaited else RELAYED


def _wanted(
    edition: "Edition", entry: "Contributed"
) -> Iterable[tuple[type[Event], type[Model] | None]]:
    """The event that a handler names; for AnyEvent those of all other plugins."""
    event = entry.contribution.event
    assert event is not None  # noqa: S101  @on demands one
    if event is not AnyEvent:
        return [(event, entry.contribution.model)]
    return [(kind, model) for plugin, kind, model in happening(edition) if plugin != entry.plugin]


def decode(event: Any, one: Claimed) -> Any:
    """The event of a delivery as the handler knows it."""
    assert one.payload is not None  # noqa: S101  only scheduled runs have none
    if event is AnyEvent:
        return AnyEvent(name=one.event or "", payload=msgspec.json.decode(one.payload))
    return msgspec.json.decode(one.payload, type=event)


async def _leave(
    connection: Any, one: Claimed, ending: str, reason: str | None, later: float
) -> None:
    mine = (one.tenant_id, one.id, one.claim)
    if not await connection.fetchval(_LEAVE, *mine, ending, reason, later):
        raise LostClaim(f"the claim of {one.plugin}.{one.handler} has run out.")
