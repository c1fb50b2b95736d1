"""``guanxi worker``."""

import asyncio
import signal

import rich_click as click


@click.command(epilog="Example: guanxi worker --concurrency 16")
@click.option(
    "--concurrency", type=click.IntRange(1, 256), default=8, show_default=True,
    help="How many handlers run at the same time.",
)  # fmt: skip
def worker(concurrency: int) -> None:
    """Run handlers of events and schedules, and seal the audit, until Ctrl-C or SIGTERM.

    `guanxi serve` does the same beside its requests, unless it is told --no-worker.
    """
    asyncio.run(_work(concurrency))


async def _work(concurrency: int) -> None:
    from guanxi_core.cli.opening import opened
    from guanxi_core.delivery.worker import Worker
    from guanxi_core.platform import Platform
    from guanxi_core.sealing import Sealer

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with (
        opened() as guanxi,
        guanxi.database.watched(),
        await Platform.open(
            guanxi.database.app_url,
            registry=guanxi.registry,
            pool_size=concurrency + 4,
            egress_allow=guanxi.config.egress_allow,
        ) as platform,
        Sealer(platform.pool).working(),
        Worker(platform, concurrency=concurrency).working(),
    ):
        click.echo(f"guanxi works, {concurrency} handlers at a time", err=True)
        await stopped.wait()
