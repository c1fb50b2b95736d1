"""Who looks after a customer, and the rule of the one primary steward (domain rule C4, 1)."""

import datetime as dt
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Mapped

from guanxi_customers.choices import Line
from guanxi_customers.customers import Customer
from guanxi_customers.organisation import Employee
from guanxi_sdk import (
    EVERY_ROW,
    Conflict,
    Context,
    Event,
    Invalid,
    Model,
    NotFound,
    column,
    reference,
)


class Stewardship(Model, within="customer", closed=("create", "update", "archive", "restore")):
    """The time during which an employee looks after a customer on one line (客户责任人).

    One steward of the customer line is the primary one; others help beside, for instance while one
    hands over to the next.
    """

    __table_args__ = (
        sa.CheckConstraint("ends_on >= starts_on", name="ends_after_start"),
        sa.CheckConstraint("NOT is_primary OR line = 'CUSTOMER'", name="primary_of_customer_line"),
        sa.Index(
            "uq_customers_stewardship_primary",
            "tenant_id",
            "customer_id",
            unique=True,
            postgresql_where=sa.text("is_primary AND ends_on IS NULL AND archived_at IS NULL"),
        ),
        sa.Index(
            "uq_customers_stewardship_employee",
            "tenant_id",
            "customer_id",
            "employee_id",
            "line",
            unique=True,
            postgresql_where=sa.text("ends_on IS NULL AND archived_at IS NULL"),
        ),
    )

    customer_id: Mapped[UUID] = reference(Customer, reverse="stewardships")
    """The customer who is looked after."""

    employee_id: Mapped[UUID] = reference(Employee, reverse="stewardships")
    """The employee who looks after the customer."""

    line: Mapped[Line] = column(default=Line.CUSTOMER)
    """Customer, product or delivery line."""

    starts_on: Mapped[dt.date] = column(indexed=True)
    """First day of the responsibility."""

    ends_on: Mapped[dt.date | None] = column(indexed=True)
    """Day from which the employee is no longer responsible; null while no end is known."""

    is_primary: Mapped[bool] = column(default=False)
    """Whether this is the one primary steward of the customer line."""


class StewardAssigned(Event):
    """A customer got a new primary steward."""

    customer_id: UUID
    employee_id: UUID
    former_employee_id: UUID | None
    starts_on: dt.date


class CoStewardAdded(Event):
    """An employee began to look after a customer beside the primary steward."""

    customer_id: UUID
    employee_id: UUID
    line: Line
    starts_on: dt.date


class CoStewardshipEnded(Event):
    """An employee no longer looks after a customer beside the primary steward."""

    customer_id: UUID
    employee_id: UUID
    line: Line
    ends_on: dt.date


async def _stewardships(ctx: Context, customer_id: UUID, line: Line) -> list[Stewardship]:
    """Lock the customer against a second assignment, then read the line's stewardships."""
    customer = await ctx.db.scalar(
        select(Customer).where(Customer.id == customer_id).with_for_update(key_share=True)
    )
    if customer is None:
        raise NotFound("customer_id")
    if customer.archived_at is not None:
        raise Invalid("customer_id", "is archived: restore the customer first")
    rows = await ctx.db.scalars(
        select(Stewardship).where(
            Stewardship.customer_id == customer_id,
            Stewardship.line == line,
            Stewardship.archived_at.is_(None),
        )
    )
    return sorted(rows, key=lambda row: (row.starts_on, row.ends_on or dt.date.max))


async def _check_employee(ctx: Context, employee_id: UUID) -> None:
    """The lock lets others assign the employee, and nobody archive one."""
    employee = await ctx.db.scalar(
        select(Employee).where(Employee.id == employee_id).with_for_update(read=True)
    )
    if employee is None:
        raise NotFound("employee_id")
    if employee.archived_at is not None:
        raise Invalid("employee_id", "is archived: choose somebody who still works here")


