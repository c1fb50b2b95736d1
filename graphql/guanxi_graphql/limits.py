"""Gates that a document passes before it is validated, so that a hostile one costs nothing.

They run once per document that is not in the cache. Every count is taken after fragments are
expanded, without expanding them: a fragment is measured once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    StringValueNode,
    TokenKind,
    Visitor,
    parse,
    validate,
    visit,
)

from guanxi_core.limits import DEFAULT, Limits

__all__ = [
    "LimitExceeded", "Limits", "Size", "check_document", "check_size", "check_text",
    "check_values", "parse_limited", "tokens_in", "validate_limited", "writes",
]  # fmt: skip


class LimitExceeded(GraphQLError):
    """The document is larger than allowed; the message names the limit, the value and the bound."""

    def __init__(self, what: str, bound: int, value: int | None = None) -> None:
        found = "more" if value is None else f"{value:,}" if value < 10**9 else "over a billion"
        super().__init__(
            f"The document exceeds the limit of {bound:,} {what}: it has {found}.",
            extensions={"code": "LIMIT_EXCEEDED"},
        )


class Size(NamedTuple):
    """What a document amounts to, by what a tenant may limit."""

    tokens: int
    depth: int
    aliases: int
    root_fields: int


class _Size(NamedTuple):
    """What a selection set amounts to with all its fragments."""

    selections: int = 0
    aliases: int = 0
    directives: int = 0
    aggregates: int = 0
    fields: int = 0  # at its own level
    depth: int = 0
    introspection: int = 0  # depth within `__schema` and `__type`


def check_text(document: str, limits: Limits = DEFAULT) -> None:
    """Raise :class:`LimitExceeded` for a text too long to be looked at."""
    if len(document) > limits.characters:
        raise LimitExceeded("characters", limits.characters, len(document))


def parse_limited(document: str, limits: Limits = DEFAULT) -> DocumentNode:
    """Parse, giving up at the limits. Raises GraphQLError for a syntax error."""
    check_text(document, limits)
    try:
        parsed = parse(document, max_lexical_tokens=limits.tokens, max_comments=limits.comments)
    except GraphQLError as error:
        for what, bound in (("tokens", limits.tokens), ("comments", limits.comments)):
            if f"contains more than {bound} {what}." in error.message:
                raise LimitExceeded(what, bound) from None
        if "nested too deeply" in error.message:
            raise LimitExceeded("levels of nesting", limits.nesting) from None
        raise
    if any(nul in document for nul in ("\0", "\\u0000", "\\u{0")):
        visit(parsed, _RefuseNul())
    return parsed


def tokens_in(document: DocumentNode) -> int:
    """How many lexical tokens a document has, as the parser counts them."""
    token = document.loc.start_token if document.loc else None
    count = 0
    while token is not None:
        count += token.kind not in (TokenKind.SOF, TokenKind.EOF, TokenKind.COMMENT)
        token = token.next
    return count


def check_size(size: Size, limits: Limits) -> None:
    """Raise :class:`LimitExceeded` for a document that was measured under other limits."""
    for what, value, bound in (
        ("tokens", size.tokens, limits.tokens),
        ("levels of depth", size.depth, limits.depth),
        ("root fields", size.root_fields, limits.root_fields),
        ("aliases", size.aliases, limits.aliases),
    ):
        if value > bound:
            raise LimitExceeded(what, bound, value)


def check_values(variables: Mapping[str, Any], limits: Limits) -> None:
    """Raise :class:`LimitExceeded` for variables with long lists, or with too many values."""
    count = 0
    waiting: list[Any] = [variables]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            if len(value) > limits.list_size:
                raise LimitExceeded(
                    "items in a list of the variables", limits.list_size, len(value)
                )
        else:
            value = value.values()
        count += len(value)
        if count > limits.values:
            raise LimitExceeded("values in the variables", limits.values)
        waiting += [item for item in value if isinstance(item, (dict, list))]


def check_document(document: DocumentNode, limits: Limits = DEFAULT) -> Size:
    """Measure a document; raise :class:`LimitExceeded` unless it is within all limits.

    Fragments that spread each other in a circle raise a plain GraphQLError; other mistakes,
    such as a fragment that is missing, are left to validation.
    """
    gauge = _Gauge(document, limits)
    roots: list[SelectionSetNode] = []
    total = 0
    largest = Size(tokens_in(document), 0, 0, 0)
    for operation in gauge.operations:
        size = gauge.measure(operation.selection_set, 1)
        largest = Size(
            largest.tokens, max(largest.depth, size.depth), max(largest.aliases, size.aliases),
            max(largest.root_fields, size.fields),
        )  # fmt: skip
        own = len(operation.directives) + sum(
            len(variable.directives) for variable in operation.variable_definitions
        )
        for what, value, bound in (
            ("levels of depth", size.depth, limits.depth),
            ("levels of introspection", size.introspection, limits.introspection_depth),
            ("root fields", size.fields, limits.root_fields),
            ("aliases", size.aliases, limits.aliases),
            ("directives", size.directives + own, limits.directives),
            ("parts of aggregates", size.aggregates, limits.aggregates),
        ):
            if value > bound:
                raise LimitExceeded(what, bound, value)
        total += size.selections
        roots.append(operation.selection_set)
    for fragment in gauge.definitions:  # validation looks into unused and repeated ones, too
        if gauge.fragments[fragment.name.value] is not fragment:
            total += gauge.measure(fragment.selection_set, 1).selections
        elif fragment.name.value not in gauge.sizes:
            total += gauge.fragment(fragment, 1).selections
        else:
            continue
        roots.append(fragment.selection_set)
    if total > limits.selections:
        raise LimitExceeded("selected fields and fragments", limits.selections, total)
    compared = sum(map(gauge.comparisons, roots))
    if compared > limits.comparisons:
        raise LimitExceeded("comparisons of repeated fields", limits.comparisons, compared)
    return largest


def validate_limited(
    schema: GraphQLSchema, document: DocumentNode, limits: Limits = DEFAULT
) -> list[GraphQLError]:
    """Validate, stopping at the first few errors; messages do not suggest other names."""
    return validate(schema, document, max_errors=limits.errors, hide_suggestions=True)


def writes(document: str, operation: str | None) -> bool:
    """Whether the operation is something other than a query; False if it cannot be told."""
    if "mutation" not in document and "subscription" not in document:
        return False
    try:
        definitions = parse_limited(document).definitions
    except GraphQLError:
        return False
    return any(
        definition.operation is not OperationType.QUERY
        for definition in definitions
        if isinstance(definition, OperationDefinitionNode)
        and (not operation or (definition.name and definition.name.value == operation))
    )


class _Gauge:
    """Measures the selection sets of one document."""

    def __init__(self, document: DocumentNode, limits: Limits) -> None:
        self.limits = limits
        self.operations: list[OperationDefinitionNode] = []
        self.definitions: list[FragmentDefinitionNode] = []
        self.fragments: dict[str, FragmentDefinitionNode] = {}
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                self.operations.append(definition)
            elif isinstance(definition, FragmentDefinitionNode):
                self.definitions.append(definition)
                self.fragments.setdefault(definition.name.value, definition)
        self.sizes: dict[str, _Size] = {}
        self._open: list[str] = []  # the fragments being measured, outermost first

    def fragment(self, fragment: FragmentDefinitionNode, level: int) -> _Size:
        name = fragment.name.value
        known = self.sizes.get(name)
        if known is not None:
            return known
        if name in self._open:
            circle = " → ".join([*self._open[self._open.index(name) :], name])
            raise GraphQLError(f"Fragments spread each other in a circle: {circle}.", fragment)
        self._open.append(name)
        size = self.measure(fragment.selection_set, level)
        self._open.pop()
        size = size._replace(directives=size.directives + len(fragment.directives))
        self.sizes[name] = size
        return size

    def measure(self, selection_set: SelectionSetNode, level: int) -> _Size:
        if level > self.limits.nesting:
            raise LimitExceeded("levels of nesting", self.limits.nesting)
        selections = aliases = directives = aggregates = fields = depth = introspection = 0
        for node in selection_set.selections:
            selections += 1
            directives += len(node.directives)
            inner = self._within(node, level)
            selections += inner.selections
            aliases += inner.aliases
            directives += inner.directives
            aggregates += inner.aggregates
            introspection = max(introspection, inner.introspection)
            if not isinstance(node, FieldNode):
                fields += inner.fields
                depth = max(depth, inner.depth)
                continue
            fields += 1
            aliases += node.alias is not None
            name = node.name.value
            if name.endswith("Aggregate"):
                aggregates += inner.fields
            if name in ("__schema", "__type"):
                introspection = max(introspection, inner.depth)
                depth = max(depth, 1)
            else:
                depth = max(depth, inner.depth + (name not in ("edges", "node")))
        return _Size(
            selections, aliases, directives, aggregates, fields, depth, introspection
        )  # fmt: skip

    def _within(self, node: SelectionNode, level: int) -> _Size:
        if isinstance(node, FragmentSpreadNode):
            fragment = self.fragments.get(node.name.value)
            return self.fragment(fragment, level + 1) if fragment else _Size()
        inner: SelectionSetNode | None = getattr(node, "selection_set", None)
        return self.measure(inner, level + 1) if inner else _Size()

    def comparisons(self, selection_set: SelectionSetNode) -> int:
        """Pairs of fields that answer at the same place, and of fragments spread together.

        Only to be called once the number of selections is known to be small.
        """
        total = 0
        waiting: list[list[SelectionSetNode]] = [[selection_set]]
        while waiting:
            fields: Counter[str] = Counter()
            inner: dict[str, list[SelectionSetNode]] = {}
            spreads = 0
            for node in self._flat(waiting.pop()):
                if isinstance(node, FieldNode):
                    key = (node.alias or node.name).value
                    fields[key] += 1
                    if node.selection_set:
                        inner.setdefault(key, []).append(node.selection_set)
                else:
                    spreads += 1
            total += spreads * (spreads - 1) // 2
            total += sum(count * (count - 1) // 2 for count in fields.values())
            if total > self.limits.comparisons:
                break
            waiting.extend(inner.values())
        return total

    def _flat(self, sets: list[SelectionSetNode]) -> Iterable[SelectionNode]:
        """The fields and spreads at one place of the response, fragments opened."""
        stack = sets
        while stack:
            for node in stack.pop().selections:
                if isinstance(node, FieldNode):
                    yield node
                elif isinstance(node, FragmentSpreadNode):
                    yield node
                    fragment = self.fragments.get(node.name.value)
                    if fragment:
                        stack.append(fragment.selection_set)
                else:
                    stack.append(node.selection_set)  # type: ignore[attr-defined]


class _RefuseNul(Visitor):
    """PostgreSQL cannot store the character NUL."""

    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        if "\0" in node.value:
            raise GraphQLError(
                "A string holds the character NUL, which cannot be stored.",
                node,
                extensions={"code": "BAD_REQUEST"},
            )
