"""The core's own plugin: what every edition has, so that operators see it in GraphQL.

Its models stand for the core's tables, which the core's migrations make.
"""

import datetime as dt
from typing import TYPE_CHECKING, cast
from uuid import UUID

from guanxi_core.delivery import queue
from guanxi_core.journal import RowChange
from guanxi_core.plugin import audit, rights
from guanxi_core.plugin.delivery import JOBS, OPERATE, Delivery, DeliveryStatus, Job
from guanxi_core.plugin.rights import Clearance, Role, User, UserRole
from guanxi_core.plugin.states import READ_PLUGINS, PluginState
from guanxi_sdk import Conflict, Context, Plugin, mutation

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext

NAME = "guanxi"


class Guanxi(
    Plugin,
    name=NAME,
    models=[audit.Audit, Delivery, Job, PluginState, User, Role, UserRole],
    permissions=[audit.READ_AUDIT, JOBS, OPERATE, READ_PLUGINS, rights.SEE, rights.DECIDE],
):
    """What the platform itself keeps for an enterprise."""

    changes = audit.changes

    @mutation(needs=OPERATE)
    async def replay_delivery(self, ctx: Context, id: UUID) -> Delivery:
        """Give a delivery that was given up all its attempts again."""
        core = cast("TransactionContext", ctx)
        delivery = await core.get(Delivery, id)
        if not await queue.replay(await core.raw(), core.tenant.id, id):
            raise Conflict("id", "is not dead: only deliveries that were given up are replayed")
        changes = {"status": (delivery.status, DeliveryStatus.WAITING)}
        core.db.sync_session.journal.entries.append(RowChange(Delivery.info, "update", id, changes))
        await core.db.refresh(delivery)
        return delivery

    @mutation(needs=rights.DECIDE)
    async def create_role(
        self,
        ctx: Context,
        name: str,
        grants: list[str],
        clearance: Clearance = Clearance.INTERNAL,
        description: str | None = None,
    ) -> Role:
        """Make a role. A grant is a permission, `*.<last part>` or `*`, and maybe a scope.

        `customers.read:own` reaches one's own customers; the scopes are own, team, office and all.
        Nobody can give more than they have.
        """
        return await rights.create_role(ctx, name, grants, clearance, description)

    @mutation(needs=rights.DECIDE)
    async def update_role(
        self,
        ctx: Context,
        role_id: UUID,
        grants: list[str] | None = None,
        clearance: Clearance | None = None,
        description: str | None = None,
    ) -> Role:
        """Change a role; what is left out stays. It is effective at everybody's next request."""
        return await rights.update_role(ctx, role_id, grants, clearance, description)

    @mutation(needs=rights.DECIDE)
    async def grant_role(
        self,
        ctx: Context,
        user_id: UUID,
        role_id: UUID,
        expires_at: dt.datetime | None = None,
        purpose: str | None = None,
    ) -> UserRole:
        """Let a user hold a role, for ever or until a time; granting it anew changes the time."""
        return await rights.grant_role(ctx, user_id, role_id, expires_at, purpose)

    @mutation(needs=rights.DECIDE)
    async def revoke_role(self, ctx: Context, user_id: UUID, role_id: UUID) -> User:
        """Take a role from a user."""
        return await rights.revoke_role(ctx, user_id, role_id)
