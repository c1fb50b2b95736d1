"""What a row must fulfil beyond the types and limits of its columns."""

from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from guanxi_customers.activities import Activity, ActivityParticipant
from guanxi_customers.choices import ActivityStatus, Line
from guanxi_customers.organisation import Office
from guanxi_customers.stewardship import Stewardship
from guanxi_sdk import Invalid, Model

Values = Mapping[str, Any]


def errors(model: type[Model], verb: str, values: Values) -> list[Invalid]:
    """Everything wrong with a row of this plugin about to be written."""
    rule = _RULES.get(model)
    if rule is None or verb in ("archive", "restore"):
        return []
    return rule(values, verb != "update")  # an update shows the changed values only


def _office(values: Values, whole: bool) -> list[Invalid]:
    if "time_zone" not in values:
        return []
    try:
        ZoneInfo(values["time_zone"])
    except (KeyError, OSError, TypeError, ValueError):
        return [Invalid("time_zone", "is no IANA time zone such as Asia/Shanghai")]
    return []


def _participant(values: Values, whole: bool) -> list[Invalid]:
    given = sum(values.get(name) is not None for name in ("person_id", "employee_id"))
    if given > 1 or (whole and given == 0):
        return [Invalid("person_id", "or employee_id must be given, and only one of them")]
    return []


def _activity(values: Values, whole: bool) -> list[Invalid]:
    done = values.get("status") == ActivityStatus.DONE
    if done and values.get("done_at") is None and (whole or "done_at" in values):
        return [Invalid("done_at", "is missing: say when the activity was done")]
    return []


def _stewardship(values: Values, whole: bool) -> list[Invalid]:
    start, end = values.get("starts_on"), values.get("ends_on")
    found = []
    if start is not None and end is not None and end < start:
        found.append(Invalid("ends_on", "is before starts_on"))
    if values.get("is_primary") and values.get("line", Line.CUSTOMER) != Line.CUSTOMER:
        found.append(Invalid("is_primary", "is for the customer line alone"))
    return found


_RULES: Mapping[type[Model], Callable[[Values, bool], list[Invalid]]] = {
    Activity: _activity,
    ActivityParticipant: _participant,
    Office: _office,
    Stewardship: _stewardship,
}
#: The models whose rows are checked.
CHECKED = tuple(_RULES)
