"""Customers as an asset of the company, through GraphQL (domain rules F10, F11, C2, C5)."""

import datetime as dt
from typing import Any

import pytest
from with_profiles import FamilyNote, Profile, Profiles, Signatures

from guanxi_customers import (
    ActivityKind,
    Customer,
    DecisionRole,
    Employee,
    Office,
    Purchase,
    Stewardship,
)
from guanxi_relationships import Handover, HandoverAdvanced, RotationProposal, RotationProposed
from guanxi_sdk import Money
from guanxi_sdk.testing import Boot, GraphQLFailed
from guanxi_tiers import Tier
from relating import TODAY, World, ago, world

FINDINGS = """query ($asOf: Date, $where: CustomerWhere) {
  relationshipFindings(asOf: $asOf, where: $where) {
    code severity customerName employeeName figure threshold message messageZh } }"""
HANDOVER = "handover { id state gaps { lack present needed message messageZh } }"


async def findings(w: World, *codes: str, **variables: Any) -> list[Any]:
    """The findings of these kinds."""
    found = (await w.app.graphql(FINDINGS, **variables))["relationshipFindings"]
    return [one for one in found if one["code"] in codes]


def brief(found: list[Any]) -> list[tuple[Any, ...]]:
    return [(one["severity"], one["customerName"], one["figure"]) for one in found]


# F11


async def test_scenario_23_in_36_months_the_supervisor_joined_nothing_is_critical(
    guanxi: Boot,
) -> None:
    w = await world(guanxi)
    boss = await w.employee(level=5)
    seller = await w.employee(level=2, supervisor_id=boss.id)
    customer = await w.customer(name="Alone")
    await w.steward(customer, seller, dt.date(2021, 6, 30))
    await w.activity(customer, ago(3), [seller])
    [found] = await findings(w, "ISOLATED")
    assert brief([found]) == [("CRITICAL", "Alone", 36)]
    assert (found["threshold"], found["employeeName"]) == (12, seller.name)
    assert "36 months" in found["message"]
    assert "36个月" in found["messageZh"]


async def test_isolation_warns_from_6_months_on_and_counts_from_the_supervisors_last_activity(
    guanxi: Boot,
) -> None:
    w = await world(guanxi)
    boss = await w.employee()
    seller = await w.employee(supervisor_id=boss.id)
    joined = {
        "12": dt.date(2023, 6, 30), "11": dt.date(2023, 7, 1), "6": dt.date(2023, 12, 30),
        "5": dt.date(2023, 12, 31), "0": TODAY,
    }  # fmt: skip
    for name, day in joined.items():
        customer = await w.customer(name=name)
        await w.steward(customer, seller)
        await w.activity(customer, day, [boss])
        await w.activity(customer, ago(-1), [boss])  # tomorrow
    head = await w.customer(name="of the boss")
    await w.steward(head, boss)
    found = brief(await findings(w, "ISOLATED"))
    assert found == [("CRITICAL", "12", 12), ("WARNING", "11", 11), ("WARNING", "6", 6)]
    then = await findings(w, "ISOLATED", asOf=dt.date(2023, 12, 31))
    assert brief(then) == [("CRITICAL", "0", 47), ("WARNING", "12", 6)], "later ones do not count"


async def test_a_strategic_customer_whom_one_of_us_holds_hangs_by_a_thread(guanxi: Boot) -> None:
    w = await world(guanxi)
    one, two, three = [await w.employee() for _ in range(3)]
    for tier, name in ((Tier.S, "thread"), (Tier.A, "rope"), (Tier.B, "general"), (Tier.A, "air")):
        customer = await w.customer(tier, name=name)
        friend = await w.person(customer, level=2)
        neutral = await w.person(customer, level=0)
        if name == "air":
            continue
        await w.activity(customer, ago(1), [one, friend])
        await w.activity(customer, ago(1), [two, neutral])
        await w.activity(customer, ago(366), [three, friend])
        if name == "rope":
            await w.activity(customer, ago(365), [two, friend])
            await w.activity(customer, ago(364), [three, friend])
    found = await findings(w, "SINGLE_THREADED")
    assert brief(found) == [("CRITICAL", "air", 0), ("WARNING", "thread", 1)]
    narrow = await findings(w, "SINGLE_THREADED", where={"name": {"eq": "thread"}})
    assert brief(narrow) == [("WARNING", "thread", 1)]


