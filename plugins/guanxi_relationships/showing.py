"""Questions whose answers people look at: the relationship map, and whom to meet next."""

import datetime as dt
from uuid import UUID

import sqlalchemy as sa

from guanxi_customers import Customer
from guanxi_relationships import mapping, scores
from guanxi_relationships.choices import ChainKind
from guanxi_relationships.engagement import MOST, Engagements
from guanxi_relationships.permissions import READ
from guanxi_relationships.settings import RelationshipSettings
from guanxi_relationships.values import Engagement, RelationshipMap
from guanxi_sdk import Context, Where, query, schedule


class Showing:
    """What is asked before somebody sets out."""

    settings: RelationshipSettings

    @query(needs=READ)
    async def relationship_map(
        self,
        ctx: Context,
        customer_id: UUID,
        as_of: dt.date | None = None,
        kind: ChainKind | None = None,
        opportunity: str | None = None,
    ) -> RelationshipMap:
        """Who decides at a customer, what they think of us, who influences whom, whom we meet.

        Of the standing chains, or those of an opportunity; of one kind or of all. `nodes` and
        `edges` are for a frontend to draw, `svg` and `mermaid` are drawn. It needs
        `customers.read`, too.

        Args:
            customer_id: The customer whose people are shown.
            as_of: The day whose seats, levels and meetings are shown; 1900-01-01 to 9000-01-01,
                today (UTC) when left out.
            kind: The kind of decision chain whose people are shown; every kind when left out.
            opportunity: The code of the opportunity whose chains are shown, exactly as in their
                `opportunity`; the standing chains when left out.
        """
        return await mapping.relationship_map(
            ctx, self.settings, customer_id, as_of or ctx.today(), kind, opportunity
        )

    @query(needs=READ)
    async def next_engagements(
        self,
        ctx: Context,
        where: Where[Customer] | None = None,
        as_of: dt.date | None = None,
        first: int = 20,
    ) -> list[Engagement]:
        """Who should meet whom until when, and why: the weightiest first.

        Reasons are levels below the year's plan or about to decay, contacts that the tier asks for,
        opportunity or not, people not assessed or not met at their level, and departments not
        covered. It needs `customers.read` and `tiers.read`, too.

        Args:
            where: The customers to look at; all of them when left out, and archived ones never.
            as_of: The day whose facts count and before which nothing is due; 1900-01-01 to
                9000-01-01, today (UTC) when left out.
            first: How many engagements to give at most, 1 to 200; 20 when left out.
        """
        condition = sa.true() if where is None else where.condition
        found = Engagements(ctx, self.settings, condition, as_of or ctx.today(), first)
        return await found.all()

    @schedule("0 2 * * *")
    async def plan_contacts(self, ctx: Context) -> None:
        """Plan the weightiest engagements with strategic customers as activities, every night.

        There need not be an opportunity (domain rule C5, 48).
        """
        tier = scores.tier(Customer.id, sa.literal(ctx.today(), sa.Date), (Customer,))
        wanted = tier == sa.any_(scores.given(self.settings)("contact_tiers"))
        await Engagements(ctx, self.settings, wanted, ctx.today(), MOST).plan()
