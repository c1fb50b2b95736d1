"""Making the tokens of rows that are there already: of fields newly searched, or all of them anew.

Run by the tables' owner. Rows are locked against changes a batch at a time, so that others go on.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import asyncpg

from guanxi_core.database.connections import connect
from guanxi_core.search.keeping import FORGET, KEEP, Owner, field_name, given
from guanxi_core.search.tokens import FORM
from guanxi_sdk import Plugin

_BATCH: Final = 2_000
_DIALECT: Final = asyncpg.dialect()  # type: ignore[no-untyped-call]
Fields = Mapping[str, tuple[Owner, str]]
#: Told of each batch: the field, rows done, of how many, and rows again.
Progress = Callable[[str, int, int, int], None]


def fields_of(plugins: Iterable[type[Plugin[Any]]]) -> Fields:
    """The fields of plugins that are searched, by the names the table has for them."""
    owners: list[Owner] = []
    for plugin in plugins:
        owners += [*plugin.manifest.models, *plugin.manifest.extensions]
    return {field_name(o, name): (o, name) for o in owners for name in o.info.searched}


async def rebuild(
    owner_url: str,
    plugins: Iterable[type[Plugin[Any]]],
    *,
    anew: bool = False,
    progress: Progress | None = None,
) -> int:
    """Make the tokens that are missing, and take those of fields no longer searched.

    With ``anew`` all are made. What plugins left behind whose code is gone stays as their rows do.
    Answers how many rows were read.
    """
    installed = list(plugins)
    wanted = fields_of(installed)
    types = {model.info.name for plugin in installed for model in plugin.manifest.models}
    connection = await connect(owner_url)
    try:
        if await connection.fetchval("SELECT to_regclass('guanxi_searched') IS NULL"):
            return 0
        rows = await connection.fetch("SELECT field, form FROM guanxi_searched")
        known = {row["field"]: row["form"] for row in rows}
        tenants = [row["id"] for row in await connection.fetch("SELECT id FROM guanxi_tenant")]
        over = [f for f in known.keys() - wanted.keys() if f.partition(".")[0] in types]
        await _forget(connection, tenants, over)
        read = 0
        for field, (owner, name) in wanted.items():
            if anew or known.get(field) != FORM:
                read += await _make(connection, tenants, field, owner, name, progress)
        return read
    finally:
        await connection.close()


async def forget(owner_url: str, plugin: type[Plugin[Any]]) -> None:
    """Take the tokens of a plugin whose tables went back: `guanxi migrate` makes them again."""
    connection = await connect(owner_url)
    try:
        if await connection.fetchval("SELECT to_regclass('guanxi_searched') IS NOT NULL"):
            tenants = [row["id"] for row in await connection.fetch("SELECT id FROM guanxi_tenant")]
            await _forget(connection, tenants, sorted(fields_of([plugin])))
    finally:
        await connection.close()


async def _forget(connection: Any, tenants: list[UUID], fields: list[str]) -> None:
    if not fields:
        return
    for tenant in tenants:
        await _enter(connection, tenant)
        await connection.execute(
            "DELETE FROM guanxi_search WHERE tenant_id = $1 AND field = ANY ($2)", tenant, fields
        )
    await connection.execute("DELETE FROM guanxi_searched WHERE field = ANY ($1)", fields)


async def _make(
    connection: Any,
    tenants: list[UUID],
    field: str,
    owner: Owner,
    name: str,
    progress: Progress | None,
) -> int:
    table = owner.info.table
    tenant = sa.bindparam("tenant", type_=sa.Uuid)
    count = _compiled(sa.select(sa.func.count()).where(table.c.tenant_id == tenant))
    size = done = 0
    for one in tenants:
        await _enter(connection, one)
        size += await connection.fetchval(*count({"tenant": one}))
    for one in tenants:
        await _enter(connection, one)
        async for rows in remake(connection, one, owner, name):
            done += rows
            if progress:
                progress(field, done, max(size, done), done)
    await connection.execute(
        "INSERT INTO guanxi_searched (field, form) VALUES ($1, $2) "
        "ON CONFLICT (field) DO UPDATE SET form = excluded.form",
        field, FORM,
    )  # fmt: skip
    return done


async def remake(connection: Any, tenant: UUID, owner: Owner, name: str) -> AsyncIterator[int]:
    """Make the tokens of one field of one tenant's rows; tells how many rows each batch had."""
    table, field = owner.info.table, field_name(owner, name)
    mine, after = (sa.bindparam(one, type_=sa.Uuid) for one in ("tenant", "after"))
    some = _compiled(
        sa.select(table.c.id, table.c[name])
        .where(table.c.tenant_id == mine, table.c.id > after)
        .order_by(table.c.id)
        .limit(_BATCH)
        .with_for_update(read=True)
    )
    last: UUID | None = UUID(int=0)
    while last is not None:
        async with connection.transaction():
            rows = await connection.fetch(*some({"tenant": tenant, "after": last}))
            texts = given((row["id"], field, row[name]) for row in rows)
            for statement in (_FORGET, _KEEP) if rows else ():
                await connection.execute(*statement({"tenant": tenant, "texts": texts}))
        last = rows[-1]["id"] if len(rows) == _BATCH else None
        if rows:
            yield len(rows)


async def _enter(connection: Any, tenant: UUID) -> None:
    """Row-level security binds the owner, too."""
    await connection.fetchval("SELECT set_config('guanxi.tenant', $1, false)", str(tenant))


def _compiled(statement: Any) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """The statement for asyncpg, waiting for its values."""
    made = statement.compile(dialect=_DIALECT)
    names = getattr(made, "positiontup", None) or ()
    return lambda values: (str(made), *((made.params | values)[name] for name in names))


_FORGET, _KEEP = _compiled(FORGET), _compiled(KEEP)
