"""A process that delivers, hangs with one event, and is ended by its watchdog.

``python hanging.py URL NUMBER WATCHDOG``: the handler ``track`` never comes back from the
event NUMBER; a process whose event loop stands still for WATCHDOG seconds is ended.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures" / "plugins"))

import with_deliveries
from with_deliveries import Parcels

from guanxi_core import heart
from guanxi_core.delivery import queue
from guanxi_core.delivery.worker import Worker
from guanxi_core.discovery import Registry
from guanxi_core.platform import Platform


async def main(url: str, fatal: int, watchdog: float) -> None:
    def hang(number: int, attempt: int) -> None:
        while number == fatal:
            pass

    with_deliveries.behaviour["track"] = hang
    heart._SETTLED = queue._LATE = 0.5
    registry = Registry({"parcels": Parcels})
    async with (
        await Platform.open(url, registry=registry, pool_size=8) as platform,
        heart.Heart(watchdog).run(),
        Worker(platform, watchdog=watchdog, every=0.2).working(),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
