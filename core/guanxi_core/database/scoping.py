"""The statement guard: an engine whose statements cannot reach past one tenant.

Every statement is checked when it is compiled, after SQLAlchemy has worked out what it selects
from: each table needs an equality for ``tenant_id``, in the same SELECT, that leads to a bound
value or to a table that has one. Each execution then compares the bound values with the
connection's tenant. Text, which cannot be checked, is refused. The check is part of the compiled
statement, so that SQLAlchemy's cache keeps it and repeating a statement costs next to nothing.

This is not a sandbox; it makes a forgotten predicate an error instead of a wrong answer.
Row-level security is the second line below it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg, PGDialect_asyncpg
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BindParameter, BooleanClauseList, Cast, Grouping
from sqlalchemy.sql.expression import ColumnElement, FromClause
from sqlalchemy.sql.lambdas import LambdaElement
from sqlalchemy.sql.selectable import (
    AliasedReturnsRows,
    FromGrouping,
    Join,
    ScalarSelect,
    Select,
    TableClause,
)
from sqlalchemy.util import LRUCache

from guanxi_core.database.connections import NO_SETTINGS, Timed, connect
from guanxi_sdk import GuanxiError

#: Execution option of the core's own statements that read and write at once.
WRITE: Final = "guanxi_write"
_OPTION: Final = "guanxi_tenant"
_ENTER: Final = "SELECT set_config('guanxi.tenant', $1, true)"
_COLUMN: Final = "tenant_id"
#: Functions that change the tenant, or run SQL that cannot be checked.
_FORBIDDEN: Final = (
    "set_config", "guanxi_", "query_to_", "cursor_to_", "table_to_", "schema_to_", "database_to_",
    "dblink",
)  # fmt: skip


class UnscopedStatement(GuanxiError):
    """A statement that could reach past its tenant; a mistake of whoever wrote it."""


class _Compiler(PGCompiler_asyncpg):
    """SQLAlchemy's compiler, with a look at the tables of every SELECT, UPDATE and DELETE."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.tenant_values: list[BindParameter[Any]] = []
        self.writes_inside = False  # an INSERT, UPDATE or DELETE within another statement
        super().__init__(*arguments, **keywords)

    @cached_property
    def tenant_names(self) -> list[str]:
        """The names of the bound values that must be the caller's tenant."""
        # by hash, because `==` of two bound values is an SQL expression
        names = {hash(bind): name for bind, name in self.bind_names.items()}
        # what stands beside a FALSE is left out of the statement, which then finds nothing
        return [names[hash(value)] for value in self.tenant_values if hash(value) in names]

    def _compose_select_body(
        self, text: Any, select: Any, compile_state: Any, inner_columns: Any, froms: Any,
        byfrom: Any, toplevel: Any, kwargs: Any,
    ) -> Any:  # fmt: skip
        self._scope(froms, select._where_criteria)
        return super()._compose_select_body(  # type: ignore[no-untyped-call]
            text, select, compile_state, inner_columns, froms, byfrom, toplevel, kwargs
        )

    def visit_insert(self, insert_stmt: Any, *arguments: Any, **keywords: Any) -> Any:
        self.writes_inside |= bool(self.stack)
        return super().visit_insert(  # type: ignore[no-untyped-call]
            insert_stmt, *arguments, **keywords
        )

    def visit_update(self, update_stmt: Any, *arguments: Any, **keywords: Any) -> Any:
        self.writes_inside |= bool(self.stack)
        return super().visit_update(update_stmt, *arguments, **keywords)

    def visit_delete(self, delete_stmt: Any, *arguments: Any, **keywords: Any) -> Any:
        self.writes_inside |= bool(self.stack)
        return super().visit_delete(  # type: ignore[no-untyped-call]
            delete_stmt, *arguments, **keywords
        )

    def update_post_criteria_clause(self, update_stmt: Any, **keywords: Any) -> Any:
        self._scope(self.stack[-1]["correlate_froms"], update_stmt._where_criteria)
        return super().update_post_criteria_clause(update_stmt, **keywords)

    def delete_post_criteria_clause(self, delete_stmt: Any, **keywords: Any) -> Any:
        self._scope(self.stack[-1]["correlate_froms"], delete_stmt._where_criteria)
        return super().delete_post_criteria_clause(delete_stmt, **keywords)

    def visit_textclause(self, textclause: Any, *arguments: Any, **keywords: Any) -> Any:
        raise UnscopedStatement(_NO_TEXT)

    def visit_textual_select(self, taf: Any, *arguments: Any, **keywords: Any) -> Any:
        raise UnscopedStatement(_NO_TEXT)

    def visit_column(self, column: Any, *arguments: Any, **keywords: Any) -> Any:
        if column.is_literal and not (column.name == "*" or str(column.name).isdecimal()):
            raise UnscopedStatement(_NO_TEXT)
        return super().visit_column(column, *arguments, **keywords)

    def visit_function(self, func: Any, *arguments: Any, **keywords: Any) -> Any:
        if func.name.lower().startswith(_FORBIDDEN):
            raise UnscopedStatement(f"the function {func.name}() could reach past the tenant.")
        return super().visit_function(func, *arguments, **keywords)

    def _scope(self, froms: Iterable[FromClause], where: Iterable[ColumnElement[Any]]) -> None:
        """Follow the equalities of ``tenant_id`` from bound values to every table."""
        leaves = [leaf for from_ in froms for leaf in _leaves(from_)]
        tables = [leaf for leaf in leaves if _is_table(leaf)]
        if not tables:
            return
        enclosing = self.stack[-1]["correlate_froms"].difference(leaves)
        equalities: list[_Equality] = [
            (equality, None) for criterion in where for equality in _equalities(criterion)
        ]
        for from_ in froms:
            equalities += _join_equalities(from_)
        scoped: set[FromClause] = set()
        edges: list[tuple[FromClause, FromClause]] = []
        for (left, right), within in equalities:
            for column, other in ((left, right), (right, left)):
                target = getattr(column, "table", None)
                if target is None or column.name != _COLUMN:
                    continue
                if within is not None and target not in within:
                    continue
                other = _value(other)
                if isinstance(other, BindParameter):
                    self.tenant_values.append(other)
                    scoped.add(target)
                elif _is_tenant_column(other):
                    if other.table in enclosing or not _is_table(other.table):
                        scoped.add(target)
                    else:
                        edges.append((other.table, target))
        grown = True
        while grown:
            grown = False
            for source, target in edges:
                if source in scoped and target not in scoped:
                    scoped.add(target)
                    grown = True
        for table in tables:
            if table not in scoped:
                raise UnscopedStatement(
                    f"the statement reaches '{_unaliased(table).name}' of every tenant: compare "
                    "its tenant_id with ctx.tenant.id, or select from the model."
                )


