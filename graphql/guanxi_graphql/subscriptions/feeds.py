"""Feeds: what happens in a tenant is read once for all who follow it in this process.

Nothing is read, and nobody listens, while nobody has subscribed.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from uuid import UUID

import asyncpg

from guanxi_core import feed
from guanxi_core.access import StaleAccess
from guanxi_core.breakers import ends
from guanxi_core.database.outages import DatabaseUnavailable, outage_in
from guanxi_core.delivery.bell import EVENTS, listen
from guanxi_core.feed import Page
from guanxi_graphql.execute.following import Message
from guanxi_graphql.subscriptions.subscriber import Subscriber

if TYPE_CHECKING:
    from guanxi_core.platform import Platform

log = logging.getLogger(__name__)

#: Seconds after which a feed looks around although nobody rang.
_EVERY: Final = 1.0
#: Different subscriptions of a tenant that are worked out at a time.
_AT_ONCE: Final = 4

_OUTAGES: Final = (DatabaseUnavailable, OSError, asyncpg.InterfaceError)


class Feeds:
    """The feeds of one process."""

    def __init__(self, platform: "Platform") -> None:
        self._platform = platform
        self._feeds: dict[UUID, _Feed] = {}
        self._listener: asyncio.Task[None] | None = None

    async def follow(self, one: Subscriber) -> AsyncGenerator[bytes, None]:
        """What ``one`` is told, from its position on, for ever.

        Raises :class:`StaleAccess` where the caller's rights change: what was not handed out by
        then has to be worked out anew.
        """
        platform, tenant = self._platform, one.following.request.access.installation.tenant
        names = one.following.names
        more = True
        while more:  # what was missed, at the client's own pace
            page = await feed.read(platform.pool, tenant.id, one.position, names)
            messages = await one.following.messages(page.events)
            if not await fresh(platform, [one]):
                raise StaleAccess("the caller's rights have changed.")
            checked = time.monotonic()
            for position, body in messages:
                if time.monotonic() - checked > _EVERY:  # the client takes its time
                    if not await fresh(platform, [one]):
                        raise StaleAccess("the caller's rights have changed.")
                    checked = time.monotonic()
                one.position = position
                yield body
            one.position, more = page.next, page.more
        shared = self._enter(tenant.id)
        shared.joining.append(one)
        shared.wake.set()
        try:
            while True:
                yield await one.take()
        finally:
            shared.leave(one)
            if shared.empty:
                self._close(tenant.id, shared)

    def _enter(self, tenant_id: UUID) -> "_Feed":
        if self._listener is None:
            self._listener = asyncio.get_running_loop().create_task(self._listen())
        found = self._feeds.get(tenant_id)
        if found is None:
            found = self._feeds[tenant_id] = _Feed(self._platform, tenant_id)
        return found

    def _close(self, tenant_id: UUID, shared: "_Feed") -> None:
        shared.task.cancel()
        if self._feeds.get(tenant_id) is shared:
            del self._feeds[tenant_id]
        if not self._feeds and self._listener is not None:
            self._listener.cancel()
            self._listener = None

    async def _listen(self) -> None:
        while True:
            try:
                await listen(self._platform.pool.url, EVENTS, self._hear, self._look)
            except (*_OUTAGES, asyncpg.PostgresError, asyncio.CancelledError) as error:
                if ends(error):
                    raise
            await asyncio.sleep(_EVERY)

    def _look(self) -> None:
        for found in self._feeds.values():
            found.wake.set()

    def _hear(self, tenant_id: UUID) -> None:
        if (found := self._feeds.get(tenant_id)) is not None:
            found.wake.set()


class _Feed:
    """One tenant's."""

    def __init__(self, platform: "Platform", tenant_id: UUID) -> None:
        self.joining: list[Subscriber] = []
        self.wake = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._run())
        self._platform = platform
        self._tenant_id = tenant_id
        self._members: set[Subscriber] = set()
        self._cursor: feed.Position | None = None

    @property
    def empty(self) -> bool:
        """Whether nobody follows it."""
        return not self.joining and not self._members

    def leave(self, one: Subscriber) -> None:
        """Tell ``one`` nothing more."""
        self._members.discard(one)
        if one in self.joining:
            self.joining.remove(one)

    async def _run(self) -> None:
        while True:
            self.wake.clear()
            try:
                await self._round()
            except (Exception, asyncio.CancelledError) as error:
                if ends(error):
                    raise
                if isinstance(error, _OUTAGES) or outage_in(error):
                    log.warning("subscriptions go on when the database does: %s", error)
                else:
                    log.error("a feed stumbled and goes on", exc_info=error)
                await asyncio.sleep(_EVERY)
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY):
                    await self.wake.wait()

    async def _round(self) -> None:
        """All that is new for those who are here, then those who wish to be."""
        joining = list(self.joining)
        more = bool(self._members)
        while more and self._cursor is not None:
            names = sorted({name for one in self._members for name in one.following.names})
            page = await feed.read(self._platform.pool, self._tenant_id, self._cursor, names)
            await self._tell(list(self._members), page)
            self._cursor, more = page.next, page.more
        if not self._members:
            self._cursor = None
        for one in joining:
            if one in self.joining:
                await self._join(one)

    async def _join(self, one: Subscriber) -> None:
        """Take ``one`` in, where the others are."""
        position, names = one.position, one.following.names
        while one in self.joining:
            until = None if self._cursor is None else self._cursor.since
            page = await feed.read(self._platform.pool, self._tenant_id, position, names, until)
            if not await self._tell([one], page):
                self.leave(one)
            if one not in self.joining:  # it left meanwhile
                return
            position = page.next
            if self._cursor is None and not page.more:
                self._cursor = page.next
            if position.until is None and position.since == getattr(self._cursor, "since", None):
                self.joining.remove(one)
                self._members.add(one)
                one.offer([one.following.quiet(position)])
                return
            if not page.more:  # somebody is erased: it waits for that
                return

    async def _tell(self, members: Sequence[Subscriber], page: Page) -> list[Subscriber]:
        """Work out what ``page`` amounts to, once for those who are told the same.

        Rights are looked at after the rows: what somebody saw who may not any more is dropped.
        """
        told: dict[Subscriber, Sequence[Message]] = {}
        if page.events:
            groups: dict[Hashable, list[Subscriber]] = {}
            for one in members:
                groups.setdefault(one.following.key, []).append(one)
            turns = asyncio.Semaphore(_AT_ONCE)
            works = (self._work_out(group, page, turns, told) for group in groups.values())
            await asyncio.gather(*works)
        holds = await fresh(self._platform, members)
        for one in members:
            if one not in holds:
                self.leave(one)
                one.leave(StaleAccess("the caller's rights have changed."))
            else:
                one.offer(told.get(one, ()))
                one.rest(page.next)
        return [one for one in holds if one in told or not page.events]

    async def _work_out(
        self,
        group: list[Subscriber],
        page: Page,
        turns: asyncio.Semaphore,
        told: dict[Subscriber, Sequence[Message]],
    ) -> None:
        async with turns:
            try:
                messages = await group[0].following.messages(page.events)
            except Exception as error:
                if isinstance(error, _OUTAGES) or outage_in(error):
                    raise
                for one in group:
                    self.leave(one)
                    one.leave(error)
            else:
                told.update(dict.fromkeys(group, messages))


async def fresh(platform: "Platform", members: Sequence[Subscriber]) -> list[Subscriber]:
    """Those whose tokens hold, with the rights that they had."""
    if not members:
        return []
    accesses = [one.following.request.access for one in members]
    tokens = {a.caller.token_id for a in accesses if a.caller.token_id is not None}
    epochs = await feed.valid(platform.pool, accesses[0].installation.tenant.id, list(tokens))
    now = time.monotonic()
    return [
        one
        for one, access in zip(members, accesses, strict=True)
        if access.caller.token_id is None
        or (
            epochs.get(access.caller.token_id) == access.epoch
            and (access.until is None or access.until > now)
        )
    ]
