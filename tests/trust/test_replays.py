"""What a repetition with an idempotency key shows: never more than its caller may see by then."""

from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from with_scopes import Flock, Herd, Sheep, Shepherd

from guanxi_core.disclosing import READ
from guanxi_graphql.asgi import Answer
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_sdk import Confidentiality
from guanxi_sdk.testing.app import App, global_id
from guanxi_sdk.testing.tokens import make_token

FLOCK = """mutation ($id: ID!) {
  updateFlock(id: $id, version: 1, input: {name: "moved"}) {
    flock { id name illness version } errors { code }
  }
}"""
BOTH = """mutation ($id: ID!) {
  a: updateFlock(id: $id, version: 1, input: {name: "moved"}) { flock { illness } }
  b: updateFlock(id: $id, version: 2, input: {name: "again"}) { flock { name illness remedy } }
}"""
SHEAR = """mutation ($id: ID!) {
  shear(sheepId: $id) { sheep { name weight flock { illness } } errors { code } }
}"""
WEIGH = "mutation { weigh { result errors { code } } }"
PLAIN = FLOCK.replace("illness ", "")
GRANTS = ("herd.read:own", "herd.write:own")


class Counter:
    """Where callers come with their keys."""

    def __init__(self, app: App, token: str) -> None:
        self.app = app
        self._token = token
        endpoint = GraphQLEndpoint(Answer(200, (), b""))
        endpoint.open(app.platform, Engine(app.platform))
        self._door = httpx.ASGITransport(endpoint)

    async def ask(
        self, document: str, id: Any = None, *, reason: str | None = None, key: str = "k"
    ) -> tuple[Any, list[str], bool]:
        """The data, the codes of errors, and whether it was a repetition."""
        headers = {"authorization": f"Bearer {self._token}", "idempotency-key": key}
        if reason is not None:
            headers["guanxi-reason"] = reason
        sent = {"query": document, "variables": {} if id is None else {"id": id}}
        async with httpx.AsyncClient(transport=self._door, base_url="http://guanxi") as client:
            answer = await client.post("/graphql", json=sent, headers=headers)
        body = answer.json()
        codes = [error["extensions"]["code"] for error in body.get("errors", [])]
        return body["data"], codes, "idempotent-replayed" in answer.headers

    async def _fetch(self, statement: str, *values: Any) -> Any:
        async with self.app.platform.pool.connection(self.app.tenant.id) as connection:
            return await connection.fetch(statement, *values)

    async def looks(self) -> list[str]:
        """The reasons that were given for looking at secret values."""
        rows = await self._fetch(
            "SELECT reason FROM guanxi_audit WHERE action = $1 ORDER BY created_at, id", READ
        )
        return [row["reason"] for row in rows]

    async def kept(self) -> str:
        """All that is stored of replies."""
        rows = await self._fetch("SELECT body, errors FROM guanxi_idempotency ORDER BY key, step")
        return b"\n".join(part for row in rows for part in row.values()).decode()


