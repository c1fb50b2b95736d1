"""How two schemas differ, by what it means to those who query: breaking, dangerous or safe."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from graphql import (
    GraphQLSchema,
    find_breaking_changes,
    find_dangerous_changes,
    is_specified_directive,
    is_specified_scalar_type,
)

Severity = Literal["breaking", "dangerous", "safe"]


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One difference."""

    severity: Severity
    kind: str  # FIELD_REMOVED and so on
    description: str


def compare(before: GraphQLSchema, after: GraphQLSchema) -> list[SchemaChange]:
    """All differences, the worst first, each kind in the order of its descriptions.

    Breaking ones make requests fail that were answered; dangerous ones may surprise a client that
    was written before, for instance one that knows all values of an enum.
    """
    breaking = find_breaking_changes(before, after)
    found = [
        *(SchemaChange("breaking", c.type.name, c.description) for c in breaking),
        *(
            SchemaChange("dangerous", c.type.name, c.description)
            for c in find_dangerous_changes(before, after)
        ),
    ]
    broken = {_place_of(change.description) for change in breaking}
    found += [
        change
        for change in _safe(before, after)
        if change.kind != "TYPE_CHANGED" or _place_of(change.description) not in broken
    ]
    order: list[Severity] = ["breaking", "dangerous", "safe"]
    return sorted(found, key=lambda c: (order.index(c.severity), c.kind, c.description))


def _safe(before: GraphQLSchema, after: GraphQLSchema) -> Iterator[SchemaChange]:
    for name, type_ in after.type_map.items():
        former = before.type_map.get(name)
        if name.startswith("__") or is_specified_scalar_type(type_):
            continue
        if former is None:
            yield SchemaChange("safe", "TYPE_ADDED", f"{name} was added.")
        elif type(former) is type(type_):
            yield from _described(name, former, type_)
            yield from _fields(name, former, type_)
    known = {directive.name for directive in before.directives}
    for directive in after.directives:
        if directive.name not in known and not is_specified_directive(directive):
            yield SchemaChange("safe", "DIRECTIVE_ADDED", f"@{directive.name} was added.")


def _fields(name: str, former: Any, later: Any) -> Iterator[SchemaChange]:
    """What became of the fields and arguments, or the values of an enum."""
    for part in ("fields", "values"):
        known = getattr(former, part, {})
        for key, one in getattr(later, part, {}).items():
            place = f"{name}.{key}"
            if key in known:
                yield from _changed(place, known[key], one)
                arguments = getattr(known[key], "args", {})
                for argument, given in getattr(one, "args", {}).items():
                    if argument in arguments:
                        yield from _changed(f"{place} arg {argument}", arguments[argument], given)
            elif part == "fields" and hasattr(one, "args"):
                yield SchemaChange("safe", "FIELD_ADDED", f"{place} was added.")


def _changed(place: str, former: Any, later: Any) -> Iterator[SchemaChange]:
    yield from _described(place, former, later)
    types = [str(getattr(one, "type", "")) for one in (former, later)]
    if types[0] != types[1]:
        yield SchemaChange(
            "safe", "TYPE_CHANGED", f"{place} changed type from {types[0]} to {types[1]}."
        )
    reasons = [getattr(one, "deprecation_reason", None) for one in (former, later)]
    if reasons[0] != reasons[1]:
        verb = "is deprecated" if reasons[1] is not None else "is not deprecated any more"
        yield SchemaChange("safe", "DEPRECATION_CHANGED", f"{place} {verb}.")


def _described(place: str, former: Any, later: Any) -> Iterator[SchemaChange]:
    if former.description != later.description:
        yield SchemaChange("safe", "DESCRIPTION_CHANGED", f"{place} is described otherwise.")


def _place_of(description: str) -> str:
    """Where a type changed: ``Query.customers arg first``."""
    return description.partition(" changed type ")[0].removesuffix(" has")
