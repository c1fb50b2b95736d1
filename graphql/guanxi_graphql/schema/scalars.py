"""Custom scalars; their JSON form is what PostgreSQL's row_to_json writes."""

import datetime as dt
import re
from decimal import Decimal as PythonDecimal
from typing import Any

import graphene
from graphql import GraphQLError, StringValueNode

_DECIMAL = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,6})?", re.ASCII)


def datetime_text(value: dt.datetime) -> str:
    """A UTC time as the compiled path writes it: fractional seconds without trailing zeros."""
    text = value.astimezone(dt.UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "+00:00"


class _Text(graphene.Scalar):
    """A scalar written as a JSON string."""

    class Meta:
        abstract = True

    @classmethod
    def parse_value(cls, value: Any) -> Any:
        """Read a variable."""
        if not isinstance(value, str):
            raise GraphQLError(f"{cls._meta.name} is written as a string.")
        return cls.read(value)

    @classmethod
    def parse_literal(cls, node: Any, _variables: Any = None) -> Any:
        """Read a literal in the document."""
        if not isinstance(node, StringValueNode):
            raise GraphQLError(f"{cls._meta.name} is written as a string.")
        return cls.read(node.value)

    @classmethod
    def read(cls, text: str) -> Any:
        """Convert, or raise GraphQLError with the expected form."""
        return text


class DateTime(_Text):
    """A point in time, ISO 8601 with offset: ``2026-01-31T08:00:00+00:00``. Answers are in UTC."""

    @classmethod
    def read(cls, text: str) -> dt.datetime:
        """ISO 8601; the offset is required."""
        value: dt.datetime | None
        try:
            value = dt.datetime.fromisoformat(text)
        except ValueError:
            value = None
        if value is None or value.tzinfo is None or not text.isascii() or len(text) < 16:
            raise GraphQLError("DateTime is written like 2026-01-31T08:00:00+00:00.")
        return value

    @staticmethod
    def serialize(value: Any) -> str:
        """The form of the compiled path."""
        return datetime_text(value)


class Date(_Text):
    """A calendar date, ISO 8601: ``2026-01-31``."""

    @classmethod
    def read(cls, text: str) -> dt.date:
        """ISO 8601, the long form only."""
        try:
            if len(text) == 10 and text.isascii():
                return dt.date.fromisoformat(text)
        except ValueError:
            pass
        raise GraphQLError("Date is written like 2026-01-31.")

    @staticmethod
    def serialize(value: Any) -> str:
        """ISO 8601."""
        return str(value.isoformat())


class Decimal(_Text):
    """A decimal number as a string, for instance ``12.30``."""

    @classmethod
    def read(cls, text: str) -> PythonDecimal:
        """Plain ASCII digits with an optional sign and point."""
        if not _DECIMAL.fullmatch(text):
            raise GraphQLError("Decimal is written like 12.30.")
        return PythonDecimal(text)

    @staticmethod
    def serialize(value: Any) -> str:
        """As it is."""
        return str(value)
