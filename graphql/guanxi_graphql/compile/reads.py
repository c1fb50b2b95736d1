"""Queries as plans: one statement, and the Python fields to splice in."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    NamedTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    SelectionSetNode,
    TypeNode,
    execute_sync,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from guanxi_core.system_tables import stamp_table, vocabulary_table
from guanxi_graphql.compile.arguments import Leaf, Tree, plain
from guanxi_graphql.compile.binds import PlanBinds, Statement, Variables, decode_id, spelled_id
from guanxi_graphql.compile.found import Found
from guanxi_graphql.compile.json_text import (
    NULL,
    JSONText,
    Parts,
    constant,
    in_bytes,
    object_of,
)
from guanxi_graphql.compile.labels import labels
from guanxi_graphql.compile.scope import Scope, as_text, literal, source_of
from guanxi_graphql.compile.selections import (
    Columns,
    Path,
    Selections,
    Step,
    Withheld,
)
from guanxi_graphql.execute.encoding import encode
from guanxi_graphql.schema.bindings import (
    About,
    Aggregated,
    AnyNode,
    Anything,
    Ask,
    Many,
    One,
    Schema,
)
from guanxi_sdk import Model, Refusal, Rights

#: How many ids `nodes` takes.
MOST_NODES = 500
#: How many answers to one introspection are kept; they differ by its variables.
_ANSWERS = 16
#: The variable under which a nested plan finds the ids it answers for.
IDS = "#ids"


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """A compiled query."""

    statement: Statement
    steps: tuple[Step, ...]
    withheld: tuple[Withheld, ...]
    secrets: tuple[str, ...]  # fields whose values are told, as the audit names them
    lists: bool  # whether it reads any, so that it may take long
    #: Where pages are counted as they are read: the tenants that have too many rows for that.
    crowded: set[UUID] | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a parsed document."""

    node: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]


def stamped(binds: PlanBinds) -> Any:
    """Whether the caller's token still holds, as a condition of the statement."""
    return sa.exists(
        sa.select(sa.literal_column("1"))
        .select_from(stamp_table)
        .where(
            stamp_table.c.tenant_id == binds.context("tenant"),
            stamp_table.c.token_id == binds.context("token"),
            stamp_table.c.epoch == binds.context("epoch"),
            stamp_table.c.expires_at > sa.func.now(),
        )
    )


@functools.cache
def stamp_statement() -> Statement:
    """Whether the caller's token still holds, as a statement of its own."""
    binds = PlanBinds()
    return binds.statement(sa.select(stamped(binds)))


def answer(columns: Columns, condition: Any = None) -> Any:
    """A select of one value: the columns as a JSON object in UTF-8 bytes."""
    statement = sa.select(in_bytes(object_of(columns).expression))
    return statement if condition is None else statement.where(condition)


def compile_read(
    schema: Schema,
    operation: Operation,
    variables: Variables,
    rights: Rights,
    *,
    has_token: bool,
    reasoned: bool = False,
    apart: bool = False,
) -> ReadPlan:
    """Compile a query for one form of its variables and one caller's rights.

    Pages are counted as they are read, and the answer is NULL where there are too many rows for
    that: ``apart`` counts them by themselves.
    """
    selections = Selections(
        schema, rights, operation.fragments, variables, reasoned=reasoned, apart=apart
    )
    columns: Columns = []
    root = selections.collect("Query", [operation.node.selection_set])
    for key, nodes in root.items():
        name = nodes[0].name.value
        if name == "__typename":
            columns.append((key, constant("Query")))
        elif name in ("__schema", "__type"):
            columns.append((key, _introspection(selections, operation, key, nodes)))
        else:
            binding = schema.fields["Query"][name]
            columns.append((key, _root(selections, binding, key, nodes)))
    condition = stamped(selections.binds) if has_token else None
    return _plan(selections, answer(columns, condition))


