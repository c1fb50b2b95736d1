"""Verifying the audit's chain: every digest is computed anew, from the rows as they are now.

An entry has three parts. Who (actor, origin) and what (changes, reason) are hashed with a salt
each, so that either can be erased; the link of an entry is the digest of the link before it, of
both digests, and of the rest in plain text. Whoever rewrites the whole chain consistently, or cuts
off its end, is caught by an anchor: a head of the chain that was kept elsewhere.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Self
from uuid import UUID

import msgspec

from guanxi_core.database.pool import TenantPool
from guanxi_sdk import Invalid, Tenant

#: What the first link follows.
GENESIS: Final = bytes(32)
ERASURE: Final = "guanxi.audit.erase"
_CHUNK: Final = 2000
_HEAD: Final = (
    "SELECT sequence, link, sealed_at FROM guanxi_audit_link "
    "WHERE tenant_id = $1 ORDER BY sequence DESC LIMIT 1"
)
_TIME: Final = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24.MI.SS.US')"
_ENTRIES: Final = f"""
    SELECT l.sequence, l.sealed_at, l.who_salt, l.what_salt, l.who, l.what, l.link, l.audit_id,
        a.id IS NOT NULL AS there, a.action, a.changes::text AS changes,
        a.actor = '' AND a.actor_id IS NULL AND a.origin IS NULL AS without_who,
        a.changes = '{{}}' AND a.reason IS NULL AS without_what,
        jsonb_build_array(a.actor_id, a.actor, a.origin)::text AS who_text,
        jsonb_build_array(a.changes, a.reason)::text AS what_text,
        jsonb_build_array(l.tenant_id, l.sequence, {_TIME.format("l.sealed_at")}, l.audit_id,
            {_TIME.format("a.created_at")}, a.action, a.model, a.row_id)::text AS plain_text
    FROM guanxi_audit_link l
    LEFT JOIN guanxi_audit a ON a.tenant_id = l.tenant_id AND a.id = l.audit_id
    WHERE l.tenant_id = $1 AND l.sequence > $2 ORDER BY l.sequence LIMIT $3
"""  # noqa: S608  built of constants
_UNSEALED: Final = """
    SELECT count(*) AS count, min(a.created_at) AS oldest FROM guanxi_audit a
    WHERE a.tenant_id = $1 AND NOT EXISTS (
        SELECT FROM guanxi_audit_link l WHERE l.tenant_id = $1 AND l.audit_id = a.id)
"""
_ANNOUNCED: Final = """
    SELECT a.changes::text FROM guanxi_audit a
    WHERE a.tenant_id = $1 AND a.action = $2 AND NOT EXISTS (
        SELECT FROM guanxi_audit_link l WHERE l.tenant_id = $1 AND l.audit_id = a.id)
"""


#: Digests by sequence.
Anchors = dict[int, set[str]]


class Anchor(msgspec.Struct, frozen=True):
    """The head of a chain at some time: keep it where the database's owner cannot change it."""

    tenant: str
    tenant_id: UUID
    sequence: int
    digest: str
    time: dt.datetime | None

    @classmethod
    def read(cls, text: str) -> "list[Self]":
        """All anchors of a file, one JSON object a line."""
        lines = [line for line in text.splitlines() if line.strip()]
        if not lines:
            raise Invalid("against", "holds no anchor: write one with guanxi audit head.")
        try:
            return [msgspec.json.decode(line, type=cls) for line in lines]
        except msgspec.MsgspecError:
            raise Invalid(
                "against", "is no file of anchors: write one with guanxi audit head."
            ) from None


@dataclass(frozen=True, slots=True)
class Broken:
    """The first entry that is not what it was; ``sequence`` is None for one outside the chain."""

    sequence: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying a tenant's chain found."""

    tenant: str
    entries: int  # sealed ones
    erased: int  # of which the content was erased, on the record
    unsealed: int  # written, and not linked yet
    unsealed_since: dt.datetime | None
    anchors: int  # that the chain was held against
    broken: Broken | None


async def head(pool: TenantPool, tenant: Tenant) -> Anchor:
    """The newest link of a tenant's chain."""
    async with pool.connection(tenant.id) as connection:
        row = await connection.fetchrow(_HEAD, tenant.id)
    if row is None:
        return Anchor(tenant.name, tenant.id, 0, GENESIS.hex(), None)
    return Anchor(tenant.name, tenant.id, row["sequence"], row["link"].hex(), row["sealed_at"])


