"""Tenants full of canaries, for any edition, and documents that ask for all there is.

Every row follows from the models alone: two rows of each, with a canary in every text. What could
be seen of another tenant, or of what is withheld, would show as its canary.
"""

import datetime as dt
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_composite_type,
)
from msgspec.structs import fields as struct_fields

from guanxi_core.editions import Edition
from guanxi_sdk import Choice, Extension, Model, Value
from guanxi_sdk._docs import camel, snake
from guanxi_sdk.model import FieldInfo

DAY = dt.date(2024, 1, 2)
TIME = dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
#: Attributes that must be empty where the models say that only one of two may be given.
EMPTY = {("ActivityParticipant", "employee_id")}

Owner = type[Model] | type[Extension]


@dataclass(frozen=True)
class Filled:
    """How a tenant is filled: the word in its texts, and the bits in its ids."""

    word: str
    mark: int

    def uuid(self, model: type[Model], number: int) -> UUID:
        """The id of row 1 or 2 of a model."""
        kind = sum(model.info.name.encode()) & 0xFFFF
        return UUID(f"0198{kind:04x}-{self.mark:04x}-7000-8000-{number:012x}")

    def global_id(self, model: type[Model], number: int = 1) -> str:
        return f"{model.info.prefix}_{self.uuid(model, number)}"

    async def store(self, connection: Any, tenant_id: UUID, edition: Edition) -> None:
        """Write two rows of every model and every extension."""
        async with connection.transaction():
            for owner in _owners(edition):
                await self.insert(connection, tenant_id, owner)

    async def disguise(self, connection: Any, tenant_id: UUID, owner: Owner) -> int:
        """Change or remove whatever constraints and rights let; returns how many columns did."""
        table, changed = owner.info.table.name, 0
        statements = [f"DELETE FROM {table} WHERE id = (SELECT max(id::text) FROM {table})::uuid"]
        for info in owner.info.fields.values():
            if info.name != "id":
                other = self._columns(owner, info, 2)
                if info.kind == "choice":
                    other = {info.name: list(info.python)[-1].value}
                for column, value in other.items():
                    if info.kind not in ("reference", "texts", "values"):
                        text = json.dumps(value).strip('"')
                        statements.append(f"UPDATE {table} SET \"{column}\" = '{text}'")
                    if info.nullable:
                        statements.append(f'UPDATE {table} SET "{column}" = NULL')
        for statement in statements:
            try:
                async with connection.transaction():
                    await connection.execute(f"{statement} WHERE tenant_id = $1".replace(
                        "::uuid WHERE", "::uuid AND"), tenant_id)  # fmt: skip
                    changed += 1
            except (asyncpg.IntegrityConstraintViolationError, asyncpg.InsufficientPrivilegeError):
                continue  # the core's own rows stay as they are
        return changed

    async def disguise_row(
        self,
        connection: Any,
        tenant_id: UUID,
        owner: Owner,
        number: int,
        columns: Collection[str] | None = None,
    ) -> int:
        """Change (``columns`` of) one row, or remove it; returns how many statements could."""
        table, identity = owner.info.table.name, self.uuid(owner.info.of or owner, number)
        statements = [] if columns else [f"DELETE FROM {table}"]
        for info in owner.info.fields.values():
            if info.name == "id" or (columns and info.name not in columns):
                continue
            if info.kind in ("reference", "texts", "values", "datetime"):
                continue
            other = self._columns(owner, info, 7)
            if info.kind == "choice":
                other = {info.name: list(info.python)[-1].value}
            for column, value in other.items():
                if column.endswith("_currency"):
                    continue
                text = json.dumps(value).strip('"')
                statements.append(f"UPDATE {table} SET \"{column}\" = '{text}'")
        changed = 0
        for statement in statements:
            try:
                async with connection.transaction():
                    done = await connection.execute(
                        f"{statement} WHERE tenant_id = $1 AND id = $2", tenant_id, identity
                    )
                    changed += done[-1] == "1"
            except asyncpg.IntegrityConstraintViolationError:
                continue
        return changed

    async def insert(self, connection: Any, tenant_id: UUID, owner: Owner) -> None:
        """Write both rows of one model or extension."""
        table = owner.info.table.name
        rows = [self._row(owner, tenant_id, number) for number in (1, 2)]
        columns = ", ".join(f'"{name}"' for name in rows[0] if name in owner.info.table.c)
        await connection.execute(
            f"INSERT INTO {table} ({columns}) "
            f"SELECT {columns} FROM json_populate_recordset(NULL::{table}, $1)",
            json.dumps(rows),
        )

    def _row(self, owner: Owner, tenant_id: UUID, number: int) -> dict[str, Any]:
        of = owner.info.of or owner
        row: dict[str, Any] = {
            "tenant_id": str(tenant_id), "id": str(self.uuid(of, number)), "version": 1,
            "created_at": str(TIME), "updated_at": str(TIME),
        }  # fmt: skip
        for info in owner.info.fields.values():
            if info.name not in (*row, "archived_at"):
                row |= self._columns(owner, info, number)
        return row

    def _columns(self, owner: Owner, info: FieldInfo, number: int) -> dict[str, Any]:
        name = info.name
        if (owner.info.name, name) in EMPTY:
            return {name: None}
        if info.kind == "reference":
            target = next(r.target for r in owner.info.references.values() if r.column == name)
            if target is owner:  # the second row stands below the first
                return {name: str(self.uuid(target, 1)) if number == 2 else None}
            return {name: str(self.uuid(target, number))}
        if info.kind == "money":
            return {info.columns[0]: 100 * number, info.columns[1]: "CNY"}
        return {name: msgspec.to_builtins(self._value(info.python, number))}

    def _value(self, python: Any, number: int) -> Any:
        inner = getattr(python, "__args__", ())
        if getattr(python, "__origin__", None) is list:
            return [self._value(inner[0], number)]
        if inner:  # of a union, what is not None
            return self._value(next(part for part in inner if part is not type(None)), number)
        if issubclass(python, Choice):
            return next(iter(python))
        if issubclass(python, Value):
            return python(
                **{part.name: self._value(part.type, number) for part in struct_fields(python)}
            )
        simple: dict[type, Any] = {
            str: f"{self.word}-{number}", int: number, float: float(number), bool: False,
            dt.date: DAY, dt.datetime: TIME,
        }  # fmt: skip
        return simple[python]


