"""Whether customers are met as often as their tier asks for (domain rules F2, F17, F18)."""

import datetime as dt

import sqlalchemy as sa

from guanxi_customers import Customer, Employee, Person
from guanxi_sdk import Context, Where, query, schedule
from guanxi_tiers.access import require_customers
from guanxi_tiers.care import care, non_project_share
from guanxi_tiers.coverage import coverage, keep_coverage
from guanxi_tiers.permissions import READ
from guanxi_tiers.settings import TierSettings
from guanxi_tiers.values import CareLine, CoverageLine, NonProjectShare


class Covering:
    """Coverage of a week, contact beside projects, and care for persons."""

    settings: TierSettings

    @query(needs=READ)
    async def coverage(
        self, ctx: Context, week: dt.date | None = None, where: Where[Employee] | None = None
    ) -> list[CoverageLine]:
        """Which managers visited enough general customers in a week (domain rule F2).

        It is the ISO week of a day, the present one unless a day is named. Days go by the clock of
        the manager's office; public holidays and leave make the quota smaller. General customers
        are those of tier C at the end of that week, or now where they had no tier yet.

        Args:
            week: Any day of the ISO week, Monday to Sunday, such as `2024-02-29` for `2024-W09`;
                the present week when left out.
            where: Which of the account and product managers, and of those who look after customers
                as such in that week, are listed; all whom the caller may see when left out.
        """
        condition = sa.true() if where is None else where.condition
        require_customers(ctx)
        return await coverage(ctx, self.settings, week or ctx.today(), condition)

    @query(needs=READ)
    async def non_project_share(
        self,
        ctx: Context,
        quarter: dt.date | None = None,
        where: Where[Customer] | None = None,
        first: int = 100,
    ) -> NonProjectShare:
        """How much of the contact with S and A customers is beside projects (domain rule F17).

        It is the quarter of a day, the present one unless a day is named.

        Args:
            quarter: Any day of the calendar quarter, such as `2024-02-29` for January to March
                2024; the present quarter when left out.
            where: Which of the S and A customers are looked at, for the share of them together as
                well; all whom the caller may see when left out.
            first: How many customers are listed at most, from 0 to 1,000, the lowest share first;
                the figures of all together count the others as well.
        """
        condition = sa.true() if where is None else where.condition
        require_customers(ctx)
        day = quarter or ctx.today()
        return await non_project_share(ctx, self.settings, day, condition, first)

    @query(needs=READ)
    async def care_bands(
        self,
        ctx: Context,
        as_of: dt.date | None = None,
        where: Where[Person] | None = None,
        outside: bool = True,
        first: int = 100,
    ) -> list[CareLine]:
        """Persons who are contacted too seldom or too often up to a day (domain rule F18).

        Those of the highest tiers come first; with `outside` false everybody is listed.

        Args:
            as_of: The last of the days whose contacts are counted, 30 unless the setting
                `care_days` says otherwise, and the one of whose tiers the bands are; today when
                left out.
            where: Which persons are looked at, of customers who have a tier; all whom the caller
                may see when left out.
            outside: Whether persons are listed only if they are contacted too seldom or too often;
                `false` lists the others as well.
            first: How many persons are listed at most, from 0 to 1,000.
        """
        condition = sa.true() if where is None else where.condition
        day = as_of or ctx.today()
        require_customers(ctx)
        return await care(ctx, self.settings, day, condition, first, outside=outside)

    @schedule("17 1 * * 1")
    async def count_coverage(self, ctx: Context) -> None:
        """Keep the coverage of the week that is over."""
        await keep_coverage(ctx, self.settings)
