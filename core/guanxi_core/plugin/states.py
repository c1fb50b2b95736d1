"""Plugins that are switched off for a while, as the breakers of all workers keep them."""

import datetime as dt

from sqlalchemy.orm import Mapped

from guanxi_sdk import Choice, Model, Permission, column

READ_PLUGINS = Permission(
    "guanxi.plugins", "See which plugins were switched off because they kept failing."
)


class PluginStatus(Choice):
    """Whether a plugin is called."""

    OPEN = "open", "暂停", "Switched off"
    CLOSED = "closed", "恢复", "Works again"


class PluginState(
    Model, plugin="guanxi", append_only=True, key="plugin", read=READ_PLUGINS.name,
    write=READ_PLUGINS.name,
):  # fmt: skip
    """A plugin that was switched off because it kept failing; the core keeps one row for each."""

    plugin: Mapped[str]
    """Name of the plugin."""
    state: Mapped[PluginStatus] = column(indexed=True)
    """Whether it is called now: the breaker is open while it is not."""
    since: Mapped[dt.datetime]
    """When the state began."""
    until: Mapped[dt.datetime]
    """When one call is let through to see whether it works again."""
    failures: Mapped[int]
    """Failures since it last worked without any."""
    error: Mapped[str]
    """Class of the last failure."""
    worker: Mapped[str]
    """Host and process that switched it off or on."""
