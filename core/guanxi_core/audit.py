"""Rows of the audit: who changed what, when, why and where from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import ClauseElement
from uuid_utils.compat import uuid7

from guanxi_core.journal import BulkChange, RowChange
from guanxi_sdk import Caller, Money
from guanxi_sdk._docs import snake
from guanxi_sdk.info import ModelInfo

_PLAIN: Final = frozenset({str, int, bool, type(None)})


@dataclass(frozen=True, slots=True)
class Origin:
    """What all audit rows of one transaction have in common."""

    tenant_id: UUID
    caller: Caller
    action: str | None = None  # of the mutation; without one, model and verb name each change
    reason: str | None = None
    origin: str | None = None

    def row(
        self, action: str, model: str | None, row_id: Any, changes: dict[str, Any]
    ) -> dict[str, Any]:
        """One row for ``guanxi_audit``."""
        return {
            "tenant_id": self.tenant_id,
            "id": uuid7(),
            "actor_id": self.caller.user_id,
            "actor": self.caller.name,
            "action": self.action or action,
            "model": model,
            "row_id": row_id,
            "changes": changes,
            "reason": self.reason,
            "origin": self.origin,
        }


def action_of(info: ModelInfo, verb: str) -> str:
    """What the audit calls a generated write, for instance ``customers.customer.create``."""
    return f"{info.plugin}.{snake(info.name)}.{verb}"


def row_prefix(info: ModelInfo) -> str:
    """What a row is called by in the audit, before its UUID: as in GraphQL, side rows by theirs."""
    return (info.of.info if info.of else info).prefix


def row_name(info: ModelInfo, row_id: UUID) -> str:
    """How the audit names a row: by its id in GraphQL."""
    return f"{row_prefix(info)}_{row_id}"


def audit_rows(origin: Origin, changes: Sequence[RowChange | BulkChange]) -> list[dict[str, Any]]:
    """The rows of ``guanxi_audit`` for ``changes``."""
    return [
        origin.row(
            action_of(change.info, change.verb),
            change.info.name,
            row_name(change.info, change.row_id) if isinstance(change, RowChange) else None,
            {k: [audit_value(b), audit_value(a)] for k, (b, a) in change.changes.items()},
        )
        for change in changes
    ]


def audit_value(value: Any) -> Any:
    """A field's value as the audit keeps it: JSON, money as amount and currency."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Money):
        return {"amount": value.amount, "currency": value.currency}
    if isinstance(value, ClauseElement):  # computed by the database while it was written
        return None
    return msgspec.to_builtins(value)
