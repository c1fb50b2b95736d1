"""JSON as the compiled path writes it."""

import datetime as dt
from enum import Enum
from typing import Any

import msgspec

from guanxi_graphql.schema.scalars import datetime_text


def _plain(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} has no JSON form")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)


def encode(value: Any) -> bytes:
    """A value of dicts, lists and JSON scalars as bytes."""
    return _ENCODER.encode(value)


def scalar(value: Any) -> Any:
    """A Python scalar as the JSON value that PostgreSQL would write."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, dt.datetime):
        return datetime_text(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
