"""What the stacks written by hand share: dataloaders and selects with SQLAlchemy's ORM."""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from benchmarks.dialects import cursor
from guanxi_customers import Activity, Customer, Department, Office, Person
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


@dataclass(frozen=True, slots=True)
class Page:
    """The customers of one page, and where the next one begins."""

    rows: Sequence[Customer]
    has_next: bool
    end_cursor: str | None
    count: int | None


class Loaders:
    """What one request loads; each batch has a session of its own, for they run side by side."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], tenant_id: UUID) -> None:
        self.sessions = sessions
        self.tenant_id = tenant_id
        self.offices = Loader(lambda ids: self._by_id(Office, ids))
        self.departments = Loader(lambda ids: self._by_id(Department, ids))
        self.persons = Loader(lambda ids: self._of_customers(Person, ids))
        self.activities = Loader(lambda ids: self._of_customers(Activity, ids))

    async def customer(self, global_id: str) -> Customer | None:
        """One customer."""
        rows = await self._scalars(
            sa.select(Customer).where(
                Customer.tenant_id == self.tenant_id, Customer.id == row_id(global_id)
            )
        )
        return rows[0] if rows else None

    async def customers(
        self,
        first: int,
        *,
        office: str | None = None,
        tier: Any = None,
        order_by: Sequence[Any] = (),
        count: bool = False,
    ) -> Page:
        """A page of those of an office or of a tier; ``order_by`` are choices named NAME_ASC …"""
        asked = sa.select(Customer).where(
            Customer.tenant_id == self.tenant_id, Customer.archived_at.is_(None)
        )
        if office:
            asked = asked.where(Customer.office_id == row_id(office))
        if tier:
            same = (Standing.tenant_id == Customer.tenant_id) & (Standing.id == Customer.id)
            asked = asked.join(Standing, same).where(Standing.tier == tier)
        keys = [getattr(Customer, key.value) for key in order_by]
        rows = await self._scalars(asked.order_by(*keys, Customer.id).limit(first + 1))
        has_next, rows = len(rows) > first, rows[:first]
        counted = sa.select(sa.func.count()).select_from(asked.subquery())
        return Page(
            rows,
            has_next,
            _end_cursor(rows[-1], order_by) if rows else None,
            (await self._scalars(counted))[0] if count else None,
        )

    async def create_activity(self, customer: str, **values: Any) -> Activity:
        """Add an activity to a customer."""
        row = Activity(tenant_id=self.tenant_id, customer_id=row_id(customer), **values)
        async with self.sessions.begin() as session:
            session.add(row)
        return row

    async def _scalars(self, statement: Any) -> Sequence[Any]:
        async with self.sessions() as session:
            return (await session.scalars(statement)).all()

    async def _by_id(self, model: Any, ids: Iterable[UUID]) -> list[Any]:
        rows = await self._scalars(
            sa.select(model).where(model.tenant_id == self.tenant_id, model.id.in_(ids))
        )
        found = {row.id: row for row in rows}
        return [found.get(id_) for id_ in ids]

    async def _of_customers(self, model: Any, ids: Iterable[UUID]) -> list[list[Any]]:
        rows = await self._scalars(
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


def row_id(global_id: str) -> UUID:
    """The UUID in a global id."""
    return UUID(global_id.rpartition("_")[2])


def _end_cursor(row: Customer, order_by: Sequence[Any]) -> str:
    tag = ",".join(key.name for key in order_by) or "id"
    return cursor(tag, *(str(getattr(row, key.value)) for key in order_by), str(row.id))
