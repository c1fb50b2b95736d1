"""Aggregates: counts, sums, averages and extremes of rows, together and in groups, in SQL.

The rows are read once for what all of them come to, and once for the groups. Amounts of different
currencies are never added: where there are some, the rows are grouped by each currency as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from graphql import FieldNode
from sqlalchemy.dialects.postgresql import aggregate_order_by

from guanxi_graphql.compile.arguments import Leaf, Tree
from guanxi_graphql.compile.connections import DEFAULT_PAGE, Connection, limit_of
from guanxi_graphql.compile.figures import Figure, figures_of
from guanxi_graphql.compile.filters import _TYPES
from guanxi_graphql.compile.json_text import NULL, JSONText, Parts, constant, object_of, quoted
from guanxi_graphql.compile.scope import Scope, choice_name, literal
from guanxi_graphql.schema.bindings import Expression, Groupable
from guanxi_sdk import Confidentiality, Forbidden, Model

if TYPE_CHECKING:
    from guanxi_graphql.compile.selections import Path, Selections

Selected = Mapping[str, list[FieldNode]]

#: Reported where a value is shown on some rows.
IN_PART = "The clearance for this reaches some of the rows only: the others are left out of it."


@dataclass(frozen=True, slots=True)
class _Grouped:
    """A select of keys ``k…``, the number of rows ``n`` and the text of each figure ``f…``."""

    statement: Any
    columns: Callable[[Any], dict[str, Any]]  # by response key, for a source of these columns


class Aggregate:
    """One aggregate in a selection."""

    def __init__(
        self, selections: "Selections", model: type[Model], arguments: dict[str, Tree],
        parent: Any = None,
    ) -> None:  # fmt: skip
        self._selections = selections
        self._model = model
        self._arguments = arguments
        self._rows = Connection(selections, model, arguments, parent)
        self._type = f"{model.info.name}Aggregate"
        known = selections.schema.groups[f"{model.info.name}GroupBy"]
        leaf = arguments.get("groupBy")
        names = [_name(item) for item in leaf.now] if isinstance(leaf, Leaf) else []
        self._by: list[Groupable] = [known[name] for name in dict.fromkeys(names)]

    def answer(self, nodes: Sequence[FieldNode], path: "Path") -> Any:
        """The aggregate as one JSON value."""
        selections = self._selections
        selected = selections.collect(self._type, [n.selection_set for n in nodes])
        names = {same[0].name.value for same in selected.values()}
        whole = bool(names & {"count", "values"})
        if not (self._by and "groups" in names):
            self._check(counted=whole)
        together = self._grouped(selected, path, []) if whole else None
        source = together.statement.subquery(selections.alias()) if together else None
        figures = together.columns(source) if together else {}
        columns = []
        for key, same in selected.items():
            name = same[0].name.value
            if name == "__typename":
                columns.append((key, constant(self._type)))
            elif name == "groups":
                columns.append((key, self._groups(same, (*path, key))))
            elif name == "groupCount":
                columns.append((key, self._group_count()))
            else:
                columns.append((key, figures[key]))
        if source is None:
            return object_of(columns)
        return selections.one(selections.row(columns).select_from(source))

    def _check(self, *, counted: bool) -> None:
        """Refuse wrong arguments also where nothing needs them."""
        scope, conditions = self._rows.base()
        for one in self._by:
            self._key(scope, one)
        self._selections.binds.check(*([] if counted else conditions), self._limit())

    def _limit(self) -> Any:
        return limit_of(
            self._selections.binds, "first", self._arguments.get("first"), DEFAULT_PAGE,
            "narrow the groups with `where`",
        )  # fmt: skip

    # --- groups --------------------------------------------------------------------------------

    def _groups(self, nodes: list[FieldNode], path: "Path") -> Any:
        if not self._by:
            return Parts(["[]"])
        selections = self._selections
        type_name = f"{self._type}Group"
        selected = selections.collect(type_name, [n.selection_set for n in nodes])
        grouped = self._grouped(selected, path, self._by)
        groups = grouped.statement.subquery(selections.alias())
        page = sa.select(*groups.c).order_by(*self._order(groups)).limit(self._limit())
        source = page.subquery(selections.alias())
        scope = Scope(self._model, source, selections.policies)
        figures = grouped.columns(source)
        columns = []
        for key, same in selected.items():
            name = same[0].name.value
            if name == "__typename":
                columns.append((key, constant(type_name)))
            elif name == "key":
                columns.append((key, self._key_object(scope, same, (*path, key))))
            else:
                columns.append((key, figures[key]))
        statement = selections.row(columns).select_from(scope.from_())
        return selections.many(statement.order_by(*self._order(source)))

    def _order(self, groups: Any) -> list[Any]:
        """By keys, empty ones last; by count first if that is asked for."""
        leaf = self._arguments.get("orderBy")
        by, _, way = (_name(leaf.now) if isinstance(leaf, Leaf) else "KEY_ASC").partition("_")
        keys = [groups.c[f"k{i}"] for i in range(len(self._by))]
        if by == "COUNT":
            count = groups.c.n.desc() if way == "DESC" else groups.c.n.asc()
            return [count, *(key.asc().nulls_last() for key in keys)]
        return [(key.desc() if way == "DESC" else key.asc()).nulls_last() for key in keys]

    def _group_count(self) -> Any:
        if not self._by:
            return Parts(["0"])
        scope, conditions = self._rows.base()
        keys = [self._key(scope, one).label(f"k{i}") for i, one in enumerate(self._by)]
        groups = sa.select(*keys).distinct().select_from(scope.from_()).where(*conditions)
        groups = self._rows.correlated(groups).subquery(self._selections.alias())
        return sa.select(sa.func.count()).select_from(groups).scalar_subquery()

    # --- keys ----------------------------------------------------------------------------------

    def _key(self, scope: Scope, one: Groupable) -> Any:
        """What rows are grouped by; raises Forbidden where the caller may not read it."""
        filters = self._selections.filters
        kind, value, _ = filters.comparable(scope, one.binding)
        if one.reference is not None:
            filters.require(one.reference.target.info.read)
        if kind in ("date", "datetime"):
            return self._bucket(kind, value)
        if kind == "choice" and isinstance(one.binding, Expression):  # may answer what is none
            members = [literal(member.value) for member in one.binding.returns.python]
            value = sa.case(*[(value == member, member) for member in members])
        return sa.type_coerce(value, _TYPES[kind])

    def _bucket(self, kind: str, value: Any) -> Any:
        """The first day of the bucket in which a date or, in UTC, a time lies."""
        leaf = self._arguments.get("bucket")
        bucket: Any = literal("day")
        if isinstance(leaf, Leaf):
            get = leaf.get
            bucket = self._selections.binds.value(lambda v: _name(get(v)).lower(), sa.Text)
        local = sa.func.timezone(literal("UTC"), value) if kind == "datetime" else sa.cast(
            value, sa.TIMESTAMP
        )  # fmt: skip
        return sa.cast(sa.func.date_trunc(bucket, local), sa.Date)

    def _key_object(self, scope: Scope, nodes: list[FieldNode], path: "Path") -> Parts:
        type_name = f"{self._type}Key"
        places = {one.key: i for i, one in enumerate(self._by)}
        columns: list[tuple[str, Any]] = []
        fields = self._selections.collect(type_name, [n.selection_set for n in nodes])
        for key, same in fields.items():
            name = same[0].name.value
            if name == "__typename":
                columns.append((key, constant(type_name)))
            elif name in places:
                columns.append((key, self._shown(scope, places[name], same, (*path, key))))
            else:
                columns.append((key, NULL))
        return object_of(columns)

    def _shown(self, scope: Scope, place: int, nodes: list[FieldNode], path: "Path") -> Any:
        selections, one = self._selections, self._by[place]
        value = scope.source.c[f"k{place}"]
        if one.reference is not None:
            other = scope.to_one(one.reference.target, selections.alias(), value)
            found = object_of(selections.object(other, nodes, path)).expression
            return sa.case((other.id.is_not(None), found))
        binding = one.binding
        if isinstance(binding, Expression):
            if binding.returns.kind == "choice":
                return quoted(choice_name(binding.returns.python, value, stored=False))
        elif binding.field.kind == "choice":
            return quoted(choice_name(binding.field.python, value))
        return value

    # --- figures -------------------------------------------------------------------------------

    def _grouped(self, selected: Selected, path: "Path", by: Sequence[Groupable]) -> _Grouped:
        """The rows grouped ``by`` keys, with what ``selected`` wants of each group."""
        scope, conditions = self._rows.base()
        keys = [self._key(scope, one).label(f"k{i}") for i, one in enumerate(by)]
        figures: list[Figure] = []
        parts: dict[str, list[tuple[str, Any]]] = {}  # of each `values`
        for key, same in selected.items():
            if same[0].name.value == "values":
                parts[key] = self._values(scope, same, (*path, key), figures)
        source = self._source(scope, conditions, [*keys, *_inputs(figures)], by, figures)
        statement = _by_currency(source, len(by), figures) if _currencies(figures) else (
            sa.select(
                *_keys(source, len(by)), sa.func.count().label("n"),
                *(one.of(source).label(one.name) for one in figures),
            ).select_from(source).group_by(*_keys(source, len(by)))
        )  # fmt: skip

        def columns(of: Any) -> dict[str, Any]:
            return {
                key: of.c.n if key not in parts else object_of(
                    [(name, of.c[f.name] if isinstance(f, Figure) else f) for name, f in parts[key]]
                )
                for key in selected
            }  # fmt: skip

        return _Grouped(statement, columns)

    def _source(
        self, scope: Scope, conditions: list[Any], columns: list[Any], by: Sequence[Groupable],
        figures: list[Figure],
    ) -> Any:  # fmt: skip
        """The rows with the columns that are needed of them; SQL fields are computed once."""
        columns = columns or [sa.literal_column("1").label("one")]
        rows: Any = sa.select(*columns).select_from(scope.from_()).where(*conditions)
        bindings = [*(one.binding for one in by), *(one.binding for one in figures)]
        if any(isinstance(binding, Expression) for binding in bindings):
            rows = rows.offset(sa.literal_column("0"))
        return self._rows.correlated(rows).subquery(self._selections.alias())

    def _values(
        self, scope: Scope, nodes: list[FieldNode], path: "Path", figures: list[Figure]
    ) -> list[tuple[str, Any]]:
        """The fields below one `values`; what is to be computed is added to ``figures``."""
        selections = self._selections
        type_name = f"{self._type}Values"
        bindings = selections.schema.fields[type_name]
        found: list[tuple[str, Any]] = []
        for key, same in selections.collect(type_name, [n.selection_set for n in nodes]).items():
            name, here = same[0].name.value, (*path, key)
            if name == "__typename":
                found.append((key, constant(type_name)))
                continue
            binding = bindings[name]
            try:
                kind, value, currency = selections.filters.comparable(scope, binding)
            except Forbidden as error:
                selections.report(here, error)
                found.append((key, NULL))
                continue
            permission = binding.needs or self._model.info.read
            shown = selections.policies.shown(
                self._model, scope.source, permission, binding.confidentiality, binding.name
            )
            if shown is not None and binding.confidentiality > Confidentiality.INTERNAL:
                selections.report(here, Forbidden(permission, IN_PART))
            figure = figures_of(selections, binding, len(figures), kind, value, currency, same)
            figures.append(figure)
            found.append((key, figure))
        return found


def _name(value: Any) -> str:
    """The name of an enum's value."""
    return str(getattr(value, "value", value))


