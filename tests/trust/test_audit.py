"""Row 19: "every edit, deletion and truncation among 1,000 mutants detected"."""

import asyncio
import datetime as dt
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
import pytest
from uuid_utils.compat import uuid7

from databases import Databases, Scratch
from figures import LONG, Figure
from guanxi_core.database.connections import connect
from guanxi_core.database.pool import TenantPool
from guanxi_core.identity import create_user
from guanxi_core.sealing import Sealer, seal
from guanxi_core.tenancy import create_tenant, record, transaction
from guanxi_core.verifying import Anchor, Verdict, head, verify
from guanxi_sdk import Invalid, Tenant

MUTANTS = 1000 if LONG else 60
ENTRIES = 9

#: What whoever owns the database might do to one entry, as SQL with its sequence as {n}.
ROW, LINK = "guanxi_audit", "guanxi_audit_link"
EDITS = {
    f"{table}.{column} = {value}": f"UPDATE {table} SET {column} = {value} WHERE "
    + ("sequence = {n}" if table == LINK else "id = entry({n})")
    for table, column, value in [
        (ROW, "created_at", "created_at - interval '1 microsecond'"),
        (ROW, "actor_id", "gen_random_uuid()"),
        (ROW, "actor", "actor || '.'"),
        (ROW, "action", "'guanxi.audit.erase'"),
        (ROW, "model", "'Customer'"),
        (ROW, "row_id", "'user_1'"),
        (ROW, "changes", "jsonb_set(changes, ARRAY['name', '1'], '\"Eve\"')"),
        (ROW, "changes", "'{{}}'"),
        (ROW, "reason", "'because'"),
        (ROW, "origin", "'192.0.2.1'"),
        (LINK, "audit_id", "gen_random_uuid()"),
        (LINK, "sealed_at", "sealed_at + interval '1 microsecond'"),
        (LINK, "who_salt", "decode('00', 'hex')"),
        (LINK, "what_salt", "NULL"),
        (LINK, "who", "sha256(who)"),
        (LINK, "what", "sha256(what)"),
        (LINK, "link", "sha256(link)"),
    ]
}
DELETIONS = {
    "row": "DELETE FROM guanxi_audit WHERE id = entry({n})",
    "link": "DELETE FROM guanxi_audit_link WHERE sequence = {n}",
    "both": "DELETE FROM guanxi_audit WHERE id = entry({n}); "
    "DELETE FROM guanxi_audit_link WHERE sequence = {n}",
    "content": "UPDATE guanxi_audit SET changes = '{{}}', reason = NULL WHERE id = entry({n}); "
    "UPDATE guanxi_audit_link SET what_salt = NULL WHERE sequence = {n}",
}
REORDERINGS = {
    "links": "UPDATE guanxi_audit_link SET sequence = -sequence WHERE sequence IN ({n}, {m}); "
    "UPDATE guanxi_audit_link SET sequence = {n} + {m} + sequence WHERE sequence < 0",
    "rows": "UPDATE guanxi_audit_link SET audit_id = gen_random_uuid() WHERE sequence = {n}; "
    "UPDATE guanxi_audit_link SET audit_id = entry({n}) WHERE sequence = {m}; "
    "UPDATE guanxi_audit_link SET audit_id = entry({m}) WHERE sequence = {n}",
    "contents": "UPDATE guanxi_audit a SET changes = b.changes FROM guanxi_audit b "
    "WHERE a.id IN (entry({n}), entry({m})) AND b.id IN (entry({n}), entry({m})) AND a.id <> b.id",
}
#: Of a whole chain.
FORGERIES = {
    "insert": """
        UPDATE guanxi_audit_link SET sequence = -sequence - 1 WHERE sequence >= {n};
        UPDATE guanxi_audit_link SET sequence = -sequence WHERE sequence < 0;
        INSERT INTO guanxi_audit (tenant_id, id, actor, action)
            VALUES ('{tenant}', '{new}', 'Eve', 'guanxi.create_user');
        INSERT INTO guanxi_audit_link SELECT tenant_id, {n}, '{new}', sealed_at, who_salt,
            what_salt, sha256(who_salt || convert_to('[null, "Eve", null]', 'UTF8')),
            sha256(what_salt || convert_to('[{{}}, null]', 'UTF8')), sha256(link)
            FROM links WHERE sequence = {n}
    """,
    "hide": """
        INSERT INTO guanxi_audit (tenant_id, id, actor, action, xact)
            VALUES ('{tenant}', '{new}', 'Eve', 'guanxi.create_user', '3')
    """,
    "truncate": """
        DELETE FROM guanxi_audit_link WHERE sequence >= {n};
        DELETE FROM guanxi_audit WHERE id IN (SELECT audit_id FROM links WHERE sequence >= {n})
    """,
    "unlink": "DELETE FROM guanxi_audit_link WHERE sequence >= {n}",
    "rewrite": """
        UPDATE guanxi_audit SET actor = 'Eve' WHERE id = entry({n});
        DELETE FROM guanxi_audit_link WHERE sequence >= {n};
        DELETE FROM guanxi_audit_sealed;
        SELECT guanxi_seal(1000)
    """,
}
KINDS = {"edit": EDITS, "delete": DELETIONS, "reorder": REORDERINGS, "forge": FORGERIES}


