"""Other rules for tiers: backtest, shadow, promotion (domain rule C7: every value configurable)."""

from typing import Any

import pytest

from guanxi_customers import Purchase
from guanxi_sdk.testing import App, Boot, GraphQLFailed
from guanxi_tiers import (
    READ,
    RULES,
    WRITE,
    TierDecision,
    TierRun,
    TierScheme,
    TierSettings,
    TierShadow,
)
from tiering import (
    OVERRIDE_TIER,
    assess,
    booted,
    buy,
    classify,
    customer,
    done,
    tiers,
)

PROFIT_ALONE = TierSettings(weight_purchase=0, recheck_minutes=0)
BACKTEST = """query ($changes: [String!], $scheme: ID, $asOf: Date, $where: CustomerWhere,
    $first: Int) {
  backtestTiers(changes: $changes, schemeId: $scheme, asOf: $asOf, where: $where, first: $first) {
    asOf compared moved byHand moves { former tier count }
    customers { customerId code name former tier formerReasons { code } reasons { code message } }
} }"""
SHADOW = """{ tierShadowComparison { compared moved byHand moves { former tier count }
    customers { code former tier reasons { code } } } }"""
CREATE = """mutation ($name: String!, $changes: [String!]!) {
  createTierScheme(input: { name: $name, changes: $changes }) {
    tierScheme { id state } errors { path message } } }"""
PROMOTE = """mutation ($id: ID!) { promoteTierScheme(schemeId: $id) {
    result { classified changed } errors { path code message } } }"""
RUN_IN_SHADOW = """mutation ($id: ID!, $until: Date!) {
  shadowTierScheme(schemeId: $id, until: $until) {
    result { classified changed } errors { path code message } } }"""
RETIRE = """mutation ($id: ID!) { retireTierScheme(schemeId: $id) {
    tierScheme { state } errors { path code message } } }"""


async def scored(guanxi: Boot, **profits: float) -> App:
    app = await booted(guanxi, PROFIT_ALONE)
    for code, profit in profits.items():
        await assess(app, await customer(app, code), PROFIT=profit)
    await classify(app)
    return app


async def scheme(app: App, *changes: str) -> str:
    return (await done(app, CREATE, name="stricter", changes=list(changes)))["id"]


async def backtest(app: App, *changes: str, **variables: Any) -> Any:
    return (await app.graphql(BACKTEST, changes=list(changes), **variables))["backtestTiers"]


async def test_a_backtest_lists_who_would_move_from_where_to_where_and_why(guanxi: Boot) -> None:
    app = await scored(guanxi, C1=9, C2=8.2, C3=7, C4=1)
    events, decisions = list(app.events), await app.all(TierDecision)
    found = await backtest(app, "threshold_s=85", "threshold_a=75")
    c2 = await app.graphql('{ customers(where: {code: {eq: "C2"}}) { edges { node { id } } } }')
    assert found == {
        "asOf": "2024-03-01",
        "compared": 4,
        "moved": 2,
        "byHand": 0,
        "moves": [
            {"former": "S", "tier": "A", "count": 1},
            {"former": "A", "tier": "B", "count": 1},
        ],
        "customers": [
            {
                "customerId": c2["customers"]["edges"][0]["node"]["id"],
                "code": "C2",
                "name": "客户 C2",
                "former": "S",
                "tier": "A",
                "formerReasons": [{"code": "SCORE"}, {"code": "MISSING"}],
                "reasons": [
                    {
                        "code": "SCORE",
                        "message": "The score is 82; from 75 on it is A (Partner).",
                    },
                    {
                        "code": "MISSING",
                        "message": "Left out, for want of data: strategic fit, growth, influence, "
                        "credit.",
                    },
                ],
            },
            {**found["customers"][1], "code": "C3", "former": "A", "tier": "B"},
        ],
    }
    # nothing was touched
    assert app.events == events
    assert [d.id for d in await app.all(TierDecision)] == [d.id for d in decisions]
    assert await tiers(app) == {"C1": "S", "C2": "S", "C3": "A", "C4": "C"}
    assert len(await app.all(TierRun)) == 1


