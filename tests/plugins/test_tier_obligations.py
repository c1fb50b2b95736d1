"""What tiers require of a year (domain rule "Tier requirements"; C5, 48)."""

import datetime as dt
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from with_tier_answers import Faulty, Sponsor, Sponsors

from guanxi_customers import Customer, Employee, Office, Stewardship
from guanxi_sdk.testing import App, Boot, GraphQLFailed
from guanxi_tiers import READ, Requirement, Standing, Tier, TierSettings, facts
from guanxi_tiers.demands import EARLY, demands_of
from tiering import OVERRIDE_TIER, assess, booted, classify, customer, done

NEW_YEAR = dt.datetime(2024, 1, 2, 8, tzinfo=dt.UTC)
UPDATE = """mutation { updateTierObligations {
    result { open inBackground } errors { message } } }"""
FULFIL = """mutation ($id: ID!, $evidence: String!, $on: Date) {
  fulfilTierObligation(obligationId: $id, evidence: $evidence, on: $on) {
    tierObligation { state fulfilledOn fulfilledBy evidence } errors { path code message } } }"""
LISTED = """query ($where: TierObligationWhere) {
  tierObligations(where: $where, orderBy: DUE_ON_ASC, first: 200) { edges { node {
    id customer { code } tier requirement startsOn endsOn dueOn state fulfilledOn fulfilledBy
} } } }"""

ONCE = [
    "COMPANY_VISIT", "EXECUTIVE_SPONSOR", "GROUP_STRATEGY", "KEY_PERSON_PLAN", "MANAGEMENT_STUDY",
    "ONSITE_MEETING", "ORGANIZATIONAL_PLAN", "SHOWCASE_VISIT", "TECHNICAL_EXCHANGE",
]  # fmt: skip


async def tiered(guanxi: Boot, *others: Any, now: dt.datetime = NEW_YEAR, **codes: str) -> App:
    """Customers by code, each with the tier that is named."""
    app = await booted(guanxi, None, *others, now=now)
    for code, tier in codes.items():
        c = await customer(app, code)
        await done(app, OVERRIDE_TIER, id=c, tier=tier, reason="for the test", until="2025-12-31")
    return app


async def listed(app: App, **where: Any) -> list[dict[str, Any]]:
    answer = await app.graphql(LISTED, where=where)
    return [edge["node"] for edge in answer["tierObligations"]["edges"]]


async def codes(app: App) -> dict[str, Any]:
    answer = await app.graphql("{ customers { edges { node { id code } } } }")
    return {e["node"]["code"]: e["node"]["id"] for e in answer["customers"]["edges"]}


def by_requirement(found: list[dict[str, Any]]) -> dict[str, list[str]]:
    due: dict[str, list[str]] = {}
    for one in found:
        due.setdefault(one["requirement"], []).append(one["dueOn"])
    return due


@pytest.mark.parametrize("verb", ["updateTierObligations", "classifyCustomers"])
async def test_whoever_may_not_read_customers_works_nothing_out_of_them(
    guanxi: Boot, verb: str
) -> None:
    """How many obligations are open after it, and who has which tier, would tell of them."""
    app = await tiered(guanxi, C1="S")
    with pytest.raises(GraphQLFailed, match=r"customers\.read"):
        await app.graphql(
            f"mutation {{ {verb} {{ errors {{ message }} }} }}", can=["tiers.read", "tiers.write"]
        )


async def test_each_tier_requires_what_the_rule_says(guanxi: Boot) -> None:
    app = await tiered(guanxi, C1="S", C2="A", C3="B", C4="C")
    await done(app, UPDATE)
    quarters = ["2024-03-31", "2024-06-30", "2024-09-30", "2024-12-31"]
    early = ["2024-03-30"]  # 90 days, in a leap year
    months = [f"2024-{m:02}-{d}" for m, d in enumerate(
        (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), 1)]  # fmt: skip
    months[0] = "2024-02-01"  # at least 30 days from the day on which it was required first
    a = {
        "KEY_PERSON_PLAN": early, "ORGANIZATIONAL_PLAN": early, "EXECUTIVE_SPONSOR": early,
        "REVIEW": quarters, "CONTACT": months,
    }  # fmt: skip
    wanted = {
        "C1": a | dict.fromkeys(ONCE, early)
        | {"PROFILE_REFRESH": ["2024-12-31"], "PROFILE_CHECK": quarters},
        "C2": a,
        "C3": {"KEY_PERSON_PLAN": early, "REVIEW": ["2024-06-30", "2024-12-31"]},
        "C4": {"REVIEW": ["2024-12-31"]},
    }  # fmt: skip
    found = await listed(app)
    for code, required in wanted.items():
        of_code = [one for one in found if one["customer"]["code"] == code]
        assert by_requirement(of_code) == required, code
    assert {one["state"] for one in found} == {"OPEN"}
    before = len(found)
    assert await done(app, UPDATE) == {"open": before, "inBackground": False}
    assert len(await listed(app)) == before


