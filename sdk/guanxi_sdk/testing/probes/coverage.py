"""Which names of a schema there are, and which of them a document uses."""

from collections.abc import Iterator, Mapping, Set
from functools import lru_cache
from typing import Any, Final

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    parse,
)
from graphql.utilities import type_from_ast, value_from_ast_untyped

from guanxi_core.editions import compose
from guanxi_graphql.schema import schema_of
from guanxi_sdk.plugin import Plugin

#: How enums are called whose values stand for fields.
_NAMED: Final = ("OrderBy", "GroupBy")


def names_of(schema: GraphQLSchema) -> set[str]:
    """Every field, argument, input field, operator of a filter, order and group that there is.

    ``Note.body``, ``Query.notes(where)``, ``NoteWhere.body.eq``, ``NoteOrderBy.ID_ASC``,
    ``NoteGroupBy.CUSTOMER``.
    """
    found: set[str] = set()
    for type_ in schema.type_map.values():
        if type_.name.startswith("__"):
            continue
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in type_.fields.items():
                found.add(f"{type_.name}.{name}")
                found |= {f"{type_.name}.{name}({argument})" for argument in field.args}
        elif isinstance(type_, GraphQLInputObjectType) and not type_.name.endswith("Filter"):
            for name, field in type_.fields.items():
                found |= {f"{type_.name}.{name}{part}" for part in _operators(field.type)}
        elif isinstance(type_, GraphQLEnumType) and type_.name.endswith(_NAMED):
            found |= {f"{type_.name}.{value}" for value in type_.values}
    return found


@lru_cache(64)
def names_with(plugins: frozenset[type[Plugin[Any]]]) -> Set[str]:
    """The names of the schema that these plugins make."""
    return names_of(schema_of(compose(plugins)).graphql)


def names_in(schema: GraphQLSchema, document: str, variables: Mapping[str, Any]) -> frozenset[str]:
    """What of :func:`names_of` a document with its variables uses."""
    found: set[str] = set()
    for definition in parse(document, no_location=True).definitions:
        if isinstance(definition, OperationDefinitionNode):
            root = schema.get_root_type(definition.operation)
            found |= set(_selected(schema, root, definition.selection_set, variables))
    return frozenset(found)


def _operators(type_: Any) -> list[str]:
    inner = get_named_type(type_)
    if isinstance(inner, GraphQLInputObjectType) and inner.name.endswith("Filter"):
        return [f".{operator}" for operator in inner.fields]
    return [""]


def _selected(
    schema: GraphQLSchema, type_: Any, selected: SelectionSetNode, variables: Mapping[str, Any]
) -> Iterator[str]:
    for node in selected.selections:
        if isinstance(node, InlineFragmentNode):
            inner = type_from_ast(schema, node.type_condition) if node.type_condition else type_
            yield from _selected(schema, inner, node.selection_set, variables)
        elif isinstance(node, FieldNode) and node.name.value in getattr(type_, "fields", {}):
            name = node.name.value
            field = type_.fields[name]
            yield f"{type_.name}.{name}"
            for argument in node.arguments:
                yield f"{type_.name}.{name}({argument.name.value})"
                value = value_from_ast_untyped(argument.value, dict(variables))
                yield from _given(field.args[argument.name.value].type, value)
            if node.selection_set is not None:
                below = get_named_type(field.type)
                yield from _selected(schema, below, node.selection_set, variables)


def _given(type_: Any, value: Any) -> Iterator[str]:
    if isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    if isinstance(type_, GraphQLList):
        for item in value if isinstance(value, list) else [value]:
            yield from _given(type_.of_type, item)
    elif isinstance(type_, GraphQLEnumType) and type_.name.endswith(_NAMED):
        yield f"{type_.name}.{value}"
    elif isinstance(type_, GraphQLInputObjectType) and isinstance(value, Mapping):
        for name, inner in value.items():
            field = type_.fields[name]
            if _operators(field.type) == [""]:
                yield f"{type_.name}.{name}"
            else:
                yield from (f"{type_.name}.{name}.{operator}" for operator in inner)
                for operator, given in inner.items():
                    below = get_named_type(field.type).fields[operator].type
                    yield from _given(below, given)
            yield from _given(field.type, inner) if _operators(field.type) == [""] else ()
