"""Care: contact beside projects (domain rule F17), neither too much nor too little (F18)."""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import func, select

from guanxi_customers import Activity, ActivityParticipant, ActivityStatus, Customer, Office, Person
from guanxi_sdk import Context, Invalid, global_id, hookspec
from guanxi_tiers.choices import Care, Tier
from guanxi_tiers.coverage import tier_then
from guanxi_tiers.days import check_day, quarter_of
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.values import CareLine, NonProjectLine, NonProjectShare
from guanxi_tiers.workdays import local_day, zone_of

#: Most persons or customers that one answer lists.
MOST = 1_000


class CareHooks:
    """What the tiers plugin asks others about activities."""

    @hookspec("collect")
    def opportunity_activities(self) -> Sequence[sa.Select[UUID]]:
        """Say which activities belong to an opportunity: SELECTs of their ids.

        Asked whenever the share of activities beside projects is worked out; None names none.
        """
        raise AssertionError("a specification is never called")


def _check_first(first: int) -> None:
    if not 0 <= first <= MOST:
        raise Invalid("first", f"is not within 0 and {MOST}")


def _done(settings: TierSettings, start: dt.date, end: dt.date) -> list[sa.ColumnElement[bool]]:
    """What was done between two days, by the clock of the customer's office."""
    begin = dt.datetime.combine(start, dt.time(), dt.UTC)
    over = dt.datetime.combine(end, dt.time(), dt.UTC)
    near = Activity.done_at.between(begin - dt.timedelta(days=1), over + dt.timedelta(days=2))
    day = local_day(Activity.done_at, zone_of(Office, settings))
    return [
        near,
        day.between(start, end),
        Activity.status == ActivityStatus.DONE,
        Activity.archived_at.is_(None),
    ]


async def non_project_share(
    ctx: Context,
    settings: TierSettings,
    day: dt.date,
    condition: sa.ColumnElement[bool],
    first: int,
) -> NonProjectShare:
    """How much of a quarter's contact with S and A customers is beside any opportunity (F17)."""
    _check_first(first)
    check_day("quarter", day)
    start, end = quarter_of(day)
    tied: list[Any] = list(ctx.ask(CareHooks.opportunity_activities))
    beside = sa.not_(sa.or_(sa.false(), *(Activity.id.in_(one) for one in tied)))
    tier = tier_then(Customer, min(end, max(ctx.today(), start)))
    customers = (
        select(Customer.id, Customer.code, Customer.name, Customer.office_id, tier.label("tier"))
        .where(condition, Customer.archived_at.is_(None))
        .offset(0)
        .subquery("customers")
    )
    rows = (
        await ctx.db.execute(
            select(
                *(customers.c[name] for name in ("id", "code", "name", "tier")),
                func.count().label("activities"),
                func.count().filter(beside).label("beside"),
            )
            .join(Activity, Activity.customer_id == customers.c.id)
            .outerjoin(Office, Office.id == customers.c.office_id)
            .where(customers.c.tier.in_([Tier.S.value, Tier.A.value]), *_done(settings, start, end))
            .group_by(*(customers.c[name] for name in ("id", "code", "name", "tier")))
        )
    ).all()
    least = settings.non_project_share
    lines = [
        NonProjectLine(
            customer_id=global_id(Customer, row.id),
            code=row.code,
            name=row.name,
            tier=Tier(row.tier),
            activities=row.activities,
            without_opportunity=row.beside,
            share=row.beside / row.activities,
            warns=row.beside < least * row.activities,
        )
        for row in rows
    ]
    lines.sort(key=lambda line: (line.share, line.code))
    whole, without = (
        sum(line.activities for line in lines),
        sum(line.without_opportunity for line in lines),
    )
    return NonProjectShare(
        starts_on=start,
        ends_on=end,
        activities=whole,
        without_opportunity=without,
        share=without / whole if whole else None,
        warns=without < least * whole,
        customers=lines[:first],
    )


async def care(
    ctx: Context,
    settings: TierSettings,
    day: dt.date,
    condition: sa.ColumnElement[bool],
    first: int,
    *,
    outside: bool,
) -> list[CareLine]:
    """How often persons were contacted up to a day, against the band of their tier (F18)."""
    _check_first(first)
    check_day("as_of", day)
    start = day - dt.timedelta(days=settings.care_days - 1)
    contacts = (
        select(func.count(sa.distinct(Activity.id)))
        .join(ActivityParticipant, ActivityParticipant.activity_id == Activity.id)
        .where(
            ActivityParticipant.person_id == Person.id,
            ActivityParticipant.archived_at.is_(None),
            *_done(settings, start, day),
        )
        .correlate(Person, Office)
        .scalar_subquery()
    )
    persons = (
        select(
            Person.id,
            Person.name,
            Customer.id.label("customer_id"),
            Customer.name.label("customer"),
            tier_then(Customer, day).label("tier"),
            contacts.label("contacts"),
        )
        .join(Customer, Customer.id == Person.customer_id)
        .outerjoin(Office, Office.id == Customer.office_id)
        .where(condition, Person.archived_at.is_(None), Customer.archived_at.is_(None))
        .offset(0)
        .subquery("persons")
    )
    bands = {tier: getattr(settings, f"care_{tier.lower()}") for tier in Tier}
    low = sa.case(*((persons.c.tier == tier.value, band[0]) for tier, band in bands.items()))
    high = sa.case(*((persons.c.tier == tier.value, band[1]) for tier, band in bands.items()))
    found = sa.case(
        (persons.c.contacts < low, sa.literal(Care.UNDERCARE.value, sa.Text)),
        (persons.c.contacts > high, sa.literal(Care.OVERCARE.value, sa.Text)),
        else_=sa.literal(Care.IN_BAND.value, sa.Text),
    )
    wanted = select(*persons.c, low.label("low"), high.label("high"), found.label("care")).where(
        persons.c.tier.is_not(None)
    )
    if outside:
        wanted = wanted.where(found != Care.IN_BAND.value)
    ranks = sa.case(*((persons.c.tier == tier.value, n) for n, tier in enumerate(Tier)))
    rows = await ctx.db.execute(
        wanted.order_by(ranks, persons.c.contacts, persons.c.id).limit(first)
    )
    return [
        CareLine(
            person_id=global_id(Person, row.id),
            person=row.name,
            customer_id=global_id(Customer, row.customer_id),
            customer=row.customer,
            tier=Tier(row.tier),
            contacts=row.contacts,
            low=row.low,
            high=row.high,
            care=Care(row.care),
        )
        for row in rows
    ]