async def test_another_tier_lapses_what_it_does_not_require(guanxi: Boot) -> None:
    app = await tiered(guanxi, C1="B")
    await done(app, UPDATE)
    (c1,) = (await codes(app)).values()
    await done(app, OVERRIDE_TIER, id=c1, tier="C", reason="smaller")
    await done(app, UPDATE)
    states = {(o["requirement"], o["startsOn"], o["tier"]): o["state"] for o in await listed(app)}
    assert states == {
        ("KEY_PERSON_PLAN", "2024-01-01", "B"): "LAPSED",
        ("REVIEW", "2024-01-01", "B"): "LAPSED",
        ("REVIEW", "2024-07-01", "B"): "LAPSED",
        ("REVIEW", "2024-01-01", "C"): "OPEN",
    }
    await done(app, OVERRIDE_TIER, id=c1, tier="B", reason="larger again")
    await done(app, UPDATE)
    assert sorted(o["state"] for o in await listed(app)) == ["LAPSED", "OPEN", "OPEN", "OPEN"]


async def test_activities_fulfil_contacts_and_the_five_means(guanxi: Boot) -> None:
    app = await tiered(guanxi, C1="S", C2="S", now=NEW_YEAR.replace(month=3, day=5))
    ids = await codes(app)
    create = """mutation ($in: CreateActivityInput!) {
        createActivity(input: $in) { errors { message } } }"""
    for values in (
        {"kind": "CALL", "status": "DONE", "doneAt": "2024-03-04T10:00:00Z"},
        {"kind": "SHOWCASE_VISIT", "plannedOn": "2024-09-09"},
        {"kind": "ONSITE_MEETING", "plannedOn": "2024-09-09", "status": "CANCELLED"},
        {"kind": "COMPANY_VISIT", "plannedOn": "2025-01-09"},
    ):
        given_values = {"customerId": ids["C1"], "subject": "x", **values}
        await app.graphql(create, **{"in": given_values})
    await done(app, UPDATE)
    found = await listed(app, state={"eq": "FULFILLED"})
    assert sorted(
        (o["customer"]["code"], o["requirement"], o["fulfilledOn"], o["fulfilledBy"]) for o in found
    ) == [
        ("C1", "CONTACT", "2024-03-04", "tiers"),
        ("C1", "SHOWCASE_VISIT", "2024-09-09", "tiers"),
    ]


async def test_other_plugins_say_what_fulfils_a_requirement(guanxi: Boot) -> None:
    app = await tiered(guanxi, Sponsors(), Faulty(), C1="A", C2="A")
    await done(app, UPDATE)
    ids = {c.code: c.id for c in await app.all(Customer)}
    await app.add(Sponsor(customer_id=ids["C1"], named_on=dt.date(2023, 12, 31)))
    await app.add(Sponsor(customer_id=ids["C2"], named_on=dt.date(2024, 1, 2)))
    await app.deliver()
    app.clock.advance(hours=1)
    await app.deliver()
    found = await listed(app, state={"eq": "FULFILLED"})
    assert [(o["customer"]["code"], o["requirement"], o["fulfilledBy"]) for o in found] == [
        ("C2", "EXECUTIVE_SPONSOR", "sponsors")
    ]


