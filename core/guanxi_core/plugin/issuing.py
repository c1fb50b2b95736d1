"""Verbs of API tokens and sessions."""

import datetime as dt
from uuid import UUID

from guanxi_core.plugin import rights, tokens
from guanxi_core.plugin.giving import DECIDE
from guanxi_core.plugin.tokens import ApiToken, IssuedToken
from guanxi_sdk import Context, mutation, query


class Issuing:
    """What lets somebody in."""

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
