"""Rotation: ordinary sales staff move between offices (办事处间轮岗; rules 000-07, C5 26)."""

import datetime as dt
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import func, select

from guanxi_customers import Customer, Employee, Office, Stewardship, steward_in_force
from guanxi_relationships.asking import months_back
from guanxi_relationships.assets import RotationProposal
from guanxi_relationships.choices import RotationState
from guanxi_relationships.events import RotationProposed
from guanxi_relationships.settings import RelationshipSettings
from guanxi_sdk import Ambient, Conflict, Context, Invalid, NotFound, Scope


def proposals_of(proposal: Any, scope: Scope, ambient: Ambient) -> sa.ColumnElement[bool]:
    """One's own; those of whom one supervises are the team's."""
    user = sa.literal("user_", sa.Text).concat(sa.cast(ambient.user_id, sa.Text))
    me = select(Employee.id).where(Employee.user_id == user, Employee.archived_at.is_(None))
    mine: sa.ColumnElement[bool] = proposal.employee_id.in_(me)
    if scope is not Scope.TEAM:
        return mine
    reports = select(Employee.id).where(Employee.supervisor_id.in_(me))
    return sa.or_(mine, proposal.employee_id.in_(reports))


def months_between(start: dt.date, end: dt.date) -> int:
    """Whole months from one day to another."""
    months = (end.year - start.year) * 12 + end.month - start.month
    return months if months_back(end, months) >= start else months - 1


def _due(settings: RelationshipSettings, today: dt.date) -> sa.Select[UUID, UUID | None, dt.date]:
    """Who has looked after some customer for long enough and was not asked of late."""
    since = func.min(Stewardship.starts_on)
    asked = select(RotationProposal.id).where(
        RotationProposal.employee_id == Employee.id,
        sa.or_(
            RotationProposal.state == RotationState.PROPOSED,
            RotationProposal.answered_on > months_back(today, settings.rotation_pause_months),
        ),
    )
    return (
        select(Employee.id, Employee.office_id, since.label("since"))
        .join(Stewardship, Stewardship.employee_id == Employee.id)
        .join(Customer, Stewardship.customer_id == Customer.id)
        .where(
            Stewardship.is_primary,
            steward_in_force(sa.literal(today, sa.Date)),
            Customer.archived_at.is_(None),
            Employee.archived_at.is_(None),
            func.coalesce(Employee.level, 1) <= settings.rotation_highest_level,
            sa.not_(sa.exists(asked)),
        )
        .group_by(Employee.id, Employee.office_id)
        .having(since <= months_back(today, settings.rotation_months))
        .order_by(Employee.id)
    )


async def propose(ctx: Context, settings: RelationshipSettings) -> int:
    """Propose another office to whom it is time for; answers how many."""
    today = ctx.today()
    staffed = (
        select(func.count())
        .select_from(Employee)
        .where(Employee.office_id == Office.id, Employee.archived_at.is_(None))
        .scalar_subquery()
    )
    offices = list(
        await ctx.db.scalars(
            select(Office.id).where(Office.archived_at.is_(None)).order_by(staffed, Office.code)
        )
    )
    due = (await ctx.db.execute(_due(settings, today))).all()
    for row in due:
        made = await ctx.add(
            RotationProposal(
                employee_id=row.id,
                from_office_id=row.office_id,
                to_office_id=next((office for office in offices if office != row.office_id), None),
                tenure_months=months_between(row.since, today),
                proposed_on=today,
            )
        )
        ctx.emit(RotationProposed(employee_id=row.id, proposal_id=made.id))
    return len(due)


async def answer(
    ctx: Context, proposal_id: UUID, *, accept: bool, text: str | None
) -> RotationProposal:
    """Accept or decline a proposal; moving somebody is done elsewhere, by people."""
    proposal = await ctx.db.scalar(
        select(RotationProposal)
        .where(RotationProposal.id == proposal_id)
        .with_for_update(key_share=True)
    )
    if proposal is None:
        raise NotFound("proposal_id")
    if proposal.state != RotationState.PROPOSED:
        raise Conflict("proposal_id", f"is {proposal.state.en.lower()} already")
    text = (text or "").strip() or None
    if text is not None and len(text) > 2_000:
        raise Invalid("answer", "is longer than 2000 characters")
    if not accept and text is None:
        raise Invalid("answer", "is blank: say why it is declined")
    proposal.state = RotationState.ACCEPTED if accept else RotationState.DECLINED
    proposal.answered_on, proposal.answer = ctx.today(), text
    await ctx.db.flush()
    return proposal
