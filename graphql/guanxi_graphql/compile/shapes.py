"""How the results of Python fields become JSON: the selection below them, prepared once."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from graphql import FieldNode
from msgspec.structs import fields as struct_fields
from sqlalchemy.orm import class_mapper
from sqlalchemy.orm.attributes import instance_state

from guanxi_core.editions import Contributed
from guanxi_graphql.compile.arguments import Tree, plain
from guanxi_graphql.compile.binds import ImmediateBinds, Request, Variables, decode_any
from guanxi_graphql.compile.filters import Filters
from guanxi_graphql.compile.policies import Policies
from guanxi_graphql.compile.scope import Scope, minor_units, source_of
from guanxi_graphql.compile.selections import Selections
from guanxi_graphql.execute.encoding import scalar
from guanxi_graphql.schema.annotations import peel, result_of, where_model
from guanxi_graphql.schema.bindings import Ask, Batch, Result, Told
from guanxi_sdk import Choice, Model, Money, PluginError, Where
from guanxi_sdk._docs import camel
from guanxi_sdk.info import FieldInfo

#: Turns one result into JSON; rows of models are looked up by UUID.
Shape = Callable[[Any, Mapping[str, Any]], Any]


def shape_of(selections: Selections, result: Result, nodes: Sequence[FieldNode]) -> Shape:
    """The shape of a contributed result under one selection; other types raise TypeError."""
    one = _one(selections, result, nodes)
    if not result.many:
        return lambda value, rows: None if value is None else one(value, rows)

    def many(value: Any, rows: Mapping[str, Any]) -> Any:
        if value is None:
            return None
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise TypeError(f"a list was promised, not {type(value).__name__}")
        return [entry for item in value if (entry := one(item, rows)) is not None]

    return many


def _one(selections: Selections, result: Result, nodes: Sequence[FieldNode]) -> Shape:
    if result.kind == "model":
        return lambda value, rows: rows.get(str(_promised(value, result.python).id))
    if result.kind == "money":
        fields = selections.collect("Money", [n.selection_set for n in nodes])
        names = [(key, same[0].name.value) for key, same in fields.items()]
        return lambda value, _: {
            key: "Money" if name == "__typename" else getattr(_promised(value, Money), name)
            for key, name in names
        }
    if result.kind == "value":
        return _value(selections, result.python, nodes)
    return lambda value, _: scalar(_promised(value, result.python))


def _promised(value: Any, python: Any) -> Any:
    """``value``, if it is what the annotation says."""
    kind = type(value)
    if kind is python:
        fits = kind is not float or isfinite(value)
    elif python is float:
        fits = kind is int
    elif python is int or python is dt.date:  # bool and datetime are other types than they seem
        fits = False
    else:
        fits = value is None or isinstance(value, python)
    if not fits:
        raise TypeError(f"{python.__name__} was promised, not {kind.__name__}")
    return value


def _value(selections: Selections, python: Any, nodes: Sequence[FieldNode]) -> Shape:
    known = {camel(item.name): item for item in struct_fields(python)}
    parts: list[tuple[str, str, Shape | None]] = []
    for key, same in selections.collect(python.__name__, [n.selection_set for n in nodes]).items():
        name = same[0].name.value
        if name == "__typename":
            parts.append((key, "", None))
        else:
            item = known[name]
            inner = result_of(python.__module__, item.name, item.type)
            parts.append((key, item.name, shape_of(selections, inner, same)))

    def shape(value: Any, rows: Mapping[str, Any]) -> Any:
        return {
            key: python.__name__
            if part is None
            else part(getattr(_promised(value, python), name), rows)
            for key, name, part in parts
        }

    return shape


@dataclass(frozen=True, slots=True)
class Arguments:
    """A contributed field's arguments as its Python function takes them."""

    binding: Batch | Ask | Told
    trees: Mapping[str, Tree]

    def values(
        self, selections: Selections, variables: Variables, request: Request
    ) -> dict[str, Any]:
        """Keyword arguments for one request; what was left out keeps its Python default."""
        found: dict[str, Any] = {}
        for argument in self.binding.contributed.contribution.arguments:
            tree = self.trees.get(camel(argument.name))
            if tree is None:
                if argument.required:
                    found[argument.name] = None
                continue
            model = where_model(argument.annotation)
            if model is not None:
                found[argument.name] = _where(selections, model, tree, variables, request)
                continue
            value = plain(tree, variables)
            python, _ = peel(argument.annotation)
            if getattr(python, "__origin__", None) is list:
                item, _ = peel(python.__args__[0])
                found[argument.name] = [_argument(selections, item, part) for part in value]
            else:
                found[argument.name] = _argument(selections, python, value)
        return found


