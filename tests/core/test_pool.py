"""The pool: no connection ever serves a tenant it is not set to."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from databases import Databases, Scratch
from guanxi_core.database.connections import TenantConnection, connect, is_local
from guanxi_core.database.embedded import EmbeddedServer
from guanxi_core.database.outages import DatabaseUnavailable, outage_in
from guanxi_core.database.pool import TenantPool

A, B, C = (UUID(int=n) for n in (1, 2, 3))
TENANT = "SELECT current_setting('guanxi.tenant', true)"
PID = "SELECT pg_backend_pid()"


@pytest.fixture(scope="module")
async def scratch(databases: Databases) -> AsyncIterator[Scratch]:
    made = await databases.fresh()
    yield made
    await databases.drop(made)


@pytest.fixture
async def pool(scratch: Scratch) -> AsyncIterator[TenantPool]:
    made = await TenantPool.open(scratch.app_url, size=2, patience=5)
    yield made
    await made.close()


def listen(connection: Any) -> list[str]:
    """What is sent on a connection from now on; the list fills at the loop's next turn."""
    sent: list[str] = []
    connection.add_query_logger(lambda record: sent.append(record.query))
    return sent


async def kill(databases: Databases, scratch: Scratch, pid: int) -> None:
    connection = await asyncpg.connect(databases.superuser(scratch))
    await connection.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    await connection.close()


async def test_a_connection_is_set_to_the_tenant_that_asks(pool: TenantPool):
    for tenant in (A, B, A, A, B):
        async with pool.connection(tenant) as connection:
            assert await connection.fetchval(TENANT) == str(tenant)


async def test_without_a_tenant_it_is_set_to_none(pool: TenantPool):
    async with pool.connection(A), pool.connection(B):
        pass
    async with pool.connection(None) as connection:
        assert await connection.fetchval(TENANT) == ""


async def test_nothing_is_sent_for_the_tenant_served_last(scratch: Scratch):
    pool = await TenantPool.open(scratch.app_url, size=1)
    async with pool.connection(A) as connection:
        sent = listen(connection)
    async with pool.connection(A):
        await asyncio.sleep(0)
    assert sent == []
    async with pool.connection(B):
        await asyncio.sleep(0)
    assert len(sent) == 1
    await pool.close()


async def test_a_connection_set_to_the_tenant_is_preferred(pool: TenantPool):
    a, b = await pool.take(A), await pool.take(B)
    pool.give(a)
    pool.give(b)
    for tenant, expected in ((A, a), (B, b), (A, a)):
        connection = await pool.take(tenant)
        assert connection is expected
        pool.give(connection)


async def test_sessions_are_in_utc_with_iso_dates_and_without_jit(pool: TenantPool):
    async with pool.connection(A) as connection:
        shown = [
            await connection.fetchval(f"SHOW {name}")
            for name in ("TimeZone", "DateStyle", "jit", "search_path")
        ]
    assert shown == ["UTC", "ISO, MDY", "off", "public"]


async def test_an_error_makes_the_connection_forget_its_tenant(scratch: Scratch):
    pool = await TenantPool.open(scratch.app_url, size=1)
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with pool.connection(A) as connection:
            await connection.fetchval("SELECT 1 / 0")
    sent = listen(connection)
    async with pool.connection(A):
        await asyncio.sleep(0)
    assert len(sent) == 1
    await pool.close()


async def test_a_setting_that_was_rolled_back_is_not_believed(pool: TenantPool):
    async with pool.connection(A) as connection:
        with suppress(asyncpg.DivisionByZeroError):
            async with connection.transaction():
                await connection.execute("SELECT set_config('guanxi.tenant', $1, true)", str(B))
                await connection.execute("SELECT 1 / 0")
        assert await connection.fetchval(TENANT) == str(A)


async def test_a_connection_left_in_a_transaction_is_closed(pool: TenantPool):
    connection = await pool.take(A)
    await connection.execute("BEGIN")
    pool.give(connection)
    assert connection.is_closed()
    async with pool.connection(A) as another:
        assert await another.fetchval(TENANT) == str(A)


async def test_only_what_is_set_already_is_ready(pool: TenantPool):
    connection = await pool.take(A)
    assert pool.ready(A) is None  # it is lent
    pool.give(connection)
    assert pool.ready(B) is None
    assert pool.ready(A) is connection
    assert await connection.fetchval(TENANT) == str(A)
    with suppress(asyncpg.DivisionByZeroError):
        try:
            await connection.fetchval("SELECT 1 / 0")
        finally:
            pool.give(connection)  # after an error it is set anew
    assert pool.ready(A) is None
    connection = await pool.take(A)
    pool.give(connection)
    connection.terminate()
    assert pool.ready(A) is None


