"""Relationships as figures, through GraphQL (domain rules F3 to F7, C5)."""

import datetime as dt
import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from guanxi_customers import ActivityKind, ActivityStatus, Customer, DecisionRole
from guanxi_graphql.execute.engine import Engine
from guanxi_relationships import (
    ChainKind,
    Cooperation,
    CooperationKind,
    DecisionChain,
    RelationshipSettings,
)
from guanxi_sdk.testing import Boot
from guanxi_sdk.testing.probes.world import Statements
from guanxi_tiers import Tier, TierDecision
from relating import TODAY, World, ago, world

A, D, S, E, I = (DecisionRole[name] for name in "ADSEI")  # noqa: E741

SCORES = """query ($id: ID!, $asOf: Date, $months: Int) { customer(id: $id) {
    keyScore(asOf: $asOf) generalScore(asOf: $asOf) organizationalScore(asOf: $asOf)
    relationshipScore(asOf: $asOf)
    relationship(asOf: $asOf, trendMonths: $months) {
      asOf tier keyScore generalScore generalGrade organizationalScore organizationalGrade
      relationshipScore lacks trend {
        asOf keyScore generalScore organizationalScore relationshipScore } } } }"""
PERSON = """query ($id: ID!, $asOf: Date) { person(id: $id) {
    relationshipLevel(asOf: $asOf) effectiveLevel(asOf: $asOf) lastContactOn(asOf: $asOf) } }"""
FIGURES = ("keyScore", "generalScore", "organizationalScore", "relationshipScore")


async def scores(
    w: World, customer: Customer, as_of: dt.date | None = None, months: int = 0
) -> Any:
    """The relationship; its figures are the same one by one, as SQL fields."""
    given = {"id": customer, "months": months} | ({"asOf": as_of} if as_of else {})
    found = (await w.app.graphql(SCORES, **given))["customer"]
    relationship = found.pop("relationship")
    assert found == {name: pytest.approx(relationship[name]) for name in FIGURES}
    return relationship


async def key_people(w: World, customer: Customer) -> None:
    """The people of scenario 7: A at 3, D at 1, I at −1, all met today."""
    people = [await w.person(customer, role, level) for role, level in ((A, 3), (D, 1), (I, -1))]
    await w.activity(customer, TODAY, people)


async def departments(w: World, customer: Customer, in_scope: int, contacted: int) -> None:
    for number in range(in_scope):
        department = await w.department(customer)
        person = await w.person(customer, department_id=department.id)
        if number < contacted:
            await w.activity(customer, ago(90), [person])
    await w.department(customer, in_scope=False)


async def organization(w: World, customer: Customer) -> None:
    """60 points: executive meetings, an agreement in force, joint innovation within a year."""
    for days in (10, 300):
        await w.activity(customer, ago(days), kind=ActivityKind.EXECUTIVE_CALL)
    for kind, start, end in (
        (CooperationKind.AGREEMENT, ago(1000), None),
        (CooperationKind.JOINT_INNOVATION, ago(800), ago(200)),
    ):
        await w.app.add(
            Cooperation(
                customer_id=customer.id, kind=kind, subject="s", starts_on=start, ends_on=end
            )
        )


# scenarios of domain rule C5


async def test_scenario_7_levels_a_3_d_1_i_minus_1_make_62_5(guanxi: Boot) -> None:
    w = await world(guanxi)
    customer = await w.customer()
    await key_people(w, customer)
    assert (await scores(w, customer))["keyScore"] == 62.5


async def test_scenario_8_after_91_days_without_contact_a_level_counts_one_less(
    guanxi: Boot,
) -> None:
    w = await world(guanxi)
    customer = await w.customer()
    for level, decayed in ((2, 1), (0, 0), (-1, -1), (3, 2), (1, 0)):
        person = await w.person(customer, level=level)
        await w.activity(customer, ago(91), [person])
        await w.activity(customer, TODAY, [person], status=ActivityStatus.PLANNED)
        for day, effective in ((TODAY, decayed), (ago(1), level)):
            found = (await w.app.graphql(PERSON, id=person, asOf=day))["person"]
            assert found == {
                "relationshipLevel": level, "effectiveLevel": effective,
                "lastContactOn": str(ago(91)),
            }  # fmt: skip


