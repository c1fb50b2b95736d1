"""The benchmarks compare like with like, and notice what became slower."""

import asyncio
import json
import re
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
from benchmarks.comparison import Result
from benchmarks.dataset import Dataset, analyze, load
from benchmarks.limit import Limit
from benchmarks.peers import PEERS, Peer
from benchmarks.plugin import Benchmark
from benchmarks.report import ratios, regressions, table
from benchmarks.serving import make_app
from benchmarks.workloads import WORKLOADS, Workload, comparable, flaw

import npm
from benchmarks import client
from guanxi_customers import Customers
from guanxi_relationships import Relationships
from guanxi_sdk.testing.app import App
from guanxi_sdk.testing.boot import Boot
from guanxi_tiers import Tiers

pytestmark = pytest.mark.xdist_group("workloads")  # one world

ROOT = Path(__file__).parents[2]
SOME = 440  # customers: more than a hundred of each tier
W1, W2, W3, W4, W5, W6 = WORKLOADS
ON_LIMIT = [workload for workload in WORKLOADS if workload.of == "limit"]


@dataclass
class Bench:
    app: App
    data: Dataset
    owner_url: str

    async def guanxi(self, workload: Workload, variables: dict[str, Any]) -> Any:
        answer = await self.app.execute(workload.document, variables)
        return comparable(msgspec.json.encode(answer))


@pytest.fixture
async def bench(guanxi: Boot) -> Bench:
    """Two tenants with data, as in the benchmarks; the first one is asked."""
    plugins = (Customers(), Tiers(), Relationships(), Benchmark())
    app, other = [await guanxi(*plugins) for _ in range(2)]
    connection: Any = await asyncpg.connect(guanxi.database.owner_url)
    try:
        data = await load(connection, app.tenant.id, SOME)
        await load(connection, other.tenant.id, SOME)
        await analyze(connection)  # so that the planner chooses as it does in the benchmarks
    finally:
        await connection.close()
    return Bench(app, data, guanxi.database.owner_url)


def asked(workload: Workload, data: Dataset) -> list[tuple[dict[str, Any], bytes]]:
    return list(zip(workload.variables(data), workload.bodies(data), strict=True))[:5]


async def test_the_limit_answers_as_guanxi_does(bench: Bench) -> None:
    limit = Limit(bench.owner_url, bench.app.tenant.id)
    await limit.open()
    try:
        for workload in ON_LIMIT:
            for variables, body in asked(workload, bench.data):
                answer = await limit.answer(workload.name, body)
                assert flaw(answer, len(answer)) is None
                assert comparable(answer) == await bench.guanxi(workload, variables)
    finally:
        await limit.close()


