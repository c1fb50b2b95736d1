"""What callers ask for: classify many customers, set one tier by hand, take that back."""

import datetime as dt
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import select

from guanxi_customers import Customer
from guanxi_sdk import Context, Invalid
from guanxi_tiers.choices import Tier
from guanxi_tiers.deciding import by_hand, decide, decision_row, in_force, take_turns
from guanxi_tiers.events import CustomersClassified, TierChanged
from guanxi_tiers.models import Standing, TierDecision
from guanxi_tiers.strategy import TierVerdict
from guanxi_tiers.values import TierClassification, TierCount

#: The strategy named where a tier was set by hand before any strategy decided.
MANUAL, MANUAL_VERSION = "manual", "1"
_EARLIEST = dt.date(1900, 1, 1)


async def classify(
    ctx: Context, condition: sa.ColumnElement[bool], as_of: dt.date
) -> TierClassification:
    """Decide the tier of every customer who meets ``condition``, by the facts of a day."""
    if as_of < _EARLIEST:
        raise Invalid("as_of", f"is before {_EARLIEST}")
    await take_turns(ctx)
    among = select(sa.func.count()).where(condition, Customer.archived_at.is_(None))
    total = await ctx.db.scalar(among.select_from(Customer))
    async with ctx.job(f"Classify customers as of {as_of}", total=total) as job:
        changed, tiers = await decide(ctx, condition, as_of, job=job)
    ctx.emit(CustomersClassified(as_of=as_of, classified=tiers.total(), changed=changed))
    return TierClassification(
        as_of=as_of,
        classified=tiers.total(),
        changed=changed,
        by_tier=[TierCount(tier=tier, count=tiers[tier]) for tier in (*Tier, None) if tiers[tier]],
    )


async def override(ctx: Context, customer_id: UUID, tier: Tier, reason: str) -> Customer:
    """Set a customer's tier by hand; score and inputs stay those of the last classification."""
    reason = reason.strip()
    if not reason:
        raise Invalid("reason", "is blank: say why the tier is set by hand")
    if len(reason) > 2_000:
        raise Invalid("reason", "is longer than 2000 characters")
    await take_turns(ctx)
    customer = await ctx.get(Customer, customer_id, path="customer_id")
    if customer.archived_at is not None:
        raise Invalid("customer_id", "is archived: restore the customer first")
    standing = await _standing(ctx, customer_id)
    former = standing.tier if standing else None
    last = standing and standing.tier_decision_id
    decision = await ctx.get(TierDecision, last) if last else None
    reasons = [r for r in decision.reasons if r.code != "OVERRIDE"] if decision else []
    verdict = TierVerdict(
        tier=tier,
        score=decision.score if decision else None,
        confidence=decision.confidence if decision else 0.0,
        inputs=tuple(decision.inputs) if decision else (),
        reasons=(by_hand(tier, reason), *reasons),
        strategy=decision.strategy if decision else MANUAL,
        version=decision.strategy_version if decision else MANUAL_VERSION,
    )
    as_of = (standing and standing.tiered_as_of) or ctx.today()
    decided = decision_row(ctx, customer_id, as_of, verdict, reason)
    await ctx.save_many(TierDecision, [decided])
    await ctx.save_many(Standing, [in_force(decided)])
    if former != tier:
        ctx.emit(TierChanged(customer_id=customer_id, former=former, tier=tier, reason=reason))
    return customer


async def lift_override(ctx: Context, customer_id: UUID) -> Customer:
    """Let the strategies decide again, by the facts of the day that counted last."""
    await take_turns(ctx)
    customer = await ctx.get(Customer, customer_id, path="customer_id")
    standing = await _standing(ctx, customer_id)
    if standing is None or not standing.tier_overridden:
        raise Invalid("customer_id", "has no tier set by hand")
    if customer.archived_at is not None:
        raise Invalid("customer_id", "is archived: restore the customer first")
    former, as_of = standing.tier, standing.tiered_as_of or ctx.today()
    _, tiers = await decide(ctx, Customer.id == customer_id, as_of, lift=True)
    (tier,) = tiers
    if former != tier:
        reason = "The override was lifted."
        ctx.emit(TierChanged(customer_id=customer_id, former=former, tier=tier, reason=reason))
    return customer


async def _standing(ctx: Context, customer_id: UUID) -> Standing | None:
    return await ctx.db.scalar(select(Standing).where(Standing.id == customer_id))
