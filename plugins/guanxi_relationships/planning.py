"""The year's plan, step by step (domain rules C2, C4, invariant 5).

DRAFT → SUBMITTED → APPROVED → RUNNING → CLAIMED → CONFIRMED → CLOSED. Who approves did not submit,
who confirms did not claim. A level changes only when the plan is approved and confirmed.
"""

import datetime as dt
from typing import Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import select

from guanxi_customers import ActivityKind, Customer, Employee, Person
from guanxi_relationships import levels
from guanxi_relationships.asking import TIERS_READ
from guanxi_relationships.chains import live_person
from guanxi_relationships.choices import PlanState
from guanxi_relationships.events import RelationshipPlanAdvanced
from guanxi_relationships.people import ERASED, acting, another
from guanxi_relationships.plans import LevelTarget, RelationshipAction, RelationshipPlan
from guanxi_relationships.settings import RelationshipSettings
from guanxi_sdk import Conflict, Context, Invalid, NotFound
from guanxi_tiers import Standing


class Step(NamedTuple):
    """One step of the state machine."""

    before: PlanState
    after: PlanState


SUBMIT: Final = Step(PlanState.DRAFT, PlanState.SUBMITTED)
APPROVE: Final = Step(PlanState.SUBMITTED, PlanState.APPROVED)
START: Final = Step(PlanState.APPROVED, PlanState.RUNNING)
CLAIM: Final = Step(PlanState.RUNNING, PlanState.CLAIMED)
CONFIRM: Final = Step(PlanState.CLAIMED, PlanState.CONFIRMED)
CLOSE: Final = Step(PlanState.CONFIRMED, PlanState.CLOSED)
#: What is returned, and to where: what was submitted to be changed, what was claimed to be done.
RETURNS: Final = {
    PlanState.SUBMITTED: PlanState.DRAFT,
    PlanState.CLAIMED: PlanState.RUNNING,
}


async def _locked(ctx: Context, plan_id: UUID, path: str = "plan_id") -> RelationshipPlan:
    plan = await ctx.db.scalar(
        select(RelationshipPlan)
        .where(RelationshipPlan.id == plan_id)
        .with_for_update(key_share=True)
    )
    if plan is None:
        raise NotFound(path)
    return plan


async def _in(
    ctx: Context, plan_id: UUID, state: PlanState, path: str = "plan_id"
) -> RelationshipPlan:
    """The plan, locked, in the one state in which something may be done."""
    plan = await _locked(ctx, plan_id, path)
    if plan.state != state:
        of = "is" if path == "plan_id" else "is of a plan that is"
        raise Conflict(
            path, f"{of} {plan.state.en.lower()}: this is done while it is {state.en.lower()}"
        )
    return plan


async def _advance(ctx: Context, plan: RelationshipPlan, state: PlanState) -> RelationshipPlan:
    plan.state = state
    await ctx.db.flush()
    ctx.emit(RelationshipPlanAdvanced(customer_id=plan.customer_id, plan_id=plan.id, state=state))
    return plan


# what it holds


async def draft(
    ctx: Context, customer_id: UUID, year: int, targets: dict[str, float | None]
) -> RelationshipPlan:
    """Begin a plan, or change the scores that a draft aims at."""
    if not 2000 <= year <= 2100:
        raise Invalid("year", f"is {year}: it goes from 2000 to 2100")
    for name, value in targets.items():
        if value is not None and not 0 <= value <= 100:
            raise Invalid(name, f"is {value}: scores go from 0 to 100")
    customer = await ctx.get(Customer, customer_id, path="customer_id")
    if customer.archived_at is not None:
        raise Invalid("customer_id", "is archived: restore the customer first")
    plan = await ctx.db.scalar(
        select(RelationshipPlan)
        .where(RelationshipPlan.customer_id == customer_id, RelationshipPlan.year == year)
        .with_for_update(key_share=True)
    )
    if plan is None:
        return await ctx.add(RelationshipPlan(customer_id=customer_id, year=year, **targets))
    if plan.state != PlanState.DRAFT:
        raise Conflict("year", f"has a plan that is {plan.state.en.lower()} already")
    for name, value in targets.items():
        setattr(plan, name, value)
    await ctx.db.flush()
    return plan


