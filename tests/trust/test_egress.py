"""Row 6: "SSRF: 0 internal hits over 40 address forms, redirects, rebinding; a hung endpoint delays
others < 1 s", by the client that all plugins use.
"""

import asyncio
import datetime as dt
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from figures import Figure
from guanxi_core import lookups
from guanxi_core.egress import EgressClient
from guanxi_sdk import Context, EgressFailed, EgressRefused, Plugin, mutation
from hanging_names import HangingNames, hanging_names
from inner_addresses import FORMS, PUBLIC, Lines, watched

__all__ = ["hanging_names"]

HITS = "0 internal hits over 40 address forms"


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


@pytest.mark.parametrize("host", FORMS)
async def test_inner_addresses_are_refused_however_they_are_written(
    host: str, figure: Figure
) -> None:
    lines = Lines()
    client = watched(lines)
    with pytest.raises((EgressRefused, EgressFailed)) as refused:
        await client.send("GET", f"http://{host}:8000/")
    assert lines.asked == []
    if isinstance(refused.value, EgressFailed):  # some systems know fewer spellings
        assert lines.found == {}
        assert "has no address" in str(refused.value)
    assert "\n" not in str(refused.value)
    await client.close()
    figure(6, HITS, "an address form, 0 hits")


async def test_an_outer_address_is_connected_to() -> None:
    """Or nothing above would show anything."""
    lines = Lines()
    client = watched(lines, resolve=lambda host, port: asyncio.sleep(0, [PUBLIC]))
    with pytest.raises(EgressFailed, match="does not accept connections"):
        await client.send("GET", "http://example.com/")
    assert lines.asked == [PUBLIC]
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


async def test_a_redirect_is_an_answer_and_not_followed(figure: Figure) -> None:
    async with listening() as inner:
        to = f"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{inner.port}/\r\n\r\n".encode()
        async with listening(to) as outer:
            client = EgressClient(allowed=["127.0.0.1/32"])
            answer = await client.send("POST", f"http://127.0.0.1:{outer.port}/", content=b"{}")
    assert answer.status == 302
    assert (outer.hits, inner.hits) == (1, 0)
    figure(6, HITS, "a redirect inside, 0 hits")


async def test_a_name_that_changes_its_mind_reaches_nothing_inside(figure: Figure) -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])

    async def rebind(host: str, port: int) -> Sequence[str]:
        return next(answers)

    lines = Lines()
    client = watched(lines, resolve=rebind)
    for error in (EgressFailed, EgressRefused):
        with pytest.raises(error):
            await client.send("GET", "http://rebind.example.com/")
    assert lines.asked == [PUBLIC]
    await client.close()
    figure(6, HITS, "a name that is pointed inside, 0 hits")


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


@pytest.mark.alone
async def test_an_endpoint_that_hangs_delays_nobody_else(figure: Figure) -> None:
    async with listening(b"") as hung, listening() as quick:
        client = EgressClient(allowed=["127.0.0.1/32"])
        slow = [
            asyncio.create_task(client.send("GET", f"http://127.0.0.1:{hung.port}/", timeout=0.8))
            for _ in range(50)
        ]
        await asyncio.sleep(0.1)
        start = time.monotonic()
        assert (await client.send("GET", f"http://127.0.0.1:{quick.port}/")).status == 200
        delay = time.monotonic() - start
        assert delay < 1
        figure(6, "a hung endpoint delays others < 1 s", f"50 hang, {delay * 1000:.0f} ms")
        ended = await asyncio.gather(*slow, return_exceptions=True)
        assert all(isinstance(end, EgressFailed) for end in ended)
        assert time.monotonic() - start < 4
        await client.close()


