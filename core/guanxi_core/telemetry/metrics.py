"""Metrics for Prometheus: what they are called and what they count.

What the hot path counts waits in plain numbers, which costs a fraction of a microsecond, and joins
prometheus_client's own, which several processes share through files, once a second and whenever
somebody looks. No label's value comes from a client or a tenant.
"""

from bisect import bisect_left
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY: Final = CollectorRegistry()

_FAST: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
_SLOW: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Timing:
    """A histogram of seconds that is cheap to add to, in the event loop."""

    def __init__(
        self, name: str, text: str, labels: tuple[str, ...], bounds: tuple[float, ...]
    ) -> None:
        self._shown = Histogram(name, text, labels, buckets=bounds, registry=REGISTRY)
        self._bounds = bounds
        self._waiting: dict[tuple[str, ...], list[float]] = {}

    def observe(self, seconds: float, *labels: str) -> None:
        """Count one."""
        waiting = self._waiting.get(labels)
        if waiting is None:
            waiting = self._waiting[labels] = [0] * (len(self._bounds) + 2)  # +Inf, and the sum
        waiting[bisect_left(self._bounds, seconds)] += 1
        waiting[-1] += seconds

    def flush(self) -> None:
        """Show what waits."""
        waiting, self._waiting = self._waiting, {}
        for labels, numbers in waiting.items():
            shown = self._shown.labels(*labels)
            shown._sum.inc(numbers[-1])
            for bucket, number in zip(shown._buckets, numbers, strict=False):
                if number:
                    bucket.inc(number)


class Lookups:
    """How often a cache had what was wanted."""

    def __init__(self, cache: str) -> None:
        self.hits = 0
        self.misses = 0
        self._shown = [CACHE_LOOKUPS.labels(cache, result) for result in ("hit", "miss")]

    def flush(self) -> None:
        """Show what waits."""
        for shown, number in zip(self._shown, (self.hits, self.misses), strict=True):
            shown.inc(number)
        self.hits = self.misses = 0


REQUESTS: Final = Timing(
    "guanxi_request_seconds", "Requests to /graphql, by operation and outcome.",
    ("operation", "outcome"), _FAST,
)  # fmt: skip
STATEMENTS: Final = Timing(
    "guanxi_statement_seconds", "SQL statements, by what they were part of.", ("during",), _FAST
)
DELIVERIES: Final = Timing(
    "guanxi_delivery_seconds", "Runs of handlers of events and schedules, by outcome.",
    ("kind", "outcome"), _SLOW,
)  # fmt: skip
POOL_WAITS: Final = Timing(
    "guanxi_pool_wait_seconds", "Waits for a connection or for a turn, by outcome.",
    ("outcome",), _FAST,
)  # fmt: skip
CACHE_LOOKUPS: Final = Counter(
    "guanxi_cache_lookups", "Looks into a cache of documents or plans, and how they ended.",
    ("cache", "result"), registry=REGISTRY,
)  # fmt: skip
DOCUMENTS: Final = Lookups("documents")
PLANS: Final = Lookups("plans")
EDITION_BUILDS: Final = Histogram(
    "guanxi_edition_build_seconds", "Editions that were built, by part.", ("part",),
    buckets=_SLOW, registry=REGISTRY,
)  # fmt: skip
PLUGIN_FAILURES: Final = Counter(
    "guanxi_plugin_failures", "Calls of a plugin's functions that failed or took too long.",
    ("plugin",), registry=REGISTRY,
)  # fmt: skip
BREAKERS: Final = Gauge(
    "guanxi_breakers_open", "Tenants for which a worker has switched the plugin off.", ("plugin",),
    multiprocess_mode="livesum", registry=REGISTRY,
)  # fmt: skip
JOBS: Final = Gauge(
    "guanxi_jobs_running", "Jobs that run now.", multiprocess_mode="livesum", registry=REGISTRY
)
SUBSCRIPTIONS: Final = Gauge(
    "guanxi_subscriptions_open", "Subscriptions that are open.", multiprocess_mode="livesum",
    registry=REGISTRY,
)  # fmt: skip
SUBSCRIPTION_MESSAGES: Final = Counter(
    "guanxi_subscription_messages", "Messages to clients that stay connected.", registry=REGISTRY
)
SUBSCRIPTIONS_CUT: Final = Counter(
    "guanxi_subscriptions_cut", "Subscriptions that ended because the client was too slow.",
    registry=REGISTRY,
)  # fmt: skip
POOL: Final = Gauge(
    "guanxi_pool_connections", "Connections to the database, by state; limit is the most.",
    ("pool", "state"), multiprocess_mode="livesum", registry=REGISTRY,
)  # fmt: skip
POOL_WAITING: Final = Gauge(
    "guanxi_pool_waiting", "Callers that wait for a connection of the pool compiled now.",
    multiprocess_mode="livesum", registry=REGISTRY,
)  # fmt: skip
PAUSE: Final = Gauge(
    "guanxi_event_loop_pause_seconds",
    "The longest time that an event loop stood still within the last minute.",
    multiprocess_mode="livemax", registry=REGISTRY,
)  # fmt: skip
PROCESSES: Final = Gauge(
    "guanxi_processes", "Processes that these numbers tell of.", multiprocess_mode="livesum",
    registry=REGISTRY,
)  # fmt: skip
MEMORY: Final = Gauge(
    "process_resident_memory_bytes", "Resident memory, of all processes together.",
    multiprocess_mode="livesum", registry=REGISTRY,
)  # fmt: skip
FILES: Final = Gauge(
    "process_open_fds", "Open file descriptors, of all processes together.",
    multiprocess_mode="livesum", registry=REGISTRY,
)  # fmt: skip
CPU: Final = Counter(
    "process_cpu_seconds", "Processor time, of all processes together.", registry=REGISTRY
)
STARTED: Final = Gauge(
    "process_start_time_seconds", "When the youngest process started, in Unix time.",
    multiprocess_mode="livemax", registry=REGISTRY,
)  # fmt: skip

_BUFFERED: Final = (REQUESTS, STATEMENTS, DELIVERIES, POOL_WAITS, DOCUMENTS, PLANS)


def flush() -> None:
    """Show what the hot path has counted."""
    for one in _BUFFERED:
        one.flush()


#: Outcomes of a request by the code of its error; all other codes are a fault of the request.
_OUTCOMES: Final = {
    None: "ok", "UNAUTHENTICATED": "unauthenticated", "FORBIDDEN": "forbidden",
    "RATE_LIMITED": "rate_limited", "LIMIT_EXCEEDED": "limit_exceeded", "CONFLICT": "conflict",
    "PLUGIN_FAILED": "plugin_failed", "TIMEOUT": "timeout", "UNAVAILABLE": "unavailable",
    "GIVEN_UP": "given_up", "INTERNAL": "error",
}  # fmt: skip


def outcome_of(code: str | None) -> str:
    """What a request with this error is counted as."""
    return _OUTCOMES.get(code, "invalid")
