"""Rows 13, 14 and 20, as far as tokens go.

13: a request forged by another site (GET, text/plain, form, multipart) executes nothing.
14: nobody gets another user's rights by a token; revocation is effective at the next request;
    tokens are found by a digest, and guessing is slow.
20: a token whose end was seen does not come back when a clock is set back.
"""

import asyncio
import datetime as dt
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg
import pytest
from httpx import ASGITransport, AsyncClient, Response
from with_misbehaviour import Desk

from figures import LONG, Figure
from guanxi_core import api_tokens, identity
from guanxi_core.access import StaleAccess
from guanxi_core.discovery import Registry
from guanxi_core.issuers import Issuer
from guanxi_core.platform import Platform
from guanxi_core.tenancy import create_tenant
from guanxi_graphql.asgi import Answer
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_graphql.ratelimits import StrangerLimit, TokenLimit
from guanxi_sdk import Unauthenticated
from guanxi_sdk.testing.app import App
from issuing import issuing

Boot = Any
REVIVED = "clocks ± 1 day: no token revived"
WHO = "{ viewer { name } tenant { name } }"


class Server:
    """One tenant behind HTTP."""

    def __init__(self, app: App, client: AsyncClient, endpoint: GraphQLEndpoint) -> None:
        self.app, self.client, self.endpoint = app, client, endpoint

    async def ask(self, token: str, query: str = WHO, **headers: str) -> Response:
        return await self.client.post(
            "/graphql",
            json={"query": query},
            headers={"authorization": f"Bearer {token}", **headers},
        )


def serve(app: App, rate_limit: float = 0) -> Server:
    endpoint = GraphQLEndpoint(Answer(200, (), b"page"), rate_limit)
    endpoint.open(app.platform, Engine(app.platform))
    transport = ASGITransport(endpoint, client=("192.0.2.7", 1))
    return Server(app, AsyncClient(transport=transport, base_url="http://guanxi.test"), endpoint)


@pytest.fixture
async def server(guanxi: Boot) -> AsyncIterator[Server]:
    made = serve(await guanxi(Desk()))
    async with made.client:
        yield made


# --- 13: forged requests -------------------------------------------------------------------------

WRITE = 'mutation { createCard(input: { title: "forged" }) { card { id } } }'
JSON_BODY = json.dumps({"query": WRITE}).encode()
SIMPLE_TYPES = [
    None, "", "text/plain", "text/plain; charset=utf-8", "text/plain;application/json",
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data",
    "application/graphql", "text/json", "application/json-patch+json", "application/jsonp",
    "application/json, text/plain", "text/html", "*/*", "application/xml",
]  # fmt: skip
BODIES = [
    JSON_BODY, urlencode({"query": WRITE}).encode(), WRITE.encode(),
    b'--x\r\ncontent-disposition: form-data; name="query"\r\n\r\n' + WRITE.encode() + b"\r\n--x--",
    b'--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n' + JSON_BODY + b"\r\n--x--",
    JSON_BODY[:-1] + b', "x": "="}',
]  # fmt: skip
ADDRESSES = ["/graphql", f"/graphql?query={quote(WRITE)}"]


