"""Tokens of an issuer: which are believed, whose they are, and when they end."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import jwt
import pytest

from databases import Databases, Scratch
from guanxi_core import api_tokens, doctor, identity, oidc
from guanxi_core.access import Access, StaleAccess
from guanxi_core.config import Config
from guanxi_core.discovery import Registry
from guanxi_core.issuers import Issuer, IssuerUnavailable
from guanxi_core.oidc import Keys, Verifier
from guanxi_core.platform import Platform
from guanxi_core.tenancy import create_tenant
from guanxi_sdk import Tenant, Unauthenticated
from issuing import TestIssuer, issuing

_numbers = count()


@pytest.fixture
def issuer() -> Iterator[TestIssuer]:
    with issuing() as made:
        yield made


class Clock:
    """Monotonic seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def configured(issuer: TestIssuer, **more: Any) -> Issuer:
    given = {"tenant": "acme"} | more
    return Issuer(issuer=issuer.url, audience="guanxi", **given)


# Signatures and keys


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "PS256", "EdDSA"])
async def test_what_the_issuer_signed_is_believed(issuer: TestIssuer, algorithm: str) -> None:
    issuer.rotate("k", algorithm)
    found, claims = await Verifier([configured(issuer)]).verify(issuer.token())
    assert (found.issuer, claims["sub"]) == (issuer.url, "ada")


def forged(issuer: TestIssuer) -> dict[str, str]:
    with issuing() as other:
        other.rotate("first")
        stranger = other.token(iss=issuer.url)
    header, payload, signature = issuer.token().split(".")
    public = issuer.keys["first"][0].public_key()
    raw = json.dumps(issuer.jwks()["keys"][0]).encode()
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"first"}').rstrip(b"=").decode()
    changed = base64.urlsafe_b64encode(
        json.dumps({**jwt.decode(issuer.token(), options={"verify_signature": False}),
                    "sub": "admin"}).encode()
    ).rstrip(b"=").decode()  # fmt: skip
    secret = {"iss": issuer.url, "aud": "guanxi", "sub": "ada", "iat": 1, "exp": 9_999_999_999}
    assert public
    return {
        "another key": stranger,
        "no signature": f"{none}.{payload}.",
        "no algorithm but a signature": f"{none}.{payload}.{signature}",
        "public key as a secret": jwt.encode(secret, raw * 2, "HS256", headers={"kid": "first"}),
        "changed": f"{header}.{changed}.{signature}",
        "cut": f"{header}.{payload}.{signature[:-4]}",
        "another issuer": issuer.token(iss="https://evil.example"),
        "another audience": issuer.token(aud="mail"),
        "no audience": issuer.token(aud=None),
        "no end": issuer.token(exp=None),
        "no beginning": issuer.token(iat=None),
        "no issuer": issuer.token(iss=None),
        "a list as issuer": issuer.token(aud="guanxi") + "x",
        "nothing": "",
        "dots": "..",
        "text": "not a token",
    }


async def test_nothing_else_is_believed(issuer: TestIssuer) -> None:
    verifier = Verifier([configured(issuer)])
    believed = []
    for name, token in forged(issuer).items():
        with suppress(Unauthenticated):
            believed.append((name, await verifier.verify(token)))
    assert believed == []


async def test_keys_are_fetched_once_and_again_when_they_rotate(
    issuer: TestIssuer, clock: Clock
) -> None:
    verifier = Verifier([configured(issuer)], clock)
    for _ in range(3):
        await verifier.verify(issuer.token())
    assert len(issuer.requests) == 2
    old = issuer.token()
    issuer.rotate("second")
    clock.now += oidc.PAUSE + 1
    await verifier.verify(issuer.token())
    assert len(issuer.requests) == 4
    with pytest.raises(Unauthenticated):
        await verifier.verify(old)


async def test_unknown_keys_make_no_traffic(issuer: TestIssuer, clock: Clock) -> None:
    verifier = Verifier([configured(issuer)], clock)
    await verifier.verify(issuer.token())
    made_up = [issuer.token()] * 3
    issuer.rotate("second")
    made_up = [issuer.token() for _ in range(20)]
    for token in made_up:
        with pytest.raises(Unauthenticated):
            await verifier.verify(token)
    assert len(issuer.requests) == 2


