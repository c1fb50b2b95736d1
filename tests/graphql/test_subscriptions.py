"""Subscriptions through the public door: a served tenant, followed over real sockets."""

import asyncio

import pytest
from msgspec import structs

from guanxi_core.api_tokens import create_token, list_tokens, revoke_token
from guanxi_core.editions import compose
from guanxi_core.feed import RESUMABLE, Position
from guanxi_core.tenancy import create_tenant, set_plugin
from guanxi_customers import Customer, Customers
from guanxi_graphql.schema.subscriptions import actions_of
from guanxi_sdk import Confidentiality, Rights
from guanxi_sdk.testing.tokens import make_token
from guanxi_tiers import Tiers
from served import Served
from subscribing import CHANGES, connected

pytestmark = pytest.mark.xdist_group("subscriptions")


async def test_changes_are_told_in_order(served: Served) -> None:
    async with connected(served.url, served.token) as client:
        changes, _ = await client.follow(CHANGES)
        row = await served.create("一")
        renamed = await served.rename(row, "二")
        archive = "mutation ($id: ID!) { archiveCustomer(id: $id) { errors { code } } }"
        await served.ask(archive, id=row["id"])
        await served.ask(archive.replace("archive", "restore"), id=row["id"])
        heard = [await changes.next() for _ in range(4)]
        assert renamed["version"] == row["version"] + 1
    assert [told["action"] for told in heard] == ["CREATED", "UPDATED", "ARCHIVED", "RESTORED"]
    assert {told["customer"]["id"] for told in heard} == {row["id"]}
    assert heard[-1]["customer"]["name"] == "二"
    assert len({told["position"] for told in heard}) == 4


async def test_a_position_goes_on_where_it_was(served: Served) -> None:
    async with connected(served.url, served.token) as client:
        changes, position = await client.follow(CHANGES)
        await served.create("told")
        behind = (await changes.next())["position"]
    missed = [await served.create(f"missed {number}") for number in range(3)]
    async with connected(served.url, served.token) as client:
        again = await client.subscribe(CHANGES, {"after": behind})
        assert [(await again.next())["customer"]["id"] for _ in missed] == [m["id"] for m in missed]
        assert (await again.next())["action"] is None
        whole = await client.subscribe(CHANGES, {"after": position})
        assert [(await whole.next())["customer"]["name"] for _ in range(4)] == [
            "told", "missed 0", "missed 1", "missed 2",
        ]  # fmt: skip


async def test_what_commits_late_is_not_passed_over(served: Served) -> None:
    """Its number is lower than that of what was told before it was committed."""
    async with connected(served.url, served.token) as client:
        changes, begun = await client.follow(CHANGES)
        async with served.pool.connection(served.tenant.id) as connection:
            early = connection.transaction()
            await early.start()
            await served.touch((await served.create("early"))["id"], connection)
            assert (await changes.next())["action"] == "CREATED"
            row = await served.create("late")
            told = await changes.next(2)
            assert told["customer"]["id"] == row["id"]
            await early.commit()
        async with connected(served.url, served.token) as other:
            for after in (told["position"], begun):
                again = await other.subscribe(CHANGES, {"after": after})
                heard = []
                while (last := await again.next())["action"] is not None:
                    heard.append((last["action"], last["customer"]["name"]))
                late = [("CREATED", "early"), ("CREATED", "late")] if after == begun else []
                assert sorted(heard) == sorted([*late, ("UPDATED", "early")])


async def test_a_position_lasts_for_a_day(served: Served) -> None:
    async with connected(served.url, served.token) as client:
        _, begun = await client.follow(CHANGES)
        now = Position.of(begun, "after")
        for seconds, code in ((RESUMABLE + 60, "POSITION_EXPIRED"), (RESUMABLE - 600, None)):
            given = structs.replace(now, at=now.at - seconds).text()
            again = await client.subscribe(CHANGES, {"after": given})
            if code is None:
                assert (await again.next())["action"] is None
            else:
                assert await again.errors() == [code]
        other = structs.replace(now, since=f"{10**15}:{10**15}:").text()  # of another database
        assert await (await client.subscribe(CHANGES, {"after": other})).errors() == [
            "POSITION_EXPIRED"
        ]


