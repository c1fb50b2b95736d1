"""How strategies decide tiers: as SQL over the facts of a customer, asked for by a hook."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from guanxi_sdk import hookspec

Text = sa.ColumnElement[str]


@dataclass(frozen=True, slots=True)
class TierFacts:
    """All that is known about one customer on one day; each attribute is an SQL expression.

    What else a strategy needs it looks up by ``customer_id`` in models of its own:
    ``select(Rating.value).where(Rating.customer_id == facts.customer_id).scalar_subquery()``.
    """

    customer_id: sa.ColumnElement[UUID]
    as_of: sa.ColumnElement[dt.date]
    code: Text
    industry_class: Text
    lifecycle: Text
    credit: sa.ColumnElement[str | None]
    country: sa.ColumnElement[str | None]
    annual_purchase: sa.ColumnElement[int]
    """Minor units of the enterprise's currency, of the twelve months up to that day."""
    former_annual_purchase: sa.ColumnElement[int]
    """Of the twelve months before these."""
    annual_orders: sa.ColumnElement[int]
    """How many purchases there were in the twelve months up to that day."""
    last_purchase_on: sa.ColumnElement[dt.date | None]
    """Day of the last purchase up to that day; null where nothing was ever bought."""
    arrears_days: sa.ColumnElement[int | None]
    arrears_waived: sa.ColumnElement[bool]
    strategic_fit: sa.ColumnElement[float | None]
    """0 to 10, as assessed last; so are the next two."""
    profit: sa.ColumnElement[float | None]
    influence: sa.ColumnElement[float | None]
    triage: sa.ColumnElement[str | None]
    """CLEAR, HOPEFUL or NONE, as found last."""


@dataclass(frozen=True, slots=True)
class Because:
    """One reason of a strategy, in English and in Chinese; expressions go into ``{}`` or ``{0}``.

    ``Because("STATE", "In {}.", "位于{}。", facts.country, when=facts.country.is_not(None))``.
    """

    code: str
    message: str
    message_zh: str
    values: tuple[Any, ...] = ()
    when: sa.ColumnElement[bool] | None = None

    def __init__(
        self,
        code: str,
        message: str,
        message_zh: str,
        *values: Any,
        when: sa.ColumnElement[bool] | None = None,
    ) -> None:
        """Take the values as they come; ``when`` says for which customers it is a reason."""
        for name, value in (
            ("code", code), ("message", message), ("message_zh", message_zh), ("values", values),
            ("when", when),
        ):  # fmt: skip
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class TierVerdict:
    """A strategy's answer about a customer, as SQL expressions."""

    tier: sa.ColumnElement[Any]
    """S, A, B or C; null for customers about whom the strategy knows nothing."""
    reasons: Sequence[Because]
    """Why, the weightiest first."""
    score: sa.ColumnElement[Any] | None = None
    """0 to 100, if the strategy counts."""
    confidence: sa.ColumnElement[Any] | None = None
    """0 to 1; 1 for whoever has a tier when left out."""
    inputs: sa.ColumnElement[Any] | None = None
    """A JSON array of :class:`TierInput`."""


@dataclass(frozen=True, slots=True)
class TierStrategy:
    """A way to decide tiers, which a tenant chooses by its name in the setting ``strategies``."""

    name: str
    version: str
    description: str
    decide: Callable[[TierFacts], TierVerdict]
    """Called once per classification; PostgreSQL works out what it returns for every customer."""
    changed: Callable[[dt.datetime], sa.Select[UUID]] | None = None
    """Ids of the customers for whom something else than their facts changed since a time.

    Without it the strategy rests on its facts alone.
    """


class TierHooks:
    """What the tiers plugin asks other plugins."""

    @hookspec("collect")
    def tier_strategies(self) -> Sequence[TierStrategy]:
        """Offer strategies beside F1, PARETO, RFM and TRIAGE; a tenant chooses which decide.

        Asked once for each classification, inside its transaction; None offers nothing.
        """
        raise AssertionError("a specification is never called")
