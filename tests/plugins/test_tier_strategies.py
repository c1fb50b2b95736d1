"""Strategies of tiers, alone and combined (domain rules F1, 004-07, C7), through GraphQL."""

from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from with_tier_strategy import Broken, Lottery, Luck, StateBodies

from guanxi_customers import Customer, IndustryClass, Purchase
from guanxi_sdk import Money
from guanxi_sdk.testing import Boot
from guanxi_tiers import (
    AssessedInput,
    Tier,
    TierAssessment,
    TierCombination,
    TierInputName,
    TierSettings,
    points,
    score,
)
from tiering import NOW, assess, booted, buy, classify, codes, customer, standing, tiers, triage

_FEW = settings(
    max_examples=4, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip

# F1 in the database

_tenths = st.integers(0, 100).map(lambda n: n / 10)
_minor = st.integers(1, 10**10) | st.sampled_from([1, 33, 10_000_000, 100_000_000])
_row = st.fixed_dictionaries(
    {"after": _minor | st.none(), "before": _minor | st.none()},
    optional={
        "arrears_days": st.integers(0, 400),
        **{name.value: _tenths for name in AssessedInput},
    },
)
_weights = st.lists(st.integers(0, 30), min_size=6, max_size=6).filter(any)
_rising = st.lists(st.integers(0, 10**7), min_size=2, max_size=4, unique=True).map(sorted)
_curve = st.tuples(_rising, st.lists(_tenths, min_size=4, max_size=4)).map(
    lambda pair: tuple((float(x), y) for x, y in zip(pair[0], pair[1], strict=False))
)


def expected(row: dict[str, Any], rules: TierSettings) -> Any:
    """F1 by the pure function."""
    after, before = row["after"] or 0, row["before"] or 0
    growth = Fraction(after, before) - 1 if before else None
    arrears = row.get("arrears_days")
    computed = {
        "PURCHASE": points(Fraction(after, 100), rules.purchase_points),
        "GROWTH": None if growth is None else points(growth, rules.growth_points),
        "CREDIT": None if arrears is None else points(arrears, rules.credit_points),
    }
    assessed = {name.value: row.get(name.value) for name in AssessedInput}
    return score(computed | assessed, rules, arrears_days=arrears)


@_FEW
@given(st.lists(_row, min_size=30, max_size=30), _weights, _curve)
async def test_the_database_scores_as_the_pure_function_does(
    guanxi: Boot, rows: list[dict[str, Any]], weights: list[int], curve: Any
) -> None:
    given_weights = dict(zip(TierInputName, weights, strict=True))
    rules = TierSettings(
        purchase_points=curve,
        **{f"weight_{name.lower()}": weight for name, weight in given_weights.items()},
    )
    app = await booted(guanxi, rules)
    async with app.context() as ctx:
        for number, row in enumerate(rows):
            c = await ctx.add(
                Customer(code=f"C{number}", name="x", arrears_days=row.get("arrears_days"))
            )
            for when, minor in (("2023-12-01", row["after"]), ("2022-12-01", row["before"])):
                if minor is not None:
                    day = NOW.date().fromisoformat(when)
                    ctx.db.add(
                        Purchase(
                            code=f"{number} {when}",
                            customer_id=c.id,
                            ordered_on=day,
                            amount=Money(minor, "CNY"),
                        )
                    )
            for name in AssessedInput:
                if name.value in row:
                    ctx.db.add(
                        TierAssessment(
                            customer_id=c.id,
                            input=name,
                            value=row[name.value],
                            assessed_on=NOW.date(),
                        )
                    )
    await classify(app)
    answer = await app.graphql(
        """{ customers(first: 100) { edges { node { code tier tierScore tierConfidence
             tierReasons { code message messageZh } } } } }"""
    )
    for edge in answer["customers"]["edges"]:
        found = edge["node"]
        wanted = expected(rows[int(found["code"][1:])], rules)
        assert found["tier"] == wanted.tier, found
        assert found["tierScore"] == pytest.approx(wanted.score, rel=1e-12)
        assert found["tierConfidence"] == pytest.approx(wanted.confidence, rel=1e-12)
        assert found["tierReasons"] == [
            {"code": r.code, "message": r.message, "messageZh": r.message_zh}
            for r in wanted.reasons
        ]


# Pareto


def pareto_by_hand(amounts: dict[str, Decimal], shares: tuple[str, ...]) -> dict[str, str]:
    """From the largest on, each customer whose forerunners make up less than a tier's share."""
    whole = sum(amounts.values())
    found = {}
    for code, amount in amounts.items():
        before = sum(other for other in amounts.values() if other > amount)
        inside = [
            t for t, share in zip("SAB", shares, strict=True) if before < Decimal(share) * whole
        ]
        found[code] = inside[0] if inside and amount > 0 else "C"
    return found


async def test_pareto_goes_by_the_share_of_all_purchases(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(strategies=("PARETO",)))
    amounts = {"C1": 500, "C2": 200, "C3": 200, "C4": 60, "C5": 30, "C6": 10, "C7": 0}
    for code, amount in amounts.items():
        c = await customer(app, code)
        if amount:
            await buy(app, c, "2023-12-01", str(amount))
        else:
            await buy(app, c, "2022-12-01", "9999")  # bought, but not in these twelve months
    await buy(app, await customer(app, "C8"), "2024-03-02", "9999")  # after the day
    result = await classify(app)
    found = await tiers(app)
    by_hand = pareto_by_hand({k: Decimal(v) for k, v in amounts.items()}, ("0.5", "0.8", "0.95"))
    assert found == {**by_hand, "C8": None}
    assert by_hand == {"C1": "S", "C2": "A", "C3": "A", "C4": "B", "C5": "C", "C6": "C", "C7": "C"}
    assert {c["tier"]: c["count"] for c in result["byTier"]} == {
        "S": 1, "A": 2, "B": 1, "C": 3, None: 1,
    }  # fmt: skip
    reasons = await tiers(app, "tierReasons")
    assert [r["message"] for r in reasons["C1"]] == [
        "Annual purchase CNY 500.00; with those who buy more, it is within the first 50% of all "
        "purchases: S (Strategic)."
    ]
    assert [r["code"] for r in reasons["C8"]] == ["NO_PURCHASE"]


async def test_pareto_compares_with_all_customers_whichever_are_classified(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(strategies=("PARETO",)))
    for code, amount in (("C1", "900"), ("C2", "100")):
        await buy(app, await customer(app, code), "2023-12-01", amount)
    await classify(app, where={"code": {"eq": "C2"}})
    assert await tiers(app) == {"C1": None, "C2": "B"}


@_FEW
@given(st.lists(st.integers(0, 50), min_size=5, max_size=40))
async def test_pareto_is_as_counted_by_hand(guanxi: Boot, amounts: list[int]) -> None:
    app = await booted(guanxi, TierSettings(strategies=("PARETO",)))
    async with app.context() as ctx:
        for number, amount in enumerate(amounts):
            c = await ctx.add(Customer(code=f"C{number}", name="x"))
            day = NOW.date().replace(year=2023, month=6)
            bought = Money(amount * 100, "CNY")
            ctx.db.add(Purchase(code=str(number), customer_id=c.id, ordered_on=day, amount=bought))
    await classify(app)
    by_hand = pareto_by_hand(
        {f"C{n}": Decimal(amount) for n, amount in enumerate(amounts)}, ("0.5", "0.8", "0.95")
    )
    assert await tiers(app) == by_hand


# RFM


async def test_rfm_places_customers_by_fifths_of_all_buyers(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(strategies=("RFM",)))
    for number in range(1, 6):  # the first bought longest ago, most seldom and least
        c = await customer(app, f"C{number}")
        for order in range(number):
            await buy(app, c, f"2023-{4 + number:02}-{10 + order}", f"{100 * number}")
    await buy(app, await customer(app, "C6"), "2022-01-01", "10000")
    await customer(app, "C7")
    await classify(app)
    scores = await tiers(app, "tierScore")
    assert scores == {"C1": 20, "C2": 40, "C3": 60, "C4": 80, "C5": 100, "C6": 20, "C7": None}
    assert await tiers(app) == {
        "C1": "C", "C2": "B", "C3": "A", "C4": "S", "C5": "S", "C6": "C", "C7": None,
    }  # fmt: skip
    reasons = await tiers(app, "tierReasons")
    assert reasons["C4"][0]["message"] == (
        "Recency 4 of 5, frequency 4, monetary value 4: 80 of 100, so S."
    )


async def test_rfm_weights_count(guanxi: Boot) -> None:
    only_lately = TierSettings(
        strategies=("RFM",), rfm_weight_frequency=0, rfm_weight_monetary=0, rfm_weight_recency=3
    )
    app = await booted(guanxi, only_lately)
    for number in range(1, 6):
        await buy(app, await customer(app, f"C{number}"), f"2023-0{number + 3}-01", f"{9 - number}")
    await classify(app)
    assert await tiers(app, "tierScore") == {f"C{n}": 20 * n for n in range(1, 6)}


# triage


async def test_triage_sorts_by_how_clear_the_need_is(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(strategies=("TRIAGE",), triage_clear=Tier.A))
    found = {}
    for code, triaged in (("C1", "CLEAR"), ("C2", "HOPEFUL"), ("C3", "NONE"), ("C4", None)):
        found[code] = await customer(app, code)
        if triaged:
            await triage(app, found[code], triaged)
    await triage(app, found["C3"], "CLEAR", "2024-03-02")  # tomorrow
    await classify(app)
    assert await tiers(app) == {"C1": "A", "C2": "C", "C3": "C", "C4": None}
    assert codes(await standing(app, found["C4"])) == ["NO_TRIAGE"]
    await classify(app, asOf="2024-03-02")
    assert (await tiers(app))["C3"] == "A"


# combined


ANSWERS = {"STATE": [None, "A"], "TRIAGE": [None, "S", "C"], "F1": [None, "S", "B"]}


@pytest.mark.parametrize("combination", TierCombination)
async def test_several_strategies_combine_as_the_setting_says(
    guanxi: Boot, combination: TierCombination
) -> None:
    rules = TierSettings(
        strategies=tuple(ANSWERS), combination=combination, weight_purchase=0,
        triage_clear=Tier.S, triage_none=Tier.C,
    )  # fmt: skip
    app = await booted(guanxi, rules, StateBodies())
    wanted = {}
    for number, answers in enumerate(product(*ANSWERS.values())):
        state, triaged, scored = answers
        kind = IndustryClass.GOVERNMENT if state else IndustryClass.OTHER
        c = await customer(app, f"C{number:02}", industry_class=kind)
        if triaged:
            await triage(app, c, {"S": "CLEAR", "C": "NONE"}[triaged])
        if scored:
            await assess(app, c, PROFIT={"S": 9, "B": 5}[scored])
        known = [(tier, name) for tier, name in zip(answers, ANSWERS, strict=True) if tier]
        order = "SABC"
        if not known:
            wanted[c.code] = (None, "STATE+TRIAGE+F1")
        elif combination is TierCombination.FIRST:
            wanted[c.code] = known[0]
        else:
            ends = sorted((tier for tier, _ in known), key=order.index)
            tier = ends[0] if combination is TierCombination.BEST else ends[-1]
            wanted[c.code] = (tier, "+".join(name for _, name in known))
    await classify(app)
    strategies, versions = await tiers(app, "tierStrategy"), await tiers(app, "tierVersion")
    found = {code: (tier, strategies[code]) for code, tier in (await tiers(app)).items()}
    assert found == wanted
    for code, strategy in strategies.items():
        numbers = {"STATE": "1.2", "TRIAGE": "1", "F1": "1"}
        assert versions[code] == "+".join(numbers[name] for name in strategy.split("+"))
    reasons = await tiers(app, "tierReasons")
    assert [r["code"] for r in reasons["C00"]] == ["NO_TRIAGE", "NO_INPUT"]
    if combination is TierCombination.WORST:
        everything = next(c for c, s in strategies.items() if s.count("+") == 2 and wanted[c][0])
        assert {r["code"] for r in reasons[everything]} >= {"STATE", "TRIAGE", "SCORE", "COMBINED"}


async def test_a_strategy_of_a_plugin_looks_up_what_it_keeps(guanxi: Boot) -> None:
    rules = TierSettings(strategies=("LOTTERY", "F1"))
    app = await booted(guanxi, rules, Lottery())
    winner, loser = await customer(app, "C1"), await customer(app, "C2")
    async with app.context() as ctx:
        await ctx.save_many(Luck, [{"id": winner.id, "ticket": 7}, {"id": loser.id, "ticket": 8}])
    await classify(app)
    assert await tiers(app) == {"C1": "S", "C2": "C"}
    found = await standing(app, winner)
    assert (found["tierScore"], found["tierConfidence"], found["tierStrategy"]) == (
        100, 0.5, "LOTTERY",
    )  # fmt: skip


async def test_strategies_nobody_chose_decide_nothing(guanxi: Boot) -> None:
    app = await booted(guanxi, None, StateBodies())
    c = await customer(app, industry_class=IndustryClass.GOVERNMENT)
    await classify(app)
    found = await standing(app, c)
    assert (found["tier"], found["tierStrategy"]) == ("C", "F1")


@pytest.mark.parametrize("name", ["RAISES", "EXITS", "CONFUSED", "NONSENSE", "DIVIDES"])
async def test_a_failing_strategy_costs_its_own_answer_only(guanxi: Boot, name: str) -> None:
    rules = TierSettings(strategies=(name, "F1"), combination=TierCombination.BEST)
    app = await booted(guanxi, rules, Broken())
    for code in ("C1", "C2"):
        await assess(app, await customer(app, code), PROFIT=9)
    assert (await classify(app))["classified"] == 2
    assert set((await tiers(app)).values()) == {"B"}
    assert set((await tiers(app, "tierStrategy")).values()) == {"F1"}


@pytest.mark.parametrize("names", [("RAISES",), ("DIVIDES",), ("RAISES", "DIVIDES")])
async def test_where_no_strategy_works_that_is_said(guanxi: Boot, names: tuple[str, ...]) -> None:
    app = await booted(guanxi, TierSettings(strategies=names), Broken())
    await customer(app)
    refused = await app.graphql("mutation { classifyCustomers { errors { path message } } }")
    (error,) = refused["classifyCustomers"]["errors"]
    told = f"The setting 'strategies' names {', '.join(names)}, and none of them works"
    assert (error["path"], error["message"]) == (None, f"{told}: choose others.")
    assert await tiers(app) == {"C1": None}


async def test_a_strategy_that_does_not_exist_is_refused_with_those_that_do(guanxi: Boot) -> None:
    app = await booted(guanxi, TierSettings(strategies=("F2",)), StateBodies())
    await customer(app)
    refused = await app.graphql(
        "mutation { classifyCustomers { errors { path message } } }"
    )  # fmt: skip
    (error,) = refused["classifyCustomers"]["errors"]
    known = "F1, PARETO, RFM, TRIAGE, STATE"
    told = f"The setting 'strategies' names 'F2', which is none of {known}."
    assert (error["path"], error["message"]) == (None, told)
