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
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped

from guanxi_customers import Activity, ActivityKind, ActivityStatus, Customer, Stewardship
from guanxi_sdk import (
    Ambient,
    Conflict,
    Context,
    Invalid,
    Model,
    Refusal,
    column,
    hookspec,
    reference,
)
from guanxi_tiers.choices import ObligationState, Requirement, Tier
from guanxi_tiers.demands import Demand, demands_of
from guanxi_tiers.models import Standing
from guanxi_tiers.rows import id_of, in_order
from guanxi_tiers.settings import TierSettings

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


def own_fulfilments() -> list[TierFulfilment]:
    """What activities tell: contacts once they are done, the five means once they are planned."""
    done = sa.cast(func.timezone(sa.literal("UTC", sa.Text), Activity.done_at), sa.Date)
    kept = Activity.archived_at.is_(None)
    contacts = select(Activity.customer_id, done).where(
        kept, Activity.status == ActivityStatus.DONE
    )
    found = [TierFulfilment(Requirement.CONTACT, "tiers", contacts)]
    for requirement in Requirement:
        if requirement.value in ActivityKind.__members__:
            means = select(Activity.customer_id, func.coalesce(Activity.planned_on, done)).where(
                kept,
                Activity.kind == ActivityKind(requirement.value),
                Activity.status != ActivityStatus.CANCELLED,
            )
            found.append(TierFulfilment(requirement, "tiers", means))
    return found


async def keep_obligations(ctx: Context, settings: TierSettings) -> None:
    """Bring obligations in line with the tiers in force, and note what was fulfilled."""
    today = ctx.today()
    demands = [one for one in demands_of(settings, today.year) if one.ends_on >= today]
    await ctx.save_from(TierObligation, _lapsing(ctx, demands))
    if demands:
        await ctx.save_from(TierObligation, _required(ctx, settings, demands))
    for one in (*own_fulfilments(), *ctx.ask(ObligationHooks.tier_fulfilments)):
        try:
            async with ctx.db.begin_nested():
                await ctx.save_from(TierObligation, _fulfilled(one))
        except (DBAPIError, Refusal):
            if one.plugin == "tiers":
                raise
            log.exception("what '%s' knows of %s cannot be read", one.plugin, one.requirement)


def _table(demands: Sequence[Demand]) -> Any:
    columns: list[Any] = [
        sa.column("tier", sa.Text),
        sa.column("requirement", sa.Text),
        sa.column("starts_on", sa.Date),
        sa.column("ends_on", sa.Date),
        sa.column("due_on", sa.Date),
    ]
    rows = [(d.tier.value, d.requirement.value, d.starts_on, d.ends_on, d.due_on) for d in demands]
    return sa.values(*columns, name="demand").data(rows)


def _required(ctx: Context, settings: TierSettings, demands: Sequence[Demand]) -> Any:
    """What the tiers in force require and is not an obligation yet, or no longer."""
    demand = _table(demands)
    identity = id_of(Standing.id, demand.c.requirement, demand.c.starts_on, demand.c.ends_on)
    known = select(TierObligation.id).where(
        TierObligation.id == identity, TierObligation.state != ObligationState.LAPSED
    )
    soonest = ctx.today() + dt.timedelta(days=settings.grace_days)
    nothing: Any = sa.null()
    new = (
        select(
            identity.label("id"),
            Standing.id.label("customer_id"),
            demand.c.tier,
            demand.c.requirement,
            demand.c.starts_on,
            demand.c.ends_on,
            func.greatest(demand.c.due_on, sa.literal(soonest, sa.Date)).label("due_on"),
            sa.literal(ObligationState.OPEN.value, sa.Text).label("state"),
            sa.cast(nothing, sa.Date).label("fulfilled_on"),
        )
        .join(demand, demand.c.tier == sa.cast(Standing.tier, sa.Text))
        .join(Customer, Customer.id == Standing.id)
        .where(Customer.archived_at.is_(None), sa.not_(known.exists()))
    )
    return in_order(new, identity)


def _columns(**changed: Any) -> list[Any]:
    """The columns of an obligation, some of them with another value."""
    names = ("customer_id", "tier", "requirement", "starts_on", "ends_on", "due_on", "state")
    kept = [getattr(TierObligation, name) for name in names if name not in changed]
    return [TierObligation.id, *kept, *(value.label(name) for name, value in changed.items())]


def _lapsing(ctx: Context, demands: Sequence[Demand]) -> Any:
    """Open obligations of the present year that the customer's tier does not require any more."""
    open_ = [
        TierObligation.state == ObligationState.OPEN,
        TierObligation.ends_on >= ctx.today(),
    ]
    if demands:
        demand = _table(demands)
        still = (
            select(demand.c.tier)
            .join(Standing, sa.cast(Standing.tier, sa.Text) == demand.c.tier)
            .where(
                Standing.id == TierObligation.customer_id,
                demand.c.requirement == sa.cast(TierObligation.requirement, sa.Text),
                demand.c.starts_on == TierObligation.starts_on,
                demand.c.ends_on == TierObligation.ends_on,
            )
        )
        open_.append(sa.not_(still.exists()))
    lapsed = sa.literal(ObligationState.LAPSED.value, sa.Text)
    return select(*_columns(state=lapsed)).where(*open_)


def _fulfilled(one: TierFulfilment) -> Any:
    """Open obligations in whose period it happened, with the first day."""
    happened = one.happened.subquery("happened")
    customer_id, day = list(happened.c)
    first = func.min(day)
    return (
        select(
            *_columns(
                state=sa.literal(ObligationState.FULFILLED.value, sa.Text),
                fulfilled_on=first,
                fulfilled_by=sa.literal(one.plugin, sa.Text),
            )
        )
        .join(
            happened,
            sa.and_(
                customer_id == TierObligation.customer_id,
                day.between(TierObligation.starts_on, TierObligation.ends_on),
            ),
        )
        .where(
            TierObligation.state == ObligationState.OPEN,
            TierObligation.requirement == one.requirement,
        )
        .group_by(*_columns())
    )


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
    counted = select(func.count()).select_from(TierObligation)
    counted = counted.where(TierObligation.state == ObligationState.OPEN)
    return counted.where(TierObligation.due_on < ambient.today) if overdue else counted
