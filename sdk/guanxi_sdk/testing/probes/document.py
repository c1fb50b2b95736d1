"""A document of a probe, with what is known of it."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Literal

from graphql import GraphQLSchema

from guanxi_sdk.model import Model
from guanxi_sdk.testing.probes.coverage import names_in

Kind = Literal["selection", "page", "filter", "order", "group", "mutation", "subscription"]


@dataclass(frozen=True)
class Place:
    """Where in a document's variables an id stands, and of which models it may be."""

    path: tuple[str, ...]
    models: tuple[type[Model], ...]


@dataclass(frozen=True)
class Document:
    """A document with variables that fit."""

    kind: Kind
    text: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    ids: tuple[Place, ...] = ()
    cursor_of: type[Model] | None = None  # where `$after` and `$before` may come from
    name: str = ""  # of a mutation
    done: bool = True  # whether a mutation is done with these variables
    by_user: bool = False  # whether it takes a user to do it

    def names(self, schema: GraphQLSchema) -> frozenset[str]:
        """The names that it uses of its schema; worked out once, because they are asked often."""
        found: frozenset[str] | None = self.__dict__.get("_names")
        if found is None:
            found = self.__dict__["_names"] = names_in(schema, self.text, self.variables)
        return found

    def uses(self, schema: GraphQLSchema, wanted: Set[str]) -> bool:
        """Whether it uses one of the names that are wanted."""
        return not wanted.isdisjoint(self.names(schema))
