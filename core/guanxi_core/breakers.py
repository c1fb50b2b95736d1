"""Circuit breakers: a plugin that keeps failing for a tenant is switched off there for a while.

Each worker process has its own. What answers, even with a refusal, has not failed. Failures in a
row are counted for each function, so that a plugin's good ones do not hide a bad one; when one has
failed too often the whole plugin is open, which means that it is not called. After a pause one
call is let through: if it answers the breaker closes, else the next pause is twice as long.
"""

import asyncio
import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self
from uuid import UUID

import asyncpg

from guanxi_core.access import StaleAccess
from guanxi_core.database.outages import DatabaseUnavailable, outage_in
from guanxi_core.telemetry import metrics, traces
from guanxi_sdk import GuanxiError, Refusal, Tenant

log = logging.getLogger(__name__)

#: So many failures of one function in a row switch its plugin off.
FAILURES: Final = 5
FIRST_PAUSE: Final = 30.0
LONGEST_PAUSE: Final = 600.0
_INSIST: Final = 0.25  # seconds until code that went on is cut again
_STALL: Final = 0.5  # a timer that is later than this was held up by somebody else


class PluginFailed(GuanxiError):
    """A plugin's function raised, took too long, or is switched off; ``code`` tells which."""

    def __init__(self, plugin: str, message: str, code: str = "PLUGIN_FAILED") -> None:
        super().__init__(message)
        self.plugin = plugin
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class Change:
    """A breaker opened or closed."""

    tenant: Tenant
    plugin: str
    state: Literal["open", "closed"]
    pause: float  # seconds until it is tried again
    failures: int  # since the plugin last was without any
    error: str  # the class of the last failure


@dataclass(slots=True)
class _Entry:
    state: Literal["closed", "open", "trying"] = "closed"
    streaks: Counter[str] = field(default_factory=Counter)
    until: float = 0.0
    openings: int = 0
    failures: int = 0
    error: str = ""


