"""Users and tokens: what is kept, what a token is worth, and when it ends."""

import asyncio
import datetime as dt
import hashlib
from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from databases import Databases, Scratch
from guanxi_core.api_tokens import Identity, authenticate, create_token, list_tokens, revoke_token
from guanxi_core.database.pool import TenantPool
from guanxi_core.identity import create_user, list_users
from guanxi_core.tenancy import create_tenant, set_plugin
from guanxi_sdk import Conflict, Invalid, NotFound, Tenant

_numbers = count()


@pytest.fixture
async def pool(database: Scratch) -> AsyncIterator[TenantPool]:
    made = await TenantPool.open(database.app_url, size=2)
    yield made
    await made.close()


@pytest.fixture
async def tenant(pool: TenantPool) -> Tenant:
    return await create_tenant(pool, f"tenant-{next(_numbers)}")


async def execute(pool: TenantPool, tenant: Tenant, statement: str, *arguments: Any) -> None:
    async with pool.connection(tenant.id) as connection:
        await connection.execute(statement, *arguments)


async def known(pool: TenantPool, token: str) -> Identity:
    identity = await authenticate(pool, token)
    assert identity is not None
    return identity


# Tokens


async def test_a_token_is_long_random_and_kept_as_its_digest(
    pool: TenantPool, tenant: Tenant, database: Scratch, databases: Databases
):
    token = await create_token(pool, tenant, role="admin")
    assert token.startswith("gx_")
    assert len(token) == 46
    assert token != await create_token(pool, tenant, role="admin")
    connection = await asyncpg.connect(databases.superuser(database))
    digest = hashlib.sha256(token.encode()).digest()
    assert await connection.fetchval("SELECT count(*) FROM guanxi_token WHERE digest = $1", digest)
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relname LIKE 'guanxi%' AND relkind = 'r'"
    )
    for table in tables:
        assert not await connection.fetchval(
            f"SELECT count(*) FROM {table[0]} t WHERE t::text LIKE '%' || $1 || '%'", token[3:]
        ), table
    await connection.close()


def patterns(identity: Identity) -> list[str]:
    return sorted(str(grant) for grant in identity.grants)


async def test_a_token_stands_for_a_tenant_and_the_rights_of_a_role(
    pool: TenantPool, tenant: Tenant
):
    await set_plugin(pool, tenant, "customers", True, {"n": 1})
    await set_plugin(pool, tenant, "tiers", True)
    await set_plugin(pool, tenant, "tiers", False)
    identity = await known(pool, await create_token(pool, tenant, role="readonly", label="报表"))
    assert identity.tenant == tenant
    assert patterns(identity) == ["*.read"]
    assert identity.plugins == {"customers": {"n": 1}}
    assert (identity.user_id, identity.name, identity.epoch) == (None, "token 报表", 1)


async def test_without_role_and_user_it_may_do_nothing(pool: TenantPool, tenant: Tenant):
    assert patterns(await known(pool, await create_token(pool, tenant))) == []


async def test_a_users_token_has_the_rights_of_all_their_roles(pool: TenantPool, tenant: Tenant):
    ada = await create_user(pool, tenant, "ada", roles=["readonly", "admin"])
    identity = await known(pool, await create_token(pool, tenant, user="ada"))
    assert patterns(identity) == ["*", "*.read"]
    assert (identity.user_id, identity.name) == (ada.id, "ada")


async def test_with_both_it_has_one_role_while_the_user_holds_it(pool: TenantPool, tenant: Tenant):
    ada = await create_user(pool, tenant, "ada", roles=["readonly", "admin"])
    token = await create_token(pool, tenant, user="ada", role="readonly")
    assert patterns(await known(pool, token)) == ["*.read"]
    await execute(
        pool, tenant,
        "DELETE FROM guanxi_user_role h USING guanxi_role r "
        "WHERE r.id = h.role_id AND r.name = 'readonly' AND h.user_id = $1",
        ada.id,
    )  # fmt: skip
    assert patterns(await known(pool, token)) == []
    with pytest.raises(Invalid, match="one that 'ada' holds; the roles of 'ada' are admin"):
        await create_token(pool, tenant, user="ada", role="readonly")


@pytest.mark.parametrize(
    "token",
    ["", "gx_", "gx_" + "a" * 43, "gx_" + "a" * 44, "gx_" + "é" * 43, "gx_" + "\ud800" * 43,
     "gx_" + "\0" * 43, "x" * 46, "' OR true --", "a" * 100_000],
)  # fmt: skip
async def test_what_is_no_token_is_nobody(pool: TenantPool, token: str):
    assert await authenticate(pool, token) is None


async def test_a_revoked_token_ends(pool: TenantPool, tenant: Tenant):
    token = await create_token(pool, tenant, role="admin", label="one")
    other = await create_token(pool, tenant, role="admin", label="two")
    identity = await known(pool, token)
    await revoke_token(pool, tenant, identity.token_id)
    assert await authenticate(pool, token) is None
    assert await authenticate(pool, other) is not None
    assert await stamp(pool, tenant, identity.token_id) is None
    with pytest.raises(NotFound, match="guanxi token list --tenant"):
        await revoke_token(pool, tenant, identity.token_id)
    states = [(t.label, t.revoked_at is not None) for t in await list_tokens(pool, tenant)]
    assert states == [("one", True), ("two", False)]


