"""Row 10: "lost update: of 64 same-version edits 1 wins, 63 typed conflicts"."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from figures import LONG, Figure
from guanxi_core.platform import Platform
from guanxi_customers import Customer, Customers
from guanxi_graphql.asgi import Answer
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_sdk import Context, Plugin, mutation

ROUNDS = 50 if LONG else 1
EDITS = 64
#: Each of them holds a connection until all others have read.
VERBS = EDITS if LONG else 24

PAYLOAD = "{ customer { id name version } errors { code path } }"
CREATE = (
    'mutation ($code: String!) { createCustomer(input: { code: $code, name: "new" }) '
    "{ customer { id } errors { code } } }"
)
UPDATE = (
    "mutation ($id: ID!, $version: Int!, $name: String!) "
    f"{{ updateCustomer(id: $id, version: $version, input: {{ name: $name }}) {PAYLOAD} }}"
)
ARCHIVE = (
    "mutation ($id: ID!, $version: Int!) "
    f"{{ archiveCustomer(id: $id, version: $version) {PAYLOAD} }}"
)
RESTORE = ARCHIVE.replace("archive", "restore")
RENAME = f"mutation ($id: ID!, $name: String!) {{ rename(customerId: $id, name: $name) {PAYLOAD} }}"
READ = "query ($id: ID!) { customer(id: $id) { name version archivedAt } }"

#: What one of many sends: its number to a document and the variables beside the customer's id.
Edit = Callable[[int], tuple[str, dict[str, Any]]]


class Racing(Plugin, name="racing", requires=["customers"]):
    """A verb whose callers have all read before anybody writes."""

    everybody: asyncio.Barrier | None = None

    @mutation()
    async def rename(self, ctx: Context, customer_id: UUID, name: str) -> Customer:
        """Rename a customer, the way plugins do it."""
        customer = await ctx.get(Customer, customer_id)
        assert Racing.everybody is not None
        await Racing.everybody.wait()
        customer.name = name
        return customer


class Race:
    """Parallel edits of customers over HTTP."""

    def __init__(self, client: httpx.AsyncClient, platform: Platform, tenant: UUID) -> None:
        self._client = client
        self._platform = platform
        self._tenant = tenant
        self._made = 0

    async def ask(self, document: str, **variables: Any) -> Any:
        reply = await self._client.post(
            "/graphql", json={"query": document, "variables": variables}, timeout=60
        )
        assert reply.status_code == 200, reply.text
        answer = reply.json()
        assert "errors" not in answer, answer
        (found,) = answer["data"].values()
        return found

    async def new(self) -> str:
        self._made += 1
        made = await self.ask(CREATE, code=f"C{self._made}")
        identity: str = made["customer"]["id"]
        return identity

    async def _told(self, customer: str) -> tuple[int, int]:
        async with self._platform.pool.connection(self._tenant) as connection:
            return tuple(
                await connection.fetchrow(
                    "SELECT (SELECT count(*) FROM guanxi_audit WHERE row_id = $1), "
                    "(SELECT count(*) FROM guanxi_outbox WHERE payload ->> 'id' = $2)",
                    customer, customer.removeprefix("customer_"),
                )
            )  # fmt: skip

    async def run(self, customer: str, edit: Edit, edits: int = EDITS) -> None:
        """Send all edits at once, and look at what the one that won has left."""
        before, told = await self.ask(READ, id=customer), await self._told(customer)
        sent = [edit(number) for number in range(edits)]
        answers = await asyncio.gather(
            *(self.ask(document, id=customer, **given) for document, given in sent)
        )
        winners = [n for n, answer in enumerate(answers) if not answer["errors"]]
        lost = [a for a in answers if a["errors"] == [{"code": "CONFLICT", "path": "version"}]]
        assert (len(winners), len(lost)) == (1, edits - 1), answers
        assert all(answer["customer"] is None for answer in lost)
        after = await self.ask(READ, id=customer)
        assert after["version"] == before["version"] + 1
        assert after["name"] == sent[winners[0]][1].get("name", before["name"])
        assert [b - a for a, b in zip(told, await self._told(customer), strict=True)] == [1, 1]


@pytest.fixture
async def race(guanxi: Any) -> AsyncIterator[Race]:
    app = await guanxi(Customers(), Racing())
    async with await Platform.open(
        app.platform.pool.url, registry=app.platform.registry, pool_size=VERBS
    ) as platform:
        endpoint = GraphQLEndpoint(Answer(200, (), b""))
        endpoint.open(platform, Engine(platform))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(endpoint), base_url="http://guanxi.test",
            headers={"authorization": f"Bearer {await app.token()}"},
        ) as client:  # fmt: skip
            yield Race(client, platform, app.tenant.id)


async def test_of_many_edits_of_one_version_one_wins(race: Race, figure: Figure) -> None:
    ways: dict[str, Edit] = {
        "update": lambda n: (UPDATE, {"version": 1, "name": f"name {n}"}),
        "archive": lambda n: (ARCHIVE, {"version": 1}),
        "anything": lambda n: (
            (ARCHIVE, {"version": 1}) if n % 2 else (UPDATE, {"version": 1, "name": f"name {n}"})
        ),
    }
    for _ in range(ROUNDS):
        for name, edit in ways.items():
            customer = await race.new()
            await race.run(customer, edit)
            if name == "archive":
                await race.run(customer, lambda n: (RESTORE, {"version": 2}))
    figure(
        10, "of 64 same-version edits 1 wins, 63 typed conflicts",
        f"{4 * ROUNDS} × 1 of {EDITS}, {EDITS - 1} conflicts (update, archive, restore, mixed)",
    )  # fmt: skip


async def test_of_many_verbs_that_read_one_version_one_wins(race: Race, figure: Figure) -> None:
    for _ in range(ROUNDS):
        Racing.everybody = asyncio.Barrier(VERBS)
        await race.run(await race.new(), lambda n: (RENAME, {"name": f"name {n}"}), VERBS)
    figure(
        10, "of 64 same-version edits 1 wins, 63 typed conflicts",
        f"{ROUNDS} × 1 of {VERBS}, {VERBS - 1} conflicts (a plugin's verb)",
    )  # fmt: skip
