"""Limits that a tenant sets for itself: by whom, within what, and from when on."""

import json
from typing import Any

import pytest
from with_misbehaviour import Desk

from guanxi_core.limits import DEFAULT, HIGHEST, SETTABLE, requests_of, set_limits
from guanxi_core.platform import Platform
from guanxi_graphql.execute.engine import Engine
from guanxi_sdk import Invalid

SET = (
    "mutation Set($tokens: Int, $depth: Int, $aliases: Int, $rootFields: Int, $cost: Int, "
    "$listSize: Int) { setRequestRules(tokens: $tokens, depth: $depth, aliases: $aliases, "
    "rootFields: $rootFields, cost: $cost, listSize: $listSize) { result { onlyRegistered limits "
    "{ name value own most } } errors { code path message } } }"
)
RULES = "{ requestRules { limits { name value own most description } } }"
#: For each limit a value, a document within it, and the same document beyond it.
CASES = {
    "tokens": (60, "{ " + "viewer { name } " * 12 + "}", "{ " + "viewer { name } " * 16 + "}"),
    "aliases": (2, "{ a: __typename b: __typename }",
                "{ a: __typename b: __typename c: __typename }"),
    "rootFields": (2, "{ viewer { name } tenant { name } }",
                   "{ viewer { name } tenant { name } __typename }"),
    "cost": (100, "{ cards(first: 100) { edges { node { id } } } }",
             "{ cards(first: 101) { edges { node { id } } } }"),
    "listSize": (3, "{ cards(first: 3) { totalCount } }", "{ cards(first: 4) { totalCount } }"),
}  # fmt: skip


@pytest.fixture
async def app(guanxi: Any) -> Any:
    return await guanxi(Desk())


@pytest.fixture
async def elsewhere(app: Any, guanxi: Any) -> Any:
    platform = await Platform.open(
        guanxi.database.app_url, registry=app.platform.registry, pool_size=2, ceiling={"cost": 140}
    )
    async with platform:
        yield platform


async def ask(platform: Platform, token: str, document: str, **variables: Any) -> Any:
    """As the endpoint does: what is stale is loaded again."""
    from guanxi_core.access import StaleAccess

    for _ in range(3):
        access = await platform.authenticate(token)
        try:
            return json.loads((await Engine(platform).execute(access, document, variables)).body)
        except StaleAccess:
            platform.forget(token)
    raise AssertionError("never fresh")


def refused(answer: Any) -> bool:
    return "errors" in answer and answer["errors"][0]["extensions"]["code"] in (
        "LIMIT_EXCEEDED", "INVALID",
    )  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_a_limit_holds_from_the_next_request_on(
    app: Any, elsewhere: Platform, name: str
) -> None:
    value, within, beyond = CASES[name]
    token = await app.token()
    for platform in (app.platform, elsewhere):
        assert "errors" not in await ask(platform, token, within)
        assert "errors" not in await ask(platform, token, beyond)
    answer = await ask(app.platform, token, SET, **{name: value})
    payload = answer["data"]["setRequestRules"]
    assert payload["errors"] == []
    (shown,) = [one for one in payload["result"]["limits"] if one["name"] == name]
    assert (shown["value"], shown["own"]) == (value, True)
    for platform in (elsewhere, app.platform):
        assert "errors" not in await ask(platform, token, within), name
        assert refused(await ask(platform, token, beyond)), name
    await set_limits(app.platform.pool, app.tenant, {_snake(name): 0}, {})
    for platform in (elsewhere, app.platform):
        assert "errors" not in await ask(platform, token, beyond)


def _snake(name: str) -> str:
    return {"rootFields": "root_fields", "listSize": "list_size"}.get(name, name)


async def test_depth_too(app: Any) -> None:
    token = await app.token()
    deep = "{ userRoles { edges { node { user { userRoles { edges { node { id } } } } } } } }"
    assert "errors" not in await ask(app.platform, token, deep)
    await set_limits(app.platform.pool, app.tenant, {"depth": 3}, {})
    assert refused(await ask(app.platform, token, deep))


async def test_one_tenants_limits_are_not_anothers(app: Any, guanxi: Any) -> None:
    """Tenants with the same plugins share parsed documents, and nothing else."""
    other = await guanxi(Desk())
    other.platform.editions = app.platform.editions
    document = "{ a: viewer { name } b: tenant { name } }"
    await set_limits(app.platform.pool, app.tenant, {"aliases": 1}, {})
    for _ in range(2):
        assert "errors" not in await other.execute(document)
        assert refused(await app.execute(document))


async def test_what_may_be_set_lies_between_bounds(app: Any) -> None:
    token = await app.token()
    for name, bounds in SETTABLE.items():
        camel = {"root_fields": "rootFields", "list_size": "listSize"}.get(name, name)
        for value in (-1, bounds.most + 1, *((bounds.least - 1,) if bounds.least > 1 else ())):
            answer = await ask(app.platform, token, SET, **{camel: value})
            (error,) = answer["data"]["setRequestRules"]["errors"]
            assert (error["code"], error["path"]) == ("INVALID", camel)
            assert f"to {bounds.most:,}" in error["message"]
        answer = await ask(app.platform, token, SET, **{camel: bounds.most})
        assert answer["data"]["setRequestRules"]["errors"] == []
        answer = await ask(app.platform, token, SET, **{camel: bounds.least})
        assert answer["data"]["setRequestRules"]["errors"] == [], name
        undo = f"mutation {{ setRequestRules({camel}: 0) {{ errors {{ message }} }} }}"
        undone = await ask(app.platform, token, undo)  # whoever set it may undo it
        assert undone["data"]["setRequestRules"]["errors"] == [], name
    rules = await app.graphql(RULES)
    assert {(one["value"], one["own"]) for one in rules["requestRules"]["limits"]} == {
        (getattr(DEFAULT, name), False) for name in SETTABLE
    }


async def test_the_operators_ceiling_holds_for_what_was_set_before(
    app: Any, elsewhere: Platform
) -> None:
    token = await app.token()
    await ask(app.platform, token, SET, cost=1_000)
    page = "{ cards(first: 141) { edges { node { id } } } }"
    assert "errors" not in await ask(app.platform, token, page)
    assert refused(await ask(elsewhere, token, page))  # where the ceiling is 140
    with pytest.raises(Invalid, match="from 100 to 140"):
        await set_limits(app.platform.pool, app.tenant, {"cost": 141}, {"cost": 140})
    assert requests_of(None, {"tokens": 10}).limits.tokens == 10
    assert HIGHEST.keys() == SETTABLE.keys()


async def test_changes_are_on_record(app: Any) -> None:
    token = await app.token()
    await ask(app.platform, token, SET, depth=9, cost=700)
    await ask(app.platform, token, SET, depth=9)  # nothing changes
    await set_limits(app.platform.pool, app.tenant, {"depth": 0}, {}, actor="operator")
    entries = await app.graphql(
        "{ auditEntries(orderBy: [CREATED_AT_ASC]) { edges { node { actor action changes "
        "{ field before after } } } } }"
    )
    told = [
        (
            e["node"]["actor"],
            sorted((c["field"], c["before"], c["after"]) for c in e["node"]["changes"]),
        )
        for e in entries["auditEntries"]["edges"]
        if e["node"]["action"] == "guanxi.set_request_rules"
    ]  # fmt: skip
    assert sorted(changes for _, changes in told) == [
        [("cost", None, "700"), ("depth", None, "9")], [("depth", "9", None)],
    ]  # fmt: skip
    assert ("operator", [("depth", "9", None)]) in told
