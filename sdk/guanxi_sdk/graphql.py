"""Queries that plugin code asks for a user, as a client of theirs would."""

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID


class GraphQL(Protocol):
    """The tenant's own GraphQL: ``ctx.graphql``.

    It sees what was committed, not what the transaction at hand has written so far, and takes a
    connection of its own: ask it before a transaction rather than in one. The limits of clients
    hold here too, but for their rate: instead, four answers of a tenant are worked out at a time.
    """

    async def check(self, document: str, *, variables: Mapping[str, Any]) -> list[str]:
        """What is wrong with ``document``, in sentences; nothing if it can be executed.

        It must be one query that fits the tenant's schema and ``variables``, which are examples of
        those that it will be given.
        """
        ...

    async def execute(
        self, document: str, variables: Mapping[str, Any] | None = None, *, user_id: UUID
    ) -> dict[str, Any]:
        """The whole answer to a query, ``data`` and ``errors``, with what the user may see now.

        All of the user's roles count. Values that need a reason are withheld, since there is none.
        Raises :class:`Forbidden` for a user who is archived or unknown.
        """
        ...
