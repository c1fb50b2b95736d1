"""Users and tokens in GraphQL: made, changed and ended by whoever decides about rights."""

import datetime as dt
import json
from typing import Any

import pytest
from with_scopes import Flock, Herd, Shepherd

from guanxi_core.access import StaleAccess
from guanxi_core.api_tokens import create_token
from guanxi_core.discovery import Registry
from guanxi_core.identity import create_user
from guanxi_core.issuers import Issuer
from guanxi_core.platform import Platform
from guanxi_graphql.execute.engine import Engine
from guanxi_sdk import Confidentiality, Unauthenticated
from guanxi_sdk.testing.app import App
from guanxi_sdk.testing.tokens import make_token
from issuing import issuing

USER = "user { id name email archivedAt userRoles { edges { node { role { name } } } } }"
ERRORS = "errors { code path message }"
CREATE = (
    "mutation ($name: String!, $email: String, $roles: [ID!]) "
    f"{{ made: createUser(name: $name, email: $email, roles: $roles) {{ {USER} {ERRORS} }} }}"
)
UPDATE = (
    "mutation ($user: ID!, $name: String, $email: String) "
    f"{{ made: updateUser(userId: $user, name: $name, email: $email) {{ {USER} {ERRORS} }} }}"
)
ARCHIVE = f"mutation ($user: ID!) {{ made: archiveUser(userId: $user) {{ {USER} {ERRORS} }} }}"
RESTORE = f"mutation ($user: ID!) {{ made: restoreUser(userId: $user) {{ {USER} {ERRORS} }} }}"
ROLE = (
    "mutation ($name: String!, $grants: [String!]!) { made: createRole(name: $name, "
    f"grants: $grants, clearance: SECRET) {{ role {{ id }} {ERRORS} }} }}"
)
CHANGE = (
    "mutation ($role: ID!, $grants: [String!], $level: Clearance) "
    "{ made: updateRole(roleId: $role, grants: $grants, clearance: $level) "
    f"{{ role {{ permissions }} {ERRORS} }} }}"
)
DESCRIBED = f"role {{ id description }} {ERRORS}"
GRANT = (
    "mutation ($user: ID!, $role: ID!, $until: DateTime) "
    "{ made: grantRole(userId: $user, roleId: $role, expiresAt: $until) "
    f"{{ userRole {{ expiresAt }} {ERRORS} }} }}"
)
TOKEN = "token { id label user userId role createdAt expiresAt revokedAt }"
ISSUE = (
    "mutation ($user: ID, $role: ID, $label: String!, $until: DateTime) "
    "{ made: createToken(userId: $user, roleId: $role, label: $label, expiresAt: $until) "
    f"{{ result {{ told: secret {TOKEN} }} {ERRORS} }} }}"
)
REVOKE = (
    "mutation ($id: String!) { made: revokeToken(id: $id) "
    f"{{ result {{ id revokedAt }} {ERRORS} }} }}"
)
TOKENS = "query ($user: ID) { tokens(userId: $user) { id label user userId role revokedAt } }"
WHO = "{ viewer { name permissions } }"


async def _ask(app: App, access: Any, document: str, key: bytes | None = None, **given: Any) -> Any:
    reply = await Engine(app.platform).execute(access, document, given, key=key)
    return json.loads(reply.body) | ({"replayed": True} if reply.replayed else {})


async def _roles(app: App) -> dict[str, str]:
    answer = await app.graphql("{ roles { edges { node { id name } } } }")
    return {edge["node"]["name"]: edge["node"]["id"] for edge in answer["roles"]["edges"]}


async def _made(app: App, document: str, **given: Any) -> Any:
    made = (await app.graphql(document, **given))["made"]
    assert made.pop("errors") == []
    [result] = made.values()
    return result


async def _refused(app: App, document: str, **given: Any) -> tuple[str, str | None]:
    made = (await app.graphql(document, **given))["made"]
    [error] = made["errors"]
    return error["code"], error["path"]


