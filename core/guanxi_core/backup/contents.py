"""What a backup file holds: a ZIP of tables in PostgreSQL's COPY format, and a manifest."""

import hashlib
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final
from uuid import UUID

import msgspec

from guanxi_core.migrations.scripts import version_table
from guanxi_sdk import GuanxiError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"

#: Told after each part: how many are done, of how many, and how many rows so far.
Progress = Callable[[int, int, int], None]


class BackupError(GuanxiError):
    """No backup can be made or restored; the message says why and what to do."""


class Part(msgspec.Struct, frozen=True):
    """The rows of one table: one tenant's, or all where the table belongs to none."""

    table: str
    tenant: UUID | None
    columns: tuple[str, ...]
    key: tuple[str, ...]  # what the rows are sorted by
    rows: int = 0
    digest: str = ""

    @property
    def name(self) -> str:
        """Where the rows are in the file."""
        return f"{self.table}/{self.tenant or 'all'}.tsv"

    @property
    def query(self) -> str:
        """What reads the rows, in an order that is always the same."""
        columns = ", ".join(map(quoted, self.columns))
        condition = f" WHERE tenant_id = '{self.tenant}'" if self.tenant else ""
        order = ", ".join(map(quoted, self.key or self.columns))
        return f"SELECT {columns} FROM {quoted(self.table)}{condition} ORDER BY {order}"  # noqa: S608


class Manifest(msgspec.Struct, frozen=True):
    """What the file is, and what must come out of it."""

    format: int
    made_at: str
    revisions: dict[str, str]  # of the tables, by plugin
    parts: tuple[Part, ...]
    sequences: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written or restored."""

    tenants: int
    tables: int
    rows: int


def summary_of(parts: Sequence[Part]) -> Summary:
    """Count what the parts hold."""
    return Summary(
        next((part.rows for part in parts if part.table == "guanxi_tenant"), 0),
        len({part.table for part in parts}),
        sum(part.rows for part in parts),
    )


def read_manifest(file: zipfile.ZipFile) -> Manifest:
    """What the file says of itself; raises :class:`BackupError` where it is none of ours."""
    try:
        manifest = msgspec.json.decode(file.read(MANIFEST), type=Manifest)
    except (KeyError, msgspec.MsgspecError, zipfile.BadZipFile):
        raise BackupError(
            f"{file.filename} is not a backup of guanxi, or not a whole one."
        ) from None
    if manifest.format != FORMAT:
        raise BackupError(f"{file.filename} has the format {manifest.format}: use a newer guanxi.")
    return manifest


def quoted(name: str) -> str:
    """An identifier for SQL."""
    return '"' + name.replace('"', '""') + '"'


class Digesting:
    """Passes bytes on to ``file``, if any, and digests them."""

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    async def __call__(self, data: bytes) -> None:
        """Take a piece, as asyncpg hands it over."""
        self._digest.update(data)
        if self._file is not None:
            self._file.write(data)

    def hexdigest(self) -> str:
        """Of everything so far."""
        return self._digest.hexdigest()


async def digest_of(connection: Any, part: Part) -> Part:
    """The part as the database holds it now, for the connection's tenant."""
    digesting = Digesting()
    return await copy_out(connection, part, digesting)


async def copy_out(connection: Any, part: Part, into: Digesting) -> Part:
    """Copy the rows of ``part``; comes back with their number and digest."""
    await connection.fetchval(
        "SELECT set_config('guanxi.tenant', $1, true)", str(part.tenant or "")
    )
    status: str = await connection.copy_from_query(part.query, output=into, format="text")
    rows = int(status.rpartition(" ")[2])
    return msgspec.structs.replace(part, rows=rows, digest=into.hexdigest())


async def parts_of(connection: Any) -> list[Part]:
    """All tables, those that others refer to first, once for each tenant."""
    found = await connection.fetch(_TABLES, version_table(""))
    tenants = await connection.fetch("SELECT id FROM guanxi_tenant ORDER BY id")
    return [
        Part(row["name"], tenant, tuple(row["columns"]), tuple(row["key"]))
        for row in _in_order(found)
        for tenant in ([one["id"] for one in tenants] if row["scoped"] else [None])
    ]


def _in_order(tables: Sequence[Any]) -> list[Any]:
    waiting = {row["name"]: row for row in tables}
    ordered: list[Any] = []
    while waiting:
        ready = [
            name
            for name, row in waiting.items()
            if not (set(row["refers"]) - {name}) & waiting.keys()
        ]
        if not ready:
            raise BackupError(f"{', '.join(waiting)} refer to each other in a circle.")
        ordered += [waiting.pop(name) for name in ready]
    return ordered


_TABLES: Final = """
    SELECT c.relname::text AS name, c.relrowsecurity AS scoped,
        ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid
            AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
            -- another server counts transactions differently
            AND a.atttypid <> ALL (ARRAY['xid8', 'xid8[]']::regtype[])
            ORDER BY a.attnum) AS columns,
        ARRAY(SELECT a.attname::text FROM pg_index i
            CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, position)
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
            WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.position) AS key,
        ARRAY(SELECT DISTINCT f.relname::text FROM pg_constraint r
            JOIN pg_class f ON f.oid = r.confrelid
            WHERE r.conrelid = c.oid AND r.contype = 'f') AS refers
    FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
        AND NOT c.relispartition AND NOT starts_with(c.relname, $1)
    ORDER BY c.relname
"""
