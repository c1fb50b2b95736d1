"""The statements of one import step: a temporary table, look-ups, and one merge into the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, asyncpg
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.schema import CreateTable

from guanxi_core.custom.definitions import CustomValues
from guanxi_core.importing.beside import kept_beside
from guanxi_core.importing.binding import Binding
from guanxi_core.importing.columns import lookup_column, stored_default
from guanxi_core.importing.planning import FieldPlan
from guanxi_core.importing.searching import insertion, removal
from guanxi_sdk.info import FieldInfo

_DIALECT: Final = asyncpg.dialect()  # type: ignore[no-untyped-call]
_LINE, _ID = "guanxi_line", "guanxi_id"
EVERY_LINE: Final = (0, 2**62)
#: Columns that come before the converters' in a record of the staging table.
LEADING: Final = (_LINE, _ID)


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with its arguments, for an asyncpg connection."""

    sql: str
    arguments: tuple[Any, ...] = ()


def _compile(statement: Any) -> tuple[str, Sequence[str], dict[str, Any]]:
    """SQL for asyncpg, the names of its arguments in order, and the values known already."""
    made = statement.compile(dialect=_DIALECT)
    return str(made), getattr(made, "positiontup", None) or (), made.params


def compiled(statement: Any) -> Statement:
    """A statement whose arguments are all known."""
    sql, names, values = _compile(statement)
    return Statement(sql, tuple(values[name] for name in names))


def inserted(table: sa.Table, row: Mapping[str, Any]) -> Statement:
    """Insert one row of a system table; JSON goes as text."""
    values = {
        name: sa.literal(msgspec.json.encode(value).decode(), sa.Text).cast(JSONB)
        if isinstance(value, dict)
        else value
        for name, value in row.items()
    }
    return compiled(sa.insert(table).values(values))


