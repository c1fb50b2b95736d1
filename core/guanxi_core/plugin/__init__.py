"""The core's own plugin: what every edition has, so that operators see it in GraphQL.

Its models stand for the core's tables, which the core's migrations make.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast
from uuid import UUID

from guanxi_core.delivery import queue
from guanxi_core.erasing.report import ErasureReport
from guanxi_core.journal import RowChange
from guanxi_core.plugin import audit, erasure, requests, rights
from guanxi_core.plugin.admitting import Admitting
from guanxi_core.plugin.deciding import Deciding
from guanxi_core.plugin.defining import Defining
from guanxi_core.plugin.delivery import JOBS, OPERATE, Delivery, DeliveryStatus, Job
from guanxi_core.plugin.fields import DEFINE, CustomField
from guanxi_core.plugin.giving import DECIDE
from guanxi_core.plugin.issuing import Issuing
from guanxi_core.plugin.requests import RegisteredOperation
from guanxi_core.plugin.rights import Role, User, UserRole
from guanxi_core.plugin.states import READ_PLUGINS, PluginState
from guanxi_sdk import Conflict, Context, Erasure, Model, Plugin, hookimpl, mutation

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext

NAME = "guanxi"


class Guanxi(
    Deciding,
    Issuing,
    Admitting,
    Defining,
    Plugin,
    name=NAME,
    models=[
        audit.Audit,
        Delivery,
        Job,
        PluginState,
        RegisteredOperation,
        CustomField,
        User,
        Role,
        UserRole,
    ],
    permissions=[
        audit.READ_AUDIT,
        JOBS,
        OPERATE,
        READ_PLUGINS,
        requests.DECIDE_REQUESTS,
        rights.SEE,
        DECIDE,
        rights.EXPORT,
        erasure.ERASE,
        DEFINE,
    ],
):
    """What the platform itself keeps for an enterprise."""

    changes = audit.changes

    @mutation(needs=OPERATE)
    async def replay_delivery(self, ctx: Context, id: UUID) -> Delivery:
        """Give a delivery that was given up all its attempts again.

        Args:
            id: The delivery to try again: one that was given up, whose status is `DEAD`.
        """
        core = cast("TransactionContext", ctx)
        delivery = await core.get(Delivery, id)
        if not await queue.replay(await core.raw(), core.tenant.id, id):
            raise Conflict("id", "is not dead: only deliveries that were given up are replayed")
        changes = {"status": (delivery.status, DeliveryStatus.WAITING)}
        core.db.sync_session.journal.entries.append(RowChange(Delivery.info, "update", id, changes))
        await core.db.refresh(delivery)
        return delivery

    @mutation(needs=erasure.ERASE)
    async def erase_person(self, ctx: Context, id: str, dry_run: bool = False) -> ErasureReport:
        """Erase all that is kept about a person, for good: a `Person`, an `Employee`, a `User`.

        The object itself stays, blank and archived. Needs a reason in the header `Guanxi-Reason`,
        which does not name the person; with `dryRun` everything is undone, and the result tells
        what would have been done.

        Args:
            id: The person to erase, as `person_0198…`: one whom the caller may see, and who is no
                user that may do more than the caller.
            dry_run: Whether to undo everything, and only tell what would be done; this takes no
                reason.
        """
        from guanxi_core.erasing.person import erase  # it looks at plugins, this one included

        return await erase(cast("TransactionContext", ctx), id, dry_run=dry_run)

    @hookimpl
    def erasures(self, subject: type[Model], id: UUID) -> Sequence[Erasure]:
        """Users and the roles that they hold."""
        return erasure.of_user(subject, id)
