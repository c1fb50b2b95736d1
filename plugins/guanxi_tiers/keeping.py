"""Bringing obligations in line with tiers, page by page of customers, inside PostgreSQL.

What is required already stays as it is, so doing it again changes nothing.
"""

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from guanxi_customers import Activity, ActivityKind, ActivityStatus, Customer
from guanxi_sdk import Context, Job, Refusal
from guanxi_tiers.access import how_many, too_many
from guanxi_tiers.choices import ObligationState, Requirement
from guanxi_tiers.deciding import take_turns
from guanxi_tiers.demands import Demand, demands_of
from guanxi_tiers.events import ObligationsRequested
from guanxi_tiers.facts import PAGE, Page, pages
from guanxi_tiers.models import Standing, TierDecision
from guanxi_tiers.obligations import ObligationHooks, TierFulfilment, TierObligation, open_now
from guanxi_tiers.rows import id_of, in_order
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.values import ObligationUpdate

log = logging.getLogger(__name__)


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


async def update_obligations(ctx: Context, settings: TierSettings) -> ObligationUpdate:
    """Bring obligations in line, or have it done later where customers are too many."""
    if await too_many(ctx, settings.classify_at_once):
        ctx.emit(ObligationsRequested())
        return ObligationUpdate(open=await open_now(ctx), in_background=True)
    await keep_all_obligations(ctx, settings)
    return ObligationUpdate(open=await open_now(ctx), in_background=False)


async def keep_all_obligations(ctx: Context, settings: TierSettings) -> None:
    """Bring the obligations of all customers in line while others see how far it is."""
    total = await how_many(ctx, sa.true())
    async with ctx.job("Bring obligations in line with tiers", total=total) as job:
        await keep_obligations(ctx, settings, job=job)


async def keep_those_of(ctx: Context, settings: TierSettings, run_id: UUID) -> None:
    """Bring those in line of the customers to whom a classification gave another tier."""
    moved = select(TierDecision.customer_id).where(
        TierDecision.run_id == run_id,
        TierDecision.tier.is_distinct_from(TierDecision.former_tier),
    )
    found = list(await ctx.db.scalars(moved.limit(PAGE + 1)))
    await keep_obligations(ctx, settings, found if len(found) <= PAGE else None)


async def keep_obligations(
    ctx: Context,
    settings: TierSettings,
    concerned: Sequence[UUID] | None = None,
    *,
    job: Job | None = None,
) -> None:
    """Bring obligations in line with the tiers in force, and note what was fulfilled.

    ``concerned`` are the ids of the customers whose obligations they are, else all customers.
    """
    await take_turns(ctx, b"obligations")
    today = ctx.today()
    demands = [one for one in demands_of(settings, today.year) if one.ends_on >= today]
    fulfilments = [*own_fulfilments(), *ctx.ask(ObligationHooks.tier_fulfilments)]
    for page in await pages(ctx, _among(Customer.id, concerned)):
        mine = _on(page, TierObligation.customer_id, concerned)
        await ctx.save_from(TierObligation, _lapsing(ctx, demands).where(mine))
        if demands:
            theirs = _on(page, Standing.id, concerned)
            await ctx.save_from(TierObligation, _required(ctx, settings, demands, theirs))
        for one in fulfilments:
            await _note_fulfilled(ctx, one, mine)
        if job is not None:
            await job.advance(page.size)


def _among(id: Any, concerned: Sequence[UUID] | None) -> sa.ColumnElement[bool]:
    if concerned is None:
        return sa.true()
    among: sa.ColumnElement[bool] = id == sa.any_(sa.literal(list(concerned), sa.ARRAY(sa.Uuid)))
    return among


def _on(page: Page, id: Any, concerned: Sequence[UUID] | None) -> sa.ColumnElement[bool]:
    return sa.and_(page.holds(id), _among(id, concerned))


async def _note_fulfilled(ctx: Context, one: TierFulfilment, mine: sa.ColumnElement[bool]) -> None:
    """What another plugin knows and cannot be read is left out."""
    try:
        async with ctx.db.begin_nested():
            await ctx.save_from(TierObligation, _fulfilled(one, mine))
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


def _required(
    ctx: Context,
    settings: TierSettings,
    demands: Sequence[Demand],
    theirs: sa.ColumnElement[bool],
) -> Any:
    """What the tiers in force require and is not an obligation yet, or no longer."""
    demand = _table(demands)
    identity = id_of(Standing.id, demand.c.requirement, demand.c.starts_on, demand.c.ends_on)
    known = (  # no EXISTS, which PostgreSQL would make a join
        select(TierObligation.state != ObligationState.LAPSED)
        .where(
            TierObligation.id == identity,
            TierObligation.customer_id == Standing.id,  # names the index that has both
        )
        .scalar_subquery()
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
        .where(theirs, Customer.archived_at.is_(None), sa.not_(func.coalesce(known, sa.false())))
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
        tier = (
            select(sa.cast(Standing.tier, sa.Text))
            .where(Standing.id == TierObligation.customer_id)
            .correlate(TierObligation)
            .scalar_subquery()
        )
        still = select(demand.c.tier).where(
            demand.c.tier == tier,
            demand.c.requirement == sa.cast(TierObligation.requirement, sa.Text),
            demand.c.starts_on == TierObligation.starts_on,
            demand.c.ends_on == TierObligation.ends_on,
        )
        open_.append(sa.not_(still.exists()))
    lapsed = sa.literal(ObligationState.LAPSED.value, sa.Text)
    return select(*_columns(state=lapsed)).where(*open_)


def _fulfilled(one: TierFulfilment, mine: sa.ColumnElement[bool]) -> Any:
    """Open obligations in whose period it happened, with the first day."""
    happened = one.happened.subquery("happened")
    customer_id, day = list(happened.c)
    first = select(func.min(day)).where(  # looked up for each, and not joined: see rows.beside
        customer_id == TierObligation.customer_id,
        day.between(TierObligation.starts_on, TierObligation.ends_on),
    )
    found = (
        select(
            *_columns(
                state=sa.literal(ObligationState.FULFILLED.value, sa.Text),
                fulfilled_on=first.scalar_subquery(),
                fulfilled_by=sa.literal(one.plugin, sa.Text),
            )
        )
        .where(
            mine,
            TierObligation.state == ObligationState.OPEN,
            TierObligation.requirement == one.requirement,
        )
        .offset(0)
        .subquery("found")
    )
    return in_order(select(*found.c).where(found.c.fulfilled_on.is_not(None)), found.c.id)
