"""What callers ask for: classify many customers, set one tier by hand, take that back."""

import datetime as dt
import logging
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from guanxi_customers import Customer
from guanxi_sdk import Context, Invalid, Refusal
from guanxi_tiers.access import how_many, sees_everybody, too_many
from guanxi_tiers.changes import changed_since, last_of_everybody, to_build_on
from guanxi_tiers.choices import Tier
from guanxi_tiers.comparing import keep_shadow
from guanxi_tiers.days import check_day
from guanxi_tiers.deciding import decide, in_force, set_by_hand, take_turns
from guanxi_tiers.events import ClassificationRequested, CustomersClassified, TierChanged
from guanxi_tiers.models import Standing, TierDecision, TierRun
from guanxi_tiers.rules import Rules, rules_of
from guanxi_tiers.schemes import TierScheme, changed, in_shadow, settings_in_force
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.values import TierClassification, TierCount, TierReason

log = logging.getLogger(__name__)
#: The strategy named where a tier was set by hand before any strategy decided.
MANUAL, MANUAL_VERSION = "manual", "1"


@dataclass(frozen=True, slots=True)
class _Ready:
    """The rules in force on a day, and those of the scheme that runs beside them in shadow."""

    rules: Rules
    scheme: TierScheme | None = None
    others: Rules | None = None

    @property
    def basis(self) -> str:
        """Digest of both, so that neither changes without everybody being looked at again."""
        if self.others is None:
            return self.rules.basis
        return sha256(f"{self.rules.basis} {self.others.basis}".encode()).hexdigest()


async def _ready(ctx: Context, settings: TierSettings, as_of: dt.date) -> _Ready:
    await take_turns(ctx)
    rules = await rules_of(ctx, await settings_in_force(ctx, settings), as_of)
    scheme = await in_shadow(ctx) if as_of == ctx.today() else None
    if scheme is None:
        return _Ready(rules)
    return _Ready(rules, scheme, await rules_of(ctx, changed(settings, scheme.changes), as_of))


async def classify(
    ctx: Context, settings: TierSettings, condition: sa.ColumnElement[bool] | None, as_of: dt.date
) -> TierClassification:
    """Decide the tier of every customer who meets ``condition``, by the facts of a day."""
    check_day("as_of", as_of)
    ready = await _ready(ctx, settings, as_of)
    everybody = condition is None and sees_everybody(ctx)
    run = await _begin(ctx, ready, as_of, everybody=everybody)
    return await _classify(ctx, sa.true() if condition is None else condition, run, ready)


async def classify_or_request(
    ctx: Context, settings: TierSettings, condition: sa.ColumnElement[bool] | None, as_of: dt.date
) -> TierClassification:
    """Classify; if it is all customers and they are too many for a request, have it done later."""
    check_day("as_of", as_of)
    if condition is None and await too_many(ctx, settings.classify_at_once):
        await rules_of(ctx, await settings_in_force(ctx, settings), as_of)  # or refuse now
        ctx.emit(ClassificationRequested(as_of=as_of))
        return nobody(as_of, in_background=True)
    return await classify(ctx, settings, condition, as_of)


def nobody(as_of: dt.date, *, in_background: bool = False) -> TierClassification:
    """What a classification answers that decides about nobody, or not yet."""
    return TierClassification(
        as_of=as_of, classified=0, changed=0, by_tier=[], in_background=in_background
    )


async def classify_changed(
    ctx: Context, settings: TierSettings, *, in_request: bool
) -> TierClassification:
    """Decide again about whom something changed since the last time.

    Where the rules themselves have changed, or nothing is known to build on, it is everybody.
    """
    as_of = ctx.today()
    ready = await _ready(ctx, settings, as_of)
    last = await to_build_on(ctx)
    condition: sa.ColumnElement[bool] = sa.true()
    if last is not None and last.basis == ready.basis and last.as_of <= as_of:
        condition = Customer.id.in_(changed_since(last, ready.rules, as_of, ctx.today()))
    wanted = await how_many(ctx, condition)
    if not wanted:
        return nobody(as_of)
    if in_request and wanted > settings.classify_at_once:
        return await classify_or_request(ctx, settings, None, as_of)
    run = await _begin(ctx, ready, as_of, everybody=sees_everybody(ctx))
    return await _classify(ctx, condition, run, ready)


async def follows(ctx: Context) -> bool:
    """Whether tiers are to follow what changes: the last of everybody were those of their day."""
    last = await last_of_everybody(ctx)
    return last is not None and last.as_of == last.made_on


async def _begin(ctx: Context, ready: _Ready, as_of: dt.date, *, everybody: bool) -> TierRun:
    return await ctx.add(
        TierRun(
            as_of=as_of,
            made_on=ctx.today(),
            strategies=[one.title for one in ready.rules.asked],
            everybody=everybody,
            classified=0,
            changed=0,
            basis=ready.basis,
            started_by=ctx.caller.name,
        )
    )


