"""What a field may hold is what the database can keep, for any value at all."""

import datetime as dt

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from with_contacts import Address, Contact, Contacts, Warmth

from guanxi_core.checks import check_values, storable, wrong
from guanxi_sdk import Invalid, Money

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.dates(),
    st.datetimes(), st.datetimes(timezones=st.just(dt.UTC)), st.lists(st.text()), st.uuids(),
    st.builds(Money, st.integers(), st.text(max_size=4)),
    st.builds(lambda city: [Address(city=city)], st.text()),
    st.sampled_from(["COLD", "WARM", "HOT", "x" * 41, "nul\x00", "\ud800", "😀" * 40]),
)  # fmt: skip
FITTING = {
    "text": st.text(max_size=41), "int": st.integers(-1, 151), "float": st.floats(),
    "bool": st.booleans(), "choice": st.sampled_from(Warmth), "date": st.dates(),
    "datetime": st.datetimes(timezones=st.just(dt.UTC)), "texts": st.lists(st.text(max_size=501)),
    "money": st.builds(Money, st.integers(-(10**17), 10**17), st.sampled_from(["CNY", "JPY"])),
    "values": st.lists(st.builds(Address, city=st.text(), since=st.integers())),
}  # fmt: skip
CHECKED = [
    name
    for name, one in Contact.info.fields.items()
    if one.kind not in ("id", "reference") and not one.readonly
]


@given(st.sampled_from(CHECKED), ANYTHING)
def test_every_value_fits_or_is_refused_with_a_reason(name, value):
    field = Contact.info.fields[name]
    reason = wrong(field, value)
    assert reason is None or (isinstance(reason, str) and not reason[0].isupper())
    if reason:
        with pytest.raises(Invalid) as refused:
            check_values(Contact.info, {name: value})
        assert (refused.value.path, refused.value.message) == (name, reason)


async def test_what_fits_can_be_stored(guanxi):
    """The check is never kinder than PostgreSQL; asked of the database itself."""
    app = await guanxi(Contacts())
    values = []

    @settings(max_examples=300, suppress_health_check=list(HealthCheck), database=None)
    @given(st.sampled_from(CHECKED), st.data())
    def gather(name, data):
        field = Contact.info.fields[name]
        value = data.draw(FITTING[field.kind] | ANYTHING)
        if name != "email" and wrong(field, value) is None:  # emails are unique
            values.append((name, value))

    gather()
    assert len(values) > 20
    for name, value in values:
        if value is None and not Contact.info.fields[name].nullable:
            continue
        async with app.context() as ctx:
            row = await ctx.add(Contact(**{"name": "Ada"} | {name: value}))
            await ctx.save_many(Contact, [{"name": "Bob", "friendly": False} | {name: value}])
            await ctx.db.refresh(row)
            assert getattr(row, name) == value


@given(st.text())
def test_text_is_storable_if_it_is_unicode_without_nul(text):
    surrogate = any(0xD800 <= ord(character) < 0xE000 for character in text)
    assert storable(text) is not (surrogate or "\x00" in text)


def test_none_and_expressions_are_left_to_the_database():
    for field in Contact.info.fields.values():
        assert wrong(field, None) is None
        assert wrong(field, sa.func.now()) is None


def test_unknown_attributes():
    with pytest.raises(Invalid, match="unheard is not an attribute of Contact"):
        check_values(Contact.info, {"name": "Ada", "unheard": 1})
