"""Argument values of a document, before and at run time.

A value is a tree: dicts and lists where the SQL's form depends on them, leaves elsewhere. A leaf's
``now`` may be looked at for being null or true only; everything else about it is bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter
from typing import Any

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    value_from_ast,
)

from guanxi_graphql.compile.binds import Getter, Variables
from guanxi_sdk import Invalid


@dataclass(frozen=True, slots=True)
class Leaf:
    """One scalar, enum value or list of them."""

    now: Any
    get: Getter
    fixed: bool = False  # whether the document itself holds the value


Tree = Leaf | dict[str, Any] | list[Any]


def arguments_of(field: GraphQLField, node: FieldNode, variables: Variables) -> dict[str, Tree]:
    """Arguments by name; those that are absent or null, and have no default, are left out."""
    given = {argument.name.value: argument.value for argument in node.arguments}
    found: dict[str, Tree] = {}
    for name, argument in field.args.items():
        tree = _read(given[name], argument.type, variables) if name in given else None
        omitted = name not in given or _absent(given[name], variables)
        if omitted and argument.default_value not in (Undefined, None):
            tree = _constant(argument.default_value)
        if tree is not None and not (isinstance(tree, Leaf) and tree.now is None):
            found[name] = tree
    return found


def refuse_null(name: str, variables: Variables) -> None:
    """Refuse null for a variable that has a default and stands where null must not."""
    if variables.get(name) is None:
        raise Invalid(None, f"The variable '${name}' must not be null where it is used.")


def plain(tree: Tree, variables: Variables) -> Any:
    """The tree's value at run time."""
    if isinstance(tree, Leaf):
        return tree.get(variables)
    if isinstance(tree, dict):
        return {name: plain(branch, variables) for name, branch in tree.items()}
    return [plain(branch, variables) for branch in tree]


def reading(node: FieldNode, name: str, tree: Tree | None) -> Getter:
    """How an argument, which is ``tree``, is read at run time; at once where it is a variable."""
    if tree is None:
        return lambda _: None
    for argument in node.arguments:
        if argument.name.value == name and isinstance(argument.value, VariableNode):
            return itemgetter(argument.value.name.value)
    return lambda variables: plain(tree, variables)


def form(value: Any, *, exact: bool = False) -> Any:
    """What of a variable's value changes the SQL: a hashable part of the plan's key."""
    kind = type(value)
    if kind is str:
        return ""
    if value is None or kind is bool:
        return value
    if kind is dict:
        return tuple([(name, form(item, exact=exact)) for name, item in value.items()])
    if exact and isinstance(value, Enum):
        return value.value
    if kind is list and value and (exact or type(value[0]) is dict):
        return tuple([form(item, exact=exact) for item in value])
    return ""


def _absent(node: ValueNode, variables: Variables) -> bool:
    return isinstance(node, VariableNode) and node.name.value not in variables


def _constant(value: Any) -> Leaf:
    return Leaf(value, lambda _: value, fixed=True)


def _read(node: ValueNode, type_: Any, variables: Variables) -> Tree | None:
    required = isinstance(type_, GraphQLNonNull)
    if isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    if isinstance(node, VariableNode):
        name = node.name.value
        if required:
            refuse_null(name, variables)
        if name not in variables:
            return None
        return _runtime(variables[name], lambda v: v[name])
    if isinstance(node, NullValueNode):
        return _constant(None)
    if isinstance(type_, GraphQLList):
        items = node.values if isinstance(node, ListValueNode) else (node,)
        trees = [_read(item, type_.of_type, variables) for item in items]
        branches = [tree if tree is not None else _constant(None) for tree in trees]
        if any(not isinstance(branch, Leaf) for branch in branches):
            return branches
        return _gather([branch for branch in branches if isinstance(branch, Leaf)])
    if isinstance(type_, GraphQLInputObjectType) and isinstance(node, ObjectValueNode):
        fields: dict[str, Any] = {}
        given = {field.name.value: field.value for field in node.fields}
        for name, field in type_.fields.items():
            tree = _read(given[name], field.type, variables) if name in given else None
            if tree is not None:
                fields[name] = tree
        return fields
    return _constant(value_from_ast(node, type_, dict(variables)))


def _gather(leaves: Sequence[Leaf]) -> Leaf:
    getters = [leaf.get for leaf in leaves]
    return Leaf([leaf.now for leaf in leaves], lambda v: [get(v) for get in getters])


def _runtime(value: Any, get: Getter) -> Tree:
    if isinstance(value, Mapping):
        return {
            name: _runtime(item, lambda v, name=name: get(v)[name])  # type: ignore[misc]
            for name, item in value.items()
        }
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return [
            _runtime(item, lambda v, index=index: get(v)[index])  # type: ignore[misc]
            for index, item in enumerate(value)
        ]
    return Leaf(value, get)
