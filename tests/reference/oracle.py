"""The reference executor: graphql-core's own `execute` over rows in memory.

It knows the SDL, the models' declarations and the descriptions of the schema, and nothing of the
compiler. What a plugin computes in SQL is computed again in Python by the test's own functions;
what it computes in Python is called once per parent.
"""

import base64
import binascii
import datetime as dt
import functools
import inspect
import json
import operator
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    execute,
    get_named_type,
    is_composite_type,
    parse,
)
from graphql.execution.collect_fields import collect_fields, collect_sub_fields
from graphql.execution.values import get_argument_values, get_variable_values

from guanxi_core.editions import Edition
from guanxi_graphql.schema import schema_of
from guanxi_sdk import Choice, Extension, Invalid, Model, Money, Refusal, Value
from guanxi_sdk._docs import camel, snake
from guanxi_sdk.contributions import Where
from guanxi_sdk.info import FieldInfo
from reference.aggregates import Aggregate, Key, Rows, Values, grouping
from reference.worlds import Row, World

#: Page size without `first` and `last`, and the largest one.
DEFAULT, LARGEST = 50, 500

_QUANTIFIERS: dict[str, Callable[[Iterable[bool]], bool]] = {
    "some": any, "every": all, "none": lambda met: not any(met)
}  # fmt: skip
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq, "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le
}  # fmt: skip

Path = tuple[str, ...]
#: What went wrong: where (list indices left out) and how.
Problem = tuple[Path, str]


@dataclass
class Answer:
    """What a document must answer.

    ``errors`` are those met while executing. ``possible`` adds those of fields that execution did
    not reach, because a list was empty or an object null: they may be reported as well.
    """

    data: Any
    errors: set[Problem]
    possible: set[Problem]
    refusals: set[str]  # codes with which the whole document may be refused
    refused: bool  # whether it must be


@dataclass(frozen=True)
class Computed:
    """What Python code of the tests computes in place of the plugin's SQL.

    By type and attribute name; each function takes the oracle, the row (None for root fields) and
    the arguments by their Python names.
    """

    functions: Mapping[tuple[str, str], Callable[..., Any]]


@dataclass
class Page:
    """The arguments of a connection, checked."""

    model: type[Model]
    where: Mapping[str, Any] | None
    keys: list[tuple[str, bool]]  # attribute and whether descending
    tag: str
    size: int
    backward: bool
    after: list[Any] | None
    before: list[Any] | None


@dataclass
class Connected:
    """A connection as its fields are resolved from."""

    page: Page
    rows: list[Row]  # of all pages, in order
    shown: list[Row]
    more: bool


class Withheld(GraphQLError):
    """A field that the caller may not see."""

    def __init__(self) -> None:
        super().__init__("withheld", extensions={"code": "FORBIDDEN"})


class Denied(Refusal):
    """A filter or an order by what the caller may not see."""

    code = "FORBIDDEN"

    def __init__(self) -> None:
        super().__init__(None, "denied")


_parsed = functools.lru_cache(8)(parse)  # for one set of variables after the other


