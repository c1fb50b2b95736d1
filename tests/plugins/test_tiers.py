"""The tiers plugin through GraphQL (domain rule F1, C5)."""

import asyncio
import datetime as dt
from typing import Any

import pytest

from guanxi_customers import Customer, Customers, IndustryClass, Purchase
from guanxi_sdk import Money
from guanxi_sdk.testing import App, Boot, GraphQLFailed, global_id
from guanxi_tiers import (
    OVERRIDE,
    WRITE,
    CustomersClassified,
    Tier,
    TierAssessment,
    TierChanged,
    TierDecision,
    TierRun,
    Tiers,
    TierSettings,
)

NOW = dt.datetime(2024, 3, 1, 8, tzinfo=dt.UTC)
TODAY = NOW.date()
#: Purchases of 1500 after 1000 give purchase 7 and growth 8; credit is 9 up to 120 days.
SCENARIO = TierSettings(
    purchase_points=((1000, 6), (2000, 8)),
    growth_points=((0, 6), (1, 10)),
    credit_points=((0, 9), (120, 9)),
)

CLASSIFY = """mutation ($asOf: Date, $where: CustomerWhere) {
  classifyCustomers(asOf: $asOf, where: $where) {
    result { asOf classified changed byTier { tier count } } errors { path code } } }"""
OVERRIDE_TIER = """mutation ($id: ID!, $tier: Tier!, $reason: String!) {
  overrideTier(customerId: $id, tier: $tier, reason: $reason) {
    customer { code tier tierScore tierOverridden tierOverrideReason tierReasons { code message } }
    errors { path code message } } }"""
LIFT = """mutation ($id: ID!) { liftTierOverride(customerId: $id) {
    customer { tier tierOverridden tierReasons { code } } errors { path code } } }"""
STANDING = """query ($id: ID!) { customer(id: $id) {
    tier tierScore tierConfidence tierStrategy tierVersion tieredAsOf tierOverridden
    tierReasons { code message messageZh }
    tierDecision { inputs { name value weight source detail } decidedBy overridden } } }"""


async def booted(guanxi: Boot, settings: TierSettings | None = None, currency: str = "CNY") -> App:
    return await guanxi(Customers(), Tiers(settings), currency=currency, now=NOW)


async def customer(app: App, code: str = "C1", **values: Any) -> Customer:
    return await app.add(Customer(code=code, name=f"客户 {code}", **values))


async def buy(app: App, of: Customer, day: str, amount: str, currency: str = "CNY") -> None:
    code = f"{of.code} {day} {currency}"
    when, money = dt.date.fromisoformat(day), Money.parse(amount, currency)
    await app.add(Purchase(code=code, customer_id=of.id, ordered_on=when, amount=money))


async def assess(app: App, of: Customer, day: str = "2024-01-01", **values: float) -> None:
    document = """mutation ($in: CreateTierAssessmentInput!) {
        createTierAssessment(input: $in) { errors { path message } } }"""
    for name, value in values.items():
        given = {"customerId": global_id(of), "input": name, "value": value, "assessedOn": day}
        answer = await app.graphql(document, **{"in": given})
        assert answer["createTierAssessment"]["errors"] == []


async def scenario_5(app: App, **values: Any) -> Customer:
    c = await customer(app, **values)
    await buy(app, c, "2022-12-31", "1000")
    await buy(app, c, "2023-12-31", "1500")
    await assess(app, c, STRATEGIC_FIT=9, PROFIT=8, INFLUENCE=9)
    return c


async def classify(app: App, **variables: Any) -> Any:
    answer = (await app.graphql(CLASSIFY, **variables))["classifyCustomers"]
    assert answer["errors"] == []
    return answer["result"]


async def standing(app: App, of: Customer) -> Any:
    return (await app.graphql(STANDING, id=of))["customer"]


def codes(found: Any) -> list[str]:
    return [reason["code"] for reason in found["tierReasons"]]


# scenarios of domain rule C5


async def test_scenario_5_inputs_9_8_8_7_9_9_score_83_and_make_s(guanxi: Boot) -> None:
    app = await booted(guanxi, SCENARIO)
    c = await scenario_5(app, arrears_days=0)
    assert (await standing(app, c))["tier"] is None
    result = await classify(app)
    assert result == {
        "asOf": "2024-03-01",
        "classified": 1,
        "changed": 1,
        "byTier": [{"tier": "S", "count": 1}],
    }
    found = await standing(app, c)
    inputs = {entry["name"]: entry["value"] for entry in found["tierDecision"]["inputs"]}
    assert list(inputs.values()) == [9, 8, 8, 7, 9, 9]
    assert list(inputs) == [
        "STRATEGIC_FIT", "GROWTH", "PROFIT", "PURCHASE", "INFLUENCE", "CREDIT",
    ]  # fmt: skip
    assert (found["tierScore"], found["tier"], found["tierConfidence"]) == (83, "S", 1)
    assert codes(found) == ["SCORE"]
    assert (found["tierStrategy"], found["tierVersion"]) == ("F1", "1")
    assert found["tieredAsOf"] == "2024-03-01"


