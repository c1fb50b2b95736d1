"""What a caller may know, and whether it stands for the whole enterprise."""

from guanxi_sdk import Context, Forbidden, Scope

_ALL = ("customers.read", "tiers.read", "tiers.write", "tiers.rules")


def sees_everybody(ctx: Context) -> bool:
    """Whether what the caller classifies are all customers, and not those of a scope."""
    held = (ctx.caller.rights.scopes(permission) for permission in _ALL)
    return all(not scopes or Scope.ALL in scopes for scopes in held)


def require_names(ctx: Context) -> None:
    """Refuse whoever may not read customers what names them, their people or our employees."""
    if not ctx.caller.may("customers.read"):
        raise Forbidden("customers.read")
