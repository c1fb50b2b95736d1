"""Stop an embedded server that nobody uses any more, even when all its users were killed.

Run as a script, with the folder of the server as its only argument. It imports nothing but the
standard library, so that it starts in milliseconds, and leaves for the background once it guards.

The locks of a folder, all of them `flock`, which the kernel lets go when a process dies:

- `start.lock`, exclusive: held while the server is started, stopped or checked.
- `watch.lock` and `use.lock`, shared: held by every user of the server, from start to stop.
- `watchdog.lock`, exclusive: held by the watchdog, so that there is only one.
- `server.lock`, exclusive: held by all processes of the server, who inherit it. Once it is free,
  nothing is left of a server: no orphans of a crash, no server of another container. None of the
  other locks is ever inherited.

Order: `start.lock` first, then `watch.lock`, then `use.lock`. All but `watch.lock` are only asked
for by someone who holds `start.lock`, so an exclusive `use.lock` proves that nobody uses the server
and nobody is about to. The watchdog sleeps on `watch.lock` instead, without `start.lock`, and lets
go of it before it asks for anything else: it neither holds up a newcomer nor passes for a user.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable

if sys.platform != "win32":
    import fcntl

START, WATCH, USE = "start.lock", "watch.lock", "use.lock"
WATCHDOG, SERVER = "watchdog.lock", "server.lock"


#: The open lock files of this process, for `embedded` to close in a forked child.
locks: set[int] = set()


def open_lock(place: str | os.PathLike[str], name: str) -> int:
    """Open a lock file, which no other program inherits."""
    fd = os.open(os.path.join(place, name), os.O_RDWR | os.O_CREAT, 0o600)
    locks.add(fd)
    return fd


def close_lock(fd: int) -> None:
    """Close a lock file; its lock is gone unless somebody inherited it."""
    if fd in locks:
        locks.discard(fd)
        os.close(fd)


def take(fd: int) -> bool:
    """Take an exclusive lock if that needs no waiting."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_free(place: str | os.PathLike[str], name: str) -> bool:
    """Whether nobody holds a lock."""
    fd = open_lock(place, name)
    try:
        return take(fd)
    finally:
        close_lock(fd)


def is_running(pid: int, path: str) -> bool:
    """Whether this process lives and its command line names the path; a pid alone may be reused."""
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return os.fsencode(path) in file.read().split(b"\0")
        except OSError:
            return False
    import subprocess

    command = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    return os.fsencode(path) in shown.stdout


def read_pid(path: str) -> int | None:
    """Return the number in the first line of a file, if there is one."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return int(file.readline())
    except (OSError, ValueError):
        return None


def server_pid(data: str) -> int | None:
    """Return the process id of the server that runs on this data folder."""
    pid = read_pid(os.path.join(data, "postmaster.pid"))
    return pid if pid is not None and is_running(pid, data) else None


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    """Wait for something to become true; say whether it did."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def stop_server(place: str | os.PathLike[str]) -> bool:
    """Stop the server and wait until all its processes are gone; say whether they are."""
    data = os.path.join(place, "pg")
    for wish, seconds in ((signal.SIGINT, 30), (signal.SIGQUIT, 10), (signal.SIGKILL, 5)):
        # Just launched it may not have told its process id yet; crashed it may have left orphans.
        wait_until(lambda: server_pid(data) is not None or is_free(place, SERVER), 10)
        pid = server_pid(data)
        if pid is None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, wish)
        if wait_until(lambda: is_free(place, SERVER), seconds):
            break
    return is_free(place, SERVER)


def guard(place: str, guarding: int) -> None:
    """Sleep until nobody uses the server, then stop it."""
    start, watch, use = (open_lock(place, name) for name in (START, WATCH, USE))
    while True:
        fcntl.flock(watch, fcntl.LOCK_EX)
        fcntl.flock(watch, fcntl.LOCK_UN)
        fcntl.flock(start, fcntl.LOCK_EX)
        if take(use):
            stop_server(place)
            close_lock(guarding)  # before start.lock, or a newcomer would rely on this watchdog
            return
        fcntl.flock(start, fcntl.LOCK_UN)


def main(place: str) -> int:
    """Become the watchdog of a folder; return once it is on guard, or if there is one already."""
    ready, tell = os.pipe()
    if os.fork():
        os.close(tell)
        return 0 if os.read(ready, 1) else 1
    guarding = open_lock(place, WATCHDOG)  # not before the fork, or two processes would hold it
    free = take(guarding)
    if free:
        os.ftruncate(guarding, 0)
        os.write(guarding, b"%d\n" % os.getpid())
    os.write(tell, b".")
    os.close(tell)
    if free:
        guard(place, guarding)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
