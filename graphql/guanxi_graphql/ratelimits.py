"""How much one token, or one stranger, may ask of this worker: token buckets, kept in memory."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final

from guanxi_graphql.asgi import Headers
from guanxi_graphql.requests import RequestError
from guanxi_sdk import Unauthenticated

_MOST: Final = 10_000
#: Wrong tokens that one address may send a second, and at once.
_STRANGERS: Final = (1.0, 20)


class Buckets:
    """``burst`` at once, and ``rate`` a second after that, for each key."""

    def __init__(self, rate: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        self.rate: Final = rate
        self.burst: Final = burst
        self._now = now
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def _level(self, key: Hashable, now: float) -> float:
        """How much is left."""
        level, at = self._levels.get(key, (float(self.burst), now))
        return min(self.burst, level + (now - at) * self.rate)

    def take(self, key: Hashable) -> float:
        """Take one if there is any; returns how much is left, less than 0 for a refusal."""
        now = self._now()
        level = self._level(key, now) - 1
        if level >= 0:
            self._levels[key] = level, now
            self._levels.move_to_end(key)
            if len(self._levels) > _MOST:
                self._levels.popitem(last=False)
        return level

    def give(self, key: Hashable) -> None:
        """Give back one that was taken for nothing."""
        now = self._now()
        level = self._level(key, now) + 1
        if level < self.burst:
            self._levels[key] = level, now
        else:
            self._levels.pop(key, None)


class TokenLimit:
    """Counts the requests of each token and says how many are left."""

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self._buckets = Buckets(rate, max(1, ceil(rate * 2)), now)
        window = max(1, ceil(self._buckets.burst / rate))
        policy = b'"token";q=%d;w=%d' % (self._buckets.burst, window)
        self._policy = (b"ratelimit-policy", policy)

    def count(self, token_id: Hashable) -> tuple[bool, Headers]:
        """Whether this request is within the limit, and the headers that tell."""
        left = self._buckets.take(token_id)
        if left >= 0:
            reset = ceil((self._buckets.burst - left) / self._buckets.rate)
            return True, (self._policy, (b"ratelimit", b'"token";r=%d;t=%d' % (left, reset)))
        reset = ceil(-left / self._buckets.rate)
        return False, (
            self._policy, (b"ratelimit", b'"token";r=0;t=%d' % reset),
            (b"retry-after", b"%d" % reset),
        )  # fmt: skip


@dataclass(slots=True)
class _Trials:
    """Tokens of one address that are being looked up, and those that wait for the outcome."""

    present: int = 0
    running: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    async def outcome(self) -> None:
        """Wait until one of those that are running has ended."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            with suppress(ValueError):
                self.waiting.remove(turn)
            raise

    def wake(self, most: int) -> None:
        """Let those who wait longest look again."""
        for turn in [self.waiting.popleft() for _ in range(min(most, len(self.waiting)))]:
            if not turn.done():
                turn.set_result(None)


class StrangerLimit:
    """Slows down who tries tokens; an address with good ones is not held up by its own use."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._buckets = Buckets(*_STRANGERS, now)
        self._trials: dict[Hashable, _Trials] = {}

    @asynccontextmanager
    async def trying(self, host: str) -> AsyncIterator[None]:
        """Look up a token of ``host`` in the block; raises 429 where too many were wrong.

        One is taken before, and given back unless the token is wrong, so that those that come at
        once count, too. What may be one too many waits for the outcome of those before it.
        """
        network = _network(host)
        trials = self._trials.setdefault(network, _Trials())
        trials.present += 1
        try:
            while self._buckets.take(network) < 0:
                if not trials.running:
                    raise too_many((b"retry-after", b"1"))
                await trials.outcome()
            trials.running += 1
            good = True
            try:
                yield
            except Unauthenticated:
                good = False
                raise
            finally:
                trials.running -= 1
                if good:
                    self._buckets.give(network)
                trials.wake(len(trials.waiting) if not trials.running else int(good))
        finally:
            trials.present -= 1
            if not trials.present:
                del self._trials[network]


def too_many(*headers: tuple[bytes, bytes]) -> RequestError:
    """The answer to one request too many."""
    return RequestError(429, "RATE_LIMITED", "Too many requests: wait a moment.", *headers)


def _network(host: str) -> Hashable:
    """An IPv6 address by its network, because a host has all of that at its disposal."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return int(address) >> 64 if isinstance(address, IPv6Address) else host
