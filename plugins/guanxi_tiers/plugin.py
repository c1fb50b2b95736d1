"""The tiers plugin: classification, overrides, and F1 as the default strategy."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from guanxi_customers import Customer
from guanxi_sdk import (
    Context,
    Erasure,
    Invalid,
    Model,
    Permission,
    Plugin,
    Where,
    hookimpl,
    mutation,
)
from guanxi_tiers import classify
from guanxi_tiers.choices import Tier
from guanxi_tiers.events import CustomersClassified, TierChanged
from guanxi_tiers.f1 import f1_verdict
from guanxi_tiers.models import ArrearsWaiver, Standing, TierAssessment, TierDecision
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.strategy import TierFacts, TierHooks, TierVerdict
from guanxi_tiers.values import TierClassification

WRITE = Permission("tiers.write", "Assess customers and classify them.")
OVERRIDE = Permission("tiers.override", "Set a tier by hand, and waive the cap for arrears.")


class Tiers(
    Plugin[TierSettings],
    name="tiers",
    requires=["customers>=0.1,<1"],
    models=[TierAssessment, ArrearsWaiver, TierDecision, Standing],
    events=[TierChanged, CustomersClassified],
    permissions=[WRITE, OVERRIDE],
    hooks=[TierHooks],
):
    """Four tiers of customers (战略, 伙伴, 优先, 一般), decided by strategies, with reasons."""

    @mutation(needs=WRITE)
    async def classify_customers(
        self,
        ctx: Context,
        where: Where[Customer] | None = None,
        as_of: dt.date | None = None,
    ) -> TierClassification:
        """Decide the tiers of customers by the facts of a day, today unless another is named.

        Tiers set by hand stay. Purchases count in the enterprise's own currency.
        """
        condition = sa.true() if where is None else where.condition
        return await classify.classify(ctx, condition, as_of or ctx.today())

    @mutation(needs=OVERRIDE)
    async def override_tier(
        self, ctx: Context, customer_id: UUID, tier: Tier, reason: str
    ) -> Customer:
        """Set a customer's tier by hand, whatever the strategies say, until that is lifted."""
        return await classify.override(ctx, customer_id, tier, reason)

    @mutation(needs=OVERRIDE)
    async def lift_tier_override(self, ctx: Context, customer_id: UUID) -> Customer:
        """Let the strategies decide a customer's tier again."""
        return await classify.lift_override(ctx, customer_id)

    @hookimpl
    def tier_verdict(self, facts: TierFacts) -> TierVerdict:
        """Answer with F1."""
        return f1_verdict(facts, self.settings)

    @hookimpl
    def write_errors(
        self, model: type[Model], verb: str, values: Mapping[str, Any]
    ) -> list[Invalid]:
        """Check the dates of waivers."""
        start, end = values.get("starts_on"), values.get("ends_on")
        if model is ArrearsWaiver and start is not None and end is not None and end < start:
            return [Invalid("ends_on", "is before starts_on")]
        return []

    @hookimpl
    def erasures(self, subject: type[Model], id: UUID) -> Sequence[Erasure]:
        """Who decided, of users: decisions keep the name."""
        if subject.info.prefix != "user":
            return []
        user: Any = subject
        name = sa.select(user.name).where(user.id == id).scalar_subquery()
        return [Erasure(TierDecision, TierDecision.decided_by == name, "decided_by")]
