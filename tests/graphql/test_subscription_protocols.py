"""The protocols of subscriptions: WebSocket, server-sent events, the official clients."""

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

import npm
from guanxi_core.api_tokens import create_token, list_tokens, revoke_token
from served import CREATE, Served
from serving import serving
from subscribing import CHANGES, Client, connected, opened, streaming

pytestmark = pytest.mark.xdist_group("subscriptions")

CLIENTS = Path(__file__).parent / "clients"
UNTRIED = "The official clients were not tried"


async def test_another_subprotocol_is_4406(served: Served) -> None:
    async with opened(served.url, protocol="graphql-ws") as client:
        assert await client.closed() == (4406, "Subprotocol not acceptable")
    async with opened(served.url, protocol=None) as client:
        assert (await client.closed())[0] == 4406


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"ping"', "{}", '{"type":1}', '{"type":"start"}', '{"type":"next"}',
     '{"type":"complete"}', b"\x00", '{"type":"connection_init","payload":[]}', "[" * 9000],
)  # fmt: skip
async def test_invalid_messages_are_4400(served: Served, text: str | bytes) -> None:
    async with opened(served.url) as client:
        await client.socket.send(text)
        assert (await client.closed())[0] == 4400


@pytest.mark.parametrize(
    "payload",
    [None, {}, [], {"query": 1}, {"query": "{ a }", "variables": []},
     {"query": "{ tenant { name } }", "variables": {"a": "\0"}}],
)  # fmt: skip
async def test_an_invalid_subscribe_is_4400(served: Served, payload: Any) -> None:
    async with opened(served.url) as client:
        await client.init(served.token)
        await client.send(type="subscribe", id="1", payload=payload)
        assert (await client.closed())[0] == 4400


async def test_subscribing_before_the_ack_is_4401(served: Served) -> None:
    async with opened(served.url) as client:
        payload = {"query": "{ tenant { name } }"}
        await client.send(type="subscribe", id="1", payload=payload)
        assert await client.closed() == (4401, "Unauthorized")


@pytest.mark.parametrize("token", [None, "gx_" + "x" * 43, "nonsense"])
async def test_a_wrong_token_is_4403(served: Served, token: str | None) -> None:
    async with opened(served.url) as client:
        payload = {} if token is None else {"authorization": f"Bearer {token}"}
        await client.send(type="connection_init", payload=payload)
        assert await client.closed() == (4403, "Forbidden")


async def test_no_header_admits_anybody(served: Served) -> None:
    headers = {"authorization": f"Bearer {served.token}", "cookie": f"token={served.token}"}
    async with opened(served.url, additional_headers=headers) as client:
        await client.send(type="connection_init")
        assert await client.closed() == (4403, "Forbidden")


async def test_a_late_init_is_4408(served: Served) -> None:
    assert await served.silent.closed() == (4408, "Connection initialisation timeout")


async def test_an_id_in_use_is_4409(served: Served) -> None:
    async with connected(served.url, served.token) as client:
        changes, _ = await client.follow(CHANGES)
        again = {"query": CHANGES}
        await client.send(type="subscribe", id=changes.id, payload=again)
        assert await client.closed() == (4409, f"Subscriber for {changes.id} already exists")


async def test_a_second_init_is_4429(served: Served) -> None:
    async with connected(served.url, served.token) as client:
        await client.send(type="connection_init")
        assert await client.closed() == (4429, "Too many initialisation requests")


async def test_pings_are_answered_alike(served: Served) -> None:
    async with opened(served.url) as client:
        await client.send(type="ping")
        assert await client.receive() == {"type": "pong"}
        await client.send(type="ping", payload={"a": [1, "二"]})
        assert await client.receive() == {"type": "pong", "payload": {"a": [1, "二"]}}
        await client.send(type="pong")
        await client.init(served.token)