async def test_scenario_9_six_of_eight_departments_make_75_and_grade_b(guanxi: Boot) -> None:
    w = await world(guanxi)
    customer = await w.customer()
    await departments(w, customer, 8, 6)
    found = await scores(w, customer)
    assert (found["generalScore"], found["generalGrade"]) == (75, "B")
    tomorrow = await scores(w, customer, TODAY + dt.timedelta(days=1))  # 91 days after
    assert (tomorrow["generalScore"], tomorrow["generalGrade"]) == (0, "D")


async def test_scenarios_10_and_11_k_62_5_g_75_o_60_make_65_56_on_s_and_67_19_on_b(
    guanxi: Boot,
) -> None:
    w = await world(guanxi)
    for tier, composite in ((Tier.S, 65.56), (Tier.A, 65.56), (Tier.B, 67.19), (Tier.C, 75)):
        customer = await w.customer(tier)
        await key_people(w, customer)
        await departments(w, customer, 8, 6)
        await organization(w, customer)
        found = await scores(w, customer)
        assert [found[name] for name in FIGURES[:3]] == [62.5, 75, 60]
        assert (found["tier"], found["organizationalGrade"]) == (tier.name, "B")
        assert (round(found["relationshipScore"], 2), found["lacks"]) == (composite, [])


async def test_scenario_12_an_s_customer_without_a_chain_has_no_score_and_no_chain(
    guanxi: Boot,
) -> None:
    w = await world(guanxi)
    for tier, lacks in ((Tier.S, ["NO_CHAIN"]), (Tier.C, []), (None, ["NO_TIER", "NO_CHAIN"])):
        customer = await w.customer(tier)
        await departments(w, customer, 4, 3)
        await w.chain(customer)  # with nobody in it
        found = await scores(w, customer)
        assert found["keyScore"] is None
        assert found["relationshipScore"] == (75 if tier is Tier.C else None)
        assert found["lacks"] == lacks
    nothing = await scores(w, await w.customer(Tier.C))
    assert (nothing["relationshipScore"], nothing["lacks"]) == (None, ["NO_DEPARTMENT"])


# what the scenarios leave open


async def test_unassessed_people_lower_the_score_and_roles_weigh(guanxi: Boot) -> None:
    w = await world(guanxi, RelationshipSettings(weight_a=2, weight_e=1))
    customer = await w.customer()
    approver = await w.person(customer, A)
    await w.person(customer, E, 3, assessed_on=TODAY)  # never met: counts from the assessment
    assert (await scores(w, customer))["keyScore"] == pytest.approx(100 / 3)
    await w.level(approver, 1, TODAY)
    assert (await scores(w, customer))["keyScore"] == pytest.approx(100 * (1 + 2 * 2 / 4) / 3)


async def test_a_person_in_two_standing_chains_counts_once_by_the_weightier_role(
    guanxi: Boot,
) -> None:
    w = await world(guanxi)
    customer = await w.customer()
    person = await w.person(customer, I, 3, assessed_on=TODAY)
    await w.seat(customer, person, D, ChainKind.TECHNICAL)
    await w.person(customer, D, -1, assessed_on=TODAY)
    assert (await scores(w, customer))["keyScore"] == 50
    opportunity = DecisionChain(
        customer_id=customer.id, kind=ChainKind.OVERALL, opportunity="5G core"
    )
    chain = await w.app.add(opportunity)
    await w.app.graphql(
        """mutation ($chain: ID!, $person: ID!) {
          seatInChain(chainId: $chain, personId: $person, role: A) { errors { message } } }""",
        chain=chain, person=person,
    )  # fmt: skip
    assert (await scores(w, customer))["keyScore"] == 50, "an opportunity counts for itself"
    answer = await w.app.graphql(
        """{ decisionChains(orderBy: [KIND_ASC, OPPORTUNITY_ASC]) {
             edges { node { opportunity chainScore } } } }"""
    )
    found = [edge["node"] for edge in answer["decisionChains"]["edges"]]
    assert {one["opportunity"]: one["chainScore"] for one in found if one["opportunity"]} == {
        "5G core": 100
    }


