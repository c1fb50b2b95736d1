"""The usual stack: graphene, SQLAlchemy's ORM and dataloaders behind a Litestar handler.

It answers the same documents from the same tables, without tokens, permissions, row-level security,
audit and outbox.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import graphene
import sqlalchemy as sa
from litestar import Litestar, post
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from guanxi_customers import Activity, Customer, Department, Office, Person
from guanxi_customers.choices import ActivityKind, ActivityStatus, DecisionRole, Lifecycle
from guanxi_tiers.choices import Tier
from guanxi_tiers.models import Standing


class Loader:
    """Collects what one turn of the event loop asks for, and fetches it at once."""

    def __init__(self, fetch: Callable[[Sequence[Any]], Any]) -> None:
        self._fetch = fetch
        self._known: dict[Hashable, asyncio.Future[Any]] = {}
        self._waiting: list[Any] = []

    def load(self, key: Any) -> asyncio.Future[Any]:
        """The value of ``key``, later."""
        if key not in self._known:
            loop = asyncio.get_running_loop()
            if not self._waiting:
                loop.call_soon(lambda: loop.call_soon(self._dispatch))
            self._waiting.append(key)
            self._known[key] = loop.create_future()
        return self._known[key]

    def _dispatch(self) -> None:
        keys, self._waiting = self._waiting, []
        self._task = asyncio.create_task(self._answer(keys))

    async def _answer(self, keys: Sequence[Any]) -> None:
        for key, value in zip(keys, await self._fetch(keys), strict=True):
            self._known[key].set_result(value)


class Loaders:
    """What one request loads; each batch has a session of its own, for they run side by side."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], tenant_id: UUID) -> None:
        self.sessions = sessions
        self.tenant_id = tenant_id
        self.offices = Loader(lambda ids: self._by_id(Office, ids))
        self.departments = Loader(lambda ids: self._by_id(Department, ids))
        self.persons = Loader(lambda ids: self._of_customers(Person, ids))
        self.activities = Loader(lambda ids: self._of_customers(Activity, ids))

    async def scalars(self, statement: Any) -> Sequence[Any]:
        """All rows of a select."""
        async with self.sessions() as session:
            return (await session.scalars(statement)).all()

    async def _by_id(self, model: Any, ids: Iterable[UUID]) -> list[Any]:
        rows = await self.scalars(
            sa.select(model).where(model.tenant_id == self.tenant_id, model.id.in_(ids))
        )
        found = {row.id: row for row in rows}
        return [found.get(id_) for id_ in ids]

    async def _of_customers(self, model: Any, ids: Iterable[UUID]) -> list[list[Any]]:
        rows = await self.scalars(
            sa.select(model)
            .where(
                model.tenant_id == self.tenant_id,
                model.customer_id.in_(ids),
                model.archived_at.is_(None),
            )
            .order_by(model.id)
        )
        found: dict[UUID, list[Any]] = {id_: [] for id_ in ids}
        for row in rows:
            found[row.customer_id].append(row)
        return list(found.values())


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
        loaders: Loaders = info.context["loaders"]
        rows = await loaders.scalars(
            sa.select(Customer).where(
                Customer.tenant_id == loaders.tenant_id, Customer.id == _uuid(id)
            )
        )
        return rows[0] if rows else None

    @staticmethod
    async def resolve_customers(
        _: Any, info: Any, first: int, where: Any = None, order_by: Any = ()
    ) -> Any:
        loaders: Loaders = info.context["loaders"]
        asked = sa.select(Customer).where(
            Customer.tenant_id == loaders.tenant_id, Customer.archived_at.is_(None)
        )
        if where and where.get("office_id"):
            asked = asked.where(Customer.office_id == _uuid(where["office_id"]["eq"]))
        if where and where.get("tier"):
            same = (Standing.tenant_id == Customer.tenant_id) & (Standing.id == Customer.id)
            asked = asked.join(Standing, same).where(Standing.tier == where["tier"]["eq"])
        keys = [getattr(Customer, key.value) for key in order_by]
        rows = await loaders.scalars(asked.order_by(*keys, Customer.id).limit(first + 1))
        page = _edges(rows[:first])
        page["page_info"] = {"has_next_page": len(rows) > first, "end_cursor": None}
        if rows:
            last = rows[:first][-1]
            tag = ",".join(key.name for key in order_by) or "id"
            values = [str(getattr(last, key.value)) for key in order_by]
            cursor = json.dumps([tag, *values, str(last.id)], ensure_ascii=False)
            encoded = base64.urlsafe_b64encode(cursor.encode())
            page["page_info"]["end_cursor"] = encoded.decode().rstrip("=")
        if _asks(info, "totalCount"):
            count = sa.select(sa.func.count()).select_from(asked.subquery())
            page["total_count"] = (await loaders.scalars(count))[0]
        return page


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
        row = Activity(
            tenant_id=loaders.tenant_id,
            customer_id=_uuid(input["customer_id"]),
            kind=input["kind"],
            subject=input["subject"],
            planned_on=input.get("planned_on"),
        )
        async with loaders.sessions.begin() as session:
            session.add(row)
        return CreateActivity(activity=row, errors=[])


class Mutation(graphene.ObjectType):
    create_activity = CreateActivity.Field()


def _uuid(global_id: str) -> UUID:
    return UUID(global_id.rpartition("_")[2])


def _asks(info: Any, name: str) -> bool:
    selections = info.field_nodes[0].selection_set.selections
    return any(getattr(node, "name", None) and node.name.value == name for node in selections)


def create_app(url: str, tenant_id: UUID) -> Litestar:
    """The application, as it would be written by hand."""
    schema = graphene.Schema(query=Query, mutation=Mutation)
    address = url.replace("postgresql://", "postgresql+asyncpg://", 1)
    session = {"guanxi.tenant": str(tenant_id)}  # for an owner who is no superuser
    engine = create_async_engine(address, pool_size=16, connect_args={"server_settings": session})
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    @post("/graphql", status_code=200)
    async def graphql(data: JSONBody[dict[str, Any]]) -> dict[str, Any]:
        result = await schema.execute_async(
            data["query"],
            variable_values=data.get("variables"),
            context_value={"loaders": Loaders(sessions, tenant_id)},
        )
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [error.formatted for error in result.errors]
        return answer

    return Litestar([graphql], lifespan=[lifespan], openapi_config=None, logging_config=None)
