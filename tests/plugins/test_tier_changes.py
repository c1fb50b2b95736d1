"""Reclassification when inputs change: about those only of whom something changed (002-02)."""

import datetime as dt
from typing import Any

from with_tier_strategy import Lottery, Luck

from guanxi_customers import Customer
from guanxi_sdk.testing import App, Boot
from guanxi_tiers import CustomersClassified, TierRun, TierSettings
from tiering import (
    CHANGED,
    OVERRIDE_TIER,
    assess,
    booted,
    buy,
    classify,
    customer,
    done,
    tiers,
    triage,
)

#: Nothing that changed before the last run is looked at again, since tests commit at once.
AT_ONCE = {"recheck_minutes": 0}
PROFIT_ALONE = TierSettings(weight_purchase=0, **AT_ONCE)


async def changed(app: App) -> Any:
    return (await done(app, CHANGED))["classified"]


async def test_only_those_are_looked_at_of_whom_something_changed(guanxi: Boot) -> None:
    settings = TierSettings(strategies=("F1", "TRIAGE"), **AT_ONCE)
    app = await booted(guanxi, settings)
    made = [await customer(app, f"C{n}") for n in range(6)]
    assert (await classify(app))["classified"] == 6
    assert await changed(app) == 0
    await buy(app, made[0], "2024-01-01", "5")
    assert await changed(app) == 1
    await assess(app, made[1], PROFIT=9)
    await triage(app, made[2], "CLEAR")
    assert await changed(app) == 2
    await customer(app, "C6")
    update = """mutation ($id: ID!) { updateCustomer(id: $id, version: 1,
        input: { arrearsDays: 200 }) { errors { message } } }"""
    await app.graphql(update, id=made[3])
    waive = """mutation ($in: CreateArrearsWaiverInput!) {
        createArrearsWaiver(input: $in) { errors { message } } }"""
    given = {"customerId": f"customer_{made[4].id}", "reason": "x", "startsOn": "2024-01-01"}
    await app.graphql(waive, **{"in": given})
    assert await changed(app) == 3
    assert await changed(app) == 0
    assert len(await app.all(TierRun)) == 4
    assert [e.classified for e in app.events if isinstance(e, CustomersClassified)] == [6, 1, 2, 3]


async def test_what_days_bring_changes_customers_too(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(**AT_ONCE))
    for code, day in (
        ("C1", "2023-03-05"),  # leaves the twelve months
        ("C2", "2022-03-05"),  # leaves the year before
        ("C3", "2024-03-05"),  # enters the twelve months
        ("C4", "2023-06-01"),
    ):
        await buy(app, await customer(app, code), day, "1000000")
    c5 = await customer(app, "C5")
    await assess(app, c5, "2024-03-05", PROFIT=9)  # counts from then on
    await classify(app)
    app.clock.advance(days=3)  # 2024-03-04
    assert await changed(app) == 0
    app.clock.advance(days=1)
    assert await changed(app) == 4
    whole = await tiers(app, "tierScore")
    await classify(app)
    assert await tiers(app, "tierScore") == whole


async def test_it_gives_what_classifying_everybody_gives(guanxi: Boot) -> None:
    settings = TierSettings(strategies=("PARETO", "RFM"), combination="WORST", **AT_ONCE)
    app = await booted(guanxi, settings)
    made = [await customer(app, f"C{n}") for n in range(8)]
    for number, c in enumerate(made):
        await buy(app, c, f"2023-1{number % 3}-01", str(10 * (number + 1)))
    await classify(app)
    await buy(app, made[0], "2024-02-29", "1000")
    assert await changed(app) == 8  # the ends of classes moved, so everybody is looked at
    found = await tiers(app), await tiers(app, "tierScore")
    await classify(app)
    assert found == (await tiers(app), await tiers(app, "tierScore"))
    assert await changed(app) == 0


async def test_a_strategy_of_a_plugin_says_of_whom_something_changed(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(strategies=("LOTTERY", "F1"), **AT_ONCE), Lottery())
    made = [await customer(app, f"C{n}") for n in range(3)]
    await classify(app)
    async with app.context() as ctx:
        await ctx.save_many(Luck, [{"id": made[1].id, "ticket": 7}])
    assert await changed(app) == 1
    assert await tiers(app) == {"C0": "C", "C1": "S", "C2": "C"}


async def test_other_rules_are_for_everybody(guanxi: Boot) -> None:
    app = await booted(guanxi, PROFIT_ALONE)
    for n in range(3):
        await assess(app, await customer(app, f"C{n}"), PROFIT=7)
    await classify(app)
    assert set((await tiers(app)).values()) == {"A"}
    from guanxi_core.tenancy import set_plugin

    stored = {"weight_purchase": 0, "threshold_a": 71, "recheck_minutes": 0}
    await set_plugin(app.platform.pool, app.tenant, "tiers", True, stored)
    assert await changed(app) == 3
    assert set((await tiers(app)).values()) == {"B"}


