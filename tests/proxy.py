"""A TCP proxy before a test's database, which can fall silent, or be gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import asyncpg


class Proxy:
    """Passes bytes on while :attr:`flowing` is set; :meth:`vanish` drops everything."""

    def __init__(self, upstream: Any) -> None:
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.port = 0
        self._upstream = upstream
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    def url(self, original: str, password: str = "anything") -> str:
        """``original`` by way of the proxy; the databases of tests look at no password."""
        parts = urlsplit(original)
        user = parts.netloc.rpartition("@")[0].partition(":")[0]
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}{parts.path}"

    async def appear(self) -> None:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def vanish(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self._upstream, str):
            there = await asyncio.open_unix_connection(self._upstream)
        else:
            there = await asyncio.open_connection(*self._upstream)
        self._writers |= {writer, there[1]}
        pumps = (self._pump(reader, there[1]), self._pump(there[0], writer))
        await asyncio.gather(*pumps)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while data := await reader.read(65536):
                await self.flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
        self._writers.discard(writer)


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    connection = await asyncpg.connect(url)
    upstream = connection._addr
    await connection.close()
    proxy = Proxy(upstream)
    await proxy.appear()
    try:
        yield proxy
    finally:
        proxy.flowing.set()
        await proxy.vanish()
