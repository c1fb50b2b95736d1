"""Next best engagement: who should meet whom until when, and why; opportunity or not (C5, 48).

What is known about key persons, and about the heads of departments that nobody covers, becomes
reasons with weights, in SQL; the sum, times the weights of tier and role, ranks them. The same
facts give the same order.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from guanxi_customers import (
    Activity,
    ActivityKind,
    ActivityParticipant,
    ActivityStatus,
    Customer,
    Employee,
    Person,
    Stewardship,
    steward_in_force,
)
from guanxi_relationships import scores
from guanxi_relationships.asking import TIERS_READ
from guanxi_relationships.choices import EngagementReason
from guanxi_relationships.findings import CUSTOMERS_READ
from guanxi_relationships.ranking import Ranking
from guanxi_relationships.settings import RelationshipSettings
from guanxi_relationships.values import Engagement, EngagementWhy
from guanxi_sdk import Context, Invalid, global_id
from guanxi_tiers import check_day

MOST: Final = 200


class Engagements:
    """The next engagements with some customers, as of a day."""

    def __init__(
        self,
        ctx: Context,
        settings: RelationshipSettings,
        condition: sa.ColumnElement[bool],
        as_of: dt.date,
        first: int,
    ) -> None:
        check_day("as_of", as_of)
        if not 1 <= first <= MOST:
            raise Invalid("first", f"is {first}: it goes from 1 to {MOST}")
        for permission in (CUSTOMERS_READ, TIERS_READ):
            ctx.require(permission)
        self._ctx = ctx
        self._numbers = settings
        self._condition = sa.and_(condition, Customer.archived_at.is_(None))
        self._as_of = as_of
        self._day = sa.literal(as_of, sa.Date)
        self._first = first
        self._known: set[tuple[UUID, UUID]] = set()

    async def all(self) -> list[Engagement]:
        """The weightiest engagements, in their order."""
        return [
            self._engagement(place, row, goer)
            for place, (row, goer) in enumerate(await self._chosen(), 1)
        ]

    async def plan(self) -> int:
        """Plan an activity for each that has somebody to go and none planned yet; how many."""
        rows = [(row, goer) for row, goer in await self._chosen() if goer is not None]
        planned = await self._planned([row.id for row, _ in rows])
        waiting = [(row, goer) for row, goer in rows if row.id not in planned]
        for row, goer in waiting:
            engagement = self._engagement(0, row, goer)
            why = engagement.why[0]
            activity = await self._ctx.add(
                Activity(
                    customer_id=row.customer_id, kind=engagement.kind,
                    subject=f"{why.message_zh} {why.message}", status=ActivityStatus.PLANNED,
                    planned_on=engagement.due_on,
                )
            )  # fmt: skip
            for whom in ({"person_id": row.id}, {"employee_id": goer.id}):
                await self._ctx.add(ActivityParticipant(activity_id=activity.id, **whom))
        return len(waiting)

    async def _chosen(self) -> list[tuple[Any, Employee | None]]:
        """The weightiest rows of facts, each with who should go."""
        rows = (await self._ctx.db.execute(await self._ranking())).all()
        goers = await self._goers([row.customer_id for row in rows])
        self._known = await self._met([row.id for row in rows])
        return [(row, self._goer(row, goers[row.customer_id])) for row in rows]

    async def _ranking(self) -> sa.Select[Any]:
        """The statement that ranks; of too many customers it looks at the weightiest alone."""
        ranking = Ranking(self._numbers, self._condition, self._as_of, self._first)
        among = select(func.count()).select_from(Customer).where(self._condition)
        most = self._numbers.engagement_customers
        few = (await self._ctx.db.scalar(among) or 0) <= most
        return ranking.ranked(None if few else ranking.weightiest(most))

    async def _planned(self, people: Sequence[UUID]) -> set[UUID | None]:
        """With whom among these something is planned, however late."""
        rows = await self._ctx.db.scalars(
            select(ActivityParticipant.person_id)
            .join(Activity, ActivityParticipant.activity_id == Activity.id)
            .where(
                ActivityParticipant.person_id
                == sa.any_(sa.literal(list(people), sa.ARRAY(sa.Uuid))),
                ActivityParticipant.archived_at.is_(None),
                Activity.status == ActivityStatus.PLANNED,
                Activity.archived_at.is_(None),
            )
        )
        return set(rows)

    # who goes

    async def _goers(self, customers: Sequence[UUID]) -> dict[UUID, list[Employee]]:
        """Stewards and those above them, by customer."""
        boss = aliased(Employee)
        wanted = Stewardship.customer_id == sa.any_(sa.literal(list(customers), sa.ARRAY(sa.Uuid)))
        rows = await self._ctx.db.execute(
            select(Stewardship.customer_id, Employee, boss)
            .join(Employee, Stewardship.employee_id == Employee.id)
            .outerjoin(boss, Employee.supervisor_id == boss.id)
            .where(wanted, steward_in_force(self._day))
        )
        found: dict[UUID, set[Employee]] = defaultdict(set)
        for customer_id, steward, above in rows:
            present = [one for one in (steward, above) if one is not None]
            found[customer_id].update(one for one in present if one.archived_at is None)
        return defaultdict(list, {customer_id: list(some) for customer_id, some in found.items()})

    async def _met(self, people: Sequence[UUID]) -> set[tuple[UUID, UUID]]:
        """Who of us has met whom among these, ever."""
        ours, theirs = aliased(ActivityParticipant), aliased(ActivityParticipant)
        rows = await self._ctx.db.execute(
            select(ours.employee_id, theirs.person_id)
            .select_from(theirs)
            .join(Activity, theirs.activity_id == Activity.id)
            .join(ours, ours.activity_id == Activity.id)
            .where(
                theirs.person_id == sa.any_(sa.literal(list(people), sa.ARRAY(sa.Uuid))),
                ours.employee_id.is_not(None),
                scores.done_by(self._day),
            )
            .distinct()
        )
        return {(one, two) for one, two in rows if one is not None and two is not None}

    def _goer(self, row: Any, goers: Sequence[Employee]) -> Employee | None:
        """Who fits best: not above those they meet (F10), of a like level, known already."""

        def fit(goer: Employee) -> tuple[Any, ...]:
            level, rank = goer.level or 1, row.rank or 1
            downward = level - rank >= self._numbers.mismatch_ranks
            apart = max(abs(level - rank) - self._numbers.parity_ranks, 0)
            unknown = (goer.id, row.id) not in self._known
            return downward, apart, unknown, abs(level - rank), goer.code

        return min(goers, key=fit, default=None)

    # what is told

    def _engagement(self, place: int, row: Any, goer: Employee | None) -> Engagement:
        why = sorted(self._why(row), key=lambda one: (-one.weight, one.due_on, one.reason))
        high = (row.rank or 0) >= self._numbers.executive_rank
        return Engagement(
            rank=place,
            score=row.score,
            customer_id=global_id(Customer, row.customer_id),
            customer_name=row.customer_name,
            person_id=global_id(Person, row.id),
            person_name=row.name,
            employee_id=None if goer is None else global_id(Employee, goer.id),
            employee_name=None if goer is None else goer.name,
            kind=ActivityKind.EXECUTIVE_CALL if high else ActivityKind.VISIT,
            due_on=min(one.due_on for one in why),
            why=why,
        )

    def _why(self, row: Any) -> Iterator[EngagementWhy]:
        """The reasons of a row, each with its own day, never in the past."""
        soon = self._as_of + dt.timedelta(days=self._numbers.horizon_days)
        span = dt.timedelta(days=self._numbers.contact_days + 1)
        every = dt.timedelta(days=row.every)
        last = row.contact
        seen = f"on {last}" if last else "never"
        seen_zh = f"{last}" if last else "从未"
        told: list[tuple[EngagementReason, float | None, dt.date, str, str]] = [
            (
                EngagementReason.BELOW_TARGET, row.below_target,
                dt.date(self._as_of.year, 12, 31),
                f"The plan aims at level {row.target}; it is {_shown(row.level)}.",
                f"规划目标为{row.target}级，现为{_shown(row.level)}。",
            ),
            (
                EngagementReason.DECAY, row.decay, (last + span) if last else soon,
                f"Level {row.level} falls without a contact; last contact: {seen}.",
                f"{row.level}级将因久未接触而下降，上次接触：{seen_zh}。",
            ),
            (
                EngagementReason.DUE, row.due, (last + every) if last else self._as_of,
                f"A key person of this tier is met every {row.every} days; last contact: "
                f"{seen}.",
                f"该级客户的关键人每{row.every}天应接触一次，上次接触：{seen_zh}。",
            ),
            (
                EngagementReason.UNASSESSED, row.unassessed, soon,
                "Nobody has assessed where this key person stands.",
                "关键人尚未评估。",
            ),
            (
                EngagementReason.NOT_AT_LEVEL, row.not_at_level, soon,
                f"Nobody of a level like rank {row.rank} has met this key person.",
                f"尚无与其{row.rank}级对等的我方人员接触。",
            ),
            (
                EngagementReason.UNCOVERED, row.uncovered, soon,
                "Nobody of the department was met of late.",
                "所在部门近期无人接触。",
            ),
        ]  # fmt: skip
        for reason, weight, due_on, message, message_zh in told:
            if weight:
                yield EngagementWhy(
                    reason=reason, weight=weight, due_on=max(due_on, self._as_of),
                    message=message, message_zh=message_zh,
                )  # fmt: skip


def _shown(level: int | None) -> str:
    return "?" if level is None else str(level)
