"""Handlers that hear of everything, and handlers that wait for strangers."""

import asyncio
import contextlib
import time
from collections import Counter
from types import SimpleNamespace

import pytest
import with_strangers
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7
from with_strangers import Heard, Listener, Visitor, VisitorCame, Visitors

from guanxi_core.delivery import outside, queue
from guanxi_core.delivery import worker as workers
from guanxi_core.delivery.worker import Worker
from guanxi_core.shares import Shares
from guanxi_graphql import service
from guanxi_graphql.execute.engine import Engine
from guanxi_sdk import AnyEvent, Permission, Plugin
from guanxi_sdk.testing import Boot
from guanxi_sdk.testing.databases import ThrowAwayDatabase


@pytest.fixture
async def guanxi(database):
    """Tenants in a database of their own: workers would find those of other tests."""
    place = ThrowAwayDatabase(database.app_url, database.owner_url, database.app_role)
    async with contextlib.AsyncExitStack() as stack:
        yield Boot(place, stack)


@pytest.fixture
async def app(guanxi, monkeypatch):
    monkeypatch.setattr(with_strangers, "behaviour", {})
    monkeypatch.setattr(with_strangers, "told", [])
    made = await guanxi(Visitors(), Listener())
    yield made
    async with made.platform.pool.connection(made.tenant.id) as connection:  # no work for the next
        for table, done in (("outbox", "relayed"), ("delivery", "done")):
            await connection.execute(
                f"UPDATE guanxi_{table} SET status = '{done}' WHERE tenant_id = $1", made.tenant.id
            )


async def came(app, *numbers, visitor=None):
    async with app.context() as ctx:
        for number in numbers:
            ctx.emit(VisitorCame(visitor_id=visitor or uuid7(), number=number))


async def deliveries(app, handler):
    async with app.platform.pool.connection(app.tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT status, attempts, error FROM guanxi_delivery "
            "WHERE tenant_id = $1 AND handler = $2 ORDER BY position",
            app.tenant.id, handler,
        )  # fmt: skip
    return [tuple(row) for row in rows]


async def until(check, seconds=20):
    async with asyncio.timeout(seconds):
        while True:
            found = check()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.01)


async def names(app):
    return sorted(one.name for one in await app.all(Visitor))


async def _noted(app, count):
    return len([name for name in await names(app) if name.startswith("noted")]) == count


class TestAnyEvent:
    async def test_everything_of_others_is_heard_once(self, app):
        made = await app.graphql(
            'mutation { createVisitor(input: { name: "Ada" }) { visitor { id } } }'
        )
        visitor = made["createVisitor"]["visitor"]["id"].removeprefix("visitor_")
        await came(app, 7, visitor=visitor)
        await app.deliver()
        heard = [(one.name, one.payload) for one in await app.all(Heard)]
        assert heard[0] == ("VisitorCreated", repr({"id": visitor}))
        assert heard[1] == ("VisitorCame", repr({"number": 7, "visitor_id": visitor}))
        later = [name for name, _ in heard[2:]]  # what the handlers of visitors wrote
        assert later == ["VisitorCreated", "VisitorCreated"]
        assert len({one.event for one in await app.all(Heard)}) == 4
        assert await app.deliver() == 0

    async def test_nobody_triggers_themselves(self, app):
        async with app.context() as ctx:
            ctx.emit(with_strangers.ListenerTired(number=1))
        assert await app.deliver() == 0

    async def test_what_can_happen_is_known(self, app):
        async with app.context() as ctx:
            events = ctx.events()
        came, created = events["VisitorCame"], events["VisitorCreated"]
        assert (came.plugin, came.model, came.read) == ("visitors", None, "visitors.read")
        assert came.description == "A visitor came."
        assert list(came.fields) == ["visitor_id", "number"]
        assert (created.model, created.description) == (Visitor, "A new visitor.")
        assert events["VisitorsSaved"].description == "Many visitors were written at once."
        assert {"HeardCreated", "ListenerTired", "RoleCreated"} <= events.keys()
        assert not {"HeardUpdated", "AuditCreated", "DeliveryUpdated"} & events.keys()
        assert events["RoleCreated"].read == "guanxi.rights"

    def test_a_payload_is_of_its_event(self):
        event = AnyEvent(name="VisitorCame", payload={"number": 1})
        assert event.payload["number"] == 1


