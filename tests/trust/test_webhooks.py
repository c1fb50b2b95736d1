"""Row 6, end to end: webhooks reach nothing inside, and one that hangs delays nobody else."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from figures import LONG, Figure
from guanxi_core.delivery import worker as workers
from guanxi_core.delivery.worker import Worker
from guanxi_core.egress import EgressClient
from guanxi_customers import Customer, Customers
from guanxi_graphql.execute.engine import Engine
from guanxi_sdk.testing import App, Boot
from guanxi_sdk.testing.databases import ThrowAwayDatabase
from guanxi_sdk.testing.tokens import make_token
from guanxi_webhooks import WebhookEndpoint, WebhookMessage, Webhooks, WebhookSettings
from hanging_names import HangingNames, hanging_names
from inner_addresses import FORMS, Lines, watched
from receiving import Receiver, receiving

__all__ = ["hanging_names"]

CREATE = """mutation ($url: String!) { createWebhook(url: $url, events: ["CustomerCreated"]) {
  webhookEndpoint { id } errors { path } } }"""
#: Endpoints of each tenant that hang at the same time; a worker asks 32 of one tenant.
HUNG = 31 if LONG else 12
REFUSED = "not an address of the public internet"
HITS = "webhooks: 0 internal hits over 40 address forms"


@pytest.fixture
async def guanxi(database: Any) -> AsyncIterator[Boot]:
    """Tenants in a database of their own: workers would find those of other tests."""
    place = ThrowAwayDatabase(database.app_url, database.owner_url, database.app_role)
    async with contextlib.AsyncExitStack() as stack:
        yield Boot(place, stack)


async def subscribe(app: App, *urls: str) -> list[bool]:
    """Enter the addresses; whether each was accepted."""
    accepted = []
    for number, url in enumerate(urls):
        if number % 20 == 0:
            user = f"user {number}"
            token = await make_token(app.platform.pool, app.tenant, ["*"], user=user)
            access = await app.platform.authenticate(token)
        reply = await Engine(app.platform).execute(access, CREATE, {"url": url})
        made = '"errors":[]' in reply.body.decode()
        assert made or '"path":"url"' in reply.body.decode(), reply.body
        accepted.append(made)
    return accepted


async def customer(app: App, code: str) -> None:
    await app.add(Customer(code=code, name=code))


async def hit(receiver: Receiver, times: int, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while receiver.hits < times:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def statuses(app: App) -> set[str]:
    return {one.status for one in await app.all(WebhookEndpoint)}


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_form_of_an_inner_address_is_reached(
    guanxi: Boot, scheme: str, figure: Figure
) -> None:
    app = await guanxi(Customers(), Webhooks(WebhookSettings(allow_http=True, timeout=2)))
    lines = Lines()
    app.platform._egress = watched(lines)
    accepted = await subscribe(app, *(f"{scheme}://{host}:8000/" for host in FORMS))
    assert len(FORMS) >= 40
    assert 5 < sum(accepted) < len(FORMS)  # some are known only when they are asked for
    await customer(app, "A")
    await app.deliver()
    for _ in range(3):
        app.clock.advance(days=1)
        await app.deliver()
    assert lines.asked == []
    messages = {one.endpoint_id: one for one in await app.all(WebhookMessage)}
    endpoints = await app.all(WebhookEndpoint)
    assert len(messages) == len(endpoints) == sum(accepted)
    refused = [one.url for one in endpoints if REFUSED in (one.disabled_reason or "")]
    assert len(refused) >= len(lines.found) > 5
    for one in endpoints:  # some systems know fewer spellings
        assert one.url in refused or "has no address" in (messages[one.id].error or ""), one.url
        assert messages[one.id].status != "SENT"
    figure(6, HITS, f"{len(FORMS)} forms by {scheme}: {len(lines.asked)}")


async def test_redirects_to_the_inside_are_not_followed(guanxi: Boot) -> None:
    app = await guanxi(
        Customers(), Webhooks(WebhookSettings(allow_http=True)), egress_allow=["127.0.0.1/32"]
    )
    async with receiving() as inner:
        to = f"location: {inner.url}\r\n"
        async with receiving(301, 302, 303, 307, 308, headers=to) as outer:
            assert await subscribe(app, outer.url) == [True]
            await customer(app, "A")
            await app.deliver()
            for _ in range(4):
                app.clock.advance(days=1)
                await app.deliver()
    assert (outer.hits, inner.hits) == (5, 0)
    [message] = await app.all(WebhookMessage)
    assert message.error == "It answered 308; redirects are not followed."


@pytest.mark.skipif(sys.platform != "linux", reason="only there all of 127.0.0.0/8 is loopback")
async def test_a_name_that_changes_its_mind_reaches_nothing_inside(guanxi: Boot) -> None:
    app = await guanxi(Customers(), Webhooks(WebhookSettings(allow_http=True)))
    place = "127.0.0.2"

    async def rebind(host: str, port: int) -> Sequence[str]:
        assert host == "hooks.example.com"
        return [place]

    app.platform._egress = EgressClient(allowed=["127.0.0.2/32"], resolve=rebind)
    async with receiving() as sink:
        server = Receiver()
        outer = await asyncio.start_server(server.handle, "127.0.0.2", sink.port)
        await subscribe(app, f"http://hooks.example.com:{sink.port}/")
        await customer(app, "A")
        await app.deliver()
        assert (server.hits, sink.hits) == (1, 0)
        place = "127.0.0.1"
        await customer(app, "B")
        await app.deliver()
        outer.close()
    assert (server.hits, sink.hits) == (1, 0)
    assert await statuses(app) == {"DISABLED"}


async def test_an_address_that_an_operator_allows_no_more_is_disabled(guanxi: Boot) -> None:
    app = await guanxi(
        Customers(), Webhooks(WebhookSettings(allow_http=True)), egress_allow=["127.0.0.1/32"]
    )
    async with receiving() as sink:
        await subscribe(app, sink.url)
        app.platform._egress = EgressClient()
        await customer(app, "A")
        await app.deliver()
    assert sink.hits == 0
    assert await statuses(app) == {"DISABLED"}


@pytest.mark.alone
async def test_endpoints_that_hang_delay_nobody_else(
    guanxi: Boot, monkeypatch: Any, figure: Figure
) -> None:
    """Each waits for its whole timeout, again and again, while others are told."""
    monkeypatch.setattr(workers, "_GRACE", 0.1)
    made = [
        await guanxi(
            Customers(), Webhooks(WebhookSettings(allow_http=True, timeout=20)),
            egress_allow=["127.0.0.0/8"],
        )
        for _ in range(2)
    ]  # fmt: skip
    slow, other = made
    async with receiving(0) as hung, receiving() as near, receiving() as far:
        await subscribe(slow, *[hung.url] * HUNG, near.url)
        await subscribe(other, far.url)
        async with Worker(slow.platform, concurrency=2).working():
            await customer(slow, "first")
            await hit(hung, HUNG, 60)
            delays: dict[str, list[float]] = {"near": [], "far": []}
            for number in range(3):
                for name, app, receiver in (("near", slow, near), ("far", other, far)):
                    wanted, began = receiver.hits + 1, time.monotonic()
                    await customer(app, f"{name} {number}")
                    await hit(receiver, wanted, 15)
                    delays[name].append(time.monotonic() - began)
            waiting = await _running(slow)
    await _forget(slow)
    assert waiting >= HUNG  # all the time
    for name in delays:
        taken = sorted(delays[name])
        assert taken[-1 if LONG else 1] < 1, delays  # the median beside other tests
    worst = max(max(taken) for taken in delays.values())
    figure(
        6, "webhooks: a hung endpoint delays others < 1 s",
        f"{HUNG} hung endpoints: {worst * 1000:.0f} ms",
    )  # fmt: skip


@pytest.mark.alone
async def test_names_whose_servers_hang_delay_nobody_else(
    guanxi: Boot, monkeypatch: Any, hanging_names: HangingNames, figure: Figure
) -> None:
    """Not other webhooks of the same tenant, and not other tenants."""
    monkeypatch.setattr(workers, "_GRACE", 0.1)
    settings = WebhookSettings(allow_http=True, timeout=20)
    made = [
        await guanxi(Customers(), Webhooks(settings), egress_allow=["127.0.0.0/8"])
        for _ in range(2)
    ]
    slow, other = made
    names = 20
    async with receiving() as near, receiving() as far:
        hung = (f"http://n{number}.hung.example/" for number in range(names))
        await subscribe(slow, *hung, f"http://near.example:{near.port}/")
        await subscribe(other, f"http://far.example:{far.port}/")
        async with Worker(slow.platform, concurrency=2).working():
            await customer(slow, "first")
            await hit(near, 1, 20)
            async with asyncio.timeout(20):
                while len(hanging_names.asked) < names:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            delays: list[float] = []
            for number in range(3):
                began = time.monotonic()
                await customer(other, f"far {number}")
                await hit(far, number + 1, 15)
                await asyncio.to_thread(lambda: None)
                delays.append(time.monotonic() - began)
            waiting = await _running(slow)
            hanging_names.gate.set()
    await _forget(slow)
    assert waiting >= names
    assert sorted(delays)[-1 if LONG else 1] < 1, delays  # the median beside other tests
    figure(
        6, "webhooks: a hung endpoint delays others < 1 s",
        f"{names} hung names: {max(delays) * 1000:.0f} ms",
    )  # fmt: skip


async def _running(app: App) -> int:
    async with app.platform.pool.connection(app.tenant.id) as connection:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM guanxi_delivery "
            "WHERE tenant_id = $1 AND handler = 'send' AND status = 'running'",
            app.tenant.id,
        )
    return count


async def _forget(app: App) -> None:
    """Leave no work for the next test's worker."""
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await connection.execute(
            "UPDATE guanxi_delivery SET status = 'done' WHERE tenant_id = $1", app.tenant.id
        )
