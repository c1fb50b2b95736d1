"""Facts about whom it may be worth meeting, and their rank, as one statement.

Each fact is looked up by an id, so that it is as good for one customer as for many, and once.
"""

import datetime as dt
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from guanxi_customers import Activity, ActivityParticipant, Customer, Department, Employee, Person
from guanxi_relationships import scores
from guanxi_relationships.choices import PlanState
from guanxi_relationships.models import ChainSeat, DecisionChain
from guanxi_relationships.plans import LevelTarget, RelationshipPlan
from guanxi_relationships.settings import RelationshipSettings
from guanxi_tiers import Tier

_UNDERWAY: Final = (PlanState.APPROVED.value, PlanState.RUNNING.value)


class Ranking:
    """Who is worth meeting among the people of some customers, on a day."""

    def __init__(
        self,
        settings: RelationshipSettings,
        condition: sa.ColumnElement[bool],
        as_of: dt.date,
        first: int,
    ) -> None:
        self._numbers = settings
        self._setting = scores.given(settings)
        self._condition = condition
        self._as_of = as_of
        self._day = sa.literal(as_of, sa.Date)
        self._first = first

    def weightiest(self, most: int) -> sa.Select[UUID]:
        """The customers to look at where there are more: whose year is planned, by tier, longest
        without a contact.
        """
        outer = (Customer,)
        planned = select(RelationshipPlan.id).where(
            RelationshipPlan.customer_id == Customer.id, self._underway()
        )
        last = select(func.max(Activity.done_at)).where(
            Activity.customer_id == Customer.id, scores.done_by(self._day)
        )
        times = self._by_tier("tier_weight", scores.tier(Customer.id, self._day, outer), 1.0)
        return (
            select(Customer.id)
            .where(self._condition)
            .order_by(
                sa.exists(planned.correlate(Customer)).desc(),
                times.desc(),
                last.correlate(Customer).scalar_subquery().asc().nulls_first(),
                Customer.id,
            )
            .limit(most)
        )

    def _underway(self) -> sa.ColumnElement[bool]:
        """Plans of the year that are carried out, or about to be."""
        return sa.and_(
            func.coalesce(RelationshipPlan.year, 0) == self._as_of.year,
            func.coalesce(sa.cast(RelationshipPlan.state, sa.Text), "").in_(_UNDERWAY),
        )

    def _by_tier(self, name: str, tier: Any, otherwise: float) -> sa.ColumnElement[Any]:
        settings = {one.value: self._setting(f"{name}_{one.lower()}") for one in Tier}
        return sa.case(settings, value=tier, else_=otherwise)

    def _people(self, customers: sa.Select[UUID] | None) -> sa.Subquery:
        """Everybody with the weight of their seat, and whether they stand for a department."""
        among = [] if customers is None else [Customer.id.in_(customers)]
        return (
            select(
                Person.id, Person.name, Person.rank, Person.customer_id,
                Customer.name.label("customer_name"),
                scores.tier(Customer.id, self._day, (Person, Customer)).label("tier"),
                self._role_weight().label("weight"), self._front().label("front"),
            )
            .join(Customer, Person.customer_id == Customer.id)
            .where(self._condition, Person.archived_at.is_(None), *among)
            .offset(0)  # else PostgreSQL computes each column wherever it is used
            .subquery("people")
        )  # fmt: skip

    def _facts(self, customers: sa.Select[UUID] | None) -> sa.Subquery:
        """What is known about everybody who may be worth meeting."""
        people = self._people(customers)
        p, outer, day = people.c, (people,), self._day
        target = (
            select(func.max(LevelTarget.level))
            .join(RelationshipPlan, LevelTarget.plan_id == RelationshipPlan.id)
            .where(LevelTarget.person_id == p.id, self._underway())
            .correlate(people)
            .scalar_subquery()
        )
        key = sa.and_(p.weight.is_not(None), p.rank.is_not(None))
        return (
            select(
                people,
                self._by_tier("every_days", p.tier, 0).label("every"),
                sa.cast(self._by_tier("tier_weight", p.tier, 1.0), sa.Float(53)).label("times"),
                target.label("target"),
                scores.level(p.id, day, outer).label("level"),
                scores.last_contact_on(p.id, day, outer).label("contact"),
                sa.case((key, self._met_at_level(people))).label("at_level"),
            )
            .where(sa.or_(p.weight.is_not(None), p.front))
            .offset(0)
            .subquery("facts")
        )

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
        covered = scores.covered(Department.id, self._day, self._setting, around)
        uncovered = (  # no EXISTS, for which PostgreSQL might look at all departments
            select(sa.not_(covered))
            .where(
                Department.id == Person.department_id,
                Department.in_scope,
                Department.archived_at.is_(None),
            )
            .correlate(Person)
            .scalar_subquery()
        )
        none: sa.ColumnElement[bool] = sa.false()
        return sa.case(
            (Person.department_id.is_(None), none),
            (sa.exists(higher.correlate(Person)), none),  # which is cheaper to know
            else_=func.coalesce(uncovered, none),
        )

    def _met_at_level(self, people: sa.Subquery) -> sa.ColumnElement[bool]:
        """Whether one of us of a like level met the person of late."""
        ours, theirs = aliased(ActivityParticipant), aliased(ActivityParticipant)
        met = (
            select(theirs.id)
            .join(Activity, theirs.activity_id == Activity.id)
            .join(ours, ours.activity_id == Activity.id)
            .join(Employee, ours.employee_id == Employee.id)
            .where(
                theirs.person_id == people.c.id,
                theirs.archived_at.is_(None),
                ours.archived_at.is_(None),
                scores.done_between(
                    scores.days_before(self._day, self._setting("holders_days")), self._day
                ),
                func.abs(Employee.level - people.c.rank) <= self._setting("parity_ranks"),
            )
        )
        return sa.exists(met.correlate(people))

    def ranked(self, customers: sa.Select[UUID] | None) -> sa.Select[Any]:
        """The facts with reasons as columns of weights, the heaviest first.

        ``customers`` are the ids of those to look at, else all who meet the condition.
        """
        facts = self._facts(customers)
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
