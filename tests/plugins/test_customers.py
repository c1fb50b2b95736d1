"""The customers plugin through GraphQL (domain rule C1, C4)."""

import asyncio
import datetime as dt
from typing import Any

import pytest

from guanxi_customers import (
    STEWARD,
    Activity,
    ActivityKind,
    ActivityParticipant,
    ActivityStatus,
    CoStewardAdded,
    CoStewardshipEnded,
    Customer,
    Customers,
    Employee,
    Line,
    Purchase,
    StewardAssigned,
    Stewardship,
)
from guanxi_sdk import Model, Money, Plugin, Refusal
from guanxi_sdk._docs import attribute_docs
from guanxi_sdk.testing import App, Boot, GraphQLFailed, global_id
from guanxi_tiers import Tiers

NOW = dt.datetime(2024, 3, 1, 8, tzinfo=dt.UTC)
TODAY = NOW.date()


async def booted(guanxi: Boot, currency: str = "CNY") -> App:
    return await guanxi(Customers(), currency=currency, now=NOW)


async def customer(app: App, code: str = "C1", **values: Any) -> Customer:
    return await app.add(Customer(code=code, name=f"客户 {code}", **values))


async def employee(app: App, code: str, **values: Any) -> Employee:
    return await app.add(Employee(code=code, name=f"Employee {code}", **values))


async def buy(app: App, of: Customer, day: str, amount: str, currency: str = "CNY") -> Purchase:
    count = len(await app.all(Purchase))
    return await app.add(
        Purchase(
            code=f"P{count}",
            customer_id=of.id,
            ordered_on=dt.date.fromisoformat(day),
            amount=Money.parse(amount, currency),
        )
    )


async def field(app: App, of: Customer, selection: str) -> Any:
    found = await app.graphql(
        f"query ($id: ID!) {{ customer(id: $id) {{ value: {selection} }} }}", id=of
    )
    return found["customer"]["value"]


async def refused(app: App, document: str, **variables: Any) -> list[tuple[str, str]]:
    """Paths and codes of the user errors that the only field of a mutation answers."""
    data = await app.graphql(document, **variables)
    (payload,) = data.values()
    return [(error["path"], error["code"]) for error in payload["errors"]]


# customers


async def test_a_customer_has_a_chinese_and_an_english_name_and_belongs_to_the_company(
    guanxi: Boot,
) -> None:
    app = await booted(guanxi)
    made = await app.graphql(
        """mutation ($in: CreateCustomerInput!) { createCustomer(input: $in) {
             customer { name nameEn industryClass lifecycle ownerOfRecord arrearsDays credit }
             errors { path } } }""",
        **{"in": {"code": "CM", "name": "中国移动", "nameEn": "China Mobile", "credit": "GOOD"}},
    )
    assert made["createCustomer"] == {
        "customer": {
            "name": "中国移动",
            "nameEn": "China Mobile",
            "industryClass": "OTHER",
            "lifecycle": "POTENTIAL",
            "ownerOfRecord": "COMPANY",
            "arrearsDays": None,
            "credit": "GOOD",
        },
        "errors": [],
    }


async def test_nothing_can_make_an_employee_the_owner_of_a_customer(guanxi: Boot) -> None:
    app = await booted(guanxi)
    schema = await app.graphql(
        """{ __schema { types { name kind inputFields { name } enumValues { name } } } }"""
    )
    types = {t["name"]: t for t in schema["__schema"]["types"]}
    for name in ("CreateCustomerInput", "UpdateCustomerInput"):
        fields = {field["name"] for field in types[name]["inputFields"]}
        assert "name" in fields
        assert not any("owner" in field.lower() for field in fields)
    assert [value["name"] for value in types["Owner"]["enumValues"]] == ["COMPANY"]
    assert not any("owner" in column.name for column in Customer.info.table.columns)


