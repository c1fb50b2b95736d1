"""A worker: it outlives a database that is away, and hears one signal to stop."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar

from databases import Scratch
from guanxi_core.config import Config
from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_core.platform import Platform
from guanxi_graphql import app
from guanxi_graphql.server import _make_loop


async def _status(client: AsyncClient) -> tuple[int, int]:
    ready = await client.get("/health/ready")
    asked = await client.post(
        "/graphql", json={"query": "{ __typename }"}, headers={"authorization": "Bearer gx_none"}
    )
    return ready.status_code, asked.status_code


@pytest.fixture
def served(database: Scratch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Litestar:
    monkeypatch.setattr(app, "_PATIENCE", 0.05)
    monkeypatch.setattr(app, "_PAUSE", 0.05)
    return app.create_app(Config(tmp_path, database.app_url, database.owner_url))


async def test_a_worker_waits_for_its_database(
    served: Litestar, monkeypatch: pytest.MonkeyPatch
) -> None:
    back, opened = asyncio.Event(), Platform.open

    async def away(*given: Any, **more: Any) -> Platform:
        if not back.is_set():
            raise DatabaseUnavailable("it is away")
        return await opened(*given, **more)

    monkeypatch.setattr(Platform, "open", away)
    transport = ASGITransport(served)
    async with (
        served.lifespan(),
        AsyncClient(transport=transport, base_url="http://guanxi.test") as client,
    ):
        assert await _status(client) == (503, 503)
        back.set()
        async with asyncio.timeout(30):
            while await _status(client) != (200, 401):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_a_worker_that_never_had_a_database_stops(
    served: Litestar, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> Platform:
        raise DatabaseUnavailable("it is away")

    monkeypatch.setattr(Platform, "open", away)
    async with asyncio.timeout(10), served.lifespan():
        pass


def test_only_the_first_signal_to_stop_is_heard() -> None:
    heard: list[int] = []
    loop = _make_loop()
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, heard.append, number)

        async def stop() -> None:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
                signal.raise_signal(number)
                await asyncio.sleep(0.01)

        loop.run_until_complete(stop())
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    assert heard == [signal.SIGINT]
