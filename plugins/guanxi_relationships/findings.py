"""What endangers customers as an asset of the company, found in SQL (rules F10, F11, C5 23–29)."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from guanxi_customers import (
    Activity,
    ActivityKind,
    ActivityParticipant,
    Customer,
    Employee,
    Person,
    Purchase,
    Stewardship,
    steward_in_force,
)
from guanxi_relationships import scores
from guanxi_relationships.asking import TIERS_READ, months_back
from guanxi_relationships.choices import FindingCode, Severity
from guanxi_relationships.hooks import RelationshipHooks
from guanxi_relationships.models import ChainSeat, DecisionChain
from guanxi_relationships.rotating import months_between
from guanxi_relationships.settings import RelationshipSettings
from guanxi_relationships.values import RelationshipFinding
from guanxi_sdk import Context, Permission, global_id
from guanxi_tiers import check_day, quarter_of

CUSTOMERS_READ = Permission("customers.read", "See what 'customers' keeps.")


class Findings:
    """One look at a tenant, or at some of its customers, as of a day."""

    def __init__(
        self,
        ctx: Context,
        settings: RelationshipSettings,
        condition: sa.ColumnElement[bool],
        as_of: dt.date,
    ) -> None:
        check_day("as_of", as_of)
        for permission in (CUSTOMERS_READ, TIERS_READ):
            ctx.require(permission)
        self._ctx = ctx
        self._numbers = settings
        self._setting = scores.given(settings)
        self._condition = sa.and_(condition, Customer.archived_at.is_(None))
        self._day = sa.literal(as_of, sa.Date)
        self._as_of = as_of
        self._quarter = quarter_of(as_of)[0] - dt.timedelta(days=1)  # the last day before it

    async def all(self) -> list[RelationshipFinding]:
        """All findings, the critical ones first, then by kind and name."""
        found = [
            *await self._isolated(),
            *await self._single_threaded(),
            *await self._mismatches(),
            *await self._boss_dependence(),
            *await self._running(),
        ]
        kinds = list(FindingCode)
        return sorted(
            found,
            key=lambda one: (
                one.severity is not Severity.CRITICAL, kinds.index(one.code),
                one.customer_name or "", one.customer_id or "", one.employee_name or "",
                one.employee_id or "",
            ),
        )  # fmt: skip

    # F11

    async def _isolated(self) -> list[RelationshipFinding]:
        """Customers whom the steward's supervisor has not joined for long (C5, 23)."""
        stewarded = (
            select(
                Customer.id, Customer.name, Employee.id.label("employee_id"),
                Employee.name.label("employee_name"), Employee.supervisor_id, Stewardship.starts_on,
                Stewardship.id.label("stewardship_id"),
            )
            .join(Stewardship, Stewardship.customer_id == Customer.id)
            .join(Employee, Stewardship.employee_id == Employee.id)
            .where(
                self._condition, Stewardship.is_primary, steward_in_force(self._day),
                Employee.supervisor_id.is_not(None),
            )
            .subquery("stewarded")
        )  # fmt: skip
        joined = (
            select(Activity.customer_id, ActivityParticipant.employee_id, Activity.done_at)
            .join(ActivityParticipant, ActivityParticipant.activity_id == Activity.id)
            .where(
                ActivityParticipant.employee_id.in_(select(Employee.supervisor_id)),
                ActivityParticipant.archived_at.is_(None),
                scores.all_done_between(None, self._as_of),
            )
            .subquery("joined")
        )
        c, last = stewarded.c, scores.day_of(func.max(joined.c.done_at))
        since = func.coalesce(last, c.starts_on)
        warned = months_back(self._as_of, self._numbers.isolation_warn_months)
        rows = await self._ctx.db.execute(
            select(c.id, c.name, c.employee_id, c.employee_name, since.label("since"))
            .outerjoin(
                joined,
                sa.and_(joined.c.customer_id == c.id, joined.c.employee_id == c.supervisor_id),
            )
            .group_by(*c)
            .having(since <= sa.literal(warned, sa.Date))
        )
        return [self._isolation(row) for row in rows]

    def _isolation(self, row: Any) -> RelationshipFinding:
        critical = self._numbers.isolation_critical_months
        months = months_between(row.since, self._as_of)
        bad = row.since <= months_back(self._as_of, critical)
        return RelationshipFinding(
            code=FindingCode.ISOLATED,
            severity=Severity.CRITICAL if bad else Severity.WARNING,
            **_about(row),
            figure=months,
            threshold=critical if bad else self._numbers.isolation_warn_months,
            message=f"The supervisor of {row.employee_name} has not joined anything with "
            f"{row.name} for {months} months.",
            message_zh=f"{row.employee_name}的上级已{months}个月未参与{row.name}的任何活动。",
        )

    def _holders(self, customers: sa.Subquery) -> sa.ColumnElement[int]:
        """How many of us met somebody of a customer of late who is on our side (F11)."""
        ours, theirs = aliased(ActivityParticipant), aliased(ActivityParticipant)
        since = scores.days_before(self._day, self._setting("holders_days"))
        pairs = (
            select(ours.employee_id, theirs.person_id)
            .select_from(Activity)
            .join(ours, ours.activity_id == Activity.id)
            .join(theirs, theirs.activity_id == Activity.id)
            .where(
                Activity.customer_id == customers.c.id,
                scores.done_between(since, self._day),
                ours.employee_id.is_not(None),
                ours.archived_at.is_(None),
                theirs.person_id.is_not(None),
                theirs.archived_at.is_(None),
            )
            .distinct()
            .correlate(customers)
            .subquery("pairs")
        )
        level = scores.effective_level(
            pairs.c.person_id, self._day, self._setting, (customers, pairs)
        )
        return (
            select(func.count(sa.distinct(pairs.c.employee_id)))
            .where(level >= self._setting("holders_level"))
            .correlate(customers)
            .scalar_subquery()
        )

    async def _single_threaded(self) -> list[RelationshipFinding]:
        """Important customers with whom too few of us have a relationship (F11)."""
        least, tier = self._numbers.holders_least, scores.tier(Customer.id, self._day, (Customer,))
        # OFFSET 0 keeps PostgreSQL from working tiers and holders out wherever they are used
        tiered = (
            select(Customer.id, Customer.name, tier.label("tier"))
            .where(self._condition)
            .offset(0)
            .subquery("tiered")
        )
        held = (
            select(tiered, self._holders(tiered).label("holders"))
            .where(tiered.c.tier == sa.any_(self._setting("holders_tiers")))
            .offset(0)
            .subquery("held")
        )
        rows = await self._ctx.db.execute(
            select(held).where(held.c.holders < self._setting("holders_least"))
        )
        return [
            RelationshipFinding(
                code=FindingCode.SINGLE_THREADED,
                severity=Severity.WARNING if row.holders else Severity.CRITICAL,
                **_about(row),
                figure=row.holders,
                threshold=least,
                message=f"{row.name} is of tier {row.tier}, and {row.holders} of us have a "
                f"relationship there; {least} are needed.",
                message_zh=f"{row.name}为{row.tier}级客户，我方仅{row.holders}人建立关系，"
                f"至少需要{least}人。",
            )
            for row in rows
        ]

    # F10

    async def _mismatches(self) -> list[RelationshipFinding]:
        """Customers, and the company, where our superiors do the work of others (C5, 28)."""
        ours = func.max(func.coalesce(ActivityParticipant.level, Employee.level)).filter(
            ActivityParticipant.employee_id.is_not(None)
        )
        theirs = func.max(func.coalesce(ActivityParticipant.level, Person.rank)).filter(
            ActivityParticipant.person_id.is_not(None)
        )
        done = (
            select(
                Activity.customer_id,
                sa.case((ours - theirs >= self._setting("mismatch_ranks"), 1), else_=0).label(
                    "downward"
                ),
            )
            .select_from(Activity)
            .join(Customer, Activity.customer_id == Customer.id)
            .outerjoin(
                ActivityParticipant,
                sa.and_(
                    ActivityParticipant.activity_id == Activity.id,
                    ActivityParticipant.archived_at.is_(None),
                ),
            )
            .outerjoin(Employee, ActivityParticipant.employee_id == Employee.id)
            .outerjoin(Person, ActivityParticipant.person_id == Person.id)
            .where(self._condition, scores.all_done_between(self._quarter, self._as_of))
            .group_by(Activity.id, Activity.customer_id)
            .subquery("done")
        )
        downward, times = func.sum(done.c.downward), func.count()
        figure = sa.cast(downward, sa.Float(53)) / func.nullif(times, 0)
        each_and_all = func.grouping_sets(sa.tuple_(done.c.customer_id), sa.tuple_())
        found = (
            select(
                done.c.customer_id, downward.label("downward"), times.label("times"),
                figure.label("figure"),
            )
            .group_by(each_and_all)
            .having(figure > self._setting("mismatch_share"))
            .subquery("found")
        )  # fmt: skip
        rows = await self._ctx.db.execute(
            select(Customer.id, Customer.name, found.c.downward, found.c.times, found.c.figure)
            .select_from(found)
            .outerjoin(Customer, found.c.customer_id == Customer.id)
        )
        return [self._mismatch(row) for row in rows]

    def _mismatch(self, row: Any) -> RelationshipFinding:
        return RelationshipFinding(
            code=FindingCode.LEVEL_MISMATCH,
            severity=Severity.WARNING,
            **_about(row),
            figure=row.figure,
            threshold=self._numbers.mismatch_share,
            message=f"In {row.downward} of {row.times} activities of the quarter our people stood "
            f"{self._numbers.mismatch_ranks} levels or more above those they met.",
            message_zh=f"本季度{row.times}次活动中有{row.downward}次我方级别高出对方"
            f"{self._numbers.mismatch_ranks}级及以上。",
        )

    # C5, 27

    async def _boss_dependence(self) -> list[RelationshipFinding]:
        """Whether the boss alone signs most of the revenue."""
        since = months_back(self._as_of, self._numbers.boss_months)
        signed: Any = self._ctx.ask(RelationshipHooks.signed_revenue)
        if signed is None:
            signed = select(
                Purchase.customer_id, Purchase.employee_id, Purchase.amount_minor,
                Purchase.amount_currency, Purchase.ordered_on.label("signed_on"),
            ).where(Purchase.archived_at.is_(None))  # fmt: skip
        table = signed.subquery("signed")
        of, boss = table.c, Employee.level >= self._setting("boss_level")
        total = func.sum(of.amount_minor)
        alone, whole = (
            await self._ctx.db.execute(
                select(sa.cast(total.filter(boss), sa.BigInteger), sa.cast(total, sa.BigInteger))
                .select_from(table)
                .join(Customer, of.customer_id == Customer.id)
                .outerjoin(Employee, of.employee_id == Employee.id)
                .where(
                    self._condition,
                    of.amount_currency == self._ctx.tenant.currency,
                    of.signed_on > sa.literal(since, sa.Date),
                    of.signed_on <= self._day,
                )
            )
        ).one()
        limit = self._numbers.boss_share
        if not whole or whole < 0 or not alone or alone / whole <= limit:
            return []
        share, months = f"{alone / whole:.0%}", self._numbers.boss_months
        return [
            RelationshipFinding(
                code=FindingCode.BOSS_DEPENDENCE,
                severity=Severity.CRITICAL,
                **_about(None),
                figure=alone / whole,
                threshold=limit,
                message=f"The boss signed {share} of the revenue of {months} months.",
                message_zh=f"近{months}个月收入的{share}由老板签下。",
            )
        ]

    # C5, 29

    async def _running(self) -> list[RelationshipFinding]:
        """Employees who visit much and have nobody on our side among those who decide."""
        mine = aliased(ActivityParticipant)
        visits = func.count(sa.distinct(Activity.id))
        limit = self._numbers.runs_visits
        many = (
            select(mine.employee_id, visits.label("visits"))
            .select_from(Activity)
            .join(mine, mine.activity_id == Activity.id)
            .join(Customer, Activity.customer_id == Customer.id)
            .where(
                self._condition,
                scores.all_done_between(self._quarter, self._as_of),
                Activity.kind == ActivityKind.VISIT,
                mine.employee_id.is_not(None),
                mine.archived_at.is_(None),
            )
            .group_by(mine.employee_id)
            .having(visits >= self._setting("runs_visits"))
            .subquery("many")
        )
        rows = await self._ctx.db.execute(
            select(
                Employee.id.label("employee_id"),
                Employee.name.label("employee_name"),
                many.c.visits,
            )
            .join(many, many.c.employee_id == Employee.id)
            .where(sa.not_(self._influences()))
        )
        return [
            RelationshipFinding(
                code=FindingCode.RUNS_NOT_INFLUENCES,
                severity=Severity.WARNING,
                **_about(row),
                figure=row.visits,
                threshold=limit,
                message=f"{row.employee_name} made {row.visits} visits in the quarter and has no "
                f"key person at level {self._numbers.holders_level} or more.",
                message_zh=f"{row.employee_name}本季度拜访{row.visits}次，但没有一位关键人达到"
                f"{self._numbers.holders_level}级及以上。",
            )
            for row in rows
        ]

    def _influences(self) -> sa.ColumnElement[bool]:
        """Whether an employee met of late a key person who is on our side.

        The first who is found will do: OFFSET 0 keeps PostgreSQL from looking for all of them.
        """
        met, activity = aliased(ActivityParticipant), aliased(Activity)
        seat, chain, ours = (
            aliased(ChainSeat), aliased(DecisionChain), aliased(ActivityParticipant),
        )  # fmt: skip
        around = (Employee, ours, activity, met, seat, chain)
        level = scores.effective_level(met.person_id, self._day, self._setting, around)
        since = scores.days_before(self._day, self._setting("holders_days"))
        found = (
            select(ours.id)
            .join(activity, ours.activity_id == activity.id)
            .join(met, met.activity_id == activity.id)
            .join(seat, seat.person_id == met.person_id)
            .join(chain, seat.chain_id == chain.id)
            .where(
                ours.employee_id == Employee.id, ours.archived_at.is_(None),
                met.archived_at.is_(None), scores.done_between(since, self._day, activity),
                scores.in_force(self._day, seat), chain.archived_at.is_(None),
                level >= self._setting("holders_level"),
            )
            .offset(0)
        )  # fmt: skip
        return sa.exists(found.correlate(Employee))


def _about(row: Any) -> dict[str, Any]:
    """The customer and the employee of a row, if it has them."""
    customer = getattr(row, "id", None)
    employee = getattr(row, "employee_id", None)
    return {
        "customer_id": None if customer is None else global_id(Customer, customer),
        "customer_name": getattr(row, "name", None) if customer is not None else None,
        "employee_id": None if employee is None else global_id(Employee, employee),
        "employee_name": getattr(row, "employee_name", None),
    }