async def test_scores_are_those_of_the_day_and_have_a_trend(guanxi: Boot) -> None:
    w = await world(guanxi)
    customer = await w.customer(Tier.S)
    person = await w.person(customer)
    await w.seat(customer, person, A, starts_on=dt.date(2024, 3, 30), ends_on=dt.date(2024, 6, 30))
    await w.level(person, 1, dt.date(2024, 4, 1))
    await w.level(person, 3, dt.date(2024, 5, 30))
    await w.app.add(
        TierDecision(
            customer_id=customer.id, as_of=dt.date(2019, 1, 1), holds_from=dt.date(2019, 1, 1),
            tier=Tier.C, confidence=1.0, inputs=[], reasons=[], strategy="t",
            strategy_version="1", decided_by="t",
        )
    )  # fmt: skip
    found = await scores(w, customer, months=4)
    assert found["keyScore"] is None, "the seat was left today"
    assert [(point["asOf"], point["keyScore"]) for point in found["trend"]] == [
        ("2024-02-29", None), ("2024-03-30", 0), ("2024-04-30", 50), ("2024-05-30", 100),
    ]  # fmt: skip
    assert found["tier"] == "S"
    assert (await scores(w, customer, dt.date(2019, 6, 1)))["tier"] == "C"
    assert (await scores(w, customer, dt.date(2018, 6, 1)))["tier"] is None


async def test_what_is_asked_for_must_make_sense(guanxi: Boot) -> None:
    w = await world(guanxi)
    customer = await w.customer()
    for wrong in ({"asOf": "1899-12-31"}, {"asOf": "9999-12-31"}, {"months": 37}, {"months": -1}):
        answer = await w.app.execute(SCORES, {"id": customer, **wrong})
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["INVALID"]


async def test_each_part_of_the_organizational_relationship_earns_its_points(
    guanxi: Boot,
) -> None:
    w = await world(guanxi, RelationshipSettings(operating_meetings=2, organizational_points=10))
    customer = await w.customer()
    steps: list[tuple[Any, float]] = [
        ((ActivityKind.EXECUTIVE_CALL, ago(0)), 0), ((ActivityKind.EXECUTIVE_CALL, ago(1)), 10),
        ((ActivityKind.ONSITE_MEETING, ago(2)), 10), ((ActivityKind.ONSITE_MEETING, ago(366)), 10),
        ((ActivityKind.ONSITE_MEETING, ago(365)), 20),
        ((ActivityKind.MANAGEMENT_STUDY, ago(9)), 30), ((ActivityKind.VISIT, ago(9)), 30),
    ]  # fmt: skip
    for (kind, day), points in steps:
        await w.activity(customer, day, kind=kind)
        assert (await scores(w, customer))["organizationalScore"] == points, (kind, day)
    for kind, start, end, points in (
        (CooperationKind.AGREEMENT, ago(900), TODAY, 30),  # ended today
        (CooperationKind.AGREEMENT, TODAY, None, 40),
        (CooperationKind.JOINT_PLANNING, ago(900), ago(366), 40),
        (CooperationKind.JOINT_PLANNING, ago(900), ago(364), 50),
    ):
        await w.app.add(
            Cooperation(
                customer_id=customer.id, kind=kind, subject="s", starts_on=start, ends_on=end
            )
        )
        assert (await scores(w, customer))["organizationalScore"] == points, (kind, start, end)


