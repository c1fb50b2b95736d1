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
        """Begin the plan of a year for a customer, or change the scores that its draft aims at."""
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
        """Say in a draft which level a person is to have by the end of the year."""
        return await planning.aim(ctx, plan_id, person_id, level)

    @mutation(needs=WRITE)
    async def drop_level_target(self, ctx: Context, target_id: UUID) -> RelationshipPlan:
        """Take a level out of a draft."""
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
        """Say in a draft what is to be done until when, with whom and by whom."""
        return await planning.act(ctx, plan_id, kind, due_on, purpose, person_id, employee_id)

    @mutation(needs=WRITE)
    async def drop_relationship_action(self, ctx: Context, action_id: UUID) -> RelationshipPlan:
        """Take an action out of a draft."""
        return await planning.drop_action(ctx, action_id)

    @mutation(needs=WRITE)
    async def submit_relationship_plan(self, ctx: Context, plan_id: UUID) -> RelationshipPlan:
        """Submit a draft for approval.

        For a strategic customer it must hold all five means of one-five-one (tier requirements).
        """
        return await planning.submit(ctx, self.settings, plan_id)

    @mutation(needs=APPROVE)
    async def approve_relationship_plan(self, ctx: Context, plan_id: UUID) -> RelationshipPlan:
        """Approve a plan that somebody else submitted."""
        return await planning.approve(ctx, plan_id)

    @mutation(needs=WRITE)
    async def start_relationship_plan(self, ctx: Context, plan_id: UUID) -> RelationshipPlan:
        """Begin to carry out an approved plan."""
        return await planning.start(ctx, plan_id)

    @mutation(needs=WRITE)
    async def reach_level(
        self, ctx: Context, target_id: UUID, evidence: str, happened_on: dt.date
    ) -> LevelTarget:
        """Keep evidence that a level aimed at was reached.

        The level itself changes when the plan is confirmed (domain rule C4, invariant 5).
        """
        given = await levels.checked(ctx, evidence, happened_on, None)
        if given is None:
            raise Invalid("evidence", "is blank: say what the person said or did")
        return await planning.reach(ctx, target_id, given)

    @mutation(needs=WRITE)
    async def claim_relationship_plan(self, ctx: Context, plan_id: UUID) -> RelationshipPlan:
        """Claim that a plan was carried out; somebody else confirms it."""
        return await planning.claim(ctx, plan_id)

    @mutation(needs=APPROVE)
    async def confirm_relationship_plan(self, ctx: Context, plan_id: UUID) -> RelationshipPlan:
        """Confirm what somebody else claimed: levels that were reached with evidence rise now."""
        return await planning.confirm(ctx, plan_id)

    @mutation(needs=APPROVE)
    async def close_relationship_plan(self, ctx: Context, plan_id: UUID) -> RelationshipPlan:
        """Close a confirmed plan."""
        return await planning.close(ctx, plan_id)

    @mutation(needs=APPROVE)
    async def return_relationship_plan(
        self, ctx: Context, plan_id: UUID, reason: str
    ) -> RelationshipPlan:
        """Return a plan: one submitted becomes a draft again, one claimed is carried on."""
        return await planning.give_back(ctx, plan_id, reason)