async def test_scenario_6_the_same_with_120_days_in_arrears_is_b_because_of_arrears(
    guanxi: Boot,
) -> None:
    app = await booted(guanxi, SCENARIO)
    c = await scenario_5(app, arrears_days=120)
    await classify(app)
    found = await standing(app, c)
    assert (found["tierScore"], found["tier"]) == (83, "B")
    assert codes(found) == ["ARREARS", "SCORE"]
    assert "120 days" in found["tierReasons"][0]["message"]
    assert "120天" in found["tierReasons"][0]["messageZh"]


async def test_a_waiver_lifts_the_cap_for_its_time_and_needs_a_reason(guanxi: Boot) -> None:
    app = await booted(guanxi, SCENARIO)
    c = await scenario_5(app, arrears_days=120)
    waive = """mutation ($in: CreateArrearsWaiverInput!) { createArrearsWaiver(input: $in) {
        arrearsWaiver { id } errors { path } } }"""
    given = {"customerId": global_id(c), "startsOn": "2024-02-01", "endsOn": "2024-04-01"}
    for wrong in ({"reason": " "}, {"reason": "x", "endsOn": "2024-01-31"}):
        refused = await app.graphql(waive, **{"in": given | wrong})
        assert len(refused["createArrearsWaiver"]["errors"]) == 1
    made = await app.graphql(waive, **{"in": given | {"reason": "bank holiday"}})
    assert made["createArrearsWaiver"]["errors"] == []
    for day, tier in (
        ("2024-01-31", "B"),
        ("2024-02-01", "S"),
        ("2024-03-31", "S"),
        ("2024-04-01", "B"),
    ):
        await classify(app, asOf=day)
        assert (await standing(app, c))["tier"] == tier, day
    await classify(app, asOf="2024-03-31")
    assert codes(await standing(app, c)) == ["ARREARS_WAIVED", "SCORE"]
    waiver = made["createArrearsWaiver"]["arrearsWaiver"]["id"]
    archive = "mutation ($id: ID!) { archiveArrearsWaiver(id: $id) { errors { path } } }"
    await app.graphql(archive, id=waiver)
    await classify(app, asOf="2024-03-31")
    assert (await standing(app, c))["tier"] == "B"
    with pytest.raises(GraphQLFailed) as error:
        await app.graphql(waive, can=["*.read", WRITE], **{"in": given | {"reason": "x"}})
    assert error.value.codes == ["FORBIDDEN"]


# facts


async def test_a_missing_input_is_left_out_and_lowers_the_confidence(guanxi: Boot) -> None:
    app = await booted(guanxi, SCENARIO)
    c = await customer(app)  # bought nothing, arrears unknown
    await assess(app, c, STRATEGIC_FIT=10)
    await classify(app)
    found = await standing(app, c)
    inputs = {entry["name"]: entry for entry in found["tierDecision"]["inputs"]}
    assert {name for name, entry in inputs.items() if entry["value"] is None} == {
        "GROWTH", "PROFIT", "INFLUENCE", "CREDIT",
    }  # fmt: skip
    assert inputs["PURCHASE"] == {
        "name": "PURCHASE",
        "value": 6,
        "weight": 15,
        "source": "COMPUTED",
        "detail": "annual purchase CNY 0.00",
    }
    assert inputs["STRATEGIC_FIT"]["source"] == "ASSESSED"
    assert found["tierScore"] == (25 * 10 + 15 * 6) * 10 / 40
    assert (found["tierConfidence"], found["tier"]) == (0.4, "S")
    assert codes(found) == ["SCORE", "MISSING"]


async def test_without_any_input_there_is_no_tier(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(weight_purchase=0))
    c = await customer(app)
    assert (await classify(app))["byTier"] == [{"tier": None, "count": 1}]
    found = await standing(app, c)
    assert (found["tier"], found["tierScore"], found["tierConfidence"]) == (None, None, 0)
    assert codes(found) == ["NO_INPUT"]


