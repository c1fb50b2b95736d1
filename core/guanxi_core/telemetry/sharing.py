"""The folder by which the processes of one server share their metrics.

prometheus_client keeps each process' numbers in files there, so that any of them can tell of all,
and of those that died. Whoever holds the folder's lock is alive: what others left behind after
kill -9 goes when the next server starts.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import fcntl

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX: Final = "guanxi-metrics-"
_LOCK: Final = "lock"


@contextmanager
def sharing_metrics(wanted: bool = True) -> Iterator[None]:
    """A private folder that child processes find, where one is ``wanted``; it goes with the block.

    prometheus_client looks for it when it is imported, so this comes before what imports it.
    """
    if not wanted or sys.platform == "win32":  # there each process tells of itself
        yield
        return
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{_PREFIX}*"):
        _remove_if_left(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = str(folder)
        try:
            yield
        finally:
            if before is None:
                del os.environ[VARIABLE]
            else:
                os.environ[VARIABLE] = before
            shutil.rmtree(folder, ignore_errors=True)


def forget_the_dead(folder: str) -> None:
    """Remove what dead processes said of their present; what they counted stays."""
    for file in Path(folder).glob("gauge_live*_*.db"):
        if not _alive(int(file.stem.rpartition("_")[2])):
            file.unlink(missing_ok=True)


def _remove_if_left(folder: Path) -> None:
    """Remove another server's folder unless it is in use, or somebody else's."""
    with suppress(OSError):
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return
        with (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