@asynccontextmanager
async def in_process(name: str, bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    app = make_app(name, bench.owner_url, bench.app.tenant.id)
    transport = httpx.ASGITransport(app)
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://x") as peer:
        yield peer


@asynccontextmanager
async def beside(name: str, bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    """A peer that is no Python: a process on a port of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.serving", name, str(port), bench.owner_url,
        str(bench.app.tenant.id), cwd=ROOT, stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said = asyncio.create_task(process.stdout.read())  # ends with the process
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as peer:
            while True:
                with suppress(httpx.ConnectError):
                    await peer.get("/")
                    break
                assert not said.done(), (await said).decode()
                await asyncio.sleep(0.1)
            yield peer
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await said
        owner: Any = await asyncpg.connect(bench.owner_url)  # which PostGraphile had changed
        await owner.execute("ALTER TABLE customers_activity ALTER id DROP DEFAULT")
        await owner.close()


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
async def test_a_peer_answers_as_guanxi_does(bench: Bench, peer: Peer) -> None:
    if reason := peer.missing():
        npm.missing(f"the answers of {peer.name}", f"it {reason}")
    serve = beside if peer.name == "postgraphile" else in_process
    async with serve(peer.name, bench) as client:
        for workload in ON_LIMIT:
            variables = workload.variables(bench.data)[0]
            body = workload.bodies(bench.data, peer.dialect)[0]
            answer = await client.post(
                "/graphql", content=body, headers={"content-type": "application/json"}
            )
            assert flaw(answer.content, len(answer.content)) is None
            ours = await bench.guanxi(workload, variables)
            assert comparable(answer.content, peer.dialect) == ours, workload.name


async def test_answers_are_as_large_as_the_workloads_say(bench: Bench) -> None:
    found = [await bench.guanxi(w, w.variables(bench.data)[0]) for w in (W2, W3)]
    customers, page = (answer["data"]["customers"] for answer in found)
    assert len(customers["edges"]) == 49  # 440 customers of 9 offices
    for edge in customers["edges"]:
        assert len(edge["node"]["persons"]["edges"]) == 10
        assert len(edge["node"]["activities"]["edges"]) == 10
    assert len(page["edges"]) == 100
    assert page["totalCount"] == 111
    assert page["pageInfo"]["hasNextPage"] is True


async def test_w5_is_w2_with_a_python_field(bench: Bench) -> None:
    variables = W5.variables(bench.data)[1]
    with_label = await bench.guanxi(W5, variables)
    for edge in with_label["data"]["customers"]["edges"]:
        customer = edge["node"]
        assert customer.pop("label") == f"{customer['code']} {customer['name']}"
    assert with_label == await bench.guanxi(W2, variables)


def test_neighbouring_requests_ask_for_different_rows() -> None:
    data = Dataset(UUID(int=1), offices=("a", "b"), customers=("c", "d"))  # type: ignore[arg-type]
    for workload in WORKLOADS:
        first, second, *_ = workload.bodies(data)
        assert first != second


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"data": None, "errors": [{"message": "no"}]}, "has errors"),
        ({"data": {"createActivity": {"errors": [{"message": "no"}]}}}, "has errors"),
        ({"data": None}, "has errors"),
        ({"data": {"customer": None}}, "bytes instead of"),
    ],
)
def test_a_failing_server_is_not_fast(answer: dict[str, Any], reason: str) -> None:
    assert reason in (flaw(msgspec.json.encode(answer), 200) or "")


def test_what_is_no_json_is_a_flaw() -> None:
    assert "not JSON" in (flaw(b"Internal Server Error", 21) or "")


def test_a_regression_is_named() -> None:
    baseline = {"W1": 0.60, "W2": 0.80, "W3": 0.70, "W4": 0.50}
    lines = regressions(baseline, {"W1": 0.52, "W2": 0.67, "W3": 0.90})
    assert len(lines) == 1
    assert "W2" in lines[0]
    assert "0.80 to 0.67" in lines[0]
    (line,) = regressions({"W1": 0.50}, {"W1": 0.49})
    assert "0.49 is below 0.50" in line


def test_ratios_are_taken_within_each_round() -> None:
    """A machine that slows down in one round slows all servers: that must not change the ratio."""
    result = Result(W1, {"limit": [1000.0, 500.0, 900.0], "guanxi": [600.0, 300.0, 540.0]})
    assert ratios([result]) == {"W1": 0.6}


def test_a_peer_is_set_against_the_rounds_that_it_ran() -> None:
    rates = {"limit": [900.0, 90.0, 90.0], "guanxi": [500.0, 50.0, 50.0], "slow": [4.0]}
    rows, shares = table([Result(W1, rates)]).split("\n\n")
    assert rows.splitlines()[1].split()[:4] == ["W1", "90", "50", "4.0"]
    assert shares.split()[-1] == "125×"


def test_w5_is_compared_with_w2() -> None:
    result = Result(W5, {"W2": [300.0], "guanxi": [240.0]})
    others = Result(W2, {"limit": [400.0], "guanxi": [300.0], "slow_stack": [15.0]})
    assert ratios([result]) == {"W5": 0.8}
    rates, shares = (part.splitlines() for part in table([others, result]).split("\n\n"))
    assert [line.split()[:4] for line in rates] == [
        ["requests/s", "limit", "guanxi", "slow_stack"],
        ["W2", "400", "300", "15"],
        ["W5", "-", "240", "-"],
    ]
    assert [line.split() for line in shares] == [
        ["guanxi", "ratio", "of", "goal", "times", "slow_stack"],
        ["W2", "0.75", "limit", "0.90", "20×"],
        ["W5", "0.80", "W2", "0.60", "-"],
    ]


def test_the_table_stays_aligned_with_many_peers() -> None:
    names = ("limit", "guanxi", *(peer.name for peer in PEERS))
    rates = {name: [9000.0 / 7**n] for n, name in enumerate(names)}
    for part in table([Result(W1, rates), Result(W4, rates)]).split("\n\n"):
        head, *lines = part.splitlines()
        ends = [match.end() for match in re.finditer(r"\S+(?: \S+)*", head)][1:]
        assert len(ends) >= len(names) - 1
        for line in lines:
            numbers = [match.end() for match in re.finditer(r"\S+", line)][1 : len(ends) + 1]
            assert numbers == ends
    assert "1.0×" not in part
    assert " 7.0×" in part


async def test_the_client_of_our_own_counts_what_it_gets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            assert b"x-token: secret" in head
            seen.append(await reader.readexactly(int(head.partition(b"Content-Length: ")[2])))
            status = b"500 No" if seen[-1] == b"bad" else b"200 OK"
            writer.write(b"HTTP/1.1 %b\r\nContent-Length: 7\r\n\r\n1234" % status)
            await writer.drain()
            writer.write(b"567")  # an answer may come in pieces

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/graphql"
        await client.main(url, 2, 0.2, [b"one", b"bad"], ["x-token", "secret"])
    found = json.loads(capsys.readouterr().out)
    assert found["requests"] == len(seen) > 2
    assert found["failures"] == seen.count(b"bad") > 0
    assert found["bytes"] == len(seen) * len(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n1234567")
