"""What the review of a year's plan finds to be done (domain rules 000-17, 000-19; C5, 54)."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import func, select

from guanxi_customers import Person
from guanxi_relationships import scores
from guanxi_relationships.choices import PlanTaskKind
from guanxi_relationships.findings import CUSTOMERS_READ
from guanxi_relationships.hooks import RelationshipHooks
from guanxi_relationships.models import ChainSeat, DecisionChain
from guanxi_relationships.plans import RelationshipPlan
from guanxi_relationships.settings import RelationshipSettings
from guanxi_relationships.values import PlanTask
from guanxi_sdk import Context, global_id

#: Maslow's level of the need for safety.
SAFETY: Final = 2


async def tasks(
    ctx: Context, settings: RelationshipSettings, plans: Sequence[RelationshipPlan]
) -> list[list[PlanTask]]:
    """The tasks of each plan: key persons of high rank whose need for safety nobody assessed."""
    ctx.require(CUSTOMERS_READ)  # it names their people
    needs = ctx.ask(RelationshipHooks.need_assessments)
    if needs is None:
        return [[] for _ in plans]
    known = needs.subquery("needs")
    day = sa.literal(ctx.today(), sa.Date)
    assessed = select(known.c.person_id).where(
        known.c.person_id == Person.id, known.c.maslow == SAFETY, known.c.assessed_on <= day
    )
    rows = await ctx.db.execute(
        select(RelationshipPlan.id.label("plan_id"), Person.id, Person.name)
        .join(DecisionChain, DecisionChain.customer_id == RelationshipPlan.customer_id)
        .join(ChainSeat, ChainSeat.chain_id == DecisionChain.id)
        .join(Person, Person.id == ChainSeat.person_id)
        .where(
            RelationshipPlan.id
            == sa.any_(sa.literal([one.id for one in plans], sa.ARRAY(sa.Uuid))),
            func.coalesce(DecisionChain.opportunity, "") == "",
            DecisionChain.archived_at.is_(None),
            ChainSeat.archived_at.is_(None),
            scores.in_force(day),
            Person.archived_at.is_(None),
            Person.rank >= settings.safety_rank,
            sa.not_(assessed.exists()),
        )
        .distinct()
        .order_by(Person.name, Person.id)
    )
    found: dict[UUID, list[PlanTask]] = defaultdict(list)
    for row in rows:
        found[row.plan_id].append(_safety(row.id, row.name))
    return [found[plan.id] for plan in plans]


def _safety(person_id: UUID, name: str) -> PlanTask:
    return PlanTask(
        task=PlanTaskKind.SAFETY_UNKNOWN,
        person_id=global_id(Person, person_id),
        person_name=name,
        message=f"Find out how safe {name} feels: nobody has assessed it.",
        message_zh=f"了解{name}的安全需求：尚未评估。",
    )
