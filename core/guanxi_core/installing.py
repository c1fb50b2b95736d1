"""From what a tenant has enabled to what it can be served."""

from asyncio import CancelledError
from collections.abc import Mapping
from typing import Any

from guanxi_core.discovery import Registry, one_line
from guanxi_core.settings import SettingsError, settings_of
from guanxi_sdk import Plugin

Enabled = Mapping[str, Mapping[str, Any]]


def instantiate(
    registry: Registry, enabled: Enabled
) -> tuple[dict[str, Plugin[Any]], dict[str, str]]:
    """The plugins with the tenant's settings, and the reason for each that cannot run.

    A plugin whose stored settings no longer fit is left out rather than run with other settings
    than the tenant chose: a wrong budget limit does more harm than a missing field.
    """
    instances: dict[str, Plugin[Any]] = {}
    left_out: dict[str, str] = {}
    for name, stored in enabled.items():
        plugin = registry.plugins.get(name)
        if plugin is None:
            left_out[name] = registry.broken.get(name, "it is not installed any more.")
            continue
        try:
            instances[name] = plugin(settings_of(plugin, stored))
        except SettingsError as error:
            left_out[name] = str(error)
        except (KeyboardInterrupt, GeneratorExit, CancelledError):
            raise
        except BaseException as error:  # SystemExit too: a plugin may not end the process
            reason = f"{type(error).__name__}: {one_line(str(error))}".removesuffix(": ")
            left_out[name] = f"it does not start: {reason}"
    return instances, left_out
