"""A system outside that is told of events: a server on loopback that keeps what it was sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Received:
    """One request."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Answers with ``statuses`` in turn, the last one for ever.

    0 is no answer at all, and -1 the end of the connection.
    """

    port: int = 0
    statuses: list[int] = field(default_factory=lambda: [204])
    headers: str = ""
    received: list[Received] = field(default_factory=list)
    hits: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=1"

    @property
    def bodies(self) -> list[Any]:
        return [one.json for one in self.received]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hits += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = (line.split(": ", 1) for line in head[1:] if line)
            headers = {name.lower(): value for name, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.received.append(Received(head[0].split(" ")[1], headers, body))
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            if status > 0:
                answer = f"HTTP/1.1 {status} X\r\n{self.headers}content-length: 0\r\n\r\n"
                writer.write(answer.encode())
                await writer.drain()
            elif status == 0:
                await asyncio.sleep(60)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving(*statuses: int, headers: str = "") -> AsyncIterator[Receiver]:
    """A receiver that listens while the block runs."""
    receiver = Receiver(headers=headers)
    if statuses:
        receiver.statuses = list(statuses)
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
