"""How somebody comes to own rows: read from the plugins' policies, or told by the author."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import asyncpg
import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlalchemy.sql.visitors import iterate

from guanxi_core.editions import Edition
from guanxi_sdk.access import Scope
from guanxi_sdk.context import Context
from guanxi_sdk.contributions import Ambient
from guanxi_sdk.testing.probes.world import Settled

#: Makes the user with an id own what hangs on the first rows: ``async def owning(ctx, user_id)``.
Owning = Callable[[Context, UUID], Awaitable[None]]

_USER = sa.bindparam("user_id", type_=sa.Uuid)
_AMBIENT = Ambient(
    tenant_id=sa.bindparam("tenant_id", type_=sa.Uuid),
    today=sa.bindparam("today", type_=sa.Date),
    currency=sa.bindparam("currency", type_=sa.Text),
    user_id=_USER,
)


async def own(settled: Settled, owning: Owning | None) -> None:
    """Let the tenant's reader own its first rows.

    A column that a policy compares with the caller gets the reader's value in the first row, and
    what else a policy reads is emptied there where it may be: ends of terms, for instance.
    """
    world = settled.world
    access = await world.platform.system_access(settled.tenant)
    if owning is not None:
        async with world.platform.context(access) as ctx:
            await owning(ctx, settled.user_id)
        return
    edition = world.shared.edition
    async with world.platform.pool.connection(settled.tenant.id) as connection:
        for condition in _conditions(edition, Scope.OWN):
            compared = {}
            for column, value in _compared(condition):
                async with world.platform.context(access, read_only=True) as ctx:
                    made = await ctx.db.scalar(sa.select(value), {"user_id": settled.user_id})
                compared[column.table.name, column.name] = made
                await _set(connection, settled, edition, column, made)
            for column in _read(condition):
                emptied = column.nullable and not column.foreign_keys
                if emptied and (column.table.name, column.name) not in compared:
                    await _set(connection, settled, edition, column, None)


def knows(edition: Edition, scope: Scope) -> bool:
    """Whether some policy has the rows of this scope depend on who asks."""
    found = _conditions(edition, scope)
    return any(part is _USER for condition in found for part in iterate(condition))


def _conditions(edition: Edition, scope: Scope) -> Iterator[Any]:
    """What a scope means for each model that has a policy."""
    for model, entry in edition.policies.items():
        function = entry.contribution.function
        more = [False] * (function.__code__.co_argcount - 3)
        yield function(aliased(model), scope, _AMBIENT, *more)


def _compared(condition: Any) -> Iterator[tuple[sa.Column[Any], Any]]:
    """Columns that a condition compares with the caller, each with what it is compared with."""
    for element in iterate(condition):
        if isinstance(element, sa.BinaryExpression):
            for here, there in ((element.left, element.right), (element.right, element.left)):
                columns = _columns(here)
                if len(columns) == 1 and not _columns(there) and _USER in iterate(there):
                    yield columns[0], there


def _read(condition: Any) -> list[sa.Column[Any]]:
    return [column for element in iterate(condition) for column in _columns(element, deep=False)]


def _columns(element: Any, *, deep: bool = True) -> list[sa.Column[Any]]:
    found = []
    for part in iterate(element) if deep else [element]:
        if isinstance(part, sa.ColumnClause):
            found += [base for base in part.base_columns if isinstance(base, sa.Column)]
    return list(dict.fromkeys(found))


async def _set(
    connection: Any, settled: Settled, edition: Edition, column: sa.Column[Any], value: Any
) -> None:
    for model in edition.models.values():
        if model.info.table is column.table:
            table = column.table.name
            try:
                await connection.execute(
                    f'UPDATE {table} SET "{column.name}" = $1 '
                    "WHERE tenant_id = $2 AND id = $3",
                    value, settled.tenant.id, settled.filled.uuid(model, 1),
                )  # fmt: skip
            except asyncpg.IntegrityConstraintViolationError:
                return
