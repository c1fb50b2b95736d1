"""Who defines custom fields, for whom, and what becomes of them and of their values."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from with_shop import Customer, Grades, Shop

from custom_fields import CREATE, DEFINE, METALS, UPDATE, codes, create, define
from guanxi_core.access import StaleAccess
from guanxi_core.custom.converting import CHECK, DEFER, convert, converter
from guanxi_core.custom.definitions import Definition
from guanxi_core.custom.keeping import store
from guanxi_core.editions import compose, fingerprint
from guanxi_core.enabling import disable, enable
from guanxi_core.importing.errors import BadValue
from guanxi_graphql.execute.engine import Engine
from guanxi_sdk import Confidentiality, PluginError
from guanxi_sdk.testing import App, Boot, GraphQLFailed
from guanxi_sdk.testing.tokens import make_token

READ, WRITE = "shop.read", "shop.write"
VERB = """mutation ($id: ID!) { %sCustomField(fieldId: $id) {
  customField { id archivedAt } errors { path message } } }"""
PURGE = """mutation ($id: ID!) { purgeCustomField(fieldId: $id) {
  result errors { path message } } }"""
PLAN = """query ($id: ID!, $kind: CustomFieldKind!, $options: [String!]) {
  customFieldChange(fieldId: $id, kind: $kind, options: $options) {
    converted lost examples { value reason } } }"""
CHANGE = """mutation ($id: ID!, $kind: CustomFieldKind!, $options: [String!], $lose: Int! = 0) {
  changeCustomField(fieldId: $id, kind: $kind, options: $options, lose: $lose) {
    result { converted lost } errors { code path message } } }"""


@pytest.fixture(scope="module")
async def boot(guanxi_database: Any) -> AsyncIterator[Boot]:
    """A boot for the whole module."""
    async with AsyncExitStack() as stack:
        yield Boot(guanxi_database, stack)


@pytest.fixture(scope="module")
async def app(boot: Boot) -> App:
    """A tenant with customers."""
    return await boot(Shop())


async def fields_of(app: App, type_: str = "Customer") -> set[str]:
    """The fields of a type in the tenant's schema."""
    asked = f'{{ __type(name: "{type_}") {{ fields {{ name }} inputFields {{ name }} }} }}'
    found = (await app.graphql(asked))["__type"]
    return {one["name"] for one in found["fields"] or found["inputFields"]}


async def values_of(app: App, field: str) -> int:
    """How many values are kept."""
    async with app.platform.pool.connection(app.tenant.id) as connection:
        found: int = await connection.fetchval(
            "SELECT count(*) FROM guanxi_custom_value WHERE tenant_id = $1 AND field = $2",
            app.tenant.id, field,
        )  # fmt: skip
    return found


async def refused(app: App, **given: Any) -> dict[str, str]:
    """Why a definition was refused."""
    answer = await app.graphql(DEFINE, **{"kind": "TEXT", **given})
    [error] = answer["defineCustomField"]["errors"]
    return dict(error)


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        ({"name": "Big"}, "name", "must begin with a small letter"),
        ({"name": "von_ibm"}, "name", "must begin with a small letter"),
        ({"name": "忠诚"}, "name", "must begin with a small letter"),
        ({"name": "vatID"}, "name", "must be written 'vatId'"),
        ({"name": "x" * 41}, "name", "40 characters at most"),
        ({"name": "name"}, "name", "is that of a column of Customer"),
        ({"name": "tenantId"}, "name", "is that of a column of Customer"),
        (
            {"name": "office"},
            "name",
            "which has the field of Customer 'office'",
        ),
        ({"name": "where", "kind": "CHOICE", "options": ["A"]}, "name", "type 'CustomerWhere'"),
        ({"name": "customers", "model": "Office"}, "name", "the field of Office 'customers'"),
        ({"name": "x", "model": "Customers"}, "model", "did you mean 'Customer'?"),
        ({"name": "x", "model": "User"}, "model", "takes no custom fields"),
        ({"name": "x", "kind": "CHOICE"}, "options", "are what a CHOICE has"),
        ({"name": "x", "options": ["A"]}, "options", "are what a CHOICE has"),
        ({"name": "x", "kind": "CHOICE", "options": ["a"]}, "options", "'a' is no value"),
        (
            {"name": "x", "kind": "CHOICE", "options": ["A", "A|甲"]},
            "options",
            "name a value twice",
        ),
    ],
)
async def test_what_cannot_be_defined_is_refused(
    app: App, given: dict[str, Any], path: str, message: str
) -> None:
    error = await refused(app, **given)
    assert error["path"] == path
    assert message in error["message"]