async def test_the_furthest_moved_come_first_and_as_many_as_asked_for(guanxi: Boot) -> None:
    app = await scored(guanxi, C1=7, C2=9, C3=7)
    changes = ("threshold_s=97", "threshold_a=96", "threshold_b=95")
    found = await backtest(app, *changes, first=2)
    assert [one["code"] for one in found["customers"]] == ["C2", "C1"]
    assert (found["compared"], found["moved"]) == (3, 3)
    assert found["moves"] == [
        {"former": "A", "tier": "C", "count": 2},
        {"former": "S", "tier": "C", "count": 1},
    ]
    some = await backtest(app, *changes, where={"code": {"eq": "C3"}})
    assert (some["compared"], some["moved"]) == (1, 1)


async def test_a_backtest_of_a_past_day_looks_at_the_facts_of_that_day(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(strategies=("PARETO",)))
    for code, day, amount in (
        ("C1", "2022-06-01", "900"), ("C2", "2022-06-01", "100"),
        ("C1", "2023-06-01", "1"), ("C2", "2023-06-01", "999"),
    ):  # fmt: skip
        known = await app.all(Purchase)
        if len(known) < 2:
            await customer(app, code)
        answer = await app.graphql(
            "query ($c: String!) { customers(where: {code: {eq: $c}}) { edges { node { id } } } }",
            c=code,
        )
        made = answer["customers"]["edges"][0]["node"]["id"]
        document = """mutation ($in: CreatePurchaseInput!) {
            createPurchase(input: $in) { errors { message } } }"""
        given = {
            "code": f"{code} {day}", "customerId": made, "orderedOn": day,
            "amount": {"amount": amount, "currency": "CNY"},
        }  # fmt: skip
        assert (await app.graphql(document, **{"in": given}))["createPurchase"]["errors"] == []
    changes = ["pareto_share_b=0.9"]
    now, then = await backtest(app, *changes), await backtest(app, *changes, asOf="2022-12-31")
    assert [one["code"] for one in now["customers"]] == []
    assert [(o["code"], o["former"], o["tier"]) for o in then["customers"]] == [("C2", "B", "C")]


async def test_another_strategy_is_backtested_like_other_numbers(guanxi: Boot) -> None:
    app = await scored(guanxi, C1=9, C2=9)
    c3 = await customer(app, "C3")
    await buy(app, c3, "2024-01-01", "10")
    found = await backtest(app, 'strategies=["PARETO", "F1"]')
    assert [(o["code"], o["former"], o["tier"]) for o in found["customers"]] == [("C3", None, "S")]


async def test_who_is_set_by_hand_does_not_move(guanxi: Boot) -> None:
    app = await scored(guanxi, C1=9, C2=9)
    (first, _) = (await app.graphql("{ customers(orderBy: CODE_ASC) { edges { node { id } } } }"))[
        "customers"
    ]["edges"]
    await done(app, OVERRIDE_TIER, id=first["node"]["id"], tier="A", reason="x")
    found = await backtest(app, "threshold_s=95")
    assert (found["moved"], found["byHand"]) == (1, 1)
    assert [one["code"] for one in found["customers"]] == ["C2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("threshold_s", "which is not like threshold_s=85"),
        ("threshold_x=1", "which is not like threshold_s=85"),
        ("visit_quota=9", "by which no tier is decided"),
        ("threshold_s=101", "they must rise, above 0 and up to 100"),
        ("threshold_s=high", "Expected `float`"),
    ],
)
async def test_changes_that_make_no_sense_are_refused(
    guanxi: Boot, change: str, message: str
) -> None:
    app = await booted(guanxi)
    refused = (await app.graphql(CREATE, name="x", changes=[change]))["createTierScheme"]
    (error,) = refused["errors"]
    assert message in error["message"]
    with pytest.raises(GraphQLFailed, match=message):
        await app.graphql(BACKTEST, changes=[change])


async def test_a_scheme_comes_in_force_in_one_step_and_is_taken_back_in_one(guanxi: Boot) -> None:
    app = await scored(guanxi, C1=9, C2=8.2)
    stricter = await scheme(app, "threshold_s=85")
    assert (await backtest(app, scheme=stricter))["moved"] == 1
    assert await done(app, PROMOTE, id=stricter) == {"classified": 2, "changed": 1}
    assert await tiers(app) == {"C1": "S", "C2": "A"}
    await classify(app)
    assert await tiers(app) == {"C1": "S", "C2": "A"}
    assert (await backtest(app))["moves"] == [{"former": "A", "tier": "S", "count": 1}]
    again = (await app.graphql(PROMOTE, id=stricter))["promoteTierScheme"]["errors"]
    assert [e["message"] for e in again] == ["is in force already"]
    strictest = await scheme(app, "threshold_s=95")
    await done(app, PROMOTE, id=strictest)
    assert await tiers(app) == {"C1": "A", "C2": "A"}
    states = {one.state.value for one in await app.all(TierScheme)}
    assert states == {"RETIRED", "IN_FORCE"}
    assert await done(app, RETIRE, id=strictest) == {"state": "RETIRED"}
    assert await tiers(app) == {"C1": "S", "C2": "S"}
    again = (await app.graphql(RETIRE, id=strictest))["retireTierScheme"]["errors"]
    assert [e["code"] for e in again] == ["CONFLICT"]


