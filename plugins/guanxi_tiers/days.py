"""Days, weeks and quarters."""

import datetime as dt

from guanxi_sdk import Invalid

_EARLIEST, _LATEST = dt.date(1900, 1, 1), dt.date(9000, 1, 1)


def check_day(path: str, day: dt.date) -> None:
    """Refuse a day from which no year could be counted back or on."""
    if day < _EARLIEST:
        raise Invalid(path, f"is before {_EARLIEST}")
    if day > _LATEST:
        raise Invalid(path, f"is after {_LATEST}")


def year_before(day: dt.date) -> dt.date:
    """The same day twelve months earlier; the last of February where there is no 29th."""
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return day.replace(year=day.year - 1, day=28)


def monday_of(day: dt.date) -> dt.date:
    """The first day of a day's ISO week."""
    return day - dt.timedelta(days=day.weekday())


def week_label(day: dt.date) -> str:
    """The ISO week of a day as people write it: `2024-W09`."""
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02}"


def quarter_of(day: dt.date) -> tuple[dt.date, dt.date]:
    """First and last day of a day's quarter."""
    first = dt.date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
    following = (first + dt.timedelta(days=93)).replace(day=1)
    return first, following - dt.timedelta(days=1)


def last_day_of(year: int, month: int) -> dt.date:
    """The last day of a month."""
    following = dt.date(year + month // 12, month % 12 + 1, 1)
    return following - dt.timedelta(days=1)
