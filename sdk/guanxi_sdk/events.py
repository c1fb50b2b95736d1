"""Events of rows, and what a handler may know about the delivery that it is part of."""

import datetime as dt
import typing
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, Self, TypeVar
from uuid import UUID

import msgspec

from guanxi_sdk.errors import GuanxiError
from guanxi_sdk.model import Model
from guanxi_sdk.values import Event

M = TypeVar("M", bound=Model)


class RowEvent(Event, Generic[M]):
    """What happened to one row, whoever wrote it; ``@on(Created[Customer])`` and its siblings."""

    id: UUID


class Created(RowEvent[M], Generic[M]):
    """A row was created."""


class Updated(RowEvent[M], Generic[M]):
    """A row was changed."""


class Archived(RowEvent[M], Generic[M]):
    """A row was archived."""


class Restored(RowEvent[M], Generic[M]):
    """A row was brought back from the archive."""


class Deleted(RowEvent[M], Generic[M]):
    """A row was deleted, which only plugin code does."""


class Erased(RowEvent[M], Generic[M]):
    """A person was erased, for a model with ``subject=True``: what other systems keep must go."""


class RowsEvent(Event, Generic[M]):
    """What happened to many rows at once; they are not told of one by one."""

    count: int
    first: UUID
    last: UUID


class Saved(RowsEvent[M], Generic[M]):
    """Rows were written with ``ctx.save_many``: ``@on(Saved[Customer])``."""


class Imported(RowsEvent[M], Generic[M]):
    """Rows were imported from a file: ``@on(Imported[Customer])``."""


#: What the platform itself tells about each model.
ROW_EVENTS: Final = (Created, Updated, Archived, Restored, Deleted, Erased, Saved, Imported)


class AnyEvent(Event):
    """Whatever happens in the tenant: ``@on(AnyEvent)``.

    Events of the handler's own plugin are left out, those of its models and those that it declares,
    so that nobody triggers themselves for ever. Two plugins that both answer everything by writing
    would: let them look at :attr:`name` first.
    """

    name: str
    """As ``ctx.events()`` knows it: ``CustomerCreated``, or the class of a declared event."""
    payload: Mapping[str, Any]
    """The event's fields as JSON has them: a UUID is a text."""


@dataclass(frozen=True, slots=True)
class EventInfo:
    """An event that can happen in a tenant; ``ctx.events()`` has all of them by name."""

    name: str
    plugin: str
    """The plugin whose model it is about, or that declares it."""
    description: str
    fields: Mapping[str, Any]
    """The type of each field of the payload."""
    model: type[Model] | None
    """What an event of rows is about; None for a declared one."""
    read: str | None
    """The permission that lets hear of it: to read the model, or ``<plugin>.read``, if any."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to run a handler or a schedule: ``Delivery.current()`` within it.

    What a handler writes with its context happens once however often it runs. For effects outside
    the database, ``id`` tells whether this is a repetition.
    """

    id: UUID
    """The event's id, or the scheduled run's: the same at every attempt."""
    at: dt.datetime
    """When the event happened, or when the schedule was due."""
    attempt: int
    """1 at first."""

    _current: ClassVar[ContextVar[Any]] = ContextVar("guanxi_delivery")

    @classmethod
    def current(cls) -> Self:
        """The delivery that this code is part of."""
        try:
            found: Self = cls._current.get()
        except LookupError:
            raise GuanxiError(
                "there is no delivery here: ask inside a method with @on or @schedule."
            ) from None
        return found


def split(event: Any) -> tuple[type[Event], type[Model] | None]:
    """``Created[Customer]`` as class and model; any other event has no model."""
    origin = typing.get_origin(event)
    if origin is None:
        return event, None
    (model,) = typing.get_args(event)
    return origin, model


def name_of(event: type[Event], model: type[Model] | None) -> str:
    """What the outbox calls an event."""
    if model is None:
        return event.__name__
    if not issubclass(event, RowsEvent):
        return model.info.name + event.__name__
    return "".join(part.capitalize() for part in model.info.plural.split("_")) + event.__name__


def entity_field(event: type[Event]) -> str | None:
    """The field that says which entity an event is about, if any does."""
    if event.__entity__ is not None or issubclass(event, RowsEvent):
        return event.__entity__
    hints = typing.get_type_hints(event)
    names: Final = (one.name for one in msgspec.structs.fields(event))
    return next((n for n in names if UUID in (hints[n], *typing.get_args(hints[n]))), None)
