"""How much an introspection tells, compared with all that there is to tell.

Types lead to fields and fields to types, so that a few levels are enough to ask for more than any
schema holds. Once is plenty: tools ask for each type by itself.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
)

#: How often an introspection may tell all that there is.
_TIMES: Final = 2
_LISTS: Final = (
    "types", "directives", "fields", "inputFields", "args", "enumValues", "interfaces",
    "possibleTypes",
)  # fmt: skip
Sizes = Mapping[str, float]


class Introspected(NamedTuple):
    """How many elements an operation asks for, and the most that are told."""

    elements: int
    most: int


def introspected(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
) -> Introspected:
    """Count the items of the lists in `__schema` and `__type`, as far as can be told beforehand."""
    counting = _Counting(fragments)
    roots = [
        node
        for node in counting.fields([operation.selection_set])
        if node.name.value in ("__schema", "__type")
    ]
    if not roots:
        return Introspected(0, 0)
    largest, typical, whole = _sizes(schema)
    counting.typical = typical
    total = sum(counting.elements(counting.fields([root.selection_set]), largest) for root in roots)
    return Introspected(round(total), _TIMES * whole)


class _Counting:
    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self.typical: Sizes = {}

    def elements(self, nodes: Iterable[FieldNode], sizes: Sizes) -> float:
        """Items of all lists; a type among others has as many of each as types have on average."""
        total = 0.0
        for node in nodes:
            name = node.name.value
            if node.selection_set is None:
                continue
            # The type of a field, and one of all types, may be any; `queryType` may be the largest.
            inner = self.typical if name in ("types", "type") else sizes
            below = self.elements(self.fields([node.selection_set]), inner)
            total += sizes[name] * (1 + below) if name in _LISTS else below
        return total

    def fields(self, sets: Iterable[SelectionSetNode | None]) -> Iterable[FieldNode]:
        """The selected fields, fragments opened; one that is repeated counts once."""
        found: dict[tuple[str, str], FieldNode] = {}
        waiting: list[Any] = [node for one in sets if one for node in one.selections]
        repeated: list[FieldNode] = []
        while waiting:
            node = waiting.pop()
            if isinstance(node, FieldNode):
                key = ((node.alias or node.name).value, node.name.value)
                if found.setdefault(key, node) is not node:
                    repeated.append(node)
                continue
            if isinstance(node, FragmentSpreadNode):
                node = self._fragments[node.name.value]
            waiting.extend(node.selection_set.selections)
        return [*found.values(), *(node for node in repeated if node.selection_set)]


def _sizes(schema: GraphQLSchema) -> tuple[Sizes, Sizes, int]:
    """The largest and the usual number of items in each list, and of all elements there are."""
    counts: dict[str, list[int]] = {name: [] for name in _LISTS}
    for type_ in schema.type_map.values():
        fields: Any = getattr(type_, "fields", {})
        given = getattr(type_, "interfaces", ())
        is_input = any(not hasattr(one, "args") for one in fields.values())
        counts["inputFields" if is_input else "fields"].append(len(fields))
        counts["interfaces"].append(len(given))
        counts["enumValues"].append(len(getattr(type_, "values", ())))
        counts["args"] += [len(getattr(one, "args", ())) for one in fields.values()]
    counts["args"] += [len(directive.args) for directive in schema.directives]
    everything = len(schema.type_map) + len(schema.directives) + sum(map(sum, counts.values()))
    fixed = {"types": len(schema.type_map), "directives": len(schema.directives)}
    largest = {name: max(numbers, default=0) for name, numbers in counts.items()} | fixed
    usual = {name: sum(numbers) / len(schema.type_map) for name, numbers in counts.items()} | fixed
    usual["args"] = sum(counts["args"]) / max(len(counts["args"]), 1)
    return {**largest, "possibleTypes": largest["types"]}, usual, everything
