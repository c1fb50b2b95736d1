"""Switching plugins on and off for a tenant: plan, then apply, in one transaction.

The new edition is composed, and shown to those who will serve it, before anything is written, under
a lock per tenant, so that a missing requirement, a name clash or a wrong setting fails with the
culprits' names and changes nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from guanxi_core.composing import Composed, served, settle
from guanxi_core.custom.definitions import Definition
from guanxi_core.discovery import Registry
from guanxi_core.editions import Edition, compose
from guanxi_core.installing import Enabled, instantiate
from guanxi_core.limits import WIDEST
from guanxi_core.operations import Broken, broken, list_operations
from guanxi_core.settings import check_settings, read_settings, settings_of
from guanxi_core.surface import surface_of
from guanxi_core.tenancy import custom_definitions, enabled_plugins, set_plugin, transaction
from guanxi_core.vetting import vet
from guanxi_sdk import GuanxiError, Plugin, PluginError, Tenant

Verb = Literal["enable", "configure", "disable", "nothing"]


class EnablingError(GuanxiError):
    """The plugin cannot be switched on or off; the message says what to do first."""


@dataclass(frozen=True, slots=True)
class Change:
    """What was done, or would be: for people to read, and for scripts as JSON."""

    plugin: str
    tenant: str
    verb: Verb
    added: Mapping[str, list[str]] = field(default_factory=dict)  # by kind: permissions, types, …
    removed: Mapping[str, list[str]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)  # those that were given
    #: Registered operations that the schema does not answer then.
    broken_operations: Sequence[Broken] = ()


async def enable(
    source: Any,
    registry: Registry,
    tenant: Tenant,
    name: str,
    settings: Mapping[str, Any] | None = None,
    *,
    as_text: bool = False,
    dry_run: bool = False,
    actor: str = "system",
) -> Change:
    """Switch the plugin on, or change its settings; what is not given stays as it was stored.

    ``source`` is a pool or a connection, as for :mod:`guanxi_core.tenancy`. ``as_text`` reads
    settings as they are typed at the command line. ``dry_run`` writes nothing.
    """
    plugin = registry.get(name)
    given = (read_settings if as_text else check_settings)(plugin, settings or {})
    async with transaction(source, tenant.id) as connection:
        await _take_turns(connection, tenant)
        enabled = await enabled_plugins(connection, tenant)
        stored = await _stored_settings(connection, tenant, name)
        complete = {**stored, **given}
        settings_of(plugin, complete)
        fields = await custom_definitions(connection, tenant)
        current = what_runs(registry, enabled, fields)
        before = current.edition
        verb: Verb = "nothing"
        if name not in enabled:
            _check_requirements(registry, tenant, plugin, current)
            after, verb = compose([*before.plugins, plugin], fields), "enable"
            await asyncio.to_thread(vet, after, name)
        elif complete != stored:
            after = what_runs(registry, {**enabled, name: complete}, fields).edition
            verb = "configure"
        else:
            after = before
        if verb != "nothing" and not dry_run:
            version = plugin.manifest.version
            await set_plugin(connection, tenant, name, True, complete, version=version, actor=actor)
        found = await _broken(connection, tenant, before, after)
    return replace(_change(name, tenant, verb, before, after, given), broken_operations=found)


async def disable(
    source: Any,
    registry: Registry,
    tenant: Tenant,
    name: str,
    *,
    dry_run: bool = False,
    actor: str = "system",
) -> Change:
    """Switch the plugin off; its data and settings stay. Works when its code is gone."""
    async with transaction(source, tenant.id) as connection:
        await _take_turns(connection, tenant)
        enabled = await enabled_plugins(connection, tenant)
        fields = await custom_definitions(connection, tenant)
        before = what_runs(registry, enabled, fields).edition
        if name not in enabled:
            if name not in registry.broken:
                registry.get(name)
            return _change(name, tenant, "nothing", before, before, {})
        if dependents := _dependents(registry, enabled, name):
            raise EnablingError(
                f"plugin '{name}' is required by {_quoted(dependents)} in tenant '{tenant.name}': "
                f"disable {_quoted(dependents)} first."
            )
        others = {k: v for k, v in enabled.items() if k != name}
        after = what_runs(registry, others, fields).edition
        if not dry_run:
            await set_plugin(connection, tenant, name, False, actor=actor)
        found = await _broken(connection, tenant, before, after)
    return replace(_change(name, tenant, "disable", before, after, {}), broken_operations=found)


async def _broken(connection: Any, tenant: Tenant, before: Edition, after: Edition) -> list[Broken]:
    """The tenant's registered operations that the edition to come does not answer."""
    if before.fingerprint == after.fingerprint:
        return []
    registered = await list_operations(connection, tenant)
    if not registered:
        return []
    return await asyncio.to_thread(broken, after, registered, WIDEST)


