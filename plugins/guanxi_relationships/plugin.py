"""The relationships plugin: its manifest, and what it answers to the core."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from guanxi_relationships import erasing
from guanxi_relationships.assets import Handover, RotationProposal
from guanxi_relationships.events import (
    ChainChanged,
    HandoverAdvanced,
    LevelChanged,
    LevelClaimed,
    LevelClaimRejected,
    RelationshipPlanAdvanced,
    RotationProposed,
)
from guanxi_relationships.hooks import RelationshipHooks
from guanxi_relationships.judging import Judging
from guanxi_relationships.models import (
    ChainLink,
    ChainSeat,
    Cooperation,
    DecisionChain,
    LevelAssessment,
    LevelClaim,
    LevelEvidence,
)
from guanxi_relationships.owning import Owning
from guanxi_relationships.permissions import APPROVE, READ, REVIEW, WRITE
from guanxi_relationships.plans import LevelTarget, RelationshipAction, RelationshipPlan
from guanxi_relationships.scoring import Scoring
from guanxi_relationships.settings import RelationshipSettings
from guanxi_relationships.showing import Showing
from guanxi_relationships.yearly import Planning
from guanxi_sdk import Erasure, Invalid, Model, Plugin, hookimpl


class Relationships(
    Scoring,
    Judging,
    Planning,
    Owning,
    Showing,
    Plugin[RelationshipSettings],
    name="relationships",
    requires=["customers>=0.1,<1", "tiers>=0.1,<1"],
    models=[
        DecisionChain,
        ChainSeat,
        ChainLink,
        LevelClaim,
        LevelEvidence,
        LevelAssessment,
        Cooperation,
        RelationshipPlan,
        LevelTarget,
        RelationshipAction,
        Handover,
        RotationProposal,
    ],
    events=[
        ChainChanged,
        LevelClaimed,
        LevelClaimRejected,
        LevelChanged,
        RelationshipPlanAdvanced,
        HandoverAdvanced,
        RotationProposed,
    ],
    permissions=[READ, WRITE, REVIEW, APPROVE],
    hooks=[RelationshipHooks],
):
    """Key, general and organizational relationships (关键、普遍、组织客户关系) with customers."""

    @hookimpl(about=(Cooperation,))
    def write_errors(
        self, model: type[Model], verb: str, values: Mapping[str, Any]
    ) -> list[Invalid]:
        """Check the dates of cooperations."""
        start, end = values.get("starts_on"), values.get("ends_on")
        if start is not None and end is not None and end < start:
            return [Invalid("ends_on", "is before starts_on")]
        return []

    @hookimpl
    def erasures(self, subject: type[Model], id: UUID) -> Sequence[Erasure]:
        """What was thought of a person, what was planned with them, and who thought it."""
        return list(erasing.erasures(subject, id))