async def _asked(app: App, token: str, document: str, **given: Any) -> Any:
    """The payload of a mutation for whoever has ``token``, or the code of what refuses it."""
    app.platform.forget(token)
    answer = await _ask(app, await app.platform.authenticate(token), document, **given)
    if "errors" in answer:
        [error] = answer["errors"]
        return error["extensions"]["code"], error["message"]
    made = answer["data"]["made"]
    for error in made.pop("errors"):
        return error["code"], error["message"]
    [result] = made.values()
    return result


async def _audit(app: App) -> list[tuple[str, str | None, str]]:
    async with app.platform.pool.connection(app.tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT action, row_id, changes FROM guanxi_audit WHERE tenant_id = $1 ORDER BY id",
            app.tenant.id,
        )
    return [(row["action"], row["row_id"], row["changes"]) for row in rows]


async def test_what_a_role_is_for_is_told_changed_and_removed(guanxi: Any) -> None:
    app = await guanxi(Herd())
    create = (
        'mutation ($text: String) { made: createRole(name: "reads", grants: [], '
        f"description: $text) {{ {DESCRIBED} }} }}"
    )
    update = (
        "mutation ($role: ID!, $text: String) "
        f"{{ made: updateRole(roleId: $role, description: $text) {{ {DESCRIBED} }} }}"
    )
    grant = (
        "mutation ($user: ID!, $role: ID!, $text: String) { made: grantRole(userId: $user, "
        f"roleId: $role, purpose: $text) {{ userRole {{ purpose }} {ERRORS} }} }}"
    )
    too_long = "字" * 501
    assert await _refused(app, create, text=too_long) == ("INVALID", "description")
    role = (await _made(app, create, text="字" * 500))["id"]
    assert await _refused(app, update, role=role, text=too_long) == ("INVALID", "description")
    for text, told in (("Reads.", "Reads."), (None, "Reads."), ("", None)):
        assert await _made(app, update, role=role, text=text) == {"id": role, "description": told}
    user = (await _made(app, CREATE, name="ada"))["id"]
    given = {"role": role, "user": user}
    assert await _refused(app, grant, **given, text=too_long) == ("INVALID", "purpose")
    for text, told in (("A visit.", "A visit."), ("", None)):
        assert await _made(app, grant, **given, text=text) == {"purpose": told}


async def test_a_user_is_made_changed_archived_and_restored(guanxi: Any) -> None:
    app = await guanxi(Herd())
    roles = await _roles(app)
    given = [roles["readonly"], roles["steward"], roles["readonly"]]
    ada = await _made(app, CREATE, name="ada", email="ada@example.com", roles=given)
    assert (ada["name"], ada["email"], ada["archivedAt"]) == ("ada", "ada@example.com", None)
    held = sorted(edge["node"]["role"]["name"] for edge in ada["userRoles"]["edges"])
    assert held == ["readonly", "steward"]
    assert (await _made(app, CREATE, name="eve"))["userRoles"]["edges"] == []
    for document, more, refusal in (
        (CREATE, {"name": "ada"}, ("INVALID", "name")),
        (CREATE, {"name": " "}, ("INVALID", "name")),
        (CREATE, {"name": "a\nb"}, ("INVALID", "name")),
        (CREATE, {"name": "bob", "email": "bob"}, ("INVALID", "email")),
        (CREATE, {"name": "bob", "roles": ["role_x"]}, ("NOT_FOUND", "roles")),
        (UPDATE, {"user": ada["id"], "name": "eve"}, ("INVALID", "name")),
        (UPDATE, {"user": "user_x", "name": "eve"}, ("NOT_FOUND", "userId")),
    ):
        assert await _refused(app, document, **more) == refusal
    assert "bob" not in {u["name"] for u in await _users(app)}
    same = await _made(app, UPDATE, user=ada["id"], name="ada")
    assert (same["name"], same["email"]) == ("ada", "ada@example.com")
    other = await _made(app, UPDATE, user=ada["id"], name="ada l.", email="")
    assert (other["name"], other["email"]) == ("ada l.", None)
    assert (await _made(app, ARCHIVE, user=ada["id"]))["archivedAt"] is not None
    before = await _audit(app)
    assert (await _made(app, ARCHIVE, user=ada["id"]))["archivedAt"] is not None
    assert await _audit(app) == before, "archived already"
    restored = await _made(app, RESTORE, user=ada["id"])
    assert restored["archivedAt"] is None
    assert len(restored["userRoles"]["edges"]) == 2
    actions = [action for action, row, _ in await _audit(app) if row == ada["id"]]
    assert actions == [f"guanxi.{verb}_user" for verb in ("create", "update", "archive", "restore")]


