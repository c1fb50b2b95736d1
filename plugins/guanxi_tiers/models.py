"""What tiers are decided by, and what was decided: judgements, runs, decisions, tiers in force."""

import datetime as dt
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy.orm import Mapped

from guanxi_customers import Customer
from guanxi_sdk import Extension, Model, column, reference
from guanxi_tiers.choices import AssessedInput, Tier, Triage
from guanxi_tiers.values import TierInput, TierReason

Sentence = Annotated[str, Meta(max_length=2_000)]


class TierAssessment(Model, within="customer"):
    """Somebody's judgement of an input that no data tells; the latest counts (domain rule F1)."""

    __table_args__ = (sa.CheckConstraint("value BETWEEN 0 AND 10", name="value_of_ten"),)

    customer_id: Mapped[UUID] = reference(Customer, reverse="tier_assessments")
    """The customer who is assessed."""

    input: Mapped[AssessedInput] = column(indexed=True)
    """Strategic fit, profit or influence."""

    value: Mapped[Annotated[float, Meta(ge=0, le=10)]]
    """0 (none) to 10 (best)."""

    assessed_on: Mapped[dt.date] = column(indexed=True)
    """Day of the assessment; it counts from that day on."""

    evidence: Mapped[Sentence | None]
    """What the judgement rests on."""


class ArrearsWaiver(Model, within="customer", write="tiers.override"):
    """A decision that arrears do not cap a customer's tier for some time (domain rule F1)."""

    __table_args__ = (sa.CheckConstraint("ends_on >= starts_on", name="ends_after_start"),)

    customer_id: Mapped[UUID] = reference(Customer, reverse="arrears_waivers")
    """The customer whose arrears are waived."""

    reason: Mapped[Sentence]
    """Why they are waived."""

    starts_on: Mapped[dt.date] = column(indexed=True)
    """First day of the waiver."""

    ends_on: Mapped[dt.date | None] = column(indexed=True)
    """Day from which it no longer holds; null while no end is known."""


class NeedTriage(Model, within="customer"):
    """How clear somebody found a customer's need to be; the latest counts (domain rule 004-07)."""

    customer_id: Mapped[UUID] = reference(Customer, reverse="need_triages")
    """The customer whose need it is."""

    triage: Mapped[Triage] = column(indexed=True)
    """Clear: contact; unclear but hopeful: communicate more; basically none: leave."""

    triaged_on: Mapped[dt.date] = column(indexed=True)
    """Day of the triage; it counts from that day on."""

    evidence: Mapped[Sentence | None]
    """What the judgement rests on."""


class TierRun(Model, closed=("create", "update", "archive", "restore")):
    """One classification: when, by which strategies, and what came of it (分级运行)."""

    as_of: Mapped[dt.date] = column(indexed=True)
    """Day whose facts counted."""

    made_on: Mapped[dt.date]
    """Day on which it was made."""

    strategies: Mapped[list[str]]
    """The strategies that were asked, in their order, each with its version: `F1 1`."""

    everybody: Mapped[bool] = column(indexed=True)
    """Whether it leaves every customer with the tier of that day, so that the next may build on it.

    A run that looks at what changed since such a run is one as well.
    """

    classified: Mapped[int]
    """How many customers were looked at."""

    changed: Mapped[int]
    """How many of them got another tier."""

    basis: Mapped[str] = column(private=True)
    """Digest of the rules: with others, what did not change must be looked at as well."""

    started_by: Mapped[str]
    """Name of the user who classified; `tiers.keep_tiers` where it was the hour."""


class TierDecision(Model, within="customer", closed=("create", "update", "archive", "restore")):
    """One decision about a customer's tier, kept for ever (分级决策)."""

    customer_id: Mapped[UUID] = reference(Customer, reverse="tier_decisions")
    """The customer about whom it was decided."""

    as_of: Mapped[dt.date] = column(indexed=True)
    """Day whose facts counted."""

    tier: Mapped[Tier | None] = column(indexed=True)
    """The tier; null when nothing was known."""

    score: Mapped[float | None]
    """Score of 100 by the strategy; null when nothing was known."""

    confidence: Mapped[float]
    """Share of the weight whose input was present, 0 to 1."""

    inputs: Mapped[list[TierInput]]
    """The inputs, the missing ones included."""

    reasons: Mapped[list[TierReason]]
    """Why this tier, the weightiest reason first."""

    strategy: Mapped[str]
    """The strategies that decided, in their order, joined by `+`."""

    strategy_version: Mapped[str]
    """The versions of these strategies, in the same order."""

    holds_from: Mapped[dt.date]
    """Day from which the tier is in force, until a later decision: see `Customer.tierOn`."""

    former_tier: Mapped[Tier | None]
    """The tier before this decision."""

    strategy_tier: Mapped[Tier | None]
    """What the strategies say: another tier than `tier` where that was set by hand."""

    run_id: Mapped[UUID | None] = reference(TierRun, reverse="decisions")
    """The classification that decided; null where the tier was set by hand."""

    overridden: Mapped[bool] = column(default=False)
    """Whether the tier was set by hand."""

    override_until: Mapped[dt.date | None]
    """Day from which the tier set by hand is in force no more."""

    override_reason: Mapped[Sentence | None]
    """Why the tier was set by hand."""

    decided_by: Mapped[str]
    """Name of the user who classified or overrode."""


class Standing(Extension, of=Customer):
    """The tier in force."""

    tier: Mapped[Tier | None] = column(indexed=True)
    """Strategic, partner, priority or general customer (战略, 伙伴, 优先, 一般客户)."""

    tier_score: Mapped[float | None] = column(indexed=True)
    """Score of 100 by the strategy, also where the tier was set by hand (domain rule F1)."""

    tier_confidence: Mapped[float | None]
    """Share of the weight whose input was present, 0 to 1."""

    tier_reasons: Mapped[list[TierReason] | None]
    """Why this tier, the weightiest reason first."""

    tier_strategy: Mapped[str | None]
    """The strategies that decided, in their order, joined by `+`."""

    tier_version: Mapped[str | None]
    """The versions of these strategies, in the same order."""

    tiered_as_of: Mapped[dt.date | None]
    """Day whose facts counted."""

    tier_overridden: Mapped[bool | None] = column(indexed=True)
    """Whether the tier was set by hand; classifications keep it until it ends or is lifted."""

    tier_override_reason: Mapped[Sentence | None]
    """Why the tier was set by hand."""

    tier_override_until: Mapped[dt.date | None] = column(indexed=True)
    """Day from which the tier set by hand is in force no more; the strategies decide then."""

    tier_decision_id: Mapped[UUID | None] = reference(TierDecision)
    """The decision in force."""
