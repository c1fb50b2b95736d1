"""Structured values of the tiers plugin."""

import datetime as dt

from guanxi_sdk import Value
from guanxi_tiers.choices import Care, Tier, TierInputName, TierInputSource


class TierReason(Value):
    """One reason for a tier, in English and in Chinese."""

    code: str
    """What kind of reason, for instance `SCORE`, `ARREARS`, `MISSING`, `OVERRIDE` or `NO_INPUT`."""

    message: str
    """The reason as an English sentence."""

    message_zh: str
    """The reason as a Chinese sentence."""


class TierInput(Value):
    """One input as it entered a decision (domain rule F1)."""

    name: TierInputName
    """Which input."""

    value: float | None
    """0 to 10; null when it is missing and was left out."""

    weight: float
    """Weight by the settings at that time, before missing inputs are left out."""

    source: TierInputSource
    """Computed from data, or assessed by somebody."""

    detail: str
    """What the value derives from, for instance `annual purchase CNY 1200000.00`."""


class TierCount(Value):
    """How many customers have a tier."""

    tier: Tier | None
    """The tier; null for customers about whom nothing is known."""

    count: int
    """Number of customers."""


class TierClassification(Value):
    """What a classification did."""

    as_of: dt.date
    """Day whose facts counted."""

    classified: int
    """How many customers were looked at."""

    changed: int
    """How many of them have another tier than before."""

    by_tier: list[TierCount]
    """How many customers have which tier now, among those looked at."""

    in_background: bool
    """Whether there are so many that it goes on by itself: `jobs` and `tierRuns` tell of it."""


class ObligationUpdate(Value):
    """What bringing obligations in line with tiers came to."""

    open: int
    """How many obligations are open now."""

    in_background: bool
    """Whether customers are so many that it goes on by itself: `jobs` tells how far it is."""


class TierMove(Value):
    """How many customers would move from one tier to another."""

    former: Tier | None
    """The tier by the rules in force; null where they know nothing."""

    tier: Tier | None
    """The tier by the other rules."""

    count: int
    """Number of customers."""


class MovedCustomer(Value):
    """A customer who would have another tier, and why."""

    customer_id: str
    """Global id of the customer."""

    code: str
    """Code of the customer."""

    name: str
    """Name of the customer."""

    former: Tier | None
    """The tier by the rules in force."""

    tier: Tier | None
    """The tier by the other rules."""

    former_reasons: list[TierReason]
    """Why the rules in force say so."""

    reasons: list[TierReason]
    """Why the other rules say so."""


class TierComparison(Value):
    """What other rules would change."""

    as_of: dt.date
    """Day whose facts counted."""

    compared: int
    """How many customers were looked at."""

    moved: int
    """How many of them would have another tier."""

    by_hand: int
    """How many more would, were their tier not set by hand."""

    moves: list[TierMove]
    """From where to where, the most frequent first."""

    customers: list[MovedCustomer]
    """Who would move, the furthest first, then by code; as many as were asked for."""


class CoverageLine(Value):
    """A manager's visits of general customers in one week (domain rule F2)."""

    employee_id: str
    """Global id of the employee."""

    employee: str
    """Name of the employee."""

    office: str | None
    """Name of the office in which the employee works."""

    week: str
    """The ISO week, such as `2024-W09`."""

    workdays: int
    """Days of the week on which the employee works: without holidays and leave."""

    quota: int
    """How many general customers are to be visited on so many workdays."""

    visited: int
    """How many different general customers were visited."""

    short: int
    """How many are missing."""

    met: bool
    """Whether the quota is met."""


class NonProjectLine(Value):
    """How much of the contact with one customer is beside any opportunity."""

    customer_id: str
    """Global id of the customer."""

    code: str
    """Code of the customer."""

    name: str
    """Name of the customer."""

    tier: Tier
    """Tier of the customer then: S or A."""

    activities: int
    """What was done in the quarter."""

    without_opportunity: int
    """How much of it belongs to no opportunity."""

    share: float
    """The part of the whole that this is."""

    warns: bool
    """Whether it is less than it should be."""


class NonProjectShare(Value):
    """How much of a quarter's contact with S and A customers is beside projects (F17)."""

    starts_on: dt.date
    """First day of the quarter."""

    ends_on: dt.date
    """Last day of the quarter."""

    activities: int
    """What was done with these customers."""

    without_opportunity: int
    """How much of it belongs to no opportunity."""

    share: float | None
    """The part of the whole that this is; null where nothing was done."""

    warns: bool
    """Whether it is less than it should be."""

    customers: list[NonProjectLine]
    """The customers with whom something was done, the lowest share first."""


class CareLine(Value):
    """How often a person was contacted, against what is good (domain rule F18)."""

    person_id: str
    """Global id of the person."""

    person: str
    """Name of the person."""

    customer_id: str
    """Global id of the customer for whom the person works."""

    customer: str
    """Name of that customer."""

    tier: Tier
    """Tier of that customer then."""

    contacts: int
    """What was done with the person in these days."""

    low: int
    """The least that is good."""

    high: int
    """The most that is good."""

    care: Care
    """Too seldom, too often, or as it should be."""
