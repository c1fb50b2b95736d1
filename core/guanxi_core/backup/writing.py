"""Making a backup."""

import datetime as dt
import os
import zipfile
from pathlib import Path
from typing import Any, Final

import msgspec

from guanxi_core.backup.contents import (
    FORMAT,
    MANIFEST,
    BackupError,
    Digesting,
    Manifest,
    Progress,
    Summary,
    copy_out,
    parts_of,
    summary_of,
)
from guanxi_core.database.connections import connect
from guanxi_core.migrations.current import revisions

_SEQUENCES: Final = """
    SELECT sequencename::text AS name, last_value FROM pg_sequences
    WHERE schemaname = 'public' AND last_value IS NOT NULL
"""


async def backup(owner_url: str, path: Path, *, progress: Progress | None = None) -> Summary:
    """Write all tenants to ``path``, as they are at one moment, while others go on writing.

    The file appears when it is whole, readable by its owner alone. Whoever has it has everything:
    keep it as the database is kept.
    """
    if path.exists():  # noqa: ASYNC240  a local look
        raise BackupError(f"{path} exists already: choose another name.")
    partial = path.with_name(f"{path.name}.partial")
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror}.") from None
    try:
        with os.fdopen(handle, "wb") as stream:
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
                summary = await _write(owner_url, file, progress)
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(path)
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)
    return summary


async def _write(owner_url: str, file: zipfile.ZipFile, progress: Progress | None) -> Summary:
    connection = await connect(owner_url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            present = await revisions(connection)
            if not present:
                raise BackupError("there is nothing to back up: the database has no tables.")
            done = []
            parts = await parts_of(connection)
            for part in parts:
                with file.open(part.name, "w", force_zip64=True) as entry:
                    done.append(await copy_out(connection, part, Digesting(entry)))
                if progress:
                    progress(len(done), len(parts), sum(one.rows for one in done))
            manifest = Manifest(
                format=FORMAT,
                made_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                revisions=present,
                parts=tuple(done),
                sequences=await _sequences(connection),
            )
            file.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    finally:
        await connection.close()
    return summary_of(done)


async def _sequences(connection: Any) -> dict[str, int]:
    return {row["name"]: row["last_value"] for row in await connection.fetch(_SEQUENCES)}