async def _take_turns(connection: Any, tenant: Tenant) -> None:
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"guanxi_plugin {tenant.id}"
    )


async def _stored_settings(connection: Any, tenant: Tenant, name: str) -> dict[str, Any]:
    """Also those of a plugin that was switched off."""
    stored = await connection.fetchval(
        "SELECT settings FROM guanxi_plugin WHERE tenant_id = $1 AND name = $2", tenant.id, name
    )
    decoded: dict[str, Any] = msgspec.json.decode(stored) if stored else {}
    return decoded


def what_runs(
    registry: Registry, enabled: Enabled, fields: tuple[Definition, ...] = ()
) -> Composed:
    """What the tenant is served, with its custom ``fields``, and why which plugins are left out."""
    instances, left_out = instantiate(registry, enabled)
    composed = settle((type(plugin) for plugin in instances.values()), fields)
    return replace(composed, left_out=left_out | dict(composed.left_out))


def what_is_served(
    registry: Registry, enabled: Enabled, fields: tuple[Definition, ...] = ()
) -> Composed:
    """The same without what only a request would find that it cannot be served."""
    running = what_runs(registry, enabled, fields)
    found = served(running.edition.plugins, fields)
    return replace(found, left_out={**running.left_out, **found.left_out})


def _check_requirements(
    registry: Registry, tenant: Tenant, plugin: type[Plugin[Any]], current: Composed
) -> None:
    """Say what to enable first, in order, however far down it is."""
    missing: list[str] = []

    def visit(one: type[Plugin[Any]]) -> None:
        for name, _ in one.manifest.requires:
            if name in current.edition.names or name in missing:
                continue
            if name in current.left_out:
                raise EnablingError(
                    f"plugin '{one.manifest.name}' requires '{name}', which is enabled for tenant "
                    f"'{tenant.name}' but left out: {current.left_out[name]}"
                )
            if name not in registry.plugins:
                try:
                    registry.get(name)
                except PluginError as error:
                    raise PluginError(
                        one.manifest.name, f"requires '{name}', and {error}"
                    ) from None
            visit(registry.plugins[name])
            missing.append(name)

    visit(plugin)
    if missing:
        raise EnablingError(
            f"plugin '{plugin.manifest.name}' requires {_quoted(missing)}, not enabled for tenant "
            f"'{tenant.name}': enable {_quoted(missing)} first, in this order."
            if len(missing) > 1
            else f"plugin '{plugin.manifest.name}' requires '{missing[0]}', which is not enabled "
            f"for tenant '{tenant.name}': enable '{missing[0]}' first."
        )


def _dependents(registry: Registry, enabled: Any, name: str) -> list[str]:
    """The enabled plugins that stand on ``name``, in the order in which to switch them off."""
    found: list[str] = []

    def visit(wanted: str) -> None:
        for other in sorted(enabled):
            plugin = registry.plugins.get(other)
            requires = dict(plugin.manifest.requires) if plugin else {}
            if wanted in requires and other not in found:
                visit(other)
                found.append(other)

    visit(name)
    return found


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _change(
    name: str, tenant: Tenant, verb: Verb, before: Edition, after: Edition, given: dict[str, Any]
) -> Change:
    former, later = surface_of(before), surface_of(after)
    return Change(name, tenant.name, verb, later.without(former), former.without(later), given)
