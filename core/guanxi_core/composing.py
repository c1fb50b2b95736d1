"""Editions by fingerprint: built once, shared by all tenants with the same plugins."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from guanxi_core.editions import Edition, compose, fingerprint
from guanxi_sdk import Plugin, PluginError


@dataclass(frozen=True, slots=True)
class Composed:
    """An edition, and the plugins that had to be left out of it, each with the reason."""

    edition: Edition
    left_out: Mapping[str, str]


class Editions:
    """The most recently used editions; each is composed once, in a thread, whoever asks."""

    def __init__(self, most: int = 128) -> None:
        self._most = most
        self._known: OrderedDict[str, Composed] = OrderedDict()
        self._building: dict[str, asyncio.Task[Composed]] = {}

    async def of(self, plugins: Iterable[type[Plugin[Any]]]) -> Composed:
        """The edition of ``plugins``, without those that do not fit together with the others."""
        wanted = tuple(plugins)
        key = fingerprint(wanted)
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            return known
        task = self._building.get(key)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(settle, wanted))
            self._building[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        return await asyncio.shield(task)

    def _finished(self, key: str, task: "asyncio.Task[Composed]") -> None:
        self._building.pop(key, None)
        if not task.cancelled() and task.exception() is None:
            self._known[key] = task.result()
            if len(self._known) > self._most:
                self._known.popitem(last=False)


def settle(plugins: Iterable[type[Plugin[Any]]]) -> Composed:
    """Compose ``plugins``; one that does not fit is left out, and the others go on without it."""
    remaining = {plugin.manifest.name: plugin for plugin in plugins}
    left_out: dict[str, str] = {}
    while True:
        try:
            return Composed(compose(remaining.values()), left_out)
        except PluginError as error:
            if error.plugin not in remaining:
                raise
            del remaining[error.plugin]
            left_out[error.plugin] = str(error).removeprefix(f"plugin '{error.plugin}': ")
