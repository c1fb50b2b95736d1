"""What is erased with a person of a customer, or with a user."""

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from guanxi_customers import Employee, Person
from guanxi_relationships.assets import Handover, RotationProposal
from guanxi_relationships.models import (
    ChainLink,
    ChainSeat,
    LevelAssessment,
    LevelClaim,
    LevelEvidence,
)
from guanxi_relationships.plans import LevelTarget, RelationshipAction, RelationshipPlan
from guanxi_sdk import Erasure, Model

#: Columns that hold the id of a user who did something.
_USERS: Final[tuple[tuple[Any, str], ...]] = (
    (LevelClaim, "claimed_by"), (LevelClaim, "reviewed_by"),
    (LevelAssessment, "assessor"), (LevelAssessment, "reviewer"),
    (RelationshipPlan, "submitted_by"), (RelationshipPlan, "approved_by"),
    (RelationshipPlan, "claimed_by"), (RelationshipPlan, "confirmed_by"),
    (Handover, "proposed_by"), (Handover, "approved_by"),
)  # fmt: skip


def erasures(subject: type[Model], id: UUID) -> Iterator[Erasure]:
    """What others thought of a person goes whole; that somebody judged stays, not who it was."""
    if subject is Employee:
        given, taken = Handover.from_employee_id == id, Handover.to_employee_id == id
        yield Erasure(Handover, sa.or_(given, taken), "reason")
        yield Erasure(RotationProposal, RotationProposal.employee_id == id)
    if subject is Person:
        claims = sa.select(LevelClaim.id).where(LevelClaim.person_id == id)
        yield Erasure(LevelAssessment, LevelAssessment.person_id == id)
        yield Erasure(LevelEvidence, LevelEvidence.claim_id.in_(claims))
        yield Erasure(LevelClaim, LevelClaim.person_id == id)
        yield Erasure(ChainLink, sa.or_(ChainLink.source_id == id, ChainLink.target_id == id))
        yield Erasure(ChainSeat, ChainSeat.person_id == id)
        yield Erasure(LevelTarget, LevelTarget.person_id == id)
        yield Erasure(RelationshipAction, RelationshipAction.person_id == id, "purpose")
    user = f"{subject.info.prefix}_{id}"
    if subject.info.prefix == "user":
        for model, column in _USERS:
            yield Erasure(model, getattr(model, column) == user, column)