async def _users(app: App) -> list[Any]:
    answer = await app.graphql("{ users(includeArchived: true) { edges { node { id name } } } }")
    return [edge["node"] for edge in answer["users"]["edges"]]


async def test_archiving_ends_tokens_at_the_next_request_and_for_good(guanxi: Any) -> None:
    app = await guanxi(Herd())
    pool = app.platform.pool
    user = await create_user(pool, app.tenant, "ada", roles=["readonly"])
    token = await create_token(pool, app.tenant, user="ada")
    spent = await create_token(pool, app.tenant, user="ada", label="spent")
    of_role = await create_token(pool, app.tenant, role="readonly")
    [first] = [t for t in (await app.graphql(TOKENS))["tokens"] if t["label"] == "spent"]
    await _made(app, REVOKE, id=first["id"])
    access = await app.platform.authenticate(token)
    assert (await _ask(app, access, WHO))["data"]["viewer"]["name"] == "ada"

    await _made(app, ARCHIVE, user=f"user_{user.id}")
    with pytest.raises(StaleAccess):
        await _ask(app, access, WHO)
    for ended in (token, spent):
        app.platform.forget(ended)
        with pytest.raises(Unauthenticated):
            await app.platform.authenticate(ended)
    assert (await app.platform.authenticate(of_role)).caller.may("herd.read"), "nobody's own"
    assert await _refused(app, ISSUE, user=f"user_{user.id}", label="x") == ("INVALID", "userId")

    await _made(app, RESTORE, user=f"user_{user.id}")
    for ended in (token, spent):
        with pytest.raises(Unauthenticated):
            await app.platform.authenticate(ended)
    listed = (await app.graphql(TOKENS, user=f"user_{user.id}"))["tokens"]
    assert len(listed) == 2
    assert all(one["revokedAt"] for one in listed)
    ended = [(action, row) for action, row, _ in await _audit(app) if str(row)[:5] == "token"]
    assert ended[-2:] == [
        ("guanxi.revoke_token", first["id"]),
        ("guanxi.archive_user", next(t["id"] for t in listed if t["label"] != "spent")),
    ]
    fresh = await _made(app, ISSUE, user=f"user_{user.id}", label="fresh")
    assert (await app.platform.authenticate(fresh["told"])).caller.may("herd.read")


async def test_the_last_administrator_cannot_be_archived(guanxi: Any) -> None:
    app = await guanxi(Herd())
    ada, bob = [
        await create_user(app.platform.pool, app.tenant, name, roles=["admin"])
        for name in ("ada", "bob")
    ]
    await _made(app, ARCHIVE, user=f"user_{ada.id}")
    assert await _refused(app, ARCHIVE, user=f"user_{bob.id}") == ("REFUSED", None)
    await _made(app, RESTORE, user=f"user_{ada.id}")
    await _made(app, ARCHIVE, user=f"user_{bob.id}")