async def test_customers_are_sorted_and_filtered_by_their_scores(guanxi: Boot) -> None:
    w = await world(guanxi)
    for level in (3, -1, 1):
        await w.person(await w.customer(Tier.S), A, level, assessed_on=TODAY)
    answer = await w.app.graphql(
        """{ customers(where: { keyScore: { gt: 10 } }, orderBy: KEY_SCORE_ASC) {
             edges { node { code keyScore } } } }"""
    )
    found = [edge["node"] for edge in answer["customers"]["edges"]]
    assert [(one["code"], one["keyScore"]) for one in found] == [("C005", 50), ("C001", 100)]


async def test_scores_are_the_same_together_and_apart(guanxi: Boot) -> None:
    """What several of them are made of is worked out once, wherever each of them stands."""
    w = await world(guanxi)
    for number, tier in enumerate((Tier.S, Tier.B, Tier.A, Tier.C)):
        customer = await w.customer(tier)
        await key_people(w, customer)
        await departments(w, customer, 4, number)
    where = (
        "where: { keyScore: { gt: 10 }, generalScore: { gt: 10 }, relationshipScore: { gt: 1 } }"
    )
    order = "orderBy: [RELATIONSHIP_SCORE_DESC, ORGANIZATIONAL_SCORE_ASC, CODE_ASC]"

    async def asked(*fields: str) -> list[dict[str, Any]]:
        node = f"{{ code {' '.join(fields)} }}"
        answer = await w.app.graphql(
            f"{{ customers({where}, {order}) {{ edges {{ node {node} }} }} }}"
        )
        return [edge["node"] for edge in answer["customers"]["edges"]]

    together = await asked(*FIGURES)
    assert len(together) == 3
    assert await asked(*reversed(FIGURES)) == together
    for name in FIGURES:
        apart = [{"code": one["code"], name: one[name]} for one in together]
        assert await asked(name) == apart
    values = " ".join(f"{name} {{ avg max }}" for name in FIGURES)
    ask = "{ customersAggregate(" + where + ") { values { %s } } }"
    found = (await w.app.graphql(ask % values))["customersAggregate"]["values"]
    for name in FIGURES:
        alone = await w.app.graphql(ask % f"{name} {{ avg max }}")
        assert alone["customersAggregate"]["values"] == {name: found[name]}
        assert found[name]["max"] == max(one[name] for one in together)


async def test_without_a_permission_there_is_no_score_and_without_tiers_no_composite(
    guanxi: Boot,
) -> None:
    w = await world(guanxi)
    customer = await w.customer(Tier.C)
    await departments(w, customer, 1, 1)
    without = await w.answer("ada", SCORES, "customers.read", "tiers.read", id=customer)
    assert {error["extensions"]["code"] for error in without["errors"]} == {"FORBIDDEN"}
    grants = ("customers.read", "relationships.read")
    found = (await w.ask("ada", SCORES, *grants, id=customer))["customer"]
    assert found["relationshipScore"] is None
    assert found["relationship"]["tier"] is None
    assert found["relationship"]["generalScore"] == found["generalScore"] == 100


# the formulas against their definition

days = st.integers(0, 130).map(ago)
levels = st.integers(-1, 3)
roles = st.sampled_from((A, D, S, E, I))
WEIGHTS = {A: 5, D: 5, S: 3, E: 3, I: 2}
people = st.fixed_dictionaries(
    {
        "roles": st.dictionaries(st.sampled_from(tuple(ChainKind)), roles, max_size=2),
        "levels": st.lists(st.tuples(days, levels), max_size=2, unique_by=lambda one: one[0]),
        "met": st.lists(days, max_size=2),
        "department": st.integers(0, 2),
    }
)
customers = st.fixed_dictionaries(
    {
        "tier": st.sampled_from((*Tier, None)),
        "departments": st.integers(0, 2),
        "people": st.lists(people, max_size=4),
        "calls": st.integers(0, 3),
    }
)