def _inputs(figures: Sequence[Figure]) -> list[Any]:
    return [column for one in figures for column in one.inputs]


def _keys(source: Any, count: int) -> list[Any]:
    return [source.c[f"k{i}"] for i in range(count)]


def _currencies(figures: Sequence[Figure]) -> list[Figure]:
    return [one for one in figures if one.currency is not None]


def _by_currency(source: Any, count: int, figures: Sequence[Figure]) -> Any:
    """Groups in two steps: by the keys alone and with each currency, then all of one key together.

    The second step finds one row of the first for the keys alone, and one for each currency.
    """
    keys, monies = _keys(source, count), _currencies(figures)
    codes = [source.c[one.currency] for one in monies]
    sets = sa.func.grouping_sets(sa.tuple_(*keys), *(sa.tuple_(*keys, code) for code in codes))
    first = (
        sa.select(
            *keys, sa.func.count().label("n"),
            *codes, *(sa.func.grouping(code).label(f"{code.name}g") for code in codes),
            *(one.of(source).label(one.name) for one in figures),
        )
        .select_from(source).group_by(sets).subquery(f"{source.name}s")
    )  # fmt: skip
    alone = sa.and_(*(first.c[f"{one.currency}g"] == sa.literal_column("1") for one in monies))

    def second(one: Figure) -> Any:
        text = first.c[one.name]
        if one.currency is None:
            return sa.type_coerce(sa.func.max(text).filter(alone), JSONText)
        code = first.c[one.currency]
        here = first.c[f"{one.currency}g"] == sa.literal_column("0")
        entries = sa.func.string_agg(text, aggregate_order_by(literal(","), code))
        joined = sa.func.coalesce(entries.filter(here, code.is_not(None)), literal(""))
        return Parts(["[", joined, "]"]).expression

    return (
        sa.select(
            *_keys(first, count), sa.func.max(first.c.n).filter(alone).label("n"),
            *(second(one).label(one.name) for one in figures),
        )
        .select_from(first).group_by(*_keys(first, count))
    )  # fmt: skip
