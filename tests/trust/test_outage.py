"""Row 15: "disk full, database gone and back: typed error, 0 acknowledged loss, recovery < 5 s
without restart".
"""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from figures import LONG, Figure
from guanxi_core.database.embedded import EmbeddedServer
from homes import Home
from serving import Running, new_home, postmaster, serving
from writing import Clients, Witness

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="no embedded server on Windows"),
    pytest.mark.xdist_group("home"),
    pytest.mark.timeout(1800 if LONG else 120),
]

PROMISE = "typed error, 0 acknowledged lost, recovery < 5 s"
OUTAGES = 20 if LONG else 1
FILLINGS = 5 if LONG else 1
#: The whole disk of the home that becomes full, in megabytes.
DISK = 192


async def health(running: Running, path: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=10, verify=False) as client:
        return await client.get(f"{running.url}/health/{path}")


async def until_ready(running: Running) -> None:
    async with asyncio.timeout(30):
        while (await health(running, "ready")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def check(clients: Clients, witness: Witness, running: Running, workers: list[int]) -> None:
    """Nothing is lost, nothing strange was answered, and the same workers serve."""
    await witness.check(clients)
    greeted = await witness.delivered()
    assert {code for code in clients.ledger if greeted[code] < 1} == set()
    assert clients.strange == [], running.log.read_text()
    assert running.workers() == workers


async def test_the_database_is_gone_and_comes_back(home: Home, figure: Figure) -> None:
    """Served from a database that guanxi does not look after itself."""
    clients, slowest = Clients("O", home.token), 0.0
    server = EmbeddedServer(home.path)
    await asyncio.to_thread(server.start)
    try:
        addresses = {
            "GUANXI_DATABASE_URL": server.url("app"),
            "GUANXI_OWNER_DATABASE_URL": server.url("owner"),
        }
        witness = Witness(server.url("app"), server.url("owner"))
        with new_home() as elsewhere:
            elsewhere.mkdir()
            with serving(elsewhere, home.token, PYTHONPATH=home.plugins, **addresses) as running:
                workers = running.workers()
                clients.url = running.url
                async with clients.writing():
                    for outage in range(OUTAGES):
                        await clients.progress(10)
                        refused = clients.unavailable
                        if outage % 2:  # without saying good-bye
                            os.kill(postmaster(home.path), signal.SIGQUIT)
                        await asyncio.to_thread(server.stop)
                        async with asyncio.timeout(20):
                            while clients.unavailable < refused + 20:  # noqa: ASYNC110
                                await asyncio.sleep(0.02)
                        assert (await health(running, "live")).status_code == 200
                        unready = await health(running, "ready")
                        assert unready.status_code == 503
                        assert unready.json()["reason"] == "The database does not answer."
                        await asyncio.to_thread(server.start)
                        slowest = max(slowest, await clients.progress(8, 30))
                        assert slowest < 5
                await until_ready(running)
                await check(clients, witness, running, workers)
    finally:
        await asyncio.to_thread(server.stop)
    figure(
        15, PROMISE,
        f"{OUTAGES} outages, {clients.unavailable} UNAVAILABLE within {clients.slowest:.1f} s, "
        f"{sum(clients.ledger.values())} acknowledged and there, recovered within {slowest:.1f} s",
    )  # fmt: skip


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system of its own, gone afterwards; skips where none can be mounted."""
    with new_home() as place:
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m,mode=755", "tmpfs", str(place)]
        refused: object = "this needs root on Linux"
        if sys.platform == "linux" and os.geteuid() == 0:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            refused = done.stderr.strip() if done.returncode else None
        if refused:
            assert not os.environ.get("GUANXI_CI"), refused
            pytest.skip(f"no disk of its own can be mounted: {refused}")
        try:
            yield place
        finally:
            with suppress(subprocess.CalledProcessError):
                subprocess.run(["umount", str(place)], check=True, capture_output=True)
            if place.is_mount():  # pragma: no cover  something of a failed test still runs there
                subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(ballast: Path, left: int) -> None:
    """Leave nothing of the disk but ``left`` bytes."""
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(65536))
    os.truncate(ballast, max(0, ballast.stat().st_size - left))


async def test_a_full_disk_is_said_and_forgotten(home: Home, figure: Figure) -> None:
    slowest = 0.0
    with small_disk() as disk:
        place, ballast = disk / "home", disk / "ballast"
        await asyncio.to_thread(
            subprocess.run, ["cp", "-a", str(home.path), str(place)], check=True
        )
        clients = Clients("D", home.token, remarks=lambda: secrets.token_hex(4000))
        with serving(place, home.token, PYTHONPATH=home.plugins) as running:
            workers = running.workers()
            clients.url = running.url
            server = EmbeddedServer(place)
            await asyncio.to_thread(server.start)
            witness = Witness(server.url("app"), server.url("owner"))
            try:
                async with clients.writing():
                    for filling in range(FILLINGS):
                        await clients.progress(10)
                        refused = clients.unavailable
                        fill(ballast, 0 if filling % 2 else 300_000)
                        async with asyncio.timeout(40):
                            while clients.unavailable < refused + 20:  # noqa: ASYNC110
                                await asyncio.sleep(0.02)
                        assert (await health(running, "live")).status_code == 200
                        ballast.unlink()
                        slowest = max(slowest, await clients.progress(8, 30))
                        assert slowest < 5
                await until_ready(running)
                await check(clients, witness, running, workers)
                assert "no space left" in running.log.read_text()
            finally:
                await asyncio.to_thread(server.stop)
        shutil.rmtree(place, ignore_errors=True)
    figure(
        15, PROMISE,
        f"{FILLINGS} × disk full, {clients.unavailable} UNAVAILABLE, "
        f"{sum(clients.ledger.values())} acknowledged and there, recovered within {slowest:.1f} s",
    )  # fmt: skip