def _where(
    selections: Selections,
    model: type[Model],
    tree: Tree,
    variables: Variables,
    request: Request,
) -> Where[Any]:
    binds = ImmediateBinds(variables, request)
    policies = Policies(
        selections.schema.edition, selections.policies.rights, binds,
        reasoned=request.reason is not None,
    )  # fmt: skip
    filters = Filters(selections.schema, policies, selections.alias)
    filters.require(model.info.read)  # what is found by a filter is known
    rows = source_of(model, selections.alias())
    scope = Scope(model, rows, policies)
    condition = filters.condition(scope, tree)
    meeting = (
        sa.select(rows.c.id)
        .select_from(scope.from_())
        .where(rows.c.tenant_id == binds.context("tenant"), *policies.rows(model, rows), condition)
    )
    selections.policies.secrets |= policies.secrets
    return Where(model, model.info.table.c.id.in_(meeting))


def _argument(selections: Selections, python: Any, value: Any) -> Any:
    if value is None:
        return None
    if python is Money:
        return minor_units(value)
    if isinstance(python, type) and issubclass(python, Choice):
        return python(getattr(value, "value", value))
    if python.__name__ == "UUID":
        return decode_any(selections.schema.edition.models, value) or UUID(int=0)  # nobody's
    if python is float:
        return float(value)
    return value


def parents_of(
    model: type[Model],
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    entry: Contributed,
) -> list[Any]:
    """Instances of ``model`` from the fetched columns, as JSON wrote them.

    Reading another attribute raises :class:`PluginError`; it would be None otherwise.
    """
    missing = _missing(model, {"id", *columns}, entry)
    readers = [(name, _reader(model.info.fields[name])) for name in dict.fromkeys(("id", *columns))]
    make = class_mapper(model).class_manager.new_instance
    parents = []
    for row in rows:
        parent: Any = make()  # as if loaded, without the bookkeeping of changes: it takes long
        parent.__dict__.update({name: read(row) for name, read in readers})
        instance_state(parent).callables = missing
        parents.append(parent)
    return parents


def _missing(model: type[Model], known: Collection[str], entry: Contributed) -> dict[str, Any]:
    """What SQLAlchemy calls for an attribute that is not there."""

    def refuse(name: str) -> Callable[..., Any]:
        remedy = f"add '{name}' to columns=" if name in model.info.fields else "load the row by id"

        def call(state: Any, passive: Any) -> Any:
            raise PluginError(
                entry.plugin, f"{entry.contribution.name}() reads '{name}' of {model.info.name}, "
                f"which is not among its columns: {remedy}.",
            )  # fmt: skip

        return call

    names = {c: f.name for f in model.info.fields.values() for c in f.columns}
    attributes = class_mapper(model).column_attrs.keys()
    return {a: refuse(names.get(a, a)) for a in attributes if a not in known}


def _reader(field: FieldInfo) -> Callable[[Mapping[str, Any]], Any]:
    if field.kind == "money":
        minor, currency = field.columns
        return lambda row: None if row[minor] is None else Money(row[minor], row[currency])
    name = field.columns[0]
    if field.kind in ("choice", "id", "reference"):
        return lambda row: None if row[name] is None else field.python(row[name])
    if field.kind == "date":
        return lambda row: None if row[name] is None else dt.date.fromisoformat(row[name])
    if field.kind == "datetime":
        return lambda row: None if row[name] is None else dt.datetime.fromisoformat(row[name])
    if field.kind == "values":
        return lambda row: None if row[name] is None else msgspec.convert(row[name], field.python)
    return lambda row: row[name]
