"""Processes of a server whose postmaster is gone: the next server waits until all of them are.

Most notice at once. One that waits for a lock in memory which a killed process held never does.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from . import _watchdog


def end(place: Path) -> bool:
    """Kill the orphans that hold the server's lock in ``place``; whether there were any.

    Nothing is lost that was acknowledged: it is in the log that the next server reads. None are
    found where the system has no ``/proc``, nor while a postmaster lives, in whatever container.
    """
    with suppress(OSError):
        orphans = _orphans(place)
        for pid in orphans:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(orphans)
    return False


def _orphans(place: Path) -> list[int]:
    lock = (place / _watchdog.SERVER).stat()
    holders = {pid: parent for pid, parent in _servers() if _holds(pid, lock)}
    return [] if holders.keys() & holders.values() else list(holders)


def _servers() -> Iterator[tuple[int, int]]:
    """Every process of PostgreSQL that may be looked at, with its parent."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "exe").readlink().name.startswith("postgres"):
                    stat = (entry / "stat").read_text()
                    yield int(entry.name), int(stat.rpartition(")")[2].split()[1])


def _holds(pid: int, lock: os.stat_result) -> bool:
    with suppress(OSError):
        return any(os.path.samestat(each.stat(), lock) for each in os.scandir(f"/proc/{pid}/fd"))
    return False
