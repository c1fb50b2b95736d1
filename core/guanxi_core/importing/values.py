"""Cells of a file as values: numbers, dates, choices, money, lists."""

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from guanxi_core.checks import wrong
from guanxi_core.importing.errors import BadValue
from guanxi_sdk import Choice, Invalid, Money
from guanxi_sdk.info import FieldInfo

Parse = Callable[[str], Any]

_LONGEST_NUMBER = 40
_UNLIMITED = 10**9
_WITH_CURRENCY = re.compile(r"([A-Z]{3}) ?(.*[0-9].*)|(.*[0-9].*?) ?([A-Z]{3})")
_YES = frozenset({"true", "yes", "y", "t", "1", "是"})
_NO = frozenset({"false", "no", "n", "f", "0", "否"})


@dataclass(frozen=True, slots=True)
class Format:
    """How values are spelled in one column."""

    dates: str | None = None  # strptime format; ISO 8601 when None
    timezone: str = "UTC"  # of times that do not say
    decimal: str = "."
    thousands: str = ""
    separator: str = ";"  # between the items of a list
    currency: str | None = None  # where the amount does not say


PLAIN = Format()


@lru_cache(maxsize=64)
def _number_pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    point = re.escape(decimal)
    group = "[ \u00a0\u202f]" if thousands == " " else re.escape(thousands)
    grouped = rf"[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|" if thousands else ""
    return re.compile(rf"([+-]?)({grouped}[0-9]*)(?:{point}([0-9]*))?")


def plain_number(text: str, spelled: Format = PLAIN) -> str:
    """``1.234,50`` as ``1234.50``; raises :class:`BadValue` unless it is a decimal number."""
    match = _number_pattern(spelled.decimal, spelled.thousands).fullmatch(text)
    if not match or len(text) > _LONGEST_NUMBER or not (match[2] or match[3]):
        example = f"1{spelled.thousands}234{spelled.decimal}50"
        raise BadValue(f"'{text[:60]}' is not a number such as {example}")
    sign, whole, fraction = match.groups()
    digits = re.sub(r"[^0-9]", "", whole) or "0"
    return f"{sign}{digits}.{fraction}" if fraction else sign + digits


def decimal_number(text: str, spelled: Format = PLAIN) -> Decimal:
    """A decimal number, exactly."""
    return Decimal(plain_number(text, spelled))


def money(text: str, currency: str | None, spelled: Format = PLAIN) -> Money:
    """``12.30`` in ``currency``; ``12.30 EUR`` and ``EUR 12.30`` name their own."""
    amount = text
    if named := _WITH_CURRENCY.fullmatch(text):
        amount, currency = named[2] or named[3], named[1] or named[4]
    if not currency:
        raise BadValue(f"'{text[:60]}' is an amount without a currency")
    try:
        return Money.parse(plain_number(amount, spelled), currency)
    except Invalid as error:
        culprit = currency if error.path == "currency" else text
        raise BadValue(f"'{culprit[:60]}' {error.message}") from None


def rounded_money(amount: Decimal, currency: str) -> Money:
    """An exact sum as money, rounded half up to the currency's smallest unit."""
    try:
        return Money.parse(f"{amount:f}", currency, rounded=True)
    except Invalid as error:
        culprit = currency if error.path == "currency" else amount
        raise BadValue(f"'{culprit}' {error.message}") from None


def _checked(info: FieldInfo, text: str, value: Any) -> Any:
    """Apply the attribute's limits."""
    if reason := wrong(info, value):
        raise BadValue(f"'{text[:60]}' {reason}")
    return value


def _text(info: FieldInfo, spelled: Format) -> Parse:
    longest = info.max_length or _UNLIMITED

    def parse(text: str) -> str:
        if len(text) > longest:
            raise BadValue(wrong(info, text))
        return text

    return parse


def _int(info: FieldInfo, spelled: Format) -> Parse:
    def parse(text: str) -> int:
        number = decimal_number(text, spelled)
        whole = int(number)
        if whole != number:
            raise BadValue(f"'{text}' is not a whole number")
        return int(_checked(info, text, whole))

    return parse


def _float(info: FieldInfo, spelled: Format) -> Parse:
    def parse(text: str) -> float:
        return float(_checked(info, text, float(plain_number(text, spelled))))

    return parse


