"""Doors beside those of lists and rows: custom fields, search, groups, kept documents, exports."""

import hashlib
import json
from typing import Any

import pytest

from desks import LISTED, Desk, door
from guanxi_graphql.exporting import Wanted, export
from guanxi_sdk import GuanxiError


async def _forget(desk: Desk, table: str) -> None:
    async with desk.app.platform.pool.connection(desk.app.tenant.id) as connection:
        await connection.execute(f"DELETE FROM {table}")


def _refusals(payload: Any) -> list[str]:
    """Codes and places of errors, in words that no text is."""
    return [f"{error['code']} at {error.get('path')}" for error in payload["errors"]]


@door
async def defined(desk: Desk, text: str) -> Any:
    """Models, names and options of custom fields: what is none is refused."""
    given = [
        {"model": f"x {text}", "name": "fine"},
        {"name": f"x {text}"},
        {"kind": "CHOICE", "options": [f"x {text}"]},
        {"kind": "CHOICE", "options": ["FINE", f"FINE|{text}"]},
    ]
    made = [
        await desk.data(
            "mutation ($model: String = \"Customer\", $name: String = \"fine\", "
            "$kind: CustomFieldKind = TEXT, $options: [String!] = []) { "
            "defineCustomField(model: $model, name: $name, kind: $kind, options: $options, "
            "description: \"One of ours.\") { customField { id } errors { code path } } }", one,
        )
        for one in given
    ]  # fmt: skip
    return [_refusals(one["defineCustomField"]) for one in made]


@door
async def described(desk: Desk, text: str) -> Any:
    """Descriptions of custom fields, which are part of a schema."""
    text = f"x {text}".replace("\r\n", " ")
    fields = "{ customFields { edges { node { id name description } } } }"
    known = (await desk.data(fields))["customFields"]["edges"]
    (motto,) = [one["node"] for one in known if one["node"]["name"] == "motto"]
    made = await desk.data(
        "mutation ($id: ID!, $d: String!) { updateCustomField(fieldId: $id, description: $d) "
        "{ customField { description } errors { code path } } }", {"id": motto["id"], "d": text},
    )  # fmt: skip
    told = await desk.data('{ __type(name: "Customer") { fields { name description } } }')
    (shown,) = [one for one in told["__type"]["fields"] if one["name"] == "motto"]
    assert text.strip() in shown["description"]
    assert made["updateCustomField"]["customField"] == {"description": text.strip()}
    return _refusals(made["updateCustomField"])


@door
async def kept_in_a_custom_field(desk: Desk, text: str) -> Any:
    """Values of custom fields: as they were, found by themselves alone, and grouped by."""
    made = await desk.data(
        "mutation ($m: String!) { createCustomer(input: {code: \"own\", name: \"Own\", motto: $m}) "
        "{ customer { id motto } errors { code } } }", {"m": text},
    )  # fmt: skip
    assert made["createCustomer"]["customer"]["motto"] == text
    found = await desk.data(
        "query ($m: String, $ms: [String!]) { "
        "a: customers(where: {motto: {eq: $m}}) { edges { node { code motto } } } "
        "b: customers(where: {motto: {in: $ms}}, orderBy: MOTTO_ASC) { totalCount } "
        "c: customers(where: {NOT: {motto: {eq: $m}}}) { totalCount } "
        "d: customersAggregate(groupBy: MOTTO) { groups { key { motto } count } } "
        "e: persons(where: {customer: {motto: {eq: $m}}}) { totalCount } }",
        {"m": text, "ms": [text, "none"]},
    )
    await _forget(desk, "customers_customer WHERE code = 'own'")
    await _forget(desk, "guanxi_custom_value")
    wrong = await desk.ask(
        "query ($m: CustomerMetal) { customers(where: {metal: {eq: $m}}) { totalCount } }",
        {"m": text},
    )
    return found, wrong[1]["errors"][0]["extensions"]


