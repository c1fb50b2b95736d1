"""Replies of mutations that carried an idempotency key, kept to be given again.

A reply is stored in the transaction of the mutation itself: both are there, or neither.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from guanxi_core.database.pool import TenantPool
from guanxi_core.erasing.alone import ERASING, REPLYING
from guanxi_sdk import Conflict

#: How long a reply is kept at least, unless the configuration says longer.
KEPT: Final = dt.timedelta(hours=24)

_KEY: Final = "pg_advisory_xact_lock(hashtextextended($2, 0))"
_LOCK: Final = f"SELECT {_KEY}, {REPLYING}"
_ALONE: Final = f"SELECT {_KEY} WHERE $1::uuid IS NOT NULL"
_FIND: Final = (
    "SELECT step, request, body, errors FROM guanxi_idempotency "
    "WHERE tenant_id = $1 AND owner_id = $2 AND key = $3"
)
_KEEP: Final = (
    "INSERT INTO guanxi_idempotency (tenant_id, owner_id, key, step, request, body, errors) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7)"
)


@dataclass(frozen=True, slots=True)
class StoredReply:
    """What one mutation field answered: its JSON, and that of its errors."""

    body: bytes
    errors: bytes


@dataclass(frozen=True, slots=True)
class Once:
    """One request that must not be done twice: whose it is, its key, and a digest of the rest."""

    tenant_id: UUID
    owner_id: UUID
    key: str
    request: bytes

    @property
    def whole(self) -> str:
        """The key with whose it is."""
        return f"{self.tenant_id}{self.owner_id}{self.key}"

    async def find(self, connection: Any, step: int, action: str | None) -> StoredReply | None:
        """What the field at ``step`` answered, once nobody else is at it any more.

        Holds the key until the transaction of ``connection`` ends, and holds back erasures of
        persons, before anything is read that :meth:`keep` will store. An erasure, which ``action``
        tells, stores nothing of the kind. Raises :class:`Conflict` where the key stands for another
        request.
        """
        lock = _ALONE if action == ERASING else _LOCK
        await connection.execute(lock, self.tenant_id, self.whole)
        found = None
        for row in await connection.fetch(_FIND, self.tenant_id, self.owner_id, self.key):
            if row["request"] != self.request:
                raise Conflict(
                    None,
                    "This Idempotency-Key was used for another request: choose a new one for each.",
                )
            if row["step"] == step:
                found = StoredReply(row["body"], row["errors"])
        return found

    async def keep(self, connection: Any, step: int, reply: StoredReply) -> None:
        """Store what the field at ``step`` answers, if the transaction is committed."""
        await connection.execute(
            _KEEP, self.tenant_id, self.owner_id, self.key, step, self.request,
            reply.body, reply.errors,
        )  # fmt: skip


async def forget_replies(pool: TenantPool, kept: dt.timedelta = KEPT) -> int:
    """Delete the replies of every tenant that are older than ``kept``, some at a time."""
    [row] = await pool.call("SELECT guanxi_forget_replies($1)", kept)
    forgotten: int = row[0]
    return forgotten
