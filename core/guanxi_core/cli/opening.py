"""How commands reach the database: configuration, server, tables, pool."""

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from guanxi_core.config import Config
from guanxi_core.database.pool import TenantPool
from guanxi_core.database.server import Database, open_database
from guanxi_core.discovery import Registry, discover
from guanxi_core.migrations import ensure_migrated


@dataclass(frozen=True, slots=True)
class Opened:
    """What a command works with."""

    config: Config
    database: Database
    registry: Registry
    pool: TenantPool


@asynccontextmanager
async def opened() -> AsyncIterator[Opened]:
    """The configured database, migrated where guanxi manages it itself, and a small pool."""
    config = Config.load()
    with open_database(config) as database:
        registry = await ensure_migrated(database, discover())
        pool = await TenantPool.open(database.app_url, size=2)
        try:
            yield Opened(config, database, registry, pool)
        finally:
            await pool.close()


def operator() -> str:
    """Who sits at the terminal, for the audit."""
    try:
        return f"{getpass.getuser()} at the command line"
    except (KeyError, OSError):  # a user id without a name
        return "command line"