async def test_giving_back_twice_is_refused(pool: TenantPool):
    connection = await pool.take(A)
    pool.give(connection)
    with pytest.raises(RuntimeError, match="twice"):
        pool.give(connection)


async def test_a_cancelled_query_ends_on_the_server_before_the_connection_is_lent_again(
    scratch: Scratch,
):
    pool = await TenantPool.open(scratch.app_url, size=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), pool.connection(A) as connection:
            await connection.fetchval("SELECT pg_sleep(60)")
    async with asyncio.timeout(10), pool.connection(B) as connection:
        assert await connection.fetchval(TENANT) == str(B)
    await pool.close()


async def test_a_query_that_times_out_by_itself_frees_the_connection(scratch: Scratch):
    pool = await TenantPool.open(scratch.app_url, size=1)
    with pytest.raises(TimeoutError):
        async with pool.connection(A) as connection:
            await connection.fetchval("SELECT pg_sleep(60)", timeout=0.1)
    async with asyncio.timeout(10), pool.connection(A) as connection:
        assert await connection.fetchval(TENANT) == str(A)
    await pool.close()


async def test_who_asks_first_is_served_first_and_there_are_never_more_than_size(
    scratch: Scratch,
):
    pool = await TenantPool.open(scratch.app_url, size=2)
    async with pool.connection(A), pool.connection(A):
        pass
    served: list[int] = []
    pids: set[int] = set()

    async def ask(number: int) -> None:
        async with pool.connection(A) as connection:
            served.append(number)
            pids.add(await connection.fetchval(PID))

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(ask(number))
    assert served == list(range(20))
    assert len(pids) <= 2
    await pool.close()


async def test_a_waiter_that_is_cancelled_takes_no_connection_with_it(scratch: Scratch):
    pool = await TenantPool.open(scratch.app_url, size=1)
    held = await pool.take(A)
    waiters = [asyncio.create_task(pool.take(B)) for _ in range(3)]
    await asyncio.sleep(0)
    pool.give(held)  # the first waiter has it now, and is cancelled before it runs
    waiters[0].cancel()
    waiters[2].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiters[0]
    connection = await waiters[1]
    assert await connection.fetchval(TENANT) == str(B)
    pool.give(connection)
    async with asyncio.timeout(5), pool.connection(C):
        pass
    await pool.close()


async def test_patience_ends_with_an_error_that_says_so(scratch: Scratch):
    pool = await TenantPool.open(scratch.app_url, size=1, patience=0.05)
    async with pool.connection(A):
        with pytest.raises(DatabaseUnavailable, match=r"all 1 connections .* are busy"):
            await pool.take(A)
    async with pool.connection(A):
        pass
    await pool.close()


