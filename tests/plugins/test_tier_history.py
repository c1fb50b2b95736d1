"""Tiers as of a date, and overrides that end (domain rules C4, 5; 002-05)."""

import datetime as dt

from guanxi_sdk.testing import Boot
from guanxi_tiers import TierDecision, TierSettings
from tiering import OVERRIDE_TIER, assess, booted, classify, codes, customer, done, standing, tiers

PROFIT_ALONE = TierSettings(weight_purchase=0)


async def test_the_tier_of_any_day_is_that_of_the_last_decision_that_held_then(
    guanxi: Boot,
) -> None:
    app = await booted(guanxi, PROFIT_ALONE)
    c = await customer(app)
    for day, profit in (("2024-01-01", 9), ("2024-02-01", 5), ("2024-02-20", 1)):
        await assess(app, c, day, PROFIT=profit)
        await classify(app, asOf=day)
    for day, tier in (
        ("2023-12-31", None),
        ("2024-01-01", "S"),
        ("2024-01-31", "S"),
        ("2024-02-01", "B"),
        ("2024-02-20", "C"),
        ("2099-01-01", "C"),
    ):
        assert await tiers(app, "tierOn", day) == {"C1": tier}, day
    assert await tiers(app, "tierOn") == await tiers(app)


async def test_a_classification_of_a_past_day_fills_in_history_from_that_day_on(
    guanxi: Boot,
) -> None:
    app = await booted(guanxi, PROFIT_ALONE)
    c = await customer(app)
    await assess(app, c, "2024-01-01", PROFIT=9)
    await classify(app)
    assert await tiers(app, "tierOn", "2024-02-01") == {"C1": None}
    await classify(app, asOf="2024-01-15")
    assert await tiers(app, "tierOn", "2024-01-14") == {"C1": None}
    assert await tiers(app, "tierOn", "2024-02-01") == {"C1": "S"}


async def test_an_override_ends_on_its_day_by_itself(guanxi: Boot) -> None:
    app = await booted(guanxi, PROFIT_ALONE)
    c = await customer(app)
    await assess(app, c, PROFIT=5)
    await classify(app)
    answer = await done(
        app, OVERRIDE_TIER, id=c, tier="S", reason="the minister", until="2024-03-10"
    )
    assert answer == {"tier": "S", "tierOverrideUntil": "2024-03-10"}
    app.clock.advance(days=8)  # 2024-03-09
    await app.deliver()
    assert await tiers(app) == {"C1": "S"}
    app.clock.advance(days=1)
    # nobody has looked at it yet, and history knows already
    assert await tiers(app, "tierOn", "2024-03-09") == {"C1": "S"}
    assert await tiers(app, "tierOn", "2024-03-10") == {"C1": "B"}
    await app.deliver()
    found = await standing(app, c)
    assert (found["tier"], codes(found)) == ("B", ["SCORE", "MISSING"])
    assert [(d.tier, d.former_tier, d.holds_from) for d in await app.all(TierDecision)] == [
        ("B", None, dt.date(2024, 3, 1)),
        ("S", "B", dt.date(2024, 3, 1)),
        ("B", "S", dt.date(2024, 3, 10)),
    ]


async def test_an_override_without_a_day_ends_after_the_days_of_the_settings(guanxi: Boot) -> None:
    for settings, until in (
        (PROFIT_ALONE, "2025-03-01"),
        (TierSettings(override_days=30), "2024-03-31"),
    ):
        app = await booted(guanxi, settings)
        c = await customer(app)
        answer = await done(app, OVERRIDE_TIER, id=c, tier="A", reason="x")
        assert answer["tierOverrideUntil"] == until


async def test_an_override_ends_after_today(guanxi: Boot) -> None:
    app = await booted(guanxi)
    c = await customer(app)
    for day in ("2024-02-29", "2024-03-01"):
        refused = await app.graphql(OVERRIDE_TIER, id=c, tier="A", reason="x", until=day)
        assert [e["path"] for e in refused["overrideTier"]["errors"]] == ["until"]
    assert await app.all(TierDecision) == []


async def test_a_lifted_override_stays_in_the_history_of_its_time(guanxi: Boot) -> None:
    app = await booted(guanxi, PROFIT_ALONE)
    c = await customer(app)
    await assess(app, c, PROFIT=5)
    await classify(app, asOf="2024-02-01")
    await done(app, OVERRIDE_TIER, id=c, tier="S", reason="x")
    app.clock.advance(days=5)
    lift = "mutation ($id: ID!) { liftTierOverride(customerId: $id) { errors { path } } }"
    assert (await app.graphql(lift, id=c))["liftTierOverride"]["errors"] == []
    days = ("2024-02-29", "2024-03-01", "2024-03-05", "2024-03-06")
    assert [(await tiers(app, "tierOn", day))["C1"] for day in days] == ["B", "S", "S", "B"]
