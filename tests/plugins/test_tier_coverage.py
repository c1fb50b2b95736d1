"""Coverage of general customers and care (domain rules F2, F17, F18; C5, 1 to 4, 48 and 53)."""

import datetime as dt
from typing import Any

import pytest
from with_tier_answers import Deal, Deals

from guanxi_customers import (
    Activity,
    ActivityKind,
    ActivityParticipant,
    ActivityStatus,
    Customer,
    Employee,
    Line,
    Office,
    Person,
    Stewardship,
)
from guanxi_sdk.testing import App, Boot, GraphQLFailed, global_id
from guanxi_tiers import READ, CoverageCounted, Leave, TierSettings, WeeklyCoverage
from tiering import OVERRIDE_TIER, assess, booted, classify, customer, done

#: A Friday; the week has five workdays everywhere.
FRIDAY = dt.datetime(2024, 3, 1, 8, tzinfo=dt.UTC)
MONDAY = "2024-02-26"
COVERAGE = """query ($week: Date, $where: EmployeeWhere) { coverage(week: $week, where: $where) {
    employeeId employee office week workdays quota visited short met } }"""
CARE = """query ($asOf: Date, $outside: Boolean! = true, $where: PersonWhere) {
    careBands(asOf: $asOf, outside: $outside, where: $where) {
      person customer tier contacts low high care } }"""
SHARE = """query ($quarter: Date) { nonProjectShare(quarter: $quarter) {
    startsOn endsOn activities withoutOpportunity share warns
    customers { code tier activities withoutOpportunity share warns } } }"""


class Town:
    """A tenant with one manager, and customers whose tiers are set by hand."""

    def __init__(self, app: App, manager: Employee) -> None:
        self.app = app
        self.manager = manager
        self.customers: dict[str, Customer] = {}

    async def customer(self, code: str, tier: str = "C", **values: Any) -> Customer:
        made = self.customers[code] = await customer(self.app, code, **values)
        await done(
            self.app, OVERRIDE_TIER, id=made, tier=tier, reason="for the test", until="2030-01-01"
        )
        return made

    async def activity(
        self, code: str, when: str, *people: Any, kind: str = "VISIT", status: str = "DONE"
    ) -> Activity:
        made = await self.app.add(
            Activity(
                customer_id=self.customers[code].id,
                kind=ActivityKind(kind),
                subject="x",
                status=ActivityStatus(status),
                planned_on=dt.date.fromisoformat(when[:10]),
                done_at=dt.datetime.fromisoformat(when) if status == "DONE" else None,
            )
        )
        for one in people or (self.manager,):
            who = {"person_id": one.id} if isinstance(one, Person) else {"employee_id": one.id}
            await self.app.add(ActivityParticipant(activity_id=made.id, **who))
        return made

    async def week(self, week: str = MONDAY, **where: Any) -> dict[str, Any]:
        lines = (await self.app.graphql(COVERAGE, week=week, where=where or None))["coverage"]
        return {line.pop("employee"): line for line in lines}

    async def mine(self, week: str = MONDAY) -> tuple[int, int, int]:
        line = (await self.week(week))["ada"]
        return line["visited"], line["quota"], line["short"]


async def town(
    guanxi: Boot, settings: TierSettings | None = None, *others: Any, zone: str = "Europe/Paris"
) -> Town:
    app = await booted(guanxi, settings, *others, now=FRIDAY)
    office = await app.add(Office(code="O", name="Paris", time_zone=zone))
    manager = await app.add(
        Employee(code="ada", name="ada", line=Line.CUSTOMER, office_id=office.id)
    )
    return Town(app, manager)


async def test_scenario_1_a_customer_visited_twice_counts_once(guanxi: Boot) -> None:
    """C5, 1: a manager visits C customers a, b, c, d, a in one week: distinct 4, short by 1."""
    place = await town(guanxi)
    for code in "abcd":
        await place.customer(code)
    for number, code in enumerate("abcda"):
        await place.activity(code, f"2024-02-{26 + number % 4}T10:00:00+00:00")
    line = (await place.week())["ada"]
    assert line == {
        "employeeId": global_id(place.manager), "office": "Paris", "week": "2024-W09",
        "workdays": 5, "quota": 5, "visited": 4, "short": 1, "met": False,
    }  # fmt: skip


