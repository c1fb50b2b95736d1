"""What strategies that compare customers know of all of them: where one class ends.

These bounds come from every customer of the enterprise, whoever asks and whichever customers are
decided about, so that a tier says the same of each.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import ARRAY

from guanxi_customers import Customer, Purchase
from guanxi_sdk import EVERY_ROW, Context
from guanxi_tiers.choices import Tier
from guanxi_tiers.curves import ratio
from guanxi_tiers.facts import in_year_to
from guanxi_tiers.settings import TierSettings

#: Day from which the days of a last purchase are counted.
EPOCH = dt.date(1900, 1, 1)
_FIFTHS = [0.2, 0.4, 0.6, 0.8]


def _buyers(ctx: Context, as_of: dt.date) -> sa.Subquery:
    """What each customer bought in the year up to a day: last day, orders, minor units."""
    return (
        select(
            (func.max(Purchase.ordered_on) - sa.literal(EPOCH, sa.Date)).label("recency"),
            func.count().label("frequency"),
            sa.cast(func.sum(Purchase.amount_minor), sa.BigInteger).label("monetary"),
        )
        .join(Customer, Customer.id == Purchase.customer_id)
        .where(
            Purchase.amount_currency == ctx.tenant.currency,
            in_year_to(as_of),
            Purchase.archived_at.is_(None),
            Customer.archived_at.is_(None),
        )
        .group_by(Purchase.customer_id)
        .subquery("buyers")
    )


async def pareto_bounds(
    ctx: Context, settings: TierSettings, as_of: dt.date
) -> dict[Tier, int | None]:
    """The least annual purchase, in minor units, of tiers S, A and B; None where nobody is in one.

    Customers are taken from the largest on, for as long as those before them make up less than the
    tier's share of all purchases. Equal purchases make equal tiers.
    """
    buyers = _buyers(ctx, as_of)
    monetary = buyers.c.monetary
    amounts = (
        select(monetary, func.sum(monetary).label("together"))
        .where(monetary > 0)
        .group_by(monetary)
        .subquery("amounts")
    )
    whole = func.sum(amounts.c.together).over()
    before = func.sum(amounts.c.together).over(order_by=amounts.c.monetary.desc())
    ranked = select(
        amounts.c.monetary,
        (before - amounts.c.together).label("before"),
        whole.label("whole"),
    ).subquery("ranked")
    least = []
    for tier in (Tier.S, Tier.A, Tier.B):
        top, bottom = ratio(getattr(settings, f"pareto_share_{tier.lower()}"))
        inside = ranked.c.before * bottom < ranked.c.whole * top
        least.append(func.min(ranked.c.monetary).filter(inside))
    row = (await ctx.db.execute(select(*least), execution_options=EVERY_ROW)).one()
    return dict(zip((Tier.S, Tier.A, Tier.B), row, strict=True))


@dataclass(frozen=True, slots=True)
class Fifths:
    """The ends of the lowest four fifths of buyers, by recency, frequency and monetary value."""

    recency: Sequence[int]
    frequency: Sequence[int]
    monetary: Sequence[int]


async def rfm_bounds(ctx: Context, as_of: dt.date) -> Fifths:
    """Where the fifths of those end who bought in the year up to a day; empty without buyers."""
    buyers = _buyers(ctx, as_of)
    fifths = sa.literal(_FIFTHS, ARRAY(sa.Float(53)))
    ends: list[sa.ColumnElement[Any]] = [
        func.percentile_disc(fifths).within_group(sa.cast(buyers.c[name], sa.BigInteger))
        for name in ("recency", "frequency", "monetary")
    ]
    row = (await ctx.db.execute(select(*ends), execution_options=EVERY_ROW)).one()
    return Fifths(*(tuple(one or ()) for one in row))
