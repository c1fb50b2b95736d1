"""Running one delivery: the handler's work and the mark that it is done commit together."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from guanxi_core.access import Access, Installation
from guanxi_core.database.pool import DatabaseUnavailable
from guanxi_core.delivery import queue
from guanxi_core.delivery.queue import Claimed, LostClaim
from guanxi_core.editions import Contributed
from guanxi_core.platform import Platform
from guanxi_sdk import Delivery, GuanxiError

log = logging.getLogger(__name__)


class NotRunnable(GuanxiError):
    """The plugin or its method is not there at the moment."""


async def run(platform: Platform, installation: Installation, one: Claimed, lease: float) -> bool:
    """Run one claimed delivery; returns whether it is done. What it raises is kept with it."""
    try:
        async with _renewed(platform, one, lease):
            await _work(platform, installation, one)
    except (LostClaim, DatabaseUnavailable) as error:
        log.warning("%s.%s will be run again: %s", one.plugin, one.handler, error)
    except (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError):
        raise
    except BaseException as error:  # SystemExit too: a plugin may not end the process
        await _failed(platform, one, error)
    else:
        return True
    return False


async def _work(platform: Platform, installation: Installation, one: Claimed) -> None:
    if one.attempt > queue.ATTEMPTS:
        raise NotRunnable("the process that ran it died, at the last attempt too.")
    contribution = _found(installation, one).contribution
    plugin = installation.plugins[one.plugin]
    given = () if one.payload is None else (queue.decode(contribution.event, one.payload),)
    access: Access = platform.system_access_to(installation, f"{one.plugin}.{one.handler}")
    identity = one.event_id or one.id
    what = "schedule" if one.event_id is None else f"event {one.event_id}"
    token = Delivery._current.set(Delivery(identity, one.at, one.attempt))
    try:
        async with platform.context(
            access, action=f"{one.plugin}.{one.handler}", origin=what
        ) as ctx:
            try:
                async with asyncio.timeout(contribution.deadline):
                    await contribution.function(plugin, ctx, *given)
            except TimeoutError as error:
                raise GuanxiError(
                    f"it took longer than its {contribution.deadline:g} seconds."
                ) from error
            await queue.finish(await ctx.raw(), one)
    finally:
        Delivery._current.reset(token)


def _found(installation: Installation, one: Claimed) -> Contributed:
    entries = (*installation.edition.handlers, *installation.edition.schedules)
    for entry in entries:
        if (entry.plugin, entry.contribution.name) == (one.plugin, one.handler):
            return entry
    if one.plugin in installation.plugins:
        raise NotRunnable(f"the plugin '{one.plugin}' has no {one.handler}() any more.")
    reason = installation.left_out.get(one.plugin, "it is switched off.")
    raise NotRunnable(f"the plugin '{one.plugin}' does not run: {reason}")


async def _failed(platform: Platform, one: Claimed, error: BaseException) -> None:
    """Keep what operators may see of the error; the rest is for the log."""
    if isinstance(error, GuanxiError):
        reason = str(error)
    else:
        reason = f"{type(error).__name__}: see the server's log for delivery {one.id}."
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
