"""What a server does between the first signal to stop and its end."""

import asyncio
import os
import signal

from guanxi_graphql.server import _make_loop


def test_farewells_come_before_the_server_stops_and_only_once() -> None:
    """Once the server stops, nothing can be sent any more."""
    loop = _make_loop()
    told: list[str] = []
    stopped = asyncio.Event()

    async def say() -> None:
        told.append("farewell")
        os.kill(os.getpid(), signal.SIGUSR1)  # somebody is impatient
        await asyncio.sleep(0.05)
        told.append("said")

    async def fail() -> None:
        raise OSError

    def stop() -> None:
        told.append("stop")
        stopped.set()

    async def serve() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(stopped.wait(), 10)
        await asyncio.sleep(0.05)

    loop.before_stop += [fail, say]
    loop.add_signal_handler(signal.SIGUSR1, stop)
    try:
        loop.run_until_complete(serve())
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    assert told == ["farewell", "said", "stop"]
