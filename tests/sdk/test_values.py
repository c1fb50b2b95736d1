"""Money is exact; choices carry both labels; structured values are frozen."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guanxi_sdk import Choice, Event, Invalid, Money, Settings, Value
from guanxi_sdk.values import MINOR_DIGITS, is_currency

CURRENCIES = st.sampled_from(["CNY", "EUR", "USD", *MINOR_DIGITS])
MINOR = st.integers(-(10**17), 10**17)


@given(MINOR, CURRENCIES)
@example(0, "CNY")
@example(-1, "CNY")
@example(-5, "KWD")
@example(10**17, "KWD")
def test_an_amount_survives_being_written_and_read(minor, currency):
    money = Money(minor, currency)
    assert Money.parse(money.amount, currency) == money
    digits = MINOR_DIGITS.get(currency, 2)
    assert Decimal(money.amount) * 10**digits == minor
    assert len(money.amount.partition(".")[2]) == digits
    assert "E" not in money.amount


@given(st.decimals(-(10**14), 10**14, allow_nan=False, places=6), CURRENCIES)
def test_parsing_is_exact_or_refused(number, currency):
    digits = MINOR_DIGITS.get(currency, 2)
    text = f"{number:f}"
    exact = number * 10**digits == int(number * 10**digits)
    if exact:
        assert Money.parse(text, currency).minor == int(number * 10**digits)
    else:
        with pytest.raises(Invalid, match="more decimals than"):
            Money.parse(text, currency)
    rounded = Money.parse(text, currency, rounded=True).minor
    error = abs(rounded - number * 10**digits)
    assert error <= Decimal("0.5")
    if error == Decimal("0.5"):
        assert abs(rounded) > abs(number * 10**digits)  # a half goes away from zero


@given(st.text(max_size=80))
@example("1" * 61)
@example("1." + "0" * 58 + "1")
@example("1." + "0" * 30 + "1")
@example("-")
@example("")
@example("+-1")
@example("1.2.3")
@example("٣")
@example("1e5")
@example("NaN")
@example("Infinity")
@example("1_000")
@example(" 1")
@example("1\n")
@example("99999999999999999")
@example("999999999999999999")
def test_any_text_is_an_amount_or_refused(text):
    try:
        money = Money.parse(text, "CNY")
    except Invalid:
        return
    assert text.isascii()
    assert Decimal(text) == Decimal(money.amount)
    assert abs(money.minor) <= 10**17


@pytest.mark.parametrize("code", ["", "CN", "CNYY", "cny", "C1Y", "US$", "ＣＮＹ", "CN ", "ÄÖÜ"])
def test_currencies(code):
    assert is_currency("CNY")
    assert not is_currency(code)
    with pytest.raises(Invalid) as refused:
        Money.parse("1", code)
    assert refused.value.path == "currency"


def test_choices_carry_labels():
    class Tier(Choice):
        S = "S", "战略", "Strategic"
        A = "A", "伙伴", "Partner"
        PLAIN = "plain"

    assert [tier.value for tier in Tier] == ["S", "A", "plain"]
    assert (Tier.S.zh, Tier.S.en) == ("战略", "Strategic")
    assert (Tier.PLAIN.zh, Tier.PLAIN.en) == ("plain", "plain")
    assert Tier("A") is Tier.A
    assert Tier.A == "A"
    assert f"{Tier.A}" == "A"
    assert msgspec.json.encode(Tier.S) == b'"S"'


@pytest.mark.parametrize("base", [Value, Event, Settings])
def test_structures_are_frozen_and_given_by_keyword(base):
    class Address(base):
        """Where somebody lives."""

        city: str
        since: int = 0

    address = Address(city="Paris")
    assert address == Address(city="Paris", since=0)
    assert hash(address) == hash(Address(city="Paris"))
    with pytest.raises(AttributeError):
        address.city = "Rome"
    with pytest.raises(TypeError):
        Address("Paris")


def test_a_structure_can_be_extended():
    class Fact(Value):
        """A fact."""

        name: str = ""

    class Dated(Fact):
        """A dated fact."""

        year: int

    assert Dated(year=1).name == ""