class Oracle:
    """Answers documents for one caller over one world."""

    def __init__(
        self,
        edition: Edition,
        schema: GraphQLSchema,
        world: World,
        computed: Computed,
        *,
        permissions: frozenset[str],
        tenant: Any,
        caller: str,
        today: dt.date,
        vocabulary: Sequence[tuple[str, str, str]] = (),
        locale: str = "en",
    ) -> None:
        self.edition = edition
        self.schema = schema
        self.world = world
        self.computed = computed
        self.permissions = permissions
        self.tenant = tenant
        self.caller = caller
        self.today = today
        self.vocabulary = vocabulary
        self.locale = locale
        self._plugins = {p.manifest.name: p() for p in edition.plugins}

    # --- documents -----------------------------------------------------------------------------

    async def answer(self, text: str, variables: Mapping[str, Any]) -> Answer:
        """Execute the only operation of a document."""
        document = _parsed(text)
        survey = _Survey(self, document, variables)
        survey.walk()
        self._refused = False
        result = execute(
            self.schema,
            document,
            variable_values=dict(variables),
            field_resolver=self._resolve,
            type_resolver=lambda row, *_: row.model.info.name,
        )
        if inspect.isawaitable(result):
            result = await result
        errors = {(_path(error.path), _code(error)) for error in result.errors or ()}
        return Answer(result.data, errors, errors | survey.problems, survey.refusals, self._refused)

    def _resolve(self, source: Any, info: Any, **arguments: Any) -> Any:
        return self.resolve(source, info.parent_type.name, info.field_name, arguments)

    def resolve(self, source: Any, parent: str, name: str, arguments: dict[str, Any]) -> Any:
        """The value of one field."""
        if parent in self.edition.models:
            return self._of_row(source, name, arguments)
        if parent == "Query":
            return self._of_root(name, arguments)
        if isinstance(source, Connected):
            return self._of_connection(source, parent, name)
        if isinstance(source, Rows | Values | Key):
            return _plain(source.get(name))
        if isinstance(source, Money):
            return source.amount if name == "amount" else source.currency
        if isinstance(source, Value):
            return _plain(getattr(source, snake(name)))
        return _plain(source[name])

    def forbidden(self, parent: str, name: str, arguments: Mapping[str, Any]) -> bool:
        """Whether a field must be withheld."""
        return any(
            permission not in self.permissions
            for permission in self._needs(parent, name, arguments)
        )

    def _needs(self, parent: str, name: str, arguments: Mapping[str, Any]) -> Iterable[str]:
        if parent == "Query":
            for model in self.edition.models.values():
                plural = camel(model.info.plural)
                if name in (camel(snake(model.info.name)), plural, f"{plural}Aggregate"):
                    yield model.info.read
            if name == "node":
                kind = self._kind_of(arguments.get("id"))
                if kind is not None:
                    yield kind.info.read
            entry = self.edition.queries.get(snake(name))
            if entry is not None and entry.contribution.needs is not None:
                yield entry.contribution.needs.name
            return
        model = self.edition.models.get(parent.removesuffix("AggregateValues"))
        if model is None:
            return
        for extension in self.edition.extensions.get(model, ()):
            if snake(name) in extension.info.fields or snake(name) in extension.info.references:
                yield extension.info.read
        found = self._reference(model, name)
        if found is not None:
            yield found[1].target.info.read
        for owner in (model, *self.edition.extensions.get(model, ())):
            for reference in owner.info.references.values():
                if reference.column == snake(name):  # in conditions and orders
                    yield reference.target.info.read
        reverse = self._reverse(model, name.removesuffix("Aggregate"))
        if reverse is not None:
            yield reverse.model.info.read
        entry = self.edition.fields.get(model, {}).get(snake(name))
        if entry is not None and entry.contribution.needs is not None:
            yield entry.contribution.needs.name

    def refusals(self, parent: str, name: str, arguments: dict[str, Any]) -> set[str]:
        """The codes that the arguments of a field alone may be refused with."""
        model, listed = None, name.removesuffix("Aggregate")
        if parent == "Query":
            model = next(
                (m for m in self.edition.models.values() if camel(m.info.plural) == listed), None
            )
        elif parent in self.edition.models:
            reverse = self._reverse(self.edition.models[parent], listed)
            model = reverse.model if reverse else None
        if model is None:
            return set()
        codes = {fault.code for fault in self._faults(model, arguments.get("where"))}
        keys = self._ordered_by(arguments) if name == listed else arguments.get("groupBy") or ()
        if any(self.forbidden(model.info.name, camel(key.lower()), {}) for key in keys):
            codes.add(Denied.code)  # also where the page or its size is refused
        try:
            (self.page if name == listed else functools.partial(grouping, self))(model, arguments)
        except Refusal as error:
            codes.add(error.code)
        return codes

    def _reverse(self, model: type[Model], name: str) -> Any:
        return self.edition.reverses.get(model, {}).get(snake(name))

    # --- roots ---------------------------------------------------------------------------------

    def _of_root(self, name: str, arguments: dict[str, Any]) -> Any:
        if self.forbidden("Query", name, arguments):
            raise Withheld
        match name:
            case "node":
                return self._by_id(arguments["id"])
            case "nodes":
                return [self._allowed(identity) for identity in arguments["ids"]]
            case "tenant":
                return {
                    "id": f"tenant_{self.tenant.id}",
                    "name": self.tenant.name,
                    "currency": self.tenant.currency,
                    "plugins": sorted(self.edition.names),
                }
            case "viewer":
                return {"name": self.caller, "permissions": sorted(self.permissions)}
            case "vocabulary":
                return [{"key": key, "zh": zh, "en": en} for key, zh, en in sorted(self.vocabulary)]
            case "enumLabels":
                return self._labels(arguments.get("names"))
        for model in self.edition.models.values():
            if name == camel(snake(model.info.name)):
                kind = self._kind_of(arguments["id"])
                return self._by_id(arguments["id"]) if kind is model else None
            if name.removesuffix("Aggregate") == camel(model.info.plural):
                return self._listed(name, model, arguments, self.world.all(model))
        return self._call("Query", None, self.edition.queries[snake(name)], arguments)

    def _labels(self, names: Sequence[str] | None) -> list[dict[str, Any]]:
        """The labels that the schema's descriptions have in both languages, as they are declared.

        What is printed of a schema is in alphabetical order.
        """
        found, declared = [], schema_of(self.edition).choices
        for name, enum in sorted(self.schema.type_map.items()):
            if not isinstance(enum, GraphQLEnumType) or not (names is None or name in names):
                continue
            told = {key: (one.description or "").split(" · ") for key, one in enum.values.items()}
            if all(len(parts) == 2 for parts in told.values()):
                values = [
                    {"value": one.name, "label": told[one.name][self.locale != "zh"]}
                    for one in declared[name]
                ]
                found.append({"name": name, "values": values})
        return found

    def _kind_of(self, identity: Any) -> type[Model] | None:
        kinds = [m for m in self.edition.models.values() if self._decode(m, identity)]
        return kinds[0] if kinds else self._kind_by_prefix(identity)

    def _kind_by_prefix(self, identity: Any) -> type[Model] | None:
        prefix = str(identity).rpartition("_")[0]
        return next((m for m in self.edition.models.values() if m.info.prefix == prefix), None)

    @staticmethod
    def _decode(model: type[Model], identity: Any) -> UUID | None:
        """A global id is `<type>_<uuid>`; anything else is nobody's."""
        prefix = f"{model.info.prefix}_"
        if not isinstance(identity, str) or not identity.startswith(prefix):
            return None
        try:
            found = UUID(identity[len(prefix) :])
        except ValueError:
            return None
        return found if f"{prefix}{found}" == identity else None

    def _by_id(self, identity: Any) -> Row | None:
        kind = self._kind_of(identity)
        return None if kind is None else self.world.find(kind, self._decode(kind, identity))

    def _allowed(self, identity: Any) -> Any:
        kind = self._kind_of(identity)
        if kind is not None and kind.info.read not in self.permissions:
            return Withheld()
        return self._by_id(identity)

    # --- objects -------------------------------------------------------------------------------

    def _of_row(self, row: Row, name: str, arguments: dict[str, Any]) -> Any:
        model = row.model
        if self.forbidden(model.info.name, name, arguments):
            raise Withheld
        attribute = snake(name)
        if name == "id":
            return row.global_id
        found = self._reference(model, name)
        if found is not None:
            owner, reference = found
            return self.world.find(reference.target, self._read(row, owner, reference.column))
        reverse = self._reverse(model, name.removesuffix("Aggregate"))
        if reverse is not None:
            column = reverse.reference.column
            rows = [other for other in self.world.all(reverse.model) if other[column] == row.id]
            return self._listed(name, reverse.model, arguments, rows)
        entry = self.edition.fields.get(model, {}).get(attribute)
        if entry is not None:
            return self._call(model.info.name, row, entry, arguments)
        owner, info = self._stored(model, attribute)
        value = self._read(row, owner, info.name)
        if value is not None and info.kind == "values":
            return list(value)
        return _plain(value)

    def _stored(self, model: type[Model], attribute: str) -> tuple[Any, FieldInfo]:
        for owner in (model, *self.edition.extensions.get(model, ())):
            if attribute in owner.info.fields:
                return owner, owner.info.fields[attribute]
        raise KeyError(attribute)

    def _reference(self, model: type[Model], name: str) -> tuple[Any, Any] | None:
        for owner in (model, *self.edition.extensions.get(model, ())):
            if snake(name) in owner.info.references:
                return owner, owner.info.references[snake(name)]
        return None

    def reference(self, model: type[Model], name: str) -> tuple[type[Model], str] | None:
        """The target and the column of a reference, if that is what a field is."""
        found = self._reference(model, name)
        return (found[1].target, found[1].column) if found else None

    def _read(self, row: Row, owner: type[Model] | type[Extension], attribute: str) -> Any:
        if issubclass(owner, Extension):
            return self.world.sides[owner].get(row.id, {}).get(attribute)
        return row[attribute]

    # --- contributed fields --------------------------------------------------------------------

    def _call(self, parent: str, row: Row | None, entry: Any, arguments: dict[str, Any]) -> Any:
        contribution = entry.contribution
        given = self._python_arguments(contribution, arguments)
        target = self.model_in(contribution.returns)
        if target is not None and target.info.read not in self.permissions:
            raise Withheld
        function = self.computed.functions.get((parent, contribution.name))
        if function is not None:
            return _plain(function(self, row, **given))
        plugin = self._plugins[entry.plugin]
        ctx = SimpleNamespace(tenant=self.tenant)

        async def call() -> Any:
            parents = [[_instance(row)]] if row is not None else []
            try:
                results = await contribution.function(plugin, ctx, *parents, **given)
            except Refusal as error:
                raise GraphQLError("refused", extensions={"code": error.code}) from None
            except Exception:
                raise GraphQLError("failed", extensions={"code": "PLUGIN_FAILED"}) from None
            return _plain(results[0] if row is not None else results)

        return call()

    def model_in(self, annotation: Any) -> type[Model] | None:
        """The model that a return annotation names, within lists and unions."""
        if isinstance(annotation, type) and issubclass(annotation, Model):
            return annotation
        found = (self.model_in(inner) for inner in typing.get_args(annotation))
        return next((model for model in found if model is not None), None)

    def _python_arguments(self, contribution: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for argument in contribution.arguments:
            value = arguments.get(camel(argument.name))
            if value is not None:
                try:
                    found[argument.name] = self._python(argument.annotation, value)
                except Refusal as error:
                    raise GraphQLError("refused", extensions={"code": error.code}) from None
        return found

    def _python(self, annotation: Any, value: Any) -> Any:
        """An argument as Python code takes it."""
        origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
        if origin in (typing.Union, types.UnionType):
            return self._python(next(a for a in inner if a is not type(None)), value)
        if origin is typing.Annotated:
            return self._python(inner[0], value)
        if origin is list:
            return [self._python(inner[0], item) for item in value]
        if origin is Where:
            if inner[0].info.read not in self.permissions:
                raise Denied
            self.permit(inner[0], value)
            return functools.partial(self.meets, inner[0], where=value)
        if annotation is UUID:
            kind = self._kind_by_prefix(value)
            return (kind and self._decode(kind, value)) or UUID(int=0)
        if annotation is Money:
            return _money(value)
        if annotation is dt.date:
            return dt.date.fromisoformat(value)
        if issubclass(annotation, Choice):
            return annotation[value]
        return value

    def value(self, row: Row, attribute: str) -> Any:
        """What a row is sorted and filtered by: an attribute, also of side tables, or SQL field."""
        entry = self.edition.fields.get(row.model, {}).get(attribute)
        if entry is None:
            owner, info = self._stored(row.model, attribute)
            return self._read(row, owner, info.name)
        defaults = {
            argument.name: argument.default
            for argument in entry.contribution.arguments
            if argument.default is not None
        }
        function = self.computed.functions[row.model.info.name, attribute]
        return function(self, row, **defaults)

    # --- filters -------------------------------------------------------------------------------

    def permit(self, model: type[Model], where: Mapping[str, Any] | None) -> None:
        """Refuse conditions on what the caller may not see, and amounts that are none."""
        for fault in self._faults(model, where):
            raise fault

    def _faults(self, model: type[Model], where: Mapping[str, Any] | None) -> Iterator[Refusal]:
        for name, given in (where or {}).items():
            if given is None:
                continue
            if name in ("AND", "OR"):
                for part in given:
                    yield from self._faults(model, part)
                continue
            if name == "NOT":
                yield from self._faults(model, given)
                continue
            if self.forbidden(model.info.name, name, {}):
                yield Denied()
                continue
            found = self._reference(model, name)
            reverse = self.edition.reverses.get(model, {}).get(snake(name))
            if found is not None:
                yield from self._faults(found[1].target, given)
            elif reverse is not None:
                for condition in given.values():
                    yield from self._faults(reverse.model, condition)
            else:
                for value in given.values():
                    if isinstance(value, Mapping):
                        try:
                            _money(value)
                        except Invalid as error:
                            yield error

    def meets(self, model: type[Model], row: Row, where: Mapping[str, Any] | None) -> bool:
        """Whether a row meets all conditions given; one that is null is not given."""
        return all(
            self._condition(model, row, name, given)
            for name, given in (where or {}).items()
            if given is not None
        )

    def _condition(self, model: type[Model], row: Row, name: str, given: Any) -> bool:
        if name == "AND":
            return all(self.meets(model, row, part) for part in given)
        if name == "OR":
            return any(self.meets(model, row, part) for part in given)
        if name == "NOT":
            return not self.meets(model, row, given)
        found = self._reference(model, name)
        if found is not None:
            owner, reference = found
            other = self.world.find(reference.target, self._read(row, owner, reference.column))
            return other is not None and self.meets(reference.target, other, given)
        reverse = self.edition.reverses.get(model, {}).get(snake(name))
        if reverse is not None:
            rows = [
                other
                for other in self.world.all(reverse.model)
                if other[reverse.reference.column] == row.id and other["archived_at"] is None
            ]
            return all(
                _QUANTIFIERS[quantifier](
                    self.meets(reverse.model, other, condition) for other in rows
                )
                for quantifier, condition in given.items()
                if condition is not None
            )
        value = self.value(row, snake(name))
        return all(
            self._compare(model, snake(name), comparison, value, wanted)
            for comparison, wanted in given.items()
            if wanted is not None
        )

    def _compare(
        self, model: type[Model], attribute: str, comparison: str, value: Any, wanted: Any
    ) -> bool:
        if comparison == "isNull":
            return (value is None) is wanted
        if comparison in ("in", "notIn"):
            one_of = any(self._compare(model, attribute, "eq", value, item) for item in wanted)
            return one_of is (comparison == "in")
        if comparison == "ne":
            return not self._compare(model, attribute, "eq", value, wanted)
        if value is None:
            return False
        if isinstance(value, Money):
            money = _money(wanted)
            if money.currency != value.currency:
                return False
            value, other = value.minor, money.minor
        elif isinstance(value, UUID):
            other = self._decode(self._pointed(model, attribute), wanted)
            if other is None:
                return False
        elif isinstance(value, Choice):
            other = type(value)[wanted]
        elif isinstance(value, dt.datetime):
            other = dt.datetime.fromisoformat(wanted)
        elif isinstance(value, dt.date):
            other = dt.date.fromisoformat(wanted)
        else:
            other = wanted
        return bool(_OPERATORS[comparison](value, other))

    def _pointed(self, model: type[Model], attribute: str) -> type[Model]:
        found = self._reference(model, camel(attribute.removesuffix("_id")))
        return model if attribute == "id" or found is None else found[1].target

    # --- connections and aggregates ------------------------------------------------------------

    def permit_order(self, model: type[Model], attribute: str) -> None:
        """Refuse to sort or group by what the caller may not see."""
        if self.forbidden(model.info.name, camel(attribute), {}):
            raise Denied

    @staticmethod
    def _ordered_by(arguments: Mapping[str, Any]) -> list[str]:
        """What an order is by; behind the id none counts."""
        keys = [key.rpartition("_")[0] for key in arguments.get("orderBy") or ()]
        return keys[: keys.index("ID")] if "ID" in keys else keys

    def demand(self, model: type[Model], name: str) -> None:
        """Withhold a field that the caller may not see."""
        if self.forbidden(model.info.name, name, {}):
            raise Withheld

    @staticmethod
    def place(key: Any, *, turned: bool) -> tuple[Any, ...]:
        """Where a key stands in an order: an empty one last, whatever the direction."""
        value = _key(key)
        return (value is None, _Turned(value) if turned else value)

    def _listed(
        self, name: str, model: type[Model], arguments: dict[str, Any], rows: Iterable[Row]
    ) -> Any:
        """The connection or the aggregate of some rows."""
        if not name.endswith("Aggregate"):
            return self._connect(model, arguments, rows)
        try:
            by = grouping(self, model, arguments)
            self.permit(model, arguments.get("where"))
        except Refusal as error:
            self._refused = True
            raise GraphQLError("refused", extensions={"code": error.code}) from None
        return Aggregate(self, model, self._meeting(model, arguments, rows), by)

    def _meeting(
        self, model: type[Model], arguments: Mapping[str, Any], rows: Iterable[Row]
    ) -> list[Row]:
        archived = bool(arguments.get("includeArchived"))
        return [
            row
            for row in rows
            if (archived or row["archived_at"] is None)
            and self.meets(model, row, arguments.get("where"))
        ]

    def page(self, model: type[Model], arguments: Mapping[str, Any]) -> Page:
        """The arguments of a connection, or the refusal they deserve."""
        first, last = arguments.get("first"), arguments.get("last")
        if first is not None and last is not None:
            raise Invalid("last", "cannot be combined with first")
        backward = last is not None
        size = last if backward else DEFAULT if first is None else first
        if not 0 <= size <= LARGEST:
            raise Invalid("last" if backward else "first", "is no page size")
        names = list(arguments.get("orderBy") or ())
        keys: list[tuple[str, bool]] = []
        for name in dict.fromkeys(names):
            attribute, _, direction = name.rpartition("_")
            attribute = attribute.lower()
            self.permit_order(model, attribute)
            keys.append((attribute, direction == "DESC"))
            if attribute == "id":
                break
        else:
            keys.append(("id", keys[-1][1] if keys else False))
        page = Page(
            model, arguments.get("where"), keys, ",".join(names) or "id", size, backward, None,
            None,
        )  # fmt: skip
        for end in ("after", "before"):
            if arguments.get(end) is not None:
                setattr(page, end, _read_cursor(page, arguments[end]))
        return page

    def _connect(
        self, model: type[Model], arguments: dict[str, Any], rows: Iterable[Row]
    ) -> Connected:
        try:
            page = self.page(model, arguments)
            self.permit(model, page.where)
        except Refusal as error:
            self._refused = True
            raise GraphQLError("refused", extensions={"code": error.code}) from None
        wanted = self._meeting(model, arguments, rows)
        keyed = {row.id: self._position(page, self._keys(page, row)) for row in wanted}
        wanted.sort(key=lambda row: keyed[row.id])
        cut = [
            row
            for row in wanted
            if (page.after is None or keyed[row.id] > self._position(page, page.after))
            and (page.before is None or keyed[row.id] < self._position(page, page.before))
        ]
        shown = cut[len(cut) - min(page.size, len(cut)) :] if page.backward else cut[: page.size]
        return Connected(page, wanted, shown, len(cut) > len(shown))

    def _keys(self, page: Page, row: Row) -> list[Any]:
        """Sort keys as a cursor holds them."""
        return [_key(self.value(row, attribute)) for attribute, _ in page.keys]

    @staticmethod
    def _position(page: Page, keys: Sequence[Any]) -> tuple[Any, ...]:
        """Where keys stand in a page's order: empty ones last, whatever the direction."""
        return tuple(
            Oracle.place(key, turned=descending)
            for key, (_, descending) in zip(keys, page.keys, strict=True)
        )

    def cursor(self, model: type[Model], order: Sequence[str], row: Row) -> str:
        """The cursor of a row in an order."""
        page = self.page(model, {"orderBy": list(order)})
        return _cursor(page, self._keys(page, row))

    def _of_connection(self, source: Connected, parent: str, name: str) -> Any:
        page = source.page
        if name == "totalCount":
            return len(source.rows)
        if name == "pageInfo":
            ends = [_cursor(page, self._keys(page, row)) for row in source.shown]
            return {
                "hasNextPage": page.before is not None if page.backward else source.more,
                "hasPreviousPage": source.more if page.backward else page.after is not None,
                "startCursor": ends[0] if ends else None,
                "endCursor": ends[-1] if ends else None,
            }
        return [
            {"cursor": _cursor(page, self._keys(page, row)), "node": row} for row in source.shown
        ]


class _Survey:
    """Walks a document without rows: what could be withheld or refused in it."""

    def __init__(
        self, oracle: Oracle, document: DocumentNode, variables: Mapping[str, Any]
    ) -> None:
        self.oracle = oracle
        self.problems: set[Problem] = set()
        self.refusals: set[str] = set()
        self._operation = next(
            d for d in document.definitions if isinstance(d, OperationDefinitionNode)
        )
        self._fragments = {
            d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)
        }
        values = get_variable_values(
            oracle.schema, self._operation.variable_definitions, dict(variables)
        )
        assert isinstance(values, dict), values
        self._variables = values

    def walk(self) -> None:
        root = self.oracle.schema.query_type
        assert root is not None
        fields = collect_fields(
            self.oracle.schema, self._fragments, self._variables, root,
            self._operation.selection_set,
        )  # fmt: skip
        self._fields(root, fields, ())

    def _fields(self, parent: GraphQLObjectType, fields: Mapping[str, Any], path: Path) -> None:
        for key, nodes in fields.items():
            name = nodes[0].name.value
            if name.startswith("__"):
                continue
            definition = parent.fields[name]
            here = (*path, key)
            try:
                arguments = get_argument_values(definition, nodes[0], self._variables)
            except GraphQLError as error:
                self.problems.add((here, _code(error)))
                continue
            if self.oracle.forbidden(parent.name, name, arguments):
                self.problems.add((here, "FORBIDDEN"))
                continue
            self.refusals |= self.oracle.refusals(parent.name, name, arguments)
            self._contributed(parent.name, name, arguments, here)
            for below in self._below(definition, name, arguments, here):
                inner = collect_sub_fields(
                    self.oracle.schema, self._fragments, self._variables, below, nodes
                )
                self._fields(below, inner, here)

    def _contributed(self, parent: str, name: str, arguments: dict[str, Any], path: Path) -> None:
        """Plugin code may fail, and its own arguments be refused, where parents exist."""
        oracle = self.oracle
        model = oracle.edition.models.get(parent)
        entries = oracle.edition.queries if model is None else oracle.edition.fields.get(model, {})
        entry = entries.get(snake(name))
        if entry is None or entry.contribution.kind == "sql_field":
            return
        try:
            oracle._python_arguments(entry.contribution, arguments)
        except GraphQLError as error:
            self.problems.add((path, _code(error)))
        target = oracle.model_in(entry.contribution.returns)
        if target is not None and target.info.read not in oracle.permissions:
            self.problems.add((path, "FORBIDDEN"))

    def _below(
        self, definition: Any, name: str, arguments: Mapping[str, Any], path: Path
    ) -> list[GraphQLObjectType]:
        named = get_named_type(definition.type)
        if not is_composite_type(named):
            return []
        if isinstance(named, GraphQLObjectType):
            return [named]
        kinds = [
            kind
            for identity in arguments.get("ids", [arguments.get("id")])
            if (kind := self.oracle._kind_of(identity)) is not None
        ]
        allowed = [kind for kind in kinds if kind.info.read in self.oracle.permissions]
        if len(allowed) < len(kinds):
            self.problems.add((path, "FORBIDDEN"))
        found = [self.oracle.schema.type_map[kind.info.name] for kind in dict.fromkeys(allowed)]
        return [type_ for type_ in found if isinstance(type_, GraphQLObjectType)]


