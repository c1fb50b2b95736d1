"""Obligations: what a customer's tier requires, by when, and what fulfilled it (分级要求).

Other plugins know when most of it happens; the hook `tier_fulfilments` asks them.
"""

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy import func, select
from sqlalchemy.orm import Mapped

from guanxi_customers import Customer, Stewardship
from guanxi_sdk import (
    Ambient,
    Conflict,
    Context,
    Invalid,
    Model,
    column,
    hookspec,
    reference,
)
from guanxi_tiers.choices import ObligationState, Requirement, Tier

log = logging.getLogger(__name__)
Count = sa.ColumnElement[int]


class TierObligation(Model, within="customer", closed=("create", "update", "archive", "restore")):
    """Something that a customer's tier requires, and whether it was done (domain rule C3)."""

    customer_id: Mapped[UUID] = reference(Customer, reverse="tier_obligations")
    """The customer for whom it is to be done."""

    tier: Mapped[Tier]
    """The tier that requires it."""

    requirement: Mapped[Requirement] = column(indexed=True)
    """What is to be done."""

    starts_on: Mapped[dt.date] = column(indexed=True)
    """First day on which it counts."""

    ends_on: Mapped[dt.date]
    """Last day on which it counts."""

    due_on: Mapped[dt.date] = column(indexed=True)
    """Day by which it is due."""

    state: Mapped[ObligationState] = column(indexed=True)
    """Open, fulfilled, or lapsed since the customer's tier does not require it any more."""

    fulfilled_on: Mapped[dt.date | None] = column(indexed=True)
    """Day on which it was done."""

    fulfilled_by: Mapped[str | None]
    """The plugin that knows of it, or the name of the user who says so."""

    evidence: Mapped[Annotated[str, Meta(max_length=2_000)] | None]
    """What shows that it was done."""


@dataclass(frozen=True, slots=True)
class TierFulfilment:
    """What fulfils a requirement: a SELECT of customers and the days on which it happened.

    ``TierFulfilment(Requirement.EXECUTIVE_SPONSOR, "sponsors",
    select(Sponsor.customer_id, Sponsor.named_on))``.
    """

    requirement: Requirement
    plugin: str
    happened: sa.Select[UUID, dt.date]


class ObligationHooks:
    """What the tiers plugin asks others about its requirements."""

    @hookspec("collect")
    def tier_fulfilments(self) -> Sequence[TierFulfilment]:
        """Say what fulfils the requirements of tiers: for which customers, and on which days.

        Asked every hour, in a transaction that then looks for days within the periods of open
        obligations. ``tiers`` itself answers for contacts and for the five means (一五一工程), from
        activities; None adds nothing.
        """
        raise AssertionError("a specification is never called")


async def fulfil(ctx: Context, obligation_id: UUID, evidence: str, day: dt.date) -> TierObligation:
    """Say by hand that something was done which no plugin knows of."""
    if not evidence.strip():
        raise Invalid("evidence", "is blank: say what shows that it was done")
    obligation = await ctx.get(TierObligation, obligation_id, path="obligation_id")
    if obligation.state is not ObligationState.OPEN:
        raise Conflict("obligation_id", f"is {obligation.state.en.lower()} already")
    if not obligation.starts_on <= day <= ctx.today():
        raise Invalid("on", f"is not between {obligation.starts_on} and today")
    obligation.state, obligation.fulfilled_on = ObligationState.FULFILLED, day
    obligation.fulfilled_by, obligation.evidence = ctx.caller.name, evidence.strip()
    await ctx.db.flush()
    return obligation


async def open_now(ctx: Context) -> int:
    """How many obligations are open."""
    wanted = select(func.count()).where(TierObligation.state == ObligationState.OPEN)
    return await ctx.db.scalar(wanted.select_from(TierObligation)) or 0


def of_customer(customer: Any, ambient: Ambient, *, overdue: bool = False) -> Count:
    """How many obligations of a customer are open, or overdue."""
    wanted = _counted(ambient, overdue).where(TierObligation.customer_id == customer.id)
    return wanted.scalar_subquery()


def of_office(office: Any, ambient: Ambient, *, overdue: bool = False) -> Count:
    """How many are open, or overdue, for the customers of an office."""
    served = TierObligation.customer_id == Customer.id
    wanted = _counted(ambient, overdue).join(Customer, served)
    present = Customer.archived_at.is_(None)
    return wanted.where(Customer.office_id == office.id, present).scalar_subquery()


def of_steward(employee: Any, ambient: Ambient, *, overdue: bool = False) -> Count:
    """How many are open, or overdue, for the customers whose primary steward an employee is."""
    mine = sa.and_(
        Stewardship.customer_id == TierObligation.customer_id,
        Stewardship.is_primary,
        Stewardship.starts_on <= ambient.today,
        sa.or_(Stewardship.ends_on.is_(None), Stewardship.ends_on > ambient.today),
        Stewardship.archived_at.is_(None),
    )
    wanted = _counted(ambient, overdue).join(Stewardship, mine)
    return wanted.where(Stewardship.employee_id == employee.id).scalar_subquery()


def _counted(ambient: Ambient, overdue: bool) -> sa.Select[int]:
    """Open obligations, to be found by their customer alone.

    As long as PostgreSQL has not counted the rows it would prefer the indexes of state and due day,
    and read all open obligations for every customer.
    """
    state = func.coalesce(sa.cast(TierObligation.state, sa.Text), "")
    counted = select(func.count()).select_from(TierObligation)
    counted = counted.where(state == ObligationState.OPEN.value)
    due_on = func.coalesce(TierObligation.due_on, ambient.today)
    return counted.where(due_on < ambient.today) if overdue else counted
