"""Events reach handlers: once each, in order, again after failure, and not for ever."""

import asyncio
from collections import defaultdict
from uuid import uuid4

import pytest
import with_deliveries
from uuid_utils.compat import uuid7
from with_deliveries import Parcel, ParcelMoved, Parcels, ParcelSwapped, Trace

from guanxi_core.delivery import queue
from guanxi_sdk import GuanxiError, Invalid, Refusal


@pytest.fixture
async def app(guanxi, monkeypatch):
    monkeypatch.setattr(with_deliveries, "behaviour", {})
    return await guanxi(Parcels())


async def traces(app, handler):
    return [one.number for one in await app.all(Trace) if one.handler == handler]


async def move(app, parcel_id, *numbers):
    for number in numbers:
        async with app.context() as ctx:
            ctx.emit(ParcelMoved(parcel_id=parcel_id, number=number))


async def hasten(app):
    """Let what waits for another attempt be due."""
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await connection.execute(
            "UPDATE guanxi_delivery SET due_at = now() "
            "WHERE tenant_id = $1 AND status IN ('waiting', 'running')", app.tenant.id
        )  # fmt: skip


async def deliveries(app, **where):
    async with app.platform.pool.connection(app.tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT * FROM guanxi_delivery WHERE tenant_id = $1 ORDER BY position", app.tenant.id
        )
    return [row for row in rows if all(row[k] == v for k, v in where.items())]


async def test_each_handler_gets_each_event_once(app):
    await move(app, uuid7(), 1)
    await move(app, uuid7(), 2)
    assert await app.deliver() == 4
    assert sorted(await traces(app, "track")) == [1, 2] == sorted(await traces(app, "hurry"))
    assert await app.deliver() == 0


async def test_nothing_of_an_undone_transaction_is_delivered(app):
    async def fail():
        async with app.context() as ctx:
            ctx.emit(ParcelMoved(parcel_id=uuid7(), number=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await app.deliver() == 0


async def test_what_a_handler_emits_goes_on(app):
    await move(app, uuid7(), -1)
    await app.deliver()
    assert await traces(app, "arrive") == [-1]


async def test_generated_writes_are_events_of_rows(app):
    made = await app.graphql('mutation { createParcel(input: { label: "a" }) { parcel { id } } }')
    parcel = made["createParcel"]["parcel"]["id"]
    await app.graphql(
        'mutation ($id: ID!) { updateParcel(id: $id, version: 1, input: { label: "b" }) '
        "{ parcel { label } } }",
        id=parcel,
    )
    async with app.context() as ctx:
        await ctx.update_where(Parcel, Parcel.label == "b", label="c")
    await app.deliver()
    assert (await traces(app, "greet"), await traces(app, "notice")) == ([0], [0, 0])


async def test_an_entity_keeps_its_order_while_one_is_retried(app):
    with_deliveries.behaviour["track"] = lambda number, attempt: 1 / (number - 1)
    one, other = uuid7(), uuid7()
    await move(app, one, 1, 2, 3)
    await move(app, other, 4)
    await app.deliver()
    assert await traces(app, "track") == [4]
    assert sorted(await traces(app, "hurry")) == [1, 2, 3, 4]
    states = [row["status"] for row in await deliveries(app, handler="track", entity=str(one))]
    assert states == ["waiting", "held", "held"]
    del with_deliveries.behaviour["track"]
    await hasten(app)
    await app.deliver()
    assert await traces(app, "track") == [4, 1, 2, 3]


async def test_the_entity_is_the_field_that_the_event_names(app):
    box = uuid7()
    async with app.context() as ctx:
        for number in range(3):
            ctx.emit(ParcelSwapped(parcel_id=uuid7(), box=box, number=number))
    await app.deliver()
    assert await traces(app, "swap") == [0, 1, 2]
    assert {row["entity"] for row in await deliveries(app)} == {str(box)}


async def test_a_failing_handler_leaves_nothing_and_dies_after_ten_attempts(app, caplog):
    attempts = []

    async def fail(number, attempt):
        attempts.append(attempt)
        raise SystemExit("a secret")

    with_deliveries.behaviour["track"] = fail
    parcel = uuid7()
    await move(app, parcel, 1, 2)
    for _ in range(12):
        await app.deliver()
        await hasten(app)
    assert attempts[:10] == list(range(1, 11))
    assert await traces(app, "track") == []
    dead, next_one = await deliveries(app, handler="track")
    assert (dead["status"], dead["attempts"], next_one["status"]) == ("dead", 10, "waiting")
    assert "secret" not in dead["error"]
    assert dead["error"].startswith("SystemExit: see the server's log")
    del with_deliveries.behaviour["track"]
    await app.deliver()
    assert await traces(app, "track") == [2]

    listed = await app.graphql(
        "{ deliveries(where: { status: { eq: DEAD } }) "
        "{ edges { node { id event plugin handler attempts error } } } }"
    )
    (edge,) = listed["deliveries"]["edges"]
    assert (edge["node"]["event"], edge["node"]["handler"]) == ("ParcelMoved", "track")
    replay = (
        "mutation ($id: ID!) { replayDelivery(id: $id) "
        "{ delivery { status } errors { code path } } }"
    )
    given = {"id": edge["node"]["id"]}
    refused = await app.execute(replay, given, can=["parcels.*"])
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    again = await app.graphql(replay, **given)
    assert again["replayDelivery"]["delivery"] == {"status": "WAITING"}
    await app.deliver()
    assert await traces(app, "track") == [2, 1]
    again = await app.graphql(replay, **given)
    assert again["replayDelivery"]["errors"] == [{"code": "CONFLICT", "path": "id"}]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Invalid("name", "Ada Lovelace is taken"), "Invalid (INVALID)"),
        (Refusal(None, "Ada Lovelace is out", code="AWAY"), "Refusal (AWAY)"),
        (Refusal(None, "Away", code="Ada Lovelace is out"), "Refusal"),
        (GuanxiError("Ada Lovelace"), "GuanxiError"),
    ],
)
async def test_the_error_that_is_kept_tells_the_kind_only(app, error, told):
    def fail(number, attempt):
        raise error

    with_deliveries.behaviour["track"] = fail
    await move(app, uuid7(), 1)
    await app.deliver()
    listed = await app.graphql("{ deliveries { edges { node { handler error } } } }")
    found = [edge["node"] for edge in listed["deliveries"]["edges"]]
    errors = {node["handler"]: node["error"] for node in found}
    assert errors["hurry"] is None
    assert errors["track"].startswith(f"{told}: see the server's log for delivery ")


