"""Requests that take too long, or whose client has gone, end in the database, too."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from with_slowness import Quarry, Stone

from figures import LONG
from guanxi_core.telemetry import metrics
from guanxi_graphql.deadlines import LOOK
from listening import asking, booted
from subscribing import connected

RESPONSE = "application/graphql-response+json"
FOREVER = 20.0
FIELD = "query ($s: Float!) { stones { edges { node { age(seconds: $s) } } } }"
PLUGIN = "query ($s: Float!) { dig(seconds: $s) }"
BESIDE = "query ($s: Float!) { ponder(seconds: $s) }"
CARVE = 'mutation ($s: Float!) { carve(title: "late", seconds: $s) { stone { id } } }'
TIMEOUTS = (
    "guanxi_request_seconds_count",
    {"operation": "query", "outcome": metrics.outcome_of("TIMEOUT")},
)
SLEEPING = """SELECT count(*) FROM pg_stat_activity
    WHERE query LIKE '%pg_sleep%' AND state = 'active' AND pid <> pg_backend_pid()"""


@dataclass
class Served:
    """One tenant behind a real server."""

    app: Any
    client: httpx.AsyncClient

    async def ask(self, query: str, seconds: float = FOREVER, **headers: str) -> httpx.Response:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {"query": query, "variables": {"s": seconds}}
        return await self.client.post("/graphql", headers=headers, json=given)

    async def sleeping(self) -> int:
        async with self.app.platform.pool.connection(None) as connection:
            found: int = await connection.fetchval(SLEEPING)
            return found

    async def until(self, sleeping: int, seconds: float = 5) -> None:
        async with asyncio.timeout(seconds):
            while await self.sleeping() != sleeping:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def serves(self) -> None:
        """As if nothing had been: each connection of the pools serves again."""
        answers = await asyncio.gather(*(self.ask(query, 0.01) for query in (FIELD, PLUGIN) * 8))
        assert all("errors" not in answer.json() for answer in answers)

    async def titles(self) -> list[str]:
        return [stone.title for stone in await self.app.all(Stone)]


@asynccontextmanager
async def served(database: Any, deadline: float) -> AsyncIterator[Served]:
    async with booted(database, Quarry()) as app:
        await app.add(Stone(title="first"))
        for query in (FIELD, PLUGIN, BESIDE):  # plans are made
            await app.graphql(query, s=0)
        async with asking(app, deadline=deadline) as client:
            made = Served(app, client)
            await made.serves()
            yield made


@pytest.fixture(scope="module")
async def hasty(guanxi_database: Any) -> AsyncIterator[Served]:
    async with served(guanxi_database, 0.8) as made:
        yield made


@pytest.fixture(scope="module")
async def patient(guanxi_database: Any) -> AsyncIterator[Served]:
    async with served(guanxi_database, 0) as made:
        yield made


async def test_what_takes_too_long_is_ended(hasty: Served) -> None:
    began = time.monotonic()
    asked = [(q, a) for q in (FIELD, PLUGIN, BESIDE, CARVE) for a in ("application/json", RESPONSE)]
    given = {"query": FIELD, "variables": json.dumps({"s": FOREVER})}
    asking = asyncio.gather(
        *(hasty.ask(query, accept=accept) for query, accept in asked),
        hasty.client.get("/graphql", params=given),
    )
    await hasty.until(7)
    answers = await asking
    assert 0.8 < time.monotonic() - began < FOREVER / 2
    for (query, accept), answer in zip([*asked, (FIELD, "application/json")], answers, strict=True):
        assert answer.status_code == (200 if accept == "application/json" else 400)
        assert answer.headers["cache-control"] == "no-store"
        [error] = answer.json()["errors"]
        assert error["extensions"] == {"code": "TIMEOUT"}
        assert ("Idempotency-Key" in error["message"]) == (query is CARVE)
    await hasty.until(0, 1)
    await hasty.serves()
    assert "late" not in await hasty.titles()


async def test_over_a_socket_it_is_the_same(hasty: Served) -> None:
    token = hasty.client.headers["authorization"].removeprefix("Bearer ")
    url = str(hasty.client.base_url).rstrip("/")
    metrics.REQUESTS.flush()
    before = metrics.REGISTRY.get_sample_value(*TIMEOUTS) or 0
    async with connected(url, token) as socket:
        for query in (FIELD, CARVE):
            asked = await socket.subscribe(query, {"s": FOREVER})
            assert await asked.errors() == ["TIMEOUT"]
        quick = await socket.subscribe(FIELD, {"s": 0})
        assert (await quick.next())["edges"]
    metrics.REQUESTS.flush()
    assert metrics.REGISTRY.get_sample_value(*TIMEOUTS) == before + 1
    await hasty.until(0, 1)
    assert "late" not in await hasty.titles()


async def test_of_several_mutations_those_that_were_done_are_told(hasty: Served) -> None:
    answer = await hasty.ask(
        """mutation ($s: Float!) {
          a: carve(title: "done", seconds: 0.01) { stone { title } }
          b: carve(title: "cut", seconds: $s) { stone { title } }
          c: carve(title: "never", seconds: 0.01) { stone { title } }
        }"""
    )
    told = answer.json()
    assert told["data"] == {"a": {"stone": {"title": "done"}}, "b": None, "c": None}
    assert [(e["path"], e["extensions"]["code"]) for e in told["errors"]] == [
        (["b"], "TIMEOUT"), (["c"], "TIMEOUT"),
    ]  # fmt: skip
    assert "not begun" in told["errors"][1]["message"]
    titles = await hasty.titles()
    assert (titles.count("done"), titles.count("cut"), titles.count("never")) == (1, 0, 0)


async def test_with_a_key_a_repetition_goes_on_where_it_was_ended(hasty: Served) -> None:
    query = """mutation ($s: Float!) {
      a: carve(title: "once", seconds: 0.01) { stone { title } }
      b: createStone(input: { title: "second" }) { stone { title age(seconds: $s) } }
    }"""
    for _ in range(2):  # the first field is not done again
        answer = await hasty.ask(query, idempotency_key="one")
        assert answer.json()["errors"][0]["extensions"]["code"] == "TIMEOUT"
        titles = await hasty.titles()
        assert (titles.count("once"), titles.count("second")) == (1, 0)


async def test_who_goes_away_is_not_worked_for(patient: Served) -> None:
    def given_up(kind: str) -> float:
        metrics.flush()
        labels = {"operation": kind, "outcome": "given_up"}
        found = metrics.REGISTRY.get_sample_value("guanxi_request_seconds_count", labels)
        return found or 0

    expected = given_up("query") + 3, given_up("mutation") + 1
    going = [asyncio.create_task(patient.ask(q)) for q in (FIELD, PLUGIN, BESIDE, CARVE)]
    await patient.until(3)
    for one in going:
        one.cancel()
    await asyncio.gather(*going, return_exceptions=True)
    await patient.until(0, 4 * LOOK + 1)
    async with asyncio.timeout(4 * LOOK + 1):
        while (given_up("query"), given_up("mutation")) != expected:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await patient.serves()
    assert "late" not in await patient.titles()


async def test_who_stays_gets_the_answer_and_the_connection_serves_on(patient: Served) -> None:
    """Listening for a client's going takes nothing away from the next request."""
    for seconds in (2 * LOOK, 0, 2 * LOOK, 0):
        assert (await patient.ask(BESIDE, seconds)).json() == {"data": {"ponder": "pondered"}}


