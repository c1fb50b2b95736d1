"""One PostgreSQL cluster in a folder: how it is made and how its server comes up."""

import os
import shutil
import socket
import stat
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import _orphans, _watchdog
from ._account import Account, EmbeddedError, account_name, server_account
from ._folders import binaries, digest

PORT_FILE = ".s.PGSQL.5432"
LONGEST_SOCKET = 107 if sys.platform == "linux" else 103
#: A crashed server's orphans are gone within this time, unless a query keeps them busy or they wait
#: for what a process that was killed took with it; then they are ended.
ORPHANS_SECONDS = 15.0
SILENCE_SECONDS = 20.0
START_SECONDS = 300.0
LONGEST_LOG = 8 * 1024 * 1024

LOCALE = (
    ["--locale-provider=builtin", "--locale=C.UTF-8"]
    if sys.platform != "darwin"  # where the C library has no C.UTF-8
    else ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
)
#: Defaults written once, which the owner of a cluster may change there.
SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "log_min_messages": "log",  # above "error": what a client did wrong, the client is told
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
}
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
#: Run in single-user mode, one statement a line, before the cluster gets its final name.
BOOTSTRAP = """\
CREATE ROLE guanxi_app LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION
CREATE DATABASE guanxi OWNER guanxi_owner
"""
#: A server started from a shell that leaves at once: nobody's child, so no zombie of ours.
SPAWN = '"$@" </dev/null >>"$0" 2>&1 & echo $!'


