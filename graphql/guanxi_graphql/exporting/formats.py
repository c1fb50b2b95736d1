"""JSON Lines and CSV, a page of rows at a time."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from guanxi_core.importing.formulas import guarded
from guanxi_graphql.exporting.fields import Column

_MARK = b"\xef\xbb\xbf"


class Format(Protocol):
    """How rows are written."""

    def header(self) -> bytes:
        """What comes before the rows."""
        ...

    def page(self, lines: bytes) -> bytes:
        """Some rows, given as JSON objects with line feeds between them."""
        ...


class JsonLines:
    """A JSON object a line, as GraphQL answers it."""

    def header(self) -> bytes:
        """Nothing."""
        return b""

    def page(self, lines: bytes) -> bytes:
        """The lines as they are."""
        return lines + b"\n"


class Csv:
    """RFC 4180 in UTF-8, with names in the first row; ``marked`` for Excel, which else guesses."""

    def __init__(self, columns: Sequence[Column], *, marked: bool = False) -> None:
        self._names = [column.name for column in columns]
        self._cells = [_cell(column) for column in columns]
        self._marked = marked
        self._decode = msgspec.json.Decoder(dict[str, Any]).decode_lines

    def header(self) -> bytes:
        """The names of the columns."""
        return (_MARK if self._marked else b"") + _written([self._names])

    def page(self, lines: bytes) -> bytes:
        """The rows' cells."""
        cells = self._cells
        return _written([cell(row) for cell in cells] for row in self._decode(lines))


def _written(rows: Any) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _cell(column: Column) -> Callable[[Mapping[str, Any]], Any]:
    """From a row to what a column's cell holds; None is empty."""
    key, *rest = column.path
    form = _FORMS[column.form]
    if not rest:
        return lambda row: None if (value := row[key]) is None else form(value)

    def cell(row: Mapping[str, Any]) -> Any:
        value = row[key]
        for name in rest:
            if value is None:
                return None
            value = value[name]
        return None if value is None else form(value)

    return cell


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else value


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_FORMS: dict[str, Callable[[Any], Any]] = {"text": guarded, "plain": _plain, "json": _json}
