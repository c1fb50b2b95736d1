"""Health and metrics of ``guanxi worker``, which serves nothing else by HTTP.

A thread answers, so that it can tell of an event loop that stands still.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import TimeoutError as LateError
from contextlib import asynccontextmanager, contextmanager
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from guanxi_core.config import Config
from guanxi_core.health import unready
from guanxi_core.heart import Heart
from guanxi_core.sealing import Sealer
from guanxi_core.telemetry.exposing import CONTENT_TYPE, Observer, is_permitted
from guanxi_sdk import GuanxiError

if TYPE_CHECKING:
    from guanxi_core.platform import Platform

_PATIENCE: Final = 5.0  # seconds after which the event loop counts as standing still
_MISSING: Final = ("404 Not Found", {"status": "not found"})


class Answering:
    """The WSGI application of one process; to be made in its event loop."""

    def __init__(
        self, observer: Observer, ready: Callable[[], Awaitable[str | None]], token: str | None
    ) -> None:
        self._observer = observer
        self._ready = ready
        self._token = token
        self._loop = asyncio.get_running_loop()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        kind = "application/json"
        try:
            if environ["PATH_INFO"] == "/metrics" and self._may_see(environ):
                status, kind = "200 OK", CONTENT_TYPE
                body = self._run(self._observer.exposition())
            else:
                status, told = self._health(environ["PATH_INFO"])
                body = json.dumps(told).encode()
        except LateError:
            status = "503 Service Unavailable"
            body = b'{"status": "stuck", "reason": "The event loop stands still."}'
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def _may_see(self, environ: dict[str, Any]) -> bool:
        given = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace")
        return is_permitted(given, self._token)

    def _health(self, path: str) -> tuple[str, dict[str, Any]]:
        if path == "/health/live":
            self._run(asyncio.sleep(0))
            return "200 OK", {"status": "live"}
        if path != "/health/ready":
            return _MISSING
        reason = self._run(_of(self._ready()))
        if reason is None:
            return "200 OK", {"status": "ready"}
        return "503 Service Unavailable", {"status": "unavailable", "reason": reason}

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)


async def _of(work: Awaitable[Any]) -> Any:
    return await work


@asynccontextmanager
async def watched(
    platform: "Platform", sealer: Sealer, config: Config, place: tuple[str, int] | None
) -> AsyncIterator[None]:
    """Seal while the block runs, end the process if it hangs, and tell at ``place`` how it is."""
    heart = Heart(config.watchdog)
    async with sealer.working(), heart.run():
        if place is None:
            yield
            return
        observer = Observer(heart.longest_pause)
        observer.watch(platform, sealer)
        application = Answering(observer, lambda: unready(platform.pool), config.metrics_token)
        async with observer.run():
            with answering(application, *place):
                yield


@contextmanager
def answering(application: Answering, host: str, port: int) -> Iterator[None]:
    """Answer at ``port`` while the block runs."""
    try:
        server = make_server(host, port, application, _Server, _Handler)
    except OSError as error:
        raise GuanxiError(f"cannot listen on {host}, port {port}: {error.strerror}.") from None
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nobody's business."""


class _Handler(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of requests."""