def _bool(info: FieldInfo, spelled: Format) -> Parse:
    def parse(text: str) -> bool:
        folded = text.casefold()
        if folded in _YES:
            return True
        if folded in _NO:
            return False
        raise BadValue(f"'{text[:60]}' is neither true nor false")

    return parse


def _date(info: FieldInfo, spelled: Format) -> Parse:
    @lru_cache(maxsize=4096)
    def parse(text: str) -> dt.date:
        try:
            if spelled.dates:
                return dt.datetime.strptime(text, spelled.dates).date()  # noqa: DTZ007  a date
            if len(text) == 10:
                return dt.date.fromisoformat(text)
        except ValueError:
            pass
        raise BadValue(f"'{text[:60]}' is not a date like {_example(spelled, '%Y-%m-%d')}")

    return parse


def _datetime(info: FieldInfo, spelled: Format) -> Parse:
    zone = ZoneInfo(spelled.timezone)

    @lru_cache(maxsize=4096)
    def parse(text: str) -> dt.datetime:
        try:
            if spelled.dates:
                value = dt.datetime.strptime(text, spelled.dates)  # noqa: DTZ007  zone follows
            else:
                value = dt.datetime.fromisoformat(text)
            local = value if value.tzinfo else value.replace(tzinfo=zone)
            return local.astimezone(dt.UTC)
        except (ValueError, OverflowError):
            example = _example(spelled, "%Y-%m-%dT%H:%M:%S")
            raise BadValue(f"'{text[:60]}' is not a time like {example}") from None

    return parse


def _example(spelled: Format, iso: str) -> str:
    example = dt.datetime(2026, 5, 31, 14, 30, tzinfo=dt.UTC).strftime(spelled.dates or iso)
    return f"{example} (format {spelled.dates})" if spelled.dates else example


def _choice(info: FieldInfo, spelled: Format) -> Parse:
    members: list[Choice] = list(info.python)
    known: dict[str, str] = {}
    for member in members:  # the stored value wins over another member's label
        known.setdefault(member.value.casefold(), member.value)
    for member in members:
        for label in (member.name, member.zh, member.en):
            known.setdefault(label.casefold(), member.value)

    def parse(text: str) -> str:
        try:
            return known[text.casefold()]
        except KeyError:
            names = ", ".join(f"{member.value} ({member.zh}, {member.en})" for member in members)
            raise BadValue(f"'{text[:60]}' is none of {names}") from None

    return parse


def _texts(info: FieldInfo, spelled: Format) -> Parse:
    """A JSON array, or texts with the separator between them."""

    def parse(text: str) -> list[str]:
        if text.startswith("["):
            try:
                return msgspec.json.decode(text, type=list[str])
            except msgspec.MsgspecError:
                pass  # an item that begins with a bracket
        return [item for part in text.split(spelled.separator) if (item := part.strip())]

    return parse


def _values(info: FieldInfo, spelled: Format) -> Parse:
    item = get_args(info.python)[0]

    def parse(text: str) -> str:
        try:
            decoded = msgspec.json.decode(text, type=list[item])  # type: ignore[valid-type]
        except msgspec.MsgspecError as error:
            raise BadValue(f"is not the JSON it should be: {error}") from None
        return msgspec.json.encode(decoded).decode()

    return parse


def _id(info: FieldInfo, spelled: Format) -> Parse:
    def parse(text: str) -> UUID:
        try:
            return UUID(text.rpartition("_")[2])
        except ValueError:
            raise BadValue(f"'{text[:60]}' is not an id") from None

    return parse


_PARSERS: dict[str, Callable[[FieldInfo, Format], Parse]] = {
    "text": _text, "int": _int, "float": _float, "bool": _bool, "date": _date,
    "datetime": _datetime, "choice": _choice, "texts": _texts, "values": _values, "id": _id,
}  # fmt: skip

#: Kinds that can be looked up by: equality of their text in a file means equality of the value.
LOOKUP_KINDS = frozenset({"text", "int", "date", "choice", "id"})


def parser(info: FieldInfo, spelled: Format = PLAIN) -> Parse:
    """A function from a cell's text (never empty) to what the column stores.

    Money and references are not covered: they need more than one cell or the database.
    """
    return _PARSERS[info.kind](info, spelled)
