"""The feed: what happened in a tenant, in order, from any position on.

A position says which transactions had been seen, not how far a counter had come: a transaction
that began early and commits late was not among them, and so its events still follow. Reading goes
in steps from one snapshot of the database to the next. Within a step events have the order in which
they were written, and what a later step holds was committed after the earlier ones were read: so
events of one row keep the order of its changes.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import UUID

import asyncpg
import msgspec

from guanxi_core.database.pool import TenantPool
from guanxi_core.erasing.alone import NOBODY_ERASED
from guanxi_sdk import Invalid

#: Seconds for which a position can be resumed from; events are kept for longer.
RESUMABLE: Final = 24 * 3600
#: Events of one page, at most.
PAGE: Final = 200
_LONGEST: Final = 8_192
_SNAPSHOT: Final = re.compile(r"[0-9]{1,19}:[0-9]{1,19}:([0-9]{1,19}(,[0-9]{1,19})*)?", re.ASCII)

_NOW: Final = """
    SELECT pg_current_snapshot()::text AS until, extract(epoch FROM clock_timestamp())::bigint AS at
"""
#: Nothing while somebody is erased: what the events say is about to go.
_READ: Final = f"""
    WITH now AS MATERIALIZED (
        SELECT coalesce($3::text::pg_snapshot, pg_current_snapshot()) AS until,
            extract(epoch FROM clock_timestamp())::bigint AS at, {NOBODY_ERASED} AS free
    )
    SELECT now.until::text AS until, now.at, now.free, e.position, e.name, e.payload
    FROM now LEFT JOIN LATERAL (
        SELECT o.position, o.name, o.payload::text AS payload FROM guanxi_outbox o
        WHERE o.tenant_id = $1 AND o.xact >= pg_snapshot_xmin($2::text::pg_snapshot)
        AND NOT pg_visible_in_snapshot(o.xact, $2::text::pg_snapshot)
        AND pg_visible_in_snapshot(o.xact, now.until)
        AND o.position > $4 AND o.name = ANY ($5::text[])
        ORDER BY o.position LIMIT {PAGE}
    ) e ON now.free
    ORDER BY e.position
"""  # noqa: S608  put together from constants
_STAMPS: Final = """
    SELECT token_id, epoch FROM guanxi_stamp
    WHERE tenant_id = $1 AND token_id = ANY ($2::uuid[]) AND expires_at > now()
"""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """What has been told: all that ``since`` sees, and of ``until`` the events up to ``last``."""

    at: int  # Unix time, by the database's clock
    since: str
    until: str | None = None
    last: int = 0

    def text(self) -> str:
        """What a client keeps."""
        return urlsafe_b64encode(msgspec.msgpack.encode(self)).rstrip(b"=").decode("ascii")

    @classmethod
    def of(cls, text: str, path: str) -> Self:
        """What a client gives back, or :class:`Invalid`."""
        try:
            if len(text) > _LONGEST:
                raise ValueError
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            found = msgspec.msgpack.decode(urlsafe_b64decode(padded), type=cls)
            snapshots = [found.since] if found.until is None else [found.since, found.until]
            if not all(map(_SNAPSHOT.fullmatch, snapshots)) or not 0 <= found.last < 2**63:
                raise ValueError
        except (ValueError, msgspec.MsgspecError):
            raise Invalid(path, "is no position: pass one on as it was told.") from None
        return found


@dataclass(frozen=True, slots=True)
class Happened:
    """One event, and the position behind it."""

    name: str
    payload: str
    position: Position


@dataclass(frozen=True, slots=True)
class Page:
    """Events that follow each other; ``more`` may be there already."""

    events: Sequence[Happened]
    next: Position
    more: bool


async def now(pool: TenantPool, tenant_id: UUID) -> Position:
    """The position behind everything that is committed."""
    async with pool.connection(tenant_id) as connection:
        row = await connection.fetchrow(_NOW)
    return Position(row["at"], row["until"])


async def check(pool: TenantPool, tenant_id: UUID, position: Position, path: str) -> None:
    """Refuse a position from which events may be missing already."""
    latest = await now(pool, tenant_id)
    if latest.at - position.at > RESUMABLE or _end(position) > _end(latest):
        raise Invalid(
            path, f"is too old: positions last for {RESUMABLE // 3600} hours. Load what you show "
            "anew, and subscribe without it.", code="POSITION_EXPIRED",
        )  # fmt: skip


async def read(
    pool: TenantPool,
    tenant_id: UUID,
    position: Position,
    names: Sequence[str],
    until: str | None = None,
) -> Page:
    """The next events called ``names``, up to the snapshot ``until`` or to this moment."""
    ends = position.until or until
    try:
        async with pool.connection(tenant_id) as connection:
            rows: list[Any] = await connection.fetch(
                _READ, tenant_id, position.since, ends, position.last, list(names)
            )
    except asyncpg.DataError:
        raise Invalid("after", "is no position: pass one on as it was told.") from None
    first = rows[0]
    if not first["free"]:
        return Page((), position, False)
    at, ends = first["at"], first["until"]
    events = [
        Happened(
            row["name"], row["payload"], Position(at, position.since, ends, row["position"])
        )
        for row in rows
        if row["position"] is not None
    ]  # fmt: skip
    if len(events) == PAGE:
        return Page(events, events[-1].position, True)
    return Page(events, Position(at, ends), position.until is not None and ends != until)


async def valid(pool: TenantPool, tenant_id: UUID, tokens: Sequence[UUID]) -> dict[UUID, int]:
    """The epochs of those tokens that still hold."""
    async with pool.connection(tenant_id) as connection:
        rows = await connection.fetch(_STAMPS, tenant_id, list(tokens))
    return {row["token_id"]: row["epoch"] for row in rows}


def _end(position: Position) -> int:
    """The first transaction that a position knows nothing of."""
    return int((position.until or position.since).split(":")[1])
