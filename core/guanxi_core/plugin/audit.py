"""The audit as auditors see it in GraphQL."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from guanxi_core.system_tables import audit_table
from guanxi_sdk import Context, Model, Permission, Value, column, field

READ_AUDIT: Final = Permission("guanxi.audit", "See who changed what, when and why.")


class AuditChange(Value):
    """What one field was before a change, and what it is since."""

    field: str
    """The field's name."""

    before: str | None
    """The former value as JSON; null where there was none."""

    after: str | None
    """The new value as JSON; null where there is none."""


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
    """What changed, field by field."""
    rows = await ctx.db.execute(
        sa.select(audit_table.c.id, audit_table.c.changes).where(
            audit_table.c.tenant_id == ctx.tenant.id,
            audit_table.c.id.in_([entry.id for entry in entries]),
        )
    )
    found = {row.id: row.changes for row in rows}
    return [
        [
            AuditChange(field=name, before=_json(before), after=_json(after))
            for name, (before, after) in found[entry.id].items()
        ]
        for entry in entries
    ]


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
