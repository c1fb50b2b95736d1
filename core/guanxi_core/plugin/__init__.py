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

        Args:
            name: What the role is called, unique in the enterprise: up to 60 printable characters.
            grants: What the role gives, for all rows as `customers.read` or in a scope as
                `customers.read:own`; what the caller does not have is refused.
            clearance: The most confidential values that the role may read; no more than the
                caller's own clearance.
            description: What the role is for, in up to 500 characters; none when left out.
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
        """Change a role; what is left out stays. It is effective at everybody's next request.

        Args:
            role_id: The role to change, for everybody who holds it.
            grants: All that the role is to give, as for `createRole`; unchanged when left out. To
                add or take away what the caller does not have is refused.
            clearance: The most confidential values that the role may read from now on; unchanged
                when left out.
            description: What the role is for, in up to 500 characters; unchanged when left out.
        """
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

        Args:
            user_id: The user who is to hold the role; an archived one is refused.
            role_id: The role to give; one that gives what the caller does not have is refused.
            expires_at: When the user ceases to hold the role: in the future, and no later than the
                caller ceases to have what it gives. Left out, it is held for ever, also by a user
                who held it until a time.
            purpose: What the role is given for, a reception for instance, in up to 500 characters;
                left out, a purpose that was given before is removed.
        """
        return await rights.grant_role(ctx, user_id, role_id, expires_at, purpose)

    @mutation(needs=DECIDE)
    async def revoke_role(self, ctx: Context, user_id: UUID, role_id: UUID) -> User:
        """Take a role from a user.

        Args:
            user_id: The user who loses the role; refused where nobody could decide about rights any
                more.
            role_id: The role to take away, which the user holds; one that gives what the caller
                does not have is refused.
        """
        return await rights.revoke_role(ctx, user_id, role_id)

    @mutation(needs=DECIDE)
    async def create_user(
        self, ctx: Context, name: str, email: str | None = None, roles: list[UUID] | None = None
    ) -> User:
        """Make a user who holds `roles`, given by their ids.

        Nobody can give more than they have.

        Args:
            name: What the user is called, unique in the enterprise: up to 200 printable characters.
                An identity provider may let the user in by it.
            email: Address for people to write to, such as `ada@example.com`; none when left out.
            roles: The roles to hold for ever; those that give what the caller does not have for
                ever are refused. None when left out.
        """
        return await users.create_user(ctx, name, email, roles or ())

    @mutation(needs=DECIDE)
    async def update_user(
        self, ctx: Context, user_id: UUID, name: str | None = None, email: str | None = None
    ) -> User:
        """Change a user's name or address; what is left out stays, an empty address is removed.

        Args:
            user_id: The user to change; one who may do more than the caller is refused.
            name: The new name, as for `createUser`; unchanged when left out. To rename another user
                takes all that this user may do, for all rows and for ever.
            email: The new address for people to write to; unchanged when left out, and an empty
                text removes it.
        """
        return await users.update_user(ctx, user_id, name, email)

    @mutation(needs=DECIDE)
    async def archive_user(self, ctx: Context, user_id: UUID) -> User:
        """Shut a user out at the next request; the user's tokens and sessions end for good.

        Args:
            user_id: The user to shut out; refused are one who may do more than the caller, and the
                last one who may decide about rights.
        """
        return await users.archive_user(ctx, user_id)

    @mutation(needs=DECIDE)
    async def restore_user(self, ctx: Context, user_id: UUID) -> User:
        """Let an archived user in again, with the roles held before; tokens are made anew.

        Args:
            user_id: The archived user to let in again; one whose roles give what the caller does
                not have for ever is refused.
        """
        return await users.restore_user(ctx, user_id)

    @query(needs=rights.SEE)
    async def tokens(self, ctx: Context, user_id: UUID | None = None) -> list[ApiToken]:
        """API tokens and sessions, oldest first, ended ones included; all, or a user's.

        Without the permission for all rows: one's own.

        Args:
            user_id: The user whose tokens and sessions are listed; all that the caller may see when
                left out.
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

        Args:
            label: What the token is for, in up to 200 printable characters.
            user_id: The user as whom the token acts, not an archived one; left out, it acts as no
                user and `roleId` must be given.
            role_id: The role to whose rights the token is limited, which the user, if one is given,
                must hold; left out, it has those of all roles of the user.
            expires_at: When the token ends by itself: in the future, and no later than the rights
                that the caller needs to make it; never when left out.
            operations: SHA-256 of the registered operations that the token may ask for, at least
                one, in lower case hexadecimal digits; left out, it may ask for anything. A caller
                whose own token is bound must give some of its operations.
        """
        return await tokens.create_token(ctx, user_id, role_id, label, expires_at, operations)

    @mutation(needs=DECIDE)
    async def revoke_token(self, ctx: Context, id: str) -> ApiToken:
        """End a token, or a session, at the next request.

        It is one's own, or that of somebody who may do no more than oneself.

        Args:
            id: The token or session to end, `token_0198…` as `tokens` lists it; one that was ended
                already stays as it is.
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

        Args:
            tokens: How many lexical tokens a document may have, from 50 to the `most` of
                `requestRules`; 0 for the default, unchanged when left out.
            depth: How many levels of fields a document may have, `edges` and `node` not counted,
                from 3 to the `most` of `requestRules`; 0 for the default, unchanged when left out.
            aliases: How many aliases a document may have, from 1 to the `most` of `requestRules`; 0
                for the default, unchanged when left out.
            root_fields: How many fields of the query or mutation itself a document may have, from 1
                to the `most` of `requestRules`; 0 for the default, unchanged when left out.
            cost: How many objects an answer may hold, from 100 to the `most` of `requestRules`; 0
                for the default, unchanged when left out.
            list_size: How many rows a page, and how many items a list in the variables may have,
                from 1 to the `most` of `requestRules`; 0 for the default, unchanged when left out.
            only_registered: Whether nothing but registered operations is answered; unchanged when
                left out.
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

        Args:
            documents: GraphQL documents, each with one named operation and its fragments, which
                must not ask for the schema itself; those that are registered already stay as they
                are.
        """
        return await requests.register(ctx, documents)

    @mutation(needs=requests.DECIDE_REQUESTS)
    async def remove_operation(self, ctx: Context, id: UUID) -> str:
        """Take a registered operation away, effective at the next request; answers its SHA-256.

        Args:
            id: The registered operation to take away; tokens that are bound to it stay bound.
        """
        return await requests.remove(ctx, id)

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

        Args:
            model: Name of the model that gets the field, for instance `Customer`: one whose objects
                clients create or change.
            name: What the field is called in GraphQL: a name in camelCase that the model does not
                have yet, of up to 40 letters and digits, a capital letter counted as two.
            kind: What the values are; a `CHOICE` takes `options`.
            description: What the schema tells of the field: one line of up to 500 characters, not
                blank.
            options: Options of a `CHOICE`, up to 200, and of no other kind: each a value in capital
                letters, digits and `_`, or value, label in Chinese and label in English, as
                `GOLD|金|Gold`.
            clearance: The clearance that it takes to read or write the field, or to filter by it;
                everybody has `INTERNAL`.
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
        """Change what a custom field says of itself, or who may read it.

        Args:
            field_id: The custom field to change.
            description: What the schema tells of the field from now on, as for `defineCustomField`;
                unchanged when left out.
            clearance: The clearance that the field takes from now on; unchanged when left out. The
                caller must have both it and the former one, for all rows of the model.
        """
        from guanxi_core.custom import defining

        return await defining.update(ctx, field_id, description, clearance)

    @mutation(needs=DEFINE)
    async def archive_custom_field(self, ctx: Context, field_id: UUID) -> CustomField:
        """Hide a custom field at everybody's next request; its values stay.

        Takes the right to read the field in all rows.

        Args:
            field_id: The custom field to hide.
        """
        from guanxi_core.custom import defining

        return await defining.archive(ctx, field_id)

    @mutation(needs=DEFINE)
    async def restore_custom_field(self, ctx: Context, field_id: UUID) -> CustomField:
        """Show an archived custom field again, with the values that it had.

        Args:
            field_id: The archived custom field to show again; refused where something else has its
                name by now.
        """
        from guanxi_core.custom import defining

        return await defining.restore(ctx, field_id)

    @mutation(needs=DEFINE)
    async def purge_custom_field(self, ctx: Context, field_id: UUID) -> int:
        """Delete an archived custom field with its values, for good; answers how many those are.

        Takes the right to read the field in all rows.

        Args:
            field_id: The custom field to delete, which must be archived.
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

        Args:
            field_id: The custom field whose values would be converted.
            kind: What the values are to be; the present kind where only the options change.
            options: All options that a `CHOICE` is to have, written as for `defineCustomField`;
                left out for other kinds.
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

        Args:
            field_id: The custom field whose values are converted.
            kind: What the values are to be; the present kind where only the options change.
            options: All options that a `CHOICE` is to have, written as for `defineCustomField`;
                left out for other kinds.
            lose: How many values may be lost, because they do not fit; if more would be, nothing is
                done.
        """
        from guanxi_core.custom import defining

        return await defining.change(ctx, field_id, kind, options or (), lose)

    @hookimpl
    def erasures(self, subject: type[Model], id: UUID) -> Sequence[Erasure]:
        """Users and the roles that they hold."""
        return erasure.of_user(subject, id)
