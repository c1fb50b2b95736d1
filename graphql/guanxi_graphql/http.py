"""GraphQL over HTTP: the raw ASGI application behind ``/graphql``.

It is not an ordinary Litestar handler because those cost more than a small query does. Everything
that a header says is worked out once and remembered; a request with a known token awaits nothing
but its body, its answer and the two messages that send it.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import structlog

from guanxi_core.database.outages import DatabaseUnavailable, outage_in
from guanxi_core.issuers import IssuerUnavailable
from guanxi_core.telemetry import metrics, traces
from guanxi_core.telemetry.activity import CURRENT, Activity, request_id_of
from guanxi_core.telemetry.errors import describe
from guanxi_graphql.asgi import Answer, Headers, Receive, Scope, Send
from guanxi_graphql.caching import kept
from guanxi_graphql.compression import LEAST, packed
from guanxi_graphql.cors import Origins
from guanxi_graphql.deadlines import Deadlines, Gone, Late, Watched
from guanxi_graphql.execute.encoding import encode
from guanxi_graphql.execute.errors import DOUBTFUL, TOO_SLOW, StaleAccess
from guanxi_graphql.headers import (
    COMMON,
    JSON,
    LONGEST,
    RESPONSE,
    is_json,
    is_stream,
    locale_of,
    media_of,
    reason_of,
    token_of,
    wants_page,
)
from guanxi_graphql.limits import writes
from guanxi_graphql.ratelimits import StrangerLimit, TokenLimit, too_many
from guanxi_graphql.requests import (
    Request,
    RequestError,
    decode,
    decode_query_string,
    is_whole,
    read_rest,
)
from guanxi_graphql.subscriptions.operations import Bounds, Client, Operations, Rejected
from guanxi_graphql.subscriptions.sse import HEADERS as SSE
from guanxi_graphql.subscriptions.sse import EventStream
from guanxi_graphql.subscriptions.staying import Staying
from guanxi_graphql.subscriptions.websocket import RESTART, Socket
from guanxi_sdk import Unauthenticated

if TYPE_CHECKING:
    from guanxi_core.platform import Access, Platform
    from guanxi_graphql.execute.engine import Engine, Reply

_BOUNDS = Bounds()
_STATUS = {"RATE_LIMITED": 429, "UNAVAILABLE": 503, "INTERNAL": 500}
_GOODBYES = 5.0  # seconds that telling all who stay connected may take
_ATTEMPTS = 3  # rights that change while a request runs make it start again

_log = structlog.get_logger("guanxi.http")

_METHODS = (b"allow", b"GET, HEAD, POST, OPTIONS")
_CHALLENGE = (b"www-authenticate", b'Bearer realm="guanxi"')
_SOON = (b"retry-after", b"1")
_REPLAYED = (b"idempotent-replayed", b"true")
_REQUEST_ID = b"x-request-id"
_RATE = "guanxi.ratelimit"  # in the scope: headers for the answer


class GraphQLEndpoint:
    """Answers ``/graphql``; ``page`` is what a browser gets.

    ``rate_limit`` is how many requests a second one token may send; 0 is any number. One that takes
    longer than ``slow`` seconds is logged, and one that takes ``deadline`` seconds is ended; 0 is
    none. Pages of the ``origins`` may ask and open WebSockets, as its own may; ``bounds`` are how
    many subscriptions there may be.
    """

    def __init__(
        self,
        page: Answer,
        rate_limit: float = 0,
        slow: float = 0,
        deadline: float = 0,
        origins: Sequence[str] = (),
        bounds: Bounds = _BOUNDS,
    ) -> None:
        self._page = page
        self._slow = slow
        self._deadlines = Deadlines(deadline)
        self._origins = Origins(origins)
        self._bounds = bounds
        self._operations: Operations | None = None
        self._staying = Staying()
        self._leaving = False
        self._limit = TokenLimit(rate_limit) if rate_limit else None
        self._strangers = StrangerLimit()
        self._platform: Platform | None = None
        self._engine: Engine | None = None

    def open(self, platform: "Platform", engine: "Engine") -> None:
        """Begin to answer queries."""
        self._platform = platform
        self._engine = engine
        self._leaving = False
        self._operations = Operations(
            platform, engine, self._bounds,
            lambda token, host: self._admit(platform, token, host), self._count,
            self._deadlines,
        )  # fmt: skip

    async def close(self) -> None:
        """Refuse further queries with 503, once what stays open has been told to come again."""
        await self.farewell()
        self._platform = self._engine = self._operations = None

    async def farewell(self) -> None:
        """End all that stays open, and have clients come again, for instance to another worker."""
        self._leaving = True
        self._staying.end()
        await self._staying.ended(_GOODBYES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._socket(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = request_id_of(headers.get(b"x-request-id"))
        activity = Activity(request_id=request_id)
        token, began = CURRENT.set(activity), time.perf_counter()
        try:
            with traces.request(headers, scope["method"], scope.get("scheme", "http")) as span:
                watched = Watched(self._deadlines, activity, receive, began)
                answer = await self._answer(scope, headers, activity, watched)
                seconds = time.perf_counter() - began
                if span is not traces.OFF:
                    _tell(span, activity, answer)
                more: Headers = ((_REQUEST_ID, request_id.encode("ascii")),)
                if _RATE in scope:
                    more += scope[_RATE]
                if b"origin" in headers:
                    more = (*more, *self._origins.headers(headers[b"origin"]))
                await answer.send(send, more, scope["method"] == "HEAD")
                outcome = metrics.outcome_of(activity.code)
                metrics.REQUESTS.observe(seconds, activity.kind, outcome)
                if self._slow and seconds > self._slow:
                    _log.warning(
                        "slow request", operation=activity.name, kind=activity.kind,
                        outcome=outcome, milliseconds=round(seconds * 1000),
                    )  # fmt: skip
        finally:
            CURRENT.reset(token)

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], activity: Activity, watched: Watched
    ) -> Answer | EventStream:
        """The response, whatever happens."""
        media = media_of(headers.get(b"accept", b"")[:LONGEST])
        answer: Answer | EventStream
        try:
            with watched:
                if scope["method"] == "POST":
                    answer = await self._post(scope, headers, media, watched)
                else:
                    answer = await self._other(scope, headers, media, watched)
        except (Exception, SystemExit) as error:  # a plugin may raise anything
            if isinstance(error, Late):
                refused = _too_late(activity, media, heard=watched.heard)
            else:
                refused = error if isinstance(error, RequestError) else _refusal_of(error, scope)
            activity.code = refused.code
            extra = (*(media or JSON), *refused.headers)
            answer = Answer(refused.status, extra, refused.body)
        return answer

    async def _post(
        self, scope: Scope, headers: dict[bytes, bytes], media: Headers | None, watched: Watched
    ) -> Answer | EventStream:
        if not is_json(headers.get(b"content-type", b"")[:LONGEST]):
            raise RequestError(
                415, "UNSUPPORTED_MEDIA_TYPE", "Send the request as application/json in UTF-8."
            )
        if media is None and not is_stream(headers[b"accept"][:LONGEST]):
            raise _unacceptable()
        token = token_of(headers)
        message = await watched.receive()
        body = message.get("body", b"")
        if not is_whole(message, body, headers):
            body = await read_rest(message, watched.receive)
        watched.heard = True
        if media is None:
            return await self._stream(token, decode(body), scope, headers, watched.receive)
        reply = await self._execute(token, decode(body), scope, headers, read_only=False)
        given = (*media, _REPLAYED) if reply.replayed else media
        answer = Answer(200 if reply.ok or media is JSON else 400, given, reply.body)
        if reply.secret or len(reply.body) < LEAST:
            return answer
        return await packed(answer, headers)

    async def _other(
        self, scope: Scope, headers: dict[bytes, bytes], media: Headers | None, watched: Watched
    ) -> Answer:
        if scope["method"] == "OPTIONS":
            return self._origins.preflight(headers) or Answer(200, (_METHODS, *COMMON), b"")
        if scope["method"] not in ("GET", "HEAD"):
            raise RequestError(405, "METHOD_NOT_ALLOWED", "Use POST, or GET for queries.", _METHODS)
        if wants_page(headers.get(b"accept", b"")[:LONGEST]):
            return self._page
        if media is None:
            raise _unacceptable()
        token = token_of(headers)
        request = decode_query_string(scope["query_string"])
        if request.query is not None and writes(request.query, request.operation):
            raise RequestError(
                405, "METHOD_NOT_ALLOWED", "GET is for queries only: use POST.", (b"allow", b"POST")
            )
        watched.heard = True
        reply = await self._execute(token, request, scope, headers, read_only=True)
        if reply.secret or not reply.ok:
            return Answer(200 if reply.ok or media is JSON else 400, media, reply.body)
        answer = kept(reply.body, media[0], headers.get(b"if-none-match"))
        return await packed(answer, headers)

    async def _stream(
        self,
        token: str,
        request: Request,
        scope: Scope,
        headers: dict[bytes, bytes],
        receive: Receive,
    ) -> Answer | EventStream:
        """Server-sent events; what is refused before the first is answered as ever."""
        ended, slow = asyncio.Event(), asyncio.Event()
        bodies = self._open_operations().run(_client(token, scope, headers), request, slow.set)
        try:
            first = await anext(bodies)
        except Rejected as rejected:
            errors = b'{"errors":' + encode(rejected.errors) + b"}"
            status = _STATUS.get(rejected.errors[0]["extensions"]["code"], 400)
            return Answer(status, RESPONSE, errors)
        return EventStream(200, SSE, first, bodies, receive, ended, slow, self._staying)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        operations = self._operations
        if operations is None or self._leaving or not self._origins.admit(headers):
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "Not from here."})
            return
        socket = Socket(operations, scope, receive, send)
        end = partial(socket.close, RESTART, "The server restarts: connect again.")
        with self._staying.during(end):
            await socket.run()

    def _open_operations(self) -> Operations:
        if self._operations is None or self._leaving:
            raise RequestError(503, "UNAVAILABLE", "The server is starting or stopping.", _SOON)
        return self._operations

    def _count(self, access: "Access") -> None:
        """One operation of a client that stays connected counts as a request."""
        if self._limit is not None and not self._limit.count(access.caller.token_id)[0]:
            raise too_many()

    async def _execute(
        self,
        token: str,
        request: Request,
        scope: Scope,
        headers: dict[bytes, bytes],
        *,
        read_only: bool,
    ) -> "Reply":
        platform, engine = self._platform, self._engine
        if platform is None or engine is None:
            raise RequestError(503, "UNAVAILABLE", "The server is starting or stopping.", _SOON)
        given = headers.get(b"guanxi-reason")
        reason = (reason_of(given) or None) if given else None
        client = scope.get("client")
        access = platform.cached(token)
        if access is None:
            access = await self._admit(platform, token, client[0] if client else "")
        if self._limit is not None:
            allowed, scope[_RATE] = self._limit.count(access.caller.token_id)
            if not allowed:
                raise too_many()
        for _ in range(_ATTEMPTS):
            try:
                return await engine.answer(
                    access,
                    request,
                    locale=locale_of(headers.get(b"accept-language", b"")[:LONGEST]),
                    reason=reason,
                    origin=client[0] if client else None,
                    read_only=read_only,
                    key=headers.get(b"idempotency-key"),
                )
            except StaleAccess:
                platform.forget(token)
            access = await platform.authenticate(token)
        raise RequestError(503, "UNAVAILABLE", "Your rights are being changed: try again.", _SOON)

    async def _admit(self, platform: "Platform", token: str, host: str) -> "Access":
        """Look up a token that is not known yet; slower for an address that sends wrong ones."""
        async with self._strangers.trying(host):
            return await platform.authenticate(token)


def _client(token: str, scope: Scope, headers: dict[bytes, bytes]) -> Client:
    peer, reason = scope.get("client"), headers.get(b"guanxi-reason")
    locale = locale_of(headers.get(b"accept-language", b"")[:LONGEST])
    return Client(
        token, peer[0] if peer else "", locale, (reason_of(reason) or None) if reason else None,
        headers.get(b"idempotency-key"),
    )  # fmt: skip


def _tell(span: traces.AnySpan, activity: Activity, answer: Answer | EventStream) -> None:
    """Call the request's span by what it turned out to be."""
    known = activity.kind != "none"
    if known:
        span.rename(activity.kind)
    span.set(
        graphql__operation__type=activity.kind if known else None,
        graphql__operation__name=activity.name,
        guanxi__tenant__id=None if activity.tenant is None else str(activity.tenant),
        guanxi__request__id=activity.request_id,
        guanxi__error__code=activity.code,
        http__response__status_code=answer.status,
    )
    if answer.status >= 500:
        span.fail(str(answer.status))