async def test_nobody_reaches_beyond_their_own_rights(guanxi: Any) -> None:
    app = await guanxi(Herd())
    pool = app.platform.pool
    roles = await _roles(app)
    boss = f"user_{(await create_user(pool, app.tenant, 'boss', roles=['admin'])).id}"
    mine = ["guanxi.access", "guanxi.rights", "*.read"]
    token = await make_token(pool, app.tenant, mine, clearance=Confidentiality.INTERNAL, user="ada")

    async def ask(document: str, **given: Any) -> Any:
        access = await app.platform.authenticate(token)
        try:
            return await _ask(app, access, document, **given)
        except StaleAccess:
            app.platform.forget(token)
            return await ask(document, **given)

    for document, given in (
        (CREATE, {"name": "eve", "roles": [roles["admin"]]}),
        (CREATE, {"name": "eve", "roles": [roles["finance"]]}),  # another clearance
        (UPDATE, {"user": boss, "name": "ada's boss"}),
        (ARCHIVE, {"user": boss}),
        (RESTORE, {"user": boss}),
        (ISSUE, {"user": boss, "label": "x"}),
        (ISSUE, {"role": roles["admin"], "label": "x"}),
        (ISSUE, {"user": boss, "role": roles["admin"], "label": "x"}),
    ):
        answer = await ask(document, **given)
        assert [e["extensions"]["code"] for e in answer["errors"]] == ["FORBIDDEN"], document
        assert answer["data"] == {"made": None}
    assert [user["name"] for user in await _users(app)] == ["boss", "ada"]
    assert len((await app.graphql(TOKENS))["tokens"]) == 2, "hers, and that of the tests"
    made = await ask(CREATE, name="eve", roles=[roles["readonly"]])
    eve = made["data"]["made"]["user"]["id"]
    issued = await ask(ISSUE, user=eve, label="for eve")
    assert issued["data"]["made"]["errors"] == []
    # without the permission there is neither list nor mutation
    reader = await app.access(["guanxi.rights"])
    assert (await _ask(app, reader, ISSUE, user=eve, label="x"))["data"] == {"made": None}
    other = await app.access(["guanxi.access"])
    assert (await _ask(app, other, TOKENS))["data"] == {"tokens": None}


async def test_another_users_own_rows_stay_that_users(guanxi: Any) -> None:
    """To act as somebody else takes all rows: what is one's own is another thing for each user."""
    app = await guanxi(Herd())
    pool = app.platform.pool
    rights = ["guanxi.access", "guanxi.rights", "herd.read:own"]
    token = await make_token(pool, app.tenant, rights, user="eve")
    wide = await make_token(pool, app.tenant, [*rights, "herd.read"], user="ada")
    eve = (await app.platform.authenticate(token)).caller.user_id
    role = await _made(app, ROLE, name="shepherd", grants=["herd.read:own"])
    bob = (await _made(app, CREATE, name="bob", roles=[role["id"]]))["id"]
    shepherd = await app.add(Shepherd(name="Bob", user=bob.removeprefix("user_")))
    await app.add(Flock(name="Bob's", shepherd_id=shepherd.id))
    assert await _flocks(app, token) == []

    for document, given in (
        (ISSUE, {"user": bob, "label": "x"}),
        (ISSUE, {"user": bob, "role": role["id"], "label": "x"}),
        (UPDATE, {"user": bob, "name": "eve@issuer"}),
    ):
        code, message = await _asked(app, token, document, **given)
        assert (code, "act as another user" in message) == ("FORBIDDEN", True), document
        await _asked(app, wide, document, **given)
    # what is ordinary administration, and gives nobody another's rows, goes on
    assert (await _asked(app, token, UPDATE, user=bob, email="b@example.com"))["email"]
    assert (await _asked(app, token, UPDATE, user=bob, name="eve@issuer"))["name"] == "eve@issuer"
    fresh = (await _asked(app, token, CREATE, name="fresh", roles=[role["id"]]))["id"]
    assert await _asked(app, token, GRANT, user=fresh, role=role["id"]) == {"expiresAt": None}
    assert (await _asked(app, token, ISSUE, user=fresh, label="x"))[0] == "FORBIDDEN"
    own = await _asked(app, token, ISSUE, user=f"user_{eve}", label="mine")
    assert await _flocks(app, own["told"]) == []
    assert (await _asked(app, token, UPDATE, user=f"user_{eve}", name="eva"))["name"] == "eva"
    # without a user a scope takes in no rows, so that such a token has no more than anybody
    alone = await _asked(app, token, ISSUE, role=role["id"], label="alone")
    assert await _flocks(app, alone["told"]) == []
    of_bob = await _asked(app, wide, ISSUE, user=bob, label="for bob")
    assert await _flocks(app, of_bob["told"]) == ["Bob's"]


