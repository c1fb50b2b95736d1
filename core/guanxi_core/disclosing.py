"""Reading leaves a trace where it must: who was shown what, when and why."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from uuid_utils.compat import uuid7

from guanxi_core.audit import Origin
from guanxi_core.database.pool import TenantPool

#: What the audit calls a look at secret values, taking many rows out at once, and that in vain.
READ: Final = "guanxi.secret.read"
EXPORT: Final = "guanxi.export"
BARRED: Final = "guanxi.export.barred"
_INSERT: Final = """INSERT INTO guanxi_audit
(tenant_id, id, actor_id, actor, action, changes, reason, origin)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""
_ID: Final = re.compile(r"\b[a-z][a-z0-9_]*_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


async def disclosed(
    pool: TenantPool, origin: Origin, fields: Sequence[str], document: str, variables: Any
) -> None:
    """Write one audit row about the secret ``fields`` that an answer tells.

    It names the objects that the request names; what else a request holds may itself be personal.
    """
    given = document + msgspec.json.encode(variables, enc_hook=str).decode()
    told = {"fields": list(fields), "ids": sorted(set(_ID.findall(given)))}
    await _record(pool, origin, READ, told)


async def exported(
    pool: TenantPool,
    origin: Origin,
    model: str,
    fields: Sequence[str],
    where: Mapping[str, Any] | None,
    rows: int,
) -> None:
    """Write one audit row about ``rows`` of a model that are about to be taken out."""
    told = {"model": model, "fields": list(fields), "filter": where, "rows": rows}
    await _record(pool, origin, EXPORT, told)


async def barred(
    pool: TenantPool, origin: Origin, model: str, fields: Sequence[str], because: str
) -> None:
    """Write one audit row about somebody who tried to take out rows, and was not let."""
    told = {"model": model, "fields": list(fields), "because": because}
    await _record(pool, origin, BARRED, told)


async def _record(pool: TenantPool, origin: Origin, action: str, told: Mapping[str, Any]) -> None:
    changes = msgspec.json.encode({name: [None, value] for name, value in told.items()})
    async with pool.connection(origin.tenant_id) as connection:
        await connection.execute(
            _INSERT, origin.tenant_id, uuid7(), origin.caller.user_id, origin.caller.name, action,
            changes.decode(), origin.reason, origin.origin,
        )  # fmt: skip