async def test_row_13_nothing_that_a_form_can_send_is_executed(
    server: Server, figure: Figure
) -> None:
    token, tried = await server.app.token(), 0
    for method in ("POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        for address in ADDRESSES:
            for media in SIMPLE_TYPES if method == "POST" else [None, "application/json"]:
                for body in BODIES if method == "POST" else [b"", JSON_BODY]:
                    headers = {"authorization": f"Bearer {token}"}
                    if media is not None:
                        headers["content-type"] = media
                    answer = await server.client.request(
                        method, address, content=body, headers=headers
                    )
                    tried += 1
                    assert answer.status_code < 500
                    assert b'"data":{' not in answer.content
    cookie = {"cookie": f"authorization=Bearer {token}; token={token}"}
    for headers in (cookie, {"authorization": f"Basic {token}"}):
        answer = await server.client.post(
            f"/graphql?access_token={token}&token={token}", content=JSON_BODY,
            headers={**headers, "content-type": "application/json"},
        )  # fmt: skip
        assert answer.status_code == 401
    counted = "{ cards { totalCount } }"
    assert (await server.ask(token, counted)).json()["data"]["cards"]["totalCount"] == 0
    assert (await server.ask(token, WRITE)).json()["data"]["createCard"]["card"]
    assert (await server.ask(token, counted)).json()["data"]["cards"]["totalCount"] == 1
    figure(13, "0 executed by GET, text/plain, form, multipart", f"{tried} requests, 0 executed")


# --- 14: tokens ----------------------------------------------------------------------------------


async def test_row_14_nobody_gets_anothers_rights(server: Server, figure: Figure) -> None:
    platform = server.app.platform
    other = await create_tenant(platform.pool, f"other-{secrets.token_hex(4)}")
    tokens = {}
    for tenant in (server.app.tenant, other):
        for name in ("ada", "bob"):
            await identity.create_user(platform.pool, tenant, name, roles=["readonly"])
            token = await api_tokens.create_token(platform.pool, tenant, user=name)
            tokens[token] = {"viewer": {"name": name}, "tenant": {"name": tenant.name}}
    for _ in range(50 if LONG else 3):
        for token, expected in tokens.items():
            assert (await server.ask(token)).json() == {"data": expected}
    first, second = list(tokens)[:2]
    digest = hashlib.sha256(first.encode()).hexdigest()
    mixed = [
        first[:20] + second[20:], first + second, first[:-1], first[:-1] + "A" + "x", first.upper(),
        first.swapcase(), first.replace("gx_", "GX_"), first + "\t", f"{first},{second}",
        digest, "gx_" + digest[:43],
    ]  # fmt: skip
    for wrong in mixed:
        answer = await serve(server.app).ask(wrong)
        if wrong.strip() in tokens:
            continue
        assert answer.status_code == 401, wrong
    figure(
        14, "0 cross-user",
        f"{50 if LONG else 3} × {len(tokens)} tokens by turns, {len(mixed)} mixtures, 0 cross-user",
    )  # fmt: skip


async def test_row_14_what_is_revoked_ends_at_the_next_request(
    server: Server, figure: Figure
) -> None:
    app, pool = server.app, server.app.platform.pool
    await identity.create_user(pool, app.tenant, "ada", roles=["admin"])

    async def archive(token: str, token_id: Any) -> None:
        async with pool.connection(app.tenant.id) as connection:
            await connection.execute("UPDATE guanxi_user SET archived_at = now()")

    async def revoke(token: str, token_id: Any) -> None:
        await api_tokens.revoke_token(pool, app.tenant, token_id)

    async def demote(token: str, token_id: Any) -> None:
        async with pool.connection(app.tenant.id) as connection:
            await connection.execute("DELETE FROM guanxi_user_role")

    for end, write in ((revoke, WRITE), (demote, WRITE), (archive, WHO)):
        token = await api_tokens.create_token(pool, app.tenant, user="ada")
        assert (await server.ask(token)).status_code == 200
        access = app.platform.cached(token)
        assert access is not None
        await end(token, access.caller.token_id)
        answer = await server.ask(token, write)
        assert answer.status_code == (200 if end is demote else 401)
        if end is demote:
            assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert (await app.graphql("{ cards { totalCount } }"))["cards"]["totalCount"] == 0
    figure(14, "revocation effective at the next request", "revoked, demoted, archived: the next")


async def test_row_14_a_token_ends_with_a_role_that_was_given_beside_it(server: Server) -> None:
    pool, tenant = server.app.platform.pool, server.app.tenant
    user = await identity.create_user(pool, tenant, "ada")
    until = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    async with pool.connection(tenant.id) as connection:
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO guanxi_user_role (tenant_id, user_id, role_id, expires_at) "
                "SELECT tenant_id, $1, id, $2 FROM guanxi_role WHERE name = 'readonly'",
                user.id, until,
            )  # fmt: skip
            making = asyncio.create_task(api_tokens.create_token(pool, tenant, user="ada"))
            await asyncio.wait({making}, timeout=0.2)  # it waits for the end of the transaction
        await making
        ends = await connection.fetchval(
            "SELECT s.expires_at FROM guanxi_stamp s WHERE s.token_id = (SELECT id FROM "
            "guanxi_tokens($1) WHERE user_id = $2)", tenant.id, user.id,
        )  # fmt: skip
    assert ends == until


async def test_row_14_guessing_is_slow_and_holds_up_nobody_else(server: Server) -> None:
    good, fresh = await server.app.token(), await server.app.token([])
    assert (await server.ask(good)).status_code == 200
    statuses = [
        (await server.ask("gx_" + secrets.token_urlsafe(32))).status_code for _ in range(60)
    ]
    assert statuses.count(401) in range(20, 40)
    assert 429 in statuses
    assert (await server.ask(good)).status_code == 200  # known tokens go on
    limited = await server.ask(fresh)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "1")
    elsewhere = ASGITransport(server.endpoint, client=("192.0.2.8", 1))
    async with AsyncClient(transport=elsewhere, base_url="http://guanxi.test") as client:
        assert (await Server(server.app, client, server.endpoint).ask(fresh)).status_code == 200