async def _flocks(app: App, token: str) -> list[str]:
    app.platform.forget(token)
    access = await app.platform.authenticate(token)
    answer = await _ask(app, access, "{ flocks { edges { node { name } } } }")
    return [edge["node"]["name"] for edge in answer["data"]["flocks"]["edges"]]


async def test_a_scope_reaches_ones_own_tokens_and_nothing_else_of_the_platform(
    guanxi: Any,
) -> None:
    app = await guanxi(Herd())
    pool = app.platform.pool
    boss = await create_user(pool, app.tenant, "boss", roles=["admin"])
    await create_token(pool, app.tenant, user="boss", label="laptop")
    low = await make_token(pool, app.tenant, ["*:own"], user="low")
    spare = await create_token(pool, app.tenant, user="low", label="spare")
    alone = await make_token(pool, app.tenant, ["*:own"])
    everybodys = {t["label"]: t["id"] for t in (await app.graphql(TOKENS))["tokens"]}
    async with pool.connection(app.tenant.id) as connection:
        delivery = await connection.fetchval(
            "INSERT INTO guanxi_delivery (tenant_id, plugin, handler, status, scheduled_for)"
            " VALUES ($1, 'herd', 'graze', 'dead', now()) RETURNING id",
            app.tenant.id,
        )

    async def listed(token: str, **given: Any) -> list[tuple[str, str | None]]:
        app.platform.forget(token)
        access = await app.platform.authenticate(token)
        tokens = (await _ask(app, access, TOKENS, **given))["data"]["tokens"]
        return [(one["label"], one["user"]) for one in tokens]

    assert await listed(low) == [("", "low"), ("spare", "low")]
    assert await listed(low, user=f"user_{boss.id}") == []
    assert await listed(alone) == [("", None)]
    replay = (
        "mutation ($id: ID!) { made: replayDelivery(id: $id) "
        f"{{ delivery {{ status }} {ERRORS} }} }}"
    )
    erase = (
        "mutation ($id: String!) { made: erasePerson(id: $id, dryRun: true) "
        f"{{ result {{ rows {{ model }} }} {ERRORS} }} }}"
    )
    erased = f"user_{(await create_user(pool, app.tenant, 'leaver')).id}"
    for document, given, refusal in (
        (REVOKE, {"id": everybodys["laptop"]}, "NOT_FOUND"),
        (replay, {"id": f"delivery_{delivery}"}, "NOT_FOUND"),
        (erase, {"id": erased}, "NOT_FOUND"),
        (CREATE, {"name": "eve"}, "FORBIDDEN"),
        (ROLE, {"name": "odd", "grants": ["herd.read:own"]}, "FORBIDDEN"),
    ):
        assert (await _asked(app, low, document, **given))[0] == refusal, document
    for document, given in ((replay, {"id": f"delivery_{delivery}"}), (erase, {"id": erased})):
        assert await _made(app, document, **given), "for whoever may"
    assert (await _asked(app, low, REVOKE, id=everybodys["spare"]))["revokedAt"]
    with pytest.raises(Unauthenticated):
        await app.platform.authenticate(spare)