async def _classify(
    ctx: Context, condition: sa.ColumnElement[bool], run: TierRun, ready: _Ready
) -> TierClassification:
    total = await how_many(ctx, condition)
    async with ctx.job(f"Classify customers as of {run.as_of}", total=total) as job:
        if ready.scheme is not None and ready.others is not None:
            await _in_shadow(ctx, ready.scheme, condition, run.as_of, ready.others)
        tiers = await decide(ctx, condition, run, ready.rules, job=job)
    ctx.emit(
        CustomersClassified(
            run_id=run.id, as_of=run.as_of, classified=run.classified, changed=run.changed
        )
    )
    return TierClassification(
        as_of=run.as_of,
        classified=run.classified,
        changed=run.changed,
        by_tier=counts(tiers),
        in_background=False,
    )


async def _in_shadow(
    ctx: Context,
    scheme: TierScheme,
    condition: sa.ColumnElement[bool],
    as_of: dt.date,
    rules: Rules,
) -> None:
    """A scheme in shadow that fails is none: what is in force goes on."""
    try:
        async with ctx.db.begin_nested():
            await keep_shadow(ctx, scheme, condition, as_of, rules)
    except (DBAPIError, Refusal):
        log.exception("the tier scheme %s failed in shadow", scheme.id)


def counts(tiers: Counter[Tier | None]) -> list[TierCount]:
    """How many customers have which tier, the highest first, those without one last."""
    return [TierCount(tier=tier, count=tiers[tier]) for tier in (*Tier, None) if tiers[tier]]


async def override(
    ctx: Context, customer_id: UUID, tier: Tier, reason: str, until: dt.date
) -> Customer:
    """Set a customer's tier by hand; score and inputs stay those of the last classification."""
    reason = reason.strip()
    if not reason:
        raise Invalid("reason", "is blank: say why the tier is set by hand")
    if len(reason) > 2_000:
        raise Invalid("reason", "is longer than 2000 characters")
    if until <= ctx.today():
        raise Invalid("until", "is not after today: the override would have ended already")
    await take_turns(ctx)
    customer = await ctx.get(Customer, customer_id, path="customer_id")
    if customer.archived_at is not None:
        raise Invalid("customer_id", "is archived: restore the customer first")
    standing = await _standing(ctx, customer_id)
    former = standing.tier if standing else None
    last = standing and standing.tier_decision_id
    decision = await ctx.get(TierDecision, last) if last else None
    others = [r for r in decision.reasons if r.code != "OVERRIDE"] if decision else []
    by_hand = set_by_hand(tier, reason)
    decided = await ctx.add(
        TierDecision(
            customer_id=customer_id,
            as_of=(standing and standing.tiered_as_of) or ctx.today(),
            holds_from=ctx.today(),
            tier=tier,
            former_tier=former,
            strategy_tier=decision.strategy_tier if decision else None,
            score=decision.score if decision else None,
            confidence=decision.confidence if decision else 0.0,
            inputs=decision.inputs if decision else [],
            reasons=[
                TierReason(
                    code=by_hand.code,
                    message=by_hand.message.format(tier, reason),
                    message_zh=by_hand.message_zh.format(tier, reason),
                ),
                *others,
            ],
            strategy=decision.strategy if decision else MANUAL,
            strategy_version=decision.strategy_version if decision else MANUAL_VERSION,
            overridden=True,
            override_reason=reason,
            override_until=until,
            decided_by=ctx.caller.name,
        )
    )
    await ctx.save_from(Standing, in_force(TierDecision.id == decided.id))
    if former != tier:
        ctx.emit(TierChanged(customer_id=customer_id, former=former, tier=tier, reason=reason))
    return customer


async def lift_override(ctx: Context, settings: TierSettings, customer_id: UUID) -> Customer:
    """Let the strategies decide again, by the facts of the day that counted last."""
    await take_turns(ctx)
    customer = await ctx.get(Customer, customer_id, path="customer_id")
    standing = await _standing(ctx, customer_id)
    if standing is None or not standing.tier_overridden:
        raise Invalid("customer_id", "has no tier set by hand")
    if customer.archived_at is not None:
        raise Invalid("customer_id", "is archived: restore the customer first")
    former, as_of = standing.tier, standing.tiered_as_of or ctx.today()
    ready = await _ready(ctx, settings, as_of)
    run = await _begin(ctx, ready, as_of, everybody=False)
    tiers = await decide(ctx, Customer.id == customer_id, run, ready.rules, lift=True)
    (tier,) = tiers
    if former != tier:
        reason = "The override was lifted."
        ctx.emit(TierChanged(customer_id=customer_id, former=former, tier=tier, reason=reason))
    return customer


async def _standing(ctx: Context, customer_id: UUID) -> Standing | None:
    return await ctx.db.scalar(select(Standing).where(Standing.id == customer_id))
