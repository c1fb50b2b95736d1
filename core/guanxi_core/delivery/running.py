"""Running one delivery: the handler's work and the mark that it is done commit together.

A handler that waits for strangers has no transaction to commit; its mark follows.
"""

import asyncio
import datetime as dt
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NoReturn

from guanxi_core.access import Access, Installation
from guanxi_core.breakers import ends
from guanxi_core.context import TransactionContext
from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_core.delivery import queue
from guanxi_core.delivery.queue import Claimed, LostClaim
from guanxi_core.editions import Contributed
from guanxi_core.platform import Platform
from guanxi_core.telemetry import metrics, traces
from guanxi_core.telemetry.activity import CURRENT, Activity
from guanxi_core.telemetry.errors import kind_of
from guanxi_sdk import Context, Delivery, Egress, GraphQL, GuanxiError, Outside, Tenant

log = logging.getLogger(__name__)


class NotRunnable(GuanxiError):
    """The plugin or its method is not there at the moment."""


class TooSlow(GuanxiError):
    """It was cut at its deadline."""


async def run(platform: Platform, installation: Installation, one: Claimed, lease: float) -> bool:
    """Run one claimed delivery; returns whether it is done. What it raises is kept with it."""
    kind = "schedule" if one.event_id is None else "event"
    activity = Activity("delivery")
    activity.tenant = one.tenant_id
    token, began, done = CURRENT.set(activity), time.perf_counter(), False
    try:
        done = await _run(platform, installation, one, lease)
    finally:
        seconds = time.perf_counter() - began
        metrics.DELIVERIES.observe(seconds, kind, "done" if done else "failed")
        CURRENT.reset(token)
    return done


async def _run(platform: Platform, installation: Installation, one: Claimed, lease: float) -> bool:
    try:
        async with _renewed(platform, one, lease):
            await _work(platform, installation, one)
    except (LostClaim, DatabaseUnavailable) as error:
        log.warning("%s.%s will be run again: %s", one.plugin, one.handler, error)
    except BaseException as error:  # SystemExit too: a plugin may not end the process
        if ends(error):
            raise
        await _failed(platform, one, error)
    else:
        return True
    return False


async def _work(platform: Platform, installation: Installation, one: Claimed) -> None:
    if one.attempt > queue.ATTEMPTS:
        raise NotRunnable("the process that ran it died, at the last attempt too.")
    entry = found(installation, one) or _missing(installation, one)
    contribution = entry.contribution
    given = () if one.payload is None else (queue.decode(contribution.event, one),)
    access: Access = platform.system_access_to(installation, f"{one.plugin}.{one.handler}")
    identity = one.event_id or one.id
    what = "schedule" if one.event_id is None else f"event {one.event_id}"
    token = Delivery._current.set(Delivery(identity, one.at, one.attempt))

    def transaction() -> AbstractAsyncContextManager[TransactionContext]:
        return platform.context(access, action=f"{one.plugin}.{one.handler}", origin=what)

    async def call(ctx: Context | Outside) -> None:
        try:
            async with asyncio.timeout(contribution.deadline):
                await contribution.function(installation.plugins[one.plugin], ctx, *given)
        except TimeoutError as error:
            raise TooSlow(f"it took longer than its {contribution.deadline:g} seconds.") from error

    try:
        span = traces.delivery(
            f"{one.plugin}.{one.handler}", guanxi__plugin=one.plugin,
            guanxi__tenant__id=str(one.tenant_id), messaging__message__id=str(identity),
            guanxi__attempt=one.attempt,
        )  # fmt: skip
        if contribution.outside:
            async with span:
                await call(OutsideContext(platform, installation, transaction))
            async with platform.pool.connection(one.tenant_id) as connection:
                await queue.finish(connection, one)
        else:
            async with span, transaction() as ctx:
                await call(ctx)
                await queue.finish(await ctx.raw(), one)
    finally:
        Delivery._current.reset(token)


class OutsideContext:
    """Implements :class:`guanxi_sdk.Outside`."""

    def __init__(
        self,
        platform: Platform,
        installation: Installation,
        transaction: Callable[[], AbstractAsyncContextManager[Context]],
    ) -> None:
        self.transaction = transaction
        self._platform = platform
        self._installation = installation

    @property
    def tenant(self) -> Tenant:
        """The enterprise whose data this is."""
        return self._installation.tenant

    @property
    def egress(self) -> Egress:
        """The only way to systems outside."""
        return self._platform.egress(self.tenant)

    @property
    def graphql(self) -> GraphQL:
        """The tenant's GraphQL."""
        return self._platform.graphql(self._installation)

    def now(self) -> dt.datetime:
        """The current time in UTC."""
        return self._platform.now()


def found(installation: Installation, one: Claimed) -> Contributed | None:
    """The handler or schedule that it is for, if the tenant's plugins have it."""
    for entry in (*installation.edition.handlers, *installation.edition.schedules):
        if (entry.plugin, entry.contribution.name) == (one.plugin, one.handler):
            return entry
    return None


def _missing(installation: Installation, one: Claimed) -> NoReturn:
    if one.plugin in installation.plugins:
        raise NotRunnable(f"the plugin '{one.plugin}' has no {one.handler}() any more.")
    reason = installation.left_out.get(one.plugin, "it is switched off.")
    raise NotRunnable(f"the plugin '{one.plugin}' does not run: {reason}")


async def _failed(platform: Platform, one: Claimed, error: BaseException) -> None:
    """Keep what operators may see of the error, which are no values; the rest is for the log."""
    if isinstance(error, NotRunnable | TooSlow):
        reason = str(error)
    else:
        reason = f"{kind_of(error)}: see the server's log for delivery {one.id}."
    log.error(
        "%s.%s failed at attempt %d of %d (delivery %s)", one.plugin, one.handler, one.attempt,
        queue.ATTEMPTS, one.id, exc_info=None if isinstance(error, NotRunnable) else error,
    )  # fmt: skip
    try:
        async with platform.pool.connection(one.tenant_id) as connection:
            await queue.fail(connection, one, reason[:1000])
    except (LostClaim, DatabaseUnavailable) as lost:
        log.warning("%s.%s will be run again: %s", one.plugin, one.handler, lost)


@asynccontextmanager
async def _renewed(platform: Platform, one: Claimed, lease: float) -> AsyncIterator[None]:
    """Renew the claim while the block works, so that it is nobody else's before it is done."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(lease / 3)
            try:
                async with platform.pool.connection(one.tenant_id) as connection:
                    if not await queue.renew(connection, one, lease):
                        return
            except DatabaseUnavailable:
                continue

    task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(renew())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