async def test_scenario_2_general_customers_alone_count(guanxi: Boot) -> None:
    """C5, 2: five different C plus one A visit: met; A not counted."""
    place = await town(guanxi)
    await place.customer("A", "A")
    await place.activity("A", "2024-02-27T10:00:00+00:00")
    for code in "abcde":
        await place.customer(code)
        await place.activity(code, "2024-02-27T10:00:00+00:00")
    assert await place.mine() == (5, 5, 0)
    assert (await place.week())["ada"]["met"] is True


async def test_scenario_3_what_was_only_planned_does_not_count(guanxi: Boot) -> None:
    """C5, 3: five visits planned, four done: not met."""
    place = await town(guanxi)
    for number, code in enumerate("abcde"):
        await place.customer(code)
        status = "DONE" if number else "PLANNED"
        await place.activity(code, "2024-02-28T10:00:00+00:00", status=status)
    assert await place.mine() == (4, 5, 1)


async def test_scenario_4_leave_makes_the_quota_smaller(guanxi: Boot) -> None:
    """C5, 4: two workdays available on leave week: quota 2."""
    place = await town(guanxi)
    create = """mutation ($in: CreateLeaveInput!) { createLeave(input: $in) {
        errors { path } } }"""
    given = {
        "employeeId": global_id(place.manager), "startsOn": "2024-02-20", "endsOn": "2024-02-28",
    }  # fmt: skip
    assert (await place.app.graphql(create, **{"in": given}))["createLeave"]["errors"] == []
    line = (await place.week())["ada"]
    assert (line["workdays"], line["quota"]) == (2, 2)
    assert (await place.week("2024-02-20"))["ada"]["quota"] == 1
    refused = await place.app.graphql(create, **{"in": given | {"endsOn": "2024-02-19"}})
    assert [e["path"] for e in refused["createLeave"]["errors"]] == ["endsOn"]


@pytest.mark.parametrize(
    ("week", "chinese", "elsewhere"),
    [
        ("2024-02-12", 1, 5),  # Spring Festival: only the Sunday after it is worked
        ("2024-02-04", 6, 5),  # … and the Sunday before it
        ("2024-10-01", 1, 5),  # National Day: Monday alone
        ("2024-05-11", 6, 5),  # a Saturday is worked for Labour Day
        ("2023-12-31", 5, 5),  # the last ISO week of 2023
        ("2024-12-31", 4, 5),  # New Year's Day belongs to the first ISO week of 2025
        ("1999-03-01", 5, 5),  # before the calendar begins: the days of the week
    ],
)
async def test_public_holidays_of_china_are_kept_where_the_office_is_there(
    guanxi: Boot, week: str, chinese: int, elsewhere: int
) -> None:
    place = await town(guanxi)
    shanghai = await place.app.add(Office(code="S", name="上海"))
    await place.app.add(Employee(code="bo", name="bo", line=Line.PRODUCT, office_id=shanghai.id))
    await place.app.add(Employee(code="cy", name="cy", line=Line.CUSTOMER))  # without an office
    lines = await place.week(week)
    assert {name: line["workdays"] for name, line in lines.items()} == {
        "ada": elsewhere, "bo": chinese, "cy": chinese,
    }  # fmt: skip
    assert lines["bo"]["quota"] == min(chinese, 5)


async def test_an_enterprise_names_days_for_one_office_or_for_all(guanxi: Boot) -> None:
    place = await town(guanxi)
    other = await place.app.add(Office(code="T", name="Turin", time_zone="Europe/Rome"))
    await place.app.add(Employee(code="bo", name="bo", line=Line.CUSTOMER, office_id=other.id))
    create = """mutation ($in: CreateCalendarDayInput!) { createCalendarDay(input: $in) {
        errors { path message } } }"""
    for values in (
        {"day": "2024-02-26"},
        {"day": "2024-02-27", "officeId": global_id(other)},
        {"day": "2024-02-26", "officeId": global_id(other), "workday": True},
        {"day": "2024-03-02", "workday": True},
    ):
        answer = await place.app.graphql(create, **{"in": values})
        assert answer["createCalendarDay"]["errors"] == []
    lines = await place.week()
    assert {name: line["workdays"] for name, line in lines.items()} == {"ada": 5, "bo": 5}
    fewer = await place.week("2024-03-04")
    assert {name: line["workdays"] for name, line in fewer.items()} == {"ada": 5, "bo": 5}