class Farm:
    """A shepherd who is a user, with a flock and a sheep."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def fill(self) -> "Farm":
        self.shepherd = await self.app.add(Shepherd(name="Ada"))
        self.flock = await self.app.add(
            Flock(name="first", shepherd_id=self.shepherd.id, illness="scab")
        )
        self.sheep = await self.app.add(Sheep(name="Dolly", flock_id=self.flock.id, weight=8.0))
        return self

    async def counter(self, *grants: str) -> Counter:
        """For the user who keeps the flock."""
        token = await make_token(
            self.app.platform.pool, self.app.tenant, grants,
            clearance=Confidentiality.SECRET, user="ada",
        )  # fmt: skip
        access = await self.app.platform.authenticate(token)
        await self.give_to(str(access.caller.user_id))
        return Counter(self.app, token)

    async def give_to(self, user: str | None) -> None:
        async with self.app.context() as ctx:
            await ctx.update_where(Shepherd, sa.true(), user=user)


@pytest.fixture
async def farm(guanxi: Any) -> Farm:
    return await Farm(await guanxi(Herd())).fill()


@pytest.mark.parametrize("grants", [("herd.read", "herd.write"), GRANTS], ids=["all", "own"])
async def test_secret_values_take_a_reason_each_time_and_are_not_kept(
    farm: Farm, grants: tuple[str, ...]
) -> None:
    counter, flock = await farm.counter(*grants), global_id(farm.flock)
    first, codes, replayed = await counter.ask(FLOCK, flock, reason="round")
    assert (first["updateFlock"]["flock"]["illness"], codes, replayed) == ("scab", [], False)
    assert await counter.looks() == ["round"]
    assert "scab" not in await counter.kept()
    silent, codes, replayed = await counter.ask(FLOCK, flock)
    assert (silent["updateFlock"]["flock"].pop("illness"), replayed) == (None, True)
    assert codes == ["FORBIDDEN"]
    assert await counter.looks() == ["round"]
    again, codes, replayed = await counter.ask(FLOCK, flock, reason="doubt")
    assert (again, codes, replayed) == (first, [], True)
    assert await counter.looks() == ["round", "doubt"]
    del first["updateFlock"]["flock"]["illness"]
    assert silent == first, "the rest is as it was"


async def test_each_of_several_fields_keeps_its_secrets(farm: Farm) -> None:
    counter = await farm.counter("herd.read", "herd.write")
    flock, sheep = global_id(farm.flock), global_id(farm.sheep)
    both, _, _ = await counter.ask(BOTH, flock, reason="round")
    assert both["b"]["flock"] == {"name": "again", "illness": "scab", "remedy": "against scab"}
    shorn, _, _ = await counter.ask(SHEAR, sheep, reason="round", key="shear")
    assert shorn["shear"]["sheep"]["flock"] == {"illness": "scab"}
    assert "scab" not in await counter.kept()
    silent, codes, replayed = await counter.ask(BOTH, flock)
    assert silent["b"]["flock"] == {"name": "again", "illness": None, "remedy": None}
    assert (codes, replayed) == (["FORBIDDEN"] * 3, True)
    silent, codes, replayed = await counter.ask(SHEAR, sheep, key="shear")
    assert silent["shear"]["sheep"] == {"name": "Dolly", "weight": 4.0, "flock": {"illness": None}}
    assert (codes, replayed) == (["FORBIDDEN"], True)
    assert len(await counter.looks()) == 2


async def test_rows_that_a_caller_has_lost_are_not_shown_again(farm: Farm) -> None:
    counter = await farm.counter(*GRANTS)
    asked = [
        (PLAIN, global_id(farm.flock), "updateFlock", "flock"),
        (SHEAR.replace(" flock { illness }", ""), global_id(farm.sheep), "shear", "sheep"),
    ]  # fmt: skip
    for document, row_id, verb, row in asked:
        first, codes, _ = await counter.ask(document, row_id, key=verb)
        assert (first[verb][row]["name"] in ("moved", "Dolly"), codes) == (True, [])
        assert await counter.ask(document, row_id, key=verb) == (first, [], True)
    await farm.give_to(None)
    for document, row_id, verb, row in asked:
        lost, codes, replayed = await counter.ask(document, row_id, key=verb)
        assert (lost[verb], codes, replayed) == ({row: None, "errors": []}, [], True)
    assert (await farm.app.get(Flock, farm.flock.id)).version == 2
    assert (await farm.app.get(Sheep, farm.sheep.id)).weight == 4.0


async def test_what_cannot_be_read_anew_is_kept_for_who_sees_everything(farm: Farm) -> None:
    counter = await farm.counter("herd.read", "herd.write")
    first = await counter.ask(WEIGH)
    assert await counter.ask(WEIGH) == (first[0], [], True)
    counter = await farm.counter(*GRANTS)
    first = await counter.ask(WEIGH, key="own")
    assert first == ({"weigh": {"result": 1, "errors": []}}, [], False)
    nothing = {"weigh": {"result": None, "errors": []}}
    assert await counter.ask(WEIGH, key="own") == (nothing, ["NOT_KEPT"], True)


async def test_what_was_wrong_is_told_again(farm: Farm) -> None:
    counter = await farm.counter(*GRANTS)
    await farm.give_to(None)
    flock = global_id(farm.flock)
    refused = {"updateFlock": {"flock": None, "errors": [{"code": "NOT_FOUND"}]}}
    assert await counter.ask(FLOCK, flock, reason="round") == (refused, [], False)
    assert await counter.ask(FLOCK, flock, reason="round") == (refused, [], True)
