"""What each GraphQL field stands for; the compiler walks these, never the Python types."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from graphql import GraphQLSchema

from guanxi_core.editions import Contributed, Edition, Owner, Reverse
from guanxi_sdk import Choice, Confidentiality, Model, Value
from guanxi_sdk._docs import camel
from guanxi_sdk.info import FieldInfo, ReferenceInfo, Verb


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored attribute of a model, of one of its extensions, or a custom field."""

    field: FieldInfo
    owner: Owner
    needs: str | None  # permission beyond the model's own

    @property
    def confidentiality(self) -> Confidentiality:
        """How closely the value is kept."""
        return self.field.confidentiality

    @property
    def name(self) -> str:
        """What the audit calls it: ``Customer.name``."""
        info = self.owner.info
        return f"{(info.of.info if info.of else info).name}.{camel(self.field.name)}"


@dataclass(frozen=True, slots=True)
class ToOne:
    """A reference to another model."""

    reference: ReferenceInfo
    owner: Owner
    needs: str | None


@dataclass(frozen=True, slots=True)
class ToMany:
    """A connection of the rows that refer to this one."""

    reverse: Reverse


@dataclass(frozen=True, slots=True)
class _Added:
    """A field that a plugin contributed to a model."""

    contributed: Contributed
    returns: "Result"
    confidentiality: Confidentiality

    @property
    def needs(self) -> str | None:
        """Permission beyond the model's own."""
        permission = self.contributed.contribution.needs
        return permission.name if permission else None

    @property
    def name(self) -> str:
        """What the audit calls it: ``Customer.purchaseTotal``."""
        contribution = self.contributed.contribution
        of = contribution.model.info.name if contribution.model else ""
        return f"{of}.{camel(contribution.name)}"


class Expression(_Added):
    """An SQL field."""

    __slots__ = ()


class Batch(_Added):
    """A field computed in Python for all parents at once."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class One:
    """Root field: one object by id."""

    model: type[Model]


@dataclass(frozen=True, slots=True)
class Many:
    """Root field: a connection of all objects of a model."""

    model: type[Model]


@dataclass(frozen=True, slots=True)
class Aggregated:
    """What the rows of a model come to: all of them, or those that refer to this one."""

    model: type[Model]
    reverse: Reverse | None = None


@dataclass(frozen=True, slots=True)
class AnyNode:
    """Root field: `node` or `nodes`."""

    plural: bool


@dataclass(frozen=True, slots=True)
class Anything:
    """Root field: what a search finds among all models that are searched."""

    models: tuple[type[Model], ...]


@dataclass(frozen=True, slots=True)
class About:
    """Root field about the tenant, the caller, the vocabulary or the labels of enums."""

    what: Literal["tenant", "viewer", "vocabulary", "labels"]


@dataclass(frozen=True, slots=True)
class Write:
    """A generated mutation."""

    model: type[Model]
    verb: Verb


@dataclass(frozen=True, slots=True)
class Ask:
    """A query or mutation that a plugin contributed."""

    contributed: Contributed
    returns: "Result"


@dataclass(frozen=True, slots=True)
class Changed:
    """A generated subscription to the changes of a model's rows."""

    model: type[Model]


@dataclass(frozen=True, slots=True)
class Told:
    """A subscription that a plugin contributed: its function is called with events."""

    contributed: Contributed
    returns: "Result"


@dataclass(frozen=True, slots=True)
class Result:
    """What a contributed field answers."""

    kind: Literal["scalar", "choice", "money", "value", "model", "nothing"]
    many: bool
    python: Any  # the Python type, without list and None
    nullable: bool


@dataclass(frozen=True, slots=True)
class Filterable:
    """One field of a `…Where` input."""

    kind: Literal["stored", "expression", "to_one", "to_many", "and", "or", "not"]
    binding: Stored | Expression | ToOne | ToMany | None = None


@dataclass(frozen=True, slots=True)
class Sortable:
    """One value of a `…OrderBy` enum."""

    binding: Stored | Expression
    descending: bool


@dataclass(frozen=True, slots=True)
class Groupable:
    """One value of a `…GroupBy` enum."""

    key: str  # the field of the key
    binding: Stored | Expression
    reference: ReferenceInfo | None  # what the binding's column refers to


@dataclass(frozen=True)
class Schema:
    """An edition's GraphQL schema and what its fields stand for."""

    edition: Edition
    graphql: GraphQLSchema
    fields: Mapping[str, Mapping[str, Any]]  # type name → field name → binding
    wheres: Mapping[str, Mapping[str, Filterable]]  # input type name → field name
    orders: Mapping[str, Mapping[str, Sortable]]  # enum type name → value name
    groups: Mapping[str, Mapping[str, Groupable]]  # enum type name → value name
    wheres_of: Mapping[type[Model], str]
    values: Mapping[str, type[Value]]
    choices: Mapping[str, type[Choice]]
    object_of: Mapping[type[Model], str]
    #: How values of input types are coerced, made as documents ask for them.
    coercers: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
