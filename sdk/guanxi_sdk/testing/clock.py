"""A clock that stands still until a test moves it."""

import datetime as dt


class Clock:
    """``clock()`` tells the time in UTC; it starts at the real time and moves when told to."""

    def __init__(self, start: dt.datetime | None = None) -> None:
        self._time = _utc(start) if start else dt.datetime.now(dt.UTC)

    def __call__(self) -> dt.datetime:
        """The time it shows."""
        return self._time

    def set(self, time: dt.datetime) -> None:
        """Show ``time``, which must name its time zone."""
        self._time = _utc(time)

    def advance(self, **by: float) -> None:
        """Move on: ``clock.advance(days=1, hours=2)``."""
        self._time += dt.timedelta(**by)


def _utc(time: dt.datetime) -> dt.datetime:
    if time.tzinfo is None:
        raise ValueError("give the time a time zone, for instance tzinfo=datetime.UTC")
    return time.astimezone(dt.UTC)
