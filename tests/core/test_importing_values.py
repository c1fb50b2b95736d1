"""Cells as values: what is read, and what is refused with which words."""

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guanxi_core.importing.errors import BadValue
from guanxi_core.importing.values import (
    PLAIN,
    Format,
    decimal_number,
    money,
    parser,
    plain_number,
    rounded_money,
)
from guanxi_sdk import Choice, Money, Value
from guanxi_sdk.info import FieldInfo


class Grade(Choice):
    """Three grades; the value of one is the label of another."""

    A = "A", "一级", "First"
    B = "B", "二级", "Second"
    FIRST = "First", "头等", "Top"


class Point(Value):
    """A value of its own."""

    x: int


def field(kind: str, python: Any = str, **more: Any) -> FieldInfo:
    return FieldInfo("it", kind, True, "", ("it",), python, **more)


def read(kind: str, text: str, spelled: Format = PLAIN, **more: Any) -> Any:
    return parser(field(kind, **more), spelled)(text)


CONTINENTAL = Format(decimal=",", thousands=".")


@pytest.mark.parametrize(
    ("text", "spelled", "plain"),
    [
        ("12.30", Format(), "12.30"),
        ("-0.5", Format(), "-0.5"),
        (".5", Format(), "0.5"),
        ("5.", Format(), "5"),
        ("1.234.567,89", CONTINENTAL, "1234567.89"),
        ("1234,5", CONTINENTAL, "1234.5"),
        ("1\u202f234,5", Format(decimal=",", thousands=" "), "1234.5"),
        ("1,234", Format(thousands=","), "1234"),
    ],
)
def test_numbers_as_the_file_spells_them(text: str, spelled: Format, plain: str) -> None:
    assert plain_number(text, spelled) == plain


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "-",
        "1,5",
        "1e5",
        "NaN",
        "inf",
        "１２",
        "1_000",
        "0x10",
        "--1",
        "1.2.3",
        "9" * 50,
        "1\n",
    ],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match=r"is not a number such as 1234\.50"):
        plain_number(text)


def test_thousands_must_stand_where_they_belong() -> None:
    with pytest.raises(BadValue, match=r"such as 1\.234,50"):
        plain_number("12.34", CONTINENTAL)


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=4
    )
)
def test_every_decimal_survives_its_spelling(number: Decimal) -> None:
    sign, digits = ("-", f"{-number:,.4f}") if number < 0 else ("", f"{number:,.4f}")
    continental = digits.translate(str.maketrans(",.", ".,"))
    assert decimal_number(sign + continental, CONTINENTAL) == number


@given(st.text(max_size=30))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    try:
        value = decimal_number(text)
    except BadValue:
        return
    assert text.isascii()
    assert value == Decimal(text)


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**9, places=6),
    st.sampled_from([("USD", "0.01"), ("JPY", "1"), ("KWD", "0.001")]),
)
def test_sums_are_rounded_half_up_to_the_smallest_unit(
    amount: Decimal, unit: tuple[str, str]
) -> None:
    currency, smallest = unit
    expected = amount.quantize(Decimal(smallest), rounding=ROUND_HALF_UP)
    assert Decimal(rounded_money(amount, currency).amount) == expected


def test_half_a_cent_goes_up() -> None:
    assert rounded_money(Decimal("695.625"), "USD") == Money(69563, "USD")


@pytest.mark.parametrize(
    ("text", "currency", "expected"),
    [
        ("12.30", "CNY", Money(1230, "CNY")),
        ("12.30 EUR", "CNY", Money(1230, "EUR")),
        ("JPY 500", None, Money(500, "JPY")),
    ],
)
def test_money_may_name_its_currency(text: str, currency: str | None, expected: Money) -> None:
    assert money(text, currency) == expected


@pytest.mark.parametrize(
    ("text", "currency", "words"),
    [
        ("1.234", "USD", "more decimals than USD"),
        ("12", None, "without a currency"),
        ("12", "euro", "not an ISO 4217 code"),
        ("twelve", "USD", "'twelve' is not a number"),
        ("12 usd", "USD", "'12 usd' is not a number"),
        ("99999999999999999999", "USD", "too large"),
    ],
)
def test_wrong_money_is_refused(text: str, currency: str | None, words: str) -> None:
    with pytest.raises(BadValue, match=words):
        money(text, currency)


