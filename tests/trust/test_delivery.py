"""Rows 9, 4 and 20: no committed event is lost, no scheduled run happens twice."""

import asyncio
import datetime as dt
import random
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
import with_deliveries
from uuid_utils.compat import uuid7
from with_deliveries import ParcelMoved, Parcels, Trace

from figures import LONG
from guanxi_core.delivery.worker import Worker
from guanxi_core.platform import Platform
from guanxi_sdk.testing import Boot, Clock
from guanxi_sdk.testing.databases import ThrowAwayDatabase

SCRIPT = Path(__file__).with_name("delivering.py")
HANGING = Path(__file__).with_name("hanging.py")
DEAD = """{ deliveries(where: { status: { eq: DEAD } }) {
    edges { node { id event handler attempts error } } } }"""
REPLAY = "mutation ($id: ID!) { replayDelivery(id: $id) { delivery { status } } }"
HANDLERS = ("track", "hurry")


@pytest.fixture
async def guanxi(database):
    """Tenants in a database of their own: the processes would find those of other tests."""
    place = ThrowAwayDatabase(database.app_url, database.owner_url, database.app_role)
    async with AsyncExitStack() as stack:
        yield Boot(place, stack)


@contextmanager
def process(app, *arguments):
    running = subprocess.Popen(
        [sys.executable, str(SCRIPT), app.platform.pool.url, app.tenant.name, *arguments],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield running
    finally:
        running.kill()
        running.wait()


async def line(running):
    return (await asyncio.to_thread(running.stdout.readline)).strip()


async def counted(app, handler):
    async with app.context() as ctx:
        found = await ctx.db.scalars(
            sa.select(Trace.number)
            .where(Trace.handler == handler)
            .order_by(Trace.created_at, Trace.id)
        )
        return list(found)


async def dead_letters(app):
    found = (await app.graphql(DEAD))["deliveries"]["edges"]
    return [edge["node"] for edge in found]


async def until_delivered(app, count, seconds=30):
    numbers = sa.select(sa.func.count()).select_from(Trace).group_by(Trace.handler)
    async with asyncio.timeout(seconds * (30 if LONG else 1)):
        while True:
            async with app.context() as ctx:
                found = list(await ctx.db.scalars(numbers.where(Trace.handler.in_(HANDLERS))))
            if len(found) == len(HANDLERS) and min(found) >= count:
                return
            await asyncio.sleep(0.1)


@pytest.mark.timeout(3600 if LONG else 120)
async def test_every_committed_event_is_delivered_while_the_relay_is_killed(
    guanxi, monkeypatch, figure
):
    """Row 9: every committed event delivered at least once; 64 writers, relay killed."""
    monkeypatch.setattr(with_deliveries, "behaviour", {})
    app = await guanxi(Parcels())
    kills, each = (50, 100) if LONG else (2, 2)
    ledger = []

    async def write(writer):
        parcel = uuid7()
        for number in range(each):
            async with app.context() as ctx:
                ctx.emit(ParcelMoved(parcel_id=parcel, number=writer * each + number))
            ledger.append(writer * each + number)

    async def disturb():
        for _ in range(kills):
            with process(app) as relay:
                assert await line(relay) == "ready"
                await asyncio.sleep(random.uniform(0.05, 0.3))

    await asyncio.gather(disturb(), *(write(writer) for writer in range(64)))
    with process(app):
        await until_delivered(app, len(ledger))
    for handler in HANDLERS:
        found = await counted(app, handler)
        assert Counter(found) == Counter(ledger)  # and none of them twice in its effect
        for writer in range(64):
            mine = [number for number in found if number // each == writer]
            assert mine == sorted(mine)
    figure(
        9, "every committed event delivered; 64 writers, relay killed",
        f"{len(ledger)} events of 64 writers, {kills} kills, 0 lost, each in its order",
    )  # fmt: skip


@pytest.mark.timeout(3600 if LONG else 120)
async def test_no_acknowledged_event_is_lost_when_its_process_is_killed(
    guanxi, monkeypatch, figure
):
    """Row 4: 200 × kill -9 under writes: 0 acknowledged mutations or events lost."""
    monkeypatch.setattr(with_deliveries, "behaviour", {})
    app = await guanxi(Parcels())
    acknowledged = set()
    for attempt in range(200 if LONG else 2):
        with process(app, str(attempt * 100_000)) as writer:
            assert await line(writer) == "ready"
            for _ in range(random.randint(5, 25)):
                acknowledged.add(int(await line(writer)))
    with process(app):
        await until_delivered(app, len(acknowledged))
        await asyncio.sleep(0.5)
    for handler in HANDLERS:
        found = Counter(await counted(app, handler))
        assert acknowledged <= found.keys()
        assert set(found.values()) == {1}
    figure(
        4, "of 200 × kill -9: 0 acknowledged lost, audit verifies",
        f"{attempt + 1} workers killed, {len(acknowledged)} events acknowledged, 0 lost",
    )  # fmt: skip


@pytest.mark.timeout(240)
async def test_what_hangs_its_worker_takes_three_down_and_nobody_else_with_it(
    guanxi, monkeypatch, figure
):
    """Row 9: each of its workers is ended and replaced; all other events are delivered."""
    monkeypatch.setattr(with_deliveries, "behaviour", {})
    app = await guanxi(Parcels())
    fatal, count, unlucky = 7, 30, uuid7()
    for number in range(count):
        async with app.context() as ctx:  # the last one waits behind the one that hangs
            parcel = unlucky if number in (fatal, count - 1) else uuid7()
            ctx.emit(ParcelMoved(parcel_id=parcel, number=number))
    command = [sys.executable, str(HANGING), app.platform.pool.url, str(fatal), "2"]
    lost = []
    while not await dead_letters(app):
        running = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
        ended = asyncio.create_task(running.wait())
        try:
            while not (ended.done() or await dead_letters(app)):
                await asyncio.wait([ended], timeout=0.1)
            if ended.done():
                lost.append(running.returncode)
        finally:
            if not ended.done():
                running.kill()
            await ended
    assert lost == [70, 70, 70]
    [letter] = await dead_letters(app)
    assert (letter["event"], letter["handler"], letter["attempts"]) == ("ParcelMoved", "track", 3)
    assert letter["error"] == "3 workers hung and were lost while they ran it."
    with process(app):
        await until_delivered(app, count - 1)
    assert sorted(await counted(app, "track")) == [n for n in range(count) if n != fatal]
    assert sorted(await counted(app, "hurry")) == list(range(count))
    assert await app.graphql(REPLAY, id=letter["id"]) == {
        "replayDelivery": {"delivery": {"status": "WAITING"}}
    }
    await app.deliver()
    assert (await counted(app, "track"))[-1] == fatal
    figure(9, "an event that hangs its worker", f"{len(lost)} workers lost, 0 other events")


@pytest.mark.parametrize("seed", range(100 if LONG else 3))
async def test_no_schedule_runs_twice_however_the_clocks_jump(guanxi, monkeypatch, seed, figure):
    """Row 20: clock ± 1 day: no duplicate schedule runs."""
    monkeypatch.setattr(with_deliveries, "behaviour", {})
    chance = random.Random(seed)
    start = dt.datetime(2026, 3, 1, 2, tzinfo=dt.UTC)
    app = await guanxi(Parcels(), now=start)
    other = Clock(start)
    async with await Platform.open(
        app.platform.pool.url, registry=app.platform.registry, pool_size=4, clock=other
    ) as platform:
        sides = [(app.clock, Worker(app.platform)), (other, Worker(platform))]
        for clock, worker in sides:
            await worker.drain(app.tenant)
            clock.advance(hours=2)
        await asyncio.gather(*(worker.drain(app.tenant) for _, worker in sides))
        first = int(dt.datetime(2026, 3, 1, 3, tzinfo=dt.UTC).timestamp())
        assert await counted(app, "nightly") == [first]
        for _ in range(12):
            clock, _ = chance.choice(sides)
            clock.advance(hours=chance.choice([-24, -1, 1, 6, 24]))
            await asyncio.gather(*(worker.drain(app.tenant) for _, worker in sides))
        latest = max(clock() for clock, _ in sides) + dt.timedelta(days=2)
        for clock, worker in sides:
            clock.set(latest)
            await worker.drain(app.tenant)
    runs = await counted(app, "nightly")
    assert len(set(runs)) == len(runs)
    expected = latest.replace(hour=3) - dt.timedelta(days=latest.hour < 3)
    assert int(expected.timestamp()) in runs
    figure(20, "clocks ± 1 day: no schedule runs twice", "12 jumps of two clocks, none twice")


async def test_missed_runs_are_made_up_for_once(guanxi, monkeypatch):
    """Row 20: nobody worked for ten days: one run, for the last time."""
    monkeypatch.setattr(with_deliveries, "behaviour", {})
    app = await guanxi(Parcels(), now=dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC))
    assert await app.deliver() == 0
    app.clock.advance(days=10)
    assert await app.deliver() == 1
    last = dt.datetime(2026, 3, 11, 3, tzinfo=dt.UTC)
    assert await counted(app, "nightly") == [int(last.timestamp())]
    assert await app.deliver() == 0
