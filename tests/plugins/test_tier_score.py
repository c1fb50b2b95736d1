"""F1 as a pure function: scenarios 5 and 6 of domain rule C5, and its properties."""

from dataclasses import replace
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guanxi_tiers import Score, Tier, TierInputName, TierSettings, points, score

DEFAULTS = TierSettings()
SCENARIO_5 = dict(zip(TierInputName, (9, 8, 8, 7, 9, 9), strict=True))
RANK = {tier: rank for rank, tier in enumerate(reversed(Tier))}  # C is 0, S is 3

tenths = st.integers(0, 100).map(lambda n: n / 10)
weights = st.lists(st.integers(0, 100), min_size=6, max_size=6).filter(any)
inputs = st.fixed_dictionaries({}, optional=dict.fromkeys(TierInputName, tenths | st.none()))


def weighted(values: list[int], **others: object) -> TierSettings:
    names = [f"weight_{name.lower()}" for name in TierInputName]
    return TierSettings(**dict(zip(names, values, strict=True)), **others)


def codes(result: Score) -> list[str]:
    return [reason.code for reason in result.reasons]


def test_scenario_5_inputs_9_8_8_7_9_9_score_83_and_make_s() -> None:
    result = score(SCENARIO_5, DEFAULTS)
    assert (result.score, result.tier, result.confidence) == (83, Tier.S, 1)
    assert codes(result) == ["SCORE"]


def test_scenario_6_the_same_with_120_days_in_arrears_is_b_because_of_arrears() -> None:
    result = score(SCENARIO_5, DEFAULTS, arrears_days=120)
    assert (result.score, result.tier) == (83, Tier.B)
    assert codes(result) == ["ARREARS", "SCORE"]
    assert "120 days" in result.reasons[0].message
    assert "120天" in result.reasons[0].message_zh


def test_a_waiver_lifts_the_cap_and_is_told() -> None:
    result = score(SCENARIO_5, DEFAULTS, arrears_days=120, arrears_waived=True)
    assert (result.tier, codes(result)) == (Tier.S, ["ARREARS_WAIVED", "SCORE"])


@pytest.mark.parametrize(("days", "tier"), [(None, Tier.S), (90, Tier.S), (91, Tier.B)])
def test_the_cap_begins_above_90_days(days: int | None, tier: Tier) -> None:
    assert score(SCENARIO_5, DEFAULTS, arrears_days=days).tier is tier


def test_arrears_never_raise_a_tier_and_are_no_reason_then() -> None:
    poor = score(dict.fromkeys(TierInputName, 1), DEFAULTS, arrears_days=500)
    assert (poor.tier, codes(poor)) == (Tier.C, ["SCORE"])


def test_without_any_input_there_is_no_tier() -> None:
    for nothing in ({}, dict.fromkeys(TierInputName)):
        result = score(nothing, DEFAULTS, arrears_days=500)
        assert (result.score, result.tier, result.confidence) == (None, None, 0)
        assert codes(result) == ["NO_INPUT"]


def test_an_input_without_weight_is_no_input() -> None:
    only_growth_counts = weighted([0, 20, 0, 0, 0, 0])
    assert codes(score({"PROFIT": 10}, only_growth_counts)) == ["NO_INPUT"]
    assert codes(score({"GROWTH": 10}, only_growth_counts)) == ["SCORE"]


def test_exactly_80_is_s_where_floats_would_see_less() -> None:
    values = {"STRATEGIC_FIT": 10.0, "GROWTH": 6.0, "INFLUENCE": 7.0}
    in_floats = sum(v * (w / 55) for v, w in zip((10.0, 6.0, 7.0), (25, 20, 10), strict=True)) * 10
    assert in_floats < 80
    assert score(values, DEFAULTS).tier is Tier.S


def test_points_between_breakpoints_stay_exact_on_their_way_into_the_score() -> None:
    nine_and_two_thirds = points(2, ((0, 9), (3, 10)))
    values = {"PURCHASE": nine_and_two_thirds, "PROFIT": 3}
    result = score(values, weighted([0, 0, 1, 3, 0, 0]))
    assert (result.score, result.tier) == (80, Tier.S)


@pytest.mark.parametrize("wrong", [-0.1, 10.1, float("nan"), float("inf")])
def test_an_input_outside_0_to_10_is_refused_by_name(wrong: float) -> None:
    with pytest.raises(ValueError, match="PROFIT is"):
        score({"PROFIT": wrong}, DEFAULTS)


def test_an_unknown_input_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'LUCK' is no input"):
        score({"LUCK": 3}, DEFAULTS)


@given(inputs, weights)
def test_score_and_confidence_keep_their_bounds(
    values: dict[str, float | None], given_weights: list[int]
) -> None:
    result = score(values, weighted(given_weights))
    assert 0 <= result.confidence <= 1
    if result.score is None:
        assert result.tier is None
    else:
        present = [v for v in values.values() if v is not None]
        assert 10 * min(present) <= result.score + 1e-9
        assert result.score <= 10 * max(present) + 1e-9


