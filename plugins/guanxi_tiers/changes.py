"""About whom something changed since the last classification: of whom it must decide again.

What changes as days go by counts as well: purchases that enter a year or leave it, assessments and
waivers that begin, overrides that end. A purchase that moved to another customer counts for its
former one at the next classification of everybody.
"""

import datetime as dt
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import select

from guanxi_customers import Customer, Purchase
from guanxi_sdk import EVERY_ROW, Context
from guanxi_tiers.days import year_before
from guanxi_tiers.models import ArrearsWaiver, NeedTriage, Standing, TierAssessment, TierRun
from guanxi_tiers.rules import Rules

_Ids = sa.Select[UUID]


async def last_of_everybody(ctx: Context) -> TierRun | None:
    """The last run that left everybody with the tier of its day."""
    wanted = select(TierRun).where(TierRun.everybody).order_by(TierRun.id.desc()).limit(1)
    return await ctx.db.scalar(wanted, execution_options=EVERY_ROW)


async def to_build_on(ctx: Context) -> TierRun | None:
    """That run, unless a later one went back to the facts of an earlier day for some."""
    last = await last_of_everybody(ctx)
    if last is None:
        return None
    back = select(TierRun.id).where(TierRun.id > last.id, TierRun.as_of < last.as_of).limit(1)
    found = await ctx.db.scalar(back, execution_options=EVERY_ROW)
    return last if found is None else None


def changed_since(last: TierRun, rules: Rules, as_of: dt.date, today: dt.date) -> Any:
    """The ids of customers about whom something changed since ``last``, up to ``as_of``."""
    since = last.created_at - dt.timedelta(minutes=rules.settings.recheck_minutes)

    def passed(day: Any) -> sa.ColumnElement[bool]:
        return sa.and_(day > last.as_of, day <= as_of)

    def left(day: Any, then: dt.date, now: dt.date) -> sa.ColumnElement[bool]:
        return sa.and_(day > then, day <= now)

    a_year_ago = (year_before(last.as_of), year_before(as_of))
    two_years_ago = tuple(year_before(day) for day in a_year_ago)
    found: list[_Ids] = [
        select(Customer.id).where(Customer.updated_at >= since),
        select(Purchase.customer_id).where(
            sa.or_(
                Purchase.updated_at >= since,
                passed(Purchase.ordered_on),
                left(Purchase.ordered_on, *a_year_ago),
                left(Purchase.ordered_on, *two_years_ago),
            )
        ),
        select(TierAssessment.customer_id).where(
            sa.or_(TierAssessment.updated_at >= since, passed(TierAssessment.assessed_on))
        ),
        select(NeedTriage.customer_id).where(
            sa.or_(NeedTriage.updated_at >= since, passed(NeedTriage.triaged_on))
        ),
        select(ArrearsWaiver.customer_id).where(
            sa.or_(
                ArrearsWaiver.updated_at >= since,
                passed(ArrearsWaiver.starts_on),
                passed(ArrearsWaiver.ends_on),
            )
        ),
        select(Standing.id).where(Standing.tier_override_until <= today),
        select(Customer.id).where(
            sa.not_(select(Standing.id).where(Standing.id == Customer.id).exists())
        ),
    ]
    found += [
        one.offered.changed(since)
        for one in rules.asked
        if one.offered is not None and one.offered.changed is not None
    ]
    return sa.union(*found)
