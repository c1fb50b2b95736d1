"""Row 11: "malformed input: bad UTF-8, NUL, lone surrogates, NaN, 1e999, 100,000-deep JSON, 10 MB,
bad cursors and ids, negative first: 0 server errors, 0 internals shown, in 10,000 cases".
"""

import asyncio
import json
import random
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from with_every_kind import Lab

from custom_fields import give
from figures import LONG, Figure
from guanxi_core.breakers import Breakers
from guanxi_core.custom.definitions import takes_fields
from guanxi_core.discovery import discover
from guanxi_core.editions import compose
from guanxi_customers import Customers
from guanxi_graphql.asgi import Answer
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_graphql.schema import schema_of
from guanxi_tiers import Tiers
from homes import Home
from hostile import Got, Maker
from served import Served
from serving import serving
from subscribing import opened

#: For each of two editions.
CASES = 5000 if LONG else 150
SOCKETS = 1000 if LONG else 80
#: The codes with which a socket is closed because of what was sent.
CLOSED = {1002, 1007, 1009, 4400, 4401, 4403, 4409, 4429}
KINDS = ("TEXT", "INT", "FLOAT", "BOOL", "DATE", "DATETIME", "CHOICE")
PROMISE = "in 10,000 cases 0 server errors, 0 internals shown"

#: What only somebody inside would know. None of it is in a hostile text.
INTERNALS = re.compile(
    r"Traceback|File \"|\.py\b|site-packages|/work|/home/|/tmp|/usr|object at 0x|NoneType|<class|"
    r"asyncpg|sqlalchemy|msgspec|graphene|graphql-core|postgres|pg_|guanxi_|customers_|tiers_|lab_|"
    r"\b(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|WHERE|FROM)\b|\$1|Did you mean|"
    r"\b(?!UserError\b)[A-Z]\w+(Error|Exception)\b"
)
CODES = {
    "INVALID", "NOT_FOUND", "FORBIDDEN", "CONFLICT", "ALREADY_EXISTS", "IN_USE", "BAD_REQUEST",
    "LIMIT_EXCEEDED", "GRAPHQL_VALIDATION_FAILED", "PAYLOAD_TOO_LARGE", "URI_TOO_LONG",
    "METHOD_NOT_ALLOWED", "OPERATION_RESOLUTION_FAILURE", "NOT_ACCEPTABLE", "UNAUTHENTICATED",
    "UNSUPPORTED_MEDIA_TYPE", "PERSISTED_QUERY_NOT_FOUND",
    "PLUGIN_FAILED",  # the laboratory has functions that do
}  # fmt: skip


@dataclass
class Target:
    """One edition behind HTTP, and what it answered."""

    app: Any
    endpoint: GraphQLEndpoint
    token: str
    ids: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    async def settle(self) -> None:
        """Rows to refer to."""
        choose = random.Random(11)
        for _ in range(60):
            made = Maker(schema_of(self.edition).graphql, self.ids, choose, hostile=False)
            got = await made.request(self.token, "mutation").to(self.endpoint)
            found = re.findall(r"\b[a-z]+_[0-9a-f]{8}-[0-9a-f-]{27}", got.body.decode())
            self.ids = sorted({*self.ids, *found})[:40]

    @property
    def edition(self) -> Any:
        access = self.app.platform.cached(self.token)
        return access.installation.edition


def check(got: Got) -> str:
    """The answer tells what was wrong, and nothing else; returns how it was answered."""
    assert got.status < 500, got
    if got.headers[b"content-type"].startswith(b"text/html"):
        return "page"
    answer = json.loads(got.body.decode())
    errors = answer.get("errors", [])
    assert errors or "data" in answer
    wrong = [e for e in errors if e["extensions"]["code"] not in CODES]
    assert wrong == []
    told = json.dumps(errors) + json.dumps(_payload_errors(answer.get("data")))
    assert INTERNALS.search(told) is None, told
    return "done" if "data" in answer else errors[0]["extensions"]["code"]


def _payload_errors(data: Any) -> list[Any]:
    if isinstance(data, dict):
        found = [data["errors"]] if "errors" in data else []
        return found + [e for value in data.values() for e in _payload_errors(value)]
    return [e for value in data for e in _payload_errors(value)] if isinstance(data, list) else []


@pytest.fixture(params=["lab", "customers and tiers"])
async def target(guanxi: Any, request: pytest.FixtureRequest) -> Target:
    plugins = [Lab()] if request.param == "lab" else [Customers(), Tiers()]
    app = await guanxi(*plugins)
    endpoint = GraphQLEndpoint(Answer(200, ((b"content-type", b"text/html"),), b"page"))
    endpoint.open(app.platform, Engine(app.platform))
    edition = (await app.platform.installation(app.tenant)).edition
    taking = [name for name, model in edition.models.items() if takes_fields(model.info)]
    for model in taking[:2]:
        await give(app, model, **{f"own{kind.capitalize()}": kind for kind in KINDS})
    made = Target(app, endpoint, await app.token())
    await app.platform.authenticate(made.token)
    await made.settle()
    return made


@pytest.mark.timeout(3600 if LONG else 120)
async def test_whatever_is_sent_is_answered_plainly(target: Target, figure: Figure) -> None:
    for seed in range(CASES):
        target.app.platform.breakers = Breakers()
        maker = Maker(schema_of(target.edition).graphql, target.ids, random.Random(seed))
        got = await maker.request(target.token).to(target.endpoint)
        try:
            target.seen[check(got)] += 1
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise
    figure(11, PROMISE, f"{CASES} requests, {len(target.seen)} kinds of answers, none of them 5xx")