async def test_queries_and_mutations_go_over_the_socket(served: Served) -> None:
    async with connected(served.url, served.token) as client:
        query = await client.subscribe("{ tenant { name } }")
        assert (await query.next()) == {"name": "acme"}
        assert (await query.message())["type"] == "complete"
        served.numbers += 1
        made = await client.subscribe(CREATE, {"code": f"c{served.numbers}", "name": "by socket"})
        assert (await made.next())["errors"] == []
        assert (await made.message())["type"] == "complete"
        wrong = await client.subscribe("{ nothing }")
        assert await wrong.errors() == ["GRAPHQL_VALIDATION_FAILED"]
        two = await client.subscribe(
            "subscription { jobChanged { position } userChanged { position } }"
        )
        assert await two.errors() == ["GRAPHQL_VALIDATION_FAILED"]
        deep = await client.subscribe("{ " + "a: tenant { name } " * 31 + "}")
        assert await deep.errors() == ["LIMIT_EXCEEDED"]
        none = await client.subscribe("subscription { jobChanged @skip(if: true) { position } }")
        assert (await none.message())["type"] == "error"


async def test_an_id_is_free_again_after_the_end(served: Served) -> None:
    async with connected(served.url, served.token) as client:
        changes, _ = await client.follow(CHANGES)
        await client.send(type="complete", id=changes.id)
        await client.send(type="complete", id="unknown")
        for _ in range(2):
            payload = {"query": "{ tenant { name } }"}
            await client.send(type="subscribe", id=changes.id, payload=payload)
            assert [(await changes.message())["type"] for _ in range(2)] == ["next", "complete"]
        await served.create("unheard")
        await changes.nothing(0.2)


async def test_an_origin_must_be_known(served: Served) -> None:
    for origin in ("https://evil.example.com", "null"):
        with pytest.raises(InvalidStatus) as refused:
            async with opened(served.url, origin=origin):
                pass
        assert refused.value.response.status_code == 403
    for origin in (served.url, "https://crm.example.com"):
        async with opened(served.url, origin=origin) as client:
            await client.init(served.token)


async def test_large_messages_are_refused(served: Served) -> None:
    async with opened(served.url) as client:
        await client.send(type="ping", payload={"a": "x" * 300_000})
        assert (await client.closed())[0] == 1009