async def test_two_customers_cannot_share_a_code(guanxi: Boot) -> None:
    app = await booted(guanxi)
    await customer(app)
    again = 'mutation { createCustomer(input: {code: "C1", name: "x"}) { errors { path code } } }'
    assert [path for path, _ in await refused(app, again)] == ["code"]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ('createCustomer(input: {code: "a", name: "  "})', "name"),
        ('createCustomer(input: {code: "", name: "a"})', "code"),
        ('createCustomer(input: {code: "a", name: "a", arrearsDays: -1})', "arrearsDays"),
        ('createOffice(input: {code: "a", name: "a", timeZone: "Asia/Nowhere"})', "timeZone"),
        ('createOffice(input: {code: "a", name: "a", timeZone: "../etc/passwd"})', "timeZone"),
        ('createEmployee(input: {code: "a", name: "a", level: 6})', "level"),
        ('createEmployee(input: {code: "a", name: "a", level: 0})', "level"),
    ],
)
async def test_a_row_that_breaks_a_rule_is_refused_by_its_field(
    guanxi: Boot, document: str, path: str
) -> None:
    app = await booted(guanxi)
    answer = await refused(app, f"mutation {{ {document} {{ errors {{ path code }} }} }}")
    assert [p.removeprefix("input.") for p, _ in answer] == [path]


async def test_employees_report_to_supervisors_never_to_themselves(guanxi: Boot) -> None:
    app = await booted(guanxi)
    boss = await employee(app, "E1", level=5)
    await employee(app, "E2", supervisor_id=boss.id, line=Line.CUSTOMER, expertise=["5G", "云"])
    answer = await app.graphql(
        """query ($id: ID!) { employee(id: $id) { supervisor { code }
             reports { edges { node { code line expertise supervisor { code } } } } } }""",
        id=boss,
    )
    assert answer["employee"] == {
        "supervisor": None,
        "reports": {
            "edges": [
                {
                    "node": {
                        "code": "E2",
                        "line": "CUSTOMER",
                        "expertise": ["5G", "云"],
                        "supervisor": {"code": "E1"},
                    }
                }
            ]
        },
    }
    document = """mutation ($id: ID!) { updateEmployee(id: $id, version: 1,
        input: {supervisorId: $id}) { errors { path code } } }"""
    assert await refused(app, document, id=boss) != []
    assert (await app.get(Employee, boss.id)).supervisor_id is None


# purchases


async def test_sums_are_zero_in_the_tenants_currency_without_purchases(guanxi: Boot) -> None:
    app = await booted(guanxi, "USD")
    c = await customer(app)
    assert await field(app, c, "purchaseTotal { amount currency }") == {
        "amount": "0.00",
        "currency": "USD",
    }
    assert await field(app, c, "annualPurchase { amount }") == {"amount": "0.00"}
    assert await field(app, c, "growth") is None


