"""Which tier a customer is in: its field, verbs and handlers (domain rule "Tier strategies")."""

import datetime as dt
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from guanxi_customers import Customer
from guanxi_sdk import SQL, Ambient, Context, Where, mutation, on, schedule, sql_field
from guanxi_tiers import classify, history
from guanxi_tiers.access import require_customers
from guanxi_tiers.choices import Tier
from guanxi_tiers.events import ClassificationRequested
from guanxi_tiers.permissions import OVERRIDE, READ, WRITE
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.values import TierClassification


class Classifying:
    """Tiers decided by strategies, and tiers set by hand."""

    settings: TierSettings

    @staticmethod
    @sql_field(Customer, needs=READ)
    def tier_on(customer: Any, ambient: Ambient, day: dt.date | None = None) -> SQL[Tier | None]:
        """The tier that was in force on a day, today unless another is named; null before any.

        A classification as of a past day holds from that day on, so tiers can be filled in
        backwards; a tier set by hand holds until its end. Filtering or sorting by it looks it up
        for every customer.

        Args:
            day: The day whose tier is wanted; today when left out. For a day to come, a tier set by
                hand counts only if it has not ended by then.
        """
        then = ambient.today if day is None else sa.func.coalesce(day, ambient.today)
        return history.tier_on(customer.id, then)

    @mutation(needs=WRITE)
    async def classify_customers(
        self,
        ctx: Context,
        where: Where[Customer] | None = None,
        as_of: dt.date | None = None,
    ) -> TierClassification:
        """Decide the tiers of customers by the facts of a day, today unless another is named.

        Tiers set by hand stay. Purchases count in the enterprise's own currency. All customers of a
        large enterprise are decided beside the request: `jobs` tells how far it is.

        Args:
            where: Which customers are decided, within the request however many they are; when left
                out, all whom the caller may see, beside the request where these are too many
                (`inBackground`).
            as_of: The day whose purchases, assessments, triages and waivers count and, if it is
                past, from which the tiers hold; today when left out.
        """
        require_customers(ctx)
        condition = None if where is None else where.condition
        day = as_of or ctx.today()
        return await classify.classify_or_request(ctx, self.settings, condition, day)

    @mutation(needs=WRITE)
    async def classify_changed_customers(self, ctx: Context) -> TierClassification:
        """Decide again about the customers of whom something changed since the last time.

        The same happens every hour by itself, unless the setting `keep_up_to_date` is off.
        """
        require_customers(ctx)
        return await classify.classify_changed(ctx, self.settings, in_request=True)

    @on(ClassificationRequested, deadline=1800)
    async def classify_everybody(self, ctx: Context, event: ClassificationRequested) -> None:
        """Classify all customers beside the request that asked for it."""
        await classify.classify(ctx, self.settings, None, event.as_of)

    @schedule("7 * * * *", deadline=1800)
    async def keep_tiers(self, ctx: Context) -> None:
        """Let tiers follow what changed, and overrides end, once everybody has a tier of the day.

        Whoever classified last by the facts of a past day wants to see these, so they stay.
        """
        if self.settings.keep_up_to_date and await classify.follows(ctx):
            await classify.classify_changed(ctx, self.settings, in_request=False)

    @mutation(needs=OVERRIDE)
    async def override_tier(
        self,
        ctx: Context,
        customer_id: UUID,
        tier: Tier,
        reason: str,
        until: dt.date | None = None,
    ) -> Customer:
        """Set a customer's tier by hand, whatever the strategies say.

        It ends on a day, a year from now unless another is named, or when it is lifted.

        Args:
            customer_id: The customer whose tier is set; refused if archived.
            tier: The tier that is in force from today on, until the override ends.
            reason: Why it is set by hand, as `tierReasons` will say; not blank, up to 2,000
                characters.
            until: The day, after today, from which the strategies decide again; when left out, as
                many days from now as the setting `override_days` says, 365 unless changed.
        """
        end = until or ctx.today() + dt.timedelta(days=self.settings.override_days)
        return await classify.override(ctx, customer_id, tier, reason, end)

    @mutation(needs=OVERRIDE)
    async def lift_tier_override(self, ctx: Context, customer_id: UUID) -> Customer:
        """Let the strategies decide a customer's tier again.

        Args:
            customer_id: The customer whose tier was set by hand; refused where it was not, or if
                the customer is archived.
        """
        return await classify.lift_override(ctx, self.settings, customer_id)
