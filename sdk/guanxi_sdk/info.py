"""What a model class declares, as schema, compiler and importer see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from guanxi_sdk._docs import snake
from guanxi_sdk.access import Confidentiality

if TYPE_CHECKING:
    from guanxi_sdk.model import Model

Kind = Literal[
    "id", "reference", "text", "int", "float", "bool", "date", "datetime", "choice", "money",
    "texts", "values",
]  # fmt: skip
Verb = Literal["create", "update", "archive", "restore"]


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One attribute of a model as schema, compiler and importer see it."""

    name: str
    kind: Kind
    nullable: bool
    description: str
    columns: tuple[str, ...]  # one column; Money has two (minor units, currency)
    python: Any  # the annotated type, without None
    indexed: bool = False  # filterable and sortable, with an index of its own
    readonly: bool = False  # never part of an input
    default: Any = None
    max_length: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    confidentiality: Confidentiality = Confidentiality.INTERNAL
    search: bool = False  # found by what it says

    @property
    def required(self) -> bool:
        """Whether a create input must give it."""
        return not self.nullable and self.default is None


@dataclass(frozen=True, slots=True)
class ReferenceInfo:
    """A to-one relation, and the to-many relation it gives the target."""

    name: str  # `customer` for the column `customer_id`
    column: str
    target: "type[Model]"
    nullable: bool
    description: str
    reverse: str | None  # the target's to-many field, e.g. `persons`
    reverse_description: str


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model class declares."""

    name: str
    plugin: str
    plural: str
    description: str
    table: sa.Table
    fields: dict[str, FieldInfo]
    references: dict[str, ReferenceInfo]
    key: str | None  # natural key: unique in a tenant, what imports match by
    closed: frozenset[Verb]
    of: "type[Model] | None"  # the extended model, for an Extension
    read: str  # permission names
    write: str
    within: str | None = None  # the reference whose row says who may see this one
    append_only: bool = False  # rows are never changed: no version, no archive
    private: Mapping[str, FieldInfo] = field(default_factory=dict)  # for plugin code alone
    subject: bool = False  # each row is about one natural person
    searched: tuple[str, ...] = ()  # attributes that are found by what they say

    @property
    def prefix(self) -> str:
        """What the GraphQL ids of this model begin with, before ``_<uuid>``."""
        return snake(self.name)

    def stored(self, name: str) -> FieldInfo | None:
        """The attribute called ``name``, private ones included."""
        return self.fields.get(name) or self.private.get(name)