@pytest.mark.parametrize(("text", "value"), [("42", 42), ("-7", -7), ("5.0", 5)])
def test_whole_numbers(text: str, value: int) -> None:
    assert read("int", text) == value


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        ("5.5", {}, "not a whole number"),
        ("2147483648", {}, "too large"),
        ("0", {"minimum": 1}, "'0' is less than 1"),
        ("6", {"maximum": 5}, "'6' is more than 5"),
    ],
)
def test_whole_numbers_refused(text: str, more: dict[str, float], words: str) -> None:
    with pytest.raises(BadValue, match=words):
        read("int", text, **more)


def test_text_is_measured_in_characters() -> None:
    assert read("text", "关系", max_length=2) == "关系"
    with pytest.raises(BadValue, match="longer than 2 characters"):
        read("text", "关系户", max_length=2)


@pytest.mark.parametrize("text", ["true", "Yes", "1", "是", "T"])
def test_true(text: str) -> None:
    assert read("bool", text) is True


@pytest.mark.parametrize("text", ["FALSE", "no", "0", "否"])
def test_false(text: str) -> None:
    assert read("bool", text) is False


def test_neither_true_nor_false() -> None:
    with pytest.raises(BadValue, match="'maybe' is neither true nor false"):
        read("bool", "maybe")


@pytest.mark.parametrize(
    ("text", "spelled", "value"),
    [
        ("1998-05-06", Format(), dt.date(1998, 5, 6)),
        ("06.05.1998", Format(dates="%d.%m.%Y"), dt.date(1998, 5, 6)),
        ("1998-05-06 00:00:00.000", Format(dates="%Y-%m-%d %H:%M:%S.%f"), dt.date(1998, 5, 6)),
    ],
)
def test_dates(text: str, spelled: Format, value: dt.date) -> None:
    assert read("date", text, spelled) == value


@pytest.mark.parametrize(
    ("text", "spelled", "words"),
    [
        ("06/05/1998", Format(), "not a date like 2026-05-31"),
        ("1998-02-30", Format(), "'1998-02-30' is not a date"),
        ("1998-05-06", Format(dates="%d.%m.%Y"), r"like 31\.05\.2026 \(format %d\.%m\.%Y\)"),
    ],
)
def test_malformed_dates_show_the_right_form(text: str, spelled: Format, words: str) -> None:
    with pytest.raises(BadValue, match=words):
        read("date", text, spelled)


def test_times_without_a_zone_take_the_column_s() -> None:
    shanghai = Format(timezone="Asia/Shanghai")
    assert read("datetime", "2026-03-01 08:00", shanghai) == dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    assert read("datetime", "2026-03-01T08:00+02:00", shanghai).hour == 6


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_every_iso_time_is_read(moment: dt.datetime) -> None:
    assert read("datetime", moment.isoformat()) == moment


@pytest.mark.parametrize("text", ["B", "b", "二级", "second", "SECOND"])
def test_a_choice_by_value_or_label(text: str) -> None:
    assert read("choice", text, python=Grade) == "B"


def test_a_stored_value_wins_over_a_label() -> None:
    assert read("choice", "First", python=Grade) == "First"


def test_no_such_choice_names_them_all() -> None:
    with pytest.raises(BadValue, match=r"'C' is none of A \(一级, First\), B \(二级, Second\)"):
        read("choice", "C", python=Grade)


def test_lists_of_texts() -> None:
    assert read("texts", " 5G ; 光传输;; ") == ["5G", "光传输"]


def test_structured_values_are_json() -> None:
    assert read("values", '[{"x": 1}]', python=list[Point]) == '[{"x":1}]'
    with pytest.raises(BadValue, match="is not the JSON"):
        read("values", '[{"x": "one"}]', python=list[Point])
    assert msgspec.json.decode(b'[{"x":1}]', type=list[Point]) == [Point(x=1)]


def test_ids_with_and_without_their_type() -> None:
    plain = read("id", "01a2000e-ee44-73a0-b7d2-599ad252bd0f")
    assert read("id", "customer_01a2000e-ee44-73a0-b7d2-599ad252bd0f") == plain
    with pytest.raises(BadValue, match="is not an id"):
        read("id", "customer_12")