async def test_a_scheme_in_shadow_runs_beside_without_effect_for_its_time(guanxi: Boot) -> None:
    app = await scored(guanxi, C1=9, C2=8.2)
    assert (await app.graphql(SHADOW))["tierShadowComparison"] is None
    stricter = await scheme(app, "threshold_s=85")
    await done(app, RUN_IN_SHADOW, id=stricter, until="2024-03-10")
    assert await tiers(app) == {"C1": "S", "C2": "S"}
    found = (await app.graphql(SHADOW))["tierShadowComparison"]
    assert (found["compared"], found["moves"]) == (2, [{"former": "S", "tier": "A", "count": 1}])
    assert [one["code"] for one in found["customers"]] == ["C2"]
    c3 = await customer(app, "C3")
    await assess(app, c3, PROFIT=8.3)
    app.clock.advance(hours=1)
    await app.deliver()
    assert (await tiers(app))["C3"] == "S"
    found = (await app.graphql(SHADOW))["tierShadowComparison"]
    assert [(o["code"], o["former"], o["tier"]) for o in found["customers"]] == [
        ("C2", "S", "A"),
        ("C3", "S", "A"),
    ]
    assert len(await app.all(TierShadow)) == 3
    app.clock.advance(days=10)
    assert (await app.graphql(SHADOW))["tierShadowComparison"] is None
    await done(app, PROMOTE, id=stricter)
    assert await tiers(app) == {"C1": "S", "C2": "A", "C3": "A"}


async def test_one_scheme_at_a_time_runs_in_shadow(guanxi: Boot) -> None:
    app = await scored(guanxi, C1=9)
    one, other = await scheme(app, "threshold_s=85"), await scheme(app, "threshold_s=95")
    await done(app, RUN_IN_SHADOW, id=one, until="2024-03-10")
    refused = (await app.graphql(RUN_IN_SHADOW, id=other, until="2024-03-10"))["shadowTierScheme"]
    assert refused["errors"][0]["code"] == "CONFLICT"
    refused = (await app.graphql(RUN_IN_SHADOW, id=one, until="2024-02-01"))["shadowTierScheme"]
    assert refused["errors"][0]["path"] == "until"
    app.clock.advance(days=20)
    await done(app, RUN_IN_SHADOW, id=other, until="2024-04-10")
    assert {s.state.value for s in await app.all(TierScheme)} == {"DRAFT", "SHADOW"}


async def test_rules_are_decided_by_those_who_may_and_see_everybody(guanxi: Boot) -> None:
    app = await scored(guanxi, C1=9)
    made = await scheme(app, "threshold_s=85")
    for document, variables in (
        (PROMOTE, {"id": made}),
        (RUN_IN_SHADOW, {"id": made, "until": "2024-03-10"}),
        (RETIRE, {"id": made}),
        (CREATE, {"name": "x", "changes": []}),
    ):
        for can in (["customers.read", READ, WRITE], ["customers.read:own", READ, RULES]):
            if document is CREATE and RULES in can:
                continue
            with pytest.raises(GraphQLFailed) as error:
                await app.graphql(document, can=can, **variables)
            assert error.value.codes == ["FORBIDDEN"]
    with pytest.raises(GraphQLFailed) as error:
        await app.graphql(BACKTEST, can=["customers.read", READ])
    assert error.value.codes == ["FORBIDDEN"]
    assert [s.state.value for s in await app.all(TierScheme)] == ["DRAFT"]


async def test_whoever_sees_some_customers_backtests_those(guanxi: Boot) -> None:
    app = await scored(guanxi, C1=9, C2=9)
    found = await app.graphql(
        BACKTEST, can=["customers.read:own", READ, WRITE], changes=["threshold_s=95"]
    )
    assert found["backtestTiers"]["compared"] == 0
