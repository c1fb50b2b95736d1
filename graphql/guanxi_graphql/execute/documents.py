"""Documents: parsed and validated once per edition, with their plans."""

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, TypeVar

from graphql import (
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLInputObjectType,
    ListTypeNode,
    NamedTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    OperationType,
    TypeNode,
    Undefined,
    VariableDefinitionNode,
)
from graphql.execution.values import get_variable_values

from guanxi_core.limits import DEFAULT, Limits
from guanxi_core.telemetry import metrics
from guanxi_core.telemetry.activity import operation_name
from guanxi_graphql.compile.arguments import form
from guanxi_graphql.compile.binds import Variables
from guanxi_graphql.compile.reads import Operation, prefix_of
from guanxi_graphql.cost import Price
from guanxi_graphql.execute.coercing import Coercion, Unusual
from guanxi_graphql.execute.errors import invalid
from guanxi_graphql.limits import (
    check_document,
    check_size,
    check_text,
    check_values,
    parse_limited,
    validate_limited,
)
from guanxi_graphql.schema.bindings import Schema

T = TypeVar("T")
#: Bounds of an edition's caches; a client cannot make them grow. A document weighs its characters,
#: and so does each of its plans: about 50 bytes of memory for each character.
DOCUMENTS = 1_000
PLANS = 2_000
ROOM = 1_000_000

_ABSENT = object()
_SIMPLE: dict[str, Callable[[Any], bool]] = {
    "ID": lambda value: type(value) is str,
    "String": lambda value: type(value) is str,
    "Int": lambda value: type(value) is int and -(2**31) <= value < 2**31,
    "Boolean": lambda value: type(value) is bool,
}


class Cache(OrderedDict[Hashable, T]):
    """The most recently used entries, at most ``size``, which together weigh at most ``room``."""

    def __init__(self, size: int, lookups: metrics.Lookups, room: int = ROOM) -> None:
        super().__init__()
        self._size = size
        self._room = room
        self._weights: dict[Hashable, int] = {}
        self._weight = 0
        self._lookups = lookups

    def use(self, key: Hashable) -> T | None:
        """The entry, now the most recent one."""
        found = self.get(key)
        if found is None:
            self._lookups.misses += 1
        else:
            self._lookups.hits += 1
            self.move_to_end(key)
        return found

    def keep(self, key: Hashable, value: T, weight: int) -> None:
        """Add an entry; the least recent ones leave when there are too many, or too heavy ones."""
        self.drop(key)
        self[key] = value
        self._weights[key] = weight
        self._weight += weight
        while len(self) > self._size or self._weight > self._room:
            self.drop(next(iter(self)))

    def drop(self, key: Hashable) -> None:
        """Let an entry go, if there is one."""
        if self.pop(key, None) is not None:
            self._weight -= self._weights.pop(key)


class Refused(Exception):
    """The document or its variables are wrong; ``errors`` are ready for the client."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("refused")
        self.errors = errors


class Document:
    """One operation, ready to compile; its plans are kept in the edition's cache ``plans``."""

    def __init__(
        self,
        schema: Schema,
        text: str,
        operation: str | None,
        plans: Cache[Any],
        limits: Limits = DEFAULT,
    ) -> None:
        try:
            check_text(text, limits)
            parsed = parse_limited(text, limits)
            self._size = check_document(parsed, limits)
        except GraphQLError as error:
            raise Refused(invalid([error])) from None
        errors = validate_limited(schema.graphql, parsed)
        if errors:
            raise Refused(invalid(errors))
        operations = [d for d in parsed.definitions if isinstance(d, OperationDefinitionNode)]
        named = [
            o for o in operations if operation is None or (o.name and o.name.value == operation)
        ]
        if len(named) != 1:
            raise Refused([_unknown_operation(operation, len(operations))])
        node = named[0]
        if schema.graphql.get_root_type(node.operation) is None:
            raise Refused(
                invalid([GraphQLError(f"The schema has no {node.operation.value}s.", node)])
            )
        fragments = {
            d.name.value: d for d in parsed.definitions if isinstance(d, FragmentDefinitionNode)
        }
        self.text = text
        self.name = operation_name(node.name.value if node.name else None)
        self.operation = Operation(node, fragments)
        self.kind = node.operation.value
        self.reads = node.operation is OperationType.QUERY
        self.price = Price(schema, node, fragments)
        #: Whether it was ever answered; one that was only refused is not kept.
        self.answered = False
        #: The limits that it was found to be within, if variables make no difference to that.
        self.admitted: Limits | None = None
        self._plans = plans
        self._schema = schema
        self._definitions = node.variable_definitions
        self._simple = _simple_variables(node.variable_definitions)
        self._coercion = Coercion(schema.graphql, node.variable_definitions, schema.coercers)
        #: Whether variables are single values, of which there are no more than the document names.
        self._flat = not any(_holds_more(schema, d.type) for d in node.variable_definitions)
        self._forms = _forms(schema, node)
        #: The key of all variables where their values make no difference to the statement.
        self._only_key = _only_key(node) if self._simple is not None else None

    def admit(self, limits: Limits, variables: Variables) -> None:
        """Raise :class:`Refused` for what is too large or too dear for a tenant.

        Tenants with the same plugins share documents, and have limits of their own.
        """
        try:
            check_size(self._size, limits)
            self.price.check(limits, variables)
        except GraphQLError as error:
            raise Refused(invalid([error])) from None
        if not self.price.varies:
            self.admitted = limits

    def variables(self, given: Mapping[str, Any] | None, limits: Limits = DEFAULT) -> Variables:
        """The variables' values, coerced; raises :class:`Refused`."""
        if not self._definitions:
            return {}
        given = given or {}
        if self._simple is not None and len(given) == len(self._simple):
            for name, fits in self._simple.items():
                if not fits(given.get(name)):
                    break
            else:
                return given
        if not self._flat:
            _count(given, limits)
        try:
            return self._coercion.values(given)
        except Unusual:
            if self._flat:  # one is missing, is of another kind, or is not of the document
                _count(given, limits)
        values = get_variable_values(self._schema.graphql, self._definitions, dict(given))
        if isinstance(values, list):
            raise Refused(invalid(values))
        return values

    def plan(self, key: Hashable) -> Any:
        """The plan kept under ``key``, or None."""
        return self._plans.use((self, key))

    def keep(self, key: Hashable, plan: Any) -> None:
        """Keep a plan; the edition's least recently used one leaves when there are too many."""
        self._plans.keep((self, key), plan, len(self.text))

    def forget(self) -> None:
        """Let its plans go."""
        mine = [key for key in self._plans if isinstance(key, tuple) and key[0] is self]
        for key in mine:
            self._plans.drop(key)

    def key(self, variables: Variables) -> Hashable:
        """What of the variables changes the statement's form."""
        if self._only_key is not None:
            return self._only_key
        return tuple(
            [of(value) if (value := variables.get(name, _ABSENT)) is not _ABSENT else _ABSENT
             for name, of in self._forms]
        )  # fmt: skip


