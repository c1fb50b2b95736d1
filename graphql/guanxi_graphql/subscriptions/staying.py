"""What stays open until one side has enough: sockets and streams of events."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Staying:
    """All that stays open, told to end when the server stops."""

    def __init__(self) -> None:
        self._ends: set[Callable[[], object]] = set()
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def during(self, end: Callable[[], object]) -> Iterator[None]:
        """One more stays open for the duration; ``end`` asks it to end soon."""
        self._ends.add(end)
        self._none.clear()
        try:
            yield
        finally:
            self._ends.discard(end)
            if not self._ends:
                self._none.set()

    def end(self) -> None:
        """Ask all of them to end."""
        for end in list(self._ends):
            end()

    async def ended(self, seconds: float) -> None:
        """Wait until none is left, so that each was told why; but no longer than this."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none.wait()
