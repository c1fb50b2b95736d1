"""The sealer: whatever commits when, each entry becomes one link of its tenant's chain."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from databases import Databases, Scratch, schema_of
from guanxi_core.database.connections import connect
from guanxi_core.database.pool import TenantPool
from guanxi_core.identity import create_user
from guanxi_core.migrations import downgrade, migrate
from guanxi_core.sealing import Sealer, seal
from guanxi_core.tenancy import create_tenant, record, transaction
from guanxi_core.verifying import Verdict, verify
from guanxi_sdk import Tenant

WRITERS = 3


@pytest.fixture
async def pool(database: Scratch) -> AsyncIterator[TenantPool]:
    made = await TenantPool.open(database.app_url, size=8)
    yield made
    await made.close()


@pytest.fixture
async def tenant(pool: TenantPool) -> Tenant:
    return await new_tenant(pool)


async def new_tenant(pool: TenantPool) -> Tenant:
    made = await create_tenant(pool, f"sealed-{uuid7().hex[-20:]}")
    await seal(pool)
    return made


async def write(connection: Any, tenant: Tenant, name: str = "entry") -> None:
    await record(connection, tenant.id, "guanxi.create_user", {"name": [None, name]})


async def as_owner(database: Scratch, tenant: Tenant, statement: str) -> Any:
    connection = await connect(database.owner_url)
    try:
        await connection.execute("SELECT set_config('guanxi.tenant', $1, false)", str(tenant.id))
        return await connection.fetch(statement)
    finally:
        await connection.close()


async def count_further(database: Scratch, tenant: Tenant) -> None:
    """Have a tenant's rows say what they would on a server of very many transactions."""
    await as_owner(
        database, tenant,
        f"UPDATE guanxi_audit_sealed SET before = '900000000000' WHERE tenant_id = '{tenant.id}'",
    )  # fmt: skip
    await as_owner(
        database, tenant,
        "UPDATE guanxi_audit SET xact = (CASE WHEN EXISTS (SELECT FROM guanxi_audit_link "
        "WHERE audit_id = id) THEN '800000000000' ELSE '900000000000' END)::xid8 "
        f"WHERE tenant_id = '{tenant.id}'",
    )  # fmt: skip


def whole(tenant: Tenant, entries: int) -> Verdict:
    """All entries are linked, each once."""
    return Verdict(tenant.name, entries, 0, 0, None, 0, None)


KINDS = ["write", "write", "write", "commit", "commit", "abort", "seal", "seal"]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(0, WRITERS - 1)), min_size=15, max_size=40
    )
)
async def test_whatever_commits_when_is_linked_once(
    pool: TenantPool, steps: Sequence[tuple[str, int]]
) -> None:
    """Writers whose transactions overlap, some of which come to nothing; turns that are too short.

    Between two steps nothing that is committed is counted as done with before it is linked.
    """
    tenant = await new_tenant(pool)
    committed = 1  # the tenant's own making
    async with AsyncExitStack() as stack:
        connections = (pool.connection(tenant.id) for _ in range(WRITERS))
        writers = [await stack.enter_async_context(one) for one in connections]
        open_: dict[int, tuple[Any, int]] = {}
        for what, which in [*steps, *(("commit", n) for n in range(WRITERS))]:
            if what == "seal":
                await pool.call("SELECT guanxi_seal($1)", which + 1)
            elif what == "write":
                if which not in open_:
                    begun = writers[which].transaction()
                    await begun.start()
                    open_[which] = begun, 0
                await write(writers[which], tenant)
                open_[which] = open_[which][0], open_[which][1] + 1
            elif which in open_:
                ended, entries = open_.pop(which)
                await (ended.commit() if what == "commit" else ended.rollback())
                committed += entries if what == "commit" else 0
            verdict = await verify(pool, tenant)
            assert (verdict.broken, verdict.entries + verdict.unsealed) == (None, committed)
    await seal(pool)
    assert await verify(pool, tenant) == whole(tenant, committed)


async def test_a_transaction_that_runs_for_long_holds_up_nobody(
    pool: TenantPool, database: Scratch, tenant: Tenant
) -> None:
    """What others commit meanwhile is looked at once, and its own entry is not passed over."""
    async with transaction(pool, tenant.id) as slow:
        await write(slow, tenant, "slow")
        for number in range(5):
            await create_user(pool, tenant, f"user {number}")
            assert await seal(pool) == 1
        [row] = await as_owner(
            database, tenant,
            "SELECT before::text::bigint - max(xact::text::bigint) AS ahead, "
            f"cardinality(running) FROM guanxi_audit_sealed s JOIN guanxi_audit a "
            f"USING (tenant_id) WHERE tenant_id = '{tenant.id}' GROUP BY before, running",
        )  # fmt: skip
        assert row["ahead"] > 0
        assert row["cardinality"] >= 1
    assert await seal(pool) == 1
    assert await verify(pool, tenant) == whole(tenant, 7)


