"""Row 17: "backup and restore under writes: row hashes equal, audit verifies".

A backup is one moment of all tenants: what a transaction wrote together is there together.
"""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from databases import Databases, Scratch
from figures import LONG, Figure
from guanxi_core.api_tokens import create_token
from guanxi_core.backup import BackupError, Summary, backup, restore
from guanxi_core.bundles import create_tenant_with_bundle, discover_bundles
from guanxi_core.custom.definitions import Definition
from guanxi_core.custom.keeping import store
from guanxi_core.discovery import discover
from guanxi_core.platform import Platform
from guanxi_core.sealing import seal
from guanxi_core.tenancy import create_tenant, find_tenant, set_plugin
from guanxi_core.verifying import Anchor, head, verify
from guanxi_graphql.execute.engine import Engine

COUNT = "{ customers(includeArchived: true) { totalCount } employees { totalCount } }"
PROMISE = "backup under writes: row hashes equal, audit verifies"
CREATE = """mutation ($c: String!) {
  createCustomer(input: { code: $c, name: "written meanwhile" }) { errors { code } }
}"""


@asynccontextmanager
async def serving(scratch: Scratch) -> AsyncIterator[tuple[Platform, Engine]]:
    async with await Platform.open(scratch.app_url, pool_size=6) as platform:
        yield platform, Engine(platform)


@pytest.fixture
async def target(databases: Databases) -> AsyncIterator[Scratch]:
    made = await databases.fresh()
    yield made
    await databases.drop(made)


@pytest.fixture(scope="module")
async def tokens(database: Scratch) -> dict[str, str]:
    """A tenant with the sample data and one without, and a token for each."""
    bundle = discover_bundles().get("telecom")
    async with serving(database) as (platform, engine):
        await create_tenant_with_bundle(platform, "one", bundle, actor="test")
        two = await create_tenant(platform.pool, "two", "CNY")
        await set_plugin(platform.pool, two, "customers", True)
        async with platform.pool.connection(two.id) as connection:
            await store(connection, two.id, [Definition("Customer", "note", "text", "Ours.")])
        made = {
            name: await create_token(
                platform.pool, await find_tenant(platform.pool, name), role="admin"
            )
            for name in ("one", "two")
        }
        noted = CREATE.replace("name:", 'note: "kept", name:')
        reply = await engine.execute(await platform.authenticate(made["two"]), noted, {"c": "N"})
        assert b'"errors":[]' in reply.body
        return made


@asynccontextmanager
async def tenants_of(scratch: Scratch) -> AsyncIterator[tuple[Any, list[Any]]]:
    """A connection of the owner, and the ids of all tenants."""
    owner = await asyncpg.connect(scratch.owner_url)
    try:
        yield owner, [row["id"] for row in await owner.fetch("SELECT id FROM guanxi_tenant")]
    finally:
        await owner.close()


async def into(target: Scratch, path: Path) -> Summary:
    return await restore(
        target.owner_url, path, discover().plugins.values(), app_role=target.app_role
    )


def digests(path: Path) -> dict[str, Any]:
    manifest = json.loads(zipfile.ZipFile(path).read("manifest.json"))
    return {f"{p['table']}/{p['tenant']}": (p["rows"], p["digest"]) for p in manifest["parts"]}


async def answers(platform: Platform, engine: Engine, tokens: dict[str, str]) -> list[Any]:
    return [
        json.loads((await engine.execute(await platform.authenticate(token), COUNT)).body)
        for token in tokens.values()
    ]


async def sealed(platform: Platform) -> Anchor:
    """The end of the chain of the tenant that has data."""
    await seal(platform.pool)
    return await head(platform.pool, await find_tenant(platform.pool, "one"))


async def test_what_comes_back_is_what_was_there(
    database: Scratch, target: Scratch, tokens: dict[str, str], tmp_path: Path, figure: Figure
) -> None:
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    async with serving(database) as (platform, _):
        anchor = await sealed(platform)
    assert anchor.sequence > 0
    written = await backup(database.owner_url, first)
    assert first.stat().st_mode & 0o077 == 0
    assert written.tenants >= 2
    assert await into(target, first) == written
    async with tenants_of(target) as (owner, tenants):  # the sealer need not look at what is linked
        for tenant in tenants:
            await owner.execute("SELECT set_config('guanxi.tenant', $1, false)", str(tenant))
            assert await owner.fetchval("SELECT count(*) FROM guanxi_audit WHERE xact = '3'")
            assert await owner.fetchval(
                "SELECT count(*) FROM guanxi_audit a JOIN guanxi_audit_sealed s USING (tenant_id) "
                "WHERE tenant_id = $1 AND (a.xact >= s.before OR a.xact = ANY (s.running)) "
                "AND EXISTS (SELECT FROM guanxi_audit_link WHERE audit_id = a.id)", tenant,
            ) == 0  # fmt: skip
    assert await backup(target.owner_url, second) == written
    assert digests(first) == digests(second)
    values = [n for table, (n, _) in digests(second).items() if "guanxi_custom_value" in table]
    assert sum(values) == 1
    async with serving(database) as before, serving(target) as after:
        assert await answers(*before, tokens) == await answers(*after, tokens)
    async with serving(target) as (platform, engine):  # and it goes on from there
        access = await platform.authenticate(tokens["one"])
        reply = await engine.execute(access, CREATE, {"c": "LATER"})
        assert json.loads(reply.body) == {"data": {"createCustomer": {"errors": []}}}
        later = await sealed(platform)
        verdict = await verify(platform.pool, access.installation.tenant, [anchor, later])
        assert (verdict.broken, verdict.unsealed, verdict.anchors) == (None, 0, 2)
        assert verdict.entries == later.sequence == anchor.sequence + 1
    figure(
        17, PROMISE, f"{len(digests(first))} hashes equal, {verdict.entries} audit entries verify"
    )
    connection = await asyncpg.connect(target.app_url)  # and nobody sees more than before
    assert await connection.fetchval("SELECT count(*) FROM customers_customer") == 0
    await connection.close()


