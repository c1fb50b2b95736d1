"""Tiers of customers (客户分级): strategic, partner, priority, general; decided by strategies."""

from guanxi_tiers.choices import AssessedInput, Tier, TierInputName, TierInputSource
from guanxi_tiers.curves import points
from guanxi_tiers.events import CustomersClassified, TierChanged
from guanxi_tiers.models import ArrearsWaiver, Standing, TierAssessment, TierDecision
from guanxi_tiers.plugin import OVERRIDE, WRITE, Tiers
from guanxi_tiers.score import Score, score
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.strategy import TierFacts, TierHooks, TierVerdict
from guanxi_tiers.values import TierClassification, TierCount, TierInput, TierReason

__all__ = [
    "OVERRIDE",
    "WRITE",
    "ArrearsWaiver",
    "AssessedInput",
    "CustomersClassified",
    "Score",
    "Standing",
    "Tier",
    "TierAssessment",
    "TierChanged",
    "TierClassification",
    "TierCount",
    "TierDecision",
    "TierFacts",
    "TierHooks",
    "TierInput",
    "TierInputName",
    "TierInputSource",
    "TierReason",
    "TierSettings",
    "TierVerdict",
    "Tiers",
    "points",
    "score",
]
