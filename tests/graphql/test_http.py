"""GraphQL over HTTP, with an engine that answers what the test wants."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_graphql.asgi import Answer
from guanxi_graphql.execute.errors import StaleAccess
from guanxi_graphql.headers import is_json, locale_of, media_of, wants_page
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_graphql.requests import BODY_LIMIT, RequestError, decode, decode_query_string, is_whole
from guanxi_sdk import Forbidden, Unauthenticated

GRAPHQL = "application/graphql-response+json"
AUTHORIZED = {"authorization": "Bearer gx_good", "content-type": "application/json"}
QUERY = b'{"query":"{ name }"}'


class Reply(NamedTuple):
    body: bytes = b'{"data":{"name":"guanxi"}}'
    ok: bool = True
    replayed: bool = False
    secret: bool = False


class FakePlatform:
    """Knows one token, and remembers it until it is told to forget."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.authentications = 0

    def cached(self, token: str) -> str | None:
        return "access" if token in self.known else None

    async def authenticate(self, token: str) -> str:
        self.authentications += 1
        if token != "gx_good":
            raise Unauthenticated
        self.known.add(token)
        return "access"

    def forget(self, token: str) -> None:
        self.known.discard(token)


class FakeEngine:
    """Gives the answers it is made with, one after the other; the last one stays."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers) or [Reply()]
        self.calls: list[dict[str, Any]] = []

    async def answer(self, access: Any, request: Any, **options: Any) -> Reply:
        return await self.execute(
            access, request.query, request.variables, request.operation or None, **options
        )

    async def execute(
        self,
        access: Any,
        document: str,
        variables: dict[str, Any] | None,
        operation: str | None,
        **options: Any,
    ) -> Reply:
        self.calls.append(
            {"document": document, "variables": variables, "operation": operation, **options}
        )
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        (error,) = json.loads(self.body)["errors"]
        return error

    @property
    def code(self) -> str:
        return self.error["extensions"]["code"]


class Client:
    """Speaks ASGI to an endpoint."""

    def __init__(self, *answers: Any) -> None:
        self.platform = FakePlatform()
        self.engine = FakeEngine(*answers)
        page = Answer(200, ((b"content-type", b"text/html; charset=utf-8"),), b"<!doctype html>")
        self.endpoint = GraphQLEndpoint(page)
        self.endpoint.open(self.platform, self.engine)

    async def send(
        self,
        method: str = "POST",
        *chunks: bytes,
        query: str = "",
        headers: dict[str, str | bytes] | None = None,
        incomplete: bool = False,
        client: tuple[str, int] | None = ("192.0.2.7", 50000),
    ) -> Response | None:
        given = AUTHORIZED if headers is None else headers
        scope = {
            "type": "http",
            "method": method,
            "path": "/graphql",
            "query_string": query.encode(),
            "client": client,
            "headers": [
                (name.encode(), value if isinstance(value, bytes) else value.encode())
                for name, value in given.items()
            ],
        }
        waiting = self._messages(chunks or (b"",), incomplete)
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return next(waiting)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.endpoint(scope, receive, send)
        if not sent:
            return None
        start, body = sent
        assert start["type"] == "http.response.start"
        assert body["type"] == "http.response.body"
        answered = {name.decode(): value.decode() for name, value in start["headers"]}
        assert answered["content-length"] == str(len(body["body"]))
        return Response(start["status"], answered, body["body"])

    @staticmethod
    def _messages(chunks: tuple[bytes, ...], incomplete: bool) -> Iterator[dict[str, Any]]:
        for number, chunk in enumerate(chunks, 1):
            more = incomplete or number < len(chunks)
            yield {"type": "http.request", "body": chunk, "more_body": more}
        yield {"type": "http.disconnect"}


async def post(*chunks: bytes, client: Client | None = None, **headers: str | bytes) -> Response:
    spelled = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await (client or Client()).send("POST", *chunks, headers={**AUTHORIZED, **spelled})
    assert response is not None
    return response


async def get(
    query: str = "query={name}", client: Client | None = None, **headers: str
) -> Response:
    response = await (client or Client()).send(
        "GET", query=query, headers={**AUTHORIZED, **headers}
    )
    assert response is not None
    return response


# -- what is asked ---------------------------------------------------------------------------------


async def test_a_request_reaches_the_engine_whole() -> None:
    client = Client()
    body = {"query": "query Q { name }", "variables": {"a": [1]}, "operationName": "Q"}
    response = await post(
        json.dumps(body).encode(),
        client=client,
        accept_language="zh-CN,en;q=0.5",
        guanxi_reason="quarter%20end",
        idempotency_key='"8e03"',
    )
    assert (response.status, response.body) == (200, Reply().body)
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert client.engine.calls == [
        {
            "document": "query Q { name }",
            "variables": {"a": [1]},
            "operation": "Q",
            "locale": "zh",
            "reason": "quarter end",
            "origin": "192.0.2.7",
            "read_only": False,
            "key": b'"8e03"',
        }
    ]


async def test_a_body_may_come_in_pieces_and_a_client_may_be_unknown() -> None:
    client = Client()
    response = await client.send("POST", QUERY[:5], QUERY[5:9], QUERY[9:], client=None)
    assert response is not None
    assert response.status == 200
    assert client.engine.calls[0]["document"] == "{ name }"
    assert client.engine.calls[0]["origin"] is None


async def test_a_body_that_breaks_off_is_not_executed() -> None:
    """Who sends no more may still read; to who has left nothing is sent by the server."""
    client = Client()
    response = await client.send("POST", QUERY, incomplete=True)
    assert (response.status, response.code) == (400, "BAD_REQUEST")
    assert client.engine.calls == []


@pytest.mark.parametrize("body", [
    b'{"query":"{ name }","variables":null,"operationName":null,"extensions":null}',
    b'{"query":"{ name }","variables":{},"operationName":"","extensions":{"a":1},"unknown":[1]}',
])  # fmt: skip
async def test_optional_parts_may_be_null_or_empty(body: bytes) -> None:
    client = Client()
    assert (await post(body, client=client)).status == 200
    assert client.engine.calls[0]["operation"] is None


async def test_unicode_arrives_as_it_was_sent() -> None:
    client = Client()
    await post('{"query":"{ a }","variables":{"a":"华为 😀","b":"\\ud83d\\ude00"}}'.encode(),
               client=client)  # fmt: skip
    assert client.engine.calls[0]["variables"] == {"a": "华为 😀", "b": "😀"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"query", "not valid JSON"),
        (b"\xef\xbb\xbf" + QUERY, "not valid JSON"),
        ('{"query":"{ name }"}'.encode("utf-16"), "not valid UTF-8"),
        (b'{"query":"\xff"}', "not valid UTF-8"),
        (b'{"query":"{ name }","other":"\xed\xa0\x80"}', "not valid UTF-8"),
        (b'{"query":"\\ud800"}', "not valid JSON"),
        (b'{"query":"\\udc00x"}', "not valid JSON"),
        (b'{"query":"a\x00b"}', "not valid JSON"),
        (b'{"query":"{ name }","variables":{"a":NaN}}', "not valid JSON"),
        (b'{"query":"{ name }","variables":{"a":-Infinity}}', "not valid JSON"),
        (b'{"query":"{ name }","variables":{"a":1e999}}', "number in the body is too large"),
        (b'{"query":"{ name }","variables":{"a":' + b"9" * 5000 + b"}}", "number in the body"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"query":"{ name }","other":' + b"[" * 100_000 + b"}", "nested too deeply"),
        (b'{"query":"{ name }","variables":{"a":' + b"[" * 70 + b"]" * 70 + b"}}", "64 levels"),
        (b'{"query":"{ name }","variables":{"a":"\\u0000"}}', "character NUL"),
        (b'{"query":"{ name }","variables":{"a":[{"b\\u0000":1}]}}', "character NUL"),
        (b"[" + QUERY + b"]", "Batches are not supported"),
        (b"null", "must be a JSON object"),
        (b'"{ name }"', "must be a JSON object"),
        (b"{}", "'query' must be a string"),
        (b'{"query":null}', "'query' must be a string"),
        (b'{"query":["{ name }"]}', "'query' must be a string"),
        (b'{"query":"{ name }","operationName":1}', "'operationName' must be a string or null"),
        (b'{"query":"{ name }","variables":[]}', "'variables' must be an object or null"),
        (b'{"query":"{ name }","variables":"{}"}', "'variables' must be an object or null"),
        (b'{"query":"{ name }","extensions":[]}', "'extensions' must be an object or null"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", GRAPHQL])
async def test_a_malformed_body_is_explained(body: bytes, message: str, accept: str) -> None:
    client = Client()
    response = await post(body, client=client, accept=accept)
    assert response.status == 400
    assert response.code == "BAD_REQUEST"
    assert message in response.error["message"]
    assert response.headers["content-type"] == f"{accept}; charset=utf-8"
    assert client.engine.calls == []


async def test_an_escaped_backslash_is_no_nul_and_many_braces_are_no_nesting() -> None:
    body = rb'{"query":"{ name }","variables":{"a":"\\u0000"}}'
    assert (await post(body)).status == 200
    query = "{ " + "a { name } " * 100 + "}"
    body = json.dumps({"query": query, "variables": {"a": [{}] * 100}}).encode()
    assert (await post(body)).status == 200


async def test_a_body_may_be_as_large_as_the_limit_and_not_larger() -> None:
    padding = BODY_LIMIT - len(QUERY)
    assert (await post(QUERY + b" " * padding)).status == 200
    assert (await post(QUERY, b" " * padding)).status == 200
    for chunks in ((QUERY + b" " * (padding + 1),), (QUERY, b" " * padding, b" ")):
        client = Client()
        response = await post(*chunks, client=client)
        assert (response.status, response.code) == (413, "PAYLOAD_TOO_LARGE")
        assert client.engine.calls == []


async def test_an_endless_body_is_not_read_to_its_end() -> None:
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b" " * 65_536, "more_body": True}

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(name.encode(), value.encode()) for name, value in AUTHORIZED.items()]
    scope = {"type": "http", "method": "POST", "headers": headers, "client": None}
    await Client().endpoint(scope, receive, send)
    assert sent[0]["status"] == 413
    assert taken == 5


@given(st.binary(max_size=200) | st.text(max_size=50).map(lambda t: t.encode("utf-8", "replace")))
def test_no_bytes_whatever_break_the_decoder(body: bytes) -> None:
    for wrapped in (body, b'{"query":"{ name }","variables":{"a":' + body + b"}}"):
        try:
            request = decode(wrapped)
        except RequestError:
            continue
        json.dumps(request.variables, allow_nan=False).encode()


@given(st.binary(max_size=200).map(lambda raw: quote(raw).encode()) | st.binary(max_size=100))
def test_no_query_string_whatever_breaks_the_decoder(query: bytes) -> None:
    for wrapped in (query, b"query=" + query, b"query=a&variables=" + query):
        with suppress(RequestError):
            decode_query_string(wrapped)


# -- content types, methods, negotiation -----------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/graphql", "application/jsonx", "text/plain; application/json",
     "application/json; charset=utf-16", "application/json, text/plain"],
)  # fmt: skip
async def test_nothing_but_json_is_executed(content_type: str) -> None:
    client = Client()
    response = await post(QUERY, client=client, content_type=content_type)
    assert (response.status, response.code) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert client.engine.calls == []


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'],
)
def test_json_is_recognised(content_type: str) -> None:
    assert is_json(content_type.encode())


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/*;q=0.3", "application/json"),
        ("application/json", "application/json"),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}, application/json;q=0.9", GRAPHQL),
        (f"application/json;q=0.5, {GRAPHQL};charset=utf-8", GRAPHQL),
        (f"{GRAPHQL};q=0.5, application/json", "application/json"),
        ("text/event-stream, multipart/mixed, application/json", "application/json"),
        (f"image/png, {GRAPHQL};q=0, */*;q=0.1", "application/json"),
    ],
)
async def test_the_client_chooses_the_media_type(accept: str | None, expected: str) -> None:
    headers = {"accept": accept} if accept else {}
    response = await post(QUERY, **headers)
    assert response.status == 200
    assert response.headers["content-type"] == f"{expected}; charset=utf-8"


async def test_a_client_that_takes_neither_is_told() -> None:
    for response in (await post(QUERY, accept="image/png"), await get(accept="text/plain;q=x")):
        assert (response.status, response.code) == (406, "NOT_ACCEPTABLE")


async def test_a_request_error_of_graphql_is_400_only_for_the_new_media_type() -> None:
    refused = Reply(b'{"errors":[{"message":"Syntax Error"}]}', False)
    assert (await post(QUERY, client=Client(refused), accept=GRAPHQL)).status == 400
    assert (await post(QUERY, client=Client(refused), accept="application/json")).status == 200
    assert (await get(client=Client(refused), accept=GRAPHQL)).status == 400
    assert (await get(client=Client(refused))).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "QUERY"])
async def test_other_methods_are_refused(method: str) -> None:
    response = await Client().send(method, QUERY)
    assert response is not None
    assert (response.status, response.headers["allow"]) == (405, "GET, HEAD, POST, OPTIONS")


async def test_options_names_the_methods_and_allows_no_foreign_origin() -> None:
    response = await Client().send("OPTIONS", headers={"origin": "https://evil.example"})
    assert response is not None
    assert (response.status, response.headers["allow"]) == (200, "GET, HEAD, POST, OPTIONS")
    assert not [name for name in response.headers if name.startswith("access-control")]


async def test_get_asks_queries() -> None:
    client = Client()
    variables = quote('{"a":"华为"}')
    response = await get(f"query=query%20Q%7Bname%7D&variables={variables}&operationName=Q", client)
    assert response.status == 200
    (call,) = client.engine.calls
    assert call["document"] == "query Q{name}"
    assert (call["variables"], call["operation"]) == ({"a": "华为"}, "Q")
    assert call["read_only"] is True


@pytest.mark.parametrize(
    "query",
    ["query=mutation{a}", "query=subscription{a}", "query=query%20A{a}%20mutation%20B{b}",
     "query=query%20A{a}%20mutation%20B{b}&operationName=B"],
)  # fmt: skip
async def test_get_changes_nothing(query: str) -> None:
    client = Client()
    response = await get(query, client)
    assert (response.status, response.code) == (405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "POST"
    assert client.engine.calls == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "'query' must be a string"),
        ("query=", "'query' must be a string"),
        ("query={a}&variables=[]", "'variables' must be an object or null"),
        ("query={a}&variables={", "'variables' is not valid JSON"),
        ("query={a}&variables=" + "[" * 5000, "'variables' is not valid JSON"),
        ("query={a}&extensions=1", "'extensions' must be an object or null"),
        ("query=%ff", "not valid percent-encoded UTF-8"),
        ("query={a}" + "&a=1" * 40, "not valid percent-encoded UTF-8"),
    ],
)
async def test_malformed_parameters_are_explained(query: str, message: str) -> None:
    response = await get(query)
    assert response.status == 400
    assert message in response.error["message"]


async def test_a_browser_gets_the_page_without_a_token() -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    response = await Client().send("GET", headers={"accept": accept})
    assert response is not None
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert not wants_page(b"application/json, text/html;q=0.9")
    assert wants_page(b"text/html, application/json;q=0.9")


async def test_a_server_that_stops_admits_no_websocket() -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    endpoint = Client().endpoint
    await endpoint.farewell()
    await endpoint({"type": "websocket", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_a_server_that_stops_waits_for_its_farewells() -> None:
    said, heard = asyncio.Event(), []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.close":
            await said.wait()
        heard.append(message["type"])

    endpoint = Client().endpoint
    socket = asyncio.create_task(endpoint({"type": "websocket", "headers": []}, receive, send))
    closing = asyncio.create_task(endpoint.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    said.set()
    await closing
    assert heard == ["websocket.accept", "websocket.close"]
    await socket


# -- who asks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Basic Z3hfZ29vZA==", "gx_good", "Bearer gx_wrong",
     "Bearer gx_göod", "Bearer " + "x" * 1000],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_without_a_valid_token_nothing_is_done(
    authorization: str | None, method: str
) -> None:
    client = Client()
    headers: dict[str, str | bytes] = {"content-type": "application/json"}
    if authorization is not None:
        headers["authorization"] = authorization
    response = await client.send(method, QUERY, query="query={name}", headers=headers)
    assert response is not None
    assert (response.status, response.code) == (401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"] == 'Bearer realm="guanxi"'
    assert "data" not in json.loads(response.body)
    assert client.engine.calls == []


async def test_a_token_is_looked_up_once() -> None:
    client = Client()
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert (await post(QUERY, client=client, authorization=f"{scheme} gx_good")).status == 200
    assert client.platform.authentications == 1


async def test_stale_rights_are_read_again_and_the_request_repeated() -> None:
    client = Client(StaleAccess(), Reply())
    assert (await post(QUERY, client=client)).status == 200
    assert client.platform.authentications == 2
    assert len(client.engine.calls) == 2


async def test_a_token_revoked_meanwhile_is_refused() -> None:
    client = Client(StaleAccess())

    async def revoked(token: str) -> str:
        raise Unauthenticated

    await post(QUERY, client=Client())
    client.platform.known.add("gx_good")
    client.platform.authenticate = revoked  # type: ignore[method-assign]
    response = await post(QUERY, client=client)
    assert (response.status, response.code) == (401, "UNAUTHENTICATED")


async def test_rights_that_never_settle_end_the_request() -> None:
    client = Client(StaleAccess())
    response = await post(QUERY, client=client)
    assert (response.status, response.code) == (503, "UNAVAILABLE")
    assert response.headers["retry-after"] == "1"
    assert len(client.engine.calls) == 3


@pytest.mark.parametrize(
    ("header", "locale"),
    [("", "en"), ("zh", "zh"), ("zh-Hant-TW", "zh"), ("en-GB, zh;q=0.9", "en"), ("fr, de", "en"),
     ("fr, zh;q=0.2, en;q=0.1", "zh"), ("*", "en"), ("en;q=0, zh;q=0.1", "zh"), (";;,,=", "en")],
)  # fmt: skip
def test_the_language_is_chinese_or_english(header: str, locale: str) -> None:
    assert locale_of(header.encode()) == locale


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"end of quarter", "end of quarter"),
        (b"%E5%AD%A3%E5%BA%A6%E7%BB%93%E6%9D%9F", "季度结束"),
        ("季度结束".encode(), "季度结束"),
        (b"50% off", "50% off"),
        (b"  ", ""),
    ],
)
async def test_the_reason_may_be_plain_or_encoded(header: bytes, reason: str) -> None:
    client = Client()
    assert (await post(QUERY, client=client, guanxi_reason=header)).status == 200
    assert client.engine.calls[0]["reason"] == (reason or None)


@pytest.mark.parametrize("header", [b"%00", b"a%0Ab", b"\xff", b"%ff", b"x" * 501])
async def test_a_reason_that_cannot_be_kept_is_refused(header: bytes) -> None:
    response = await post(QUERY, guanxi_reason=header)
    assert (response.status, response.code) == (400, "BAD_REQUEST")
    assert "Guanxi-Reason" in response.error["message"]


# -- what goes wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("SELECT secret"), SystemExit(3), Forbidden("a.b")])
async def test_an_unexpected_error_is_masked_and_logged(error: BaseException) -> None:
    with capture_logs() as logs:
        response = await post(QUERY, client=Client(error))
    assert (response.status, response.code) == (500, "INTERNAL")
    assert response.error["message"] == "Internal error."
    assert b"secret" not in response.body
    (entry,) = logs
    assert entry["reference"] == response.error["extensions"]["reference"]
    assert entry["exc_info"] is error
    assert "gx_good" not in str(entry)


async def test_a_cancelled_request_stays_cancelled() -> None:
    with pytest.raises(asyncio.CancelledError):
        await post(QUERY, client=Client(asyncio.CancelledError()))


@pytest.mark.parametrize(
    "error",
    [
        DatabaseUnavailable("the database db.internal does not answer."),
        asyncpg.ConnectionDoesNotExistError("connection to db.internal was closed"),
        asyncpg.AdminShutdownError("terminating connection to db.internal"),
    ],
)
async def test_an_absent_database_is_a_matter_of_time(error: Exception) -> None:
    client = Client(error, Reply())
    with capture_logs():
        response = await post(QUERY, client=client)
    assert (response.status, response.code) == (503, "UNAVAILABLE")
    assert response.headers["retry-after"] == "1"
    assert b"internal" not in response.body
    assert (await post(QUERY, client=client)).status == 200


async def test_a_server_that_stops_says_so() -> None:
    client = Client()
    await client.endpoint.close()
    response = await post(QUERY, client=client)
    assert (response.status, response.code) == (503, "UNAVAILABLE")


async def test_long_headers_are_not_remembered_whole() -> None:
    before = media_of.cache_info().currsize
    for number in range(400):
        await post(QUERY, accept="application/json," + f"{number}" * 1000)
    assert media_of.cache_info().currsize <= max(256, before)
    assert (await post(QUERY, accept="x" * 600 + ",application/json")).status == 406


async def test_the_hot_path_costs_microseconds() -> None:
    client = Client()
    headers = [(name.encode(), value.encode()) for name, value in AUTHORIZED.items()]
    scope = {"type": "http", "method": "POST", "headers": headers, "client": ("192.0.2.7", 1)}
    message = {"type": "http.request", "body": QUERY}

    async def receive() -> dict[str, Any]:
        return message

    async def send(_: dict[str, Any]) -> None:
        client.engine.calls.clear()

    best = 1.0
    for _ in range(20):
        start = time.thread_time()
        for _ in range(100):
            await client.endpoint(scope, receive, send)
        best = min(best, (time.thread_time() - start) / 100)
    assert best < 40e-6


def test_a_body_is_whole_when_it_is_as_long_as_announced() -> None:
    message = {"type": "http.request", "more_body": True}
    assert is_whole(message, b"abc", {b"content-length": b"3"})
    assert not is_whole(message, b"ab", {b"content-length": b"3"})
    assert not is_whole(message, b"abc", {})
    assert is_whole({"type": "http.request"}, b"abc", {})
    assert not is_whole({"type": "http.disconnect"}, b"", {b"content-length": b"0"})
