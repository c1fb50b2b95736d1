"""The server: everything composed into one Litestar application."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any, cast

import asyncpg
import structlog
from litestar import Litestar, Request, asgi, get
from litestar.exceptions import NotFoundException
from litestar.response import Redirect, Response
from litestar.types import Receive, Scope, Send

from guanxi_core.config import Config
from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_core.database.server import Database, open_database
from guanxi_core.delivery.worker import Worker
from guanxi_core.discovery import Registry, discover
from guanxi_core.health import SILENT, unready
from guanxi_core.heart import Heart
from guanxi_core.migrations import ensure_migrated
from guanxi_core.migrations.current import outdated
from guanxi_core.platform import Platform
from guanxi_core.sealing import Sealer
from guanxi_core.telemetry import logs, traces
from guanxi_core.telemetry.errors import describe
from guanxi_core.telemetry.exposing import CONTENT_TYPE, Observer, is_permitted
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.frontend import Frontend
from guanxi_graphql.graphiql import StaticFiles, build_page, load_assets
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_graphql.subscriptions.operations import Bounds
from guanxi_sdk import GuanxiError

#: Answers why requests cannot be served at the moment, or None if they can.
Readiness = Callable[[], Awaitable[str | None]]
Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]

_PATIENCE = 10.0  # seconds that a starting worker waits for its database before it serves 503
_PAUSE = 0.5  # seconds between two attempts to open it

_log = structlog.get_logger("guanxi.server")


def create_app(config: Config | None = None, *, worker: bool = True) -> Litestar:
    """The whole server, as an ASGI application; it opens the database when it is started.

    With ``worker`` it also runs handlers and schedules.
    """
    config = config or Config.load()
    if not structlog.is_configured():
        logs.configure(config.log_level, config.log_format)
    assets = load_assets()
    bounds = Bounds(
        int(config.connection_subscriptions), int(config.token_subscriptions),
        int(config.tenant_subscriptions),
    )  # fmt: skip
    endpoint = GraphQLEndpoint(
        build_page(assets), config.rate_limit, config.slow_request, config.request_deadline,
        config.cors_origins, bounds,
    )  # fmt: skip
    heart = Heart(config.watchdog)
    observer = Observer(heart.longest_pause)
    service = Service(config, endpoint, observer, worker=worker)
    return compose(
        endpoint, StaticFiles(assets), service.readiness, service.run, heart=heart,
        observer=observer, metrics_token=config.metrics_token,
        frontend=None if config.frontend is None else Frontend(config.frontend),
    )  # fmt: skip


def compose(
    endpoint: GraphQLEndpoint,
    static: StaticFiles,
    readiness: Readiness,
    *lifespans: Lifespan,
    heart: Heart | None = None,
    observer: Observer | None = None,
    metrics_token: str | None = None,
    frontend: Frontend | None = None,
) -> Litestar:
    """Put the parts behind their addresses; without a frontend, `/` leads to GraphiQL."""
    heart = heart or Heart(0)
    observer = observer or Observer(heart.longest_pause)

    @asgi("/graphql", copy_scope=False)
    async def graphql(scope: Scope, receive: Receive, send: Send) -> None:
        await endpoint(cast("Any", scope), receive, send)

    @asgi("/graphql/static", is_mount=True, copy_scope=False)
    async def static_file(scope: Scope, receive: Receive, send: Send) -> None:
        await static(cast("Any", scope), receive, send)

    @get("/")
    async def root() -> Redirect:
        return Redirect("/graphql")

    @get("/health/live")
    async def live() -> dict[str, str | float]:
        return {"status": "live", "longestPause": heart.longest_pause()}

    @get("/health/ready")
    async def ready() -> Response[dict[str, str]]:
        reason = await readiness()
        if reason is None:
            return Response({"status": "ready"})
        return Response({"status": "unavailable", "reason": reason}, status_code=503)

    @get("/metrics", media_type=CONTENT_TYPE.partition("; charset")[0])
    async def metrics(request: Request[Any, Any, Any]) -> bytes:
        given = request.headers.get("authorization", "").encode("utf-8", "replace")
        if not is_permitted(given, metrics_token):
            raise NotFoundException
        return await observer.exposition()

    return _Application(
        endpoint,
        frontend,
        [graphql, static_file, root, live, ready, metrics],
        lifespan=[heart.run, *lifespans],
        openapi_config=None,
        logging_config=None,
    )


class _Application(Litestar):
    """Litestar, except that GraphQL requests pass it by: its routing costs a third of a small one.

    What Litestar would answer itself for `/graphql/` and the like, it still does. A frontend has
    all that does not begin as an address of the server does.
    """

    def __init__(
        self,
        endpoint: GraphQLEndpoint,
        frontend: Frontend | None,
        *arguments: Any,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._endpoint = endpoint
        self._frontend = frontend

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or run the lifespan."""
        path = scope.get("path")
        if path == "/graphql":
            await self._endpoint(scope, receive, send)
        elif self._frontend and scope["type"] == "http" and self._frontend.answers(path):
            await self._frontend(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class Service:
    """The database and the platform behind one endpoint."""

    def __init__(
        self, config: Config, endpoint: GraphQLEndpoint, observer: Observer, *, worker: bool
    ) -> None:
        self._worker = worker
        self._observer = observer
        self._config = config
        self._endpoint = endpoint
        self._database: Database | None = None
        self._platform: Platform | None = None
        self._installed: Registry | None = None
        self._current = False

    @asynccontextmanager
    async def run(self, _: Litestar) -> AsyncIterator[None]:
        """Open everything, and close it in the opposite order.

        If the database is away, the worker waits for it, serves 503 meanwhile, and never gives up.
        """
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(_ending_with_parent())
            loop: Any = asyncio.get_running_loop()
            if hasattr(loop, "before_stop"):  # the server waits for what is open
                loop.before_stop.append(self._endpoint.farewell)
            await stack.enter_async_context(traces.making())
            if self._config.metrics_token is not None:
                await stack.enter_async_context(self._observer.run())
            opened = AsyncExitStack()
            stack.push_async_callback(opened.aclose)
            opening = asyncio.get_running_loop().create_task(self._open(opened))
            stack.push_async_callback(_cancel, opening)
            await asyncio.wait({opening}, timeout=_PATIENCE)
            yield

    async def _open(self, stack: AsyncExitStack) -> None:
        told = None
        while True:
            try:
                async with AsyncExitStack() as attempt:
                    await self._attempt(attempt)
                    stack.push_async_callback(attempt.pop_all().aclose)
                    return
            except (GuanxiError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if told != describe(error):
                    told = describe(error)
                    _log.error("the database cannot be opened; trying again", reason=told)
            await asyncio.sleep(_PAUSE)

    async def _attempt(self, stack: AsyncExitStack) -> None:
        database = await asyncio.to_thread(stack.enter_context, open_database(self._config))
        await stack.enter_async_context(database.watched())
        installed = discover()
        registry = await ensure_migrated(database, installed)
        platform = await Platform.serving(self._config, database.app_url, registry=registry)
        stack.push_async_callback(platform.close)
        sealer = Sealer.serving(self._config, platform.pool)
        await stack.enter_async_context(sealer.working())
        self._observer.watch(platform, sealer)
        stack.callback(self._observer.watch, None)
        self._installed, self._database, self._platform = installed, database, platform
        self._endpoint.open(platform, Engine(platform))
        stack.push_async_callback(self._endpoint.close)
        if self._worker:
            await stack.enter_async_context(
                Worker(platform, watchdog=self._config.watchdog).working()
            )

    async def readiness(self) -> str | None:
        """Whether the database answers and its tables are what this code expects."""
        if self._platform is None or self._database is None or self._installed is None:
            return "The server is starting."
        if reason := await unready(self._platform.pool):
            return reason
        if not self._current:
            try:
                async with asyncio.timeout(5):
                    behind = await outdated(self._database.app_url, self._installed)
            except (DatabaseUnavailable, TimeoutError):
                return SILENT
            if behind:
                names = ", ".join(scripts.name for scripts in behind)
                return f"The tables of {names} are not up to date: run `guanxi migrate`."
            self._current = True
        left_out = self._installed.plugins.keys() - self._platform.registry.plugins.keys()
        if left_out:
            return f"{', '.join(sorted(left_out))} was migrated meanwhile: restart the server."
        return None


@asynccontextmanager
async def _ending_with_parent() -> AsyncIterator[None]:
    """A worker whose parent was killed must not keep the port."""
    parent = multiprocessing.parent_process()
    if parent is None:
        yield
        return

    async def follow() -> None:
        while os.getppid() == parent.pid:  # noqa: ASYNC110  no event tells of it everywhere
            await asyncio.sleep(0.5)
        signal.raise_signal(signal.SIGTERM)

    task = asyncio.get_running_loop().create_task(follow())
    try:
        yield
    finally:
        await _cancel(task)


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
