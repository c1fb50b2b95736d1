"""The feed: from snapshot to snapshot nothing is passed over, whatever commits late."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from databases import Scratch
from guanxi_core import feed
from guanxi_core.database.pool import TenantPool
from guanxi_core.delivery.bell import EVENTS, listen
from guanxi_core.erasing.alone import ALONE
from guanxi_core.feed import PAGE, Position
from guanxi_core.tenancy import create_tenant
from guanxi_sdk import Invalid, Tenant

_INSERT = "INSERT INTO guanxi_outbox (tenant_id, id, name, payload) SELECT $1, $2, $3, $4::jsonb"
NAMES = ("Rung", "Sung")


@pytest.fixture
async def pool(database: Scratch) -> Any:
    async with asyncio.timeout(60):
        made = await TenantPool.open(database.app_url)
    yield made
    await made.close()


@pytest.fixture
async def tenant(pool: TenantPool) -> Tenant:
    return await create_tenant(pool, f"feed-{uuid7().hex[-20:]}")


async def emit(connection: Any, tenant: Tenant, payload: str, name: str = "Rung") -> None:
    await connection.execute(_INSERT, tenant.id, uuid7(), name, payload)


async def all_from(pool: TenantPool, tenant: Tenant, position: Position) -> list[feed.Happened]:
    found: list[feed.Happened] = []
    more = True
    while more:
        page = await feed.read(pool, tenant.id, position, NAMES)
        found += page.events
        position, more = page.next, page.more
    return found


async def test_any_position_is_a_place_to_go_on_from(pool: TenantPool, tenant: Tenant) -> None:
    """Writers whose transactions overlap; a reader beside them, that stops anywhere."""
    begun = await feed.now(pool, tenant.id)
    written: list[str] = []

    async def write(writer: int) -> None:
        for number in range(12):
            async with pool.connection(tenant.id) as own, own.transaction():
                await emit(own, tenant, f"[{writer}, {number}, 0]")
                await asyncio.sleep(random.random() / 40)
                await emit(own, tenant, f"[{writer}, {number}, 1]", "Sung")
            written.extend(f"[{writer}, {number}, {part}]" for part in (0, 1))

    async def follow() -> list[feed.Happened]:
        position, found = begun, []
        while len(found) < 8 * 24:
            page = await feed.read(pool, tenant.id, position, NAMES)
            stop = random.randrange(len(page.events) + 1)  # the connection breaks here
            found += page.events[:stop]
            position = page.events[stop - 1].position if stop else position
            if stop == len(page.events):
                position = page.next
        return found

    followed, *_ = await asyncio.gather(follow(), *map(write, range(8)))
    assert sorted(event.payload for event in followed) == sorted(written)
    for writer in range(8):
        own = [e.payload for e in followed if e.payload.startswith(f"[{writer},")]
        assert own == [one for one in written if one.startswith(f"[{writer},")]
    place = random.randrange(len(followed))
    rest = await all_from(pool, tenant, Position.of(followed[place].position.text(), "after"))
    assert sorted(e.payload for e in rest) == sorted(e.payload for e in followed[place + 1 :])


async def test_pages_end_anywhere(pool: TenantPool, tenant: Tenant) -> None:
    begun = await feed.now(pool, tenant.id)
    async with pool.connection(tenant.id) as connection:
        await connection.execute(
            "INSERT INTO guanxi_outbox (tenant_id, id, name, payload) "
            "SELECT $1, gen_random_uuid(), 'Rung', to_jsonb(n) FROM generate_series(1, $2) AS n",
            tenant.id, 2 * PAGE,
        )  # fmt: skip
    found = await all_from(pool, tenant, begun)
    assert [int(event.payload) for event in found] == list(range(1, 2 * PAGE + 1))
    assert len({event.position.text() for event in found}) == 2 * PAGE


async def test_another_tenant_and_another_event_are_not_read(
    pool: TenantPool, tenant: Tenant
) -> None:
    other = await create_tenant(pool, f"other-{uuid7().hex[-20:]}")
    begun = await feed.now(pool, tenant.id)
    async with pool.connection(other.id) as connection:
        await emit(connection, other, '"theirs"')
    async with pool.connection(tenant.id) as connection:
        await emit(connection, tenant, '"unwanted"', "Hung")
        await emit(connection, tenant, '"ours"')
    assert [event.payload for event in await all_from(pool, tenant, begun)] == ['"ours"']


async def test_nothing_is_read_while_somebody_is_erased(pool: TenantPool, tenant: Tenant) -> None:
    begun = await feed.now(pool, tenant.id)
    async with pool.connection(tenant.id) as erasing:
        await emit(erasing, tenant, "1")
        async with erasing.transaction():
            for lock in ALONE:
                await erasing.execute(lock, tenant.id)
            page = await feed.read(pool, tenant.id, begun, NAMES)
            assert (page.events, page.next, page.more) == ((), begun, False)
    assert len(await all_from(pool, tenant, begun)) == 1


async def test_reading_uses_the_index_under_row_level_security(
    pool: TenantPool, tenant: Tenant
) -> None:
    async with pool.connection(tenant.id) as connection:
        position = await feed.now(pool, tenant.id)
        await connection.execute("SET enable_seqscan = off")
        rows = await connection.fetch(
            "EXPLAIN " + feed._READ, tenant.id, position.since, None, 0, list(NAMES)
        )
        await connection.execute("RESET enable_seqscan")
    plan = "\n".join(row[0] for row in rows)
    assert "ix_guanxi_outbox_xact" in plan
    assert "xact >= " in plan.partition("Index Cond")[2].partition("\n")[0]


@given(
    st.builds(
        Position,
        at=st.integers(0, 2**40),
        since=st.just("3:5:3"),
        until=st.none() | st.just("4:9:4,7"),
        last=st.integers(0, 2**63 - 1),
    )
)
def test_a_position_comes_back_as_it_was(position: Position) -> None:
    assert Position.of(position.text(), "after") == position


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Position.of(text + "!", "after")


@pytest.mark.parametrize("snapshots", [("5:3:",), ("x",), ("1:2:3;",), ("1:1:", "2")])
async def test_what_is_no_snapshot_is_refused(
    pool: TenantPool, tenant: Tenant, snapshots: Sequence[str]
) -> None:
    async def read() -> None:
        position = Position.of(Position(0, *snapshots).text(), "after")
        await feed.read(pool, tenant.id, position, NAMES)

    with pytest.raises(Invalid):
        await read()


async def test_a_listener_knows_from_when_on_it_hears(pool: TenantPool, tenant: Tenant) -> None:
    """What was rung before is not heard: whoever listens looks for it then."""
    begun, heard = asyncio.Event(), asyncio.Event()
    ring = ("SELECT pg_notify($1, $2)", EVENTS, str(tenant.id))

    def hear(told: Any) -> None:
        assert told == tenant.id
        heard.set()

    await pool.call(*ring)
    listening = asyncio.create_task(listen(pool.url, EVENTS, hear, begun.set))
    async with asyncio.timeout(10):
        await begun.wait()
        assert not heard.is_set()
        await pool.call(*ring)
        await heard.wait()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
