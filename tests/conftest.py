"""Fixtures for all tests: throw-away databases."""

import gc
import logging
import os
import shutil
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

import databases as scratch
from guanxi_core.telemetry import logs
from served import served

__all__ = ["served"]


#: A machine that others keep busy proves nothing wrong.
settings.register_profile("guanxi", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("guanxi")


def pytest_configure(config: pytest.Config) -> None:
    gc.set_threshold(100_000, 50, 50)  # schemas and plans make many objects, which mostly stay
    # Else each of the many processes that tests start would compile all of guanxi anew.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if not hasattr(config, "workerinput"):  # pytest-xdist's workers share their parent's folder
        config.stash[_HOME] = scratch.make_home()


def pytest_unconfigure(config: pytest.Config) -> None:
    if home := config.stash.get(_HOME, None):
        os.environ.pop(scratch.HOME, None)
        shutil.rmtree(home, ignore_errors=True)


_HOME = pytest.StashKey[Path]()


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    """Commands have all that their process logs written to stderr: this process is no such one."""
    root = logging.getLogger()
    loggers = [logging.getLogger(name) for name in ("", *logs._OURS, *logs.GRANIAN["loggers"])]
    levels, hooks = [logger.level for logger in loggers], (sys.excepthook, threading.excepthook)
    yield
    root.handlers = [one for one in root.handlers if not isinstance(one, logs._Stderr)]
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
async def databases() -> AsyncIterator[scratch.Databases]:
    """``await databases.fresh()`` is empty, ``await databases.migrated()`` has all tables."""
    if url := os.environ.get(scratch.VARIABLE):
        made = scratch.on_server(url)
        await made.make_roles()
        yield made
        await made.drop_all()
        return
    from guanxi_core.database.embedded import EmbeddedServer

    with EmbeddedServer(Path(os.environ[scratch.HOME], "home"), fast=True) as server:
        made = scratch.Databases(
            lambda role, name: server.url("app" if role == scratch.APP else "owner", name),
            server.url("owner", "postgres"),
            strategy="FILE_COPY",  # quicker where nothing is written to the disk at once
        )
        yield made
        await made.drop_all()


@pytest.fixture(scope="module")
async def database(databases: scratch.Databases) -> AsyncIterator[scratch.Scratch]:
    """A database of the module's own, with the tables of the core and of all installed plugins."""
    made = await databases.migrated()
    yield made
    await databases.drop(made)
