"""Verbs of users and roles: who may do what."""

import datetime as dt
from uuid import UUID

from guanxi_core.plugin import rights, users
from guanxi_core.plugin.giving import DECIDE
from guanxi_core.plugin.rights import Clearance, Role, User, UserRole
from guanxi_sdk import Context, mutation


class Deciding:
    """What administrators decide about people."""

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
            description: What the role is for, in up to 500 characters; unchanged when left out, and
                an empty text removes it.
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
