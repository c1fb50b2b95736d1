"""A worker in a process: woken by commits, fair between tenants, stopped without loss."""

import asyncio
import contextlib
import dataclasses
import re
import time

import pytest
import with_deliveries
from uuid_utils.compat import uuid7
from with_deliveries import Parcel, ParcelMoved, Parcels, Trace

from guanxi_core.delivery import worker as workers
from guanxi_core.delivery.bell import EVENTS, WORK
from guanxi_core.delivery.worker import Worker
from guanxi_core.doctor import _delivery
from guanxi_sdk.testing import Boot
from guanxi_sdk.testing.databases import ThrowAwayDatabase


@pytest.fixture
async def guanxi(database):
    """Tenants in a database of their own: workers would find those of other tests."""
    place = ThrowAwayDatabase(database.app_url, database.owner_url, database.app_role)
    async with contextlib.AsyncExitStack() as stack:
        yield Boot(place, stack)


@pytest.fixture
async def app(guanxi, monkeypatch):
    monkeypatch.setattr(with_deliveries, "behaviour", {})
    made = await guanxi(Parcels())
    yield made
    async with made.platform.pool.connection(made.tenant.id) as connection:  # no work for the next
        for table, done in (("outbox", "relayed"), ("delivery", "done")):
            await connection.execute(
                f"UPDATE guanxi_{table} SET status = '{done}' WHERE tenant_id = $1", made.tenant.id
            )


async def emit(app, number, parcel=None):
    async with app.context() as ctx:
        ctx.emit(ParcelMoved(parcel_id=parcel or uuid7(), number=number))


async def until(check, seconds=20):
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def statuses(app):
    async with app.platform.pool.connection(app.tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT status, attempts FROM guanxi_delivery WHERE tenant_id = $1", app.tenant.id
        )
    return {tuple(row) for row in rows}


async def test_a_commit_wakes_the_worker(app):
    async with Worker(app.platform, every=60).working():
        await asyncio.sleep(0.5)  # it has looked around by now, and does so again in a minute
        began = time.monotonic()
        await emit(app, 1)
        await until(lambda: _seen(app, 2))
        await app.graphql('mutation { createParcel(input: { label: "a" }) { parcel { id } } }')
        await until(lambda: _seen(app, 3))
        assert time.monotonic() - began < 10


async def test_a_row_that_nobody_handles_wakes_no_worker(app):
    bell, installation = app.platform.bell, await app.platform.installation(app.tenant)
    await bell.close()
    for event, rung in (("TraceCreated", False), ("ParcelCreated", True), (None, True)):
        bell.ring(installation, event)
        assert ((WORK, app.tenant.id) in bell._waiting) is rung, event
        assert (EVENTS, app.tenant.id) in bell._waiting
        await bell.close()


@pytest.mark.parametrize(
    ("left_out", "status"), [({}, "relayed"), ({"absent": "it is not installed."}, "new")]
)
async def test_what_nobody_handles_is_not_relayed(app, monkeypatch, left_out, status):
    """However a row is written; a plugin that cannot run now may handle everything."""
    installation = await app.platform.installation(app.tenant)
    changed = dataclasses.replace(installation, left_out=left_out)
    monkeypatch.setattr(app.platform, "_install", _always(changed))
    app.platform._accesses.clear()
    async with app.platform.context(await app.platform.system_access(app.tenant)) as ctx:
        await ctx.add(Trace(event="e", handler="h", number=1))
        parcel = await ctx.add(Parcel(label="b"))
        await ctx.update_where(Parcel, Parcel.id == parcel.id, label="c")
    await app.graphql(
        f'mutation {{ archiveParcel(id: "parcel_{parcel.id}") {{ errors {{ path }} }} }}'
    )
    async with app.platform.pool.connection(app.tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT name, status FROM guanxi_outbox WHERE tenant_id = $1", app.tenant.id
        )
    assert sorted(tuple(row) for row in rows) == [
        ("ParcelArchived", status), ("ParcelCreated", "new"), ("ParcelUpdated", "new"),
        ("TraceCreated", status),
    ]  # fmt: skip


def _always(value):
    async def answered(*_):
        return value

    return answered