@pytest.fixture(scope="module")
async def pool(database: Scratch) -> AsyncIterator[TenantPool]:
    pool = await TenantPool.open(database.app_url, size=8)
    yield pool
    await pool.close()


async def tenant_with(pool: TenantPool, name: str, entries: int) -> Tenant:
    tenant = await create_tenant(pool, name)
    for number in range(1, entries):
        await create_user(pool, tenant, f"user {number}")
    return tenant


@asynccontextmanager
async def owner(database: Scratch, tenant: Tenant) -> AsyncIterator[Any]:
    """A connection of the tables' owner, who may do everything."""
    connection = await connect(database.owner_url)
    try:
        await connection.execute("SELECT set_config('guanxi.tenant', $1, false)", str(tenant.id))
        yield connection
    finally:
        await connection.close()


PREPARE = """
    CREATE TEMP TABLE rows AS SELECT * FROM guanxi_audit;
    CREATE TEMP TABLE links AS SELECT * FROM guanxi_audit_link;
    CREATE FUNCTION pg_temp.entry(n bigint) RETURNS uuid LANGUAGE sql AS
        'SELECT audit_id FROM pg_temp.links WHERE sequence = n';
"""
RESTORE = """
    DELETE FROM guanxi_audit; DELETE FROM guanxi_audit_link;
    INSERT INTO guanxi_audit SELECT * FROM rows; INSERT INTO guanxi_audit_link SELECT * FROM links;
"""


async def test_every_mutant_is_detected(databases: Databases, figure: Figure) -> None:
    """Each is committed by the tables' owner; a sealer may come by before anybody verifies."""
    chance = random.Random(19)
    database = await databases.migrated()
    pool = await TenantPool.open(database.app_url, size=2)
    survivors, found = [], set()
    try:
        tenant = await tenant_with(pool, "mutants", ENTRIES)
        await seal(pool)
        anchor = await head(pool, tenant)
        whole = Verdict("mutants", ENTRIES, 0, 0, None, 1, None)
        assert await verify(pool, tenant, [anchor]) == whole
        async with owner(database, tenant) as connection:
            await connection.execute(PREPARE)
            for _ in range(MUTANTS):
                kind = chance.choice(list(KINDS))
                name, statements = chance.choice(list(KINDS[kind].items()))
                n, m = chance.sample(range(1, ENTRIES + 1), 2)
                text = statements.format(n=n, m=m, tenant=tenant.id, new=uuid7())
                await connection.execute(text.replace("entry(", "pg_temp.entry("))
                if chance.random() < 0.5:
                    await seal(pool)
                broken = (await verify(pool, tenant, [anchor])).broken
                if broken is None:
                    survivors.append((name, n, m))
                elif kind == "edit":
                    assert broken.sequence == n, (name, broken)
                found.add(name)
                await connection.execute(RESTORE)
        assert survivors == []
        assert MUTANTS < 1000 or found == {name for kind in KINDS.values() for name in kind}
        assert await verify(pool, tenant, [anchor]) == whole
        figure(
            19, "every one of 1,000 mutants detected",
            f"{MUTANTS} mutants in {len(found)} ways, {len(survivors)} survived",
        )  # fmt: skip
    finally:
        await pool.close()
        await databases.drop(database)


