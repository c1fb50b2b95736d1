"""The customers plugin: models, derived fields, stewardship verbs."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa

from guanxi_customers import access, erasing, purchases, rules, stewardship
from guanxi_customers.activities import Activity, ActivityParticipant
from guanxi_customers.choices import ActivityStatus, Line, Owner
from guanxi_customers.customers import Customer, Department, Person
from guanxi_customers.organisation import Employee, Office
from guanxi_customers.purchases import Purchase
from guanxi_customers.stewardship import (
    CoStewardAdded,
    CoStewardshipEnded,
    StewardAssigned,
    Stewardship,
)
from guanxi_customers.suppliers import Supplier
from guanxi_sdk import (
    SQL,
    Ambient,
    Context,
    ExportBar,
    Invalid,
    Model,
    Money,
    NoSettings,
    Permission,
    Plugin,
    Scope,
    SQLMoney,
    hookimpl,
    mutation,
    policy,
    sql_field,
)

STEWARD = Permission("customers.steward", "Decide who looks after which customer.")

ORGANISE = Permission("customers.organise", "Say which user an employee is.")

WRITE = Permission("customers.write", "Change what 'customers' keeps.")


class Customers(
    Plugin[NoSettings],
    name="customers",
    models=[
        Office,
        Employee,
        Customer,
        Department,
        Person,
        Stewardship,
        Purchase,
        Activity,
        ActivityParticipant,
        Supplier,
    ],
    events=[StewardAssigned, CoStewardAdded, CoStewardshipEnded],
    permissions=[STEWARD, ORGANISE, WRITE],
):
    """Customers, the people in them, who looks after them, what they bought and what was done."""

    @staticmethod
    @sql_field(Customer)
    def owner_of_record(customer: Any, ambient: Ambient) -> SQL[Owner]:
        """Owner of the customer: the company (公司资产), never an employee (domain rule C1).

        Filtering or sorting by it computes it for every customer.
        """
        return cast(sa.ColumnElement[Owner], sa.literal(Owner.COMPANY.value, sa.Text))

    @staticmethod
    @sql_field(Customer)
    def purchase_total(
        customer: Any, ambient: Ambient, currency: str | None = None
    ) -> SQL[Money | None]:
        """Sum of all purchases in one currency, the enterprise's own unless another is named.

        Null when what is named is no ISO 4217 code. Filtering or sorting by it computes it for
        every customer.

        Args:
            currency: ISO 4217 code in capital letters: only purchases in this currency count, none
                are converted; the enterprise's own when left out.
        """
        unit = _currency(ambient, currency)
        return _money(purchases.total(customer, unit), unit, currency)

    @staticmethod
    @sql_field(Customer)
    def annual_purchase(
        customer: Any,
        ambient: Ambient,
        as_of: dt.date | None = None,
        currency: str | None = None,
    ) -> SQL[Money | None]:
        """Purchases of the twelve months that end with a day, today unless another is named.

        Null when the currency is no ISO 4217 code. Filtering or sorting by it computes it for
        every customer.

        Args:
            as_of: Last day of the twelve months whose purchases count; today (UTC) when left out.
            currency: ISO 4217 code in capital letters: only purchases in this currency count, none
                are converted; the enterprise's own when left out.
        """
        unit = _currency(ambient, currency)
        minor = purchases.annual(customer, unit, _day(ambient, as_of))
        return _money(minor, unit, currency)

    @staticmethod
    @sql_field(Customer)
    def growth(
        customer: Any,
        ambient: Ambient,
        as_of: dt.date | None = None,
        currency: str | None = None,
    ) -> SQL[float | None]:
        """Annual purchase against that of a year earlier: 0.25 is a quarter more.

        Null where nothing was bought in the earlier year, and when the currency is no ISO 4217
        code. Filtering or sorting by it computes it for every customer.

        Args:
            as_of: Last day of the twelve months that are compared with the twelve before them;
                today (UTC) when left out.
            currency: ISO 4217 code in capital letters: only purchases in this currency count, none
                are converted; the enterprise's own when left out.
        """
        return purchases.growth(customer, _currency(ambient, currency), _day(ambient, as_of))

    @staticmethod
    @sql_field(Customer)
    def last_activity_at(customer: Any, ambient: Ambient) -> SQL[dt.datetime | None]:
        """When something was last done with the customer; null if never.

        Filtering or sorting by it computes it for every customer.
        """
        return (
            sa.select(sa.func.max(Activity.done_at).filter(Activity.status == ActivityStatus.DONE))
            .where(Activity.customer_id == customer.id, Activity.archived_at.is_(None))
            .scalar_subquery()
        )

    @staticmethod
    @sql_field(Customer)
    def steward_name(customer: Any, ambient: Ambient) -> SQL[str | None]:
        """Name of today's primary steward (客户责任人); null while nobody is assigned.

        Filtering or sorting by it computes it for every customer.
        """
        return stewardship.primary_name(customer, ambient.today)

    @staticmethod
    @policy(Customer)
    def customers_of(customer: Any, scope: Scope, ambient: Ambient) -> sa.ColumnElement[bool]:
        """One's own customers, those of one's team, or those of one's office."""
        return access.customers_of(customer, scope, ambient)

    @staticmethod
    @policy(Office, Employee, Supplier)
    def our_own_side(
        row: Any, scope: Scope, ambient: Ambient, writes: bool
    ) -> sa.ColumnElement[bool]:
        """Our own organisation is known to all who work in it; changing it takes all of it."""
        return sa.false() if writes else sa.true()

    @mutation(needs=ORGANISE)
    async def link_employee(
        self, ctx: Context, employee_id: UUID, user_id: str | None = None
    ) -> Employee:
        """Say which user of the platform an employee is, so that scopes know whose customers are
        whose; without a user the employee is none.

        Args:
            employee_id: The employee to link with a user, or with none.
            user_id: The user, as `user_0198…`, as whom the employee uses the platform, and no other
                employee does; none from now on when left out.
        """
        return await access.link(ctx, ORGANISE, employee_id, user_id)

    @mutation(needs=STEWARD)
    async def assign_steward(
        self, ctx: Context, customer_id: UUID, employee_id: UUID, starts_on: dt.date | None = None
    ) -> Stewardship:
        """Make an employee the primary steward of a customer, from today or from another day.

        The former primary steward's time ends on that day, so that there is always exactly one
        (domain rule C4, invariant 1). An assignment that would begin on that day or later and has
        not begun yet is replaced; naming the present steward takes it back.

        Args:
            customer_id: The customer who gets a primary steward; an archived one is refused.
            employee_id: The employee who becomes the primary steward; refused are an archived one,
                and one who is it already and has no successor yet.
            starts_on: First day of the new steward, on which the former no longer is it; today
                (UTC) when left out. Refused before the day on which the present one began.
        """
        return await stewardship.assign(ctx, customer_id, employee_id, starts_on or ctx.today())

    @mutation(needs=STEWARD)
    async def add_co_steward(
        self,
        ctx: Context,
        customer_id: UUID,
        employee_id: UUID,
        line: Line = Line.CUSTOMER,
        starts_on: dt.date | None = None,
    ) -> Stewardship:
        """Let an employee look after a customer beside the primary steward.

        Args:
            customer_id: The customer to look after; an archived one is refused.
            employee_id: The employee who looks after the customer as well; refused are an archived
                one, and one who does so on this line already without an end.
            line: The line on which the employee looks after the customer.
            starts_on: First day on which the employee looks after the customer; today (UTC) when
                left out.
        """
        start = starts_on or ctx.today()
        return await stewardship.add_beside(ctx, customer_id, employee_id, line, start)

    @mutation(needs=STEWARD)
    async def end_co_stewardship(
        self, ctx: Context, stewardship_id: UUID, ends_on: dt.date | None = None
    ) -> Stewardship:
        """End a stewardship beside the primary one; the primary steward needs a successor.

        Args:
            stewardship_id: The stewardship to end; refused are the primary one, and one that has an
                end already.
            ends_on: First day on which the employee is no longer responsible, not before the
                stewardship's first; today (UTC) when left out.
        """
        return await stewardship.end_beside(ctx, stewardship_id, ends_on or ctx.today())

    @mutation(needs=WRITE)
    async def archive_employee(
        self, ctx: Context, id: UUID, version: int | None = None
    ) -> Employee:
        """Archive an employee: it leaves all lists and can be restored.

        Refused while the employee is a customer's primary steward: assign successors first.

        Args:
            id: The employee to archive; one who is a customer's primary steward, now or later, is
                refused.
            version: The version that was read, for a `CONFLICT` if it is another by now; not
                compared when left out.
        """
        return await stewardship.archive_employee(ctx, id, version)

    @hookimpl(about=rules.CHECKED)
    def write_errors(
        self, model: type[Model], verb: str, values: Mapping[str, Any]
    ) -> list[Invalid]:
        """Check time zones, participants and dates."""
        return rules.errors(model, verb, values)

    @hookimpl
    def export_bars(self, ambient: Ambient) -> list[ExportBar]:
        """Whoever leaves takes nothing along."""
        because = "whoever has filed notice, or has left, takes no rows out"
        return [ExportBar(access.leaving(ambient), because)]

    @hookimpl
    def erasures(self, subject: type[Model], id: UUID, today: dt.date) -> erasing.Answers:
        """Persons, employees, and at which level they took part in activities."""
        return erasing.erasures(subject, id, today)


def _currency(ambient: Ambient, currency: Any) -> sa.ColumnElement[str]:
    """The argument as it arrives in an SQL field: a bound value, or None when left out."""
    return ambient.currency if currency is None else sa.func.coalesce(currency, ambient.currency)


def _money(minor: sa.ColumnElement[int], unit: sa.ColumnElement[str], currency: Any) -> SQLMoney:
    """Null where the caller named what is no currency code, instead of an amount of nothing."""
    if currency is not None:
        minor = sa.case((unit.regexp_match("^[A-Z]{3}$"), minor))
    return SQLMoney(minor, unit)


def _day(ambient: Ambient, as_of: Any) -> purchases.Day:
    return ambient.today if as_of is None else sa.func.coalesce(as_of, ambient.today)
