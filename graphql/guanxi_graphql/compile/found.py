"""The root field `search`: rows of several types, the best first, as one page."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from graphql import FieldNode
from sqlalchemy.dialects.postgresql import ARRAY

from guanxi_graphql.compile.arguments import Leaf, Tree
from guanxi_graphql.compile.connections import DEFAULT_PAGE, limit_of
from guanxi_graphql.compile.cursors import cursor_of, read_cursor
from guanxi_graphql.compile.filters import _TYPES
from guanxi_graphql.compile.json_text import NULL, array_of, constant, object_of
from guanxi_graphql.compile.scope import Scope, literal, source_of
from guanxi_graphql.compile.selections import Columns, Path, Selections
from guanxi_sdk import Forbidden, Model

_TAG = "search"
_KEYS = (("rank", "int"), ("id", "id"), ("type", "text"))
_KINDS = [kind for _, kind in _KEYS]


class Found:
    """What one search finds among the types that the caller may read."""

    def __init__(
        self, selections: Selections, models: tuple[type[Model], ...], arguments: Mapping[str, Tree]
    ) -> None:
        self._selections = selections
        self._binds = selections.binds
        self._models = models
        self._arguments = arguments
        text = arguments["query"]
        assert isinstance(text, Leaf)  # noqa: S101  the schema says so
        self._search = selections.search(text)
        types = arguments.get("types")
        self._types = (
            self._binds.value(lambda v: _names(types.get(v)), ARRAY(sa.Text))
            if isinstance(types, Leaf)
            else None
        )

    def connection(self, nodes: list[FieldNode], path: Path) -> Any:
        """The page as one JSON value."""
        selections = self._selections
        selections.lists = True
        columns: Columns = []
        selected = selections.collect("SearchConnection", [n.selection_set for n in nodes])
        page = self._page().cte(selections.alias())
        for key, same in selected.items():
            name = same[0].name.value
            if name == "__typename":
                columns.append((key, constant("SearchConnection")))
            elif name == "totalCount":
                count = sa.select(sa.func.count()).select_from(self._rows())
                columns.append((key, count.scalar_subquery()))
            elif name == "edges":
                columns.append((key, self._edges(page, same, (*path, key))))
            else:
                columns.append((key, self._page_info(page, same)))
        return selections.one(selections.row(columns).add_cte(page, nest_here=True))

    def _rows(self) -> Any:
        """All that is found: rank, id and type."""
        parts = [part for model in self._models if (part := self._of(model)) is not None]
        if not parts:
            none = [sa.cast(sa.null(), _TYPES[kind]).label(name) for name, kind in _KEYS]
            return sa.select(*none).where(sa.false()).subquery(self._selections.alias())
        found: Any = sa.union_all(*parts) if len(parts) > 1 else parts[0]
        return found.subquery(self._selections.alias())

    def _of(self, model: type[Model]) -> Any:
        """What is found of one type; None where the caller may not read it."""
        policies = self._selections.policies
        if model.info.read not in policies.rights.permissions:
            return None
        try:
            hits = self._search.hits(model)
        except Forbidden:
            return None
        table = self._search.rows(model, hits)
        name = literal(model.info.name)
        conditions = policies.rows(model, table)
        if "archived_at" in table.c:
            conditions.append(table.c.archived_at.is_(None))
        if self._types is not None:
            conditions.append(name == sa.any_(self._types))
        keys = (hits.c.rank, table.c.id, name.label("type"))
        return sa.select(*keys).select_from(sa.join(hits, table, sa.true())).where(*conditions)

    def _page(self) -> Any:
        """The rows of the page, and one more to see whether there are."""
        rows = self._rows()
        keys = [rows.c.rank, rows.c.id, rows.c.type]
        statement = sa.select(*keys).order_by(*keys).limit(self._size(1))
        after = self._arguments.get("after")
        if not isinstance(after, Leaf):
            return statement

        def read(variables: Any, index: int) -> Any:
            return read_cursor("after", _TAG, _KINDS, after.get(variables))[index]

        values = [
            self._binds.value(lambda v, index=index: read(v, index), _TYPES[kind])  # type: ignore[misc]
            for index, kind in enumerate(_KINDS)
        ]
        return statement.where(sa.tuple_(*keys) > sa.tuple_(*values))

    def _size(self, more: int) -> Any:
        leaf = self._arguments.get("first")
        return limit_of(self._binds, "first", leaf, DEFAULT_PAGE, "page with cursors", extra=more)

    def _shown(self, page: Any) -> Any:
        """The rows of the page alone."""
        rows = sa.select(*page.c).order_by(*page.c).limit(self._size(0))
        return rows.subquery(self._selections.alias())

    def _edges(self, page: Any, nodes: list[FieldNode], path: Path) -> Any:
        selections = self._selections
        rows = self._shown(page)
        columns: Columns = []
        for key, same in selections.collect("SearchEdge", [n.selection_set for n in nodes]).items():
            name = same[0].name.value
            if name == "__typename":
                columns.append((key, constant("SearchEdge")))
            elif name == "cursor":
                columns.append((key, cursor_of(_TAG, list(rows.c))))
            else:
                columns.append((key, self._node(rows, same, (*path, key))))
        each = selections.row(columns).select_from(rows).order_by(*rows.c)
        return array_of(each.subquery(selections.alias()))

    def _node(self, rows: Any, nodes: list[FieldNode], path: Path) -> Any:
        """The object of a row, read for the rows of the page alone."""
        selections = self._selections
        forms = []
        for model in self._models:
            if model.info.read not in selections.policies.rights.permissions:
                continue
            table = source_of(model, selections.alias())
            scope = Scope(model, table, selections.policies)
            one = object_of(selections.object(scope, nodes, path)).expression
            found = (
                sa.select(one)
                .select_from(scope.from_())
                .where(table.c.tenant_id == self._binds.context("tenant"), table.c.id == rows.c.id)
                .correlate(rows)
            )
            forms.append((rows.c.type == literal(model.info.name), found.scalar_subquery()))
        return sa.case(*forms) if forms else NULL

    def _page_info(self, page: Any, nodes: list[FieldNode]) -> Any:
        selections = self._selections
        columns: Columns = []
        for key, same in selections.collect("PageInfo", [n.selection_set for n in nodes]).items():
            name = same[0].name.value
            if name == "__typename":
                columns.append((key, constant("PageInfo")))
            elif name in ("startCursor", "endCursor"):
                rows = self._shown(page)
                order = [c.desc() if name == "endCursor" else c for c in rows.c]
                cursor = sa.select(cursor_of(_TAG, list(rows.c))).order_by(*order)
                columns.append((key, cursor.limit(sa.literal_column("1")).scalar_subquery()))
            elif name == "hasNextPage":
                count = sa.select(sa.func.count() > self._size(0)).select_from(page)
                columns.append((key, count.scalar_subquery()))
            else:
                columns.append((key, sa.true() if "after" in self._arguments else sa.false()))
        return object_of(columns)


def _names(types: Any) -> list[str]:
    return [str(getattr(one, "value", one)) for one in types]
