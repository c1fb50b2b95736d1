"""strawchemy: one statement for each field of the query, generated from SQLAlchemy's models.

It needs models with relations, and names rows by all columns of their key, so that it has models of
its own on the same tables. A count beside a page's rows is that of the page, so that the total is
a field of its own, with a session of its own, since the fields of a query are resolved at once.
"""

import datetime as dt
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import strawberry
from litestar import Litestar
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from strawberry.extensions import ParserCache, ValidationCache
from strawchemy import Strawchemy, StrawchemyAsyncRepository, StrawchemyConfig
from uuid_utils.compat import uuid7

from benchmarks.peers.application import Sessions, make_application


def _one(row: str, column: str, other: str) -> Any:
    return relationship(
        viewonly=True,
        primaryjoin=f"and_(foreign({row}.tenant_id) == {other}.tenant_id, "
        f"foreign({row}.{column}) == {other}.id)",
    )


def _of_customer(row: str) -> Any:
    return relationship(
        viewonly=True,
        primaryjoin=f"and_(foreign({row}.tenant_id) == Customer.tenant_id, "
        f"foreign({row}.customer_id) == Customer.id, {row}.archived_at.is_(None))",
    )


class Base(DeclarativeBase):
    """The peer's own models."""


class Keyed:
    """A row of a tenant."""

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)


class Archived(Keyed):
    """A row that can be archived."""

    archived_at: Mapped[dt.datetime | None] = mapped_column(sa.TIMESTAMP(timezone=True))


class Office(Keyed, Base):
    __tablename__ = "customers_office"

    name: Mapped[str]


class Department(Keyed, Base):
    __tablename__ = "customers_department"

    name: Mapped[str]


class Standing(Keyed, Base):
    __tablename__ = "tiers_standing"

    tier: Mapped[str]


class Person(Archived, Base):
    __tablename__ = "customers_person"

    customer_id: Mapped[UUID]
    department_id: Mapped[UUID | None]
    name: Mapped[str]
    title: Mapped[str | None]
    role: Mapped[str]
    department: Mapped[Department | None] = _one("Person", "department_id", "Department")


class Activity(Archived, Base):
    __tablename__ = "customers_activity"

    customer_id: Mapped[UUID]
    kind: Mapped[str]
    subject: Mapped[str]
    status: Mapped[str]
    planned_on: Mapped[dt.date | None]


class Customer(Archived, Base):
    __tablename__ = "customers_customer"

    code: Mapped[str]
    name: Mapped[str]
    name_en: Mapped[str | None]
    lifecycle: Mapped[str]
    version: Mapped[int]
    office_id: Mapped[UUID | None]
    office: Mapped[Office | None] = _one("Customer", "office_id", "Office")
    standing: Mapped[Standing | None] = _one("Customer", "id", "Standing")
    persons: Mapped[list[Person]] = _of_customer("Person")
    activities: Mapped[list[Activity]] = _of_customer("Activity")


def _session(info: strawberry.Info) -> AsyncSession:
    session: AsyncSession = info.context["sessions"]()
    info.context["opened"].append(session)
    return session


made = Strawchemy(
    StrawchemyConfig(
        "postgresql", repository_type=StrawchemyAsyncRepository, session_getter=_session
    )
)


@made.filter(Customer, include=["tenant_id", "office_id", "archived_at", "standing"])
class CustomerFilter: ...


@made.order(Customer, include=["name", "id"])
class CustomerOrder: ...


@made.order(Person, include=["id"])
class PersonOrder: ...


@made.order(Activity, include=["id"])
class ActivityOrder: ...


@made.type(Office, include=["name"])
class OfficeNode: ...


@made.type(Department, include=["name"])
class DepartmentNode: ...


@made.type(Person, include=["id", "name", "title", "role"])
class PersonNode:
    department: DepartmentNode | None


@made.type(Activity, include=["id", "kind", "subject", "status", "planned_on"])
class ActivityNode: ...


@made.type(Customer, include=["id", "code", "name", "name_en", "lifecycle", "version"])
class CustomerNode:
    office: OfficeNode | None
    persons: list[PersonNode] = made.field(pagination=True, order_by_input=PersonOrder)
    activities: list[ActivityNode] = made.field(pagination=True, order_by_input=ActivityOrder)


@made.aggregate(Customer, include=["id"])
class CountedCustomers: ...


@made.create_input(
    Activity, include=["tenant_id", "customer_id", "kind", "subject", "status", "planned_on"]
)
class ActivityInput: ...


@strawberry.type
class Query:
    customer: CustomerNode = made.field()
    customers: list[CustomerNode] = made.field(
        filter_input=CustomerFilter, order_by_input=CustomerOrder, pagination=True
    )
    counted_customers: CountedCustomers = made.field(
        filter_input=CustomerFilter, pagination=True, root_aggregations=True
    )


@strawberry.type
class Mutation:
    create_activity: ActivityNode = made.create(ActivityInput)


def create_app(url: str, tenant_id: UUID) -> Litestar:
    """The application."""
    schema = strawberry.Schema(Query, Mutation, extensions=[ParserCache, ValidationCache])

    async def execute(query: str, variables: Any, sessions: Sessions) -> Any:
        opened: list[AsyncSession] = []
        try:
            result = await schema.execute(
                query, variables, context_value={"sessions": sessions, "opened": opened}
            )
            for session in opened:
                await session.commit()
        finally:
            for session in opened:
                await session.close()
        return result

    return make_application(url, tenant_id, execute)