# F10


async def test_scenario_28_four_of_ten_with_the_ceo_before_rank_3_are_0_40_and_alert(
    guanxi: Boot,
) -> None:
    w = await world(guanxi)
    customer = await w.customer(name="Acme")
    ceo, seller = await w.employee(level=5), await w.employee(level=2)
    engineer, head = await w.person(customer, rank=3), await w.person(customer, rank=4)
    for number in range(4):
        await w.activity(customer, ago(number), [ceo, seller, engineer])
    await w.activity(customer, ago(5), [ceo, engineer, head])
    for number in range(5):
        await w.activity(customer, ago(number), [seller, engineer])
    await w.activity(customer, dt.date(2024, 3, 31), [ceo, engineer])  # of the quarter before
    found = await findings(w, "LEVEL_MISMATCH")
    assert brief(found) == [("WARNING", None, 0.4), ("WARNING", "Acme", 0.4)]
    assert found[0]["threshold"] == 0.3
    assert "4 of 10 activities" in found[0]["message"]
    await w.activity(customer, TODAY, [seller, engineer])
    more = [seller, engineer]
    for _ in range(3):
        await w.activity(customer, TODAY, more)  # 4 of 14
    assert await findings(w, "LEVEL_MISMATCH") == []


# C5, 27


async def buy(w: World, customer: Customer, by: Employee, amount: str, day: dt.date) -> None:
    code = f"P{next(w._numbers)}"
    await w.app.add(
        Purchase(
            code=code, customer_id=customer.id, employee_id=by.id, ordered_on=day,
            amount=Money.parse(amount, "CNY"),
        )
    )  # fmt: skip


async def test_scenario_27_the_ceo_signs_1_5_of_2_billion_is_boss_dependence(
    guanxi: Boot,
) -> None:
    w = await world(guanxi)
    customer = await w.customer()
    ceo, seller = await w.employee(level=5), await w.employee()
    await buy(w, customer, ceo, "1500000000", ago(10))
    await buy(w, customer, seller, "500000000", ago(10))
    await buy(w, customer, seller, "9000000000", ago(367))  # more than a year ago
    [found] = await findings(w, "BOSS_DEPENDENCE")
    assert (found["severity"], found["figure"], found["threshold"]) == ("CRITICAL", 0.75, 0.5)
    assert "75%" in found["message"]
    await buy(w, customer, seller, "1000000000", ago(1))
    assert await findings(w, "BOSS_DEPENDENCE") == [], "half is not more than half"


async def test_another_plugin_says_who_signed(guanxi: Boot) -> None:
    w = await world(guanxi, None, Signatures())
    customer, ceo = await w.customer(), await w.employee(level=5)
    await buy(w, customer, ceo, "0.50", ago(10))
    assert [one["figure"] for one in await findings(w, "BOSS_DEPENDENCE")] == [1]
    await w.app.graphql(
        """mutation ($id: ID!) { archivePurchase(id: $id) { errors { code } } }""",
        id=(await w.app.all(Purchase))[0],
    )
    found = await findings(w, "BOSS_DEPENDENCE")
    assert [one["figure"] for one in found] == [1], "its SELECT counts archived ones, too"


# C5, 29


