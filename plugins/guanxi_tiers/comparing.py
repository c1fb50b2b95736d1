"""Comparing rules: what would change, for whom and why, without changing anything."""

import datetime as dt
from dataclasses import fields
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import JSONB

from guanxi_customers import Customer
from guanxi_sdk import Context, Invalid, global_id
from guanxi_tiers.choices import Tier
from guanxi_tiers.combining import combined
from guanxi_tiers.facts import facts_of
from guanxi_tiers.models import Standing
from guanxi_tiers.rows import Rows, id_of, in_order, json_object
from guanxi_tiers.rules import Rules
from guanxi_tiers.schemes import TierScheme, TierShadow
from guanxi_tiers.strategy import TierFacts
from guanxi_tiers.values import MovedCustomer, TierComparison, TierMove

#: Most customers that one answer lists.
MOST = 1_000
_PLACES = {tier.value: place for place, tier in enumerate(Tier)}


async def backtest(
    ctx: Context, condition: Any, as_of: dt.date, rules: Rules, others: Rules, first: int
) -> TierComparison:
    """What ``others`` would say of the facts of a day, against what ``rules`` say of the same."""
    known = [field.name for field in fields(TierFacts)]
    rows = combined(facts_of(ctx, condition, as_of), rules)
    former = select(
        *(rows.c[name] for name in known),
        rows.c.verdict_tier.label("former"),
        rows.c.verdict_reasons.label("former_reasons"),
    )
    rows = combined(former.offset(0).subquery("by_rules"), others)
    compared = _compared(
        rows, rows.c.former, rows.c.former_reasons, rows.c.verdict_tier, rows.c.verdict_reasons
    )
    return await _comparison(ctx, compared, as_of, first)


async def shadow_comparison(
    ctx: Context, scheme: TierScheme, condition: Any, first: int
) -> TierComparison:
    """What a scheme in shadow says, against the tiers in force."""
    rows = (
        select(
            TierShadow.customer_id,
            sa.cast(Standing.tier, sa.Text).label("former"),
            sa.type_coerce(Standing.tier_reasons, JSONB).label("former_reasons"),
            sa.cast(TierShadow.tier, sa.Text).label("tier"),
            sa.type_coerce(TierShadow.reasons, JSONB).label("reasons"),
        )
        .join(Customer, Customer.id == TierShadow.customer_id)
        .outerjoin(Standing, Standing.id == TierShadow.customer_id)
        .where(TierShadow.scheme_id == scheme.id, Customer.archived_at.is_(None), condition)
        .subquery("in_shadow")
    )
    columns = (rows.c[name] for name in ("former", "former_reasons", "tier", "reasons"))
    return await _comparison(ctx, _compared(rows, *columns), ctx.today(), first)


def _compared(rows: Rows, former: Any, former_reasons: Any, tier: Any, reasons: Any) -> sa.CTE:
    """One row per customer: both tiers, whether they differ, and whether one is set by hand."""
    differs = former.is_distinct_from(tier)
    return (
        select(
            rows.c.customer_id,
            Customer.code,
            Customer.name,
            former.label("former"),
            former_reasons.label("former_reasons"),
            tier.label("tier"),
            reasons.label("reasons"),
            sa.and_(differs, func.coalesce(Standing.tier_overridden, sa.false())).label("by_hand"),
            sa.and_(differs, sa.not_(func.coalesce(Standing.tier_overridden, sa.false()))).label(
                "moved"
            ),
        )
        .join(Customer, Customer.id == rows.c.customer_id)
        .outerjoin(Standing, Standing.id == rows.c.customer_id)
        .cte("compared")
    )


