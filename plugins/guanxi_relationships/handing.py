"""Handing a customer over: PROPOSED → APPROVED → OVERLAP → COMPLETED (domain rules C2, C4, 1, 2).

While both look after the customer, the new steward is beside the primary one. When it is complete
the former one's stewardships end, and with them what the scope ``own`` shows, SECRET values first.
"""

import datetime as dt
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from guanxi_customers import (
    STEWARD,
    Activity,
    ActivityParticipant,
    Customer,
    Employee,
    Line,
    Stewardship,
    add_co_steward,
    assign_steward,
    end_co_stewardship,
    steward_in_force,
)
from guanxi_relationships import scores
from guanxi_relationships.assets import Handover
from guanxi_relationships.choices import HandoverLack, HandoverState
from guanxi_relationships.events import HandoverAdvanced
from guanxi_relationships.hooks import RelationshipHooks
from guanxi_relationships.people import acting, another
from guanxi_relationships.settings import RelationshipSettings
from guanxi_relationships.values import HandoverGap
from guanxi_sdk import Conflict, Context, Invalid, NotFound

OPEN: Final = (HandoverState.PROPOSED, HandoverState.APPROVED, HandoverState.OVERLAP)


async def _locked(ctx: Context, handover_id: UUID, *states: HandoverState) -> Handover:
    found = await ctx.db.scalar(
        select(Handover).where(Handover.id == handover_id).with_for_update(key_share=True)
    )
    if found is None:
        raise NotFound("handover_id")
    if found.state not in states:
        wanted = " or ".join(state.en.lower() for state in states)
        raise Conflict(
            "handover_id", f"is {found.state.en.lower()}: this is done while it is {wanted}"
        )
    return found


async def _advance(ctx: Context, handover: Handover, state: HandoverState) -> Handover:
    handover.state = state
    await ctx.db.flush()
    ctx.emit(
        HandoverAdvanced(customer_id=handover.customer_id, handover_id=handover.id, state=state)
    )
    return handover


async def _primary(ctx: Context, customer_id: UUID) -> UUID | None:
    """The employee who is the primary steward today."""
    today = sa.literal(ctx.today(), sa.Date)
    found: UUID | None = await ctx.db.scalar(
        select(Stewardship.employee_id).where(
            Stewardship.customer_id == customer_id, Stewardship.is_primary, steward_in_force(today)
        )
    )
    return found


async def _require_same_steward(ctx: Context, handover: Handover) -> None:
    """Lock the customer, and refuse a handover whose steward has another successor already."""
    customer_id = handover.customer_id
    await ctx.db.scalar(
        select(Customer.id).where(Customer.id == customer_id).with_for_update(key_share=True)
    )
    successors = select(Stewardship.id).where(
        Stewardship.customer_id == customer_id,
        Stewardship.is_primary,
        Stewardship.starts_on > sa.literal(ctx.today(), sa.Date),
        Stewardship.archived_at.is_(None),
    )
    same = await _primary(ctx, customer_id) == handover.from_employee_id
    if not same or await ctx.db.scalar(successors.limit(1)):
        raise Conflict(
            "handover_id", "is void, because the primary steward is another than when it was "
            "proposed, or soon will be: withdraw it",
        )  # fmt: skip


async def propose(ctx: Context, customer_id: UUID, to: UUID, reason: str) -> Handover:
    """Propose that the primary steward hand a customer over."""
    reason = reason.strip()
    if not reason:
        raise Invalid("reason", "is blank: say why the customer is handed over")
    if len(reason) > 2_000:
        raise Invalid("reason", "is longer than 2000 characters")
    user = acting(ctx)
    customer = await ctx.db.scalar(
        select(Customer).where(Customer.id == customer_id).with_for_update(key_share=True)
    )
    if customer is None:
        raise NotFound("customer_id")
    present = await _primary(ctx, customer_id)
    if present is None:
        raise Invalid("customer_id", "has no primary steward: use assignSteward")
    successor = await ctx.get(Employee, to, path="to_employee_id")
    if successor.archived_at is not None:
        raise Invalid("to_employee_id", "is archived: choose somebody who still works here")
    if present == to:
        raise Invalid("to_employee_id", "is the primary steward already")
    underway = select(Handover.id).where(
        Handover.customer_id == customer_id, Handover.state.in_(OPEN)
    )
    if await ctx.db.scalar(underway):
        raise Conflict("customer_id", "is being handed over already")
    made = await ctx.add(
        Handover(
            customer_id=customer_id, from_employee_id=present, to_employee_id=to, reason=reason,
            proposed_by=user,
        )
    )  # fmt: skip
    return await _advance(ctx, made, HandoverState.PROPOSED)


async def approve(ctx: Context, handover_id: UUID) -> Handover:
    """Approve what somebody else proposed."""
    handover = await _locked(ctx, handover_id, HandoverState.PROPOSED)
    handover.approved_by = another(ctx, handover.proposed_by, "handover_id", "proposed")
    return await _advance(ctx, handover, HandoverState.APPROVED)


async def _beside(ctx: Context, handover: Handover, employee_id: UUID) -> list[Stewardship]:
    """Stewardships of an employee beside the primary one that have no end."""
    rows = await ctx.db.scalars(
        select(Stewardship).where(
            Stewardship.customer_id == handover.customer_id,
            Stewardship.employee_id == employee_id,
            sa.not_(Stewardship.is_primary),
            Stewardship.ends_on.is_(None),
            Stewardship.archived_at.is_(None),
        )
    )
    return list(rows)


