"""Registered operations: asked for by their SHA-256, alone where a tenant or a token says so."""

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from httpx import ASGITransport, AsyncClient, Response
from with_misbehaviour import Desk

from guanxi_core import api_tokens, identity, operations
from guanxi_core.limits import set_limits
from guanxi_core.operations import digest_of, from_manifest
from guanxi_core.platform import Platform
from guanxi_core.tenancy import create_tenant, set_plugin
from guanxi_graphql.asgi import Answer
from guanxi_graphql.execute import registered
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_sdk import Invalid

WHO = "query Who { viewer { name } tenant { name } }"
COUNT = "query Count($first: Int) { cards(first: $first) { totalCount } }"
MAKE = 'mutation Make { createCard(input: { title: "made" }) { card { title } } }'
ISSUE = (
    'mutation Issue($role: ID, $of: [String!]) { createToken(roleId: $role, label: "x", '
    "operations: $of) { result { secret token { operations } } errors { code path message } } }"
)
REGISTER = (
    "mutation ($documents: [String!]!) { registerOperations(documents: $documents) "
    "{ registeredOperations { id name kind sha256 } errors { code path message } } }"
)
REMOVE = "mutation ($id: ID!) { removeOperation(id: $id) { result errors { code path } } }"
MODE = (
    "mutation Mode($only: Boolean!) { setRequestRules(onlyRegistered: $only) "
    "{ result { onlyRegistered } errors { message } } }"
)


class Door:
    """One process's door to all tenants."""

    def __init__(self, platform: Platform) -> None:
        self.endpoint = GraphQLEndpoint(Answer(200, (), b"page"))
        self.endpoint.open(platform, Engine(platform))
        transport = ASGITransport(self.endpoint, client=("192.0.2.7", 1))
        self.client = AsyncClient(transport=transport, base_url="http://guanxi.test")

    async def post(self, token: str, **body: Any) -> Response:
        headers = {"authorization": f"Bearer {token}"}
        return await self.client.post("/graphql", json=body, headers=headers)

    async def ask(self, token: str, query: str, **variables: Any) -> Any:
        return (await self.post(token, query=query, variables=variables)).json()

    async def by_hash(self, token: str, document: str, **variables: Any) -> Any:
        given = {"persistedQuery": {"version": 1, "sha256Hash": digest_of(document)}}
        return (await self.post(token, extensions=given, variables=variables)).json()


@pytest.fixture
async def app(guanxi: Any) -> Any:
    return await guanxi(Desk())


@pytest.fixture
async def door(app: Any) -> AsyncIterator[Door]:
    made = Door(app.platform)
    async with made.client:
        yield made


@pytest.fixture
async def elsewhere(app: Any, guanxi: Any) -> AsyncIterator[Door]:
    """Another process."""
    platform = await Platform.open(
        guanxi.database.app_url, registry=app.platform.registry, pool_size=2
    )
    async with platform:
        made = Door(platform)
        async with made.client:
            yield made


def code(answer: Any) -> str | None:
    found: str | None = answer["errors"][0]["extensions"]["code"] if "errors" in answer else None
    return found


async def register(door: Door, token: str, *documents: str) -> list[Any]:
    answer = await door.ask(token, REGISTER, documents=list(documents))
    assert answer["data"]["registerOperations"]["errors"] == [], answer
    found: list[Any] = answer["data"]["registerOperations"]["registeredOperations"]
    return found


async def test_a_document_is_asked_for_by_its_hash(app: Any, door: Door) -> None:
    token = await app.token()
    made = await register(door, token, WHO, COUNT, WHO)
    assert [(o["name"], o["kind"], o["sha256"]) for o in made] == [
        ("Who", "QUERY", digest_of(WHO)), ("Count", "QUERY", digest_of(COUNT)),
    ]  # fmt: skip
    expected = await door.ask(token, WHO)
    assert expected["data"]["tenant"]["name"] == app.tenant.name
    assert await door.by_hash(token, WHO) == expected
    digest = digest_of(COUNT)
    count = {"data": {"cards": {"totalCount": 0}}}
    headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
    extensions = quote(json.dumps({"persistedQuery": {"sha256Hash": digest}}))
    for asked in (
        await door.post(token, documentId=f"sha256:{digest}"),
        await door.post(token, documentId=digest.upper()),
        await door.post(token, documentId=digest, query=COUNT, operationName="Count"),
        await door.post(token, documentId=digest, variables={"first": 7}),
        await door.client.get(f"/graphql?documentId=sha256:{digest}", headers=headers),
        await door.client.get(f"/graphql?extensions={extensions}", headers=headers),
    ):
        assert (asked.status_code, asked.json()) == (200, count)