async def test_there_is_a_most(served: Served) -> None:
    token = await served.caller("customers.read")

    async def fill(client: Client, number: int) -> list[Any]:
        return [await client.subscribe(CHANGES) for _ in range(number)]

    async with (
        connected(served.url, token) as one,
        connected(served.url, token) as two,
        connected(served.url, token) as three,
    ):
        for client in (one, two):
            some = await fill(client, 20)
            assert [(await each.next())["action"] for each in some] == [None] * 20
            (more,) = await fill(client, 1)
            message = await more.message()
            assert message["payload"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
            assert message["payload"][0]["message"].startswith("This connection has 20")
        (more,) = await fill(three, 1)
        assert "This token has 40" in (await more.message())["payload"][0]["message"]
        async with connected(served.url, await served.caller("customers.read")) as other:
            many = await fill(other, 20)
            assert [(await each.next())["action"] for each in many] == [None] * 20
            async with connected(served.url, await served.caller("customers.read")) as last:
                (more,) = await fill(last, 1)
                assert "This tenant has 60" in (await more.message())["payload"][0]["message"]
        await one.stop()
        for _ in range(40):
            (more,) = await fill(three, 1)
            if (await more.message())["type"] == "next":
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("what was closed still counts")


async def test_who_does_not_read_is_cut_off(served: Served) -> None:
    """The others go on, and the server keeps no more than fits."""
    row = await served.create()
    update = """mutation ($id: ID!, $remarks: String!) {
      updateCustomer(id: $id, version: 1, input: { remarks: $remarks }) { errors { code } }
    }"""
    await served.ask(update, id=row["id"], remarks="x" * 4_000)
    selected = " ".join(f"a{number}: remarks" for number in range(25))
    follow = f"subscription {{ customerChanged {{ customer {{ {selected} }} position }} }}"
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.connect(("127.0.0.1", int(served.url.rpartition(":")[2])))
    async with (
        connected(served.url, served.token) as client,
        opened(served.url, sock=small) as deaf,
    ):
        payload = {"Authorization": f"Bearer {served.token}"}
        await deaf.send(type="connection_init", payload=payload)
        assert (await deaf.receive())["type"] == "connection_ack"
        for number in range(15):
            await deaf.send(type="subscribe", id=str(number), payload={"query": follow})
            await deaf.receive()
        changes, _ = await client.follow(CHANGES)
        deaf.socket.transport.pause_reading()
        before, told = await served.metric("cut_total"), 0
        async with asyncio.timeout(25):
            while await served.metric("cut_total") == before:
                await served.touch(row["id"])
                assert (await changes.next())["customer"]["id"] == row["id"]
                told += 1
        deaf.socket.transport.resume_reading()
        with suppress(ConnectionClosed):
            while True:
                await deaf.receive()
        assert deaf.socket.close_code == 4430
        assert "last position" in (deaf.socket.close_reason or "")
    assert told < 40


# --- server-sent events ---------------------------------------------------------------------------


async def test_events_are_sent(served: Served) -> None:
    async with streaming(served.url, served.token, CHANGES) as events:
        assert events.response.headers["content-type"].startswith("text/event-stream")
        assert events.response.headers["cache-control"] == "no-store"
        name, first = await events.next()
        assert (name, first["data"]["customerChanged"]["action"]) == ("next", None)
        row = await served.create("sent")
        _, told = await events.next()
        assert told["data"]["customerChanged"]["customer"] == {"id": row["id"], "name": "sent"}
    async with streaming(served.url, served.token, "{ tenant { name } }") as events:
        assert await events.next() == ("next", {"data": {"tenant": {"name": "acme"}}})
        assert await events.next() == ("complete", None)
        assert await events.next() == ("", None)


async def test_a_stream_that_cannot_begin_is_answered(served: Served) -> None:
    for token, query, status, code in (
        ("gx_none", CHANGES, 401, "UNAUTHENTICATED"),
        (served.token, "{ nothing }", 400, "GRAPHQL_VALIDATION_FAILED"),
        (await served.caller("guanxi.jobs"), CHANGES, 400, "FORBIDDEN"),
    ):
        async with streaming(served.url, token, query) as events:
            answer = json.loads(await events.response.aread())
            assert (events.response.status_code, answer["errors"][0]["extensions"]["code"]) == (
                status, code,
            )  # fmt: skip


async def test_a_stream_ends_with_its_token(served: Served) -> None:
    token = await create_token(served.pool, served.tenant, role="admin", label="stream")
    async with streaming(served.url, token, CHANGES) as events:
        await events.next()
        (number,) = [t.id for t in await list_tokens(served.pool, served.tenant)
                     if t.label == "stream"]  # fmt: skip
        await revoke_token(served.pool, served.tenant, number)
        _, told = await events.next()
        assert told["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert await events.next() == ("complete", None)


async def test_a_mutation_over_a_stream_is_done_once(served: Served) -> None:
    create = 'mutation { createCustomer(input: {code: "once", name: "once"}) { errors { code } } }'
    headers = {
        "authorization": f"Bearer {served.token}", "accept": "text/event-stream",
        "idempotency-key": "a-stream-that-broke",
    }  # fmt: skip
    async with httpx.AsyncClient(verify=False) as client:
        for _ in range(2):
            reply = await client.post(
                f"{served.url}/graphql", json={"query": create}, headers=headers
            )
            assert '"createCustomer":{"errors":[]}' in reply.text
    found = await served.ask('{ customers(where: {code: {eq: "once"}}) { totalCount } }')
    assert found["totalCount"] == 1


async def test_who_is_refused_is_known_to_be_somebody_still(served: Served) -> None:
    """A revoked token is told so, also where it would be refused anyway."""
    token = await served.caller("guanxi.jobs")
    update = 'mutation { createCustomer(input: {code: "x", name: "x"}) { errors { code } } }'
    headers = {"authorization": f"Bearer {token}"}
    asked = [
        (update, {}), ("{ customers { totalCount } }", {}),
        ('{ jobs(where: {id: {eq: "x"}}) { totalCount } customers(orderBy: NAME_ASC) '
         '{ totalCount } }', {}),
        (CHANGES, {"accept": "text/event-stream"}),
    ]  # fmt: skip
    async with httpx.AsyncClient(headers=headers, verify=False) as client:

        async def codes(query: str, more: dict[str, str]) -> list[str]:
            reply = await client.post(f"{served.url}/graphql", json={"query": query}, headers=more)
            return [error["extensions"]["code"] for error in reply.json()["errors"]]

        for query, more in asked:
            assert await codes(query, more) == ["FORBIDDEN"], query
        for number in [t.id for t in await list_tokens(served.pool, served.tenant)][-1:]:
            await revoke_token(served.pool, served.tenant, number)
        for query, more in asked:
            assert await codes(query, more) == ["UNAUTHENTICATED"], query


async def test_plain_requests_cannot_subscribe(served: Served) -> None:
    headers = {"authorization": f"Bearer {served.token}"}
    async with httpx.AsyncClient(verify=False) as client:
        reply = await client.post(f"{served.url}/graphql", json={"query": CHANGES}, headers=headers)
        assert reply.json()["errors"][0]["extensions"]["code"] == "METHOD_NOT_ALLOWED"
        got = await client.get(
            f"{served.url}/graphql", params={"query": CHANGES},
            headers={**headers, "accept": "text/event-stream"},
        )  # fmt: skip
        assert got.status_code == 406


async def test_a_stopping_server_has_clients_come_again(served: Served) -> None:
    with serving(served.home, served.token, **served.environment) as running:
        async with (
            connected(running.url, served.token) as client,
            streaming(running.url, served.token, CHANGES) as events,
        ):
            await client.follow(CHANGES)
            await events.next()
            stopped = asyncio.create_task(asyncio.to_thread(running.stop))
            assert (await client.closed())[0] == 1012
            assert await events.next() == ("", None)
            async with asyncio.timeout(25):  # it would be killed after 30
                assert await stopped == 0


# --- the official clients -------------------------------------------------------------------------


class Node:
    """A process that follows customers with an npm package; it is told what to do line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    async def hear(self) -> Any:
        assert self.process.stdout is not None
        async with asyncio.timeout(15):
            line = await self.process.stdout.readline()
        return json.loads(line) if line else None


@asynccontextmanager
async def node(folder: Path, kind: str, url: str, token: str) -> AsyncIterator[Node]:
    process = await asyncio.create_subprocess_exec(
        npm.program("node", UNTRIED), "follow.mjs", kind, f"{url}/graphql", token, cwd=folder,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Node(process)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@pytest.fixture(scope="module")
def packages() -> Path:
    """A folder outside the repository with the clients of package.json."""
    folder = npm.packages(CLIENTS, UNTRIED)
    shutil.copy(CLIENTS / "follow.mjs", folder)
    return folder


async def test_graphql_ws_follows(served: Served, packages: Path) -> None:
    """It goes on by itself behind what it was told when the connection breaks."""
    async with node(packages, "ws", served.url, served.token) as client:
        assert (await client.hear())["action"] is None
        await served.create("by node")
        assert (await client.hear())["customer"] == {"name": "by node"}
        await client.say("{ tenant { name } }")
        assert await client.hear() == {"data": {"tenant": {"name": "acme"}}}
        await client.say("drop")
        assert "closed" in await client.hear()
        await served.create("meanwhile")
        heard = [await client.hear()]
        while heard[-1]["action"] is None or heard[-1]["customer"]["name"] != "meanwhile":
            heard.append(await client.hear())
        assert [one["action"] for one in heard if one["action"]] == ["CREATED"]
        await client.say("end")
        assert await client.process.wait() == 0
    async with node(packages, "ws", served.url, "gx_wrong") as client:
        assert await client.hear() == {"closed": 4403}


async def test_graphql_sse_follows(served: Served, packages: Path) -> None:
    async with node(packages, "sse", served.url, served.token) as client:
        assert (await client.hear())["action"] is None
        await served.create("by sse")
        assert (await client.hear())["customer"] == {"name": "by sse"}
        await client.say("{ tenant { name } }")
        assert await client.hear() == {"data": {"tenant": {"name": "acme"}}}
        await client.say("mutation { createOffice(input: { name: 1 }) { errors { code } } }")
        assert await client.hear() is None  # a request error; the script ends with it
    async with node(packages, "sse", served.url, "gx_wrong") as client:
        assert "error" in await client.hear()