async def test_the_latest_assessment_on_or_before_the_day_counts(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(weight_purchase=0))
    c = await customer(app)
    for day, value in (("2024-01-10", 3), ("2024-01-01", 2), ("2024-01-20", 9), ("2024-01-20", 5)):
        await assess(app, c, day, PROFIT=value)
    for day, score in (
        ("2023-12-31", None),
        ("2024-01-01", 20),
        ("2024-01-10", 30),
        ("2024-01-19", 30),
        ("2024-01-20", 50),  # the later of two on one day
    ):
        await classify(app, asOf=day)
        assert (await standing(app, c))["tierScore"] == score, day
    last = max(await app.all(TierAssessment), key=lambda row: row.id)
    archive = "mutation ($id: ID!) { archiveTierAssessment(id: $id) { errors { path } } }"
    await app.graphql(archive, id=last)
    await classify(app, asOf="2024-01-20")
    assert (await standing(app, c))["tierScore"] == 90


async def test_purchases_count_by_the_day_and_in_the_tenants_currency(guanxi: Boot) -> None:
    settings = TierSettings(
        purchase_points=((0, 0), (1000, 10)), growth_points=((-1, 0), (1, 10)), weight_growth=15
    )
    app = await booted(guanxi, settings, currency="USD")
    c = await customer(app)
    await buy(app, c, "2023-02-28", "100", "USD")  # of the year before, on 2024-02-29
    await buy(app, c, "2023-03-01", "150", "USD")
    await buy(app, c, "2024-02-29", "50", "USD")
    await buy(app, c, "2024-01-01", "99999", "CNY")
    await buy(app, c, "2024-03-01", "700", "USD")  # after the day
    await classify(app, asOf="2024-02-29")
    inputs = {
        entry["name"]: (entry["value"], entry["detail"])
        for entry in (await standing(app, c))["tierDecision"]["inputs"]
    }
    assert inputs["PURCHASE"] == (2, "annual purchase USD 200.00")
    assert inputs["GROWTH"] == (10, "growth 100.0%")
    sql = await app.graphql(
        """query ($id: ID!) { customer(id: $id) { growth(asOf: "2024-02-29")
             annualPurchase(asOf: "2024-02-29") { amount } } }""",
        id=c,
    )
    assert sql["customer"] == {"growth": 1, "annualPurchase": {"amount": "200.00"}}


