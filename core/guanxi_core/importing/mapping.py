"""Mapping files: TOML that says which column of a file becomes which attribute.

Only the form is checked here; what the names refer to is settled in ``planning``.
"""

import datetime as dt
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from guanxi_core.importing.errors import ImportFailed, nearest


@dataclass(frozen=True, slots=True)
class Document:
    """A TOML file that was read; it knows where a key stands."""

    name: str
    text: str
    tables: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Document":
        """Parse a file, or fail with one line."""
        try:
            text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            raise ImportFailed(f"{path}: there is no such mapping file.") from None
        except UnicodeDecodeError:
            raise ImportFailed(f"{path}: TOML is always UTF-8: save it as UTF-8.") from None
        except OSError as error:
            raise ImportFailed(f"{path}: cannot be read: {error.strerror}.") from None
        return cls.parse(path.name, text)

    @classmethod
    def parse(cls, name: str, text: str) -> "Document":
        """Parse a text, or fail with one line."""
        try:
            return cls(name, text, tomllib.loads(text, parse_float=Decimal))
        except tomllib.TOMLDecodeError as error:
            raise ImportFailed(f"{name}: is not valid TOML: {error}") from None

    def line_of(self, path: tuple[str | int, ...], key: str | None) -> int | None:
        """The line of a key in the section at ``path``, as far as the text shows it plainly."""
        lines = self.text.splitlines()
        at = -1
        for index, part in enumerate(path):
            if isinstance(part, int):
                continue
            dotted = ".".join(re.escape(p) for p in path[: index + 1] if isinstance(p, str))
            heading = re.compile(rf"\s*\[+\s*{dotted}\s*\]+")
            inline = re.compile(rf"\s*[\"']?{re.escape(part)}[\"']?\s*=")
            following = path[index + 1 : index + 2]
            wanted = following[0] if following and isinstance(following[0], int) else 0
            found = [n for n, line in enumerate(lines) if n > at and heading.match(line)]
            if not found:
                found = [n for n, line in enumerate(lines) if n > at and inline.match(line)]
            if wanted < len(found):
                at = found[wanted]
            elif part == path[-1] or wanted:
                return None
        if key is not None:
            name = re.escape(key)
            section = "".join(re.escape(p) + r"\." for p in path if isinstance(p, str))
            entry = re.compile(rf"\s*([\"']?{name}[\"']?\s*[=.]|\[+\s*{section}{name}\s*\])")
            inside = [n for n, line in enumerate(lines) if n > at and entry.match(line)]
            at = inside[0] if inside else at
        return at + 1 if at >= 0 else None


@dataclass(frozen=True, slots=True)
class Place:
    """A section of a document, for messages."""

    document: Document
    path: tuple[str | int, ...] = ()

    @property
    def named(self) -> bool:
        """Whether there is a document at all; a command without a mapping has none."""
        return bool(self.document.name)

    def into(self, *path: str | int) -> "Place":
        """A section below this one."""
        return Place(self.document, self.path + path)

    def failure(self, message: str, key: str | None = None) -> ImportFailed:
        """An error that names file, line and section."""
        if not self.named:
            return ImportFailed(message)
        line = self.document.line_of(self.path, key)
        section = ".".join(str(p) for p in self.path if isinstance(p, str))
        where = self.document.name
        where += f", line {line}" if line else ""
        where += f" [{section}]" if section else ""
        return ImportFailed(f"{where}: {message}")

    def check_keys(self, table: Mapping[str, Any], valid: Iterable[str]) -> None:
        """Refuse a key that means nothing here."""
        valid = list(valid)
        for key in table:
            if key not in valid:
                raise self.failure(f"'{key}' means nothing here: {nearest(key, valid)}", key)


class FileSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[file]``: which file, and how it is written."""

    path: str | None = None  # beside the main file; the file on the command line when absent
    optional: bool = False  # leave the section out when the file is not there
    encoding: str = "utf-8-sig"
    delimiter: str = ","
    header: bool = True
    columns: tuple[str, ...] = ()  # names of the columns when there is no header
    ignore: tuple[str, ...] = ()  # columns that are knowingly left out
    empty: tuple[str, ...] = ("",)  # texts that stand for no value
    decimal: str = "."
    thousands: str = ""


class FieldSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"joiner": "with"}):
    """One entry of ``[fields]``: where an attribute's value comes from, and how to read it."""

    column: str | None = None
    constant: Any = None
    join: tuple[str, ...] = ()
    joiner: str = " "
    sum_of: tuple[str, ...] = ()
    file: str | None = None
    key: str | None = None
    lookup: str | None = None
    within: str | None = None  # a reference that both rows share, where `lookup` alone is ambiguous
    values: dict[str, Any] = {}
    default: Any = None
    currency: str | None = None
    currency_column: str | None = None
    format: str | None = None
    timezone: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    separator: str | None = None


@dataclass(frozen=True, slots=True)
class StepSpec:
    """Rows of one model from one file, as a mapping says it."""

    model: str
    file: FileSpec
    key: tuple[str, ...]
    skip_unless: tuple[str, ...]
    fields: dict[str, FieldSpec]  # by the attribute as written
    match: bool  # whether the other columns are matched to attributes by their names
    place: Place


