"""Row 7, what cannot be interrupted: a busy loop ends with its worker, and another one serves."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from databases import Scratch
from figures import LONG, Figure
from guanxi_core.database.pool import TenantPool
from guanxi_core.heart import Heart
from guanxi_core.tenancy import find_tenant
from serving import GUANXI, environment, home_of, install, run, serving, wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no embedded server on Windows")

PLUGIN = '''
"""Hangs when asked to."""
import guanxi_sdk


class Hung(guanxi_sdk.Event):
    """Somebody is to hang."""


class Hang(guanxi_sdk.Plugin, name="hang", events=[Hung]):
    """Hangs when asked to."""

    @guanxi_sdk.on(Hung)
    async def linger(self, ctx: guanxi_sdk.Context, event: Hung) -> None:
        """Never come back."""
        while True:
            pass

    @guanxi_sdk.query()
    async def hang(self, ctx: guanxi_sdk.Context) -> str:
        """Never come back."""
        while True:
            pass
'''


@pytest.fixture
def installed(tmp_path: Path) -> str:
    """A folder for PYTHONPATH in which the plugin is installed."""
    return install(tmp_path, "hang", "Hang", PLUGIN)


@pytest.mark.skipif(not LONG, reason="takes long: make trust")
def test_a_worker_that_hangs_is_replaced(installed: str, figure: Figure) -> None:
    with (
        home_of({"acme": ("hang",)}) as (home, tokens),
        serving(home, tokens["acme"], PYTHONPATH=installed, GUANXI_WATCHDOG="1") as running,
    ):
        live = httpx.get(f"{running.url}/health/live", verify=False).json()
        assert live["status"] == "live"
        assert live["longestPause"] >= 0
        (before,) = running.workers()
        with pytest.raises(httpx.TransportError):
            running.ask("{ hang }")
        wait_for(lambda: running.workers() not in ([], [before]))
        wait_for(lambda: running.status("/health/ready") == 200)
        assert running.ask().status_code == 200
        (line,) = [x for x in running.log.read_text().splitlines() if "the worker hangs" in x]
        assert "guanxi_hang.py" in line
        assert "in hang" in line
        assert running.stop() == 0
    figure(7, "a busy loop ends with its worker, another serves", "replaced, cause in the log")


async def test_a_worker_without_requests_ends_itself(
    installed: str, database: Scratch, tmp_path: Path
) -> None:
    """``guanxi worker`` has no parent: whoever supervises it hears of it by its status."""
    given = {
        "PYTHONPATH": installed, "GUANXI_DATABASE_URL": database.app_url,
        "GUANXI_OWNER_DATABASE_URL": database.owner_url,
    }  # fmt: skip
    home = tmp_path / "home"
    made = await asyncio.to_thread(
        run, home, "tenant", "create", "lingering", "--enable", "hang", **given
    )
    assert made.returncode == 0, made.stderr
    pool = await TenantPool.open(database.app_url, size=1)
    async with pool.connection((await find_tenant(pool, "lingering")).id) as connection:
        await connection.execute(
            "INSERT INTO guanxi_outbox (tenant_id, id, name, payload) SELECT "
            "current_setting('guanxi.tenant')::uuid, gen_random_uuid(), 'Hung', '{}'"
        )
    await pool.close()
    process = await asyncio.create_subprocess_exec(
        *GUANXI, "worker", env=environment(home, GUANXI_WATCHDOG="1", **given), cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            _, told = await process.communicate()
        assert process.returncode == 70, told
        assert "in linger" in told.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_a_loop_that_does_not_turn_ends_the_process_and_says_where() -> None:
    script = """
import asyncio
from guanxi_core import heart
from guanxi_core.telemetry import logs
logs.configure()
heart._SETTLED = 0.2
async def endless():
    while True:
        pass
async def main():
    async with heart.Heart(0.3).run():
        await endless()
asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 70
    assert "the worker hangs and is ended" in ended.stderr
    assert "in endless" in ended.stderr


def test_where_threads_stand_still_too_the_timer_of_c_ends_the_worker() -> None:
    """A pattern that backtracks for ever holds the interpreter."""
    script = """
import asyncio, re
from guanxi_core import heart
heart._SETTLED = heart._GRACE = 0.2
async def main():
    async with heart.Heart(0.3).run():
        await asyncio.sleep(0.3)
        re.match("(a+)+b", "a" * 60)
asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert "in main" in ended.stderr


async def test_the_heart_tells_how_long_the_loop_stood_still() -> None:
    heart = Heart(0)
    threads = threading.active_count()
    async with heart.run():
        await asyncio.sleep(0.01)
        assert heart.longest_pause() < 0.2
        threading.Event().wait(0.8)
        assert heart.longest_pause() > 0.4
        await asyncio.sleep(0.01)
        assert heart.longest_pause() > 0.4
        assert threading.active_count() == threads
