"""Cursors: opaque to clients, made in SQL, read back when a page continues."""

import base64
import binascii
import datetime as dt
import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from guanxi_graphql.compile.scope import literal
from guanxi_sdk import Invalid


def cursor_of(tag: str, keys: Sequence[Any]) -> Any:
    """The cursor of a row: the order's tag, the sort keys and the id, in URL-safe base64."""
    content = sa.cast(sa.func.json_build_array(literal(tag), *keys), sa.Text)
    encoded = sa.func.encode(
        sa.func.convert_to(content, sa.literal_column("'UTF8'")), sa.literal_column("'base64'")
    )
    return sa.func.translate(
        encoded, sa.literal_column(r"E'+/=\n'"), sa.literal_column("'-_'"), type_=sa.Text
    )


def _wrong(argument: str) -> Invalid:
    return Invalid(argument, "is not a cursor of this list in this order: take one from `edges`.")


def read_cursor(argument: str, tag: str, kinds: Sequence[str], text: Any) -> list[Any]:
    """The sort keys and the id in a cursor; raises Invalid when it is none of this order's."""
    try:
        padded = text + "=" * (-len(text) % 4)
        content = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, UnicodeError, RecursionError):
        raise _wrong(argument) from None
    if not isinstance(content, list) or len(content) != len(kinds) + 1 or content[0] != tag:
        raise _wrong(argument)
    try:
        return [
            None if value is None else _READERS[kind](value)
            for kind, value in zip(kinds, content[1:], strict=True)
        ]
    except (ValueError, TypeError, OverflowError):
        raise _wrong(argument) from None


def _exactly(type_: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not type_:
            raise TypeError
        return value

    return read


def _text(value: Any) -> str:
    if type(value) is not str or "\x00" in value:
        raise TypeError
    return value


def _whole(bits: int) -> Callable[[Any], Any]:
    def read(value: Any) -> int:
        if type(value) is not int or not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise TypeError
        return value

    return read


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError
    return float(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "id": lambda value: UUID(_text(value)),
    "reference": lambda value: UUID(_text(value)),
    "text": _text,
    "choice": _text,
    "int": _whole(32),
    "money": _whole(64),
    "float": _number,
    "bool": _exactly(bool),
    "date": lambda value: dt.date.fromisoformat(_text(value)),
    "datetime": lambda value: dt.datetime.fromisoformat(_text(value)),
}
