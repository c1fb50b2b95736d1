"""The year's plan for a customer, through GraphQL (domain rules C2, C4, C5)."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from with_profiles import Need, Needs

from guanxi_customers import DecisionRole
from guanxi_relationships import (
    ChainKind,
    LevelAssessment,
    RelationshipPlan,
    RelationshipPlanAdvanced,
)
from guanxi_sdk.testing import Boot, GraphQLFailed
from guanxi_tiers import Tier
from relating import TODAY, World, ago, world

PLAN = "relationshipPlan { id state returnedBecause version }"
LEVEL = "query ($id: ID!) { person(id: $id) { relationshipLevel } }"
FIVE_MEANS = (
    "COMPANY_VISIT", "SHOWCASE_VISIT", "ONSITE_MEETING", "TECHNICAL_EXCHANGE", "MANAGEMENT_STUDY",
)  # fmt: skip


async def drafted(w: World, customer: Any, *kinds: str) -> str:
    payload = await w.done(
        "ada", "draftRelationshipPlan", PLAN, customerId=customer, year=TODAY.year, keyTarget=80.0
    )
    plan: str = payload["relationshipPlan"]["id"]
    for kind in kinds:
        await w.done(
            "ada", "planRelationshipAction", planId=plan, kind=kind, dueOn=TODAY, purpose="trust"
        )
    return plan


async def step(w: World, user: str, verb: str, plan: str, **more: Any) -> str:
    payload = await w.done(user, f"{verb}RelationshipPlan", PLAN, planId=plan, **more)
    state: str = payload["relationshipPlan"]["state"]
    return state


async def test_scenario_14_a_claimed_plan_changes_a_level_when_approved_and_confirmed(
    guanxi: Boot,
) -> None:
    w = await world(guanxi)
    customer = await w.customer(Tier.B)
    person, other, high = [
        await w.person(customer, DecisionRole.A, level) for level in (1, None, 3)
    ]
    plan = await drafted(w, customer, "VISIT")
    targets = {}
    for one, level in ((person, 3), (other, 2), (high, 2)):
        payload = await w.done(
            "ada", "aimAtLevel", "levelTarget { id }", planId=plan, personId=one, level=level
        )
        targets[one.id] = payload["levelTarget"]["id"]
    assert await step(w, "ada", "submit", plan) == "SUBMITTED"
    assert await step(w, "bo", "approve", plan) == "APPROVED"
    assert await step(w, "ada", "start", plan) == "RUNNING"
    for one in (person, high):
        await w.done(
            "ada", "reachLevel", targetId=targets[one.id], evidence="vouched for us",
            happenedOn=ago(2),
        )  # fmt: skip
    assert await step(w, "ada", "claim", plan) == "CLAIMED"

    async def levels() -> list[int | None]:
        return [
            (await w.app.graphql(LEVEL, id=one))["person"]["relationshipLevel"]
            for one in (person, other, high)
        ]

    assert await levels() == [1, None, 3], "claimed, not confirmed"
    own = await w.refused("ada", "confirmRelationshipPlan", planId=plan)
    assert own == ("SAME_PERSON", "planId")
    assert await levels() == [1, None, 3]
    assert await step(w, "bo", "confirm", plan) == "CONFIRMED"
    assert await levels() == [3, None, 3], "without evidence nothing rises, and nothing falls"
    last = (await w.app.all(LevelAssessment))[-1]
    assert (last.level, last.former_level, last.person_id) == (3, 1, person.id)
    assert last.reviewer not in (None, last.assessor)
    assert await step(w, "bo", "close", plan) == "CLOSED"
    states = [e.state for e in w.app.events if isinstance(e, RelationshipPlanAdvanced)]
    assert states == ["SUBMITTED", "APPROVED", "RUNNING", "CLAIMED", "CONFIRMED", "CLOSED"]


async def test_scenario_49_an_s_year_without_a_showcase_visit_is_rejected_with_what_is_missing(
    guanxi: Boot,
) -> None:
    w = await world(guanxi)
    for tier, missing in ((Tier.S, True), (Tier.A, False)):
        customer = await w.customer(tier)
        kinds = [kind for kind in FIVE_MEANS if kind != "SHOWCASE_VISIT"]
        plan = await drafted(w, customer, *kinds)
        payload = await w.do("ada", "submitRelationshipPlan", PLAN, planId=plan)
        assert [error["code"] for error in payload["errors"]] == ["MEANS_MISSING"] * missing
        if missing:
            assert "lacks showcase visit:" in payload["errors"][0]["message"]
            await drafted(w, customer, "SHOWCASE_VISIT")
            assert await step(w, "ada", "submit", plan) == "SUBMITTED"


async def test_a_draft_is_changed_and_nothing_else(guanxi: Boot) -> None:
    w = await world(guanxi)
    customer, stranger = await w.customer(), await w.person(await w.customer())
    person = await w.person(customer)
    plan = await drafted(w, customer)
    empty = await w.refused("ada", "submitRelationshipPlan", planId=plan)
    assert empty == ("INVALID", "planId")
    for wrong, path in (
        ({"kind": "VISIT", "dueOn": ago(366), "purpose": "x"}, "dueOn"),
        ({"kind": "VISIT", "dueOn": TODAY, "purpose": " "}, "purpose"),
        ({"kind": "VISIT", "dueOn": TODAY, "purpose": "x", "personId": stranger}, "personId"),
    ):
        refused = await w.refused("ada", "planRelationshipAction", planId=plan, **wrong)
        assert refused == ("INVALID", path)
    for person_, level, path in ((person, 4, "level"), (stranger, 2, "personId")):
        refused = await w.refused("ada", "aimAtLevel", planId=plan, personId=person_, level=level)
        assert refused == ("INVALID", path)
    aim = {"planId": plan, "personId": person}
    first = await w.done("ada", "aimAtLevel", "levelTarget { id level }", **aim, level=1)
    again = await w.done("ada", "aimAtLevel", "levelTarget { id level }", **aim, level=2)
    assert first["levelTarget"]["id"] == again["levelTarget"]["id"]
    action = await w.done(
        "ada", "planRelationshipAction", "relationshipAction { id }", planId=plan, kind="MEAL",
        dueOn=TODAY, purpose="x", personId=person,
    )  # fmt: skip
    await w.done("ada", "dropRelationshipAction", actionId=action["relationshipAction"]["id"])
    await w.done("ada", "dropLevelTarget", targetId=first["levelTarget"]["id"])
    empty = await w.refused("ada", "submitRelationshipPlan", planId=plan)
    assert empty == ("INVALID", "planId")
    await w.done("ada", "aimAtLevel", **aim, level=2)
    await step(w, "ada", "submit", plan)
    late = await w.refused("ada", "aimAtLevel", **aim, level=3)
    assert late == ("CONFLICT", "planId")
    again = await w.refused(
        "ada", "draftRelationshipPlan", customerId=customer, year=TODAY.year, keyTarget=1.0
    )
    assert again == ("CONFLICT", "year")
    for year, target, path in ((1999, 1.0, "year"), (2025, 101.0, "keyTarget")):
        refused = await w.refused(
            "ada", "draftRelationshipPlan", customerId=customer, year=year, keyTarget=target
        )
        assert refused == ("INVALID", path)


async def test_what_was_submitted_or_claimed_is_returned_with_a_reason(guanxi: Boot) -> None:
    w = await world(guanxi)
    plan = await drafted(w, await w.customer(), "VISIT")
    await step(w, "ada", "submit", plan)
    blank = await w.refused("bo", "returnRelationshipPlan", planId=plan, reason=" ")
    assert blank == ("INVALID", "reason")
    assert await step(w, "bo", "return", plan, reason="too little") == "DRAFT"
    [row] = await w.app.all(RelationshipPlan)
    assert row.returned_because == "too little"
    for user, verb in (("ada", "submit"), ("bo", "approve"), ("ada", "start"), ("ada", "claim")):
        await step(w, user, verb, plan)
    assert await step(w, "bo", "return", plan, reason="no visit") == "RUNNING"


async def test_approving_and_confirming_take_a_permission(guanxi: Boot) -> None:
    w = await world(guanxi)
    plan = await drafted(w, await w.customer(), "VISIT")
    await step(w, "ada", "submit", plan)
    for verb in ("approve", "confirm", "close"):
        document = f"""mutation ($id: ID!) {{ {verb}RelationshipPlan(planId: $id) {{
            errors {{ code }} }} }}"""
        with pytest.raises(GraphQLFailed) as failed:
            await w.ask("bo", document, "*.read", "relationships.write", id=plan)
        assert failed.value.codes == ["FORBIDDEN"]


# the state machine

STEPS = {
    "submit": ("DRAFT", "SUBMITTED"), "approve": ("SUBMITTED", "APPROVED"),
    "start": ("APPROVED", "RUNNING"), "claim": ("RUNNING", "CLAIMED"),
    "confirm": ("CLAIMED", "CONFIRMED"), "close": ("CONFIRMED", "CLOSED"),
}  # fmt: skip
RETURNS = {"SUBMITTED": "DRAFT", "CLAIMED": "RUNNING"}
#: Who did the step before is refused at these.
SECOND = {"approve": "submit", "confirm": "claim"}


@settings(
    max_examples=3, deadline=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("ada", "bo")), st.sampled_from((*STEPS, "return", *[None] * 9))
        ),
        min_size=8, max_size=20,
    )
)  # fmt: skip
async def test_a_plan_moves_as_its_state_machine_says(
    guanxi: Boot, moves: list[tuple[str, str | None]]
) -> None:
    w = await world(guanxi)
    plan = await drafted(w, await w.customer(), "VISIT")
    state, by = "DRAFT", {}
    following = {before: verb for verb, (before, _) in STEPS.items()}
    for user, given_verb in moves:
        verb = given_verb or following.get(state, "return")
        more = {"reason": "x"} if verb == "return" else {}
        payload = await w.do(user, f"{verb}RelationshipPlan", PLAN, planId=plan, **more)
        if verb == "return":
            allowed, after = state in RETURNS, RETURNS.get(state)
        else:
            before, after = STEPS[verb]
            allowed = state == before and by.get(SECOND.get(verb)) != user
        if allowed:
            assert payload["errors"] == [], (state, user, verb)
            assert after is not None
            state = after
            by[verb] = user
        else:
            assert len(payload["errors"]) == 1, (state, user, verb)
        [row] = await w.app.all(RelationshipPlan)
        assert row.state == state


TASKS = "query ($id: ID!) { relationshipPlan(id: $id) { tasks { task personName messageZh } } }"


async def test_scenario_54_the_review_asks_for_the_need_for_safety_of_a_key_person_of_rank_5(
    guanxi: Boot,
) -> None:
    """C5, 54: no assessment of Maslow's second level; the review makes the task SAFETY_UNKNOWN."""
    w = await world(guanxi, None, Needs())
    customer = await w.customer(Tier.S)
    high = await w.person(customer, DecisionRole.A, rank=5, name="High")
    await w.seat(customer, high, DecisionRole.I, ChainKind.TECHNICAL)
    await w.person(customer, DecisionRole.D, rank=4, name="Lower")
    await w.person(customer, rank=5, name="No key person")
    left = await w.person(customer, rank=5, name="Left the chain")
    await w.seat(customer, left, DecisionRole.D, ends_on=ago(1))
    plan = await drafted(w, customer)

    async def tasks() -> list[tuple[str, str]]:
        found = (await w.app.graphql(TASKS, id=plan))["relationshipPlan"]["tasks"]
        return [(one["task"], one["personName"]) for one in found]

    assert await tasks() == [("SAFETY_UNKNOWN", "High")]
    for maslow, day in ((3, TODAY), (2, ago(-1))):
        await w.app.add(Need(person_id=high.id, maslow=maslow, assessed_on=day))
        assert await tasks() == [("SAFETY_UNKNOWN", "High")], "another level, or not yet"
    await w.app.add(Need(person_id=high.id, maslow=2, assessed_on=TODAY))
    assert await tasks() == []


async def test_nothing_is_asked_for_where_no_plugin_knows_needs(guanxi: Boot) -> None:
    w = await world(guanxi)
    customer = await w.customer(Tier.S)
    await w.person(customer, DecisionRole.A, rank=5)
    plan = await drafted(w, customer)
    assert (await w.app.graphql(TASKS, id=plan))["relationshipPlan"] == {"tasks": []}
    with pytest.raises(GraphQLFailed) as error:
        await w.app.graphql(TASKS, id=plan, can=["relationships.read"])
    assert error.value.codes == ["FORBIDDEN"]