@functools.total_ordering
class _Turned:
    """A key in descending order."""

    def __init__(self, key: Any) -> None:
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Turned) and self.key == other.key

    def __lt__(self, other: "_Turned") -> bool:
        return other.key < self.key


def reference_schema(sdl: str) -> GraphQLSchema:
    """The schema that is in the SDL alone: no resolvers, enums as names, scalars as strings."""
    return build_schema(sdl)


def _plain(value: Any) -> Any:
    """A Python value as graphql-core writes it to JSON."""
    if isinstance(value, Choice):
        return value.name
    if isinstance(value, dt.datetime):
        text = value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").zfill(26)
        return text.rstrip("0").rstrip(".") + "+00:00"
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _instance(row: Row) -> Any:
    return row.model(**row.values)


def _money(value: Mapping[str, Any]) -> Money:
    """A `MoneyInput`: as many decimals as the currency has, at most."""
    digits = {"JPY": 0, "KWD": 3}.get(value["currency"], 2)
    currency = value["currency"]
    if not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise Invalid("currency", "is none")
    scaled = Decimal(value["amount"]).scaleb(digits)
    if scaled != scaled.to_integral_value() or abs(scaled) > 10**17:
        raise Invalid("amount", "is none of this currency")
    return Money(int(scaled), currency)