async def test_days_go_by_the_clock_of_the_managers_office(guanxi: Boot) -> None:
    place = await town(guanxi, None, zone="Asia/Shanghai")
    await place.customer("a")
    await place.customer("b")
    await place.activity("a", "2024-02-25T15:59:00+00:00")  # Sunday, 23:59 in Shanghai
    await place.activity("b", "2024-02-25T16:00:00+00:00")  # Monday, 0:00
    assert (await place.mine("2024-02-25"))[0] == 1
    assert (await place.mine("2024-02-26"))[0] == 1


async def test_figures_of_a_past_week_go_by_the_tiers_of_that_week(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(weight_purchase=0), now=FRIDAY)
    manager = await app.add(Employee(code="ada", name="ada", line=Line.CUSTOMER))
    place = Town(app, manager)
    place.customers["a"] = c = await customer(app, "a")
    for day, profit in (("2024-02-01", 1), ("2024-02-20", 9)):
        await assess(app, c, day, PROFIT=profit)
        await classify(app, asOf=day)
    for when in ("2024-02-07", "2024-02-21"):
        await place.activity("a", f"{when}T04:00:00+00:00")
    assert (await place.mine("2024-02-07"))[0] == 1  # C then
    assert (await place.mine("2024-02-21"))[0] == 0  # S by the end of that week


async def test_whoever_looks_after_customers_is_counted_with_the_managers(guanxi: Boot) -> None:
    place = await town(guanxi)
    made = await place.customer("a")
    people = {
        code: await place.app.add(Employee(code=code, name=code, line=line))
        for code, line in (("bo", Line.PRODUCT), ("cy", Line.DELIVERY), ("di", None), ("ed", None))
    }
    await place.app.add(
        Stewardship(
            customer_id=made.id, employee_id=people["di"].id, is_primary=True,
            starts_on=dt.date(2024, 1, 1), ends_on=dt.date(2024, 2, 27),
        )
    )  # fmt: skip
    assert set(await place.week()) == {"ada", "bo", "di"}
    assert set(await place.week("2024-03-04")) == {"ada", "bo"}
    assert set(await place.week(MONDAY, code={"eq": "bo"})) == {"bo"}


async def test_the_week_that_is_over_is_counted_and_kept_each_monday(guanxi: Boot) -> None:
    place = await town(guanxi)
    for code in "abc":
        await place.customer(code)
        await place.activity(code, "2024-02-27T10:00:00+00:00")
    place.app.clock.set(dt.datetime(2024, 3, 4, 2, tzinfo=dt.UTC))
    await place.app.deliver()
    (kept,) = await place.app.all(WeeklyCoverage)
    assert (kept.week_of, kept.workdays, kept.quota, kept.visited, kept.short) == (
        dt.date(2024, 2, 26), 5, 5, 3, 2,
    )  # fmt: skip
    told = [e for e in place.app.events if isinstance(e, CoverageCounted)]
    assert told == [CoverageCounted(week_of=dt.date(2024, 2, 26), employees=1, behind=1)]
    answer = await place.app.graphql(
        """{ employees(where: { weeklyCoverages: { some: { short: { gt: 1 } } } }) { edges { node {
             code weeklyCoverages { edges { node { weekOf visited } } } } } } }"""
    )
    (edge,) = answer["employees"]["edges"]
    assert edge["node"]["weeklyCoverages"]["edges"] == [
        {"node": {"weekOf": "2024-02-26", "visited": 3}}
    ]


async def test_scenario_48_contact_beside_projects_is_watched(guanxi: Boot) -> None:
    """C5, 48: activities without opportunity, S and A, per quarter; a share below 0.30 warns."""
    place = await town(guanxi, None, Deals())
    for code, tier in (("s", "S"), ("a", "A"), ("none", "S"), ("b", "B")):
        await place.customer(code, tier)
    app = place.app
    for code, tied, free in (("s", 8, 3), ("a", 3, 2), ("none", 0, 2), ("b", 4, 0)):
        for number in range(tied + free):
            made = await place.activity(code, f"2024-02-{number + 1:02}T10:00:00+00:00")
            if number < tied:
                async with app.context() as ctx:
                    await ctx.save_many(Deal, [{"id": made.id, "deal": "tender"}])
    await place.activity("s", "2023-12-31T10:00:00+00:00")
    found = (await app.graphql(SHARE))["nonProjectShare"]
    assert (found["startsOn"], found["endsOn"]) == ("2024-01-01", "2024-03-31")
    assert (found["activities"], found["withoutOpportunity"], found["warns"]) == (18, 7, False)
    assert [(c["code"], c["share"], c["warns"]) for c in found["customers"]] == [
        ("s", 3 / 11, True),
        ("a", 0.4, False),
        ("none", 1, False),  # no opportunity all quarter: it is all contact
    ]
    former = (await app.graphql(SHARE, quarter="2023-11-01"))["nonProjectShare"]
    assert (former["activities"], former["share"]) == (1, 1)
    empty = (await app.graphql(SHARE, quarter="2020-01-01"))["nonProjectShare"]
    assert (empty["share"], empty["warns"], empty["customers"]) == (None, False, [])


