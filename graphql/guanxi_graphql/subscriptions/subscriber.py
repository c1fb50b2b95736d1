"""One open subscription: what it is told waits here, and no more than fits."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from guanxi_core.feed import Position
from guanxi_core.telemetry import metrics
from guanxi_graphql.execute.following import Following, Message

#: What may wait for a client that reads slower than things happen.
MOST: Final = 1_000
LARGEST: Final = 1_048_576
#: Seconds after which one that heard of nothing is told where it stands.
_QUIET: Final = 300.0


class TooSlow(Exception):
    """The client does not read what it asked for."""


class Subscriber:
    """``cut`` is called when the client turns out to be too slow."""

    def __init__(self, following: Following, position: Position, cut: Callable[[], None]) -> None:
        self.following = following
        #: Behind the last message that was handed out.
        self.position = position
        self._cut = cut
        self._waiting: deque[Message] = deque()
        self._size = 0
        self._changed = asyncio.Event()
        self._reason: Exception | None = None
        self._told = time.monotonic()

    def offer(self, messages: Sequence[Message]) -> None:
        """Have it told."""
        if not messages or self._reason is not None:
            return
        self._waiting.extend(messages)
        self._size += sum(len(body) for _, body in messages)
        self._told = time.monotonic()
        self._changed.set()
        if len(self._waiting) > max(MOST, len(messages)) or (
            self._size > LARGEST and len(self._waiting) > len(messages)
        ):
            metrics.SUBSCRIPTIONS_CUT.inc()
            self.leave(TooSlow())
            self._cut()

    def rest(self, position: Position) -> None:
        """Have it told where it stands, if it was told nothing for long."""
        if time.monotonic() - self._told > _QUIET:
            self.offer([self.following.quiet(position)])

    def leave(self, reason: Exception) -> None:
        """End it, without what waits: that may not be told any more."""
        self._reason = self._reason or reason
        self._waiting.clear()
        self._changed.set()

    async def take(self) -> bytes:
        """The next message; raises the reason once it has left."""
        while not self._waiting:
            if self._reason is not None:
                raise self._reason
            self._changed.clear()
            await self._changed.wait()
        self.position, body = self._waiting.popleft()
        self._size -= len(body)
        return body
