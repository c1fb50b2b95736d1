"""The same stack with strawberry, and with its caches of what was parsed and validated.

Models, dataloaders and the Litestar handler are those of `graphene_stack`.
"""

import datetime as dt
from collections.abc import Iterable
from enum import Enum
from typing import Any, Generic, TypeVar
from uuid import UUID

import strawberry
from litestar import Litestar
from strawberry.extensions import ParserCache, ValidationCache

from benchmarks.peers.application import Sessions, make_application
from benchmarks.peers.loading import Loaders
from guanxi_customers.choices import ActivityKind, ActivityStatus, DecisionRole, Lifecycle
from guanxi_tiers.choices import Tier

Kind = strawberry.enum(ActivityKind, name="ActivityKind")
Status = strawberry.enum(ActivityStatus, name="ActivityStatus")
Role = strawberry.enum(DecisionRole, name="DecisionRole")
Life = strawberry.enum(Lifecycle, name="Lifecycle")
TierEnum = strawberry.enum(Tier, name="Tier")
Node = TypeVar("Node")


def _global_id(root: Any) -> strawberry.ID:
    return strawberry.ID(f"{root.info.prefix}_{root.id}")


def _loaders(info: strawberry.Info) -> Loaders:
    loaders: Loaders = info.context["loaders"]
    return loaders


@strawberry.type
class PageInfo:
    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class Edge(Generic[Node]):
    node: Node


@strawberry.type
class Connection(Generic[Node]):
    edges: list[Edge[Node]]
    total_count: int | None = None
    page_info: PageInfo | None = None


def _edges(rows: Iterable[Any]) -> list[Edge[Any]]:
    return [Edge(node=row) for row in rows]


@strawberry.type
class Department:
    id: strawberry.ID = strawberry.field(resolver=_global_id)
    name: str


@strawberry.type
class Office:
    id: strawberry.ID = strawberry.field(resolver=_global_id)
    name: str


@strawberry.type
class Person:
    id: strawberry.ID = strawberry.field(resolver=_global_id)
    name: str
    title: str | None
    role: Role

    @strawberry.field
    @staticmethod
    async def department(root: strawberry.Parent[Any], info: strawberry.Info) -> Department | None:
        return root.department_id and await _loaders(info).departments.load(root.department_id)


@strawberry.type
class Activity:
    id: strawberry.ID = strawberry.field(resolver=_global_id)
    kind: Kind
    subject: str
    status: Status
    planned_on: dt.date | None


@strawberry.type
class Customer:
    id: strawberry.ID = strawberry.field(resolver=_global_id)
    code: str
    name: str
    name_en: str | None
    lifecycle: Life
    version: int

    @strawberry.field
    @staticmethod
    async def office(root: strawberry.Parent[Any], info: strawberry.Info) -> Office | None:
        return root.office_id and await _loaders(info).offices.load(root.office_id)

    @strawberry.field
    @staticmethod
    async def persons(
        root: strawberry.Parent[Any], info: strawberry.Info, first: int = 50
    ) -> Connection[Person]:
        return Connection(edges=_edges((await _loaders(info).persons.load(root.id))[:first]))

    @strawberry.field
    @staticmethod
    async def activities(
        root: strawberry.Parent[Any], info: strawberry.Info, first: int = 50
    ) -> Connection[Activity]:
        return Connection(edges=_edges((await _loaders(info).activities.load(root.id))[:first]))


@strawberry.input(name="IDFilter")
class IdFilter:
    eq: strawberry.ID


@strawberry.input
class TierFilter:
    eq: TierEnum


@strawberry.input
class CustomerWhere:
    office_id: IdFilter | None = None
    tier: TierFilter | None = None


@strawberry.enum
class CustomerOrderBy(Enum):
    ID_ASC = "id"
    NAME_ASC = "name"


@strawberry.type
class Query:
    @strawberry.field
    async def customer(self, info: strawberry.Info, id: strawberry.ID) -> Customer | None:
        return await _loaders(info).customer(id)

    @strawberry.field
    async def customers(
        self,
        info: strawberry.Info,
        first: int = 50,
        where: CustomerWhere | None = None,
        order_by: list[CustomerOrderBy] | None = None,
    ) -> Connection[Customer]:
        page = await _loaders(info).customers(
            first,
            office=where.office_id.eq if where and where.office_id else None,
            tier=where.tier.eq if where and where.tier else None,
            order_by=order_by or (),
            count=any(asked.name == "totalCount" for asked in info.selected_fields[0].selections),
        )
        return Connection(
            edges=_edges(page.rows),
            total_count=page.count,
            page_info=PageInfo(has_next_page=page.has_next, end_cursor=page.end_cursor),
        )


@strawberry.input
class CreateActivityInput:
    customer_id: strawberry.ID
    kind: Kind
    subject: str
    planned_on: dt.date | None = None


@strawberry.type
class UserError:
    path: str | None
    message: str


@strawberry.type
class ActivityPayload:
    activity: Activity | None
    errors: list[UserError]


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def create_activity(
        self, info: strawberry.Info, input: CreateActivityInput
    ) -> ActivityPayload:
        row = await _loaders(info).create_activity(
            input.customer_id,
            kind=input.kind,
            subject=input.subject,
            planned_on=input.planned_on,
        )
        return ActivityPayload(activity=row, errors=[])


def create_app(url: str, tenant_id: UUID) -> Litestar:
    """The application."""
    schema = strawberry.Schema(Query, Mutation, extensions=[ParserCache, ValidationCache])

    async def execute(query: str, variables: Any, sessions: Sessions) -> Any:
        context = {"loaders": Loaders(sessions, tenant_id)}
        return await schema.execute(query, variables, context_value=context)

    return make_application(url, tenant_id, execute)
