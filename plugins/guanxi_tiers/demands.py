"""What tiers demand of a year, period by period, with days by which it is due.

From domain rule "Tier requirements"; each number is a setting.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from guanxi_tiers.choices import Requirement, Tier
from guanxi_tiers.days import last_day_of
from guanxi_tiers.settings import TierSettings

#: What plans a year rather than fills it, so that it is due early.
EARLY: Final = frozenset(Requirement) - {
    Requirement.REVIEW,
    Requirement.PROFILE_REFRESH,
    Requirement.PROFILE_CHECK,
    Requirement.CONTACT,
}


@dataclass(frozen=True, slots=True)
class Demand:
    """One requirement of one tier in one period."""

    tier: Tier
    requirement: Requirement
    starts_on: dt.date
    ends_on: dt.date
    due_on: dt.date


def demands_of(settings: TierSettings, year: int) -> Iterator[Demand]:
    """All that a year must hold, by tier."""
    for tier in Tier:
        for requirement, times in getattr(settings, f"requirements_{tier.lower()}"):
            months = 12 // times
            for first in range(1, 13, months):
                start, end = dt.date(year, first, 1), last_day_of(year, first + months - 1)
                early = start + dt.timedelta(days=settings.plan_days - 1)
                due = min(early, end) if requirement in EARLY else end
                yield Demand(tier, requirement, start, end, due)