async def test_only_an_anchor_shows_that_the_end_is_gone(
    pool: TenantPool, database: Scratch
) -> None:
    tenant = await tenant_with(pool, "cut", 4)
    await seal(pool)
    early = await head(pool, tenant)
    await create_user(pool, tenant, "late")
    await seal(pool)
    late = await head(pool, tenant)
    async with owner(database, tenant) as connection:
        await connection.execute(
            "WITH gone AS (DELETE FROM guanxi_audit_link WHERE tenant_id = $1 AND sequence = 5 "
            "RETURNING audit_id) DELETE FROM guanxi_audit WHERE tenant_id = $1 AND id IN "
            "(SELECT audit_id FROM gone)", tenant.id,
        )  # fmt: skip
    assert (await verify(pool, tenant)).broken is None
    assert (await verify(pool, tenant, [early])).broken is None
    broken = (await verify(pool, tenant, [early, late])).broken
    assert broken is not None
    assert (broken.sequence, "cut off" in broken.reason) == (5, True)
    stranger = Anchor("else", uuid7(), 1, "00", None)
    with pytest.raises(Invalid, match="another tenant"):
        await verify(pool, tenant, [stranger])


async def test_links_follow_the_commits(pool: TenantPool) -> None:
    """An entry whose transaction is still open is neither linked nor waited for."""
    tenant = await tenant_with(pool, "commits", 1)
    await seal(pool)
    async with transaction(pool, tenant.id) as slow:
        await record(slow, tenant.id, "guanxi.create_user", {}, actor="slow")
        await create_user(pool, tenant, "fast")
        assert await seal(pool) == 1
    assert (await verify(pool, tenant)).unsealed == 1
    assert await seal(pool) == 1
    async with pool.connection(tenant.id) as connection:
        actors = await connection.fetch(
            "SELECT a.actor FROM guanxi_audit_link l JOIN guanxi_audit a "
            "ON a.tenant_id = l.tenant_id AND a.id = l.audit_id ORDER BY l.sequence"
        )
    assert [row["actor"] for row in actors] == ["system", "system", "slow"]
    verdict = await verify(pool, tenant)
    assert (verdict.entries, verdict.unsealed, verdict.broken) == (3, 0, None)


async def test_sealers_of_many_processes_make_one_chain(
    pool: TenantPool, database: Scratch
) -> None:
    tenant = await create_tenant(pool, "many")
    pools = [await TenantPool.open(database.app_url, size=2) for _ in range(3)]
    sealers = [asyncio.create_task(Sealer(one, pause=0.01).run()) for one in pools]
    try:
        await asyncio.gather(*(create_user(pool, tenant, f"user {n}") for n in range(40)))
        async with asyncio.timeout(1):
            while (await verify(pool, tenant)).unsealed:
                pass
        await create_user(pool, tenant, "last")
    finally:
        for task in sealers:
            task.cancel()
        await asyncio.gather(*sealers, return_exceptions=True)
        for one in pools:
            await one.close()
    verdict = await verify(pool, tenant)
    assert (verdict.entries, verdict.unsealed, verdict.broken) == (42, 0, None)


async def test_many_entries_of_one_tenant_hold_up_no_other(pool: TenantPool) -> None:
    """Each has its share of a turn, and what a tenant leaves of its share goes to the others."""
    before = await create_tenant(pool, "before")
    busy = await tenant_with(pool, "busy", 60)
    after = await create_tenant(pool, "after")
    await pool.call("SELECT guanxi_seal($1)", 20)
    unsealed = [(await verify(pool, one)).unsealed for one in (before, busy, after)]
    assert unsealed == [0, 60 - 18, 0]
    assert await seal(pool) == 60 - 18
    assert (await verify(pool, busy)).broken is None


