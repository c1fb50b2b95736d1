"""What is erased with a person of a customer, or with one of our employees."""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from guanxi_customers.activities import ActivityParticipant
from guanxi_customers.customers import Customer, Person
from guanxi_customers.organisation import Employee
from guanxi_customers.stewardship import Stewardship
from guanxi_sdk import Erasure, Hindrance, Model

Answers = Sequence[Erasure | Hindrance]


def erasures(subject: type[Model], id: UUID, today: dt.date) -> Answers:
    """Who somebody was goes; that an activity, a purchase or a stewardship was somebody's stays."""
    if subject is Person:
        return [
            Erasure.blank(Person, Person.id == id),
            Erasure(ActivityParticipant, ActivityParticipant.person_id == id, "level"),
        ]
    if subject is Employee:
        return [
            _needs_a_successor(id, today),
            Erasure.blank(Employee, Employee.id == id, same="user_id"),
            Erasure(ActivityParticipant, ActivityParticipant.employee_id == id, "level"),
        ]
    # an employee who was that user is nobody's user any more
    return [Erasure(Employee, Employee.user_id == f"{subject.info.prefix}_{id}", "user_id")]


def _needs_a_successor(id: UUID, today: dt.date) -> Hindrance:
    """As for archiving: exactly one primary steward per customer (domain rule C4, 1)."""
    present = sa.select(Customer.id).where(Customer.archived_at.is_(None))
    return Hindrance(
        Stewardship,
        sa.and_(
            Stewardship.employee_id == id,
            Stewardship.is_primary,
            sa.or_(Stewardship.ends_on.is_(None), Stewardship.ends_on > today),
            Stewardship.archived_at.is_(None),
            Stewardship.customer_id.in_(present),
        ),
        "is still the primary steward of a customer: assign successors with assignSteward",
    )
