"""What was done with customers, and who took part."""

import datetime as dt
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy.orm import Mapped

from guanxi_customers.choices import ActivityKind, ActivityStatus
from guanxi_customers.customers import Customer, Person
from guanxi_customers.organisation import Employee, FiveSteps
from guanxi_sdk import Model, Money, column, reference

_UNIQUE = "uq_customers_activity_participant"  # the conventional names would be too long


class Activity(Model, within="customer"):
    """Something done, or to be done, with a customer (客户活动)."""

    __table_args__ = (
        sa.CheckConstraint("status <> 'DONE' OR done_at IS NOT NULL", name="done_has_a_time"),
    )  # fmt: skip

    customer_id: Mapped[UUID] = reference(Customer, reverse="activities")
    """The customer with whom it is done."""

    kind: Mapped[ActivityKind] = column(indexed=True)
    """What is done: one of the five means of one-five-one, or a visit, a call, a meal, a gift."""

    subject: Mapped[str]
    """What it is about."""

    status: Mapped[ActivityStatus] = column(indexed=True, default=ActivityStatus.PLANNED)
    """Planned, done or cancelled."""

    planned_on: Mapped[dt.date | None] = column(indexed=True)
    """Day for which it is planned."""

    done_at: Mapped[dt.datetime | None] = column(indexed=True)
    """When it was done."""

    cost: Mapped[Money | None]
    """What it cost."""

    outcome: Mapped[Annotated[str, Meta(max_length=10_000)] | None]
    """What came of it."""


class ActivityParticipant(Model, within="activity"):
    """Somebody who took part in an activity: a person of the customer or one of our employees."""

    __table_args__ = (
        sa.CheckConstraint("num_nonnulls(person_id, employee_id) = 1", name="person_or_employee"),
        sa.UniqueConstraint("tenant_id", "activity_id", "person_id", name=f"{_UNIQUE}_person"),
        sa.UniqueConstraint("tenant_id", "activity_id", "employee_id", name=f"{_UNIQUE}_employee"),
    )

    activity_id: Mapped[UUID] = reference(Activity, reverse="participants")
    """The activity in which somebody took part."""

    person_id: Mapped[UUID | None] = reference(Person, reverse="participations")
    """The person of the customer; null for one of our employees."""

    employee_id: Mapped[UUID | None] = reference(Employee, reverse="participations")
    """Our employee; null for a person of the customer."""

    level: Mapped[FiveSteps | None]
    """Rank of the participant at that time, 1 to 5 (domain rule F10)."""