async def aim(ctx: Context, plan_id: UUID, person_id: UUID, level: int) -> LevelTarget:
    """Say which level a person is to have."""
    if not levels.LOWEST <= level <= levels.HIGHEST:
        raise Invalid("level", f"is {level}: levels go from {levels.LOWEST} to {levels.HIGHEST}")
    plan = await _in(ctx, plan_id, PlanState.DRAFT)
    person = await live_person(ctx, person_id)
    if person.customer_id != plan.customer_id:
        raise Invalid("person_id", "works for another customer than the plan is for")
    target = await ctx.db.scalar(
        select(LevelTarget).where(
            LevelTarget.plan_id == plan_id, LevelTarget.person_id == person_id
        )
    )
    if target is None:
        return await ctx.add(LevelTarget(plan_id=plan_id, person_id=person_id, level=level))
    target.level = level
    await ctx.db.flush()
    return target


async def act(
    ctx: Context,
    plan_id: UUID,
    kind: ActivityKind,
    due_on: dt.date,
    purpose: str,
    person_id: UUID | None,
    employee_id: UUID | None,
) -> RelationshipAction:
    """Plan something to be done."""
    plan = await _in(ctx, plan_id, PlanState.DRAFT)
    if due_on.year != plan.year:
        raise Invalid("due_on", f"is not in {plan.year}, the year of the plan")
    if not purpose.strip():
        raise Invalid("purpose", "is blank: say what it is for")
    if len(purpose) > 2_000:
        raise Invalid("purpose", "is longer than 2000 characters")
    if person_id is not None:
        person = await live_person(ctx, person_id)
        if person.customer_id != plan.customer_id:
            raise Invalid("person_id", "works for another customer than the plan is for")
    if employee_id is not None:
        employee = await ctx.get(Employee, employee_id, path="employee_id")
        if employee.archived_at is not None:
            raise Invalid("employee_id", "is archived: choose somebody who still works here")
    return await ctx.add(
        RelationshipAction(
            plan_id=plan_id, kind=kind, due_on=due_on, purpose=purpose.strip(),
            person_id=person_id, employee_id=employee_id,
        )
    )  # fmt: skip


async def drop_target(ctx: Context, target_id: UUID) -> RelationshipPlan:
    """Take a level out of a draft."""
    target = await ctx.get(LevelTarget, target_id, path="target_id")
    plan = await _in(ctx, target.plan_id, PlanState.DRAFT, "target_id")
    await ctx.db.delete(target)
    await ctx.db.flush()
    return plan


async def drop_action(ctx: Context, action_id: UUID) -> RelationshipPlan:
    """Take an action out of a draft."""
    action = await ctx.get(RelationshipAction, action_id, path="action_id")
    plan = await _in(ctx, action.plan_id, PlanState.DRAFT, "action_id")
    await ctx.db.delete(action)
    await ctx.db.flush()
    return plan


# its steps


async def submit(ctx: Context, settings: RelationshipSettings, plan_id: UUID) -> RelationshipPlan:
    """Submit a draft; a strategic customer's year must hold all five means (C5, 49)."""
    plan = await _in(ctx, plan_id, SUBMIT.before)
    user = acting(ctx)
    actions = select(RelationshipAction.kind).where(RelationshipAction.plan_id == plan_id)
    kinds = set(await ctx.db.scalars(actions))
    aims = select(sa.func.count()).where(LevelTarget.plan_id == plan_id)
    if not kinds and not await ctx.db.scalar(aims.select_from(LevelTarget)):
        raise Invalid("plan_id", "is empty: plan actions or aim at levels first")
    ctx.require(TIERS_READ)  # the answer depends on it
    tier = await ctx.db.scalar(select(Standing.tier).where(Standing.id == plan.customer_id))
    missing = [kind for kind in settings.five_means if kind not in kinds]
    if tier in settings.five_means_tiers and missing:
        names = ", ".join(kind.en.lower() for kind in missing)
        raise Invalid(
            "plan_id", f"lacks {names}: a year of tier {tier} holds all five means",
            code="MEANS_MISSING",
        )  # fmt: skip
    plan.submitted_by, plan.returned_because = user, None
    return await _advance(ctx, plan, SUBMIT.after)


