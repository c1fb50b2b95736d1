"""F3 to F7 as SQL expressions, for any customer on any day (domain rules F3 to F7).

Each looks up what it needs by the customer's or the person's id, so that it is as good for one
customer as for all. ``outer`` names the tables of the statement around, from which ids and days
come; the expressions of SQL fields leave it out.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from guanxi_customers import (
    Activity,
    ActivityKind,
    ActivityParticipant,
    ActivityStatus,
    DecisionRole,
    Department,
    Person,
)
from guanxi_relationships.choices import CooperationKind, RelationshipGrade
from guanxi_relationships.models import ChainSeat, Cooperation, DecisionChain, LevelAssessment
from guanxi_relationships.settings import RelationshipSettings
from guanxi_tiers import Standing, tier_on

#: A setting by its name, as an expression.
Setting = Callable[[str], sa.ColumnElement[Any]]
Day = sa.ColumnElement[dt.date]
Outer = tuple[Any, ...]

_ROLES: Final[Mapping[DecisionRole, str]] = {
    DecisionRole.A: "weight_a", DecisionRole.D: "weight_d", DecisionRole.S: "weight_s",
    DecisionRole.E: "weight_e", DecisionRole.I: "weight_i",
}  # fmt: skip


def given(settings: RelationshipSettings) -> Setting:
    """The settings of one tenant, for a statement of its own."""

    def literal(name: str) -> sa.ColumnElement[Any]:
        value = getattr(settings, name)
        if isinstance(value, tuple):
            return sa.literal(list(value), sa.ARRAY(sa.Text))
        return sa.literal(value, sa.Integer if isinstance(value, int) else sa.Float(53))

    return literal


def days_before(day: Day, days: Any) -> Day:
    """The day so many days earlier."""
    return sa.cast(sa.cast(day, sa.Date) - sa.cast(days, sa.Integer), sa.Date)


def months_before(day: Day, months: Any) -> Day:
    """The same day so many months earlier; the last of a month that is shorter."""
    span = func.make_interval(0, sa.cast(months, sa.Integer), type_=sa.Interval)
    return sa.cast(sa.cast(day, sa.Date) - span, sa.Date)


def day_of(time: Any) -> Day:
    """The day of a time, in UTC."""
    return sa.cast(func.timezone(sa.literal("UTC", sa.Text), time), sa.Date)


def done_between(after: Day, until: Day, activity: Any = Activity) -> sa.ColumnElement[bool]:
    """Activities done after one day, up to another and on it."""
    return sa.and_(done_by(until, activity), day_of(activity.done_at) > after)


def done_by(day: Day, activity: Any = Activity) -> sa.ColumnElement[bool]:
    """Activities done on a day or before.

    Here and below no condition but those by id may use an index: as long as PostgreSQL has not
    counted the rows it would prefer the others, and read all activities for every customer.
    """
    status = func.coalesce(sa.cast(activity.status, sa.Text), "")
    return sa.and_(
        status == ActivityStatus.DONE.value,
        activity.archived_at.is_(None),
        day_of(activity.done_at) <= day,
    )


def all_done_between(after: dt.date | None, until: dt.date) -> sa.ColumnElement[bool]:
    """The same for a statement about all activities of many customers, which may use any index."""
    ends = [Activity.done_at < _midnight_after(until)]
    if after is not None:
        ends.append(Activity.done_at >= _midnight_after(after))
    return sa.and_(Activity.status == ActivityStatus.DONE, Activity.archived_at.is_(None), *ends)


def _midnight_after(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), dt.UTC)


def _correlated(statement: Any, outer: Outer) -> Any:
    return statement.correlate(*outer) if outer else statement


# persons (F3)


def _latest(
    value: Any, assessment: Any, person_id: Any, day: Day, outer: Outer
) -> sa.ColumnElement[Any]:
    """An expression over the last assessment of a person on a day or before."""
    statement = (
        select(value)
        .where(assessment.person_id == person_id, assessment.assessed_on <= day)
        .order_by(assessment.assessed_on.desc(), assessment.id.desc())
        .limit(1)
    )
    found: sa.ColumnElement[Any] = _correlated(statement, outer).scalar_subquery()
    return found


def level(person_id: Any, day: Day, outer: Outer = ()) -> sa.ColumnElement[Any]:
    """The level as it was last assessed; null while nobody did."""
    last = aliased(LevelAssessment)
    return _latest(last.level, last, person_id, day, outer)


def last_contact_on(person_id: Any, day: Day, outer: Outer = ()) -> sa.ColumnElement[Any]:
    """Day of the last done activity in which a person took part; null without one."""
    last = (
        select(day_of(func.max(Activity.done_at)))
        .select_from(ActivityParticipant)
        .join(Activity, ActivityParticipant.activity_id == Activity.id)
        .where(
            ActivityParticipant.person_id == person_id,
            ActivityParticipant.archived_at.is_(None),
            done_by(day),
        )
    )
    found: sa.ColumnElement[Any] = _correlated(last, outer).scalar_subquery()
    return found


def _met(person_id: Any, done: sa.ColumnElement[bool], outer: Outer) -> sa.ColumnElement[bool]:
    """Whether a person took part in such an activity; the first that is found will do."""
    found = (
        select(ActivityParticipant.id)
        .join(Activity, ActivityParticipant.activity_id == Activity.id)
        .where(
            ActivityParticipant.person_id == person_id,
            ActivityParticipant.archived_at.is_(None),
            done,
        )
    )
    return sa.exists(_correlated(found, outer))


def effective_level(
    person_id: Any, day: Day, setting: Setting, outer: Outer = ()
) -> sa.ColumnElement[Any]:
    """F3: the level, one less where the last contact is too long ago, but not below neutral.

    A person with whom nothing was ever done counts from the day of the assessment. What does not
    decay takes no look at contacts.
    """
    last = aliased(LevelAssessment)
    around = (*outer, last) if outer else ()
    since = days_before(day, setting("contact_days"))
    late = done_between(days_before(day, setting("contact_days") + 1), day)
    stale = sa.and_(
        sa.not_(_met(person_id, late, around)),
        sa.or_(last.assessed_on < since, _met(person_id, done_by(day), around)),
    )
    value = sa.case(
        (last.level <= 0, last.level),
        (stale, func.greatest(last.level - 1, 0)),
        else_=last.level,
    )
    return _latest(sa.cast(value, sa.Integer), last, person_id, day, outer)


# customers (F4 to F7)


def in_force(day: Day, seat: Any = ChainSeat) -> sa.ColumnElement[bool]:
    """Seats that are taken on a day."""
    end = func.coalesce(seat.ends_on, sa.literal(dt.date.max, sa.Date))
    return sa.and_(seat.starts_on <= day, end > day)


def weight_of(role: Any, setting: Setting) -> sa.ColumnElement[float]:
    """What a role counts (F4)."""
    whens = [(role == one, setting(name)) for one, name in _ROLES.items()]
    return sa.cast(sa.case(*whens, else_=0.0), sa.Float(53))


def _standing(chain: Any, seat: Any, customer_id: Any, day: Day) -> sa.ColumnElement[bool]:
    """Seats in the standing chains of a customer that are taken on a day."""
    return sa.and_(
        chain.customer_id == customer_id,
        func.coalesce(chain.opportunity, "") == "",
        chain.archived_at.is_(None),
        seat.archived_at.is_(None),
        in_force(day, seat),
    )


def _weighed(
    person_id: Any, weight: Any, day: Day, setting: Setting, outer: Outer
) -> sa.ColumnElement[Any]:
    """F4 over persons with weights; null where there are none."""
    effective = effective_level(person_id, day, setting, outer)
    known = sa.cast(func.coalesce(effective, -1) + 1, sa.Float(53)) / 4.0
    whole = func.nullif(func.sum(weight), 0.0, type_=sa.Float(53))
    return sa.cast(100.0 * func.sum(weight * known) / whole, sa.Float(53))


def key_score(customer_id: Any, day: Day, setting: Setting, outer: Outer = ()) -> Any:
    """F4: over the people of the standing chains, each by the weightiest of their roles."""
    chain, seat = aliased(DecisionChain), aliased(ChainSeat)
    other_chain, other = aliased(DecisionChain), aliased(ChainSeat)
    around = (*outer, chain, seat) if outer else ()
    weight, more = weight_of(seat.role, setting), weight_of(other.role, setting)
    weightier = (
        select(other.id)
        .join(other_chain, other.chain_id == other_chain.id)
        .where(
            _standing(other_chain, other, customer_id, day),
            other.person_id == seat.person_id,
            sa.or_(more > weight, sa.and_(more == weight, other.id > seat.id)),
        )
    )
    statement = (
        select(_weighed(seat.person_id, weight, day, setting, around))
        .select_from(seat)
        .join(chain, seat.chain_id == chain.id)
        .where(
            _standing(chain, seat, customer_id, day),
            sa.not_(sa.exists(_correlated(weightier, around))),
        )
    )
    return _correlated(statement, outer).scalar_subquery()


def chain_score(chain_id: Any, day: Day, setting: Setting) -> Any:
    """F4 over one chain alone."""
    seat = aliased(ChainSeat)
    return (
        select(_weighed(seat.person_id, weight_of(seat.role, setting), day, setting, ()))
        .where(seat.chain_id == chain_id, seat.archived_at.is_(None), in_force(day, seat))
        .scalar_subquery()
    )


def covered(department_id: Any, day: Day, setting: Setting, outer: Outer = ()) -> Any:
    """Whether somebody of a department took part in an activity of late (F5)."""
    since = days_before(day, setting("general_days") + 1)
    contact = (
        select(ActivityParticipant.id)
        .join(Activity, ActivityParticipant.activity_id == Activity.id)
        .join(Person, ActivityParticipant.person_id == Person.id)
        .where(
            Person.department_id == department_id,
            ActivityParticipant.archived_at.is_(None),
            done_between(since, day),
        )
    )
    return sa.exists(_correlated(contact, outer))


def general_score(customer_id: Any, day: Day, setting: Setting, outer: Outer = ()) -> Any:
    """F5: share of the departments in scope that are covered; null without any in scope."""
    department = aliased(Department)
    seen = covered(department.id, day, setting, (*outer, department) if outer else ())
    share = 100.0 * func.sum(sa.case((seen, 1.0), else_=0.0)) / func.nullif(func.count(), 0)
    statement = select(share).where(
        department.customer_id == customer_id,
        department.in_scope,
        department.archived_at.is_(None),
    )
    return sa.cast(_correlated(statement, outer).scalar_subquery(), sa.Float(53))


def organizational_score(customer_id: Any, day: Day, setting: Setting, outer: Outer = ()) -> Any:
    """F6: the points of five parts of the last twelve months."""
    since = months_before(day, setting("organizational_months"))
    points, kind = setting("organizational_points"), sa.cast(Activity.kind, sa.Text)

    def earned(enough: sa.ColumnElement[bool]) -> sa.ColumnElement[float]:
        return sa.case((enough, points), else_=0.0)

    def counted(kinds: sa.ColumnElement[bool], least: str) -> sa.ColumnElement[float]:
        return earned(func.count().filter(kinds) >= setting(least))

    study = kind == sa.literal(ActivityKind.MANAGEMENT_STUDY.value, sa.Text)
    meetings = select(
        counted(kind == sa.any_(setting("executive_kinds")), "executive_meetings")
        + counted(kind == sa.any_(setting("operating_kinds")), "operating_meetings")
        + counted(study, "management_studies")
    ).where(Activity.customer_id == customer_id, done_between(since, day))

    def bound(kinds: tuple[CooperationKind, ...], after: Day) -> sa.ColumnElement[float]:
        end = func.coalesce(Cooperation.ends_on, sa.literal(dt.date.max, sa.Date))
        held = sa.and_(sa.or_(*(Cooperation.kind == kind for kind in kinds)), end > after)
        return earned(func.coalesce(func.bool_or(held), sa.false()))

    joint = (CooperationKind.JOINT_PLANNING, CooperationKind.JOINT_INNOVATION)
    agreed = select(bound((CooperationKind.AGREEMENT,), day) + bound(joint, since)).where(
        Cooperation.customer_id == customer_id,
        Cooperation.archived_at.is_(None),
        func.coalesce(Cooperation.starts_on, day) <= day,
    )
    parts = (_correlated(one, outer).scalar_subquery() for one in (meetings, agreed))
    return sa.cast(sum(parts, start=sa.literal(0.0, sa.Float(53))), sa.Float(53))


def present_tier(customer_id: Any) -> sa.ColumnElement[Any]:
    """The tier in force."""
    return (
        select(sa.cast(Standing.tier, sa.Text)).where(Standing.id == customer_id).scalar_subquery()
    )


def tier(customer_id: Any, day: Day, outer: Outer = ()) -> sa.ColumnElement[Any]:
    """The tier on a day: the one in force, or for days before it that of the last decision."""
    present = select(sa.cast(Standing.tier, sa.Text)).where(
        Standing.id == customer_id, Standing.tiered_as_of <= day
    )
    decided = sa.cast(_correlated(tier_on(customer_id, day), outer), sa.Text)
    return func.coalesce(_correlated(present, outer).scalar_subquery(), decided)


def relationship_score(
    tier: Any, key: Any, general: Any, organizational: Any, setting: Setting
) -> Any:
    """F7 with a tier that is looked up once, and not where each part of the formula needs it."""
    known = select(sa.cast(tier, sa.Text).label("tier")).offset(0).lateral("tier_known")
    whole = composite(known.c.tier, key, general, organizational, setting)
    return select(whole).select_from(known).scalar_subquery()


def composite(tier: Any, key: Any, general: Any, organizational: Any, setting: Setting) -> Any:
    """F7: what the tier needs, in the ratio of the settings; null where a part of it is null."""

    def part(tiers: str, ratio: str, value: Any) -> sa.ColumnElement[Any]:
        needed = tier == sa.any_(setting(tiers))  # null without a tier, and so all of it
        return sa.case((needed, setting(ratio) * value), (sa.not_(needed), 0.0))

    one = sa.literal(1.0, sa.Float(53))
    key_tiers = ("key_tiers", "ratio_key")
    organizational_tiers = ("organizational_tiers", "ratio_organizational")
    summed = part(*key_tiers, key) + setting("ratio_general") * general
    summed = summed + part(*organizational_tiers, organizational)
    whole = part(*key_tiers, one) + setting("ratio_general") + part(*organizational_tiers, one)
    return sa.cast(summed / whole, sa.Float(53))


def general_grade(score: float | None, settings: RelationshipSettings) -> RelationshipGrade | None:
    """The grade of a general score (F5)."""
    if score is None:
        return None
    for least, grade in (
        (settings.general_a, RelationshipGrade.A), (settings.general_b, RelationshipGrade.B),
        (settings.general_c, RelationshipGrade.C),
    ):  # fmt: skip
        if score >= least:
            return grade
    return RelationshipGrade.D


def organizational_grade(score: float, settings: RelationshipSettings) -> RelationshipGrade:
    """The grade of an organizational score (F6)."""
    if score >= settings.organizational_a:
        return RelationshipGrade.A
    if score >= settings.organizational_b:
        return RelationshipGrade.B
    return RelationshipGrade.C
