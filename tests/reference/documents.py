"""Random documents over a schema: valid by construction, within the limits of a request.

Everything is decided by one random number generator, so that a document can be repeated from a
seed, or shrunk by Hypothesis when it is given Hypothesis's own generator.
"""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_composite_type,
)

from guanxi_core.plugin import Guanxi
from guanxi_sdk import Model
from guanxi_sdk._docs import camel, snake
from reference.worlds import (
    DAYS,
    FLOATS,
    INTEGERS,
    MODELS,
    MONEY,
    NAMES,
    NICKS,
    TIMES,
    WORDS,
    WRONG_IDS,
    uuid_of,
)

#: What small documents are about: filters, orders and pages; or groups and figures.
Focus = Literal["lists", "aggregates"]
#: Where a cursor comes from: model, order, and the generator that picks a row.
CursorOf = Callable[[type[Model], list[str], random.Random], str | None]


@dataclass
class Document:
    """A document with values for its variables, several times over."""

    text: str
    variables: list[dict[str, Any]]


@dataclass
class Selection:
    """A selection set with the fragments and variables that it uses."""

    text: str
    fragments: list[str]
    variables: list[str]
    values: dict[str, Any]

    def within(self, operation: str, *variables: str) -> str:
        """A document: ``operation`` is a head like ``query`` and a body with ``%s``."""
        kind, _, body = operation.partition(" ")
        declared = ", ".join([*variables, *self.variables])
        head = f"{kind} X({declared})" if declared else kind
        return " ".join([head, body % self.text, *self.fragments])


#: Root fields of the core's own models, whose rows are in no world.
OF_THE_CORE = {
    camel(name)
    for model in Guanxi.manifest.models
    for name in (snake(model.info.name), model.info.plural, f"{model.info.plural}_aggregate")
}


