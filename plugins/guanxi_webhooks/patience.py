"""How often a message is tried, and when an endpoint is given up."""

import datetime as dt
import random
from typing import Final

from guanxi_webhooks.settings import WebhookSettings

#: Pauses are up to this much longer, so that not all come back at the same time.
JITTER: Final = 0.2


def next_pause(settings: WebhookSettings, attempts: int) -> dt.timedelta | None:
    """How long to wait after so many failed attempts; None for no further one."""
    if attempts > len(settings.pauses):
        return None
    longer = random.uniform(1, 1 + JITTER)  # noqa: S311  nobody gains by guessing it
    return dt.timedelta(minutes=settings.pauses[attempts - 1] * longer)


def hopeless(settings: WebhookSettings, failures: int, lasting: dt.timedelta) -> bool:
    """Whether an endpoint has failed often enough, for long enough."""
    return failures >= settings.disable_after and lasting >= dt.timedelta(
        hours=settings.disable_after_hours
    )
