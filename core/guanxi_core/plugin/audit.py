"""The audit as auditors see it in GraphQL."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from guanxi_core.plugin.clearances import READ_AUDIT, Clearances
from guanxi_core.system_tables import audit_table
from guanxi_sdk import Context, Model, Value, column, field
from guanxi_sdk._docs import camel

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext

__all__ = ["READ_AUDIT", "Audit", "AuditChange", "changes"]


class AuditChange(Value):
    """What one field was before a change, and what it is since."""

    field: str
    """The field's name."""

    before: str | None
    """The former value as JSON; null where there was none."""

    after: str | None
    """The new value as JSON; null where there is none."""

    withheld: bool
    """Whether both are null because the field is too confidential for the caller."""


class Audit(Model, plugin="guanxi", plural="audit_entries", append_only=True, read=READ_AUDIT.name):
    """An entry of the audit: one change, sealed so that nobody can alter it unnoticed."""

    actor: Mapped[Annotated[str, msgspec.Meta(max_length=1000)]] = column(indexed=True)
    """Name of the user, token or process that did it; empty when it was erased."""

    action: Mapped[str] = column(indexed=True)
    """What was done, for instance `customers.customer.update`."""

    model: Mapped[str | None]
    """The kind of object that was changed, for instance `Customer`."""

    row_id: Mapped[str | None] = column(indexed=True)
    """The id of the object that was changed; null when many were changed at once."""

    reason: Mapped[str | None]
    """Why, in the words of the caller."""

    origin: Mapped[str | None]
    """Where it came from: a network address, or `administration`."""


@field(Audit, needs=READ_AUDIT)
async def changes(self: object, ctx: Context, entries: Sequence[Audit]) -> list[list[AuditChange]]:
    """What changed, field by field; values are withheld as the fields themselves would be."""
    table = audit_table.c
    rows = await ctx.db.execute(
        sa.select(table.id, table.model, table.row_id, table.created_at, table.changes).where(
            table.tenant_id == ctx.tenant.id, table.id.in_([entry.id for entry in entries])
        )
    )
    found = {row.id: row for row in rows}
    clearance = await Clearances.of(cast("TransactionContext", ctx))
    for row in found.values():
        clearance.ask(row)
    await clearance.settle()
    return [_changes(found[entry.id], clearance) for entry in entries]


def _changes(row: Any, clearance: Clearances) -> list[AuditChange]:
    told = []
    for name, (before, after) in row.changes.items():
        if clearance.shows(row, name):
            told.append(
                AuditChange(
                    field=camel(name), before=_json(before), after=_json(after), withheld=False
                )
            )
        else:
            told.append(AuditChange(field=camel(name), before=None, after=None, withheld=True))
    return told


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
