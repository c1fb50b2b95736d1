"""Selection sets as rows of named columns, one nested record per object."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    SelectionSetNode,
    VariableNode,
)
from msgspec.structs import fields as struct_fields

from guanxi_core.binding import unmark
from guanxi_graphql.compile.aggregates import Aggregate
from guanxi_graphql.compile.arguments import Leaf, Tree, arguments_of, refuse_null
from guanxi_graphql.compile.binds import PlanBinds, Statement, Variables, each_of
from guanxi_graphql.compile.filters import _TYPES, Filters
from guanxi_graphql.compile.json_text import (
    NULL,
    Parts,
    array_of,
    constant,
    object_of,
    quoted,
    rendered,
)
from guanxi_graphql.compile.pages import page_of
from guanxi_graphql.compile.policies import Policies
from guanxi_graphql.compile.scope import Scope, as_text, choice_name, money_text
from guanxi_graphql.compile.searching import Search
from guanxi_graphql.schema.annotations import peel
from guanxi_graphql.schema.bindings import (
    Aggregated,
    Ask,
    Batch,
    Expression,
    Schema,
    Stored,
    Told,
    ToMany,
    ToOne,
)
from guanxi_sdk import Choice, Confidentiality, Forbidden, Model, Rights, SQLMoney, Value
from guanxi_sdk._docs import camel

Columns = list[tuple[str, Any]]
Path = tuple[str, ...]

#: Reported where a value is shown on some rows.
IN_PART = "The clearance for this reaches some of the rows only: on the others it is null."


@dataclass(frozen=True, slots=True)
class Step:
    """A Python field to call once for all its parents, and where its results go."""

    path: Path  # response keys that lead to the parents; empty for a root field
    key: str
    binding: Batch | Ask | Told
    arguments: Mapping[str, Tree]
    columns: tuple[str, ...]  # parent attributes fetched
    nodes: tuple[FieldNode, ...]  # the selection below, for values and models


@dataclass(frozen=True, slots=True)
class Withheld:
    """A selected field that the caller may not see."""

    path: Path
    message: str


class Selections:
    """Compiles selection sets for one plan."""

    def __init__(
        self,
        schema: Schema,
        rights: Rights,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Variables,
        *,
        reasoned: bool,
        apart: bool = True,
    ) -> None:
        self.schema = schema
        #: Whether pages and their counts are taken apart, however few rows there are.
        self.apart = apart
        #: Whether some are not: then the answer is NULL where there are too many rows.
        self.together = False
        #: Whether it reads lists of records, or what they come to.
        self.lists = False
        self.fragments = fragments
        self.variables = variables
        self.binds = PlanBinds()
        self.policies = Policies(schema.edition, rights, self.binds, reasoned=reasoned)
        self.filters = Filters(schema, self.policies, self.alias)
        self.steps: list[Step] = []
        self.withheld: list[Withheld] = []
        self._aliases = 0
        #: Of each page what is read of it, and all whose columns are then those alone.
        self._narrowed: list[tuple[list[Any], list[Any], list[str]]] = []

    def narrow(self, sources: list[Any], narrowed: list[Any], keys: list[str]) -> None:
        """Leave the ``narrowed`` their ``keys`` and what the statement reads of ``sources``."""
        self._narrowed.append((sources, narrowed, keys))

    def statement(self, whole: Any) -> Statement:
        """Compile the plan's statement to what the driver takes."""
        read: dict[Any, set[str]] = {s: set() for sources, *_ in self._narrowed for s in sources}
        for element in each_of(whole):
            if isinstance(element, sa.Select):
                unmark(element)
            elif isinstance(element, sa.ColumnClause) and element.table in read:
                read[element.table].add(element.key)
        for sources, narrowed, keys in self._narrowed:
            names = set(keys).union(*(read[source] for source in sources))
            for one in narrowed:
                columns = one.element.selected_columns
                kept = [column for column in columns if column.key in names]
                one.element = one.element.with_only_columns(*kept)
                unmark(one.element)
        return self.binds.unmarked(whole)

    def alias(self) -> str:
        """A fresh name; response keys never become aliases of tables."""
        self._aliases += 1
        return f"_{self._aliases}"  # no plugin calls an alias of its own like this

    def search(self, text: Leaf) -> Search:
        """A search for what ``text`` says."""
        return Search(self.schema.edition, self.policies, self.alias, text)

    # --- documents -----------------------------------------------------------------------------

    def collect(
        self, type_name: str, selection_sets: Iterable[SelectionSetNode | None]
    ) -> dict[str, list[FieldNode]]:
        """Fields by response key, fragments and directives applied."""
        found: dict[str, list[FieldNode]] = {}
        self._collect(type_name, selection_sets, found, set())
        return found

    def _collect(
        self,
        type_name: str,
        selection_sets: Iterable[SelectionSetNode | None],
        found: dict[str, list[FieldNode]],
        seen: set[str],
    ) -> None:
        for selection_set in selection_sets:
            if selection_set is None:
                continue
            for node in selection_set.selections:
                if not self._included(node):
                    continue
                if isinstance(node, FieldNode):
                    key = (node.alias or node.name).value
                    found.setdefault(key, []).append(node)
                    continue
                if isinstance(node, FragmentSpreadNode):
                    if node.name.value in seen:
                        continue
                    seen.add(node.name.value)
                    fragment: Any = self.fragments[node.name.value]
                else:
                    fragment = node
                condition = fragment.type_condition
                if condition is None or self._applies(condition.name.value, type_name):
                    self._collect(type_name, [fragment.selection_set], found, seen)

    def _applies(self, condition: str, type_name: str) -> bool:
        return condition == type_name or (
            condition == "Node" and type_name in self.schema.edition.models
        )

    def _included(self, node: Any) -> bool:
        for directive in node.directives:
            value = directive.arguments[0].value if directive.arguments else None
            name = directive.name.value
            if name not in ("skip", "include"):
                continue
            if isinstance(value, VariableNode):
                refuse_null(value.name.value, self.variables)
                on = self.variables[value.name.value]
            else:
                on = value.value  # type: ignore[union-attr]
            if bool(on) is (name == "skip"):
                return False
        return True

    def field_of(self, type_name: str, node: FieldNode) -> Any:
        """The field's definition in the schema."""
        type_ = self.schema.graphql.type_map[type_name]
        assert isinstance(type_, GraphQLObjectType)  # noqa: S101
        return type_.fields[node.name.value]

    def arguments(self, type_name: str, node: FieldNode) -> dict[str, Tree]:
        """The field's arguments as trees."""
        return arguments_of(self.field_of(type_name, node), node, self.variables)

    def withhold(self, permission: str | None, path: Path) -> bool:
        """Whether the field at ``path`` must answer null; then it is reported."""
        if permission is None or permission in self.policies.rights.permissions:
            return False
        self.report(path, Forbidden(permission))
        return True

    def report(self, path: Path, error: Forbidden) -> None:
        """Report the field at ``path`` as one that is withheld, once."""
        if all(known.path != path for known in self.withheld):
            self.withheld.append(Withheld(path, error.message))

    # --- records -------------------------------------------------------------------------------

    def row(self, columns: Columns) -> Any:
        """A select of one object."""
        return sa.select(object_of(columns).expression.label("j"))

    def one(self, statement: Any) -> Any:
        """A select's only object, or NULL."""
        return statement.scalar_subquery()

    def many(self, statement: Any) -> Any:
        """All objects of a select as a JSON array."""
        return array_of(statement.subquery(self.alias()))

    # --- objects -------------------------------------------------------------------------------

    def object(self, scope: Scope, nodes: Sequence[FieldNode], path: Path) -> Columns:
        """The columns of one object of ``scope``'s model."""
        model = scope.model
        type_name = model.info.name
        bindings = self.schema.fields[type_name]
        columns: Columns = []
        for key, same in self.collect(type_name, [n.selection_set for n in nodes]).items():
            node = same[0]
            name = node.name.value
            here = (*path, key)
            if name == "__typename":
                columns.append((key, constant(type_name)))
                continue
            binding = bindings[name]
            if isinstance(binding, Stored | Expression | Batch):
                columns.append((key, self._kept(scope, binding, type_name, same, here)))
            else:
                columns.append((key, self._relation(scope, binding, type_name, same, here)))
        return columns

    def _kept(
        self,
        scope: Scope,
        binding: Stored | Expression | Batch,
        type_name: str,
        nodes: list[FieldNode],
        path: Path,
    ) -> Any:
        """A value that may be confidential, or need a permission of its own."""
        permission = binding.needs or scope.model.info.read
        try:
            shown = self.policies.shown(
                scope.model, scope.source, permission, binding.confidentiality, binding.name
            )
        except Forbidden as error:
            self.report(path, error)
            return NULL
        if isinstance(binding, Batch):
            value: Any = self._batch(scope, binding, nodes, path)
        elif isinstance(binding, Stored):
            value = self._stored(scope, binding, nodes)
        else:
            value = self._expression(scope, binding, type_name, nodes)
        if shown is None:
            return value
        if binding.confidentiality > Confidentiality.INTERNAL:
            self.report(path, Forbidden(permission, IN_PART))
        text = (value if isinstance(value, Parts) else rendered(value)).expression
        return sa.case((shown, text))

    def _batch(self, scope: Scope, binding: Batch, nodes: list[FieldNode], path: Path) -> Parts:
        """A hole for the result of a Python field, with the attributes of the parent it reads."""
        contribution = binding.contributed.contribution
        model = scope.model
        columns = contribution.columns or tuple(_plain_fields(model))
        arguments = self.arguments(model.info.name, nodes[0])
        step = Step(path[:-1], path[-1], binding, arguments, columns, tuple(nodes))
        names = [c for n in dict.fromkeys(("id", *columns)) for c in model.info.fields[n].columns]
        return self.hole(step, object_of([(name, scope.source.c[name]) for name in names]))

    def hole(self, step: Step, parent: Parts) -> Parts:
        """What stands in the answer for the result of a Python field.

        No name begins with `#`, and a quotation mark inside a string is escaped, so that nothing in
        the data looks like it.
        """
        self.steps.append(step)
        return Parts([f'{{"#{len(self.steps) - 1}":', *parent.parts, ',"#":0}'])

    def _relation(
        self, scope: Scope, binding: Any, type_name: str, nodes: list[FieldNode], path: Path
    ) -> Any:
        if isinstance(binding, ToOne):
            if self.withhold(binding.needs, path) or self.withhold(
                binding.reference.target.info.read, path
            ):
                return NULL
            target = binding.reference.target
            foreign = scope.column(binding.owner, binding.reference.column)
            other = scope.to_one(target, self.alias(), foreign)
            found = object_of(self.object(other, nodes, path)).expression
            return sa.case((other.id.is_not(None), found))
        assert isinstance(binding, ToMany | Aggregated)  # noqa: S101  nothing else is bound to one
        reverse = binding.reverse
        assert reverse is not None  # noqa: S101  only the fields of Query have none
        answer = self.connection if isinstance(binding, ToMany) else self.aggregate
        arguments = self.arguments(type_name, nodes[0])
        parent = (reverse.reference.column, scope.id)
        return answer(reverse.model, nodes, arguments, path, parent=parent)

    def _expression(
        self, scope: Scope, binding: Expression, type_name: str, nodes: list[FieldNode]
    ) -> Any:
        contribution = binding.contributed.contribution
        given = self.arguments(type_name, nodes[0])
        arguments = {
            argument.name: self.filters.argument(argument, given.get(camel(argument.name)))
            for argument in contribution.arguments
        }
        made = scope.expression(binding.contributed, arguments)
        if isinstance(made, SQLMoney):
            return self._money(nodes, made.minor, made.currency, scope.source, fence=True)
        if binding.returns.kind == "choice":
            return quoted(choice_name(binding.returns.python, made, stored=False))
        return made

    def _stored(self, scope: Scope, binding: Stored, nodes: list[FieldNode]) -> Any:
        field = binding.field
        column = scope.column(binding.owner, field.columns[0])
        if field.kind == "id":
            return Parts([f'"{scope.model.info.prefix}_', as_text(column), '"'])
        nullable = field.nullable or binding.owner is not scope.model
        if field.kind == "choice":
            return quoted(choice_name(field.python, column), nullable=nullable)
        if field.kind == "money":
            currency = scope.column(binding.owner, field.columns[1])
            return self._money(nodes, column, currency, column.table)
        if field.kind == "values":
            values = self._values(field.python.__args__[0], column, nodes)
            return sa.case((column.is_not(None), values.expression))
        return rendered(column, nullable=nullable)

    def _money(
        self, nodes: list[FieldNode], minor: Any, currency: Any, source: Any, *, fence: bool = False
    ) -> Any:
        amounts = sa.select(minor.label("minor"), currency.label("currency")).correlate(source)
        if fence:  # an expression is computed once, not once for every use
            amounts = amounts.offset(sa.literal_column("0"))
        of = amounts.subquery(self.alias())
        forms: dict[str, Any] = {
            "amount": money_text(of.c.minor, of.c.currency),
            "currency": of.c.currency,
            "__typename": constant("Money"),
        }
        columns = [
            (key, forms[same[0].name.value])
            for key, same in self.collect("Money", [n.selection_set for n in nodes]).items()
        ]
        return self.one(self.row(columns).select_from(of).where(of.c.minor.is_not(None)))

    def _values(self, value: type[Value], column: Any, nodes: list[FieldNode]) -> Any:
        fields = {camel(item.name): item for item in struct_fields(value)}
        typed = [sa.column(item.name, _value_type(peel(item.type)[0])) for item in fields.values()]
        of = (
            sa.func.jsonb_to_recordset(column)
            .table_valued(*typed, name=self.alias())
            .render_derived(with_types=True)
        )
        columns: Columns = []
        for key, same in self.collect(value.__name__, [n.selection_set for n in nodes]).items():
            name = same[0].name.value
            if name == "__typename":
                columns.append((key, constant(value.__name__)))
                continue
            python, _ = peel(fields[name].type)
            found: Any = of.c[fields[name].name]
            if isinstance(python, type) and issubclass(python, Choice):
                found = quoted(choice_name(python, found))
            columns.append((key, found))
        return self.many(self.row(columns).select_from(of).correlate(column.table))

    # --- lists ---------------------------------------------------------------------------------

    def connection(
        self,
        model: type[Model],
        nodes: Sequence[FieldNode],
        arguments: dict[str, Tree],
        path: Path,
        *,
        parent: Any = None,
    ) -> Any:
        """A page of a model's rows as one JSON value."""
        if self.withhold(model.info.read, path):
            return NULL
        self.lists = True
        return page_of(self, model, nodes, arguments, path, parent)

    def aggregate(
        self,
        model: type[Model],
        nodes: Sequence[FieldNode],
        arguments: dict[str, Tree],
        path: Path,
        *,
        parent: Any = None,
    ) -> Any:
        """What a model's rows come to as one JSON value."""
        if self.withhold(model.info.read, path):
            return NULL
        self.lists = True
        return Aggregate(self, model, arguments, parent).answer(nodes, path)


def _plain_fields(model: type[Model]) -> list[str]:
    return [name for name, field in model.info.fields.items() if field.kind != "values"]


def _value_type(python: Any) -> Any:
    if isinstance(python, type) and issubclass(python, Choice):
        return sa.Text()
    by_name = {"str": "text", "UUID": "text"}
    return sa.types.to_instance(_TYPES[by_name.get(python.__name__, python.__name__)])
