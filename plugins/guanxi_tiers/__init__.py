"""Tiers of customers (客户分级): strategic, partner, priority, general; decided by strategies."""

from guanxi_tiers.care import CareHooks
from guanxi_tiers.choices import (
    AssessedInput,
    Care,
    ObligationState,
    Requirement,
    SchemeState,
    Tier,
    TierCombination,
    TierInputName,
    TierInputSource,
    Triage,
)
from guanxi_tiers.coverage import WeeklyCoverage
from guanxi_tiers.curves import points
from guanxi_tiers.days import check_day, quarter_of
from guanxi_tiers.events import CoverageCounted, CustomersClassified, TierChanged
from guanxi_tiers.history import tier_on
from guanxi_tiers.models import (
    ArrearsWaiver,
    NeedTriage,
    Standing,
    TierAssessment,
    TierDecision,
    TierRun,
)
from guanxi_tiers.obligations import ObligationHooks, TierFulfilment, TierObligation
from guanxi_tiers.permissions import OVERRIDE, READ, RULES, WRITE
from guanxi_tiers.plugin import Tiers
from guanxi_tiers.schemes import TierScheme, TierShadow
from guanxi_tiers.score import Score, score
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.strategy import Because, TierFacts, TierHooks, TierStrategy, TierVerdict
from guanxi_tiers.values import (
    CareLine,
    CoverageLine,
    MovedCustomer,
    NonProjectLine,
    NonProjectShare,
    ObligationUpdate,
    TierClassification,
    TierComparison,
    TierCount,
    TierInput,
    TierMove,
    TierReason,
)
from guanxi_tiers.workdays import CalendarDay, Leave

__all__ = [
    "OVERRIDE",
    "READ",
    "RULES",
    "WRITE",
    "ArrearsWaiver",
    "AssessedInput",
    "Because",
    "CalendarDay",
    "Care",
    "CareHooks",
    "CareLine",
    "CoverageCounted",
    "CoverageLine",
    "CustomersClassified",
    "Leave",
    "MovedCustomer",
    "NeedTriage",
    "NonProjectLine",
    "NonProjectShare",
    "ObligationHooks",
    "ObligationState",
    "ObligationUpdate",
    "Requirement",
    "SchemeState",
    "Score",
    "Standing",
    "Tier",
    "TierAssessment",
    "TierChanged",
    "TierClassification",
    "TierCombination",
    "TierComparison",
    "TierCount",
    "TierDecision",
    "TierFacts",
    "TierFulfilment",
    "TierHooks",
    "TierInput",
    "TierInputName",
    "TierInputSource",
    "TierMove",
    "TierObligation",
    "TierReason",
    "TierRun",
    "TierScheme",
    "TierSettings",
    "TierShadow",
    "TierStrategy",
    "TierVerdict",
    "Tiers",
    "Triage",
    "WeeklyCoverage",
    "check_day",
    "points",
    "quarter_of",
    "score",
    "tier_on",
]
