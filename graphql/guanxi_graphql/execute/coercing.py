"""Values of variables where nothing about them is out of the ordinary, coerced at once.

What is: lists given as one item, defaults, values of another JSON type and every mistake are left
to graphql-core, which also says what is wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    Undefined,
    VariableDefinitionNode,
    type_from_ast,
)

Coerce = Callable[[Any], Any]


class Unusual(Exception):
    """graphql-core is to look at it."""


class Coercion:
    """Coerces the variables of one operation; those of one schema share what is ``known``."""

    def __init__(
        self,
        schema: GraphQLSchema,
        definitions: Sequence[VariableDefinitionNode],
        known: dict[str, Coerce],
    ) -> None:
        types: dict[str, Any] = {
            one.variable.name.value: type_from_ast(schema, one.type) for one in definitions
        }
        self._required = {name for name, of in types.items() if isinstance(of, GraphQLNonNull)}
        self._required |= {d.variable.name.value for d in definitions if d.default_value}
        self._coerce = {name: _coerce_of(of, known) for name, of in types.items()}

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values, or :class:`Unusual`; also for variables that the operation does not have."""
        if not self._required <= given.keys():
            raise Unusual
        try:
            return {name: self._coerce[name](value) for name, value in given.items()}
        except (KeyError, RecursionError):
            raise Unusual from None


def _coerce_of(type_: GraphQLInputType, known: dict[str, Coerce]) -> Coerce:
    if isinstance(type_, GraphQLNonNull):
        return _some_of(type_.of_type, known)
    some = _some_of(type_, known)
    return lambda value: None if value is None else some(value)


def _some_of(type_: Any, known: dict[str, Coerce]) -> Coerce:
    """How values of a type are coerced that are not null; null is :class:`Unusual`."""
    if isinstance(type_, GraphQLList):
        item = _coerce_of(type_.of_type, known)
        return lambda value: [item(one) for one in _of(list, value)]
    found = _EXACT.get(type_.name) or known.get(type_.name)
    if found is None:
        found = known[type_.name] = _named(type_, known)
    return found


def _named(type_: Any, known: dict[str, Coerce]) -> Coerce:
    if isinstance(type_, GraphQLInputObjectType):
        return _object(type_, known)
    if isinstance(type_, GraphQLEnumType):
        members = {name: member.value for name, member in type_.values.items()}

        def member_of(value: Any) -> Any:
            if type(value) is not str:
                raise Unusual
            return members[value]

        return member_of
    return _parsed(type_.parse_value)


def _object(type_: GraphQLInputObjectType, known: dict[str, Coerce]) -> Coerce:
    fields: dict[str, Coerce] = {}

    def coerce(value: Any) -> Any:
        if not fields:  # at the first value: nearly all input types hang together
            fields.update({n: _coerce_of(f.type, known) for n, f in type_.fields.items()})
        if type(value) is not dict or not needed <= value.keys():
            raise Unusual
        if one_of and (len(value) != 1 or None in value.values()):
            raise Unusual
        found = {name: of(value[name]) for name, of in fields.items() if name in value}
        if len(found) != len(value):
            raise Unusual
        return found

    needed = {
        name for name, field in type_.fields.items()
        if isinstance(field.type, GraphQLNonNull) or field.default_value is not Undefined
    }  # fmt: skip
    one_of = type_.is_one_of
    return coerce


def _parsed(parse: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None:
            raise Unusual
        try:
            found = parse(value)
        except Exception as error:
            raise Unusual from error
        if found is Undefined:
            raise Unusual
        return found

    return coerce


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise Unusual
    return value


def _text(value: Any) -> Any:
    if type(value) is not str:
        raise Unusual
    return value


def _integer(value: Any) -> Any:
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise Unusual
    return value


#: Scalars whose plain values are what they stand for.
_EXACT: dict[str, Coerce] = {
    "ID": _text, "String": _text, "Int": _integer, "Boolean": lambda value: _of(bool, value),
}  # fmt: skip
