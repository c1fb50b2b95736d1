"""Whom to meet next, through GraphQL: reasons, order, who goes, by when."""

import datetime as dt
from typing import Any

import pytest

from guanxi_customers import Activity, ActivityParticipant, ActivityStatus, DecisionRole
from guanxi_relationships import (
    LevelTarget,
    PlanState,
    RelationshipPlan,
    RelationshipSettings,
)
from guanxi_sdk.testing import Boot, GraphQLFailed
from guanxi_tiers import Tier
from relating import NOW, TODAY, World, ago, world

NEXT = """query ($where: CustomerWhere, $asOf: Date, $first: Int) {
  nextEngagements(where: $where, asOf: $asOf, first: $first) {
    rank score customerName personName employeeName kind dueOn
    why { reason weight dueOn message messageZh } } }"""
A, D, I = DecisionRole.A, DecisionRole.D, DecisionRole.I  # noqa: E741


async def engagements(w: World, **variables: Any) -> list[Any]:
    found: list[Any] = (await w.app.graphql(NEXT, **variables))["nextEngagements"]
    assert [one["rank"] for one in found] == list(range(1, len(found) + 1))
    return found


def reasons(one: Any) -> list[str]:
    return [why["reason"] for why in one["why"]]


async def test_scenario_48_an_s_customer_without_opportunity_still_asks_for_contacts(
    guanxi: Boot,
) -> None:
    w = await world(guanxi)
    steward = await w.employee(level=4, name="Steward")
    for tier, due in ((Tier.S, True), (Tier.C, False)):
        customer = await w.customer(tier, name=tier.value)
        await w.steward(customer, steward)
        person = await w.person(customer, A, 0, rank=4)
        await w.activity(customer, ago(1), [steward, person])
        await w.activity(customer, ago(80), [steward, person])
        found = await engagements(w, where={"name": {"eq": tier.value}})
        assert [reasons(one) for one in found] == [["DUE"]] * due
        if due:
            assert found[0]["dueOn"] == str(ago(-14)), "15 days after the last contact"
            assert (found[0]["employeeName"], found[0]["kind"]) == ("Steward", "EXECUTIVE_CALL")
            assert "every 15 days" in found[0]["why"][0]["message"]
            assert "15天" in found[0]["why"][0]["messageZh"]


async def test_scenario_48_the_scheduler_plans_the_contacts_of_strategic_customers_once(
    guanxi: Boot,
) -> None:
    w = await world(guanxi, now=NOW.replace(hour=1))
    steward = await w.employee(level=4)
    due = {}
    for tier in (Tier.S, Tier.A):
        customer = await w.customer(tier)
        await w.steward(customer, steward)
        due[tier] = await w.person(customer, A, 0, rank=4, assessed_on=TODAY)
    await w.person(await w.customer(Tier.S), A)  # nobody looks after the customer
    for _ in range(2):
        w.app.clock.advance(hours=2)
        await w.app.deliver()
        w.app.clock.advance(hours=22)
    [activity] = await w.app.all(Activity)
    assert (activity.status, activity.kind) == (ActivityStatus.PLANNED, "EXECUTIVE_CALL")
    assert (activity.customer_id, activity.planned_on) == (due[Tier.S].customer_id, TODAY)
    assert "15天" in activity.subject
    who = await w.app.all(ActivityParticipant)
    assert {one.person_id or one.employee_id for one in who} == {due[Tier.S].id, steward.id}


