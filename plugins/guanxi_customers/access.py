"""Who may see whose customers: what the scopes of a permission mean here.

An employee who is a user of the platform sees as that user. ``own`` are the customers whom the
employee looks after today, ``team`` those of the employee and of everybody who reports to them,
directly or not (上级), ``office`` those whom the employee's office serves.
"""

import re
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from guanxi_customers.organisation import Employee
from guanxi_customers.stewardship import Stewardship, in_force
from guanxi_sdk import Ambient, Conflict, Context, Forbidden, Invalid, Permission, Scope

_USER: Final = re.compile(r"user_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _user(ambient: Ambient) -> sa.ColumnElement[str]:
    """The global id of the user who asks."""
    return sa.literal("user_", sa.Text).concat(sa.cast(ambient.user_id, sa.Text))


def _caller(ambient: Ambient) -> sa.ColumnElement[bool]:
    """The employee who asks."""
    return sa.and_(Employee.user_id == _user(ambient), Employee.archived_at.is_(None))


def _team(ambient: Ambient) -> sa.Select[tuple[UUID]]:
    """The employee who asks and everybody below them; a circle of supervisors ends by itself."""
    team = sa.select(Employee.id).where(_caller(ambient)).cte(recursive=True)
    report = aliased(Employee)
    below = sa.select(report.id).join(team, report.supervisor_id == team.c.id)
    team = team.union(below)
    return sa.select(team.c.id)


def customers_of(customer: Any, scope: Scope, ambient: Ambient) -> sa.ColumnElement[bool]:
    """The customers that a scope takes in."""
    if scope is Scope.OFFICE:
        offices = sa.select(Employee.office_id).where(_caller(ambient))
        return sa.cast(customer.office_id.in_(offices), sa.Boolean)
    if scope is Scope.OWN:
        stewards: Any = sa.select(Employee.id).where(_caller(ambient))
    else:
        stewards = _team(ambient)
    return sa.exists(
        sa.select(Stewardship.id).where(
            Stewardship.customer_id == customer.id,
            Stewardship.employee_id.in_(stewards),
            in_force(ambient.today),
        )
    )


def leaving(ambient: Ambient) -> sa.ColumnElement[bool]:
    """Whether who asks is an employee who has filed notice, or who has left (C4, invariant 2)."""
    return sa.exists(
        sa.select(Employee.id).where(
            Employee.user_id == _user(ambient),
            sa.or_(Employee.notice_filed, Employee.archived_at.is_not(None)),
        )
    )


async def link(
    ctx: Context, permission: Permission, employee_id: UUID, user_id: str | None
) -> Employee:
    """Say which user an employee is, or that it is none."""
    if Scope.ALL not in ctx.caller.rights.scopes(permission.name):
        raise Forbidden(permission.name)  # it decides about the rights of others
    employee = await ctx.get(Employee, employee_id, path="employee_id")
    if user_id is not None:
        if not _USER.fullmatch(user_id):
            raise Invalid("user_id", "is no id of a user, such as user_0198…")
        taken = sa.select(Employee.id).where(
            Employee.user_id == user_id, Employee.id != employee_id
        )
        if await ctx.db.scalar(taken):
            raise Conflict("user_id", "is another employee already")
    employee.user_id = user_id
    await ctx.db.flush()
    return employee