async def assign(ctx: Context, customer_id: UUID, employee_id: UUID, start: dt.date) -> Stewardship:
    """Make an employee the primary steward and end the former one's time on the same day.

    What was assigned for that day or later and has not begun is archived: the new one replaces it.
    """
    present = await _stewardships(ctx, customer_id, Line.CUSTOMER)
    await _check_employee(ctx, employee_id)
    today = ctx.today()
    chain = [row for row in present if row.is_primary]
    last = chain[-1] if chain and chain[-1].ends_on is None else None
    mine = last is not None and last.employee_id == employee_id
    if last is not None and mine and (last.starts_on <= today or last.starts_on == start):
        raise Invalid("employee_id", "is the primary steward already")
    replaced = [
        row
        for row in chain
        if row.starts_on > today and (row.starts_on >= start or (mine and row is last))
    ]
    former = next((row for row in reversed(chain) if row not in replaced), None)
    if former is not None and start < former.starts_on:
        raise Invalid("starts_on", f"is before {former.starts_on}, when the present steward began")
    adjoins = former is not None and replaced and former.ends_on == replaced[0].starts_on
    for row in replaced:
        row.archived_at = ctx.now()
    if former is not None and (adjoins or former.ends_on is None or former.ends_on > start):
        former.ends_on = start
    for row in present:
        if row.is_primary or row.employee_id != employee_id:
            continue
        if row.ends_on is None or row.ends_on > start:
            row.ends_on = max(start, row.starts_on)
    await ctx.db.flush()  # SQLAlchemy would insert the successor before it ends the former
    outgoing = former
    if former is not None and adjoins and former.employee_id == employee_id:
        stewardship, outgoing = former, replaced[-1]
        stewardship.ends_on = None
        await ctx.db.flush()
    else:
        stewardship = await ctx.add(
            Stewardship(
                customer_id=customer_id,
                employee_id=employee_id,
                line=Line.CUSTOMER,
                starts_on=start,
                is_primary=True,
            )
        )
    ctx.emit(
        StewardAssigned(
            customer_id=customer_id,
            employee_id=employee_id,
            former_employee_id=outgoing.employee_id if outgoing else None,
            starts_on=stewardship.starts_on,
        )
    )
    return stewardship


async def archive_employee(ctx: Context, employee_id: UUID, version: int | None) -> Employee:
    """Archive an employee who is no primary steward, now or later.

    Archived customers do not count: they get no successor until they are restored.
    """
    employee = await ctx.db.scalar(
        select(Employee).where(Employee.id == employee_id).with_for_update(key_share=True)
    )
    if employee is None:
        raise NotFound
    if version not in (None, employee.version):
        raise Conflict
    counted = await ctx.db.scalar(
        select(sa.func.count(sa.distinct(Stewardship.customer_id)))
        .join(Customer, Stewardship.customer_id == Customer.id)
        .where(
            Stewardship.employee_id == employee_id,
            Stewardship.is_primary,
            sa.or_(Stewardship.ends_on.is_(None), Stewardship.ends_on > ctx.today()),
            Stewardship.archived_at.is_(None),
            Customer.archived_at.is_(None),
        ),
        execution_options=EVERY_ROW,
    )
    if counted:
        customers = "1 customer" if counted == 1 else f"{counted} customers"
        raise Invalid(
            "id", f"is the primary steward of {customers}: assign successors with assignSteward"
        )
    if employee.archived_at is None:
        employee.archived_at = ctx.now()
        await ctx.db.flush()
    return employee


async def add_beside(
    ctx: Context, customer_id: UUID, employee_id: UUID, line: Line, start: dt.date
) -> Stewardship:
    """Let an employee look after the customer beside the primary steward."""
    present = await _stewardships(ctx, customer_id, line)
    await _check_employee(ctx, employee_id)
    if any(row.employee_id == employee_id and row.ends_on is None for row in present):
        raise Invalid("employee_id", "looks after this customer on this line already")
    stewardship = await ctx.add(
        Stewardship(customer_id=customer_id, employee_id=employee_id, line=line, starts_on=start)
    )
    ctx.emit(
        CoStewardAdded(customer_id=customer_id, employee_id=employee_id, line=line, starts_on=start)
    )
    return stewardship


async def end_beside(ctx: Context, stewardship_id: UUID, end: dt.date) -> Stewardship:
    """End a stewardship that is not the primary one."""
    stewardship = await ctx.get(Stewardship, stewardship_id, path="stewardship_id")
    if stewardship.is_primary:
        raise Invalid(
            "stewardship_id", "is the primary steward's: assign a successor with assignSteward"
        )
    if stewardship.ends_on is not None:
        raise Invalid("stewardship_id", f"has an end already, on {stewardship.ends_on}")
    if end < stewardship.starts_on:
        raise Invalid("ends_on", f"is before the start on {stewardship.starts_on}")
    stewardship.ends_on = end
    ctx.emit(
        CoStewardshipEnded(
            customer_id=stewardship.customer_id,
            employee_id=stewardship.employee_id,
            line=stewardship.line,
            ends_on=end,
        )
    )
    return stewardship


def in_force(day: sa.ColumnElement[dt.date]) -> sa.ColumnElement[bool]:
    """Stewardships that hold on a day."""
    return sa.and_(
        Stewardship.starts_on <= day,
        sa.or_(Stewardship.ends_on.is_(None), Stewardship.ends_on > day),
        Stewardship.archived_at.is_(None),
    )


def primary_name(customer: Any, day: sa.ColumnElement[dt.date]) -> sa.ColumnElement[Any]:
    """Name of the primary steward on a day, as an expression."""
    return (
        select(Employee.name)
        .join(Stewardship, Stewardship.employee_id == Employee.id)
        .where(Stewardship.customer_id == customer.id, Stewardship.is_primary, in_force(day))
        .scalar_subquery()
    )
