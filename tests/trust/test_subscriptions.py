"""Row 9, for subscribers: "every committed event delivered at least once; 64 writers, relay
killed".

Writers commit in any order, some late; a subscriber's connection is broken again and again, and
each time it goes on behind the last message that it got. Every event arrives, once, and those of a
row in the order of its changes.
"""

import asyncio
import random
from collections import defaultdict
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from figures import LONG, Figure
from served import Served
from subscribing import CHANGES, connected

pytestmark = pytest.mark.xdist_group("subscriptions")

WRITERS = 64 if LONG else 8
KILLS = 200 if LONG else 6
#: Events that each writer makes.
EVENTS = 150 if LONG else 12
_FOLLOW = CHANGES.replace("id name", "id version")


class Follower:
    """Hears of rows, whatever becomes of its connections."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.heard: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self.kills = 0
        self.begun = asyncio.Event()
        self._position: str | None = None

    async def run(self) -> None:
        while True:
            with suppress(ConnectionClosed, TimeoutError):
                async with connected(self.served.url, self.served.token) as client:
                    changes = await client.subscribe(_FOLLOW, {"after": self._position})
                    for _ in range(random.randrange(1, 2 * WRITERS * EVENTS // KILLS)):
                        self._take(await changes.next(2))
                    client.socket.transport.abort()
                    self.kills += 1

    def _take(self, told: dict[str, Any]) -> None:
        self._position = told["position"]
        self.begun.set()
        if told["action"] is not None:
            row = told["customer"]
            self.heard[row["id"]].append((told["action"], row["version"]))

    def number(self) -> int:
        return sum(map(len, self.heard.values()))


async def write(served: Served, number: int, sent: dict[str, list[str]]) -> None:
    """Changes of a row of its own and of one that all share, in transactions of some length."""
    row = await served.create(f"writer {number}")
    sent[row["id"]].append("CREATED")
    shared = next(iter(sent))
    for turn in range(EVENTS - 1):
        if turn % 3 == 0:
            row = await served.rename(row, f"{number}-{turn}")
            sent[row["id"]].append("UPDATED")
            continue
        async with served.pool.connection(served.tenant.id) as own, own.transaction():
            await served.touch(row["id"], own)
            await asyncio.sleep(random.random() / 50)
            if turn % 3 == 1:
                await served.touch(shared, own)
        sent[row["id"]].append("UPDATED")
        if turn % 3 == 1:
            sent[shared].append("UPDATED")


async def test_no_event_is_lost(served: Served, figure: Figure) -> None:
    follower = Follower(served)
    following = asyncio.create_task(follower.run())
    await follower.begun.wait()
    sent: dict[str, list[str]] = defaultdict(list)
    first = await served.create("shared")
    sent[first["id"]].append("CREATED")
    await asyncio.gather(*(write(served, number, sent) for number in range(WRITERS)))
    expected = sum(map(len, sent.values()))
    async with asyncio.timeout(60):
        while follower.number() < expected or follower.kills < KILLS // 2:
            await asyncio.sleep(0.05)
            if follower.kills < KILLS // 2 and follower.number() >= expected:
                await served.touch(first["id"])
                sent[first["id"]].append("UPDATED")
                expected += 1
    await asyncio.sleep(0.3)  # whatever comes twice
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    heard = {row: [action for action, _ in told] for row, told in follower.heard.items()}
    assert heard == sent
    for told in follower.heard.values():
        versions = [version for _, version in told]
        assert versions == sorted(versions)
    kills = f"subscriber killed {follower.kills} times: 0 of {expected} events lost, order kept"
    figure(9, "every committed event delivered", kills)