async def test_what_is_named_wrongly_is_refused(app: Any, door: Door) -> None:
    token = await app.token()
    await register(door, token, WHO, MAKE)
    for extensions in ({"persistedQuery": {}}, {"persistedQuery": 5}, {"persistedQuery": [1]},
                       {"persistedQuery": {"sha256Hash": "a" * 63}}):  # fmt: skip
        answer = await door.post(token, extensions=extensions)
        assert code(answer.json()) == "BAD_REQUEST", extensions
    for document_id in ("", "sha256:", "md5:" + "a" * 64, "a" * 65, "ａ" * 64, "x" * 64):
        assert code((await door.post(token, documentId=document_id)).json()) == "BAD_REQUEST"
    for body in ({}, {"documentId": None}, {"extensions": {}}, {"extensions": []}, {"query": 1},
                 {"documentId": 5}, {"extensions": {"persistedQuery": None}}):  # fmt: skip
        answer = await door.post(token, **body)
        assert code(answer.json()) == "BAD_REQUEST", body
    mixed = await door.post(token, query=COUNT, documentId=digest_of(WHO))
    assert code(mixed.json()) == "BAD_REQUEST"
    headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
    got = await door.client.get(f"/graphql?documentId={digest_of(MAKE)}", headers=headers)
    assert code(got.json()) == "METHOD_NOT_ALLOWED"
    assert (await door.ask(token, COUNT))["data"]["cards"]["totalCount"] == 0
    assert (await door.by_hash(token, MAKE))["data"]["createCard"]["card"] == {"title": "made"}


async def test_nobody_registers_by_asking(app: Any, door: Door) -> None:
    token = await app.token()
    assert code(await door.by_hash(token, WHO)) == "PERSISTED_QUERY_NOT_FOUND"
    given = {"persistedQuery": {"version": 1, "sha256Hash": digest_of(WHO)}}
    answer = await door.post(token, query=WHO, extensions=given)
    assert "errors" not in answer.json()
    assert code(await door.by_hash(token, WHO)) == "PERSISTED_QUERY_NOT_FOUND"


