"""The database is away: what says so, and how that is told."""

from typing import Final

import asyncpg

from guanxi_core.database.address import place_of, role_of
from guanxi_sdk import GuanxiError


class DatabaseUnavailable(GuanxiError):
    """The database cannot be reached, or went away in the middle of something."""


def unavailable(url: str, error: BaseException) -> DatabaseUnavailable:
    """One line that says what is wrong with the database at ``url`` and how to mend it."""
    place, role = place_of(url), role_of(url)
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        reason = f"refuses the role '{role}': check the role and the password in its address"
    elif isinstance(error, asyncpg.InvalidCatalogNameError):
        reason = "does not exist: create it, or correct its address"
    elif isinstance(error, asyncpg.InsufficientPrivilegeError):
        reason = f"does not let the role '{role}' connect: GRANT CONNECT to it"
    elif isinstance(error, asyncpg.TooManyConnectionsError):
        reason = "has no connection left: raise max_connections, or stop other clients"
    elif isinstance(error, asyncpg.CannotConnectNowError):
        reason = "is starting or stopping: try again in a moment"
    elif isinstance(error, asyncpg.DiskFullError):
        reason = "has no space left on its disk: free some"
    elif isinstance(error, asyncpg.InsufficientResourcesError):
        reason = "has too little memory or other resources: see its log"
    elif isinstance(error, asyncpg.ClientConfigurationError):
        reason = "has an address that cannot be used: check its parameters"
    elif isinstance(error, TimeoutError):
        reason = "does not answer in time: check the server and the network"
    else:
        reason = "does not answer: start the server, or correct its address"
    return DatabaseUnavailable(f"the database {place} {reason}.")


#: What PostgreSQL says of itself, not of a statement.
_OUTAGES: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
)


def outage_in(error: BaseException | None) -> BaseException | None:
    """What of an error and its causes says that the database cannot work now; None if nothing."""
    for _ in range(8):
        if error is None or _is_outage(error):
            return error
        error = getattr(error, "orig", None) or error.__cause__
    return None


def _is_outage(error: BaseException) -> bool:
    if isinstance(error, asyncpg.InterfaceError):
        return "connection is closed" in str(error)
    return isinstance(error, _OUTAGES) and not isinstance(error, asyncpg.QueryCanceledError)