_NO_TEXT: Final = (
    "SQL as text cannot be checked for its tenant: write it with select() and the models."
)
NO_BULK: Final = (
    "INSERT, UPDATE and DELETE statements would pass by versions and audit: "
    "use ctx.add, ctx.update_where or ctx.save_many."
)


def _leaves(from_: Any) -> Iterator[FromClause]:
    if isinstance(from_, Join):
        yield from _leaves(from_.left)
        yield from _leaves(from_.right)
    elif isinstance(from_, FromGrouping):
        yield from _leaves(from_.element)
    else:
        yield from_


def _is_table(leaf: Any) -> bool:
    """Whether it is a table, or an alias of one; subqueries are looked at by themselves."""
    return isinstance(_unaliased(leaf), TableClause)


def _unaliased(leaf: Any) -> Any:
    while isinstance(leaf, AliasedReturnsRows):
        leaf = leaf.element
    return leaf


def _value(expression: Any) -> Any:
    """The bound value that a subquery selects, which is this or nothing; else the expression."""
    inner = expression.element if isinstance(expression, ScalarSelect) else None
    if isinstance(inner, Select) and len(inner._raw_columns) == 1:
        [only] = inner._raw_columns
        return only.clause if isinstance(only, Cast) else only
    return expression


def _is_tenant_column(column: Any) -> bool:
    """Whether ``column`` is some table's ``tenant_id``, maybe by way of a subquery."""
    if getattr(column, "table", None) is None or column.name != _COLUMN:
        return False
    if _is_table(column.table):
        return True
    return bool(column.base_columns) and all(
        base.name == _COLUMN and _is_table(getattr(base, "table", None))
        for base in column.base_columns
    )


def _equalities(criterion: Any) -> Iterator[tuple[Any, Any]]:
    """What must be equal for ``criterion`` to hold."""
    if isinstance(criterion, LambdaElement):
        yield from _equalities(criterion._resolved)
    elif isinstance(criterion, Grouping):
        yield from _equalities(criterion.element)
    elif isinstance(criterion, BooleanClauseList):
        if criterion.operator is operators.and_:
            for clause in criterion.clauses:
                yield from _equalities(clause)
    elif getattr(criterion, "operator", None) is operators.eq:
        yield criterion.left, criterion.right


