"""Databases for tests: on the embedded server, or on one that the environment names."""

import os
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

#: Address of a superuser of a server to use instead of the embedded one.
VARIABLE: Final = "GUANXI_TEST_DATABASE_URL"
#: The folder of one test run, which all its processes share.
HOME: Final = "GUANXI_TEST_HOME"
OWNER, APP = "guanxi_owner", "guanxi_app"
_ROLES: Final = 6212530488213041  # of the advisory lock of whoever makes them


@dataclass(frozen=True)
class Scratch:
    """One throw-away database and its two roles."""

    name: str
    owner_url: str
    app_url: str
    app_role: str = APP


class Databases:
    """Makes throw-away databases on one server.

    On an external server both roles are ordinary ones, without BYPASSRLS; the embedded server's
    owner is its superuser. Tests must hold either way.
    """

    def __init__(
        self, address: Callable[[str, str], str], superuser: str, *, strategy: str = "WAL_LOG"
    ) -> None:
        self._address = address
        self._superuser = superuser
        self._strategy = strategy  # PostgreSQL's for copying databases
        self._made: list[str] = []
        self._template: str | None = None

    async def fresh(self, template: str | None = None) -> Scratch:
        """An empty database, or a copy of ``template``."""
        name = f"guanxi_test_{secrets.token_hex(6)}"
        await self._execute(
            f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template or 'template0'} "
            f"STRATEGY {self._strategy} " + ("" if template else "ENCODING 'UTF8' LOCALE 'C.UTF-8'")
        )
        self._made.append(name)
        return Scratch(name, self._address(OWNER, name), self._address(APP, name))

    async def migrated(self) -> Scratch:
        """A database with the tables of the core and of all installed plugins."""
        if self._template is None:
            from guanxi_core.discovery import discover
            from guanxi_core.migrations import migrate

            made = await self.fresh()
            await migrate(made.owner_url, discover().plugins.values(), app_role=made.app_role)
            self._template = made.name
        return await self.fresh(self._template)

    async def drop(self, scratch: Scratch) -> None:
        """Drop a database, whoever is connected to it."""
        await self._execute(f"DROP DATABASE IF EXISTS {scratch.name} WITH (FORCE)")
        self._made.remove(scratch.name)

    async def drop_all(self) -> None:
        """Drop what is left."""
        for name in self._made:
            await self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._made.clear()

    def superuser(self, scratch: Scratch) -> str:
        """Address of a superuser in ``scratch``."""
        return self._address("", scratch.name)

    async def make_roles(self) -> None:
        """Make both roles where they are missing; one run after the other, as roles are rows."""
        connection = await asyncpg.connect(self._superuser)
        try:
            await connection.execute(f"SELECT pg_advisory_lock({_ROLES})")  # until it is closed
            for role in (OWNER, APP):
                try:
                    await connection.execute(f"CREATE ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS")
                except asyncpg.DuplicateObjectError:
                    await connection.execute(f"ALTER ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS")
        finally:
            await connection.close()

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._superuser)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def on_server(url: str) -> Databases:
    """Databases on the server at ``url``, the address of a superuser."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]

    def address(role: str, name: str) -> str:
        netloc = f"{role}@{place}" if role else parts.netloc
        return urlunsplit((parts.scheme, netloc, f"/{name}", parts.query, ""))

    return Databases(address, url)


def make_home() -> Path:
    """A folder for what a run shares, announced to its processes."""
    home = Path(tempfile.mkdtemp(prefix="guanxi-tests-"))
    home.chmod(0o711)  # for the account that root's server runs under
    os.environ[HOME] = str(home)
    return home


async def schema_of(url: str) -> list[str]:
    """Everything that migrations make, one line each: equal lists mean equal schemas."""
    connection = await asyncpg.connect(url)
    try:
        return sorted(row[0] for row in await connection.fetch(_SCHEMA))
    finally:
        await connection.close()


_SCHEMA = """
    WITH mine AS (SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname NOT LIKE 'pg_%' AND nspname <> 'information_schema')
    SELECT format('relation %s.%s %s rls=%s/%s acl=%s', relnamespace::regnamespace, relname,
        relkind, relrowsecurity, relforcerowsecurity, ARRAY(SELECT unnest(coalesce(relacl,
            acldefault('r', relowner)))::text ORDER BY 1)) FROM mine
    UNION ALL SELECT format('column %s.%s %s notnull=%s default=%s', relname, attname,
        format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
        FROM mine JOIN pg_attribute ON attrelid = mine.oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    UNION ALL SELECT format('constraint %s on %s: %s', conname, relname,
        pg_get_constraintdef(k.oid))
        FROM mine JOIN pg_constraint k ON conrelid = mine.oid AND contype <> 'n'
    UNION ALL SELECT pg_get_indexdef(oid) FROM mine WHERE relkind = 'i'
    UNION ALL SELECT format('policy %s on %s: %s', polname, relname, pg_get_expr(polqual, polrelid))
        FROM mine JOIN pg_policy ON polrelid = mine.oid
    UNION ALL SELECT format('trigger on %s: %s', relname, pg_get_triggerdef(t.oid))
        FROM mine JOIN pg_trigger t ON tgrelid = mine.oid AND NOT tgisinternal
    UNION ALL SELECT format('function %s acl=%s', pg_get_functiondef(oid), ARRAY(SELECT
            unnest(coalesce(proacl, acldefault('f', proowner)))::text ORDER BY 1))
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
    UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg_%'
"""