def certified(host: str, folder: Path) -> Path:
    """A certificate of ``host`` by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    place = folder / "certificate.pem"
    pem = serialization.Encoding.PEM
    place.write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ) + made.public_bytes(pem)
    )  # fmt: skip
    return place


async def test_tls_that_breaks_after_the_handshake_is_a_failure(tmp_path: Path) -> None:
    certificate = certified("broken.example", tmp_path)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = ssl.MemoryBIO(), ssl.MemoryBIO()
        session, greeted = server_side.wrap_bio(inner, outer, server_side=True), False
        while not greeted:
            try:
                session.do_handshake()
                greeted = True
            except ssl.SSLWantReadError:
                writer.write(outer.read())
                inner.write(await reader.read(65_536))
        writer.write(outer.read())
        await reader.read(65_536)
        writer.write(b"\x17\x03\x03\x00\x20" + b"x" * 32)  # a record that cannot be decrypted
        await writer.drain()
        await reader.read(65_536)
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = EgressClient(["127.0.0.1/32"], lambda host, port: asyncio.sleep(0, ["127.0.0.1"]))
    client._pool._ssl_context = ssl.create_default_context(cafile=certificate)
    with pytest.raises(EgressFailed, match="the connection broke off") as failed:
        await client.send("POST", f"https://broken.example:{port}/", timeout=5)
    assert isinstance(failed.value.__cause__, ssl.SSLError)
    server.close()
    await client.close()


@pytest.mark.alone
async def test_names_whose_servers_hang_delay_nobody_else(
    hanging_names: HangingNames, figure: Figure
) -> None:
    """Nor do threads grow with the names, and who asks for more is told soon."""
    async with listening() as quick:
        client = EgressClient(allowed=["127.0.0.1/32"])
        bad, good = client.of("bad"), client.of("good")
        names = 40
        slow = [
            asyncio.create_task(bad.send("GET", f"http://n{n}.hung.example/", timeout=20))
            for n in range(names)
        ]
        await asyncio.sleep(0.1)
        start = time.monotonic()
        answer = await good.send("GET", f"http://quick.example:{quick.port}/")
        await asyncio.to_thread(lambda: None)  # threads of the process are free as well
        delay = time.monotonic() - start
        assert (answer.status, delay < 1) == (200, True)
        figure(
            6, "a hung endpoint delays others < 1 s",
            f"{names} names hang, {delay * 1000:.0f} ms",
        )  # fmt: skip
        done, waiting = await asyncio.wait(slow, timeout=1.5)
        assert len(done) == names - lookups.SHARE
        for one in done:
            with pytest.raises(EgressFailed, match="too many other names"):
                one.result()
        assert len(hanging_names.asked) == lookups.SHARE
        hanging_names.gate.set()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert all("has no address" in str(end) for end in ended)
        answer = await bad.send("GET", f"http://quick.example:{quick.port}/")
        assert answer.status == 200
        await client.close()


async def test_other_hosts_of_whoever_asked_for_a_hung_name_are_reached(
    hanging_names: HangingNames,
) -> None:
    async with listening() as quick:
        client = EgressClient(allowed=["127.0.0.1/32"]).of("tenant")
        slow = [
            asyncio.create_task(client.send("GET", "http://n.hung.example/", timeout=0.4))
            for _ in range(100)
        ]
        await asyncio.sleep(0.05)
        answer = await client.send("GET", f"http://quick.example:{quick.port}/", timeout=1)
        assert answer.status == 200
        assert hanging_names.asked == ["n.hung.example"]  # one name, one thread
        ended = await asyncio.gather(*slow, return_exceptions=True)
        assert all(isinstance(end, EgressFailed) for end in ended)


async def test_a_name_that_hangs_is_not_waited_for_again(
    hanging_names: HangingNames, monkeypatch: Any
) -> None:
    monkeypatch.setattr(lookups, "PATIENCE", 0.1)
    client = EgressClient()
    url = "http://n.hung.example/"
    with pytest.raises(EgressFailed, match=r"longer than 0\.2 seconds"):
        await client.send("GET", url, timeout=0.2)
    with pytest.raises(EgressFailed, match=r"name servers of n\.hung\.example give"):
        await client.send("GET", url)  # while it hangs
    hanging_names.gate.set()
    await asyncio.sleep(0.1)
    with pytest.raises(EgressFailed, match=r"name servers of n\.hung\.example give"):
        await client.send("GET", url)  # for a while after
    assert hanging_names.asked == ["n.hung.example"]
    client._lookups._hung["n.hung.example"] = 0.0  # it is over
    with pytest.raises(EgressFailed, match="has no address"):
        await client.send("GET", url)
    assert len(hanging_names.asked) == 2


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
            async with app.platform.pool.connection(app.tenant.id) as connection:
                entries = await connection.fetch(
                    "SELECT actor, changes FROM guanxi_audit WHERE action = 'caller.call'"
                )
            assert [(row["actor"][:6], row["changes"]) for row in entries] == [("token ", "{}")]
    assert sink.hits == 1