def _owners(edition: Edition) -> Iterator[Owner]:
    """Models in the order in which rows can be inserted, then extensions."""
    done: list[Any] = []
    waiting = list(edition.models.values())
    while waiting:
        for model in waiting:
            needed = {r.target for r in model.info.references.values()} - {model}
            if needed <= set(done):
                break
        else:
            raise AssertionError("the models refer to each other in a circle")
        waiting.remove(model)
        done.append(model)
    yield from done
    for extensions in edition.extensions.values():
        yield from extensions


def owners_behind(edition: Edition, permission: str) -> list[Owner]:
    """What a permission lets its holders read, in the order of insertion."""
    return [owner for owner in _owners(edition) if owner.info.read == permission]


# --- documents -------------------------------------------------------------------------------


class Documents:
    """Documents about everything in a schema; ids are in the variable `$id`."""

    def __init__(self, schema: GraphQLSchema, edition: Edition) -> None:
        self.schema = schema
        self.models = edition.models
        self._extensions = edition.extensions

    def selections(self) -> Iterator[str]:
        """Each root field with all that is below it, and each relation of each model."""
        assert self.schema.query_type is not None
        for name, field in self.schema.query_type.fields.items():
            given = self._given(field)
            if given is not None:
                yield f"{{ {name}{given} {self._below(field)} }}"
        for model in self.models.values():
            for name, field in self._object(model.info.name).fields.items():
                given = self._given(field)
                if given is not None and self._is_model(field):
                    yield (
                        f"{{ {camel(model.info.plural)} {{ edges {{ node {{ id {name}{given} "
                        f"{self._below(field)} }} }} }} }}"
                    )

    def by_id(self) -> Iterator[str]:
        """Each root field that takes an id, with all that is below it."""
        assert self.schema.query_type is not None
        for name, field in self.schema.query_type.fields.items():
            for argument, one in field.args.items():
                if get_named_type(one.type).name == "ID":
                    value = "[$id]" if isinstance(_nullable(one.type), GraphQLList) else "$id"
                    below = self._below(field)
                    yield f"query ($id: ID!) {{ {name}({argument}: {value}) {below} }}"

    def filters_by_id(self) -> Iterator[tuple[type[Model], str]]:
        """Each filter that takes an id, also one relation away, and whose id that may be."""
        for model in self.models.values():
            rows = camel(model.info.plural)
            for meant, where in self._id_filters(model, relations=True):
                operators = {"eq": "$id", "ne": "$id", "in": "[$id]", "notIn": "[$id]"}
                if where.count(":") > 1:
                    operators = {"eq": "$id"}
                found = [
                    f"{name}: {rows}(where: {where % f'{name}: {value}'}) {{ totalCount }}"
                    for name, value in operators.items()
                ]
                yield meant, f"query ($id: ID!) {{ {' '.join(found)} }}"

    def _id_filters(
        self, model: type[Model], *, relations: bool
    ) -> Iterator[tuple[type[Model], str]]:
        for field, one in self._input(f"{model.info.name}Where").fields.items():
            inner = get_named_type(one.type).name
            if inner == "IDFilter":
                relation = snake(field).removesuffix("_id")
                target = model
                for owner in (model, *self._extensions.get(model, ())):
                    if relation in owner.info.references:
                        target = owner.info.references[relation].target
                yield target, f"{{{field}: {{%s}}}}"
            elif relations and field not in ("AND", "OR", "NOT"):
                other = self.models.get(inner.removesuffix("Where").removesuffix("ListFilter"))
                shape = "{some: %s}" if inner.endswith("ListFilter") else "%s"
                for meant, below in self._id_filters(other, relations=False) if other else ():
                    yield meant, f"{{{field}: {shape % below}}}"

    def filters(self) -> Iterator[str]:
        """Each filter, with a condition that tells empty rows apart and one that compares."""
        for model in self.models.values():
            rows = camel(model.info.plural)
            for where in self._conditions(f"{model.info.name}Where", relations=True):
                yield f"{{ {rows}(where: {where}) {{ totalCount }} }}"

    def _conditions(self, name: str, *, relations: bool) -> Iterator[str]:
        for field, one in self._input(name).fields.items():
            inner = get_named_type(one.type).name
            if field in ("AND", "OR", "NOT"):
                continue
            if inner.endswith("ListFilter"):
                for quantifier in ("some", "none", "every"):
                    yield f"{{{field}: {{{quantifier}: {{}}}}}}"
                where = get_named_type(self._input(inner).fields["some"].type).name
                for below in self._added(where) if relations else ():
                    yield f"{{{field}: {{some: {{{below}: {{isNull: true}}}}}}}}"
            elif inner.endswith("Where"):
                yield f"{{{field}: {{}}}}"
                for below in self._added(inner) if relations else ():
                    yield f"{{{field}: {{{below}: {{isNull: true}}}}}}"
            else:
                yield f"{{{field}: {{isNull: true}}}}"
                for operator in ("gt", "eq"):
                    if operator in self._input(inner).fields:
                        of = get_named_type(self._input(inner).fields[operator].type)
                        yield f"{{{field}: {{{operator}: {_literal(of)}}}}}"
                        break

    def _added(self, name: str) -> Iterator[str]:
        """Fields of a filter that extensions and SQL fields add to a model's own."""
        own = self.models[name.removesuffix("Where")].info.fields
        for field, one in self._input(name).fields.items():
            operators = getattr(get_named_type(one.type), "fields", ())
            if (field == "createdAt" or snake(field) not in own) and "isNull" in operators:
                yield field

    def orders(self) -> Iterator[str]:
        """Each order, alone, with the cursors it makes; `$after` may be one of them."""
        for model in self.models.values():
            values: Any = self.schema.type_map[f"{model.info.name}OrderBy"]
            for value in values.values:
                yield (
                    f"query ($after: String) {{ {camel(model.info.plural)}(orderBy: {value}, "
                    "after: $after) { edges { cursor node { id } } } }"
                )

    # --- selections ----------------------------------------------------------------------------

    def _below(self, field: GraphQLField) -> str:
        """Everything below a field but relations, which have documents of their own."""
        type_ = get_named_type(field.type)
        return self.everything(type_) if is_composite_type(type_) else ""

    def everything(self, type_: GraphQLNamedType) -> str:
        """Each field of a type that is no relation; of payloads, the object as well."""
        if type_.name == "Node":
            parts = [f"... on {name} {{ {self._few(name)} }}" for name in self.models]
            return f"{{ id __typename {' '.join(parts)} }}"
        if type_.name.endswith("Connection"):
            node = get_named_type(self._object(f"{type_.name[:-10]}Edge").fields["node"].type)
            inner = self.everything(node)
            return f"{{ totalCount pageInfo {{ endCursor }} edges {{ cursor node {inner} }} }}"
        found = ["__typename"]
        assert isinstance(type_, GraphQLObjectType)
        for name, field in type_.fields.items():
            given = self._given(field)
            if given is not None and (type_.name.endswith("Payload") or not self._is_model(field)):
                found.append(f"{name}{given} {self._below(field)}")
        return f"{{ {' '.join(found)} }}"

    def _is_model(self, field: GraphQLField) -> bool:
        name = get_named_type(field.type).name
        return name in self.models or name.endswith("Connection")

    def _few(self, name: str) -> str:
        """A field under a name that no other type has."""
        fields = self._object(name).fields.items()
        few = [n for n, f in fields if not is_composite_type(get_named_type(f.type))][1:2]
        return " ".join(f"{name}{field}: {field}" for field in few)

    def _given(self, field: GraphQLField) -> str | None:
        """Arguments that must be given; None where that is an id."""
        needed = [n for n, a in field.args.items() if isinstance(a.type, GraphQLNonNull)]
        return "" if not needed else None

    def _object(self, name: str) -> GraphQLObjectType:
        type_ = self.schema.type_map[name]
        assert isinstance(type_, GraphQLObjectType)
        return type_

    def _input(self, name: str) -> GraphQLInputObjectType:
        type_ = self.schema.type_map[name]
        assert isinstance(type_, GraphQLInputObjectType)
        return type_


