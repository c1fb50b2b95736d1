"""The pytest plugin: fixtures that boot guanxi with the plugins under test.

It is loaded with every run of pytest, so it imports nothing before a test asks for a fixture.
"""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

async_fixture: Any
try:
    from pytest_asyncio import fixture as async_fixture
except ImportError:  # this plugin is loaded everywhere; only tests that use it need the other
    async_fixture = pytest.fixture

if TYPE_CHECKING:
    from guanxi_sdk.testing.boot import Boot
    from guanxi_sdk.testing.databases import ThrowAwayDatabase


@pytest.fixture(scope="session")
def guanxi_database() -> "Iterator[ThrowAwayDatabase]":
    """A database for this run; GUANXI_TEST_DATABASE_URL puts it on a server of your own."""
    from guanxi_sdk.testing.databases import throw_away_database

    with throw_away_database() as database:
        yield database


@async_fixture  # type: ignore[untyped-decorator]
async def guanxi(guanxi_database: "ThrowAwayDatabase") -> "AsyncIterator[Boot]":
    """``app = await guanxi(Contacts(), Notes())``: a tenant of its own, served by these plugins."""
    from contextlib import AsyncExitStack

    from guanxi_sdk.testing.boot import Boot

    async with AsyncExitStack() as stack:
        yield Boot(guanxi_database, stack)
