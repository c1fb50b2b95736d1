"""An application behind a real server, in this process."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from granian.server.embed import Server
from httpx import AsyncClient, TransportError

from guanxi_graphql.app import compose
from guanxi_graphql.asgi import Answer
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.graphiql import StaticFiles
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_sdk.testing.app import App
from guanxi_sdk.testing.boot import Boot


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """Serve ``app``; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(app, address="127.0.0.1", port=port, interface="asgi")
    task = asyncio.create_task(server.serve())
    url = f"http://127.0.0.1:{port}"
    async with AsyncClient(base_url=url, trust_env=False) as client:
        for _ in range(100):
            try:
                await client.get("/health/live")
                break
            except TransportError:
                await asyncio.sleep(0.05)
    try:
        yield url
    finally:
        server.stop()
        await task


@asynccontextmanager
async def asking(app: App, **options: Any) -> AsyncIterator[AsyncClient]:
    """A client of the tenant's GraphQL, with a token that may do everything.

    ``options`` are the endpoint's.
    """
    endpoint = GraphQLEndpoint(Answer(200, ((b"content-type", b"text/html"),), b"page"), **options)
    endpoint.open(app.platform, Engine(app.platform))

    async def ready() -> None:
        return None

    headers = {"authorization": f"Bearer {await app.token()}"}
    async with (
        listening(compose(endpoint, StaticFiles({}), ready)) as url,
        AsyncClient(base_url=url, headers=headers, timeout=10, trust_env=False) as client,
    ):
        yield client


@asynccontextmanager
async def booted(database: Any, *plugins: Any) -> AsyncIterator[App]:
    """What the fixture ``guanxi`` gives, for all tests of a module."""
    async with AsyncExitStack() as stack:
        yield await Boot(database, stack)(*plugins)
