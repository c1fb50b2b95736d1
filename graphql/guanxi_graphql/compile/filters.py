"""``where`` arguments as SQL conditions."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from guanxi_graphql.compile.arguments import Leaf, Tree, plain
from guanxi_graphql.compile.binds import Getter, decode_any, decode_id
from guanxi_graphql.compile.policies import Policies
from guanxi_graphql.compile.scope import Scope, minor_units, source_of
from guanxi_graphql.schema.annotations import peel
from guanxi_graphql.schema.bindings import Expression, Schema, Stored, ToMany, ToOne
from guanxi_sdk import Choice, Forbidden, Invalid, Model, Refusal, SQLMoney
from guanxi_sdk.contributions import Argument

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a.is_distinct_from(b),
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}
_TYPES: dict[str, Any] = {
    "id": sa.Uuid, "reference": sa.Uuid, "text": sa.Text, "int": sa.Integer,
    "float": sa.Float(53), "bool": sa.Boolean, "date": sa.Date, "choice": sa.Text,
    "datetime": sa.TIMESTAMP(timezone=True),
}  # fmt: skip

#: How deep conditions may nest, and what those of one document may cost to compile: 1 for each,
#: and RELATION for each relation they go through.
DEEPEST = 12
DEAREST = 1_000
RELATION = 20
#: How many relations of a statement the planner may make joins of.
JOINS = 4

_NOBODY = UUID(int=0)  # where a malformed id points: unlike NULL it differs from what is empty


def converter(kind: str, prefix: str | None = None) -> Callable[[Any], Any]:
    """From a coerced GraphQL value to what the driver takes."""
    if kind in ("id", "reference"):
        return lambda value: None if value is None else decode_id(prefix or "", value) or _NOBODY
    if kind == "choice":
        return lambda value: getattr(value, "_value_", value)
    if kind == "float":
        return lambda value: None if value is None else float(value)
    if kind == "text":
        return clean_text
    return lambda value: value


def clean_text(value: Any) -> Any:
    """Refuse what PostgreSQL cannot hold."""
    if value is not None and "\x00" in value:
        raise Invalid(None, "A text holds the character U+0000, which cannot be stored.")
    return value


class Filters:
    """Compiles ``where`` trees for one schema and one caller's rights."""

    def __init__(self, schema: Schema, policies: Policies, aliases: Callable[[], str]) -> None:
        self._schema = schema
        self._policies = policies
        self._binds = policies.binds
        self._alias = aliases
        self._level = 0
        self._relations = 0
        self._joins = 0
        self._spent = 0

    def condition(self, scope: Scope, tree: Tree) -> Any:
        """All conditions of one ``…Where`` value on the rows of ``scope``."""
        self._level += 1
        self._spend(1)
        if self._level > DEEPEST:
            raise Refusal(
                None, f"The conditions are nested more than {DEEPEST} levels deep.",
                code="LIMIT_EXCEEDED",
            )  # fmt: skip
        try:
            return self._condition(scope, tree)
        finally:
            self._level -= 1

    def _condition(self, scope: Scope, tree: Tree) -> Any:
        if isinstance(tree, Leaf):
            return sa.true()
        assert isinstance(tree, dict)  # noqa: S101  the schema says so
        known = self._schema.wheres[self._schema.wheres_of[scope.model]]
        conditions = []
        for name, given in tree.items():
            if isinstance(given, Leaf) and given.now is None:
                continue
            entry = known[name]
            if entry.kind in ("and", "or"):
                listed = given if isinstance(given, list) else []  # an empty list is a leaf
                parts = [self.condition(scope, part) for part in listed]
                joined = sa.and_(sa.true(), *parts) if entry.kind == "and" else sa.or_(
                    sa.false(), *parts
                )  # fmt: skip
                conditions.append(joined)
            elif entry.kind == "not":
                conditions.append(self.condition(scope, given).is_not(sa.true()))
            elif entry.kind == "to_one":
                assert isinstance(entry.binding, ToOne)  # noqa: S101
                conditions.append(self._to_one(scope, entry.binding, given))
            elif entry.kind == "to_many":
                assert isinstance(entry.binding, ToMany)  # noqa: S101
                conditions.append(self._to_many(scope, entry.binding, given))
            else:
                assert isinstance(entry.binding, Stored | Expression)  # noqa: S101
                conditions.append(self._scalar(scope, entry.binding, given))
        return sa.and_(sa.true(), *conditions)

    def require(self, permission: str | None) -> None:
        """Refuse what would tell about a withheld field."""
        if permission is not None and permission not in self._policies.rights.permissions:
            raise Forbidden(permission)

    def comparable(self, scope: Scope, binding: Stored | Expression) -> tuple[str, Any, Any]:
        """Kind, expression and, for money, the currency's expression of a field."""
        self.require(binding.needs)
        permission = binding.needs or scope.model.info.read
        shown = self._policies.shown(
            scope.model, scope.source, permission, binding.confidentiality, binding.name
        )
        kind, value, currency = self._comparable(scope, binding)
        if shown is None:
            return kind, value, currency
        return kind, sa.case((shown, value)), None if currency is None else sa.case(
            (shown, currency)
        )  # fmt: skip

    def _comparable(self, scope: Scope, binding: Stored | Expression) -> tuple[str, Any, Any]:
        if isinstance(binding, Stored):
            field = binding.field
            columns = [scope.column(binding.owner, name) for name in field.columns]
            if field.kind == "reference":
                target = _target(binding)
                if target is not None:
                    self.require(target.info.read)  # whose row it is, is told of that row
                    columns = [self._policies.reference(target, columns[0])]
            return field.kind, columns[0], columns[1] if len(columns) > 1 else None
        contribution = binding.contributed.contribution
        arguments = {a.name: self.argument(a, None) for a in contribution.arguments}
        made = scope.expression(binding.contributed, arguments)
        if isinstance(made, SQLMoney):
            return "money", made.minor, made.currency
        if binding.returns.kind == "choice":
            return "choice", made, None
        name: str = binding.returns.python.__name__
        return {"str": "text", "UUID": "id"}.get(name, name), made, None

    def argument(self, argument: Argument, tree: Tree | None) -> Any:
        """A bound argument of an SQL field; its default, if it has one, where it was left out."""
        if tree is None and (argument.required or argument.default is None):
            return None
        python, _ = peel(argument.annotation)
        if isinstance(python, type) and issubclass(python, Choice):
            kind = "choice"
        else:
            kind = {"str": "text", "UUID": "id"}.get(python.__name__, python.__name__)
        convert = converter(kind)
        if kind == "id":
            models = self._schema.edition.models
            convert = lambda value: decode_any(models, value)  # noqa: E731
        if tree is None:
            return self._binds.value(lambda _: convert(argument.default), _TYPES[kind])
        return self._binds.value(lambda v: convert(plain(tree, v)), _TYPES[kind])

    def _scalar(self, scope: Scope, binding: Stored | Expression, tree: Tree) -> Any:
        kind, expression, currency = self.comparable(scope, binding)
        if isinstance(tree, Leaf):
            return sa.true()
        assert isinstance(tree, dict)  # noqa: S101
        conditions = []
        for operator, given in tree.items():
            if isinstance(given, Leaf) and given.now is None:
                continue
            self._spend(1)
            if operator == "isNull":
                empty = expression.is_(None)
                conditions.append(empty if given.now else sa.not_(empty))
            elif kind == "money":
                conditions.append(self._money(operator, expression, currency, given))
            else:
                conditions.append(self._compare(scope, kind, binding, operator, expression, given))
        return sa.and_(sa.true(), *conditions)

    def _compare(
        self, scope: Scope, kind: str, binding: Any, operator: str, expression: Any, leaf: Leaf
    ) -> Any:
        convert = converter(kind, _prefix(scope.model, binding))
        type_ = _TYPES[kind]
        if operator in ("in", "notIn"):
            values = self._binds.value(_each(leaf.get, convert), ARRAY(type_))
            found = expression == sa.any_(values)
            return found if operator == "in" else found.is_not(sa.true())
        get = leaf.get
        return _COMPARE[operator](expression, self._binds.value(lambda v: convert(get(v)), type_))

    def _money(self, operator: str, minor: Any, currency: Any, tree: Tree) -> Any:
        amount = self._binds.value(lambda v: minor_units(plain(tree, v)).minor, sa.BigInteger)
        code = self._binds.value(lambda v: minor_units(plain(tree, v)).currency, sa.Text)
        return sa.and_(currency == code, _COMPARE[operator](minor, amount))

    def _to_one(self, scope: Scope, binding: ToOne, tree: Tree) -> Any:
        reference = binding.reference
        self.require(binding.needs)
        self.require(reference.target.info.read)
        other = self._scope(reference.target)
        condition = self._below(other, tree)
        same = other.id == scope.column(binding.owner, reference.column)
        return self._exists(other, same, condition)

    def _to_many(self, scope: Scope, binding: ToMany, tree: Tree) -> Any:
        reverse = binding.reverse
        self.require(reverse.model.info.read)
        conditions = []
        assert isinstance(tree, dict)  # noqa: S101
        for quantifier, given in tree.items():
            if isinstance(given, Leaf) and given.now is None:
                continue
            other = self._scope(reverse.model)
            inner = self._below(other, given)
            if quantifier == "every":
                inner = inner.is_not(sa.true())
            rows = other.source.c
            same = rows[reverse.reference.column] == scope.id
            current = [rows.archived_at.is_(None)] if "archived_at" in rows else []
            found = self._exists(other, same, *current, inner)
            conditions.append(found if quantifier == "some" else sa.not_(found))
        return sa.and_(sa.true(), *conditions)

    def _spend(self, cost: int) -> None:
        self._spent += cost
        if self._spent > DEAREST:
            raise Refusal(
                None, "The conditions are too many: ask in several requests.",
                code="LIMIT_EXCEEDED",
            )  # fmt: skip

    def _below(self, other: Scope, tree: Tree) -> Any:
        """Conditions on rows of another model."""
        self._spend(RELATION)
        self._relations += 1
        try:
            return self.condition(other, tree)
        finally:
            self._relations -= 1

    def _exists(self, other: Scope, *conditions: Any) -> Any:
        """Whether there is a row of another model that meets ``conditions``."""
        statement: sa.Select[Any] = (
            sa.select(sa.literal_column("1"))
            .select_from(other.from_())
            .where(
                other.source.c.tenant_id == self._binds.context("tenant"),
                *self._policies.rows(other.model, other.source),
                *conditions,
            )
        )
        self._joins += 1
        if self._relations or self._joins > JOINS:
            # The planner may make joins of a few outermost relations, to begin with theirs. Many
            # take it long, and nested ones are, before there are statistics, loops in loops
            # whose time is the product of all rows.
            statement = statement.offset(sa.literal_column("0"))
        return sa.exists(statement.correlate_except(*_own_tables(other)))

    def _scope(self, model: type[Model]) -> Scope:
        return Scope(model, source_of(model, self._alias()), self._policies)


def _own_tables(scope: Scope) -> list[Any]:
    return [scope.source, *scope.sides()]


def _each(get: Getter, convert: Callable[[Any], Any]) -> Getter:
    return lambda v: [convert(item) for item in get(v)]


def _prefix(model: type[Model], binding: Any) -> str:
    target = _target(binding)
    return model.info.prefix if target is None else target.info.prefix


def _target(binding: Any) -> type[Model] | None:
    """The model that a stored reference refers to."""
    if isinstance(binding, Stored) and binding.field.kind == "reference":
        for reference in binding.owner.info.references.values():
            if reference.column == binding.field.name:
                return reference.target
    return None
