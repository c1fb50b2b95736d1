"""GraphQL over a WebSocket, by the protocol graphql-transport-ws.

The token comes with ``connection_init``, as ``Authorization`` in its payload: no cookie or header
of a browser ever admits anybody. Each message of a client is dealt with before the next is read;
operations run beside that, as tasks.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, aclosing, suppress
from typing import Any, Final

import msgspec
import structlog

from guanxi_core.database.outages import DatabaseUnavailable, outage_in
from guanxi_core.issuers import IssuerUnavailable
from guanxi_graphql.asgi import Receive, Scope, Send
from guanxi_graphql.execute.encoding import encode
from guanxi_graphql.headers import LONGEST, locale_of, reason_of, token_of
from guanxi_graphql.requests import BODY_LIMIT, RequestError, decode
from guanxi_graphql.subscriptions.operations import Client, Operations, Rejected, too_many_of
from guanxi_graphql.subscriptions.subscriber import TooSlow
from guanxi_sdk import Unauthenticated

PROTOCOL: Final = "graphql-transport-ws"
#: Seconds in which a client must send ``connection_init``.
INITIALISATION: Final = 3.0
#: Seconds between two pings, and after which one that sends nothing is given up.
PING: Final = 20.0
SILENCE: Final = 65.0
#: Seconds that saying goodbye may take.
_GOODBYE: Final = 2.0
_LONGEST_REASON: Final = 120  # bytes; a close frame has room for 123
_log = structlog.get_logger("guanxi.websocket")

INVALID, UNAUTHORIZED, FORBIDDEN, SUBPROTOCOL = 4400, 4401, 4403, 4406
INIT_TIMEOUT, DUPLICATE, TOO_MANY_INITS = 4408, 4409, 4429
#: Own codes: the client reads too slowly, or gives no sign of life.
TOO_SLOW, SILENT = 4430, 4431
#: Of RFC 6455 and its registry.
TOO_BIG, FAILED, RESTART, LATER = 1009, 1011, 1012, 1013


class _Message(msgspec.Struct):
    type: str
    id: str | None = None
    payload: msgspec.Raw = msgspec.Raw(b"null")


_decode = msgspec.json.Decoder(_Message).decode
_headers = msgspec.json.Decoder(dict[str, Any] | None).decode


class _Bye(Exception):
    """The connection ends with a code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Socket:
    """One connection."""

    def __init__(self, operations: Operations, scope: Scope, receive: Receive, send: Send) -> None:
        self._operations = operations
        self._scope = scope
        self._receive = receive
        self._send = send
        self._client: Client | None = None
        self._initialised = False
        self._running: dict[str, asyncio.Task[None]] = {}
        self._heard = time.monotonic()
        self._bye: _Bye | None = None
        self._gone = False
        self._stack = ExitStack()
        self._reader: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until one side has enough."""
        await self._receive()
        if PROTOCOL not in self._scope.get("subprotocols", ()):
            await self._send({"type": "websocket.accept"})
            self.close(SUBPROTOCOL, "Subprotocol not acceptable")
        else:
            await self._send({"type": "websocket.accept", "subprotocol": PROTOCOL})
            loop = asyncio.get_running_loop()
            self._reader = loop.create_task(self._read())
            pinging = loop.create_task(self._ping())
            await asyncio.wait({self._reader, pinging}, return_when=asyncio.FIRST_COMPLETED)
            await _cancel(self._reader, pinging, *self._running.values())
        self._stack.close()
        if self._bye is not None and not self._gone:
            farewell = {
                "type": "websocket.close", "code": self._bye.code,
                "reason": self._bye.reason.encode()[:_LONGEST_REASON].decode(errors="ignore"),
            }  # fmt: skip
            with suppress(Exception):
                async with asyncio.timeout(_GOODBYE):
                    await self._send(farewell)

    def close(self, code: int, reason: str) -> None:
        """End it; the first reason counts."""
        if self._bye is None:
            self._bye = _Bye(code, reason)
            if self._reader is not None:
                self._reader.cancel()

    # --- what the client says ------------------------------------------------------------------

    async def _read(self) -> None:
        timer = asyncio.get_running_loop().call_later(INITIALISATION, self._expect)
        try:
            while True:
                given = await self._receive()
                if given["type"] != "websocket.receive":
                    self._gone = True
                    return
                self._heard = time.monotonic()
                await self._hear(given)
        except _Bye as bye:
            self.close(bye.code, bye.reason)
        finally:
            timer.cancel()

    def _expect(self) -> None:
        if not self._initialised:
            self.close(INIT_TIMEOUT, "Connection initialisation timeout")

    async def _hear(self, given: Any) -> None:
        text = given.get("text")
        if text is None:
            raise _Bye(INVALID, "Messages are text.")
        if len(text) > BODY_LIMIT:
            raise _Bye(TOO_BIG, f"Messages have at most {BODY_LIMIT // 1024} KB.")
        try:
            message = _decode(text.encode())
        except (ValueError, RecursionError):
            raise _Bye(INVALID, "Invalid message received") from None
        act = self._ACTS.get(message.type)
        if act is None:
            raise _Bye(INVALID, "Invalid message received")
        await act(self, message)

    async def _init(self, message: _Message) -> None:
        if self._initialised:
            raise _Bye(TOO_MANY_INITS, "Too many initialisation requests")
        self._initialised = True
        try:
            client = self._client_of(message)
            access = await self._operations.access(client)
            self._stack.enter_context(self._operations.connected(access))
        except Unauthenticated:
            raise _Bye(FORBIDDEN, "Forbidden") from None
        except Rejected as rejected:
            raise _Bye(LATER, rejected.errors[0]["message"]) from None
        except RequestError as error:
            raise _Bye(LATER if error.status == 429 else INVALID, str(error)) from None
        except _Bye:
            raise
        except Exception as error:
            if isinstance(error, DatabaseUnavailable | IssuerUnavailable) or outage_in(error):
                raise _Bye(LATER, "Tokens cannot be checked now: try again.") from None
            _log.error("a connection failed", exc_info=error)
            raise _Bye(FAILED, "Internal error") from None
        self._client = client
        await self._tell({"type": "connection_ack"})

    def _client_of(self, message: _Message) -> Client:
        """What the payload says, spelt as the headers of HTTP are."""
        try:
            given = _headers(message.payload) or {}
        except (ValueError, RecursionError):
            raise _Bye(INVALID, "Invalid message received") from None
        headers = dict(self._scope["headers"])
        for name in ("authorization", "accept-language", "guanxi-reason"):
            headers.pop(name.encode(), None)
            value = next((v for k, v in given.items() if k.lower() == name), None)
            if isinstance(value, str):
                headers[name.encode()] = value.encode("utf-8", "replace")
        reason = headers.get(b"guanxi-reason")
        peer = self._scope.get("client")
        return Client(
            token_of(headers), peer[0] if peer else "",
            locale_of(headers.get(b"accept-language", b"")[:LONGEST]),
            (reason_of(reason) or None) if reason else None,
        )  # fmt: skip

    async def _subscribe(self, message: _Message) -> None:
        if self._client is None:
            raise _Bye(UNAUTHORIZED, "Unauthorized")
        identity = message.id
        if not identity:
            raise _Bye(INVALID, "Invalid message received")
        if identity in self._running:
            raise _Bye(DUPLICATE, f"Subscriber for {identity} already exists")
        try:
            request = decode(bytes(message.payload))
        except RequestError as error:
            raise _Bye(INVALID, str(error)) from None
        bound = self._operations.bounds.connection
        if bound and len(self._running) >= bound:
            await self._error(identity, [too_many_of("connection", bound)])
            return
        running = asyncio.get_running_loop().create_task(
            self._operate(self._client, identity, request)
        )
        self._running[identity] = running

    async def _complete(self, message: _Message) -> None:
        if not message.id:
            raise _Bye(INVALID, "Invalid message received")
        if (running := self._running.pop(message.id, None)) is not None:
            running.cancel()

    async def _pinged(self, message: _Message) -> None:
        given = {} if bytes(message.payload) == b"null" else {"payload": message.payload}
        await self._tell({"type": "pong", **given})

    async def _ponged(self, _: _Message) -> None:
        pass

    _ACTS: Final[dict[str, Callable[..., Awaitable[None]]]] = {
        "connection_init": _init, "subscribe": _subscribe, "complete": _complete,
        "ping": _pinged, "pong": _ponged,
    }  # fmt: skip

    # --- what it is told -----------------------------------------------------------------------

    async def _operate(self, client: Client, identity: str, request: Any) -> None:
        try:
            async with aclosing(self._operations.run(client, request, self._cut)) as bodies:
                async for body in bodies:
                    told = {"id": identity, "type": "next", "payload": msgspec.Raw(body)}
                    await self._tell(told)
        except Rejected as rejected:
            self._forget(identity)
            await self._error(identity, rejected.errors)
        except Unauthenticated:
            self.close(FORBIDDEN, "Forbidden")
        except TooSlow:
            return  # the connection is being closed
        else:
            self._forget(identity)
            await self._tell({"id": identity, "type": "complete"})

    def _forget(self, identity: str) -> None:
        """The client may use the id again once it has been told of the end."""
        if self._running.get(identity) is asyncio.current_task():
            del self._running[identity]

    def _cut(self) -> None:
        self.close(TOO_SLOW, "Too slow: subscribe again with the last position as `after`.")

    async def _error(self, identity: str, errors: list[dict[str, Any]]) -> None:
        await self._tell({"id": identity, "type": "error", "payload": errors})

    async def _tell(self, message: dict[str, Any]) -> None:
        await self._send({"type": "websocket.send", "text": encode(message).decode()})

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING)
            if time.monotonic() - self._heard > SILENCE:
                self.close(SILENT, "No sign of life: connect again.")
                return
            try:
                async with asyncio.timeout(PING):
                    await self._tell({"type": "ping"})
            except TimeoutError:
                self._cut()
                return


async def _cancel(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