GHOSTS = """INSERT INTO guanxi_custom_field
    (tenant_id, id, model, name, kind, description, options, clearance)
    SELECT $1, gen_random_uuid(), 'Ghost', 'x' || i, 'choice', 'It.', ARRAY[repeat('x', $3)],
    'INTERNAL' FROM generate_series(1, $2::integer) AS i"""


@pytest.mark.parametrize(
    ("number", "length", "kind", "path"),
    [(500, 1, "TEXT", "model"), (1, 262_141, "CHOICE", "options")],
)
async def test_an_enterprise_has_so_many_fields_and_no_more(
    app: App, number: int, length: int, kind: str, path: str
) -> None:
    """Of all models together, archived ones and those of models that are gone included."""
    field = await define(app, f"grown{number}", "TEXT")
    options = ["LONG"] if kind == "CHOICE" else []
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await connection.execute(GHOSTS, app.tenant.id, number, length)
        try:
            error = await refused(app, name="oneMore", kind=kind, options=options)
            grown = await app.graphql(CHANGE, id=field, kind="CHOICE", options=["LONG"])
            plain = await app.graphql(CHANGE, id=field, kind="INT")
        finally:
            await connection.execute("DELETE FROM guanxi_custom_field WHERE model = 'Ghost'")
    assert error["path"] == path
    assert "archived ones included" in error["message"]
    assert [e["path"] for e in grown["changeCustomField"]["errors"]] == ["options"] * (number == 1)
    assert plain["changeCustomField"]["errors"] == []
    await define(app, f"fits{number}", kind, options=options)


async def test_two_tenants_have_each_their_own_field_of_one_name(boot: Boot) -> None:
    ours, theirs, others = [await boot(Shop()) for _ in range(3)]
    await define(ours, "level", "INT")
    await define(theirs, "level", "TEXT", model="Office")
    await define(theirs, "level", "CHOICE", options=["LOW", "HIGH|高|High"])
    assert "level" not in await fields_of(others)
    one, two = await create(ours, "level", level=3), await create(theirs, "level", level="HIGH")
    assert (one["level"], two["level"]) == (3, "HIGH")
    assert len(await codes(ours, "where: { level: { gte: 0 } }")) == 1
    assert len(await codes(theirs, "where: { level: { in: [LOW, HIGH] } }")) == 1
    enum = await theirs.graphql(
        '{ __type(name: "CustomerLevel") { description enumValues { name description } } }'
    )
    assert enum["__type"] == {
        "description": "One of ours.",
        "enumValues": [
            {"name": "LOW", "description": "LOW · LOW"},
            {"name": "HIGH", "description": "高 · High"},
        ],
    }
    with pytest.raises(GraphQLFailed):
        await others.graphql("{ customers(where: { level: { gte: 0 } }) { totalCount } }")
    foreign = await theirs.graphql(
        UPDATE % "level", id=one["id"], version=1, input={"level": "LOW"}
    )
    missing = one["id"][:-4] + ("0000" if one["id"][-4:] != "0000" else "1111")
    unknown = await theirs.graphql(UPDATE % "level", id=missing, version=1, input={"level": "LOW"})
    assert foreign == unknown
    defined = await theirs.graphql("{ customFields { edges { node { model name kind } } } }")
    assert [edge["node"]["kind"] for edge in defined["customFields"]["edges"]] == ["TEXT", "CHOICE"]


