"""A private guanxi in a temporary folder: database, tenants, data, and the servers on it."""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.dataset import Dataset, analyze, load
from benchmarks.dialects import Dialect
from benchmarks.peers import Peer
from guanxi_core.api_tokens import create_token
from guanxi_core.database.embedded import EmbeddedServer
from guanxi_core.database.pool import TenantPool
from guanxi_core.discovery import discover
from guanxi_core.migrations import migrate
from guanxi_core.tenancy import create_tenant, set_plugin
from guanxi_sdk import Tenant

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = ("customers", "tiers", "relationships", "benchmark")
_ENTRY_POINTS = "[guanxi]\nbenchmark = benchmarks.plugin:Benchmark\n"
_SCRIPT = str(Path(sys.executable).with_name("guanxi"))
#: For who wants to know how the server fares; a server that counts is what is measured.
METRICS_TOKEN = secrets.token_hex(16)
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """One of the servers that are compared."""

    name: str
    port: int
    headers: Mapping[str, str]
    dialect: Dialect | None = None  # of one whose schema is not ours

    def url(self, workload: str) -> str:
        """Where requests of a workload go; only the limit has a path for each."""
        return f"http://127.0.0.1:{self.port}/{workload if self.name == 'limit' else 'graphql'}"

    def ask(self, workload: str, body: bytes) -> bytes:
        """The answer to one request."""
        request = urllib.request.Request(self.url(workload), body, dict(self.headers))
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as response:
                answer: bytes = response.read()
        except urllib.error.HTTPError as error:  # it has a body, which says more
            answer = error.read()
        return answer


@dataclass(frozen=True, slots=True)
class Installation:
    """The database, filled, and how to reach it."""

    home: Path
    owner_url: str
    tenant: Tenant
    token: str
    data: Dataset
    postgresql: str

    def guanxi(self, *arguments: str) -> str:
        """What a command prints; its failure ends the benchmarks."""
        done = subprocess.run(
            [_SCRIPT, *arguments], env=_environment(self.home), cwd=self.home, text=True,
            encoding="utf-8", stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"benchmarks: guanxi {arguments[0]}: {done.stderr[-2000:]}")
        return done.stdout

    @contextmanager
    def serving(self, *peers: Peer) -> Iterator[list[Server]]:
        """`guanxi serve`, the limit and ``peers``, until the block ends."""
        json = {"Content-Type": "application/json"}
        guanxi = Server("guanxi", _free_port(), {**json, "Authorization": f"Bearer {self.token}"})
        others = [Server("limit", _free_port(), json)]
        others += [Server(peer.name, _free_port(), json, peer.dialect) for peer in peers]
        with ExitStack() as stack:
            started = [stack.enter_context(self._running(guanxi, _SCRIPT, "serve", "--port"))]
            for server in others:
                command = (sys.executable, "-m", "benchmarks.serving", server.name)
                more = (self.owner_url, str(self.tenant.id))
                started.append(stack.enter_context(self._running(server, *command, more=more)))
            for process in started:
                process.wait_until_ready()
            yield [others[0], guanxi, *others[1:]]

    @contextmanager
    def _running(
        self, server: Server, *command: str, more: tuple[str, ...] = ()
    ) -> Iterator["_Process"]:
        log = self.home / f"{server.name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, str(server.port), *more], env=_environment(self.home), cwd=self.home,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            yield _Process(server, process, log)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass(frozen=True, slots=True)
class _Process:
    server: Server
    process: "subprocess.Popen[bytes]"
    log: Path

    def wait_until_ready(self) -> None:
        """Return when the server accepts connections."""
        deadline = time.monotonic() + _PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.server.port)) == 0:
                    return
            time.sleep(0.02)
        said = self.log.read_text()[-2000:]
        raise SystemExit(f"benchmarks: {self.server.name} does not start: {said}")


@contextmanager
def installed(customers: int) -> Iterator[Installation]:
    """Two tenants with the same amount of data each, in a database that goes with the block."""
    with tempfile.TemporaryDirectory(prefix="guanxi-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o711)  # where root starts it, the database runs under another account
        announcement = home / "path" / "guanxi_benchmark-0.dist-info"
        announcement.mkdir(parents=True)
        (announcement / "METADATA").write_text("Name: guanxi-benchmark\nVersion: 0\n")
        (announcement / "entry_points.txt").write_text(_ENTRY_POINTS)
        sys.path.insert(0, str(announcement.parent))
        try:
            with EmbeddedServer(home) as server:
                yield asyncio.run(_fill(home, server, customers))
        finally:
            sys.path.remove(str(announcement.parent))


async def _fill(home: Path, server: EmbeddedServer, customers: int) -> Installation:
    registry = discover()
    for result in await migrate(
        server.url("owner"), registry.plugins.values(), app_role="guanxi_app"
    ):
        if result.reason:
            raise SystemExit(f"benchmarks: plugin '{result.plugin}': {result.reason}")
    pool = await TenantPool.open(server.url("app"), size=1)
    owner: Any = await asyncpg.connect(server.url("owner"))
    try:
        for name in ("another", "bench"):
            tenant = await create_tenant(pool, name)
            for plugin in PLUGINS:
                await set_plugin(pool, tenant, plugin, True)
            data = await load(owner, tenant.id, customers)
        await analyze(owner)
        token = await create_token(pool, tenant, role="admin")
        version = await owner.fetchval("SHOW server_version")
    finally:
        await owner.close()
        await pool.close()
    return Installation(home, server.url("owner"), tenant, token, data, version)


def _environment(home: Path) -> dict[str, str]:
    """This environment with the plugin of the benchmarks, and without guanxi's own settings.

    But for those that switch on what is off by itself and costs each request something.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GUANXI_")}
    paths = [str(ROOT), str(home / "path"), *filter(None, [kept.get("PYTHONPATH")])]
    return {
        **kept, "GUANXI_HOME": str(home), "PYTHONPATH": os.pathsep.join(paths),
        "GUANXI_RATE_LIMIT": "100000", "GUANXI_METRICS_TOKEN": METRICS_TOKEN,
    }  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
