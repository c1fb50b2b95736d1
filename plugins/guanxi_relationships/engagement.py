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
    Department,
    Employee,
    Person,
    Stewardship,
    steward_in_force,
)
from guanxi_relationships import scores
from guanxi_relationships.asking import TIERS_READ
from guanxi_relationships.choices import EngagementReason, PlanState
from guanxi_relationships.findings import CUSTOMERS_READ
from guanxi_relationships.models import ChainSeat, DecisionChain
from guanxi_relationships.plans import LevelTarget, RelationshipPlan
from guanxi_relationships.settings import RelationshipSettings
from guanxi_relationships.values import Engagement, EngagementWhy
from guanxi_sdk import Context, Invalid, global_id
from guanxi_tiers import Tier, check_day

MOST: Final = 200
_UNDERWAY: Final = (PlanState.APPROVED.value, PlanState.RUNNING.value)


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
        self._setting = scores.given(settings)
        self._condition = sa.and_(
            condition, Customer.archived_at.is_(None), Person.archived_at.is_(None)
        )
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
        rows = (await self._ctx.db.execute(self._ranked())).all()
        goers = await self._goers([row.customer_id for row in rows])
        self._known = await self._met([row.id for row in rows])
        return [(row, self._goer(row, goers[row.customer_id])) for row in rows]

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

    # facts

    def _facts(self) -> sa.Subquery:
        """What is known about everybody who may be worth meeting."""
        outer, day = (Person, Customer), self._day
        weight, front = self._role_weight(), self._front()
        numbers = self._numbers
        tier = scores.tier(Customer.id, day, outer)

        def by_tier(name: str, otherwise: float) -> sa.ColumnElement[Any]:
            settings = {one.value: self._setting(f"{name}_{one.lower()}") for one in Tier}
            return sa.case(settings, value=tier, else_=otherwise)

        every, times = by_tier("every_days", 0), by_tier("tier_weight", 1.0)
        target = (
            select(func.max(LevelTarget.level))
            .join(RelationshipPlan, LevelTarget.plan_id == RelationshipPlan.id)
            .where(
                LevelTarget.person_id == Person.id,
                func.coalesce(RelationshipPlan.year, 0) == self._as_of.year,
                func.coalesce(sa.cast(RelationshipPlan.state, sa.Text), "").in_(_UNDERWAY),
            )
            .correlate(Person)
            .scalar_subquery()
        )
        return (
            select(
                Person.id, Person.name, Person.rank, Person.customer_id,
                Customer.name.label("customer_name"),
                weight.label("weight"), front.label("front"), every.label("every"),
                sa.cast(times, sa.Float(53)).label("times"), target.label("target"),
                scores.level(Person.id, day, outer).label("level"),
                scores.effective_level(Person.id, day, self._setting, outer).label("effective"),
                scores.last_contact_on(Person.id, day, outer).label("contact"),
                self._met_at_level(numbers).label("at_level"),
            )
            .join(Customer, Person.customer_id == Customer.id)
            .where(self._condition, sa.or_(weight.is_not(None), front))
            .offset(0)  # else PostgreSQL computes each column wherever it is used
            .subquery("facts")
        )  # fmt: skip

    def _role_weight(self) -> sa.ColumnElement[float]:
        """The weight of the weightiest seat in the standing chains; null without one."""
        standing = (  # looked up by id for each seat: a join might begin with all chains
            select(
                sa.and_(DecisionChain.opportunity.is_(None), DecisionChain.archived_at.is_(None))
            )
            .where(DecisionChain.id == ChainSeat.chain_id)
            .correlate(ChainSeat)
            .scalar_subquery()
        )
        return (
            select(func.max(scores.weight_of(ChainSeat.role, self._setting)))
            .where(
                ChainSeat.person_id == Person.id,
                ChainSeat.archived_at.is_(None),
                scores.in_force(self._day),
                standing,
            )
            .correlate(Person)
            .scalar_subquery()
        )

    def _front(self) -> sa.ColumnElement[bool]:
        """Whether this is the highest person of a department in scope that nobody covers."""
        other = aliased(Person)
        rank, more = func.coalesce(Person.rank, 0), func.coalesce(other.rank, 0)
        higher = select(other.id).where(
            other.department_id == Person.department_id,
            other.archived_at.is_(None),
            sa.or_(more > rank, sa.and_(more == rank, other.id < Person.id)),
        )
        around = (Person, Customer, Department)
        uncovered = select(Department.id).where(
            Department.id == Person.department_id,
            Department.in_scope,
            Department.archived_at.is_(None),
            sa.not_(scores.covered(Department.id, self._day, self._setting, around)),
        )
        return sa.and_(
            sa.exists(uncovered.correlate(Person)), sa.not_(sa.exists(higher.correlate(Person)))
        )

    def _met_at_level(self, numbers: RelationshipSettings) -> sa.ColumnElement[bool]:
        """Whether one of us of a like level met the person of late."""
        ours, theirs = aliased(ActivityParticipant), aliased(ActivityParticipant)
        met = (
            select(theirs.id)
            .join(Activity, theirs.activity_id == Activity.id)
            .join(ours, ours.activity_id == Activity.id)
            .join(Employee, ours.employee_id == Employee.id)
            .where(
                theirs.person_id == Person.id,
                theirs.archived_at.is_(None),
                ours.archived_at.is_(None),
                scores.done_between(
                    scores.days_before(self._day, self._setting("holders_days")), self._day
                ),
                func.abs(Employee.level - Person.rank) <= self._setting("parity_ranks"),
            )
        )
        return sa.exists(met.correlate(Person))

    def _ranked(self) -> sa.Select[Any]:
        """The facts with reasons as columns of weights, the heaviest first."""
        facts = self._facts()
        c = facts.c
        horizon = scores.days_before(self._day, -self._numbers.horizon_days)
        key = c.weight.is_not(None)

        def reason(name: str, holds: Any) -> sa.ColumnElement[float]:
            worth = sa.cast(self._setting(f"weight_{name}"), sa.Float(53))
            return sa.case((holds, worth), else_=0.0).label(name)

        decays = c.contact + (self._setting("contact_days") + 1)
        below = func.greatest(c.target - func.coalesce(c.level, 0), 0)
        columns = [
            sa.cast(below * self._setting("weight_below_target"), sa.Float(53)).label(
                "below_target"
            ),
            reason("decay", sa.and_(c.level >= 1, decays > self._day, decays <= horizon)),
            reason(
                "due",
                sa.and_(key, c.every > 0, func.coalesce(c.contact + c.every <= horizon, sa.true())),
            ),
            reason("unassessed", sa.and_(key, c.level.is_(None))),
            reason("not_at_level", sa.and_(key, c.rank.is_not(None), sa.not_(c.at_level))),
            reason("uncovered", c.front),
        ]
        weighed = select(facts, *columns).offset(0).subquery("weighed")
        w = weighed.c
        summed: sa.ColumnElement[Any] = func.coalesce(w.below_target, 0.0)
        for name in ("decay", "due", "unassessed", "not_at_level", "uncovered"):
            summed = summed + w[name]
        role = func.coalesce(w.weight, self._setting("weight_i")) / self._setting("weight_a")
        score = sa.cast(summed * w.times * role, sa.Float(53))
        return (
            select(weighed, score.label("score"))
            .where(summed > 0.0)
            .order_by(score.desc(), w.contact.asc().nulls_first(), w.customer_name, w.name, w.id)
            .limit(self._first)
        )

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
                f"Level {row.level} falls without a contact; the last was {seen}.",
                f"{row.level}级将因久未接触而下降，上次接触：{seen_zh}。",
            ),
            (
                EngagementReason.DUE, row.due, (last + every) if last else self._as_of,
                f"A key person of this tier is met every {row.every} days; the last time was "
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
