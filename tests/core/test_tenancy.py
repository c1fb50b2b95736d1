"""Tenants and their plugins, on a pool and inside somebody else's transaction."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from databases import Scratch
from guanxi_core.database.pool import TenantPool
from guanxi_core.grants import FIRST_ROLES
from guanxi_core.tenancy import (
    create_tenant,
    enabled_plugins,
    find_tenant,
    list_tenants,
    record,
    set_plugin,
    transaction,
)
from guanxi_sdk import Conflict, Invalid, NotFound, Tenant

_numbers = count()


@pytest.fixture
async def pool(database: Scratch) -> AsyncIterator[TenantPool]:
    made = await TenantPool.open(database.app_url, size=4)
    yield made
    await made.close()


@pytest.fixture
async def tenant(pool: TenantPool) -> Tenant:
    return await create_tenant(pool, f"tenant-{next(_numbers)}")


async def audit(pool: TenantPool, tenant: Tenant) -> list[tuple[str, str, Any]]:
    async with pool.connection(tenant.id) as connection:
        rows = await connection.fetch("SELECT * FROM guanxi_audit ORDER BY id")
    return [(row["action"], row["actor"], json.loads(row["changes"])) for row in rows]


async def test_a_tenant_begins_with_its_first_roles_and_no_plugin(pool: TenantPool):
    made = await create_tenant(pool, "acme", "USD", actor="ada")
    assert await find_tenant(pool, "acme") == made
    assert made.currency == "USD"
    async with pool.connection(made.id) as connection:
        roles = await connection.fetch("SELECT name, permissions, clearance FROM guanxi_role")
    assert {row["name"]: (row["permissions"], row["clearance"]) for row in roles} == {
        name: (list(role.permissions), role.clearance.name) for name, role in FIRST_ROLES.items()
    }
    assert {"admin", "manager", "steward", "finance", "auditor", "readonly"} == FIRST_ROLES.keys()
    assert await enabled_plugins(pool, made) == {}
    assert await audit(pool, made) == [
        ("guanxi.tenant.create", "ada", {"name": [None, "acme"], "currency": [None, "USD"]})
    ]


@pytest.mark.parametrize("name", ["", "Acme", "-acme", "a" * 41, "a b", "a_b", "华", "a\n", "a\0"])
async def test_names_that_are_none_are_refused(pool: TenantPool, name: str):
    with pytest.raises(Invalid, match="use up to 40 lower case letters, digits and -"):
        await create_tenant(pool, name)
    with pytest.raises(NotFound):
        await find_tenant(pool, name)


async def test_a_longest_name_is_accepted(pool: TenantPool):
    assert (await create_tenant(pool, "9" * 40)).name == "9" * 40


@pytest.mark.parametrize("currency", ["", "cny", "CNYY", "C1Y", "ＣＮＹ"])
async def test_currencies_that_are_none_are_refused(pool: TenantPool, currency: str):
    with pytest.raises(Invalid, match="ISO 4217"):
        await create_tenant(pool, "fine", currency)


async def test_a_name_is_given_once(pool: TenantPool, tenant: Tenant):
    before = await list_tenants(pool)
    with pytest.raises(Conflict, match=f"'{tenant.name}' exists already"):
        await create_tenant(pool, tenant.name)
    assert await list_tenants(pool) == before


async def test_of_many_at_once_one_gets_the_name(pool: TenantPool):
    results = await asyncio.gather(
        *(create_tenant(pool, "wanted") for _ in range(8)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 7 + ["Tenant"]


async def test_an_unknown_tenant_is_answered_with_those_there_are(pool: TenantPool, tenant: Tenant):
    with pytest.raises(NotFound) as caught:
        await find_tenant(pool, "nobody")
    assert str(caught.value).startswith("tenant 'nobody' does not exist; the tenants are ")
    assert tenant.name in [t.name for t in await list_tenants(pool)]


async def test_plugins_are_switched_on_configured_and_off(pool: TenantPool, tenant: Tenant):
    other = await create_tenant(pool, f"tenant-{next(_numbers)}")
    await set_plugin(pool, tenant, "customers", True, {"a": 1}, version="1.0", actor="ada")
    await set_plugin(pool, tenant, "customers", True)
    assert await enabled_plugins(pool, tenant) == {"customers": {"a": 1}}
    await set_plugin(pool, tenant, "customers", True, {"a": 2, "中": None})
    assert await enabled_plugins(pool, tenant) == {"customers": {"a": 2, "中": None}}
    await set_plugin(pool, tenant, "customers", False)
    assert await enabled_plugins(pool, tenant) == {}
    await set_plugin(pool, tenant, "customers", True)
    assert await enabled_plugins(pool, tenant) == {"customers": {"a": 2, "中": None}}
    assert await enabled_plugins(pool, other) == {}
    recorded = await audit(pool, tenant)
    assert [(action, actor) for action, actor, _ in recorded[1:]] == [
        ("guanxi.plugin.enable", "ada"),
        ("guanxi.plugin.configure", "system"),
        ("guanxi.plugin.disable", "system"),
        ("guanxi.plugin.enable", "system"),
    ]
    assert recorded[1][2] == {
        "plugin": [None, "customers"], "settings": [{}, {"a": 1}], "version": [None, "1.0"],
    }  # fmt: skip
    assert recorded[3][2] == {"plugin": ["customers", None]}


async def test_changes_at_once_take_turns_without_deadlock(pool: TenantPool, tenant: Tenant):
    async def change(number: int) -> None:
        async with transaction(pool, tenant.id) as connection:
            for plugin in ("one", "two") if number % 2 else ("two", "one"):
                await set_plugin(connection, tenant, plugin, True, {"n": number})

    await asyncio.gather(*(change(number) for number in range(12)))
    plugins = await enabled_plugins(pool, tenant)
    assert plugins["one"] == plugins["two"]


async def test_everything_joins_the_callers_transaction(database: Scratch, pool: TenantPool):
    connection = await asyncpg.connect(database.app_url)
    outside = str(UUID(int=9))
    await connection.execute("SELECT set_config('guanxi.tenant', $1, false)", outside)
    setting = "SELECT current_setting('guanxi.tenant', true)"
    undone = connection.transaction()
    await undone.start()
    made = await create_tenant(connection, "undone")
    await set_plugin(connection, made, "customers", True)
    assert await enabled_plugins(connection, made) == {"customers": {}}
    assert await find_tenant(connection, "undone") == made
    with pytest.raises(Conflict):
        await create_tenant(connection, "undone")
    assert await connection.fetchval(setting) == outside
    await undone.rollback()
    assert await connection.fetchval(setting) == outside
    with pytest.raises(NotFound):
        await find_tenant(pool, "undone")
    await connection.close()


async def test_no_tenant_sees_or_writes_anothers_rows(pool: TenantPool, tenant: Tenant):
    other = await create_tenant(pool, f"tenant-{next(_numbers)}")
    await set_plugin(pool, other, "secret", True)
    tables = ("guanxi_role", "guanxi_plugin", "guanxi_audit")
    async with pool.connection(tenant.id) as connection:
        for table in tables:
            assert not await connection.fetchval(
                f"SELECT count(*) FROM {table} WHERE tenant_id = $1", other.id
            )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await record(connection, other.id, "forged", {})
        assert await connection.execute("DELETE FROM guanxi_plugin") == "DELETE 0"
    async with pool.connection(None) as connection:
        for table in tables:
            assert not await connection.fetchval(f"SELECT count(*) FROM {table}")


async def test_the_audit_can_be_added_to_and_not_changed(pool: TenantPool, tenant: Tenant):
    async with pool.connection(tenant.id) as connection:
        for statement in (
            "UPDATE guanxi_audit SET actor = 'nobody'",
            "DELETE FROM guanxi_audit",
            "TRUNCATE guanxi_audit",
            "UPDATE guanxi_stamp SET epoch = 1",
            "SELECT * FROM guanxi_tenant",
            "SELECT * FROM guanxi_token",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