def compile_rows(
    schema: Schema,
    fragments: Mapping[str, FragmentDefinitionNode],
    variables: Variables,
    rights: Rights,
    model: type[Model],
    nodes: Sequence[FieldNode],
    *,
    reasoned: bool = False,
) -> ReadPlan:
    """Compile a selection on the rows whose UUIDs are in the variable :data:`IDS`.

    Answers a JSON object from UUID to record; used below Python fields and in payloads.
    """
    selections = Selections(schema, rights, fragments, variables, reasoned=reasoned)
    table = source_of(model, selections.alias())
    scope = Scope(model, table, selections.policies)
    columns = selections.object(scope, nodes, ())
    ids = selections.binds.value(lambda v: v[IDS], sa.ARRAY(sa.Uuid))
    entry = Parts(['"', as_text(table.c.id), '":', *object_of(columns).parts])
    joined = sa.func.coalesce(sa.func.string_agg(entry.expression, literal(",")), literal(""))
    statement = (
        sa.select(in_bytes(Parts(["{", joined, "}"]).expression))
        .select_from(scope.from_())
        .where(
            table.c.tenant_id == selections.binds.context("tenant"),
            table.c.id == sa.any_(ids),
            *selections.policies.rows(model, table),
        )
    )
    return _plan(selections, statement)


def _plan(selections: Selections, statement: Any) -> ReadPlan:
    return ReadPlan(
        selections.statement(statement),
        tuple(selections.steps),
        tuple(selections.withheld),
        tuple(selections.policies.secrets),
        selections.lists,
        set() if selections.together else None,
    )


def _root(selections: Selections, binding: Any, key: str, nodes: list[FieldNode]) -> Any:
    arguments = selections.arguments("Query", nodes[0])
    if isinstance(binding, One):
        if selections.withhold(binding.model.info.read, (key,)):
            return NULL
        identity = arguments["id"]
        assert isinstance(identity, Leaf)  # noqa: S101
        prefix = binding.model.info.prefix
        return _by_id(
            selections, binding.model, nodes, (key,), lambda v: spelled_id(prefix, identity.get(v))
        )
    if isinstance(binding, Many):
        return selections.connection(binding.model, nodes, arguments, (key,))
    if isinstance(binding, Aggregated):
        return selections.aggregate(binding.model, nodes, arguments, (key,))
    if isinstance(binding, AnyNode):
        return _nodes(selections, binding, arguments, key, nodes)
    if isinstance(binding, Anything):
        return Found(selections, binding.models, arguments).connection(nodes, (key,))
    if isinstance(binding, About):
        return _about(selections, binding, arguments, nodes)
    assert isinstance(binding, Ask)  # noqa: S101  nothing else is bound to Query
    contribution = binding.contributed.contribution
    if selections.withhold(contribution.needs.name if contribution.needs else None, (key,)):
        return NULL
    return selections.hole(Step((), key, binding, arguments, (), tuple(nodes)), object_of(()))


def _by_id(
    selections: Selections, model: type[Model], nodes: Sequence[FieldNode], path: Path, get: Any
) -> Any:
    table = source_of(model, selections.alias())
    scope = Scope(model, table, selections.policies)
    columns = selections.object(scope, nodes, path)
    return selections.one(
        selections.row(columns)
        .select_from(scope.from_())
        .where(
            table.c.tenant_id == selections.binds.context("tenant"),
            table.c.id == selections.binds.value(get, sa.Uuid),
            *selections.policies.rows(model, table),
        )
    )


def prefix_of(identity: Any) -> str:
    """The type part of a global id; it is part of the plan's key where `node` is asked."""
    return identity.rpartition("_")[0] if isinstance(identity, str) else ""


