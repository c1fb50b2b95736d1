"""Answering a scrape: the numbers of all processes, and what only the database knows.

The database is asked in the background, at most every ten seconds. A scrape waits for it a moment
and says when there was no answer; it never fails because of that.
"""

import asyncio
import hmac
import os
import platform as python
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.multiprocess import MultiProcessCollector

from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_core.telemetry import metrics
from guanxi_core.telemetry.sharing import VARIABLE, forget_the_dead

if TYPE_CHECKING:
    from guanxi_core.platform import Platform
    from guanxi_core.sealing import Sealer

__all__ = ["CONTENT_TYPE", "Observer", "is_permitted"]

_EVERY: Final = 1.0  # seconds between two samples
_FRESH: Final = 10.0  # seconds that the database's answer is good for
_PATIENCE: Final = 1.0  # seconds that a scrape waits for the database
_LONGEST: Final = 5.0  # seconds after which the database counts as away
_UNREACHABLE: Final = (
    DatabaseUnavailable, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError
)  # fmt: skip


def is_permitted(authorization: bytes, token: str | None) -> bool:
    """Whether a request with this header may see metrics: nobody may where no token is set."""
    if token is None:
        return False
    scheme, _, given = authorization.partition(b" ")
    same = hmac.compare_digest(given.strip(), token.encode())
    return same and scheme.lower() == b"bearer"


class Observer:
    """Looks at one process once a second, and answers scrapes.

    ``pause`` tells for how long the event loop stood still.
    """

    def __init__(self, pause: Callable[[], float]) -> None:
        self._pause = pause
        self._platform: Platform | None = None
        self._sealer: Sealer | None = None
        self._process = ProcessCollector(registry=None)
        self._cpu = 0.0
        self._rows: Sequence[Any] | None = None  # of guanxi_backlog(); None while it is away
        self._asked = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    def watch(self, platform: "Platform | None", sealer: "Sealer | None" = None) -> None:
        """Tell of these from now on."""
        self._platform, self._sealer = platform, sealer
        self._rows, self._asked = None, float("-inf")

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Take samples while the block runs."""
        metrics.PROCESSES.set(1)
        sampling = asyncio.get_running_loop().create_task(self._sample_on())
        try:
            yield
        finally:
            sampling.cancel()
            if self._asking is not None:
                self._asking.cancel()
            metrics.flush()

    async def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        self.sample()
        await self._ask_database()
        folder = os.environ.get(VARIABLE)
        return await asyncio.to_thread(self._generate, folder)

    def sample(self) -> None:
        """Look at what changes by itself, and show what was counted."""
        metrics.flush()
        metrics.PAUSE.set(self._pause())
        for family in self._process.collect():
            self._keep(family)
        if self._platform is not None:
            for name, state in self._platform.connections().items():
                for key in ("limit", "open", "used"):
                    metrics.POOL.labels(name, key).set(getattr(state, key))
            metrics.POOL_WAITING.set(self._platform.pool.waiting)

    async def _sample_on(self) -> None:
        while True:
            self.sample()
            await asyncio.sleep(_EVERY)

    def _keep(self, family: Metric) -> None:
        value = family.samples[0].value
        if family.name == "process_resident_memory_bytes":
            metrics.MEMORY.set(value)
        elif family.name == "process_open_fds":
            metrics.FILES.set(value)
        elif family.name == "process_start_time_seconds":
            metrics.STARTED.set(value)
        elif family.name == "process_cpu_seconds":
            metrics.CPU.inc(max(0.0, value - self._cpu))
            self._cpu = value

    # --- the database --------------------------------------------------------------------------

    async def _ask_database(self) -> None:
        if self._asking is None and time.monotonic() - self._asked > _FRESH:
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=_PATIENCE)

    async def _ask(self) -> None:
        rows = None
        try:
            if self._platform is not None:
                with suppress(*_UNREACHABLE):
                    async with asyncio.timeout(_LONGEST):
                        rows = await self._platform.pool.call("SELECT * FROM guanxi_backlog()")
        finally:
            self._rows, self._asked, self._asking = rows, time.monotonic(), None

    # --- telling -------------------------------------------------------------------------------

    def _generate(self, folder: str | None) -> bytes:
        registry = CollectorRegistry()
        if folder is None or not os.path.isdir(folder):
            registry.register(metrics.REGISTRY)
        else:
            forget_the_dead(folder)
            MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        registry.register(self)
        return generate_latest(registry)

    def describe(self) -> Iterable[Metric]:
        """What :meth:`collect` may tell of."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """What is no process' own; called by prometheus_client."""
        build = GaugeMetricFamily(
            "guanxi_build_info", "The versions that run.", labels=("version", "python")
        )
        build.add_metric((version("guanxi"), python.python_version()), 1)
        yield build
        rows = self._rows
        fresh = time.monotonic() - self._asked < _FRESH + _LONGEST
        up = rows is not None and fresh
        yield GaugeMetricFamily(
            "guanxi_database_up", "Whether the database answered within the last seconds.",
            value=up,
        )  # fmt: skip
        if rows is not None and up:
            waiting, dead = sum(row["waiting"] for row in rows), sum(row["dead"] for row in rows)
            oldest = min((row["oldest"].timestamp() for row in rows if row["oldest"]), default=None)
            age = 0.0 if oldest is None else max(0.0, time.time() - oldest)
            yield GaugeMetricFamily(
                "guanxi_backlog", "Events and deliveries that wait, of all tenants.", value=waiting
            )
            yield GaugeMetricFamily(
                "guanxi_backlog_oldest_seconds", "How long the oldest of them has waited.",
                value=age,
            )  # fmt: skip
            yield GaugeMetricFamily(
                "guanxi_dead_letters", "Deliveries that were given up.", value=dead
            )
        if self._sealer is not None:
            yield GaugeMetricFamily(
                "guanxi_audit_unsealed_seconds",
                "No audit entry older than this is without its seal.",
                value=time.monotonic() - self._sealer.sealed,
            )
