"""Clients that write over HTTP, what they were told, and whether it is all there."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx

from figures import LONG
from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_core.database.pool import TenantPool
from guanxi_core.sealing import seal
from guanxi_core.tenancy import find_tenant
from guanxi_core.verifying import Anchor, head, verify
from homes import TENANT

CREATE = """mutation ($code: String!, $remarks: String) {
  createCustomer(input: { code: $code, name: "new", remarks: $remarks }) {
    customer { id } errors { code }
  }
}"""
#: A plugin's verb for the same, through SQLAlchemy.
ADMIT = "mutation ($code: String!) { admit(code: $code) { customer { id } errors { code } } }"
RENAME = """mutation ($id: ID!) {
  updateCustomer(id: $id, version: 1, input: { name: "renamed" }) {
    customer { version } errors { code }
  }
}"""


#: Customers of the writers, with how many audit entries and events tell of each.
_ROWS = """
    WITH entries AS (SELECT row_id, count(*) AS number FROM guanxi_audit GROUP BY row_id),
    events AS (SELECT payload ->> 'id' AS id, count(*) AS number FROM guanxi_outbox GROUP BY 1)
    SELECT code, version, entries.number AS told, events.number AS events FROM customers_customer c
    LEFT JOIN entries ON row_id = 'customer_' || c.id LEFT JOIN events ON events.id = c.id::text
    WHERE code LIKE $1 || '%'
