"""Bundles: found, read, and applied whole or not at all."""

from collections.abc import AsyncIterator, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import msgspec
import pytest
import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy.orm import Mapped

from guanxi_core import bundles
from guanxi_core.bundles import (
    BundleFailed,
    create_tenant_with_bundle,
    discover_bundles,
    read_bundle,
)
from guanxi_core.discovery import Registry
from guanxi_core.platform import Platform
from guanxi_core.tenancy import find_tenant
from guanxi_sdk import (
    Context,
    Invalid,
    Model,
    NotFound,
    Plugin,
    Refusal,
    Settings,
    Tenant,
    mutation,
    reference,
)
from guanxi_sdk.testing.databases import ThrowAwayDatabase


class Stall(Model, plugin="market", key="code"):
    """A stall on a market."""

    code: Mapped[str]
    name: Mapped[str]
    next_to_id: Mapped[UUID | None] = reference("self")


class MarketSettings(Settings):
    """Settings of the market."""

    stalls: Annotated[int, Meta(ge=1, description="How many stalls there may be.")] = 10
    fee: Annotated[float, Meta(description="What a stall costs.")] = 1.0


class Market(Plugin[MarketSettings], name="market", models=[Stall]):
    """A market with stalls."""

    @mutation()
    async def open_market(self, ctx: Context, greeting: str = "", extra: int = 0) -> int:
        """Add stalls, up to what the settings allow."""
        for number in range(extra):
            await ctx.add(Stall(code=f"x{number}", name=greeting or "extra"))
        total = await ctx.db.scalar(sa.select(sa.func.count()).select_from(Stall))
        if (total or 0) > self.settings.stalls:
            raise Invalid("extra", f"makes more than {self.settings.stalls} stalls")
        if greeting == "boom":
            raise RuntimeError("it went off\nloudly")
        return total or 0


class Annex(Plugin, name="annex", requires=["market"]):
    """Needs the market."""


GOOD = """
name = "fair"
version = "1.2.0"
title = { zh = "集市", en = "Fair" }
description = "A small fair."
currency = "EUR"

[plugins.market]
stalls = 5
fee = 2.5

[vocabulary]
"stall" = { zh = "摊位", en = "Stall" }

[[data]]
model = "stalls"
file = "data/stalls.csv"

[[call]]
mutation = "open_market"
arguments = { greeting = "hello", extra = 1 }
"""
FIELDS = """
[custom_fields.Stall.goods]
kind = "choice"
description = "What is sold there."
options = ["FRUIT|水果|Fruit", "BREAD"]

[custom_fields.Stall.seats]
kind = "int"
description = "How many can sit down."
"""
GOOD += FIELDS
STALLS = "code,name,next_to,goods\na,Apples,b,水果\nb,Bread,,\n"


@pytest.fixture
async def platform(guanxi_database: ThrowAwayDatabase) -> AsyncIterator[Platform]:
    await guanxi_database.prepare([Market, Annex])
    registry = Registry({"market": Market, "annex": Annex}, {"ruin": "it does not load."})
    async with await Platform.open(
        guanxi_database.app_url, registry=registry, pool_size=2
    ) as platform:
        yield platform


@pytest.fixture
def tenant_id(monkeypatch: pytest.MonkeyPatch) -> UUID:
    """The id that the next tenant with a bundle will have."""
    known = uuid4()
    monkeypatch.setattr(bundles, "uuid7", lambda: known)
    return known


def written(folder: Path, toml: str = GOOD, stalls: str | None = STALLS) -> Path:
    folder.joinpath("data").mkdir(exist_ok=True)
    if stalls is not None:
        folder.joinpath("data", "stalls.csv").write_text(stalls, encoding="utf-8")
    path = folder / "fair.toml"
    path.write_text(toml, encoding="utf-8")
    return path


async def apply(platform: Platform, path: Path, name: str, currency: str | None = None) -> Tenant:
    return await create_tenant_with_bundle(platform, name, read_bundle(path), currency)


async def rows_of(platform: Platform, tenant_id: UUID) -> dict[str, int]:
    """How many rows of the tenant there are in each table that has any."""
    async with platform.pool.connection(tenant_id) as connection:
        tables = await connection.fetch(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace "
            "AND a.attname = 'tenant_id' AND has_table_privilege(c.oid, 'SELECT')"
        )
        counted = {
            name: await connection.fetchval(
                f'SELECT count(*) FROM "{name}" WHERE tenant_id = $1', tenant_id
            )
            for (name,) in tables
        }
    assert len(counted) > 8  # else the question was wrong
    return {name: count for name, count in counted.items() if count}


