"""Connections to the database, with guanxi's settings, whose statements are timed."""

import datetime as dt
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

import asyncpg

from guanxi_core.database.outages import unavailable
from guanxi_core.telemetry import metrics, traces
from guanxi_core.telemetry.activity import CURRENT

#: Settings of every session that guanxi opens.
SESSION: Final = {
    "application_name": "guanxi",
    "search_path": "public",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "jit": "off",
}
#: How many stay prepared on a connection.
STATEMENTS: Final = 1000
NO_SETTINGS: Final[Mapping[str, str]] = {}
_DAY_ZERO: Final = dt.date(2000, 1, 1).toordinal()


class Timed:
    """Times one statement; ``with Timed(sql):`` around its execution."""

    __slots__ = ("_began", "_span")

    def __init__(self, sql: str) -> None:
        self._span = traces.statement(sql)

    def __enter__(self) -> None:
        self._span.__enter__()
        self._began = time.perf_counter()

    def __exit__(self, *raised: Any) -> None:
        count(self._began)
        self._span.__exit__(*raised)


def count(began: float) -> None:
    """Count a statement that began at a time of ``perf_counter`` and has ended."""
    seconds = time.perf_counter() - began
    activity = CURRENT.get()
    metrics.STATEMENTS.observe(seconds, "none" if activity is None else activity.kind)


class GuanxiConnection(asyncpg.Connection):  # type: ignore[misc]  # it has no types
    """A connection whose statements are timed; SQLAlchemy's are timed by its engine."""

    __slots__ = ()

    async def execute(self, query: str, *args: Any, **options: Any) -> Any:
        """Run it, and return its status."""
        with Timed(query):
            return await super().execute(query, *args, **options)

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        """All its rows."""
        with Timed(query):
            return await super().fetch(query, *args, **options)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        """Its first row."""
        with Timed(query):
            return await super().fetchrow(query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        """The first value of its first row."""
        with Timed(query):
            return await super().fetchval(query, *args, **options)


class TenantConnection(GuanxiConnection):
    """A connection of a :class:`~guanxi_core.database.pool.TenantPool`."""

    __slots__ = ("_plans", "lent", "tenant")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenant: object = None  # a UUID; None for no tenant at all
        self.lent = True
        self._plans: OrderedDict[str, Any] = OrderedDict()

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine: behind a socket, or at an address of its own."""
        return is_local(self._transport)

    async def answer(self, query: str, arguments: Sequence[Any]) -> Any:
        """The first row of a plan, whose columns must be of PostgreSQL's own types.

        The driver looks at a statement again each time that it is given as text, and passes it on
        through four functions where it is prepared; this spares both.
        """
        if self._query_loggers or traces.on():  # of statements kept here the driver tells nobody
            return await self.fetchrow(query, *arguments)
        statement = self._plans.get(query)
        if statement is None:
            statement = await self._keep(query)
        else:
            self._plans.move_to_end(query)
        protocol: Any = self._protocol
        began = time.perf_counter()
        try:
            rows, _, _ = await protocol.bind_execute(statement._state, arguments, "", 1, True, None)
        finally:
            count(began)
        return rows[0] if rows else None

    async def _keep(self, query: str) -> Any:
        statement = self._plans[query] = await self.prepare(query)
        if len(self._plans) > STATEMENTS:
            self._plans.popitem(last=False)
        return statement


def is_local(transport: Any) -> bool:
    """Whether both ends of a connection are on this machine."""
    own, other = (transport.get_extra_info(name) for name in ("sockname", "peername"))
    if not isinstance(other, tuple):
        return True  # a socket in the file system
    return bool(other[0] == own[0] or ip_address(other[0]).is_loopback)


async def connect(url: str, settings: Mapping[str, str] = NO_SETTINGS, **options: Any) -> Any:
    """Open one connection with guanxi's settings, or raise :class:`DatabaseUnavailable`.

    Statements of any length stay prepared; ``settings`` are added to the session's, and
    ``options`` are asyncpg's and win over the defaults.
    """
    defaults = {
        "timeout": 10,
        "server_settings": {**SESSION, **settings},
        "statement_cache_size": STATEMENTS,
        "max_cached_statement_lifetime": 0,
        "max_cacheable_statement_size": 0,
        "connection_class": GuanxiConnection,
    }
    connection: Any = None
    try:
        connection = await asyncpg.connect(url, **(defaults | options))
        # Left alone, asyncpg writes 9999-12-31 as infinity and 0001-01-01 as -infinity.
        await connection.set_type_codec(
            "date",
            schema="pg_catalog",
            format="tuple",
            encoder=lambda day: (day.toordinal() - _DAY_ZERO,),
            decoder=lambda value: dt.date.fromordinal(value[0] + _DAY_ZERO),
        )
        return connection
    except BaseException as error:
        if connection is not None:
            connection.terminate()
        if isinstance(error, OSError | asyncpg.PostgresError | asyncpg.InterfaceError):
            raise unavailable(url, error) from error
        raise
