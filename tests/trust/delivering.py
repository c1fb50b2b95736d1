"""A process that delivers, and may write meanwhile: to be killed by tests.

``python delivering.py URL TENANT [FIRST]``: with FIRST it writes events numbered from there, and
prints each number once its commit is acknowledged.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures" / "plugins"))

from uuid_utils.compat import uuid7
from with_deliveries import ParcelMoved, Parcels

from guanxi_core.delivery.worker import Worker
from guanxi_core.discovery import Registry
from guanxi_core.platform import Platform
from guanxi_core.tenancy import find_tenant


def tell(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


async def main(url: str, name: str, first: int | None) -> None:
    registry = Registry({"parcels": Parcels})
    async with await Platform.open(url, registry=registry, pool_size=8) as platform:
        access = await platform.system_access(await find_tenant(platform.pool, name))
        async with Worker(platform, lease=1, every=0.2).working():
            tell("ready")
            parcels = [uuid7() for _ in range(8)]
            while first is not None:
                async with platform.context(access) as ctx:
                    ctx.emit(ParcelMoved(parcel_id=parcels[first % 8], number=first))
                tell(first)
                first += 1
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if sys.argv[3:] else None))
