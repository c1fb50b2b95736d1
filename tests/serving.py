"""``guanxi serve`` as a process of its own: started, asked, looked at and stopped.

Clients say ``verify=False``, else each of them reads all certificate authorities, though the server
has no TLS; that takes longer than most requests.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

import databases as scratch
from guanxi_core.api_tokens import create_token
from guanxi_core.config import Config
from guanxi_core.database.pool import TenantPool
from guanxi_core.database.server import open_database
from guanxi_core.discovery import discover
from guanxi_core.migrations import ensure_migrated
from guanxi_core.tenancy import create_tenant, set_plugin

if sys.platform != "win32":
    import fcntl

#: A pytest that loads none of what these tests do not use, for some of it takes seconds, and that
#: looks for garbage as seldom as this one.
PYTEST = (
    "-c", "import gc, pytest\ngc.set_threshold(100_000, 50, 50)\nraise SystemExit(pytest.main())",
    "-q",
    *(f"-pno:{name}" for name in ("cacheprovider", "faker", "hypothesispytest", "schemathesis")),
)  # fmt: skip
#: On Linux it ends with the thread that started it: a killed test run leaves nothing behind.
GUANXI = (
    sys.executable, "-c",
    "import ctypes, signal, sys\n"
    "if sys.platform == 'linux':\n"
    "    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG\n"
    "from guanxi_core.cli import main\n"
    "main()",
)  # fmt: skip


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GUANXI_")}
    return {**kept, "GUANXI_HOME": str(home), **more}


def run(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GUANXI, *arguments], env=environment(home, **more), cwd=home.parent, text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(done: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def ps(*options: str) -> list[str]:
    listed = subprocess.run(["ps", *options], capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def processes_of(home: Path) -> dict[int, str]:
    """Processes that the home's server consists of, by their command lines."""
    listed = subprocess.run(
        ["ps", "-wweo", "pid=,args="], capture_output=True, text=True, check=True
    )
    found = {}
    for line in listed.stdout.splitlines():
        pid, _, command = line.strip().partition(" ")
        if str(home) in command:
            found[int(pid)] = command
    return found


def children_of(pid: int) -> list[int]:
    pairs = [line.split() for line in ps("-eo", "pid=,ppid=")]
    return [int(child) for child, parent in pairs if int(parent) == pid]


@dataclass
class Running:
    process: "subprocess.Popen[str]"
    url: str
    token: str
    log: Path

    def ask(self, query: str = "{ tenant { name } }") -> httpx.Response:
        return httpx.post(
            f"{self.url}/graphql",
            json={"query": query},
            headers={"authorization": f"Bearer {self.token}"},
            timeout=10,
            verify=False,
        )

    def status(self, path: str = "/health/live") -> int:
        try:
            return httpx.get(f"{self.url}{path}", timeout=10, verify=False).status_code
        except httpx.TransportError:
            return 0

    def workers(self) -> list[int]:
        return children_of(self.process.pid)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def serving(home: Path, token: str, *arguments: str, **more: str) -> Iterator[Running]:
    port = free_port()
    log = home.parent / f"serve-{port}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*GUANXI, "serve", "--port", str(port), *arguments],
            env=environment(home, **more), cwd=home.parent, text=True, start_new_session=True,
            stdout=output, stderr=output,
        )  # fmt: skip
    running = Running(process, f"http://127.0.0.1:{port}", token, log)
    try:
        wait_for(lambda: running.status() == 200 or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield running
    finally:
        if process.poll() is None:
            running.stop()


def install(folder: Path, name: str, plugin: str, source: str) -> str:
    """Install the plugin ``name``, a class ``plugin`` of ``source``; returns what PYTHONPATH needs.

    The folder must be open to everybody if the server runs as root.
    """
    (folder / f"guanxi_{name}.py").write_text(source)
    info = folder / f"guanxi_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: guanxi-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[guanxi]\n{name} = guanxi_{name}:{plugin}\n")
    return str(folder)


def postmaster(home: Path) -> int:
    """The process id of the home's server; 0 if there is none."""
    try:
        return int((home / "pg" / "postmaster.pid").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return 0


@contextmanager
def new_home() -> Iterator[Path]:
    """Not in pytest's own folder, which is closed to the account that root's server runs under."""
    folder = Path(tempfile.mkdtemp(prefix="guanxi-serve-"))
    folder.chmod(0o755)
    try:
        yield folder / "home"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def home_of(tenants: Mapping[str, Sequence[str]]) -> Iterator[tuple[Path, dict[str, str]]]:
    """A home with tenants that have these plugins, and a token of each one's administrator.

    A copy of one that has all tables: they are made once in a run.
    """
    with new_home() as home:
        _copy(_home_with_tables(), home)
        yield home, asyncio.run(_settle(home, tenants))


def _home_with_tables() -> Path:
    folder = Path(os.environ[scratch.HOME])
    made = folder / "tables"
    with (folder / "tables.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with new_home() as home:
                asyncio.run(_settle(home, {}))
                _copy(home, made)
    return made


def _copy(home: Path, to: Path) -> None:
    subprocess.run(["cp", "-a", str(home), str(to)], check=True)


async def _settle(home: Path, tenants: Mapping[str, Sequence[str]]) -> dict[str, str]:
    tokens = {}
    with open_database(Config.load({"GUANXI_HOME": str(home)}, home.parent)) as database:
        await ensure_migrated(database, discover())
        pool = await TenantPool.open(database.app_url, size=1)
        try:
            for name, plugins in tenants.items():
                tenant = await create_tenant(pool, name)
                for plugin in plugins:
                    await set_plugin(pool, tenant, plugin, True)
                tokens[name] = await create_token(pool, tenant, role="admin")
        finally:
            await pool.close()
    return tokens
