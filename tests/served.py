"""A tenant that is served, with a plugin that contributes subscriptions: once for all tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from databases import Databases
from guanxi_core.database.pool import TenantPool
from guanxi_core.tenancy import create_tenant, set_plugin
from guanxi_sdk import Tenant
from guanxi_sdk.testing.tokens import make_token
from serving import Running, install, new_home, serving
from subscribing import Client, opened

CREATE = """mutation ($code: String!, $name: String!) {
  createCustomer(input: { code: $code, name: $name }) { customer { id version } errors { code } }
}"""
RENAME = """mutation ($id: ID!, $version: Int!, $name: String!) {
  updateCustomer(id: $id, version: $version, input: { name: $name }) {
    customer { id version } errors { code }
  }
}"""
METRICS = "metrics-of-the-test"
SOURCE = Path(__file__).parent / "fixtures" / "plugins" / "with_subscription.py"


@dataclass
class Served:
    running: Running
    home: Path
    environment: dict[str, str]
    pool: TenantPool
    tenant: Tenant
    token: str
    silent: Client  # a socket on which nothing is said, from the beginning
    numbers: int = 0

    @property
    def url(self) -> str:
        return self.running.url

    async def ask(self, query: str, token: str | None = None, **variables: Any) -> Any:
        async with httpx.AsyncClient(timeout=20, verify=False) as client:
            reply = await client.post(
                f"{self.url}/graphql", json={"query": query, "variables": variables},
                headers={"authorization": f"Bearer {token or self.token}"},
            )  # fmt: skip
        answer = reply.json()
        assert "errors" not in answer, answer
        (told,) = answer["data"].values()
        return told

    async def create(self, name: str = "new", token: str | None = None) -> dict[str, Any]:
        self.numbers += 1
        made = await self.ask(CREATE, token, code=f"c{self.numbers}", name=name)
        assert not made["errors"]
        found: dict[str, Any] = made["customer"]
        return found

    async def rename(self, row: dict[str, Any], name: str) -> dict[str, Any]:
        done = await self.ask(RENAME, id=row["id"], version=row["version"], name=name)
        assert not done["errors"]
        found: dict[str, Any] = done["customer"]
        return found

    async def touch(self, identity: str, connection: Any = None) -> None:
        """An event of a row, as if it had been changed; for all to hear, or in a transaction."""
        if connection is None:
            async with self.pool.connection(self.tenant.id) as own:
                await self.touch(identity, own)
            return
        await connection.execute(
            "INSERT INTO guanxi_outbox (tenant_id, id, name, payload) VALUES ($1, "
            "gen_random_uuid(), 'CustomerUpdated', jsonb_build_object('id', $2::text))",
            self.tenant.id, identity.rpartition("_")[2],
        )  # fmt: skip
        await connection.execute("SELECT pg_notify('guanxi_events', $1)", str(self.tenant.id))

    async def metric(self, name: str) -> float:
        async with httpx.AsyncClient(verify=False) as client:
            headers = {"authorization": f"Bearer {METRICS}"}
            text = (await client.get(f"{self.url}/metrics", headers=headers)).text
        (line,) = [x for x in text.splitlines() if x.startswith(f"guanxi_subscriptions_{name} ")]
        return float(line.split()[1])

    async def caller(self, *grants: str, **more: Any) -> str:
        return await make_token(self.pool, self.tenant, grants, **more)


@pytest.fixture(scope="session")
async def served(databases: Databases) -> AsyncIterator[Served]:
    database = await databases.migrated()
    pool = await TenantPool.open(database.app_url)
    with ExitStack() as stack:
        home = stack.enter_context(new_home())
        plugins = install(home.parent, "herald", "Herald", SOURCE.read_text())
        tenant = await create_tenant(pool, "acme")
        for plugin in ("customers", "tiers", "herald"):
            await set_plugin(pool, tenant, plugin, True, {})
        token = await make_token(pool, tenant, ["*"])
        environment = {
            "PYTHONPATH": plugins, "GUANXI_DATABASE_URL": database.app_url,
            "GUANXI_OWNER_DATABASE_URL": database.owner_url, "GUANXI_METRICS_TOKEN": METRICS,
            "GUANXI_CONNECTION_SUBSCRIPTIONS": "20", "GUANXI_TOKEN_SUBSCRIPTIONS": "40",
            "GUANXI_TENANT_SUBSCRIPTIONS": "60", "GUANXI_CORS_ORIGINS": "https://crm.example.com",
        }  # fmt: skip
        running = await asyncio.to_thread(stack.enter_context, serving(home, token, **environment))
        async with opened(running.url) as silent:
            yield Served(running, home, environment, pool, tenant, token, silent)
        lines = running.log.read_text().splitlines()
        assert [one for one in lines if "Traceback" in one and "mutterings" not in one] == []
    await pool.close()
    await databases.drop(database)
