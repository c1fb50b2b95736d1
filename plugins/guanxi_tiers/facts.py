"""The facts behind many customers' tiers, as rows of one statement.

Everything is looked up customer by customer inside PostgreSQL: right after an import, before it has
counted the rows, it would choose joins that take minutes.
"""

import datetime as dt
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import InstrumentedAttribute

from guanxi_customers import Customer, Purchase
from guanxi_sdk import Context
from guanxi_tiers.choices import AssessedInput
from guanxi_tiers.days import year_before
from guanxi_tiers.models import ArrearsWaiver, NeedTriage, TierAssessment
from guanxi_tiers.rows import Rows
from guanxi_tiers.strategy import TierFacts

#: Customers of one statement.
PAGE = 20_000


def in_year_to(day: dt.date) -> sa.ColumnElement[bool]:
    """Whether a purchase lies in the twelve months up to a day."""
    return sa.and_(Purchase.ordered_on > year_before(day), Purchase.ordered_on <= day)


def _bought(chosen: Any, currency: str, as_of: dt.date) -> sa.FromClause:
    """What was bought in the year up to the day and in the year before that, and when last."""
    counts = Purchase.amount_currency == currency
    minor = func.coalesce(func.sum(Purchase.amount_minor).filter(counts, in_year_to(as_of)), 0)
    before = in_year_to(year_before(as_of))
    former = func.coalesce(func.sum(Purchase.amount_minor).filter(counts, before), 0)
    return (
        select(
            sa.cast(minor, sa.BigInteger).label("annual_purchase"),
            sa.cast(former, sa.BigInteger).label("former_annual_purchase"),
            func.count().filter(counts, in_year_to(as_of)).label("annual_orders"),
            func.max(Purchase.ordered_on)
            .filter(counts, Purchase.ordered_on <= as_of)
            .label("last_purchase_on"),
        )
        .where(Purchase.customer_id == chosen.c.customer_id, Purchase.archived_at.is_(None))
        .lateral("bought")
    )


def _assessed(chosen: Any, as_of: dt.date) -> sa.FromClause:
    """The latest value of each assessed input."""
    latest = (
        select(TierAssessment.input, TierAssessment.value)
        .ext(distinct_on(TierAssessment.input))
        .where(
            TierAssessment.customer_id == chosen.c.customer_id,
            TierAssessment.assessed_on <= as_of,
            TierAssessment.archived_at.is_(None),
        )
        .order_by(TierAssessment.input, TierAssessment.assessed_on.desc(), TierAssessment.id.desc())
        .correlate(chosen)
        .subquery("latest")
    )
    values = [
        func.max(latest.c.value).filter(latest.c.input == name).label(name.value.lower())
        for name in AssessedInput
    ]
    return select(*values).lateral("assessed")


def _triage(chosen: Any, as_of: dt.date) -> sa.ScalarSelect[Any]:
    return (
        select(sa.cast(NeedTriage.triage, sa.Text))
        .where(
            NeedTriage.customer_id == chosen.c.customer_id,
            NeedTriage.triaged_on <= as_of,
            NeedTriage.archived_at.is_(None),
        )
        .order_by(NeedTriage.triaged_on.desc(), NeedTriage.id.desc())
        .limit(1)
        .scalar_subquery()
    )


def _waived(chosen: Any, as_of: dt.date) -> sa.ColumnElement[bool]:
    return (
        select(ArrearsWaiver.id)
        .where(
            ArrearsWaiver.customer_id == chosen.c.customer_id,
            ArrearsWaiver.starts_on <= as_of,
            sa.or_(ArrearsWaiver.ends_on.is_(None), ArrearsWaiver.ends_on > as_of),
            ArrearsWaiver.archived_at.is_(None),
        )
        .exists()
    )


def facts_of(ctx: Context, condition: sa.ColumnElement[bool], as_of: dt.date) -> Rows:
    """One row of facts for each customer who meets ``condition``."""
    plain: tuple[InstrumentedAttribute[Any], ...] = (
        Customer.code,
        Customer.country,
        Customer.arrears_days,
    )
    closed: tuple[InstrumentedAttribute[Any], ...] = (
        Customer.industry_class,
        Customer.lifecycle,
        Customer.credit,
    )
    chosen = (
        select(
            Customer.id.label("customer_id"),
            *plain,
            *(sa.cast(one, sa.Text).label(one.key) for one in closed),
        )
        .where(condition, Customer.archived_at.is_(None))
        .subquery("chosen")
    )
    bought = _bought(chosen, ctx.tenant.currency, as_of)
    assessed = _assessed(chosen, as_of)
    return (
        select(
            chosen,
            sa.literal(as_of, sa.Date).label("as_of"),
            *bought.c,
            *assessed.c,
            _triage(chosen, as_of).label("triage"),
            _waived(chosen, as_of).label("arrears_waived"),
        )
        .select_from(chosen)
        .join(bought, sa.true())
        .join(assessed, sa.true())
        .offset(0)
        .subquery("facts")
    )


def named(rows: Rows) -> TierFacts:
    """The facts among the columns of ``rows``."""
    return TierFacts(**{field.name: rows.c[field.name] for field in fields(TierFacts)})


@dataclass(frozen=True, slots=True)
class Page:
    """The customers of one statement: those whose ids lie after one, up to another and on it."""

    size: int
    after: UUID | None = None
    upto: UUID | None = None

    def holds(self, id: Any) -> sa.ColumnElement[bool]:
        """Whether a customer's id lies on it."""
        ends = [id > self.after] if self.after is not None else []
        return sa.and_(sa.true(), *ends, *([id <= self.upto] if self.upto is not None else []))


async def pages(ctx: Context, condition: sa.ColumnElement[bool]) -> list[Page]:
    """The customers who meet ``condition``, page by page; no page where there are none."""
    number = func.row_number().over(order_by=Customer.id).label("number")
    ordered = (
        select(Customer.id, number).where(condition, Customer.archived_at.is_(None)).subquery()
    )
    total = await ctx.db.scalar(select(func.count()).select_from(ordered)) or 0
    full, rest = divmod(total, PAGE)
    ends: list[UUID | None] = []
    if full:
        last_ones = select(ordered.c.id).where(ordered.c.number % PAGE == 0)
        ends += await ctx.db.scalars(last_ones.order_by(ordered.c.number))
    sizes = [PAGE] * full + ([rest] if rest else [])
    ends = [*ends[: len(sizes) - 1], None]  # the last page has no end
    return [
        Page(size, after, upto)
        for size, after, upto in zip(sizes, [None, *ends], ends, strict=False)
    ]