@given(inputs, weights)
def test_the_tier_follows_the_unrounded_score(
    values: dict[str, float | None], given_weights: list[int]
) -> None:
    settings = weighted(given_weights)
    present = [
        (Fraction(str(values[n])), w)
        for n, w in zip(TierInputName, given_weights, strict=True)
        if values.get(n) is not None
    ]
    total = sum(w for _, w in present)
    result = score(values, settings)
    if not total:
        assert result.tier is None
        return
    expected = sum(v * w for v, w in present) * 10 / total
    assert result.score == float(expected)
    bound = next((t for least, t in ((80, "S"), (65, "A"), (45, "B")) if expected >= least), "C")
    assert result.tier == bound


@given(inputs, weights, st.sampled_from(TierInputName), tenths, tenths)
def test_a_better_input_never_lowers_score_or_tier(
    values: dict[str, float | None],
    given_weights: list[int],
    name: TierInputName,
    one: float,
    other: float,
) -> None:
    settings = weighted(given_weights)
    lower = score({**values, name: min(one, other)}, settings)
    higher = score({**values, name: max(one, other)}, settings)
    if lower.score is None or higher.score is None:
        assert lower.score == higher.score
        return
    assert lower.score <= higher.score
    assert RANK[lower.tier] <= RANK[higher.tier]


@given(inputs, weights, st.integers(2, 1000))
def test_scaling_all_weights_changes_nothing(
    values: dict[str, float | None], given_weights: list[int], factor: int
) -> None:
    scaled = weighted([w * factor for w in given_weights])
    assert score(values, weighted(given_weights)) == score(values, scaled)


@given(inputs, weights)
def test_a_missing_input_counts_like_one_without_weight(
    values: dict[str, float | None], given_weights: list[int]
) -> None:
    kept = [
        0 if values.get(name) is None else weight
        for name, weight in zip(TierInputName, given_weights, strict=True)
    ]
    result = score(values, weighted(given_weights))
    assert result.confidence == float(Fraction(sum(kept), sum(given_weights)))
    if any(kept):
        alone = score(values, weighted(kept))
        assert (result.score, result.tier) == (alone.score, alone.tier)
        assert alone.confidence == 1
        assert ("MISSING" in codes(result)) == (sum(kept) < sum(given_weights))


@given(inputs, weights, st.integers(0, 400), st.sampled_from(Tier), st.booleans())
def test_arrears_cap_and_nothing_else(
    values: dict[str, float | None],
    given_weights: list[int],
    days: int,
    cap: Tier,
    waived: bool,
) -> None:
    settings = weighted(given_weights, arrears_cap_tier=cap)
    free = score(values, settings)
    capped = score(values, settings, arrears_days=days, arrears_waived=waived)
    assert replace(capped, tier=None, reasons=()) == replace(free, tier=None, reasons=())
    if free.tier is None:
        assert capped.tier is None
        return
    beyond = days > 90 and not waived
    assert RANK[capped.tier] == (min(RANK[free.tier], RANK[cap]) if beyond else RANK[free.tier])
    assert ("ARREARS" in codes(capped)) == (capped.tier != free.tier)


rising = st.lists(
    st.tuples(st.integers(-1000, 1000), st.integers(0, 100)), min_size=1, unique_by=lambda p: p[0]
).map(lambda pairs: tuple((x, y / 10) for x, y in sorted(pairs)))


@given(rising, st.integers(-2000, 2000))
def test_points_hit_the_breakpoints_and_stay_between_their_neighbours(
    pairs: tuple[tuple[float, float], ...], quantity: int
) -> None:
    for x, y in pairs:
        assert points(x, pairs) == Fraction(str(y))
    result = points(quantity, pairs)
    below = [y for x, y in pairs if x <= quantity][-1:] or [pairs[0][1]]
    above = [y for x, y in pairs if x >= quantity][:1] or [pairs[-1][1]]
    neighbours = [Fraction(str(y)) for y in below + above]
    assert min(neighbours) <= result <= max(neighbours)


def test_points_are_linear_between_and_flat_outside() -> None:
    pairs = ((0, 0), (100, 5), (1000, 10))
    assert [points(x, pairs) for x in (-5, 50, 100, 550, 5000)] == [0, 2.5, 5, 7.5, 10]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weight_growth": -1}, "weight_growth is -1"),
        ({"weight_growth": float("nan")}, "weight_growth is nan"),
        ({f"weight_{name.lower()}": 0 for name in TierInputName}, "every weight_… is 0"),
        ({"threshold_a": 80}, "they must rise"),
        ({"threshold_s": 101}, "they must rise"),
        ({"arrears_cap_days": -1}, "arrears_cap_days is -1"),
        ({"override_days": 36_501}, "override_days is 36501: it must be 36500 or less"),
        ({"purchase_points": ()}, "purchase_points is empty"),
        ({"growth_points": ((0, 0), (0, 5))}, "growth_points: 0.* follows 0"),
        ({"growth_points": ((1, 0), (float("nan"), 5))}, "growth_points: nan"),
        ({"credit_points": ((0, 10.5),)}, "credit_points: 10.5 points"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(
    wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        TierSettings(**wrong)
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(wrong, TierSettings)


def test_settings_are_read_from_json_as_a_tenant_writes_them() -> None:
    text = b'{"weight_growth": 30, "arrears_cap_tier": "A", "credit_points": [[0, 9], [120, 9]]}'
    settings = msgspec.json.decode(text, type=TierSettings)
    assert settings == TierSettings(
        weight_growth=30, arrears_cap_tier=Tier.A, credit_points=((0, 9), (120, 9))
    )
    assert score({"CREDIT": 9}, settings).score == 90