def _unknown_operation(operation: str | None, count: int) -> dict[str, Any]:
    if operation is None:
        message = (
            "The document holds several operations: say which by operationName."
            if count
            else "The document holds no operation."
        )
    else:
        message = "The document holds no operation of the name in operationName."
    return {"message": message, "extensions": {"code": "OPERATION_RESOLUTION_FAILURE"}}


def _count(given: Mapping[str, Any], limits: Limits) -> None:
    try:
        check_values(given, limits)
    except GraphQLError as error:
        raise Refused(invalid([error])) from None


def _holds_more(schema: Schema, type_: TypeNode) -> bool:
    """Whether a variable of this type is a list or an object."""
    if isinstance(type_, NonNullTypeNode):
        type_ = type_.type
    if not isinstance(type_, NamedTypeNode):
        return True
    return isinstance(schema.graphql.type_map.get(type_.name.value), GraphQLInputObjectType)


def _simple_variables(
    definitions: tuple[VariableDefinitionNode, ...],
) -> dict[str, Callable[[Any], bool]] | None:
    """Checks for variables that need no coercion; None if one of them does."""
    checks = {}
    for definition in definitions:
        type_ = definition.type
        if not isinstance(type_, NonNullTypeNode) or not isinstance(type_.type, NamedTypeNode):
            return None
        check = _SIMPLE.get(type_.type.name.value)
        if check is None or definition.default_value not in (None, Undefined):
            return None
        checks[definition.variable.name.value] = check
    return checks


def _only_key(node: OperationDefinitionNode) -> tuple[str, ...] | None:
    """The key of simple variables that are only compared; None where one is more than that."""
    if _node_variables(node) or "Boolean" in map(
        _named, (d.type for d in node.variable_definitions)
    ):
        return None
    return ("",) * len(node.variable_definitions)


_EXACT = re.compile(r"(Order|Group)By\Z")  # enums whose values shape the statement


def _forms(
    schema: Schema, node: OperationDefinitionNode
) -> list[tuple[str, Callable[[Any], Hashable]]]:
    """For each variable, what of it belongs to the plan's key."""
    by_type = _node_variables(node)
    known = frozenset(model.info.prefix for model in schema.edition.models.values())
    forms: list[tuple[str, Callable[[Any], Hashable]]] = []
    for definition in node.variable_definitions:
        name = definition.variable.name.value
        if name in by_type:
            forms.append((name, partial(_prefixes, known)))
        elif _EXACT.search(_named(definition.type)):
            forms.append((name, lambda value: form(value, exact=True)))
        else:
            forms.append((name, form))
    return forms


def _prefixes(known: frozenset[str], value: Any) -> Hashable:
    """The types that ids name; unknown ones are all alike, so that they make no plans."""
    if isinstance(value, list):
        return frozenset(prefix_of(item) for item in value) & known
    return prefix_of(value) if prefix_of(value) in known else value is None


def _named(type_: Any) -> str:
    while isinstance(type_, NonNullTypeNode | ListTypeNode):
        type_ = type_.type
    name: str = type_.name.value
    return name


def _node_variables(node: OperationDefinitionNode) -> set[str]:
    """Variables that name objects of any type."""
    types = {d.variable.name.value: _named(d.type) for d in node.variable_definitions}
    if "node" not in str(node.loc.source.body if node.loc else "node"):
        return set()
    return {name for name, type_ in types.items() if type_ == "ID"}
