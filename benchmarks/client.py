"""A load generator for machines without wrk: ``python -m benchmarks.client``.

Each connection sends its next request as soon as it has the whole answer to the last one.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop


class Count:
    """What all connections have seen together."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.requests = self.bytes = self.failures = 0
        self.ended = time.perf_counter()


class Client(asyncio.Protocol):
    """One connection; it knows as much of HTTP/1.1 as the servers here speak."""

    def __init__(self, requests: "cycle[bytes]", count: Count) -> None:
        self._requests = requests
        self._count = count
        self._missing = 0  # bytes of the present body
        self._head = b""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's derives from nothing
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._count.bytes += len(data)
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            head, separator, rest = self._head.partition(b"\r\n\r\n")
            if not separator:
                return
            self._head = b""
            if not head.startswith(b"HTTP/1.1 200"):
                self._count.failures += 1
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._missing = int(length) - len(rest)
        if not self._missing:
            self._count.requests += 1
            self._count.ended = time.perf_counter()
            if self._count.ended < self._count.deadline:
                self._transport.write(next(self._requests))
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc or time.perf_counter() < self._count.deadline:
            self._count.failures += 1
        self.closed.set_result(None)


async def main(
    url: str, connections: int, seconds: float, bodies: Sequence[bytes], headers: Sequence[str]
) -> None:
    """Load one server and print what came of it as JSON."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    lines = "".join(
        f"{name}: {value}\r\n" for name, value in zip(headers[::2], headers[1::2], strict=True)
    )
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{lines}"
    requests = cycle(
        [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
    )
    began = time.perf_counter()
    count = Count(began + seconds)
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Client(requests, count), host, port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(client.closed for _, client in opened))
    result = {
        "requests": count.requests,
        "seconds": count.ended - began,
        "bytes": count.bytes,
        "failures": count.failures,
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    _, address, clients, duration, file, *more = sys.argv
    lines = Path(file).read_bytes().splitlines()
    uvloop.run(main(address, int(clients), float(duration), lines, more))