async def test_of_two_that_ran_for_long_the_second_waits_for_its_turn(
    pool: TenantPool, tenant: Tenant
) -> None:
    async with transaction(pool, tenant.id) as first, transaction(pool, tenant.id) as second:
        await write(first, tenant, "first")
        await write(second, tenant, "second")
        await create_user(pool, tenant, "beside")
        assert await seal(pool) == 1
    [row] = await pool.call("SELECT guanxi_seal($1)", 1)
    assert row[0] == 1
    assert (await verify(pool, tenant)).unsealed == 1
    assert await seal(pool) == 1
    assert await verify(pool, tenant) == whole(tenant, 4)


@pytest.mark.parametrize("beside", [0, 1])
async def test_what_a_transaction_writes_after_it_sealed_is_linked_later(
    pool: TenantPool, tenant: Tenant, beside: int
) -> None:
    """As erasing does: it seals in its own transaction, and leaves an entry about itself."""
    async with transaction(pool, tenant.id) as connection:
        await write(connection, tenant, "before")
        for number in range(beside):  # without, its own number is the next that nobody has seen
            await create_user(pool, tenant, f"beside {number}")
        assert await connection.fetchval("SELECT guanxi_seal(100)") == 1 + beside
        await write(connection, tenant, "after")
    assert (await verify(pool, tenant)).unsealed == 1
    assert await seal(pool) == 1
    assert await verify(pool, tenant) == whole(tenant, 3 + beside)


async def test_a_large_transaction_is_linked_as_a_whole(pool: TenantPool, tenant: Tenant) -> None:
    async with transaction(pool, tenant.id) as connection:
        for number in range(30):
            await write(connection, tenant, str(number))
    await create_user(pool, tenant, "next")
    [row] = await pool.call("SELECT guanxi_seal($1)", 10)
    assert row[0] == 30
    assert await seal(pool) == 1
    assert await verify(pool, tenant) == whole(tenant, 32)


async def test_tables_of_a_server_that_counted_further_are_looked_at_anew(
    pool: TenantPool, database: Scratch, tenant: Tenant
) -> None:
    """As after pg_dump: the numbers in the tables are higher than those of new transactions."""
    await create_user(pool, tenant, "sealed there")
    await seal(pool)
    await create_user(pool, tenant, "not sealed there")
    await count_further(database, tenant)
    await create_user(pool, tenant, "here")
    assert (await verify(pool, tenant)).unsealed == 2
    [row] = await pool.call("SELECT guanxi_seal($1)", 1)
    assert row[0] == 1
    assert await seal(pool) == 1
    assert await verify(pool, tenant) == whole(tenant, 4)
    await create_user(pool, tenant, "later")
    assert await seal(pool) == 1
    assert await verify(pool, tenant) == whole(tenant, 5)


