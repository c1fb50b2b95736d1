"""The database that a configuration means: an external server, or the embedded one."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

from guanxi_core.config import Config

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Database:
    """Addresses of one database for the roles that use it."""

    app_url: str = field(repr=False)
    owner_url: str | None = field(default=None, repr=False)
    embedded: bool = False
    _ensure: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    @asynccontextmanager
    async def watched(self, every: float = 1.0) -> AsyncIterator[None]:
        """Start the embedded server again whenever it dies; does nothing for an external one."""
        if self._ensure is None:
            yield
            return
        task = asyncio.get_running_loop().create_task(_watch(self._ensure, every))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@contextmanager
def open_database(config: Config) -> Iterator[Database]:
    """Make the database available; an embedded server runs at least as long as the block.

    It is shared with the other processes that use the same home.
    """
    if config.database_url is not None:
        yield Database(config.database_url, config.owner_database_url)
        return
    from guanxi_core.database.embedded import EmbeddedServer

    with EmbeddedServer(config.home) as server:
        yield Database(server.url("app"), server.url("owner"), True, server.ensure)


async def _watch(ensure: Callable[[], None], every: float) -> None:
    from guanxi_core.database.embedded import EmbeddedError

    while True:
        await asyncio.sleep(every)
        try:
            await asyncio.to_thread(ensure)
        except EmbeddedError as error:
            log.error("the embedded database cannot be revived: %s", error)
