"""GraphQL over HTTP: the raw ASGI application behind ``/graphql``.

It is not an ordinary Litestar handler because those cost more than a small query does. Everything
that a header says is worked out once and remembered; a request with a known token awaits nothing
but its body, its answer and the two messages that send it.
"""

import secrets
from typing import TYPE_CHECKING

import asyncpg
import structlog

from guanxi_core.database.pool import DatabaseUnavailable
from guanxi_core.issuers import IssuerUnavailable
from guanxi_graphql.asgi import Answer, Headers, Receive, Scope, Send
from guanxi_graphql.execute.errors import StaleAccess
from guanxi_graphql.headers import (
    COMMON,
    JSON,
    LONGEST,
    is_json,
    locale_of,
    media_of,
    reason_of,
    token_of,
    wants_page,
)
from guanxi_graphql.limits import writes
from guanxi_graphql.ratelimits import StrangerLimit, TokenLimit, too_many
from guanxi_graphql.requests import (
    Disconnected,
    Request,
    RequestError,
    decode,
    decode_query_string,
    is_whole,
    read_rest,
)
from guanxi_sdk import Unauthenticated

if TYPE_CHECKING:
    from guanxi_core.platform import Access, Platform
    from guanxi_graphql.execute.engine import Engine, Reply

_ATTEMPTS = 3  # rights that change while a request runs make it start again

_log = structlog.get_logger("guanxi.http")
#: What the driver raises where a connection breaks in the middle of something, and the pool before.
_LOST = (
    DatabaseUnavailable,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)

_METHODS = (b"allow", b"GET, POST, OPTIONS")
_CHALLENGE = (b"www-authenticate", b'Bearer realm="guanxi"')
_SOON = (b"retry-after", b"1")
_REPLAYED = (b"idempotent-replayed", b"true")
_RATE = "guanxi.ratelimit"  # in the scope: headers for the answer


class GraphQLEndpoint:
    """Answers ``/graphql``; ``page`` is what a browser gets.

    ``rate_limit`` is how many requests a second one token may send; 0 is any number.
    """

    def __init__(self, page: Answer, rate_limit: float = 0) -> None:
        self._page = page
        self._limit = TokenLimit(rate_limit) if rate_limit else None
        self._strangers = StrangerLimit()
        self._platform: Platform | None = None
        self._engine: Engine | None = None

    def open(self, platform: "Platform", engine: "Engine") -> None:
        """Begin to answer queries."""
        self._platform = platform
        self._engine = engine

    def close(self) -> None:
        """Refuse further queries with 503."""
        self._platform = self._engine = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008, "reason": "Use HTTP."})
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        media = media_of(headers.get(b"accept", b"")[:LONGEST])
        try:
            if scope["method"] == "POST":
                answer = await self._post(scope, headers, media, receive)
            else:
                answer = await self._other(scope, headers, media)
        except Disconnected:
            return
        except (Exception, SystemExit) as error:  # a plugin may raise anything
            refused = error if isinstance(error, RequestError) else _refusal_of(error, scope)
            extra = (*(media or JSON), *refused.headers)
            answer = Answer(refused.status, extra, refused.body)
        if self._limit is not None and _RATE in scope:
            answer = answer._replace(headers=(*answer.headers, *scope[_RATE]))
        await answer.send(send)

    async def _post(
        self, scope: Scope, headers: dict[bytes, bytes], media: Headers | None, receive: Receive
    ) -> Answer:
        if not is_json(headers.get(b"content-type", b"")[:LONGEST]):
            raise RequestError(
                415, "UNSUPPORTED_MEDIA_TYPE", "Send the request as application/json in UTF-8."
            )
        if media is None:
            raise _unacceptable()
        token = token_of(headers)
        message = await receive()
        body = message.get("body", b"")
        if not is_whole(message, body, headers):
            body = await read_rest(message, receive)
        reply = await self._execute(token, decode(body), scope, headers, read_only=False)
        given = (*media, _REPLAYED) if reply.replayed else media
        return Answer(200 if reply.ok or media is JSON else 400, given, reply.body)

    async def _other(
        self, scope: Scope, headers: dict[bytes, bytes], media: Headers | None
    ) -> Answer:
        if scope["method"] == "OPTIONS":
            return Answer(200, (_METHODS, *COMMON), b"")
        if scope["method"] != "GET":
            raise RequestError(405, "METHOD_NOT_ALLOWED", "Use POST, or GET for queries.", _METHODS)
        if wants_page(headers.get(b"accept", b"")[:LONGEST]):
            return self._page
        if media is None:
            raise _unacceptable()
        token = token_of(headers)
        request = decode_query_string(scope["query_string"])
        if writes(request.query, request.operation):
            raise RequestError(
                405, "METHOD_NOT_ALLOWED", "GET is for queries only: use POST.", (b"allow", b"POST")
            )
        reply = await self._execute(token, request, scope, headers, read_only=True)
        return Answer(200 if reply.ok or media is JSON else 400, media, reply.body)

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
                return await engine.execute(
                    access,
                    request.query,
                    request.variables,
                    request.operation or None,
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
        self._strangers.check(host)
        try:
            return await platform.authenticate(token)
        except Unauthenticated:
            self._strangers.wrong(host)
            raise


def _refusal_of(error: BaseException, scope: Scope) -> RequestError:
    if isinstance(error, Unauthenticated):
        return RequestError(401, error.code, error.message, _CHALLENGE)
    if isinstance(error, _LOST):
        _log.warning("database unavailable", reason=str(error))
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