async def test_scenario_29_thirty_visits_and_no_key_person_at_1_runs_and_does_not_influence(
    guanxi: Boot,
) -> None:
    w = await world(guanxi)
    customer = await w.customer()
    runner, influencer, idle = [await w.employee() for _ in range(3)]
    cold, warm = await w.person(customer, DecisionRole.A, 0), await w.person(customer, level=3)
    async with w.at_once():
        for _ in range(29):
            await w.activity(customer, ago(1), [runner, influencer, cold, warm])
    await w.activity(customer, ago(1), [idle, cold])
    assert await findings(w, "RUNS_NOT_INFLUENCES") == []
    await w.activity(customer, ago(1), [runner, influencer, cold])
    assert len(await findings(w, "RUNS_NOT_INFLUENCES")) == 2
    key = await w.person(customer, DecisionRole.I, 1)
    await w.activity(customer, ago(90), [influencer, key], ActivityKind.MEAL)
    [found] = await findings(w, "RUNS_NOT_INFLUENCES")
    assert (found["employeeName"], found["figure"]) == (runner.name, 30)


async def test_findings_take_the_permissions_of_what_they_are_made_of(guanxi: Boot) -> None:
    w = await world(guanxi)
    everything = ("relationships.read", "customers.read", "tiers.read")
    assert await w.ask("bo", FINDINGS, *everything) == {"relationshipFindings": []}
    for without in everything:
        with pytest.raises(GraphQLFailed) as failed:
            await w.ask("bo", FINDINGS, *(one for one in everything if one != without))
        assert failed.value.codes == ["FORBIDDEN"], without


# C5, 26


async def test_scenario_26_after_24_months_another_office_is_proposed_and_nobody_is_moved(
    guanxi: Boot,
) -> None:
    w = await world(guanxi, now=dt.datetime(2024, 6, 29, 23, tzinfo=dt.UTC))
    north, south, east = [await w.app.add(Office(code=code, name=code)) for code in ("N", "S", "E")]
    due = await w.employee(office_id=north.id, level=2)
    senior = await w.employee(office_id=north.id, level=4)
    fresh = await w.employee(office_id=south.id)
    await w.employee(office_id=east.id)
    await w.employee(office_id=east.id)
    for employee, since in (
        (due, dt.date(2022, 6, 30)), (due, dt.date(2024, 1, 1)), (senior, dt.date(2010, 1, 1)),
        (fresh, dt.date(2022, 7, 1)),
    ):  # fmt: skip
        await w.steward(await w.customer(), employee, since)
    for _ in range(2):  # on the second night nothing is added
        w.app.clock.advance(hours=3)
        await w.app.deliver()
    [proposal] = await w.app.all(RotationProposal)
    assert (proposal.employee_id, proposal.tenure_months) == (due.id, 24)
    assert (proposal.from_office_id, proposal.to_office_id) == (north.id, south.id)
    assert [type(event) for event in w.app.events] == [RotationProposed]
    assert (await w.app.get(Employee, due.id)).office_id == north.id
    silent = await w.refused("bo", "answerRotation", proposalId=proposal, accept=False)
    assert silent == ("INVALID", "answer")
    select = "rotationProposal { state }"
    answered = await w.done(
        "bo", "answerRotation", select, proposalId=proposal, accept=False, answer="children"
    )
    assert answered["rotationProposal"]["state"] == "DECLINED"
    again = await w.refused("bo", "answerRotation", proposalId=proposal, accept=True)
    assert again == ("CONFLICT", "proposalId")
    w.app.clock.advance(days=1)  # the fresh one is due now; who declined is left alone
    await w.app.deliver()
    assert {row.employee_id for row in await w.app.all(RotationProposal)} == {due.id, fresh.id}
    w.app.clock.advance(days=200)
    await w.app.deliver()
    count = [row.employee_id for row in await w.app.all(RotationProposal)].count(due.id)
    assert count == 2


# C5, 24 and 25


async def handing_over(guanxi: Boot) -> tuple[World, Customer, Employee, Employee]:
    w = await world(guanxi, None, Profiles())
    customer = await w.customer(Tier.S)
    leaver, heir = await w.employee(), await w.employee()
    await w.steward(customer, leaver)
    return w, customer, leaver, heir


