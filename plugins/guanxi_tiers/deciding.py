"""Deciding the tiers of many customers inside PostgreSQL, and what is kept of each decision.

A page of customers takes a few statements: decisions for those about whom there is something new to
say, counts, the decisions put in force, the rest confirmed. No row comes to Python, and no
statement depends on what PostgreSQL knows of rows that this very transaction wrote.
"""

import datetime as dt
import logging
from collections import Counter
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError

from guanxi_customers import Customer
from guanxi_sdk import Context, Job, Refusal
from guanxi_tiers.choices import Tier
from guanxi_tiers.combining import combined, none_works
from guanxi_tiers.facts import facts_of, pages
from guanxi_tiers.models import Standing, TierDecision, TierRun
from guanxi_tiers.rows import Rows, beside, in_order, joined, layer, reasons, text
from guanxi_tiers.rules import Rules
from guanxi_tiers.strategy import Because

log = logging.getLogger(__name__)


async def take_turns(ctx: Context, about: bytes = b"tiers") -> None:
    """Let one transaction of the tenant decide at a time, so that none undoes an override."""
    digest = blake2b(about + ctx.tenant.id.bytes, digest_size=8).digest()
    key = sa.literal(int.from_bytes(digest, signed=True), sa.BigInteger)
    await ctx.db.execute(select(func.pg_advisory_xact_lock(key)))


async def decide(
    ctx: Context,
    condition: sa.ColumnElement[bool],
    run: TierRun,
    rules: Rules,
    *,
    lift: bool = False,
    job: Job | None = None,
) -> Counter[Tier | None]:
    """How many customers have which tier now; the run learns how many changed."""
    chosen = await pages(ctx, condition)
    tiers = Counter[Tier | None]()
    for page in chosen:
        among = sa.and_(condition, page.holds(Customer.id))
        rules = await _decide_page(ctx, among, run, rules, lift=lift)
        decided = sa.and_(TierDecision.run_id == run.id, page.holds(TierDecision.customer_id))
        found = await _counted(ctx, among, decided)
        await ctx.save_from(Standing, in_force(decided))
        await ctx.save_from(Standing, _confirmed(among, run.as_of))
        tiers += found
        if job is not None:
            await job.advance(found.total())
    moved = TierDecision.tier.is_distinct_from(TierDecision.former_tier)
    changed = select(func.count()).where(TierDecision.run_id == run.id, moved)
    run.classified = sum(page.size for page in chosen)
    run.changed = await ctx.db.scalar(changed) or 0
    await ctx.db.flush()
    return tiers


async def _decide_page(
    ctx: Context, condition: sa.ColumnElement[bool], run: TierRun, rules: Rules, *, lift: bool
) -> Rules:
    """Write the decisions, and say by which rules it was possible.

    A strategy of another plugin that PostgreSQL cannot work out is left out.
    """
    try:
        async with ctx.db.begin_nested():
            await ctx.save_from(TierDecision, _decisions(ctx, condition, run, rules, lift=lift))
        return rules
    except (DBAPIError, Refusal) as error:
        culprits = await failing(ctx, condition, run.as_of, rules)
        if not culprits:
            raise
        log.error("tier strategies failed and were left out: %s", culprits, exc_info=error)
    kept = rules.without(*culprits)
    if not kept.asked:
        raise none_works(rules)
    return await _decide_page(ctx, condition, run, kept, lift=lift)


async def failing(
    ctx: Context, condition: sa.ColumnElement[bool], as_of: dt.date, rules: Rules
) -> list[str]:
    """The strategies of other plugins that cannot be worked out for these customers."""
    found = []
    for one in rules.asked:
        if one.offered is None:
            continue
        try:
            alone = combined(facts_of(ctx, condition, as_of), Rules(rules.settings, (one,), ""))
            async with ctx.db.begin_nested():
                names = ("verdict_tier", "verdict_score", "verdict_inputs", "verdict_reasons")
                looked_at = [func.count(alone.c[name]) for name in names]
                await ctx.db.execute(select(*looked_at))
        except (DBAPIError, Refusal):
            found.append(one.name)
    return found