async def _comparison(ctx: Context, compared: sa.CTE, as_of: dt.date, first: int) -> TierComparison:
    if not 0 <= first <= MOST:
        raise Invalid("first", f"is not within 0 and {MOST}")
    moved = compared.c.moved
    moves = (
        select(compared.c.former, compared.c.tier, func.count().label("count"))
        .where(moved)
        .group_by(compared.c.former, compared.c.tier)
        .subquery("moves")
    )
    pair = json_object(former=moves.c.former, tier=moves.c.tier, count=moves.c["count"])
    distance = func.abs(_place(compared.c.former) - _place(compared.c.tier))
    names = ("customer_id", "code", "name", "former", "tier", "former_reasons", "reasons")
    listed = (
        select(*(compared.c[name] for name in names), distance.label("distance"))
        .where(moved)
        .order_by(distance.desc(), compared.c.code)
        .limit(first)
        .subquery("listed")
    )
    one = json_object(**{name: listed.c[name] for name in names})
    found = await ctx.db.execute(
        select(
            select(func.count()).select_from(compared).scalar_subquery(),
            select(func.count()).where(moved).select_from(compared).scalar_subquery(),
            select(func.count()).where(compared.c.by_hand).select_from(compared).scalar_subquery(),
            select(func.jsonb_agg(pair, type_=JSONB)).select_from(moves).scalar_subquery(),
            select(func.jsonb_agg(one, type_=JSONB)).select_from(listed).scalar_subquery(),
        )
    )
    total, movers, by_hand, pairs, customers = found.one()
    return TierComparison(
        as_of=as_of,
        compared=total,
        moved=movers,
        by_hand=by_hand,
        moves=sorted(
            msgspec.convert(pairs or [], list[TierMove]),
            key=lambda move: (-move.count, _PLACES.get(move.former or "", 9), move.tier or ""),
        ),
        customers=sorted(
            (_moved(one) for one in customers or ()),
            key=lambda one: (-_distance(one), one.code),
        ),
    )


def _place(tier: Any) -> sa.ColumnElement[int]:
    """0 for S to 4 for no tier at all."""
    return sa.case(*((tier == name, place) for name, place in _PLACES.items()), else_=len(_PLACES))


def _distance(one: MovedCustomer) -> int:
    places = [_PLACES.get(tier or "", len(_PLACES)) for tier in (one.former, one.tier)]
    return abs(places[0] - places[1])


def _moved(row: dict[str, Any]) -> MovedCustomer:
    row = row | {
        "customer_id": global_id(Customer, row["customer_id"]),
        "former_reasons": row["former_reasons"] or [],
        "reasons": row["reasons"] or [],
    }
    return msgspec.convert(row, MovedCustomer)


async def keep_shadow(
    ctx: Context, scheme: TierScheme, condition: Any, as_of: dt.date, rules: Rules
) -> int:
    """Note what a scheme in shadow says of customers; how many it says something new about."""
    rows = combined(facts_of(ctx, condition, as_of), rules)
    said = sa.and_(
        sa.cast(TierShadow.tier, sa.Text).is_not_distinct_from(rows.c.verdict_tier),
        sa.type_coerce(TierShadow.reasons, JSONB) == rows.c.verdict_reasons,
    )
    last = (  # no EXISTS, which PostgreSQL would make a join
        select(said)
        .where(
            TierShadow.id == id_of(sa.literal(scheme.id, sa.Uuid), rows.c.customer_id),
            TierShadow.customer_id == rows.c.customer_id,  # names the index that has both
        )
        .scalar_subquery()
    )
    new = in_order(
        select(
            id_of(sa.literal(scheme.id, sa.Uuid), rows.c.customer_id).label("id"),
            sa.literal(scheme.id, sa.Uuid).label("scheme_id"),
            rows.c.customer_id,
            rows.c.verdict_tier.label("tier"),
            rows.c.verdict_reasons.label("reasons"),
            sa.literal(as_of, sa.Date).label("as_of"),
        ).where(sa.not_(func.coalesce(last, sa.false()))),
        rows.c.customer_id,
    )
    return await ctx.save_from(TierShadow, new)
