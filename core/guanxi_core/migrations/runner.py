"""Bring the tables of the core and of all plugins up to date, each plugin on its own.

Each plugin has its own script directory, version table and transaction: what fails leaves no trace
and hinders only those that require it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import asyncpg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from guanxi_core.database.connections import connect
from guanxi_core.migrations.isolation import lift, protect, restore, role_faults
from guanxi_core.migrations.scripts import (
    CORE,
    MigrationError,
    Scripts,
    in_order,
)
from guanxi_sdk import Plugin

log = logging.getLogger(__name__)

Status = Literal["current", "migrated", "failed", "skipped"]
Progress = Callable[["MigrationResult"], None]

#: Two that migrate one database take turns.
_LOCK: Final = 0x6775616E7869
#: Shorter than a client's patience: a revision that waits for a table stops everybody else there.
_LOCK_TIMEOUT: Final = "30s"


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """What became of one plugin (or of the core, called ``guanxi``)."""

    plugin: str
    status: Status
    before: str | None = None
    after: str | None = None
    reason: str | None = None


async def migrate(
    owner_url: str,
    plugins: Iterable[type[Plugin[Any]]],
    *,
    app_role: str,
    progress: Progress | None = None,
    to: Mapping[str, str] | None = None,
    search_progress: Callable[[str, int, int, int], None] | None = None,
    search_anew: bool = False,
) -> list[MigrationResult]:
    """Upgrade the core and ``plugins``; the results tell what failed, and why.

    ``to`` names the revisions to stop at, by plugin; without one it is the newest. Rows that are
    searched by a field for the first time get their tokens then; all of them with ``search_anew``.

    Raises for what concerns all: an unreachable database, wrong roles, a core that fails.
    """
    from guanxi_core.search.rebuilding import rebuild

    results: dict[str, MigrationResult] = {}
    installed = list(plugins)
    ordered = in_order(installed)
    async with _locked(owner_url) as connection:
        await _check_server(connection, app_role)
        for scripts in ordered:
            result = await _one(connection, scripts, ordered, results, app_role, to or {})
            if result is None:
                continue
            if scripts.name == CORE and result.status == "failed":
                raise MigrationError(f"the core's tables cannot be migrated: {result.reason}")
            results[scripts.name] = result
            if progress:
                progress(result)
        if not to:
            done = {r.plugin for r in results.values() if r.status in ("current", "migrated")}
            ready = [plugin for plugin in installed if plugin.manifest.name in done]
            await rebuild(owner_url, ready, anew=search_anew, progress=search_progress)
    return list(results.values())


async def downgrade(
    owner_url: str,
    plugin: str,
    revision: str,
    *,
    plugins: Iterable[type[Plugin[Any]]],
    app_role: str,
) -> MigrationResult:
    """Take one plugin back to ``revision`` (``base``: none), unless others stand on its tables."""
    from guanxi_core.migrations import steps
    from guanxi_core.search.rebuilding import forget

    installed = list(plugins)
    every = in_order(installed)
    scripts = next((s for s in every if s.name == plugin), None)
    if scripts is None or not scripts.exists:
        raise MigrationError(f"there are no migrations of a plugin '{plugin}'.")
    async with _locked(owner_url) as connection, connection.begin():
        if dependents := await connection.run_sync(_dependents, scripts, every):
            raise MigrationError(
                f"plugin '{plugin}' cannot be downgraded: {', '.join(dependents)} would lose the "
                "tables they refer to. Downgrade them to base first."
            )

        def step(sync: sa.Connection) -> tuple[str | None, str | None]:
            before = steps.current(sync, scripts)
            lift(sync, [plugin])
            steps.downgrade(sync, scripts, revision)
            restore(sync, [plugin])
            protect(sync, [plugin], app_role)
            return before, steps.current(sync, scripts)

        try:
            before, after = await connection.run_sync(step)
        except DBAPIError as error:
            raise MigrationError(f"plugin '{plugin}': {reason_of(error)}") from error
    for one in (p for p in installed if p.manifest.name == plugin):
        await forget(owner_url, one)
    return MigrationResult(plugin, "current" if before == after else "migrated", before, after)


def reason_of(error: BaseException) -> str:
    """One line for ``error``: the database's own words without the statement."""
    cause: BaseException | None = error
    if isinstance(error, DBAPIError):
        cause = getattr(error.orig, "__cause__", None) or error.orig
    lines = str(cause).strip().splitlines()
    text = lines[0] if lines else ""
    if not isinstance(error, MigrationError | DBAPIError):
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    notes = getattr(error, "__notes__", [])
    return f"{notes[0]}: {text}" if notes else text