class TestOutside:
    async def test_it_is_done_after_its_own_transactions(self, app):
        await came(app, 1)
        await app.deliver()
        assert await names(app) == ["noted 1", "told 1 1"]
        assert await deliveries(app, "tell") == [("done", 1, None)]

    async def test_no_transaction_is_open_while_it_waits(self, app):
        async def none_is_open():
            async with app.platform.pool.connection(app.tenant.id) as connection:
                return not await connection.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND state LIKE 'idle in transaction%'"
                )

        with_strangers.behaviour["tell"] = lambda number: until(none_is_open, 4)
        await came(app, 1)
        async with app.platform.pool.connection(app.tenant.id) as connection:
            await connection.execute(  # only one that waits outside is left
                "INSERT INTO guanxi_delivery (tenant_id, event_id, event, plugin, handler, status) "
                "SELECT $1, id, name, 'visitors', 'tell', 'waiting' FROM guanxi_outbox "
                "WHERE tenant_id = $1", app.tenant.id,
            )  # fmt: skip
            await connection.execute(
                "UPDATE guanxi_outbox SET status = 'relayed' WHERE tenant_id = $1", app.tenant.id
            )
        await app.deliver()
        assert with_strangers.told == [1]

    async def test_a_crash_after_telling_tells_again(self, app, monkeypatch):
        monkeypatch.setattr(queue, "pause", lambda attempt: 60.0)  # until it is hastened

        def crash(number):
            if len(with_strangers.told) == 1:
                raise SystemExit

        with_strangers.behaviour["afterwards"] = crash
        await came(app, 1)
        await app.deliver()
        assert with_strangers.told == [1]
        [(status, attempts, error)] = await deliveries(app, "tell")
        assert (status, attempts) == ("waiting", 1)
        assert error.startswith("SystemExit")
        async with app.platform.pool.connection(app.tenant.id) as connection:
            await connection.execute("UPDATE guanxi_delivery SET due_at = now()")
        await app.deliver()
        assert with_strangers.told == [1, 1]
        assert await deliveries(app, "tell") == [("done", 2, None)]

    async def test_a_process_that_died_before_the_mark_tells_again(self, app, monkeypatch):
        """The lease of a killed process runs out; somebody else takes over."""

        finish = queue.finish

        async def die(connection, one):
            if one.handler == "tell":
                asyncio.current_task().cancel()
                await asyncio.sleep(0)
            await finish(connection, one)

        await came(app, 1)
        worker = Worker(app.platform)
        with monkeypatch.context() as patch:
            patch.setattr(queue, "finish", die)
            patch.setattr(queue, "release", lambda connection, one: asyncio.sleep(0))
            await worker.drain(app.tenant)
        assert with_strangers.told == [1]
        async with app.platform.pool.connection(app.tenant.id) as connection:
            await connection.execute("UPDATE guanxi_delivery SET due_at = now()")
        await worker.drain(app.tenant)
        assert with_strangers.told == [1, 1]
        assert await deliveries(app, "tell") == [("done", 2, None)]

    async def test_it_is_cut_at_its_deadline(self, app, monkeypatch):
        with_strangers.behaviour["tell"] = lambda number: asyncio.sleep(30)
        [entry] = [
            one.contribution
            for one in (await app.platform.installation(app.tenant)).edition.handlers
            if one.contribution.name == "tell"
        ]
        monkeypatch.setattr(type(entry), "deadline", 0.2, raising=False)
        await came(app, 1)
        await app.deliver()
        [(status, _, error)] = await deliveries(app, "tell")
        assert (status, error) == ("waiting", "it took longer than its 0.2 seconds.")

    async def test_an_entity_keeps_its_order_and_others_do_not_wait(self, app):
        running: list[int] = []

        async def slow(number):
            running.append(number)
            await asyncio.sleep(0.2)

        with_strangers.behaviour["tell"] = slow
        one, other = uuid7(), uuid7()
        await came(app, 1, 2, 3, visitor=one)
        await came(app, 10, visitor=other)
        began = time.monotonic()
        done = await app.deliver()
        counts = [len(await deliveries(app, name)) for name in ("tell", "note", "hear")]
        assert counts == [4, 4, 12]
        assert done == sum(counts) + len(await deliveries(app, "hear_oneself"))
        assert [number for number in with_strangers.told if number < 10] == [1, 2, 3]
        assert running.index(10) < running.index(2)
        assert time.monotonic() - began < 5

    async def test_what_waits_outside_holds_up_no_slot(self, app):
        gate = asyncio.Event()
        with_strangers.behaviour["tell"] = lambda number: gate.wait()
        async with Worker(app.platform, concurrency=1).working():
            await came(app, *range(5))
            await until(lambda: _noted(app, 5))
            assert with_strangers.told == []
            gate.set()
            await until(lambda: len(with_strangers.told) == 5)

    async def test_a_crowd_outside_starves_nobody(self, app, guanxi, monkeypatch):
        """With room for two, twenty wait; the tenant's other handlers and other tenants do not."""
        monkeypatch.setattr(outside, "SHARE", 2)
        gate, running = asyncio.Event(), []

        async def wait(number):
            running.append(number)
            await gate.wait()

        with_strangers.behaviour["tell"] = wait
        other = await guanxi(Visitors())
        await came(app, *range(19))
        async with Worker(app.platform, concurrency=2, every=60).working():
            await came(app, 19)
            await until(lambda: _noted(app, 20))
            await came(other, 99)
            await until(lambda: 99 in running)
            assert len(running) == 3
            began = time.monotonic()
            statuses = await deliveries(app, "tell")
            assert sorted(status for status, *_ in statuses) == ["running"] * 2 + ["waiting"] * 18
            gate.set()
            await until(lambda: len(with_strangers.told) == 21)
            assert time.monotonic() - began < 20

    async def test_tenants_whose_deliveries_all_hang_leave_room_for_others(self, monkeypatch):
        gate = asyncio.Event()

        async def hang(platform, installation, one, lease):
            await gate.wait()
            return True

        monkeypatch.setattr(outside, "run", hang)
        beside = outside.Beside(None, 30, lambda tenant: None)

        def begins(tenant):
            installation = SimpleNamespace(tenant=SimpleNamespace(id=tenant))
            return beside.begin(installation, SimpleNamespace(plugin="p", handler="h"))

        for tenant in range(8):
            assert begins(tenant)
            while begins(tenant):
                pass
        assert begins(8)
        gate.set()
        await asyncio.gather(*beside.tasks)
        assert beside.done == outside.MOST

    async def test_stopping_waits_for_it_and_then_gives_it_back(self, app, monkeypatch):
        monkeypatch.setattr(workers, "_GRACE", 0.3)
        begun = []

        async def wait(number):
            begun.append(number)
            await asyncio.sleep(0.05 if number == 1 else 60)

        with_strangers.behaviour["tell"] = wait
        async with Worker(app.platform).working():
            await came(app, 1)
            await came(app, 2)
            await until(lambda: len(begun) == 2 and with_strangers.told)
        assert with_strangers.told == [1]
        assert sorted(await deliveries(app, "tell")) == [("done", 1, None), ("waiting", 0, None)]


