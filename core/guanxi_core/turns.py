"""Taking turns within one process, before anything is held that others need."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Final

from guanxi_sdk import Refusal

#: How many may wait for one key.
MOST: Final = 256


class _Queue:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.length = 0


class Turns:
    """One at a time for each key, in the order in which they come."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, _Queue] = {}

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[None]:
        """Wait until nobody else is at ``key``; too many who do are refused."""
        queue = self._queues.setdefault(key, _Queue())
        if queue.length > MOST:
            raise Refusal(
                None, f"More than {MOST} requests wait for this Idempotency-Key already.",
                code="LIMIT_EXCEEDED",
            )  # fmt: skip
        queue.length += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.length -= 1
            if not queue.length:
                del self._queues[key]
