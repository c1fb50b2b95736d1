"""Searching through the public door: what is found, in which order, by whom, after which writes."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from with_search import Archive, Book, Provenance

from databases import Scratch
from guanxi_core.database.connections import connect
from guanxi_core.importing import import_file, plan_import
from guanxi_core.search.rebuilding import rebuild
from guanxi_customers import Customers, Person, Supplier
from guanxi_graphql.execute.engine import Engine
from guanxi_sdk import Confidentiality
from guanxi_sdk.testing import App, Boot, GraphQLFailed, global_id
from guanxi_sdk.testing.databases import ThrowAwayDatabase
from guanxi_sdk.testing.tokens import make_token

CREATE = """mutation ($input: CreateCustomerInput!) {
  createCustomer(input: $input) { customer { id version } errors { path message } } }"""
FOUND = "query ($q: String) { customers(search: $q) { totalCount edges { node { name } } } }"
ANY = """query ($q: String!, $types: [SearchType!], $first: Int, $after: String) {
  search(query: $q, types: $types, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges {
      cursor node { __typename id ... on Customer { name } ... on Supplier { called: name } }
    }
  }
}"""


async def make(app: App, *names: str) -> list[dict[str, Any]]:
    found = []
    for name in names:
        made = await app.graphql(CREATE, input={"code": name, "name": name})
        found.append(made["createCustomer"]["customer"])
    return found


async def found(app: App, q: str | None) -> list[str]:
    answer = (await app.graphql(FOUND, q=q))["customers"]
    assert answer["totalCount"] == len(answer["edges"])
    return [edge["node"]["name"] for edge in answer["edges"]]


async def test_by_characters_pinyin_initials_and_words(guanxi: Boot) -> None:
    app = await guanxi(Customers())
    await make(app, "华为", "花伟", "重庆银行", "Northwind Traders")
    for q in ("华", "华为", "为"):
        assert await found(app, q) == ["华为"], q
    for q in ("huawei", "hw", "hua wei", "huaw", "HUAWEI"):
        assert await found(app, q) == ["华为", "花伟"], q
    for q in ("重庆", "chongqing", "cqyh", "yinhang", "庆银", "CHONG qing", "银行 重庆"):
        assert await found(app, q) == ["重庆银行"], q
    for q in ("northwind", "trad", "Traders North", "northwind t"):
        assert await found(app, q) == ["Northwind Traders"], q
    for q in ("", "…", "orthwind", "华威", "重庆 华为", "\U0010ffff", "%", "华_"):
        assert await found(app, q) in ([], ["华为"] if q == "华_" else []), q
    assert len(await found(app, None)) == 4
    with pytest.raises(GraphQLFailed, match="longer than 200"):
        await found(app, "华" * 201)


@pytest.mark.parametrize(
    "document",
    [
        '{ search(query: "华") { totalCount } }',
        "query ($id: ID!) { customer(id: $id) { persons { totalCount } } }",
        "query ($id: ID!) { node(id: $id) { ... on Customer { personsAggregate { count } } } }",
    ],
)
async def test_lists_are_asked_for_in_turn(
    guanxi: Boot, monkeypatch: pytest.MonkeyPatch, document: str
) -> None:
    app = await guanxi(Customers())
    [customer] = await make(app, "华为")
    given = {"id": customer["id"]} if "$id" in document else {}
    pool = app.platform.pool
    monkeypatch.setattr(pool, "_at_once", 1)
    monkeypatch.setattr(pool._waiting, "moment", 60)
    async with asyncio.timeout(30), pool.connection(app.tenant.id):
        asking = asyncio.create_task(app.graphql(document, **given))
        while not pool.waiting:
            assert not asking.done(), asking.result()
            await asyncio.sleep(0.01)
    await asking


async def test_the_best_come_first_and_pages_continue(guanxi: Boot) -> None:
    app = await guanxi(Customers())
    await make(app, "华为技术", "深圳华为", "北京市华为", "华", "华为", "华为科技公司", "华为技工")
    order = ["华为", "华为技术", "华为技工", "华为科技公司", "深圳华为", "北京市华为"]
    assert await found(app, "华为") == order
    page = """query ($size: Int!, $cursor: String) {
      customers(search: "华为", %s: $size, %s: $cursor) {
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { node { name } }
      } }"""
    for ends, forward in ((("first", "after"), True), (("last", "before"), False)):
        seen: list[str] = []
        cursor, more = None, True
        while more:
            one = (await app.graphql(page % ends, size=2, cursor=cursor))["customers"]
            names = [edge["node"]["name"] for edge in one["edges"]]
            seen = [*seen, *names] if forward else [*names, *seen]
            info = one["pageInfo"]
            cursor = info["endCursor" if forward else "startCursor"]
            more = info["hasNextPage" if forward else "hasPreviousPage"]
        assert seen == order
    by_name = """{ customers(search: "huawei", orderBy: [NAME_DESC], where: {code: {ne: "华为"}}) {
      edges { node { name } } } }"""
    names = [e["node"]["name"] for e in (await app.graphql(by_name))["customers"]["edges"]]
    assert names == sorted(set(order) - {"华为"}, reverse=True)


async def test_anything_is_found_ranked_and_paged(guanxi: Boot) -> None:
    app = await guanxi(Customers())
    [first, *_] = await make(app, "华为技术", "华为", "深圳华为", "华")
    await app.add(Supplier(code="S", name="华为供应", name_en="Huawei Supplies"))
    seen: list[str] = []
    after, more = None, True
    while more:
        page = (await app.graphql(ANY, q="华为", first=2, after=after))["search"]
        assert page["totalCount"] == 4
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        assert page["edges"][-1]["cursor"] == page["pageInfo"]["endCursor"]
        seen += [edge["node"].get("name") or edge["node"]["called"] for edge in page["edges"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    assert seen == ["华为", "华为技术", "华为供应", "深圳华为"]
    only = (await app.graphql(ANY, q="hua", types=["Supplier"]))["search"]
    assert [edge["node"]["__typename"] for edge in only["edges"]] == ["Supplier"]
    archive = "mutation ($id: ID!) { archiveCustomer(id: $id) { errors { path } } }"
    await app.graphql(archive, id=first["id"])
    assert (await app.graphql(ANY, q="huaweiji"))["search"]["totalCount"] == 0
    with pytest.raises(GraphQLFailed, match="cursor"):
        await app.graphql(ANY, q="华", after="abc")


async def tokens(app: App) -> set[tuple[str, str]]:
    async with app.platform.pool.connection(app.tenant.id) as connection:
        rows = await connection.fetch("SELECT field, token FROM guanxi_search")
    return {(row["field"], row["token"]) for row in rows}


async def test_every_way_to_write_keeps_what_is_found(guanxi: Boot, tmp_path: Path) -> None:
    app = await guanxi(Customers())
    [made] = await make(app, "重庆银行股份有限公司")
    update = """mutation ($id: ID!, $version: Int!, $name: String!) { updateCustomer(id: $id,
      version: $version, input: {name: $name}) { customer { version } errors { code } } }"""
    changed = await app.graphql(update, id=made["id"], version=made["version"], name="绿地")
    version = changed["updateCustomer"]["customer"]["version"]
    assert await found(app, "yinhang") == await found(app, "公司") == []
    stale = await app.graphql(update, id=made["id"], version=made["version"], name="华润")
    assert stale["updateCustomer"]["errors"] == [{"code": "CONFLICT"}]
    assert await found(app, "lvdi") == ["绿地"]
    await app.graphql(update, id=made["id"], version=version, name="万科")

    supplier = await app.add(Supplier(code="S", name="顺丰", contact_name="单雄信"))
    assert {("Supplier.contact_name", t) for t in ("shanxiongxin", "xin")} <= await tokens(app)
    async with app.context() as ctx:
        row = await ctx.db.get(Supplier, (app.tenant.id, supplier.id))
        row.name, row.contact_name = "京东", None
        await ctx.db.flush()
        await ctx.update_where(Supplier, Supplier.code == "S", name="拼多多")
    names = {t for t in await tokens(app) if t[0].startswith("Supplier")}
    assert names == {("Supplier.name", t) for t in ("pinduoduo", "duoduo", "duo", "pdd")}
    async with app.context() as ctx:
        await ctx.save_many(Supplier, [{"id": supplier.id, "code": "S", "name": "美团"}])
        await ctx.save_many(Supplier, [{"code": "T", "name": "滴滴"}])
    names = {t for _, t in await tokens(app) if t in ("meituan", "pinduoduo", "didi")}
    assert names == {"meituan", "didi"}
    async with app.context() as ctx:
        await ctx.delete_where(Supplier, Supplier.code == "T")
        await ctx.db.delete(await ctx.db.get(Supplier, (app.tenant.id, supplier.id)))
    assert not any(field.startswith("Supplier") for field, _ in await tokens(app))

    async with app.context() as ctx, ctx.db.begin_nested() as undone:
        ctx.db.add(Supplier(code="U", name="无人"))
        await ctx.db.flush()
        await undone.rollback()
    assert not any(field.startswith("Supplier") for field, _ in await tokens(app))

    file = tmp_path / "customers.csv"
    for rows in (["a,海尔", "b,海信", "c,格力"], ["a,海尔集团", "c,格力", "d,"]):
        file.write_text("code,name\n" + "".join(f"{row}\n" for row in rows), "utf-8")
        access = await app.access()
        models = access.installation.edition.models.values()
        await import_file(app.platform, access, plan_import("customers", models), file)
    assert await found(app, "hai") == ["海信", "海尔集团"]
    assert await found(app, "haierjituan") == ["海尔集团"]
    assert await found(app, "gl") == ["格力"]


BOOKS = """query ($q: String!) {
  books(search: $q) { edges { node { title } } } search(query: $q) { totalCount } }"""


async def books(app: App, q: str, token: str | None = None) -> list[str]:
    token = token or await app.token()
    app.platform.forget(token)
    access = await app.platform.authenticate(token)
    reply = await Engine(app.platform).execute(access, BOOKS, {"q": q})
    data = json.loads(reply.body)["data"]
    titles = [edge["node"]["title"] for edge in data["books"]["edges"]]
    assert data["search"]["totalCount"] == len(titles)
    return titles


async def test_nobody_finds_by_what_they_may_not_read(guanxi: Boot) -> None:
    app = await guanxi(Archive())

    low = await make_token(
        app.platform.pool, app.tenant, ["archive.read"], clearance=Confidentiality.INTERNAL
    )
    await app.add(Book(title="红楼梦", rumour="甲戌本"))
    theirs = await app.add(Book(title="西游记", rumour="甲乙本", subtitle="大闹天宫"))
    await app.add(Provenance(id=theirs.id, donor="徐霞客"))
    assert await books(app, "jia") == ["红楼梦", "西游记"]
    assert await books(app, "xuxiake") == await books(app, "天宫 徐") == ["西游记"]
    assert await books(app, "小说") == ["红楼梦", "西游记"]  # a default counts
    assert await books(app, "jia", low) == await books(app, "徐霞客", low) == []
    assert await books(app, "天宫", low) == ["西游记"]
    assert await books(app, "天宫 甲", low) == []


async def test_a_wider_right_finds_more(guanxi: Boot) -> None:
    app = await guanxi(Archive())
    pool, tenant = app.platform.pool, app.tenant

    async def may(user: str, *grants: str) -> tuple[str, str]:
        token = await make_token(pool, tenant, grants, user=user)
        return token, str((await app.platform.authenticate(token)).caller.user_id)

    own, me = await may("own", "archive.read:own")
    curator, _ = await may("curator", "archive.read", "archive.curate")
    partly, they = await may("partly", "archive.read", "archive.curate:own")
    nobody, _ = await may("nobody", "nothing.read")
    book = await app.add(Book(title="红楼梦", reader=me))
    other = await app.add(Book(title="红高粱", reader=they))
    for one, donor in ((book, "徐霞客"), (other, "徐志摩")):
        await app.add(Provenance(id=one.id, donor=donor))
    assert await books(app, "hong", own) == ["红楼梦"]
    assert await books(app, "xu", curator) == ["红楼梦", "红高粱"]
    assert await books(app, "xu", partly) == ["红高粱"]
    app.platform.forget(nobody)
    access = await app.platform.authenticate(nobody)
    reply = await Engine(app.platform).execute(access, BOOKS, {"q": "hong"})
    assert json.loads(reply.body)["data"] == {"books": None, "search": {"totalCount": 0}}


async def test_rows_that_are_there_already_are_made_ready(database: Scratch) -> None:
    """What `guanxi migrate` does for a field that is searched for the first time."""
    async with AsyncExitStack() as stack:
        own = ThrowAwayDatabase(database.app_url, database.owner_url, database.app_role)
        app = await Boot(own, stack)(Customers())
        await make(app, "华为", "万科")
        owner = await connect(database.owner_url)
        stack.push_async_callback(owner.close)
        await owner.execute("DELETE FROM guanxi_searched WHERE field = 'Customer.name'")
        await owner.execute("SELECT set_config('guanxi.tenant', $1, false)", str(app.tenant.id))
        await owner.execute("DELETE FROM guanxi_search")
        assert await found(app, "huawei") == []
        told: list[tuple[str, int]] = []
        read = await rebuild(
            database.owner_url, [Customers],
            progress=lambda field, done, size, rows: told.append((field, done)),
        )  # fmt: skip
        assert read >= 2
        assert told
        assert {field for field, _ in told} == {"Customer.name"}
        assert await found(app, "huawei") == ["华为"]
        assert await rebuild(database.owner_url, [Customers]) == 0
        assert await rebuild(database.owner_url, [Customers], anew=True) >= 2
        assert await found(app, "wk") == ["万科"]
        await owner.execute("INSERT INTO guanxi_searched VALUES ('Customer.gone', 1)")
        await rebuild(database.owner_url, [Customers])
        assert not await owner.fetchval(
            "SELECT EXISTS (SELECT FROM guanxi_searched WHERE field = 'Customer.gone')"
        )


async def test_below_a_row_its_own_are_searched(guanxi: Boot) -> None:
    app = await guanxi(Customers())
    made = await make(app, "华为", "万科")
    ids = [UUID(one["id"].rpartition("_")[2]) for one in made]
    for name, customer in (("任正非", 0), ("任平生", 1), ("王石", 1), ("王 任", 1)):
        await app.add(Person(name=name, customer_id=ids[customer]))
    document = """{ customers(orderBy: [ID_ASC]) { edges { node { persons(search: "ren") {
      totalCount pageInfo { endCursor } edges { node { name } } } } } } }"""
    edges = (await app.graphql(document))["customers"]["edges"]
    below = [edge["node"]["persons"] for edge in edges]
    assert [[e["node"]["name"] for e in one["edges"]] for one in below] == [
        ["任正非"], ["任平生", "王 任"],
    ]  # fmt: skip
    assert [one["totalCount"] for one in below] == [1, 2]


async def test_an_erased_person_leaves_no_token(guanxi: Boot) -> None:
    app = await guanxi(Customers())
    [customer] = await make(app, "华为")
    person = await app.add(
        Person(name="任正非", name_en="Ren Z.", customer_id=UUID(customer["id"].rpartition("_")[2]))
    )
    assert ("Person.name", "renzhengfei") in await tokens(app)
    erase = "mutation ($id: String!) { erasePerson(id: $id) { errors { message } } }"
    done = await app.execute(erase, {"id": global_id(person)}, reason="ticket 7")
    assert done["data"]["erasePerson"]["errors"] == []
    assert {field for field, _ in await tokens(app)} == {"Customer.name"}