def _decisions(
    ctx: Context, condition: sa.ColumnElement[bool], run: TierRun, rules: Rules, *, lift: bool
) -> sa.Select[*tuple[Any, ...]]:
    """New decisions, for customers about whom the last one does not say just the same."""
    rows = _with_former(combined(facts_of(ctx, condition, run.as_of), rules))
    until = rows.c.former_until
    kept = sa.and_(
        rows.c.former_override.is_not(None),
        sa.or_(until.is_(None), until > max(run.as_of, ctx.today())),
        sa.literal(not lift, sa.Boolean),
    )
    rows = layer(rows, {"kept": kept}, "kept_overrides")
    by_hand = reasons([set_by_hand(rows.c.former_tier, rows.c.former_override)])
    columns = {
        "tier": sa.case((rows.c.kept, rows.c.former_tier), else_=rows.c.verdict_tier),
        "reasons": sa.case(
            (rows.c.kept, joined(by_hand, rows.c.verdict_reasons)), else_=rows.c.verdict_reasons
        ),
        "override_reason": sa.case((rows.c.kept, rows.c.former_override)),
        "override_until": sa.case((rows.c.kept, rows.c.former_until)),
    }
    rows = layer(rows, columns, "decisions")
    facts_day = ctx.today() if lift else min(run.as_of, ctx.today())
    same = [
        rows.c[name].is_not_distinct_from(rows.c[former])
        for name, former in (
            ("tier", "former_tier"),
            ("verdict_tier", "former_verdict"),
            ("verdict_score", "former_score"),
            ("verdict_confidence", "former_confidence"),
            ("verdict_strategy", "former_strategy"),
            ("verdict_version", "former_version"),
            ("verdict_inputs", "former_inputs"),
            ("reasons", "former_reasons"),
            ("override_reason", "former_override"),
            ("override_until", "former_until"),
        )
    ]
    said = sa.and_(rows.c.former_from <= facts_day, *same)
    began = func.greatest(sa.literal(facts_day, sa.Date), rows.c.former_from)
    new = select(
        rows.c.customer_id,
        rows.c.as_of,
        rows.c.tier,
        rows.c.verdict_score.label("score"),
        rows.c.verdict_confidence.label("confidence"),
        rows.c.verdict_inputs.label("inputs"),
        rows.c.reasons,
        rows.c.verdict_strategy.label("strategy"),
        rows.c.verdict_version.label("strategy_version"),
        sa.case((rows.c.kept, began), else_=sa.literal(facts_day, sa.Date)).label("holds_from"),
        rows.c.former_tier,
        rows.c.verdict_tier.label("strategy_tier"),
        sa.literal(run.id, sa.Uuid).label("run_id"),
        rows.c.kept.label("overridden"),
        rows.c.override_reason,
        rows.c.override_until,
        text(run.started_by).label("decided_by"),
    ).where(sa.not_(func.coalesce(said, sa.false())))
    return in_order(new, rows.c.customer_id)


def _with_former(rows: Rows) -> Rows:
    """``rows`` with what is in force and the decision behind it."""
    standing = beside(
        rows,
        Standing.id == rows.c.customer_id,
        former_tier=sa.cast(Standing.tier, sa.Text),
        former_score=Standing.tier_score,
        former_confidence=Standing.tier_confidence,
        former_reasons=sa.type_coerce(Standing.tier_reasons, JSONB),
        former_strategy=Standing.tier_strategy,
        former_version=Standing.tier_version,
        former_override=Standing.tier_override_reason,
        former_until=Standing.tier_override_until,
        former_decision=Standing.tier_decision_id,
    )
    wider = select(*rows.c, *standing.c).select_from(rows.outerjoin(standing, sa.true()))
    rows = wider.offset(0).subquery("with_standing")
    last = beside(
        rows,
        sa.and_(
            TierDecision.id == rows.c.former_decision,
            TierDecision.customer_id == rows.c.customer_id,  # names the index that has both
        ),
        former_inputs=sa.type_coerce(TierDecision.inputs, JSONB),
        former_verdict=sa.cast(TierDecision.strategy_tier, sa.Text),
        former_from=TierDecision.holds_from,
    )
    whole = select(*rows.c, *last.c).select_from(rows.outerjoin(last, sa.true()))
    return whole.offset(0).subquery("with_former")


def set_by_hand(tier: Any, reason: Any) -> Because:
    """The reason of a tier that the strategies did not decide."""
    return Because("OVERRIDE", "Set to {} by hand: {}", "人工设为{}：{}", tier, reason)


async def _counted(
    ctx: Context, condition: sa.ColumnElement[bool], decided: sa.ColumnElement[bool]
) -> Counter[Tier | None]:
    """How many customers will have which tier, once the decisions of the page are in force."""
    standing = select(Standing.tier).where(Standing.id == Customer.id).scalar_subquery()
    in_force_now = (
        select(standing.label("tier"))
        .where(condition, Customer.archived_at.is_(None))
        .offset(0)
        .subquery("in_force_now")
    )
    present = select(in_force_now.c.tier, func.count()).group_by(in_force_now.c.tier)
    tiers = Counter[Tier | None]()
    for tier, count in await ctx.db.execute(present):
        tiers[tier] += count
    moves = (
        select(TierDecision.former_tier, TierDecision.tier, func.count())
        .where(decided)
        .group_by(TierDecision.former_tier, TierDecision.tier)
    )
    for former, tier, count in await ctx.db.execute(moves):
        tiers[former] -= count
        tiers[tier] += count
    return +tiers


def _confirmed(condition: sa.ColumnElement[bool], as_of: dt.date) -> sa.Select[*tuple[Any, ...]]:
    """The rows of Standing that stay as they are by the facts of another day."""
    return (
        select(Standing.id, sa.literal(as_of, sa.Date).label("tiered_as_of"))
        .join(Customer, Customer.id == Standing.id)
        .where(condition, Customer.archived_at.is_(None), Standing.tiered_as_of != as_of)
    )


def in_force(decided: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    """The rows of Standing that put decisions in force."""
    return select(
        TierDecision.customer_id.label("id"),
        TierDecision.tier,
        TierDecision.score.label("tier_score"),
        TierDecision.confidence.label("tier_confidence"),
        TierDecision.reasons.label("tier_reasons"),
        TierDecision.strategy.label("tier_strategy"),
        TierDecision.strategy_version.label("tier_version"),
        TierDecision.as_of.label("tiered_as_of"),
        TierDecision.overridden.label("tier_overridden"),
        TierDecision.override_reason.label("tier_override_reason"),
        TierDecision.override_until.label("tier_override_until"),
        TierDecision.id.label("tier_decision_id"),
    ).where(decided)
