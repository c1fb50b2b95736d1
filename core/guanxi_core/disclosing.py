"""Reading what is secret leaves a trace: who was shown which fields, of what, when and why."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from guanxi_core.audit import Origin
from guanxi_core.database.pool import TenantPool

#: What the audit calls it.
ACTION: Final = "guanxi.secret.read"
_ID: Final = re.compile(r"\b[a-z][a-z0-9_]*_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


async def disclosed(
    pool: TenantPool, origin: Origin, fields: Sequence[str], document: str, variables: Any
) -> None:
    """Write one audit row about the secret ``fields`` that an answer tells.

    It names the objects that the request names; what else a request holds may itself be personal.
    """
    given = document + msgspec.json.encode(variables, enc_hook=str).decode()
    told = {"fields": list(fields), "ids": sorted(set(_ID.findall(given)))}
    row = origin.row(ACTION, None, None, {name: [None, value] for name, value in told.items()})
    row["changes"] = msgspec.json.encode(row["changes"]).decode()
    columns = ", ".join(row)
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    async with pool.connection(origin.tenant_id) as connection:
        await connection.execute(
            f"INSERT INTO guanxi_audit ({columns}) VALUES ({places})",  # noqa: S608
            *row.values(),
        )