_Equality = tuple[tuple[Any, Any], "set[FromClause] | None"]


def _join_equalities(from_: Any) -> Sequence[_Equality]:
    """The equalities of joins; an outer join's bind the tables of its right side only."""
    if isinstance(from_, FromGrouping):
        return _join_equalities(from_.element)
    if not isinstance(from_, Join):
        return []
    found = [*_join_equalities(from_.left), *_join_equalities(from_.right)]
    if from_.full:
        return found
    within = set(_leaves(from_.right)) if from_.isouter else None
    if from_.onclause is not None:
        found += [(equality, within) for equality in _equalities(from_.onclause)]
    return found


class GuardedDialect(PGDialect_asyncpg):
    """PostgreSQL by asyncpg, with the guarded compiler.

    All engines have equal ones, so that what was compiled for one of them is found for the others.
    """

    statement_compiler = _Compiler
    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GuardedDialect)

    def __hash__(self) -> int:
        return hash(GuardedDialect)


#: Statements that this process has compiled, by what SQLAlchemy tells them apart.
_COMPILED: Final[LRUCache[Any, Any]] = LRUCache(500)


registry.register("postgresql.guanxi", __name__, "GuardedDialect")


def open_engine(url: str, *, size: int, settings: Mapping[str, str] = NO_SETTINGS) -> AsyncEngine:
    """An engine for sessions; its connections answer only once they are set to a tenant."""

    async def open_connection() -> Any:
        return await connect(url, settings, statement_cache_size=100)

    engine = create_async_engine(
        "postgresql+guanxi://",
        async_creator=open_connection,
        pool_size=size,
        max_overflow=0,
        execution_options={"compiled_cache": _COMPILED},
        hide_parameters=True,  # errors are logged, and values may be secrets
        json_serializer=lambda value: msgspec.json.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
    )
    event.listen(engine.sync_engine, "before_cursor_execute", _check)
    event.listen(engine.sync_engine, "checkout", _check_alive)
    event.listen(engine.sync_engine, "before_cursor_execute", _begin)
    event.listen(engine.sync_engine, "after_cursor_execute", _end)
    event.listen(engine.sync_engine, "handle_error", _fail)
    return engine


def _begin(_: Any, __: Any, statement: str, ___: Any, context: Any, ____: bool) -> None:
    context.guanxi_timed = Timed(statement)
    context.guanxi_timed.__enter__()


def _end(_: Any, __: Any, ___: Any, ____: Any, context: Any, _____: bool) -> None:
    context.guanxi_timed.__exit__(None, None, None)
    context.guanxi_timed = None


def _fail(failed: Any) -> None:
    timed = getattr(failed.execution_context, "guanxi_timed", None)
    if timed is not None:
        error = failed.original_exception
        timed.__exit__(type(error), error, None)
        failed.execution_context.guanxi_timed = None


def enter(connection: sa.Connection, tenant_id: UUID) -> None:
    """Bind a connection to one tenant until its transaction ends."""
    connection.execution_options(**{_OPTION: tenant_id})
    first_row(connection, _ENTER, str(tenant_id))


def first_row(connection: sa.Connection, statement: str, *values: Any) -> Any:
    """The first row of one of the core's own statements, past the guard and what it costs."""
    cursor = connection.connection.cursor()
    try:
        with Timed(statement):
            cursor.execute(statement, values)
            return cursor.fetchone()
    finally:
        cursor.close()


def _check(
    connection: sa.Connection,
    cursor: Any,
    statement: str,
    parameters: Any,
    context: Any,
    many: bool,
) -> None:
    """Compare the tenant that the statement names with the connection's."""
    tenant: UUID | None = connection.get_execution_options().get(_OPTION)
    if tenant is None:
        raise UnscopedStatement("the connection has no tenant: use the session of a context.")
    compiled = context.compiled
    if compiled is None:
        raise UnscopedStatement(_NO_TEXT)
    if compiled.writes_inside and context.execution_options.get(WRITE) is not True:
        raise UnscopedStatement(NO_BULK)
    for name in compiled.tenant_names:
        for given in context.compiled_parameters:
            if given[name] != tenant:
                raise UnscopedStatement("the statement names another tenant than the caller's.")


def _check_alive(driver: Any, record: Any, proxy: Any) -> None:
    """Drop a connection that broke while it was idle, without asking the server."""
    if driver.driver_connection.is_closed():
        raise DisconnectionError
