"""Connections: keyset pages, cursors and counts in SQL."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from guanxi_graphql.compile.arguments import Leaf, Tree
from guanxi_graphql.compile.binds import PlanBinds, Variables
from guanxi_graphql.compile.cursors import cursor_of, read_cursor
from guanxi_graphql.compile.filters import _TYPES
from guanxi_graphql.compile.scope import Scope, source_of
from guanxi_graphql.schema.bindings import Sortable, Stored
from guanxi_sdk import Invalid, Model

if TYPE_CHECKING:
    from guanxi_graphql.compile.selections import Selections

#: Rows of a page when neither `first` nor `last` says, and at most.
DEFAULT_PAGE = 50
LARGEST_PAGE = 500
#: Of how many rows a page and their count are taken together, in one go.
MOST_TOGETHER = 2_000


@dataclass(frozen=True, slots=True)
class _Key:
    kind: str
    expression: Any
    descending: bool
    nullable: bool


def count_of(rows: Any) -> Any:
    """A select of how many rows there are."""
    return sa.select(sa.func.count().label("n")).select_from(rows)


def if_few(number: Any, value: Any) -> Any:
    """``value``, or NULL where there are more rows than are taken together."""
    return sa.case((number <= sa.literal_column(str(MOST_TOGETHER)), value))


def limit_of(
    binds: PlanBinds, name: str, leaf: Tree | None, default: int, remedy: str, *, extra: int = 0
) -> Any:
    """A size as a limit; what the document fixes is no placeholder, so that the planner knows it.

    Raises :class:`Invalid` for one out of bounds, if it is a variable when the statement is run.
    """

    def size(variables: Variables) -> int:
        asked = leaf.get(variables) if isinstance(leaf, Leaf) else None
        if asked is None:
            return default + extra
        if asked < 0:
            raise Invalid(name, "must not be negative.")
        if asked > LARGEST_PAGE:
            raise Invalid(name, f"must be at most {LARGEST_PAGE}: {remedy}.")
        return int(asked) + extra

    if leaf is None or (isinstance(leaf, Leaf) and leaf.fixed):
        return sa.literal_column(str(size({})), sa.BigInteger)
    return binds.value(size, sa.BigInteger)


class Connection:
    """One connection in a selection: its rows, filters, order and page."""

    def __init__(
        self, selections: "Selections", model: type[Model], arguments: dict[str, Tree],
        parent: Any = None,
    ) -> None:  # fmt: skip
        self._selections = selections
        self._binds = selections.binds
        self._policies = selections.policies
        self._model = model
        self._arguments = arguments
        self._parent = parent  # (column of the model, the parent's id expression)
        self.backward = "last" in arguments
        if self.backward and "first" in arguments:
            raise Invalid("last", "cannot be combined with `first`: ask for one end of the list.")
        self._tag = ""
        self._one_more = False  # whether the rows hold one more than the page
        self._pages: list[Any] = []
        self._exported: list[str] = []  # what the sort keys are called in the rows
        text = arguments.get("search")
        self._search = selections.search(text) if isinstance(text, Leaf) else None
        self._hits: Any = None  # what is found, in the statement that base() began

    def base(self) -> tuple[Scope, list[Any]]:
        """A fresh scope over the table and the conditions that every page shares."""
        table = self._table()
        if self._search is not None and self._parent is not None:  # of few rows, each is asked
            self._hits = self._search.hits(self._model, table.c.id)
        elif self._search is not None:
            self._hits = self._search.hits(self._model)
            table = self._search.rows(self._model, self._hits)
        scope = Scope(self._model, table, self._policies, hits=self._hits)
        tenant = self._binds.context("tenant")
        conditions = []
        if self._parent is not None:
            column, parent_id = self._parent
            conditions.append(table.c[column] == parent_id)
            tenant = parent_id.table.c.get("tenant_id", tenant)  # see Scope.tenant
        conditions += [table.c.tenant_id == tenant, *self._policies.rows(self._model, table)]
        archived = self._arguments.get("includeArchived")
        shown = isinstance(archived, Leaf) and archived.now
        if not shown and "archived_at" in table.c:
            conditions.append(table.c.archived_at.is_(None))
        where = self._arguments.get("where")
        if where is not None:
            conditions.append(self._selections.filters.condition(scope, where))
        return scope, conditions

    def _table(self) -> Any:
        return source_of(self._model, self._selections.alias())

    def correlated(self, statement: Any) -> Any:
        """A statement on the rows, within one of the parent."""
        if self._parent is None:
            return statement
        return statement.correlate(self._parent[1].table)

    def count(self) -> Any:
        """How many rows there are on all pages."""
        scope, conditions = self.base()
        statement = sa.select(sa.func.count()).select_from(scope.from_()).where(*conditions)
        return self.correlated(statement).scalar_subquery()

    def check(self, *, counted: bool) -> None:
        """Refuse wrong arguments also where no rows are asked for, or at most their number."""
        scope, conditions = self.base()
        if counted:
            conditions = []
        self._page(conditions, self._keys(scope))
        self._binds.check(*conditions, self._limit(False))

    def rows(self, *, one_more: bool) -> Any:
        """The page's rows (and one more, to see whether there are) with their sort keys."""
        scope, conditions = self.base()
        self.keys = self._keys(scope)
        self._page(conditions, self.keys)
        return self.correlated(self._first(self._keyed(scope), conditions, self.keys, one_more))

    def all(self) -> Any:
        """The rows of all pages with their sort keys, but no more than show that they are many."""
        scope, conditions = self.base()
        self.keys = self._keys(scope)
        most: Any = sa.literal_column(str(MOST_TOGETHER + 1))
        return self._keyed(scope).where(*conditions).limit(most)

    def rows_of(self, rows: Any, *, one_more: bool) -> Any:
        """What :meth:`rows` answers, out of the rows of :meth:`all`."""
        keys = [
            replace(key, expression=exported)
            for key, exported in zip(self.keys, self.exported(rows), strict=True)
        ]
        conditions: list[Any] = []
        self._page(conditions, keys)
        return self._first(sa.select(*rows.c), conditions, keys, one_more)

    def _keyed(self, scope: Scope) -> Any:
        """The rows with ``_k…`` for sort keys that are none of their columns."""
        source = scope.source
        made = []
        self._exported = []
        for number, key in enumerate(self.keys):
            name = getattr(key.expression, "key", None)
            if name is None or source.c.get(name) is not key.expression:
                name = f"_k{number}"
                made.append(key.expression.label(name))
            self._exported.append(name)
        return sa.select(*source.c, *made).select_from(scope.from_())

    def _first(
        self, statement: Any, conditions: list[Any], keys: list[_Key], one_more: bool
    ) -> Any:
        self._one_more = one_more
        order = self._order(keys, [key.expression for key in keys], reverse=self.backward)
        return statement.where(*conditions).order_by(*order).limit(self._limit(one_more))

    def own(self, rows: Any) -> Any:
        """The page's own rows, without the one more."""
        if not self._one_more:
            return rows
        limited = self.ordered(sa.select(*rows.c), rows, reverse=self.backward)
        page = limited.limit(self.page_size()).subquery(self._selections.alias())
        self._pages.append(page)
        return page

    def narrow(self, rows: Any, met: Any) -> None:
        """Have columns left out that nothing reads; PostgreSQL would carry them along."""
        sources = self._pages or [rows]
        narrowed = [*self._pages, rows, *([] if met is None else [met])]
        self._selections.narrow(sources, narrowed, self._exported)

    def cursor(self, rows: Any) -> Any:
        """The cursor of a row, made of the rows' exported keys: only rows of the page need one."""
        return cursor_of(self._tag, self.exported(rows))

    def exported(self, rows: Any) -> list[Any]:
        """The rows' sort keys."""
        return [rows.c[name] for name in self._exported]

    def ordered(self, statement: Any, rows: Any, *, reverse: bool = False) -> Any:
        """``statement`` in the connection's order, by the rows' exported keys."""
        return statement.order_by(*self._order(self.keys, self.exported(rows), reverse=reverse))

    @property
    def whole(self) -> bool:
        """Whether the page begins where the list does."""
        return not {"after", "before"} & self._arguments.keys()

    def page_size(self) -> Any:
        """The page size as a bound value."""
        return self._limit(False)

    def _limit(self, one_more: bool) -> Any:
        name = "last" if self.backward else "first"
        return limit_of(
            self._binds, name, self._arguments.get(name), DEFAULT_PAGE, "page with cursors",
            extra=1 if one_more else 0,
        )  # fmt: skip

    def _keys(self, scope: Scope) -> list[_Key]:
        leaf = self._arguments.get("orderBy")
        names = (
            [getattr(item, "value", item) for item in leaf.now] if isinstance(leaf, Leaf) else []
        )
        known = self._selections.schema.orders[f"{self._model.info.name}OrderBy"]
        keys: list[_Key] = []
        for name in dict.fromkeys(names):
            entry: Sortable = known[name]
            kind, expression, _ = self._selections.filters.comparable(scope, entry.binding)
            binding = entry.binding
            nullable = not (
                isinstance(binding, Stored)
                and binding.owner is self._model
                and not binding.field.nullable
            )
            keys.append(_Key(kind, expression, entry.descending, nullable))
            if kind == "id" and name.startswith("ID_"):
                break
        else:
            if not keys and self._hits is not None:
                keys.append(_Key("int", self._hits.c.rank, False, False))
            descending = keys[-1].descending if keys else False
            keys.append(_Key("id", scope.id, descending, False))
        self._tag = ",".join(names) or ("id" if self._hits is None else "search")
        return keys

    @staticmethod
    def _order(keys: list[_Key], expressions: list[Any], *, reverse: bool) -> list[Any]:
        """Empty values come last, in a reversed page first."""
        order = []
        for key, expression in zip(keys, expressions, strict=True):
            term = expression.desc() if key.descending is not reverse else expression.asc()
            if key.nullable:
                term = term.nulls_first() if reverse else term.nulls_last()
            order.append(term)
        return order

    def _page(self, conditions: list[Any], keys: list[_Key]) -> None:
        """Add the conditions of the cursors given."""
        for name in ("after", "before"):
            leaf = self._arguments.get(name)
            if isinstance(leaf, Leaf):
                conditions.append(self._beyond(keys, name, leaf))

    def _beyond(self, keys: list[_Key], name: str, leaf: Leaf) -> Any:
        """Rows strictly behind (`after`) or in front of (`before`) the cursor."""
        kinds = [key.kind for key in keys]
        tag, get = self._tag, leaf.get

        def read(variables: Variables, index: int) -> Any:
            return read_cursor(name, tag, kinds, get(variables))[index]

        values = [
            self._binds.value(
                lambda v, index=i: read(v, index),  # type: ignore[misc]
                sa.BigInteger if key.kind == "money" else _TYPES[key.kind],
            )
            for i, key in enumerate(keys)
        ]
        back = name == "before"
        if len({key.descending for key in keys}) == 1 and not any(key.nullable for key in keys):
            row = sa.tuple_(*[key.expression for key in keys])
            other = sa.tuple_(*values)
            return row < other if keys[0].descending is not back else row > other
        alternatives = []
        same: list[Any] = []
        for key, value in zip(keys, values, strict=True):
            expression = key.expression
            ahead = expression < value if key.descending is not back else expression > value
            if key.nullable and back:
                ahead = sa.or_(ahead, sa.and_(expression.is_not(None), value.is_(None)))
            elif key.nullable:
                ahead = sa.or_(ahead, sa.and_(expression.is_(None), value.is_not(None)))
            alternatives.append(sa.and_(*same, ahead))
            same.append(
                expression.is_not_distinct_from(value) if key.nullable else expression == value
            )
        return sa.or_(*alternatives)
