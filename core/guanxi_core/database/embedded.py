"""An embedded PostgreSQL server, private to one folder and shared by the processes that use it.

The server starts with the first of them and stops with the last, however they end: one that leaves
properly stops it itself, and a watchdog does it for those that were killed. `_watchdog` tells which
locks there are and in which order they are taken.
"""

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from . import _watchdog
from ._account import ENVIRONMENT, EmbeddedError
from ._cluster import Cluster
from ._folders import log, settle

if sys.platform != "win32":
    import fcntl

__all__ = ["EmbeddedError", "EmbeddedServer"]


class EmbeddedServer:
    """The server of one home, as seen by one of its users.

        with EmbeddedServer(Path(".guanxi")) as server:
            await asyncpg.connect(server.url("app"))

    Only the OS user who owns the home can connect, over a Unix socket. The database `guanxi`
    belongs to `guanxi_owner`, superuser of this private cluster; `guanxi_app` owns nothing and is
    bound by row-level security. `fast` gives up safety against power loss (for tests); whoever
    starts the server decides. The methods block, and may be called from any thread; a forked child
    has to start a server object of its own.
    """

    def __init__(self, home: Path, *, fast: bool = False) -> None:
        if sys.platform == "win32":
            raise EmbeddedError(
                "the embedded database needs Linux or macOS: "
                "set GUANXI_DATABASE_URL to a PostgreSQL server"
            )
        self.home = Path(os.path.realpath(Path(home).expanduser()))
        self._fast = fast
        self._mutex = threading.RLock()
        self._cluster: Cluster | None = None
        self._holds: tuple[int, int] | None = None  # watch.lock and use.lock
        self._holder = 0

    def start(self) -> None:
        """Start the server or join the one that runs; return when it accepts connections."""
        with self._mutex, self._plain_errors():
            if self._is_held():
                self.ensure()
                return
            self._cluster = Cluster(settle(self.home), self._fast)
            with self._lock(_watchdog.START):
                watch = _watchdog.open_lock(self._running.place, _watchdog.WATCH)
                use = _watchdog.open_lock(self._running.place, _watchdog.USE)
                fcntl.flock(watch, fcntl.LOCK_SH)
                fcntl.flock(use, fcntl.LOCK_SH)
                self._holds, self._holder = (watch, use), os.getpid()
                try:
                    self._post_watchdog()
                    self._running.bring_up()
                except BaseException:
                    with suppress(EmbeddedError):
                        self._leave()
                    raise
            atexit.register(self.stop)

    def ensure(self) -> None:
        """Start the server again if it died; quick when it lives, so call it now and then."""
        with self._mutex, self._plain_errors():
            if not self._is_held():
                raise EmbeddedError(f"{self.home} is not in use here: call start() first")
            self._running.trim_log()
            if self._running.answer() != "up":
                with self._lock(_watchdog.START):
                    self._post_watchdog()
                    self._running.bring_up()

    def stop(self) -> None:
        """Let go of the server; the last one to do so stops it, and returns when it is down."""
        with self._mutex, self._plain_errors():
            if self._is_held():
                with self._lock(_watchdog.START):
                    if self._leave():
                        with suppress(OSError):
                            self.socket_dir.rmdir()
                atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def socket_dir(self) -> Path:
        """The folder with the server's socket, known once the server was started."""
        return self._running.socket_dir

    def url(self, role: Literal["owner", "app"], database: str = "guanxi") -> str:
        """Return the address of a database, for asyncpg, psql and other clients."""
        return f"postgresql://guanxi_{role}@/{quote(database)}?host={quote(str(self.socket_dir))}"

    @property
    def _running(self) -> Cluster:
        if self._cluster is None:
            raise EmbeddedError(f"{self.home} is not in use here: call start() first")
        return self._cluster

    def _is_held(self) -> bool:
        return self._holds is not None and self._holder == os.getpid()

    def _leave(self) -> bool:
        """Give up the locks; the last one stops the server. The caller holds `start.lock`."""
        if self._holds is None:
            return False
        watch, use = self._holds
        self._holds = None
        try:
            last = _watchdog.take(use)
            if last:
                if not _watchdog.stop_server(place := self._running.place):
                    raise EmbeddedError(
                        f"the server does not stop: end what still holds {place}/server.lock"
                    )
                self._dismiss_watchdog()
            return last
        finally:
            _watchdog.close_lock(use)  # before watch.lock, so that a waking watchdog finds nobody
            _watchdog.close_lock(watch)

    def _post_watchdog(self) -> None:
        missing = _watchdog.is_free(self._running.place, _watchdog.WATCHDOG)
        if not missing or not sys.executable or getattr(sys, "frozen", False):
            return
        command = [sys.executable, "-I", "-S", _watchdog.__file__, str(self._running.place)]
        posted = subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,
        )
        if posted.returncode:
            log.warning("no watchdog for %s: a kill -9 may leave its server running", self.home)

    def _dismiss_watchdog(self) -> None:
        place = self._running.place
        if not _watchdog.is_free(place, _watchdog.WATCHDOG):
            pid = _watchdog.read_pid(str(place / _watchdog.WATCHDOG))
            # In another container's numbering it would be somebody else; that one ends by itself.
            if pid and _watchdog.is_running(pid, str(place)):
                os.kill(pid, 9)
                _watchdog.wait_until(lambda: _watchdog.is_free(place, _watchdog.WATCHDOG), 2)

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        fd = _watchdog.open_lock(self._running.place, name)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            _watchdog.close_lock(fd)

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise EmbeddedError(
                f"{self.home} cannot hold the database: {error.strerror}{where}; "
                "mend that, or set GUANXI_HOME to a folder of your own"
            ) from error


def _forked() -> None:
    """Let go of the locks in a forked child, which would keep them when the parent dies."""
    for fd in tuple(_watchdog.locks):
        _watchdog.close_lock(fd)


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forked)
