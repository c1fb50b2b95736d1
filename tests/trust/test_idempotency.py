"""Row 8: "100 parallel with one Idempotency-Key: 1 effect, identical replies; another body =
conflict; survives restart; kept >= 24 h".
"""

import asyncio
import datetime as dt
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from figures import LONG, Figure
from guanxi_core import turns
from guanxi_core.config import Config
from guanxi_core.database.connections import connect
from guanxi_core.discovery import discover
from guanxi_core.idempotency import forget_replies
from guanxi_core.platform import Platform
from guanxi_core.sealing import Sealer, seal
from guanxi_core.verifying import verify
from guanxi_customers import Customer, Customers
from guanxi_graphql.asgi import Answer
from guanxi_graphql.execute.engine import Engine, Reply
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_sdk import Context, Invalid, Plugin, Rights, mutation
from guanxi_sdk.testing.databases import ThrowAwayDatabase

ROUNDS = 50 if LONG else 2
KILLS = 20 if LONG else 1

CREATE = """mutation Create($code: String!, $name: String!) {
  createCustomer(input: {code: $code, name: $name}) { customer { id code version } errors { code } }
}"""
TWO = """mutation Two($a: String!, $b: String!) {
  first: createCustomer(input: {code: $a, name: "A"}) { customer { id } errors { code path } }
  second: createCustomer(input: {code: $b, name: "B"}) { customer { id } errors { code path } }
}"""


class Fickle(Plugin, name="fickle"):
    """Verbs that fail, or wait."""

    failing = False
    begun: asyncio.Event
    gate: asyncio.Event

    @mutation()
    async def linger(self, ctx: Context, code: str) -> Customer:
        """Add a customer once the gate is open."""
        Fickle.begun.set()
        await Fickle.gate.wait()
        return await ctx.add(Customer(code=code, name=code))

    @mutation()
    async def try_it(self, ctx: Context, code: str) -> Customer:
        """Add a customer, unless it fails after that."""
        made = await ctx.add(Customer(code=code, name=code))
        if Fickle.failing:
            raise RuntimeError("no luck")
        if code == "wrong":
            raise Invalid("code", "is wrong")
        return made


