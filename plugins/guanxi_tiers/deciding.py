"""Deciding the tiers of customers page by page, and what is kept of each decision."""

import asyncio
import datetime as dt
from collections import Counter
from dataclasses import replace
from hashlib import blake2b
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import func, select
from uuid_utils.compat import uuid7

from guanxi_sdk import Context, Job, PluginError
from guanxi_tiers.choices import Tier
from guanxi_tiers.facts import Former, page
from guanxi_tiers.models import Standing, TierDecision
from guanxi_tiers.strategy import TierFacts, TierHooks, TierVerdict
from guanxi_tiers.values import TierReason


async def take_turns(ctx: Context) -> None:
    """Let one transaction of the tenant decide at a time, so that none undoes an override."""
    digest = blake2b(b"tiers" + ctx.tenant.id.bytes, digest_size=8).digest()
    key = sa.literal(int.from_bytes(digest, signed=True), sa.BigInteger)
    await ctx.db.execute(select(func.pg_advisory_xact_lock(key)))


async def decide(
    ctx: Context,
    condition: sa.ColumnElement[bool],
    as_of: dt.date,
    *,
    lift: bool = False,
    job: Job | None = None,
) -> tuple[int, Counter[Tier | None]]:
    """How many tiers changed, and how many customers have which tier now."""
    changed, tiers = 0, Counter[Tier | None]()
    after: UUID | None = None
    while rows := await page(ctx, condition, as_of, after):
        decisions, standings, confirmed = [], [], []
        for number, (facts, former) in enumerate(rows):
            if number % 200 == 0:
                await asyncio.sleep(0)  # other requests of this process wait meanwhile
            verdict = _verdict(ctx, facts)
            kept = None if lift else former.override_reason
            if kept is not None:
                verdict = _keep(verdict, former.tier, kept)
            tiers[verdict.tier] += 1
            changed += verdict.tier != former.tier
            if former.decision_id is None or not _same(verdict, kept, former):
                decided = decision_row(ctx, facts.customer_id, as_of, verdict, kept)
                decisions.append(decided)
                standings.append(in_force(decided))
            elif former.as_of != as_of:
                confirmed.append({"id": facts.customer_id, "tiered_as_of": as_of})
        await ctx.save_many(TierDecision, decisions)
        await ctx.save_many(Standing, standings)
        await ctx.save_many(Standing, confirmed)
        after = rows[-1][0].customer_id
        if job is not None:
            await job.advance(len(rows))
    return changed, tiers


def _verdict(ctx: Context, facts: TierFacts) -> TierVerdict:
    verdict: object = ctx.ask(TierHooks.tier_verdict, facts=facts, former=None)
    if not isinstance(verdict, TierVerdict):
        raise PluginError(
            "", f"a strategy answered tier_verdict with {type(verdict).__name__}, not TierVerdict: "
            "disable it, or mend it.",
        )  # fmt: skip
    return verdict


def by_hand(tier: Tier | None, reason: str) -> TierReason:
    """The reason of a tier that the strategies did not decide."""
    return TierReason(
        code="OVERRIDE",
        message=f"Set to {tier} by hand: {reason}",
        message_zh=f"人工设为{tier}：{reason}",
    )


def _keep(verdict: TierVerdict, tier: Tier | None, reason: str) -> TierVerdict:
    return replace(verdict, tier=tier, reasons=(by_hand(tier, reason), *verdict.reasons))


def _same(verdict: TierVerdict, override_reason: str | None, former: Former) -> bool:
    """Whether the last decision says just this, so that another one would add nothing."""
    return (
        verdict.tier == former.tier
        and verdict.score == former.score
        and verdict.confidence == former.confidence
        and verdict.strategy == former.strategy
        and verdict.version == former.version
        and override_reason == former.override_reason
        and list(verdict.inputs) == former.inputs
        and list(verdict.reasons) == former.reasons
    )


def decision_row(
    ctx: Context,
    customer_id: UUID,
    as_of: dt.date,
    verdict: TierVerdict,
    override_reason: str | None,
) -> dict[str, Any]:
    """A row of TierDecision."""
    return {
        "id": uuid7(),
        "customer_id": customer_id,
        "as_of": as_of,
        "tier": verdict.tier,
        "score": verdict.score,
        "confidence": verdict.confidence,
        "inputs": verdict.inputs,
        "reasons": verdict.reasons,
        "strategy": verdict.strategy,
        "strategy_version": verdict.version,
        "overridden": override_reason is not None,
        "override_reason": override_reason,
        "decided_by": ctx.caller.name,
    }


def in_force(decided: dict[str, Any]) -> dict[str, Any]:
    """The row of Standing that puts a row of TierDecision in force."""
    return {
        "id": decided["customer_id"],
        "tier": decided["tier"],
        "tier_score": decided["score"],
        "tier_confidence": decided["confidence"],
        "tier_reasons": decided["reasons"],
        "tier_strategy": decided["strategy"],
        "tier_version": decided["strategy_version"],
        "tiered_as_of": decided["as_of"],
        "tier_overridden": decided["overridden"],
        "tier_override_reason": decided["override_reason"],
        "tier_decision_id": decided["id"],
    }
