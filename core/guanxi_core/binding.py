"""SQL that plugin authors write, bound to one tenant and to the rows that its caller may see."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import selectable
from sqlalchemy.util import immutabledict

from guanxi_sdk import PluginError

#: Conditions that a table in a subquery must meet beside its tenant's.
Narrow = Callable[[Any], Sequence[Any]]


def bind(
    expression: Any,
    source: Any,
    tenant: Any,
    narrow: Narrow | None = None,
    beside: Collection[Any] = (),
) -> Any:
    """Bind every table of the subqueries in ``expression`` to the tenant; correlate to ``source``.

    The expression was freshly made, so that it is changed in place. It may take columns from what
    stands ``beside`` the source and is bound already.
    """
    binder = _Binder(source, tenant, narrow, beside)
    binder.visit(expression, (source, *beside))
    for change in binder.changes:
        change()
    return expression


def unmark(select: Any) -> None:
    """Have ``select`` compiled as it stands: the ORM, whose attributes it was made of, has no part.

    What comes of it is the same, in half the time.
    """
    if select._propagate_attrs:
        select._propagate_attrs = immutabledict()


class _Binder:
    """Walks an expression as it was written; what it adds is added when the walk is over."""

    def __init__(
        self, source: Any, tenant: Any, narrow: Narrow | None, beside: Collection[Any]
    ) -> None:
        self._source = source
        self._beside = beside
        self._tenant = tenant
        self._narrow = narrow
        self.changes: list[Callable[[], None]] = []

    def visit(self, element: Any, outer: tuple[Any, ...]) -> None:
        """Bind the subqueries in ``element``, within the tables of ``outer``."""
        if isinstance(element, sa.FromClause) and element.is_derived_from(self._source):
            return
        if any(element is one for one in self._beside):
            return
        if isinstance(element, sa.CTE | sa.Subquery):  # it would be part of itself
            outer = tuple(one for one in outer if one is not element)
        if isinstance(element, sa.Select):
            own: list[Any] = []
            for item in _froms(element):
                if any(item is known or item.is_derived_from(known) for known in outer):
                    continue
                conditions = self._from(item, own)
                self.changes.append(lambda e=element, c=tuple(conditions): _where(e, c))  # type: ignore[misc]
            unmark(element)
            element._correlate_except = tuple(own)  # what stands beside the source may come later
            element._auto_correlate = False
            outer = (*outer, *own)
        for child in element.get_children():
            self.visit(child, outer)

    def _from(self, item: Any, tables: list[Any]) -> list[Any]:
        """Conditions for WHERE; those of an outer join's other side go into its ON."""
        if isinstance(item, sa.Join):
            left = self._from(item.left, tables)
            right = self._from(item.right, tables)
            if item.full:
                raise PluginError("", "an SQL field cannot use a FULL JOIN: use a LEFT JOIN.")
            if not item.isouter:
                return left + right
            self.changes.append(lambda: _on(item, right))
            return left
        tables.append(item)
        if "tenant_id" not in item.c:
            return []
        more = self._narrow(item) if self._narrow else ()
        return [item.c.tenant_id == self._tenant, *more]


def _froms(select: Any) -> list[Any]:
    """What ``select`` reads from. Joins that its methods noted down become part of it for good.

    ``get_final_froms()`` makes them anew each time, and compiles the whole statement for it.
    """
    if select._setup_joins or select._memoized_select_entities:
        select._from_obj = tuple(select.get_final_froms())
        select._setup_joins = select._memoized_select_entities = ()
    state: Any = selectable.SelectState
    froms: list[Any] = state(select, None).froms
    return froms


def _where(select: Any, conditions: tuple[Any, ...]) -> None:
    select._where_criteria += conditions


def _on(join: Any, conditions: list[Any]) -> None:
    join.onclause = sa.and_(join.onclause, *conditions)
