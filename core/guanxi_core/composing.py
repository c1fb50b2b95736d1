"""Editions by fingerprint: built once, shared by all tenants with the same plugins."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from guanxi_core.custom.definitions import Definition, FieldClash
from guanxi_core.editions import Edition, compose, fingerprint
from guanxi_core.plugin import Guanxi
from guanxi_core.telemetry import metrics
from guanxi_core.vetting import vet
from guanxi_sdk import Plugin, PluginError


@dataclass(frozen=True, slots=True)
class Composed:
    """An edition, and what had to be left out of it, each with the reason."""

    edition: Edition
    left_out: Mapping[str, str]  # plugins
    hidden: Mapping[str, str] = field(default_factory=dict)  # custom fields


class Editions:
    """The most recently used editions; each is composed once, in a thread, whoever asks."""

    def __init__(self, most: int = 128) -> None:
        self._most = most
        self._known: OrderedDict[str, Composed] = OrderedDict()
        self._building: dict[str, asyncio.Task[Composed]] = {}

    async def of(
        self, plugins: Iterable[type[Plugin[Any]]], definitions: tuple[Definition, ...] = ()
    ) -> Composed:
        """The edition of ``plugins``, without those that do not fit together with the others.

        ``definitions`` are the tenant's custom fields. Those of models that the plugins do not have
        make no difference, so that a tenant shares its edition whatever it has left behind.
        """
        wanted = tuple(plugins)
        everything: tuple[type[Plugin[Any]], ...] = (Guanxi, *wanted)
        models = {model.info.name for plugin in everything for model in plugin.manifest.models}
        definitions = tuple(one for one in definitions if one.model in models)
        key = fingerprint(wanted, definitions)
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            return known
        task = self._building.get(key)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(settle, wanted, definitions))
            self._building[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        return await asyncio.shield(task)

    @property
    def held(self) -> set[int]:
        """The identities of the editions that are kept; others should be let go, they are large."""
        return {id(known.edition) for known in self._known.values()}

    async def leave_out(self, edition: Edition, error: Exception) -> bool:
        """Go on without the plugin because of which ``edition`` cannot be served.

        False if that is none of them, so that there is nothing to go on with.
        """
        for key, known in list(self._known.items()):
            if known.edition is edition:
                composed = await asyncio.to_thread(without_culprit, known, error)
                if composed is None:
                    return False
                self._known[key] = composed
        return True

    def _finished(self, key: str, task: "asyncio.Task[Composed]") -> None:
        self._building.pop(key, None)
        if not task.cancelled() and task.exception() is None:
            self._known[key] = task.result()
            if len(self._known) > self._most:
                self._known.popitem(last=False)


def settle(
    plugins: Iterable[type[Plugin[Any]]], definitions: Iterable[Definition] = ()
) -> Composed:
    """Compose ``plugins``; one that does not fit is left out, and the others go on without it.

    So is a custom field that has the name of something else by now; its values stay.
    """
    remaining = {plugin.manifest.name: plugin for plugin in plugins}
    defined = list(definitions)
    left_out: dict[str, str] = {}
    hidden: dict[str, str] = {}
    while True:
        try:
            with metrics.EDITION_BUILDS.labels("plugins").time():
                return Composed(compose(remaining.values(), defined), left_out, hidden)
        except FieldClash as error:
            defined.remove(error.definition)
            hidden[error.definition.key] = str(error)
        except PluginError as error:
            if error.plugin not in remaining:
                raise
            del remaining[error.plugin]
            left_out[error.plugin] = str(error).removeprefix(f"plugin '{error.plugin}': ")


def without_culprit(composed: Composed, error: Exception) -> Composed | None:
    """The same without the plugin that ``error``, raised by :func:`vet` or by serving, is due to.

    Where the error names none, each is left out in turn, until what is left can be served.
    """
    plugins = {p.manifest.name: p for p in composed.edition.plugins}
    named = error.plugin if isinstance(error, PluginError) else ""
    for name in [named] if named in plugins else reversed(list(plugins)):
        others = [plugin for other, plugin in plugins.items() if other != name]
        rest = settle(others, composed.edition.definitions)
        try:
            vet(rest.edition, name)
        except PluginError as still:
            if name != named or still.plugin == name:
                continue
        reason = str(error).removeprefix(f"plugin '{name}': ") or type(error).__name__
        left_out = {**composed.left_out, name: f"it cannot be served: {reason}"}
        hidden = {**composed.hidden, **rest.hidden}
        return Composed(rest.edition, {**rest.left_out, **left_out}, hidden)
    return None


def served(
    plugins: Iterable[type[Plugin[Any]]], definitions: Iterable[Definition] = ()
) -> Composed:
    """Compose ``plugins`` without those that could not be served, as requests would find out."""
    composed = settle(plugins, definitions)
    while True:
        try:
            vet(composed.edition, "")
        except PluginError as error:
            rest = without_culprit(composed, error)
            if rest is None:
                raise
            composed = rest
        else:
            return composed
