"""The relationship map of one customer: people, levels, influence, meetings, gaps."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from guanxi_customers import (
    Activity,
    ActivityParticipant,
    Customer,
    DecisionRole,
    Employee,
    Person,
)
from guanxi_relationships import drawing, scores
from guanxi_relationships.choices import ChainKind, MapEdgeKind, MapGap, MapNodeKind
from guanxi_relationships.findings import CUSTOMERS_READ
from guanxi_relationships.models import ChainLink, ChainSeat, DecisionChain
from guanxi_relationships.settings import RelationshipSettings
from guanxi_relationships.values import MapEdge, MapNode, RelationshipMap
from guanxi_sdk import Context, global_id
from guanxi_tiers import check_day

#: The order in which roles are shown.
ROLES: Final[tuple[DecisionRole, ...]] = tuple(
    role for role in DecisionRole if role is not DecisionRole.NONE
)


async def relationship_map(
    ctx: Context,
    settings: RelationshipSettings,
    customer_id: UUID,
    as_of: dt.date,
    kind: ChainKind | None,
    opportunity: str | None,
) -> RelationshipMap:
    """Everything about the people of a customer's chains on a day."""
    ctx.require(CUSTOMERS_READ)
    check_day("as_of", as_of)
    customer = await ctx.get(Customer, customer_id, path="customer_id")
    day = sa.literal(as_of, sa.Date)
    chains = sa.and_(
        DecisionChain.customer_id == customer_id,
        DecisionChain.archived_at.is_(None),
        sa.true() if kind is None else DecisionChain.kind == kind,
        DecisionChain.opportunity.is_(None)
        if opportunity is None
        else DecisionChain.opportunity == opportunity,
    )
    met = await _meetings(ctx, settings, customer_id, day)
    people = await _people(ctx, settings, chains, day, met)
    shown = {node.id for node in people}
    meetings = [edge for edge, _ in met if edge.target in shown]
    goers = {edge.source for edge in meetings}
    employees = {node.id: node for _, node in met if node.id in goers}
    nodes = [*people, *sorted(employees.values(), key=lambda n: (-(n.rank or 0), n.name, n.id))]
    edges = [*await _influences(ctx, chains, shown), *meetings]
    title = f"{customer.name} · {as_of}"
    return RelationshipMap(
        customer_id=global_id(Customer, customer_id),
        customer_name=customer.name,
        as_of=as_of,
        nodes=nodes,
        edges=edges,
        svg=drawing.svg(title, nodes, edges),
        mermaid=drawing.mermaid(title, nodes, edges),
    )


async def _people(
    ctx: Context,
    settings: RelationshipSettings,
    chains: sa.ColumnElement[bool],
    day: scores.Day,
    met: list[tuple[MapEdge, MapNode]],
) -> list[MapNode]:
    """The people of the chains, each with the first of their roles."""
    outer, setting = (Person,), scores.given(settings)
    roles = func.array_agg(sa.cast(ChainSeat.role, sa.Text), type_=sa.ARRAY(sa.Text))
    rows = await ctx.db.execute(
        select(
            Person.id, Person.name, Person.title, Person.rank,
            roles.label("roles"),
            scores.level(Person.id, day, outer).label("level"),
            scores.effective_level(Person.id, day, setting, outer).label("effective"),
            scores.last_contact_on(Person.id, day, outer).label("contact"),
        )
        .join(ChainSeat, ChainSeat.person_id == Person.id)
        .join(DecisionChain, ChainSeat.chain_id == DecisionChain.id)
        .where(chains, ChainSeat.archived_at.is_(None), scores.in_force(day))
        .group_by(Person.id, Person.name, Person.title, Person.rank)
    )  # fmt: skip
    ranks: dict[str, list[int | None]] = {}
    for edge, node in met:
        ranks.setdefault(edge.target, []).append(node.rank)
    found = [_person(row, ranks, settings) for row in rows]
    order = {role: place for place, role in enumerate(ROLES)}
    return sorted(found, key=lambda n: (order[n.role or ROLES[-1]], -(n.rank or 0), n.name, n.id))


def _person(
    row: Any, ranks: Mapping[str, list[int | None]], settings: RelationshipSettings
) -> MapNode:
    identity = global_id(Person, row.id)
    gaps = []
    if row.level is None:
        gaps.append(MapGap.UNASSESSED)
    elif row.level < 0:
        gaps.append(MapGap.AGAINST)
    elif row.effective < row.level:
        gaps.append(MapGap.DECAYED)
    if identity not in ranks:
        gaps.append(MapGap.NOT_MET)
    elif row.rank is not None and not any(
        ours is not None and abs(ours - row.rank) <= settings.parity_ranks
        for ours in ranks[identity]
    ):
        gaps.append(MapGap.NOT_AT_LEVEL)
    role = next(role for role in ROLES if role.value in row.roles)
    return MapNode(
        id=identity, kind=MapNodeKind.PERSON, name=row.name, title=row.title, rank=row.rank,
        role=role, level=row.level, effective_level=row.effective, last_contact_on=row.contact,
        gaps=gaps,
    )  # fmt: skip


async def _meetings(
    ctx: Context, settings: RelationshipSettings, customer_id: UUID, day: scores.Day
) -> list[tuple[MapEdge, MapNode]]:
    """Who of us met whom of the customer of late, the most frequent first."""
    ours, theirs = aliased(ActivityParticipant), aliased(ActivityParticipant)
    since = scores.days_before(day, scores.given(settings)("holders_days"))
    times = func.count(sa.distinct(Activity.id))
    rows = await ctx.db.execute(
        select(
            theirs.person_id, Employee.id, Employee.name, Employee.title, Employee.level,
            times.label("times"), scores.day_of(func.max(Activity.done_at)).label("last"),
        )
        .select_from(Activity)
        .join(ours, ours.activity_id == Activity.id)
        .join(theirs, theirs.activity_id == Activity.id)
        .join(Employee, ours.employee_id == Employee.id)
        .where(
            Activity.customer_id == customer_id, scores.done_between(since, day),
            theirs.person_id.is_not(None), ours.archived_at.is_(None),
            theirs.archived_at.is_(None),
        )
        .group_by(theirs.person_id, Employee.id, Employee.name, Employee.title, Employee.level)
        .order_by(times.desc(), Employee.name, Employee.id, theirs.person_id)
    )  # fmt: skip
    return [
        (
            MapEdge(
                kind=MapEdgeKind.MEETS, source=global_id(Employee, row.id),
                target=global_id(Person, row.person_id), meetings=row.times, last_on=row.last,
            ),
            MapNode(
                id=global_id(Employee, row.id), kind=MapNodeKind.EMPLOYEE, name=row.name,
                title=row.title, rank=row.level, role=None, level=None, effective_level=None,
                last_contact_on=None, gaps=[],
            ),
        )
        for row in rows
    ]  # fmt: skip


async def _influences(
    ctx: Context, chains: sa.ColumnElement[bool], shown: set[str]
) -> list[MapEdge]:
    """Who influences whom, among those shown."""
    rows = await ctx.db.execute(
        select(ChainLink.source_id, ChainLink.target_id)
        .join(DecisionChain, ChainLink.chain_id == DecisionChain.id)
        .where(chains, ChainLink.archived_at.is_(None))
        .distinct()
        .order_by(ChainLink.source_id, ChainLink.target_id)
    )
    ends = [(global_id(Person, row.source_id), global_id(Person, row.target_id)) for row in rows]
    return [
        MapEdge(kind=MapEdgeKind.INFLUENCES, source=one, target=two, meetings=0, last_on=None)
        for one, two in ends
        if one in shown and two in shown
    ]