@pytest.mark.parametrize("after", ["nonsense", "kwEB", "é" * 9, "A" * 9000, ""])
async def test_what_is_no_position_is_refused(served: Served, after: str) -> None:
    async with connected(served.url, served.token) as client:
        wrong = await client.subscribe(CHANGES, {"after": after})
        assert await wrong.errors() == ["INVALID"]


async def test_conditions_are_those_of_lists(served: Served) -> None:
    async with connected(served.url, served.token) as client:
        wanted, _ = await client.follow(CHANGES, {"where": {"name": {"eq": "wanted"}}})
        await served.create("unwanted")
        row = await served.create("wanted")
        assert (await wanted.next())["customer"] == {"id": row["id"], "name": "wanted"}
        await served.rename(row, "unwanted")
        await wanted.nothing()


async def test_fields_may_have_any_names(served: Served) -> None:
    query = """subscription { changed: customerChanged(where: { name: { eq: "named" } }) {
      action: customer { position: name } x: action y: action __typename
      again: customer { ...Name } position
    } } fragment Name on Customer { id: name }"""
    async with connected(served.url, served.token) as client:
        changes = await client.subscribe(query)
        await changes.next()
        await served.create("named")
        told = await changes.next()
        assert told.pop("position")
        assert told == {
            "action": {"position": "named"}, "x": "CREATED", "y": "CREATED",
            "__typename": "CustomerChanged", "again": {"id": "named"},
        }  # fmt: skip


async def test_what_is_out_of_scope_is_not_told(served: Served) -> None:
    user = await served.caller("customers.read:own", "customers.write", user="ada")
    nobody = await served.caller("offices.read")
    async with connected(served.url, user) as client, connected(served.url, nobody) as other:
        own, _ = await client.follow(CHANGES)
        everything, _ = await client.follow("subscription { customerChanged { position } }")
        refused = await other.subscribe(CHANGES)
        assert await refused.errors() == ["FORBIDDEN"]
        await served.create("of somebody else")
        await own.nothing()
        await everything.nothing(0.1)