class TestShares:
    """Room is halved from tenant to tenant, and never used up at once."""

    @staticmethod
    def fill(shares, owner):
        taken = 0
        while shares.room(owner):
            shares.take(owner)
            taken += 1
        return taken

    def test_room_is_halved(self):
        shares = Shares(outside.MOST, outside.SHARE)
        assert [self.fill(shares, n) for n in range(10)] == [32, 32, 32, 16, 8, 4, 2, 1, 1, 0]
        shares.give(0)
        assert not shares.room(0)  # the next room is for whoever has none
        assert shares.room("new")

    @given(
        st.integers(2, 200),
        st.integers(1, 64),
        st.lists(st.tuples(st.booleans(), st.integers(0, 9))),
    )
    def test_nobody_takes_more_than_half_of_what_others_leave(self, most, share, steps):
        shares, taken = Shares(most, share), dict.fromkeys(range(10), 0)
        for takes, owner in steps:
            if not takes:
                if taken[owner]:
                    shares.give(owner)
                    taken[owner] -= 1
                continue
            others = sum(taken.values()) - taken[owner]
            may = others < most and taken[owner] < min(share, max(1, (most - others) // 2))
            assert shares.room(owner) is may
            if may:
                shares.take(owner)
                taken[owner] += 1
            assert shares.total == sum(taken.values()) <= most
        if sum(taken.values()) < most:
            assert shares.room("new")


class TestGraphQLForUsers:
    QUERY = "query ($id: ID!) { visitor(id: $id) { name } }"

    async def user(self, app, *grants):
        from guanxi_sdk.testing.tokens import make_token

        token = await make_token(app.platform.pool, app.tenant, grants, user="Ada")
        return (await app.platform.authenticate(token)).caller.user_id

    async def test_it_is_checked(self, app):
        async with app.context() as ctx:
            check = ctx.graphql.check
            good = {"id": f"visitor_{uuid7()}"}
            assert await check(self.QUERY, variables=good) == []
            assert await check("query ($x: ID) { visitor(id: $x) { id } }", variables={}) == [
                "Variable '$x' of type 'ID' used in position expecting type 'ID!'."
            ]
            for wrong in (
                "", "{", "{ nothing }", "mutation { letIn(id: 1, code: 2) { visitor { id } } }",
                "query A { visitors { totalCount } } query B { visitors { totalCount } }",
                self.QUERY.replace("name", "pin"), "query ($n: Int!) { visitors(first: $n) { "
                "totalCount } }", "{ " + " ".join(f"a{n}: visitors {{ totalCount }}"
                for n in range(500)) + " }",
            ):  # fmt: skip
                problems = await check(wrong, variables=good)
                assert problems, wrong
                assert all(isinstance(one, str) and one for one in problems)

    async def test_the_user_s_rights_of_the_moment_count(self, app):
        ada = await app.add(Visitor(name="Ada"))
        user = await self.user(app, "visitors.read")
        async with app.context() as ctx:
            answer = await ctx.graphql.execute(
                self.QUERY, {"id": f"visitor_{ada.id}"}, user_id=user
            )
            assert answer == {"data": {"visitor": {"name": "Ada"}}}
            rights = await ctx.rights_of(user)
            assert rights.permissions == {"visitors.read"}
        async with app.platform.pool.connection(app.tenant.id) as connection:
            await connection.execute(
                "UPDATE guanxi_user_role SET expires_at = now() WHERE user_id = $1", user
            )
        async with app.context() as ctx:
            answer = await ctx.graphql.execute(
                self.QUERY, {"id": f"visitor_{ada.id}"}, user_id=user
            )
            assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
            assert answer["data"] == {"visitor": None}
            assert (await ctx.rights_of(user)).permissions == frozenset()

    async def test_an_archived_or_unknown_user_may_nothing(self, app):
        from guanxi_sdk import Forbidden

        user = await self.user(app, "*")
        async with app.platform.pool.connection(app.tenant.id) as connection:
            await connection.execute(
                "UPDATE guanxi_user SET archived_at = now() WHERE id = $1", user
            )
        async with app.context() as ctx:
            for nobody in (user, uuid7()):
                with pytest.raises(Forbidden):
                    await ctx.graphql.execute("{ viewer { name } }", user_id=nobody)
                with pytest.raises(Forbidden):
                    await ctx.rights_of(nobody)

    async def test_a_tenant_asks_for_some_at_a_time(self, app, guanxi, monkeypatch):
        """Others do not wait for it, and a query within a query does not wait for itself."""
        gate, running, most = asyncio.Event(), Counter(), Counter()
        execute = Engine.execute

        async def slow(engine, access, document, *more, **options):
            tenant = access.installation.tenant.id
            if document.startswith("query Inner"):
                return await execute(engine, access, document, *more, **options)
            running[tenant] += 1
            most[tenant] = max(most[tenant], running[tenant])
            await gate.wait()
            graphql = app.platform.graphql(access.installation)
            inner = await graphql.execute(
                "query Inner { viewer { name } }", user_id=access.caller.user_id
            )
            assert inner["data"]["viewer"]["name"] == "Ada"
            running[tenant] -= 1
            return await execute(engine, access, document, *more, **options)

        monkeypatch.setattr(Engine, "execute", slow)
        other = await guanxi(Visitors())
        asked = []
        for which, times in ((app, 12), (other, 1)):
            user = await self.user(which, "visitors.read")
            async with which.context() as ctx:
                asked += [
                    asyncio.create_task(ctx.graphql.execute("{ viewer { name } }", user_id=user))
                    for _ in range(times)
                ]
        await until(lambda: other.tenant.id in running)
        await until(lambda: running[app.tenant.id] == service.SHARE)
        gate.set()
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*asked)
        assert answers == [{"data": {"viewer": {"name": "Ada"}}}] * 13
        assert most == {app.tenant.id: service.SHARE, other.tenant.id: 1}

    async def test_a_mutation_is_not_done(self, app):
        user = await self.user(app, "*")
        async with app.context() as ctx:
            document = 'mutation { createVisitor(input: { name: "x" }) { visitor { id } } }'
            answer = await ctx.graphql.execute(document, user_id=user)
        assert "data" not in answer
        assert await app.all(Visitor) == []

    async def test_without_graphql_it_says_so(self, app, monkeypatch):
        from guanxi_core import services
        from guanxi_sdk import GuanxiError

        monkeypatch.setattr(services, "entry_points", lambda **_: [])
        async with app.context() as ctx:
            with pytest.raises(GuanxiError, match="install the distribution"):
                _ = ctx.graphql


async def test_many_rows_are_deleted_with_one_record(app):
    for name in ("a", "b", "c"):
        await app.add(Visitor(name=name))
    await app.deliver()
    heard = len(await app.all(Heard))
    async with app.context() as ctx:
        assert await ctx.delete_where(Visitor, Visitor.name < "c") == 2
        assert await ctx.delete_where(Visitor, Visitor.name < "c") == 0
    assert [one.name for one in await app.all(Visitor)] == ["c"]
    found = await app.graphql(
        '{ auditEntries(where: { action: { eq: "visitors.visitor.delete_where" } }) '
        "{ edges { node { model rowId changes { field before after } } } } }"
    )
    assert [edge["node"] for edge in found["auditEntries"]["edges"]] == [
        {"model": "Visitor", "rowId": None,
         "changes": [{"field": "count", "before": "2", "after": None}]}
    ]  # fmt: skip
    await app.deliver()
    assert len(await app.all(Heard)) == heard


def test_any_event_needs_no_declaration():
    class Quiet(Plugin, name="quiet", permissions=[Permission("quiet.read", "Read.")]):
        """Declares nothing."""

    from guanxi_core.editions import compose

    assert compose([Listener, Quiet]).handlers