def _nodes(
    selections: Selections,
    binding: AnyNode,
    arguments: Mapping[str, Tree],
    key: str,
    nodes: list[FieldNode],
) -> Any:
    """`node` and `nodes`: one subselect for each type that occurs among the ids."""
    asked = arguments["ids" if binding.plural else "id"]
    assert isinstance(asked, Leaf)  # noqa: S101
    now = plain(asked, selections.variables)
    by_prefix = {m.info.prefix: m for m in selections.schema.edition.models.values()}
    present = sorted({prefix_of(i) for i in (now if binding.plural else [now])} & set(by_prefix))
    models = [by_prefix[prefix] for prefix in present]
    if not binding.plural:
        if not models:
            return NULL
        if selections.withhold(models[0].info.read, (key,)):
            return NULL
        prefix = models[0].info.prefix
        return _by_id(
            selections, models[0], nodes, (key,), lambda v: spelled_id(prefix, asked.get(v))
        )

    selections.lists = True

    def listed(variables: Variables) -> list[str]:
        ids = list(asked.get(variables))
        if len(ids) > MOST_NODES:
            raise Refusal("ids", f"holds more than {MOST_NODES} ids.", code="LIMIT_EXCEEDED")
        return ids

    wanted = (
        sa.func.unnest(selections.binds.value(listed, sa.ARRAY(sa.Text)))
        .table_valued(sa.column("id", sa.Text), with_ordinality="n", name=selections.alias())
        .render_derived()
    )
    forms = []
    for model in models:
        if selections.withhold(model.info.read, (key,)):
            continue
        table = source_of(model, selections.alias())
        scope = Scope(model, table, selections.policies)
        columns = selections.object(scope, nodes, (key,))
        prefix = model.info.prefix
        uuids = selections.binds.value(
            lambda v, p=prefix: [u for i in asked.get(v) if (u := decode_id(p, i))],  # type: ignore[misc]
            sa.ARRAY(sa.Uuid),
        )
        rows = (
            sa.select(
                literal(prefix + "_").concat(as_text(table.c.id)).label("id"),
                object_of(columns).expression.label("node"),
            )
            .select_from(scope.from_())
            .where(
                table.c.tenant_id == selections.binds.context("tenant"),
                table.c.id == sa.any_(uuids),
                *selections.policies.rows(model, table),
            )
        )
        forms.append(rows)
    node: Any = literal("null")
    source: Any = wanted
    if forms:
        found = sa.union_all(*forms).subquery(selections.alias())
        node = sa.func.coalesce(found.c.node, node)
        source = wanted.outerjoin(found, found.c.id == wanted.c.id)
    joined = sa.func.string_agg(node, aggregate_order_by(literal(","), wanted.c.n))
    joined = sa.func.coalesce(joined, literal(""))
    return Parts(["[", sa.select(joined).select_from(source).scalar_subquery(), "]"])


def _about(
    selections: Selections, binding: About, arguments: Mapping[str, Tree], nodes: list[FieldNode]
) -> Any:
    binds = selections.binds
    sets = [n.selection_set for n in nodes]
    if binding.what == "labels":
        return labels(selections, arguments, sets)
    if binding.what == "vocabulary":
        forms: dict[str, Any] = {name: vocabulary_table.c[name] for name in ("key", "zh", "en")}
        columns = _constants(selections, "Term", sets, forms)
        return selections.many(
            selections.row(columns)
            .where(vocabulary_table.c.tenant_id == binds.context("tenant"))
            .order_by(vocabulary_table.c.key)
        )
    if binding.what == "tenant":
        forms = {
            "id": literal("tenant_").concat(as_text(binds.context("tenant"))),
            "name": binds.context("tenant_name"),
            "currency": binds.context("currency"),
            "plugins": binds.context("plugins"),
        }
        return object_of(_constants(selections, "Tenant", sets, forms))
    forms = {"name": binds.context("caller"), "permissions": binds.context("permissions")}
    return object_of(_constants(selections, "Viewer", sets, forms))


def _constants(
    selections: Selections,
    type_name: str,
    sets: Sequence[SelectionSetNode | None],
    forms: Mapping[str, Any],
) -> Columns:
    columns: Columns = []
    for key, same in selections.collect(type_name, sets).items():
        name = same[0].name.value
        columns.append((key, constant(type_name) if name == "__typename" else forms[name]))
    return columns


def _introspection(
    selections: Selections, operation: Operation, key: str, nodes: list[FieldNode]
) -> Any:
    """`__schema` and `__type`, answered by graphql-core; they touch no data."""
    schema = selections.schema.graphql
    node = operation.node
    fitting = tuple(d for d in node.variable_definitions if _fits_introspection(d.type))
    names = {definition.variable.name.value for definition in fitting}
    document = DocumentNode(
        definitions=(
            OperationDefinitionNode(
                operation=node.operation,
                name=node.name,
                variable_definitions=fitting,
                directives=(),
                selection_set=SelectionSetNode(selections=tuple(nodes)),
            ),
            *operation.fragments.values(),
        )
    )

    answers: dict[bytes, str] = {}

    def ask(variables: Variables) -> str:
        given = {name: value for name, value in variables.items() if name in names}
        known = encode(given)
        found = answers.get(known)
        if found is None:
            result = execute_sync(schema, document, variable_values=given)
            found = encode((result.data or {}).get(key)).decode()
            if len(answers) < _ANSWERS:
                answers[known] = found
        return found

    return selections.binds.value(ask, JSONText())


def _fits_introspection(type_: TypeNode) -> bool:
    """Whether a variable can occur in an introspection: as a name, a switch or in a directive."""
    named = type_.type if isinstance(type_, NonNullTypeNode) else type_
    return isinstance(named, NamedTypeNode) and named.name.value in ("String", "Boolean")
