"""What a row says in words: by these its traces are found where no id stands beside them."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from guanxi_core.custom.definitions import CustomValues
from guanxi_core.erasing.blanks import ERASED
from guanxi_sdk import Extension, Model
from guanxi_sdk._docs import camel

#: Whose rows they are.
Owner = type[Model] | type[Extension]
#: What says something: rows, or the values of a custom field.
Speaker = Owner | CustomValues

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: Ids, dates and times: no words, wherever they stand.
PLAIN: Final = re.compile(rf"(?:[a-z][a-z0-9_]*[_-])?{_UUID}|\d{{4}}-\d\d-\d\d(?:[T ][\d:.+Z-]*)?")
UUIDS: Final = re.compile(_UUID)
#: Attributes that people are called or reached by.
_CALLED: Final = re.compile(r"name|mail|phone|mobile|fax")
#: From this length on a text is found within others, too; ``Ada`` and numbers must stand alone.
_LONG: Final = 8


def says(model: Speaker, column: sa.Column[Any]) -> bool:
    """Whether a column holds words, as neither a choice nor a currency does."""
    kinds = [f.kind for f in model.info.fields.values() if column.name in f.columns]
    if isinstance(column.type, sa.Enum) or "money" in kinds:
        return False
    return isinstance(column.type, sa.String | sa.ARRAY | sa.JSON) or (
        isinstance(column.type, sa.types.TypeDecorator)
        and isinstance(column.type.impl_instance, sa.JSON)
    )


def names_people(name: str) -> bool:
    """Whether an attribute is a name, an address or a number."""
    return _CALLED.search(name) is not None


def words_in(value: Any) -> Iterator[str]:
    """The texts of a value that are worth looking for."""
    if isinstance(value, str):
        text = value.strip()
        least = 3 if text.isascii() else 2
        if len(text) >= least and ERASED not in text and not PLAIN.fullmatch(text):
            yield text
    elif isinstance(value, msgspec.Struct):
        yield from words_in(msgspec.to_builtins(value))
    elif isinstance(value, dict):
        for item in value.values():
            yield from words_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from words_in(item)


def finder(words: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern that finds any of ``words``; None without any."""
    parts = []
    for word in sorted(set(words), key=lambda w: (-len(w), w)):
        part = re.escape(word)
        if len(word) < _LONG or not any(character.isalpha() for character in word):
            before = r"(?<![^\W_])" if word[0].isascii() else ""
            after = r"(?![^\W_])" if word[-1].isascii() else ""
            part = f"{before}{part}{after}"
        parts.append(part)
    return re.compile("|".join(parts)) if parts else None


def text_of(column: sa.Column[Any]) -> sa.ColumnElement[str]:
    """What a column holds, as text; lists with their parts behind each other."""
    if isinstance(column.type, sa.ARRAY):
        return sa.func.array_to_string(column, " ", type_=sa.Text)
    return sa.cast(column, sa.Text)


def field_of(model: Speaker, column: str) -> str:
    """What GraphQL calls the attribute that a column belongs to."""
    return camel(attribute_of(model, column))


def attribute_of(model: Speaker, column: str) -> str:
    """The attribute that a column belongs to; a private column is its own."""
    for name, field in model.info.fields.items():
        if column in field.columns:
            return name
    return column
