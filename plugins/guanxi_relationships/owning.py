"""Verbs and questions that keep customers an asset of the company (公司资产; rules 000-07, C2)."""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from guanxi_customers import Customer
from guanxi_relationships import handing, rotating
from guanxi_relationships.assets import Handover, RotationProposal
from guanxi_relationships.findings import Findings
from guanxi_relationships.permissions import APPROVE, READ, WRITE
from guanxi_relationships.settings import RelationshipSettings
from guanxi_relationships.values import HandoverGap, RelationshipFinding
from guanxi_sdk import Ambient, Context, Scope, Where, field, mutation, policy, query, schedule


class Owning:
    """That customers are the company's and stay with it."""

    settings: RelationshipSettings

    @query(needs=READ)
    async def relationship_findings(
        self,
        ctx: Context,
        where: Where[Customer] | None = None,
        as_of: dt.date | None = None,
    ) -> list[RelationshipFinding]:
        """What endangers customers as an asset of the company, on a day, today unless another.

        Isolation from the supervisor and too few holders (F11), level mismatch in the quarter
        (F10), revenue that depends on the boss, and employees who run and do not influence. It
        needs `customers.read` and `tiers.read`, too.

        Args:
            where: The customers whose activities and revenue are looked at; all of them when left
                out, and archived ones never.
            as_of: The day as of which customers are judged, by its quarter so far and the months
                before it; 1900-01-01 to 9000-01-01, today (UTC) when left out.
        """
        condition = sa.true() if where is None else where.condition
        return await Findings(ctx, self.settings, condition, as_of or ctx.today()).all()

    # handovers

    @field(Handover, needs=READ)
    async def gaps(self, ctx: Context, handovers: Sequence[Handover]) -> list[list[HandoverGap]]:
        """What it lacks before it can be completed: days of overlap, profile, joint visits."""
        return await handing.gaps(ctx, self.settings, list(handovers))

    @mutation(needs=WRITE)
    async def propose_handover(
        self, ctx: Context, customer_id: UUID, to_employee_id: UUID, reason: str
    ) -> Handover:
        """Propose that a customer's primary steward hand over to somebody else.

        Args:
            customer_id: The customer to hand over, who has a primary steward and no handover
                underway.
            to_employee_id: The employee who is to become the primary steward; the present one and
                archived ones are refused.
            reason: Why the customer is handed over, in at most 2,000 characters; blank is refused.
        """
        return await handing.propose(ctx, customer_id, to_employee_id, reason)

    @mutation(needs=APPROVE)
    async def approve_handover(self, ctx: Context, handover_id: UUID) -> Handover:
        """Approve a handover that somebody else proposed.

        Args:
            handover_id: The handover to approve, which is `PROPOSED`; whoever proposed it is
                refused.
        """
        return await handing.approve(ctx, handover_id)

    @mutation(needs=WRITE)
    async def start_handover(self, ctx: Context, handover_id: UUID) -> Handover:
        """Begin the overlap: the new steward looks after the customer beside the present one.

        It needs `customers.steward`, too.

        Args:
            handover_id: The handover whose overlap begins today; it must be `APPROVED`.
        """
        return await handing.start(ctx, handover_id)

    @mutation(needs=WRITE)
    async def complete_handover(self, ctx: Context, handover_id: UUID) -> Handover:
        """Make the new steward the only one, if nothing is lacking; `gaps` tells what is.

        The former one loses what the scope `own` shows, SECRET values included (C4, invariant 2).
        It needs `customers.steward`, too.

        Args:
            handover_id: The handover to complete, which is in `OVERLAP` and has no `gaps`; the
                primary steward must be the one whom it names, and no other named for later.
        """
        return await handing.complete(ctx, self.settings, handover_id)

    @mutation(needs=APPROVE)
    async def withdraw_handover(self, ctx: Context, handover_id: UUID) -> Handover:
        """Give a handover up that is not complete; the present steward stays.

        Args:
            handover_id: The handover to give up, which is `PROPOSED`, `APPROVED` or in `OVERLAP`;
                in `OVERLAP` it needs `customers.steward`, too.
        """
        return await handing.withdraw(ctx, handover_id)

    # rotation

    @staticmethod
    @policy(RotationProposal)
    def proposals_of(proposal: Any, scope: Scope, ambient: Ambient) -> sa.ColumnElement[bool]:
        """One's own proposals, and as a team's those of whom one supervises."""
        return rotating.proposals_of(proposal, scope, ambient)

    @schedule("0 1 * * *")
    async def propose_rotations(self, ctx: Context) -> None:
        """Propose another office to whom it is time for, every night."""
        await rotating.propose(ctx, self.settings)

    @mutation(needs=APPROVE)
    async def answer_rotation(
        self, ctx: Context, proposal_id: UUID, accept: bool, answer: str | None = None
    ) -> RotationProposal:
        """Accept or decline a rotation; it moves nobody by itself.

        Args:
            proposal_id: The proposal to answer, which is `PROPOSED`.
            accept: True accepts the proposal, false declines it; neither moves anybody.
            answer: What is answered, in at most 2,000 characters; needed to decline, and may be
                left out to accept.
        """
        return await rotating.answer(ctx, proposal_id, accept=accept, text=answer)