async def test_nobody_ends_the_token_or_weakens_the_role_of_somebody_greater(guanxi: Any) -> None:
    app = await guanxi(Herd())
    pool = app.platform.pool
    roles = await _roles(app)
    await create_user(pool, app.tenant, "boss", roles=["admin"])
    await create_user(pool, app.tenant, "clerk", roles=["readonly"])
    for user, role, label in (
        ("boss", None, "of boss"), ("clerk", None, "of clerk"), (None, "admin", "of admin"),
        (None, "readonly", "of readonly"),
    ):  # fmt: skip
        await create_token(pool, app.tenant, user=user, role=role, label=label)
    of = {t["label"]: t["id"] for t in (await app.graphql(TOKENS))["tokens"]}
    for rights in ("guanxi.rights", "guanxi.rights:own"):  # seen or not
        token = await make_token(pool, app.tenant, ["guanxi.access", "*.read", rights])
        for label in ("of boss", "of admin"):
            assert (await _asked(app, token, REVOKE, id=of[label]))[0] == "FORBIDDEN"
    for label in ("of clerk", "of readonly", "of clerk"):
        assert (await _asked(app, token, REVOKE, id=of[label]))["revokedAt"]
    token = await make_token(pool, app.tenant, ["guanxi.access", "guanxi.rights", "*.read"])
    for role, grants, level, refused in (
        ("admin", ["*"], "INTERNAL", True),
        ("admin", ["*.read"], "SECRET", True),
        ("steward", ["*.read:own"], "SECRET", True),
        ("readonly", ["herd.read"], "INTERNAL", False),
    ):
        answer = await _asked(app, token, CHANGE, role=roles[role], grants=grants, level=level)
        assert answer[0] == "FORBIDDEN" if refused else answer["permissions"] == grants, role


async def _deputy(app: App, until: dt.datetime) -> tuple[str, str]:
    """Eve, who reads the herd for ever and decides about rights until a time: her token and id."""
    pool, rights = app.platform.pool, ["*.read", "guanxi.access", "guanxi.rights"]
    token = await make_token(pool, app.tenant, ["herd.read"], user="eve")
    user = (await app.platform.authenticate(token)).caller.user_id
    for name, grants, end in (("lasting", ["herd.read"], None), ("deputy", rights, until)):
        role = await _made(app, ROLE, name=name, grants=grants)
        await _made(app, GRANT, user=f"user_{user}", role=role["id"], until=end)
    return await create_token(pool, app.tenant, user="eve"), f"user_{user}"


async def test_nobody_gives_for_longer_than_they_have(guanxi: Any) -> None:
    app = await guanxi(Herd())
    app.clock.set(dt.datetime.now(dt.UTC))
    end = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(hours=1)
    token, eve = await _deputy(app, end)
    roles = await _roles(app)
    bob = (await _made(app, CREATE, name="bob", roles=[roles["readonly"]]))["id"]
    until, later = end.isoformat(), (end + dt.timedelta(seconds=1)).isoformat()

    for document, given in (
        (GRANT, {"user": eve, "role": roles["deputy"]}),
        (GRANT, {"user": bob, "role": roles["readonly"]}),
        (ISSUE, {"user": eve, "label": "x"}),
        (ISSUE, {"user": bob, "label": "x"}),
        (ISSUE, {"role": roles["deputy"], "label": "x"}),
        (ISSUE, {"role": roles["lasting"], "label": "x"}),  # she could not make it later, either
    ):
        for longer in (None, later):
            code, message = await _asked(app, token, document, **given, until=longer)
            assert (code, f"until {until} only" in message) == ("FORBIDDEN", True), document
        assert isinstance(await _asked(app, token, document, **given, until=until), dict)
    await _made(app, GRANT, user=bob, role=roles["readonly"])
    for document, given in (
        (CREATE, {"name": "x", "roles": [roles["readonly"]]}),
        (CHANGE, {"role": roles["lasting"], "grants": ["herd.read", "guanxi.access"]}),
        (UPDATE, {"user": bob, "name": "eve@issuer"}),
        (RESTORE, {"user": bob}),
    ):
        assert (await _asked(app, token, document, **given))[0] == "FORBIDDEN", document
        await _made(app, document, **given)
    # what she has for ever she gives for ever
    lasting = await _asked(app, token, ISSUE, user=eve, role=roles["lasting"], label="mine")
    assert lasting["token"]["expiresAt"] is None
    assert (await _asked(app, token, CREATE, name="y", roles=[roles["lasting"]]))["name"] == "y"
    assert await _asked(app, token, ARCHIVE, user=bob), "nothing is given"


