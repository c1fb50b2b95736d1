"""Models that are only added to: neither version nor archive, and nothing that changes them."""

from typing import Any

import pytest
from graphql import GraphQLObjectType
from with_append_only import Meter, Meters

from guanxi_core.editions import compose
from guanxi_graphql.schema import schema_of
from guanxi_sdk.testing.app import global_id

Boot = Any


def test_nothing_changes_them_and_nothing_counts_changes() -> None:
    schema = schema_of(compose([Meters])).graphql
    assert schema.mutation_type is not None
    made = {name for name in schema.mutation_type.fields if name.endswith("Reading")}
    assert made == {"takeReading", "correctReading"}
    reading, query = schema.type_map["Reading"], schema.query_type
    assert isinstance(reading, GraphQLObjectType)
    assert query is not None
    assert set(reading.fields) == {"id", "meter", "shown", "createdAt"}
    assert "includeArchived" not in query.fields["readings"].args
    assert "includeArchived" in query.fields["meters"].args


async def test_they_are_added_listed_and_filtered(guanxi: Boot) -> None:
    app = await guanxi(Meters())
    meter = await app.add(Meter(code="m"))
    take = (
        "mutation ($m: ID!, $n: Int!) { takeReading(meterId: $m, shown: $n) { errors { code } } }"
    )
    for shown in (3, 5):
        await app.graphql(take, m=global_id(meter), n=shown)
    answer = await app.graphql(
        """{
          meters(where: { readings: { some: { shown: { gt: 4 } } } }) {
            edges { node { readings(orderBy: [SHOWN_DESC]) { edges { node { shown } } } } }
          }
          readings(where: { meter: { code: { eq: "m" } } }) { totalCount }
        }"""
    )
    (meters,) = answer["meters"]["edges"]
    assert [edge["node"]["shown"] for edge in meters["node"]["readings"]["edges"]] == [5, 3]
    assert answer["readings"] == {"totalCount": 2}


@pytest.mark.parametrize("name", ["correctReading", "correctReadings"])
async def test_plugin_code_cannot_change_them(guanxi: Boot, name: str) -> None:
    app = await guanxi(Meters())
    meter = await app.add(Meter(code="m"))
    take = "mutation ($m: ID!) { takeReading(meterId: $m, shown: 3) { errors { code } } }"
    await app.graphql(take, m=global_id(meter))
    answer = await app.execute(f"mutation {{ {name}(shown: 9) {{ errors {{ code }} }} }}")
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["PLUGIN_FAILED"]
    assert (await app.graphql("{ readings(where: { shown: { eq: 3 } }) { totalCount } }")) == {
        "readings": {"totalCount": 1}
    }
