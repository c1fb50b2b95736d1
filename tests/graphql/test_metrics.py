"""Metrics: what is counted of requests, plugins and deliveries, and that no label is a client's."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from prometheus_client.parser import text_string_to_metric_families
from uuid_utils.compat import uuid7
from with_deliveries import ParcelMoved, Parcels, behaviour
from with_misbehaviour import Desk, Misbehaviour

from guanxi_core.breakers import FAILURES
from guanxi_core.sealing import Sealer
from guanxi_core.telemetry import metrics
from guanxi_core.telemetry.exposing import Observer
from guanxi_graphql.asgi import Answer
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_sdk.testing.app import App

Boot = Any
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
#: Every label, with the values that it may have at all.
ALLOWED = {
    "operation": "none|query|mutation",
    "outcome": "ok|invalid|unauthenticated|forbidden|rate_limited|limit_exceeded|conflict"
    "|plugin_failed|timeout|unavailable|error|done|failed|served|given_up",
    "during": "none|query|mutation|delivery",
    "kind": "event|schedule",
    "cache": "documents|plans",
    "result": "hit|miss",
    "part": "plugins|schema",
    "pool": "compiled|plugins",
    "state": "limit|open|used",
    "plugin": "[a-z_]+",
    "le": r"[0-9.e+-]+|\+Inf",
    "version": r"[0-9.]+",
    "python": r"[0-9.]+",
}


async def scrape(app: App) -> Series:
    observer = Observer(lambda: 0.25)
    observer.watch(app.platform, Sealer(app.platform.pool))
    text = (await observer.exposition()).decode()
    found: Series = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            for label, value in sample.labels.items():
                assert re.fullmatch(ALLOWED[label], value), (sample.name, label, value)
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def value(series: Series, name: str, **labels: str) -> float:
    return series.get((name, frozenset(labels.items())), 0.0)


@pytest.fixture
async def app(guanxi: Boot) -> App:
    made: App = await guanxi(Desk(), Misbehaviour())
    return made


@pytest.fixture
async def client(app: App) -> AsyncIterator[AsyncClient]:
    endpoint = GraphQLEndpoint(Answer(200, (), b"page"), rate_limit=1000)
    endpoint.open(app.platform, Engine(app.platform))
    headers = {"authorization": f"Bearer {await app.token()}"}
    async with AsyncClient(
        transport=ASGITransport(endpoint), base_url="http://guanxi.test", headers=headers
    ) as made:
        yield made


async def test_requests_are_counted_by_operation_and_outcome(
    app: App, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(query: str, **headers: str) -> None:
        await client.post("/graphql", json={"query": query}, headers=headers)

    plugin = (await app.access()).installation.plugins["misbehaviour"]
    assert isinstance(plugin, Misbehaviour)
    plugin.fault = ("query", "raises")
    before = await scrape(app)
    for _ in range(3):
        await ask("query canary { tenant { name } }")
    await ask('mutation { createCard(input: { title: "canary" }) { card { id } } }')
    await ask('mutation { createCard(input: { title: " " }) { errors { code } } }')
    await ask("{ canary }")
    await ask("not a document")
    await ask("{ tenant { name } }", authorization="Bearer gx_canary")
    await ask("{ badQuery }")
    await client.get("/graphql", headers={"accept": "text/html"})
    await client.delete("/graphql")

    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("canary")

    with monkeypatch.context() as patched:
        patched.setattr(Engine, "execute", broken)
        await ask("{ tenant { name } }")
    after = await scrape(app)

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    counted = {
        (operation, outcome): number
        for operation in ALLOWED["operation"].split("|")
        for outcome in ALLOWED["outcome"].split("|")
        if (number := more("guanxi_request_seconds_count", operation=operation, outcome=outcome))
    }
    assert counted == {
        ("query", "ok"): 3, ("mutation", "ok"): 2, ("none", "invalid"): 3,
        ("none", "unauthenticated"): 1, ("query", "plugin_failed"): 1, ("none", "ok"): 1,
        ("none", "error"): 1,
    }  # fmt: skip
    lookups = {
        (cache, result): more("guanxi_cache_lookups_total", cache=cache, result=result)
        for cache in ("documents", "plans")
        for result in ("hit", "miss")
    }
    assert lookups["documents", "hit"] == 2
    assert lookups["documents", "miss"] == 6
    assert lookups["plans", "hit"] == 2
    assert more("guanxi_statement_seconds_count", during="query") >= 4
    assert more("guanxi_statement_seconds_count", during="mutation") >= 1
    assert more("guanxi_plugin_failures_total", plugin="misbehaviour") == 1
    assert "canary" not in str(after)
    assert str(app.tenant.id) not in str(after)
    assert app.tenant.name not in str(after)


async def test_each_answer_names_its_request(client: AsyncClient) -> None:
    ids = []
    for given in ({}, {"x-request-id": "from.a-proxy_1"}, {"x-request-id": "not sane"}):
        answer = await client.post("/graphql", json={"query": "{ x }"}, headers=given)
        ids.append(answer.headers["x-request-id"])
    refused = await client.delete("/graphql", headers={"x-request-id": "refused"})
    assert refused.headers["x-request-id"] == "refused"
    assert ids[1] == "from.a-proxy_1"
    assert len({*ids, "not sane"}) == 4


async def test_a_breaker_that_opens_and_closes_is_shown(
    app: App, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = (await app.access()).installation.plugins["misbehaviour"]
    assert isinstance(plugin, Misbehaviour)
    monkeypatch.setattr(app.platform, "breakers", type(app.platform.breakers)())
    before = value(await scrape(app), "guanxi_breakers_open", plugin="misbehaviour")

    async def opened() -> float:
        return value(await scrape(app), "guanxi_breakers_open", plugin="misbehaviour") - before

    plugin.fault = ("query", "raises")
    for number in range(FAILURES + 1):
        assert await opened() == (number >= FAILURES)
        await client.post("/graphql", json={"query": "{ badQuery }"})
    plugin.fault = None
    monkeypatch.setattr(app.platform.breakers, "now", lambda: float(10**9))
    await client.post("/graphql", json={"query": "{ badQuery }"})
    assert await opened() == 0


async def test_deliveries_backlog_and_database(
    guanxi: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: App = await guanxi(Parcels())
    monkeypatch.setitem(behaviour, "hurry", lambda *_: 1 / 0)
    before = await scrape(app)
    async with app.context() as ctx:
        ctx.emit(ParcelMoved(parcel_id=uuid7(), number=1))
    waiting = await scrape(app)
    assert value(waiting, "guanxi_backlog") >= 1
    assert value(waiting, "guanxi_backlog_oldest_seconds") > 0
    assert value(waiting, "guanxi_database_up") == 1
    await app.deliver()
    after = await scrape(app)
    for outcome in ("done", "failed"):
        labels = {"kind": "event", "outcome": outcome}
        name = "guanxi_delivery_seconds_count"
        assert value(after, name, **labels) - value(before, name, **labels) == 1
    assert value(after, "guanxi_pool_connections", pool="compiled", state="limit") == 4
    assert value(after, "guanxi_event_loop_pause_seconds") == 0.25
    assert value(after, "guanxi_audit_unsealed_seconds") >= 0
    assert value(after, "process_resident_memory_bytes") > 10**7


async def test_jobs_and_waits_are_shown(app: App) -> None:
    pool = app.platform.pool
    before = await scrape(app)
    async with app.context() as ctx, ctx.job("Count", total=1):
        assert value(await scrape(app), "guanxi_jobs_running") == 1
    assert value(await scrape(app), "guanxi_jobs_running") == 0
    lent = [await pool.take(None) for _ in range(pool.size)]
    assert pool.state.used == pool.size
    waiting = Observer(lambda: 0)
    waiting.watch(app.platform)
    text = (await waiting.exposition()).decode()  # the database cannot be asked: it says so
    assert "guanxi_database_up 0.0" in text
    assert 'guanxi_pool_connections{pool="compiled",state="used"} 4.0' in text
    assert "guanxi_backlog " not in text
    for connection in lent:
        pool.give(connection)
    await scrape(app)
    after = await scrape(app)
    name = "guanxi_pool_wait_seconds_count"
    assert value(after, name, outcome="served") - value(before, name, outcome="served") >= 1


@pytest.mark.parametrize(
    ("query", "waits"),
    [
        ("{ tenant { name } }", 0),
        ("query ($id: ID!) { card(id: $id) { title } }", 0),
        ("query ($id: ID!) { node(id: $id) { id } }", 0),
        ("query ($id: ID!) { nodes(ids: [$id]) { id } }", 1),
        ("{ cards { edges { node { title } } } }", 1),
        ("{ cards { totalCount } }", 1),
        ("{ cardsAggregate { count } }", 1),
        ('mutation { createCard(input: { title: "new" }) { card { title } } }', 0),
    ],
)
async def test_only_lists_are_asked_for_in_turn(
    app: App, monkeypatch: pytest.MonkeyPatch, query: str, waits: int
) -> None:
    """What waits is told by the metric that operators have."""
    created = await app.graphql('mutation { createCard(input: { title: "a" }) { card { id } } }')
    variables = {"id": created["createCard"]["card"]["id"]} if "$id" in query else {}
    pool = app.platform.pool
    monkeypatch.setattr(pool, "_at_once", 1)
    name = "guanxi_pool_wait_seconds_count"
    async with pool.connection(app.tenant.id):
        before = value(await scrape(app), name, outcome="served")
        await app.graphql(query, **variables)
        assert value(await scrape(app), name, outcome="served") - before == waits


def test_outcomes_are_few() -> None:
    known = set(ALLOWED["outcome"].split("|"))
    assert {metrics.outcome_of(code) for code in (None, "INTERNAL", "canary", "CONFLICT")} == {
        "ok", "error", "invalid", "conflict",
    }  # fmt: skip
    assert set(metrics._OUTCOMES.values()) | {"invalid"} <= known
