"""Structured values of the relationships plugin."""

import datetime as dt

from guanxi_customers import ActivityKind, DecisionRole
from guanxi_relationships.choices import (
    EngagementReason,
    FindingCode,
    HandoverLack,
    MapEdgeKind,
    MapGap,
    MapNodeKind,
    PlanTaskKind,
    RelationshipGrade,
    RelationshipLack,
    Severity,
)
from guanxi_sdk import Value
from guanxi_tiers import Tier


class RelationshipPoint(Value):
    """The scores of one day: a point of a trend."""

    as_of: dt.date
    """Day whose facts counted."""

    key_score: float | None
    """Key relationships (关键客户关系), 0 to 100; null without a decision chain (F4)."""

    general_score: float | None
    """General relationships (普遍客户关系), 0 to 100; null without departments in scope (F5)."""

    organizational_score: float
    """Organizational relationship (组织客户关系), 0 to 100 (F6)."""

    relationship_score: float | None
    """All that the tier needs, in the ratio of the settings; null where a part is (F7)."""


class Relationship(Value):
    """How things stand with a customer on a day, and how they came to (domain rules F4 to F7)."""

    as_of: dt.date
    """Day whose facts counted."""

    tier: Tier | None
    """Tier on that day, which says what counts; null without one, or for want of `tiers.read`."""

    key_score: float | None
    """Key relationships (关键客户关系), 0 to 100; null without a decision chain (F4)."""

    general_score: float | None
    """General relationships (普遍客户关系), 0 to 100; null without departments in scope (F5)."""

    general_grade: RelationshipGrade | None
    """Grade of the general relationships (F5)."""

    organizational_score: float
    """Organizational relationship (组织客户关系), 0 to 100 (F6)."""

    organizational_grade: RelationshipGrade
    """Grade of the organizational relationship (F6)."""

    relationship_score: float | None
    """All that the tier needs, in the ratio of the settings; null where a part is (F7)."""

    lacks: list[RelationshipLack]
    """What the scores lack."""

    trend: list[RelationshipPoint]
    """The scores of earlier months on the same day of the month, the oldest first."""


class HandoverGap(Value):
    """One thing that a handover lacks before it can be completed."""

    lack: HandoverLack
    """What it lacks."""

    present: float | None
    """How much of it there is: days, visits, or a share of 1; null when unknown."""

    needed: float
    """How much of it is needed, by the settings."""

    message: str
    """The same as an English sentence."""

    message_zh: str
    """The same as a Chinese sentence."""


class PlanTask(Value):
    """Something that the review of a year's plan finds to be done."""

    task: PlanTaskKind
    """What is to be done."""

    person_id: str
    """Global id of the person with whom."""

    person_name: str
    """Name of that person."""

    message: str
    """The same as an English sentence."""

    message_zh: str
    """The same as a Chinese sentence."""


class RelationshipFinding(Value):
    """Something that endangers customers as an asset of the company, with its figures."""

    code: FindingCode
    """What it is."""

    severity: Severity
    """How bad it is."""

    customer_id: str | None
    """Global id of the customer it is about; null where it is about an employee or the company."""

    customer_name: str | None
    """Name of that customer."""

    employee_id: str | None
    """Global id of the employee it is about, if about one."""

    employee_name: str | None
    """Name of that employee."""

    figure: float
    """The figure that was found: months, employees, visits, or a share of 1."""

    threshold: float
    """The threshold of the settings that it passed."""

    message: str
    """The finding as an English sentence."""

    message_zh: str
    """The finding as a Chinese sentence."""


class MapNode(Value):
    """Somebody on the relationship map."""

    id: str
    """Global id of the person or of the employee."""

    kind: MapNodeKind
    """A person of the customer, or one of us."""

    name: str
    """Name."""

    title: str | None
    """Position."""

    rank: int | None
    """Rank inside the customer, or level inside our company: 1 to 5."""

    role: DecisionRole | None
    """The weightiest role in the chains shown; null for one of us."""

    level: int | None
    """Level as it was last assessed; null while nobody did, and for one of us."""

    effective_level: int | None
    """The level after decay (F3)."""

    last_contact_on: dt.date | None
    """Day of the last contact, if there was any."""

    gaps: list[MapGap]
    """What is wrong."""


class MapEdge(Value):
    """A line of the relationship map."""

    kind: MapEdgeKind
    """That the source influences the target, or that our employee meets the person."""

    source: str
    """Global id of the node where it begins."""

    target: str
    """Global id of the node where it ends."""

    meetings: int
    """How often they met in the days of the settings; 0 for an influence."""

    last_on: dt.date | None
    """When they met last."""


class RelationshipMap(Value):
    """Who decides at a customer, what they think of us, who influences whom, and whom we meet."""

    customer_id: str
    """Global id of the customer."""

    customer_name: str
    """Name of the customer."""

    as_of: dt.date
    """Day whose facts counted."""

    nodes: list[MapNode]
    """The people of the chains by role and rank, then ours by level."""

    edges: list[MapEdge]
    """Influences, then meetings."""

    svg: str
    """The map as a picture: an SVG document without scripts and without outer references."""

    mermaid: str
    """The map as a Mermaid flowchart, for documents."""


class EngagementWhy(Value):
    """One reason to meet somebody."""

    reason: EngagementReason
    """What it is."""

    weight: float
    """What it adds, before tier and role multiply the sum."""

    due_on: dt.date
    """Until when, for this reason."""

    message: str
    """The reason as an English sentence."""

    message_zh: str
    """The reason as a Chinese sentence."""


class Engagement(Value):
    """Who should meet whom until when, and why."""

    rank: int
    """Place in the order: 1 first."""

    score: float
    """What it is ranked by: the reasons' weights, times those of the tier and of the role."""

    customer_id: str
    """Global id of the customer."""

    customer_name: str
    """Name of the customer."""

    person_id: str
    """Global id of the person to be met."""

    person_name: str
    """Name of the person."""

    employee_id: str | None
    """Global id of the one of us who should go; null while nobody looks after the customer."""

    employee_name: str | None
    """Name of the one of us."""

    kind: ActivityKind
    """What to do: an executive call with whoever ranks high, else a visit."""

    due_on: dt.date
    """Until when."""

    why: list[EngagementWhy]
    """The reasons, the weightiest first."""
