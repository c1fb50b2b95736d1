"""Whose customers somebody sees: own, team, office (domain rule C1)."""

import json
from typing import Any

import pytest

from guanxi_customers import Customer, Customers, Employee, Office, Person, Stewardship
from guanxi_graphql.execute.engine import Engine
from guanxi_sdk.testing.app import App, global_id
from guanxi_sdk.testing.tokens import make_token
from guanxi_tiers import TierDecision, Tiers

LIST = """{ customers(orderBy: CODE_ASC) { totalCount edges { node {
    code stewardName persons { totalCount edges { node { name phone } } } } } } }"""


async def _ask(app: App, access: Any, document: str, **variables: Any) -> Any:
    reply = await Engine(app.platform).execute(access, document, variables)
    return json.loads(reply.body)


async def _reader(app: App, user: str, scope: str) -> Any:
    patterns = [f"customers.read:{scope}", f"customers.write:{scope}", f"customers.steward:{scope}"]
    token = await make_token(app.platform.pool, app.tenant, patterns, user=user)
    return await app.platform.authenticate(token)


@pytest.fixture
async def firm(guanxi: Any) -> tuple[App, dict[str, Any]]:
    """A chief with a report and that one's report, who each look after a customer; and others."""
    app = await guanxi(Customers(), Tiers())
    rows: dict[str, Any] = {}
    north, south = [await app.add(Office(code=code, name=code)) for code in ("N", "S")]
    chief = None
    for code, office in (("boss", north), ("lead", north), ("junior", south), ("other", south)):
        above = None if code == "other" else chief
        employee = await app.add(
            Employee(code=code, name=code, supervisor_id=above, office_id=office.id)
        )
        chief = employee.id
        customer = await app.add(Customer(code=code, name=code, office_id=office.id))
        await app.add(
            Stewardship(
                customer_id=customer.id, employee_id=employee.id, is_primary=True,
                starts_on=app.clock().date(),
            )
        )  # fmt: skip
        await app.add(Person(customer_id=customer.id, name=f"P {code}", phone="1"))
        rows |= {code: customer, f"employee {code}": employee}
    link = (
        "mutation ($employee: ID!, $user: String) { linkEmployee(employeeId: $employee, "
        "userId: $user) { employee { userId } errors { code path } } }"
    )
    for code in ("boss", "lead", "junior"):
        access = await _reader(app, code, "own")
        user = f"user_{access.caller.user_id}"
        linked = await app.graphql(link, employee=rows[f"employee {code}"], user=user)
        assert linked["linkEmployee"] == {"employee": {"userId": user}, "errors": []}
    again = await app.graphql(link, employee=rows["employee other"], user=user)
    assert again["linkEmployee"]["errors"] == [{"code": "CONFLICT", "path": "userId"}]
    wrong = await app.graphql(link, employee=rows["employee other"], user="ada@example.com")
    assert wrong["linkEmployee"]["errors"] == [{"code": "INVALID", "path": "userId"}]
    return app, rows


async def test_scopes_follow_stewards_supervisors_and_offices(
    firm: tuple[App, dict[str, Any]],
) -> None:
    app, _ = firm
    for user, scope, wanted in (
        ("boss", "own", ["boss"]), ("boss", "team", ["boss", "junior", "lead"]),
        ("lead", "team", ["junior", "lead"]), ("junior", "team", ["junior"]),
        ("boss", "office", ["boss", "lead"]), ("junior", "office", ["junior", "other"]),
        ("nobody", "team", []), ("boss", "all", ["boss", "junior", "lead", "other"]),
    ):  # fmt: skip
        access = await _reader(app, user, scope)
        answer = await _ask(app, access, LIST)
        found = answer["data"]["customers"]
        assert "errors" not in answer
        assert [edge["node"]["code"] for edge in found["edges"]] == wanted, (user, scope)
        assert found["totalCount"] == len(wanted)
        for edge in found["edges"]:
            assert edge["node"]["stewardName"] == edge["node"]["code"]
            assert edge["node"]["persons"]["edges"][0]["node"]["phone"] == "1"
        persons = await _ask(app, access, "{ persons { totalCount } employees { totalCount } }")
        assert persons["data"]["persons"]["totalCount"] == len(wanted)
        assert persons["data"]["employees"]["totalCount"] == 4, "colleagues are no secret"


async def test_plugin_code_stays_in_scope(firm: tuple[App, dict[str, Any]]) -> None:
    app, rows = firm
    permissions = ["customers.read:team", "tiers.read:team", "tiers.write:team"]
    token = await make_token(app.platform.pool, app.tenant, permissions, user="lead")
    answer = await _ask(
        app, await app.platform.authenticate(token),
        "mutation { classifyCustomers { result { classified } errors { message } } }",
    )  # fmt: skip
    assert answer["data"]["classifyCustomers"] == {"result": {"classified": 2}, "errors": []}
    decided = {row.customer_id for row in await app.all(TierDecision)}
    assert decided == {rows["lead"].id, rows["junior"].id}


async def test_verbs_stay_in_scope(firm: tuple[App, dict[str, Any]]) -> None:
    app, rows = firm
    access = await _reader(app, "lead", "team")
    assign = (
        "mutation ($customer: ID!, $to: ID!) { assignSteward(customerId: $customer, "
        "employeeId: $to) { errors { code path } } }"
    )
    to = global_id(rows["employee lead"])
    for code, errors in (
        ("junior", []), ("boss", [{"code": "NOT_FOUND", "path": "customerId"}]),
    ):  # fmt: skip
        answer = await _ask(app, access, assign, customer=global_id(rows[code]), to=to)
        assert answer["data"]["assignSteward"]["errors"] == errors
    change = (
        'mutation ($id: ID!) { updateEmployee(id: $id, version: 1, input: {title: "CEO"}) '
        "{ errors { code path } } }"
    )
    answer = await _ask(app, access, change, id=to)
    assert answer["data"]["updateEmployee"]["errors"] == [{"code": "NOT_FOUND", "path": "id"}]
    rename = (
        'mutation ($id: ID!) { updateCustomer(id: $id, version: 1, input: {name: "New"}) '
        "{ customer { name } errors { code } } }"
    )
    answer = await _ask(app, access, rename, id=global_id(rows["junior"]))
    assert answer["data"]["updateCustomer"]["customer"] == {"name": "New"}
    answer = await _ask(app, access, rename, id=global_id(rows["boss"]))
    assert answer["data"]["updateCustomer"]["errors"] == [{"code": "NOT_FOUND"}]
    create = 'mutation { createCustomer(input: {code: "x", name: "x"}) { errors { code path } } }'
    answer = await _ask(app, access, create)
    assert answer["data"]["createCustomer"]["errors"] == [{"code": "FORBIDDEN", "path": None}]