async def test_under_writes_it_is_one_moment(
    database: Scratch, target: Scratch, tokens: dict[str, str], tmp_path: Path, figure: Figure
) -> None:
    stop, made = asyncio.Event(), dict.fromkeys(tokens, 0)

    async def write(engine: Engine, access: Any, tenant: str, worker: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            reply = await engine.execute(access, CREATE, {"c": f"W{worker}-{number}"})
            assert json.loads(reply.body) == {"data": {"createCustomer": {"errors": []}}}
            made[tenant] += 1

    async with serving(database) as (platform, engine), asyncio.TaskGroup() as group:
        for worker, (tenant, token) in enumerate([*tokens.items()] * 2):
            group.create_task(write(engine, await platform.authenticate(token), tenant, worker))
        while min(made.values()) < (2000 if LONG else 20):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        anchor = await sealed(platform)
        before = sum(made.values())
        await backup(database.owner_url, tmp_path / "b.zip")
        assert sum(made.values()) > before + 4, "nobody wrote while the backup was made"
        stop.set()
    total = sum(made.values())
    await into(target, tmp_path / "b.zip")
    await backup(target.owner_url, tmp_path / "again.zip")
    assert digests(tmp_path / "b.zip") == digests(tmp_path / "again.zip")
    async with serving(target) as (platform, _):
        await seal(platform.pool)
        verdict = await verify(platform.pool, await find_tenant(platform.pool, "one"), [anchor])
        assert (verdict.broken, verdict.unsealed, verdict.anchors) == (None, 0, 1)
        assert verdict.entries >= anchor.sequence
    connection = await asyncpg.connect(target.owner_url)
    for row in await connection.fetch("SELECT id FROM guanxi_tenant"):
        await connection.execute("SELECT set_config('guanxi.tenant', $1, false)", str(row["id"]))
        rows, audited, reported = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM customers_customer WHERE tenant_id = $1"
            " AND name = 'written meanwhile'),"
            " (SELECT count(*) FROM guanxi_audit a JOIN customers_customer c"
            " ON c.tenant_id = a.tenant_id AND 'customer_' || c.id = a.row_id"
            " WHERE c.tenant_id = $1 AND c.name = 'written meanwhile'),"
            " (SELECT count(*) FROM guanxi_outbox WHERE tenant_id = $1"
            " AND name = 'CustomerCreated')",
            row["id"],
        )
        assert rows == audited
        assert reported >= rows > 0
    await connection.close()
    figure(
        17, PROMISE, f"{total} writes meanwhile, {len(digests(tmp_path / 'b.zip'))} hashes equal, "
        f"{verdict.entries} audit entries verify",
    )  # fmt: skip


async def test_a_damaged_file_changes_nothing(
    database: Scratch, target: Scratch, tokens: dict[str, str], tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    await backup(database.owner_url, good)
    with zipfile.ZipFile(good) as file, zipfile.ZipFile(bad, "w") as damaged:
        for name in file.namelist():
            content = file.read(name)
            if name.startswith("customers_customer/"):
                content = content.replace("公司".encode(), "公思".encode(), 1)
            damaged.writestr(name, content)
    with pytest.raises(BackupError, match="came out differently: the file is damaged"):
        await into(target, bad)
    (tmp_path / "cut.zip").write_bytes(good.read_bytes()[:-2000])
    with pytest.raises(BackupError, match="is not a backup of guanxi, or not a whole one"):
        await into(target, tmp_path / "cut.zip")
    connection = await asyncpg.connect(target.owner_url)
    assert await connection.fetchval("SELECT count(*) FROM guanxi_tenant") == 0
    await connection.close()
    await into(target, good)


async def test_what_cannot_be_done_is_said(
    database: Scratch, databases: Databases, tokens: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "b.zip"
    empty = await databases.fresh()
    with pytest.raises(BackupError, match="nothing to back up"):
        await backup(empty.owner_url, path)
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240
    await backup(database.owner_url, path)
    with pytest.raises(BackupError, match="exists already: choose another name"):
        await backup(database.owner_url, path)
    with pytest.raises(BackupError, match="cannot be written: No such file"):
        await backup(database.owner_url, tmp_path / "none" / "b.zip")
    with pytest.raises(BackupError, match="has tenants already: restore into an empty one"):
        await into(database, path)
    with pytest.raises(
        BackupError, match="tables of customers, relationships, tiers, webhooks, not installed here"
    ):
        await restore(empty.owner_url, path, [], app_role=empty.app_role)
    await databases.drop(empty)
