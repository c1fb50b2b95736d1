"""What the plugin keeps: decision chains, levels of persons, cooperation of organizations."""

import datetime as dt
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy.orm import Mapped

from guanxi_customers import Activity, Customer, DecisionRole, Person
from guanxi_relationships.choices import ChainKind, ClaimState, CooperationKind
from guanxi_sdk import Confidentiality, Model, column, reference

Level = Annotated[int, Meta(ge=-1, le=3)]
Short = Annotated[str, Meta(max_length=100)]
Sentence = Annotated[str, Meta(max_length=2_000)]
EVERY_VERB = ("create", "update", "archive", "restore")


class DecisionChain(Model, within="customer"):
    """Who decides at a customer, technically, commercially or overall (决策链; domain rule B4).

    A standing chain counts for the customer's key relationships; that of an opportunity for itself.
    """

    __table_args__ = (
        sa.Index(
            "uq_relationships_decision_chain_standing",
            "tenant_id",
            "customer_id",
            "kind",
            unique=True,
            postgresql_where=sa.text("opportunity IS NULL AND archived_at IS NULL"),
        ),
        sa.Index(
            "uq_relationships_decision_chain_opportunity",
            "tenant_id",
            "customer_id",
            "kind",
            "opportunity",
            unique=True,
            postgresql_where=sa.text("archived_at IS NULL"),
        ),
    )

    customer_id: Mapped[UUID] = reference(Customer, reverse="decision_chains")
    """The customer who decides."""

    kind: Mapped[ChainKind] = column(indexed=True)
    """Overall, technical or commercial."""

    opportunity: Mapped[Short | None] = column(indexed=True)
    """The opportunity that is decided about, by its code; null for the standing chain."""


class ChainSeat(Model, within="chain", closed=EVERY_VERB):
    """The time during which a person has a role in a decision chain (domain rule B4)."""

    __table_args__ = (
        sa.CheckConstraint("ends_on >= starts_on", name="ends_after_start"),
        sa.CheckConstraint("role <> 'NONE'", name="has_a_role"),
        sa.Index(
            "uq_relationships_chain_seat_person",
            "tenant_id",
            "chain_id",
            "person_id",
            unique=True,
            postgresql_where=sa.text("ends_on IS NULL"),
        ),
    )

    chain_id: Mapped[UUID] = reference(DecisionChain, reverse="seats")
    """The chain in which the person sits."""

    person_id: Mapped[UUID] = reference(Person, reverse="chain_seats")
    """Who sits there."""

    role: Mapped[DecisionRole] = column(indexed=True)
    """Approver, decider, supporter, evaluator or influencer (审批, 决策, 支撑, 评估, 影响)."""

    starts_on: Mapped[dt.date]
    """First day in the role."""

    ends_on: Mapped[dt.date | None] = column(indexed=True)
    """Day from which the person no longer has the role; null while no end is known."""


class ChainLink(Model, within="chain", closed=("create", "update", "restore")):
    """That one person in a decision chain influences another (domain rule C1: edges)."""

    __table_args__ = (
        sa.Index(
            "uq_relationships_chain_link",
            "tenant_id",
            "chain_id",
            "source_id",
            "target_id",
            unique=True,
            postgresql_where=sa.text("archived_at IS NULL"),
        ),
    )

    chain_id: Mapped[UUID] = reference(DecisionChain, reverse="links")
    """The chain in which it is so."""

    source_id: Mapped[UUID] = reference(Person, reverse="influences")
    """Who influences."""

    target_id: Mapped[UUID] = reference(Person, reverse="influenced_by")
    """Who is influenced."""


class LevelClaim(Model, within="person", closed=EVERY_VERB):
    """Somebody's claim that a person has a level (domain rule C4, invariant 4).

    A rise takes dated evidence and somebody else who reviews it; anything else is recorded at once.
    """

    __table_args__ = (
        sa.CheckConstraint("level BETWEEN -1 AND 3", name="level_of_five"),
        sa.Index(
            "uq_relationships_level_claim_pending",
            "tenant_id",
            "person_id",
            unique=True,
            postgresql_where=sa.text("state = 'PENDING'"),
        ),
    )

    person_id: Mapped[UUID] = reference(Person, reverse="level_claims")
    """About whom."""

    level: Mapped[Level]
    """3 coach (教练), 2 strong support, 1 support, 0 neutral, −1 does not recognise us."""

    former_level: Mapped[Level | None]
    """The level at the time of the claim; null while nobody had assessed it."""

    state: Mapped[ClaimState] = column(indexed=True, default=ClaimState.PENDING)
    """Whether it waits for a review, and how that ended."""

    claimed_by: Mapped[Short] = column(indexed=True)
    """Id of the user who claimed it."""

    claimed_on: Mapped[dt.date]
    """Day of the claim."""

    reviewed_by: Mapped[Short | None]
    """Id of the user who reviewed it, somebody else."""

    reviewed_on: Mapped[dt.date | None]
    """Day of the review."""

    remark: Mapped[Sentence | None] = column(confidentiality=Confidentiality.CONFIDENTIAL)
    """What the reviewer remarked."""


class LevelEvidence(Model, within="claim", append_only=True):
    """Something that speaks for a claim, with its day (domain rule C4, invariant 4)."""

    claim_id: Mapped[UUID] = reference(LevelClaim, reverse="evidence")
    """The claim for which it speaks."""

    happened_on: Mapped[dt.date]
    """Day on which it happened."""

    what: Mapped[Sentence] = column(confidentiality=Confidentiality.CONFIDENTIAL)
    """What the person said or did."""

    activity_id: Mapped[UUID | None] = reference(Activity)
    """The activity in which it happened, if in one."""


class LevelAssessment(Model, within="person", append_only=True):
    """A person's level from a day on, kept for ever (domain rules B4, C4, invariant 4)."""

    __table_args__ = (
        sa.CheckConstraint("level BETWEEN -1 AND 3", name="level_of_five"),
        sa.Index(
            "ix_relationships_level_assessment_last", "tenant_id", "person_id", "assessed_on", "id"
        ),
    )

    person_id: Mapped[UUID] = reference(Person, reverse="level_assessments")
    """Whose level."""

    level: Mapped[Level]
    """3 coach (教练), 2 strong support, 1 support, 0 neutral, −1 does not recognise us."""

    former_level: Mapped[Level | None]
    """The level before; null for the first assessment."""

    assessed_on: Mapped[dt.date]
    """Day from which the level counts: that of the review where one was needed."""

    assessor: Mapped[Short]
    """Id of the user who assessed it."""

    reviewer: Mapped[Short | None]
    """Id of the user who reviewed it, somebody else; null where no review was needed."""

    claim_id: Mapped[UUID] = reference(LevelClaim)
    """The claim from which it came, with its evidence."""


class Cooperation(Model, within="customer", plural="cooperations"):
    """An agreement, joint planning or joint innovation with a customer (domain rule F6)."""

    __table_args__ = (sa.CheckConstraint("ends_on >= starts_on", name="ends_after_start"),)

    customer_id: Mapped[UUID] = reference(Customer, reverse="cooperations")
    """With whom."""

    kind: Mapped[CooperationKind] = column(indexed=True)
    """What it is."""

    subject: Mapped[str]
    """What it is about."""

    starts_on: Mapped[dt.date]
    """First day."""

    ends_on: Mapped[dt.date | None] = column(indexed=True)
    """Day from which it no longer holds; null while no end is known."""
