"""F1, the default strategy: three inputs computed from data, three assessed (domain rule F1)."""

from fractions import Fraction
from functools import lru_cache

from guanxi_sdk import Money
from guanxi_tiers.choices import TierInputName, TierInputSource
from guanxi_tiers.curves import points
from guanxi_tiers.score import score
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.strategy import TierFacts, TierVerdict
from guanxi_tiers.strategy import growth as growth_of
from guanxi_tiers.values import TierInput

STRATEGY, VERSION = "F1", "1"


def f1_verdict(facts: TierFacts, settings: TierSettings) -> TierVerdict:
    """Turn facts into inputs and score them."""
    return _verdict(
        facts.annual_purchase, facts.former_annual_purchase, facts.arrears_days,
        facts.arrears_waived, tuple(facts.assessments.items()), settings,
    )  # fmt: skip


@lru_cache(maxsize=10_000)
def _verdict(
    purchase: Money,
    former: Money,
    arrears: int | None,
    waived: bool,
    assessments: tuple[tuple[str, float], ...],
    settings: TierSettings,
) -> TierVerdict:
    """What F1 looks at, and no more: of most customers it sees the same."""
    assessed, growth = dict(assessments), growth_of(purchase, former)
    name = TierInputName
    computed: dict[TierInputName, tuple[Fraction | None, str]] = {
        name.PURCHASE: (
            points(Fraction(purchase.amount), settings.purchase_points),
            f"annual purchase {purchase.currency} {purchase.amount}",
        ),
        name.GROWTH: (
            None if growth is None else points(growth, settings.growth_points),
            "no purchase the year before" if growth is None else f"growth {float(growth):.1%}",
        ),
        name.CREDIT: (
            None if arrears is None else points(arrears, settings.credit_points),
            "arrears unknown" if arrears is None else f"{arrears} days in arrears",
        ),
    }
    values: dict[str, float | Fraction | None] = {}
    inputs = []
    for key, weight in settings.weights.items():
        value: float | Fraction | None
        if key in computed:
            (value, detail), source = computed[key], TierInputSource.COMPUTED
        else:
            value, source = assessed.get(key), TierInputSource.ASSESSED
            detail = "not assessed" if value is None else "latest assessment"
        values[key] = value
        inputs.append(
            TierInput(
                name=key,
                value=None if value is None else float(value),
                weight=float(weight),
                source=source,
                detail=detail,
            )
        )
    result = score(values, settings, arrears_days=arrears, arrears_waived=waived)
    return TierVerdict(
        tier=result.tier,
        score=result.score,
        confidence=result.confidence,
        inputs=tuple(inputs),
        reasons=result.reasons,
        strategy=STRATEGY,
        version=VERSION,
    )
