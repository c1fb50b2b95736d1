"""Pages: a connection's edges, page information and count as one JSON value."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from graphql import FieldNode

from guanxi_graphql.compile.arguments import Tree
from guanxi_graphql.compile.connections import Connection, count_of, if_few
from guanxi_graphql.compile.json_text import Parts, constant, object_of
from guanxi_graphql.compile.scope import Scope
from guanxi_sdk import Model

if TYPE_CHECKING:
    from guanxi_graphql.compile.selections import Columns, Path, Selections


def page_of(
    selections: "Selections",
    model: type[Model],
    nodes: Sequence[FieldNode],
    arguments: dict[str, Tree],
    path: "Path",
    parent: Any = None,
) -> Any:
    """A page of a model's rows, which may be asked for, as one JSON value."""
    page = Connection(selections, model, arguments, parent)
    type_name = f"{model.info.name}Connection"
    selected = selections.collect(type_name, [n.selection_set for n in nodes])
    names = {same[0].name.value for same in selected.values()}
    rows = met = number = None
    if names & {"edges", "pageInfo"}:
        info = [same for same in selected.values() if same[0].name.value == "pageInfo"]
        asked = {
            inner[0].name.value
            for same in info
            for inner in selections.collect("PageInfo", [n.selection_set for n in same]).values()
        }
        more = "hasPreviousPage" if page.backward else "hasNextPage"
        if "totalCount" in names and parent is None and not selections.apart:
            met = page.all().cte(selections.alias())
            number = count_of(met).subquery(selections.alias()).c.n
            statement = page.rows_of(met, one_more=more in asked and not page.whole)
        else:
            statement = page.rows(one_more=more in asked)
        rows = statement.cte(selections.alias()) if info else statement.subquery(selections.alias())
    else:
        page.check(counted="totalCount" in names)
    columns: Columns = []
    for key, same in selected.items():
        name = same[0].name.value
        if name == "__typename":
            columns.append((key, constant(type_name)))
        elif name == "totalCount":
            columns.append((key, page.count() if number is None else number))
        elif name == "edges":
            columns.append((key, _edges(selections, page, model, rows, same, (*path, key))))
        else:
            known = number if page.whole else None
            columns.append((key, _page_info(selections, page, rows, same, arguments, known)))
    ctes = [cte for cte in (met, rows) if isinstance(cte, sa.CTE)]
    if not ctes:
        return object_of(columns)
    whole = object_of(columns).expression
    if number is not None:
        selections.together = True
        whole = if_few(number, whole)
    page.narrow(rows, met)
    return Parts([selections.one(sa.select(whole.label("j")).add_cte(*ctes, nest_here=True))])


def _edges(
    selections: "Selections",
    page: Connection,
    model: type[Model],
    rows: Any,
    nodes: list[FieldNode],
    path: "Path",
) -> Any:
    source = page.own(rows)
    scope = Scope(model, source, selections.policies)
    type_name = f"{model.info.name}Edge"
    columns: Columns = []
    for key, same in selections.collect(type_name, [n.selection_set for n in nodes]).items():
        name = same[0].name.value
        if name == "__typename":
            columns.append((key, constant(type_name)))
        elif name == "cursor":
            columns.append((key, page.cursor(source)))
        else:
            columns.append((key, object_of(selections.object(scope, same, (*path, key)))))
    statement = selections.row(columns).select_from(scope.from_())
    return selections.many(page.ordered(statement, source))


def _page_info(
    selections: "Selections",
    page: Connection,
    rows: Any,
    nodes: list[FieldNode],
    arguments: Mapping[str, Tree],
    number: Any,
) -> Any:
    """What is known about the page; of how many rows it is the first ones, if that is counted."""
    columns: Columns = []
    for key, same in selections.collect("PageInfo", [n.selection_set for n in nodes]).items():
        name = same[0].name.value
        if name == "__typename":
            columns.append((key, constant("PageInfo")))
        elif name in ("startCursor", "endCursor"):
            source = page.own(rows)
            keys = sa.select(*page.exported(source))
            end = page.ordered(keys, source, reverse=name == "endCursor")
            row = end.limit(sa.literal_column("1")).subquery(selections.alias())
            columns.append((key, sa.select(page.cursor(row)).scalar_subquery()))
        elif (name == "hasPreviousPage") is page.backward:
            if number is None:
                number = sa.select(sa.func.count()).select_from(rows).scalar_subquery()
            columns.append((key, number > page.page_size()))
        else:
            passed = "before" if page.backward else "after"
            columns.append((key, sa.true() if passed in arguments else sa.false()))
    return object_of(columns)
