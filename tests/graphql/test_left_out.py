"""A plugin because of which no schema can be made costs itself, also when it is enabled already."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from with_contacts import Contacts

from guanxi_core import doctor
from guanxi_core.composing import served
from guanxi_core.config import Config
from guanxi_core.custom.definitions import Definition
from guanxi_core.custom.keeping import store
from guanxi_core.discovery import Registry
from guanxi_core.platform import Platform
from guanxi_core.tenancy import set_plugin
from guanxi_graphql import schema_command
from guanxi_graphql.asgi import Answer
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_sdk import Context, Plugin, mutation, query

ASK = "{ contacts { totalCount } }"


class Odd(Plugin, name="odd"):
    """A mistake that nobody made when it was enabled."""

    @mutation()
    async def turn(self, ctx: Context, thing: dict) -> bool:  # type: ignore[type-arg]
        """Cannot be said in GraphQL."""
        return bool(thing)


class Lean(Plugin, name="lean", requires=["odd"]):
    """Stands on it."""

    @query()
    async def leaning(self, ctx: Context) -> bool:
        """True."""
        return True


REGISTRY = Registry({"contacts": Contacts, "odd": Odd, "lean": Lean})


@pytest.fixture
async def tenant(guanxi: Any) -> AsyncIterator[tuple[Any, Platform]]:
    app = await guanxi(Contacts())
    async with await Platform.open(app.platform.pool.url, registry=REGISTRY) as platform:
        for name in ("odd", "lean"):
            await set_plugin(platform.pool, app.tenant, name, True)
        yield app, platform


async def test_a_tenant_goes_on_without_it(tenant: tuple[Any, Platform]) -> None:
    app, platform = tenant
    token = await app.token()
    endpoint = GraphQLEndpoint(Answer(200, (), b"page"))
    endpoint.open(platform, Engine(platform))
    async with AsyncClient(transport=ASGITransport(endpoint), base_url="http://guanxi") as client:
        for _ in range(2):
            answer = await client.post(
                "/graphql", json={"query": ASK}, headers={"authorization": f"Bearer {token}"}
            )
            assert answer.json() == {"data": {"contacts": {"totalCount": 0}}}
    left_out = (await platform.authenticate(token)).installation.left_out
    assert left_out.keys() == {"odd", "lean"}
    assert "the argument 'thing' has the type" in left_out["odd"]


async def test_the_doctor_finds_it(tenant: tuple[Any, Platform], tmp_path: Any) -> None:
    """And custom fields whose name a plugin has taken."""
    app, platform = tenant
    async with platform.pool.connection(app.tenant.id) as connection:
        fields = [Definition("Contact", name, "text", "Ours.") for name in ("name", "free")]
        await store(connection, app.tenant.id, fields)
    config = Config(tmp_path, database_url=platform.pool.url)
    checks = await doctor.examine(config, platform.registry)
    told = {check.detail for check in checks if check.name == f"tenant {app.tenant.name}"}
    assert len(told) == 3
    assert any("'Contact.name' cannot be there beside plugin 'contacts'" in d for d in told)
    assert any("without plugin 'odd': it cannot be served" in detail for detail in told)


def test_the_schema_that_is_printed_is_the_one_that_is_served(
    capsys: pytest.CaptureFixture[str],
) -> None:
    edition = schema_command._served(REGISTRY, {"contacts": {}, "odd": {}}, ())
    assert edition.names == {"contacts"}
    assert "plugin 'odd' is left out: it cannot be served" in capsys.readouterr().err


def test_who_is_not_named_is_found_by_leaving_each_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from guanxi_core import composing

    def vet(edition: Any, plugin: str) -> None:
        if "odd" in edition.names:
            raise composing.PluginError(plugin, "cannot be served")

    monkeypatch.setattr(composing, "vet", vet)
    composed = served([Contacts, Odd, Lean])
    assert composed.edition.names == {"contacts"}
    assert composed.left_out.keys() == {"odd", "lean"}