async def test_a_clearance_hides_fields(served: Served) -> None:
    token = await served.caller(
        "customers.read", "customers.write", clearance=Confidentiality.INTERNAL
    )
    fields = "subscription { personChanged { action person { name email } position } }"
    make = """mutation ($customer: ID!) { createPerson(input: {
        customerId: $customer, name: "Wu", email: "wu@example.com" }) { errors { code } } }"""
    row = await served.create()
    async with connected(served.url, token) as client:
        persons = await client.subscribe(fields)
        await persons.next()
        assert (await served.ask(make, customer=row["id"]))["errors"] == []
        message = (await persons.message())["payload"]
    assert message["data"]["personChanged"]["person"] == {"name": "Wu", "email": None}
    assert [error["path"] for error in message["errors"]] == [["personChanged", "person", "email"]]
    assert message["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_what_other_plugins_add_is_told(served: Served) -> None:
    """To those who may read it wherever they may read the customer."""
    tiers = "subscription { customerChanged { action customer { id tier } position } }"
    override = """mutation ($id: ID!) {
      overrideTier(customerId: $id, tier: S, reason: "asked for") { errors { code } }
    }"""
    row = await served.create()
    without = await served.caller("customers.read")
    narrow = await served.caller("customers.read", "tiers.read:own", user="ada")
    own = await served.caller("customers.read:own", "tiers.read:own", user="ada")
    async with (
        connected(served.url, served.token) as client,
        connected(served.url, without) as blind,
        connected(served.url, narrow) as other,
        connected(served.url, own) as last,
    ):
        changes, _ = await client.follow(tiers)
        silent = [(await one.follow(CHANGES))[0] for one in (blind, other, last)]
        assert (await served.ask(override, id=row["id"]))["errors"] == []
        told = await changes.next()
        assert (told["action"], told["customer"]) == ("UPDATED", {"id": row["id"], "tier": "S"})
        await silent[0].nothing()
        for one in silent[1:]:
            await one.nothing(0.05)
        async with served.pool.connection(served.tenant.id) as connection:
            await connection.execute(
                "INSERT INTO guanxi_outbox (tenant_id, id, name, payload) VALUES "
                "($1, gen_random_uuid(), 'tiers.StandingSaved', '{\"count\": 200}')",
                served.tenant.id,
            )  # fmt: skip
        told = await changes.next()
        assert (told["action"], told["customer"]) == ("RELOAD", None)
        for one in silent:
            await one.nothing(0.1)


def test_who_is_cleared_for_nothing_of_an_addition_hears_nothing_of_it() -> None:
    edition = compose([Customers, Tiers])
    for clearance, told in ((Confidentiality.PUBLIC, False), (Confidentiality.INTERNAL, True)):
        rights = Rights.to_all(["customers.read", "tiers.read"], clearance)
        assert ("tiers.StandingUpdated" in actions_of(edition, Customer, rights)) is told


async def test_plugins_contribute_subscriptions(served: Served) -> None:
    greet = (
        "mutation ($to: ID!, $words: String!) { greet(customerId: $to, words: $words) { result } }"
    )
    hear = """subscription ($where: CustomerWhere) {
      greetings(where: $where, loudly: true) { result position }
    }"""
    deaf = await served.caller("customers.read")
    own = await served.caller("customers.read:own", "herald.listen", user="ada")
    one, two = await served.create("one"), await served.create("two")
    async with (
        connected(served.url, served.token) as client,
        connected(served.url, deaf) as other,
        connected(served.url, own) as narrow,
    ):
        heard = await client.subscribe(hear, {"where": {"name": {"eq": "two"}}})
        broken = await client.subscribe("subscription { mutterings { result } }")
        unseen = await narrow.subscribe(hear)
        await heard.next(), await broken.next(), await unseen.next()
        assert await (await other.subscribe(hear)).errors() == ["FORBIDDEN"]
        await served.ask(greet, to=one["id"], words="psst")
        await served.ask(greet, to=two["id"], words="hello")
        assert (await heard.next())["result"] == "HELLO"
        await unseen.nothing(0.2)
        assert await broken.errors() == ["PLUGIN_FAILED"]  # and it is over
        rows, _ = await client.follow("subscription { renamings { customer { name } position } }")
        await served.rename(one, "uno")
        assert (await rows.next())["customer"] == {"name": "uno"}


async def test_jobs_tell_how_far_they_have_come(served: Served) -> None:
    """While their transaction is open; other events do not wait for its end."""
    follow = "subscription { jobChanged { action job { title done total status } position } }"
    async with connected(served.url, served.token) as client:
        jobs, _ = await client.follow(follow)
        changes, _ = await client.follow(CHANGES)
        work = asyncio.create_task(served.ask("mutation { countSlowly(to: 3) { result } }"))
        assert (await jobs.next())["action"] == "CREATED"
        row = await served.create("meanwhile")
        assert (await changes.next(1))["customer"]["id"] == row["id"]
        assert not work.done()
        told = []
        while not told or told[-1]["status"] == "RUNNING":
            told.append((await jobs.next())["job"])
        assert await work == {"result": 3}
    assert [one["done"] for one in told] == sorted(one["done"] for one in told)
    assert told[-1] == {"title": "counting", "done": 3, "total": 3, "status": "DONE"}
    assert len(told) > 1


async def test_many_at_once_are_told_as_one(served: Served) -> None:
    """To those who may see all rows: others could not tell whether it concerns them."""
    narrow = await served.caller("customers.read:own", user="ada")
    async with (
        connected(served.url, served.token) as client,
        connected(served.url, narrow) as other,
    ):
        changes, _ = await client.follow(CHANGES)
        own, _ = await other.follow(CHANGES)
        async with served.pool.connection(served.tenant.id) as connection:
            await connection.execute(
                "INSERT INTO guanxi_outbox (tenant_id, id, name, payload) "
                "SELECT $1, gen_random_uuid(), 'CustomersImported', '{\"count\": 2}' "
                "FROM generate_series(1, 3)", served.tenant.id,
            )  # fmt: skip
        told = await changes.next()
        assert (told["action"], told["customer"]) == ("RELOAD", None)
        await changes.nothing()
        await own.nothing()


# --- rights while it is open ----------------------------------------------------------------------


async def test_a_revoked_token_closes_at_once(served: Served) -> None:
    token = await create_token(served.pool, served.tenant, role="admin", label="brief")
    async with connected(served.url, token) as client, connected(served.url, token) as idle:
        await client.follow(CHANGES)
        (number,) = [t.id for t in await list_tokens(served.pool, served.tenant)
                     if t.label == "brief"]  # fmt: skip
        await revoke_token(served.pool, served.tenant, number)
        assert await client.closed(0.9) == (4403, "Forbidden")
        query = await idle.subscribe("{ tenant { name } }")  # nothing was open there
        assert await idle.closed() == (4403, "Forbidden")
        assert query.queue.empty()


async def test_a_token_that_expires_closes(served: Served) -> None:
    token = await make_token(served.pool, served.tenant, ["*"])
    async with connected(served.url, token) as client:
        await client.follow(CHANGES)
        async with served.pool.connection(None) as connection:
            access = await list_tokens(served.pool, served.tenant)
            await connection.execute(
                "SELECT guanxi_extend_token($1, $2, clock_timestamp() + interval '0.3 seconds')",
                served.tenant.id, access[-1].id,
            )  # fmt: skip
        assert (await client.closed(4))[0] == 4403


async def test_a_lost_permission_ends_what_needed_it(served: Served) -> None:
    token = await served.caller("customers.read", "guanxi.jobs", user="bob")
    async with connected(served.url, token) as client:
        changes, _ = await client.follow(CHANGES)
        jobs, _ = await client.follow("subscription { jobChanged { position } }")
        async with served.pool.connection(served.tenant.id) as connection:
            await connection.execute(
                "UPDATE guanxi_role SET permissions = '{guanxi.jobs}' WHERE tenant_id = $1 "
                "AND 'customers.read' = ANY (permissions) AND 'guanxi.jobs' = ANY (permissions)",
                served.tenant.id,
            )  # fmt: skip
        assert await changes.errors() == ["FORBIDDEN"]
        assert (await jobs.next())["position"]  # went on with the rights that are left
        await served.create("unheard")
        await changes.nothing(0.2)


async def test_a_disabled_plugin_ends_its_subscriptions(served: Served) -> None:
    async with connected(served.url, served.token) as client:
        heard = await client.subscribe("subscription { greetings { result } }")
        await heard.next()
        changes, _ = await client.follow(CHANGES)
        await set_plugin(served.pool, served.tenant, "herald", False, {})
        try:
            assert await heard.errors() == ["GRAPHQL_VALIDATION_FAILED"]
            assert (await changes.next())["action"] is None
            row = await served.create("still told")
            assert (await changes.next())["customer"]["id"] == row["id"]
        finally:
            await set_plugin(served.pool, served.tenant, "herald", True, {})


async def test_another_tenant_hears_nothing(served: Served) -> None:
    other = await create_tenant(served.pool, "other")
    await set_plugin(served.pool, other, "customers", True, {})
    token = await make_token(served.pool, other, ["*"])
    async with (
        connected(served.url, token) as client,
        connected(served.url, served.token) as mine,
    ):
        theirs, _ = await client.follow(CHANGES)
        ours, position = await mine.follow(CHANGES)
        await served.create("ours")
        assert (await ours.next())["customer"]["name"] == "ours"
        await theirs.nothing()
        resumed = await client.subscribe(CHANGES, {"after": position})  # one that is not theirs
        assert (await resumed.next())["action"] is None
        await resumed.nothing(0.2)
