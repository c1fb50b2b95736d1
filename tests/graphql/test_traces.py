"""Traces: the spans of requests and deliveries, as trees; what must not be in them is not."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from uuid_utils.compat import uuid7
from with_deliveries import ParcelMoved, Parcels, behaviour
from with_misbehaviour import Card, Desk, Misbehaviour, Obliging

from guanxi_core.delivery import queue
from guanxi_core.telemetry import traces
from guanxi_graphql.asgi import Answer
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_sdk.testing.app import App

Boot = Any
Tree = tuple[str, list["Tree"]]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CANARY = "canary-4711"
STATEMENTS = ("BEGIN", "COMMIT", "INSERT", "ROLLBACK", "SELECT", "SET", "UPDATE", "WITH")


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces.use(provider)
    yield exporter
    traces.use(None)
    provider.shutdown()


@pytest.fixture
async def app(guanxi: Boot) -> App:
    made: App = await guanxi(Desk(), Obliging(), Misbehaviour())
    return made


@pytest.fixture
async def client(app: App) -> AsyncIterator[AsyncClient]:
    endpoint = GraphQLEndpoint(Answer(200, (), b"page"))
    endpoint.open(app.platform, Engine(app.platform))
    headers = {"authorization": f"Bearer {await app.token()}"}
    transport = ASGITransport(endpoint)
    async with AsyncClient(
        transport=transport, base_url="http://guanxi.test", headers=headers
    ) as made:
        yield made


async def ask(client: AsyncClient, query: str, **headers: str) -> dict[str, Any]:
    """Everything that a client says holds the canary, where it may."""
    body = {"query": query, "variables": {"title": CANARY}}
    answer: dict[str, Any] = (await client.post("/graphql", json=body, headers=headers)).json()
    return answer


def tree(exporter: InMemorySpanExporter, *, without: tuple[str, ...] = ()) -> list[Tree]:
    """Names of finished spans, below their parents, in the order in which they began."""
    found = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
    known = {span.context.span_id for span in found if span.context}

    def below(parent: int | None) -> list[Tree]:
        return [
            (span.name, below(span.context.span_id if span.context else None))
            for span in found
            if span.name not in without
            and (span.parent.span_id if span.parent and span.parent.span_id in known else None)
            == parent
        ]

    return below(None)


def named(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    (span,) = [span for span in exporter.get_finished_spans() if span.name == name]
    return span


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def everything(exporter: InMemorySpanExporter) -> str:
    return "".join(str(span.to_json()) for span in exporter.get_finished_spans())


JUDGE = "mutation Judge($title: String!) { judge(title: $title) { result } }"
QUERY = "query Loud { cards { edges { node { title loud } } } }"


async def test_a_query_with_a_python_field(
    app: App, client: AsyncClient, spans: InMemorySpanExporter
) -> None:
    await app.add(Card(title=CANARY))
    await ask(client, "{ tenant { name } }")
    await app.platform.bell.close()  # it rings for the card a moment later, beside what is asked
    spans.clear()
    parent = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "from-the-proxy"}
    answer = await ask(client, QUERY, **parent)
    assert answer["data"]["cards"]["edges"][0]["node"]["loud"] == f"{CANARY.upper()}!"
    assert tree(spans) == [
        ("query", [
            ("parse and validate", []), ("compile", []), ("SELECT", []),
            ("desk.loud", [("SELECT", [("BEGIN", [])]), *[("SELECT", [])] * 3]), ("ROLLBACK", []),
        ])
    ]  # fmt: skip
    request = named(spans, "query")
    assert request.kind is SpanKind.SERVER
    assert request.parent is not None
    assert (f"{request.parent.span_id:x}", f"{request.parent.trace_id:032x}") == (PARENT, TRACE)
    assert attributes(request) == {
        "http.request.method": "POST", "http.route": "/graphql", "url.path": "/graphql",
        "url.scheme": "http", "http.response.status_code": 200,
        "graphql.operation.type": "query", "graphql.operation.name": "Loud",
        "guanxi.tenant.id": str(app.tenant.id), "guanxi.request.id": "from-the-proxy",
    }  # fmt: skip
    select = spans.get_finished_spans()[2]
    assert select.kind is SpanKind.CLIENT
    assert attributes(select) == {"db.system.name": "postgresql", "db.operation.name": "SELECT"}
    assert all(span.status.status_code is StatusCode.UNSET for span in spans.get_finished_spans())

    spans.clear()
    await ask(client, QUERY)
    asked = [
        ("SELECT", []),
        ("desk.loud", [("SELECT", [("BEGIN", [])]), *[("SELECT", [])] * 3]),
        ("ROLLBACK", []),
    ]
    assert tree(spans) == [("query", asked)]


async def test_a_mutation_with_hooks(
    app: App, client: AsyncClient, spans: InMemorySpanExporter
) -> None:
    await app.access()
    spans.clear()
    answer = await ask(client, JUDGE)
    assert answer["data"]["judge"]["result"].startswith(CANARY)
    hooks = [
        (f"{plugin}.{hook}", [])
        for hook in ("remarks", "nickname", "price")
        for plugin in ("misbehaviour", "obliging")
    ]
    [(name, below)] = tree(
        spans, without=("ROLLBACK", "BEGIN", "COMMIT", "SELECT", "INSERT", "WITH")
    )
    assert name == "mutation"
    (transaction,) = [part for part in below if part[0] == "transaction"]
    (judge,) = [part for part in transaction[1] if part[0] == "desk.judge"]
    assert judge[1] == hooks
    assert attributes(named(spans, "transaction"))["guanxi.action"] == "desk.judge"
    assert any(span.name == "COMMIT" for span in spans.get_finished_spans())


async def test_a_handler(
    guanxi: Boot, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(behaviour, "hurry", lambda *_: [][1])
    monkeypatch.setattr(queue, "pause", lambda attempt: 60.0)  # it is not tried again at once
    app: App = await guanxi(Parcels())
    async with app.context() as ctx:
        ctx.emit(ParcelMoved(parcel_id=uuid7(), number=1))
    spans.clear()
    await app.deliver()
    roots = tree(spans, without=STATEMENTS)
    assert sorted(root for root in roots if root[0].startswith("parcels.")) == [
        ("parcels.hurry", [("transaction", [])]), ("parcels.track", [("transaction", [])]),
    ]  # fmt: skip
    track = named(spans, "parcels.track")
    assert track.kind is SpanKind.CONSUMER
    assert attributes(track)["guanxi.attempt"] == 1
    assert attributes(track)["guanxi.tenant.id"] == str(app.tenant.id)
    assert track.status.status_code is StatusCode.UNSET
    hurry = named(spans, "parcels.hurry")
    assert (hurry.status.status_code, attributes(hurry)["error.type"]) == (
        StatusCode.ERROR, "IndexError",
    )  # fmt: skip


async def test_what_fails_is_marked_by_its_class_alone(
    app: App, client: AsyncClient, spans: InMemorySpanExporter
) -> None:
    plugin = (await app.access()).installation.plugins["misbehaviour"]
    assert isinstance(plugin, Misbehaviour)
    for place, asked, name in (
        (
            "mutation",
            'mutation { badMutation(title: "x") { result } }',
            "misbehaviour.bad_mutation",
        ),
        ("remarks", 'mutation { judge(title: "x") { result } }', "misbehaviour.remarks"),
        ("query", "{ badQuery }", "misbehaviour.bad_query"),
    ):
        spans.clear()
        plugin.fault = (place, "raises")
        await ask(client, asked)
        failed = named(spans, name)
        assert failed.status.status_code is StatusCode.ERROR
        assert failed.status.description is None
        assert attributes(failed)["error.type"] == "Trouble"
        assert failed.events == ()
        assert "secret" not in everything(spans)


async def test_a_refusal_is_an_answer_and_no_fault(
    app: App, client: AsyncClient, spans: InMemorySpanExporter
) -> None:
    spans.clear()
    await ask(client, 'mutation { createCard(input: { title: " " }) { errors { code } } }')
    await ask(client, "{ nothing }")
    await client.post("/graphql", json={"query": "{ x }"}, headers={"authorization": "Bearer gx_"})
    codes = {
        attributes(span).get("guanxi.error.code")
        for span in spans.get_finished_spans()
        if span.kind is SpanKind.SERVER
    }
    assert codes == {None, "GRAPHQL_VALIDATION_FAILED", "UNAUTHENTICATED"}
    assert all(span.status.status_code is StatusCode.UNSET for span in spans.get_finished_spans())


async def test_no_value_of_a_client_gets_into_a_trace(
    app: App, client: AsyncClient, spans: InMemorySpanExporter
) -> None:
    spans.clear()
    name = "gx_" + "s" * 43  # a valid name, and a token
    query = f"query {name}($title: String!) {{ cards(where: {{ title: {{ eq: $title }} }}) {{ "
    answer = await ask(client, query + "totalCount } }")
    assert answer["data"] == {"cards": {"totalCount": 0}}
    await ask(
        client, f'mutation {{ createCard(input: {{ title: "{CANARY}" }}) {{ card {{ id }} }} }}'
    )
    await ask(client, "{ cards { edges { node { title loud } } } }", **{"x-request-id": "a b"})
    told = everything(spans)
    assert CANARY not in told
    assert "s" * 43 not in told
    assert (await app.token()) not in told
    assert "a b" not in told
    assert json.loads(str(spans.get_finished_spans()[0].to_json()))["name"]


@pytest.mark.parametrize(
    ("given", "wanted", "fault"),
    [
        ({}, False, None),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False, None),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True, None),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True, None),
        ({"OTEL_TRACES_EXPORTER": "console"}, True, None),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, True, "zipkin"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, True, "grpc"),
    ],
)
def test_the_standard_variables_switch_them_on(
    given: dict[str, str], wanted: bool, fault: str | None
) -> None:
    assert traces.wanted(given) is wanted
    if wanted:
        found = traces.fault(given)
        assert (found is None) == (fault is None)
        assert fault is None or (found is not None and fault in found)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "find_spec", lambda name: None)
    found = traces.fault({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"})
    assert found is not None
    assert "pip install 'guanxi[traces]'" in found
