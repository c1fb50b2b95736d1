"""A tenant behind HTTP, and the doors through which texts come to it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from guanxi_graphql.http import GraphQLEndpoint
from hostile import Got, Sent


class Desk:
    """One tenant with three customers behind HTTP."""

    def __init__(self, app: Any, token: str, endpoint: GraphQLEndpoint) -> None:
        self.app = app
        self.token = token
        self.endpoint = endpoint
        self.made = 0

    async def post(self, query: str, variables: Any = None, **more: Any) -> Got:
        headers = {
            b"authorization": f"Bearer {self.token}".encode(),
            b"content-type": b"application/json",
            **{
                name.replace("_", "-").encode(): value
                for name, value in more.pop("headers", {}).items()
            },
        }
        body = json.dumps({"query": query, "variables": variables or {}, **more}).encode()
        return await Sent("POST", "", headers, body).to(self.endpoint)

    async def ask(self, query: str, variables: Any = None, **more: Any) -> Any:
        """The answer, without where in the document an error is."""
        got = await self.post(query, variables, **more)
        answer = json.loads(got.body)
        for error in answer.get("errors", []):
            error.pop("locations", None)
        return got.status, answer

    async def data(self, query: str, variables: Any = None, **more: Any) -> Any:
        """The data of an answer without errors."""
        status, answer = await self.ask(query, variables, **more)
        assert (status, list(answer)) == (200, ["data"]), answer
        return answer["data"]

    async def state(self) -> list[Any]:
        async with self.app.platform.pool.connection(self.app.tenant.id) as connection:
            return [
                tuple(row)
                for row in await connection.fetch(
                    "SELECT code, name, version FROM customers_customer ORDER BY code"
                )
            ]


Door = Callable[[Desk, str], Awaitable[Any]]
DOORS: dict[str, Door] = {}


def door(function: Door) -> Door:
    """What comes of a text; the same for each text that is none of the names."""
    DOORS[function.__name__] = function
    return function


LISTED = "{ customers(where: %s) { totalCount edges { node { name } } } }"