async def overlapping(w: World, customer: Customer, heir: Employee) -> str:
    """A handover in its overlap."""
    made = await w.done(
        "ada", "proposeHandover", HANDOVER, customerId=customer, toEmployeeId=heir, reason="leaves"
    )
    handover: str = made["handover"]["id"]
    own = await w.refused("ada", "approveHandover", handoverId=handover)
    assert own == ("SAME_PERSON", "handoverId")
    await w.done("bo", "approveHandover", handoverId=handover)
    await w.done("ada", "startHandover", handoverId=handover)
    return handover


async def test_scenario_24_a_profile_of_0_6_stops_a_handover_and_0_8_with_two_visits_passes(
    guanxi: Boot,
) -> None:
    w, customer, leaver, heir = await handing_over(guanxi)
    profile = await w.app.add(
        Profile(customer_id=customer.id, macro="a", industry="b", competition="c", strategy="")
    )
    handover = await overlapping(w, customer, heir)
    for _ in range(2):
        await w.activity(customer, TODAY, [leaver, heir])
    w.app.clock.advance(days=30)
    payload = await w.do("ada", "completeHandover", handoverId=handover)
    [error] = payload["errors"]
    assert (error["code"], error["path"]) == ("PROFILE_INCOMPLETE", "handoverId")
    assert "60%" in error["message"]
    fill = """mutation ($id: ID!) { updateProfile(id: $id, version: 1, input: {strategy: "d"}) {
        errors { message } } }"""
    assert (await w.app.graphql(fill, id=profile))["updateProfile"]["errors"] == []
    done = await w.done("ada", "completeHandover", HANDOVER, handoverId=handover)
    assert done["handover"] == {"id": handover, "state": "COMPLETED", "gaps": []}
    today = TODAY + dt.timedelta(days=30)
    present = [s for s in await w.app.all(Stewardship) if (s.ends_on or dt.date.max) > today]
    assert [(s.employee_id, s.is_primary) for s in present] == [(heir.id, True)]
    states = [e.state for e in w.app.events if isinstance(e, HandoverAdvanced)]
    assert states == ["PROPOSED", "APPROVED", "OVERLAP", "COMPLETED"]


async def test_what_a_handover_lacks_is_told_before_it_is_refused(guanxi: Boot) -> None:
    w, customer, leaver, heir = await handing_over(guanxi)
    await w.activity(customer, ago(1), [leaver, heir])  # before the overlap
    handover = await overlapping(w, customer, heir)
    await w.activity(customer, TODAY, [leaver, heir])
    await w.activity(customer, TODAY, [heir])
    await w.activity(customer, TODAY, [leaver, heir], ActivityKind.MEAL)
    w.app.clock.advance(days=29)
    ask = "{ handovers { edges { node { gaps { lack present needed message messageZh } } } } }"
    [edge] = (await w.app.graphql(ask))["handovers"]["edges"]
    gaps = edge["node"]["gaps"]
    assert [(gap["lack"], gap["present"], gap["needed"]) for gap in gaps] == [
        ("OVERLAP_TOO_SHORT", 29, 30), ("PROFILE_INCOMPLETE", None, 0.8),
        ("JOINT_VISITS_MISSING", 1, 2),
    ]  # fmt: skip
    assert gaps[1]["message"] == "The profile's completeness is unknown, 80% are needed."
    assert gaps[2]["messageZh"] == "联合拜访1次，需2次。"
    payload = await w.do("ada", "completeHandover", handoverId=handover)
    [error] = payload["errors"]
    assert error["code"] == "OVERLAP_TOO_SHORT"
    for gap in gaps:
        assert gap["message"] in error["message"]