def text_of(value: Any) -> str | None:
    """A TOML value as a cell would spell it; None when a cell cannot hold it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.date):  # a datetime is one, too
        return value.isoformat()
    return str(value) if isinstance(value, str | int | Decimal) else None


_STEP_KEYS = ("file", "key", "skip_unless", "match", "fields")
_SOURCES = ("column", "constant", "join", "sum_of")


def _convert(table: Any, type_: Any, place: Place) -> Any:
    try:
        return msgspec.convert(table, type_)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$.")
        key = re.split(r"[.\[`]", at)[0]
        raise place.failure(f"'{key}': {message[:1].lower()}{message[1:]}.", key) from None


def field_spec(entry: Any, place: Place, name: str) -> FieldSpec:
    """``"Column"`` or a table with one source and options."""
    if isinstance(entry, str):
        return FieldSpec(column=entry)
    if not isinstance(entry, dict):
        raise place.failure(f"'{name}' must be a column's name or a table.", name)
    valid = [field.encode_name for field in msgspec.structs.fields(FieldSpec)]
    for key in entry:
        if key not in valid:
            raise place.failure(f"{name}: '{key}' means nothing here: {nearest(key, valid)}", name)
    spec: FieldSpec = _convert(entry, FieldSpec, place.into(name))
    given = [source for source in _SOURCES if source in entry]
    if len(given) != 1 and given != ["column", "sum_of"]:
        raise place.failure(f"{name}: give exactly one of {', '.join(_SOURCES)}.", name)
    if spec.sum_of and not (spec.file and spec.key):
        raise place.failure(
            f"{name}: sum_of needs file = (where the lines are) and key = (the lines' column that "
            "says to which row they belong).", name,
        )  # fmt: skip
    if (spec.file or spec.key) and not spec.sum_of:
        raise place.failure(f"{name}: 'file' and 'key' go with sum_of.", name)
    if spec.currency and spec.currency_column:
        raise place.failure(f"{name}: give currency or currency_column, not both.", name)
    return spec


def file_spec(entry: Any, place: Place, *, path: bool) -> FileSpec:
    """``[file]``; a text alone is the path."""
    if isinstance(entry, str) and path:
        entry = {"path": entry}
    if not isinstance(entry, dict):
        raise place.failure("'file' must be a table.", "file")
    here = place.into("file")
    names = [field.name for field in msgspec.structs.fields(FileSpec)]
    here.check_keys(entry, names if path else [n for n in names if n not in ("path", "optional")])
    spec: FileSpec = _convert(entry, FileSpec, here)
    if len(spec.delimiter) != 1 or spec.delimiter in '"\r\n':
        raise here.failure("'delimiter' must be one character.", "delimiter")
    if len(spec.decimal) != 1 or len(spec.thousands) > 1 or spec.decimal == spec.thousands:
        raise here.failure("'decimal' and 'thousands' must be different characters.", "decimal")
    if spec.header and spec.columns:
        raise here.failure("'columns' names the columns of a file with header = false.", "columns")
    if not spec.header and not spec.columns:
        raise here.failure("header = false needs columns = [names of the columns].", "header")
    return spec


def step_spec(model: str, table: Mapping[str, Any], place: Place, *, main: bool) -> StepSpec:
    """One section of a mapping. The main step's file is the one on the command line."""
    file = table.get("file")
    if file is None and not main:
        file = {}
    fields = table.get("fields", {})
    if not isinstance(fields, dict):
        raise place.failure("'fields' must be a table.", "fields")
    names: dict[str, tuple[str, ...]] = {}
    for option in ("key", "skip_unless"):
        value = table.get(option, ())
        value = (value,) if isinstance(value, str) else value
        if not (isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)):
            raise place.failure(f"'{option}' must be a name or a list of names.", option)
        names[option] = tuple(value)
    match = table.get("match", not fields)
    if not isinstance(match, bool):
        raise place.failure("'match' must be true or false.", "match")
    here = place.into("fields")
    return StepSpec(
        model=model,
        file=file_spec(file or {}, place, path=not main),
        key=names["key"],
        skip_unless=names["skip_unless"],
        fields={name: field_spec(entry, here, name) for name, entry in fields.items()},
        match=match,
        place=place,
    )


def steps_of(tables: Any, section: str, place: Place) -> list[StepSpec]:
    """The steps of an array of tables such as ``[[then]]``."""
    if not (isinstance(tables, list) and all(isinstance(t, dict) for t in tables)):
        raise place.failure(f"write [[{section}]], an array of tables.", section)
    steps = []
    for number, table in enumerate(tables):
        here = place.into(section, number)
        here.check_keys(table, ("model", *_STEP_KEYS))
        model = table.get("model")
        if not isinstance(model, str):
            raise here.failure('needs model = "…".')
        steps.append(step_spec(model, table, here, main=False))
    return steps


def read_mapping(model: str, document: Document) -> list[StepSpec]:
    """The steps of a mapping file: the named model first, then each ``[[then]]``."""
    place = Place(document)
    place.check_keys(document.tables, (*_STEP_KEYS, "then"))
    first = step_spec(model, document.tables, place, main=True)
    return [first, *steps_of(document.tables.get("then", []), "then", place)]