"""


@dataclass
class Clients:
    """Writers, and what they were told; the codes of their customers begin with ``prefix``."""

    prefix: str
    token: str
    url: str = ""
    #: Makes remarks, where many bytes are to be written.
    remarks: Callable[[], str | None] = lambda: None
    #: Refusals because the database was away, and the longest time that one took.
    unavailable: int = 0
    slowest: float = 0.0
    #: Codes of customers by how far each was acknowledged: 1 made, 2 renamed.
    ledger: dict[str, int] = field(default_factory=dict)
    #: Requests that were sent: what they did without an acknowledgement may be there or not.
    sent: set[str] = field(default_factory=set)
    strange: list[object] = field(default_factory=list)
    #: Cleared while nobody is to begin anything new.
    working: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(
        self, client: httpx.AsyncClient, key: str, query: str, **variables: str | None
    ) -> Any:
        """Send a mutation until it is acknowledged, each time with the same key."""
        while True:
            began = time.monotonic()
            with suppress(httpx.TransportError):
                reply = await client.post(
                    f"{self.url}/graphql", json={"query": query, "variables": variables},
                    headers={"authorization": f"Bearer {self.token}", "idempotency-key": key},
                )  # fmt: skip
                if reply.status_code == 200 and "errors" not in reply.json():
                    (answer,) = reply.json()["data"].values()
                    return answer
                if reply.status_code == 503 and '"code":"UNAVAILABLE"' in reply.text:
                    self.unavailable += 1
                    self.slowest = max(self.slowest, time.monotonic() - began)
                else:
                    self.strange.append((key, reply.status_code, reply.text))
            await asyncio.sleep(0.05)

    async def write(self, writer: int) -> None:
        """Make customers and rename them, one after the other."""
        number = 0
        async with httpx.AsyncClient(timeout=20, verify=False) as client:
            while await self.working.wait():
                code = f"{self.prefix}{writer}-{number}"
                self.sent.add(code)
                if writer % 4 == 3:
                    made = await self.send(client, f"make {code}", ADMIT, code=code)
                else:
                    remarks = self.remarks()
                    made = await self.send(
                        client, f"make {code}", CREATE, code=code, remarks=remarks
                    )
                if made["errors"]:  # a repetition must be answered as the first was
                    self.strange.append((code, made))
                self.ledger[code] = 1
                renamed = await self.send(
                    client, f"rename {code}", RENAME, id=made["customer"]["id"]
                )
                if renamed["errors"]:
                    self.strange.append((code, renamed))
                self.ledger[code] = 2
                number += 1

    @asynccontextmanager
    async def writing(self, writers: int = 8) -> AsyncIterator[None]:
        """So many write while the block runs and :attr:`working` is set."""
        self.working.set()
        tasks = [asyncio.create_task(self.write(writer)) for writer in range(writers)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def progress(self, count: int, seconds: float = 60) -> float:
        """Wait until so many more customers were acknowledged; returns how long it took."""
        began, known = time.monotonic(), len(self.ledger)
        async with asyncio.timeout(seconds):
            while len(self.ledger) < known + count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return time.monotonic() - began


class Witness:
    """Looks into the database itself."""

    def __init__(self, app_url: str, owner_url: str) -> None:
        self._app_url, self._owner_url = app_url, owner_url
        self.anchors: list[Anchor] = []
        self.entries = 0

    async def _pool(self) -> TenantPool:
        """As soon as the database answers."""
        async with asyncio.timeout(30):
            while True:
                with suppress(DatabaseUnavailable):
                    return await TenantPool.open(self._app_url, size=2)
                await asyncio.sleep(0.05)

    async def check(self, clients: Clients) -> None:
        """What was acknowledged by now is there exactly once, and the audit verifies."""
        acknowledged = dict(clients.ledger)
        pool = await self._pool()
        try:
            tenant = await find_tenant(pool, TENANT)
            async with pool.connection(tenant.id) as connection:
                rows = await connection.fetch(_ROWS, clients.prefix)
            found = {row["code"]: row for row in rows}
            assert len(found) == len(rows)
            assert found.keys() <= clients.sent
            lost = [c for c, step in acknowledged.items() if found[c]["version"] < step]
            assert lost == []
            for row in rows:
                assert row["version"] == row["told"] == row["events"] <= 2, dict(row)
            await seal(pool)
            verdict = await verify(pool, tenant, self.anchors)
            assert verdict.broken is None
            self.entries = verdict.entries
            self.anchors.append(await head(pool, tenant))
        finally:
            await pool.close()

    async def delivered(self) -> Counter[str]:
        """How often each customer was greeted, once no delivery is left to come."""
        # a claim of a killed worker lasts thirty seconds: let them be over, once
        greeted, left = await self._greeted(("waiting", "running"))
        late = time.monotonic() + (240 if LONG else 70)
        while left:
            assert time.monotonic() < late, left
            await asyncio.sleep(0.2)
            greeted, left = await self._greeted(("waiting",))  # pauses after an outage
        return greeted

    async def _greeted(self, hurried: Sequence[str]) -> tuple[Counter[str], list[dict[str, Any]]]:
        """How often each was, and some of the events and deliveries that are not done."""
        owner = await asyncpg.connect(self._owner_url)
        try:
            tenant = await owner.fetchval("SELECT id FROM guanxi_tenant WHERE name = $1", TENANT)
            await owner.execute("SELECT set_config('guanxi.tenant', $1, false)", str(tenant))
            if not LONG:
                await owner.execute(
                    "UPDATE guanxi_delivery SET due_at = now() "
                    "WHERE status = ANY ($1) AND due_at > now()", hurried,
                )  # fmt: skip
            left = await owner.fetch(
                "(SELECT status, id, 0 AS attempts, NULL AS error, at AS due_at, now() "
                "FROM guanxi_outbox WHERE status = 'new' LIMIT 3) UNION ALL "
                "(SELECT status, event_id, attempts, error, due_at, now() "
                "FROM guanxi_delivery WHERE status <> 'done' LIMIT 3)"
            )
            rows = await owner.fetch(
                "SELECT c.code, count(a.id) AS times FROM customers_customer c "
                "LEFT JOIN customers_activity a ON a.tenant_id = c.tenant_id "
                "AND a.customer_id = c.id GROUP BY c.code"
            )
            return Counter({row["code"]: row["times"] for row in rows}), list(map(dict, left))
        finally:
            await owner.close()