async def test_scenario_25_after_the_handover_the_old_steward_is_denied_the_family_note(
    guanxi: Boot,
) -> None:
    w, customer, leaver, heir = await handing_over(guanxi)
    await w.app.add(
        Profile(customer_id=customer.id, macro="a", industry="b", competition="c", strategy="d")
    )
    person = await w.person(customer)
    note = await w.app.add(FamilyNote(person_id=person.id, note="two children"))
    grants = ("customers.read", "profiles.read:own")
    link = """mutation ($e: ID!, $user: String) { linkEmployee(employeeId: $e, userId: $user) {
        errors { message } } }"""
    for name, employee in (("leaver", leaver), ("heir", heir)):
        user = (await w.access(name, *grants)).caller.user_id
        linked = await w.app.graphql(link, e=employee, user=f"user_{user}")
        assert linked["linkEmployee"]["errors"] == []
    read = "query ($id: ID!) { familyNote(id: $id) { note } }"

    async def reads(name: str) -> Any:
        return (await w.ask(name, read, *grants, id=note))["familyNote"]

    told = {"note": "two children"}
    assert (await reads("leaver"), await reads("heir")) == (told, None)
    handover = await overlapping(w, customer, heir)
    assert (await reads("leaver"), await reads("heir")) == (told, told)
    for _ in range(2):
        await w.activity(customer, TODAY, [leaver, heir])
    w.app.clock.advance(days=30)
    await w.done("ada", "completeHandover", handoverId=handover)
    assert (await reads("leaver"), await reads("heir")) == (None, told)
    audit = """{ auditEntries(where: {action: {eq: "guanxi.secret.read"}}) { totalCount } }"""
    entries = (await w.ask("ada", audit))["auditEntries"]
    assert entries["totalCount"] == 6, "each attempt is written down, those in vain, too"


async def test_a_handover_that_is_withdrawn_leaves_the_steward(guanxi: Boot) -> None:
    w, customer, leaver, heir = await handing_over(guanxi)
    none = await w.refused(
        "ada", "proposeHandover", customerId=await w.customer(), toEmployeeId=heir, reason="x"
    )
    assert none == ("INVALID", "customerId")
    same = await w.refused(
        "ada", "proposeHandover", customerId=customer, toEmployeeId=leaver, reason="x"
    )
    assert same == ("INVALID", "toEmployeeId")
    gone = await w.employee(archived_at=dt.datetime.combine(TODAY, dt.time(), dt.UTC))
    left = await w.refused(
        "ada", "proposeHandover", customerId=customer, toEmployeeId=gone, reason="x"
    )
    assert left == ("INVALID", "toEmployeeId")
    handover = await overlapping(w, customer, heir)
    twice = await w.refused(
        "ada", "proposeHandover", customerId=customer, toEmployeeId=heir, reason="x"
    )
    assert twice == ("CONFLICT", "customerId")
    await w.done("bo", "withdrawHandover", handoverId=handover)
    over = await w.refused("ada", "completeHandover", handoverId=handover)
    assert over == ("CONFLICT", "handoverId")
    present = [s for s in await w.app.all(Stewardship) if s.ends_on is None]
    assert [s.employee_id for s in present] == [leaver.id]
    [row] = await w.app.all(Handover)
    assert row.state == "WITHDRAWN"


async def test_withdrawing_leaves_who_was_beside_the_steward_before(guanxi: Boot) -> None:
    w, customer, leaver, heir = await handing_over(guanxi)
    await w.steward(customer, heir, is_primary=False)
    handover = await overlapping(w, customer, heir)
    await w.done("bo", "withdrawHandover", handoverId=handover)
    present = [s.employee_id for s in await w.app.all(Stewardship) if s.ends_on is None]
    assert {*present} == {leaver.id, heir.id}
    assert len(present) == 2


@pytest.mark.parametrize("days", [0, 5])
async def test_a_handover_replaces_nobody_but_whom_it_names(guanxi: Boot, days: int) -> None:
    """Neither who became the primary steward meanwhile, nor who will be."""
    w, customer, _, heir = await handing_over(guanxi)
    third = await w.employee()
    handover = await overlapping(w, customer, heir)
    w.app.clock.advance(days=1)
    begins = w.app.clock().date() + dt.timedelta(days=days)
    await w.done("bo", "assignSteward", customerId=customer, employeeId=third, startsOn=begins)
    void = await w.refused("ada", "completeHandover", handoverId=handover)
    assert void == ("CONFLICT", "handoverId")
    await w.done("bo", "withdrawHandover", handoverId=handover)
    present = [s.employee_id for s in await w.app.all(Stewardship) if s.ends_on is None]
    assert present == [third.id]