async def approve(ctx: Context, plan_id: UUID) -> RelationshipPlan:
    """Approve what somebody else submitted."""
    plan = await _in(ctx, plan_id, APPROVE.before)
    plan.approved_by = another(ctx, plan.submitted_by, "plan_id", "submitted")
    return await _advance(ctx, plan, APPROVE.after)


async def start(ctx: Context, plan_id: UUID) -> RelationshipPlan:
    """Begin to carry out an approved plan."""
    return await _advance(ctx, await _in(ctx, plan_id, START.before), START.after)


async def reach(ctx: Context, target_id: UUID, evidence: levels.Evidence) -> LevelTarget:
    """Keep evidence that a level was reached; the level stays as it is until all is confirmed."""
    target = await ctx.get(LevelTarget, target_id, path="target_id")
    await _in(ctx, target.plan_id, PlanState.RUNNING, "target_id")
    target.evidence, target.reached_on = evidence.what, evidence.happened_on
    await ctx.db.flush()
    return target


async def claim(ctx: Context, plan_id: UUID) -> RelationshipPlan:
    """Claim that a plan was carried out."""
    plan = await _in(ctx, plan_id, CLAIM.before)
    plan.claimed_by, plan.returned_because = acting(ctx), None
    return await _advance(ctx, plan, CLAIM.after)


async def confirm(ctx: Context, plan_id: UUID) -> RelationshipPlan:
    """Confirm what somebody else claimed; levels that were reached with evidence change now."""
    plan = await _in(ctx, plan_id, CONFIRM.before)
    user = another(ctx, plan.claimed_by, "plan_id", "claimed")
    targets = await ctx.db.scalars(
        select(LevelTarget).where(LevelTarget.plan_id == plan_id).order_by(LevelTarget.id)
    )
    for target in targets.all():
        if target.evidence is None or target.reached_on is None:
            continue
        person = await ctx.get(Person, target.person_id, path="plan_id")
        gone = person.archived_at is not None or person.erased_at is not None
        if gone or not levels.rises(target.level, await levels.present_level(ctx, person.id)):
            continue
        await levels.reached(
            ctx, target.person_id, target.level,
            levels.Evidence(target.evidence, target.reached_on),
            claimed_by=plan.claimed_by or ERASED, reviewer=user,
        )  # fmt: skip
    plan.confirmed_by = user
    return await _advance(ctx, plan, CONFIRM.after)


async def close(ctx: Context, plan_id: UUID) -> RelationshipPlan:
    """Close a confirmed plan."""
    return await _advance(ctx, await _in(ctx, plan_id, CLOSE.before), CLOSE.after)


async def give_back(ctx: Context, plan_id: UUID, reason: str) -> RelationshipPlan:
    """Return what was submitted or claimed, with a reason."""
    plan = await _locked(ctx, plan_id)
    reason = reason.strip()
    if not reason:
        raise Invalid("reason", "is blank: say why the plan is returned")
    if len(reason) > 2_000:
        raise Invalid("reason", "is longer than 2000 characters")
    if plan.state not in RETURNS:
        raise Conflict(
            "plan_id", f"is {plan.state.en.lower()}: what was submitted or claimed can be returned"
        )
    acting(ctx)
    plan.returned_because = reason
    return await _advance(ctx, plan, RETURNS[plan.state])