async def test_it_is_looked_up_once(app: Any, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    token, asked = await app.token(), 0
    await register(door, token, WHO)
    assert "errors" not in await door.by_hash(token, WHO)

    async def counted(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return await operations.document_of(*arguments)

    monkeypatch.setattr(registered, "document_of", counted)
    for _ in range(5):
        assert "errors" not in await door.by_hash(token, WHO)
    assert "errors" not in await door.by_hash(await app.token(["*.read"]), WHO)
    assert asked == 0


async def test_removing_holds_at_the_next_request_everywhere(
    app: Any, door: Door, elsewhere: Door
) -> None:
    token = await app.token()
    (made,) = await register(door, token, WHO)
    for one in (door, elsewhere):
        assert "errors" not in await one.by_hash(token, WHO)
    gone = await door.ask(token, REMOVE, id=made["id"])
    assert gone["data"]["removeOperation"] == {"result": digest_of(WHO), "errors": []}
    for one in (elsewhere, door):
        assert code(await one.by_hash(token, WHO)) == "PERSISTED_QUERY_NOT_FOUND"
    await register(elsewhere, token, WHO)
    assert "errors" not in await door.by_hash(token, WHO)
    again = await door.ask(token, REMOVE, id=made["id"])
    assert again["data"]["removeOperation"]["errors"][0]["code"] == "NOT_FOUND"
    entries = await app.graphql(
        "{ auditEntries(orderBy: [CREATED_AT_ASC]) { edges { node { action rowId } } } }"
    )
    acted = [(e["node"]["action"], e["node"]["rowId"]) for e in entries["auditEntries"]["edges"]]
    assert ("guanxi.register_operations", made["id"]) in acted
    assert ("guanxi.remove_operation", made["id"]) in acted


async def test_a_tenants_operations_are_its_own(app: Any, door: Door) -> None:
    token, pool = await app.token(), app.platform.pool
    (made,) = await register(door, token, WHO)
    other = await create_tenant(pool, f"other-{secrets.token_hex(4)}")
    await set_plugin(pool, other, "desk", True)
    theirs = await api_tokens.create_token(pool, other, role="admin")
    assert code(await door.by_hash(theirs, WHO)) == "PERSISTED_QUERY_NOT_FOUND"
    answer = await door.ask(theirs, "{ registeredOperations { totalCount } }")
    assert answer["data"]["registeredOperations"]["totalCount"] == 0
    gone = await door.ask(theirs, REMOVE, id=made["id"])
    assert gone["data"]["removeOperation"]["errors"][0]["code"] == "NOT_FOUND"
    assert "errors" not in await door.by_hash(token, WHO)


async def test_only_registered_operations(app: Any, door: Door, elsewhere: Door) -> None:
    token = await app.token()
    await register(door, token, WHO, MODE)
    assert "errors" not in await elsewhere.ask(token, COUNT)
    await door.ask(token, MODE, only=True)
    for one in (elsewhere, door):
        assert code(await one.ask(token, COUNT)) == "OPERATION_NOT_REGISTERED"
        assert code(await one.ask(token, MAKE)) == "OPERATION_NOT_REGISTERED"
        schema = "{ __schema { queryType { name } } }"
        assert code(await one.ask(token, schema)) == "OPERATION_NOT_REGISTERED"
        assert code(await one.ask(token, "{ __typename }")) == "OPERATION_NOT_REGISTERED"
        assert code(await one.by_hash(token, COUNT)) == "PERSISTED_QUERY_NOT_FOUND"
        assert "errors" not in await one.by_hash(token, WHO)
        assert "errors" not in await one.ask(token, WHO)  # the same text
        assert code(await one.ask(token, WHO + " ")) == "OPERATION_NOT_REGISTERED"
    # What plugin code asks is its own affair.
    asked = app.platform.graphql(await app.platform.installation(app.tenant))
    assert (
        await asked.check("query ($id: ID!) { card(id: $id) { title } }", variables={"id": "x"})
        == []
    )
    user = await identity.create_user(app.platform.pool, app.tenant, "ada", roles=["readonly"])
    assert "errors" not in await asked.execute(COUNT, user_id=user.id)
    await door.by_hash(token, MODE, only=False)
    for one in (elsewhere, door):
        assert "errors" not in await one.ask(token, COUNT)


async def test_a_token_bound_to_operations_does_nothing_else(
    app: Any, door: Door, elsewhere: Door
) -> None:
    token, pool = await app.token(), app.platform.pool
    await register(door, token, WHO, COUNT, ISSUE)
    roles = (await app.graphql("{ roles { edges { node { id name } } } }"))["roles"]["edges"]
    admin = next(edge["node"]["id"] for edge in roles if edge["node"]["name"] == "admin")
    wanted = [digest_of(WHO), digest_of(ISSUE)]
    made = await door.ask(token, ISSUE, role=admin, of=wanted)
    result = made["data"]["createToken"]["result"]
    assert result["token"]["operations"] == wanted
    bound = result["secret"]
    for one in (door, elsewhere):
        assert "errors" not in await one.by_hash(bound, WHO)
        assert "errors" not in await one.ask(bound, WHO)
        assert code(await one.by_hash(bound, COUNT)) == "FORBIDDEN"
        for document in (COUNT, MAKE, "{ __schema { queryType { name } } }", "{ __typename }"):
            assert code(await one.ask(bound, document)) == "FORBIDDEN"
    # It cannot make one that may do more.
    for of in (None, [digest_of(COUNT)], [digest_of(WHO), digest_of(COUNT)]):
        assert code(await door.by_hash(bound, ISSUE, role=admin, of=of)) == "FORBIDDEN", of
    less = await door.by_hash(bound, ISSUE, role=admin, of=[digest_of(WHO)])
    assert less["data"]["createToken"]["result"]["token"]["operations"] == [digest_of(WHO)]
    for of in ([], ["0" * 64], ["x"]):
        wrong = await door.ask(token, ISSUE, role=admin, of=of)
        assert wrong["data"]["createToken"]["errors"][0]["path"] == "operations"
    # Without its operation it may do nothing, not everything.
    await operations.remove_operations(pool, app.tenant, ["Who"])
    for one in (elsewhere, door):
        assert code(await one.by_hash(bound, WHO)) == "PERSISTED_QUERY_NOT_FOUND"
        assert code(await one.ask(bound, WHO)) == "OPERATION_NOT_REGISTERED"
        assert code(await one.ask(bound, COUNT)) == "FORBIDDEN"


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("{ tenant { name } }", "has no name"),
        ("query A { nothing }", "Cannot query field 'nothing'"),
        ("query A { tenant { name } } query B { tenant { name } }", "several operations"),
        ("query A { __schema { queryType { name } } }", "use guanxi schema"),
        ("query A { tenant", "Syntax Error"),
        ("fragment F on Query { tenant { name } }", ""),
    ],
)
async def test_what_cannot_be_registered(app: Any, door: Door, document: str, problem: str) -> None:
    answer = await door.ask(await app.token(), REGISTER, documents=[WHO, document])
    payload = answer["data"]["registerOperations"]
    assert payload["registeredOperations"] is None
    (error,) = payload["errors"]
    assert (error["code"], error["path"]) == ("INVALID", "documents")
    assert problem in error["message"]
    count = await door.ask(await app.token(), "{ registeredOperations { totalCount } }")
    assert count["data"]["registeredOperations"]["totalCount"] == 0  # all or none


