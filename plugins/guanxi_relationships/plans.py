"""What a year's plan for a customer holds: scores, levels and actions aimed at."""

import datetime as dt
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy.orm import Mapped

from guanxi_customers import ActivityKind, Customer, Employee, Person
from guanxi_relationships.choices import PlanState
from guanxi_relationships.models import EVERY_VERB, Level, Sentence, Short
from guanxi_sdk import Confidentiality, Model, column, reference

Score = Annotated[float, Meta(ge=0, le=100)]
Year = Annotated[int, Meta(ge=2000, le=2100)]


class RelationshipPlan(Model, within="customer", closed=EVERY_VERB):
    """What is to become of the relationship with a customer in a year (客户关系规划; rule C2)."""

    __table_args__ = (sa.UniqueConstraint("tenant_id", "customer_id", "year"),)

    customer_id: Mapped[UUID] = reference(Customer, reverse="relationship_plans")
    """The customer for whom it is made."""

    year: Mapped[Year] = column(indexed=True)
    """The calendar year."""

    state: Mapped[PlanState] = column(indexed=True, default=PlanState.DRAFT)
    """How far it has come."""

    key_target: Mapped[Score | None]
    """Score of key relationships to be reached (F4)."""

    general_target: Mapped[Score | None]
    """Score of general relationships to be reached (F5)."""

    organizational_target: Mapped[Score | None]
    """Score of the organizational relationship to be reached (F6)."""

    submitted_by: Mapped[Short | None]
    """Id of the user who submitted it."""

    approved_by: Mapped[Short | None]
    """Id of the user who approved it, somebody else."""

    claimed_by: Mapped[Short | None]
    """Id of the user who claimed that it was done."""

    confirmed_by: Mapped[Short | None]
    """Id of the user who confirmed that it was done, somebody else."""

    returned_because: Mapped[Sentence | None]
    """Why it was last returned, if it was."""


class LevelTarget(Model, within="plan", closed=EVERY_VERB):
    """The level that a person is to have by the end of a plan (domain rule C4, invariant 5)."""

    __table_args__ = (sa.UniqueConstraint("tenant_id", "plan_id", "person_id"),)

    plan_id: Mapped[UUID] = reference(RelationshipPlan, reverse="level_targets")
    """The plan."""

    person_id: Mapped[UUID] = reference(Person, reverse="level_targets")
    """The person."""

    level: Mapped[Level]
    """The level aimed at."""

    reached_on: Mapped[dt.date | None]
    """Day of the evidence that it was reached; the level changes when the plan is confirmed."""

    evidence: Mapped[Sentence | None] = column(confidentiality=Confidentiality.CONFIDENTIAL)
    """What speaks for it."""


class RelationshipAction(Model, within="plan", closed=EVERY_VERB):
    """Something that a plan intends to do (domain rule C1)."""

    plan_id: Mapped[UUID] = reference(RelationshipPlan, reverse="actions")
    """The plan."""

    kind: Mapped[ActivityKind] = column(indexed=True)
    """What is to be done."""

    due_on: Mapped[dt.date] = column(indexed=True)
    """Until when."""

    purpose: Mapped[Sentence]
    """What for."""

    person_id: Mapped[UUID | None] = reference(Person, reverse="planned_actions")
    """With whom at the customer."""

    employee_id: Mapped[UUID | None] = reference(Employee, reverse="planned_actions")
    """Who is to do it."""
