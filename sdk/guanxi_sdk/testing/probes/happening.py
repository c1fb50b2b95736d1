"""Events of everything that a tenant holds, for subscriptions to tell of."""

import json
import typing
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from guanxi_sdk.events import ROW_EVENTS, RowsEvent, name_of
from guanxi_sdk.model import Model
from guanxi_sdk.testing.probes.filling import Filled
from guanxi_sdk.testing.probes.ordering import model_called

if TYPE_CHECKING:
    from guanxi_core.editions import Edition


async def happen(connection: Any, tenant_id: UUID, filled: Filled, edition: "Edition") -> None:
    """Write one event of each kind, of each of the first rows; no handler hears of them."""
    events = [*_of_rows(filled, edition), *_declared(filled, edition)]
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


def _declared(filled: Filled, edition: "Edition") -> Iterator[tuple[str, dict[str, Any]]]:
    for event in (one for plugin in edition.plugins for one in plugin.manifest.events):
        hints = typing.get_type_hints(event)
        for number in (1, 2):
            payload = {
                field.name: _value(field.name, hints[field.name], number, filled, edition)
                for field in msgspec.structs.fields(event)
            }
            yield event.__name__, payload


def _value(name: str, python: Any, number: int, filled: Filled, edition: "Edition") -> Any:
    inner = [one for one in typing.get_args(python) if one is not type(None)] or [python]
    if inner[0] is UUID:
        model: type[Model] | None = model_called(edition, name.removesuffix("_id"))
        if model is not None:
            return str(filled.uuid(model, number))
    return msgspec.to_builtins(filled.value(python, number))
