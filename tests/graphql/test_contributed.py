"""Plugin code behind GraphQL: what it may not do, and what its failures cost."""

import datetime as dt
from typing import Any

import pytest
from with_bonuses import SEE, Bonuses, BonusSettings
from with_every_kind import Grade, Lab, Researcher, Site
from with_leaks import Breaking, Keeper
from with_mischief import COUNT, Box, Mischief, Shelf

from guanxi_sdk import Money, Permission

Boot = Any
DAY = dt.date(2024, 1, 2)
NOON = dt.datetime(2024, 1, 2, 12, tzinfo=dt.UTC)


async def test_an_outer_join_in_an_sql_field_keeps_rows_without_a_partner(guanxi: Boot) -> None:
    app = await guanxi(Mischief())
    shelf = await app.add(Shelf(name="one"))
    lid = await app.add(Box(name="lid"))
    await app.add(Box(name="covered", shelf_id=shelf.id, lid_id=lid.id))
    await app.add(Box(name="open", shelf_id=shelf.id))
    answer = await app.graphql("{ shelves { edges { node { outerCount } } } }")
    assert answer["shelves"]["edges"] == [{"node": {"outerCount": 2}}]


async def test_an_sql_field_depends_on_the_tenants_settings_and_on_permissions(
    guanxi: Boot,
) -> None:
    document = """{ researchers(where: {bonusDue: {gt: 0}}, orderBy: BONUS_DUE_DESC) {
        edges { node { name bonusDue } } } bonusRate }"""
    bare = "{ researchers { edges { node { bonusDue } } } }"
    for settings, found in (
        (BonusSettings(), [("a", 4.0)]),
        (BonusSettings(rate=0.5, grades=(Grade.A, Grade.B)), [("b", 1.5), ("a", 1.0)]),
        (BonusSettings(rate=1, least_age=31, grades=(Grade.B,)), [("b", 3.0)]),
    ):
        app = await guanxi(Lab(), Bonuses(settings))
        site = await app.add(Site(code="s", name="s", opened=DAY))
        for name, grade, height, age in (("a", Grade.A, 2.0, 30), ("b", Grade.B, 3.0, 31)):
            await app.add(
                Researcher(
                    name=name, grade=grade, height=height, age=age, born=DAY, joined=NOON,
                    pay=Money(1, "CNY"), site_id=site.id,
                )
            )  # fmt: skip
        answer = await app.graphql(document)
        rows = [edge["node"] for edge in answer["researchers"]["edges"]]
        assert [(row["name"], row["bonusDue"]) for row in rows] == found
        assert answer["bonusRate"] == settings.rate
        without = await app.graphql(bare, can=["lab.read"])
        assert {e["node"]["bonusDue"] for e in without["researchers"]["edges"]} == {None}
        allowed = await app.graphql(bare, can=["lab.read", SEE])
        assert None not in {e["node"]["bonusDue"] for e in allowed["researchers"]["edges"]}


async def test_a_failing_field_costs_itself_only(guanxi: Boot) -> None:
    app = await guanxi(Mischief())
    await app.add(Shelf(name="one"))
    for name in ("broken", "lost"):
        answer = await app.execute(f"{{ shelves {{ edges {{ node {{ name {name} }} }} }} }}")
        assert answer["data"]["shelves"]["edges"] == [{"node": {"name": "one", name: None}}]
        assert [error["path"] for error in answer["errors"]] == [["shelves", "edges", "node", name]]


async def test_a_field_reads_only_what_it_asked_for(
    guanxi: Boot, caplog: pytest.LogCaptureFixture
) -> None:
    app = await guanxi(Breaking())
    await app.add(Keeper(name="one"))
    answer = await app.execute("{ keepers { edges { node { shout } } } }")
    assert answer["data"]["keepers"]["edges"] == [{"node": {"shout": None}}]
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["PLUGIN_FAILED"]
    assert (
        "plugin 'leaks': shout() reads 'name' of Keeper, which is not among its columns: add "
        "'name' to columns=."
    ) in caplog.text


async def test_a_query_cannot_write(guanxi: Boot) -> None:
    app = await guanxi(Mischief())
    answer = await app.execute("{ sneak }")
    assert answer["data"] == {"sneak": None}
    assert len(answer["errors"]) == 1
    assert (await app.graphql("{ shelves { totalCount } }"))["shelves"]["totalCount"] == 0


async def test_a_failing_mutation_does_not_hide_what_was_written_before(guanxi: Boot) -> None:
    app = await guanxi(Mischief())
    answer = await app.execute(
        'mutation { createShelf(input: { name: "kept" }) { shelf { name } } '
        "drop { errors { code } } }"
    )
    assert answer["data"] == {"createShelf": {"shelf": {"name": "kept"}}, "drop": None}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["PLUGIN_FAILED"]
    assert (await app.graphql("{ shelves { totalCount } }"))["shelves"]["totalCount"] == 1


async def test_a_filter_tells_nothing_to_those_who_may_not_read(guanxi: Boot) -> None:
    app = await guanxi(Mischief())
    await app.add(Box(name="secret"))
    ask = "mutation { countBoxes(where: { createdAt: { isNull: false } }) { result } }"
    allowed = [COUNT, Permission("mischief.read", "See boxes.")]
    assert (await app.graphql(ask, can=allowed))["countBoxes"]["result"] == 1
    refused = await app.execute(ask, can=[COUNT])
    assert refused["data"] == {"countBoxes": None}
    assert [error["extensions"]["code"] for error in refused["errors"]] == ["FORBIDDEN"]