async def test_a_token_of_another_tenant_cannot_be_revoked(pool: TenantPool, tenant: Tenant):
    other = await create_tenant(pool, f"tenant-{next(_numbers)}")
    token = await create_token(pool, other, role="admin")
    with pytest.raises(NotFound):
        await revoke_token(pool, tenant, (await known(pool, token)).token_id)
    assert await authenticate(pool, token) is not None


async def test_an_expired_token_ends_by_the_databases_clock(pool: TenantPool, tenant: Tenant):
    token = await create_token(pool, tenant, role="admin", expires_in=dt.timedelta(seconds=0.3))
    token_id = (await known(pool, token)).token_id
    live = (
        "SELECT EXISTS (SELECT FROM guanxi_stamp WHERE tenant_id = $1 AND token_id = $2 "
        "AND epoch = 1 AND expires_at > now())"
    )
    async with pool.connection(tenant.id) as connection:
        assert await connection.fetchval(live, tenant.id, token_id)
        await asyncio.sleep(0.4)
        assert not await connection.fetchval(live, tenant.id, token_id)
    assert await authenticate(pool, token) is None


@pytest.mark.parametrize("days", [-1, 0, 40_000])
async def test_expiries_that_make_no_sense_are_refused(pool: TenantPool, tenant: Tenant, days: int):
    with pytest.raises(Invalid, match="expires"):
        await create_token(pool, tenant, expires_in=dt.timedelta(days=days))
    assert await list_tokens(pool, tenant) == []


async def test_tokens_are_listed_without_secrets(pool: TenantPool, tenant: Tenant):
    await create_user(pool, tenant, "ada", roles=["admin"])
    token = await create_token(
        pool, tenant, user="ada", label="laptop", expires_in=dt.timedelta(days=30)
    )
    await create_token(pool, tenant, role="readonly")
    first, second = await list_tokens(pool, tenant)
    assert (first.label, first.user, first.role, second.user, second.role) == (
        "laptop", "ada", None, None, "readonly",
    )  # fmt: skip
    assert first.expires_at - first.created_at == dt.timedelta(days=30)
    assert second.expires_at is None
    assert token[3:] not in repr(first)


async def test_what_a_token_refers_to_must_exist(pool: TenantPool, tenant: Tenant):
    with pytest.raises(
        NotFound,
        match="role 'boss' does not exist; the roles are admin, auditor",
    ):
        await create_token(pool, tenant, role="boss")
    for name in ("nobody", "a\0", "\ud800"):
        with pytest.raises(NotFound, match=r"user .* does not exist in tenant"):
            await create_token(pool, tenant, user=name)
    with pytest.raises(Invalid, match="label"):
        await create_token(pool, tenant, label="a\nb")
    assert await list_tokens(pool, tenant) == []


# Users


async def test_users_are_created_and_listed_with_their_roles(pool: TenantPool, tenant: Tenant):
    fang = await create_user(pool, tenant, "王芳", email="fang@example.com", roles=["admin"])
    ada = await create_user(pool, tenant, "Ada Lovelace", roles=["readonly", "admin", "admin"])
    listed = {user.name: user for user in await list_users(pool, tenant)}
    assert listed["王芳"] == fang
    assert listed["Ada Lovelace"].id == ada.id
    assert listed["Ada Lovelace"].roles == ("admin", "readonly")


@pytest.mark.parametrize("name", ["", " ada", "ada ", "a\nb", "a" * 201, "\0", "\ud800"])
async def test_user_names_that_are_none_are_refused(pool: TenantPool, tenant: Tenant, name: str):
    with pytest.raises(Invalid, match="use up to 200 printable"):
        await create_user(pool, tenant, name)


@pytest.mark.parametrize("email", ["", "ada", "@", "a b@c", "ada@", "a@b@c", "a\0@b"])
async def test_addresses_that_are_none_are_refused(pool: TenantPool, tenant: Tenant, email: str):
    with pytest.raises(Invalid, match="email"):
        await create_user(pool, tenant, "ada", email=email)


async def test_a_user_is_made_whole_or_not_at_all(pool: TenantPool, tenant: Tenant):
    await create_user(pool, tenant, "ada")
    with pytest.raises(Conflict, match="'ada' exists already in tenant"):
        await create_user(pool, tenant, "ada", roles=["admin"])
    with pytest.raises(NotFound, match="role 'boss' does not exist"):
        await create_user(pool, tenant, "bob", roles=["admin", "boss"])
    assert [(user.name, user.roles) for user in await list_users(pool, tenant)] == [("ada", ())]


