"""Strategies that look at purchases: Pareto (ABC), and RFM, each against all other customers."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import func

from guanxi_tiers.choices import Tier
from guanxi_tiers.facts import named
from guanxi_tiers.population import EPOCH, Fifths
from guanxi_tiers.rows import Rows, amount, layer, text
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.strategy import Because, TierFacts, TierVerdict

PARETO, PARETO_VERSION = "PARETO", "1"
RFM, RFM_VERSION = "RFM", "1"


def _never(facts: TierFacts) -> Because:
    return Because(
        "NO_PURCHASE",
        "Nothing was ever bought, so purchases say nothing.",
        "从未采购，无法按采购分级。",
        when=facts.last_purchase_on.is_(None),
    )


def pareto(
    rows: Rows, settings: TierSettings, currency: str, bounds: dict[Tier, int | None]
) -> tuple[Rows, TierVerdict]:
    """Few customers make up most purchases: S, A and B are those who make up a share of them."""
    facts = named(rows)
    bought = facts.last_purchase_on.is_not(None)
    branches: list[tuple[Any, Any]] = [(sa.not_(bought), sa.null())]
    branches += [
        (facts.annual_purchase >= sa.literal(least, sa.BigInteger), text(tier.value))
        for tier, least in bounds.items()
        if least is not None
    ]
    rows = layer(
        rows, {"pareto_tier": sa.case(*branches, else_=text(Tier.C.value))}, "pareto_tiers"
    )
    facts, tier = named(rows), rows.c.pareto_tier
    own = amount(facts.annual_purchase, currency)
    reasons = [_never(facts)]
    for one, least in bounds.items():
        if least is None:
            continue
        share = f"{getattr(settings, f'pareto_share_{one.lower()}'):.0%}"
        reasons.append(
            Because(
                "PARETO",
                f"Annual purchase {{}}; with those who buy more, it is within the first {share} of "
                f"all purchases: {one} ({one.en}).",
                f"年采购额{{}}；从大到小累计，属于全部采购的前{share}：{one}（{one.zh}）。",
                own,
                when=tier == one.value,
            )
        )
    reasons.append(
        Because(
            "PARETO",
            f"Annual purchase {{}}; others make up nearly all purchases: C ({Tier.C.en}).",
            f"年采购额{{}}；其他客户已占绝大部分采购：C（{Tier.C.zh}）。",
            own,
            when=tier == Tier.C.value,
        )
    )
    return rows, TierVerdict(tier=tier, reasons=reasons)


def rfm(rows: Rows, settings: TierSettings, fifths: Fifths) -> tuple[Rows, TierVerdict]:
    """How lately, how often and how much: a fifth of all buyers for each, 1 to 5."""
    facts = named(rows)
    values: dict[str, Any] = {
        "recency": facts.last_purchase_on - sa.literal(EPOCH, sa.Date),
        "frequency": facts.annual_orders,
        "monetary": facts.annual_purchase,
    }
    places = {
        f"rfm_{name}": sum(
            (
                sa.case((value > sa.literal(end, sa.BigInteger), 1), else_=0)
                for end in getattr(fifths, name)
            ),
            start=sa.literal(1, sa.Integer),
        )
        for name, value in values.items()
    }
    rows = layer(rows, places, "rfm_places")
    weights = settings.rfm_weights
    points: Any = sum(
        (
            sa.cast(rows.c[f"rfm_{name}"], sa.Float(53)) * sa.literal(weight, sa.Float(53))
            for name, weight in weights.items()
        ),
        start=sa.literal(0, sa.Float(53)),
    )
    score = points * sa.literal(20 / sum(weights.values()), sa.Float(53))
    rounded = sa.cast(func.round(sa.cast(score, sa.Numeric), 6), sa.Float(53))
    rows = layer(rows, {"rfm_score": rounded}, "rfm_scores")
    facts = named(rows)
    branches: list[tuple[Any, Any]] = [(facts.last_purchase_on.is_(None), sa.null())]
    for tier in (Tier.S, Tier.A, Tier.B):
        least = sa.literal(float(getattr(settings, f"rfm_threshold_{tier.lower()}")), sa.Float(53))
        branches.append((rows.c.rfm_score >= least, text(tier.value)))
    rows = layer(rows, {"rfm_tier": sa.case(*branches, else_=text(Tier.C.value))}, "rfm_tiers")
    facts, tier_ = named(rows), rows.c.rfm_tier
    reason = Because(
        "RFM",
        "Recency {} of 5, frequency {}, monetary value {}: {} of 100, so {}.",
        "近度{}/5、频度{}、金额{}：百分制{}分，为{}。",
        rows.c.rfm_recency,
        rows.c.rfm_frequency,
        rows.c.rfm_monetary,
        func.trim_scale(func.round(sa.cast(rows.c.rfm_score, sa.Numeric), 2)),
        tier_,
        when=tier_.is_not(None),
    )
    scored = sa.case((tier_.is_not(None), rows.c.rfm_score))
    return rows, TierVerdict(tier=tier_, reasons=[_never(facts), reason], score=scored)