class Breakers:
    """The breakers of one process."""

    def __init__(
        self,
        on_change: Callable[[Change], None] = lambda change: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        #: How often each function of a plugin failed, for all tenants.
        self.failures: Counter[tuple[str, str]] = Counter()
        self.on_change = on_change
        self.now = now
        self._tenants: dict[UUID, TenantBreakers] = {}

    def of(self, tenant: Tenant) -> "TenantBreakers":
        """Those of one tenant."""
        found = self._tenants.get(tenant.id)
        if found is None:
            found = self._tenants[tenant.id] = TenantBreakers(self, tenant)
        return found


class TenantBreakers:
    """One tenant's breakers, one for each plugin."""

    __slots__ = ("_all", "_entries", "_tenant")

    def __init__(self, breakers: Breakers, tenant: Tenant) -> None:
        self._all = breakers
        self._tenant = tenant
        self._entries: dict[str, _Entry] = {}  # of plugins that have failed

    def adopt(self, changes: Iterable[Change]) -> None:
        """Begin with what other workers have done, where nothing is known here."""
        for change in changes:
            if change.plugin not in self._entries:
                metrics.BREAKERS.labels(change.plugin).inc()
                self._entries[change.plugin] = _Entry(
                    "open", until=self._all.now() + change.pause, openings=1,
                    failures=change.failures, error=change.error,
                )  # fmt: skip

    def allows(self, plugin: str) -> bool:
        """Whether ``plugin`` may be called; whoever is told so reports how it went."""
        entry = self._entries.get(plugin)
        if entry is None or entry.state == "closed":
            return True
        now = self._all.now()
        if now < entry.until:
            return False
        entry.state, entry.until = "trying", now + FIRST_PAUSE
        return True

    def success(self, plugin: str, name: str) -> None:
        """``name`` of ``plugin`` has answered."""
        if not self._entries:
            return
        entry = self._entries.get(plugin)
        if entry is None:
            return
        entry.streaks.pop(name, None)
        if entry.state == "trying":
            entry.state = "closed"
            metrics.BREAKERS.labels(plugin).dec()
            log.warning("plugin '%s' is on again for tenant '%s'", plugin, self._tenant.name)
            self._tell(plugin, entry, 0)
        if entry.state == "closed" and not entry.streaks:
            del self._entries[plugin]

    def failure(self, plugin: str, name: str, error: BaseException) -> None:
        """``name`` of ``plugin`` has failed."""
        self._all.failures[plugin, name] += 1
        metrics.PLUGIN_FAILURES.labels(plugin).inc()
        entry = self._entries.setdefault(plugin, _Entry())
        entry.streaks[name] += 1
        entry.failures += 1
        entry.error = type(error).__name__
        if entry.state == "open" or (entry.state == "closed" and entry.streaks[name] < FAILURES):
            return
        pause = min(FIRST_PAUSE * 2.0**entry.openings, LONGEST_PAUSE)
        entry.openings += 1
        if entry.state == "closed":
            metrics.BREAKERS.labels(plugin).inc()
        entry.state, entry.until = "open", self._all.now() + pause
        log.error(
            "plugin '%s' is off for tenant '%s' for %d seconds: '%s' keeps failing",
            plugin, self._tenant.name, pause, name,
        )  # fmt: skip
        self._tell(plugin, entry, pause)

    def release(self, plugin: str) -> None:
        """A call ended without telling anything about ``plugin``; the next one may try again."""
        entry = self._entries.get(plugin)
        if entry is not None and entry.state == "trying":
            entry.state, entry.until = "open", self._all.now()

    def guard(
        self, plugin: str, name: str, deadline: float | None = None, *, settled: bool = True
    ) -> "Guard":
        """What a call of asynchronous plugin code stands in, see :class:`Guard`.

        Without ``settled`` an answer is no success yet: the caller looks at it and reports.
        """
        return Guard(self, plugin, name, deadline, settled)

    def _tell(self, plugin: str, entry: _Entry, pause: float) -> None:
        state: Literal["open", "closed"] = "open" if entry.state == "open" else "closed"
        self._all.on_change(Change(self._tenant, plugin, state, pause, entry.failures, entry.error))


class Guard:
    """Calls asynchronous plugin code: refused while it is off, cut at its deadline, counted.

    ::

        with breakers.of(tenant).guard("notes", "notify", deadline=10):
            await function(plugin, ctx)

    Whatever the code raises comes out as :class:`PluginFailed`, except refusals, which are answers,
    and what is not the plugin's fault: a lost database, outdated rights, a cancelled request.
    """

    __slots__ = ("_before", "_breakers", "_cuts", "_deadline", "_held_up", "_name", "_plugin",
                 "_settled", "_span", "_started", "_task", "_timer")  # fmt: skip

    def __init__(
        self,
        breakers: TenantBreakers,
        plugin: str,
        name: str,
        deadline: float | None,
        settled: bool,
    ) -> None:
        self._breakers = breakers
        self._plugin = plugin
        self._name = name
        self._deadline = deadline
        self._settled = settled
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._cuts = 0
        self._held_up = False

    def __enter__(self) -> Self:
        """Raise :class:`PluginFailed` if the plugin is off, else start the clock."""
        if not self._breakers.allows(self._plugin):
            raise PluginFailed(
                self._plugin, f"The plugin '{self._plugin}' is switched off for a while, "
                "because it kept failing.",
            )  # fmt: skip
        self._span = traces.span(f"{self._plugin}.{self._name}", guanxi__plugin=self._plugin)
        self._span.__enter__()
        self._task = asyncio.current_task()
        self._before = self._task.cancelling() if self._task else 0
        loop = asyncio.get_running_loop()
        self._started = loop.time()
        if self._deadline is not None:
            self._timer = loop.call_later(self._deadline, self._cut, self._deadline)
        return self

    def _cut(self, after: float) -> None:
        """Cancel the call, again and again if it does not listen."""
        loop = asyncio.get_running_loop()
        late = loop.time() - self._started - after
        if late > _STALL and not self._cuts:  # the time was taken by whoever blocked the loop
            self._held_up = True
            self._timer = loop.call_later(late, self._cut, after + late * 2)
            return
        if self._task is not None:
            self._cuts += 1
            self._task.cancel()
        self._timer = loop.call_later(_INSIST, self._cut, after + _INSIST)

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count, and let nothing out that is not meant for the caller."""
        if self._timer is not None:
            self._timer.cancel()
        task = self._task
        for _ in range(self._cuts if task else 0):
            assert task is not None  # noqa: S101
            task.uncancel()
        late = bool(self._cuts) or self._blocked()
        raised = TimeoutError() if late else error
        self._span.__exit__(type(raised) if raised else None, raised, None)
        if (task is not None and task.cancelling() > self._before) or isinstance(
            error, GeneratorExit
        ):
            self._breakers.release(self._plugin)  # the request itself was given up
            return
        if late:
            self._fail(TimeoutError(), error)
        if error is None or isinstance(error, Refusal):
            if self._settled:
                self._breakers.success(self._plugin, self._name)
        elif stops(error) or is_not_theirs(error):
            self._breakers.release(self._plugin)
        else:
            self._fail(error, error)

    def _blocked(self) -> bool:
        """Whether the call outlived its deadline without giving the timer a chance."""
        if self._deadline is None or self._held_up:
            return False
        return asyncio.get_running_loop().time() - self._started > self._deadline

    def _fail(self, error: BaseException, cause: BaseException | None) -> None:
        self._breakers.failure(self._plugin, self._name, error)
        if isinstance(error, TimeoutError) or timed_out(error):
            message = f"The plugin '{self._plugin}' took too long."
            log.error("plugin '%s' took too long in '%s'", self._plugin, self._name)
            raise PluginFailed(self._plugin, message, "TIMEOUT") from cause
        log.error("plugin '%s' failed in '%s'", self._plugin, self._name, exc_info=error)
        raise PluginFailed(self._plugin, f"The plugin '{self._plugin}' failed.") from cause


def stops(error: BaseException) -> bool:
    """Whether ``error`` is Ctrl-C: only where Python would raise it, else a plugin made it up."""
    return (
        isinstance(error, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def ends(error: BaseException) -> bool:
    """Whether the process or the task ends with ``error``, not a plugin that merely raised it."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return isinstance(error, GeneratorExit) or stops(error)


def is_not_theirs(error: BaseException) -> bool:
    """Whether ``error`` comes from outside the plugin that raised it."""
    return isinstance(error, StaleAccess | DatabaseUnavailable) or outage_in(error) is not None


def timed_out(error: BaseException | None) -> bool:
    """Whether the database gave up a statement because it took too long."""
    for _ in range(8):
        if error is None or isinstance(error, asyncpg.QueryCanceledError):
            break
        error = getattr(error, "orig", None) or error.__cause__
    return isinstance(error, asyncpg.QueryCanceledError)
