"""Workdays: weeks by ISO 8601, public holidays of China, days that an enterprise names, leave.

The State Council announces holidays a year ahead, with Saturdays and Sundays that are worked
instead. What is not known yet goes by the days of the week, until an enterprise names its days.
"""

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

import chinese_calendar
import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy import func, select
from sqlalchemy.orm import Mapped

from guanxi_customers import Employee, Office
from guanxi_sdk import Model, column, reference
from guanxi_tiers.settings import TierSettings


class CalendarDay(Model):
    """A day that is worked, or is not, other than the calendar of the office has it (工作日历)."""

    office_id: Mapped[UUID | None] = reference(Office, reverse="calendar_days")
    """The office where it is so; null for all offices."""

    day: Mapped[dt.date] = column(indexed=True)
    """The day."""

    workday: Mapped[bool] = column(default=False)
    """Whether it is worked."""

    name: Mapped[Annotated[str, Meta(max_length=200)] | None]
    """What the day is called."""


class Leave(Model, within="employee"):
    """A time in which an employee does not work (休假)."""

    __table_args__ = (sa.CheckConstraint("ends_on >= starts_on", name="ends_after_start"),)

    employee_id: Mapped[UUID] = reference(Employee, reverse="leaves")
    """The employee."""

    starts_on: Mapped[dt.date] = column(indexed=True)
    """First day of leave."""

    ends_on: Mapped[dt.date] = column(indexed=True)
    """Last day of leave."""


def _worked_in_china(day: dt.date) -> bool:
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:  # before 2004, or not announced yet
        return day.weekday() < 5


def zone_of(office: Any, settings: TierSettings) -> sa.ColumnElement[str]:
    """The time zone of an office that may be none."""
    return func.coalesce(office.time_zone, sa.literal(settings.time_zone, sa.Text))


def local_day(time: Any, zone: sa.ColumnElement[str]) -> sa.ColumnElement[dt.date]:
    """The day of a time where the clocks show that of ``zone``."""
    return sa.cast(func.timezone(zone, time), sa.Date)


def workdays(settings: TierSettings, monday: dt.date) -> sa.Subquery:
    """How many days of a week each employee works: columns employee_id and workdays."""
    week = [monday + dt.timedelta(days=n) for n in range(7)]
    columns: list[Any] = [sa.column("day", sa.Date)]
    columns += [sa.column(name, sa.Boolean) for name in ("usual", "chinese")]
    rows = [(day, day.weekday() < 5, _worked_in_china(day)) for day in week]
    days = sa.values(*columns, name="days").data(rows)
    named = (
        select(CalendarDay.workday)
        .where(
            CalendarDay.day == days.c.day,
            CalendarDay.archived_at.is_(None),
            sa.or_(CalendarDay.office_id.is_(None), CalendarDay.office_id == Employee.office_id),
        )
        .order_by(CalendarDay.office_id.is_(None), CalendarDay.id.desc())
        .limit(1)
        .correlate(days, Employee)
        .scalar_subquery()
    )
    chinese = zone_of(Office, settings).in_(settings.chinese_time_zones)
    worked = func.coalesce(named, sa.case((chinese, days.c.chinese), else_=days.c.usual))
    away = (
        select(Leave.id)
        .where(
            Leave.employee_id == Employee.id,
            Leave.starts_on <= days.c.day,
            Leave.ends_on >= days.c.day,
            Leave.archived_at.is_(None),
        )
        .correlate(days, Employee)
        .exists()
    )
    works = sa.and_(worked, sa.not_(away))
    return (
        select(Employee.id.label("employee_id"), func.count().filter(works).label("workdays"))
        .select_from(Employee)
        .outerjoin(Office, Office.id == Employee.office_id)
        .join(days, sa.true())
        .group_by(Employee.id)
        .subquery("workdays")
    )