async def test_a_withdrawn_key_ends_with_the_lifetime(issuer: TestIssuer, clock: Clock) -> None:
    verifier = Verifier([configured(issuer)], clock)
    token = issuer.token()
    await verifier.verify(token)
    issuer.rotate("second")
    clock.now += oidc.LIFETIME + 1
    with pytest.raises(Unauthenticated):
        await verifier.verify(token)


async def test_while_the_issuer_is_away_known_keys_go_on(issuer: TestIssuer, clock: Clock) -> None:
    issuer.status = 500
    verifier = Verifier([configured(issuer)], clock)
    for _ in range(2):
        with pytest.raises(IssuerUnavailable):
            await verifier.verify(issuer.token())
    assert len(issuer.requests) == 1
    issuer.status = 200
    clock.now += oidc.PAUSE + 1
    await verifier.verify(issuer.token())
    issuer.status = 500
    clock.now += oidc.LIFETIME + 1
    await verifier.verify(issuer.token())


async def test_nobody_with_a_known_key_waits_for_an_issuer_that_is_away(
    issuer: TestIssuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier, fetch_keys = Verifier([configured(issuer)], clock), oidc.fetch_keys
    await verifier.verify(issuer.token())
    issuer.status = 500
    clock.now += oidc.LIFETIME + 1
    await verifier.verify(issuer.token())
    begun, going = 0, asyncio.Event()

    async def hanging(name: str) -> Any:
        nonlocal begun
        begun += 1
        await going.wait()
        return await fetch_keys(name)

    monkeypatch.setattr(oidc, "fetch_keys", hanging)
    old = issuer.token()
    issuer.rotate("second")
    new = issuer.token()
    async with asyncio.timeout(30):
        for _ in range(3):
            clock.now += oidc.PAUSE + 1
            for _ in range(5):
                await verifier.verify(old)
                await asyncio.sleep(0)
        assert begun == 1, "one attempt at a time"
        waiting = asyncio.create_task(verifier.verify(new))
        issuer.status = 200
        going.set()
        await waiting
        with pytest.raises(Unauthenticated):
            await verifier.verify(old)


async def test_who_gives_up_while_keys_are_fetched_takes_them_from_nobody(
    issuer: TestIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a client that hangs up would shut everybody out until the next attempt."""
    keys, answer = Keys(issuer.url), issuer.answer

    def slowly(path: str) -> tuple[int, Any]:
        time.sleep(0.2)
        return answer(path)

    monkeypatch.setattr(issuer, "answer", slowly)
    hasty = asyncio.create_task(keys.find("first", "ES256"))
    await asyncio.sleep(0.1)
    hasty.cancel()
    assert await keys.find("first", "ES256") is not None
    assert len(issuer.requests) == 2


async def test_an_issuer_that_calls_itself_otherwise_is_refused(issuer: TestIssuer) -> None:
    issuer.claims_to_be = "https://other.example"
    with pytest.raises(IssuerUnavailable):
        await Keys(issuer.url).find("first", "ES256")


# Users, roles, times


@pytest.fixture
async def tenant(database: Scratch) -> AsyncIterator[Tenant]:
    async with await Platform.open(database.app_url, registry=Registry({})) as platform:
        yield await create_tenant(platform.pool, f"tenant-{next(_numbers)}")


class World:
    """A platform that believes one issuer."""

    def __init__(self, platform: Platform, tenant: Tenant, issuer: TestIssuer) -> None:
        self.platform, self.tenant, self.issuer = platform, tenant, issuer

    async def enter(self, **claims: Any) -> Access:
        return await self.platform.authenticate(self.issuer.token(**claims))

    async def refused(self, **claims: Any) -> bool:
        try:
            await self.enter(**claims)
        except Unauthenticated:
            return True
        return False

    async def holds(self, access: Access) -> bool:
        try:
            async with self.platform.context(access) as ctx:
                await ctx.raw()
        except StaleAccess:
            return False
        return True

    async def roles(self) -> dict[str, tuple[str, ...]]:
        return {u.name: u.roles for u in await identity.list_users(self.platform.pool, self.tenant)}


Open = Any


@pytest.fixture
async def world(database: Scratch, tenant: Tenant, issuer: TestIssuer) -> AsyncIterator[Open]:
    opened: list[Platform] = []

    async def open_(**more: Any) -> World:
        given = more if "tenant_claim" in more else {"tenant": tenant.name} | more
        made = Issuer(issuer=issuer.url, audience="guanxi", **given)
        platform = await Platform.open(
            database.app_url, registry=Registry({}), pool_size=3, issuers=[made]
        )
        opened.append(platform)
        return World(platform, tenant, issuer)

    yield open_
    for platform in opened:
        await platform.close()


ROLES = {"roles_claim": "groups", "roles": {"crm-admins": "admin", "staff": "readonly"}}


async def test_users_are_made_at_first_sight_and_audited(world: Open) -> None:
    here = await world(users="create", user_claim="preferred_username", **ROLES)
    access = await here.enter(
        preferred_username="Ada", email="ada@example.com", groups=["staff", "elsewhere"]
    )
    assert access.caller.name == "Ada"
    (user,) = await identity.list_users(here.platform.pool, here.tenant)
    assert (user.id, user.email, user.roles) == (
        access.caller.user_id, "ada@example.com", ("readonly",),
    )  # fmt: skip
    async with here.platform.pool.connection(here.tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT action, actor FROM guanxi_audit WHERE row_id = $1 ORDER BY id",
            f"user_{user.id}",
        )
    actor = f"issuer {here.issuer.url}"
    assert [tuple(row) for row in rows] == [
        ("guanxi.create_user", actor), ("guanxi.user.roles", actor),
    ]  # fmt: skip
    assert (await here.enter(preferred_username="Ada")).caller.user_id == user.id


async def test_or_only_those_enter_who_exist(world: Open) -> None:
    here = await world()
    assert await here.refused()
    await identity.create_user(here.platform.pool, here.tenant, "ada", roles=["readonly"])
    access = await here.enter()
    assert access.caller.name == "ada"
    assert (await here.roles()) == {"ada": ("readonly",)}


async def test_nobody_is_taken_over(world: Open, issuer: TestIssuer) -> None:
    making = await world(users="create", user_claim="nickname")
    await identity.create_user(making.platform.pool, making.tenant, "boss", roles=["admin"])
    assert await making.refused(nickname="boss")
    existing = await world(user_claim="nickname")
    assert (await existing.enter(sub="1", nickname="boss")).caller.name == "boss"
    assert await existing.refused(sub="2", nickname="boss")
    assert (await existing.enter(sub="1", nickname="other")).caller.name == "boss"


async def test_roles_follow_the_newest_token(world: Open) -> None:
    here = await world(users="create", **ROLES)
    now = int(time.time())
    old = here.issuer.token(iat=now - 50, groups=["crm-admins"])
    access = await here.platform.authenticate(old)
    assert await here.roles() == {"ada": ("admin",)}
    await here.enter(iat=now - 20, groups="staff")
    assert await here.roles() == {"ada": ("readonly",)}
    assert not await here.holds(access)
    here.platform.forget(old)
    await here.platform.authenticate(old)
    assert await here.roles() == {"ada": ("readonly",)}


async def test_rights_end_at_the_next_request(world: Open) -> None:
    here = await world(users="create")
    pool = here.platform.pool
    first, second = here.issuer.token(), here.issuer.token(jti="2")
    access = await here.platform.authenticate(first)
    assert await here.holds(access)
    assert (await here.platform.authenticate(second)).caller.token_id == access.caller.token_id
    await api_tokens.revoke_token(pool, here.tenant, access.caller.token_id)
    assert not await here.holds(access)
    for token in (first, second):
        here.platform.forget(token)
        with pytest.raises(Unauthenticated):
            await here.platform.authenticate(token)
    later = await here.enter(iat=int(time.time()) + 30)  # signed in again
    assert await here.holds(later)
    async with pool.connection(here.tenant.id) as connection:
        await connection.execute("UPDATE guanxi_user SET archived_at = now()")
    assert not await here.holds(later)
    assert await here.refused(iat=int(time.time()) + 40)


async def test_a_clock_that_is_ahead_brings_nothing_back(world: Open) -> None:
    here = await world(users="create")
    token = here.issuer.token(iat=int(time.time()) + 30)
    access = await here.platform.authenticate(token)
    await api_tokens.revoke_token(here.platform.pool, here.tenant, access.caller.token_id)
    for _ in range(2):
        here.platform.forget(token)
        with pytest.raises(Unauthenticated):
            await here.platform.authenticate(token)
    await here.enter(iat=int(time.time()) + 40)  # signed in again


async def test_times_are_checked_with_a_minutes_patience(world: Open) -> None:
    here = await world(users="create")
    now = int(time.time())
    await here.enter(exp=now - 50, iat=now - 100)
    await here.enter(iat=now + 50)
    await here.enter(nbf=now + 50)
    for wrong in (
        {"exp": now - 70, "iat": now - 100}, {"iat": now + 70}, {"nbf": now + 70},
        {"exp": "tomorrow"}, {"exp": True}, {"exp": 1e300}, {"iat": -1}, {"nbf": "x"},
        {"sub": None}, {"sub": 7}, {"sub": "a\0b"}, {"sub": "x" * 300},
    ):  # fmt: skip
        assert await here.refused(**wrong), wrong


async def test_a_token_ends_though_the_session_goes_on(
    world: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await world(users="create")
    now = int(time.time())
    token = here.issuer.token(exp=now + 5)
    await here.platform.authenticate(token)
    await here.enter(exp=now + 6000)
    assert here.platform.cached(token)
    passed = time.monotonic() + 66
    monkeypatch.setattr("guanxi_core.platform.time.monotonic", lambda: passed)
    assert here.platform.cached(token) is None


async def test_the_tenant_may_be_a_claim(world: Open, tenant: Tenant) -> None:
    here = await world(tenant_claim="org", users="create")
    assert (await here.enter(org=tenant.name)).installation.tenant == tenant
    for wrong in ({"org": "nobody"}, {}, {"org": ["x"]}, {"org": "'; --"}):
        assert await here.refused(**wrong)


async def test_the_same_subject_of_another_tenant_is_somebody_else(
    world: Open, database: Scratch
) -> None:
    here = await world(tenant_claim="org", users="create")
    other = await create_tenant(here.platform.pool, f"tenant-{next(_numbers)}")
    one = await here.enter(org=here.tenant.name)
    two = await here.enter(org=other.name)
    assert one.caller.token_id != two.caller.token_id
    assert one.caller.user_id != two.caller.user_id


async def test_first_sights_at_the_same_moment_make_one_user(world: Open) -> None:
    here = await world(users="create", **ROLES)
    tokens = [here.issuer.token(jti=str(n), groups=["staff"]) for n in range(8)]
    made = await asyncio.gather(*(here.platform.authenticate(token) for token in tokens))
    assert len({access.caller.user_id for access in made}) == 1
    assert await here.roles() == {"ada": ("readonly",)}


async def test_doctor_asks_the_issuer(
    issuer: TestIssuer, database: Scratch, tmp_path: Any, databases: Databases
) -> None:
    config = Config(tmp_path, database.app_url, database.owner_url, issuers=(configured(issuer),))
    checks = {check.name: check for check in await doctor.examine(config, Registry({}))}
    assert checks[f"issuer {issuer.url}"].ok
    assert "1 key" in checks[f"issuer {issuer.url}"].detail
    issuer.status = 404
    checks = {check.name: check for check in await doctor.examine(config, Registry({}))}
    assert not checks[f"issuer {issuer.url}"].ok
    assert "status 404" in checks[f"issuer {issuer.url}"].detail
