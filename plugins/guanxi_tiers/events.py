"""What happens to tiers."""

import datetime as dt
from uuid import UUID

from guanxi_sdk import Event
from guanxi_tiers.choices import Tier


class TierChanged(Event):
    """Somebody set a customer's tier by hand, or lifted such an override, and the tier changed."""

    customer_id: UUID
    former: Tier | None
    tier: Tier | None
    reason: str


class ClassificationRequested(Event):
    """Somebody wants all customers classified, who are more than one request takes."""

    as_of: dt.date


class CustomersClassified(Event):
    """Customers were classified."""

    run_id: UUID
    as_of: dt.date
    classified: int
    changed: int


class ObligationsRequested(Event):
    """Somebody wants the obligations of all customers brought in line, beside the request."""


class CoverageCounted(Event):
    """The visits of a week were counted when it was over: see `weeklyCoverages`."""

    week_of: dt.date
    employees: int
    behind: int
