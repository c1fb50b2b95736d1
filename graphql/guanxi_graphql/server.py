"""Run the application under Granian."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVarTuple, Unpack

import uvloop
from granian import Granian, loops
from granian.constants import Interfaces, Loops
from granian.log import LogLevels

from guanxi_core.config import Config
from guanxi_core.telemetry import logs
from guanxi_graphql.listening import Address

if TYPE_CHECKING:
    from litestar import Litestar

_TARGET = "guanxi_graphql.app:create_app"
_OBJECTS = 20_000  # that are new before garbage is looked for; a request leaves few of them

_Given = TypeVarTuple("_Given")


class _Loop(uvloop.Loop):
    """An event loop that hears the first signal to stop and no other.

    Ctrl-C in a terminal, and a supervisor that signals a whole group, reach a worker directly and
    once more through its parent; Granian's handler may wait for itself forever on the second.
    """

    def __init__(self) -> None:
        super().__init__()
        #: Awaited at the first signal, while connections can still be told something.
        self.before_stop: list[Callable[[], Awaitable[object]]] = []
        self._farewells: asyncio.Task[None] | None = None

    def add_signal_handler(
        self, sig: int, callback: Callable[[Unpack[_Given]], object], *args: *_Given
    ) -> None:
        super().add_signal_handler(sig, self._stop, callback, *args)

    def _stop(self, callback: Callable[[Unpack[_Given]], object], *args: *_Given) -> None:
        if self._farewells is None:
            self._farewells = self.create_task(self._prepare(partial(callback, *args)))

    async def _prepare(self, stop: Callable[[], object]) -> None:
        await asyncio.gather(*(say() for say in self.before_stop), return_exceptions=True)
        stop()


@loops.register("auto")
def _make_loop() -> _Loop:
    loop = _Loop()
    asyncio.set_event_loop(loop)
    return loop


def load_app(config: Config, worker: bool) -> "Litestar":
    """The application, in a worker; that importing this module registers the event loop there."""
    from guanxi_graphql.app import create_app  # a second's work, which the parent is spared

    logs.configure(config.log_level, config.log_format)
    app = create_app(config, worker=worker)
    gc.freeze()  # modules stay, and so do most schemas: looking through them finds nothing
    gc.set_threshold(_OBJECTS, 20, 50)
    return app


def run_server(config: Config, address: Address, workers: int, *, deliver: bool = True) -> None:
    """Serve until SIGINT or SIGTERM; requests that have begun are finished first.

    A worker that is killed is replaced. The application is handed over as it is, because Granian's
    own loader would put the current folder before everything else on the module path.
    """
    Granian(
        _TARGET,
        address=address.ip,
        port=address.port,
        interface=Interfaces.ASGI,
        loop=Loops.auto,
        workers=workers,
        websockets=True,
        log_level=LogLevels.warning,
        log_dictconfig=logs.GRANIAN,
        respawn_failed_workers=True,
        workers_kill_timeout=30,
        factory=True,
    ).serve(target_loader=partial(load_app, config, deliver), wrap_loader=False)
