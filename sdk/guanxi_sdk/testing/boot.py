"""Booting: plugins under test, a tenant of their own, and an application that serves it."""

import datetime as dt
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from guanxi_sdk.plugin import Plugin
from guanxi_sdk.testing.app import App
from guanxi_sdk.testing.clock import Clock
from guanxi_sdk.testing.databases import ThrowAwayDatabase


class Boot:
    """``app = await guanxi(Contacts(), Notes(NotesSettings(max_length=3)))``.

    Each call makes a new tenant. The plugins' settings are stored for it and read back, as they
    would be in production.
    """

    def __init__(self, database: ThrowAwayDatabase, stack: AsyncExitStack) -> None:
        self.database = database
        self._stack = stack

    async def __call__(
        self,
        *plugins: Plugin[Any],
        currency: str = "CNY",
        now: dt.datetime | None = None,
        egress_allow: Sequence[str] = (),
    ) -> App:
        """Serve ``plugins``; ``now`` sets the clock, which stands still until it is moved.

        ``egress_allow`` are networks that ``ctx.egress`` may reach, such as ``127.0.0.0/8`` for a
        server that the test runs.
        """
        from guanxi_core.discovery import Registry
        from guanxi_core.editions import compose
        from guanxi_core.platform import Platform
        from guanxi_core.tenancy import create_tenant, set_plugin

        classes = {plugin.manifest.name: type(plugin) for plugin in plugins}
        compose(classes.values())
        await self.database.prepare(classes.values())
        clock = Clock(now)
        platform = await self._stack.enter_async_context(
            await Platform.open(
                self.database.app_url,
                registry=Registry(classes),
                pool_size=4,
                clock=clock,
                egress_allow=egress_allow,
            )
        )
        tenant = await create_tenant(platform.pool, f"test-{secrets.token_hex(8)}", currency)
        for plugin in plugins:
            settings = msgspec.to_builtins(plugin.settings)
            await set_plugin(platform.pool, tenant, plugin.manifest.name, True, settings)
        return App(platform, tenant, clock)
