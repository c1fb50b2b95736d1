"""Which tier was in force when, from the decisions that are kept for ever."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import select

from guanxi_tiers.models import TierDecision


def tier_on(customer_id: Any, day: Any) -> sa.ColumnElement[Any]:
    """The tier of a customer on a day: that of the last decision that held from then or before.

    Where that was one by hand which had ended by then, it is what the strategies said beside it.
    """
    ended = sa.and_(TierDecision.overridden, TierDecision.override_until <= day)
    return (
        select(sa.case((ended, TierDecision.strategy_tier), else_=TierDecision.tier))
        .where(TierDecision.customer_id == customer_id, TierDecision.holds_from <= day)
        .order_by(TierDecision.id.desc())
        .limit(1)
        .scalar_subquery()
    )
