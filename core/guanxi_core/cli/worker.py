"""``guanxi worker``."""

import asyncio
import signal

import rich_click as click


@click.command(epilog="Example: guanxi worker --concurrency 16")
@click.option(
    "--concurrency", type=click.IntRange(1, 256), default=8, show_default=True,
    help="How many handlers run at the same time.",
)  # fmt: skip
@click.option(
    "--metrics-port", type=click.IntRange(1, 65535),
    help="TCP port for /health/live, /health/ready and /metrics.",
)  # fmt: skip
@click.option(
    "--metrics-host", default="127.0.0.1", show_default=True, help="Address of that port."
)
def worker(concurrency: int, metrics_port: int | None, metrics_host: str) -> None:
    """Run handlers of events and schedules, and seal the audit, until Ctrl-C or SIGTERM.

    `guanxi serve` does the same beside its requests, unless it is told --no-worker.
    A worker that hangs ends itself, with the exit status 70 or 1: let a supervisor start it again.
    """
    asyncio.run(_work(concurrency, (metrics_host, metrics_port) if metrics_port else None))


async def _work(concurrency: int, place: tuple[str, int] | None) -> None:
    import structlog

    from guanxi_core.cli.opening import opened
    from guanxi_core.config import Config
    from guanxi_core.delivery.worker import Worker
    from guanxi_core.platform import Platform
    from guanxi_core.sealing import Sealer
    from guanxi_core.telemetry import logs, traces
    from guanxi_core.telemetry.answering import watched

    config = Config.load()
    logs.configure(config.log_level, config.log_format)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with (
        traces.making(),
        opened() as guanxi,
        guanxi.database.watched(),
        await Platform.serving(
            guanxi.config,
            guanxi.database.app_url,
            registry=guanxi.registry,
            pool_size=concurrency + 4,
        ) as platform,
        watched(platform, Sealer.serving(config, platform.pool), config, place),
        Worker(platform, concurrency=concurrency, watchdog=config.watchdog).working(),
    ):
        structlog.get_logger("guanxi.worker").info("guanxi works", concurrency=concurrency)
        await stopped.wait()
