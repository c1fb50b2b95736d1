"""The few things of ASGI that are used without a framework."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Any], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]


class Answer(NamedTuple):
    """One HTTP response."""

    status: int
    headers: Headers
    body: bytes

    async def send(self, send: Send) -> None:
        """Send it in two messages."""
        start = {
            "type": "http.response.start",
            "status": self.status,
            "headers": [*self.headers, (b"content-length", b"%d" % len(self.body))],
        }
        await send(start)
        await send({"type": "http.response.body", "body": self.body})
