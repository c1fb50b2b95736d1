"""Clients of subscriptions through real sockets: WebSocket and server-sent events."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PROTOCOL: Any = "graphql-transport-ws"
CHANGES = """subscription ($after: String, $where: CustomerWhere) {
  customerChanged(after: $after, where: $where) { action customer { id name } position }
}"""


class Following:
    """One operation of a socket: its messages in order."""

    def __init__(self, client: "Client", identity: str) -> None:
        self.client = client
        self.id = identity
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def message(self, seconds: float = 10) -> dict[str, Any]:
        """The next message of any type."""
        async with asyncio.timeout(seconds):
            return await self.queue.get()

    async def next(self, seconds: float = 10) -> Any:
        """The only field of the next answer."""
        message = await self.message(seconds)
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        (told,) = message["payload"]["data"].values()
        return told

    async def errors(self) -> list[str]:
        """The codes with which it was ended."""
        message = await self.message()
        assert message["type"] == "error", message
        return [error["extensions"]["code"] for error in message["payload"]]

    async def nothing(self, seconds: float = 0.4) -> None:
        """There is nothing to hear."""
        try:
            heard = await self.message(seconds)
        except TimeoutError:
            return
        raise AssertionError(heard)


class Client:
    """A socket of one token."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.following: dict[str, Following] = {}
        self._ids = map(str, itertools.count(1))
        self._reader: asyncio.Task[None] | None = None

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            found: dict[str, Any] = json.loads(await self.socket.recv())
            return found

    async def init(self, token: str | None, **more: str) -> None:
        payload = {} if token is None else {"Authorization": f"Bearer {token}"}
        await self.send(type="connection_init", payload={**payload, **more})
        assert await self.receive() == {"type": "connection_ack"}
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        try:
            async for text in self.socket:
                message = json.loads(text)
                if message["type"] == "ping":
                    await self.send(type="pong")
                elif message["id"] in self.following:
                    self.following[message["id"]].queue.put_nowait(message)
        except ConnectionClosed:
            return

    async def subscribe(self, query: str, variables: Any = None) -> Following:
        """Without waiting for anything."""
        identity = next(self._ids)
        self.following[identity] = found = Following(self, identity)
        payload = {"query": query, "variables": variables or {}}
        await self.send(type="subscribe", id=identity, payload=payload)
        return found

    async def follow(self, query: str, variables: Any = None) -> tuple[Following, str]:
        """Until it has begun: with the position where it did."""
        found = await self.subscribe(query, variables)
        told = await found.next()
        assert told.get("action") is None
        return found, told["position"]

    async def closed(self, seconds: float = 10) -> tuple[int, str]:
        """The code and the reason with which the server closes."""
        async with asyncio.timeout(seconds):
            await self.socket.wait_closed()
        assert self.socket.close_code is not None
        return self.socket.close_code, self.socket.close_reason or ""

    async def stop(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
        await self.socket.close()


@asynccontextmanager
async def opened(url: str, *, protocol: Any = PROTOCOL, **more: Any) -> AsyncIterator[Client]:
    """A socket on which nothing was said."""
    where = url.replace("http", "ws", 1) + "/graphql"
    subprotocols = None if protocol is None else [protocol]
    async with connect(where, subprotocols=subprotocols, max_size=None, **more) as socket:
        client = Client(socket)
        try:
            yield client
        finally:
            await client.stop()


@asynccontextmanager
async def connected(url: str, token: str, **more: str) -> AsyncIterator[Client]:
    """A socket that is admitted."""
    async with opened(url) as client:
        await client.init(token, **more)
        yield client


class Events:
    """A stream of server-sent events."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> tuple[str, Any]:
        """The next event's name and data; an empty name at the end of the stream."""
        name, data = "", ""
        async with asyncio.timeout(10):
            async for line in self._lines:
                kind, _, value = line.partition(":")
                if kind == "event":
                    name = value.strip()
                elif kind == "data":
                    data = value.strip()
                elif not line and name:
                    return name, json.loads(data) if data else None
        return "", None


@asynccontextmanager
async def streaming(
    url: str, token: str, query: str, variables: Any = None
) -> AsyncIterator[Events]:
    headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
    body = {"query": query, "variables": variables or {}}
    async with (
        httpx.AsyncClient(timeout=30, verify=False) as client,
        client.stream("POST", f"{url}/graphql", json=body, headers=headers) as response,
    ):
        yield Events(response)
