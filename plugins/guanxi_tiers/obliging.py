"""What tiers require: its fields, verbs and handlers (domain rule "Tier requirements")."""

import datetime as dt
from typing import Any
from uuid import UUID

from guanxi_customers import Customer, Employee, Office
from guanxi_sdk import SQL, Ambient, Context, mutation, on, schedule, sql_field
from guanxi_tiers import keeping, obligations
from guanxi_tiers.access import require_customers
from guanxi_tiers.events import CustomersClassified, ObligationsRequested, TierChanged
from guanxi_tiers.obligations import TierObligation
from guanxi_tiers.permissions import READ, WRITE
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.values import ObligationUpdate


class Obliging:
    """Obligations per customer, manager and office, kept in line with tiers."""

    settings: TierSettings

    @staticmethod
    @sql_field(Customer, needs=READ)
    def open_obligations(customer: Any, ambient: Ambient) -> SQL[int]:
        """How many obligations of the customer's tier are still open."""
        return obligations.of_customer(customer, ambient)

    @staticmethod
    @sql_field(Customer, needs=READ)
    def overdue_obligations(customer: Any, ambient: Ambient) -> SQL[int]:
        """How many of these should have been fulfilled by now."""
        return obligations.of_customer(customer, ambient, overdue=True)

    @staticmethod
    @sql_field(Employee, needs=READ)
    def open_customer_obligations(employee: Any, ambient: Ambient) -> SQL[int]:
        """How many obligations are open for customers whose primary steward the employee is."""
        return obligations.of_steward(employee, ambient)

    @staticmethod
    @sql_field(Employee, needs=READ)
    def overdue_customer_obligations(employee: Any, ambient: Ambient) -> SQL[int]:
        """How many of these should have been fulfilled by now."""
        return obligations.of_steward(employee, ambient, overdue=True)

    @staticmethod
    @sql_field(Office, needs=READ)
    def open_office_obligations(office: Any, ambient: Ambient) -> SQL[int]:
        """How many obligations are open for customers whom the office serves."""
        return obligations.of_office(office, ambient)

    @staticmethod
    @sql_field(Office, needs=READ)
    def overdue_office_obligations(office: Any, ambient: Ambient) -> SQL[int]:
        """How many of these should have been fulfilled by now."""
        return obligations.of_office(office, ambient, overdue=True)

    @mutation(needs=WRITE)
    async def update_tier_obligations(self, ctx: Context) -> ObligationUpdate:
        """Bring obligations in line with tiers and with what was fulfilled.

        The same happens by itself every hour, and for those customers who get another tier. In a
        large enterprise it is done beside the request: `jobs` tells how far it is.
        """
        require_customers(ctx)
        return await keeping.update_obligations(ctx, self.settings)

    @on(ObligationsRequested, deadline=1800)
    async def update_all_obligations(self, ctx: Context, event: ObligationsRequested) -> None:
        """Bring all obligations in line beside the request that asked for it."""
        await keeping.keep_all_obligations(ctx, self.settings)

    @on(CustomersClassified, deadline=1800)
    async def oblige_classified(self, ctx: Context, event: CustomersClassified) -> None:
        """Demand at once what new tiers require."""
        if event.changed:
            await keeping.keep_those_of(ctx, self.settings, event.run_id)

    @on(TierChanged)
    async def oblige_one(self, ctx: Context, event: TierChanged) -> None:
        """Demand at once what a tier requires that was set by hand, or is so no more."""
        await keeping.keep_obligations(ctx, self.settings, [event.customer_id])

    @mutation(needs=WRITE)
    async def fulfil_tier_obligation(
        self, ctx: Context, obligation_id: UUID, evidence: str, on: dt.date | None = None
    ) -> TierObligation:
        """Say that something was done which no plugin knows of, today unless a day is named.

        Args:
            obligation_id: The obligation that was fulfilled; refused unless it is open.
            evidence: What shows that it was done, such as where the minutes are; not blank, up to
                2,000 characters.
            on: The day on which it was done, from the obligation's `startsOn` up to today; today
                when left out.
        """
        return await obligations.fulfil(ctx, obligation_id, evidence, on or ctx.today())

    @schedule("22 * * * *", deadline=1800)
    async def keep_obligations(self, ctx: Context) -> None:
        """Demand what tiers require, and note what was fulfilled."""
        await keeping.keep_obligations(ctx, self.settings)
