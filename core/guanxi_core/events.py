"""Which events can happen in an edition, and who may hear of each."""

import typing
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guanxi_sdk import Event, EventInfo, Model
from guanxi_sdk._docs import words
from guanxi_sdk.events import (
    ROW_EVENTS,
    Archived,
    Created,
    Deleted,
    Erased,
    Imported,
    Restored,
    Saved,
    Updated,
    name_of,
)

if TYPE_CHECKING:
    from guanxi_core.editions import Edition

_CORE: Final = "guanxi"
_KNOWN: Final = "guanxi_core.event_infos"


def events_of(edition: "Edition") -> Mapping[str, EventInfo]:
    """All events that can happen, by name; worked out once."""
    known: Mapping[str, EventInfo] | None = edition.attachments.get(_KNOWN)
    if known is None:
        infos = (_info(edition, *one) for one in happening(edition))
        known = MappingProxyType({info.name: info for info in infos})
        edition.attachments[_KNOWN] = known
    return known


def happening(edition: "Edition") -> Iterator[tuple[str, type[Event], type[Model] | None]]:
    """Plugin, event and model; the core's own logs tell of nothing."""
    for model in edition.models.values():
        info = model.info
        if not info.append_only:
            told = (event for event in ROW_EVENTS if event is not Erased or info.subject)
            yield from ((info.plugin, event, model) for event in told)
        elif info.plugin != _CORE:
            yield from ((info.plugin, event, model) for event in (Created, Deleted))
    for plugin in edition.plugins:
        yield from ((plugin.manifest.name, event, None) for event in plugin.manifest.events)


def _info(
    edition: "Edition", plugin: str, event: type[Event], model: type[Model] | None
) -> EventInfo:
    hints = typing.get_type_hints(event)
    name, description = name_of(event, model), (event.__doc__ or "").strip()
    read: str | None = f"{plugin}.read"
    if model is not None:
        read = model.info.read
        description = _SENTENCES[event].format(words(model.info.name), words(model.info.plural))
    fields = {field.name: hints[field.name] for field in msgspec.structs.fields(event)}
    return EventInfo(
        name, plugin, description, MappingProxyType(fields), model,
        read if read in edition.permissions else None,
    )  # fmt: skip


_SENTENCES: Final[Mapping[Any, str]] = {
    Created: "A new {0}.",
    Updated: "A change of a {0}.",
    Archived: "A {0} was archived.",
    Restored: "A {0} was brought back from the archive.",
    Deleted: "A {0} was deleted.",
    Erased: "What was kept about a {0} was erased.",
    Saved: "Many {1} were written at once.",
    Imported: "Many {1} were imported.",
}