async def test_annual_purchase_is_the_twelve_months_up_to_the_day(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c, other = await customer(app), await customer(app, "C2")
    await buy(app, c, "2023-02-28", "1")  # the day twelve months before is outside
    await buy(app, c, "2023-03-01", "20")
    await buy(app, c, "2024-02-29", "300")  # the day itself is inside
    await buy(app, c, "2024-03-01", "4000")
    await buy(app, other, "2024-02-01", "50000")
    assert await field(app, c, "purchaseTotal { amount }") == {"amount": "4321.00"}
    for day, amount in [
        ("2024-02-29", "320.00"),
        ("2024-02-28", "20.00"),
        ("2024-03-01", "4300.00"),
        ("2023-02-28", "1.00"),
        ("2025-02-28", "4300.00"),
        ("2025-03-01", "0.00"),
        ("2022-01-01", "0.00"),
    ]:
        found = await field(app, c, f'annualPurchase(asOf: "{day}") {{ amount }}')
        assert found == {"amount": amount}, day
    today = await field(app, c, "annualPurchase { amount }")
    assert today == {"amount": "4300.00"}  # 2023-03-01 is no longer within the year


async def test_currencies_are_not_mixed(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c = await customer(app)
    await buy(app, c, "2024-01-01", "10")
    await buy(app, c, "2024-01-02", "7.50", "USD")
    await buy(app, c, "2024-01-03", "900", "JPY")
    money = "{ amount currency }"
    found = await app.graphql(
        f"""query ($id: ID!, $none: String) {{ customer(id: $id) {{
              own: purchaseTotal {money}
              usd: purchaseTotal(currency: "USD") {money}
              jpy: annualPurchase(currency: "JPY") {money}
              eur: purchaseTotal(currency: "EUR") {money}
              null: purchaseTotal(currency: $none) {money} }} }}""",
        id=c,
        none=None,
    )
    assert {name: tuple(value.values()) for name, value in found["customer"].items()} == {
        "own": ("10.00", "CNY"),
        "usd": ("7.50", "USD"),
        "jpy": ("900", "JPY"),
        "eur": ("0.00", "EUR"),
        "null": ("10.00", "CNY"),
    }


@pytest.mark.parametrize("currency", ["nonsense", "cny", "", "C1Y", "CNY "])
async def test_what_is_no_currency_has_no_sums(guanxi: Boot, currency: str) -> None:
    app = await booted(guanxi)
    c = await customer(app)
    await buy(app, c, "2024-01-01", "100")
    await buy(app, c, "2022-06-01", "100")
    named = f'(currency: "{currency}")'
    assert await field(app, c, f"purchaseTotal{named} {{ amount currency }}") is None
    assert await field(app, c, f"annualPurchase{named} {{ amount currency }}") is None
    assert await field(app, c, f"growth{named}") is None


def test_computed_fields_say_that_filters_compute_every_row() -> None:
    computed = [one for one in Customers.manifest.contributions if one.kind == "sql_field"]
    assert len(computed) == 6
    for one in computed:
        said = " ".join(one.description.split())
        assert "Filtering or sorting by it computes it for every customer." in said, one.name


async def test_growth_compares_with_the_year_before(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c = await customer(app)
    await buy(app, c, "2022-12-31", "400")
    await buy(app, c, "2023-12-31", "500")
    assert await field(app, c, 'growth(asOf: "2023-12-31")') == 0.25
    assert await field(app, c, 'growth(asOf: "2024-12-31")') == -1
    assert await field(app, c, 'growth(asOf: "2022-12-31")') is None
    assert await field(app, c, 'growth(asOf: "2023-12-31", currency: "USD")') is None


async def test_archived_purchases_do_not_count(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c = await customer(app)
    gone = await buy(app, c, "2024-01-01", "10")
    await buy(app, c, "2024-01-01", "5")
    archive = "mutation ($id: ID!) { archivePurchase(id: $id) { errors { path code } } }"
    assert await refused(app, archive, id=gone) == []
    assert await field(app, c, "purchaseTotal { amount }") == {"amount": "5.00"}
    assert await field(app, c, "annualPurchase { amount }") == {"amount": "5.00"}


async def test_customers_are_sorted_and_filtered_by_what_they_bought(guanxi: Boot) -> None:
    app = await booted(guanxi)
    for code, amount in (("C1", "5"), ("C2", None), ("C3", "7000"), ("C4", "30")):
        made = await customer(app, code)
        if amount:
            await buy(app, made, "2024-01-01", amount)
    answer = await app.graphql(
        """{ customers(first: 3, orderBy: PURCHASE_TOTAL_DESC) { totalCount
               edges { node { code purchaseTotal { amount } } } }
             few: customers(orderBy: CODE_ASC, where: {
               purchaseTotal: {lt: {amount: "30", currency: "CNY"}}}) {
               edges { node { code } } } }"""
    )
    assert answer["customers"]["totalCount"] == 4
    assert [edge["node"]["code"] for edge in answer["customers"]["edges"]] == ["C3", "C4", "C1"]
    assert [edge["node"]["code"] for edge in answer["few"]["edges"]] == ["C1", "C2"]


# activities


async def test_an_activity_has_participants_of_both_sides(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c, e = await customer(app), await employee(app, "E1", level=4)
    made = await app.graphql(
        """mutation ($c: ID!) {
             person: createPerson(input: {customerId: $c, name: "王明", rank: 4, role: D}) {
               person { id } errors { path } }
             activity: createActivity(input: {customerId: $c, kind: SHOWCASE_VISIT,
               subject: "样板点", status: DONE, doneAt: "2024-02-20T02:00:00+00:00",
               cost: {amount: "1200", currency: "CNY"}, outcome: "满意"}) {
               activity { id } errors { path } } }""",
        c=c,
    )
    activity = made["activity"]["activity"]["id"]
    person = made["person"]["person"]["id"]
    add = """mutation ($in: CreateActivityParticipantInput!) {
        createActivityParticipant(input: $in) { errors { path code } } }"""
    theirs = {"activityId": activity, "personId": person, "level": 4}
    ours = {"activityId": activity, "employeeId": global_id(e), "level": 4}
    assert await refused(app, add, **{"in": theirs}) == []
    assert await refused(app, add, **{"in": ours}) == []
    for wrong in (
        {"activityId": activity},
        {"activityId": activity, "personId": person, "employeeId": global_id(e)},
        theirs,  # twice the same person
    ):
        assert await refused(app, add, **{"in": wrong}) != []
    found = await app.graphql(
        """query ($c: ID!) { customer(id: $c) { lastActivityAt activities { edges { node {
             kind cost { amount } participants(orderBy: CREATED_AT_ASC) { edges { node {
               person { name role } employee { code } } } } } } } } }""",
        c=c,
    )
    assert found["customer"]["lastActivityAt"] == "2024-02-20T02:00:00+00:00"
    (node,) = [edge["node"] for edge in found["customer"]["activities"]["edges"]]
    assert (node["kind"], node["cost"]) == ("SHOWCASE_VISIT", {"amount": "1200.00"})
    assert [edge["node"] for edge in node["participants"]["edges"]] == [
        {"person": {"name": "王明", "role": "D"}, "employee": None},
        {"person": None, "employee": {"code": "E1"}},
    ]


async def test_the_database_itself_demands_exactly_one_participant(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c = await customer(app)
    activity = await app.add(Activity(customer_id=c.id, kind=ActivityKind.VISIT, subject="x"))
    with pytest.raises(Refusal):
        await app.add(ActivityParticipant(activity_id=activity.id))


async def test_a_done_activity_needs_the_time_it_was_done(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c = await customer(app)
    create = """mutation ($c: ID!) { createActivity(input: {customerId: $c, kind: VISIT,
        subject: "x", status: DONE}) { errors { path code } } }"""
    assert [path.removeprefix("input.") for path, _ in await refused(app, create, c=c)] == [
        "doneAt"
    ]
    planned = await app.add(Activity(customer_id=c.id, kind=ActivityKind.CALL, subject="x"))
    update = """mutation ($id: ID!) { updateActivity(id: $id, version: 1, input: {status: DONE}) {
        errors { path code } } }"""
    assert await refused(app, update, id=planned) != []
    assert (await app.get(Activity, planned.id)).status is ActivityStatus.PLANNED
    assert await field(app, c, "lastActivityAt") is None


# stewardship (domain rule C4, invariant 1)

ASSIGN = """mutation ($c: ID!, $e: ID!, $on: Date) { assignSteward(customerId: $c, employeeId: $e,
    startsOn: $on) { stewardship { id isPrimary line startsOn endsOn employee { code } }
    errors { path code message } } }"""
ADD = """mutation ($c: ID!, $e: ID!, $line: Line) { addCoSteward(customerId: $c, employeeId: $e,
    line: $line) { stewardship { id isPrimary line } errors { path code } } }"""
END = """mutation ($s: ID!, $on: Date) { endCoStewardship(stewardshipId: $s, endsOn: $on) {
    stewardship { endsOn } errors { path code message } } }"""


async def stewards(app: App) -> list[tuple[str, dt.date, dt.date | None, bool]]:
    """Employee code, start, end and whether primary, in the order of assignment."""
    codes = {row.id: row.code for row in await app.all(Employee)}
    return [
        (codes[row.employee_id], row.starts_on, row.ends_on, row.is_primary)
        for row in await app.all(Stewardship)
    ]


async def test_the_first_assignment_starts_and_the_next_ends_the_former(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c, one, two = await customer(app), await employee(app, "E1"), await employee(app, "E2")
    assert await field(app, c, "stewardName") is None
    first = await app.graphql(ASSIGN, c=c, e=one)
    assert first["assignSteward"]["errors"] == []
    assert first["assignSteward"]["stewardship"] | {"id": ""} == {
        "id": "",
        "isPrimary": True,
        "line": "CUSTOMER",
        "startsOn": "2024-03-01",
        "endsOn": None,
        "employee": {"code": "E1"},
    }
    assert await field(app, c, "stewardName") == "Employee E1"
    later = TODAY + dt.timedelta(days=10)
    await app.graphql(ASSIGN, c=c, e=two, on=later)
    assert await stewards(app) == [("E1", TODAY, later, True), ("E2", later, None, True)]
    assert await field(app, c, "stewardName") == "Employee E1"
    app.clock.advance(days=9)
    assert await field(app, c, "stewardName") == "Employee E1"
    app.clock.advance(days=1)
    assert await field(app, c, "stewardName") == "Employee E2"
    assert app.events == [
        StewardAssigned(
            customer_id=c.id, employee_id=one.id, former_employee_id=None, starts_on=TODAY
        ),
        StewardAssigned(
            customer_id=c.id, employee_id=two.id, former_employee_id=one.id, starts_on=later
        ),
    ]


async def test_assignments_that_make_no_sense_are_refused_and_change_nothing(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c, one, two = await customer(app), await employee(app, "E1"), await employee(app, "E2")
    gone = await employee(app, "E3", archived_at=NOW)
    closed = await customer(app, "C2", archived_at=NOW)
    await app.graphql(ASSIGN, c=c, e=one)
    before = await stewards(app)
    assert await refused(app, ASSIGN, c=c, e=one) == [("employeeId", "INVALID")]
    assert await refused(app, ASSIGN, c=c, e=two, on=TODAY - dt.timedelta(days=1)) == [
        ("startsOn", "INVALID")
    ]
    assert await refused(app, ASSIGN, c=c, e=gone) == [("employeeId", "INVALID")]
    assert await refused(app, ASSIGN, c=closed, e=two) == [("customerId", "INVALID")]
    missing = global_id(c)[:-4] + "0000"
    assert await refused(app, ASSIGN, c=missing, e=two) == [("customerId", "NOT_FOUND")]
    missing = global_id(one)[:-4] + "0000"
    assert await refused(app, ASSIGN, c=c, e=missing) == [("employeeId", "NOT_FOUND")]
    assert await stewards(app) == before


async def test_another_tenants_customer_and_employee_do_not_exist(guanxi: Boot) -> None:
    app, other = await booted(guanxi), await booted(guanxi)
    mine, theirs = await customer(app), await customer(other)
    me, them = await employee(app, "E1"), await employee(other, "E1")
    assert await refused(app, ASSIGN, c=theirs, e=me) == [("customerId", "NOT_FOUND")]
    assert await refused(app, ASSIGN, c=mine, e=them) == [("employeeId", "NOT_FOUND")]
    assert await stewards(app) == []
    assert await stewards(other) == []


async def test_a_co_steward_helps_beside_and_becomes_primary_without_doubling(
    guanxi: Boot,
) -> None:
    app = await booted(guanxi)
    c, one, two = await customer(app), await employee(app, "E1"), await employee(app, "E2")
    await app.graphql(ASSIGN, c=c, e=one)
    beside = (await app.graphql(ADD, c=c, e=two, line=Line.CUSTOMER))["addCoSteward"]
    assert beside["stewardship"]["isPrimary"] is False
    assert await refused(app, ADD, c=c, e=two, line=Line.CUSTOMER) == [("employeeId", "INVALID")]
    assert await refused(app, ADD, c=c, e=two, line=Line.DELIVERY) == []
    app.clock.advance(days=30)
    await app.graphql(ASSIGN, c=c, e=two)
    handed_over = TODAY + dt.timedelta(days=30)
    assert await stewards(app) == [
        ("E1", TODAY, handed_over, True),
        ("E2", TODAY, handed_over, False),
        ("E2", TODAY, None, False),  # on the delivery line, which goes on
        ("E2", handed_over, None, True),
    ]
    assert [type(event) for event in app.events] == [
        StewardAssigned,
        CoStewardAdded,
        CoStewardAdded,
        StewardAssigned,
    ]


async def test_the_primary_steward_cannot_be_removed_without_a_successor(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c, one, two = await customer(app), await employee(app, "E1"), await employee(app, "E2")
    primary = (await app.graphql(ASSIGN, c=c, e=one))["assignSteward"]["stewardship"]["id"]
    answer = (await app.graphql(END, s=primary))["endCoStewardship"]
    assert answer["stewardship"] is None
    assert [error["path"] for error in answer["errors"]] == ["stewardshipId"]
    assert "assignSteward" in answer["errors"][0]["message"]
    beside = (await app.graphql(ADD, c=c, e=two))["addCoSteward"]["stewardship"]["id"]
    early = TODAY - dt.timedelta(days=1)
    assert (await app.graphql(END, s=beside, on=early))["endCoStewardship"]["errors"] != []
    ended = await app.graphql(END, s=beside)
    assert ended["endCoStewardship"]["stewardship"] == {"endsOn": "2024-03-01"}
    assert (await app.graphql(END, s=beside))["endCoStewardship"]["errors"] != []
    assert [type(event) for event in app.events][-1] is CoStewardshipEnded
    schema = await app.graphql("{ __schema { mutationType { fields { name } } } }")
    names = {f["name"] for f in schema["__schema"]["mutationType"]["fields"]}
    assert "assignSteward" in names
    assert not {f"{verb}Stewardship" for verb in ("create", "update", "archive", "restore")} & names


async def test_of_16_concurrent_assignments_one_steward_is_primary_in_the_end(
    guanxi: Boot,
) -> None:
    app = await booted(guanxi)
    c = await customer(app)
    employees = [await employee(app, f"E{n}") for n in range(16)]
    await app.access()
    answers = await asyncio.gather(*(app.execute(ASSIGN, {"c": c, "e": e}) for e in employees))
    outcomes = [answer["data"]["assignSteward"] for answer in answers]
    done = [outcome for outcome in outcomes if outcome["stewardship"]]
    assert len(done) == 16, [outcome["errors"] for outcome in outcomes]
    rows = await app.all(Stewardship)
    assert len(rows) == 16
    assert [row.ends_on for row in rows if row.ends_on is None] == [None]
    assert await field(app, c, "stewardName") is not None


LATER = TODAY + dt.timedelta(days=10)


async def standing(app: App) -> list[tuple[str, dt.date, dt.date | None, bool]]:
    """The stewardships that were not replaced."""
    rows = zip(await stewards(app), await app.all(Stewardship), strict=True)
    return [shown for shown, row in rows if row.archived_at is None]


@pytest.mark.parametrize("days", [10, 5, 0])
async def test_an_assignment_that_has_not_begun_is_replaced(guanxi: Boot, days: int) -> None:
    app = await booted(guanxi)
    c = await customer(app)
    one, two, three = [await employee(app, f"E{n}") for n in (1, 2, 3)]
    await app.graphql(ASSIGN, c=c, e=one)
    await app.graphql(ASSIGN, c=c, e=two, on=LATER)
    start = TODAY + dt.timedelta(days=days)
    assert await refused(app, ASSIGN, c=c, e=three, on=start) == []
    assert await standing(app) == [("E1", TODAY, start, True), ("E3", start, None, True)]
    assert app.events[-1] == StewardAssigned(
        customer_id=c.id, employee_id=three.id, former_employee_id=one.id, starts_on=start
    )


async def test_all_that_would_begin_later_is_replaced_at_once(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c = await customer(app)
    one, two, three, four = [await employee(app, f"E{n}") for n in (1, 2, 3, 4)]
    latest, between = LATER + dt.timedelta(days=10), LATER + dt.timedelta(days=5)
    await app.graphql(ASSIGN, c=c, e=one)
    await app.graphql(ASSIGN, c=c, e=two, on=LATER)
    await app.graphql(ASSIGN, c=c, e=three, on=latest)
    assert await refused(app, ASSIGN, c=c, e=four, on=between) == []
    assert await standing(app) == [
        ("E1", TODAY, LATER, True),
        ("E2", LATER, between, True),
        ("E4", between, None, True),
    ]
    assert await refused(app, ASSIGN, c=c, e=three) == []
    assert await standing(app) == [("E1", TODAY, TODAY, True), ("E3", TODAY, None, True)]


async def test_naming_the_present_steward_takes_a_pending_assignment_back(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c, one, two = await customer(app), await employee(app, "E1"), await employee(app, "E2")
    await app.graphql(ASSIGN, c=c, e=one)
    await app.graphql(ASSIGN, c=c, e=two, on=LATER)
    assert await refused(app, ASSIGN, c=c, e=one, on=LATER) == []
    assert await standing(app) == [("E1", TODAY, None, True)]
    assert await refused(app, ASSIGN, c=c, e=one) == [("employeeId", "INVALID")]
    app.clock.advance(days=20)
    assert await field(app, c, "stewardName") == "Employee E1"


@pytest.mark.parametrize("days", [5, 15])
async def test_a_pending_assignment_can_be_moved(guanxi: Boot, days: int) -> None:
    app = await booted(guanxi)
    c, one, two = await customer(app), await employee(app, "E1"), await employee(app, "E2")
    await app.graphql(ASSIGN, c=c, e=one)
    await app.graphql(ASSIGN, c=c, e=two, on=LATER)
    assert await refused(app, ASSIGN, c=c, e=two, on=LATER) == [("employeeId", "INVALID")]
    moved = TODAY + dt.timedelta(days=days)
    assert await refused(app, ASSIGN, c=c, e=two, on=moved) == []
    assert await standing(app) == [("E1", TODAY, moved, True), ("E2", moved, None, True)]


async def test_of_16_concurrent_assignments_for_later_one_remains(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c, one = await customer(app), await employee(app, "E0")
    await app.graphql(ASSIGN, c=c, e=one)
    employees = [await employee(app, f"E{n}") for n in range(1, 17)]
    days = [TODAY + dt.timedelta(days=1 + n % 4) for n in range(16)]
    answers = await asyncio.gather(
        *(
            app.execute(ASSIGN, {"c": c, "e": e, "on": day})
            for e, day in zip(employees, days, strict=True)
        )
    )
    assert [answer["data"]["assignSteward"]["errors"] for answer in answers] == [[]] * 16
    rows = await standing(app)
    for day in (TODAY + dt.timedelta(days=n) for n in range(8)):
        assert sum(start <= day and (end is None or day < end) for _, start, end, _ in rows) == 1


ARCHIVE = """mutation ($e: ID!, $v: Int) { archiveEmployee(id: $e, version: $v) {
    employee { code archivedAt } errors { path code message } } }"""


async def test_a_primary_steward_is_not_archived_before_successors_are_assigned(
    guanxi: Boot,
) -> None:
    app = await booted(guanxi)
    first, second = await customer(app, "C1"), await customer(app, "C2")
    one, two = await employee(app, "E1"), await employee(app, "E2")
    await app.graphql(ASSIGN, c=first, e=one)
    await app.graphql(ASSIGN, c=second, e=one, on=LATER)
    answer = (await app.graphql(ARCHIVE, e=one))["archiveEmployee"]
    assert answer["employee"] is None
    [error] = answer["errors"]
    assert (error["path"], error["code"]) == ("id", "INVALID")
    assert "is the primary steward of 2 customers: assign successors" in error["message"]
    await app.graphql(ASSIGN, c=second, e=two)
    await app.graphql(ASSIGN, c=first, e=two, on=LATER)
    answer = (await app.graphql(ARCHIVE, e=one))["archiveEmployee"]
    assert "of 1 customer:" in answer["errors"][0]["message"]
    app.clock.advance(days=10)
    assert await refused(app, ARCHIVE, e=one, v=7) == [("version", "CONFLICT")]
    answer = (await app.graphql(ARCHIVE, e=one, v=1))["archiveEmployee"]
    assert answer["errors"] == []
    assert answer["employee"]["archivedAt"] is not None
    again = (await app.graphql(ARCHIVE, e=one))["archiveEmployee"]
    assert again == answer
    missing = global_id(one)[:-4] + "0000"
    assert await refused(app, ARCHIVE, e=missing) == [("id", "NOT_FOUND")]


async def test_archiving_an_employee_needs_the_right_to_write(guanxi: Boot) -> None:
    app = await booted(guanxi)
    e = await employee(app, "E1")
    with pytest.raises(GraphQLFailed) as error:
        await app.graphql(ARCHIVE, can=["customers.read", STEWARD], e=e)
    assert error.value.codes == ["FORBIDDEN"]


async def test_who_is_archived_meanwhile_is_not_assigned(guanxi: Boot) -> None:
    app = await booted(guanxi)
    customers = [await customer(app, f"C{n}") for n in range(8)]
    employees = [await employee(app, f"E{n}") for n in range(8)]
    await asyncio.gather(
        *(
            app.execute(document, variables)
            for c, e in zip(customers, employees, strict=True)
            for document, variables in ((ASSIGN, {"c": c, "e": e}), (ARCHIVE, {"e": e}))
        )
    )
    gone = {row.id for row in await app.all(Employee) if row.archived_at}
    assigned = {row.employee_id for row in await app.all(Stewardship)}
    assert (gone | assigned, gone & assigned) == ({e.id for e in employees}, set())


async def test_the_database_itself_refuses_a_second_active_primary(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c, one, two = await customer(app), await employee(app, "E1"), await employee(app, "E2")

    async def primary(who: Employee) -> None:
        await app.add(
            Stewardship(customer_id=c.id, employee_id=who.id, starts_on=TODAY, is_primary=True)
        )

    await primary(one)
    with pytest.raises(Refusal):
        await primary(two)
    with pytest.raises(Refusal):
        await app.add(
            Stewardship(
                customer_id=c.id,
                employee_id=two.id,
                starts_on=TODAY,
                is_primary=True,
                line=Line.PRODUCT,
            )
        )
    assert [row[0] for row in await stewards(app)] == ["E1"]


async def test_who_may_not_assign_is_told_so(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c, e = await customer(app), await employee(app, "E1")
    with pytest.raises(GraphQLFailed) as error:
        await app.graphql(ASSIGN, can=["customers.read", "customers.write"], c=c, e=e)
    assert error.value.codes == ["FORBIDDEN"]
    allowed = await app.graphql(ASSIGN, can=["customers.read", STEWARD], c=c, e=e)
    assert allowed["assignSteward"]["errors"] == []


async def test_assignments_are_audited_under_their_verb(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c, e = await customer(app), await employee(app, "E1")
    await app.graphql(ASSIGN, c=c, e=e)
    async with app.platform.pool.connection(app.tenant.id) as connection:
        actions = await connection.fetch(
            "SELECT action FROM guanxi_audit WHERE model = 'Stewardship' ORDER BY id"
        )
    assert [row["action"] for row in actions] == ["customers.assign_steward"]


# suppliers


async def test_suppliers_are_kept(guanxi: Boot) -> None:
    app = await booted(guanxi)
    document = """mutation { createSupplier(input: {code: "S1", name: "Exotic Liquids",
        contactName: "Charlotte Cooper", country: "UK", city: "London", phone: "(171) 555-2222"}) {
        supplier { name contactName country } errors { path } } }"""
    made = await app.graphql(document)
    assert made["createSupplier"]["supplier"] == {
        "name": "Exotic Liquids",
        "contactName": "Charlotte Cooper",
        "country": "UK",
    }


@pytest.mark.parametrize("plugin", [Customers, Tiers])
def test_every_field_is_described_in_words_of_its_own(plugin: type[Plugin[Any]]) -> None:
    described = 0
    for model in (*plugin.manifest.models, *plugin.manifest.extensions):
        docs = attribute_docs(model)
        for name in {*model.info.fields} - {*Model.__annotations__}:
            assert docs.get(name, "").endswith("."), f"{model.__name__}.{name}"
            described += 1
    assert described > 30