@pytest.fixture
async def turns(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TenantPool]:
    """A pool of five that gives turns from the third connection on, and waits for them long."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    made = await TenantPool.open(scratch.app_url, size=5, patience=60)
    made._waiting.moment = 50
    yield made
    assert made.state.used == 0
    await made.close()


async def waiting_in_turn(pool: TenantPool, *tenants: UUID) -> "list[asyncio.Task[Any]]":
    tasks = [asyncio.create_task(pool.take(tenant, in_turn=True)) for tenant in tenants]
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in tasks)
    assert pool.waiting == len(tasks)
    return tasks


async def soon(task: "asyncio.Task[Any]") -> Any:
    """What it comes to, long before anybody has waited for a moment."""
    return await asyncio.wait_for(task, 10)


async def test_what_is_sent_in_turn_waits_for_a_few_others(turns: TenantPool):
    lent = [await turns.take(A, in_turn=True) for _ in range(3)]
    [waiting] = await waiting_in_turn(turns, B)
    async with turns.connection(A), turns.connection(C):  # all five: these do not wait for turns
        assert turns.state.used == 5
    assert turns.state.used == 3
    assert turns.ready(A, in_turn=True) is None  # though two are idle
    assert [row[0] for row in await turns.call("SELECT 1")] == [1]
    assert not waiting.done()
    turns.give(lent.pop())
    lent.append(await soon(waiting))
    assert lent[-1].tenant == B
    turns.give(lent.pop(0))
    last = turns.ready(A, in_turn=True)  # few are lent again
    for connection in (last, *lent):
        turns.give(connection)


async def test_after_many_at_once_there_are_few_again(turns: TenantPool):
    lent = [await turns.take(A) for _ in range(5)]
    waiting = await waiting_in_turn(turns, A, A)
    for connection in lent[:2]:
        turns.give(connection)
    await asyncio.sleep(0.01)
    assert turns.state.used == 3
    assert turns.waiting == 2
    for connection in lent[2:4]:
        turns.give(connection)
    for connection in (*[await soon(task) for task in waiting], lent[4]):
        turns.give(connection)


async def test_nobody_waits_for_a_turn_for_long(turns: TenantPool, monkeypatch: pytest.MonkeyPatch):
    lent = [await turns.take(A) for _ in range(4)]
    turns.give(lent.pop())  # it stays open
    turns._waiting.moment = 0.02
    delays: list[float] = []
    loop = asyncio.get_running_loop()
    later = loop.call_later

    def spied(delay: float, *what: Any) -> Any:
        if what[0] == turns._tend:
            delays.append(delay)
        return later(delay, *what)

    monkeypatch.setattr(loop, "call_later", spied)
    tasks = [asyncio.create_task(turns.take(B, in_turn=True)) for _ in range(3)]
    lent += [await soon(tasks[0]), await soon(tasks[1])]
    assert turns.state == (5, 5, 5)
    await asyncio.sleep(0.1)
    assert not tasks[2].done()  # more than five there are not
    assert max(delays) <= 0.02
    turns.give(lent.pop())
    lent.append(await soon(tasks[2]))
    for connection in lent:
        turns.give(connection)


async def test_an_idle_connection_is_lent_before_another_is_opened(turns: TenantPool):
    lent = [await turns.take(tenant) for tenant in (A, A, A, B)]
    turns.give(lent[3])
    turns._waiting.moment = 0.02
    taken = await turns.take(B, in_turn=True)
    assert taken is lent[3]
    assert turns.state == (5, 4, 4)
    for connection in lent:
        turns.give(connection)


async def test_a_turn_is_passed_on_by_who_gave_up(turns: TenantPool):
    lent = [await turns.take(A, in_turn=True) for _ in range(3)]
    given_up, served, last = await waiting_in_turn(turns, A, A, A)
    given_up.cancel()
    await asyncio.sleep(0)
    assert turns.waiting == 2
    turns.give(lent[0])
    served.cancel()  # served and cancelled in the same moment
    for task in (given_up, served):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await soon(last) is lent[0]
    for connection in lent:
        turns.give(connection)


async def test_a_lost_connection_lets_somebody_else_open_one(turns: TenantPool):
    lent = [await turns.take(A, in_turn=True) for _ in range(3)]
    [waiting] = await waiting_in_turn(turns, A)
    lent[0].terminate()
    turns.give(lent[0])
    lent[0] = await soon(waiting)
    assert await lent[0].fetchval("SELECT 1") == 1
    for connection in lent:
        turns.give(connection)


async def test_idle_ones_that_were_lost_make_it_no_larger(turns: TenantPool):
    lent = [await turns.take(A) for _ in range(5)]
    waiting = await waiting_in_turn(turns, A)
    for connection in lent[:2]:
        turns.give(connection)
        connection.terminate()
    lent = [*lent[2:], *[await turns.take(B) for _ in range(2)]]
    assert turns.state == (5, 5, 5)
    for connection in lent:
        turns.give(connection)
    turns.give(await soon(waiting[0]))
    assert turns.state == (5, 5, 0)


@pytest.mark.parametrize(
    ("processors", "here", "most"), [(2, True, 6), (2, False, 7), (9, True, 7)]
)
async def test_there_are_turns_for_processors_that_are_shared(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch, processors: int, here: bool, most: int
):
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    if not here:
        monkeypatch.setattr(TenantConnection, "is_local", False)
    pool = await TenantPool.open(scratch.app_url, size=7)
    pool._waiting.moment = 50
    lent = [await pool.take(A) for _ in range(7)]
    pool.give(lent.pop())
    assert (pool.ready(A, in_turn=True) is not None) is (most == 7)
    await pool.close(timeout=0)
    for connection in lent:
        pool.give(connection)


@pytest.mark.parametrize(
    ("own", "other", "local"),
    [
        ("", "/run/guanxi/.s.PGSQL.5432", True),
        (b"", b"", True),
        (("127.0.0.1", 40000), ("127.0.0.1", 5432), True),
        (("127.0.0.1", 40000), ("127.0.1.1", 5432), True),
        (("::1", 40000, 0, 0), ("::1", 5432, 0, 0), True),
        (("10.0.0.7", 40000), ("10.0.0.7", 5432), True),
        (("10.0.0.7", 40000), ("10.0.0.8", 5432), False),
        (("fd00::7", 40000, 0, 0), ("fd00::8", 5432, 0, 0), False),
    ],
)
def test_a_database_here_is_told_by_its_address(own: Any, other: Any, local: bool):
    assert is_local(Ends(sockname=own, peername=other)) is local


class Ends(dict[str, Any]):
    """Stands in for a transport."""

    get_extra_info = dict.__getitem__


async def test_broken_connections_are_replaced(
    pool: TenantPool, scratch: Scratch, databases: Databases
):
    async with pool.connection(A) as one, pool.connection(B) as two:
        pids = [await one.fetchval(PID), await two.fetchval(PID)]
    for pid in pids:
        await kill(databases, scratch, pid)
    for tenant in (A, C, B):
        async with pool.connection(tenant) as connection:
            assert await connection.fetchval(TENANT) == str(tenant)
            assert await connection.fetchval(PID) not in pids


async def test_a_connection_lost_in_the_middle_is_called_so(
    pool: TenantPool, scratch: Scratch, databases: Databases
):
    async def lose() -> None:
        async with pool.connection(A) as connection:
            await kill(databases, scratch, await connection.fetchval(PID))
            await connection.fetchval(TENANT)

    with pytest.raises(DatabaseUnavailable) as caught:
        await lose()
    assert scratch.name in str(caught.value)
    async with pool.connection(A) as connection:
        assert await connection.fetchval(TENANT) == str(A)


async def test_an_ordinary_error_stays_what_it_is(pool: TenantPool):
    with pytest.raises(asyncpg.UndefinedTableError):
        async with pool.connection(A) as connection:
            await connection.fetchval("SELECT 1 FROM nothing_here")


async def test_a_call_uses_any_connection_in_one_round_trip(pool: TenantPool):
    async with pool.connection(A) as connection:
        sent = listen(connection)
    assert [row[0] for row in await pool.call("SELECT $1::int", 7)] == [7]
    await asyncio.sleep(0)
    assert sent == ["SELECT $1::int"]
    async with pool.connection(A) as connection:
        assert await connection.fetchval(TENANT) == str(A)


async def test_closing_waits_for_what_is_lent_and_turns_others_away(scratch: Scratch):
    pool = await TenantPool.open(scratch.app_url, size=1)
    connection = await pool.take(A)
    waiting = asyncio.create_task(pool.take(B))
    await asyncio.sleep(0)
    closing = asyncio.create_task(pool.close())
    with pytest.raises(DatabaseUnavailable, match="closed"):
        await waiting
    assert not closing.done()
    assert await connection.fetchval(TENANT) == str(A)
    pool.give(connection)
    await closing
    assert connection.is_closed()
    with pytest.raises(DatabaseUnavailable, match="closed"):
        await pool.take(A)
    await pool.close()


async def test_closing_breaks_off_what_is_not_given_back(scratch: Scratch):
    pool = await TenantPool.open(scratch.app_url, size=2)
    connection = await pool.take(A)
    await pool.close(timeout=0.05)
    assert connection.is_closed()
    pool.give(connection)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda url: url.replace("guanxi_test_", "guanxi_gone_"), "does not exist"),
        (lambda _: "postgresql://guanxi_app:hunter2@127.0.0.1:9/x", "does not answer"),
        (lambda _: "postgresql://guanxi_app:hunter2@/x?host=/nowhere", "does not answer"),
        (lambda url: url.replace("guanxi_app", "guanxi_stranger"), "refuses the role"),
    ],
)
async def test_a_wrong_address_shows_at_once_without_a_password(
    scratch: Scratch, change: Any, complaint: str
):
    with pytest.raises(DatabaseUnavailable) as caught:
        await TenantPool.open(change(scratch.app_url))
    assert complaint in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_many_tenants_with_cancellations_and_broken_connections_never_meet(
    scratch: Scratch, databases: Databases
):
    pool = await TenantPool.open(scratch.app_url, size=4)
    chance = random.Random(7)
    wrong = answered = cancelled = lost = 0

    async def ask(tenant: UUID, slow: bool, patience: float | None, breaks: bool) -> None:
        nonlocal wrong, answered, cancelled, lost
        query = f"{TENANT}, pg_sleep(0.003)" if slow else TENANT
        try:
            async with asyncio.timeout(patience):
                connection = await pool.take(tenant)
                try:
                    if breaks:
                        await connection.execute(
                            "SELECT pg_terminate_backend(pg_backend_pid())", timeout=5
                        )
                    wrong += await connection.fetchval(query) != str(tenant)
                    answered += 1
                except Exception as error:
                    pool.raise_if_lost(connection, error)
                    raise
                finally:
                    pool.give(connection)
        except TimeoutError:
            cancelled += 1
        except DatabaseUnavailable:
            lost += 1

    for _ in range(10):
        async with asyncio.TaskGroup() as group:
            for number in range(800):
                patience = chance.random() * 0.05 if chance.random() < 0.2 else None
                group.create_task(
                    ask((A, B, C)[number % 3], chance.random() < 0.1, patience, number % 199 == 7)
                )
    assert wrong == 0
    assert answered > 2000
    assert cancelled > 100
    assert lost >= 10
    held = [await pool.take(A) for _ in range(4)]  # nothing was lost on the way
    for connection in held:
        assert await connection.fetchval(TENANT) == str(A)
        pool.give(connection)
    await pool.close()


async def test_it_survives_that_the_server_stops_and_comes_back(tmp_path: Path):
    server = EmbeddedServer(tmp_path / "home", fast=True)
    await asyncio.to_thread(server.start)
    try:
        pool = await TenantPool.open(server.url("app"), size=2)
        async with pool.connection(A), pool.connection(B):
            pass
        await asyncio.to_thread(server.stop)
        with pytest.raises(DatabaseUnavailable, match="does not answer"):
            await pool.take(A)
        await asyncio.to_thread(server.start)
        async with pool.connection(A) as one, pool.connection(B) as two:
            assert await one.fetchval(TENANT) == str(A)
            assert await two.fetchval(TENANT) == str(B)
        await pool.close()
    finally:
        await asyncio.to_thread(server.stop)


async def test_statements_of_any_length_are_prepared_once(scratch: Scratch):
    connection = await connect(scratch.app_url)
    long = f"SELECT '{'x' * 20_000}'"
    for _ in range(2):
        await connection.fetchval(long)
    prepared = await connection.fetchval(
        "SELECT count(*) FROM pg_prepared_statements WHERE length(statement) > 20000"
    )
    assert prepared == 1
    await connection.close()


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (asyncpg.DiskFullError("x"), True),
        (asyncpg.AdminShutdownError("x"), True),
        (asyncpg.ConnectionDoesNotExistError("x"), True),
        (asyncpg.InternalClientError("x"), True),
        (asyncpg.InterfaceError("cannot call x(): the underlying connection is closed"), True),
        (asyncpg.InterfaceError("cannot call x(): another operation is in progress"), False),
        (asyncpg.QueryCanceledError("x"), False),
        (asyncpg.UniqueViolationError("x"), False),
        (ConnectionRefusedError("of a plugin's own"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_outage_is_known_by_what_caused_an_error(error: Exception, outage: bool) -> None:
    adapted = Exception("as SQLAlchemy's dialect has it")
    adapted.__cause__ = error
    wrapped = DBAPIError("SELECT 1", {}, adapted)
    outer = RuntimeError("outer")
    outer.__cause__ = wrapped
    for seen in (error, wrapped, outer):
        assert outage_in(seen) is (error if outage else None)


async def test_plans_stay_prepared_up_to_a_number(
    pool: TenantPool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("guanxi_core.database.connections.STATEMENTS", 3)
    async with pool.connection(A) as connection:
        for number in (0, 1, 2, 0, 3, 0, 4):
            plan = f"SELECT $1::int + {number} AS sum, {TENANT[7:]} AS tenant -- plan {number}"
            row = await connection.answer(plan, [number])
            assert (row["sum"], row["tenant"]) == (2 * number, str(A))
        await connection.fetchval("SELECT 1")  # what is wanted no more leaves with the next
        prepared = await connection.fetch("SELECT right(statement, 1) FROM pg_prepared_statements")
        assert {row[0] for row in prepared} >= {"0", "3", "4"}
        assert not {row[0] for row in prepared} & {"2"}


async def test_a_plan_that_failed_can_be_answered_later(pool: TenantPool):
    async with pool.connection(A) as connection:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.answer("SELECT 4 / $1::int", [0])
        assert (await connection.answer("SELECT 4 / $1::int", [2]))[0] == 2
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.answer("SELECT 1 FROM nowhere", [])
        await connection.execute("CREATE TEMPORARY TABLE nowhere AS SELECT 1")
        assert (await connection.answer("SELECT 1 FROM nowhere", []))[0] == 1
        await connection.execute("DROP TABLE nowhere")