async def verify(pool: TenantPool, tenant: Tenant, anchors: Iterable[Anchor] = ()) -> Verdict:
    """Compute a tenant's whole chain anew and hold it against ``anchors``."""
    wanted: dict[int, set[str]] = {}
    for anchor in anchors:
        if anchor.tenant_id != tenant.id:
            raise Invalid("against", f"holds an anchor of another tenant, '{anchor.tenant}'.")
        wanted.setdefault(anchor.sequence, set()).add(anchor.digest)
    check = _Check(tenant.id)
    async with (
        pool.connection(tenant.id) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        broken = None
        while broken is None:
            rows = await connection.fetch(_ENTRIES, tenant.id, check.sequence, _CHUNK)
            broken = check.extend(rows, wanted)
            if len(rows) < _CHUNK:
                break
        if broken is None:
            for row in await connection.fetch(_ANNOUNCED, tenant.id, ERASURE):
                check.announce(row["changes"])
            strays = await connection.fetch("SELECT guanxi_audit_strays($1)", tenant.id)
            broken = check.close(wanted, [row[0] for row in strays])
        unsealed = await connection.fetchrow(_UNSEALED, tenant.id)
    return Verdict(
        tenant.name, check.sequence, len(check.erased), unsealed["count"], unsealed["oldest"],
        len(wanted), broken,
    )  # fmt: skip


class _Check:
    """The chain as far as it is verified."""

    def __init__(self, tenant_id: UUID) -> None:
        self._tenant_id = tenant_id
        self._link = GENESIS
        self._announced: set[int] = set()
        self.sequence = 0
        self.erased: list[int] = []

    def extend(self, rows: Sequence[Any], anchors: Anchors) -> Broken | None:
        """Verify the entries that follow."""
        if self.sequence == 0 and (broken := self._hold(anchors)):
            return broken
        for row in rows:
            expected = self.sequence + 1
            if row["sequence"] != expected:
                return Broken(expected, "its link is missing")
            if reason := self._flaw(row):
                return Broken(expected, reason)
            self.sequence, self._link = expected, row["link"]
            if broken := self._hold(anchors):
                return broken
        return None

    def close(self, anchors: Anchors, strays: Sequence[UUID]) -> Broken | None:
        """What only shows when the end is reached."""
        if missing := [sequence for sequence in anchors if sequence > self.sequence]:
            return Broken(
                self.sequence + 1, f"the chain was cut off: an anchor knows entry {max(missing)}"
            )
        if unannounced := [n for n in self.erased if n not in self._announced]:
            return Broken(unannounced[0], "its content is gone, and no erasure is on record")
        if strays:
            return Broken(None, f"the entry {strays[0]} was never linked, nor will it be")
        return None

    def announce(self, changes: str) -> None:
        """Remember which entries an erasure says that it erased."""
        named = msgspec.json.decode(changes).get("entries") or (None, None)
        self._announced.update(named[1] or ())

    def _flaw(self, row: Any) -> str | None:
        """What is wrong with one entry."""
        if not row["there"]:
            return f"the entry {row['audit_id']} was deleted"
        for part in ("who", "what"):
            salt, digest = row[f"{part}_salt"], row[part]
            if salt is None:
                if not row[f"without_{part}"]:
                    return f"it is marked as erased and says {part} all the same"
            elif sha256(salt + row[f"{part}_text"].encode()).digest() != digest:
                return "its actor or origin was changed" if part == "who" else "it was changed"
        text = row["plain_text"].encode()
        if sha256(self._link + row["who"] + row["what"] + text).digest() != row["link"]:
            return "it, or its place in the chain, was changed"
        if row["who_salt"] is None or row["what_salt"] is None:
            self.erased.append(row["sequence"])
        if row["action"] == ERASURE and row["what_salt"] is not None:
            self.announce(row["changes"])
        return None

    def _hold(self, anchors: Anchors) -> Broken | None:
        if anchors.get(self.sequence, set()) <= {self._link.hex()}:
            return None
        return Broken(self.sequence, "it is not the one that an anchor knows: rewritten")
