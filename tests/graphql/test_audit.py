"""The audit as auditors ask for it."""

from typing import Any

import pytest

from guanxi_customers import Customer, Customers, Person
from guanxi_sdk.testing.app import GraphQLFailed, global_id

ALL = """query ($where: AuditWhere, $order: [AuditOrderBy!]) {
  auditEntries(where: $where, orderBy: $order) {
    totalCount
    edges {
      node {
        id actor action model rowId reason origin createdAt
        changes { field before after }
      }
    }
  }
}"""
RENAME = """mutation ($id: ID!, $version: Int!, $name: String!) {
  updateCustomer(id: $id, version: $version, input: {name: $name}) { errors { code } }
}"""


def nodes(answer: Any) -> list[Any]:
    return [edge["node"] for edge in answer["auditEntries"]["edges"]]


async def test_auditors_see_who_changed_what_and_why(guanxi: Any) -> None:
    app = await guanxi(Customers())
    ada = await app.add(Customer(code="A", name="Ada"))
    await app.add(Customer(code="B", name="Bob"))
    values = {"id": ada, "version": 1, "name": "Ada Lovelace"}
    await app.execute(RENAME, values, reason="she asked")
    found = await app.graphql(
        ALL, can=["guanxi.audit"], order=["CREATED_AT_DESC"],
        where={"rowId": {"eq": global_id(ada)}, "action": {"in": ["customers.customer.update"]}},
    )  # fmt: skip
    (entry,) = nodes(found)
    assert entry["changes"] == [{"field": "name", "before": '"Ada"', "after": '"Ada Lovelace"'}]
    assert (entry["model"], entry["reason"], entry["rowId"]) == (
        "Customer", "she asked", global_id(ada),
    )  # fmt: skip
    assert entry["actor"].startswith("token ")
    of_customers = {"action": {"gte": "customers.customer.", "lt": "customers.customer/"}}
    newest = await app.graphql(ALL, order=["CREATED_AT_DESC"], where=of_customers)
    actions = [node["action"].rpartition(".")[2] for node in nodes(newest)]
    assert actions == ["update", "create", "create"]
    of_actor = {"actor": {"eq": entry["actor"]}, "createdAt": {"gte": entry["createdAt"]}}
    assert (await app.graphql(ALL, where=of_actor))["auditEntries"]["totalCount"] == 1
    administration = nodes(await app.graphql(ALL, where={"action": {"gt": "customers/"}}))
    told = {(node["origin"], node["model"]) for node in administration}
    assert told >= {("administration", None)}
    again = await app.graphql("query ($id: ID!) { audit(id: $id) { action } }", id=entry["id"])
    assert again == {"audit": {"action": "customers.customer.update"}}


async def test_nobody_else_sees_the_audit(guanxi: Any) -> None:
    app = await guanxi(Customers())
    for query in ("{ auditEntries { totalCount } }", ALL):
        answer = await app.execute(query, can=["*.read"])
        assert answer["data"] == {"auditEntries": None}
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]


async def test_nothing_writes_it_but_what_it_tells_of(guanxi: Any) -> None:
    app = await guanxi(Customers())
    with pytest.raises(GraphQLFailed):
        await app.graphql('mutation { createAudit(input: {actor: "Eve"}) { errors { code } } }')


async def test_auditors_read_the_record_of_an_erasure(guanxi: Any) -> None:
    app = await guanxi(Customers())
    company = await app.add(Customer(code="A", name="Company"))
    ada = await app.add(Person(name="Ada", name_en="Ada", customer_id=company.id))
    erase = "mutation ($id: String!) { erasePerson(id: $id) { errors { message } } }"
    done = await app.execute(erase, {"id": global_id(ada)}, reason="request 9")
    assert done["data"]["erasePerson"]["errors"] == []
    found = await app.graphql(
        ALL, can=["guanxi.audit"], where={"action": {"eq": "guanxi.erase_person"}}
    )
    (entry,) = nodes(found)
    assert (entry["rowId"], entry["reason"]) == (global_id(ada), "request 9")
    told = {change["field"]: change["after"] for change in entry["changes"]}
    assert told["subjects"] == f'["{global_id(ada)}"]'
    assert int(told["auditEntries"]) >= 1
    secret = await app.graphql(ALL, where={"action": {"eq": "guanxi.secret.read"}})
    assert secret["auditEntries"]["totalCount"] == 0