async def test_a_slow_handler_is_cut_at_its_deadline(app):
    with_deliveries.behaviour["arrive"] = lambda number, attempt: asyncio.sleep(5)
    await move(app, uuid7(), -1)
    await app.deliver()
    (row,) = await deliveries(app, handler="arrive")
    assert (row["status"], row["error"]) == ("waiting", "it took longer than its 0.5 seconds.")


async def test_pauses_grow_and_are_spread(monkeypatch):
    seen = defaultdict(list)
    for attempt in range(1, 20):
        seen[attempt] = [queue.pause(attempt) for _ in range(200)]
        limit = min(3600, 2 ** (attempt - 1))
        assert 0 <= min(seen[attempt]) < limit * 0.2
        assert limit * 0.8 < max(seen[attempt]) <= limit


async def test_a_lost_claim_comes_back_and_its_late_holder_changes_nothing(app):
    await move(app, uuid7(), 1)
    pool = app.platform.pool
    installation = await app.platform.installation(app.tenant)
    async with pool.connection(app.tenant.id) as connection:
        await queue.relay(connection, app.tenant.id, installation.edition, [])
        lost = await queue.claim(connection, app.tenant.id, uuid4(), 0)
    assert len(lost) == 2
    assert await app.deliver() == 2
    async with pool.connection(app.tenant.id) as connection:
        for one in lost:
            with pytest.raises(queue.LostClaim):
                await queue.finish(connection, one)
    assert await traces(app, "track") == [1]
    assert {(row["attempts"], row["hangs"]) for row in await deliveries(app)} == {(2, 0)}


async def claimed(app, worker):
    """Hand on what is new, and claim what may be had."""
    installation = await app.platform.installation(app.tenant)
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await queue.relay(connection, app.tenant.id, installation.edition, [])
        return await queue.claim(connection, app.tenant.id, worker, 30)


async def outlive(app, seconds):
    """Let the claims have run out ``seconds`` ago."""
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await connection.execute(
            "UPDATE guanxi_delivery SET due_at = now() - make_interval(secs => $2) "
            "WHERE tenant_id = $1 AND status = 'running'", app.tenant.id, seconds
        )  # fmt: skip


