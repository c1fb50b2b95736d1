"""The usual stack: graphene, SQLAlchemy's ORM and dataloaders behind a Litestar handler.

It answers the same documents from the same tables, without tokens, permissions, row-level security,
audit and outbox.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import graphene
from litestar import Litestar

from benchmarks.peers.application import Sessions, make_application
from benchmarks.peers.loading import Loaders
from guanxi_customers.choices import ActivityKind, ActivityStatus, DecisionRole, Lifecycle
from guanxi_tiers.choices import Tier


class GlobalId(graphene.ObjectType):
    class Meta:
        abstract = True

    id = graphene.ID(required=True)

    @staticmethod
    def resolve_id(row: Any, _: Any) -> str:
        return f"{row.info.prefix}_{row.id}"


class DepartmentType(GlobalId):
    class Meta:
        name = "Department"

    name = graphene.String(required=True)


class OfficeType(GlobalId):
    class Meta:
        name = "Office"

    name = graphene.String(required=True)


class PersonType(GlobalId):
    class Meta:
        name = "Person"

    name = graphene.String(required=True)
    title = graphene.String()
    role = graphene.Field(graphene.Enum.from_enum(DecisionRole), required=True)
    department = graphene.Field(DepartmentType)

    @staticmethod
    def resolve_department(row: Any, info: Any) -> Any:
        return row.department_id and info.context["loaders"].departments.load(row.department_id)


KindEnum = graphene.Enum.from_enum(ActivityKind)
TierEnum = graphene.Enum.from_enum(Tier)


class ActivityType(GlobalId):
    class Meta:
        name = "Activity"

    kind = graphene.Field(KindEnum, required=True)
    subject = graphene.String(required=True)
    status = graphene.Field(graphene.Enum.from_enum(ActivityStatus), required=True)
    planned_on = graphene.Date()


def _connection(node: Any) -> Any:
    name = node._meta.name
    edge = type(f"{name}Edge", (graphene.ObjectType,), {"node": graphene.Field(node)})
    return type(
        f"{name}Connection",
        (graphene.ObjectType,),
        {
            "edges": graphene.List(graphene.NonNull(edge), required=True),
            "total_count": graphene.Int(),
            "page_info": graphene.Field(PageInfo),
        },
    )


class PageInfo(graphene.ObjectType):
    has_next_page = graphene.Boolean(required=True)
    end_cursor = graphene.String()


def _edges(rows: Iterable[Any]) -> dict[str, Any]:
    return {"edges": [{"node": row} for row in rows]}


class CustomerType(GlobalId):
    class Meta:
        name = "Customer"

    code = graphene.String(required=True)
    name = graphene.String(required=True)
    name_en = graphene.String()
    lifecycle = graphene.Field(graphene.Enum.from_enum(Lifecycle), required=True)
    version = graphene.Int(required=True)
    office = graphene.Field(OfficeType)
    persons = graphene.Field(_connection(PersonType), first=graphene.Int(default_value=50))
    activities = graphene.Field(_connection(ActivityType), first=graphene.Int(default_value=50))

    @staticmethod
    def resolve_office(row: Any, info: Any) -> Any:
        return row.office_id and info.context["loaders"].offices.load(row.office_id)

    @staticmethod
    async def resolve_persons(row: Any, info: Any, first: int) -> Any:
        return _edges((await info.context["loaders"].persons.load(row.id))[:first])

    @staticmethod
    async def resolve_activities(row: Any, info: Any, first: int) -> Any:
        return _edges((await info.context["loaders"].activities.load(row.id))[:first])


class IDFilter(graphene.InputObjectType):
    eq = graphene.ID()


class TierFilter(graphene.InputObjectType):
    eq = graphene.Field(TierEnum)


class CustomerWhere(graphene.InputObjectType):
    office_id = graphene.Field(IDFilter)
    tier = graphene.Field(TierFilter)


class CustomerOrderBy(graphene.Enum):
    ID_ASC = "id"
    NAME_ASC = "name"


class Query(graphene.ObjectType):
    customer = graphene.Field(CustomerType, id=graphene.ID(required=True))
    customers = graphene.Field(
        _connection(CustomerType),
        first=graphene.Int(default_value=50),
        where=CustomerWhere(),
        order_by=graphene.List(graphene.NonNull(CustomerOrderBy)),
    )

    @staticmethod
    async def resolve_customer(_: Any, info: Any, id: str) -> Any:
        return await info.context["loaders"].customer(id)

    @staticmethod
    async def resolve_customers(
        _: Any, info: Any, first: int, where: Any = None, order_by: Any = ()
    ) -> Any:
        loaders: Loaders = info.context["loaders"]
        where = where or {}
        page = await loaders.customers(
            first,
            office=(where.get("office_id") or {}).get("eq"),
            tier=(where.get("tier") or {}).get("eq"),
            order_by=order_by,
            count=_asks(info, "totalCount"),
        )
        return {
            **_edges(page.rows),
            "total_count": page.count,
            "page_info": {"has_next_page": page.has_next, "end_cursor": page.end_cursor},
        }


class CreateActivityInput(graphene.InputObjectType):
    customer_id = graphene.ID(required=True)
    kind = graphene.Field(KindEnum, required=True)
    subject = graphene.String(required=True)
    planned_on = graphene.Date()


class UserError(graphene.ObjectType):
    path = graphene.String()
    message = graphene.String(required=True)


class CreateActivity(graphene.Mutation):
    class Arguments:
        input = CreateActivityInput(required=True)

    activity = graphene.Field(ActivityType)
    errors = graphene.List(graphene.NonNull(UserError), required=True)

    @staticmethod
    async def mutate(_: Any, info: Any, input: Any) -> Any:
        loaders: Loaders = info.context["loaders"]
        row = await loaders.create_activity(
            input["customer_id"],
            kind=input["kind"],
            subject=input["subject"],
            planned_on=input.get("planned_on"),
        )
        return CreateActivity(activity=row, errors=[])


class Mutation(graphene.ObjectType):
    create_activity = CreateActivity.Field()


def _asks(info: Any, name: str) -> bool:
    selections = info.field_nodes[0].selection_set.selections
    return any(getattr(node, "name", None) and node.name.value == name for node in selections)


def create_app(url: str, tenant_id: UUID) -> Litestar:
    """The application."""
    schema = graphene.Schema(query=Query, mutation=Mutation)

    async def execute(query: str, variables: Any, sessions: Sessions) -> Any:
        context = {"loaders": Loaders(sessions, tenant_id)}
        return await schema.execute_async(query, variable_values=variables, context_value=context)

    return make_application(url, tenant_id, execute)