@dataclass
class Generator:
    """Writes one document."""

    schema: GraphQLSchema
    models: Mapping[str, type[Model]]
    choose: random.Random
    cursor_of: CursorOf
    focus: Focus | None = None  # small documents about one thing
    fields_left: int = 45
    aliases_left: int = 28
    directives_left: int = 20
    _variables: list[str] = field(default_factory=list)
    _varying: dict[str, Any] = field(default_factory=dict)  # variable to its type
    _optional: set[str] = field(default_factory=set)  # variables with a default
    _values: dict[str, Any] = field(default_factory=dict)
    _fragments: list[str] = field(default_factory=list)
    _spreadable: dict[tuple[str, bool], list[str]] = field(default_factory=dict)
    _costs: dict[str, int] = field(default_factory=dict)  # aliases in a fragment
    _canonical: dict[tuple[str, str], str] = field(default_factory=dict)
    _keyed: dict[str, list[str]] = field(default_factory=dict)  # parts that keys have
    _keys: int = 0

    def document(self) -> Document:
        """A query with one to four root fields."""
        root = self.schema.query_type
        assert root is not None
        if self.focus is not None:
            self.fields_left = 6 if self.focus == "lists" else 12
        selection = self._selection(root, 5, most=4 if self.focus is None else 1)
        head = "query Q" if self._variables or self._chance(0.3) else ""
        if self._variables:
            head += f"({', '.join(self._variables)})"
        text = " ".join([f"{head} {selection}".strip(), *self._fragments])
        others = [self._other_values()] if self._variables else []
        return Document(text, [self._values, *others])

    def selection(self, type_name: str) -> "Selection":
        """A selection on one type, to be put into documents of the test's own."""
        inner = self._selection(self.schema.type_map[type_name], 3)
        return Selection(inner, list(self._fragments), list(self._variables), dict(self._values))

    def _chance(self, probability: float) -> bool:
        return self.choose.random() < probability

    # --- selections ----------------------------------------------------------------------------

    def _selection(self, type_: Any, depth: int, *, unique: bool = False, most: int = 5) -> str:
        entries = [
            self._entry(type_, depth, unique=unique) for _ in range(self.choose.randint(1, most))
        ]
        return "{ " + " ".join(entries) + " }"

    def _entry(self, type_: Any, depth: int, *, unique: bool) -> str:
        if isinstance(type_, GraphQLInterfaceType):
            return self._entry_of_node(depth)
        if type_.name in self.models and self._chance(0.12):
            return self._fragment(type_, depth, unique=unique)
        if type_.name != "Query" and self._chance(0.08):
            condition = self.choose.choice(["", f"on {type_.name}"])
            inner = self._selection(type_, depth, unique=unique, most=2)
            return f"... {condition} {self._directives()} {inner}"
        return self._field(type_, depth, unique=unique)

    def _entry_of_node(self, depth: int) -> str:
        if self._chance(0.3):
            return self.choose.choice(["id", "__typename", "key: id"])
        model = self.schema.type_map[self.choose.choice(self._own_models())]
        if self._chance(0.3):
            return self._fragment(model, depth, unique=True)
        inner = self._selection(model, depth, unique=True, most=3)
        return f"... on {model.name} {self._directives()} {inner}"

    def _fragment(self, type_: Any, depth: int, *, unique: bool) -> str:
        """A spread of a new fragment, or of one that was written before."""
        known = self._spreadable.setdefault((type_.name, unique), [])
        name = self.choose.choice(known) if known and self._chance(0.4) else ""
        if name and self._costs[name] <= self.aliases_left:  # aliases count wherever they appear
            self.aliases_left -= self._costs[name]
        else:
            left = self.aliases_left
            self._keys += 1
            name = f"F{self._keys}"
            condition = type_.name if unique or self._chance(0.85) else "Node"
            inner = (
                "{ id __typename }"
                if condition == "Node"
                else self._selection(type_, depth, unique=unique, most=3)
            )
            self._fragments.append(f"fragment {name} on {condition} {inner}")
            known.append(name)
            self._costs[name] = left - self.aliases_left
        return f"...{name} {self._directives()}"

    def _field(self, type_: Any, depth: int, *, unique: bool) -> str:
        names = sorted(n for n in type_.fields if n not in OF_THE_CORE or type_.name != "Query")
        scalars = [n for n in names if not is_composite_type(get_named_type(type_.fields[n].type))]
        self.fields_left -= 1
        if self._chance(0.06):
            return "__typename"
        if depth <= 0 or self.fields_left <= 0:
            small = [n for n in scalars if not _required(type_.fields[n])]
            if not small or (unique and self.aliases_left <= 0):
                return "__typename"
            return self._written(type_, self.choose.choice(small), 0, unique=unique)
        if type_.name == "Query":
            names = [name for name in names if not self._of_core(type_.fields[name])]
        if type_.name == "Query" and (self.focus is not None or self._chance(0.4)):
            argument = "groupBy" if self.focus == "aggregates" else "after"
            names = [name for name in names if argument in type_.fields[name].args]
        fit = scalars if type_.name in self.models and self._chance(0.4) else names
        if (keyed := self._keyed.get(type_.name)) and self._chance(0.8):
            fit = keyed
        name = self.choose.choice(fit)
        if unique and self.aliases_left <= 0:
            return "__typename"
        if type_.name == "Query" and self._chance(0.05):
            self.aliases_left -= 1
            self._keys += 1
            kind = self.choose.choice(self._own_models())
            return f't{self._keys}: __type(name: "{kind}") {{ name kind }}'
        return self._written(type_, name, depth, unique=unique)

    def _own_models(self) -> list[str]:
        return sorted(n for n, model in self.models.items() if model.info.plugin != "guanxi")

    def _of_core(self, definition: GraphQLField) -> bool:
        """Whether a root field shows the core's own rows, of which the worlds have none."""
        listed = get_named_type(definition.type).name
        model = self.models.get(listed.removesuffix("Connection").removesuffix("Aggregate"))
        return model is not None and model.info.plugin == "guanxi"

    def _written(self, type_: Any, name: str, depth: int, *, unique: bool) -> str:
        """One field: key, name, arguments, directives, selection; sometimes twice, to be merged."""
        definition: GraphQLField = type_.fields[name]
        place = (type_.name, name)
        aliased = self.aliases_left > 0 and (unique or self._chance(0.2))
        arguments = self._arguments(type_, name, definition)
        if not aliased and self._canonical.setdefault(place, arguments) != arguments:
            if self.aliases_left > 0:
                aliased = True
            else:
                arguments = self._canonical[place]
        key = ""
        if aliased:
            self.aliases_left -= 1
            self._keys += 1
            key = self.choose.choice(["a", "_", "k"]) + f"{self._keys}: "
        named = get_named_type(definition.type)
        if not is_composite_type(named):
            return f"{key}{name}{arguments} {self._directives()}"
        below = [self._selection(named, depth - 1)]
        if self.aliases_left > 0 and self._chance(0.1) and named.name != "Node":
            below.append(self._selection(named, depth - 1, most=2))
            self.aliases_left -= aliased
        return " ".join(f"{key}{name}{arguments} {self._directives()} {one}" for one in below)

    def _directives(self) -> str:
        if self.directives_left <= 0 or not self._chance(0.1):
            return ""
        self.directives_left -= 1
        name = self.choose.choice(["skip", "include"])
        shown = self._chance(0.6)
        value = shown is (name == "include")
        return f"@{name}(if: {self._value(GraphQLNonNull(_boolean(self.schema)), value)})"

    # --- arguments -----------------------------------------------------------------------------

    def _arguments(self, type_: Any, name: str, definition: GraphQLField) -> str:
        if "groupBy" in definition.args:
            given = self._grouping(definition)
        elif "orderBy" in definition.args:
            given = self._page(definition)
        elif name == "enumLabels":
            given = {"names": self._enums()} if self._chance(0.7) else {}
        else:
            given = {
                argument: self._make(one.type, _model_meant(self.models, type_, name, argument))
                for argument, one in definition.args.items()
                if isinstance(one.type, GraphQLNonNull) or self._chance(0.5)
            }
        written = [
            f"{argument}: {self._value(definition.args[argument].type, value)}"
            for argument, value in given.items()
        ]
        return f"({', '.join(written)})" if written else ""

    def _enums(self) -> list[str] | None:
        """Names of enums, also of those that have no labels."""
        known = [n for n, t in self.schema.type_map.items() if isinstance(t, GraphQLEnumType)]
        several = self.choose.choice([None, 0, 1, 2, 3])
        names = ["Nothing", *sorted(known)]
        return None if several is None else self.choose.choices(names, k=several)

    def _page(self, definition: GraphQLField) -> dict[str, Any]:
        """Arguments of a connection; a cursor is one of the order asked for."""
        connection = get_named_type(definition.type).name
        model = self.models[connection.removesuffix("Connection")]
        given: dict[str, Any] = {}
        order: list[str] = []
        if self._chance(0.7 if self.focus else 0.5):
            values = sorted(get_named_type(definition.args["orderBy"].type).values)
            order = [self.choose.choice(values) for _ in range(self.choose.choice([0, 1, 1, 2, 3]))]
            given["orderBy"] = order or None
        size = self.choose.choice([0, 1, 2, 3, 5, 500, None])
        if self._chance(0.01):
            size = self.choose.choice([-1, 501])
        end = self.choose.choice(["first", "first", "last", "", ""])
        if end:
            given[end] = size
            if self._chance(0.1):
                given["last" if end == "first" else "first"] = 1 if self._chance(0.1) else None
        for name in ("after", "before"):
            if self._chance(0.3 if self.focus else 0.15):
                given[name] = self.cursor_of(model, order, self.choose)
                if given[name] is not None and self._chance(0.02):
                    given[name] = self.choose.choice(["", "x", given[name][1:]])
        if self._chance(0.8 if self.focus else 0.4):
            given["where"] = self._where(definition.args["where"].type, 2 if self.focus else 3)
        if self._chance(0.2) and "includeArchived" in definition.args:
            given["includeArchived"] = self.choose.choice([True, True, False, None])
        return given

    def _grouping(self, definition: GraphQLField) -> dict[str, Any]:
        """Arguments of an aggregate; what it is grouped by is what keys are asked for."""
        taken, choose = definition.args, self.choose
        given: dict[str, Any] = {}
        if self._chance(0.8):
            values = sorted(get_named_type(taken["groupBy"].type).values)
            by = [choose.choice(values) for _ in range(choose.choice([0, 1, 1, 1, 2, 2, 3]))]
            given["groupBy"] = by or None
            kind = get_named_type(definition.type).name
            self._keyed[f"{kind}Key"] = [camel(name.lower()) for name in by]
        for name, chance in (("bucket", 0.5), ("orderBy", 0.4)):
            if self._chance(chance):
                given[name] = self._make(taken[name].type, None)
        if self._chance(0.3):
            sizes = [-1, 501] if self._chance(0.03) else [0, 1, 2, 3, 500, None]
            given["first"] = choose.choice(sizes)
        if self._chance(0.4):
            given["where"] = self._where(taken["where"].type, 2)
        if self._chance(0.2) and "includeArchived" in taken:
            given["includeArchived"] = choose.choice([True, True, False, None])
        return given

    def _where(self, type_: Any, depth: int) -> dict[str, Any]:
        """Some conditions; those on relations nest."""
        found: dict[str, Any] = {}
        model = self.models[type_.name.removesuffix("Where")]
        for _ in range(self.choose.choice([0, 1, 1, 1, 2, 3])):
            nesting = [n for n, f in type_.fields.items() if not _flat(f.type)]
            fit = nesting if self._chance(0.35) else type_.fields
            name = self.choose.choice(sorted(fit))
            inner = type_.fields[name].type
            if self._chance(0.04):
                found[name] = None
            elif name in ("AND", "OR"):
                parts = self.choose.choice([0, 1, 2, 2]) if depth else 0
                found[name] = [self._where(type_, depth - 1) for _ in range(parts)]
            elif name == "NOT" or inner.name.endswith("Where"):
                found[name] = self._where(inner, depth - 1) if depth else {}
            elif inner.name.endswith("ListFilter"):
                found[name] = self._quantified(inner, depth)
            else:
                found[name] = self._conditions(inner, _pointed(model, name))
        return found

    def _quantified(self, type_: Any, depth: int) -> dict[str, Any]:
        quantifiers = self.choose.sample(["some", "none", "every"], 1 + self._chance(0.1))
        return {
            quantifier: self._where(type_.fields[quantifier].type, depth - 1)
            if depth and self._chance(0.9)
            else self.choose.choice([{}, None])
            for quantifier in quantifiers
        }

    def _conditions(self, type_: GraphQLInputObjectType, meant: type[Model] | None) -> Any:
        count = 0 if self._chance(0.03) else self.choose.choice([1, 1, 1, 2])
        comparing = [name for name in ("gt", "gte", "lt", "lte", "ne") if name in type_.fields]
        fit = comparing if len(comparing) > 1 and self._chance(0.3) else sorted(type_.fields)
        operators = self.choose.sample(fit, count)
        return {name: self._make(type_.fields[name].type, meant) for name in operators}

    def _make(self, type_: Any, meant: type[Model] | None) -> Any:
        """A value of an input type, as JSON."""
        if isinstance(type_, GraphQLNonNull):
            return self._made(type_.of_type, meant)
        return None if self._chance(0.05) else self._made(type_, meant)

    def _made(self, type_: Any, meant: type[Model] | None) -> Any:
        choose = self.choose
        if isinstance(type_, GraphQLList):
            return [self._make(type_.of_type, meant) for _ in range(choose.choice([0, 1, 2, 3]))]
        if isinstance(type_, GraphQLEnumType):
            return choose.choice(sorted(type_.values))
        if isinstance(type_, GraphQLInputObjectType):
            if type_.name.endswith("Where"):
                return self._where(type_, 2)
            if type_.name.endswith("ListFilter"):
                return self._quantified(type_, 2)
            if type_.name.endswith("Filter"):
                return self._conditions(type_, meant)
            assert type_.name == "MoneyInput", type_.name
            money = choose.choice(MONEY)
            if self._chance(0.02):
                return {"amount": "1.2345", "currency": money.currency}
            return {"amount": money.amount, "currency": money.currency}
        match type_.name:
            case "Boolean":
                return self._chance(0.5)
            case "Int":
                return choose.choice([*INTEGERS, 2, 3, 20000])
            case "Float":
                return choose.choice([*FLOATS, 3, -1])
            case "ID":
                return self._identity(meant)
            case "Date":
                return choose.choice(DAYS).isoformat()
            case "Decimal":
                return choose.choice(MONEY).amount
            case "DateTime":
                time = choose.choice(TIMES).isoformat()
                return choose.choice([time, "2024-01-01T08:00:00+08:00"])
        return choose.choice([*NAMES, *NICKS, *WORDS, "CNY", "JPY", "KWD"])

    def _identity(self, meant: type[Model] | None) -> str:
        if self._chance(0.1):
            return self.choose.choice(WRONG_IDS)
        model, most = self.choose.choice(MODELS)
        if meant is not None and self._chance(0.9):
            if meant.info.plugin == "guanxi":  # worlds have no rows of the core's own models
                return f"{meant.info.prefix}_{UUID(int=self.choose.getrandbits(128))}"
            model, most = next(entry for entry in MODELS if entry[0] is meant)
        return f"{model.info.prefix}_{uuid_of(model, self.choose.randint(1, most))}"

    # --- values --------------------------------------------------------------------------------

    def _value(self, type_: Any, value: Any) -> str:
        """A value as text, parts of it or all of it in variables."""
        if self._chance(0.22):
            return self._variable(type_, value)
        if value is None:
            return "null"
        inner = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        if isinstance(inner, GraphQLList):
            if len(value) == 1 and self._chance(0.2):  # a variable would not be made a list of
                return _literal(inner.of_type, value[0])
            return f"[{', '.join(self._value(inner.of_type, item) for item in value)}]"
        if isinstance(inner, GraphQLInputObjectType):
            parts = [
                f"{name}: {self._value(inner.fields[name].type, item)}"
                for name, item in value.items()
            ]
            return "{" + ", ".join(parts) + "}"
        return _literal(inner, value)

    def _variable(self, type_: Any, value: Any) -> str:
        """A variable whose value, given or by default, is ``value``."""
        required = isinstance(type_, GraphQLNonNull)
        inner = type_.of_type if required else type_
        name = f"v{len(self._variables)}"
        self._varying[name] = inner
        if value is None:
            self._variables.append(f"${name}: {inner}")
            if self._chance(0.5):
                self._values[name] = None
        elif self._chance(0.3):
            default = value if self._chance(0.5) else self._default(inner, value)
            self._variables.append(f"${name}: {inner} = {_literal(inner, default)}")
            self._optional.add(name)
            if default is not value or self._chance(0.5):
                self._values[name] = value
        else:
            required = required or self._chance(0.5)
            self._variables.append(f"${name}: {inner}{'!' * required}")
            self._values[name] = value
        if required:
            self._varying[name] = GraphQLNonNull(inner)
        return f"${name}"

    def _other_values(self) -> dict[str, Any]:
        """Other values for some variables, so that one plan or another must serve them."""
        values = dict(self._values)
        for name, type_ in self._varying.items():
            few = get_named_type(type_).name.endswith("OrderBy")  # else cursors would not fit
            if not self._chance(0.1 if few else 0.5):
                continue
            if self._chance(0.3) and (name in self._optional or not _is_required(type_)):
                values.pop(name, None)
            else:
                values[name] = self._make(type_, None)
        return values

    def _default(self, type_: Any, value: Any) -> Any:
        """Another value of the same type."""
        if isinstance(type_, GraphQLList):
            return []
        if isinstance(type_, GraphQLInputObjectType):
            return value if type_.name == "MoneyInput" else {}
        return self._made(type_, None)


