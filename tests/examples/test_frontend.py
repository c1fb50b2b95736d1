"""The example frontend: generated, checked, built, served by guanxi and used in a browser."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import npm
from browsing import Page, browsing
from guanxi_core.discovery import discover
from guanxi_core.editions import compose
from guanxi_core.tenancy import create_tenant, set_plugin
from guanxi_graphql.schema import sdl
from guanxi_sdk import Tenant
from guanxi_sdk.testing.tokens import make_token
from served import Served
from serving import serving

pytestmark = pytest.mark.xdist_group("subscriptions")

EXAMPLE = Path(__file__).parents[2] / "examples" / "frontend"
RELAY = Path(__file__).parent / "relay"
UNTRIED = "The example frontend was not tried"
PLUGINS = ("customers", "tiers")
PAGE = 10  # cards of a column, before more are asked for

CREATE = """mutation ($code: String!, $name: String!) {
  createCustomer(
    input: { code: $code, name: $name, lifecycle: LOYAL, industryClass: PRODUCTION }
  ) { customer { id version } errors { message } }
}"""
TIER = """mutation ($id: ID!, $tier: Tier!) {
  overrideTier(customerId: $id, tier: $tier, reason: "for the board") { errors { message } }
}"""
RENAME = """mutation ($id: ID!, $version: Int!, $name: String!) {
  updateCustomer(id: $id, version: $version, input: { name: $name }) { errors { message } }
}"""
ARCHIVE = "mutation ($id: ID!) { archiveCustomer(id: $id) { errors { message } } }"


@pytest.fixture(scope="module")
def schema() -> str:
    """What `guanxi schema` prints for a tenant with these plugins."""
    registry = discover()
    return sdl(compose([registry.get(name) for name in PLUGINS]))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, schema: str) -> Path:
    """The folder of the build, with the packages of the lock file."""
    packages = npm.packages(EXAMPLE, UNTRIED)
    folder = tmp_path_factory.mktemp("board")
    unwanted = shutil.ignore_patterns("node_modules", "dist", "gql", "schema.graphql")
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=unwanted)
    (folder / "node_modules").symlink_to(packages / "node_modules")
    (folder / "schema.graphql").write_text(schema, encoding="utf-8")
    for script in ("generate", "check", "build"):
        done = npm.run(folder, npm.program("npm", UNTRIED), "run", "--silent", script)
        assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
    return folder


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((EXAMPLE / "package-lock.json").read_text("utf-8"))
    assert [name for name, one in lock["packages"].items() if "resolved" in one] == []
    wanted = json.loads((EXAMPLE / "package.json").read_text("utf-8"))
    ranges = {**wanted["dependencies"], **wanted["devDependencies"]}
    assert [name for name, one in ranges.items() if one[0] != "~"] == []


def test_types_are_those_of_the_schema(built: Path, schema: str) -> None:
    """The generator finds what the schema does not have, types what the page gets wrong."""
    folder = built.with_name(f"{built.name}-wrong")
    shutil.copytree(built, folder, symlinks=True)
    view = folder / "src" / "BoardView.tsx"
    view.write_text(view.read_text("utf-8").replace("card.nameEn}", "card.nameFr}"), "utf-8")
    checked = npm.run(folder, npm.program("npm", UNTRIED), "run", "--silent", "check")
    assert checked.returncode != 0
    assert "'nameFr' does not exist" in checked.stdout
    (folder / "schema.graphql").write_text(schema.replace("nameEn", "nameFr"), "utf-8")
    generated = npm.run(folder, npm.program("npm", UNTRIED), "run", "--silent", "generate")
    assert generated.returncode != 0
    assert 'Cannot query field "nameEn"' in generated.stdout + generated.stderr


# --- in a browser ---------------------------------------------------------------------------------


@dataclass
class Site:
    url: str
    token: str
    tenant: Tenant
    served: Served
    made: int = 0

    async def ask(self, query: str, **variables: Any) -> Any:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            reply = await client.post(
                f"{self.url}/graphql", json={"query": query, "variables": variables},
                headers={"authorization": f"Bearer {self.token}"},
            )  # fmt: skip
        (told,) = reply.json()["data"].values()
        assert told["errors"] == []
        return told

    async def create(self, name: str, tier: str | None = None) -> dict[str, Any]:
        self.made += 1
        made = await self.ask(CREATE, code=f"c{self.made}", name=name)
        row: dict[str, Any] = made["customer"]
        if tier is not None:
            await self.ask(TIER, id=row["id"], tier=tier)
        return row


@pytest.fixture(scope="module")
async def site(served: Served, built: Path) -> AsyncIterator[Site]:
    tenant = await create_tenant(served.pool, "board")
    for plugin in PLUGINS:
        await set_plugin(served.pool, tenant, plugin, True, {})
    token = await make_token(served.pool, tenant, ["*"])
    running = serving(
        served.home, token, "--frontend", str(built / "dist"), "--no-worker", **served.environment
    )
    one = await asyncio.to_thread(running.__enter__)
    try:
        made = Site(one.url, token, tenant, served)
        for number in range(PAGE + 2):
            await made.create(f"工厂 {number:02}", "C")
        await made.create("华为技术", "A")
        yield made
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


@pytest.fixture(scope="module")
async def page() -> AsyncIterator[Page]:
    async with browsing(UNTRIED) as page:
        await page.speak("en-GB,en")
        await page.look()
        yield page


def lane(name: str, inner: str = ".card") -> str:
    return f'[data-lane="{name}"] {inner}'


def number_of(selector: str) -> str:
    return f"document.querySelectorAll({json.dumps(selector)}).length"


def text_of(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)})?.textContent"


async def enter(page: Page, site: Site, token: str) -> None:
    await page.open(f"{site.url}/")
    await page.evaluate("sessionStorage.clear()")
    await page.open(f"{site.url}/customers")  # a route of the client
    await page.until(number_of("#token"), 1)
    await page.type("#token", token)
    await page.click("button")


async def test_a_wrong_token_is_told(page: Page, site: Site) -> None:
    await enter(page, site, "gx_wrong")
    await page.until(text_of("[role=alert]"), "This token is not valid, or not any more.")
    assert await page.evaluate("sessionStorage.length") == 0
    assert [fault for fault in page.faults if "401" not in fault] == []
    page.faults.clear()


async def test_the_board_is_used(page: Page, site: Site) -> None:
    """One visit without a reload: cards, more of them, and what others do meanwhile."""
    await enter(page, site, site.token)
    await page.until(number_of(lane("C")), PAGE)
    await page.until(number_of(lane("A")), 1)
    await page.until(text_of(lane("C", "output")), str(PAGE + 2))
    await page.until(text_of(".live"), "Live")
    assert await page.evaluate(text_of(lane("S", "h2"))) == "SStrategic0"
    assert await page.evaluate(text_of(lane("A", ".tags"))) == "ProductionLoyal"
    await page.evaluate("window.mark = 1")

    await page.click(lane("C", "button"))
    await page.until(number_of(lane("C")), PAGE + 2)
    assert await page.evaluate(number_of(lane("C", "button"))) == 0

    row = await site.create("新客户")
    await page.until(text_of(lane("none", ".card h3")), "新客户")
    await site.ask(RENAME, id=row["id"], version=row["version"], name="改名客户")
    await page.until(text_of(lane("none", ".card h3")), "改名客户")
    await site.ask(TIER, id=row["id"], tier="S")
    await page.until(text_of(lane("S", ".card h3")), "改名客户")
    assert await page.evaluate(number_of(lane("none"))) == 0
    await page.until(text_of(lane("S", "output")), "1")
    await site.ask(ARCHIVE, id=row["id"])
    await page.until(number_of(lane("S")), 0)
    await page.until(text_of(lane("S", "output")), "0")

    await page.type("[type=search]", "huawei")
    await page.until(number_of(lane("C")), 0)
    assert await page.evaluate(text_of(lane("A", ".card h3"))) == "华为技术"
    await page.type("[type=search]", "工厂 1")
    await page.until(number_of(lane("C")), 2)
    await page.until(number_of(lane("A")), 0)
    await site.create("工厂 12", "C")
    await page.until(number_of(lane("C")), 3)

    assert await page.evaluate("window.mark") == 1
    assert await page.evaluate("localStorage.length + document.cookie.length") == 0
    assert await page.evaluate("Object.values(sessionStorage)") == [site.token]
    assert site.token not in await page.evaluate("location.href")
    assert page.faults == []


async def test_labels_are_in_the_browsers_language(page: Page, site: Site) -> None:
    await page.speak("zh-CN,zh")
    await enter(page, site, site.token)
    await page.until(text_of(lane("S", "h2")), "S战略0")
    assert await page.evaluate(text_of(".quiet")) == "退出"
    assert await page.evaluate("document.documentElement.lang") == "zh-CN"
    await page.until(text_of(lane("A", ".tags")), "生产忠诚客户")
    await page.speak("en-GB,en")


async def test_what_may_not_be_seen_is_said(page: Page, site: Site) -> None:
    """Columns by a tier that one may not read are refused, not empty without a word."""
    token = await make_token(site.served.pool, site.tenant, ["customers.read"])
    await enter(page, site, token)
    await page.until("document.querySelector('[role=alert]')?.textContent.includes('tiers.read')")
    page.faults.clear()


async def test_a_token_that_ends_leads_out(page: Page, site: Site) -> None:
    from guanxi_core.api_tokens import list_tokens, revoke_token

    token = await make_token(site.served.pool, site.tenant, ["*"])
    (known,) = [one.id for one in await list_tokens(site.served.pool, site.tenant)][-1:]
    await enter(page, site, token)
    await page.until(text_of(".live"), "Live")
    await revoke_token(site.served.pool, site.tenant, known)
    await page.until(text_of("[role=alert]"), "This token is not valid, or not any more.")


async def test_it_fits_a_telephone(page: Page, site: Site) -> None:
    """Nothing is wider than the window but the row of columns, which is swiped."""
    await page.look(width=390, height=844, prefers_color_scheme="dark")
    await enter(page, site, site.token)
    await page.until(number_of(lane("A")), 1)
    assert await page.evaluate("document.documentElement.scrollWidth") == 390
    assert await page.evaluate("document.querySelector('main').scrollWidth > 1200")
    await page.look()