async def test_tenants_are_looked_at_only_after_something_was_committed(
    pool: TenantPool, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    call = TenantPool.call

    async def spy(self: TenantPool, query: str, *arguments: Any) -> list[Any]:
        asked.append(query)
        return await call(self, query, *arguments)

    monkeypatch.setattr(TenantPool, "call", spy)
    sealer = Sealer(pool, pause=0.001)
    running = asyncio.create_task(sealer.run())
    try:
        async with asyncio.timeout(20):
            while len(asked) < 20 or any("guanxi_seal" in query for query in asked[-10:]):
                await verify(pool, tenant)
            last = sealer.sealed
            await create_user(pool, tenant, "ada")
            while (await verify(pool, tenant)).unsealed:
                pass
        assert sealer.sealed > last
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_sealing_finds_entries_by_an_index(
    pool: TenantPool, database: Scratch, tenant: Tenant, elsewhere: bool
) -> None:
    """However long the chain is, and wherever it came from: neither it nor the audit is read."""
    await as_owner(
        database, tenant,
        "INSERT INTO guanxi_audit (tenant_id, id, actor, action, changes) SELECT "
        f"'{tenant.id}', gen_random_uuid(), 'ada', 'guanxi.create_user', '{{}}' "
        "FROM generate_series(1, 3000)",
    )  # fmt: skip
    await seal(pool)
    if elsewhere:
        await count_further(database, tenant)
        await seal(pool)
    connection = await connect(database.owner_url)
    read = (
        "SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables "
        "WHERE relname IN ('guanxi_audit', 'guanxi_audit_link') ORDER BY relname"
    )
    try:
        for number in range(8):  # the plans that PL/pgSQL keeps come after the first few
            await create_user(pool, tenant, f"user {number}")
            async with connection.transaction():
                assert await connection.fetchval("SELECT guanxi_seal(1000)") == 1
                rows = dict(await connection.fetch(read))
            assert max(rows.values()) < 100, rows
    finally:
        await connection.close()
    assert await verify(pool, tenant) == whole(tenant, 3009)


@pytest.mark.parametrize("number", ["3", "18446744073709551615"])
async def test_an_entry_that_claims_another_transaction_is_told(
    pool: TenantPool, tenant: Tenant, number: str
) -> None:
    """Of one long over, or of one that will never come: neither is linked, and both are found."""
    async with transaction(pool, tenant.id) as connection:
        await connection.execute(
            "INSERT INTO guanxi_audit (tenant_id, id, actor, action, changes, xact) "
            "VALUES ($1, $2, 'Eve', 'guanxi.create_user', '{}', $3::text::xid8)",
            tenant.id, uuid7(), number,
        )  # fmt: skip
    await seal(pool)
    verdict = await verify(pool, tenant)
    assert verdict.broken is not None
    assert "never linked" in verdict.broken.reason


async def test_a_turn_that_ends_with_its_own_entries_counts_no_other_as_done_with(
    pool: TenantPool, tenant: Tenant
) -> None:
    async with transaction(pool, tenant.id) as first:
        await write(first, tenant, "first")
        async with transaction(pool, tenant.id) as second:
            await write(second, tenant, "second")
            assert await second.fetchval("SELECT guanxi_seal(1)") == 1
    assert (await verify(pool, tenant)).broken is None
    assert await seal(pool) == 1
    assert await verify(pool, tenant) == whole(tenant, 3)


async def test_tables_from_elsewhere_are_sealed_by_a_writer_too(
    pool: TenantPool, database: Scratch, tenant: Tenant
) -> None:
    """As by erasing somebody, before any sealer came by."""
    await count_further(database, tenant)
    async with transaction(pool, tenant.id) as open_:
        await write(open_, tenant, "open")
        async with transaction(pool, tenant.id) as connection:
            await write(connection, tenant, "own")
            assert await connection.fetchval("SELECT guanxi_seal(100)") == 1
    assert await seal(pool) == 1
    assert await verify(pool, tenant) == whole(tenant, 3)


async def test_an_upgrade_knows_what_is_linked_and_what_waits(databases: Databases) -> None:
    """Nothing of a long chain is looked at again, and what was never to be linked still is not."""
    scratch = await databases.fresh()
    options: Any = {"plugins": [], "app_role": scratch.app_role}
    await migrate(scratch.owner_url, to={"guanxi": "0012"}, **options)
    owner = await connect(scratch.owner_url)
    tenant = Tenant(uuid7(), "old", "CNY")
    try:
        await owner.execute("SELECT set_config('guanxi.tenant', $1, false)", str(tenant.id))
        await owner.execute(
            "INSERT INTO guanxi_tenant (id, name, currency) VALUES ($1, 'old', 'CNY')", tenant.id
        )
        for name in ("linked", "stray", "waits"):
            await write(owner, tenant, name)
            if name == "linked":
                assert await owner.fetchval("SELECT guanxi_seal(10)") == 1
            elif name == "stray":
                await owner.execute("DELETE FROM guanxi_audit_pending")
        await migrate(scratch.owner_url, **options)
        assert await owner.fetchval("SELECT guanxi_seal(10)") == 1
    finally:
        await owner.close()
    pool = await TenantPool.open(scratch.app_url, size=1)
    try:
        verdict = await verify(pool, tenant)
        assert (verdict.entries, verdict.unsealed) == (2, 1)
        assert verdict.broken is not None
        assert "never linked" in verdict.broken.reason
    finally:
        await pool.close()
        await databases.drop(scratch)


async def test_the_former_tables_come_back(databases: Databases) -> None:
    former, now = await databases.fresh(), await databases.fresh()
    options: Any = {"plugins": [], "app_role": former.app_role}
    try:
        await migrate(former.owner_url, to={"guanxi": "0012"}, **options)
        await migrate(now.owner_url, **options)
        await downgrade(now.owner_url, "guanxi", "0012", **options)
        assert await schema_of(now.owner_url) == await schema_of(former.owner_url)
    finally:
        await databases.drop(former)
        await databases.drop(now)
