"""The Litestar application around a GraphQL library, as it would be written by hand."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from litestar import Litestar, post
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

_CONNECTIONS = 16

Sessions = async_sessionmaker[AsyncSession]
#: Executes a document with variables; what comes back has ``data`` and ``errors``.
Execute = Callable[[str, dict[str, Any] | None, Sessions], Awaitable[Any]]


def make_application(url: str, tenant_id: UUID, execute: Execute) -> Litestar:
    """An endpoint and the database's sessions."""
    address = url.replace("postgresql://", "postgresql+asyncpg://", 1)
    session = {"guanxi.tenant": str(tenant_id)}  # for an owner who is no superuser
    engine = create_async_engine(
        address, pool_size=_CONNECTIONS, connect_args={"server_settings": session}
    )
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    @post("/graphql", status_code=200)
    async def graphql(data: JSONBody[dict[str, Any]]) -> dict[str, Any]:
        result = await execute(data["query"], data.get("variables"), sessions)
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [error.formatted for error in result.errors]
        return answer

    return Litestar([graphql], lifespan=[lifespan], openapi_config=None, logging_config=None)
