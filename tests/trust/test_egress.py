"""Requests that plugins send reach nothing inside, and a slow stranger delays nobody else.

Promise: no internal hit over forty forms of addresses, redirects and rebinding; an endpoint that
hangs delays others by less than a second.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from guanxi_core.egress import EgressClient
from guanxi_sdk import Context, EgressFailed, EgressRefused, Plugin, mutation

PUBLIC = "93.184.216.34"


@dataclass
class Sink:
    """A server on loopback that counts who connects."""

    port: int = 0
    hits: int = 0
    answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    seen: list[bytes] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hits += 1
        try:
            self.seen.append(await reader.readuntil(b"\r\n\r\n"))
            if not self.answer:
                await asyncio.sleep(30)
            writer.write(self.answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(answer: bytes | None = None) -> AsyncIterator[Sink]:
    sink = Sink() if answer is None else Sink(answer=answer)
    server = await asyncio.start_server(sink.handle, "127.0.0.1", 0)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()


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


@pytest.mark.parametrize("host", FORMS)
async def test_inner_addresses_are_refused_however_they_are_written(host: str) -> None:
    async with listening() as sink:
        client = EgressClient(resolve=resolve)
        with pytest.raises((EgressRefused, EgressFailed)) as refused:
            await client.send("GET", f"http://{host}:{sink.port}/")
        assert sink.hits == 0
        assert "\n" not in str(refused.value)
        await client.close()


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "http://", "//example.com/", "ftp://example.com/", "file:///etc/passwd",
        "gopher://example.com/", "http://user:secret@example.com/", "http://exa mple.com/",
        "http://[::1/", "http://example.com:99999/", "javascript:alert(1)", "http://" + "a" * 3000,
    ],
)  # fmt: skip
async def test_what_is_no_address_is_refused_when_it_is_entered(url: str) -> None:
    with pytest.raises(EgressRefused) as refused:
        EgressClient().check(url)
    assert "secret" not in str(refused.value)


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    async with listening() as inner:
        to = f"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{inner.port}/\r\n\r\n".encode()
        async with listening(to) as outer:
            client = EgressClient(allowed=["127.0.0.1/32"])
            answer = await client.send("POST", f"http://127.0.0.1:{outer.port}/", content=b"{}")
    assert answer.status == 302
    assert (outer.hits, inner.hits) == (1, 0)


async def test_a_name_that_changes_its_mind_reaches_nothing_inside() -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])

    async def rebind(host: str, port: int) -> Sequence[str]:
        return next(answers)

    async with listening() as sink:
        client = EgressClient(resolve=rebind)
        for _ in range(2):
            with pytest.raises((EgressRefused, EgressFailed)):
                await client.send("GET", f"http://rebind.example.com:{sink.port}/", timeout=0.3)
    assert sink.hits == 0


async def test_what_an_operator_allows_is_reached_by_the_address_that_was_checked() -> None:
    asked: list[str] = []

    async def once(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with listening() as sink:
        client = EgressClient(allowed=["127.0.0.0/8"], resolve=once)
        answer = await client.send(
            "POST", f"http://hooks.example.com:{sink.port}/in?a=1", content=b"body",
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
    assert (answer.status, answer.body) == (200, b"ok")
    assert asked == ["hooks.example.com"]
    (request,) = sink.seen
    assert request.startswith(b"POST /in?a=1 HTTP/1.1\r\n")
    assert f"host: hooks.example.com:{sink.port}\r\n".encode() in request.lower()


async def test_an_endpoint_that_hangs_delays_nobody_else() -> None:
    async with listening(b"") as hung, listening() as quick:
        client = EgressClient(allowed=["127.0.0.1/32"])
        slow = [
            asyncio.create_task(client.send("GET", f"http://127.0.0.1:{hung.port}/", timeout=0.8))
            for _ in range(50)
        ]
        await asyncio.sleep(0.1)
        start = time.monotonic()
        assert (await client.send("GET", f"http://127.0.0.1:{quick.port}/")).status == 200
        assert time.monotonic() - start < 1
        ended = await asyncio.gather(*slow, return_exceptions=True)
        assert all(isinstance(end, EgressFailed) for end in ended)
        assert time.monotonic() - start < 4
        await client.close()


async def test_an_endless_answer_is_cut() -> None:
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n" + b"x" * 300_000
    async with listening(endless) as sink:
        client = EgressClient(allowed=["127.0.0.1/32"])
        answer = await client.send("GET", f"http://127.0.0.1:{sink.port}/")
    assert len(answer.body) == 65_536


class Caller(Plugin, name="caller"):
    """Asks what it is told to ask."""

    @mutation()
    async def call(self, ctx: Context, url: str) -> int:
        """The status of the answer, or 0 where asking is refused."""
        try:
            return (await ctx.egress.send("GET", url)).status
        except EgressRefused:
            return 0


async def test_plugins_reach_what_the_operator_allows_and_nothing_else(guanxi: Any) -> None:
    document = "mutation ($url: String!) { call(url: $url) { result errors { code } } }"
    async with listening() as sink:
        url = f"http://127.0.0.1:{sink.port}/"
        for allowed, status in (([], 0), (["127.0.0.0/8"], 200)):
            app = await guanxi(Caller(), egress_allow=allowed)
            answer = await app.graphql(document, url=url)
            assert answer == {"call": {"result": status, "errors": []}}
    assert sink.hits == 1
