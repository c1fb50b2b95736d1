"""Which fields of a model are taken out: their selection in GraphQL, and their columns in CSV."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from graphql import (
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
)

from guanxi_core.importing.errors import nearest, squash
from guanxi_graphql.exporting.errors import ExportFailed
from guanxi_graphql.schema.bindings import (
    Aggregated,
    Batch,
    Expression,
    Many,
    Schema,
    Stored,
    ToMany,
    ToOne,
)
from guanxi_sdk import Model
from guanxi_sdk._docs import camel

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a CSV file: where its value is in a row, and how a cell holds it."""

    name: str
    path: Path
    form: Literal["text", "plain", "json"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field, maybe of another object: ``office.code``."""

    path: Path
    below: str  # what is selected of its value
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        """As it is written on the command line."""
        return ".".join(self.path)


def find_model(schema: Schema, name: str) -> tuple[str, type[Model]]:
    """The list called ``name``, and the model whose rows it holds."""
    lists = {
        field: binding.model
        for field, binding in schema.fields["Query"].items()
        if isinstance(binding, Many)
    }
    for field, model in lists.items():
        if squash(name) in (squash(field), squash(model.info.name)):
            return field, model
    raise ExportFailed(f"'{name}' is nothing that can be exported: {nearest(name, lists)}")


def choose(schema: Schema, model: type[Model], names: Sequence[str] | None) -> list[Field]:
    """The fields called ``names``; when there are none all stored and SQL fields."""
    if names is None:
        bindings = schema.fields[model.info.name]
        names = [
            name
            for name, binding in bindings.items()
            if isinstance(binding, Stored | Expression | ToOne)
            and not _required(schema, model.info.name, name)
        ]
    found: dict[Path, Field] = {}
    for name in names:
        for field in _fields(schema, model, (), name.split("."), name):
            found.setdefault(field.path, field)
    return list(found.values())


def selection(fields: Iterable[Field]) -> str:
    """The fields as a selection set; equal beginnings of paths are one."""
    tree: dict[str, Any] = {}
    for field in fields:
        node = tree
        for name in field.path[:-1]:
            node = node.setdefault(name, {})
        node[field.path[-1]] = field.below
    return _spelled(tree)


def _spelled(tree: Mapping[str, Any]) -> str:
    parts = [
        f"{name} {below if isinstance(below, str) else _spelled(below)}".rstrip()
        for name, below in tree.items()
    ]
    return f"{{ {' '.join(parts)} }}"


def _fields(
    schema: Schema, model: type[Model], above: Path, names: Sequence[str], written: str
) -> list[Field]:
    """What ``names``, a path from ``model`` on, stands for; ``above`` leads to the model."""
    type_name = model.info.name
    bindings = schema.fields[type_name]
    by_name = {squash(name): name for name in bindings}
    name = by_name.get(squash(names[0]), "")
    if not name:
        of = f"a {model.info.prefix} has" if above else f"{camel(model.info.plural)} have"
        single = [n for n, b in bindings.items() if not isinstance(b, ToMany | Aggregated)]
        known = [".".join((*above, name)) for name in single]
        raise ExportFailed(f"{of} no field '{written}': {nearest(written, known)}")
    if _required(schema, type_name, name):
        raise ExportFailed(f"'{written}' cannot be exported: it needs arguments.")
    binding, path, rest = bindings[name], (*above, name), names[1:]
    target, many = _target(binding)
    if many and target is not None:
        plural = camel(target.info.plural)
        raise ExportFailed(f"'{written}' is a list: export {plural} by themselves.")
    if target is not None:
        key = [target.info.key] if target.info.key else []
        below = [rest] if rest else [["id"], *([camel(k)] for k in key)]
        return [field for one in below for field in _fields(schema, target, path, one, written)]
    if rest:
        raise ExportFailed(f"'{written}' does not exist: '{'.'.join(path)}' has no parts.")
    return [_plain(_type_of(schema, type_name, name), path)]


def _target(binding: Any) -> tuple[type[Model] | None, bool]:
    """The model of an object or of a list below the field, and whether it is a list."""
    if isinstance(binding, ToMany):
        return binding.reverse.model, True
    if isinstance(binding, Aggregated):
        return binding.model, True
    if isinstance(binding, ToOne):
        return binding.reference.target, False
    if isinstance(binding, Batch) and binding.returns.kind == "model":
        return binding.returns.python, binding.returns.many
    return None, False


def _plain(type_: Any, path: Path) -> Field:
    """A field without rows of other models in it."""
    named, many = get_named_type(type_), is_list_type(get_nullable_type(type_))
    name = ".".join(path)
    if named.name == "Money" and not many:
        columns = (
            Column(name, (*path, "amount"), "plain"),
            Column(f"{name}Currency", (*path, "currency"), "text"),
        )
        return Field(path, "{ amount currency }", columns)
    if many or not is_leaf_type(named):
        return Field(path, _all(named), (Column(name, path, "json"),))
    form: Literal["text", "plain"] = "text" if named.name == "String" else "plain"
    return Field(path, "", (Column(name, path, form),))


def _all(type_: Any) -> str:
    """Everything in a value, and in values inside it."""
    if not isinstance(type_, GraphQLObjectType):
        return ""
    parts = [
        f"{name} {_all(get_named_type(field.type))}".rstrip()
        for name, field in type_.fields.items()
    ]
    return f"{{ {' '.join(parts)} }}"


def _required(schema: Schema, type_name: str, name: str) -> bool:
    type_ = schema.graphql.type_map[type_name]
    assert isinstance(type_, GraphQLObjectType)  # noqa: S101
    return any(is_required_argument(argument) for argument in type_.fields[name].args.values())


def _type_of(schema: Schema, type_name: str, name: str) -> Any:
    type_ = schema.graphql.type_map[type_name]
    assert isinstance(type_, GraphQLObjectType)  # noqa: S101
    return type_.fields[name].type