async def test_row_14_wrong_tokens_at_once_are_no_more_than_one_after_the_other(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many are on their way before the first turns out to be wrong."""
    server.endpoint._strangers = StrangerLimit(lambda: 0.0)  # nothing is regained meanwhile
    looked_up: list[str] = []
    authenticate = server.app.platform.authenticate

    async def counted(token: str) -> Any:
        looked_up.append(token)
        return await authenticate(token)

    monkeypatch.setattr(server.app.platform, "authenticate", counted)
    guesses = ["gx_" + secrets.token_urlsafe(32) for _ in range(200)]
    statuses = [a.status_code for a in await asyncio.gather(*map(server.ask, guesses))]
    assert (statuses.count(401), statuses.count(429)) == (20, 180)
    assert len(looked_up) == 20
    assert not server.endpoint._strangers._trials


async def test_good_tokens_at_once_are_not_held_up(server: Server) -> None:
    """As when a worker starts anew and all clients come back, from behind one proxy."""
    server.endpoint._strangers = StrangerLimit(lambda: 0.0)
    tokens = [await server.app.token([f"desk.{n}"]) for n in range(50)]
    answers = await asyncio.gather(*map(server.ask, [*tokens, "gx_wrong"]))
    assert [a.status_code for a in answers] == [200] * 50 + [401]
    assert not server.endpoint._strangers._trials


class Uncompared(str):
    """A text that tells of whoever compares it."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise AssertionError("a token was compared")


async def test_row_14_a_token_is_found_by_its_digest_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    """What is looked up is a digest of what was sent; nothing compares the token itself."""
    pool, good = server.app.platform.pool, await server.app.token()
    wrong = good[:-1] + ("A" if good[-1] != "A" else "B")
    asked: list[Any] = []
    call = pool.call

    async def noted(statement: str, *arguments: Any) -> Any:
        asked.append(arguments)
        return await call(statement, *arguments)

    monkeypatch.setattr(pool, "call", noted)
    assert await api_tokens.authenticate(pool, Uncompared(good)) is not None
    assert await api_tokens.authenticate(pool, Uncompared(wrong)) is None
    digests = [hashlib.sha256(one.encode()).digest() for one in (good, wrong)]
    assert asked == [(digests[0],), (digests[1],), (digests[1],)]  # once more to note its end
    for _ in range(2):  # at first from the database, then as it is remembered
        await server.app.platform.authenticate(Uncompared(good))
    async with pool.connection(server.app.tenant.id) as connection:
        kinds = await connection.fetch(
            "SELECT pg_get_indexdef(indexrelid) AS index FROM pg_index "
            "WHERE indrelid = 'guanxi_token'::regclass AND indisunique"
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM guanxi_token")
    assert any("digest" in one["index"] or "hash" in one["index"] for one in kinds)
    figure(14, "constant-time compare", "digests are looked up, no token is compared")


@pytest.mark.alone
async def test_row_14_no_guess_takes_longer_than_another(server: Server, figure: Figure) -> None:
    """Nothing says how much of a token was right."""
    good = await server.app.token()
    near = [good[:n] + ("A" if good[n] != "A" else "B") + good[n + 1 :] for n in (3, 20, 45)]
    times: dict[str, list[float]] = {token: [] for token in near}
    for _ in range(400 if LONG else 25):
        for token in near:
            began = time.perf_counter()
            assert await api_tokens.authenticate(server.app.platform.pool, token) is None
            times[token].append(time.perf_counter() - began)
    typical = sorted(sorted(taken)[len(taken) // 10] for taken in times.values())
    ratio = typical[-1] / typical[0]
    assert ratio < 2
    figure(14, "constant-time compare", f"wrong at 3rd, 20th, 45th: within {ratio:.2f} ×")


async def test_the_limit_of_a_token_is_told_in_standard_headers(guanxi: Boot) -> None:
    server = serve(await guanxi(Desk()), rate_limit=5)
    async with server.client:
        token, other = await server.app.token(), await server.app.token([])
        answers = [await server.ask(token) for _ in range(14)]
        assert [a.status_code for a in answers[:10]] == [200] * 10
        assert answers[-1].status_code == 429
        assert answers[-1].json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert int(answers[-1].headers["retry-after"]) >= 1
        for answer in answers:
            assert answer.headers["ratelimit-policy"] == '"token";q=10;w=2'
            assert answer.headers["ratelimit"].startswith('"token";r=')
        left = [int(a.headers["ratelimit"].split("r=")[1].split(";")[0]) for a in answers]
        assert left[0] == 9
        assert left[-1] == 0
        assert (await server.ask(other)).status_code == 200
        assert "ratelimit" in (await server.ask(other, "{ nothing }")).headers
        assert "ratelimit" not in (await server.ask("gx_wrong")).headers


def test_buckets_fill_again() -> None:
    now = 0.0
    limit = TokenLimit(2, lambda: now)
    assert [limit.count("a")[0] for _ in range(6)] == [True] * 4 + [False] * 2
    now = 0.5
    assert [limit.count("a")[0] for _ in range(2)] == [True, False]
    now = 1000
    assert sum(limit.count("a")[0] for _ in range(10)) == 4


# --- 20: clocks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [-1, 1])
async def test_row_20_a_workers_clock_revives_no_token(
    server: Server, days: int, figure: Figure
) -> None:
    """The database's clock decides, so a worker whose clock is wrong changes nothing."""
    app, life = server.app, 0.15
    lasting = await api_tokens.create_token(
        app.platform.pool, app.tenant, role="admin", expires_in=dt.timedelta(hours=1)
    )
    status = 0
    while status != 200:  # on a busy machine it may be over before it was ever used
        life *= 2
        token = await api_tokens.create_token(
            app.platform.pool, app.tenant, role="admin", expires_in=dt.timedelta(seconds=life)
        )
        status = (await server.ask(token)).status_code
    app.clock.advance(days=days)
    assert (await server.ask(lasting)).status_code == 200
    time.sleep(life)  # noqa: ASYNC251  the database's clock goes on
    assert (await server.ask(token)).status_code == 401
    assert (await server.ask(lasting)).status_code == 200
    figure(20, REVIVED, "a worker's clock, 0 revived")


async def test_row_20_what_was_seen_to_be_over_stays_so(server: Server, figure: Figure) -> None:
    """A database whose clock is set back is the same as tokens whose end moves on."""
    app, pool = server.app, server.app.platform.pool
    token = await api_tokens.create_token(
        pool, app.tenant, role="admin", expires_in=dt.timedelta(milliseconds=1)
    )
    assert (await server.ask(token)).status_code == 401
    rows = [t for t in await api_tokens.list_tokens(pool, app.tenant) if t.expires_at]
    assert [t.revoked_at == t.expires_at for t in rows] == [True]
    async with pool.connection(app.tenant.id) as connection:
        assert not await connection.fetchval(
            "SELECT count(*) FROM guanxi_stamp WHERE expires_at < 'infinity'"
        )
    figure(20, REVIVED, "the database's clock set back, 0 revived")


async def test_row_20_nor_does_an_issuers_token_come_back(guanxi: Boot, figure: Figure) -> None:
    app = await guanxi(Desk())
    now = int(time.time())
    with issuing() as issuer:
        given = Issuer(issuer=issuer.url, audience="guanxi", tenant=app.tenant.name, users="create")
        platform = await Platform.open(
            guanxi.database.app_url, registry=Registry({"desk": Desk}), issuers=[given],
            pool_size=2, clock=lambda: dt.datetime.now(dt.UTC) - dt.timedelta(days=1),
        )  # fmt: skip
        async with platform:
            await platform.authenticate(issuer.token(iat=now - 20))
            over = issuer.token(iat=now - 100, exp=now - 61)
            with pytest.raises(Unauthenticated):
                await platform.authenticate(over)
            async with platform.pool.connection(app.tenant.id) as connection:
                # What the database would answer if its clock went back after that.
                seen = await connection.fetchval("SELECT seen_at FROM guanxi_session")
                assert seen.timestamp() >= now
                await connection.execute("UPDATE guanxi_session SET seen_at = now() + '1 day'")
            with pytest.raises(Unauthenticated):
                await platform.authenticate(issuer.token(iat=now - 30, exp=now + 3600))
            newer = await platform.authenticate(issuer.token(iat=now - 10, exp=now + 3600))
            async with platform.pool.connection(app.tenant.id) as connection:
                await connection.execute("UPDATE guanxi_user SET archived_at = now()")
            with pytest.raises(StaleAccess):
                async with platform.context(newer) as ctx:
                    await ctx.raw()
    figure(20, REVIVED, "an issuer's tokens, 0 revived")
