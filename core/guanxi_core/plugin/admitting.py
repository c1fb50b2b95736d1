"""Verbs of which requests an enterprise answers."""

from uuid import UUID

from guanxi_core.plugin import requests
from guanxi_core.plugin.requests import RegisteredOperation, RequestRules
from guanxi_sdk import Context, mutation, query


class Admitting:
    """Limits of requests, and registered operations."""

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
