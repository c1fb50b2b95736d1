"""Values of a custom field that becomes of another kind: by their text, or not at all."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_fields import METALS
from guanxi_core.checks import wrong
from guanxi_core.custom.converting import converter
from guanxi_core.custom.definitions import Definition, custom_values
from guanxi_core.importing.errors import BadValue
from guanxi_customers import Customer

DAY = dt.date(2024, 2, 29)
MIDNIGHT = dt.datetime(2024, 2, 29, tzinfo=dt.UTC)


def _definition(kind: Any) -> Definition:
    return Definition("Customer", "it", kind, "", tuple(METALS) if kind == "choice" else ())


def _convert(before: str, value: Any, after: str) -> Any:
    try:
        return converter(_definition(before), _definition(after), Customer)(value)
    except BadValue:
        return None


@pytest.mark.parametrize(
    ("before", "value", "after", "expected"),
    [
        ("text", " 8 ", "int", 8), ("text", "7.5", "int", None), ("text", "", "int", None),
        ("text", "99999999999", "int", None), ("text", ".5", "float", 0.5),
        ("text", "1e3", "float", None), ("text", "否", "bool", False),
        ("text", "maybe", "bool", None), ("text", "2024-02-29", "date", DAY),
        ("text", "2023-02-29", "date", None), ("text", "gold", "choice", "GOLD"),
        ("text", "银", "choice", "SILVER"), ("text", "tin", "choice", None),
        ("text", "2024-02-29T08:00:00+08:00", "datetime", MIDNIGHT),
        ("int", 1, "bool", True), ("int", 2, "bool", None), ("int", -3, "float", -3.0),
        ("float", 2.0, "int", 2), ("float", 2.5, "int", None), ("float", 1e20, "int", None),
        ("float", 1e20, "text", "1" + "0" * 20), ("float", 0.1, "text", "0.1"),
        ("bool", True, "int", 1), ("bool", False, "text", "false"),
        ("date", DAY, "datetime", MIDNIGHT), ("datetime", MIDNIGHT, "date", DAY),
        ("datetime", MIDNIGHT + dt.timedelta(seconds=1), "date", None),
        ("choice", "GOLD", "text", "GOLD"), ("choice", "GOLD", "int", None),
    ],
)  # fmt: skip
def test_a_value_is_read_as_an_import_would(
    before: str, value: Any, after: str, expected: Any
) -> None:
    assert _convert(before, value, after) == expected


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text("0123456789.-+eT:是gold ", max_size=20),
    "int": st.integers(-(2**31), 2**31 - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "date": st.dates(),
    "datetime": st.datetimes(timezones=st.just(dt.UTC)),
    "choice": st.sampled_from(["BRASS", "GOLD", "SILVER"]),
}
KINDS = st.sampled_from(sorted(VALUES))


@given(KINDS.flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind], KINDS)))
def test_nothing_is_rounded_and_what_is_kept_fits(case: tuple[str, Any, str]) -> None:
    before, value, after = case
    made = _convert(before, value, after)
    if made is None:
        return
    assert wrong(custom_values(_definition(after), Customer).field, made) is None
    back = _convert(after, made, before)
    if before not in ("text", "choice") and not (before == "float" and after == "text"):
        assert back == value
    elif back is not None:  # one of several spellings of the same
        assert _convert(before, back, after) == made
