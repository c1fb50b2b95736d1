"""Other rules for tiers: tried on past days, in shadow, and put in force."""

import datetime as dt
from uuid import UUID

import sqlalchemy as sa

from guanxi_customers import Customer
from guanxi_sdk import Context, Where, mutation, query
from guanxi_tiers import classify, comparing, schemes
from guanxi_tiers.access import require_customers
from guanxi_tiers.days import check_day
from guanxi_tiers.permissions import RULES, WRITE
from guanxi_tiers.rules import rules_of
from guanxi_tiers.schemes import TierScheme
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.values import TierClassification, TierComparison


class Proposing:
    """Schemes: settings that are tried before they decide."""

    settings: TierSettings

    @query(needs=WRITE)
    async def backtest_tiers(
        self,
        ctx: Context,
        changes: list[str] | None = None,
        scheme_id: UUID | None = None,
        as_of: dt.date | None = None,
        where: Where[Customer] | None = None,
        first: int = 100,
    ) -> TierComparison:
        """What other rules would change today or on a past day; nothing is touched.

        `changes` are settings such as `threshold_s=85` or `strategies=["PARETO"]`, on top of those
        of a scheme if one is named. Both rules look at the facts of the same day.

        Args:
            changes: Settings by which tiers are decided, as `name=value` with values as in JSON,
                such as `threshold_s=85` or `strategies=["PARETO"]`; they come on top of the scheme
                of `schemeId` or, without it, of the plugin's own settings. Refused are other
                settings, and one that is named twice or by that scheme already.
            scheme_id: The scheme that is tried against the rules in force, whatever its state; when
                left out, `changes` alone are, or without these the plugin's own settings.
            as_of: The day whose purchases, assessments, triages and waivers count for both rules;
                today when left out.
            where: Which customers are compared and counted; all whom the caller may see when left
                out.
            first: How many of the customers who would move are listed at most, from 0 to 1,000; the
                counts are of all.
        """
        require_customers(ctx)
        day = as_of or ctx.today()
        check_day("as_of", day)
        given = list(changes or ())
        if scheme_id is not None:
            scheme = await ctx.get(TierScheme, scheme_id, path="scheme_id")
            given = [*scheme.changes, *given]
        present = await schemes.settings_in_force(ctx, self.settings)
        rules = await rules_of(ctx, present, day)
        others = await rules_of(ctx, schemes.changed(self.settings, given), day)
        condition = sa.true() if where is None else where.condition
        return await comparing.backtest(ctx, condition, day, rules, others, first)

    @query(needs=WRITE)
    async def tier_shadow_comparison(
        self, ctx: Context, where: Where[Customer] | None = None, first: int = 100
    ) -> TierComparison | None:
        """What the scheme in shadow would change in the tiers in force; null without one.

        Args:
            where: Which customers are compared and counted; all whom the caller may see when left
                out.
            first: How many of the customers who would move are listed at most, from 0 to 1,000; the
                counts are of all.
        """
        require_customers(ctx)
        scheme = await schemes.in_shadow(ctx)
        if scheme is None:
            return None
        condition = sa.true() if where is None else where.condition
        return await comparing.shadow_comparison(ctx, scheme, condition, first)

    @mutation(needs=RULES)
    async def shadow_tier_scheme(
        self, ctx: Context, scheme_id: UUID, until: dt.date
    ) -> TierClassification:
        """Let a scheme run beside the rules in force up to a day, without any effect.

        From now on each classification asks both; `tierShadowComparison` tells where they differ.

        Args:
            scheme_id: The scheme that is to run: a draft, or the one in shadow, which gets another
                last day; refused while another scheme is in shadow.
            until: The last day on which it runs in shadow, today at the earliest.
        """
        require_customers(ctx)
        await schemes.put_in_shadow(ctx, scheme_id, until)
        return await classify.classify_or_request(ctx, self.settings, None, ctx.today())

    @mutation(needs=RULES)
    async def promote_tier_scheme(self, ctx: Context, scheme_id: UUID) -> TierClassification:
        """Put a scheme in force and decide the tiers of all customers by it, in one step.

        It comes on top of the plugin's settings; the scheme in force before retires. Promoting a
        retired one takes it back.

        Args:
            scheme_id: The scheme that is to decide: a draft, one in shadow or a retired one;
                refused if it is in force already.
        """
        require_customers(ctx)
        await schemes.put_in_force(ctx, scheme_id)
        return await classify.classify_or_request(ctx, self.settings, None, ctx.today())

    @mutation(needs=RULES)
    async def retire_tier_scheme(self, ctx: Context, scheme_id: UUID) -> TierScheme:
        """Take a scheme out of use; if it was in force, the plugin's settings decide again.

        Args:
            scheme_id: The scheme that is to retire: a draft, or one in shadow or in force; refused
                if it is retired already.
        """
        require_customers(ctx)
        scheme, was_in_force = await schemes.retire(ctx, scheme_id)
        if was_in_force:
            await classify.classify_or_request(ctx, self.settings, None, ctx.today())
        return scheme