class Staging:
    """Everything the database is asked to do for one step."""

    def __init__(self, binding: Binding, tenant_id: UUID) -> None:
        step = binding.step
        self._step = step
        self._tenant_id = tenant_id
        self._target = step.info.table
        self._plans = tuple(made.plan for made in binding.converters)
        self._searched = binding.searched
        lookups = [plan for plan in self._plans if plan.lookup is not None]
        # a look-up within what another one finds comes after it
        self.lookups = tuple(sorted(lookups, key=lambda p: bool(p.lookup and p.lookup.within)))
        self.own = tuple(
            plan for plan in self.lookups
            if plan.lookup is not None and plan.lookup.reference.target is step.model
        )  # fmt: skip
        staged = binding.staged
        self.columns = (*LEADING, *(column.name for column in staged))
        self._staged = sa.Table(
            f"guanxi_import_{uuid4().hex[:12]}",
            sa.MetaData(),
            sa.Column(_LINE, sa.BigInteger, nullable=False),
            sa.Column(_ID, sa.Uuid, nullable=False),
            *(sa.Column(column.name, column.type) for column in staged),
            *(sa.Column(plan.info.name, sa.Uuid) for plan in self.lookups),
            prefixes=["TEMPORARY"],
            postgresql_on_commit="DROP",
        )
        self.name = self._staged.name
        self._merges: dict[bool, tuple[str, Sequence[str], dict[str, Any]]] = {}

    def create(self) -> Statement:
        """Make the staging table; it goes with the transaction."""
        return compiled(CreateTable(self._staged))

    def index(self) -> Statement:
        """Make lines quick to find, for merging many small parts."""
        return Statement(
            f'CREATE INDEX IF NOT EXISTS "{self.name}_line" ON "{self.name}" ({_LINE})'
        )

    def empty(self) -> Statement:
        """Forget the rows of the last chunk."""
        return Statement(f'TRUNCATE "{self.name}"')

    def drop(self) -> Statement:
        """Forget the staging table."""
        return Statement(f'DROP TABLE "{self.name}"')

    def remove(self, lines: Sequence[int]) -> Statement:
        """Forget rows that were rejected."""
        condition = self._staged.c[_LINE] == sa.any_(_array(lines))
        return compiled(sa.delete(self._staged).where(condition))

    @property
    def adopts(self) -> bool:
        """Whether rows must take the id of their forerunner before they are merged."""
        return bool(self.own) or not self._step.constrained

    def ambiguous(self) -> Statement:
        """Lines whose key is that of several rows already there."""
        staged, target = self._staged, self._target
        return compiled(
            sa.select(staged.c[_LINE])
            .join(target, self._same())
            .group_by(staged.c[_LINE])
            .having(sa.func.count() > 1)
            .order_by(staged.c[_LINE])
        )

    def adopt(self) -> Statement:
        """Give each row the id of the row with the same key, if there is one."""
        return compiled(
            sa.update(self._staged).values({_ID: self._target.c.id}).where(self._same())
        )

    def _same(self) -> sa.ColumnElement[bool]:
        staged, target = self._staged, self._target
        conditions: list[sa.ColumnElement[bool]] = [target.c.tenant_id == self._tenant_id]
        for field in self._step.key:
            for name in field.columns:
                equal: sa.ColumnElement[bool] = target.c[name] == staged.c[name]
                if field.nullable:
                    both = sa.and_(target.c[name].is_(None), staged.c[name].is_(None))
                    equal = sa.or_(equal, both)
                conditions.append(equal)
        return sa.and_(*conditions)

    def _candidates(self, plan: FieldPlan) -> sa.FromClause:
        """What a reference can point to: ``(id, value)`` of rows there and, for its own, staged."""
        assert plan.lookup is not None  # noqa: S101  the caller goes through `lookups`
        name = plan.lookup.attribute.columns[0]
        target = plan.lookup.reference.target.info.table
        columns = [target.c.id.label("id"), target.c[name].label("value")]
        if plan.lookup.within:
            columns.append(target.c[plan.lookup.within[1]].label("within"))
        there = sa.select(*columns).where(target.c.tenant_id == self._tenant_id)
        if plan not in self.own:
            return there.subquery("candidates")
        staged = self._staged.alias("others")
        value = staged.c.get(_ID if name == "id" else name)
        if value is None:  # the file does not give what its rows are looked up by
            return there.subquery("candidates")
        columns = [staged.c[_ID].label("id"), value.label("value")]
        if plan.lookup.within:
            columns.append(staged.c[plan.lookup.within[1]].label("within"))
        there = there.where(~sa.exists().where(staged.c[_ID] == target.c.id))
        return sa.union_all(there, sa.select(*columns)).subquery("candidates")

    def _found(self, plan: FieldPlan, candidates: sa.FromClause) -> sa.ColumnElement[bool]:
        """Whether a candidate is what a row looks up."""
        found = candidates.c.value == self._sought(plan)
        if plan.lookup and plan.lookup.within:
            found &= candidates.c.within == self._staged.c[plan.lookup.within[0]]
        return found

    def _sought(self, plan: FieldPlan) -> sa.ColumnElement[Any]:
        return self._staged.c[lookup_column(plan.info.name)]

    def unresolved(self, plan: FieldPlan) -> Statement:
        """Lines whose look-up finds no row, or several: line, text, number found."""
        staged, candidates = self._staged, self._candidates(plan)
        sought = self._sought(plan)
        return compiled(
            sa.select(staged.c[_LINE], sa.cast(sought, sa.Text), sa.func.count(candidates.c.id))
            .join(candidates, self._found(plan, candidates), isouter=True)
            .where(sought.is_not(None))
            .group_by(staged.c[_LINE], sought)
            .having(sa.func.count(candidates.c.id) != 1)
            .order_by(staged.c[_LINE])
        )

    def resolve(self, plan: FieldPlan) -> Statement:
        """Fill the reference from what it is looked up by."""
        staged, candidates = self._staged, self._candidates(plan)
        return compiled(
            sa.update(staged)
            .values({plan.info.name: candidates.c.id})
            .where(self._found(plan, candidates))
        )

    def read(self) -> Statement:
        """All staged rows by line, as they are about to be written."""
        written = (name for plan in self._plans for name in plan.info.columns)
        columns = [self._staged.c[name] for name in (_LINE, *written)]
        return compiled(sa.select(*columns).order_by(self._staged.c[_LINE]))

    def lines(self) -> Statement:
        """The lines that are left."""
        return compiled(sa.select(self._staged.c[_LINE]).order_by(self._staged.c[_LINE]))

    def _written(self) -> list[str]:
        """The columns of the model's own table."""
        custom = self._step.custom
        return [
            name for plan in self._plans if plan.info.name not in custom
            for name in plan.info.columns
        ]  # fmt: skip

    @property
    def custom(self) -> list[CustomValues]:
        """The custom fields that the file gives."""
        given = (self._step.custom.get(plan.info.name) for plan in self._plans)
        return [one for one in given if one is not None]

    def _defaults(self) -> list[FieldInfo]:
        given = {plan.info.name for plan in self._plans}
        return [
            field
            for field in (*self._step.info.fields.values(), *self._step.info.private.values())
            if field.default is not None and field.name not in given
        ]

    def merge(
        self, between: tuple[int, int] = EVERY_LINE, *, without_own: bool = False
    ) -> Statement:
        """Insert or update the staged rows; answers created, updated, first id, last id, and ids.

        ``without_own`` leaves references among the staged rows out, to try a part of them.
        """
        made = self._merges.get(without_own)
        if made is None:
            made = self._merges[without_own] = self._compile_merge(without_own)
        sql, names, values = made
        given = values | {"low": between[0], "high": between[1]}
        return Statement(sql, tuple(given[name] for name in names))

    def _compile_merge(self, without_own: bool) -> tuple[str, Sequence[str], dict[str, Any]]:
        staged, target = self._staged, self._target
        own = {plan.info.name for plan in self.own} if without_own else set()
        written = [name for name in self._written() if name not in own]
        defaults = self._defaults()
        rows = sa.select(
            sa.literal(self._tenant_id, sa.Uuid),
            staged.c[_ID],
            *(staged.c[name] for name in written),
            *(
                sa.literal(stored_default(field.default), target.c[field.columns[0]].type)
                for field in defaults
            ),
        ).order_by(staged.c[_LINE])
        low, high = (sa.bindparam(name, type_=sa.BigInteger) for name in ("low", "high"))
        rows = rows.where(staged.c[_LINE].between(low, high))
        insert = pg_insert(target).from_select(
            ["tenant_id", "id", *written, *(field.columns[0] for field in defaults)],
            rows,
            include_defaults=False,
        )
        constrained = self._step.constrained and not self.own
        key = self._step.info.key if constrained else "id"
        changing = [
            name for name in written
            if name not in {column for field in self._step.key for column in field.columns}
        ]  # fmt: skip
        arbiter = [target.c.tenant_id, target.c[key or "id"]]
        if changing:
            differs = sa.or_(
                *(target.c[name].is_distinct_from(insert.excluded[name]) for name in changing)
            )
            if self._step.info.subject:
                differs = sa.and_(differs, target.c.erased_at.is_(None))
            insert = insert.on_conflict_do_update(
                index_elements=arbiter,
                set_={
                    **{name: insert.excluded[name] for name in changing},
                    "version": target.c.version + 1,
                    "updated_at": sa.func.now(),
                },
                where=differs,
            )
        else:
            insert = insert.on_conflict_do_nothing(index_elements=arbiter)
        done = insert.returning(
            target.c.id, sa.literal_column("(xmax = 0)", sa.Boolean).label("created")
        ).cte("done")
        new = sa.and_(done.c.created, done.c.id == staged.c[_ID])
        places = [
            insertion(self._step, one, self._tenant_id, staged, done, new).cte(f"places_{number}")
            for number, one in enumerate(self._searched)
        ]
        changed = sa.func.array_agg(done.c.id).filter(~done.c.created)
        return _compile(
            sa.select(
                sa.func.count().filter(done.c.created).label("created"),
                sa.func.count().filter(~done.c.created).label("updated"),
                _one_id(done, done.c.id.asc()).label("first"),
                _one_id(done, done.c.id.desc()).label("last"),
                (changed if self._searched else sa.null()).label("changed"),
                (sa.func.array_agg(done.c.id) if self.custom else sa.null()).label("merged"),
            )
            .select_from(done)
            .add_cte(*places)
        )

    def keep_custom(self, merged: Sequence[UUID], between: tuple[int, int]) -> Statement:
        """Keep the staged values of custom fields beside the rows, after the merge.

        Answers how many rows changed by this that are not among ``merged``, first and last id.
        """
        by_key = self._step.constrained and not self.own
        same = self._same() if by_key else self._target.c.id == self._staged.c[_ID]
        rows = sa.and_(same, self._staged.c[_LINE].between(*between))
        statement = kept_beside(
            self.custom, self._tenant_id, self._target, self._staged, rows, merged
        )
        return compiled(statement)

    def search(self, changed: Sequence[UUID]) -> list[Statement]:
        """Have changed rows found by what they say now.

        After the merge: it waited for others who wrote these rows, and does not see what they left.
        """
        ids = sa.literal(list(changed), sa.ARRAY(sa.Uuid))
        target, staged = self._target, self._staged
        by_key = self._step.constrained and not self.own
        same = self._same() if by_key else target.c.id == staged.c[_ID]
        mine = sa.and_(same, target.c.tenant_id == self._tenant_id, target.c.id == sa.any_(ids))
        return [
            compiled(statement)
            for one in self._searched
            if one.at is not None
            for statement in (
                removal(self._step, one, self._tenant_id, ids),
                insertion(self._step, one, self._tenant_id, staged, target, mine),
            )
        ]


def _one_id(done: sa.CTE, order: Any) -> Any:
    return sa.select(done.c.id).order_by(order).limit(1).scalar_subquery()


def _array(lines: Sequence[int]) -> Any:
    return sa.bindparam("lines", list(lines), type_=sa.ARRAY(sa.BigInteger))