async def test_a_customer_is_classified_page_by_page_with_the_same_result(
    guanxi: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = await booted(guanxi)
    for n in range(8):
        c = await customer(app, f"C{n}", arrears_days=n * 30)
        await assess(app, c, PROFIT=n)
    await classify(app)
    whole = await all_tiers(app)
    monkeypatch.setattr("guanxi_tiers.facts.PAGE", 3)
    assert (await classify(app))["changed"] == 0
    assert await all_tiers(app) == whole
    assert len(whole) == 8


async def all_tiers(app: App) -> list[Any]:
    answer = await app.graphql(
        "{ customers(orderBy: TIER_SCORE_DESC) { edges { node { code tier tierScore } } } }"
    )
    return [tuple(edge["node"].values()) for edge in answer["customers"]["edges"]]


# which customers


async def test_only_customers_that_meet_the_filter_are_classified(guanxi: Boot) -> None:
    app, other = await booted(guanxi), await booted(guanxi)
    law = await customer(app, "C1", industry_class=IndustryClass.LAW)
    trade = await customer(app, "C2", industry_class=IndustryClass.TRADE)
    gone = await customer(app, "C3", industry_class=IndustryClass.LAW, archived_at=NOW)
    foreign = await customer(other, "C1", industry_class=IndustryClass.LAW)
    result = await classify(app, where={"industryClass": {"eq": "LAW"}})
    assert (result["classified"], result["changed"]) == (1, 1)
    assert (await standing(app, law))["tier"] == "C"
    assert (await standing(app, trade))["tier"] is None
    assert (await standing(other, foreign))["tier"] is None
    assert [row.customer_id for row in await app.all(TierDecision)] == [law.id]
    assert gone.id not in {row.customer_id for row in await app.all(TierDecision)}
    (run,) = await app.all(TierRun)
    told = CustomersClassified(run_id=run.id, as_of=TODAY, classified=1, changed=1)
    assert app.events == [told]
    one = {"amount": "1", "currency": "CNY"}
    bought = {"purchaseTotal": {"gte": one}, "annualPurchase": {"gte": one}, "growth": {"gt": 0}}
    assert (await classify(app, where=bought))["classified"] == 0
    assert (await classify(app, where={"NOT": bought}))["classified"] == 2
    by_relation = {"purchases": {"none": {}}, "code": {"eq": "C2"}}
    assert (await classify(app, where=by_relation))["classified"] == 1


async def test_customers_are_filtered_and_sorted_by_tier_and_score(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(weight_purchase=0))
    for code, profit in (("C1", 5), ("C2", 9), ("C3", 10), ("C4", 1)):
        await assess(app, await customer(app, code), PROFIT=profit)
    await customer(app, "C5")
    await classify(app)
    answer = await app.graphql(
        """{ best: customers(where: {tier: {eq: S}}, orderBy: TIER_SCORE_DESC) { totalCount
               edges { node { code } } }
             middle: customers(where: {tierScore: {gte: 45, lt: 80}}) { edges { node { code } } }
             none: customers(where: {tier: {isNull: true}}) { edges { node { code } } } }"""
    )
    found = {
        name: [edge["node"]["code"] for edge in page["edges"]] for name, page in answer.items()
    }
    assert found == {"best": ["C3", "C2"], "middle": ["C1"], "none": ["C5"]}
    assert answer["best"]["totalCount"] == 2


@pytest.mark.parametrize("day", ["0001-01-01", "1899-12-31"])
async def test_a_day_before_1900_is_refused(guanxi: Boot, day: str) -> None:
    app = await booted(guanxi)
    answer = await app.graphql(CLASSIFY, asOf=day)
    assert [error["path"] for error in answer["classifyCustomers"]["errors"]] == ["asOf"]


# decisions are kept


async def test_every_change_is_kept_and_no_repetition(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(weight_purchase=0))
    c = await customer(app)
    await assess(app, c, "2024-01-01", PROFIT=9)
    await classify(app, asOf="2024-01-01")
    await classify(app, asOf="2024-01-02")
    await assess(app, c, "2024-01-03", PROFIT=5)
    await classify(app, asOf="2024-01-03")
    answer = await app.graphql(
        """query ($id: ID!) { customer(id: $id) { tieredAsOf
             tierDecisions(orderBy: CREATED_AT_ASC) { edges { node {
               asOf tier score confidence strategy strategyVersion overridden decidedBy
               reasons { code } inputs { name value } } } } } }""",
        id=c,
    )
    nodes = [edge["node"] for edge in answer["customer"]["tierDecisions"]["edges"]]
    assert [(n["asOf"], n["tier"], n["score"]) for n in nodes] == [
        ("2024-01-01", "S", 90),
        ("2024-01-03", "B", 50),
    ]
    assert {(n["strategy"], n["strategyVersion"], n["overridden"]) for n in nodes} == {
        ("F1", "1", False)
    }
    assert all(n["decidedBy"] for n in nodes)
    assert {"name": "PROFIT", "value": 9} in nodes[0]["inputs"]


async def test_decisions_cannot_be_written_by_generated_mutations(guanxi: Boot) -> None:
    app = await booted(guanxi)
    schema = await app.graphql("{ __schema { mutationType { fields { name } } } }")
    names = {field["name"] for field in schema["__schema"]["mutationType"]["fields"]}
    assert "createTierAssessment" in names
    assert not {name for name in names if "TierDecision" in name or "Standing" in name}


# overrides


async def test_an_override_stays_until_it_is_lifted(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(weight_purchase=0))
    c = await customer(app)
    await assess(app, c, "2024-01-01", PROFIT=5)
    await classify(app, asOf="2024-01-01")
    answer = await app.graphql(OVERRIDE_TIER, id=c, tier=Tier.S, reason="  the minister asked ")
    assert answer["overrideTier"] == {
        "customer": {
            "code": "C1",
            "tier": "S",
            "tierScore": 50,
            "tierOverridden": True,
            "tierOverrideReason": "the minister asked",
            "tierReasons": [
                {"code": "OVERRIDE", "message": "Set to S by hand: the minister asked"},
                {"code": "SCORE", "message": "The score is 50; from 45 on it is B (Priority)."},
                {
                    "code": "MISSING",
                    "message": "Left out, for want of data: "
                    "strategic fit, growth, influence, credit.",
                },
            ],
        },
        "errors": [],
    }
    await assess(app, c, "2024-02-01", PROFIT=1)
    result = await classify(app, asOf="2024-02-01")
    assert (result["changed"], result["byTier"]) == (0, [{"tier": "S", "count": 1}])
    found = await standing(app, c)
    assert (found["tier"], found["tierScore"], found["tierOverridden"]) == ("S", 10, True)
    assert codes(found) == ["OVERRIDE", "SCORE", "MISSING"]
    lifted = (await app.graphql(LIFT, id=c))["liftTierOverride"]
    assert lifted == {
        "customer": {
            "tier": "C",
            "tierOverridden": False,
            "tierReasons": [{"code": "SCORE"}, {"code": "MISSING"}],
        },
        "errors": [],
    }
    changes = [event for event in app.events if isinstance(event, TierChanged)]
    assert [(e.customer_id, e.former, e.tier, e.reason) for e in changes] == [
        (c.id, Tier.B, Tier.S, "the minister asked"),
        (c.id, Tier.S, Tier.C, "The override was lifted."),
    ]
    assert [(d.tier, d.overridden, d.override_reason) for d in await app.all(TierDecision)] == [
        ("B", False, None),
        ("S", True, "the minister asked"),
        ("S", True, "the minister asked"),
        ("C", False, None),
    ]


async def test_a_customer_never_classified_can_be_overridden_and_lifted(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(weight_purchase=0))
    c = await customer(app)
    answer = (await app.graphql(OVERRIDE_TIER, id=c, tier=Tier.A, reason="new"))["overrideTier"]
    assert answer["errors"] == []
    assert (answer["customer"]["tier"], answer["customer"]["tierScore"]) == ("A", None)
    lifted = (await app.graphql(LIFT, id=c))["liftTierOverride"]["customer"]
    assert (lifted["tier"], lifted["tierReasons"]) == (None, [{"code": "NO_INPUT"}])


async def test_overrides_that_make_no_sense_are_refused_and_change_nothing(guanxi: Boot) -> None:
    app, other = await booted(guanxi), await booted(guanxi)
    c, foreign = await customer(app), await customer(other)
    gone = await customer(app, "C2", archived_at=NOW)

    async def paths(document: str, **variables: Any) -> list[tuple[str, str]]:
        (payload,) = (await app.graphql(document, **variables)).values()
        return [(error["path"], error["code"]) for error in payload["errors"]]

    for reason in ("", " \n", "x" * 2001):
        refused = await paths(OVERRIDE_TIER, id=c, tier=Tier.S, reason=reason)
        assert refused == [("reason", "INVALID")]
    missing = global_id(c)[:-4] + "0000"
    for unknown in (foreign, missing):
        refused = await paths(OVERRIDE_TIER, id=unknown, tier=Tier.S, reason="x")
        assert refused == [("customerId", "NOT_FOUND")]
        assert await paths(LIFT, id=unknown) == [("customerId", "NOT_FOUND")]
    assert await paths(OVERRIDE_TIER, id=gone, tier=Tier.S, reason="x") == [
        ("customerId", "INVALID")
    ]
    assert await paths(LIFT, id=c) == [("customerId", "INVALID")]
    assert await app.all(TierDecision) == []
    assert app.events == []


async def test_rights_to_classify_and_to_override_are_separate(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c = await customer(app)
    readers = ["customers.read", "tiers.read"]
    attempts = [
        (CLASSIFY, {}, OVERRIDE, WRITE),
        (OVERRIDE_TIER, {"id": c, "tier": Tier.S, "reason": "x"}, WRITE, OVERRIDE),
        (LIFT, {"id": c}, WRITE, OVERRIDE),
    ]
    for document, variables, wrong, right in attempts:
        with pytest.raises(GraphQLFailed) as error:
            await app.graphql(document, can=[*readers, wrong], **variables)
        assert error.value.codes == ["FORBIDDEN"]
        await app.graphql(document, can=[*readers, right], **variables)


async def test_whose_decision_it_is_learns_who_may_see_customers(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c = await scenario_5(app)
    await classify(app)
    asked = "query ($id: ID!) { tierDecisions(where: {customerId: {eq: $id}}) { totalCount } }"
    found = await app.graphql(asked, can=["tiers.read", "customers.read"], id=c)
    assert found["tierDecisions"]["totalCount"] == 1
    with pytest.raises(GraphQLFailed) as error:
        await app.graphql(asked, can=["tiers.read"], id=c)
    assert error.value.codes == ["FORBIDDEN"]


async def test_a_classification_under_way_does_not_undo_an_override(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c = await customer(app)
    for round_ in range(4):
        answers = await asyncio.gather(
            app.execute(CLASSIFY),
            app.execute(OVERRIDE_TIER, {"id": c, "tier": Tier.S, "reason": f"round {round_}"}),
            app.execute(CLASSIFY),
        )
        assert all("errors" not in answer for answer in answers), answers
        found = await standing(app, c)
        assert (found["tier"], found["tierOverridden"]) == ("S", True)
        await app.graphql(LIFT, id=c)
        assert (await standing(app, c))["tier"] == "C"
