"""Subscriptions to a model's changes as plans: which rows one caller is told of, and what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from graphql import FieldNode

from guanxi_graphql.compile.arguments import Tree
from guanxi_graphql.compile.binds import Statement
from guanxi_graphql.compile.json_text import Parts, in_bytes, object_of
from guanxi_graphql.compile.reads import IDS
from guanxi_graphql.compile.scope import Scope, as_text, literal, source_of
from guanxi_graphql.compile.selections import Columns, Selections, Step, Withheld
from guanxi_sdk import Forbidden, Model
from guanxi_sdk import Scope as Reach


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """A compiled subscription.

    The statement answers a JSON object from the UUIDs of those rows that the caller may see, and
    that meet the conditions, to what is selected of them by response key.
    """

    statement: Statement
    steps: tuple[Step, ...]
    withheld: tuple[Withheld, ...]
    everything: bool  # whether the caller may see every row there is


def compile_changes(
    selections: Selections,
    model: type[Model],
    parts: Mapping[str, Sequence[FieldNode]],
    arguments: Mapping[str, Tree],
    key: str,
) -> ChangePlan:
    """Compile for one caller's rights; raises :class:`Forbidden` without the model's own."""
    policies = selections.policies
    if model.info.read not in policies.rights.permissions:
        raise Forbidden(model.info.read)
    table = source_of(model, selections.alias())
    scope = Scope(model, table, policies)
    columns: Columns = [
        (part, object_of(selections.object(scope, nodes, (key, part))))
        for part, nodes in parts.items()
    ]
    conditions = policies.rows(model, table)
    if (where := arguments.get("where")) is not None:
        conditions.append(selections.filters.condition(scope, where))
    entry = Parts(['"', as_text(table.c.id), '":', *object_of(columns).parts])
    joined = sa.func.coalesce(sa.func.string_agg(entry.expression, literal(",")), literal(""))
    ids = selections.binds.value(lambda v: v[IDS], sa.ARRAY(sa.Uuid))
    statement = (
        sa.select(in_bytes(Parts(["{", joined, "}"]).expression))
        .select_from(scope.from_())
        .where(
            table.c.tenant_id == selections.binds.context("tenant"), table.c.id == sa.any_(ids),
            *conditions,
        )
    )  # fmt: skip
    return ChangePlan(
        selections.statement(statement), tuple(selections.steps), tuple(selections.withheld),
        Reach.ALL in policies.rights.scopes(model.info.read),
    )  # fmt: skip