async def test_a_body_that_does_not_arrive_is_not_waited_for(hasty: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty.client.base_url.port)
    writer.write(
        b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"authorization: "
        + hasty.client.headers["authorization"].encode()
        + b"\r\ncontent-length: 99\r\n\r\n{"
    )
    async with asyncio.timeout(5):
        status = await reader.readline()
    writer.close()
    assert status.startswith(b"HTTP/1.1 408 ")


async def test_of_many_that_go_at_any_moment_nothing_stays_behind(patient: Served) -> None:
    choose = random.Random(7)
    token = patient.client.headers["authorization"]

    async def go(query: str, after: float, seconds: float) -> None:
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(after),
                httpx.AsyncClient(
                    base_url=patient.client.base_url, trust_env=False, verify=False
                ) as client,
            ):
                given = {"query": query, "variables": {"s": seconds}}
                answer = await client.post(
                    "/graphql", json=given, headers={"authorization": token}, timeout=20
                )
                assert "errors" not in answer.json()

    rounds = 40 if LONG else 2
    for _ in range(rounds):
        await asyncio.gather(*(
            go(choose.choice([FIELD, PLUGIN, CARVE]), choose.uniform(0.1, 1), choose.random())
            for _ in range(16)
        ))  # fmt: skip
    await patient.until(0, 10)
    platform = patient.app.platform
    async with asyncio.timeout(10):
        while any(pool.used for pool in platform.connections().values()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await patient.serves()
