"""The tiers plugin: strategies, classification, overrides, and the history of tiers."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from guanxi_customers import Customer, Employee, Person
from guanxi_sdk import (
    SQL,
    Ambient,
    Context,
    Erasure,
    Invalid,
    Model,
    Plugin,
    Where,
    hookimpl,
    mutation,
    on,
    query,
    schedule,
    sql_field,
)
from guanxi_tiers import classify, comparing, history, schemes
from guanxi_tiers.access import require_customers
from guanxi_tiers.care import CareHooks, care, non_project_share
from guanxi_tiers.choices import Tier
from guanxi_tiers.coverage import WeeklyCoverage, coverage, keep_coverage
from guanxi_tiers.days import check_day
from guanxi_tiers.events import (
    ClassificationRequested,
    CoverageCounted,
    CustomersClassified,
    ObligationsRequested,
    TierChanged,
)
from guanxi_tiers.models import (
    ArrearsWaiver,
    NeedTriage,
    Standing,
    TierAssessment,
    TierDecision,
    TierRun,
)
from guanxi_tiers.obligations import ObligationHooks, TierObligation
from guanxi_tiers.obliging import Obliging
from guanxi_tiers.permissions import OVERRIDE, READ, RULES, WRITE
from guanxi_tiers.rules import rules_of
from guanxi_tiers.schemes import TierScheme, TierShadow
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.strategy import TierHooks
from guanxi_tiers.values import (
    CareLine,
    CoverageLine,
    NonProjectShare,
    TierClassification,
    TierComparison,
)
from guanxi_tiers.workdays import CalendarDay, Leave


class Tiers(
    Obliging,
    Plugin[TierSettings],
    name="tiers",
    requires=["customers>=0.1,<1"],
    version="0.2.0",
    models=[
        TierAssessment,
        NeedTriage,
        ArrearsWaiver,
        TierRun,
        TierDecision,
        Standing,
        TierScheme,
        TierShadow,
        TierObligation,
        CalendarDay,
        Leave,
        WeeklyCoverage,
    ],
    events=[
        TierChanged,
        ClassificationRequested,
        CustomersClassified,
        ObligationsRequested,
        CoverageCounted,
    ],
    permissions=[READ, WRITE, OVERRIDE, RULES],
    hooks=[TierHooks, ObligationHooks, CareHooks],
):
    """Four tiers of customers (战略, 伙伴, 优先, 一般), decided by strategies, with reasons."""

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

    @query(needs=READ)
    async def coverage(
        self, ctx: Context, week: dt.date | None = None, where: Where[Employee] | None = None
    ) -> list[CoverageLine]:
        """Which managers visited enough general customers in a week (domain rule F2).

        It is the ISO week of a day, the present one unless a day is named. Days go by the clock of
        the manager's office; public holidays and leave make the quota smaller. General customers
        are those of tier C at the end of that week, or now where they had no tier yet.

        Args:
            week: Any day of the ISO week, Monday to Sunday, such as `2024-02-29` for `2024-W09`;
                the present week when left out.
            where: Which of the account and product managers, and of those who look after customers
                as such in that week, are listed; all whom the caller may see when left out.
        """
        condition = sa.true() if where is None else where.condition
        require_customers(ctx)
        return await coverage(ctx, self.settings, week or ctx.today(), condition)

    @query(needs=READ)
    async def non_project_share(
        self,
        ctx: Context,
        quarter: dt.date | None = None,
        where: Where[Customer] | None = None,
        first: int = 100,
    ) -> NonProjectShare:
        """How much of the contact with S and A customers is beside projects (domain rule F17).

        It is the quarter of a day, the present one unless a day is named.

        Args:
            quarter: Any day of the calendar quarter, such as `2024-02-29` for January to March
                2024; the present quarter when left out.
            where: Which of the S and A customers are looked at, for the share of them together as
                well; all whom the caller may see when left out.
            first: How many customers are listed at most, from 0 to 1,000, the lowest share first;
                the figures of all together count the others as well.
        """
        condition = sa.true() if where is None else where.condition
        require_customers(ctx)
        day = quarter or ctx.today()
        return await non_project_share(ctx, self.settings, day, condition, first)

    @query(needs=READ)
    async def care_bands(
        self,
        ctx: Context,
        as_of: dt.date | None = None,
        where: Where[Person] | None = None,
        outside: bool = True,
        first: int = 100,
    ) -> list[CareLine]:
        """Persons who are contacted too seldom or too often up to a day (domain rule F18).

        Those of the highest tiers come first; with `outside` false everybody is listed.

        Args:
            as_of: The last of the days whose contacts are counted, 30 unless the setting
                `care_days` says otherwise, and the one of whose tiers the bands are; today when
                left out.
            where: Which persons are looked at, of customers who have a tier; all whom the caller
                may see when left out.
            outside: Whether persons are listed only if they are contacted too seldom or too often;
                `false` lists the others as well.
            first: How many persons are listed at most, from 0 to 1,000.
        """
        condition = sa.true() if where is None else where.condition
        day = as_of or ctx.today()
        require_customers(ctx)
        return await care(ctx, self.settings, day, condition, first, outside=outside)

    @schedule("17 1 * * 1")
    async def count_coverage(self, ctx: Context) -> None:
        """Keep the coverage of the week that is over."""
        await keep_coverage(ctx, self.settings)

    @hookimpl(about=(TierScheme, ArrearsWaiver, Leave))
    def write_errors(
        self, model: type[Model], verb: str, values: Mapping[str, Any]
    ) -> list[Invalid]:
        """Check dates, and that the changes of a scheme would do."""
        if model is TierScheme:
            if verb not in ("create", "import"):
                return []
            try:
                schemes.changed(self.settings, values.get("changes") or ())
            except Invalid as error:
                return [error]
            return []
        start, end = values.get("starts_on"), values.get("ends_on")
        if start and end and end < start:
            return [Invalid("ends_on", "is before starts_on")]
        return []

    @hookimpl
    def erasures(self, subject: type[Model], id: UUID) -> Sequence[Erasure]:
        """Leave and coverage of employees; of users that they decided: the name is kept."""
        if subject is Employee:
            return [
                Erasure(Leave, Leave.employee_id == id),
                Erasure(WeeklyCoverage, WeeklyCoverage.employee_id == id),
            ]
        if subject.info.prefix != "user":
            return []
        user: Any = subject
        name = sa.select(user.name).where(user.id == id).scalar_subquery()
        return [
            Erasure(TierDecision, TierDecision.decided_by == name, "decided_by"),
            Erasure(TierRun, TierRun.started_by == name, "started_by"),
            Erasure(
                TierObligation, TierObligation.fulfilled_by == name, "fulfilled_by", "evidence"
            ),
        ]