async def test_a_bundle_is_applied_whole(
    platform: Platform, tmp_path: Path, tenant_id: UUID
) -> None:
    tenant = await apply(platform, written(tmp_path), f"fair-{tenant_id.hex[:8]}")
    assert (tenant.id, tenant.currency) == (tenant_id, "EUR")
    assert await find_tenant(platform.pool, tenant.name) == tenant
    rows = await rows_of(platform, tenant_id)
    assert rows["market_stall"] == 3
    assert rows["guanxi_custom_field"] == 2
    assert rows["guanxi_custom_value"] == 1
    assert rows["guanxi_vocabulary"] == rows["guanxi_bundle"] == rows["guanxi_plugin"] == 1
    assert rows["guanxi_audit"] >= 4

    access = await platform.system_access(tenant)
    assert [*access.installation.edition.custom[Stall]] == ["goods", "seats"]
    assert access.installation.plugins["market"].settings == MarketSettings(stalls=5, fee=2.5)
    async with platform.context(access) as ctx:
        stalls = {stall.code: stall for stall in await ctx.db.scalars(sa.select(Stall))}
    assert stalls["a"].next_to_id == stalls["b"].id
    assert stalls["x0"].name == "hello"
    async with platform.pool.connection(tenant_id) as connection:
        bundle = await connection.fetchrow("SELECT name, version FROM guanxi_bundle")
        word = await connection.fetchrow("SELECT key, zh, en FROM guanxi_vocabulary")
        actions = await connection.fetch("SELECT DISTINCT action FROM guanxi_audit")
    assert tuple(bundle) == ("fair", "1.2.0")
    assert tuple(word) == ("stall", "摊位", "Stall")
    assert {row["action"] for row in actions} >= {
        "guanxi.tenant.create", "guanxi.plugin.enable", "guanxi.bundle.apply",
        "market.stall.import", "market.stall.create",
    }  # fmt: skip


async def test_the_currency_may_be_another(
    platform: Platform, tmp_path: Path, tenant_id: UUID
) -> None:
    tenant = await apply(platform, written(tmp_path), f"fair-{tenant_id.hex[:8]}", "JPY")
    assert (await find_tenant(platform.pool, tenant.name)).currency == "JPY"


def _broken() -> Iterator[Any]:
    def case(id: str, message: str, toml: str = GOOD, stalls: str | None = STALLS) -> Any:
        return pytest.param(toml, stalls, message, id=id)

    change = GOOD.replace
    yield case(
        "unknown plugin",
        "fair.toml, line 8 [plugins.markets]: plugin 'markets': is not installed: install it, or "
        "check the spelling. Installed: annex, market.",
        change("plugins.market", "plugins.markets"),
    )
    yield case(
        "broken plugin",
        "fair.toml, line 8 [plugins.ruin]: plugin 'ruin': is installed but broken: it does not "
        "load.",
        change("[plugins.market]", "[plugins.ruin]\n[plugins.market]"),
    )
    yield case(
        "missing requirement",
        "plugin 'annex': requires 'market', which is not enabled: enable it first.",
        change("[plugins.market]\nstalls = 5\nfee = 2.5", "[plugins.annex]"),
    )
    yield case(
        "unknown setting",
        "fair.toml, line 8 [plugins.market]: plugin 'market' has no setting 'stals'; it has fee, "
        "stalls.",
        change("stalls = 5", "stals = 5"),
    )
    yield case(
        "bad setting",
        "fair.toml, line 8 [plugins.market]: setting 'stalls' of plugin 'market' does not fit: "
        "expected int >= 1.",
        change("stalls = 5", "stalls = 0"),
    )
    yield case(
        "unknown model",
        "fair.toml, line 13 [data]: 'stall' is nothing that can be imported: there are none.",
        change("[plugins.market]\nstalls = 5\nfee = 2.5\n", "")
        .replace('"stalls"', '"stall"')
        .replace(FIELDS, ""),
    )
    yield case(
        "custom field of no model",
        "fair.toml, line 23 [custom_fields.Stal.goods]: model takes no custom fields: did you "
        "mean 'Stall'?",
        change("Stall.goods", "Stal.goods"),
    )
    yield case(
        "custom field of a bad name",
        "fair.toml, line 28 [custom_fields.Stall.big_seats]: name must begin with a small letter "
        "and hold letters and digits alone",
        change("Stall.seats", "Stall.big_seats"),
    )
    yield case(
        "custom field of a known name",
        "the custom field 'Stall.code' cannot be there beside plugin 'market', which has the field "
        "of Stall 'code': archive the custom field, or call it something else.",
        change("Stall.seats", "Stall.code"),
    )
    yield case(
        "no such file",
        "there is no such file.",
        stalls=None,
    )
    yield case(
        "no file at all",
        'fair.toml, line 15 [data]: needs file = "…", which lies beside this file.',
        change('file = "data/stalls.csv"\n', ""),
    )
    yield case(
        "unknown column",
        "fair.toml, line 15 [data]: the column 'nane': stalls have no attribute 'nane': did you "
        "mean 'name'? Otherwise list it under ignore in a mapping.",
        stalls="code,nane\na,Apples\n",
    )
    yield case(
        "bad rows",
        "stalls.csv, line 3: stalls: name is missing (1 more rows are wrong)",
        stalls="code,name\na,Apples\nb,\na,Again\n",
    )
    yield case(
        "unresolved reference",
        "stalls.csv, line 2: stalls: next_to_id: no stall has the code 'z'",
        stalls="code,name,next_to\na,Apples,z\n",
    )
    yield case(
        "unknown mutation",
        "fair.toml, line 20 [call]: 'open_markets' is no mutation: did you mean 'open_market'?",
        change('"open_market"', '"open_markets"'),
    )
    yield case(
        "unknown argument",
        "open_market has no argument 'greting': did you mean 'greeting'?",
        change("greeting =", "greting ="),
    )
    yield case(
        "bad argument",
        "open_market: extra: Expected `int`, got `str`",
        change("extra = 1", 'extra = "one"'),
    )
    yield case(
        "refused call",
        "the call of open_market was refused: extra makes more than 5 stalls",
        change("extra = 1", "extra = 4"),
    )
    yield case(
        "failing call",
        "the call of open_market failed: RuntimeError: it went off loudly",
        change('"hello"', '"boom"'),
    )


