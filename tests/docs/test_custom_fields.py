"""The documents of docs/custom-fields.md, one after the other as a reader would try them."""

import re
from pathlib import Path
from typing import Any

from guanxi_customers import Customers
from guanxi_sdk.testing import Boot

PAGE = Path(__file__).parents[2] / "docs/custom-fields.md"
FIELD = "{ customFields { edges { node { id name } } } }"
CREATE = """mutation ($code: String!, $number: String) {
  createCustomer(input: { code: $code, name: "Eve", loyaltyNumber: $number }) {
    errors { message } } }"""


async def test_the_page_can_be_followed(guanxi: Boot) -> None:
    app = await guanxi(Customers())
    documents = re.findall(r"^```graphql\n(.*?)^```$", PAGE.read_text("utf-8"), re.S | re.M)
    assert len(documents) == 7
    done: dict[str, Any] = {}
    for document in documents:
        name = document.split()[1].split("(")[0]
        if name == "Plan":
            await app.graphql(CREATE, code="B", number=" 7 ")
        given: dict[str, Any] = {}
        if "$id" in document:
            found = (await app.graphql(FIELD))["customFields"]["edges"]
            given["id"] = next(e["node"]["id"] for e in found if "loyalty" in e["node"]["name"])
        done[name] = answer = await app.graphql(document, **given)
        assert all(not part.get("errors") for part in answer.values()), answer
    assert done["Create"]["createCustomer"]["customer"] == {
        "loyaltyNumber": "L-7", "segment": "KEY"
    }  # fmt: skip
    [edge] = done["Find"]["customers"]["edges"]
    assert edge["node"] == {"name": "Ada", "loyaltyNumber": "L-7", "segment": "KEY"}
    assert done["Find"]["customersAggregate"]["groups"] == [{"key": {"segment": "KEY"}, "count": 1}]
    assert done["Plan"]["customFieldChange"]["examples"][0]["value"] == "L-7"
    assert done["Change"]["changeCustomField"]["result"] == {"converted": 1, "lost": 1}
    assert done["Archive"]["archiveCustomField"]["customField"]["archivedAt"] is not None
