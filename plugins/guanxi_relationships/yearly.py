"""Verbs of the year's plan for a customer (domain rule C2)."""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from guanxi_customers import ActivityKind
from guanxi_relationships import levels, planning, reviewing
from guanxi_relationships.permissions import APPROVE, READ, WRITE
from guanxi_relationships.plans import LevelTarget, RelationshipAction, RelationshipPlan
from guanxi_relationships.settings import RelationshipSettings
from guanxi_relationships.values import PlanTask
from guanxi_sdk import Context, Invalid, field, mutation


class Planning:
    """What people intend, and what became of it."""

    settings: RelationshipSettings

    @field(RelationshipPlan, needs=READ, columns=("id",))
    async def tasks(
        self, ctx: Context, relationship_plans: Sequence[RelationshipPlan]
    ) -> list[list[PlanTask]]:
        """What a review of the plan finds to be done; it needs `customers.read`, too.

        Key persons of the highest rank whose need for safety nobody has assessed (000-19).
        """
        return await reviewing.tasks(ctx, self.settings, relationship_plans)

    @mutation(needs=WRITE)
    async def draft_relationship_plan(
        self,
        ctx: Context,
        customer_id: UUID,
        year: int,
        key_target: float | None = None,
        general_target: float | None = None,
        organizational_target: float | None = None,
    ) -> RelationshipPlan:
        """Begin the plan of a year for a customer, or change the scores that its draft aims at.

        Args:
            customer_id: The customer for whom the plan is made; an archived one is refused.
            year: The calendar year of the plan, 2000 to 2100; a year whose plan is no draft any
                more is refused.
            key_target: The key score (`keyScore`, F4) to reach, 0 to 100; when null or left out the
                plan aims at none, even if its draft did before.
            general_target: The general score (`generalScore`, F5) to reach, 0 to 100; when null or
                left out the plan aims at none, even if its draft did before.
            organizational_target: The organizational score (`organizationalScore`, F6) to reach, 0
                to 100; when null or left out the plan aims at none, even if its draft did before.
        """
        targets = {
            "key_target": key_target,
            "general_target": general_target,
            "organizational_target": organizational_target,
        }
        return await planning.draft(ctx, customer_id, year, targets)

    @mutation(needs=WRITE)
    async def aim_at_level(
        self, ctx: Context, plan_id: UUID, person_id: UUID, level: int
    ) -> LevelTarget:
        """Say in a draft which level a person is to have by the end of the year.

        Args:
            plan_id: The plan that aims at the level; it must be a draft.
            person_id: Who is to have the level: a person of the plan's customer, not archived; a
                level aimed at before is replaced.
            level: The level to have by the end of the year: 3 coach, 2 strong support, 1 support, 0
                neutral, −1 does not recognise us.
        """
        return await planning.aim(ctx, plan_id, person_id, level)

    @mutation(needs=WRITE)
    async def drop_level_target(self, ctx: Context, target_id: UUID) -> RelationshipPlan:
        """Take a level out of a draft.

        Args:
            target_id: The level target to delete; its plan must be a draft.
        """
        return await planning.drop_target(ctx, target_id)

    @mutation(needs=WRITE)
    async def plan_relationship_action(
        self,
        ctx: Context,
        plan_id: UUID,
        kind: ActivityKind,
        due_on: dt.date,
        purpose: str,
        person_id: UUID | None = None,
        employee_id: UUID | None = None,
    ) -> RelationshipAction:
        """Say in a draft what is to be done until when, with whom and by whom.

        Args:
            plan_id: The plan to which the action is added; it must be a draft.
            kind: The kind of activity that it will be; all five means of one-five-one must be among
                the actions before the plan for a strategic customer is submitted.
            due_on: Until when it is to be done: a day in the year of the plan.
            purpose: What it is for, in at most 2,000 characters; blank is refused.
            person_id: With whom it is done: a person of the plan's customer, not archived; nobody
                in particular when left out.
            employee_id: Who of us is to do it: an employee, not archived; nobody in particular when
                left out.
        """
        return await planning.act(ctx, plan_id, kind, due_on, purpose, person_id, employee_id)

    @mutation(needs=WRITE)
    async def drop_relationship_action(self, ctx: Context, action_id: UUID) -> RelationshipPlan:
        """Take an action out of a draft.

        Args:
            action_id: The action to delete; its plan must be a draft.
        """
        return await planning.drop_action(ctx, action_id)

    @mutation(needs=WRITE)
    async def submit_relationship_plan(self, ctx: Context, plan_id: UUID) -> RelationshipPlan:
        """Submit a draft for approval.

        For a strategic customer it must hold all five means of one-five-one (tier requirements).

        Args:
            plan_id: The draft to submit; one that holds neither an action nor a level to reach is
                refused.
        """
        return await planning.submit(ctx, self.settings, plan_id)

    @mutation(needs=APPROVE)
    async def approve_relationship_plan(self, ctx: Context, plan_id: UUID) -> RelationshipPlan:
        """Approve a plan that somebody else submitted.

        Args:
            plan_id: The plan to approve, which is `SUBMITTED`; whoever submitted it is refused.
        """
        return await planning.approve(ctx, plan_id)

    @mutation(needs=WRITE)
    async def start_relationship_plan(self, ctx: Context, plan_id: UUID) -> RelationshipPlan:
        """Begin to carry out an approved plan.

        Args:
            plan_id: The plan to carry out from now on; it must be `APPROVED`.
        """
        return await planning.start(ctx, plan_id)

    @mutation(needs=WRITE)
    async def reach_level(
        self, ctx: Context, target_id: UUID, evidence: str, happened_on: dt.date
    ) -> LevelTarget:
        """Keep evidence that a level aimed at was reached.

        The level itself changes when the plan is confirmed (domain rule C4, invariant 5).

        Args:
            target_id: The level target that was reached; its plan must be `RUNNING`.
            evidence: What the person said or did, in at most 2,000 characters; blank is refused,
                and evidence kept for the target before is replaced.
            happened_on: The day on which it happened, today (UTC) at the latest.
        """
        given = await levels.checked(ctx, evidence, happened_on, None)
        if given is None:
            raise Invalid("evidence", "is blank: say what the person said or did")
        return await planning.reach(ctx, target_id, given)

    @mutation(needs=WRITE)
    async def claim_relationship_plan(self, ctx: Context, plan_id: UUID) -> RelationshipPlan:
        """Claim that a plan was carried out; somebody else confirms it.

        Args:
            plan_id: The plan that was carried out; it must be `RUNNING`.
        """
        return await planning.claim(ctx, plan_id)

    @mutation(needs=APPROVE)
    async def confirm_relationship_plan(self, ctx: Context, plan_id: UUID) -> RelationshipPlan:
        """Confirm what somebody else claimed: levels that were reached with evidence rise now.

        Args:
            plan_id: The plan to confirm, which is `CLAIMED`; whoever claimed it is refused.
        """
        return await planning.confirm(ctx, plan_id)

    @mutation(needs=APPROVE)
    async def close_relationship_plan(self, ctx: Context, plan_id: UUID) -> RelationshipPlan:
        """Close a confirmed plan.

        Args:
            plan_id: The plan to close, which is `CONFIRMED`.
        """
        return await planning.close(ctx, plan_id)

    @mutation(needs=APPROVE)
    async def return_relationship_plan(
        self, ctx: Context, plan_id: UUID, reason: str
    ) -> RelationshipPlan:
        """Return a plan: one submitted becomes a draft again, one claimed is carried on.

        Args:
            plan_id: The plan to return, which is `SUBMITTED` or `CLAIMED`.
            reason: Why it is returned, in at most 2,000 characters; blank is refused. It stays in
                `returnedBecause` until the plan is submitted or claimed again.
        """
        return await planning.give_back(ctx, plan_id, reason)