async def test_a_classification_of_the_past_of_some_makes_the_next_one_of_everybody(
    guanxi: Boot,
) -> None:
    app = await booted(guanxi, PROFIT_ALONE)
    for n in range(3):
        await customer(app, f"C{n}")
    await classify(app)
    await classify(app, asOf="2023-01-01", where={"code": {"eq": "C1"}})
    assert await changed(app) == 3
    assert await changed(app) == 0


async def test_every_hour_tiers_follow_what_changed(guanxi: Boot) -> None:
    app = await booted(guanxi, PROFIT_ALONE)
    c = await customer(app)
    await assess(app, c, PROFIT=9)
    app.clock.advance(hours=1)
    await app.deliver()
    assert await tiers(app) == {"C1": None}  # nobody has classified yet
    await classify(app)
    await assess(app, c, "2024-03-01", PROFIT=1)
    app.clock.advance(hours=1)
    await app.deliver()
    assert await tiers(app) == {"C1": "C"}
    run = (await app.all(TierRun))[-1]
    assert (run.as_of, run.made_on, run.classified, run.changed, run.everybody) == (
        dt.date(2024, 3, 1), dt.date(2024, 3, 1), 1, 1, True,
    )  # fmt: skip


async def test_whoever_looks_at_a_past_day_is_left_alone(guanxi: Boot) -> None:
    app = await booted(guanxi, PROFIT_ALONE)
    await assess(app, await customer(app), "2024-02-20", PROFIT=9)
    await classify(app, asOf="2024-02-01")
    app.clock.advance(hours=1)
    await app.deliver()
    assert await tiers(app) == {"C1": None}


async def test_tiers_are_not_kept_up_to_date_where_the_setting_says_so(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(weight_purchase=0, keep_up_to_date=False))
    c = await customer(app)
    await classify(app)
    await assess(app, c, PROFIT=9)
    app.clock.advance(hours=1)
    await app.deliver()
    assert await tiers(app) == {"C1": None}


async def test_its_progress_is_seen_and_its_run_is_kept(guanxi: Boot, monkeypatch: Any) -> None:
    monkeypatch.setattr("guanxi_tiers.facts.PAGE", 2)
    app = await booted(guanxi, PROFIT_ALONE)
    for n in range(4):
        await assess(app, await customer(app, f"C{n}"), PROFIT=n * 3)
    result = await classify(app)
    assert (result["classified"], result["changed"]) == (4, 4)
    answer = await app.graphql(
        """{ jobs { edges { node { title done total status } } }
             tierRuns { edges { node { asOf strategies everybody classified changed
               decisions { totalCount } } } } }"""
    )
    (job,) = [edge["node"] for edge in answer["jobs"]["edges"]]
    assert (job["done"], job["total"], job["status"]) == (4, 4, "DONE")
    (run,) = [edge["node"] for edge in answer["tierRuns"]["edges"]]
    assert run == {
        "asOf": "2024-03-01", "strategies": ["F1 1"], "everybody": True,
        "classified": 4, "changed": 4, "decisions": {"totalCount": 4},
    }  # fmt: skip


async def test_more_customers_than_a_request_takes_are_classified_beside_it(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(weight_purchase=0, classify_at_once=2, **AT_ONCE))
    document = """mutation ($where: CustomerWhere) { classifyCustomers(where: $where) {
        result { classified inBackground } errors { message } } }"""
    for n in range(3):
        await assess(app, await customer(app, f"C{n}"), PROFIT=9)
    answer = await done(app, document, where={"code": {"eq": "C1"}})
    assert answer == {"classified": 1, "inBackground": False}
    assert await done(app, document) == {"classified": 0, "inBackground": True}
    assert await tiers(app) == {"C0": None, "C1": "S", "C2": None}
    await app.deliver()
    assert set((await tiers(app)).values()) == {"S"}
    run = (await app.all(TierRun))[-1]
    assert (run.classified, run.everybody, run.started_by) == (3, True, "tiers.classify_everybody")
    for n in range(3):
        await customer(app, f"D{n}")
    assert await changed(app) == 0
    await app.deliver()
    assert (await app.all(TierRun))[-1].classified == 6


async def test_an_override_is_no_reason_to_decide_again_until_it_ends(guanxi: Boot) -> None:
    app = await booted(guanxi, PROFIT_ALONE)
    c = await customer(app)
    await classify(app)
    await done(app, OVERRIDE_TIER, id=c, tier="S", reason="x", until="2024-03-05")
    assert await changed(app) == 0
    app.clock.advance(days=4)
    assert await changed(app) == 1
    assert await tiers(app) == {"C1": None}


async def test_two_tenants_do_not_meet(guanxi: Boot) -> None:
    one, other = await booted(guanxi, PROFIT_ALONE), await booted(guanxi, PROFIT_ALONE)
    await assess(one, await customer(one), PROFIT=9)
    await customer(other)
    await classify(one)
    assert await tiers(one) == {"C1": "S"}
    assert await tiers(other) == {"C1": None}
    assert await other.all(TierRun) == []
    assert len(await other.all(Customer)) == 1
