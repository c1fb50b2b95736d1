"""Definitions of custom fields, and what they are to an edition: side tables of one attribute."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast
from uuid import UUID

import msgspec
import sqlalchemy as sa

from guanxi_core.system_tables import custom_value_table
from guanxi_sdk import Choice, Confidentiality, Model, PluginError
from guanxi_sdk._docs import snake
from guanxi_sdk.columns import DEFAULT_MAX_LENGTH, SIMPLE
from guanxi_sdk.info import FieldInfo, Kind, ModelInfo

_PYTHON: Final = {kind: python for python, (kind, _) in SIMPLE.items()}


class Definition(msgspec.Struct, frozen=True):
    """One custom field, as its row says it."""

    model: str
    name: str  # in GraphQL
    kind: Kind
    description: str
    options: tuple[str, ...] = ()  # of a choice: value, label in Chinese, label in English
    clearance: str = "INTERNAL"

    @property
    def key(self) -> str:
        """What its values are kept under: ``Customer.loyaltyNumber``."""
        return f"{self.model}.{self.name}"

    @property
    def column(self) -> str:
        """The column of ``guanxi_custom_value`` that holds its values."""
        return column_of(self.kind)

    @property
    def revision(self) -> int:
        """Of kind and options: which values it takes. The database works out the same."""
        told = "\n".join((self.kind, "\n".join(self.options))).encode()
        digest = hashlib.md5(told, usedforsecurity=False).digest()
        return int.from_bytes(digest[:4], signed=True)

    @property
    def type_name(self) -> str:
        """What the enum of a choice is called: ``CustomerSegment``."""
        return f"{self.model}{self.name[0].upper()}{self.name[1:]}"


@dataclass(frozen=True, slots=True, eq=False)
class CustomValues:
    """The values of one definition, to be read as if they were a side table of the model."""

    definition: Definition
    info: ModelInfo

    @property
    def field(self) -> FieldInfo:
        """Its only attribute."""
        return next(iter(self.info.fields.values()))


#: By the model, and by the attribute's name.
Custom = Mapping[type[Model], Mapping[str, CustomValues]]


def column_of(kind: str) -> str:
    """The column of ``guanxi_custom_value`` that holds values of ``kind``."""
    return "text" if kind == "choice" else kind


def read_definitions(rows: Any) -> tuple[Definition, ...]:
    """Definitions as ``guanxi_custom_fields()`` answers them."""
    return msgspec.convert(rows, tuple[Definition, ...])


def custom_values(
    definition: Definition, model: type[Model], tenant_id: UUID | None = None
) -> CustomValues:
    """What a definition is to an edition that has the model; or to one tenant alone."""
    name = snake(definition.name)
    python: Any = _PYTHON.get(definition.kind)
    if definition.kind == "choice":
        python = _choice(definition)
    field = FieldInfo(
        name=name, kind=definition.kind, nullable=True, description=definition.description,
        columns=(name,), python=python, indexed=True,
        max_length=DEFAULT_MAX_LENGTH if definition.kind == "text" else None,
        confidentiality=Confidentiality[definition.clearance],
    )  # fmt: skip
    values = custom_value_table.c
    mine = [values.field == _constant(definition.key)]
    if tenant_id is not None:  # sessions let nothing pass that is written as text
        mine = [values.tenant_id == tenant_id, values.field == definition.key]
    read = sa.select(values.tenant_id, values.id, values[definition.column].label(name))
    table = read.where(*mine).subquery(f"guanxi_custom_{name}")
    info = ModelInfo(
        name=definition.key, plugin="guanxi", plural="", description=definition.description,
        table=cast(sa.Table, table), fields={name: field}, references={}, key=None,
        closed=frozenset(), of=model, read=model.info.read, write=model.info.write,
    )  # fmt: skip
    return CustomValues(definition, info)


def custom_fields(definitions: Iterable[Definition], models: Mapping[str, type[Model]]) -> Custom:
    """The definitions that are about one of ``models``, which it is by name."""
    found: dict[type[Model], dict[str, CustomValues]] = {}
    for one in definitions:
        model = models.get(one.model)
        if model is not None and takes_fields(model.info):
            made = custom_values(one, model)
            found.setdefault(model, {})[made.field.name] = made
    return found


def takes_fields(info: ModelInfo) -> bool:
    """Whether a model may have custom fields: those that clients write."""
    return not info.closed.issuperset(("create", "update"))


def _constant(text: str) -> Any:
    """In the statement itself, so that the planner knows it."""
    return sa.literal_column("'" + text.replace("'", "''") + "'", sa.Text)


def _choice(definition: Definition) -> type[Choice]:
    members = {value: (value, zh, en) for value, zh, en in map(split_option, definition.options)}
    make = cast(Any, partial(Choice, definition.type_name))
    made: type[Choice] = make(members, module=__name__)
    made.__doc__ = definition.description
    return made


def split_option(option: str) -> tuple[str, str, str]:
    """Value, label in Chinese and label in English of an option."""
    value, zh, en = (*(part.strip() for part in option.split("|", 2)), "", "")[:3]
    return value, zh or value, en or zh or value


class FieldClash(PluginError):
    """A custom field has a name that something else of the edition has as well."""

    def __init__(self, definition: Definition, owner: str, what: str) -> None:
        super().__init__(
            "", f"the custom field '{definition.key}' cannot be there beside {owner}, which has "
            f"the {what}: archive the custom field, or call it something else.",
        )  # fmt: skip
        self.definition = definition
