"""Levels of persons: claimed, with evidence, reviewed by somebody else, kept for ever.

Domain rule C4, invariant 4: a rise needs dated evidence and a reviewer other than the assessor.
"""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import select

from guanxi_customers import Activity, Person
from guanxi_relationships.chains import live_person
from guanxi_relationships.choices import ClaimState
from guanxi_relationships.events import LevelChanged, LevelClaimed, LevelClaimRejected
from guanxi_relationships.models import LevelAssessment, LevelClaim, LevelEvidence
from guanxi_relationships.people import acting, another
from guanxi_sdk import Conflict, Context, Invalid, NotFound

LOWEST, HIGHEST = -1, 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """What somebody claims to speak for a level."""

    what: str
    happened_on: dt.date
    activity_id: UUID | None = None


async def present_level(ctx: Context, person_id: UUID) -> int | None:
    """The level as it was last assessed."""
    level: int | None = await ctx.db.scalar(
        select(LevelAssessment.level)
        .where(LevelAssessment.person_id == person_id)
        .order_by(LevelAssessment.assessed_on.desc(), LevelAssessment.id.desc())
        .limit(1)
    )
    return level


def rises(level: int, former: int | None) -> bool:
    """Whether a level is a rise; whom nobody assessed counts as neutral."""
    return level > (0 if former is None else former)


async def checked(
    ctx: Context, what: str | None, happened_on: dt.date | None, activity_id: UUID | None
) -> Evidence | None:
    """Evidence as it was given; None without any."""
    what = (what or "").strip()
    if not what:
        if happened_on is not None or activity_id is not None:
            raise Invalid("evidence", "is blank: say what the person said or did")
        return None
    if len(what) > 2_000:
        raise Invalid("evidence", "is longer than 2000 characters")
    if happened_on is None:
        raise Invalid(
            "happened_on", "is missing: evidence needs its day", code="EVIDENCE_WITHOUT_DATE"
        )
    if happened_on > ctx.today():
        raise Invalid("happened_on", "is in the future")
    if activity_id is not None:
        await ctx.get(Activity, activity_id, path="activity_id")
    return Evidence(what, happened_on, activity_id)


async def claim(ctx: Context, person_id: UUID, level: int, evidence: Evidence | None) -> LevelClaim:
    """Claim a level; what is no rise counts at once."""
    if not LOWEST <= level <= HIGHEST:
        raise Invalid("level", f"is {level}: levels go from {LOWEST} to {HIGHEST}")
    user = acting(ctx)
    await live_person(ctx, person_id)
    await _take_turns(ctx, person_id)
    former = await present_level(ctx, person_id)
    rise = rises(level, former)
    if rise and evidence is None:
        raise Invalid(
            "evidence",
            f"is missing: a rise from {'neutral' if former is None else former} to {level} needs "
            "dated evidence",
            code="EVIDENCE_MISSING",
        )
    waiting = select(LevelClaim.id).where(
        LevelClaim.person_id == person_id, LevelClaim.state == ClaimState.PENDING
    )
    if await ctx.db.scalar(waiting):
        raise Conflict("person_id", "has a claim that waits for its review: have it reviewed first")
    made = await ctx.add(
        LevelClaim(
            person_id=person_id, level=level, former_level=former, claimed_by=user,
            claimed_on=ctx.today(), state=ClaimState.PENDING if rise else ClaimState.RECORDED,
        )
    )  # fmt: skip
    if evidence is not None:
        await add_evidence(ctx, made, evidence)
    if rise:
        ctx.emit(LevelClaimed(person_id=person_id, claim_id=made.id, level=level))
    else:
        await _assess(ctx, made)
    return made


async def add_evidence(ctx: Context, to: LevelClaim, evidence: Evidence) -> LevelEvidence:
    """Keep evidence for a claim."""
    return await ctx.add(
        LevelEvidence(
            claim_id=to.id, what=evidence.what, happened_on=evidence.happened_on,
            activity_id=evidence.activity_id,
        )
    )  # fmt: skip


async def pending(ctx: Context, claim_id: UUID) -> LevelClaim:
    """Lock a claim that waits for its review."""
    found = await ctx.db.scalar(
        select(LevelClaim).where(LevelClaim.id == claim_id).with_for_update(key_share=True)
    )
    if found is None:
        raise NotFound("claim_id")
    if found.state != ClaimState.PENDING:
        raise Conflict("claim_id", f"is {found.state.en.lower()} already")
    return found


async def review(ctx: Context, claim_id: UUID, *, approve: bool, remark: str | None) -> LevelClaim:
    """Approve or reject a claim; only then the level rises."""
    found = await pending(ctx, claim_id)
    user = another(ctx, found.claimed_by, "claim_id", "claimed")
    remark = (remark or "").strip() or None
    if remark is not None and len(remark) > 2_000:
        raise Invalid("remark", "is longer than 2000 characters")
    if not approve and remark is None:
        raise Invalid("remark", "is blank: say why the claim is rejected")
    if approve:
        await live_person(ctx, found.person_id, path="claim_id")
    found.state = ClaimState.APPROVED if approve else ClaimState.REJECTED
    found.reviewed_by, found.reviewed_on, found.remark = user, ctx.today(), remark
    await ctx.db.flush()
    if approve:
        await _assess(ctx, found)
    else:
        ctx.emit(LevelClaimRejected(person_id=found.person_id, claim_id=found.id))
    return found


async def reached(
    ctx: Context, person_id: UUID, level: int, evidence: Evidence, *, claimed_by: str, reviewer: str
) -> None:
    """Let a level count that was claimed and confirmed as part of a plan."""
    await live_person(ctx, person_id)
    await _take_turns(ctx, person_id)
    made = await ctx.add(
        LevelClaim(
            person_id=person_id, level=level, former_level=await present_level(ctx, person_id),
            claimed_by=claimed_by, claimed_on=ctx.today(), state=ClaimState.APPROVED,
            reviewed_by=reviewer, reviewed_on=ctx.today(),
        )
    )  # fmt: skip
    await add_evidence(ctx, made, evidence)
    await _assess(ctx, made)


async def _assess(ctx: Context, claim: LevelClaim) -> None:
    former = await present_level(ctx, claim.person_id)
    await ctx.add(
        LevelAssessment(
            person_id=claim.person_id, level=claim.level, former_level=former,
            assessed_on=ctx.today(), assessor=claim.claimed_by, reviewer=claim.reviewed_by,
            claim_id=claim.id,
        )
    )  # fmt: skip
    if former != claim.level:
        ctx.emit(LevelChanged(person_id=claim.person_id, former=former, level=claim.level))


async def _take_turns(ctx: Context, person_id: UUID) -> None:
    """Let one transaction at a time judge a person, so that none misses the other's level."""
    person = select(sa.literal(1)).select_from(Person).where(Person.id == person_id)
    await ctx.db.execute(person.with_for_update(key_share=True))