def _key(value: Any) -> Any:
    """A sort key as it compares: choices by what is stored, money by minor units."""
    if isinstance(value, Choice):
        return value.value
    if isinstance(value, Money):
        return value.minor
    return value


def _cursor(page: Page, keys: Sequence[Any]) -> str:
    """The order's tag, the sort keys and the id as JSON in URL-safe base64."""
    content = json.dumps([page.tag, *(_in_json(key) for key in keys)], ensure_ascii=False)
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _in_json(key: Any) -> Any:
    if isinstance(key, float) and key.is_integer() and abs(key) < 1e15:
        return int(key)
    return _plain(key)


def _read_cursor(page: Page, text: str) -> list[Any]:
    """Keys of a cursor; it must be one of the same order."""
    try:
        content = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        tag, *keys = content
    except (ValueError, TypeError, binascii.Error):
        raise Invalid("after", "is no cursor") from None
    if tag != page.tag or len(keys) != len(page.keys):
        raise Invalid("after", "is a cursor of another order")
    return [_from_json(key) for key in keys]


def _from_json(key: Any) -> Any:
    """Undo what JSON did to a key; texts that look like dates are dates in no fixture."""
    if isinstance(key, str):
        for read in (UUID, _datetime, dt.date.fromisoformat):
            try:
                return read(key)
            except ValueError:
                continue
    return key


def _datetime(text: str) -> dt.datetime:
    if "T" not in text:
        raise ValueError(text)
    return dt.datetime.fromisoformat(text)


def _path(path: Iterable[str | int] | None) -> Path:
    return tuple(step for step in path or () if isinstance(step, str))


def _code(error: GraphQLError) -> str:
    return str((error.extensions or {}).get("code", "GRAPHQL"))
