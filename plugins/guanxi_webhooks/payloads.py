"""What a subscriber may hear of an event, and as what its fields are sent."""

import datetime as dt
import typing
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from guanxi_sdk import Deleted, EventInfo, Rights, Scope, camel
from guanxi_sdk.events import name_of

#: The plugin's own events are nobody's business: a message about a message would never end.
OWN: Final = "webhooks"
#: What a test is called, in the spelling of Standard Webhooks.
TEST: Final = "webhook.test"
_NOBODY: Final = UUID(int=0)
_EXAMPLES: Final = {
    int: 1, float: 1.0, bool: True, dt.date: "2026-01-01", dt.datetime: "2026-01-01T00:00:00Z",
}  # fmt: skip


def subscribable(events: Mapping[str, EventInfo]) -> Iterable[EventInfo]:
    """All that somebody could subscribe to."""
    return (info for info in events.values() if info.plugin != OWN)


def deaf(info: EventInfo, rights: Rights, about: Collection[str]) -> str | None:
    """Why somebody with ``rights`` may not hear of an event, as the end of a sentence.

    ``about`` are the objects that it names, or fields which may name some, see :func:`subjects`.
    Whether they are rows that one may see is asked when it happens. Where there is no row to ask
    for, the permission must reach all rows.
    """
    if info.read is None:
        return None
    if info.read not in rights.permissions:
        return f"needs the permission '{info.read}'"
    if not about and Scope.ALL not in rights.scopes(info.read):
        return f"is about no single object, so it needs the permission '{info.read}' for all"
    return None


def subjects(info: EventInfo, events: Mapping[str, EventInfo]) -> dict[str, str]:
    """Fields that name an object which can be asked for, each with what its global id begins with.

    An object that was deleted cannot.
    """
    if info.model is not None and info.name == name_of(Deleted, info.model):
        return {}
    return _ids(info, events)


def variables(
    info: EventInfo, payload: Mapping[str, Any], events: Mapping[str, EventInfo]
) -> dict[str, Any]:
    """The payload as GraphQL spells it: camelCase, and ids of objects as global ids."""
    ids = _ids(info, events)
    return {
        camel(name): f"{ids[name]}_{value}" if name in ids and value is not None else value
        for name, value in payload.items()
    }


def examples(info: EventInfo, events: Mapping[str, EventInfo]) -> dict[str, Any]:
    """Variables such as an event has, null where a field may be."""
    made = {name: _example(python) for name, python in info.fields.items()}
    return variables(info, made, events)


def names_of_variables(info: EventInfo) -> list[str]:
    """What a selection may use."""
    return [camel(name) for name in info.fields]


def _ids(info: EventInfo, events: Mapping[str, EventInfo]) -> dict[str, str]:
    if info.model is not None:
        return {"id": info.model.info.prefix} if "id" in info.fields else {}
    known = {other.model.info.prefix for other in events.values() if other.model is not None}
    return {
        name: name.removesuffix("_id")
        for name, python in info.fields.items()
        if UUID in (python, *typing.get_args(python)) and name.removesuffix("_id") in known
    }


def _example(python: Any) -> Any:
    if type(None) in typing.get_args(python):
        return None
    if python is UUID:
        return str(_NOBODY)
    return _EXAMPLES.get(python, "text")
