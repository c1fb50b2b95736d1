"""How much one token, or one stranger, may ask of this worker: token buckets, kept in memory."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final

from guanxi_graphql.asgi import Headers
from guanxi_graphql.requests import RequestError

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

    def level(self, key: Hashable) -> float:
        """How much is left."""
        level, at = self._levels.get(key, (float(self.burst), 0.0))
        return min(self.burst, level + (self._now() - at) * self.rate)

    def take(self, key: Hashable) -> float:
        """Take one if there is any; returns how much is left, less than 0 for a refusal."""
        level = self.level(key) - 1
        if level >= 0:
            self._levels[key] = level, self._now()
            self._levels.move_to_end(key)
            if len(self._levels) > _MOST:
                self._levels.popitem(last=False)
        return level


class TokenLimit:
    """Counts the requests of each token and says how many are left."""

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self._buckets = Buckets(rate, max(1, ceil(rate * 2)), now)
        window = max(1, ceil(self._buckets.burst / rate))
        self._policy = b'"token";q=%d;w=%d' % (self._buckets.burst, window)

    def count(self, token_id: Hashable) -> tuple[bool, Headers]:
        """Whether this request is within the limit, and the headers that tell."""
        left = self._buckets.take(token_id)
        allowed = left >= 0
        missing = self._buckets.burst - left if allowed else -left
        reset = ceil(missing / self._buckets.rate)
        headers: Headers = (
            (b"ratelimit-policy", self._policy),
            (b"ratelimit", b'"token";r=%d;t=%d' % (max(0, int(left)), reset)),
        )
        return allowed, headers if allowed else (*headers, (b"retry-after", b"%d" % reset))


class StrangerLimit:
    """Slows down who tries tokens; an address with good ones is not held up by its own use."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._buckets = Buckets(*_STRANGERS, now)

    def check(self, host: str) -> None:
        """Raise 429 where too many wrong tokens came from ``host``."""
        if self._buckets.level(_network(host)) < 1:
            raise too_many((b"retry-after", b"1"))

    def wrong(self, host: str) -> None:
        """A wrong token came from ``host``."""
        self._buckets.take(_network(host))


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