async def test_two_tenants_may_have_users_of_one_name(pool: TenantPool, tenant: Tenant):
    other = await create_tenant(pool, f"tenant-{next(_numbers)}")
    await create_user(pool, tenant, "ada", roles=["admin"])
    await create_user(pool, other, "ada")
    mine, theirs = [
        await known(pool, await create_token(pool, each, user="ada")) for each in (tenant, other)
    ]
    assert (patterns(mine), patterns(theirs)) == (["*"], [])
    assert mine.user_id != theirs.user_id


async def test_an_archived_users_tokens_end(pool: TenantPool, tenant: Tenant):
    await create_user(pool, tenant, "ada", roles=["admin"])
    token = await create_token(pool, tenant, user="ada")
    await execute(pool, tenant, "UPDATE guanxi_user SET archived_at = now()")
    assert await authenticate(pool, token) is None
    with pytest.raises(Invalid, match="'ada' is archived"):
        await create_token(pool, tenant, user="ada")
    assert [user.archived for user in await list_users(pool, tenant)] == [True]


# Stamps


async def stamp(pool: TenantPool, tenant: Tenant, token_id: UUID) -> int | None:
    async with pool.connection(tenant.id) as connection:
        epoch: int | None = await connection.fetchval(
            "SELECT epoch FROM guanxi_stamp WHERE tenant_id = $1 AND token_id = $2",
            tenant.id, token_id,
        )  # fmt: skip
    return epoch


CHANGES = {
    "a user": "UPDATE guanxi_user SET archived_at = now()",
    "a role": "UPDATE guanxi_role SET permissions = '{}' WHERE name = 'readonly'",
    "a new role": "INSERT INTO guanxi_role VALUES ($1, gen_random_uuid(), 'boss', '{*}')",
    "a role taken": "DELETE FROM guanxi_user_role",
    "a plugin": "INSERT INTO guanxi_plugin VALUES ($1, 'customers', true)",
    "settings": "UPDATE guanxi_plugin SET settings = '{}'",
    "vocabulary": "INSERT INTO guanxi_vocabulary VALUES ($1, 'customer', '客户', 'Customer')",
}


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES.keys())
async def test_whatever_changes_rights_or_schema_makes_all_stamps_stale(
    pool: TenantPool, tenant: Tenant, statement: str
):
    other = await create_tenant(pool, f"tenant-{next(_numbers)}")
    theirs = await known(pool, await create_token(pool, other, role="admin"))
    token = await create_token(pool, tenant, role="admin")
    before = await known(pool, token)
    await execute(pool, tenant, statement, *([tenant.id] if "$1" in statement else []))
    after = await known(pool, token)
    assert after.epoch > before.epoch
    assert await stamp(pool, tenant, before.token_id) == after.epoch
    assert await stamp(pool, other, theirs.token_id) == theirs.epoch


async def test_authenticating_leaves_the_connections_tenant_alone(
    pool: TenantPool, tenant: Tenant, database: Scratch
):
    token = await create_token(pool, tenant, role="admin")
    digest = hashlib.sha256(token.encode()).digest()
    connection = await asyncpg.connect(database.app_url)
    setting = "SELECT current_setting('guanxi.tenant', true)"
    other = str(UUID(int=5))
    for value in ("", other):
        await connection.execute("SELECT set_config('guanxi.tenant', $1, false)", value)
        assert await connection.fetch("SELECT * FROM guanxi_authenticate($1)", digest)
        assert await connection.fetchval(setting) == value
        async with connection.transaction():
            assert await connection.fetch("SELECT * FROM guanxi_authenticate($1)", digest)
            assert await connection.fetchval(setting) == value
            assert await connection.fetch("SELECT * FROM guanxi_tokens($1)", tenant.id)
            await connection.fetch("SELECT guanxi_touch($1)", tenant.id)
            assert await connection.fetchval(setting) == value
            assert await connection.fetchval("SELECT count(*) FROM guanxi_role") == 0
    await connection.close()


async def test_rights_and_epoch_are_of_one_moment(pool: TenantPool, tenant: Tenant):
    """However a change falls, rights from before it never come with the epoch from after it."""
    token = await create_token(pool, tenant, role="readonly")
    seen: dict[int, set[tuple[str, ...]]] = {}
    done = asyncio.Event()

    async def look() -> None:
        while not done.is_set():
            identity = await known(pool, token)
            seen.setdefault(identity.epoch, set()).add(tuple(patterns(identity)))

    async def change() -> None:
        for number in range(60):
            await execute(
                pool, tenant,
                "UPDATE guanxi_role SET permissions = ARRAY[$1] WHERE name = 'readonly'",
                f"p.p{number}",
            )  # fmt: skip
        done.set()

    await asyncio.gather(look(), change())
    assert len(seen) > 5
    assert all(len(rights) == 1 for rights in seen.values())


async def test_it_takes_one_round_trip(pool: TenantPool, tenant: Tenant):
    token = await create_token(pool, tenant, role="admin")
    sent: list[str] = []
    one, two = await pool.take(tenant.id), await pool.take(UUID(int=1))
    for connection in (one, two):
        connection.add_query_logger(lambda record: sent.append(record.query))
        pool.give(connection)
    await known(pool, token)
    await asyncio.sleep(0)
    assert len(sent) == 1
