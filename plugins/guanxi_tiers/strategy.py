"""The question by which tiers are decided, for other plugins to answer too."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from uuid import UUID

from guanxi_customers import CreditGrade, IndustryClass, Lifecycle
from guanxi_sdk import Money, hookspec
from guanxi_tiers.choices import Tier
from guanxi_tiers.values import TierInput, TierReason


def growth(purchase: Money, former: Money) -> Fraction | None:
    """Growth of a purchase against that of the year before; None where there was none."""
    return Fraction(purchase.minor, former.minor) - 1 if former.minor > 0 else None


@dataclass(frozen=True, slots=True)
class TierFacts:
    """All that is known about one customer on one day."""

    customer_id: UUID
    code: str
    as_of: dt.date
    industry_class: IndustryClass
    lifecycle: Lifecycle
    credit: CreditGrade | None
    country: str | None
    annual_purchase: Money  # of the twelve months up to that day
    former_annual_purchase: Money  # of the twelve months before these
    arrears_days: int | None
    arrears_waived: bool
    assessments: Mapping[str, float]  # 0 to 10 by the name of an AssessedInput

    @property
    def growth(self) -> Fraction | None:
        """Growth of the annual purchase; None where nothing was bought the year before."""
        return growth(self.annual_purchase, self.former_annual_purchase)


@dataclass(frozen=True, slots=True)
class TierVerdict:
    """A strategy's answer about one customer."""

    tier: Tier | None
    score: float | None  # 0 to 100
    confidence: float  # 0 to 1
    inputs: tuple[TierInput, ...]
    reasons: tuple[TierReason, ...]  # the weightiest first
    strategy: str
    version: str

    def __post_init__(self) -> None:
        """Refuse what cannot be kept, so that the fault stays with the strategy that made it."""
        if self.score is not None and not 0 <= self.score <= 100:
            raise ValueError(f"{self.strategy}: the score {self.score} is not within 0 and 100.")
        if not 0 <= self.confidence <= 1:
            raise ValueError(
                f"{self.strategy}: confidence {self.confidence} is not within 0 and 1."
            )

    def adjusted(
        self, strategy: str, version: str, tier: Tier | None, reason: TierReason
    ) -> "TierVerdict":
        """The verdict with another tier, and with the strategy that changed it and why."""
        return replace(
            self,
            tier=tier,
            reasons=(reason, *self.reasons),
            strategy=f"{self.strategy}+{strategy}",
            version=f"{self.version}+{version}",
        )


class TierHooks:
    """What the tiers plugin asks other plugins."""

    @hookspec("chain")
    def tier_verdict(self, facts: TierFacts, former: TierVerdict | None) -> TierVerdict | None:
        """Decide a customer's tier, or adjust the former verdict; None leaves that as it is.

        Runs for every customer of a classification, inside its transaction. F1 answers first, so
        ``former`` is its verdict or that of the plugins before. Use ``former.adjusted(…)``, or
        make a verdict of your own, naming your strategy and its version.
        """
        raise AssertionError("a specification is never called")
