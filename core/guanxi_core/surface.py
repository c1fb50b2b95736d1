"""What an edition shows to callers, by name, and how two editions differ."""

from dataclasses import dataclass, fields
from typing import Final

from guanxi_core.editions import Edition
from guanxi_sdk._docs import camel, snake

_VERBS: Final = ("create", "update", "archive", "restore")


@dataclass(frozen=True, slots=True)
class Surface:
    """Names in the spelling of GraphQL; fields are those that plugins add to others' types."""

    permissions: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    queries: frozenset[str] = frozenset()
    mutations: frozenset[str] = frozenset()
    subscriptions: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()

    def without(self, other: "Surface") -> dict[str, list[str]]:
        """What is here and not in ``other``, by kind; a type's own fields go without saying."""
        differences = {
            one.name: sorted(getattr(self, one.name) - getattr(other, one.name))
            for one in fields(self)
        }
        differences["fields"] = [
            name for name in differences["fields"] if name.partition(".")[0] in other.types
        ]
        return {kind: names for kind, names in differences.items() if names}


def surface_of(edition: Edition) -> Surface:
    """Everything of ``edition`` that a caller can name."""
    queries = {camel(name) for name in edition.queries}
    mutations = {camel(name) for name in edition.mutations}
    subscriptions = {camel(name) for name in edition.subscriptions}
    for model in edition.models.values():
        info = model.info
        queries |= {camel(snake(info.name)), camel(info.plural)}
        subscriptions.add(f"{camel(snake(info.name))}Changed")
        mutations |= {verb + info.name for verb in _VERBS if verb not in info.closed}
    added = {(m.info.name, name) for m, names in edition.reverses.items() for name in names}
    added |= {(m.info.name, name) for m, names in edition.fields.items() for name in names}
    for model, extensions in edition.extensions.items():
        added |= {(model.info.name, name) for e in extensions for name in e.info.fields}
    return Surface(
        permissions=frozenset(edition.permissions),
        types=frozenset(edition.models),
        queries=frozenset(queries),
        mutations=frozenset(mutations),
        subscriptions=frozenset(subscriptions),
        fields=frozenset(f"{model}.{camel(name)}" for model, name in added),
    )