async def test_each_reason_has_its_weight_and_its_day(guanxi: Boot) -> None:
    w = await world(guanxi)
    customer = await w.customer(Tier.B)
    peer = await w.employee(level=3)
    fading = await w.person(customer, A, 2, rank=3, name="fading")
    await w.activity(customer, ago(80), [peer, fading])
    plan = await w.app.add(
        RelationshipPlan(customer_id=customer.id, year=TODAY.year, state=PlanState.RUNNING)
    )
    await w.app.add(LevelTarget(plan_id=plan.id, person_id=fading.id, level=3))
    await w.person(customer, I, name="unknown", rank=2)
    department = await w.department(customer)
    for rank, name in ((2, "clerk"), (3, "head")):
        await w.person(customer, rank=rank, name=name, department_id=department.id)
    found = {one["personName"]: one for one in await engagements(w)}
    told = {
        name: [(why["reason"], why["weight"], why["dueOn"]) for why in one["why"]]
        for name, one in found.items()
    }
    soon = str(ago(-14))
    assert told == {
        "fading": [
            ("DECAY", 4, str(ago(80) + dt.timedelta(days=91))),
            ("DUE", 3, str(TODAY)),
            ("BELOW_TARGET", 2, f"{TODAY.year}-12-31"),
        ],
        "unknown": [
            ("DUE", 3, str(TODAY)), ("UNASSESSED", 3, soon), ("NOT_AT_LEVEL", 2, soon),
        ],
        "head": [("UNCOVERED", 1, soon)],
    }  # fmt: skip
    assert {name: one["score"] for name, one in found.items()} == {
        "fading": pytest.approx(9 * 2 * 5 / 5), "unknown": pytest.approx(8 * 2 * 2 / 5),
        "head": pytest.approx(1 * 2 * 2 / 5),
    }  # fmt: skip
    assert list(found) == ["fading", "unknown", "head"]
    assert found["unknown"]["kind"] == "VISIT"
    assert found["unknown"]["employeeName"] is None, "nobody looks after the customer"


async def test_tiers_weigh_and_first_limits(guanxi: Boot) -> None:
    w = await world(guanxi)
    for tier in (Tier.C, Tier.S, Tier.B, Tier.A):
        await w.person(await w.customer(tier), A)
    found = await engagements(w)
    assert [one["customerName"] for one in found] == ["客户 3", "客户 7", "客户 5", "客户 1"]
    assert await engagements(w, first=2) == found[:2]
    assert await engagements(w) == found, "the same facts give the same order"
    for wrong in ({"first": 0}, {"first": 201}, {"asOf": "1800-01-01"}):
        with pytest.raises(GraphQLFailed) as failed:
            await w.app.graphql(NEXT, **wrong)
        assert failed.value.codes == ["INVALID"]


async def test_who_goes_is_of_a_like_level_and_known_and_never_far_above(guanxi: Boot) -> None:
    w = await world(guanxi, RelationshipSettings(every_days_b=1))
    boss = await w.employee(level=5, name="Boss")
    seller = await w.employee(level=2, name="Seller", supervisor_id=boss.id)
    peer = await w.employee(level=2, name="Peer")
    customer = await w.customer(Tier.B)
    await w.steward(customer, seller)
    await w.steward(customer, peer, is_primary=False)
    for rank, name in ((5, "chief"), (4, "head"), (3, "engineer"), (1, "clerk")):
        person = await w.person(customer, D, 1, rank=rank, name=name)
        if name == "engineer":
            await w.activity(customer, ago(2), [peer, person])
    goes = {one["personName"]: one["employeeName"] for one in await engagements(w)}
    assert goes == {"chief": "Boss", "head": "Boss", "engineer": "Peer", "clerk": "Seller"}


async def test_what_is_asked_takes_the_permissions_of_what_it_is_made_of(guanxi: Boot) -> None:
    w = await world(guanxi)
    everything = ("relationships.read", "customers.read", "tiers.read")
    assert await w.ask("bo", NEXT, *everything) == {"nextEngagements": []}
    for without in everything:
        with pytest.raises(GraphQLFailed) as failed:
            await w.ask("bo", NEXT, *(one for one in everything if one != without))
        assert failed.value.codes == ["FORBIDDEN"], without


@pytest.mark.parametrize(
    ("most", "names"),
    [
        (4, {"Planned", "Met", "Never met", "General"}),
        (3, {"Planned", "Met", "Never met"}),
        (2, {"Planned", "Never met"}),
        (1, {"Planned"}),
    ],
)
async def test_of_too_many_customers_the_weightiest_are_looked_at(
    guanxi: Boot, most: int, names: set[str]
) -> None:
    w = await world(guanxi, RelationshipSettings(engagement_customers=most))
    for name, tier in (
        ("General", Tier.B), ("Met", Tier.S), ("Never met", Tier.S), ("Planned", Tier.C),
    ):  # fmt: skip
        customer = await w.customer(tier, name=name)
        person = await w.person(customer, A)
        if name == "Met":
            await w.activity(customer, ago(1), [person])
        if name == "Planned":
            await w.app.add(
                RelationshipPlan(
                    customer_id=customer.id, year=TODAY.year, state=PlanState.RUNNING
                )
            )  # fmt: skip
    assert {one["customerName"] for one in await engagements(w)} == names
