"""What happens to relationships."""

from uuid import UUID

from guanxi_relationships.choices import HandoverState, PlanState
from guanxi_sdk import Event


class LevelClaimed(Event):
    """Somebody claimed that a person's level rose; somebody else has to review it."""

    person_id: UUID
    claim_id: UUID
    level: int


class LevelClaimRejected(Event):
    """A claim about a person's level was rejected."""

    person_id: UUID
    claim_id: UUID


class LevelChanged(Event):
    """A person's level was assessed and is another one now (domain rule C4, invariant 4)."""

    person_id: UUID
    former: int | None
    level: int


class ChainChanged(Event):
    """Somebody took a seat in a decision chain, changed the role or left."""

    customer_id: UUID
    chain_id: UUID
    person_id: UUID


class RelationshipPlanAdvanced(Event):
    """A year's plan for a customer came one step further, or was returned (domain rule C2)."""

    customer_id: UUID
    plan_id: UUID
    state: PlanState


class HandoverAdvanced(Event):
    """A customer's handover came one step further, or was withdrawn (domain rule C2)."""

    customer_id: UUID
    handover_id: UUID
    state: HandoverState


class RotationProposed(Event):
    """Somebody has looked after a customer for so long that another office was proposed."""

    employee_id: UUID
    proposal_id: UUID
