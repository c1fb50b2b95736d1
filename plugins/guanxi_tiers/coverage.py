"""Coverage: whether each manager visits enough general customers a week (domain rules F2, 002-06).

Account and product managers are looked at, each by themselves, and whoever looks after customers on
these lines in that week.
"""

import datetime as dt
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.orm import Mapped

from guanxi_customers import (
    Activity,
    ActivityKind,
    ActivityParticipant,
    ActivityStatus,
    Customer,
    Employee,
    Line,
    Office,
    Stewardship,
)
from guanxi_sdk import Context, Model, column, global_id, reference
from guanxi_tiers.choices import Tier
from guanxi_tiers.days import check_day, monday_of, week_label
from guanxi_tiers.events import CoverageCounted
from guanxi_tiers.history import tier_on
from guanxi_tiers.models import Standing
from guanxi_tiers.rows import id_of
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.values import CoverageLine
from guanxi_tiers.workdays import local_day, workdays, zone_of

_LINES = (Line.CUSTOMER, Line.PRODUCT)


class WeeklyCoverage(Model, within="employee", closed=("create", "update", "archive", "restore")):
    """How many general customers an employee visited in a week, as counted when it was over."""

    employee_id: Mapped[UUID] = reference(Employee, reverse="weekly_coverages")
    """The employee."""

    week_of: Mapped[dt.date] = column(indexed=True)
    """Monday of the week."""

    workdays: Mapped[int]
    """Days on which the employee worked."""

    quota: Mapped[int]
    """How many general customers were to be visited."""

    visited: Mapped[int]
    """How many different general customers were visited."""

    short: Mapped[int] = column(indexed=True)
    """How many are missing; 0 where the quota is met."""


def tier_then(customer: Any, day: dt.date) -> sa.ColumnElement[Any]:
    """A customer's tier on a day; the present one for whoever had none yet."""
    now = select(Standing.tier).where(Standing.id == customer.id).scalar_subquery()
    then = tier_on(customer.id, sa.literal(day, sa.Date))
    return func.coalesce(sa.cast(then, sa.Text), sa.cast(now, sa.Text))


def _visited(settings: TierSettings, monday: dt.date) -> sa.Subquery:
    """Different general customers whom each employee visited in a week, by the office's clock."""
    sunday = monday + dt.timedelta(days=6)
    day = local_day(Activity.done_at, zone_of(Office, settings))
    start = dt.datetime.combine(monday, dt.time(), dt.UTC)
    near = Activity.done_at.between(start - dt.timedelta(days=1), start + dt.timedelta(days=8))
    visits = (
        select(ActivityParticipant.employee_id, Activity.customer_id)
        .join(Activity, Activity.id == ActivityParticipant.activity_id)
        .join(Employee, Employee.id == ActivityParticipant.employee_id)
        .outerjoin(Office, Office.id == Employee.office_id)
        .where(
            near,
            day.between(monday, sunday),
            Activity.kind == ActivityKind.VISIT,
            Activity.status == ActivityStatus.DONE,
            Activity.archived_at.is_(None),
            ActivityParticipant.archived_at.is_(None),
        )
        .distinct()
        .subquery("visits")
    )
    return (
        select(visits.c.employee_id, func.count().label("visited"))
        .join(Customer, Customer.id == visits.c.customer_id)
        .where(tier_then(Customer, sunday) == Tier.C.value)
        .group_by(visits.c.employee_id)
        .subquery("visited")
    )


def _counts(
    settings: TierSettings, monday: dt.date, condition: sa.ColumnElement[bool]
) -> sa.Select[*tuple[Any, ...]]:
    worked = workdays(settings, monday)
    visited = _visited(settings, monday)
    sunday = monday + dt.timedelta(days=6)
    steward = select(Stewardship.id).where(
        Stewardship.employee_id == Employee.id,
        Stewardship.line.in_(_LINES),
        Stewardship.starts_on <= sunday,
        sa.or_(Stewardship.ends_on.is_(None), Stewardship.ends_on > monday),
        Stewardship.archived_at.is_(None),
    )
    full = settings.visit_workdays
    share = (settings.visit_quota * worked.c.workdays + full - 1) // full  # rounded up
    quota = sa.cast(func.least(share, settings.visit_quota), sa.Integer)
    count = sa.cast(func.coalesce(visited.c.visited, 0), sa.Integer)
    return (
        select(
            Employee.id.label("employee_id"),
            Employee.name,
            Office.name.label("office"),
            sa.cast(worked.c.workdays, sa.Integer).label("workdays"),
            quota.label("quota"),
            count.label("visited"),
            func.greatest(quota - count, 0).label("short"),
        )
        .join(worked, worked.c.employee_id == Employee.id)
        .outerjoin(visited, visited.c.employee_id == Employee.id)
        .outerjoin(Office, Office.id == Employee.office_id)
        .where(
            condition,
            Employee.archived_at.is_(None),
            sa.or_(Employee.line.in_(_LINES), steward.exists()),
        )
        .order_by(func.greatest(quota - count, 0).desc(), Employee.code)
    )


async def coverage(
    ctx: Context, settings: TierSettings, week: dt.date, condition: sa.ColumnElement[bool]
) -> list[CoverageLine]:
    """Each manager's visits of the ISO week of a day, those who are furthest behind first."""
    check_day("week", week)
    monday = monday_of(week)
    rows = await ctx.db.execute(_counts(settings, monday, condition))
    return [
        CoverageLine(
            employee_id=global_id(Employee, row.employee_id),
            employee=row.name,
            office=row.office,
            week=week_label(monday),
            workdays=row.workdays,
            quota=row.quota,
            visited=row.visited,
            short=row.short,
            met=row.short == 0,
        )
        for row in rows
    ]


async def keep_coverage(ctx: Context, settings: TierSettings) -> None:
    """Keep the figures of the week that is over, and tell that they are there."""
    monday = monday_of(ctx.today()) - dt.timedelta(days=7)
    counts = _counts(settings, monday, sa.true()).subquery("counts")
    week = sa.literal(monday, sa.Date)
    rows = await ctx.db.execute(
        select(
            id_of(counts.c.employee_id, week).label("id"),
            *(counts.c[name] for name in ("employee_id", "workdays", "quota", "visited", "short")),
        )
    )
    kept = [{**row._mapping, "week_of": monday} for row in rows]
    await ctx.save_many(WeeklyCoverage, kept)
    behind = sum(row["short"] > 0 for row in kept)
    ctx.emit(CoverageCounted(week_of=monday, employees=len(kept), behind=behind))
