"""The relationships of many customers by one statement: as of a day, and how they came to be."""

import calendar
import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import select

from guanxi_customers import Customer
from guanxi_relationships import scores
from guanxi_relationships.choices import RelationshipLack
from guanxi_relationships.settings import RelationshipSettings
from guanxi_relationships.values import Relationship, RelationshipPoint
from guanxi_sdk import Context, Invalid, Permission
from guanxi_tiers import Tier, check_day

MOST_MONTHS = 36
#: What takes the tier into account takes this permission of its plugin, too.
TIERS_READ = Permission("tiers.read", "See what 'tiers' keeps.")


def scored(
    condition: sa.ColumnElement[bool],
    days: Sequence[dt.date],
    settings: RelationshipSettings,
    *,
    tiers: bool,
) -> sa.Subquery:
    """Customers × days with ``tier``, the scores F4 to F6 and ``relationship``, which is F7."""
    setting = scores.given(settings)
    day = sa.func.unnest(sa.literal(list(days), sa.ARRAY(sa.Date))).table_valued(
        sa.column("day", sa.Date), name="days"
    ).render_derived()  # fmt: skip
    outer = (Customer, day)
    tier: Any = scores.tier(Customer.id, day.c.day, outer) if tiers else sa.cast(None, sa.Text)
    parts = (
        select(
            Customer.id.label("customer_id"),
            day.c.day,
            tier.label("tier"),
            scores.key_score(Customer.id, day.c.day, setting, outer).label("key"),
            scores.general_score(Customer.id, day.c.day, setting, outer).label("general"),
            scores.organizational_score(Customer.id, day.c.day, setting, outer).label(
                "organizational"
            ),
        )
        .select_from(Customer)
        .join(day, sa.true())
        .where(condition)
        .offset(0)  # else PostgreSQL computes each score wherever it is used
        .subquery("parts")
    )
    c = parts.c
    whole = scores.composite(c.tier, c.key, c.general, c.organizational, setting)
    return select(parts, whole.label("relationship")).subquery("scored")


def months_back(day: dt.date, months: int) -> dt.date:
    """The same day so many months earlier; the last of a month that is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


async def relationships(
    ctx: Context,
    settings: RelationshipSettings,
    ids: Sequence[UUID],
    as_of: dt.date,
    months: int,
) -> list[Relationship]:
    """One answer for each customer, in the order of ``ids``."""
    check_day("as_of", as_of)
    if not 0 <= months <= MOST_MONTHS:
        raise Invalid("trend_months", f"is {months}: it goes from 0 to {MOST_MONTHS}")
    days = [months_back(as_of, back) for back in range(months, -1, -1)]
    wanted = Customer.id == sa.any_(sa.literal(list(ids), sa.ARRAY(sa.Uuid)))
    table = scored(wanted, days, settings, tiers=ctx.caller.may(TIERS_READ.name))
    found: dict[UUID, list[Any]] = {}
    for row in await ctx.db.execute(select(table).order_by(table.c.customer_id, table.c.day)):
        found.setdefault(row.customer_id, []).append(row)
    return [_answer(found[one], settings) for one in ids]


def _answer(rows: list[Any], settings: RelationshipSettings) -> Relationship:
    *earlier, now = rows
    tier = None if now.tier is None else Tier(now.tier)
    return Relationship(
        as_of=now.day,
        tier=tier,
        key_score=now.key,
        general_score=now.general,
        general_grade=scores.general_grade(now.general, settings),
        organizational_score=now.organizational,
        organizational_grade=scores.organizational_grade(now.organizational, settings),
        relationship_score=now.relationship,
        lacks=_lacks(tier, now, settings),
        trend=[
            RelationshipPoint(
                as_of=row.day, key_score=row.key, general_score=row.general,
                organizational_score=row.organizational, relationship_score=row.relationship,
            )
            for row in earlier
        ],
    )  # fmt: skip


def _lacks(tier: Tier | None, row: Any, settings: RelationshipSettings) -> list[RelationshipLack]:
    found = []
    if tier is None:
        found.append(RelationshipLack.NO_TIER)
    if row.key is None and (tier is None or tier in settings.key_tiers):
        found.append(RelationshipLack.NO_CHAIN)
    if row.general is None:
        found.append(RelationshipLack.NO_DEPARTMENT)
    return found
