"""Payloads of mutations: the result beside `errors` and `__typename`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from graphql import FieldNode

from guanxi_graphql.compile.selections import Selections
from guanxi_graphql.execute.encoding import encode
from guanxi_graphql.schema.bindings import Ask, Write
from guanxi_graphql.schema.roots import payload_key
from guanxi_sdk import Model, Refusal
from guanxi_sdk._docs import camel, snake

Nodes = Sequence[FieldNode]
#: The rows that a mutation answers: one, several, or, with None, none or something else than rows.
Ids = UUID | list[UUID] | None


class Payload:
    """What one mutation field was asked to answer."""

    def __init__(self, selections: Selections, nodes: Nodes) -> None:
        name = nodes[0].name.value
        self._selections = selections
        self._type = f"{name[0].upper()}{name[1:]}Payload"
        self._parts = selections.collect(self._type, [n.selection_set for n in nodes])

    async def filled(
        self, name: str | None, shown: Callable[[str, Nodes], Awaitable[Any]]
    ) -> bytes:
        """The payload of what was done, with what ``shown`` says of the result called ``name``."""
        payload: dict[str, Any] = {}
        for part, same in self._parts.items():
            if same[0].name.value == name:
                payload[part] = await shown(part, same)
            else:
                payload[part] = self._fixed(same, [])
        return encode(payload)

    def refused(self, errors: Sequence[Refusal]) -> bytes:
        """The payload of what was not done."""
        return encode({part: self._fixed(same, errors) for part, same in self._parts.items()})

    def _fixed(self, same: Nodes, errors: Sequence[Refusal]) -> Any:
        """`errors` and `__typename`; null for the result."""
        field = same[0].name.value
        if field == "__typename":
            return self._type
        if field != "errors":
            return None
        parts = self._selections.collect("UserError", [n.selection_set for n in same])
        return [
            {name: _error_part(error, inner[0].name.value) for name, inner in parts.items()}
            for error in errors
        ]


def payload_name(binding: Write | Ask) -> str | None:
    """What the result is called in the payload; None where there is none."""
    if isinstance(binding, Write):
        return camel(snake(binding.model.info.name))
    return None if binding.returns.kind == "nothing" else payload_key(binding.returns)


def model_of(binding: Write | Ask) -> type[Model] | None:
    """Of which model the rows are that a mutation answers; None where it answers anything else."""
    if isinstance(binding, Write):
        return binding.model
    return binding.returns.python if binding.returns.kind == "model" else None


def ids_of(binding: Ask, result: Any) -> Ids:
    """The rows that a plugin's mutation answers."""
    if result is None or model_of(binding) is None:
        return None
    return [row.id for row in result if row is not None] if binding.returns.many else result.id


def _error_part(error: Refusal, name: str) -> Any:
    if name == "__typename":
        return "UserError"
    if name == "path":
        return camel(error.path) if error.path else None
    return error.code if name == "code" else error.message
