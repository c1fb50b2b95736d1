"""Fields of a model whose values SQL can compare, sort and add up."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from guanxi_core.editions import Contributed, Edition
from guanxi_graphql.schema.annotations import SCALARS, result_of
from guanxi_graphql.schema.bindings import Expression, Stored
from guanxi_sdk import Confidentiality, Model

_LISTS = ("texts", "values")
_KINDS = {
    "String": "text", "ID": "id", "Int": "int", "Float": "float", "Boolean": "bool",
    "Date": "date", "DateTime": "datetime",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comparable:
    """One field, and what its values are."""

    name: str  # of the attribute
    binding: Stored | Expression
    kind: str
    python: Any

    @property
    def indexed(self) -> bool:
        """Whether it is filtered and sorted by: SQL fields are, though they have no index."""
        return not isinstance(self.binding, Stored) or self.binding.field.indexed

    @property
    def description(self) -> str:
        """What it is."""
        if isinstance(self.binding, Stored):
            return self.binding.field.description
        return self.binding.contributed.contribution.description


def comparable_of(
    edition: Edition, model: type[Model], level: Callable[[Contributed], Confidentiality]
) -> Iterator[Comparable]:
    """Stored attributes, also beside the model, and SQL fields that need no argument."""
    for owner in edition.owners(model):
        needs = None if owner is model else owner.info.read
        for field in owner.info.fields.values():
            if field.kind not in _LISTS:
                yield Comparable(field.name, Stored(field, owner, needs), field.kind, field.python)
    for name, entry in edition.fields.get(model, {}).items():
        if entry.contribution.kind == "sql_field" and not any(
            argument.required for argument in entry.contribution.arguments
        ):
            result = result_of(entry.plugin, name, entry.contribution.returns)
            kind: str = result.kind
            if kind not in ("money", "choice"):
                kind = _KINDS[SCALARS[result.python]._meta.name]
            yield Comparable(name, Expression(entry, result, level(entry)), kind, result.python)
