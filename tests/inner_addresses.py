"""Addresses inside, in every spelling, a resolver for them, and who notes what is connected to."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpcore

from guanxi_core.egress import EgressClient

PUBLIC = "93.184.216.34"

#: Ways to write 127.0.0.1, other inner addresses, and names that lead to them.
FORMS = [
    "127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1",
    "0177.0.0.1", "0177.0.0.01", "017700000001", "127.0.0.1.", "0.0.0.0", "0", "localhost",
    "LOCALHOST", "localhost.", "a.localhost", "printer.local", "metadata.google.internal",
    "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "198.18.0.1",
    "192.0.2.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "[::1]", "[::]", "[::127.0.0.1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::1]",
    "[2002:7f00:1::]", "[2001:0:4136:e378::1]", "[fe80::1]", "[fe80::1%25lo]", "[fc00::1]",
    "[fd00:ec2::254]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]", "①②⑦.⓪.⓪.①", "127。0。0。1",
    "inner.example.com",
]  # fmt: skip


async def resolve(host: str, port: int) -> Sequence[str]:
    """The system's resolver for numbers; one name that somebody points inside."""
    if host == "inner.example.com":
        return [PUBLIC, "127.0.0.1"]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, proto=6)
    return [place[0] for *_, place in found]


class Lines(httpcore.AsyncMockBackend):
    """In place of the network: notes each address that a connection is asked for, and makes none.

    ``found`` are the addresses that names stood for, by name.
    """

    def __init__(self) -> None:
        super().__init__([])
        self.asked: list[str] = []
        self.found: dict[str, Sequence[str]] = {}

    async def connect_tcp(self, host: str, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        self.asked.append(host)
        raise httpcore.ConnectError

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """As the function of this name, and noted."""
        self.found[host] = await resolve(host, port)
        return self.found[host]


def watched(lines: Lines, **given: Any) -> EgressClient:
    """A client whose every attempt to connect is noted."""
    client = EgressClient(**{"resolve": lines.resolve, **given})
    client._pool._network_backend._inner = lines  # type: ignore[attr-defined]
    return client