async def test_a_token_that_ends_makes_nothing_that_lasts(guanxi: Any) -> None:
    app = await guanxi(Herd())
    pool = app.platform.pool
    app.clock.set(dt.datetime.now(dt.UTC))
    ada = f"user_{(await create_user(pool, app.tenant, 'ada', roles=['admin', 'readonly'])).id}"
    bob = f"user_{(await create_user(pool, app.tenant, 'bob')).id}"
    hour = dt.timedelta(hours=1)
    roles = await _roles(app)
    for user, role in (("ada", None), ("ada", "admin"), (None, "admin")):
        token = await create_token(pool, app.tenant, user=user, role=role, expires_in=hour)
        for until, fine in (
            (None, False), (dt.datetime.now(dt.UTC) + 2 * hour, False),
            (dt.datetime.now(dt.UTC) + hour / 2, True),
        ):  # fmt: skip
            end = until and until.isoformat()
            for document, given in (
                (GRANT, {"user": bob, "role": roles["steward"]}),
                (ISSUE, {"user": bob, "label": "x"}),
                (ISSUE, {"role": roles["admin"], "label": "x"}),
            ):
                answer = await _asked(app, token, document, **given, until=end)
                assert isinstance(answer, dict) if fine else answer[0] == "FORBIDDEN", document
    lasting = await create_token(pool, app.tenant, user="ada", role="admin")
    for given in ({"user": bob}, {"role": roles["admin"]}):
        made = await _asked(app, lasting, ISSUE, **given, label="x")
        assert made["token"]["expiresAt"] is None
    # nor does a role that ends, where the token has that role alone
    twin = (await _made(app, ROLE, name="twin", grants=["*"]))["id"]
    until = dt.datetime.now(dt.UTC) + hour
    await _made(app, GRANT, user=ada, role=twin, until=until.isoformat())
    token = await create_token(pool, app.tenant, user="ada", role="twin")
    given = {"user": bob, "role": roles["steward"]}
    assert (await _asked(app, token, GRANT, **given))[0] == "FORBIDDEN"
    assert isinstance(await _asked(app, lasting, GRANT, **given), dict)


async def test_an_issuers_session_and_the_system_itself_have_no_end(guanxi: Any) -> None:
    app = await guanxi(Herd())
    ada = await create_user(app.platform.pool, app.tenant, "ada", roles=["admin"])
    roles = await _roles(app)
    given = {"user": f"user_{ada.id}", "role": roles["readonly"]}
    with issuing() as server:
        issuer = Issuer(issuer=server.url, audience="guanxi", tenant=app.tenant.name)
        platform = await Platform.open(
            guanxi.database.app_url, registry=Registry({"herd": Herd}), issuers=[issuer],
            pool_size=2,
        )  # fmt: skip
        async with platform:
            token = server.token(sub="ada")
            for document, more in ((GRANT, {}), (ISSUE, {"label": "x"})):
                for access in (
                    await platform.authenticate(token),
                    await platform.system_access(app.tenant),
                ):
                    reply = await Engine(platform).execute(access, document, given | more)
                    answer = json.loads(reply.body)
                    assert answer["data"]["made"]["errors"] == [], answer
                platform.forget(token)