class Desk:
    """One tenant, asked with idempotency keys."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.engine = Engine(app.platform)

    async def ask(
        self, key: bytes | None, document: str = CREATE, *, can: Sequence[str] | None = None,
        operation: str | None = None, **variables: Any,
    ) -> Reply:  # fmt: skip
        access = await self.app.platform.authenticate(await self.app.token(can))
        return await self.engine.execute(access, document, variables, operation, key=key)

    async def count(self, table: str) -> int:
        async with self.app.platform.pool.connection(self.app.tenant.id) as connection:
            return await connection.fetchval(f"SELECT count(*) FROM {table}")


@pytest.fixture
async def desk(guanxi: Any) -> Desk:
    Fickle.failing = False
    Fickle.begun, Fickle.gate = asyncio.Event(), asyncio.Event()
    return Desk(await guanxi(Customers(), Fickle()))


def data(reply: Reply) -> Any:
    return msgspec.json.decode(reply.body)["data"]


def codes(reply: Reply) -> list[str]:
    errors = msgspec.json.decode(reply.body).get("errors", [])
    return [error["extensions"]["code"] for error in errors]


async def test_a_hundred_at_once_are_one(desk: Desk, figure: Figure) -> None:
    await desk.app.token()  # makes the one token that all use
    for number in range(ROUNDS):
        before = await desk.count("guanxi_audit"), await desk.count("guanxi_outbox")
        values = {"code": f"C{number}", "name": "Ada"}
        key = f"key {number}".encode()
        replies = await asyncio.gather(*(desk.ask(key, **values) for _ in range(100)))
        assert len({reply.body for reply in replies}) == 1
        assert sum(not reply.replayed for reply in replies) == 1
        assert data(replies[0])["createCustomer"]["customer"]["code"] == f"C{number}"
        assert await desk.count("customers_customer") == number + 1
        after = await desk.count("guanxi_audit"), await desk.count("guanxi_outbox")
        assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1]
    figure(8, "100 parallel, one key: 1 effect, equal replies", f"{ROUNDS} × 100: 1 effect, equal")


LINGER = "mutation ($code: String!) { linger(code: $code) { customer { id } errors { code } } }"


async def test_duplicates_that_wait_hold_nothing_that_others_need(desk: Desk) -> None:
    whole = desk.app.platform
    url, registry = whole.pool.url, whole.registry
    async with await Platform.open(url, registry=registry, pool_size=2, deadline=None) as small:
        access = await small.authenticate(await desk.app.token())
        engine = Engine(small)
        same = [
            asyncio.create_task(engine.execute(access, LINGER, {"code": "S"}, key=b"same"))
            for _ in range(20)
        ]
        try:
            await Fickle.begun.wait()
            for key in (b"other", None):
                values = {"code": f"B {key!r}", "name": "Bob"}
                async with asyncio.timeout(20):
                    served = await engine.execute(access, CREATE, values, key=key)
                assert data(served)["createCustomer"]["errors"] == []
            assert not any(one.done() for one in same)
        finally:
            Fickle.gate.set()
            replies = await asyncio.gather(*same)
    assert len({reply.body for reply in replies}) == 1
    assert sum(not reply.replayed for reply in replies) == 1
    assert await desk.count("customers_customer") == 3
    assert not small.turns._queues


async def test_only_so_many_wait_for_one_key(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST", 3)
    first = asyncio.create_task(desk.ask(b"same", LINGER, code="S"))
    await Fickle.begun.wait()
    more = [asyncio.create_task(desk.ask(b"same", LINGER, code="S")) for _ in range(8)]
    refused = set()
    while len(refused) < 5:
        done, _ = await asyncio.wait(more, return_when=asyncio.FIRST_COMPLETED)
        refused |= done
        more = [one for one in more if one not in done]
    assert [codes(one.result()) for one in refused] == [["LIMIT_EXCEEDED"]] * 5
    Fickle.gate.set()
    answers = {reply.body for reply in await asyncio.gather(first, *more)}
    assert len(answers) == 1
    assert not desk.app.platform.turns._queues


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Bob"},
        {"document": CREATE.replace("version ", "")},
        {"document": CREATE + "query Other { viewer { name } }", "operation": "Create"},
    ],
    ids=["variables", "document", "operation"],
)
async def test_another_request_with_the_same_key_is_a_conflict(
    desk: Desk, change: dict[str, Any], figure: Figure
) -> None:
    can = ["customers.read", "customers.write"]
    first = await desk.ask(b"k", code="C", name="Ada", can=can)
    assert not codes(first)
    values = {"code": "C", "name": "Ada", "can": can, **change}
    other = await desk.ask(b"k", values.pop("document", CREATE), **values)
    assert (other.ok, codes(other)) == (False, ["CONFLICT"])
    again = await desk.ask(b"k", code="C", name="Ada", can=can)
    assert (again.body, again.replayed) == (first.body, True)
    figure(8, "another body: conflict", "CONFLICT")


async def test_a_reply_is_not_shown_to_who_has_lost_rights(desk: Desk) -> None:
    await desk.ask(b"k", code="C", name="Ada")
    access = await desk.app.access()
    caller = replace(access.caller, rights=Rights.to_all(["customers.write"]))
    less = replace(access, caller=caller)
    other = await desk.engine.execute(less, CREATE, {"code": "C", "name": "Ada"}, key=b"k")
    assert (other.ok, codes(other)) == (False, ["CONFLICT"])


async def test_nobody_gets_anothers_reply(desk: Desk) -> None:
    mine = await desk.ask(b"k", code="C", name="Ada")
    theirs = await desk.ask(b"k", code="C", name="Ada", can=["customers.read", "customers.write"])
    assert not theirs.replayed
    assert mine.body != theirs.body
    assert data(theirs)["createCustomer"]["errors"] == [{"code": "ALREADY_EXISTS"}]


async def test_replies_outlive_the_process(desk: Desk) -> None:
    first = await desk.ask(b"k", code="C", name="Ada")
    platform = desk.app.platform
    async with await Platform.open(platform.pool.url, registry=platform.registry) as other:
        access = await other.authenticate(await desk.app.token())
        again = await Engine(other).execute(access, CREATE, {"name": "Ada", "code": "C"}, key=b"k")
    assert (again.body, again.replayed) == (first.body, True)


async def test_refusals_are_repeated_and_failures_are_not(desk: Desk) -> None:
    verb = "mutation ($code: String!) { tryIt(code: $code) { customer { id } errors { code } } }"
    refused = await desk.ask(b"refused", verb, code="wrong")
    assert data(refused)["tryIt"] == {"customer": None, "errors": [{"code": "INVALID"}]}
    assert (await desk.ask(b"refused", verb, code="wrong")).replayed
    taken = await desk.ask(b"one", code="C", name="Ada"), await desk.ask(b"two", code="C", name="A")
    assert data(taken[1])["createCustomer"]["errors"] == [{"code": "ALREADY_EXISTS"}]
    assert (await desk.ask(b"two", code="C", name="A")) == Reply(taken[1].body, True, True, True)
    Fickle.failing = True
    assert codes(await desk.ask(b"failed", verb, code="fine")) == ["PLUGIN_FAILED"]
    assert await desk.count("customers_customer") == 1
    Fickle.failing = False
    done = await desk.ask(b"failed", verb, code="fine")
    assert not done.replayed
    assert data(done)["tryIt"]["errors"] == []
    assert (await desk.ask(b"failed", verb, code="fine")) == Reply(done.body, True, True, True)
    assert await desk.count("customers_customer") == 2
    assert await desk.count("guanxi_audit WHERE action = 'fickle.try_it'") == 1


async def test_each_field_is_done_once(desk: Desk) -> None:
    forbidden = TWO.replace("second: createCustomer", "second: tryIt").replace(
        'input: {code: $b, name: "B"}', "code: $b"
    )
    both = await desk.ask(b"both", TWO, a="A", b="A")
    assert data(both)["second"]["errors"] == [{"code": "ALREADY_EXISTS", "path": "code"}]
    Fickle.failing = True
    half = await desk.ask(b"half", forbidden, a="B", b="C")
    assert codes(half) == ["PLUGIN_FAILED"]
    Fickle.failing = False
    rest = await desk.ask(b"half", forbidden, a="B", b="C")
    assert not codes(rest)
    assert data(rest)["first"] == data(half)["first"]
    assert await desk.count("customers_customer") == 3


async def test_queries_ignore_the_key_and_bad_keys_are_named(desk: Desk) -> None:
    query = "{ viewer { name } }"
    assert data(await desk.ask(b"\xff", query)) is not None
    assert not (await desk.ask(b"k", query)).replayed
    for key in (b"", b"x" * 256, "钥".encode(), b"a\tb", b"\x7f"):
        refused = await desk.ask(key, code="C", name="Ada")
        assert (refused.ok, codes(refused)) == (False, ["BAD_REQUEST"])
        assert b"255 printable ASCII" in refused.body
    assert not codes(await desk.ask(b"!" * 255, code="C", name="Ada"))


async def age(desk: Desk, database: ThrowAwayDatabase, key: str, by: dt.timedelta) -> None:
    """Let a stored reply be older."""
    owner = await connect(database.owner_url)
    try:
        aged = "SET at = now() - $3::interval WHERE tenant_id = $1 AND key = $2"
        tenant = desk.app.tenant.id
        await owner.execute("SELECT set_config('guanxi.tenant', $1, false)", str(tenant))
        done = await owner.execute(f"UPDATE guanxi_idempotency {aged}", tenant, key, by)
        assert done == "UPDATE 1"
    finally:
        await owner.close()


async def test_replies_are_kept_for_a_day(
    desk: Desk, guanxi_database: ThrowAwayDatabase, figure: Figure
) -> None:
    await desk.ask(b"k", code="C", name="Ada")
    pool = desk.app.platform.pool
    await forget_replies(pool)
    assert await desk.count("guanxi_idempotency") == 1
    await age(desk, guanxi_database, "k", dt.timedelta(hours=23, minutes=59))
    await forget_replies(pool)
    assert (await desk.ask(b"k", code="C", name="Ada")).replayed
    figure(8, "kept ≥ 24 h", "replayed after 23 h 59 min")
    await forget_replies(pool, dt.timedelta(0))
    assert await desk.count("guanxi_idempotency") == 0


async def test_replies_are_kept_as_long_as_the_configuration_says(
    desk: Desk, guanxi_database: ThrowAwayDatabase, tmp_path: Path
) -> None:
    for key, hours in ((b"old", 49), (b"young", 47)):
        await desk.ask(key, code=f"C{hours}", name="Ada")
        await age(desk, guanxi_database, key.decode(), dt.timedelta(hours=hours))
    config = Config.load({"GUANXI_IDEMPOTENCY_HOURS": "48"}, tmp_path)
    async with Sealer.serving(config, desk.app.platform.pool).working(), asyncio.timeout(30):
        while await desk.count("guanxi_idempotency") == 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (await desk.ask(b"young", code="C47", name="Ada")).replayed
    assert not (await desk.ask(b"old", code="C49", name="Ada")).replayed


async def test_the_headers(desk: Desk) -> None:
    endpoint = GraphQLEndpoint(Answer(200, (), b""))
    endpoint.open(desk.app.platform, desk.engine)
    token = await desk.app.token()
    headers = {"authorization": f"Bearer {token}", "idempotency-key": '"8e03"'}

    async def post(name: str, accept: str = "application/json") -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(endpoint)) as client:
            return await client.post(
                "http://guanxi/graphql",
                json={"query": CREATE, "variables": {"code": "C", "name": name}},
                headers={**headers, "accept": accept},
            )

    first, again = await post("Ada"), await post("Ada")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (await post("Bob")).status_code == 200
    assert (await post("Bob", "application/graphql-response+json")).status_code == 400


CHILD = """
import asyncio, sys
from guanxi_core.discovery import discover
from guanxi_core.platform import Platform
from guanxi_graphql.execute.engine import Engine