def _too_late(activity: Activity, media: Headers | None, *, heard: bool) -> RequestError:
    """As what the database gave up is answered, unless it never came to that."""
    if not heard:
        return RequestError(408, "TIMEOUT", "The request did not arrive in time.")
    message = DOUBTFUL if activity.kind == "mutation" else TOO_SLOW
    return RequestError(200 if media is JSON else 400, "TIMEOUT", message)


def _refusal_of(error: BaseException, scope: Scope) -> RequestError:
    if isinstance(error, Gone):
        return RequestError(499, "GIVEN_UP", "The client went away.")
    if isinstance(error, Unauthenticated):
        return RequestError(401, error.code, error.message, _CHALLENGE)
    if isinstance(error, DatabaseUnavailable) or outage_in(error):
        _log.warning("database unavailable", reason=describe(error))
        return RequestError(503, "UNAVAILABLE", "The database is unavailable: try again.", _SOON)
    if isinstance(error, IssuerUnavailable):
        return RequestError(503, "UNAVAILABLE", "Your token cannot be checked now.", _SOON)
    reference = secrets.token_hex(8)
    _log.error("request failed", reference=reference, method=scope["method"], exc_info=error)
    return RequestError(500, "INTERNAL", "Internal error.", reference=reference)


def _unacceptable() -> RequestError:
    return RequestError(
        406,
        "NOT_ACCEPTABLE",
        "Accept must allow application/graphql-response+json or application/json.",
    )
