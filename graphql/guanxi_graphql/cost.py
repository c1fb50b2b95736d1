"""What a document may cost: how many objects its answer can hold, by the sizes of its lists.

It is worked out once for a document. Where sizes are in variables, what remains per request is a
few multiplications; everything else is a number that is known already. The result is an upper
bound: a page may have fewer rows than were asked for.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
    is_object_type,
)

from guanxi_graphql.compile.binds import Variables
from guanxi_graphql.compile.connections import DEFAULT_PAGE, LARGEST_PAGE
from guanxi_graphql.introspecting import introspected
from guanxi_graphql.limits import LimitExceeded, Limits
from guanxi_graphql.schema.bindings import Ask, Batch, Schema

#: Items of a list of which nothing says how long it is.
ASSUMED: Final = 10
#: What a write costs besides its answer.
WRITE: Final = 10

Size = int | Callable[[Variables], int]
#: Variables, and what they must be for a field to be asked for.
Switches = frozenset[tuple[str, bool]]
#: The nodes of one response key, each with its switches.
Nodes = list[tuple[FieldNode, Switches]]


class ListTooLong(GraphQLError):
    """More rows are asked for than a page may have, or more ids given."""

    def __init__(self, name: str, bound: int) -> None:
        super().__init__(
            f"'{name}' holds more than {bound} ids: ask in several requests."
            if name == "ids"
            else f"'{name}' must be at most {bound}: page with cursors.",
            extensions={"code": "LIMIT_EXCEEDED" if name == "ids" else "INVALID"},
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """So many items, each at the same cost; none where variables leave it out."""

    size: Size
    each: int
    parts: tuple["_Part", ...] = ()
    shown: tuple[Switches, ...] = ()  # one of them must hold, if there are any

    @property
    def varies(self) -> bool:
        """Whether variables make a difference."""
        return bool(self.shown or self.parts) or not isinstance(self.size, int)

    def cost(self, variables: Variables) -> int:
        """What all items cost with these variables."""
        if self.shown and not any(
            all(variables.get(name) is wanted for name, wanted in one) for one in self.shown
        ):
            return 0
        each = self.each
        for part in self.parts:
            each += part.cost(variables)
        return each * (self.size if isinstance(self.size, int) else self.size(variables))


class Price:
    """What one operation costs."""

    def __init__(
        self,
        schema: Schema,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
    ) -> None:
        pricing = _Pricing(schema, fragments)
        root = schema.graphql.get_root_type(operation.operation)
        each, parts = pricing.selection(root, [operation.selection_set])
        self._part = _Part(1, each, parts)
        self._lists = pricing.lists
        self._introspected = introspected(schema.graphql, operation, fragments)

    @property
    def varies(self) -> bool:
        """Whether variables make a difference."""
        return self._part.varies or not all(isinstance(size, int) for _, size in self._lists)

    @property
    def introspects(self) -> bool:
        """Whether the schema itself is asked for."""
        return self._introspected.most > 0

    def cost(self, variables: Variables) -> int:
        """The cost with these variables."""
        return self._part.cost(variables)

    def check(self, limits: Limits, variables: Variables) -> None:
        """Raise :class:`LimitExceeded` for what asks for too much."""
        elements, most = self._introspected
        if elements > most:
            raise LimitExceeded("introspected elements", most, elements)
        if limits.list_size < LARGEST_PAGE:  # which compilation sees to, where a list is read
            for name, size in self._lists:
                if (size if isinstance(size, int) else size(variables)) > limits.list_size:
                    raise ListTooLong(name, limits.list_size)
        cost = self._part.cost(variables)
        if cost > limits.cost:
            raise LimitExceeded("cost", limits.cost, cost)


class _Pricing:
    """Walks the selections of one operation."""

    def __init__(self, schema: Schema, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._schema = schema
        self._fragments = fragments
        self.lists: list[tuple[str, Size]] = []  # those whose size is asked for, and by what

    def selection(
        self, type_: Any, sets: Iterable[SelectionSetNode | None], page: Size = ASSUMED
    ) -> tuple[int, tuple[_Part, ...]]:
        """What selections on one object cost: what is known, and what varies.

        ``page`` is how many edges there are, if it is a connection.
        """
        found: dict[tuple[str, str], Nodes] = {}
        self._collect(type_, sets, frozenset(), found)
        each, parts = 0, []
        for (name, _), nodes in found.items():
            of: Any = self._schema.graphql.type_map[name]
            field = getattr(of, "fields", {}).get(nodes[0][0].name.value)
            if field is None:  # __typename, and introspection, which is looked at elsewhere
                continue
            part = self._field(name, field, nodes, page)
            if part.varies:
                parts.append(part)
            else:
                each += part.cost({})
        return each, tuple(parts)

    def _collect(
        self,
        type_: Any,
        sets: Iterable[SelectionSetNode | None],
        switches: Switches,
        found: dict[tuple[str, str], Nodes],
    ) -> None:
        """Fields by the type that has them and their response key."""
        for node in (node for one in sets if one for node in one.selections):
            more = _switches(node)
            if more is None:
                continue
            if isinstance(node, FieldNode):
                key = (type_.name, (node.alias or node.name).value)
                found.setdefault(key, []).append((node, switches | more))
                continue
            fragment: Any = node
            if isinstance(node, FragmentSpreadNode):
                fragment = self._fragments[node.name.value]
            inner = self._narrowed(type_, fragment.type_condition)
            if inner is not None:
                self._collect(inner, [fragment.selection_set], switches | more, found)

    def _narrowed(self, type_: Any, condition: Any) -> Any:
        """What an object of a type is within a fragment; None where it applies to none."""
        if condition is None:
            return type_
        named: Any = self._schema.graphql.type_map[condition.name.value]
        if not is_object_type(type_):
            return named
        return type_ if named is type_ or named in type_.interfaces else None

    def _field(self, parent: str, field: GraphQLField, nodes: Nodes, page: Size) -> _Part:
        node = nodes[0][0]
        name = node.name.value
        shown = () if any(not one for _, one in nodes) else tuple(one for _, one in nodes)
        python = isinstance(self._schema.fields.get(parent, {}).get(name), Batch | Ask)
        connected = parent.endswith("Connection")
        type_ = get_named_type(field.type)
        if not is_composite_type(type_):
            return _Part(1, int(python or (connected and name == "totalCount")), (), shown)
        sets = [one.selection_set for one, _ in nodes]
        if "first" in field.args and type_.name.endswith("Connection"):
            each, parts = self.selection(type_, sets, self._listed(*_page_of(node)))
            return _Part(1, each, parts, shown)
        if "groupBy" in field.args:
            each, parts = self.selection(type_, sets, self._listed(*_page_of(node)))
            return _Part(1, each + 1, parts, shown)
        each, parts = self.selection(type_, sets)
        if connected and name == "edges":
            return _Part(page, each, parts, shown)
        if name == "groups" and parent.endswith("Aggregate"):
            return _Part(page, each + 1, parts, shown)
        if connected or type_.name.endswith("Payload"):
            return _Part(1, each + WRITE * (parent == "Mutation"), parts, shown)
        size: Size = 1
        whole: Any = field.type
        if is_list_type(get_nullable_type(whole)):
            size = self._listed("ids", _items_of(node)) if "ids" in field.args else ASSUMED
        return _Part(size, each + 1, parts, shown)

    def _listed(self, name: str, size: Size) -> Size:
        self.lists.append((name, size))
        return size


def _page_of(node: FieldNode) -> tuple[str, Size]:
    """By what, and for how many rows or groups, a list is asked."""
    given = {argument.name.value: argument.value for argument in node.arguments}
    for name in ("first", "last"):
        value = given.get(name)
        if isinstance(value, IntValueNode):
            return name, _clamped(int(value.value))
        if isinstance(value, VariableNode):
            return name, _page_in(value.name.value)
    return "first", DEFAULT_PAGE


def _page_in(name: str) -> Callable[[Variables], int]:
    def size(variables: Variables) -> int:
        asked = variables.get(name)
        return DEFAULT_PAGE if asked is None else _clamped(asked)

    return size


def _clamped(asked: int) -> int:
    """How many rows there can be; others are refused where the page is read."""
    return min(max(asked, 0), LARGEST_PAGE)


def _items_of(node: FieldNode) -> Size:
    """How many ids `nodes` is asked for."""
    value: ValueNode = node.arguments[0].value
    if isinstance(value, VariableNode):
        name = value.name.value
        return lambda variables: len(variables.get(name) or ())
    return len(value.values) if isinstance(value, ListValueNode) else 1


def _switches(node: SelectionNode) -> Switches | None:
    """What `@include` and `@skip` ask of variables; None where they leave the node out."""
    found = set()
    for directive in node.directives:
        wanted = directive.name.value == "include"
        if not wanted and directive.name.value != "skip":
            continue
        value: Any = directive.arguments[0].value
        if isinstance(value, VariableNode):
            found.add((value.name.value, wanted))
        elif value.value is not wanted:
            return None
    return frozenset(found)