async def test_rings_within_a_moment_are_two_turns(app, monkeypatch):
    """The first comes at once; what is rung while the tenant rests is one more, not lost."""
    worker, turns = Worker(app.platform), []
    monkeypatch.setattr(worker._turns, "add", turns.append)
    for _ in range(50):
        worker._hear(app.tenant.id)
    assert turns == [app.tenant.id]
    await until(lambda: _is(len(turns) == 2), 2)
    await asyncio.sleep(0.3)
    assert turns == [app.tenant.id] * 2
    worker._hear(app.tenant.id)
    assert turns == [app.tenant.id] * 3


async def _is(value):
    return value


async def _seen(app, count):
    return len(await app.all(Trace)) >= count


async def test_what_nobody_rang_for_is_found(app):
    app.platform.bell.ring = lambda *_: None
    async with Worker(app.platform, every=0.1).working():
        await emit(app, 1)
        await until(lambda: _seen(app, 2))


async def test_a_backlog_delays_nobody_else(app, guanxi):
    """One tenant's 10,000 events; another's one is delivered among the first."""
    other = await guanxi(Parcels())
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await connection.execute(
            "INSERT INTO guanxi_outbox (tenant_id, id, name, payload) "
            "SELECT $1, gen_random_uuid(), 'ParcelMoved', jsonb_build_object("
            "'parcel_id', gen_random_uuid(), 'number', n) FROM generate_series(1, 10000) n",
            app.tenant.id,
        )
    with_deliveries.behaviour["track"] = lambda number, attempt: asyncio.sleep(0.01)
    async with Worker(app.platform, concurrency=3, every=0.2).working():
        await until(lambda: _seen(app, 5))
        delays = []
        for number in range(3):
            began = time.monotonic()
            await emit(other, number)
            await until(lambda number=number: _seen(other, 2 * number + 2))
            delays.append(time.monotonic() - began)
    assert min(delays) < 1, delays
    async with app.platform.pool.connection(app.tenant.id) as connection:
        left = await connection.execute(
            "UPDATE guanxi_outbox SET status = 'relayed' WHERE tenant_id = $1 AND status = 'new'",
            app.tenant.id,
        )
    assert left != "UPDATE 0"  # the backlog was there all the time


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
async def test_a_handler_that_pretends_to_be_stopped_stops_nothing(app, error):
    def pretend(number, attempt):
        raise error

    with_deliveries.behaviour["track"] = pretend
    async with Worker(app.platform, concurrency=2, every=0.1).working():
        for number in range(8):
            await emit(app, number)
        await until(lambda: _seen(app, 8))  # the other handler's
    assert all(trace.handler != "track" for trace in await app.all(Trace))
    assert {status for status, attempts in await statuses(app) if attempts} <= {"waiting", "done"}


async def test_what_is_cancelled_by_mistake_goes_on(app, monkeypatch):
    """An outage may end a wait as if somebody had cancelled it."""
    for name in ("claim", "relay"):
        method, mishaps = getattr(workers.queue, name), iter(range(6))

        async def stumble(*arguments, method=method, mishaps=mishaps):
            if next(mishaps, None) is not None:
                raise asyncio.CancelledError
            return await method(*arguments)

        monkeypatch.setattr(workers.queue, name, stumble)
    call, calls = type(app.platform.pool).call, iter(range(3))

    async def look(pool, query, *arguments):
        if query == workers._LOOK and next(calls, None) is not None:
            raise asyncio.CancelledError
        return await call(pool, query, *arguments)

    monkeypatch.setattr(type(app.platform.pool), "call", look)
    app.platform.bell.ring = lambda *_: None
    async with Worker(app.platform, concurrency=2, every=0.05).working():
        await emit(app, 1)
        await until(lambda: _seen(app, 2))


async def test_stopping_lets_handlers_finish(app):
    started = asyncio.Event()

    async def slow(number, attempt):
        started.set()
        await asyncio.sleep(0.5)

    with_deliveries.behaviour["track"] = slow
    async with Worker(app.platform).working():
        await emit(app, 1)
        await started.wait()
    assert [one.number for one in await app.all(Trace) if one.handler == "track"] == [1]


