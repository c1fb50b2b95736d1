"""What customers bought, and the sums that derive from it."""

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy.orm import Mapped

from guanxi_customers.customers import Customer
from guanxi_customers.organisation import Code, Employee
from guanxi_sdk import Model, Money, column, reference

Day = sa.ColumnElement[dt.date]


class Purchase(Model, key="code", within="customer"):
    """An order of a customer: its date and its total (采购)."""

    code: Mapped[Code]
    """Order number, unique in the enterprise."""

    customer_id: Mapped[UUID] = reference(Customer, reverse="purchases")
    """The customer who bought."""

    employee_id: Mapped[UUID | None] = reference(Employee, reverse="purchases")
    """The employee who took the order."""

    ordered_on: Mapped[dt.date] = column(indexed=True)
    """Day of the order."""

    amount: Mapped[Money] = column(indexed=True)
    """Total of the order; negative for a return."""

    description: Mapped[Annotated[str, Meta(max_length=2_000)] | None]
    """What was bought."""

    if TYPE_CHECKING:  # the two columns that the SDK makes of `amount`
        amount_minor: Mapped[int]
        amount_currency: Mapped[str]


def year_before(day: Day) -> Day:
    """The same day twelve months earlier; the last of February where there is no 29th."""
    twelve_months = sa.func.make_interval(0, 12, type_=sa.Interval)
    return sa.cast(sa.cast(day, sa.Date) - twelve_months, sa.Date)


def _year_to(day: Day) -> sa.ColumnElement[bool]:
    return sa.and_(Purchase.ordered_on > year_before(day), Purchase.ordered_on <= day)


def _sum(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    """A sum as a 64-bit integer (PostgreSQL makes it numeric), 0 where nothing was added."""
    minor = sa.func.sum(Purchase.amount_minor).filter(*conditions)
    return sa.cast(sa.func.coalesce(minor, 0), sa.BigInteger)


def _of(customer: Any, value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Aggregate over a customer's purchases.

    Currency and dates belong into the aggregates, not here: as long as PostgreSQL has not counted
    the rows it would use the indexes on those, and read all purchases for every customer.
    """
    mine = (Purchase.customer_id == customer.id, Purchase.archived_at.is_(None))
    return sa.select(value).where(*mine).scalar_subquery()


def total(customer: Any, currency: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """Minor units of everything a customer ever bought in one currency; 0 without purchases."""
    return _of(customer, _sum(Purchase.amount_currency == currency))


def annual(customer: Any, currency: sa.ColumnElement[str], day: Day) -> sa.ColumnElement[int]:
    """Minor units bought in the twelve months that end with ``day``."""
    return _of(customer, _sum(Purchase.amount_currency == currency, _year_to(day)))


def growth(
    customer: Any, currency: sa.ColumnElement[str], day: Day
) -> sa.ColumnElement[float | None]:
    """Annual purchase against the year before; null where nothing was bought in that year."""
    counts = Purchase.amount_currency == currency
    before = _sum(counts, _year_to(year_before(day)))
    after = _sum(counts, _year_to(day))
    rate = sa.cast(after, sa.Float(53)) / sa.cast(before, sa.Float(53)) - 1
    return _of(customer, sa.case((before > 0, rate), else_=None))