@dataclass(frozen=True)
class Change:
    """A mutation whose arguments are all in variables, with values that fit."""

    name: str
    document: str
    variables: Mapping[str, Any]
    ids: Sequence[tuple[str, ...]]  # where in the variables ids stand


class Changes:
    """Every mutation of a schema, ready to be called on the rows of one tenant."""

    def __init__(self, documents: Documents, filled: Filled) -> None:
        self._documents = documents
        self._filled = filled

    def all(self) -> Iterator[Change]:
        """One call for each mutation, with every argument given."""
        mutation = self._documents.schema.mutation_type
        assert mutation is not None
        for name, field in mutation.fields.items():
            variables = {n: self._value(name, n, a.type) for n, a in field.args.items()}
            heads = ", ".join(f"${n}: {a.type}" for n, a in field.args.items())
            given = ", ".join(f"{n}: ${n}" for n in field.args)
            payload = get_named_type(field.type)
            below = self._documents.everything(payload)
            document = f"mutation ({heads}) {{ {name}({given}) {below} }}"
            yield Change(name, document, variables, list(self._ids(field, variables)))

    def _ids(self, field: GraphQLField, variables: Any) -> Iterator[tuple[str, ...]]:
        for name, argument in field.args.items():
            type_ = get_named_type(argument.type)
            if type_.name == "ID":
                yield (name,)
            elif isinstance(type_, GraphQLInputObjectType) and not type_.name.endswith("Where"):
                for inner, one in type_.fields.items():
                    if get_named_type(one.type).name == "ID" and inner in variables[name]:
                        yield (name, inner)
            elif type_.name.endswith("Where"):
                yield (name, "id", "eq")

    def _value(self, mutation: str, name: str, type_: Any) -> Any:
        inner = _nullable(type_)
        if isinstance(inner, GraphQLList):
            return [self._value(mutation, name, inner.of_type)]
        if isinstance(inner, GraphQLInputObjectType):
            if inner.name == "MoneyInput":
                return {"amount": "1.00", "currency": "CNY"}
            if inner.name.endswith("Where"):
                model = self._documents.models[inner.name.removesuffix("Where")]
                return {"id": {"eq": self._filled.global_id(model)}}
            return {
                n: self._value(mutation, n, f.type)
                for n, f in inner.fields.items()
                if (self._model(mutation).info.name, snake(n)) not in EMPTY
            }
        if name == "timeZone":
            return "Asia/Shanghai"
        if inner.name == "ID":
            meant = self._meant(mutation, name)
            below = name != "id" and meant is self._model(mutation)  # nobody is their own superior
            return self._filled.global_id(meant, 2 if below else 1)
        return _python(inner, f"{self._filled.word}-{mutation}-{name}")

    def _model(self, mutation: str) -> type[Model]:
        found = [m for n, m in self._documents.models.items() if mutation.endswith(n)]
        return max(found, key=lambda model: len(model.info.name), default=Model)

    def _meant(self, mutation: str, name: str) -> type[Model]:
        """The model whose id an argument takes, by its name or by the mutation's."""
        model = self._model(mutation)
        if name == "id":
            return model
        stem = snake(name).removesuffix("s").removesuffix("_id")
        if model is not Model and stem in model.info.references:
            return model.info.references[stem].target
        return next(m for m in self._documents.models.values() if snake(m.info.name) == stem)


def _nullable(type_: Any) -> Any:
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_


def _python(type_: Any, text: str) -> Any:
    """A value that fits a leaf type, as JSON."""
    values = {
        "String": text[:40], "Int": 1, "Float": 1.0, "Boolean": False, "Date": DAY.isoformat(),
        "DateTime": TIME.isoformat(), "Decimal": "1.00",
    }  # fmt: skip
    return values[type_.name] if type_.name in values else next(iter(type_.values))


def _literal(type_: Any) -> str:
    """The same as a literal, one that compares well with what tenants are filled with."""
    if isinstance(type_, GraphQLInputObjectType):
        return '{amount: "1.50", currency: "CNY"}'
    if type_.name in ("ID", "String", "Date", "DateTime"):
        return json.dumps({"ID": "x", "String": "B"}.get(type_.name) or _python(type_, ""))
    value = _python(type_, "")
    return str(value).lower() if isinstance(value, bool) else str(value)
