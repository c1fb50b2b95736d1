"""GraphQL as plugin code asks it: :class:`guanxi_sdk.GraphQL` over the engine."""

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from weakref import WeakValueDictionary

import msgspec
from graphql import OperationType

from guanxi_graphql.execute.documents import Cache, Document, Refused
from guanxi_graphql.execute.engine import Engine, prepare
from guanxi_graphql.schema import schema_of

if TYPE_CHECKING:
    from guanxi_core.platform import Installation, Platform

#: Answers that one tenant's plugins work out at a time: nothing else limits how often they ask.
SHARE: Final = 4
#: Whether this is part of an answer already, which must not wait for another to end.
_WITHIN: Final = ContextVar("graphql_within", default=False)
_ONE_QUERY = "It must hold one operation, a query."


class Service:
    """What the entry point ``graphql`` of ``guanxi.services`` names."""

    def __init__(self, platform: "Platform") -> None:
        self._platform = platform
        self._engine = Engine(platform)
        self._turns: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, installation: "Installation") -> "TenantGraphQL":
        """The GraphQL of one tenant."""
        turns = self._turns.setdefault(installation.tenant.id, asyncio.Semaphore(SHARE))
        return TenantGraphQL(self._platform, self._engine, installation, turns)


class TenantGraphQL:
    """Implements :class:`guanxi_sdk.GraphQL`."""

    def __init__(
        self,
        platform: "Platform",
        engine: Engine,
        installation: "Installation",
        turns: asyncio.Semaphore,
    ) -> None:
        self._platform = platform
        self._engine = engine
        self._installation = installation
        self._turns = turns

    async def check(self, document: str, *, variables: Mapping[str, Any]) -> list[str]:
        """What is wrong with ``document``, in sentences."""
        edition = self._installation.edition
        await prepare(edition)
        documents: Cache[Document] = edition.attachments["documents"]
        schema, plans = schema_of(edition), edition.attachments["plans"]
        try:
            parsed = documents.use((document, None))
            if parsed is None:
                parsed = await asyncio.to_thread(Document, schema, document, None, plans)
                documents.keep((document, None), parsed, len(document))
            if parsed.operation.node.operation is not OperationType.QUERY:
                return [_ONE_QUERY]
            limits = self._installation.requests.limits
            parsed.admit(limits, await asyncio.to_thread(parsed.variables, variables, limits))
        except Refused as refused:
            return [_sentence(error) for error in refused.errors]
        return []

    async def execute(
        self, document: str, variables: Mapping[str, Any] | None = None, *, user_id: UUID
    ) -> dict[str, Any]:
        """The whole answer to a query, as the user may see it now."""
        if _WITHIN.get():
            return await self._execute(document, variables, user_id)
        async with self._turns:
            token = _WITHIN.set(True)
            try:
                return await self._execute(document, variables, user_id)
            finally:
                _WITHIN.reset(token)

    async def _execute(
        self, document: str, variables: Mapping[str, Any] | None, user_id: UUID
    ) -> dict[str, Any]:
        access = await self._platform.access_of(self._installation, user_id)
        reply = await self._engine.execute(
            access, document, dict(variables or {}), read_only=True, internal=True
        )
        answer: dict[str, Any] = msgspec.json.decode(reply.body)
        return answer


def _sentence(error: Mapping[str, Any]) -> str:
    code = error.get("extensions", {}).get("code")
    return _ONE_QUERY if code == "OPERATION_RESOLUTION_FAILURE" else str(error["message"])
