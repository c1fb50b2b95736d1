"""What a caller may know, and whether it stands for the whole enterprise."""

import sqlalchemy as sa
from sqlalchemy import func, select

from guanxi_customers import Customer
from guanxi_sdk import Context, Forbidden, Scope

_ALL = ("customers.read", "tiers.read", "tiers.write", "tiers.rules")


def sees_everybody(ctx: Context) -> bool:
    """Whether what the caller classifies are all customers, and not those of a scope."""
    held = (ctx.caller.rights.scopes(permission) for permission in _ALL)
    return all(not scopes or Scope.ALL in scopes for scopes in held)


async def how_many(ctx: Context, condition: sa.ColumnElement[bool]) -> int:
    """How many customers meet ``condition``."""
    among = select(func.count()).where(condition, Customer.archived_at.is_(None))
    return await ctx.db.scalar(among.select_from(Customer)) or 0


async def too_many(ctx: Context, at_once: int) -> bool:
    """Whether it takes longer than a request may to do something for all customers.

    Then an event is to have it done beside the request. Such a handler does it for everybody, so
    whoever sees some alone has these done at once, however many.
    """
    return sees_everybody(ctx) and await how_many(ctx, sa.true()) > at_once


def require_customers(ctx: Context) -> None:
    """Refuse whoever may not read customers what names them or is worked out from what they did."""
    if not ctx.caller.may("customers.read"):
        raise Forbidden("customers.read")
