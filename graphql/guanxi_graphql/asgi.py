"""The few things of ASGI that are used without a framework."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Any], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

_EMPTY = (204, 304)  # have no body, and no length of one


class Answer(msgspec.Struct, frozen=True):
    """One HTTP response."""

    status: int
    headers: Headers
    body: bytes

    async def send(self, send: Send, more: Headers = (), bare: bool = False) -> None:
        """Send it in two messages, with ``more`` headers; a ``bare`` one without its body."""
        headers = [*self.headers, *more]
        if self.status not in _EMPTY:
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if bare else self.body})