async def test_scenario_53_too_little_and_too_much_care(guanxi: Boot) -> None:
    """C5, 53: S person contacted once in 30 days: UNDERCARE; B person 6 times: OVERCARE."""
    place = await town(guanxi)
    persons = {}
    for code, tier, contacts in (
        ("s1", "S", 1), ("s2", "S", 2), ("b4", "B", 4), ("b6", "B", 6), ("c0", "C", 0),
        ("c3", "C", 3),
    ):  # fmt: skip
        made = await place.customer(code, tier)
        persons[code] = await place.app.add(Person(customer_id=made.id, name=code))
        for number in range(contacts):
            when = f"2024-02-{10 + number}T10:00:00+00:00"
            await place.activity(code, when, persons[code], place.manager)
    await place.activity("s1", "2024-01-31T10:00:00+00:00", persons["s1"])  # 31 days ago
    await place.activity("s1", "2024-02-20T10:00:00+00:00", persons["s1"], status="PLANNED")
    found = (await place.app.graphql(CARE))["careBands"]
    assert [(c["person"], c["tier"], c["contacts"], c["care"]) for c in found] == [
        ("s1", "S", 1, "UNDERCARE"),
        ("b6", "B", 6, "OVERCARE"),
        ("c3", "C", 3, "OVERCARE"),
    ]
    assert (found[0]["low"], found[0]["high"]) == (2, 8)
    everybody = (await place.app.graphql(CARE, outside=False))["careBands"]
    assert {c["person"]: c["care"] for c in everybody} == {
        "s1": "UNDERCARE", "s2": "IN_BAND", "b4": "IN_BAND", "b6": "OVERCARE", "c0": "IN_BAND",
        "c3": "OVERCARE",
    }  # fmt: skip
    earlier = await place.app.graphql(CARE, asOf="2024-02-29", where={"name": {"eq": "s1"}})
    assert earlier["careBands"] == []  # twice in the 30 days up to then


async def test_the_bands_are_settings(guanxi: Boot) -> None:
    place = await town(guanxi, TierSettings(care_c=(1, 2), care_days=7, visit_quota=10))
    made = await place.customer("c")
    await place.app.add(Person(customer_id=made.id, name="p"))
    (line,) = (await place.app.graphql(CARE))["careBands"]
    assert (line["care"], line["low"]) == ("UNDERCARE", 1)
    assert (await place.week())["ada"]["quota"] == 10


async def test_only_those_read_coverage_and_care_who_may_read_customers(guanxi: Boot) -> None:
    place = await town(guanxi)
    await place.customer("s", "S")
    await place.app.add(Person(customer_id=place.customers["s"].id, name="p"))
    for document in (COVERAGE, CARE, SHARE):
        for can in ([READ], ["customers.read"]):
            with pytest.raises(GraphQLFailed) as error:
                await place.app.graphql(document, can=can)
            assert error.value.codes == ["FORBIDDEN"]
        await place.app.graphql(document, can=[READ, "customers.read"])
    own = await place.app.graphql(CARE, can=[READ, "customers.read:own"])
    assert own == {"careBands": []}


async def test_an_employee_who_is_erased_leaves_no_leave_behind(guanxi: Boot) -> None:
    place = await town(guanxi)
    day = dt.date(2024, 2, 26)
    await place.app.add(Leave(employee_id=place.manager.id, starts_on=day, ends_on=day))
    erase = """mutation ($id: String!) { erasePerson(id: $id) { errors { message } } }"""
    answer = await place.app.execute(erase, {"id": global_id(place.manager)}, reason="asked for")
    assert answer.get("errors") is None, answer
    assert await place.app.all(Leave) == []
