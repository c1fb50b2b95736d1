"""Levels and scores as fields of persons, customers and decision chains (domain rules F3 to F7)."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from guanxi_customers import Customer, Person
from guanxi_relationships import asking, scores
from guanxi_relationships.models import DecisionChain
from guanxi_relationships.permissions import READ
from guanxi_relationships.settings import RelationshipSettings
from guanxi_relationships.values import Relationship
from guanxi_sdk import SQL, Ambient, Context, field, sql_field


class Scoring:
    """The fields of the plugin that compute."""

    settings: RelationshipSettings

    # persons

    @staticmethod
    @sql_field(Person, needs=READ)
    def relationship_level(
        person: Any, ambient: Ambient, as_of: dt.date | None = None
    ) -> SQL[int | None]:
        """The level as it was last assessed: 3 coach (教练) to −1 (不认可); null while nobody did.

        Filtering or sorting by it computes it for every person.

        Args:
            as_of: The day whose level is told, by the last assessment until then; today (UTC) when
                left out.
        """
        return scores.level(person.id, _day(ambient, as_of))

    @staticmethod
    @sql_field(Person, needs=READ)
    def effective_level(
        person: Any, ambient: Ambient, as_of: dt.date | None = None
    ) -> SQL[int | None]:
        """The level, one less where the last contact was too long ago (domain rule F3).

        Filtering or sorting by it computes it for every person.

        Args:
            as_of: The day whose level is told, by assessments and contacts until then; today (UTC)
                when left out.
        """
        return scores.effective_level(person.id, _day(ambient, as_of), _setting(ambient))

    @staticmethod
    @sql_field(Person)
    def last_contact_on(
        person: Any, ambient: Ambient, as_of: dt.date | None = None
    ) -> SQL[dt.date | None]:
        """Day of the last done activity in which the person took part; null if of none.

        Filtering or sorting by it computes it for every person.

        Args:
            as_of: The day until which activities count; today (UTC) when left out.
        """
        return scores.last_contact_on(person.id, _day(ambient, as_of))

    # customers

    @staticmethod
    @sql_field(Customer, needs=READ)
    def key_score(
        customer: Any, ambient: Ambient, as_of: dt.date | None = None
    ) -> SQL[float | None]:
        """Key relationships (关键客户关系), 0 to 100 by the standing decision chains (F4).

        Null without a decision chain. Filtering or sorting by it computes it for every customer.

        Args:
            as_of: The day whose seats in decision chains, levels and contacts count; today (UTC)
                when left out.
        """
        return _key(customer, ambient, as_of)

    @staticmethod
    @sql_field(Customer, needs=READ)
    def general_score(
        customer: Any, ambient: Ambient, as_of: dt.date | None = None
    ) -> SQL[float | None]:
        """General relationships (普遍客户关系): share of departments in scope with a contact (F5).

        Null without departments in scope. Filtering or sorting by it computes it for every
        customer.

        Args:
            as_of: The day until which contacts count, from 90 days before it unless the settings
                say otherwise; today (UTC) when left out.
        """
        return _general(customer, ambient, as_of)

    @staticmethod
    @sql_field(Customer, needs=READ)
    def organizational_score(
        customer: Any, ambient: Ambient, as_of: dt.date | None = None
    ) -> SQL[float]:
        """Organizational relationship (组织客户关系), 0 to 100 by five parts of a year (F6).

        Filtering or sorting by it computes it for every customer.

        Args:
            as_of: The last day of the twelve months, or as many as the settings say, whose
                activities and cooperations count; today (UTC) when left out.
        """
        return _organizational(customer, ambient, as_of)

    @staticmethod
    @sql_field(Customer, needs=READ)
    def relationship_score(
        customer: Any, ambient: Ambient, as_of: dt.date | None = None
    ) -> SQL[float | None]:
        """All that the customer's tier needs, in the ratio of the settings (domain rule F7).

        Null without a tier, where a part that is needed is null, and for want of `tiers.read`.
        Filtering or sorting by it computes it for every customer.

        Args:
            as_of: The day whose tier and scores count; today (UTC) and the tier in force when left
                out.
        """
        day = _day(ambient, as_of)
        past = as_of is not None  # what is asked for without a day is the tier in force
        tier = scores.tier(customer.id, day) if past else scores.present_tier(customer.id)
        return _float(
            scores.relationship_score(
                sa.case((ambient.may(asking.TIERS_READ), tier)),
                _key(customer, ambient, as_of),
                _general(customer, ambient, as_of),
                _organizational(customer, ambient, as_of),
                _setting(ambient),
            )
        )

    @field(Customer, needs=READ, columns=("id",))
    async def relationship(
        self,
        ctx: Context,
        customers: Sequence[Customer],
        as_of: dt.date | None = None,
        trend_months: int = 0,
    ) -> list[Relationship]:
        """How things stand with the customer on a day, with grades, lacks and the months before.

        Args:
            as_of: The day whose tier and scores are told and from which the trend goes back;
                1900-01-01 to 9000-01-01, today (UTC) when left out.
            trend_months: How many months before that day the trend goes back, a point for each, 0
                to 36; there is no trend when left out.
        """
        ids = [customer.id for customer in customers]
        return await asking.relationships(
            ctx, self.settings, ids, as_of or ctx.today(), trend_months
        )

    # decision chains

    @staticmethod
    @sql_field(DecisionChain)
    def chain_score(
        chain: Any, ambient: Ambient, as_of: dt.date | None = None
    ) -> SQL[float | None]:
        """Key relationships with the people of this chain alone, 0 to 100 (domain rule F4).

        Null without anybody in it. Filtering or sorting by it computes it for every chain.

        Args:
            as_of: The day whose seats in decision chains, levels and contacts count; today (UTC)
                when left out.
        """
        return _float(scores.chain_score(chain.id, _day(ambient, as_of), _setting(ambient)))


def _key(customer: Any, ambient: Ambient, as_of: Any) -> sa.ColumnElement[Any]:
    return _part("key_score", scores.key_score, customer, ambient, as_of)


def _general(customer: Any, ambient: Ambient, as_of: Any) -> sa.ColumnElement[Any]:
    return _part("general_score", scores.general_score, customer, ambient, as_of)


def _organizational(customer: Any, ambient: Ambient, as_of: Any) -> sa.ColumnElement[Any]:
    return _part("organizational_score", scores.organizational_score, customer, ambient, as_of)


def _part(
    name: str, score: Any, customer: Any, ambient: Ambient, as_of: Any
) -> sa.ColumnElement[Any]:
    """A score that is a field by itself and a part of F7, worked out once where both are asked."""
    made = score(customer.id, _day(ambient, as_of), _setting(ambient))
    return ambient.once((name, as_of), _float(made))


def _setting(ambient: Ambient) -> scores.Setting:
    return lambda name: ambient.setting(RelationshipSettings, name)


def _day(ambient: Ambient, as_of: Any) -> scores.Day:
    return ambient.today if as_of is None else sa.func.coalesce(as_of, ambient.today)


def _float(expression: Any) -> sa.ColumnElement[Any]:
    return sa.cast(expression, sa.Float(53))
