"""Who acts, and that two are not the same (domain rules C2, C4)."""

from typing import Final

from guanxi_sdk import Context, Invalid

#: In the place of a user who was erased, where there must be one.
ERASED: Final = "[erased]"


def acting(ctx: Context) -> str:
    """The id of the user who acts; a token without a user decides nothing about people."""
    if ctx.caller.user_id is None:
        raise Invalid(
            None, "This is done by a person: use a token that belongs to a user.", code="NO_USER"
        )
    return f"user_{ctx.caller.user_id}"


def another(ctx: Context, than: str | None, path: str, what: str) -> str:
    """The id of the user who acts, refused if it is the one who did the step before."""
    user = acting(ctx)
    if user == than:
        raise Invalid(path, f"was {what} by you: somebody else must do this", code="SAME_PERSON")
    return user
