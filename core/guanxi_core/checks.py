"""What a field of a model may hold, checked before the database has to refuse it."""

import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

import msgspec
from sqlalchemy import ClauseElement

from guanxi_sdk import Choice, Invalid, Money
from guanxi_sdk.info import FieldInfo, ModelInfo
from guanxi_sdk.values import is_currency

Check = Callable[[FieldInfo, Any], str | None]

_INTEGER: Final = 2**31
_MONEY: Final = 10**17  # minor units


def check_values(info: ModelInfo, values: Mapping[str, Any]) -> None:
    """Raise :class:`Invalid` for the first of ``values``, by attribute, that does not fit."""
    for name, value in values.items():
        field = info.stored(name)
        if field is None:
            raise Invalid(name, f"is not an attribute of {info.name}")
        if reason := wrong(field, value):
            raise Invalid(name, reason)


def wrong(field: FieldInfo, value: Any) -> str | None:
    """Why ``field`` cannot hold ``value``, as the end of a sentence; None when it can.

    None and SQL expressions pass: the database decides about them.
    """
    if value is None or isinstance(value, ClauseElement):
        return None
    return check_of(field)(field, value)


def check_of(field: FieldInfo) -> Check:
    """:func:`wrong` for values that are there."""
    return _CHECKS.get(field.kind, _anything)


def _anything(field: FieldInfo, value: Any) -> str | None:
    return None


def _text(field: FieldInfo, value: Any) -> str | None:
    if not isinstance(value, str):
        return "is not a text"
    if not field.nullable and not value.strip():
        return "must not be blank"
    if field.max_length is not None and len(value) > field.max_length:
        return f"is longer than {field.max_length} characters"
    return None if storable(value) else "holds a character that cannot be stored"


def storable(text: str) -> bool:
    """Whether PostgreSQL can keep ``text``: no NUL, no half of a surrogate pair."""
    if text.isascii():
        return "\x00" not in text
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False


def _number(field: FieldInfo, value: Any) -> str | None:
    if field.minimum is not None and value < field.minimum:
        return f"is less than {field.minimum:g}"
    if field.maximum is not None and value > field.maximum:
        return f"is more than {field.maximum:g}"
    return None


def _integer(field: FieldInfo, value: Any) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return "is not a whole number"
    return _number(field, value) or (None if -_INTEGER <= value < _INTEGER else "is too large")


def _float(field: FieldInfo, value: Any) -> str | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return "is not a number"
    return _number(field, value)


def _bool(field: FieldInfo, value: Any) -> str | None:
    return None if isinstance(value, bool) else "is neither true nor false"


def _money(field: FieldInfo, value: Any) -> str | None:
    if not isinstance(value, Money):
        return "is not an amount of money"
    if not is_currency(value.currency):
        return "has a currency that is not an ISO 4217 code such as CNY"
    return "is too large" if abs(value.minor) > _MONEY else None


def _choice(field: FieldInfo, value: Any) -> str | None:
    choices: type[Choice] = field.python
    if isinstance(value, str) and value in choices._value2member_map_:
        return None
    return f"is not one of {', '.join(choices)}"


def _datetime(field: FieldInfo, value: Any) -> str | None:
    if not isinstance(value, dt.datetime):
        return "is not a time"
    return "needs a time zone" if value.tzinfo is None else None


def _date(field: FieldInfo, value: Any) -> str | None:
    fits = isinstance(value, dt.date) and not isinstance(value, dt.datetime)
    return None if fits else "is not a date"


def _texts(field: FieldInfo, value: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return "is not a list"
    return next((reason for item in value if (reason := _text(field, item))), None)


def _values(field: FieldInfo, value: Any) -> str | None:
    (item,) = get_args(field.python)
    if not isinstance(value, list | tuple) or not all(isinstance(one, item) for one in value):
        return f"is not a list of {item.__name__}"
    try:
        encoded = msgspec.json.encode(value)
    except (TypeError, ValueError):
        return "cannot be stored"
    return "holds a character that cannot be stored" if b"\\u0000" in encoded else None


_CHECKS: Final[dict[str, Check]] = {
    "text": _text, "int": _integer, "float": _float, "bool": _bool, "money": _money,
    "choice": _choice, "datetime": _datetime, "date": _date, "texts": _texts, "values": _values,
}  # fmt: skip