async def main(url, token, document, a, b):
    platform = await Platform.open(url, registry=discover())
    access = await platform.authenticate(token)
    await Engine(platform).execute(access, document, {"a": a, "b": b}, key=b"killed " + a.encode())

asyncio.run(main(*sys.argv[1:]))
"""


class Undone(Exception):
    """Ends a transaction without a trace."""


@asynccontextmanager
async def claimed(app: Any, code: str) -> AsyncIterator[None]:
    """While this lasts, whoever adds a customer with ``code`` waits."""
    with suppress(Undone):
        async with app.context() as ctx:
            await ctx.add(Customer(code=code, name="first come"))
            yield
            raise Undone


async def test_a_process_killed_between_two_fields(guanxi: Any, figure: Figure) -> None:
    """Rows 8 and 4: what is repeated goes on where it was cut off, and the audit verifies."""
    desk = Desk(await guanxi(Customers()))
    pool, tenant = desk.app.platform.pool, desk.app.tenant
    token = await desk.app.token()
    for number in range(KILLS):
        a, b = f"A{number}", f"B{number}"
        async with claimed(desk.app, b):
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CHILD, pool.url, token, TWO, a, b
            )
            try:
                async with asyncio.timeout(30):
                    while await desk.count(f"guanxi_idempotency WHERE key = 'killed {a}'") == 0:
                        assert child.returncode is None
                        await asyncio.sleep(0.02)
            finally:
                child.send_signal(signal.SIGKILL)
                await child.wait()
        again = await desk.ask(b"killed " + a.encode(), TWO, a=a, b=b)
        assert not codes(again)
        made = data(again)
        assert [made["first"]["errors"], made["second"]["errors"]] == [[], []]
        third = await desk.ask(b"killed " + a.encode(), TWO, a=a, b=b)
        assert third == Reply(again.body, True, True, True)
        assert await desk.count("customers_customer") == 2 * (number + 1)
    await seal(pool)
    verdict = await verify(pool, tenant)
    assert (verdict.unsealed, verdict.broken) == (0, None)
    assert await desk.count("guanxi_audit WHERE model = 'Customer'") == 2 * KILLS
    figure(8, "survives restart and kill", f"{KILLS} processes killed half-way, each done once")


def test_customers_are_installed() -> None:
    assert "customers" in discover().plugins  # the killed process finds them by itself