def expected(one: Any, as_of: dt.date) -> dict[str, Any]:
    """F3 to F7 as domain rule C3 states them, in fractions."""
    top = bottom = Fraction()
    covered = set()
    for person in one["people"]:
        met = [day for day in person["met"] if day <= as_of]
        if any((as_of - day).days <= 90 for day in met) and person["department"]:
            covered.add(person["department"])
        if not person["roles"]:
            continue
        weight = max(WEIGHTS[role] for role in person["roles"].values())
        bottom += weight
        assessed = sorted(entry for entry in person["levels"] if entry[0] <= as_of)
        if assessed:
            day, level = assessed[-1]
            if (as_of - max(met, default=day)).days > 90:
                level = min(level, max(level - 1, 0))
            top += Fraction(weight * (level + 1), 4)
    key = 100 * top / bottom if bottom else None
    count = one["departments"]
    reached = len([number for number in covered if number <= count])
    general = Fraction(100 * reached, count) if count else None
    organizational = Fraction(20 if one["calls"] >= 2 else 0)
    match one["tier"]:
        case Tier.S | Tier.A:
            parts = [(30, key), (18, general), (14, organizational)]
        case Tier.B:
            parts = [(30, key), (18, general)]
        case Tier.C:
            parts = [(18, general)]
        case _:
            parts = [(1, None)]
    whole = None
    if all(value is not None for _, value in parts):
        whole = sum(ratio * (value or 0) for ratio, value in parts) / sum(r for r, _ in parts)
    found = (key, general, organizational, whole)
    return {n: None if v is None else float(v) for n, v in zip(FIGURES, found, strict=True)}


async def _made(w: World, one: Any) -> Customer:
    async with w.at_once():
        customer = await w.customer(one["tier"])
        departments = [await w.department(customer) for _ in range(one["departments"])]
        for person in one["people"]:
            number = person["department"]
            department = departments[number - 1] if 0 < number <= len(departments) else None
            row = await w.person(customer, department_id=department.id if department else None)
            for kind, role in person["roles"].items():
                await w.seat(customer, row, role, kind)
            for day, level in person["levels"]:
                await w.level(row, level, day)
            for day in person["met"]:
                await w.activity(customer, day, [row])
        for _ in range(one["calls"]):
            await w.activity(customer, ago(30), kind=ActivityKind.EXECUTIVE_CALL)
    return customer


@settings(
    max_examples=4, deadline=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.lists(customers, min_size=3, max_size=6))
async def test_scores_are_what_their_formulas_say(guanxi: Boot, ones: list[Any]) -> None:
    w = await world(guanxi)
    made = [await _made(w, one) for one in ones]
    for customer, one in zip(made, ones, strict=True):
        for day in (TODAY, ago(25)):
            found = await scores(w, customer, day)
            wanted = expected(one, day)
            assert {name: found[name] for name in FIGURES} == pytest.approx(wanted), (one, day)


LISTED = """{ customers(first: 50) { edges { node {
    code tier tierReasons { code } openObligations
    keyScore generalScore organizationalScore relationshipScore } } } }"""


async def test_a_list_with_tier_scores_and_obligations_is_one_statement(guanxi: Boot) -> None:
    w = await world(guanxi)
    statements, engine = Statements(w.app.platform), Engine(w.app.platform)
    access = await w.app.platform.system_access(w.app.tenant)
    for count in (2, 4):
        for _ in range(2):
            customer = await w.customer(Tier.S)
            await w.department(customer)
            await w.person(customer, DecisionRole.A, 2)
        await engine.execute(access, LISTED, {})  # whatever is learnt once
        before = statements.count
        answer = json.loads((await engine.execute(access, LISTED, {})).body)
        assert statements.count - before == 1
        found = answer["data"]["customers"]["edges"]
        assert len(found) == count
        assert all(edge["node"]["keyScore"] is not None for edge in found)