async def test_what_no_plugin_knows_is_said_by_hand_with_evidence(guanxi: Boot) -> None:
    app = await tiered(guanxi, C1="C")
    await done(app, UPDATE)
    (review,) = await listed(app)
    for variables, path in (
        ({"evidence": " "}, "evidence"),
        ({"evidence": "minutes", "on": "2024-01-03"}, "on"),
        ({"evidence": "minutes", "on": "2023-12-31"}, "on"),
    ):
        refused = await app.graphql(FULFIL, id=review["id"], **variables)
        assert [e["path"] for e in refused["fulfilTierObligation"]["errors"]] == [path]
    with pytest.raises(GraphQLFailed) as error:
        await app.graphql(FULFIL, can=["customers.read", READ], id=review["id"], evidence="x")
    assert error.value.codes == ["FORBIDDEN"]
    fulfilled = await done(app, FULFIL, id=review["id"], evidence="minutes of 2 January")
    assert (fulfilled["state"], fulfilled["fulfilledOn"]) == ("FULFILLED", "2024-01-02")
    again = await app.graphql(FULFIL, id=review["id"], evidence="x")
    assert [e["code"] for e in again["fulfilTierObligation"]["errors"]] == ["CONFLICT"]
    await done(app, UPDATE)
    assert [o["state"] for o in await listed(app)] == ["FULFILLED"]


async def test_they_are_seen_by_customer_by_manager_and_by_office(guanxi: Boot) -> None:
    app = await booted(guanxi, None, now=NEW_YEAR)
    office = await app.add(Office(code="O", name="北京"))
    ada, bob = [await app.add(Employee(code=n, name=n)) for n in ("ada", "bob")]
    for code, tier, steward, place in (
        ("C1", "B", ada, office), ("C2", "C", ada, None), ("C3", "C", bob, office),
    ):  # fmt: skip
        c = await customer(app, code, office_id=place.id if place else None)
        await done(app, OVERRIDE_TIER, id=c, tier=tier, reason="x", until="2025-12-31")
        start = dt.date(2023, 1, 1)
        await app.add(
            Stewardship(customer_id=c.id, employee_id=steward.id, starts_on=start, is_primary=True)
        )
    await done(app, UPDATE)
    app.clock.advance(days=100)
    answer = await app.graphql(
        """{ customers(orderBy: CODE_ASC) { edges { node {
               code openObligations overdueObligations } } }
             employees(orderBy: CODE_ASC) { edges { node {
               code openCustomerObligations overdueCustomerObligations } } }
             offices { edges { node { code openOfficeObligations overdueOfficeObligations } } }
             late: customers(where: { overdueObligations: { gt: 0 } }) { totalCount }
             mine: tierObligations(where: { customer: { stewardships: { some: {
               employee: { code: { eq: "ada" } } } } } }) { totalCount } }"""
    )
    nodes = {
        name: [tuple(e["node"].values()) for e in answer[name]["edges"]]
        for name in ("customers", "employees", "offices")
    }
    assert nodes == {
        "customers": [("C1", 3, 1), ("C2", 1, 0), ("C3", 1, 0)],
        "employees": [("ada", 4, 1), ("bob", 1, 0)],
        "offices": [("O", 4, 1)],
    }
    assert (answer["late"]["totalCount"], answer["mine"]["totalCount"]) == (1, 4)


async def test_scenario_48_contact_tasks_are_made_though_there_is_no_opportunity(
    guanxi: Boot,
) -> None:
    """C5, 48: an S customer has no opportunity for a quarter; contact tasks are still created."""
    app = await tiered(guanxi, C1="S")
    await app.deliver()
    app.clock.advance(hours=1)
    await app.deliver()
    contacts = await listed(app, requirement={"eq": "CONTACT"}, dueOn={"lte": "2024-03-31"})
    assert [(o["customer"]["code"], o["dueOn"]) for o in contacts] == [
        ("C1", "2024-02-01"),
        ("C1", "2024-02-29"),
        ("C1", "2024-03-31"),
    ]


async def test_customers_without_a_tier_and_archived_ones_owe_nothing(guanxi: Boot) -> None:
    app = await tiered(guanxi, C2="C")
    await customer(app, "C1")
    archive = "mutation ($id: ID!) { archiveCustomer(id: $id) { errors { message } } }"
    await app.graphql(archive, id=(await codes(app))["C2"])
    assert (await done(app, UPDATE))["open"] == 0
    await classify(app)
    assert (await done(app, UPDATE))["open"] == 1


async def open_of(app: App) -> dict[str, int]:
    """Open obligations by code."""
    answer = await app.graphql(
        "{ customers(orderBy: CODE_ASC) { edges { node { code openObligations } } } }"
    )
    return {e["node"]["code"]: e["node"]["openObligations"] for e in answer["customers"]["edges"]}