async def test_tenants_that_define_the_same_share_an_edition(boot: Boot) -> None:
    ours, theirs, others = [await boot(Shop()) for _ in range(3)]
    for one in (ours, theirs):
        await define(one, "level", "INT")
    editions = [(await one.access()).installation.edition for one in (ours, theirs, others)]
    assert editions[0] is editions[1]
    assert editions[0].fingerprint != editions[2].fingerprint
    assert editions[2].fingerprint == fingerprint([Shop]) == compose([Shop]).fingerprint


async def test_it_takes_the_permission_to_define(app: App) -> None:
    for document in (DEFINE, "{ customFields { totalCount } }"):
        given = {"name": "x", "kind": "INT"} if document is DEFINE else {}
        answer = await app.execute(document, given, can=[READ, WRITE, "guanxi.access"])
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    allowed = await app.graphql("{ customFields { totalCount } }", can=["guanxi.fields"])
    assert allowed["customFields"] is not None


async def test_a_confidential_field_is_for_those_who_are_cleared(app: App) -> None:
    field = await define(app, "salary", "INT", clearance="CONFIDENTIAL")
    secret = await define(app, "secretWord", "TEXT", clearance="SECRET")
    made = await create(app, "salary", code="rich", salary=7)
    assert made["salary"] == 7
    may = [READ, WRITE, "guanxi.fields", "guanxi.audit"]
    clearance = Confidentiality.INTERNAL
    token = await make_token(app.platform.pool, app.tenant, may, clearance=clearance)
    engine = Engine(app.platform)

    async def low(document: str, **variables: Any) -> Any:
        app.platform.forget(token)
        access = await app.platform.authenticate(token)
        return json.loads((await engine.execute(access, document, variables)).body)

    asked = await low("{ customers { edges { node { code salary } } } }")
    assert {edge["node"]["salary"] for edge in asked["data"]["customers"]["edges"]} == {None}
    [error] = asked["errors"]
    assert error["path"] == ["customers", "edges", "node", "salary"]
    for arguments in (
        "where: { salary: { eq: 7 } }", "where: { NOT: { salary: { eq: 8 } } }",
        "orderBy: [SALARY_ASC]", "where: { salary: { isNull: true } }",
    ):  # fmt: skip
        answer = await low(f"{{ customers({arguments}) {{ totalCount }} }}")
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", arguments
    grouped = await low("{ customersAggregate(groupBy: SALARY) { groups { count } } }")
    assert grouped["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    summed = await low("{ customersAggregate { values { salary { sum } } } }")
    assert summed["data"]["customersAggregate"]["values"] == {"salary": None}
    written = await low(UPDATE % "", id=made["id"], version=1, input={"salary": 8})
    assert written["data"]["updateCustomer"]["errors"][0]["code"] == "FORBIDDEN"
    entries = await low(
        "query ($id: String!) { auditEntries(where: { rowId: { eq: $id } }) "
        "{ edges { node { changes { field after withheld } } } } }",
        id=made["id"],
    )
    [entry] = entries["data"]["auditEntries"]["edges"]
    told = {one["field"]: one for one in entry["node"]["changes"]}
    assert told["salary"] == {"field": "salary", "after": None, "withheld": True}
    lower = """mutation ($id: ID!) { updateCustomField(fieldId: $id, clearance: INTERNAL) {
      customField { id } errors { path } } }"""
    answer = await low(lower, id=field)
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    for document in (PLAN, CHANGE):  # what fits some options would tell the value
        answer = await low(document, id=field, kind="CHOICE", options=["A"])
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    [example] = (await app.graphql(PLAN, id=field, kind="BOOL"))["customFieldChange"]["examples"]
    assert example["value"] == "7"
    asked = {"id": secret, "kind": "INT"}
    assert "Guanxi-Reason" in (await app.execute(PLAN, asked))["errors"][0]["message"]
    assert "errors" not in await app.execute(PLAN, asked, reason="a test")
    read = await app.graphql(
        '{ auditEntries(where: { action: { eq: "guanxi.secret.read" } }) { totalCount } }'
    )
    assert read["auditEntries"]["totalCount"] == 1
    without = await app.execute("{ customers { edges { node { secretWord } } } }")
    assert "Guanxi-Reason" in without["errors"][0]["message"]
    assert (await app.graphql(lower, id=field))["updateCustomField"]["errors"] == []
    shown = await low("{ customers(where: { salary: { eq: 7 } }) { totalCount } }")
    assert shown["data"]["customers"]["totalCount"] == 1


HISTORY = """query ($id: String!) {
  auditEntries(where: { rowId: { eq: $id } }, orderBy: [ID_ASC]) {
    edges { node { changes { field after withheld } } } } }"""


async def told(app: App, row: str, field: str, can: list[str]) -> list[str | None]:
    """What somebody without clearances finds in the audit about a field of a row."""
    token = await make_token(app.platform.pool, app.tenant, can, clearance=Confidentiality.INTERNAL)
    access = await app.platform.authenticate(token)
    reply = await Engine(app.platform).execute(access, HISTORY, {"id": row}, reason="why")
    edges = json.loads(reply.body)["data"]["auditEntries"]["edges"]
    found = [one for edge in edges for one in edge["node"]["changes"] if one["field"] == field]
    assert all((one["after"] is None) == one["withheld"] for one in found)
    return [one["after"] for one in found]


async def test_a_secret_field_is_not_made_away_with_to_read_its_history(app: App) -> None:
    field = await define(app, "bonus", clearance="SECRET")
    made = await create(app, bonus="a lot")
    can = [READ, WRITE, "guanxi.fields", "guanxi.audit"]
    token = await make_token(
        app.platform.pool, app.tenant, can, clearance=Confidentiality.CONFIDENTIAL
    )
    engine = Engine(app.platform)

    async def low(document: str, **given: Any) -> Any:
        app.platform.forget(token)
        access = await app.platform.authenticate(token)
        return json.loads((await engine.execute(access, document, given)).body)

    refusal = await low(VERB % "archive", id=field)
    assert refusal["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    await app.graphql(VERB % "archive", id=field)
    refusal = await low(PURGE, id=field)
    assert refusal["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert await told(app, made["id"], "bonus", can) == [None]
    await app.graphql(PURGE, id=field)
    defined = await low(DEFINE, name="bonus", kind="TEXT", options=[])
    assert defined["data"]["defineCustomField"]["errors"] == []
    answer = await app.graphql(UPDATE % "bonus", id=made["id"], version=1, input={"bonus": "some"})
    assert answer["updateCustomer"]["customer"]["bonus"] == "some"
    assert await told(app, made["id"], "bonus", can) == [None, '"some"']


async def test_a_plugin_that_takes_the_name_does_not_show_the_history(app: App) -> None:
    """What was written before the custom field of the name was archived, or purged, is secret."""
    can = [READ, "guanxi.audit"]
    made = await create(app, name="Before")
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await store(connection, app.tenant.id, [Definition("Customer", "name", "text", "Ours.")])
        field = await connection.fetchval(
            "SELECT 'custom_field_' || id FROM guanxi_custom_field WHERE tenant_id = $1 "
            "AND name = 'name'",
            app.tenant.id,
        )
    assert await told(app, made["id"], "name", can) == [None]
    await app.graphql(VERB % "archive", id=field)
    await app.graphql(UPDATE % "name", id=made["id"], version=1, input={"name": "After"})
    assert await told(app, made["id"], "name", can) == [None, '"After"']
    await app.graphql(PURGE, id=field)
    assert await told(app, made["id"], "name", can) == [None, None]


async def test_an_archived_field_is_hidden_and_comes_back_with_its_values(app: App) -> None:
    field = await define(app, "rank", "INT")
    made = await create(app, "rank", rank=5)
    assert (await app.graphql(VERB % "archive", id=field))["archiveCustomField"]["errors"] == []
    for type_ in ("Customer", "CreateCustomerInput", "CustomerWhere"):
        assert "rank" not in await fields_of(app, type_)
    assert await values_of(app, "Customer.rank") == 1
    assert "restore it" in (await refused(app, name="rank"))["message"]
    assert (await app.graphql(VERB % "restore", id=field))["restoreCustomField"]["errors"] == []
    again = await app.graphql("query ($id: ID!) { customer(id: $id) { rank } }", id=made["id"])
    assert again["customer"]["rank"] == 5
    early = (await app.graphql(PURGE, id=field))["purgeCustomField"]
    assert early["errors"] == [{"path": "fieldId", "message": "is in use: archive the field first"}]
    await app.graphql(VERB % "archive", id=field)
    assert (await app.graphql(PURGE, id=field))["purgeCustomField"] == {"result": 1, "errors": []}
    assert await values_of(app, "Customer.rank") == 0
    await define(app, "rank", "TEXT")
    found = await app.graphql("query ($id: ID!) { customer(id: $id) { rank } }", id=made["id"])
    assert found["customer"]["rank"] is None


async def test_a_plugin_with_the_same_name_is_refused_until_the_field_is_archived(
    boot: Boot,
) -> None:
    app = await boot(Shop(), Grades())
    platform, tenant = app.platform, app.tenant
    await disable(platform.pool, platform.registry, tenant, "grades")
    field = await define(app, "tier", "TEXT")
    with pytest.raises(PluginError, match=r"'Customer.tier' cannot be there beside plugin"):
        await enable(platform.pool, platform.registry, tenant, "grades")
    await app.graphql(VERB % "archive", id=field)
    await enable(platform.pool, platform.registry, tenant, "grades")
    answer = (await app.graphql(VERB % "restore", id=field))["restoreCustomField"]
    assert answer["errors"][0]["path"] == "name"
    assert "plugin 'grades'" in answer["errors"][0]["message"]
    assert "tier" in await fields_of(app)


async def test_deleted_rows_leave_no_values(app: App) -> None:
    await define(app, "mark", "TEXT")
    await create(app, code="goner", mark="x")
    await create(app, code="second", mark="x")
    await create(app, code="stays", mark="y")
    async with app.context() as ctx:
        await ctx.delete_where(Customer, Customer.code == "goner")
        [second] = await ctx.db.scalars(sa.select(Customer).where(Customer.code == "second"))
        await ctx.db.delete(second)
    assert await values_of(app, "Customer.mark") == 1


async def test_whoever_asks_next_is_answered_by_the_new_schema(app: App) -> None:
    """Every process finds out by the stamp that its statements carry."""
    engine, access = Engine(app.platform), await app.access()
    query = "{ customers { totalCount } }"
    assert (await engine.execute(access, query)).ok
    await define(app, "brandNew", "TEXT")
    with pytest.raises(StaleAccess):
        await engine.execute(access, query)
    assert "brandNew" in await fields_of(app)


HISTORIES = st.lists(st.sampled_from(["text", "int", "float", "bool", "date"]), max_size=6)
WORDS = st.lists(
    st.sampled_from(["", "1", "0", "7.0", "2.5", "yes", "2024-01-01", "x"]), max_size=8
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(WORDS, HISTORIES)
async def test_any_history_of_kinds_leaves_what_each_step_kept(
    app: App, words: list[str], history: list[Any]
) -> None:
    """The database against values that are converted one by one."""
    former = Definition("Customer", "past", "text", "Ours.")
    expected: dict[int, Any] = dict(enumerate(words))
    async with app.platform.pool.connection(app.tenant.id) as connection:
        undone = connection.transaction()
        await undone.start()
        await store(connection, app.tenant.id, [former])
        await connection.executemany(
            "INSERT INTO guanxi_custom_value (tenant_id, field, id, kind, revision, text) "
            "VALUES ($1, 'Customer.past', $2, 'text', $3, $4)",
            [
                (app.tenant.id, UUID(int=number), former.revision, word)
                for number, word in expected.items()
            ],
        )
        for kind in history:
            after = replace(former, kind=kind)
            make, kept = converter(former, after, Customer), {}
            for number, value in expected.items():
                with suppress(BadValue):
                    kept[number] = make(value)
            await connection.execute(DEFER)
            await connection.execute(
                "UPDATE guanxi_custom_field SET kind = $2 WHERE tenant_id = $1 AND name = 'past'",
                app.tenant.id, kind,
            )  # fmt: skip
            done = await convert(connection, app.tenant.id, former, after, Customer, write=True)
            await connection.execute(CHECK)
            assert (done.converted, done.lost) == (len(kept), len(expected) - len(kept))
            former, expected = after, kept
        [revision] = await connection.fetch(
            "SELECT revision FROM guanxi_custom_field WHERE tenant_id = $1 AND name = 'past'",
            app.tenant.id,
        )
        assert revision[0] == former.revision
        rows = await connection.fetch(
            f'SELECT id, kind, "{former.column}" AS value FROM guanxi_custom_value '
            "WHERE tenant_id = $1 AND field = 'Customer.past'",
            app.tenant.id,
        )
        await undone.rollback()
    assert {row["id"].int: row["value"] for row in rows} == expected
    assert {row["kind"] for row in rows} <= {former.kind}


async def test_a_write_that_began_before_a_change_is_answered_by_the_new_schema(app: App) -> None:
    """Its statement waits for the change, is refused by the database, and is told to begin anew."""
    field = await define(app, "size", "TEXT")
    engine, access = Engine(app.platform), await app.access()
    document, given = CREATE % "", {"input": {"code": "late", "name": "Late", "size": "12"}}
    access_two = await app.access()
    async with app.platform.context(access_two) as ctx:
        connection = await ctx.raw()  # type: ignore[attr-defined]
        await connection.execute("SET CONSTRAINTS ALL DEFERRED")
        await connection.execute(
            "UPDATE guanxi_custom_field SET kind = 'int' WHERE tenant_id = $1 AND name = 'size'",
            app.tenant.id,
        )
        late = asyncio.create_task(engine.execute(access, document, given))
        done, _ = await asyncio.wait([late], timeout=0.3)
        assert not done
    with pytest.raises(StaleAccess):
        await late
    renewed = await engine.execute(await app.access(), document, given)
    assert "errors" in json.loads(renewed.body)
    assert field


async def test_what_is_written_while_a_change_begins_is_converted(app: App) -> None:
    field = await define(app, "girth", "TEXT")
    made = await create(app, girth="12")
    async with app.context() as ctx:
        connection = await ctx.raw()  # type: ignore[attr-defined]
        await connection.execute(
            "UPDATE guanxi_custom_value SET text = '13' "
            "WHERE tenant_id = $1 AND field = 'Customer.girth'",
            app.tenant.id,
        )
        changing = asyncio.create_task(app.graphql(CHANGE, id=field, kind="INT"))
        done, _ = await asyncio.wait([changing], timeout=0.3)
        assert not done
    assert (await changing)["changeCustomField"]["errors"] == []
    found = await app.graphql("query ($id: ID!) { customer(id: $id) { girth } }", id=made["id"])
    assert found["customer"]["girth"] == 13


@pytest.mark.parametrize("there", [False, True], ids=["create", "update"])
async def test_an_option_that_goes_is_not_written_meanwhile(app: App, there: bool) -> None:
    """By whoever still has the former options in mind, in a new row as in one that has a value."""
    name = f"ore{there}"
    field = await define(app, name, "CHOICE", options=METALS)
    made = await create(app, **({name: "GOLD"} if there else {}))
    engine, access, two = Engine(app.platform), await app.access(), await app.access()
    document = UPDATE % name
    given = {"id": made["id"], "version": 1, "input": {name: "SILVER"}}
    before = Definition("Customer", name, "choice", "One of ours.", tuple(METALS))
    after = replace(before, options=("GOLD",))
    async with app.platform.context(two) as ctx:
        connection = await ctx.raw()  # type: ignore[attr-defined]
        await connection.execute(DEFER)
        await connection.execute(
            "UPDATE guanxi_custom_field SET options = $3 WHERE tenant_id = $1 AND name = $2",
            app.tenant.id, name, list(after.options),
        )  # fmt: skip
        await convert(connection, app.tenant.id, before, after, Customer, write=True)
        late = asyncio.create_task(engine.execute(access, document, given))
        done, _ = await asyncio.wait([late], timeout=0.3)
        assert not done
    with pytest.raises(StaleAccess):
        await late
    assert await values_of(app, f"Customer.{name}") == there
    assert field


async def test_a_field_of_another_kind_keeps_what_fits(app: App) -> None:
    field = await define(app, "seats", "TEXT")
    for number, value in enumerate(["7", "many", " 8 ", "7.5"]):
        await create(app, code=f"seats-{number}", seats=value)
    given = {"id": field, "kind": "INT"}
    planned = (await app.graphql(PLAN, **given))["customFieldChange"]
    assert planned == {
        "converted": 2, "lost": 2, "examples": [
            {"value": "many", "reason": "'many' is not a number such as 1234.50"},
            {"value": "7.5", "reason": "'7.5' is not a whole number"},
        ],
    }  # fmt: skip
    few = (await app.graphql(CHANGE, **given, lose=1))["changeCustomField"]
    assert few["errors"][0]["path"] == "lose"
    assert "2 values do not fit" in few["errors"][0]["message"]
    assert await values_of(app, "Customer.seats") == 4
    done = (await app.graphql(CHANGE, **given, lose=2))["changeCustomField"]
    assert done == {"result": {"converted": 2, "lost": 2}, "errors": []}
    answer = await app.graphql(
        '{ customers(where: { code: { gte: "seats-", lt: "seats." } }, orderBy: [SEATS_DESC]) '
        "{ edges { node { seats } } } }"
    )
    found = [edge["node"]["seats"] for edge in answer["customers"]["edges"]]
    assert found == [8, 7, None, None]
    assert await values_of(app, "Customer.seats") == 2


async def test_options_are_changed_like_a_kind_and_what_is_done_is_audited(app: App) -> None:
    field = await define(app, "metal", "CHOICE", options=METALS[1:])
    await create(app, code="m1", metal="GOLD")
    await create(app, code="m2", metal="SILVER")
    given = {"id": field, "kind": "CHOICE", "options": ["GOLD", "IRON|铁|Iron"]}
    planned = (await app.graphql(PLAN, **given))["customFieldChange"]
    assert planned["lost"] == 1
    assert planned["examples"][0]["value"] == "SILVER"
    same = (await app.graphql(CHANGE, **{**given, "options": METALS[1:]}))["changeCustomField"]
    assert same["errors"][0]["path"] == "kind"
    done = (await app.graphql(CHANGE, **given, lose=1))["changeCustomField"]
    assert done["errors"] == []
    made = await create(app, "metal", code="m3", metal="IRON")
    assert made["metal"] == "IRON"
    entries = await app.graphql(
        "query ($id: String!) { auditEntries(where: { rowId: { eq: $id } }, orderBy: [ID_ASC]) "
        "{ edges { node { action changes { field before after } } } } }",
        id=field,
    )
    told = [edge["node"] for edge in entries["auditEntries"]["edges"]]
    actions = [one["action"] for one in told]
    assert actions[0] == "guanxi.define_custom_field"
    assert set(actions[1:]) == {"guanxi.change_custom_field"}
    changes = {c["field"]: c["after"] for one in told[1:] for c in one["changes"]}
    assert changes["lost"] == "1"
    assert json.loads(changes["options"]) == ["GOLD", "IRON|铁|Iron"]
