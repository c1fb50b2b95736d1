"""Structured values of the tiers plugin."""

import datetime as dt

from guanxi_sdk import Value
from guanxi_tiers.choices import Tier, TierInputName, TierInputSource


class TierReason(Value):
    """One reason for a tier, in English and in Chinese."""

    code: str
    """What kind of reason, for instance `SCORE`, `ARREARS`, `MISSING`, `OVERRIDE` or `NO_INPUT`."""

    message: str
    """The reason as an English sentence."""

    message_zh: str
    """The reason as a Chinese sentence."""


class TierInput(Value):
    """One input as it entered a decision (domain rule F1)."""

    name: TierInputName
    """Which input."""

    value: float | None
    """0 to 10; null when it is missing and was left out."""

    weight: float
    """Weight by the settings at that time, before missing inputs are left out."""

    source: TierInputSource
    """Computed from data, or assessed by somebody."""

    detail: str
    """What the value derives from, for instance `annual purchase CNY 1200000.00`."""


class TierCount(Value):
    """How many customers have a tier."""

    tier: Tier | None
    """The tier; null for customers about whom nothing is known."""

    count: int
    """Number of customers."""


class TierClassification(Value):
    """What a classification did."""

    as_of: dt.date
    """Day whose facts counted."""

    classified: int
    """How many customers were looked at."""

    changed: int
    """How many of them have another tier than before."""

    by_tier: list[TierCount]
    """How many customers have which tier now, among those looked at."""
