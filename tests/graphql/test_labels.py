"""Labels of enums, in the language of the request: over a real server."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import AsyncClient

from guanxi_customers import Customers
from guanxi_sdk import Choice, Plugin, PluginError, query
from guanxi_tiers import Tier, Tiers
from listening import asking, booted

LABELS = """query ($names: [String!]) {
  enumLabels(names: $names) { name values { value label } }
}"""


@pytest.fixture(scope="module")
async def client(guanxi_database: Any) -> AsyncIterator[AsyncClient]:
    async with booted(guanxi_database, Customers(), Tiers()) as app, asking(app) as client:
        yield client


async def ask(client: AsyncClient, query: str, language: str = "", **variables: Any) -> Any:
    headers = {"accept-language": language} if language else {}
    body = {"query": query, "variables": variables}
    answer = (await client.post("/graphql", json=body, headers=headers)).json()
    assert "errors" not in answer, answer
    return answer["data"]


@pytest.mark.parametrize(
    ("language", "label"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "战略"), ("en-GB,zh;q=0.5", "Strategic"), ("", "Strategic"),
     ("fr", "Strategic"), ("fr, zh;q=0.1", "战略"), ("en;q=0.1, zh;q=0.2", "战略")],
)  # fmt: skip
async def test_labels_are_in_the_preferred_language(
    client: AsyncClient, language: str, label: str
) -> None:
    (tiers,) = (await ask(client, LABELS, language, names=["Tier"]))["enumLabels"]
    assert tiers["name"] == "Tier"
    assert tiers["values"][0] == {"value": "S", "label": label}
    assert [one["value"] for one in tiers["values"]] == [tier.name for tier in Tier]


async def test_every_enum_of_a_plugin_has_labels(client: AsyncClient) -> None:
    """Each value that introspection knows has one in each language."""
    schema = "{ __schema { types { name kind enumValues { name description } } } }"
    types = (await ask(client, schema))["__schema"]["types"]
    described = {
        one["name"]: {v["name"]: v["description"] for v in one["enumValues"]}
        for one in types
        if one["kind"] == "ENUM" and all(" · " in v["description"] for v in one["enumValues"])
    }
    zh, en = [(await ask(client, LABELS, one))["enumLabels"] for one in ("zh", "en")]
    assert [one["name"] for one in zh] == [one["name"] for one in en] == sorted(described)
    assert {"Tier", "Lifecycle", "IndustryClass", "JobStatus"} <= set(described)
    for chinese, english in zip(zh, en, strict=True):
        labels = {
            z["value"]: f"{z['label']} · {e['label']}"
            for z, e in zip(chinese["values"], english["values"], strict=True)
        }
        assert labels == described[chinese["name"]]


async def test_names_choose(client: AsyncClient) -> None:
    async def named(names: Any) -> list[str]:
        found = (await ask(client, LABELS, names=names))["enumLabels"]
        return [one["name"] for one in found]

    assert await named(["Tier", "Lifecycle", "Tier"]) == ["Lifecycle", "Tier"]
    assert await named(["CustomerOrderBy", "Customer", "nothing", ""]) == []
    assert await named([]) == []
    assert len(await named(None)) > 5
    written = await ask(client, '{ enumLabels(names: "Tier") { name } }')
    assert written == {"enumLabels": [{"name": "Tier"}]}


async def test_selections_are_answered_as_they_are_written(client: AsyncClient) -> None:
    document = """query ($yes: Boolean!) {
      a: enumLabels(names: ["Tier"]) { ...E values { v: value } kind: __typename }
      b: enumLabels(names: ["Tier"]) { name @skip(if: $yes) values @include(if: $yes) { label } }
      tenant { name }
    }
    fragment E on EnumLabels { values { __typename label v: value } }"""
    found = await ask(client, document, "zh", yes=True)
    first = {"__typename": "EnumValueLabel", "label": "战略", "v": "S"}
    assert list(found) == ["a", "b", "tenant"]
    assert list(found["a"][0]) == ["values", "kind"]
    assert found["a"][0]["values"][0] == first
    assert list(found["a"][0]["values"][0]) == list(first)
    assert found["b"][0]["values"][0] == {"label": "战略"}
    assert (await ask(client, document, "zh", yes=False))["b"] == [{"name": "Tier"}]


async def test_what_is_kept_is_kept_by_language(client: AsyncClient) -> None:
    """Caches tell the two languages apart, and a tag of one is not good for the other."""
    params = {"query": '{ enumLabels(names: ["Tier"]) { values { label } } }'}
    tags = {}
    for language, label in (("zh", "战略"), ("en", "Strategic")):
        answer = await client.get("/graphql", params=params, headers={"accept-language": language})
        assert label in answer.text
        assert "accept-language" in answer.headers["vary"].split(", ")
        tags[language] = answer.headers["etag"]
    for language, tag, status in (
        ("zh", tags["zh"], 304), ("en", tags["en"], 304), ("en", tags["zh"], 200),
    ):  # fmt: skip
        headers = {"accept-language": language, "if-none-match": tag}
        again = await client.get("/graphql", params=params, headers=headers)
        assert again.status_code == status


async def test_a_plugin_that_is_off_has_no_labels(guanxi_database: Any) -> None:
    async with booted(guanxi_database, Customers()) as app:
        found = await app.graphql("{ enumLabels { name } }")
    names = {one["name"] for one in found["enumLabels"]}
    assert "Lifecycle" in names
    assert "Tier" not in names


async def test_no_plugin_takes_the_names(guanxi_database: Any) -> None:
    class EnumLabels(Choice):
        """Taken."""

        A = "a", "甲", "A"

    class Taking(Plugin, name="taking"):
        """Takes a name of the platform's."""

        @query()
        async def taken(self, ctx: Any) -> EnumLabels:
            """Answers."""
            return EnumLabels.A

    with pytest.raises(PluginError, match="claims the type 'EnumLabels', which the core has"):
        async with booted(guanxi_database, Taking()):
            pass