@dataclass(frozen=True)
class Cluster:
    """The cluster in one folder. Whoever changes it holds the folder's `start.lock`."""

    place: Path
    fast: bool

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.place / "pg"

    @property
    def socket_dir(self) -> Path:
        """The private folder of the socket; a short one if the path would be too long."""
        path = self.place / "run"
        too_long = len(os.fsencode(path / PORT_FILE)) > LONGEST_SOCKET
        if too_long or {",", ":"} & set(str(path)):  # clients split a host at these
            # Not TMPDIR or XDG_RUNTIME_DIR: every process has to come to the same answer.
            return Path(f"/tmp/guanxi-{os.geteuid()}-{digest(self.place)}")  # noqa: S108
        return path

    def answer(self) -> Literal["up", "starting", "stopping", "down"]:
        """Ask the server for a session, and say how it answers."""
        wish = b"\0\3\0\0user\0guanxi_app\0database\0guanxi\0\0"
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(str(self.socket_dir / PORT_FILE))
                client.sendall((len(wish) + 4).to_bytes(4, "big") + wish)
                reply = client.recv(4096)
                client.sendall(b"X\0\0\0\4")
            except TimeoutError:
                return "starting"
            except OSError:
                return "down"
        if b"C57P03\0" in reply:
            return "stopping" if b"shutting down" in reply else "starting"
        return "up" if reply else "starting"

    def bring_up(self) -> None:
        """Start the server unless it runs; return when it accepts connections."""
        account = server_account(self.data)
        self._open_socket_dir(account)
        data = str(self.data)
        began = heard = time.monotonic()
        pid, read_from, launched, pause = None, 0, False, 0.005
        while (state := self.answer()) != "up":
            now = time.monotonic()
            if now - began > START_SECONDS:
                raise EmbeddedError(f"the server of {self.place} is still {state}: see {data}/log")
            if state == "stopping" or now - heard > SILENCE_SECONDS:
                # Told to stop while in use, or deaf since somebody removed its socket.
                _watchdog.stop_server(self.place)
                heard, launched = time.monotonic(), False
            elif state == "starting":
                heard = now
            elif not (pid and _watchdog.is_running(pid, data)):
                pid = _watchdog.server_pid(data)
                if pid is None and _watchdog.is_free(self.place, _watchdog.SERVER):
                    if launched:
                        raise EmbeddedError(
                            f"the server of {self.place} does not start: "
                            f"{self._last_words(read_from)}; see {data}/log"
                        )
                    read_from = self._log_size()
                    pid, launched = self._launch(account), True
                elif pid is None and now - heard > ORPHANS_SECONDS:
                    if _orphans.end(self.place):
                        heard = now
                        continue
                    raise EmbeddedError(
                        f"something left of a server holds {self.place}/server.lock, such as a "
                        "long query or another container: end it, and start again"
                    )
            time.sleep(pause)
            pause = min(pause * 1.1, 0.1)  # a server that recovers logs every attempt

    def trim_log(self) -> None:
        """Empty the log once it is long."""
        if self._log_size() <= LONGEST_LOG:
            return
        # As root in a folder of another account: follow no link it may have left there.
        fd = os.open(self.data / "log", os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode) and status.st_uid == self.data.stat().st_uid:
                os.ftruncate(fd, 0)
        finally:
            os.close(fd)

    def _open_socket_dir(self, account: Account) -> None:
        path = self.socket_dir
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        if os.geteuid() == 0 and path.lstat().st_uid == 0:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
        status = path.lstat()
        private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
        if not private or status.st_uid != account.uid:
            raise EmbeddedError(
                f"{path} is not a private folder of {account.name}: remove it, "
                "or set GUANXI_HOME to another folder"
            )

    def _launch(self, account: Account) -> int:
        tools = binaries(account)
        for left in self.place.glob("pg.new-*"):  # its maker was killed
            shutil.rmtree(left, ignore_errors=True)
        if not self.data.exists():
            self._create(account, tools)
        if not account.can_use(self.data):
            raise EmbeddedError(
                f"{account.name} cannot enter {self.data}: open the folders above it (chmod o+x)"
            )
        ours = account.run(tools / "postgres", "--version").stdout.split()[-1]
        theirs = (self.data / "PG_VERSION").read_text().strip()
        if ours.partition(".")[0] != theirs:
            raise EmbeddedError(
                f"{self.data} was made by PostgreSQL {theirs}, this is {ours}: dump it there and "
                "load it here, or set GUANXI_HOME to another folder"
            )
        me = account_name(os.geteuid())
        settings = {
            "listen_addresses": "",
            "port": "5432",
            "unix_socket_directories": str(self.socket_dir),
            "hba_file": self._config("pg_hba.conf", "local all all peer map=guanxi\n"),
            "ident_file": self._config(
                "pg_ident.conf", f'guanxi "{me}" guanxi_owner\nguanxi "{me}" guanxi_app\n'
            ),
            **(FAST if self.fast else {}),
        }
        self._forget_the_dead()
        server = [tools / "postgres", "-D", self.data]
        options = [f"--{name}={value}" for name, value in settings.items()]
        lock = _watchdog.open_lock(self.place, _watchdog.SERVER)
        try:
            _watchdog.take(lock)
            spawned = account.run(
                *("/bin/sh", "-c", SPAWN, self.data / "log", *server, *options),
                start_new_session=True,
                pass_fds=[lock],
            )
        finally:
            _watchdog.close_lock(lock)
        return int(spawned.stdout)

    def _create(self, account: Account, tools: Path) -> None:
        """Make the cluster under another name, so that the data folder is complete or absent."""
        draft = Path(tempfile.mkdtemp(prefix="pg.new-", dir=self.place))
        try:
            if os.geteuid() == 0:
                os.chown(draft, account.uid, account.gid)
            options = [f"--set={name}={value}" for name, value in SETTINGS.items()]
            made = account.run(
                *(tools / "initdb", "-D", draft, "-U", "guanxi_owner", "-E", "UTF8", *LOCALE),
                *("--auth=peer", "--no-instructions", *options, *(["--no-sync"] * self.fast)),
            )
            if made.returncode == 0:
                single = (tools / "postgres", "--single", "-D", draft)
                said = "--log_min_messages=error"
                made = account.run(*single, said, "postgres", feed=BOOTSTRAP)
            if made.returncode or "ERROR:" in made.stderr:
                raise EmbeddedError(
                    f"no database could be made in {self.place}: {_culprit(made.stderr)}; "
                    "mend that, or set GUANXI_HOME to another folder"
                )
            draft.rename(self.data)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        fd = os.open(self.place, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _config(self, name: str, text: str) -> str:
        """Write a file beside the data, where the account of the server cannot change it."""
        path = self.place / name
        path.write_text(text)
        path.chmod(0o644 if os.geteuid() == 0 else 0o600)
        return str(path)

    def _forget_the_dead(self) -> None:
        """Remove lock files whose process id now belongs to another program.

        PostgreSQL would take that program for a running server. Where the process is gone, it sees
        that for itself.
        """
        for path in (self.data / "postmaster.pid", self.socket_dir / f"{PORT_FILE}.lock"):
            pid = _watchdog.read_pid(str(path))
            if pid is None or _exists(pid):
                path.unlink(missing_ok=True)

    def _log_size(self) -> int:
        try:
            return (self.data / "log").lstat().st_size
        except OSError:
            return 0

    def _last_words(self, read_from: int) -> str:
        with (self.data / "log").open("rb") as file:
            file.seek(read_from)
            return _culprit(file.read().decode(errors="replace"))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def _culprit(text: str) -> str:
    """Pick the line that tells why: the last that is an error, else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in reversed(lines):
        if "the database system is" in line:  # what it told those who tried to connect
            continue
        for mark in ("PANIC:", "FATAL:", "ERROR:", "error:"):
            if mark in line:
                return line.partition(mark)[2].strip()
    return lines[-1] if lines else "it said nothing"
