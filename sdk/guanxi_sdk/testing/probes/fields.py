"""Custom fields for the tenants of a probe: of every kind and with every clearance, with values."""

import datetime as dt
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from guanxi_core.custom.definitions import CustomValues, Definition, takes_fields
from guanxi_core.editions import Edition
from guanxi_sdk.info import Kind

if TYPE_CHECKING:
    from guanxi_sdk.testing.probes.filling import Filled

_KINDS: Final[tuple[Kind, ...]] = ("text", "int", "float", "bool", "date", "datetime", "choice")
_CLEARANCES: Final = ("INTERNAL", "CONFIDENTIAL", "SECRET")
_OPTIONS: Final = ("FIRST|一|First", "SECOND|二|Second")
#: The number of the first definition among the rows of `CustomField`, after those of canaries.
_FIRST: Final = 101
#: Values that no row has yet, and the first option of no choice.
_OTHER: Final = 8


def fields_for(edition: Edition, of: Collection[str], *, thorough: bool) -> tuple[Definition, ...]:
    """One field of each kind for each model that takes them; clearances come in turn.

    Unless it is to be ``thorough``, each kind once, for one model of the plugins ``of`` after the
    other.
    """
    models = sorted(
        name
        for name, model in edition.models.items()
        if takes_fields(model.info) and (thorough or model.info.plugin in of)
    )
    found = []
    for turn, model in enumerate(models):
        for number, kind in enumerate(_KINDS):
            if thorough or number % len(models) == turn:
                clearance = _CLEARANCES[(turn + number) % len(_CLEARANCES)]
                options = _OPTIONS if kind == "choice" else ()
                name = f"probed{kind.capitalize()}"
                found.append(Definition(model, name, kind, "A field.", options, clearance))
    return tuple(sorted(found, key=lambda one: one.key))


def examples_for(edition: Edition, filled: "Filled") -> dict[str, Any]:
    """With which values fields are defined and changed, where some model takes them."""
    if not edition.custom:
        return {}
    model = edition.models["CustomField"]
    return {
        "defineCustomField.model": next(iter(edition.custom)).info.name,
        "defineCustomField.name": "another",
        "defineCustomField.options": [],
        "changeCustomField.field_id": filled.global_id(model, _FIRST),
        "changeCustomField.options": [],
    }


def define(edition: Edition, filled: "Filled", tenant_id: UUID) -> Iterator[dict[str, Any]]:
    """The rows that define the edition's custom fields."""
    model = edition.models["CustomField"]
    for number, one in enumerate(edition.definitions, _FIRST):
        yield {
            "tenant_id": str(tenant_id), "id": str(filled.uuid(model, number)), "version": 1,
            "created_at": str(filled.value(dt.datetime, 1)), "model": one.model, "name": one.name,
            "kind": one.kind, "description": one.description, "options": one.options,
            "clearance": one.clearance,
        }  # fmt: skip


def value(custom: CustomValues, filled: "Filled", tenant_id: UUID, number: int) -> dict[str, Any]:
    """The value of the row with a number."""
    one, model = custom.definition, custom.info.of
    assert model is not None
    return {
        "tenant_id": str(tenant_id), "id": str(filled.uuid(model, number)), "field": one.key,
        "kind": one.kind, "revision": one.revision, one.column: _plain(custom, filled, number),
    }  # fmt: skip


async def disguise(
    connection: Any, custom: CustomValues, filled: "Filled", tenant_id: UUID, number: int | None
) -> set[str]:
    """Change the value of the first row and take away that of another, or of the last."""
    one, model = custom.definition, custom.info.of
    assert model is not None
    mine = "FROM json_populate_record(NULL::guanxi_custom_value, $3) g WHERE"
    if number in (None, 1):
        given = {one.column: _plain(custom, filled, _OTHER)}
        await connection.execute(
            f'UPDATE guanxi_custom_value v SET "{one.column}" = g."{one.column}" {mine} '
            "v.tenant_id = $1 AND v.field = $2 AND v.id = $4",
            tenant_id, one.key, msgspec.json.encode(given).decode(), filled.uuid(model, 1),
        )  # fmt: skip
    if number != 1:
        await connection.execute(
            "DELETE FROM guanxi_custom_value WHERE tenant_id = $1 AND field = $2 AND id = $3",
            tenant_id, one.key, filled.uuid(model, number or filled.rows),
        )  # fmt: skip
    return {custom.field.name}


def _plain(custom: CustomValues, filled: "Filled", number: int) -> Any:
    return msgspec.to_builtins(filled.value(custom.field.python, number))
