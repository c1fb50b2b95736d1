"""Booting: plugins under test, a tenant of their own, and an application that serves it."""

import datetime as dt
import os
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guanxi_sdk.context import Tenant
from guanxi_sdk.plugin import Plugin
from guanxi_sdk.testing.app import App
from guanxi_sdk.testing.clock import Clock
from guanxi_sdk.testing.databases import ThrowAwayDatabase
from guanxi_sdk.testing.probes.findings import Report

if TYPE_CHECKING:
    from guanxi_core.composing import Editions
    from guanxi_core.platform import Platform
    from guanxi_sdk.testing.probes.owning import Owning

#: When probes take place: later than what tenants are filled with.
_PROBED_AT: Final = dt.datetime(2024, 3, 1, 8, 30, tzinfo=dt.UTC)


@lru_cache(64)
def _editions(plugins: frozenset[type[Plugin[Any]]]) -> "Editions":
    """What tests of the same plugins share, as the tenants of one server do: schema and plans.

    Plugins that do not fit together raise the error that says why.
    """
    from guanxi_core.composing import Editions
    from guanxi_core.editions import compose

    compose(plugins)
    return Editions()


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
        from guanxi_core.tenancy import create_tenant, set_plugin

        clock = Clock(now)
        platform = await self._stack.enter_async_context(
            await self._open(plugins, clock, egress_allow)
        )
        platform.editions = _editions(frozenset(type(plugin) for plugin in plugins))
        tenant = await create_tenant(platform.pool, f"test-{secrets.token_hex(8)}", currency)
        for plugin in plugins:
            settings = msgspec.to_builtins(plugin.settings)
            await set_plugin(platform.pool, tenant, plugin.manifest.name, True, settings)
        await _schedule(platform, tenant)
        return App(platform, tenant, clock)

    async def probe_tenants(
        self,
        *plugins: Plugin[Any],
        examples: Mapping[str, Any] | None = None,
        undone: Mapping[str, str] | None = None,
        thorough: bool | None = None,
    ) -> Report:
        """Show that nobody reaches another tenant by what ``plugins`` add to the schema.

        Two tenants hold a canary in every column, and in custom fields. Every field, argument,
        filter, order and mutation is asked by every role; no answer to one tenant holds anything of
        the other, a foreign id answers exactly as a missing one, and nothing of the other is
        changed.

        What the plugins require is taken from what is installed, unless it is given. ``examples``
        are values by attribute or argument, ``{"Office.time_zone": "Asia/Shanghai"}``, where the
        probe finds none that fit. A mutation of ``plugins`` that is never done is a finding, unless
        ``undone`` tells why it cannot be: ``{"payInvoice": "takes a bank"}``. So is whatever fails
        where it should answer or refuse. ``thorough`` (by default with GUANXI_TRUST=1 in the
        environment) asks everything as everybody. Raises :class:`ProbeFailed`; returns what was
        tried.
        """
        from guanxi_sdk.testing.probes.tenants import OURS, TenantProbe

        report = _report(plugins, undone)
        async with self._world(plugins, report, OURS, examples, thorough) as world:
            await TenantProbe(world, thorough=_thorough(thorough)).run()
        return report

    async def probe_hidden_fields(
        self,
        *plugins: Plugin[Any],
        owning: "Owning | None" = None,
        examples: Mapping[str, Any] | None = None,
        undone: Mapping[str, str] | None = None,
        thorough: bool | None = None,
    ) -> Report:
        """Show that what somebody may not read makes no difference to what they are answered.

        Two tenants differ in nothing but what is hidden: by a permission, by a clearance, or by the
        scope `own`, and where it is ``thorough`` by `team` and `office`, if the policies know them.
        Whoever may not read it gets equal answers from both, whatever they ask, filter or sort by
        or change, and ids of hidden rows answer as those that nobody has.

        Whose rows are whose is read from the plugins' policies. Where the report's ``unscoped``
        says that this failed, say it with ``owning``, an ``async def owning(ctx, user_id)`` that
        makes the user own the first rows only. The rest is as in :meth:`probe_tenants`.
        """
        from guanxi_sdk.testing.probes.hidden_fields import OURS, HiddenFieldsProbe

        report = _report(plugins, undone)
        async with self._world(plugins, report, OURS, examples, thorough) as world:
            await HiddenFieldsProbe(world, owning, thorough=_thorough(thorough)).run()
        return report

    @asynccontextmanager
    async def _world(
        self,
        plugins: Sequence[Plugin[Any]],
        report: Report,
        filled: Any,
        examples: Mapping[str, Any] | None,
        thorough: bool | None,
    ) -> AsyncIterator[Any]:
        """Where a probe takes place: these plugins with what they require."""
        from guanxi_sdk.testing.probes.world import World

        given = {plugin.manifest.name: plugin for plugin in plugins}
        everything = _required(given)
        async with await self._open(list(everything.values()), Clock(_PROBED_AT)) as platform:
            platform.editions = _editions(frozenset(type(p) for p in everything.values()))
            settings = {n: msgspec.to_builtins(p.settings) for n, p in everything.items()}
            world = World(platform, settings, report)
            await world.prepare(filled, examples or {}, given, thorough=_thorough(thorough))
            yield world

    async def _open(
        self, plugins: Sequence[Plugin[Any]], clock: Clock, egress_allow: Sequence[str] = ()
    ) -> Any:
        from guanxi_core.discovery import Registry
        from guanxi_core.platform import Platform

        classes = {plugin.manifest.name: type(plugin) for plugin in plugins}
        _editions(frozenset(classes.values()))
        await self.database.prepare(classes.values())
        return await Platform.open(
            self.database.app_url, registry=Registry(classes), pool_size=4, clock=clock,
            egress_allow=egress_allow,
        )  # fmt: skip


async def _schedule(platform: "Platform", tenant: Tenant) -> None:
    """Let the tenant's schedules wait for their next time, as a worker does that runs all along."""
    from guanxi_core.delivery.schedules import synchronise

    edition = (await platform.installation(tenant)).edition
    if edition.schedules:
        async with platform.pool.connection(tenant.id) as connection:
            await synchronise(connection, tenant.id, edition, platform.now())


def _report(plugins: Sequence[Plugin[Any]], undone: Mapping[str, str] | None) -> Report:
    return Report(tuple(plugin.manifest.name for plugin in plugins), undone=undone or {})


def _thorough(thorough: bool | None) -> bool:
    return bool(os.environ.get("GUANXI_TRUST")) if thorough is None else thorough


def _required(given: Mapping[str, Plugin[Any]]) -> dict[str, Plugin[Any]]:
    """The plugins, and those of the installed ones that they require."""
    from guanxi_core.discovery import discover

    found = dict(given)
    waiting = list(given.values())
    while waiting:
        for name, _ in waiting.pop().manifest.requires:
            if name not in found:
                found[name] = discover().get(name)()
                waiting.append(found[name])
    return found