async def test_tiers_bring_their_obligations_before_the_hour_is_over(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(weight_purchase=0), Sponsors(), now=NEW_YEAR)
    c1, c2 = await customer(app, "C1"), await customer(app, "C2")
    await assess(app, c1, PROFIT=7)
    await app.add(Sponsor(customer_id=c1.id, named_on=NEW_YEAR.date()))
    await classify(app)
    assert await open_of(app) == {"C1": 0, "C2": 0}
    await app.deliver()
    of_a = 1 + 1 + 4 + 12  # the executive sponsor is there
    assert await open_of(app) == {"C1": of_a, "C2": 0}
    assert len(await listed(app, state={"eq": "FULFILLED"})) == 1
    await assess(app, c2, PROFIT=5)
    await classify(app, where={"code": {"eq": "C2"}})
    await app.add(Sponsor(customer_id=c1.id, named_on=NEW_YEAR.date()))
    await app.deliver()
    assert await open_of(app) == {"C1": of_a, "C2": 3}
    await done(app, OVERRIDE_TIER, id=c1, tier="C", reason="x", until="2024-03-01")
    await app.deliver()
    assert await open_of(app) == {"C1": 1, "C2": 3}
    lift = """mutation ($id: ID!) { liftTierOverride(customerId: $id) {
        customer { tier } errors { message } } }"""
    await done(app, lift, id=c1)
    await app.deliver()
    assert await open_of(app) == {"C1": of_a, "C2": 3}
    before = sorted((o["id"], o["state"]) for o in await listed(app))
    await classify(app)
    await app.deliver()
    assert sorted((o["id"], o["state"]) for o in await listed(app)) == before


async def test_those_of_a_large_enterprise_are_brought_in_line_beside_the_request(
    guanxi: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "PAGE", 2)
    settings = TierSettings(classify_at_once=4)
    app = await booted(guanxi, settings, now=NEW_YEAR)
    made = [await customer(app, f"C{n}") for n in range(5)]
    async with app.context() as ctx:
        await ctx.save_many(Standing, [{"id": c.id, "tier": Tier.B} for c in made])
    assert await done(app, UPDATE) == {"open": 0, "inBackground": True}
    jobs = "{ jobs { edges { node { title total done status who } } } }"
    assert (await app.graphql(jobs))["jobs"]["edges"] == []
    await app.deliver()
    assert set((await open_of(app)).values()) == {3}
    (job,) = [edge["node"] for edge in (await app.graphql(jobs))["jobs"]["edges"]]
    assert job == {
        "title": "Bring obligations in line with tiers", "total": 5, "done": 5, "status": "DONE",
        "who": "tiers.update_all_obligations",
    }  # fmt: skip
    archive = "mutation ($id: ID!) { archiveCustomer(id: $id) { errors { message } } }"
    await app.graphql(archive, id=made[0])
    assert await done(app, UPDATE) == {"open": 15, "inBackground": False}


@given(
    st.lists(
        st.tuples(st.sampled_from(Requirement), st.sampled_from([1, 2, 3, 4, 6, 12])),
        unique_by=lambda pair: pair[0],
    ),
    st.integers(1, 400),
    st.integers(1990, 2100),
)
def test_periods_divide_the_year_and_things_are_due_within_them(
    required: list[tuple[Requirement, int]], plan_days: int, year: int
) -> None:
    nothing = {f"requirements_{tier.lower()}": () for tier in Tier}
    settings = TierSettings(
        **nothing | {"requirements_b": tuple(required)}, plan_days=plan_days
    )  # fmt: skip
    demands = list(demands_of(settings, year))
    assert {d.tier for d in demands} <= {Tier.B}
    for requirement, times in required:
        periods = [d for d in demands if d.requirement is requirement]
        assert len(periods) == times
        assert periods[0].starts_on == dt.date(year, 1, 1)
        assert periods[-1].ends_on == dt.date(year, 12, 31)
        for one, following in pairwise(periods):
            assert following.starts_on - one.ends_on == dt.timedelta(days=1)
        for one in periods:
            assert one.starts_on <= one.due_on <= one.ends_on
            if requirement not in EARLY:
                assert one.due_on == one.ends_on


@pytest.mark.parametrize("times", [0, 5, 13])
def test_a_number_that_does_not_divide_the_year_is_refused(times: int) -> None:
    with pytest.raises(ValueError, match="requirements_c: REVIEW is required"):
        TierSettings(requirements_c=((Requirement.REVIEW, times),))
