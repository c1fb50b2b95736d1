"""Custom fields: defined in GraphQL, then read, written, filtered and grouped like others."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from custom_fields import CREATE, UPDATE, codes, create, give
from guanxi_core.database.pool import TenantPool
from guanxi_customers import Customers
from guanxi_graphql.execute.engine import Engine
from guanxi_sdk.testing import App, Boot

KINDS: dict[str, tuple[list[Any], str]] = {
    "TEXT": (["alpha", "beta", "华为"], "String"),
    "INT": ([-5, 7, 40], "Int"),
    "FLOAT": ([-1.5, 0.25, 1e20], "Float"),
    "BOOL": ([False, True], "Boolean"),
    "DATE": (["1999-12-31", "2024-02-29", "2030-01-01"], "Date"),
    "DATETIME": (
        ["1999-12-31T23:00:00+00:00", "2024-02-29T00:00:00+00:00", "2030-01-01T01:02:03+00:00"],
        "DateTime",
    ),
    "CHOICE": (["BRASS", "GOLD", "SILVER"], "CustomerOfChoice"),
}


@pytest.fixture(scope="module")
async def app(guanxi_database: Any) -> AsyncIterator[App]:
    """Customers with a custom field of each kind, and a few rows."""
    async with AsyncExitStack() as stack:
        yield await filled(await Boot(guanxi_database, stack)(Customers()))


async def filled(made: App) -> App:
    await give(made, **{f"of{kind.capitalize()}": kind for kind in KINDS})
    await give(made, "Person", nick="TEXT")
    for number in range(4):  # the last one has no values
        given = {
            f"of{kind.capitalize()}": values[number]
            for kind, (values, _) in KINDS.items()
            if number < len(values)
        }
        await create(made, code=f"N{number}", **given)
    return made


@pytest.mark.parametrize("kind", KINDS)
async def test_values_are_typed_and_read_back(app: App, kind: str) -> None:
    name, (values, type_) = f"of{kind.capitalize()}", KINDS[kind]
    answer = await app.graphql(
        '{ __type(name: "Customer") { fields { name type { name kind } } } '
        f"customers(orderBy: CODE_ASC) {{ edges {{ node {{ {name} }} }} }} }}"
    )
    types = {field["name"]: field["type"]["name"] for field in answer["__type"]["fields"]}
    assert types[name] == type_
    found = [edge["node"][name] for edge in answer["customers"]["edges"]]
    assert found == [*values, *[None] * (4 - len(values))]


@pytest.mark.parametrize("kind", KINDS)
async def test_they_are_filtered_and_sorted(app: App, kind: str) -> None:
    name, (values, _) = f"of{kind.capitalize()}", KINDS[kind]
    spelled = [_spelled(kind, value) for value in values]
    everybody = [f"N{number}" for number in range(4)]
    filled, empty = everybody[: len(values)], everybody[len(values) :]
    order = f"orderBy: [OF_{kind}_ASC, CODE_ASC]"
    assert await codes(app, order) == [*filled, *empty]
    assert await codes(app, order.replace(f"{kind}_ASC", f"{kind}_DESC")) == [*filled[::-1], *empty]
    for code, literal in zip(filled, spelled, strict=True):
        assert await codes(app, f"where: {{ {name}: {{ eq: {literal} }} }}") == [code]
    assert await codes(app, f"{order}, where: {{ {name}: {{ isNull: true }} }}") == empty
    assert (
        await codes(app, f"{order}, where: {{ NOT: {{ {name}: {{ isNull: true }} }} }}") == filled
    )
    if kind == "BOOL":
        return
    one = f"where: {{ {name}: {{ in: [{spelled[0]}, {spelled[1]}] }} }}"
    assert await codes(app, f"{order}, {one}") == filled[:2]
    assert await codes(app, f"{order}, {one.replace('in:', 'notIn:')}") == [*filled[2:], *empty]
    if kind != "CHOICE":
        later = f"where: {{ {name}: {{ gt: {spelled[0]}, lte: {spelled[2]} }} }}"
        assert await codes(app, f"{order}, {later}") == filled[1:]


def _spelled(kind: str, value: Any) -> str:
    if kind == "CHOICE":
        return str(value)
    return json.dumps(value, ensure_ascii=False)


async def test_pages_continue_behind_a_value_and_behind_none(app: App) -> None:
    found: list[str] = []
    after: str | None = None
    for _ in range(4):
        answer = await app.graphql(
            "query ($after: String) { customers(first: 1, after: $after, "
            "orderBy: [OF_INT_DESC, CODE_ASC]) { edges { cursor node { code } } } }",
            after=after,
        )
        [edge] = answer["customers"]["edges"]
        found.append(edge["node"]["code"])
        after = edge["cursor"]
    assert found == ["N2", "N1", "N0", "N3"]


async def test_they_are_added_up_and_grouped(app: App) -> None:
    answer = await app.graphql(
        """{ customersAggregate(groupBy: [OF_CHOICE]) {
          values { ofInt { count sum avg min max } ofFloat { max } ofDate { min } }
          groups { key { ofChoice } count values { ofInt { sum } } }
        } }"""
    )
    found = answer["customersAggregate"]
    assert found["values"] == {
        "ofInt": {"count": 3, "sum": 42, "avg": 14, "min": -5, "max": 40},
        "ofFloat": {"max": 1e20}, "ofDate": {"min": "1999-12-31"},
    }  # fmt: skip
    assert [(g["key"]["ofChoice"], g["values"]["ofInt"]["sum"]) for g in found["groups"]] == [
        ("BRASS", -5), ("GOLD", 7), ("SILVER", 40), (None, None),
    ]  # fmt: skip


async def test_relations_and_lists_reach_them(app: App) -> None:
    [one] = await codes(app, 'where: { code: { eq: "N0" } }, first: 1')
    assert one == "N0"
    customer = await app.graphql(
        '{ customers(where: { code: { eq: "N0" } }) { edges { node { id } } } }'
    )
    identity = customer["customers"]["edges"][0]["node"]["id"]
    made = await app.graphql(
        "mutation ($id: ID!) { createPerson(input: { "
        'customerId: $id, name: "Ada", nick: "Countess" }) '
        "{ person { nick customer { ofText ofChoice } } errors { path message } } }",
        id=identity,
    )
    assert made["createPerson"] == {
        "person": {"nick": "Countess", "customer": {"ofText": "alpha", "ofChoice": "BRASS"}},
        "errors": [],
    }
    assert await codes(app, 'where: { persons: { some: { nick: { eq: "Countess" } } } }') == ["N0"]
    answer = await app.graphql(
        '{ persons(where: { customer: { ofInt: { eq: -5 } }, nick: { gt: "C" } }) '
        "{ totalCount edges { node { nick } } } }"
    )
    assert answer["persons"] == {"totalCount": 1, "edges": [{"node": {"nick": "Countess"}}]}


async def test_changes_are_written_audited_and_undone_by_null(app: App) -> None:
    made = await create(app, "ofInt ofChoice", code="X", ofInt=1, ofChoice="GOLD", ofText="a")
    assert (made["ofInt"], made["ofChoice"]) == (1, "GOLD")
    given = {"ofInt": 2, "ofChoice": None, "ofText": "a", "name": "Two"}
    update = await app.graphql(
        UPDATE % "ofInt ofChoice ofText ofDate name", id=made["id"], version=1, input=given
    )
    assert update["updateCustomer"] == {
        "customer": {
            "id": made["id"], "version": 2, "ofInt": 2, "ofChoice": None, "ofText": "a",
            "ofDate": None, "name": "Two",
        },
        "errors": [],
    }  # fmt: skip
    stale = await app.graphql(UPDATE % "", id=made["id"], version=1, input={"ofInt": 3})
    assert stale["updateCustomer"]["errors"][0]["code"] == "CONFLICT"
    only = await app.graphql(UPDATE % "ofInt", id=made["id"], version=2, input={"ofInt": None})
    assert only["updateCustomer"]["customer"] == {"id": made["id"], "version": 3, "ofInt": None}
    entries = await app.graphql(
        "query ($id: String!) { auditEntries(where: { rowId: { eq: $id } }, orderBy: [ID_ASC]) "
        "{ edges { node { action changes { field before after withheld } } } } }",
        id=made["id"],
    )
    told = [edge["node"] for edge in entries["auditEntries"]["edges"]]
    assert [one["action"].rpartition(".")[2] for one in told] == ["create", "update", "update"]
    changed = [
        {c["field"]: (c["before"], c["after"]) for c in one["changes"] if not c["withheld"]}
        for one in told
    ]
    assert {name: changed[0][name] for name in ("ofInt", "ofChoice", "ofText")} == {
        "ofInt": (None, "1"), "ofChoice": (None, '"GOLD"'), "ofText": (None, '"a"'),
    }  # fmt: skip
    assert changed[1] == {
        "name": ('"One"', '"Two"'), "ofInt": ("1", "2"), "ofChoice": ('"GOLD"', None)
    }  # fmt: skip
    assert changed[2] == {"ofInt": ("2", None)}


async def test_reads_and_writes_are_one_statement_each(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    access, taken = await app.access(), []
    engine = Engine(app.platform)
    ready = TenantPool.ready

    def counting(self: TenantPool, tenant: Any, **options: Any) -> Any:
        taken.append(tenant)
        return ready(self, tenant, **options)

    monkeypatch.setattr(TenantPool, "ready", counting)
    given = {"code": "Y", "name": "Y", "ofDate": "2024-01-01", "ofText": "y"}
    made = await engine.execute(access, CREATE % "name", {"input": given})
    found = await engine.execute(
        access,
        '{ customers(where: { ofText: { eq: "y" } }, orderBy: OF_INT_ASC) '
        "{ totalCount edges { node { ofText ofInt ofDate ofChoice } } } }",
    )
    assert b'"errors":[]' in made.body
    assert b'"ofDate":"2024-01-01"' in found.body
    assert len(taken) == 2


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("ofText", "x" * 501, "is longer than 500 characters"),
        ("ofText", "\x00", "holds a character that cannot be stored"),
    ],
)
async def test_values_that_do_not_fit_are_refused(
    app: App, field: str, value: Any, message: str
) -> None:
    values = {"code": "Z", "name": "Z", field: value}
    answer = await app.graphql(CREATE % "", input=values)
    assert answer["createCustomer"]["errors"] == [
        {"path": field, "message": f"{field} {message}"}
    ] or [{"path": field, "message": message}]
    assert answer["createCustomer"]["errors"][0]["path"] == field
    wrong = await app.execute(CREATE % "", {"input": {"code": "Z", "name": "Z", "ofInt": "seven"}})
    assert wrong["errors"][0]["extensions"]["code"] in (
        "BAD_USER_INPUT",
        "GRAPHQL_VALIDATION_FAILED",
    )


async def test_changes_are_told_with_them(app: App) -> None:
    asked = (
        'subscription { customerChanged(where: { ofText: { eq: "told" } }) '
        "{ action customer { ofText ofChoice } } }"
    )
    await create(app, ofText="untold")
    await create(app, ofText="told", ofChoice="GOLD")
    told = await app.told(asked)
    assert told == [
        {
            "data": {
                "customerChanged": {
                    "action": "CREATED", "customer": {"ofText": "told", "ofChoice": "GOLD"}
                }
            }
        }
    ]  # fmt: skip