async def test_stopping_gives_back_what_does_not_end(app, monkeypatch):
    monkeypatch.setattr(workers, "_GRACE", 0.1)
    started = asyncio.Event()

    async def endless(number, attempt):
        started.set()
        await asyncio.sleep(60)

    with_deliveries.behaviour |= {"track": endless, "hurry": endless}
    async with Worker(app.platform).working():
        await emit(app, 1)
        await started.wait()
    assert await statuses(app) == {("waiting", 0)}
    with_deliveries.behaviour.clear()
    assert await app.deliver() == 2


async def test_a_claim_is_renewed_while_the_handler_works(app):
    with_deliveries.behaviour["track"] = lambda number, attempt: asyncio.sleep(1.5)
    one, two = Worker(app.platform, lease=0.5), Worker(app.platform, lease=0.5)
    await emit(app, 1)
    await asyncio.gather(one.drain(app.tenant), _later(two, app))
    assert [one.number for one in await app.all(Trace) if one.handler == "track"] == [1]
    assert ("done", 1) in await statuses(app)


async def _later(worker, app):
    for _ in range(4):
        await asyncio.sleep(0.3)
        await worker.drain(app.tenant)


async def test_what_was_done_long_ago_is_forgotten(app):
    await emit(app, 1)
    with_deliveries.behaviour["hurry"] = lambda number, attempt: 1 / 0
    await app.deliver()
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await connection.execute("SELECT guanxi_purge(now() + interval '1 day', 1000)")
        left = await connection.fetch("SELECT handler, status FROM guanxi_delivery")
        events = await connection.fetchval("SELECT count(*) FROM guanxi_outbox")
    assert ([tuple(row) for row in left], events) == ([("hurry", "waiting")], 1)


async def test_the_doctor_tells_of_the_backlog(app):
    await emit(app, 1)
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await connection.execute("UPDATE guanxi_outbox SET at = now() - interval '1 hour'")
    waiting, dead = await _delivery(app.platform.pool.url, "0004")
    assert not waiting.ok
    assert re.search(r"\d+ waiting, the oldest for .*: does `guanxi serve` or", waiting.detail)
    assert dead.ok


class TestJobs:
    QUERY = "{ jobs { edges { node { title kind who total done status message } } } }"

    async def jobs(self, app):
        found = await app.graphql(self.QUERY)
        return [edge["node"] for edge in found["jobs"]["edges"]]

    async def test_progress_is_seen_while_the_work_goes_on(self, app):
        seen = []

        async def look(number, attempt):
            await asyncio.sleep(0.3)
            seen.append(await self.jobs(app))

        with_deliveries.behaviour["pack"] = look
        await app.graphql("mutation { pack(count: 3) { result } }")
        assert [jobs[0]["done"] for jobs in seen] == [0, 1, 2]
        assert {jobs[0]["status"] for jobs in seen} == {"RUNNING"}
        (job,) = await self.jobs(app)
        assert (job["title"], job["kind"]) == ("Pack parcels", "parcels.pack")
        assert (job["total"], job["done"], job["status"]) == (3, 3, "DONE")
        assert await app.graphql(self.QUERY, can=["guanxi.jobs"])

    async def test_a_failed_one_says_so(self, app):
        await app.graphql("mutation { pack(count: 101) { errors { message } } }")
        (job,) = await self.jobs(app)
        assert (job["status"], job["message"]) == (
            "FAILED", "It failed and was undone: Invalid (INVALID).",
        )  # fmt: skip

    async def test_one_whose_process_died_has_failed(self, app):
        async with app.platform.pool.connection(app.tenant.id) as connection:
            await connection.execute(
                "INSERT INTO guanxi_job (tenant_id, id, kind, title, who, seen_at) "
                "VALUES ($1, $2, '', 'Lost', 'nobody', now() - interval '1 minute')",
                app.tenant.id, uuid7(),
            )  # fmt: skip
        async with Worker(app.platform, every=0.1).working():
            await until(lambda: self._failed(app))

    async def _failed(self, app):
        return [job["status"] for job in await self.jobs(app)] == ["FAILED"]


async def test_a_worker_outlives_its_connections(app):
    async with Worker(app.platform, every=0.1).working():
        await emit(app, 1)
        await until(lambda: _seen(app, 2))
        async with app.platform.pool.connection(None) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid() AND usename = current_user"
            )
        with contextlib.suppress(Exception):
            await emit(app, 2)
        await until(lambda: _seen(app, 4))