async def start(ctx: Context, handover_id: UUID) -> Handover:
    """Let the new steward look after the customer beside the present one (C4, invariant 1)."""
    ctx.require(STEWARD)
    handover = await _locked(ctx, handover_id, HandoverState.APPROVED)
    beside = await _beside(ctx, handover, handover.to_employee_id)
    if not any(row.line == Line.CUSTOMER for row in beside):
        await add_co_steward(
            ctx, handover.customer_id, handover.to_employee_id, Line.CUSTOMER, ctx.today()
        )
    handover.overlap_from = ctx.today()
    return await _advance(ctx, handover, HandoverState.OVERLAP)


async def withdraw(ctx: Context, handover_id: UUID) -> Handover:
    """Give a handover up; the present steward stays, and who was beside them before does, too."""
    handover = await _locked(ctx, handover_id, *OPEN)
    begun = handover.overlap_from
    if begun is not None:
        ctx.require(STEWARD)
        for row in await _beside(ctx, handover, handover.to_employee_id):
            if row.line == Line.CUSTOMER and row.starts_on == begun:
                await end_co_stewardship(ctx, row.id, max(ctx.today(), row.starts_on))
    return await _advance(ctx, handover, HandoverState.WITHDRAWN)


async def complete(ctx: Context, settings: RelationshipSettings, handover_id: UUID) -> Handover:
    """Make the new steward the only one, if nothing is lacking (C5, 24 and 25)."""
    ctx.require(STEWARD)
    handover = await _locked(ctx, handover_id, HandoverState.OVERLAP)
    await _require_same_steward(ctx, handover)
    [lacking] = await gaps(ctx, settings, [handover])
    if lacking:
        raise Invalid(
            "handover_id", "cannot be completed: " + " ".join(gap.message for gap in lacking),
            code=lacking[0].lack,
        )  # fmt: skip
    await assign_steward(ctx, handover.customer_id, handover.to_employee_id, ctx.today())
    for row in await _beside(ctx, handover, handover.from_employee_id):
        await end_co_stewardship(ctx, row.id, max(ctx.today(), row.starts_on))
    handover.completed_on = ctx.today()
    return await _advance(ctx, handover, HandoverState.COMPLETED)


def _joint_visits(settings: RelationshipSettings, today: dt.date) -> sa.ColumnElement[int]:
    """How often both stewards visited the customer together since the overlap began."""
    giver, taker = aliased(ActivityParticipant), aliased(ActivityParticipant)
    kinds = sa.cast(Activity.kind, sa.Text)
    return (
        select(func.count(sa.distinct(Activity.id)))
        .select_from(Activity)
        .join(giver, giver.activity_id == Activity.id)
        .join(taker, taker.activity_id == Activity.id)
        .where(
            Activity.customer_id == Handover.customer_id,
            giver.employee_id == Handover.from_employee_id,
            taker.employee_id == Handover.to_employee_id,
            giver.archived_at.is_(None),
            taker.archived_at.is_(None),
            kinds == sa.any_(scores.given(settings)("joint_visit_kinds")),
            scores.done_by(sa.literal(today, sa.Date)),
            scores.day_of(Activity.done_at) >= Handover.overlap_from,
        )
        .correlate(Handover)
        .scalar_subquery()
    )


async def gaps(
    ctx: Context, settings: RelationshipSettings, handovers: list[Handover]
) -> list[list[HandoverGap]]:
    """What each handover lacks before it can be completed; none for one that is over."""
    customer = aliased(Customer)
    known: Any = ctx.ask(RelationshipHooks.profile_completeness, customer=customer)
    filled = sa.cast(None, sa.Float(53)) if known is None else sa.cast(known, sa.Float(53))
    ids = [handover.id for handover in handovers]
    rows = await ctx.db.execute(
        select(
            Handover.id,
            filled.label("filled"),
            _joint_visits(settings, ctx.today()).label("visits"),
        )
        .join(customer, Handover.customer_id == customer.id)
        .where(Handover.id == sa.any_(sa.literal(ids, sa.ARRAY(sa.Uuid))))
    )
    found = {row.id: row for row in rows}
    return [
        _lacking(one, found[one.id].filled, found[one.id].visits, settings, ctx.today())
        if one.state in OPEN
        else []
        for one in handovers
    ]


def _lacking(
    handover: Handover,
    filled: float | None,
    visits: int,
    settings: RelationshipSettings,
    today: dt.date,
) -> list[HandoverGap]:
    found = []

    def lack(code: HandoverLack, present: float | None, needed: float, en: str, zh: str) -> None:
        if present is None or present < needed:
            found.append(
                HandoverGap(lack=code, present=present, needed=needed, message=en, message_zh=zh)
            )

    overlap = 0 if handover.overlap_from is None else (today - handover.overlap_from).days
    needed, least = settings.overlap_days, settings.handover_completeness
    lack(
        HandoverLack.OVERLAP_TOO_SHORT, overlap, needed,
        f"Both have looked after it for {overlap} of {needed} days.",
        f"共同负责{overlap}天，需{needed}天。",
    )  # fmt: skip
    share = "unknown" if filled is None else f"{filled:.0%}"
    lack(
        HandoverLack.PROFILE_INCOMPLETE, filled, least,
        f"The profile's completeness is {share}, {least:.0%} are needed.",
        f"客户档案完整度{'未知' if filled is None else share}，需{least:.0%}。",
    )  # fmt: skip
    lack(
        HandoverLack.JOINT_VISITS_MISSING, visits, settings.joint_visits,
        f"They have made {visits} of {settings.joint_visits} visits together.",
        f"联合拜访{visits}次，需{settings.joint_visits}次。",
    )  # fmt: skip
    return found
