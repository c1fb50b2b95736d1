"""Who decides at a customer, what they think of us, who was met, and what is still to be done."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from uuid_utils.compat import uuid7

from guanxi_customers import ActivityParticipant, DecisionRole
from guanxi_relationships import (
    ChainKind,
    ChainSeat,
    ClaimState,
    Cooperation,
    CooperationKind,
    DecisionChain,
    LevelAssessment,
    LevelClaim,
)
from guanxi_sdk import Model
from guanxi_tiers import ObligationState, Requirement, Tier, TierObligation

TABLES: Final[tuple[type[Model], ...]] = (
    DecisionChain, ChainSeat, LevelClaim, LevelAssessment, ActivityParticipant, Cooperation,
    TierObligation,
)  # fmt: skip
#: Reasons of a tier, as their column holds them.
REASONS: Final = json.dumps(
    [
        {"code": "SCORE", "message": "The score is 72.5 of 100.", "message_zh": "得分为72.5"},
        {
            "code": "MISSING",
            "message": "Nobody assessed influence.",
            "message_zh": "影响力未评估。",
        },
    ]
)
_ROLES: Final = (DecisionRole.A, DecisionRole.D, DecisionRole.I)
_OPEN: Final = (Requirement.REVIEW, Requirement.CONTACT, Requirement.KEY_PERSON_PLAN)
_DAY: Final = dt.date(2025, 1, 1)
_END: Final = dt.date(2025, 12, 31)


def relate(
    rows: Mapping[type, list[dict[str, Any]]],
    customer_id: UUID,
    people: Sequence[Mapping[str, Any]],
    activities: Sequence[Mapping[str, Any]],
) -> None:
    """Add three key persons with levels, a contact in each activity, and open obligations."""
    chain = uuid7()
    rows[DecisionChain].append({"id": chain, "customer_id": customer_id, "kind": ChainKind.OVERALL})
    for level, (person, role) in enumerate(zip(people, _ROLES, strict=False), 1):
        of = {"id": uuid7(), "person_id": person["id"]}
        rows[ChainSeat].append({**of, "chain_id": chain, "role": role, "starts_on": _DAY})
        claim = {
            **of, "level": level, "state": ClaimState.RECORDED, "claimed_by": "user_x",
            "claimed_on": _DAY,
        }  # fmt: skip
        rows[LevelClaim].append(claim)
        rows[LevelAssessment].append(
            {
                **of, "level": level, "assessed_on": _DAY, "assessor": "user_x",
                "claim_id": claim["id"],
            }
        )  # fmt: skip
    for person, activity in zip(people, activities, strict=True):
        rows[ActivityParticipant].append(
            {"id": uuid7(), "activity_id": activity["id"], "person_id": person["id"]}
        )
    rows[Cooperation].append(
        {
            "id": uuid7(), "customer_id": customer_id, "kind": CooperationKind.AGREEMENT,
            "subject": "框架协议", "starts_on": _DAY,
        }
    )  # fmt: skip
    rows[TierObligation] += [
        {
            "id": uuid7(), "customer_id": customer_id, "tier": Tier.B, "requirement": requirement,
            "starts_on": _DAY, "ends_on": _END, "due_on": _END, "state": ObligationState.OPEN,
        }
        for requirement in _OPEN
    ]  # fmt: skip
