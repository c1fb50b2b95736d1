"""Serve the limit or a peer just as `guanxi serve` runs: ``python -m benchmarks.serving …``."""

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any
from uuid import UUID

from granian import Granian
from granian.constants import Interfaces, Loops
from granian.log import LogLevels

from benchmarks.peers import postgraphile


def make_app(name: str, url: str, tenant_id: UUID) -> Any:
    """The ASGI application called ``name``."""
    if name == "limit":
        from benchmarks.limit import Limit

        return Limit(url, tenant_id)
    create_app: Callable[[str, UUID], Any] = import_module(f"benchmarks.peers.{name}").create_app
    return create_app(url, tenant_id)


def main(name: str, port: str, url: str, tenant_id: str) -> None:
    """Serve until SIGTERM; what is in Python with the options of `guanxi_graphql.server`."""
    if name == "postgraphile":
        postgraphile.run(port, url, tenant_id)
    Granian(
        f"benchmarks.{name}",
        address="127.0.0.1",
        port=int(port),
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        workers=1,
        websockets=False,
        log_level=LogLevels.warning,
        factory=True,
    ).serve(target_loader=partial(make_app, name, url, UUID(tenant_id)), wrap_loader=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
