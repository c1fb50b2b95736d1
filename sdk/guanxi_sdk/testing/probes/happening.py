"""Events of everything that a tenant holds, for subscriptions to tell of."""

import json
import typing
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from guanxi_sdk.events import ROW_EVENTS, RowsEvent, name_of
from guanxi_sdk.model import Model
from guanxi_sdk.testing.probes.filling import Filled
from guanxi_sdk.testing.probes.ordering import model_called
from guanxi_sdk.values import Event

if TYPE_CHECKING:
    from guanxi_core.editions import Edition


async def happen(connection: Any, tenant_id: UUID, filled: Filled, edition: "Edition") -> None:
    """Write one event of each kind, of each of the first rows; no handler hears of them."""
    declared = ((event.__name__, payload) for _, event, _, payload in _declared(filled, edition))
    events = [*_of_rows(filled, edition), *declared]
    await connection.execute(
        "INSERT INTO guanxi_outbox (tenant_id, id, name, payload, status) "
        "SELECT $1, gen_random_uuid(), name, payload::jsonb, 'relayed' "
        "FROM unnest($2::text[], $3::text[]) AS t (name, payload)",
        tenant_id, [name for name, _ in events], [json.dumps(payload) for _, payload in events],
    )  # fmt: skip


def _of_rows(filled: Filled, edition: "Edition") -> Iterator[tuple[str, dict[str, Any]]]:
    for model in edition.models.values():
        ids = [str(filled.uuid(model, number)) for number in (1, 2)]
        for event in ROW_EVENTS:
            if issubclass(event, RowsEvent):
                yield name_of(event, model), {"count": 2, "first": ids[0], "last": ids[1]}
            else:
                yield from ((name_of(event, model), {"id": identity}) for identity in ids)


def _declared(
    filled: Filled, edition: "Edition"
) -> Iterator[tuple[str, type[Event], int, dict[str, Any]]]:
    """Each plugin's events, of the first rows: plugin, event, number of the row, payload."""
    for plugin in edition.plugins:
        for event in plugin.manifest.events:
            hints = typing.get_type_hints(event)
            for number in (1, 2):
                payload = {
                    field.name: _value(field.name, hints[field.name], number, filled, edition)
                    for field in msgspec.structs.fields(event)
                }
                yield plugin.manifest.name, event, number, payload


def _value(name: str, python: Any, number: int, filled: Filled, edition: "Edition") -> Any:
    model = _named(name, python, edition)
    if model is not None:
        return str(filled.uuid(model, number))
    return msgspec.to_builtins(filled.value(_inner(python), number))


def _inner(python: Any) -> Any:
    """A type without None."""
    return next((one for one in typing.get_args(python) if one is not type(None)), python)


def _named(name: str, python: Any, edition: "Edition") -> type[Model] | None:
    """The model of whose rows an event's field holds the id."""
    if _inner(python) is not UUID:
        return None
    return model_called(edition, name.removesuffix("_id"))


def about(event: type[Event], edition: "Edition") -> set[type[Model]]:
    """The models of whose rows an event names one."""
    hints = typing.get_type_hints(event)
    named = (_named(one.name, hints[one.name], edition) for one in msgspec.structs.fields(event))
    return {model for model in named if model is not None}


async def disguise_events(
    connection: Any,
    tenant_id: UUID,
    hidden: Filled,
    edition: "Edition",
    concerned: Callable[[str, type[Event], int], bool],
) -> None:
    """Have what has happened say something else about the same rows.

    ``concerned`` is told plugin, event and number of the row.
    """
    for plugin, event, number, payload in _declared(hidden, edition):
        if concerned(plugin, event, number):
            await connection.execute(
                "UPDATE guanxi_outbox SET payload = $3::jsonb WHERE tenant_id = $1 AND name = $2 "
                "AND id = (SELECT id FROM guanxi_outbox WHERE tenant_id = $1 AND name = $2 "
                "ORDER BY position OFFSET $4 LIMIT 1)",
                tenant_id, event.__name__, json.dumps(payload), number - 1,
            )  # fmt: skip
