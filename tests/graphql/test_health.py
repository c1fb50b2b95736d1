"""Health tells the truth: of a database that is gone, one that is silent, and of its return."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx import ASGITransport, AsyncClient

from databases import Scratch
from guanxi_core.config import Config
from guanxi_core.database.pool import TenantPool
from guanxi_core.health import unready
from guanxi_core.telemetry.answering import Answering, answering
from guanxi_core.telemetry.exposing import Observer
from guanxi_graphql import app
from guanxi_sdk import GuanxiError
from proxy import Proxy, proxied
from serving import GUANXI, environment, free_port

TOKEN = "watching-the-metrics"
PASSWORD = "canary-4711"
SEEN = {"authorization": f"Bearer {TOKEN}"}
Get = Callable[[str], Awaitable[httpx.Response]]


@pytest.fixture
async def proxy(database: Scratch) -> AsyncIterator[Proxy]:
    async with proxied(database.app_url) as made:
        yield made


async def until(status: int, get: Get, seconds: float, path: str = "/health/ready") -> None:
    """``path`` answers ``status`` at last; while it does not, the process is alive all the same."""
    deadline = time.monotonic() + seconds
    while (await get(path)).status_code != status:
        assert time.monotonic() < deadline, f"no {status} within {seconds} seconds"
        assert (await get("/health/live")).status_code == 200
        await asyncio.sleep(0.1)


async def check_outage(get: Get, away: Callable[[], Any], back: Callable[[], Any]) -> None:
    """Ready is 503 with the reason soon after the database went, and 200 soon after its return."""
    await away()
    await until(503, get, 6)
    answer = await get("/health/ready")
    assert answer.json()["status"] == "unavailable"
    assert "database" in answer.json()["reason"]
    began = time.monotonic()
    assert (await get("/health/live")).status_code == 200
    metrics = await get("/metrics")
    assert time.monotonic() - began < 4
    assert metrics.status_code == 200
    assert "guanxi_processes 1.0" in metrics.text
    await back()
    await until(200, get, 5)


async def outages(get: Get, proxy: Proxy) -> None:
    async def fall_silent() -> None:
        proxy.flowing.clear()

    async def speak() -> None:
        proxy.flowing.set()

    await until(200, get, 60)
    assert "guanxi_database_up 1.0" in (await get("/metrics")).text
    await check_outage(get, proxy.vanish, proxy.appear)
    await check_outage(get, fall_silent, speak)


async def test_a_server_whose_database_goes_and_comes_back(
    proxy: Proxy, database: Scratch, tmp_path: Path
) -> None:
    config = Config(tmp_path, proxy.url(database.app_url), metrics_token=TOKEN)
    served = app.create_app(config, worker=False)
    client = AsyncClient(
        transport=ASGITransport(served), base_url="http://guanxi.test", headers=SEEN
    )
    async with served.lifespan(), client:
        await outages(client.get, proxy)


async def test_a_worker_whose_database_goes_and_comes_back(
    proxy: Proxy, database: Scratch, tmp_path: Path
) -> None:
    port = free_port()
    given = environment(
        tmp_path / "home", GUANXI_DATABASE_URL=proxy.url(database.app_url, PASSWORD),
        GUANXI_METRICS_TOKEN=TOKEN,
    )  # fmt: skip
    log = tmp_path / "worker.log"
    with log.open("w") as output:
        process = await asyncio.create_subprocess_exec(
            *GUANXI, "worker", "--metrics-port", str(port), env=given, stderr=output,
            cwd=tmp_path,
        )  # fmt: skip
    client = AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=SEEN, timeout=10)
    try:
        async with client:

            async def up() -> bool:
                try:
                    return (await client.get("/health/live")).status_code == 200
                except httpx.TransportError:
                    return False

            async with asyncio.timeout(60):
                while not await up():
                    assert process.returncode is None, log.read_text()
                    await asyncio.sleep(0.1)
            await outages(client.get, proxy)
            await proxy.vanish()
            await asyncio.sleep(2)  # it notices at its next look around
            await proxy.appear()
            for headers in ({}, {"authorization": f"Bearer {TOKEN}x"}):
                client.headers = httpx.Headers(headers)
                assert (await client.get("/metrics")).status_code == 404
            assert (await client.get("/nothing")).status_code == 404
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 30) == 0
        told = [json.loads(line) for line in log.read_text().splitlines()]
        assert told[0]["event"] == "guanxi works"
        assert any("database" in line["event"] + str(line.get("reason")) for line in told[1:])
        assert PASSWORD not in log.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_pool_that_is_busy_is_told_from_a_database_that_is_silent(
    database: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guanxi_core.health._PATIENCE", 0.1)
    pool = await TenantPool.open(database.app_url, size=1)
    try:
        assert await unready(pool) is None
        connection = await pool.take(None)
        reason = await unready(pool)
        assert reason is not None
        assert "busy" in reason
        pool.give(connection)
        assert await unready(pool) is None
    finally:
        await pool.close()


async def test_a_worker_whose_loop_stands_still_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ready() -> str | None:
        return None

    monkeypatch.setattr("guanxi_core.telemetry.answering._PATIENCE", 0.3)
    port, found = free_port(), []
    application = Answering(Observer(lambda: 0), ready, TOKEN)

    def look() -> None:
        for path in ("/health/live", "/health/ready", "/metrics"):
            url = f"http://127.0.0.1:{port}{path}"
            found.append(httpx.get(url, headers=SEEN, timeout=10, verify=False).status_code)

    with answering(application, "127.0.0.1", port):
        looking = threading.Thread(target=look)
        looking.start()
        looking.join()  # here the loop stands still
        assert found == [503, 503, 503]
        found.clear()
        await asyncio.to_thread(look)
        assert found == [200, 200, 200]
        with (
            pytest.raises(GuanxiError, match=f"port {port}"),
            answering(application, "127.0.0.1", port),
        ):
            pass
