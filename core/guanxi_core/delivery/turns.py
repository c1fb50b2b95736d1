"""Turns: whose work is done next, so that no tenant waits for another's backlog."""

import asyncio
from collections import Counter, OrderedDict
from uuid import UUID


class Turns:
    """Tenants in the order in which they came to have work, each once.

    A tenant takes part with at most ``share`` turns at a time: the rest is left for others.
    """

    def __init__(self, share: int) -> None:
        self._share = share
        self._ready: OrderedDict[UUID, None] = OrderedDict()
        self._busy: Counter[UUID] = Counter()
        self._changed = asyncio.Event()

    def add(self, tenant_id: UUID) -> None:
        """There is work; behind everybody who waits already."""
        self._ready.setdefault(tenant_id)
        self._changed.set()

    async def take(self) -> UUID:
        """The next tenant that may have a turn."""
        while True:
            for tenant_id in self._ready:
                if self._busy[tenant_id] < self._share:
                    del self._ready[tenant_id]
                    self._busy[tenant_id] += 1
                    return tenant_id
            self._changed.clear()
            await self._changed.wait()

    def end(self, tenant_id: UUID) -> None:
        """The turn is over."""
        self._busy[tenant_id] -= 1
        if not self._busy[tenant_id]:
            del self._busy[tenant_id]
        self._changed.set()