@asynccontextmanager
async def owner_connection(url: str) -> AsyncIterator[AsyncConnection]:
    """One SQLAlchemy connection without caches that a changing schema would upset."""

    async def creator(*_: object, **__: object) -> Any:
        return await connect(url, statement_cache_size=0)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=creator,
        connect_args={"prepared_statement_cache_size": 0},
        poolclass=sa.NullPool,
    )
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


@asynccontextmanager
async def _locked(owner_url: str) -> AsyncIterator[AsyncConnection]:
    async with owner_connection(owner_url) as connection:
        take = sa.text("SELECT pg_try_advisory_lock(:key)")
        waited = False
        while not await connection.scalar(take, {"key": _LOCK}):
            if not waited:
                log.info("another migration of this database is under way; waiting for its end")
                waited = True
            await connection.rollback()
            await asyncio.sleep(0.2)
        await connection.exec_driver_sql(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
        await connection.commit()
        yield connection  # the lock goes with the connection


async def _check_server(connection: AsyncConnection, app_role: str) -> None:
    def check(sync: sa.Connection) -> list[str]:
        version = int(sync.scalar(sa.text("SHOW server_version_num")) or 0)
        if version < 150000:
            return [f"PostgreSQL {version // 10000} is too old: guanxi needs 15 or newer"]
        owner = sync.scalar(sa.text("SELECT current_user"))
        if not sync.scalar(
            sa.text("SELECT has_schema_privilege('public', 'CREATE')"),
        ):
            return [f"the role '{owner}' may not create tables: make it the database's owner"]
        return role_faults(sync, app_role, owner or "")

    async with connection.begin():
        found = await connection.run_sync(check)
    if found:
        raise MigrationError(f"{found[0]}.")


async def _one(
    connection: AsyncConnection,
    scripts: Scripts,
    ordered: Sequence[Scripts],
    results: dict[str, MigrationResult],
    app_role: str,
    to: Mapping[str, str],
) -> MigrationResult | None:
    """Upgrade one plugin in a transaction of its own; None where there is nothing to keep."""
    name = scripts.name
    known = {s.name: s for s in ordered}
    for needed in scripts.requires:
        if needed not in known:
            return MigrationResult(
                name, "skipped", reason=f"it requires '{needed}', which is not installed"
            )
        if needed in results and results[needed].status in ("failed", "skipped"):
            return MigrationResult(
                name, "skipped", reason=f"it requires '{needed}', which was not migrated"
            )
        if needed not in results and (known[needed].has_models or known[needed].exists):
            return MigrationResult(
                name, "skipped", reason=f"it and '{needed}' require each other in a circle"
            )
    if not scripts.exists:
        if not scripts.has_models:
            return None
        return MigrationResult(
            name, "failed",
            reason=f'it has models but no migrations: guanxi migrate --new {name} "first tables"',
        )  # fmt: skip
    try:
        head = to.get(name) or scripts.head()
        async with connection.begin():
            before, after = await connection.run_sync(
                _upgrade, scripts, head, _closure(scripts, known), app_role
            )
    except (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError):
        raise
    except BaseException as error:  # a plugin's SystemExit stops that plugin, not the others
        if connection.closed or _lost(error):
            raise MigrationError(f"the database went away: {reason_of(error)}") from error
        log.debug("migration of %s failed", name, exc_info=True)
        return MigrationResult(name, "failed", reason=reason_of(error))
    return MigrationResult(name, "current" if before == after else "migrated", before, after)


def _upgrade(
    connection: sa.Connection,
    scripts: Scripts,
    head: str | None,
    required: Sequence[str],
    app_role: str,
) -> tuple[str | None, str | None]:
    from guanxi_core.migrations import steps

    before = _current(connection, scripts)
    if before != head:
        tables = _relations(connection)
        lift(connection, [scripts.name, *required])
        steps.upgrade(connection, scripts, head or "head")
        restore(connection, [scripts.name, *required])
        strangers = sorted(
            name
            for name in _relations(connection) - tables
            if not name.startswith(scripts.prefix) and name != scripts.version_table
        )
        if strangers:
            raise MigrationError(
                f"it makes the table {strangers[0]}: its tables must be called {scripts.prefix}…."
            )
    protect(connection, [scripts.name], app_role)
    readable = sa.text("SELECT has_table_privilege(CAST(:app AS name), :table, 'SELECT')")
    if not connection.scalar(readable, {"app": app_role, "table": scripts.version_table}):
        role = connection.dialect.identifier_preparer.quote(app_role)
        connection.exec_driver_sql(f"GRANT SELECT ON {scripts.version_table} TO {role}")
    return before, _current(connection, scripts)


def _current(connection: sa.Connection, scripts: Scripts) -> str | None:
    from guanxi_core.migrations import steps

    return steps.current(connection, scripts)


def _relations(connection: sa.Connection) -> set[str]:
    """Tables and views; indexes and types come and go with them."""
    return set(
        connection.scalars(
            sa.text(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') "
                "AND relnamespace NOT IN ('pg_catalog'::regnamespace, "
                "'information_schema'::regnamespace) AND relpersistence <> 't'"
            )
        )
    )


def _closure(scripts: Scripts, known: dict[str, Scripts]) -> list[str]:
    """All that ``scripts`` requires, directly or not."""
    found: list[str] = []
    waiting = list(scripts.requires)
    while waiting:
        name = waiting.pop()
        if name not in found and name in known:
            found.append(name)
            waiting += known[name].requires
    return found


def _dependents(connection: sa.Connection, scripts: Scripts, every: Sequence[Scripts]) -> list[str]:
    """Plugins, or tables of plugins whose code is gone, that stand on the tables of ``scripts``."""
    known = {s.name: s for s in every}
    found = {
        f"'{other.name}'"
        for other in every
        if other.name not in (scripts.name, CORE)
        and (scripts.name == CORE or scripts.name in _closure(other, known))
        and other.exists
        and _current(connection, other) is not None
    }
    if scripts.name == CORE:
        found |= {
            f"'{table.removeprefix('alembic_version_')}'"
            for table in connection.scalars(
                sa.text(
                    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
                    "AND starts_with(relname, 'alembic_version_') AND relkind = 'r'"
                )
            )
            if table != scripts.version_table
        }
    strangers = connection.scalars(
        sa.text(
            "SELECT DISTINCT mine.relname FROM pg_constraint k "
            "JOIN pg_class mine ON mine.oid = k.conrelid "
            "JOIN pg_class theirs ON theirs.oid = k.confrelid "
            "WHERE k.contype = 'f' AND starts_with(theirs.relname, :prefix) "
            "AND NOT starts_with(mine.relname, :prefix)"
        ),
        {"prefix": scripts.prefix},
    ).all()
    claimed = [s.prefix for s in every if s.name != CORE]
    found |= {f"table {table}" for table in strangers if not table.startswith(tuple(claimed))}
    return sorted(found)


def _lost(error: BaseException) -> bool:
    cause = getattr(error, "orig", None)
    cause = getattr(cause, "__cause__", None) or error
    return isinstance(cause, OSError | asyncpg.PostgresConnectionError | asyncpg.InterfaceError)
