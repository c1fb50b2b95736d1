"""Writing the journal: audit and outbox rows in one statement, before the commit."""

from typing import Any, Final

import msgspec
import sqlalchemy as sa

from guanxi_core.access import Installation
from guanxi_core.audit import Origin, audit_rows
from guanxi_core.json_rows import rows_of_json
from guanxi_core.outbox import outbox_rows
from guanxi_core.session import TenantSession
from guanxi_core.system_tables import audit_table, outbox_table


def _insert(table: sa.Table, name: str, columns: list[str]) -> sa.Insert:
    given = rows_of_json(name, [table.c[column] for column in columns])
    return sa.insert(table).from_select(columns, sa.select(*given.c), include_defaults=False)


_AUDIT: Final = [column.name for column in audit_table.c if column.name != "created_at"]
_OUTBOX: Final = ["tenant_id", "id", "name", "payload", "status"]
_RECORD: Final = _insert(outbox_table, "outbox", _OUTBOX).add_cte(
    _insert(audit_table, "audit", _AUDIT).cte("recorded")
)


async def record(session: TenantSession, origin: Origin, installation: Installation) -> None:
    """Write what ``session`` has to report, if anything."""
    journal = session.sync_session.journal
    audit = audit_rows(origin, journal.changes())
    if journal.leaves_no_trace:
        assert origin.action is not None  # noqa: S101  what is asked for has a name
        audit.append(origin.row(origin.action, None, None, {}))
    outbox = outbox_rows(installation, journal.reports())
    if audit or outbox:
        values = {"audit": _json(audit), "outbox": _json(outbox)}
        await session.execute_core(_RECORD, values)


def _json(rows: list[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows).decode()