def _literal(type_: Any, value: Any) -> str:
    """A value as a literal of a document."""
    if isinstance(type_, GraphQLNonNull):
        return _literal(type_.of_type, value)
    if value is None:
        return "null"
    if isinstance(type_, GraphQLList):
        return f"[{', '.join(_literal(type_.of_type, item) for item in value)}]"
    if isinstance(type_, GraphQLInputObjectType):
        parts = [f"{name}: {_literal(type_.fields[name].type, v)}" for name, v in value.items()]
        return "{" + ", ".join(parts) + "}"
    if isinstance(type_, GraphQLEnumType):
        return str(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_required(type_: Any) -> bool:
    return isinstance(type_, GraphQLNonNull)


def _flat(type_: Any) -> bool:
    """Whether a field of a filter compares one attribute, rather than holding more filters."""
    name = get_named_type(type_).name
    return not name.endswith(("Where", "ListFilter"))


def _boolean(schema: GraphQLSchema) -> Any:
    return schema.type_map["Boolean"]


def _required(definition: GraphQLField) -> bool:
    return any(isinstance(argument.type, GraphQLNonNull) for argument in definition.args.values())


def _pointed(model: type[Model], name: str) -> type[Model] | None:
    """The model whose ids a field of a filter holds."""
    if name == "id":
        return model
    relation = snake(name).removesuffix("_id")
    found = model.info.references.get(relation)
    return found.target if found else None


def _model_meant(
    models: Mapping[str, type[Model]], type_: GraphQLObjectType, name: str, argument: str
) -> type[Model] | None:
    """The model whose ids an argument takes, as far as names tell."""
    wanted = argument.removesuffix("Id") if argument not in ("id", "ids") else name
    return next((m for n, m in models.items() if n.lower() == wanted.lower()), None)
