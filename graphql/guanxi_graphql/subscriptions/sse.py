"""GraphQL over server-sent events: one operation for each connection."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Final, NamedTuple

from guanxi_graphql.asgi import Headers, Receive, Send
from guanxi_graphql.execute.encoding import encode
from guanxi_graphql.execute.errors import located, refusal
from guanxi_graphql.headers import COMMON
from guanxi_graphql.subscriptions.operations import Rejected
from guanxi_graphql.subscriptions.staying import Staying
from guanxi_graphql.subscriptions.subscriber import TooSlow
from guanxi_sdk import Unauthenticated

HEADERS: Final[Headers] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
    *COMMON,
)
#: Seconds between two signs of life.
_ALIVE: Final = 15.0
_GOODBYE: Final = 2.0
_COMPLETE: Final = b"event: complete\ndata:\n\n"
TOO_SLOW: Final = located(
    "Too slow: subscribe again with the last position as `after`.", "TOO_SLOW"
)


class EventStream(NamedTuple):
    """An answer that goes on: the first body, and those that follow."""

    status: int
    headers: Headers
    first: bytes
    bodies: AsyncGenerator[bytes, None]
    receive: Receive
    ended: asyncio.Event  # set by whoever wants it to end, so that the client comes again
    slow: asyncio.Event
    staying: Staying

    async def send(self, send: Send, more: Headers, bare: bool = False) -> None:
        """Send it with ``more`` headers, until one side has enough; never without a body."""
        headers = [*self.headers, *more]
        with self.staying.during(self.ended.set):
            try:
                start = {"type": "http.response.start", "status": self.status, "headers": headers}
                await send(start)
                await self._events(send)
            finally:
                await self.bodies.aclose()

    async def _events(self, send: Send) -> None:
        """All of them, and a farewell."""
        loop = asyncio.get_running_loop()
        pump = loop.create_task(self._pump(send))
        works = (self._gone(), self._alive(send), self.ended.wait(), self.slow.wait())
        tasks: list[asyncio.Task[Any]] = [pump, *(loop.create_task(work) for work in works)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        last = _event(b'{"errors":[' + encode(TOO_SLOW) + b"]}") if self.slow.is_set() else b""
        with suppress(Exception):
            async with asyncio.timeout(_GOODBYE):
                await send({"type": "http.response.body", "body": last})

    async def _pump(self, send: Send) -> None:
        await _say(send, _event(self.first))
        try:
            async for body in self.bodies:
                await _say(send, _event(body))
        except Rejected as rejected:
            await _say(send, _event(b'{"errors":' + encode(rejected.errors) + b"}"))
        except Unauthenticated as error:
            await _say(send, _event(b'{"errors":[' + encode(refusal(error)) + b"]}"))
        except TooSlow:
            return
        await _say(send, _COMPLETE)

    async def _alive(self, send: Send) -> None:
        while True:
            await asyncio.sleep(_ALIVE)
            await _say(send, b":\n\n")

    async def _gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


def _event(body: bytes) -> bytes:
    """JSON has no line breaks outside of strings, and those are escaped."""
    return b"event: next\ndata: " + body + b"\n\n"


async def _say(send: Send, text: bytes) -> None:
    await send({"type": "http.response.body", "body": text, "more_body": True})