async def test_tokens_are_issued_listed_and_revoked(guanxi: Any) -> None:
    app = await guanxi(Herd())
    roles = await _roles(app)
    ada = await create_user(app.platform.pool, app.tenant, "ada", roles=["readonly", "steward"])
    app.clock.set(dt.datetime.now(dt.UTC))
    until = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    user = f"user_{ada.id}"
    whole = await _made(app, ISSUE, user=user, label="whole", until=until)
    part = await _made(app, ISSUE, user=user, role=roles["steward"], label="part")
    alone = await _made(app, ISSUE, role=roles["readonly"], label="alone")
    assert [dt.datetime.fromisoformat(whole["token"]["expiresAt"]), part["token"]["expiresAt"]] == [
        until, None
    ]  # fmt: skip
    rights = {}
    for issued in (whole, part, alone):
        caller = (await app.platform.authenticate(issued["told"])).caller
        rights[issued["token"]["label"]] = (caller.user_id, caller.may("herd.write"))
    assert rights == {"whole": (ada.id, True), "part": (ada.id, True), "alone": (None, False)}
    listed = (await app.graphql(TOKENS, user=user))["tokens"]
    assert [(t["label"], t["user"], t["userId"], t["role"]) for t in listed] == [
        ("whole", "ada", user, None), ("part", "ada", user, "steward")
    ]  # fmt: skip
    assert whole["told"] not in json.dumps(await app.graphql(TOKENS))

    past = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    for given, refusal in (
        ({}, ("INVALID", "userId")),
        ({"user": "user_x"}, ("NOT_FOUND", "userId")),
        ({"role": "role_x"}, ("NOT_FOUND", "roleId")),
        ({"user": user, "role": roles["finance"]}, ("INVALID", "roleId")),
        ({"user": user, "until": past}, ("INVALID", "expiresAt")),
        ({"user": user, "label": "a\tb"}, ("INVALID", "label")),
    ):
        assert await _refused(app, ISSUE, **{"label": "x", **given}) == refusal

    access = await app.platform.authenticate(part["told"])
    ended = await _made(app, REVOKE, id=part["token"]["id"])
    assert ended["revokedAt"] is not None
    with pytest.raises(StaleAccess):
        await _ask(app, access, WHO)
    app.platform.forget(part["told"])
    with pytest.raises(Unauthenticated):
        await app.platform.authenticate(part["told"])
    before = await _audit(app)
    assert await _made(app, REVOKE, id=part["token"]["id"]) == ended
    assert await _audit(app) == before, "revoked already"
    for wrong in ("", "token_x", part["token"]["id"].upper(), part["token"]["id"][6:], user):
        assert await _refused(app, REVOKE, id=wrong) == ("NOT_FOUND", "id")
    stranger = await guanxi(Herd())
    assert await _refused(stranger, REVOKE, id=whole["token"]["id"]) == ("NOT_FOUND", "id")
    entry = next(e for e in before if e[1] == whole["token"]["id"])
    assert entry[0] == "guanxi.create_token"
    told = {name: after for name, (_, after) in json.loads(entry[2]).items()}
    assert told.keys() == {"label", "user", "role", "expires_at"}
    assert (told["label"], told["user"], told["role"]) == ("whole", "ada", None)


async def test_a_repeated_request_does_not_tell_the_secret_again(guanxi: Any) -> None:
    app = await guanxi(Herd())
    roles = await _roles(app)
    access = await app.access()
    given = {"role": roles["readonly"], "label": "once"}
    first = (await _ask(app, access, ISSUE, key=b"k", **given))["data"]["made"]
    again = await _ask(app, access, ISSUE, key=b"k", **given)
    secret = first["result"].pop("told")
    assert secret.startswith("gx_")
    assert again["replayed"]
    assert again["data"]["made"]["result"].pop("told") is None
    assert again["data"]["made"] == first
    assert len([t for t in (await app.graphql(TOKENS))["tokens"] if t["label"] == "once"]) == 1
    async with app.platform.pool.connection(app.tenant.id) as connection:
        [body] = await connection.fetch("SELECT body FROM guanxi_idempotency")
        assert b"once" in body["body"]
        assert secret.encode() not in body["body"]
        for table in ("guanxi_audit", "guanxi_outbox", "guanxi_idempotency"):
            rows = await connection.fetch(f"SELECT t::text AS text FROM {table} t")
            assert rows or table == "guanxi_outbox"
            assert not any(secret in row["text"] for row in rows)