async def test_a_claim_is_left_to_a_worker_that_is_there_until_its_watchdog_ends_it(app):
    worker = uuid4()
    await move(app, uuid7(), 1)
    async with app.platform.pool.connection(None) as there:
        await there.execute(queue.ATTEND, worker)
        assert len(await claimed(app, worker)) == 2
        for seconds in (1, 34):
            await outlive(app, seconds)
            assert await app.deliver() == 0
        await outlive(app, 36)
        assert await app.deliver() == 2
        await there.execute("SELECT pg_advisory_unlock_all()")
    assert {row["hangs"] for row in await deliveries(app)} == {1}
    await move(app, uuid7(), 2)
    assert len(await claimed(app, worker)) == 2
    await outlive(app, 1)
    assert await app.deliver() == 2  # it is gone, and that takes no patience


async def test_what_was_claimed_by_a_worker_that_hung_comes_one_at_a_time(app):
    for number in range(3):
        await move(app, uuid7(), number)
    assert len(await claimed(app, uuid4())) == 6
    await outlive(app, 40)
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await queue.recover(connection, app.tenant.id, 30, 60)
        [first] = await claimed(app, uuid4())
        assert await claimed(app, uuid4()) == []
        await move(app, uuid7(), 3)
        assert len(await claimed(app, uuid4())) == 2  # others do not wait for it
        await queue.finish(connection, first)
        [second] = await claimed(app, uuid4())
    assert second.id != first.id


async def test_a_delivery_that_workers_hang_with_pauses_and_is_given_up(app):
    await move(app, uuid7(), 1, 2)
    [lost, _] = await claimed(app, uuid4())
    for hangs in (1, 2, 3):
        await outlive(app, 40)
        async with app.platform.pool.connection(app.tenant.id) as connection:
            await queue.recover(connection, app.tenant.id, 30, 60)
            due = await connection.fetchval(
                "SELECT due_at - now() FROM guanxi_delivery WHERE tenant_id = $1 AND id = $2",
                app.tenant.id, lost.id,
            )  # fmt: skip
        assert (due.total_seconds() > 60) == (hangs == 2)
        await hasten(app)
        while hangs < 3 and lost.id not in [one.id for one in await claimed(app, uuid4())]:
            await hasten(app)
    dead, held = (row for row in await deliveries(app, handler=lost.handler))
    assert (dead["status"], dead["error"]) == (
        "dead", "3 workers hung and were lost while they ran it.",
    )  # fmt: skip
    assert held["status"] == "waiting"  # a dead one holds nobody back


async def test_what_ends_its_process_dies_alone(app):
    """Deliveries that were claimed with it are done at their next attempt."""
    for number in range(4):
        await move(app, uuid7(), number)
    pool = app.platform.pool
    installation = await app.platform.installation(app.tenant)
    async with pool.connection(app.tenant.id) as connection:
        await queue.relay(connection, app.tenant.id, installation.edition, [])
        lost = await queue.claim(connection, app.tenant.id, uuid4(), 0)
        assert len(lost) == 8
        for _ in range(10):  # the first of them ends each process that has it, and what is beside
            claimed = await queue.claim(connection, app.tenant.id, uuid4(), 0)
            while claimed and lost[0].id not in [one.id for one in claimed]:
                for one in claimed:
                    await queue.finish(connection, one)
                claimed = await queue.claim(connection, app.tenant.id, uuid4(), 0)
            assert [one.id for one in claimed] == [lost[0].id]
    rows = {row["id"]: row for row in await deliveries(app)}
    assert rows.pop(lost[0].id)["attempts"] == 11
    assert {(row["status"], row["attempts"]) for row in rows.values()} == {("done", 2)}


async def test_events_are_kept_for_a_plugin_that_cannot_run(app, guanxi):
    parcel = uuid7()
    await move(app, parcel, 1)
    registry = app.platform.registry
    plugin = registry.plugins.pop("parcels")
    app.platform._installations.clear()
    assert await app.deliver() == 0
    assert [row["handler"] for row in await deliveries(app)] == ["*"]
    registry.plugins["parcels"] = plugin
    app.platform._installations.clear()
    await move(app, parcel, 2)
    await app.deliver()
    assert await traces(app, "track") == [1, 2]


async def test_failing_handlers_are_the_queues_business_and_switch_nothing_off(app, monkeypatch):
    monkeypatch.setattr(queue, "pause", lambda attempt: 60.0)  # until it is hastened

    def fail(number, attempt):
        raise ZeroDivisionError

    with_deliveries.behaviour["track"] = fail
    await move(app, uuid7(), 1)
    for _ in range(7):
        await app.deliver()
        await hasten(app)
    [failing] = await deliveries(app, handler="track")
    assert failing["attempts"] == 7
    assert app.platform.breakers.of(app.tenant).allows("parcels")
    states = "{ pluginStates { totalCount } }"
    assert await app.graphql(states) == {"pluginStates": {"totalCount": 0}}
