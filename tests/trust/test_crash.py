"""Row 4: "crash: 200 × kill -9 under writes: 0 acknowledged mutations or events lost, audit
verifies".

Clients write over HTTP and keep a ledger of what was acknowledged to them, while a worker, the
whole server, a process of PostgreSQL, all of PostgreSQL or everything at once is killed.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from figures import LONG, Figure
from guanxi_core.database.embedded import EmbeddedServer
from homes import TENANT, Home
from serving import Running, children_of, postmaster, run, serving
from writing import Clients, Witness

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no embedded server on Windows")

KILLS = 200 if LONG else 3
#: Acknowledgements that are waited for between two kills.
PROGRESS = 12


class Crashing:
    """One home, the server that runs in it, and ways to kill it."""

    def __init__(self, home: Path, plugins: str, clients: Clients) -> None:
        self.home = home
        self._plugins = plugins
        self.clients = clients
        self._stack = ExitStack()
        self.running: Running | None = None

    async def start(self) -> None:
        self._stack.close()
        self.running = await asyncio.to_thread(
            self._stack.enter_context,
            serving(self.home, self.clients.token, "--workers", "2", PYTHONPATH=self._plugins),
        )
        self.clients.url = self.running.url

    def close(self) -> None:
        self._stack.close()

    def log(self) -> str:
        """What the servers logged."""
        return "".join(path.read_text() for path in self.home.parent.glob("*.log"))

    @property
    def _server(self) -> Running:
        assert self.running is not None
        return self.running

    def _end(self, *pids: int) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _backends(self) -> list[int]:
        return children_of(postmaster(self.home)) if postmaster(self.home) else []

    async def worker(self) -> None:
        self._end(random.choice(self._server.workers()))

    async def server(self) -> None:
        os.killpg(self._server.process.pid, signal.SIGKILL)
        await self.start()

    async def backend(self) -> None:
        self._end(*random.sample(backends := self._backends(), min(1, len(backends))))

    async def database(self) -> None:
        pid = postmaster(self.home)
        self._end(*[pid] if pid else [])

    async def everything(self) -> None:
        pid, backends = postmaster(self.home), self._backends()
        os.killpg(self._server.process.pid, signal.SIGKILL)
        self._end(*[pid] if pid else [], *backends)
        await self.start()

    @property
    def ways(self) -> list[Callable[[], Awaitable[None]]]:
        return [self.worker, self.backend, self.everything, self.database, self.server]


@pytest.mark.xdist_group("home")
@pytest.mark.timeout(3600 if LONG else 300)
async def test_nothing_acknowledged_is_lost_whatever_is_killed(home: Home, figure: Figure) -> None:
    clients = Clients("K", home.token)
    crashing = Crashing(home.path, home.plugins, clients)
    server = EmbeddedServer(home.path)
    try:
        await crashing.start()
        await asyncio.to_thread(server.start)
        witness = Witness(server.url("app"), server.url("owner"))
        await asyncio.to_thread(server.stop)
        async with clients.writing():
            for kill in range(KILLS):
                clients.working.set()
                await clients.progress(PROGRESS)
                await asyncio.sleep(random.uniform(0, 0.05))
                await crashing.ways[kill % len(crashing.ways)]()
                await clients.progress(1)
                clients.working.clear()
                await witness.check(clients)
        await witness.check(clients)
        greeted = await witness.delivered()
        assert {code for code in clients.ledger if greeted[code] < 1} == set()
        assert clients.strange == [], crashing.log()
        checked = await asyncio.to_thread(
            run, home.path, "audit", "verify", "--tenant", TENANT, PYTHONPATH=home.plugins
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
    finally:
        crashing.close()
    figure(
        4, "of 200 × kill -9: 0 acknowledged lost, audit verifies",
        f"{KILLS} kills, {sum(clients.ledger.values())} mutations acknowledged, 0 lost or doubled, "
        f"all events handled, {witness.entries} entries verify",
    )  # fmt: skip
