"""The core's own plugin: what every edition has, so that operators see it in GraphQL.

Its models stand for the core's tables, which the core's migrations make.
"""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast
from uuid import UUID

from guanxi_core.delivery import queue
from guanxi_core.erasing.report import ErasureReport
from guanxi_core.journal import RowChange
from guanxi_core.plugin import audit, erasure, requests, rights, tokens, users
from guanxi_core.plugin.delivery import JOBS, OPERATE, Delivery, DeliveryStatus, Job
from guanxi_core.plugin.fields import (
    DEFINE,
    CustomField,
    CustomFieldChange,
    CustomFieldKind,
)
from guanxi_core.plugin.giving import DECIDE
from guanxi_core.plugin.requests import RegisteredOperation, RequestRules
from guanxi_core.plugin.rights import Clearance, Role, User, UserRole
from guanxi_core.plugin.states import READ_PLUGINS, PluginState
from guanxi_core.plugin.tokens import ApiToken, IssuedToken
from guanxi_sdk import Conflict, Context, Erasure, Model, Plugin, hookimpl, mutation, query

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext

NAME = "guanxi"


class Guanxi(
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
        """Give a delivery that was given up all its attempts again."""
        core = cast("TransactionContext", ctx)
        delivery = await core.get(Delivery, id)
        if not await queue.replay(await core.raw(), core.tenant.id, id):
            raise Conflict("id", "is not dead: only deliveries that were given up are replayed")
        changes = {"status": (delivery.status, DeliveryStatus.WAITING)}
        core.db.sync_session.journal.entries.append(RowChange(Delivery.info, "update", id, changes))
        await core.db.refresh(delivery)
        return delivery

    @mutation(needs=DECIDE)
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

    @mutation(needs=DECIDE)
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

    @mutation(needs=DECIDE)
    async def grant_role(
        self,
        ctx: Context,
        user_id: UUID,
        role_id: UUID,
        expires_at: dt.datetime | None = None,
        purpose: str | None = None,
    ) -> UserRole:
        """Let a user hold a role, for ever or until a time; granting it anew changes the time.

        Nobody can give more than they have, or for longer.
        """
        return await rights.grant_role(ctx, user_id, role_id, expires_at, purpose)

    @mutation(needs=DECIDE)
    async def revoke_role(self, ctx: Context, user_id: UUID, role_id: UUID) -> User:
        """Take a role from a user."""
        return await rights.revoke_role(ctx, user_id, role_id)

    @mutation(needs=DECIDE)
    async def create_user(
        self, ctx: Context, name: str, email: str | None = None, roles: list[UUID] | None = None
    ) -> User:
        """Make a user who holds `roles`, given by their ids.

        Nobody can give more than they have.
        """
        return await users.create_user(ctx, name, email, roles or ())

    @mutation(needs=DECIDE)
    async def update_user(
        self, ctx: Context, user_id: UUID, name: str | None = None, email: str | None = None
    ) -> User:
        """Change a user's name or address; what is left out stays, an empty address is removed."""
        return await users.update_user(ctx, user_id, name, email)

    @mutation(needs=DECIDE)
    async def archive_user(self, ctx: Context, user_id: UUID) -> User:
        """Shut a user out at the next request; the user's tokens and sessions end for good."""
        return await users.archive_user(ctx, user_id)

    @mutation(needs=DECIDE)
    async def restore_user(self, ctx: Context, user_id: UUID) -> User:
        """Let an archived user in again, with the roles held before; tokens are made anew."""
        return await users.restore_user(ctx, user_id)

    @query(needs=rights.SEE)
    async def tokens(self, ctx: Context, user_id: UUID | None = None) -> list[ApiToken]:
        """API tokens and sessions, oldest first, ended ones included; all, or a user's.

        Without the permission for all rows: one's own.
        """
        return await tokens.list_tokens(ctx, user_id)

    @mutation(needs=DECIDE)
    async def create_token(
        self,
        ctx: Context,
        label: str,
        user_id: UUID | None = None,
        role_id: UUID | None = None,
        expires_at: dt.datetime | None = None,
        operations: list[str] | None = None,
    ) -> IssuedToken:
        """Make an API token; its secret is in this answer and in no other.

        With a user it has the rights of that user's roles, with a role those of the role alone,
        with both those of the role while the user holds it. Nobody can give more than they have,
        or for longer; acting as another user takes all that this user has for all rows.

        With `operations`, each the SHA-256 of a registered document, it may ask for nothing else.
        """
        return await tokens.create_token(ctx, user_id, role_id, label, expires_at, operations)

    @mutation(needs=DECIDE)
    async def revoke_token(self, ctx: Context, id: str) -> ApiToken:
        """End a token, or a session, at the next request.

        It is one's own, or that of somebody who may do no more than oneself.
        """
        return await tokens.revoke_token(ctx, id)

    @query(needs=requests.DECIDE_REQUESTS)
    async def request_rules(self, ctx: Context) -> RequestRules:
        """Which requests the enterprise answers."""
        return await requests.rules(ctx)

    @mutation(needs=requests.DECIDE_REQUESTS)
    async def set_request_rules(
        self,
        ctx: Context,
        tokens: int | None = None,
        depth: int | None = None,
        aliases: int | None = None,
        root_fields: int | None = None,
        cost: int | None = None,
        list_size: int | None = None,
        only_registered: bool | None = None,
    ) -> RequestRules:
        """Set limits of requests, 0 for the default again; what is left out stays.

        With `onlyRegistered` nothing is answered but registered operations, no introspection
        either: only the command line may undo it, unless the operation that does is registered.
        It is effective at everybody's next request.
        """
        given = {
            "tokens": tokens, "depth": depth, "aliases": aliases, "root_fields": root_fields,
            "cost": cost, "list_size": list_size, "only_registered": only_registered,
        }  # fmt: skip
        return await requests.set_rules(ctx, given)

    @mutation(needs=requests.DECIDE_REQUESTS)
    async def register_operations(
        self, ctx: Context, documents: list[str]
    ) -> list[RegisteredOperation]:
        """Register documents, of one named operation each, that clients ask for by their SHA-256.

        All or none: each must be valid in the enterprise's schema. At most 100 at a time.
        """
        return await requests.register(ctx, documents)

    @mutation(needs=requests.DECIDE_REQUESTS)
    async def remove_operation(self, ctx: Context, id: UUID) -> str:
        """Take a registered operation away, effective at the next request; answers its SHA-256."""
        return await requests.remove(ctx, id)

    @mutation(needs=erasure.ERASE)
    async def erase_person(self, ctx: Context, id: str, dry_run: bool = False) -> ErasureReport:
        """Erase all that is kept about a person, for good: a `Person`, an `Employee`, a `User`.

        The object itself stays, blank and archived. Needs a reason in the header `Guanxi-Reason`,
        which does not name the person; with `dryRun` everything is undone, and the result tells
        what would have been done.
        """
        from guanxi_core.erasing.person import erase  # it looks at plugins, this one included

        return await erase(cast("TransactionContext", ctx), id, dry_run=dry_run)

    @mutation(needs=DEFINE)
    async def define_custom_field(
        self,
        ctx: Context,
        model: str,
        name: str,
        kind: CustomFieldKind,
        description: str,
        options: list[str] | None = None,
        clearance: Clearance = Clearance.INTERNAL,
    ) -> CustomField:
        """Add a field to a model such as `Customer`, effective at everybody's next request.

        It is read, written, filtered, sorted, grouped and audited like the model's own. A `CHOICE`
        has options: a value, or value, label in Chinese and label in English, as `GOLD|金|Gold`.
        """
        from guanxi_core.custom import defining  # it looks at plugins, this one included

        return await defining.define(ctx, model, name, kind, description, options or (), clearance)

    @mutation(needs=DEFINE)
    async def update_custom_field(
        self,
        ctx: Context,
        field_id: UUID,
        description: str | None = None,
        clearance: Clearance | None = None,
    ) -> CustomField:
        """Change what a custom field says of itself, or who may read it."""
        from guanxi_core.custom import defining

        return await defining.update(ctx, field_id, description, clearance)

    @mutation(needs=DEFINE)
    async def archive_custom_field(self, ctx: Context, field_id: UUID) -> CustomField:
        """Hide a custom field at everybody's next request; its values stay.

        Takes the right to read the field in all rows.
        """
        from guanxi_core.custom import defining

        return await defining.archive(ctx, field_id)

    @mutation(needs=DEFINE)
    async def restore_custom_field(self, ctx: Context, field_id: UUID) -> CustomField:
        """Show an archived custom field again, with the values that it had."""
        from guanxi_core.custom import defining

        return await defining.restore(ctx, field_id)

    @mutation(needs=DEFINE)
    async def purge_custom_field(self, ctx: Context, field_id: UUID) -> int:
        """Delete an archived custom field with its values, for good; answers how many those are.

        Takes the right to read the field in all rows.
        """
        from guanxi_core.custom import defining

        return await defining.purge(ctx, field_id)

    @query(needs=DEFINE)
    async def custom_field_change(
        self,
        ctx: Context,
        field_id: UUID,
        kind: CustomFieldKind,
        options: list[str] | None = None,
    ) -> CustomFieldChange:
        """What would become of a custom field's values if it were of another kind.

        A value is converted by its text, as an import reads it, and never rounded or cut off. Takes
        the right to read the field in all rows.
        """
        from guanxi_core.custom import defining

        return await defining.plan(ctx, field_id, kind, options or ())

    @mutation(needs=DEFINE)
    async def change_custom_field(
        self,
        ctx: Context,
        field_id: UUID,
        kind: CustomFieldKind,
        options: list[str] | None = None,
        lose: int = 0,
    ) -> CustomFieldChange:
        """Give a custom field another kind, or other options, and convert its values.

        Nothing is done when more values would be lost than `lose` says: `customFieldChange` tells
        how many it would be.
        """
        from guanxi_core.custom import defining

        return await defining.change(ctx, field_id, kind, options or (), lose)

    @hookimpl
    def erasures(self, subject: type[Model], id: UUID) -> Sequence[Erasure]:
        """Users and the roles that they hold."""
        return erasure.of_user(subject, id)
