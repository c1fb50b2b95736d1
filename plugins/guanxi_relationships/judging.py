"""Verbs of decision chains and of the levels of persons (domain rules B4, C4)."""

import datetime as dt
from uuid import UUID

from guanxi_customers import DecisionRole
from guanxi_relationships import chains, levels
from guanxi_relationships.models import ChainLink, ChainSeat, LevelClaim, LevelEvidence
from guanxi_relationships.permissions import REVIEW, WRITE
from guanxi_sdk import Context, Invalid, mutation


class Judging:
    """What people say about persons."""

    @mutation(needs=WRITE)
    async def seat_in_chain(
        self,
        ctx: Context,
        chain_id: UUID,
        person_id: UUID,
        role: DecisionRole,
        starts_on: dt.date | None = None,
    ) -> ChainSeat:
        """Give a person a role in a decision chain; a role held before ends on that day.

        Args:
            chain_id: The decision chain in which the person gets the role; an archived one is
                refused.
            person_id: Who gets the role: a person of the chain's customer, not archived.
            role: The role: `A` approver, `D` decider, `S` supporter, `E` evaluator or `I`
                influencer; `NONE` and the one held already are refused.
            starts_on: First day in the role, on which a role held before ends; not before that one
                began, or one that is over ended. Today (UTC) when left out.
        """
        return await chains.seat(ctx, chain_id, person_id, role, starts_on or ctx.today())

    @mutation(needs=WRITE)
    async def leave_chain(
        self, ctx: Context, seat_id: UUID, ends_on: dt.date | None = None
    ) -> ChainSeat:
        """Take a person out of a decision chain, from today or from another day.

        Args:
            seat_id: The seat that the person leaves, which has no end yet.
            ends_on: Day from which the person no longer has the role, not before the seat's
                `startsOn`; today (UTC) when left out.
        """
        return await chains.leave(ctx, seat_id, ends_on or ctx.today())

    @mutation(needs=WRITE)
    async def link_in_chain(
        self, ctx: Context, chain_id: UUID, source_id: UUID, target_id: UUID
    ) -> ChainLink:
        """Say that one person in a decision chain influences another.

        Args:
            chain_id: The decision chain in which it is so; an archived one is refused.
            source_id: The person who influences, with a seat without end in the chain.
            target_id: The person who is influenced: somebody else with a seat without end in the
                chain.
        """
        return await chains.link(ctx, chain_id, source_id, target_id)

    # levels

    @mutation(needs=WRITE)
    async def claim_level(
        self,
        ctx: Context,
        person_id: UUID,
        level: int,
        evidence: str | None = None,
        happened_on: dt.date | None = None,
        activity_id: UUID | None = None,
    ) -> LevelClaim:
        """Claim that a person has a level: −1, 0, 1, 2 or 3 (domain rule B4).

        A rise needs evidence with its day, and counts when somebody else has approved it
        (domain rule C4, invariant 4); anything else counts at once.

        Args:
            person_id: The person who is said to have the level; archived ones are refused, and
                those with a claim that waits for its review.
            level: What the person thinks of us: 3 coach, 2 strong support, 1 support, 0 neutral, −1
                does not recognise us.
            evidence: What the person said or did, in at most 2,000 characters; needed for a rise
                above the level last assessed, or above 0 where none was.
            happened_on: The day on which it happened, today (UTC) at the latest; needed with
                `evidence`, and refused without.
            activity_id: The activity in which it happened, if in one; refused without `evidence`.
        """
        given = await levels.checked(ctx, evidence, happened_on, activity_id)
        return await levels.claim(ctx, person_id, level, given)

    @mutation(needs=WRITE)
    async def add_level_evidence(
        self,
        ctx: Context,
        claim_id: UUID,
        evidence: str,
        happened_on: dt.date,
        activity_id: UUID | None = None,
    ) -> LevelEvidence:
        """Add evidence to a claim that waits for its review.

        Args:
            claim_id: The claim for which the evidence speaks; it must be `PENDING`.
            evidence: What the person said or did, in at most 2,000 characters; blank is refused.
            happened_on: The day on which it happened, today (UTC) at the latest.
            activity_id: The activity in which it happened, if in one.
        """
        claim = await levels.pending(ctx, claim_id)
        given = await levels.checked(ctx, evidence, happened_on, activity_id)
        if given is None:
            raise Invalid("evidence", "is blank: say what the person said or did")
        return await levels.add_evidence(ctx, claim, given)

    @mutation(needs=REVIEW)
    async def review_level(
        self, ctx: Context, claim_id: UUID, approve: bool, remark: str | None = None
    ) -> LevelClaim:
        """Approve or reject what somebody else claimed; only an approved level rises.

        Args:
            claim_id: The claim to review, which is `PENDING`; whoever made it is refused.
            approve: True lets the level count from today on, false rejects the claim.
            remark: What the reviewer remarks, in at most 2,000 characters; needed to reject, and
                may be left out to approve.
        """
        return await levels.review(ctx, claim_id, approve=approve, remark=remark)