async def test_a_sealer_seals_within_a_second(pool: TenantPool) -> None:
    tenant = await create_tenant(pool, "second")
    sealer = asyncio.create_task(Sealer(pool).run())
    try:
        await asyncio.sleep(0.05)
        await create_user(pool, tenant, "ada")
        await asyncio.sleep(0.6)
        assert (await verify(pool, tenant)).unsealed == 0
    finally:
        sealer.cancel()
        await asyncio.gather(sealer, return_exceptions=True)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE guanxi_audit SET actor = 'Eve'",
        "DELETE FROM guanxi_audit",
        "TRUNCATE guanxi_audit",
        "UPDATE guanxi_audit_link SET link = ''",
        "DELETE FROM guanxi_audit_link",
        "INSERT INTO guanxi_audit_link SELECT * FROM guanxi_audit_link",
        "SELECT FROM guanxi_audit_sealed",
        "UPDATE guanxi_audit_sealed SET before = '9'",
        "DELETE FROM guanxi_audit_sealed",
    ],
)
async def test_the_app_role_cannot_touch_what_is_written(pool: TenantPool, statement: str) -> None:
    async with pool.connection(uuid7()) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def erase_entries(
    pool: TenantPool, tenant: Tenant, entries: list[Any], *, who: bool = False, actor: str = "dpo"
) -> int:
    """Blank what entries say, and maybe who did it; returns how many."""
    values = (tenant.id, entries, who, True, uuid7(), actor, "request 12")
    [row] = await pool.call("SELECT guanxi_erase_audit($1, $2, $3, $4, $5, $6, $7)", *values)
    return int(row[0])


async def test_erased_entries_leave_a_chain_that_verifies(
    pool: TenantPool, database: Scratch
) -> None:
    tenant = await create_tenant(pool, "erased")
    canary = "canary-7f3a"
    user = await create_user(pool, tenant, canary, actor=canary)
    async with pool.connection(tenant.id) as connection:
        entry = await connection.fetchval(
            "SELECT id FROM guanxi_audit WHERE row_id = $1", f"user_{user.id}"
        )
    before = await head(pool, tenant)
    assert await erase_entries(pool, tenant, [entry], who=True) == 1
    await seal(pool)
    verdict = await verify(pool, tenant, [before, await head(pool, tenant)])
    assert (verdict.broken, verdict.erased, verdict.entries) == (None, 1, 3)
    async with owner(database, tenant) as connection:
        rows = await connection.fetch(
            "SELECT a::text || l::text AS text FROM guanxi_audit a JOIN guanxi_audit_link l "
            "ON l.tenant_id = a.tenant_id AND l.audit_id = a.id WHERE a.tenant_id = $1", tenant.id,
        )  # fmt: skip
        assert not any(canary in row["text"] for row in rows)
        # what is left of an erased entry is still guarded
        await connection.execute(
            "UPDATE guanxi_audit SET action = 'x' WHERE tenant_id = $1 AND id = $2",
            tenant.id, entry,
        )  # fmt: skip
    broken = (await verify(pool, tenant)).broken
    assert broken is not None
    assert broken.sequence == 2


async def test_erasing_what_leaves_who(pool: TenantPool) -> None:
    tenant = await tenant_with(pool, "half", 2)
    async with pool.connection(tenant.id) as connection:
        ids = [row[0] for row in await connection.fetch("SELECT id FROM guanxi_audit")]
    assert await erase_entries(pool, tenant, ids) == 2
    assert await erase_entries(pool, tenant, ids) == 0
    await seal(pool)
    assert (await verify(pool, tenant)).broken is None
    async with pool.connection(tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT actor, changes FROM guanxi_audit WHERE id = ANY ($1)", ids
        )
    assert [tuple(row) for row in rows] == [("system", "{}")] * 2


async def test_another_tenants_chain_is_out_of_reach(pool: TenantPool) -> None:
    mine, theirs = await create_tenant(pool, "mine"), await create_tenant(pool, "theirs")
    await seal(pool)
    async with pool.connection(mine.id) as connection:
        tenants = await connection.fetch("SELECT DISTINCT tenant_id FROM guanxi_audit_link")
        entry = await connection.fetchval("SELECT id FROM guanxi_audit")
    assert [row[0] for row in tenants] == [mine.id]
    assert await erase_entries(pool, theirs, [entry], actor="Eve") == 0
    assert (await verify(pool, mine)).erased == 0


def test_an_anchor_survives_its_file() -> None:
    anchor = Anchor("acme", uuid7(), 3, "ab" * 32, dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    line = msgspec.json.encode(anchor).decode()
    assert Anchor.read(f"{line}\n\n{line}\n") == [anchor, anchor]
    for wrong in ("", "{}", "nonsense"):
        with pytest.raises(Invalid):
            Anchor.read(wrong)