@door
async def searched(desk: Desk, text: str) -> Any:
    """What is searched for, beside a word that nobody has."""
    status, answer = await desk.ask(
        "query ($q: String!) { customers(search: $q) { totalCount } "
        "search(query: $q) { totalCount edges { node { id } } } }", {"q": f"zzqq{text} zzqq"},
    )  # fmt: skip
    if status != 200 or "errors" in answer:  # too many words
        assert {e["extensions"]["code"] for e in answer["errors"]} == {"INVALID"}, answer
        return 0
    return answer["data"]["customers"]["totalCount"] + answer["data"]["search"]["totalCount"]


@door
async def grouped(desk: Desk, text: str) -> Any:
    """Fields to group by, buckets and orders of groups: values of enums."""
    found = []
    for kind, argument in (
        ("[CustomerGroupBy!]", "groupBy"), ("DateBucket", "bucket"), ("GroupOrderBy", "orderBy"),
    ):  # fmt: skip
        more = "" if argument == "groupBy" else "groupBy: CREATED_AT, "
        _, answer = await desk.ask(
            f"query ($v: {kind}) {{ customersAggregate({more}{argument}: $v) {{ groupCount }} }}",
            {"v": text},
        )
        found.append((answer["errors"][0]["extensions"], "data" in answer))
    return found


REGISTER = """mutation ($documents: [String!]!) {
  registerOperations(documents: $documents) { errors { code path } }
}"""


@door
async def registered(desk: Desk, text: str) -> Any:
    """Operations that are registered, and names of documents."""
    document = f"query Q {LISTED % f'{{name: {{eq: {json.dumps(text)}}}}}'}"
    made, wrong = [
        await desk.data(REGISTER, {"documents": [one]}) for one in (document, f"{text} {{")
    ]
    digest = hashlib.sha256(document.encode()).hexdigest()
    named = [
        {"documentId": digest}, {"documentId": f"x{text}"},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": f"x{text}"}}},
    ]  # fmt: skip
    answers = [await desk.ask(None, **one) for one in named]
    await _forget(desk, "guanxi_registered_operation")
    return *(_refusals(one["registerOperations"]) for one in (made, wrong)), *answers


@door
async def selected_for_a_webhook(desk: Desk, text: str) -> Any:
    """Selections of webhooks: documents that are kept and asked later."""
    good = f"query ($id: ID!) {{ customer(id: $id) {{ name }} {LISTED[1:-1] % 'WHERE'} }}"
    good = good.replace("WHERE", f"{{name: {{eq: {json.dumps(text)}}}}}")
    found = []
    for selection in (good, f"{text} {{"):
        made = await desk.data(
            "mutation ($s: String!) { createWebhook(url: \"https://hooks.example.com/\", "
            "events: [\"CustomerCreated\"], selection: $s) "
            "{ webhookEndpoint { selection } errors { code path } } }", {"s": selection},
        )  # fmt: skip
        made = made["createWebhook"]
        endpoint = made["webhookEndpoint"]
        assert endpoint is None or endpoint["selection"] == selection
        found.append((endpoint is None, _refusals(made)))
    await _forget(desk, "webhooks_webhook_endpoint")
    return found


@door
async def exported(desk: Desk, text: str) -> Any:
    """Models, fields and conditions of an export."""
    access = await desk.app.access()
    written: list[bytes] = []
    refused = []
    for wanted in (
        Wanted(f"x {text}"), Wanted("customers", [f"x {text}"]),
        Wanted("customers", [f"owner.x {text}"]), Wanted("customers", None, {f"x {text}": {}}),
        Wanted("customers", None, {"name": {f"x {text}": "Ada"}}),
    ):  # fmt: skip
        with pytest.raises(GuanxiError) as error:
            await export(desk.app.platform, access, wanted, written.append, actor="ada")
        refused.append(type(error.value))
    wanted = Wanted("customers", ["name"], {"name": {"eq": text}})
    done = await export(desk.app.platform, access, wanted, written.append, actor="ada")
    return refused, done.rows, [one for one in written if one]
