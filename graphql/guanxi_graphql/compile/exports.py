"""All rows of a model as one statement, a line each: compiled as every read is."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from graphql import FieldNode

from guanxi_core.plugin.rights import EXPORT
from guanxi_graphql.compile.binds import Statement, Variables
from guanxi_graphql.compile.connections import Connection
from guanxi_graphql.compile.json_text import in_bytes, object_of
from guanxi_graphql.compile.reads import Operation
from guanxi_graphql.compile.selections import Selections, Step, Withheld
from guanxi_graphql.schema.bindings import Many, Schema
from guanxi_sdk import Forbidden, Rights


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """A compiled export: ``rows`` answers one JSON object a row, by id, and ``count`` how many."""

    rows: Statement
    count: Statement
    steps: tuple[Step, ...]
    withheld: tuple[Withheld, ...]
    secrets: tuple[str, ...]


def compile_export(
    schema: Schema, operation: Operation, variables: Variables, rights: Rights, *, reasoned: bool
) -> ExportPlan:
    """Compile ``{ customers(where: …) { edges { node { … } } } }`` for all pages at once."""
    selections = Selections(schema, rights, operation.fragments, variables, reasoned=reasoned)
    root = _only(operation.node)
    binding = schema.fields["Query"][root.name.value]
    assert isinstance(binding, Many)  # noqa: S101  exports are of lists
    model = binding.model
    for permission in (EXPORT.name, model.info.read):
        if permission not in rights.permissions:
            raise Forbidden(permission)
    page = Connection(selections, model, selections.arguments("Query", root))
    scope, conditions = page.base()
    conditions += selections.policies.held(model, scope.source, EXPORT.name)
    line = object_of(selections.object(scope, [_only(_only(root))], ()))

    def of(what: Any) -> Any:
        return sa.select(what).select_from(scope.from_()).where(*conditions)

    return ExportPlan(
        selections.statement(of(in_bytes(line.expression)).order_by(scope.id)),
        selections.statement(of(sa.func.count())),
        tuple(selections.steps),
        tuple(selections.withheld),
        tuple(selections.policies.secrets),
    )


def _only(node: Any) -> FieldNode:
    [found] = node.selection_set.selections
    assert isinstance(found, FieldNode)  # noqa: S101
    return found
