"""Documents that ask a schema for all there is, in every way that it offers."""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import Any, Final
from uuid import UUID

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_composite_type,
)

from guanxi_sdk._docs import camel
from guanxi_sdk.model import Model
from guanxi_sdk.testing.probes.conditions import RELATED, ROOTS, Conditions
from guanxi_sdk.testing.probes.document import Document, Place
from guanxi_sdk.testing.probes.filling import WORDS
from guanxi_sdk.testing.probes.sharing import Shared
from guanxi_sdk.testing.probes.values import Values, literal

#: How types end that have a part for each field of a model.
_OF_AGGREGATES: Final = ("AggregateValues", "AggregateKey")
#: In front of all that `search` finds, as its cursors are written.
_FIRST: Final = b64encode(f'["search", -1, "{UUID(int=0)}", ""]'.encode()).decode()


class Documents:
    """Generates the documents for one edition.

    The fast form knows which names of the schema are ``wanted``. It asks the conditions and groups
    that use one of them, and of other fields one of a few, other ones each time; so it does with
    fields that are one relation away.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        shared: Shared,
        values: Values,
        *,
        wanted: Set[str],
        thorough: bool,
    ) -> None:
        self._wanted = wanted
        self._thorough = thorough
        self._turns: Counter[str] = Counter()
        self.schema = schema
        self.models = shared.edition.models
        self.values = values
        self._conditions = Conditions(schema, shared, values, wanted=wanted, thorough=thorough)

    def all(self) -> Iterator[Document]:
        """Everything that can be read."""
        yield from self.selections()
        yield from self.searches()
        yield from self.pages()
        yield from self.filters()
        yield from self.orders()
        yield from self.groups()
        yield from self.subscriptions()

    def selections(self) -> Iterator[Document]:
        """Each root field with all that is below it; each relation, and each field with arguments.

        What has arguments is asked without those that may be left out, and with all of them.
        """
        assert self.schema.query_type is not None
        for name, one in self.schema.query_type.fields.items():
            for call, heads, variables, ids in self._calls(name, one):
                text = f"{{ {call} {self.below(one)} }}"
                head = f"query ({heads}) " if heads else ""
                yield Document("selection", head + text, variables, tuple(ids))
        for model in self.models.values():
            for turn, (name, one) in enumerate(self._object(model.info.name).fields.items()):
                if self._is_relation(one) or one.args:
                    for call, heads, variables, ids in self._calls(name, one, model):
                        text = self._within(model, f"{call} {self.below(one, turn)}")
                        head = f"query ({heads}) " if heads else ""
                        yield Document("selection", head + text, variables, tuple(ids))

    def searches(self) -> Iterator[Document]:
        """Each search for the words that texts of any tenant hold, with ranks as cursors."""
        assert self.schema.query_type is not None
        found = "{ totalCount edges { cursor node { id } } }"
        for name, one in self.schema.query_type.fields.items():
            argument = "query" if name == "search" else "search"
            if argument in one.args and (name == "search" or self._listed(one)):
                parts = [
                    f'a{number}: {name}({argument}: "{word}") {found}'
                    for number, word in enumerate(WORDS)
                ]
                yield Document("selection", f"{{ {' '.join(parts)} }}")

    def pages(self) -> Iterator[Document]:
        """Each connection with all its arguments, forwards and backwards."""
        assert self.schema.query_type is not None
        places: list[tuple[type[Model] | None, str, GraphQLField]] = [
            (None, name, one) for name, one in self.schema.query_type.fields.items()
        ]
        for model in self.models.values():
            fields = self._object(model.info.name).fields.items()
            places += [(model, name, one) for name, one in fields]
        for parent, name, one in places:
            of = self._listed(one)
            if of is None:
                continue
            for cursor, size in (("after", "first"), ("before", "last")):
                given = [f"{size}: 1", f"{cursor}: $cursor"]
                for argument, taken in one.args.items():
                    if argument == "where":
                        given.append("where: {}")
                    elif argument == "orderBy":
                        given.append("orderBy: [ID_ASC]")
                    elif argument not in ("first", "last", "after", "before"):
                        value = self.values.of(name, argument, taken.type, of)
                        given.append(f"{argument}: {literal(value, taken.type)}")
                page = "totalCount pageInfo { startCursor endCursor hasNextPage hasPreviousPage }"
                call = f"{name}({', '.join(given)}) {{ {page} edges {{ cursor node {{ id }} }} }}"
                text = f"{{ {call} }}" if parent is None else self._within(parent, call)
                yield Document("page", f"query ($cursor: String) {text}", {}, (), of)

    def filters(self) -> Iterator[Document]:
        """Each filter with each operator, for what rows have and for what none has."""
        return self._conditions.documents()

    def orders(self) -> Iterator[Document]:
        """Each order, alone, with the cursors it makes; `$cursor` may be one of them."""
        for model in self.models.values():
            values: Any = self.schema.type_map[f"{model.info.name}OrderBy"]
            for value in values.values:
                yield Document(
                    "order",
                    f"query ($cursor: String) {{ {camel(model.info.plural)}(orderBy: {value}, "
                    "after: $cursor) { edges { cursor node { id } } } }",
                )

    def groups(self) -> Iterator[Document]:
        """Each field that rows may be grouped by, with the buckets and orders in turn."""
        buckets: Any = self.schema.type_map["DateBucket"]
        orders: Any = self.schema.type_map["GroupOrderBy"]
        for model in self.models.values():
            enum: Any = self.schema.type_map[f"{model.info.name}GroupBy"]
            key = self._object(f"{model.info.name}AggregateKey")
            rows, parts = f"{camel(model.info.plural)}Aggregate", []
            for turn, value in enumerate(enum.values):
                name = camel(value.lower())
                bucket = list(buckets.values)[turn % len(buckets.values)]
                order = list(orders.values)[turn % len(orders.values)]
                target = get_named_type(key.fields[name].type).name
                below = f"{{ {self._few(target)} id }}" if target in self.models else ""
                parts.append(
                    f"g{turn}: {rows}(groupBy: {value}, bucket: {bucket}, orderBy: {order}) "
                    f"{{ groupCount groups {{ key {{ {name} {below} }} count }} }}"
                )
            step = 1 if self._thorough else ROOTS
            if not self._thorough:
                parts = [
                    one
                    for one in parts
                    if Document("group", f"{{ {one} }}").uses(self.schema, self._wanted)
                ]
            for start in range(0, len(parts), step):
                yield Document("group", f"{{ {' '.join(parts[start : start + step])} }}")

    def mutations(self) -> Iterator[Document]:
        """One call for each mutation, with every argument given, all in variables."""
        mutation = self.schema.mutation_type
        for name, one in mutation.fields.items() if mutation else ():
            about = self.about(name, one)
            variables = {n: self.values.of(name, n, a.type, about) for n, a in one.args.items()}
            heads = ", ".join(f"${n}: {a.type}" for n, a in one.args.items())
            given = ", ".join(f"{n}: ${n}" for n in one.args)
            call = f"{name}({given})" if given else name
            text = f"mutation ({heads})" if heads else "mutation"
            yield Document(
                "mutation", f"{text} {{ {call} {self.below(one)} }}", variables,
                tuple(self.places(one, variables, about)), name=name,
            )  # fmt: skip

    def subscriptions(self) -> Iterator[Document]:
        """Each subscription, of everything and with all arguments but a position."""
        root = self.schema.subscription_type
        for name, one in root.fields.items() if root else ():
            about = self._told(one)
            variables = {
                n: self.values.of(name, n, a.type, about)
                for n, a in one.args.items() if n != "after"
            }  # fmt: skip
            heads = ", ".join(f"${n}: {a.type}" for n, a in one.args.items())
            given = ", ".join(f"{n}: ${n}" for n in one.args)
            below = self.below(one)
            yield Document("subscription", f"subscription {{ {name} {below} }}")
            yield Document(
                "subscription", f"subscription ({heads}) {{ {name}({given}) {below} }}", variables,
                tuple(self.places(one, variables, about)),
            )  # fmt: skip

    def _told(self, one: GraphQLField) -> type[Model] | None:
        """The model of which a subscription tells."""
        inner = [get_named_type(f.type).name for f in self._object(get_named_type(one.type).name)
                 .fields.values()]  # fmt: skip
        return next((self.models[name] for name in inner if name in self.models), None)

    def places(
        self, of: GraphQLField, variables: Mapping[str, Any], about: type[Model] | None = None
    ) -> Iterator[Place]:
        """Where ids stand in the variables of a field."""
        by_prefix = {model.info.prefix: model for model in self.models.values()}

        def place(path: tuple[str, ...], value: Any) -> Iterator[Place]:
            identity = value[0] if isinstance(value, list) and value else value
            if isinstance(identity, str):
                prefix = identity.rpartition("_")[0]
                yield Place(path, (by_prefix.get(prefix) or self.values.meant(path[-1], about),))

        for name, argument in of.args.items():
            type_ = get_named_type(argument.type)
            if name not in variables:
                continue
            if type_.name == "ID":
                yield from place((name,), variables[name])
            elif isinstance(type_, GraphQLInputObjectType) and type_.name.endswith("Where"):
                yield from place((name, "id", "eq"), variables[name]["id"]["eq"])
            elif isinstance(type_, GraphQLInputObjectType):
                for inner, one in type_.fields.items():
                    if get_named_type(one.type).name == "ID" and inner in variables[name]:
                        yield from place((name, inner), variables[name][inner])

    def about(self, name: str, one: GraphQLField) -> type[Model] | None:
        """The model that a mutation is about: the one it is called after, else what it answers."""
        called = [m for n, m in self.models.items() if name.endswith(n)]
        if called:
            return max(called, key=lambda model: len(model.info.name))
        payload = get_named_type(one.type)
        assert isinstance(payload, GraphQLObjectType)
        types = [get_named_type(inner.type).name for inner in payload.fields.values()]
        return next((self.models[name] for name in types if name in self.models), None)

    # --- selections ----------------------------------------------------------------------------

    def below(self, field_: GraphQLField, turn: int | None = None) -> str:
        """Everything below a field but relations, which have documents of their own.

        The fast form leaves out most fields that are not wanted, and with a ``turn`` most others of
        what is related, too: they are asked of the type's own list.
        """
        type_ = get_named_type(field_.type)
        return self._everything(type_, turn) if is_composite_type(type_) else ""

    def _everything(self, type_: Any, turn: int | None = None) -> str:
        """Each field of a type that is no relation; of payloads, the object as well."""
        if isinstance(type_, GraphQLInterfaceType):
            parts = [f"... on {name} {{ {self._few(name)} }}" for name in self.models]
            return f"{{ id __typename {' '.join(parts)} }}"
        assert isinstance(type_, GraphQLObjectType)
        if type_.name.endswith("Connection") and "edges" in type_.fields:
            node = get_named_type(self._object(f"{type_.name[:-10]}Edge").fields["node"].type)
            inner = self._everything(node, turn)
            page = "pageInfo { startCursor endCursor hasNextPage hasPreviousPage }"
            return f"{{ totalCount {page} edges {{ cursor node {inner} }} }}"
        found = ["__typename"]
        many = type_.name in self.models or type_.name.endswith(_OF_AGGREGATES)
        few = many and not self._thorough
        if few:
            self._turns[type_.name] += 1
        for number, (name, one) in enumerate(type_.fields.items()):
            asked = name == "id" or (turn is None and f"{type_.name}.{name}" in self._wanted)
            if few and not asked and (number + self._turns[type_.name]) % RELATED:
                continue
            needed = any(
                isinstance(argument.type, GraphQLNonNull) for argument in one.args.values()
            )
            whole = type_.name.endswith(("Payload", "Changed"))
            if not needed and (whole or not self._is_relation(one)):
                found.append(f"{name} {self.below(one)}")
        return f"{{ {' '.join(found)} }}"

    def _calls(
        self, name: str, one: GraphQLField, parent: type[Model] | None = None
    ) -> Iterator[tuple[str, str, dict[str, Any], list[Place]]]:
        """A field with what it needs, and with all it takes; arguments are in variables."""
        needed = [n for n, a in one.args.items() if isinstance(a.type, GraphQLNonNull)]
        everything = needed if self._listed(one) else list(one.args)
        returned = parent or self.models.get(get_named_type(one.type).name)
        both = needed != everything
        if parent is not None and "groupBy" in one.args and not self._thorough:
            both, needed = False, everything  # without arguments each is asked as a root field
        for names in [needed, everything] if both else [needed]:
            given = {n: one.args[n].type for n in names}
            variables = {n: self.values.of(name, n, type_, returned) for n, type_ in given.items()}
            if name == "search" and "after" in variables:
                variables["after"] = _FIRST
            call = ", ".join(f"{n}: ${n}" for n in names)
            heads = ", ".join(f"${n}: {type_}" for n, type_ in given.items())
            places = list(self.places(one, variables, returned))
            if isinstance(get_named_type(one.type), GraphQLInterfaceType):
                places = [Place(p.path, tuple(self.models.values())) for p in places]
            yield f"{name}({call})" if call else name, heads, variables, places

    def _within(self, model: type[Model], part: str) -> str:
        return f"{{ {camel(model.info.plural)} {{ edges {{ node {{ id {part} }} }} }} }}"

    def _listed(self, one: GraphQLField) -> type[Model] | None:
        """The model of a connection."""
        type_ = get_named_type(one.type)
        if not type_.name.endswith("Connection") or "after" not in one.args:
            return None
        return self.models.get(type_.name.removesuffix("Connection"))

    def _is_relation(self, one: GraphQLField) -> bool:
        return (
            get_named_type(one.type).name in self.models
            or self._listed(one) is not None
            or "groupBy" in one.args
        )

    def _few(self, name: str) -> str:
        """A field under a name that no other type has."""
        fields = self._object(name).fields.items()
        few = [n for n, f in fields if not is_composite_type(get_named_type(f.type))][1:2]
        return " ".join(f"{name}{one}: {one}" for one in few)

    def _object(self, name: str) -> GraphQLObjectType:
        type_ = self.schema.type_map[name]
        assert isinstance(type_, GraphQLObjectType)
        return type_
