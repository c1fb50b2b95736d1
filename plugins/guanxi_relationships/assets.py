"""What keeps customers an asset of the company: handovers and rotations (rules 000-07, C2)."""

import datetime as dt
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from guanxi_customers import Customer, Employee, Office
from guanxi_relationships.choices import HandoverState, RotationState
from guanxi_relationships.models import EVERY_VERB, Sentence, Short
from guanxi_sdk import Model, column, reference


class Handover(Model, within="customer", closed=EVERY_VERB):
    """A customer's way from one steward to the next (交接; domain rule C2)."""

    __table_args__ = (
        sa.Index(
            "uq_relationships_handover_open",
            "tenant_id",
            "customer_id",
            unique=True,
            postgresql_where=sa.text("state NOT IN ('COMPLETED', 'WITHDRAWN')"),
        ),
    )

    customer_id: Mapped[UUID] = reference(Customer, reverse="handovers")
    """Who is handed over."""

    from_employee_id: Mapped[UUID] = reference(Employee, reverse="handovers_given")
    """The primary steward who hands over."""

    to_employee_id: Mapped[UUID] = reference(Employee, reverse="handovers_taken")
    """The employee who becomes the primary steward."""

    state: Mapped[HandoverState] = column(indexed=True, default=HandoverState.PROPOSED)
    """How far it has come."""

    reason: Mapped[Sentence]
    """Why the customer is handed over."""

    proposed_by: Mapped[Short]
    """Id of the user who proposed it."""

    approved_by: Mapped[Short | None]
    """Id of the user who approved it, somebody else."""

    overlap_from: Mapped[dt.date | None]
    """First day on which both look after the customer."""

    completed_on: Mapped[dt.date | None]
    """Day from which the new steward alone does."""


class RotationProposal(Model, closed=EVERY_VERB):
    """A proposal that an employee move to another office (轮岗); it moves nobody (C5, 26)."""

    __table_args__ = (
        sa.Index(
            "uq_relationships_rotation_proposal_open",
            "tenant_id",
            "employee_id",
            unique=True,
            postgresql_where=sa.text("state = 'PROPOSED'"),
        ),
    )

    employee_id: Mapped[UUID] = reference(Employee, reverse="rotation_proposals")
    """Who is to move."""

    from_office_id: Mapped[UUID | None] = reference(Office)
    """From where."""

    to_office_id: Mapped[UUID | None] = reference(Office)
    """To where: the other office with the fewest employees; null where there is no other."""

    tenure_months: Mapped[int]
    """For how many months the employee had looked after some customer."""

    proposed_on: Mapped[dt.date]
    """Day of the proposal."""

    state: Mapped[RotationState] = column(indexed=True, default=RotationState.PROPOSED)
    """What became of it."""

    answered_on: Mapped[dt.date | None]
    """Day of the answer."""

    answer: Mapped[Sentence | None]
    """What was answered."""
