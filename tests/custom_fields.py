"""Documents about custom fields, for tests."""

import secrets
from typing import Any

from guanxi_sdk.testing import App

METALS = ["BRASS", "GOLD|金|Gold", "SILVER|银|Silver"]
DEFINE = """mutation ($name: String!, $kind: CustomFieldKind!, $options: [String!],
    $clearance: Clearance! = INTERNAL, $model: String! = "Customer") {
  defineCustomField(model: $model, name: $name, kind: $kind, description: "One of ours.",
      options: $options, clearance: $clearance) {
    customField { id model name kind options clearance } errors { path message }
  }
}"""
CREATE = """mutation ($input: CreateCustomerInput!) {
  createCustomer(input: $input) { customer { id %s } errors { path message } }
}"""
UPDATE = """mutation ($id: ID!, $version: Int!, $input: UpdateCustomerInput!) {
  updateCustomer(id: $id, version: $version, input: $input) {
    customer { id version %s } errors { code path message }
  }
}"""


async def define(app: App, name: str, kind: str = "TEXT", **more: Any) -> str:
    """Define a field; its id."""
    answer = await app.graphql(DEFINE, name=name, kind=kind, **more)
    assert answer["defineCustomField"]["errors"] == [], answer
    return str(answer["defineCustomField"]["customField"]["id"])


async def give(app: App, model: str = "Customer", /, **fields: str) -> None:
    """Let a model have fields, by name and kind, all at once, which GraphQL defines singly."""
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await connection.executemany(
            "INSERT INTO guanxi_custom_field "
            "(tenant_id, id, model, name, kind, description, options, clearance) "
            "VALUES ($1, gen_random_uuid(), $2, $3, $4, 'One of ours.', $5, 'INTERNAL')",
            [
                (app.tenant.id, model, name, kind.lower(), METALS if kind == "CHOICE" else [])
                for name, kind in fields.items()
            ],
        )


async def create(app: App, selection: str = "", **given: Any) -> dict[str, Any]:
    """Make a customer."""
    values = {"code": secrets.token_hex(4), "name": "One", **given}
    answer = (await app.graphql(CREATE % selection, input=values))["createCustomer"]
    assert answer["errors"] == [], answer
    return dict(answer["customer"])


async def codes(app: App, arguments: str) -> list[str]:
    """The codes of customers, in order."""
    answer = await app.graphql(f"{{ customers({arguments}) {{ edges {{ node {{ code }} }} }} }}")
    return [edge["node"]["code"] for edge in answer["customers"]["edges"]]