async def test_it_takes_the_permission_for_all_rows(app: Any, door: Door) -> None:
    await register(door, await app.token(), WHO)
    for can in (["*.read", "guanxi.access"], ["guanxi.requests:own"]):
        token = await app.token(can)
        for document in (REGISTER, MODE, "{ requestRules { onlyRegistered } }"):
            answer = await door.ask(token, document, documents=[COUNT], only=True)
            told = answer.get("errors") or next(iter(answer["data"].values()))["errors"]
            assert "guanxi.requests" in told[0]["message"], (can, document, answer)
    listed = await door.ask(await app.token(["*.read"]), "{ registeredOperations { totalCount } }")
    assert code(listed) == "FORBIDDEN"
    assert "errors" not in await door.by_hash(await app.token([]), WHO)


async def test_limits_at_registration_are_the_tenants(app: Any, door: Door) -> None:
    token = await app.token()
    wide = "query Wide { " + " ".join(f"a{n}: tenant {{ name }}" for n in range(20)) + " }"
    await set_limits(app.platform.pool, app.tenant, {"aliases": 19}, {})
    refused = await door.ask(token, REGISTER, documents=[wide])
    message = refused["data"]["registerOperations"]["errors"][0]["message"]
    assert "limit of 19 aliases: it has 20" in message
    await set_limits(app.platform.pool, app.tenant, {"aliases": 20}, {})
    await register(door, token, wide)


def test_manifests_are_read_in_both_forms() -> None:
    digest = digest_of(WHO)
    assert from_manifest(json.dumps({digest: WHO})) == [WHO]
    assert from_manifest(json.dumps({f"sha256:{digest.upper()}": WHO})) == [WHO]
    apollo = {
        "format": "apollo-persisted-query-manifest", "version": 1,
        "operations": [{"id": digest, "name": "Who", "type": "query", "body": WHO}],
    }  # fmt: skip
    assert from_manifest(json.dumps(apollo)) == [WHO]
    for text in ("[]", "{", '{"a": 1}', '{"operations": [{"id": 5, "body": 7}]}'):
        with pytest.raises(Invalid, match="manifest"):
            from_manifest(text)
    with pytest.raises(Invalid, match=f"SHA-256 is {digest}"):
        from_manifest(json.dumps({"a" * 40: WHO}))


async def test_a_name_of_several_documents_is_told_apart_by_hash(app: Any) -> None:
    pool, tenant = app.platform.pool, app.tenant
    edition = (await app.platform.installation(tenant)).edition
    texts = [WHO, WHO + "\n"]
    described = operations.examined(edition, texts)
    assert len(await operations.register_documents(pool, tenant, described, texts)) == 2
    assert await operations.register_documents(pool, tenant, described, texts) == []
    with pytest.raises(Invalid, match="registered in 2 forms"):
        await operations.find(pool, tenant, "Who")
    found = await operations.find(pool, tenant, f"sha256:{digest_of(WHO)}")
    assert found.document == WHO
