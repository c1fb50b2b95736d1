"""F1, the default strategy: three inputs computed from data, three assessed (domain rule F1).

It counts in whole numbers and exact decimals, because a float would put some customers at
79.99999999999999 who have 80: the quotients of breakpoints are brought to common denominators, and
nothing is divided before the score has been compared. :func:`guanxi_tiers.score` says the same in
Python.
"""

from fractions import Fraction
from math import lcm
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func

from guanxi_tiers.choices import AssessedInput, Tier, TierInputName, TierInputSource
from guanxi_tiers.curves import ratio, segments
from guanxi_tiers.facts import named
from guanxi_tiers.rows import (
    Rows,
    amount,
    digits_of,
    exact,
    json_array,
    json_object,
    layer,
    sentence,
    text,
)
from guanxi_tiers.settings import Breakpoints, TierSettings
from guanxi_tiers.strategy import Because, TierVerdict

NAME, VERSION = "F1", "1"
_Number = sa.ColumnElement[Any]


def f1(rows: Rows, settings: TierSettings, currency: str) -> tuple[Rows, TierVerdict]:
    """Turn facts into inputs and score them."""
    facts = named(rows)
    scale = 10 ** digits_of(currency)
    after, before = _numeric(facts.annual_purchase), _numeric(facts.former_annual_purchase)
    known = facts.former_annual_purchase > 0
    purchase, purchase_unit = _points(after, exact(scale), settings.purchase_points, scale)
    credit, credit_unit = _points(_numeric(facts.arrears_days), exact(1), settings.credit_points)
    growth, growth_unit = _points(after - before, before, settings.growth_points)
    rows = layer(
        rows,
        {
            "f1_purchase": purchase,
            "f1_credit": sa.case((facts.arrears_days.is_not(None), credit)),
            "f1_growth": sa.case((known, growth)),
            "f1_unit": sa.case((known, before), else_=exact(1)),
        },
        "f1_points",
    )
    weights, total = _weights(settings)
    common = lcm(purchase_unit, credit_unit, growth_unit)
    unit = rows.c.f1_unit
    #: Each input times ``common`` and ``unit``.
    scaled: dict[TierInputName, _Number] = {
        TierInputName.PURCHASE: rows.c.f1_purchase * exact(common // purchase_unit) * unit,
        TierInputName.CREDIT: rows.c.f1_credit * exact(common // credit_unit) * unit,
        TierInputName.GROWTH: rows.c.f1_growth * exact(common // growth_unit),
    }
    for one in AssessedInput:
        value = _numeric(rows.c[one.value.lower()])
        scaled[TierInputName(one.value)] = value * exact(common) * unit
    top = _sum([func.coalesce(scaled[n] * exact(w), exact(0)) for n, w in weights.items()])
    present = _sum(
        [sa.case((scaled[n].is_not(None), exact(w)), else_=exact(0)) for n, w in weights.items()]
    )
    columns = {f"f1_of_{n.value.lower()}": value for n, value in scaled.items()}
    columns |= {"f1_top": top * 10, "f1_present": present, "f1_bottom": exact(common) * unit}
    rows = layer(rows, columns, "f1_sums")
    rows = layer(rows, {"f1_score": _score(rows), "f1_tier": _tier(rows, settings)}, "f1_scores")
    capped, reasons = _reasons(rows, settings)
    return rows, TierVerdict(
        tier=capped,
        reasons=reasons,
        score=sa.cast(rows.c.f1_score, sa.Float(53)),
        confidence=sa.cast(rows.c.f1_present / exact(total), sa.Float(53)),
        inputs=_inputs(rows, settings, currency),
    )


def _numeric(value: Any) -> _Number:
    return sa.cast(value, sa.Numeric)


def _sum(parts: list[_Number]) -> _Number:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    return whole


def _weights(settings: TierSettings) -> tuple[dict[TierInputName, int], int]:
    """The weights brought to whole numbers, since only their proportions matter; and their sum."""
    given = {name: ratio(weight) for name, weight in settings.weights.items()}
    whole = lcm(*(denominator for _, denominator in given.values()))
    weights = {name: top * whole // bottom for name, (top, bottom) in given.items()}
    return weights, sum(weights.values())


def _points(
    top: _Number, bottom: _Number, breakpoints: Breakpoints, scale: int = 1
) -> tuple[_Number, int]:
    """Points for the quantity ``top / bottom``, times ``bottom / scale`` and a unit; and that unit.

    ``scale`` is what is constant in ``bottom``, so that the points stay small numbers.
    """
    first = Fraction(*ratio(breakpoints[0][1]))
    found = segments(breakpoints)
    unit = lcm(first.denominator, *(segment.divisor for segment in found)) * scale
    branches = []
    for segment in reversed(found):
        start, whole = segment.start
        factor = unit // scale // segment.divisor
        value = exact(segment.intercept * factor) * bottom + exact(segment.slope * factor) * top
        branches.append((top * exact(whole) >= exact(start) * bottom, value))
    return sa.case(*branches, else_=exact(int(first * (unit // scale))) * bottom), unit


def _score(rows: Rows) -> _Number:
    """Of 100, with more decimals than a float has."""
    divisor = func.nullif(rows.c.f1_bottom * rows.c.f1_present, exact(0))
    return rows.c.f1_top * sa.cast(text("1." + "0" * 20), sa.Numeric) / divisor


def _tier(rows: Rows, settings: TierSettings) -> _Number:
    bottom = rows.c.f1_bottom * rows.c.f1_present
    branches: list[tuple[Any, Any]] = [(rows.c.f1_present == exact(0), sa.null())]
    for tier in (Tier.S, Tier.A, Tier.B):
        top, whole = ratio(getattr(settings, f"threshold_{tier.lower()}"))
        branches.append((rows.c.f1_top * exact(whole) >= exact(top) * bottom, text(tier.value)))
    return sa.case(*branches, else_=text(Tier.C.value))


def _reasons(rows: Rows, settings: TierSettings) -> tuple[_Number, list[Because]]:
    """The tier after the cap for arrears, and why."""
    facts, tier = named(rows), rows.c.f1_tier
    cap, limit = settings.arrears_cap_tier, settings.arrears_cap_days
    above = [one.value for one in Tier if list(Tier).index(one) < list(Tier).index(cap)]
    hit = sa.and_(func.coalesce(facts.arrears_days, 0) > limit, tier.in_(above))
    waived = facts.arrears_waived
    days = facts.arrears_days
    found = [
        Because(
            "ARREARS",
            f"{{}} days in arrears; above {limit} days the tier is {cap} at most.",
            f"欠款{{}}天；超过{limit}天最高为{cap}。",
            days,
            when=sa.and_(hit, sa.not_(waived)),
        ),
        Because(
            "ARREARS_WAIVED",
            f"{{}} days in arrears; the cap at {cap} above {limit} days is waived.",
            f"欠款{{}}天；超过{limit}天最高为{cap}的限制已豁免。",
            days,
            when=sa.and_(hit, waived),
        ),
        Because(
            "NO_INPUT",
            "Nothing is known that a tier could be judged by.",
            "没有任何可用于分级的数据。",
            when=tier.is_(None),
        ),
        *_by_score(rows, settings),
        _missing(rows, settings),
    ]
    capped = sa.case((sa.and_(hit, sa.not_(waived)), text(cap.value)), else_=tier)
    return capped, found


def _by_score(rows: Rows, settings: TierSettings) -> list[Because]:
    shown = func.trim_scale(func.trunc(rows.c.f1_score, 2))  # 79.999 is not yet the 80 of tier S
    found = []
    least = ""
    for tier in (Tier.S, Tier.A, Tier.B):
        least = f"{getattr(settings, f'threshold_{tier.lower()}'):g}"
        found.append(
            Because(
                "SCORE",
                f"The score is {{}}; from {least} on it is {tier} ({tier.en}).",
                f"得分{{}}，{least}分起为{tier}（{tier.zh}）。",
                shown,
                when=rows.c.f1_tier == tier.value,
            )
        )
    found.append(
        Because(
            "SCORE",
            f"The score is {{}}; below {least} it is C ({Tier.C.en}).",
            f"得分{{}}，低于{least}分为C（{Tier.C.zh}）。",
            shown,
            when=rows.c.f1_tier == Tier.C.value,
        )
    )
    return found


def _missing(rows: Rows, settings: TierSettings) -> Because:
    absent = {
        name: rows.c[f"f1_of_{name.value.lower()}"].is_(None)
        for name, weight in settings.weights.items()
        if weight
    }
    english = [sa.case((missing, text(name.en.lower()))) for name, missing in absent.items()]
    chinese = [sa.case((missing, text(name.zh))) for name, missing in absent.items()]
    return Because(
        "MISSING",
        "Left out, for want of data: {0}.",
        "因缺少数据未计入：{1}。",
        func.concat_ws(text(", "), *english),
        func.concat_ws(text("、"), *chinese),
        when=sa.and_(rows.c.f1_tier.is_not(None), sa.or_(*absent.values())),
    )


def _inputs(rows: Rows, settings: TierSettings, currency: str) -> _Number:
    """What entered the score, the missing inputs included."""
    facts = named(rows)
    rate = (_numeric(facts.annual_purchase) - facts.former_annual_purchase) * 100
    percent = func.round(rate / func.nullif(_numeric(facts.former_annual_purchase), 0), 1)
    details = {
        TierInputName.PURCHASE: sentence(
            "annual purchase {}", amount(facts.annual_purchase, currency)
        ),
        TierInputName.GROWTH: func.coalesce(
            sa.case((facts.former_annual_purchase > 0, sentence("growth {}%", percent))),
            text("no purchase the year before"),
        ),
        TierInputName.CREDIT: sa.case(
            (facts.arrears_days.is_(None), text("arrears unknown")),
            else_=sentence("{} days in arrears", facts.arrears_days),
        ),
    }
    entries = []
    for name, weight in settings.weights.items():
        scaled = rows.c[f"f1_of_{name.value.lower()}"]
        computed = name in details
        assessed = sa.case(
            (scaled.is_(None), text("not assessed")), else_=text("latest assessment")
        )
        source = TierInputSource.COMPUTED if computed else TierInputSource.ASSESSED
        entries.append(
            json_object(
                name=text(name.value),
                value=sa.cast(scaled / rows.c.f1_bottom, sa.Float(53)),
                weight=sa.literal(float(weight), sa.Float(53)),
                source=text(source.value),
                detail=details.get(name, assessed),
            )
        )
    return json_array(*entries)
