"""Who waits for a connection of the pool: until one comes back, or for a turn."""

import asyncio
import time
from collections import deque
from typing import Any, Final, NamedTuple

from guanxi_core.database.outages import DatabaseUnavailable

MOMENT: Final = 0.02  # seconds after which nobody waits for a turn


class Waiter(NamedTuple):
    """One who waits; None tells them to open the connection."""

    since: float
    tenant: object
    lent: "asyncio.Future[Any]"


class Waiting:
    """Two queues: who waits for a turn, and who does because every connection is lent."""

    def __init__(self, patience: float) -> None:
        self.patience: Final = patience
        self.moment = min(MOMENT, patience)
        self._turns: deque[Waiter] = deque()
        self._others: deque[Waiter] = deque()

    def __bool__(self) -> bool:
        """Whether there may be anybody."""
        return bool(self._turns or self._others)

    def __len__(self) -> int:
        """How many they are."""
        return sum(not waiter.lent.done() for waiter in (*self._turns, *self._others))

    def join(self, tenant: object, *, in_turn: bool) -> Waiter:
        """Be the last."""
        waiter = Waiter(time.perf_counter(), tenant, asyncio.get_running_loop().create_future())
        (self._turns if in_turn else self._others).append(waiter)
        return waiter

    def next(self, *, crowded: bool) -> Waiter | None:
        """Who waits longest, and waits no more; while it is ``crowded`` turns take a moment."""
        turn, other = _first(self._turns), _first(self._others)
        if turn is not None and crowded and time.perf_counter() - turn.since < self.moment:
            turn = None
        if turn is not None and (other is None or turn.since <= other.since):
            return self._turns.popleft()
        return None if other is None else self._others.popleft()

    def turn_away(self, reason: str) -> float:
        """Tell those whose patience has ended the ``reason``; seconds until the next look."""
        now, rest = time.perf_counter(), self.moment
        for queue in (self._turns, self._others):
            while (waiter := _first(queue)) is not None and now - waiter.since >= self.patience:
                queue.popleft().lent.set_exception(DatabaseUnavailable(reason))
            if waiter is not None:
                for wait in (self.moment, self.patience):
                    if now - waiter.since < wait:
                        rest = min(rest, wait - (now - waiter.since))
        return rest

    def dismiss(self, reason: str) -> None:
        """Tell everybody the ``reason`` why they wait in vain."""
        for waiter in (*self._turns, *self._others):
            if not waiter.lent.done():
                waiter.lent.set_exception(DatabaseUnavailable(reason))
        self._turns.clear()
        self._others.clear()


def _first(queue: deque[Waiter]) -> Waiter | None:
    """Who waits longest, those who gave up left out."""
    while queue and queue[0].lent.done():
        queue.popleft()
    return queue[0] if queue else None
