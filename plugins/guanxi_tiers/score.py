"""F1, the tier score, as a pure function (domain rule F1).

It counts in fractions, because a float would put some customers at 79.99999999999999 who have 80.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import lcm

from guanxi_tiers.choices import Tier, TierInputName
from guanxi_tiers.curves import ratio
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.values import TierReason

_ORDER = tuple(Tier)  # highest first


@dataclass(frozen=True, slots=True)
class Score:
    """What F1 says about one customer."""

    score: float | None  # 0 to 100; None without any input
    tier: Tier | None
    confidence: float  # share of the weight whose input is present, 0 to 1
    reasons: tuple[TierReason, ...]


@dataclass(frozen=True, slots=True)
class _Rules:
    weights: dict[str, int]  # brought to whole numbers: only their proportions matter
    total: int
    thresholds: tuple[tuple[int, int, Tier], ...]  # numerator, denominator


@lru_cache(maxsize=256)
def _rules(settings: TierSettings) -> _Rules:
    given = {name.value: ratio(weight) for name, weight in settings.weights.items()}
    whole = lcm(*(denominator for _, denominator in given.values()))
    weights = {name: top * whole // bottom for name, (top, bottom) in given.items()}
    thresholds = (
        (*ratio(settings.threshold_s), Tier.S),
        (*ratio(settings.threshold_a), Tier.A),
        (*ratio(settings.threshold_b), Tier.B),
    )
    return _Rules(weights, sum(weights.values()), thresholds)


def score(
    inputs: Mapping[str, float | Fraction | None],
    settings: TierSettings,
    *,
    arrears_days: int | None = None,
    arrears_waived: bool = False,
) -> Score:
    """Score a customer by inputs of 0 to 10, by :class:`TierInputName`.

    Missing inputs (absent or None) are left out and the weights of the rest renormalised.
    """
    rules = _rules(settings)
    if unknown := inputs.keys() - rules.weights.keys():
        raise ValueError(f"'{min(unknown)}' is no input: use {', '.join(rules.weights)}.")
    top, bottom, present = 0, 1, 0
    missing = []
    for name, weight in rules.weights.items():
        value = inputs.get(name)
        if value is None:
            if weight:
                missing.append(TierInputName(name))
            continue
        if not 0 <= value <= 10:
            raise ValueError(f"{name} is {value}: inputs go from 0 to 10.")
        numerator, denominator = ratio(value)
        top = top * denominator + weight * numerator * bottom
        bottom *= denominator
        present += weight
    if not present:
        return Score(None, None, 0.0, (_NO_INPUT,))
    top, bottom = top * 10, bottom * present
    tier, reason = _by_score(top, bottom, rules)
    reasons = [reason]
    if missing:
        reasons.append(_missing(missing))
    if arrears_days is not None and arrears_days > settings.arrears_cap_days:
        cap = settings.arrears_cap_tier
        if _ORDER.index(tier) < _ORDER.index(cap):
            reasons.insert(0, _arrears(arrears_days, settings, waived=arrears_waived))
            tier = tier if arrears_waived else cap
    return Score(top / bottom, tier, present / rules.total, tuple(reasons))


_NO_INPUT = TierReason(
    code="NO_INPUT",
    message="Nothing is known that a tier could be judged by.",
    message_zh="没有任何可用于分级的数据。",
)


def _by_score(top: int, bottom: int, rules: _Rules) -> tuple[Tier, TierReason]:
    shown = f"{top * 100 // bottom / 100:g}"  # cut off: 79.999 is not yet the 80 of tier S
    least = ""
    for numerator, denominator, tier in rules.thresholds:
        least = f"{numerator / denominator:g}"
        if top * denominator >= numerator * bottom:
            return tier, TierReason(
                code="SCORE",
                message=f"The score is {shown}; from {least} on it is {tier} ({tier.en}).",
                message_zh=f"得分{shown}，{least}分起为{tier}（{tier.zh}）。",
            )
    return Tier.C, TierReason(
        code="SCORE",
        message=f"The score is {shown}; below {least} it is C ({Tier.C.en}).",
        message_zh=f"得分{shown}，低于{least}分为C（{Tier.C.zh}）。",
    )


def _missing(names: list[TierInputName]) -> TierReason:
    return TierReason(
        code="MISSING",
        message=f"Left out, for want of data: {', '.join(n.en.lower() for n in names)}.",
        message_zh=f"因缺少数据未计入：{'、'.join(n.zh for n in names)}。",
    )


def _arrears(days: int, settings: TierSettings, *, waived: bool) -> TierReason:
    limit, cap = settings.arrears_cap_days, settings.arrears_cap_tier
    if waived:
        return TierReason(
            code="ARREARS_WAIVED",
            message=f"{days} days in arrears; the cap at {cap} above {limit} days is waived.",
            message_zh=f"欠款{days}天；超过{limit}天最高为{cap}的限制已豁免。",
        )
    return TierReason(
        code="ARREARS",
        message=f"{days} days in arrears; above {limit} days the tier is {cap} at most.",
        message_zh=f"欠款{days}天；超过{limit}天最高为{cap}。",
    )