@pytest.mark.parametrize(("toml", "stalls", "message"), list(_broken()))
async def test_of_a_broken_bundle_nothing_remains(
    platform: Platform,
    tmp_path: Path,
    tenant_id: UUID,
    toml: str,
    stalls: str | None,
    message: str,
) -> None:
    name = f"fair-{tenant_id.hex[:8]}"
    with pytest.raises(BundleFailed) as caught:
        await apply(platform, written(tmp_path, toml, stalls), name)
    told = str(caught.value)
    assert told.startswith("bundle 'fair': ")
    assert told.endswith(message)
    assert "\n" not in told
    with pytest.raises(NotFound):
        await find_tenant(platform.pool, name)
    assert await rows_of(platform, tenant_id) == {}
    await apply(platform, written(tmp_path), name)  # the name is still free


async def test_a_taken_or_malformed_name_is_refused_as_without_a_bundle(
    platform: Platform, tmp_path: Path, tenant_id: UUID
) -> None:
    bundle = read_bundle(written(tmp_path))
    name = f"fair-{tenant_id.hex[:8]}"
    await create_tenant_with_bundle(platform, name, bundle)
    before = await rows_of(platform, tenant_id)
    for wrong, words in ((name, "exists already"), ("No Name", "is not a name")):
        with pytest.raises(Refusal, match=words):
            await create_tenant_with_bundle(platform, wrong, bundle)
    assert await rows_of(platform, tenant_id) == before


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (GOOD.replace("[vocabulary]", "[vocab]"), "fair.toml, line 12: 'vocab' means nothing here"),
        (GOOD.replace('"fair"', '"faire"'), "the name is 'faire': it must be 'fair'"),
        (GOOD.replace('version = "1.2.0"\n', ""), "missing required field 'version'"),
        (GOOD.replace(', en = "Stall"', ""), r"missing required field 'en' - at '\$.vocabulary"),
        (GOOD.replace('kind = "int"', 'kind = "money"'), "Invalid enum value 'money' - at "),
        ("name =", "is not valid TOML"),
    ],
)
def test_a_malformed_bundle_says_where(tmp_path: Path, toml: str, message: str) -> None:
    with pytest.raises(BundleFailed, match=message):
        read_bundle(written(tmp_path, toml))


def test_a_broken_bundle_hides_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "bundled_for_tests"
    package.mkdir()
    package.joinpath("__init__.py").touch()
    written(package)
    tmp_path.joinpath("bundle_that_quits.py").write_text("raise SystemExit('no')")
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = [
        EntryPoint(name, value, bundles.GROUP)
        for name, value in (
            ("fair", "bundled_for_tests"),
            ("other", "bundled_for_tests"),
            ("gone", "no_such_package_here"),
            ("quits", "bundle_that_quits"),
        )
    ]
    known = discover_bundles(entries)
    assert list(known.found) == ["fair"]
    assert known.get("fair").title.zh == "集市"
    with pytest.raises(BundleFailed, match=r"'other' is installed but broken: .*no such"):
        known.get("other")
    with pytest.raises(BundleFailed, match="'gone' is installed but broken"):
        known.get("gone")
    with pytest.raises(BundleFailed, match="'quits' is installed but broken: SystemExit: no"):
        known.get("quits")
    with pytest.raises(BundleFailed, match="'fare' is not installed: did you mean 'fair'"):
        known.get("fare")
    assert msgspec.to_builtins(known.get("fair").vocabulary["stall"]) == {
        "zh": "摊位", "en": "Stall",
    }  # fmt: skip
