"""A throw-away database for one test run: embedded, or on a server of your own."""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

from guanxi_sdk.plugin import Plugin

#: Address of a superuser of another server than the embedded one.
VARIABLE: Final = "GUANXI_TEST_DATABASE_URL"

T = TypeVar("T")


class ThrowAwayDatabase:
    """A database with the core's tables; plugins' tables are added as tests ask for them."""

    def __init__(self, app_url: str, owner_url: str, app_role: str) -> None:
        self.app_url = app_url
        self.owner_url = owner_url
        self.app_role = app_role
        self._ready: set[type[Plugin[Any]]] = set()

    async def prepare(self, plugins: Iterable[type[Plugin[Any]]]) -> None:
        """Make the tables of ``plugins``: by their migrations, or from their models without any."""
        from guanxi_core.editions import dependency_order
        from guanxi_core.migrations import migrate
        from guanxi_core.migrations.scripts import scripts_of

        missing = [p for p in dependency_order(plugins) if p not in self._ready]
        for plugin in missing:
            if scripts_of(plugin).exists:
                ordered = dependency_order(self._ready | {plugin})
                known = [p for p in ordered if scripts_of(p).exists]
                for result in await migrate(self.owner_url, known, app_role=self.app_role):
                    if result.reason:
                        raise AssertionError(f"plugin '{result.plugin}': {result.reason}")
            else:
                await self._make_tables(plugin)
            self._ready.add(plugin)

    async def _make_tables(self, plugin: type[Plugin[Any]]) -> None:
        from guanxi_core.migrations.isolation import protect
        from guanxi_core.migrations.runner import owner_connection

        manifest = plugin.manifest
        models = (*manifest.models, *manifest.extensions)
        tables = [model.info.table for model in models]
        async with owner_connection(self.owner_url) as connection, connection.begin():
            for table in tables:
                await connection.run_sync(table.metadata.create_all, tables=[table])
            await connection.run_sync(protect, [manifest.name], self.app_role)


@contextmanager
def throw_away_database() -> Iterator[ThrowAwayDatabase]:
    """Embedded, unless the environment names a server; gone when the block ends."""
    server = os.environ.get(VARIABLE)
    with _external(server) if server else _embedded() as database:
        from guanxi_core.migrations import migrate

        run(migrate(database.owner_url, [], app_role=database.app_role))
        yield database


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end, in a thread so that it does not meet the tests' event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@contextmanager
def _embedded() -> Iterator[ThrowAwayDatabase]:
    from guanxi_core.database.embedded import EmbeddedServer

    home = Path(tempfile.mkdtemp(prefix="guanxi-test-"))
    try:
        with EmbeddedServer(home, fast=True) as server:
            yield ThrowAwayDatabase(server.url("app"), server.url("owner"), "guanxi_app")
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _external(server: str) -> Iterator[ThrowAwayDatabase]:
    name = f"guanxi_test_{secrets.token_hex(6)}"
    owner, app, password = f"{name}_owner", f"{name}_app", secrets.token_hex(16)
    run(
        _execute(
            server,
            f"CREATE ROLE {owner} LOGIN PASSWORD '{password}'",
            f"CREATE ROLE {app} LOGIN PASSWORD '{password}'",
            f"CREATE DATABASE {name} OWNER {owner}",
        )
    )
    try:
        yield ThrowAwayDatabase(
            _address(server, app, password, name), _address(server, owner, password, name), app
        )
    finally:
        run(
            _execute(
                server,
                f"DROP DATABASE {name} WITH (FORCE)",
                f"DROP ROLE {app}",
                f"DROP ROLE {owner}",
            )
        )


async def _execute(url: str, *statements: str) -> None:
    from guanxi_core.database.connections import connect

    connection = await connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _address(server: str, role: str, password: str, database: str) -> str:
    parts = urlsplit(server)
    place = parts.netloc.rpartition("@")[2]
    netloc = f"{quote(role)}:{quote(password)}@{place}"
    return urlunsplit((parts.scheme, netloc, f"/{database}", parts.query, ""))