async def follow(served: Served, frames: list[bytes]) -> str:
    """How the server takes them; it answers the second, or closes with a code of its own."""
    told: Any = None
    async with opened(served.url) as client:
        with suppress(ConnectionClosed):
            for frame in frames:
                await client.socket.send(frame, text=True)
            async with asyncio.timeout(30):
                while "id" not in (told := json.loads(await client.socket.recv())):
                    assert told["type"] in ("connection_ack", "pong", "ping"), told
        if told is None or "id" not in told:
            code, reason = await client.closed()
            spelt = all(frame == frame.decode(errors="ignore").encode() for frame in frames)
            assert code in CLOSED or (code == 1005 and not spelt), (code, reason)
            assert INTERNALS.search(reason) is None, reason
            return f"closed with {code}"
    payload = told.get("payload")
    errors = payload if isinstance(payload, list) else (payload or {}).get("errors", [])
    assert [e for e in errors if e["extensions"]["code"] not in CODES] == [], errors
    assert INTERNALS.search(json.dumps(errors)) is None, errors
    return str(told["type"])


@pytest.mark.xdist_group("subscriptions")
@pytest.mark.timeout(1800 if LONG else 120)
async def test_whatever_is_sent_over_a_websocket_is_answered_plainly(
    served: Served, figure: Figure
) -> None:
    """Subscriptions with positions among them."""
    schema = schema_of(compose([*map(discover().get, ("customers", "tiers"))])).graphql
    customer = await served.create()
    seen: Counter[str] = Counter()
    logged = len(served.running.log.read_text())  # by others that share the server
    for seed in range(SOCKETS):
        frames = Maker(schema, [customer["id"]], random.Random(seed)).frames(served.token)
        try:
            seen[await follow(served, frames)] += 1
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise
    assert seen["next"]
    assert "Traceback" not in served.running.log.read_text()[logged:]
    figure(11, PROMISE, f"{SOCKETS} sockets, {len(seen)} kinds of answers, none of them a failure")


#: Ways to break the frame of a request; what follows is cut off by closing.
FRAMES = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200, b"\0" * 100, b"\r\n" * 50,
    b"GET", b"GET /graphql HTTP/9.9\r\n\r\n", b"G\0T /graphql HTTP/1.1\r\nhost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"POST /graphql HTTP/1.1\r\n" + b"a" * 100_000,
    *(
        b"POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer TOKEN\r\n"
        b"content-type: application/json\r\n" + headers + b"\r\n" + body
        for headers, body in [
            (b"content-length: -1\r\n", b"{}"), (b"content-length: x\r\n", b"{}"),
            (b"content-length: 5\r\n", b"{}"), (b"content-length: 99999999999\r\n", b"{}"),
            (b"content-length: 2\r\ncontent-length: 3\r\n", b"{}."), (b"", b"{}"),
            (b"content-length: 2\r\ntransfer-encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
            (b"transfer-encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n"),
            (b"transfer-encoding: chunked\r\n", b"ffffffffffffffff\r\n{}"),
            (b"transfer-encoding: chunked\r\n", b"2\r\n{}"),
            (b"transfer-encoding: gzip\r\n", b"{}"),
            (b"content-encoding: gzip\r\ncontent-length: 2\r\n", b"{}"),
            (b"expect: 200-ok\r\ncontent-length: 2\r\n", b"{}"),
            (b"x\xff\0y: 1\r\ncontent-length: 2\r\n", b"{}"), (b" folded: 1\r\n", b""),
            (b"x: " + b"y" * 100_000 + b"\r\ncontent-length: 2\r\n", b"{}"),
            (b"".join(b"x%d: y\r\n" % n for n in range(3000)) + b"content-length: 2\r\n", b"{}"),
            (b"content-length: 10485760\r\n", b" " * 10_485_760),
        ]
    ),
]  # fmt: skip


async def exchange(port: int, request: bytes) -> bytes:
    """What comes back until the server closes, or says nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = b""
    try:
        writer.write(request)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(5 if LONG else 1.5):
                await writer.drain()
                if not request.endswith(b"\n"):
                    writer.write_eof()
                while chunk := await reader.read(65536):
                    found += chunk
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return found


@pytest.mark.xdist_group("home")
async def test_broken_frames_are_answered_plainly_or_not_at_all(home: Home, figure: Figure) -> None:
    with serving(home.path, home.token, PYTHONPATH=home.plugins) as running:
        port = int(running.url.rpartition(":")[2])
        frames = [frame.replace(b"TOKEN", home.token.encode()) for frame in FRAMES]
        answers = await asyncio.gather(*(exchange(port, frame) for frame in frames))
        for frame, answer in zip(frames, answers, strict=True):
            assert INTERNALS.search(answer.decode("latin-1")) is None, (frame[:300], answer)
            for status in re.findall(rb"^HTTP/1.[01] (\d+)", answer, re.MULTILINE):
                assert int(status) < 500, (frame[:300], answer)
        assert (await asyncio.to_thread(running.ask)).status_code == 200
        assert "Traceback" not in running.log.read_text()
    figure(11, PROMISE, f"{len(FRAMES)} broken frames over a socket, the server goes on")
