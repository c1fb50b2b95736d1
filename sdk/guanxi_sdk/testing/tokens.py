"""API tokens with any set of permissions."""

from collections.abc import Collection
from typing import Any

from uuid_utils.compat import uuid7

from guanxi_sdk.access import Confidentiality
from guanxi_sdk.context import Tenant


async def make_token(
    pool: Any,
    tenant: Tenant,
    patterns: Collection[str],
    *,
    clearance: Confidentiality = Confidentiality.SECRET,
    user: str | None = None,
) -> str:
    """Make a role with ``patterns`` (``notes.read``, ``notes.read:own``) and a token that has it.

    With ``user`` it is that user's, who is made if there is none of this name.
    """
    from guanxi_core.api_tokens import create_token

    role, role_id = f"test-{uuid7()}", uuid7()
    async with pool.connection(tenant.id) as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO guanxi_role (tenant_id, id, name, permissions, clearance) "
            "VALUES ($1, $2, $3, $4, $5)",
            tenant.id, role_id, role, sorted(patterns), clearance.name,
        )  # fmt: skip
        if user is not None:
            user_id = await connection.fetchval(
                "INSERT INTO guanxi_user (tenant_id, id, name) VALUES ($1, $2, $3) "
                "ON CONFLICT (tenant_id, name) DO UPDATE SET name = $3 RETURNING id",
                tenant.id, uuid7(), user,
            )  # fmt: skip
            await connection.execute(
                "INSERT INTO guanxi_user_role (tenant_id, user_id, role_id) VALUES ($1, $2, $3)",
                tenant.id, user_id, role_id,
            )  # fmt: skip
    return await create_token(pool, tenant, role=role, user=user)
