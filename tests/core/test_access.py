"""Roles, scopes, clearances and grants that end."""

import datetime as dt
import json
from typing import Any

import pytest
from sqlalchemy import Uuid, func, literal, select
from with_scopes import Flock, Herd, Kin, Pasture, Sheep, Shepherd

from guanxi_core.access import StaleAccess, expand
from guanxi_core.api_tokens import create_token
from guanxi_core.editions import compose
from guanxi_core.grants import EVERYTHING, Grant, covered
from guanxi_core.identity import create_user
from guanxi_graphql.execute.engine import Engine
from guanxi_sdk import EVERY_ROW, Confidentiality, Invalid, Money, NotFound, Rights, Scope
from guanxi_sdk.testing.app import App, global_id
from guanxi_sdk.testing.tokens import make_token

INTERNAL, CONFIDENTIAL, SECRET = list(Confidentiality)[1:]


def test_a_grant_reads_as_it_is_written() -> None:
    for text in ("*", "*.read:own", "customers.read", "customers.read:office"):
        assert str(Grant.parse(text)) == text
    assert str(Grant.parse("herd.read:all")) == "herd.read"
    for wrong in ("", "read", "*:mine", "herd.*", "Herd.read", "herd.read:"):
        with pytest.raises(Invalid, match="write a permission"):
            Grant.parse(wrong)


def test_equal_rights_are_one_object_and_a_wider_scope_absorbs_the_others() -> None:
    edition = compose([Herd])
    narrow = Grant.parse("herd.read:own", SECRET)
    both = expand([narrow, Grant.parse("*.read", INTERNAL)], edition)
    assert both is expand([Grant.parse("herd.read:own", SECRET), Grant.parse("*.read")], edition)
    assert both.scopes("herd.read") == {Scope.OWN, Scope.ALL}
    assert both.scopes("herd.read", SECRET) == {Scope.OWN}, "one role's clearance, another's rows"
    plain = expand([Grant.parse("herd.read:own"), Grant.parse("herd.read", SECRET)], edition)
    assert plain.scopes("herd.read") == {Scope.ALL}
    assert not plain.limited
    assert plain.scopes("herd.write") == frozenset()
    assert expand([narrow], edition).limited
    assert expand(EVERYTHING, edition).permissions == edition.permissions.keys()
    assert not Rights({}).permissions


def test_nobody_covers_more_than_they_hold() -> None:
    mine = [Grant.parse("*.read:own", SECRET), Grant.parse("herd.write", INTERNAL)]
    for text, level, held in (
        ("herd.read:own", SECRET, True), ("herd.read", INTERNAL, False), ("*", INTERNAL, False),
        ("*.read:own", SECRET, True), ("*.read:team", INTERNAL, False),
        ("herd.write:own", INTERNAL, True), ("herd.write", SECRET, False),
    ):  # fmt: skip
        assert covered(Grant.parse(text, level), mine) is held, text


async def _fill(app: App, user: str) -> dict[str, Any]:
    """Two shepherds, mine and not mine, with a flock and a sheep each."""
    made: dict[str, Any] = {}
    for whose, name in (("mine", user), ("theirs", None)):
        chief = made.get("shepherd mine")
        shepherd = await app.add(Shepherd(name=whose, user=name, chief_id=chief and chief.id))
        flock = await app.add(
            Flock(name=whose, shepherd_id=shepherd.id, worth=Money(100, "CNY"), illness="scab")
        )
        sheep = await app.add(Sheep(name=whose, flock_id=flock.id, weight=10.0))
        made |= {f"shepherd {whose}": shepherd, f"flock {whose}": flock, f"sheep {whose}": sheep}
    await app.add(Pasture(name="meadow"))
    return made


async def _reader(app: App, *patterns: str, clearance: Confidentiality = SECRET) -> Any:
    token = await make_token(
        app.platform.pool, app.tenant, patterns, clearance=clearance, user="ada"
    )
    return await app.platform.authenticate(token)


async def _ask(
    app: App, access: Any, document: str, reason: str | None = None, **given: Any
) -> Any:

    reply = await Engine(app.platform).execute(access, document, given, reason=reason)
    return json.loads(reply.body)


async def test_an_outer_join_finds_the_callers_rows_only(guanxi: Any) -> None:
    app = await guanxi(Herd(), Kin())
    first = await _reader(app, "herd.read:own")
    rows = await _fill(app, str(first.caller.user_id))
    mother, flock = rows["sheep theirs"], rows["flock mine"]
    await app.add(Sheep(name="lamb", flock_id=flock.id, mother_id=mother.id))
    document = '{ manySheep(where: {name: {eq: "lamb"}}) { edges { node { motherBeside } } } }'
    for scope, name in (("own", None), ("team", "theirs")):
        answer = await _ask(app, await _reader(app, f"herd.read:{scope}"), document)
        assert answer["data"]["manySheep"]["edges"] == [{"node": {"motherBeside": name}}]


async def test_plugin_code_finds_the_callers_rows_only(guanxi: Any) -> None:
    app = await guanxi(Herd())
    first = await _reader(app, "herd.read:own")
    rows = await _fill(app, str(first.caller.user_id))
    for scope, names in (
        ("own", ["mine"]),
        ("team", ["mine", "theirs"]),
        ("all", ["mine", "theirs"]),
    ):
        access = await _reader(app, f"herd.read:{scope}", f"herd.health:{scope}")
        async with app.platform.context(access) as ctx:
            found = await ctx.db.scalars(select(Sheep).order_by(Sheep.name))
            assert [sheep.name for sheep in found] == names
            pastures = await ctx.db.scalar(select(func.count()).select_from(Pasture))
            assert pastures == (1 if scope == "all" else 0), "without a policy there are no rows"
            every = select(func.count()).select_from(Sheep)
            assert await ctx.db.scalar(every, execution_options=EVERY_ROW) == 2
            hidden = rows["sheep theirs"].id
            if scope == "own":
                with pytest.raises(NotFound):
                    await ctx.get(Sheep, hidden)
                with pytest.raises(NotFound):
                    await ctx.save_many(Sheep, [{"id": hidden, "weight": 1.0}])
                with pytest.raises(NotFound):
                    await ctx.save_from(
                        Sheep,
                        select(literal(hidden, Uuid).label("id"), literal(1.0).label("weight")),
                    )
                changed = await ctx.update_where(Sheep, Sheep.weight > 0, weight=5.0)
                assert changed == 1
    assert (await app.get(Sheep, hidden)).weight == 10.0


async def test_a_verb_reaches_as_far_as_what_it_needs(guanxi: Any) -> None:
    """Reading everything does not help where the permission of the mutation is for one's own."""
    app = await guanxi(Herd())
    access = await _reader(app, "herd.read", "herd.write:own")
    rows = await _fill(app, str(access.caller.user_id))
    access = await _reader(app, "herd.read", "herd.write:own")
    shear = "mutation ($id: ID!) { shear(sheepId: $id) { sheep { name } errors { code path } } }"
    mine, theirs = [
        (await _ask(app, access, shear, id=global_id(rows[f"sheep {whose}"])))["data"]["shear"]
        for whose in ("mine", "theirs")
    ]
    assert mine["sheep"] == {"name": "mine"}
    assert theirs["errors"] == [{"code": "NOT_FOUND", "path": "sheepId"}]


async def test_writing_out_of_scope(guanxi: Any) -> None:
    """A row out of the scope is as missing; a row that would leave it is FORBIDDEN."""
    app = await guanxi(Herd())
    access = await _reader(app, "herd.read")
    rows = await _fill(app, str(access.caller.user_id))
    access = await _reader(app, "herd.read", "herd.write:own", clearance=INTERNAL)
    ids = {name: global_id(row) for name, row in rows.items()}
    create = (
        'mutation ($to: ID!) { createSheep(input: {name: "x", flockId: $to}) '
        "{ sheep { name } errors { code path } } }"
    )
    update = (
        "mutation ($id: ID!, $to: ID!) { updateSheep(id: $id, version: 1, input: {flockId: $to}) "
        "{ errors { code path } } }"
    )
    done = await _ask(app, access, create, to=ids["flock mine"])
    assert done["data"]["createSheep"] == {"sheep": {"name": "x"}, "errors": []}
    for document, given, code, path in (
        (create, {"to": ids["flock theirs"]}, "FORBIDDEN", None),
        (update, {"id": ids["sheep mine"], "to": ids["flock theirs"]}, "FORBIDDEN", None),
        (update, {"id": ids["sheep theirs"], "to": ids["flock mine"]}, "NOT_FOUND", "id"),
    ):
        answer = await _ask(app, access, document, **given)
        [payload] = answer["data"].values()
        assert payload["errors"] == [{"code": code, "path": path}], answer
    assert len(await app.all(Sheep)) == 3
    level = (
        'mutation ($id: ID!) { updateFlock(id: $id, version: 1, input: {illness: "no"}) '
        "{ errors { code path } } }"
    )
    answer = await _ask(app, access, level, id=ids["flock mine"])
    assert answer["data"]["updateFlock"]["errors"] == [{"code": "FORBIDDEN", "path": "illness"}]
    narrow = await _reader(app, "herd.read:own", "herd.write:own")
    answer = await _ask(app, narrow, create, to=ids["flock theirs"])
    assert answer["data"]["createSheep"]["errors"] == [{"code": "NOT_FOUND", "path": "flockId"}]


async def test_secrets_take_a_reason_and_leave_a_trace(guanxi: Any) -> None:
    app = await guanxi(Herd())
    access = await _reader(app, "herd.read")
    rows = await _fill(app, str(access.caller.user_id))
    access = await _reader(app, "herd.read")
    flock = global_id(rows["flock mine"])
    document = f'{{ flock(id: "{flock}") {{ name illness remedy }} }}'
    refused = await _ask(app, access, document)
    assert refused["data"]["flock"] == {"name": "mine", "illness": None, "remedy": None}
    assert {e["extensions"]["code"] for e in refused["errors"]} == {"FORBIDDEN"}
    assert "Guanxi-Reason" in refused["errors"][0]["message"]
    sql = (
        "SELECT actor, reason, changes::text FROM guanxi_audit WHERE action = 'guanxi.secret.read'"
    )
    async with app.platform.pool.connection(app.tenant.id) as connection:
        assert await connection.fetch(sql) == []
    shown = await _ask(app, access, document, "vet comes")
    assert shown["data"]["flock"]["illness"] == "scab"
    async with app.platform.pool.connection(app.tenant.id) as connection:
        [row] = await connection.fetch(sql)
    assert (row["actor"], row["reason"]) == ("ada", "vet comes")
    for part in ("Flock.illness", "Flock.remedy", flock):
        assert part in row["changes"]


async def test_the_clearance_of_one_role_does_not_open_the_rows_of_another(guanxi: Any) -> None:
    app = await guanxi(Herd())
    pool = app.platform.pool
    await make_token(pool, app.tenant, ["herd.read:own"], clearance=SECRET, user="ada")
    await make_token(pool, app.tenant, ["herd.read"], clearance=INTERNAL, user="ada")
    token = await create_token(pool, app.tenant, user="ada")
    access = await app.platform.authenticate(token)
    await _fill(app, str(access.caller.user_id))
    access = await _fresh(app, token)
    document = "{ flocks(orderBy: NAME_ASC) { edges { node { name illness } } } }"
    answer = await _ask(app, access, document, "because")
    nodes = [edge["node"] for edge in answer["data"]["flocks"]["edges"]]
    assert nodes == [{"name": "mine", "illness": "scab"}, {"name": "theirs", "illness": None}]
    assert [e["path"] for e in answer["errors"]] == [["flocks", "edges", "node", "illness"]]
    count = '{ flocks(where: {illness: {eq: "scab"}}) { totalCount } }'
    counted = await _ask(app, access, count, "because")
    assert counted["data"]["flocks"]["totalCount"] == 1


async def _fresh(app: App, token: str) -> Any:
    app.platform.forget(token)
    return await app.platform.authenticate(token)


# --- roles in GraphQL ----------------------------------------------------------------------------

GRANT = (
    "mutation ($user: ID!, $role: ID!, $until: DateTime) { grantRole(userId: $user, roleId: $role, "
    'expiresAt: $until, purpose: "a reception") { userRole { expiresAt purpose role { name } } '
    "errors { code path message } } }"
)
ROLES = "{ roles { edges { node { id name clearance permissions } } } }"


async def _roles(app: App) -> dict[str, str]:
    answer = await app.graphql(ROLES)
    return {edge["node"]["name"]: edge["node"]["id"] for edge in answer["roles"]["edges"]}


async def test_a_grant_ends_by_itself(guanxi: Any) -> None:
    app = await guanxi(Herd())
    user = await create_user(app.platform.pool, app.tenant, "eve")
    token = await create_token(app.platform.pool, app.tenant, user="eve")
    assert (await app.platform.authenticate(token)).caller.permissions == frozenset()
    app.clock.set(dt.datetime.now(dt.UTC))
    until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=4)
    roles = await _roles(app)
    answer = await app.graphql(GRANT, user=f"user_{user.id}", role=roles["readonly"], until=until)
    assert answer["grantRole"]["errors"] == []
    assert answer["grantRole"]["userRole"]["role"] == {"name": "readonly"}
    access = await _fresh(app, token)
    assert "herd.read" in access.caller.permissions
    sql = "UPDATE guanxi_user_role SET expires_at = now() + interval '0.2 s' WHERE user_id = $1"
    async with app.platform.pool.connection(app.tenant.id) as connection:
        await connection.execute(sql, user.id)
        access = await _fresh(app, token)
        assert "herd.read" in access.caller.permissions
        await connection.execute("SELECT pg_sleep(0.3)")
    with pytest.raises(StaleAccess):
        await _ask(app, access, "{ viewer { name } }")
    access = await _fresh(app, token)
    assert access.caller.permissions == frozenset(), "the token lives, the grant does not"
    assert (await _ask(app, access, "{ viewer { name } }"))["data"]["viewer"]["name"] == "eve"


async def test_roles_are_changed_in_graphql_and_nobody_gives_more_than_they_have(
    guanxi: Any,
) -> None:
    app = await guanxi(Herd())
    create = (
        "mutation ($name: String!, $grants: [String!]!, $level: Clearance) { "
        "createRole(name: $name, grants: $grants, clearance: $level) "
        "{ role { id clearance } errors { code path message } } }"
    )
    made = await app.graphql(create, name="vet", grants=["herd.read:own"], level="SECRET")
    assert made["createRole"]["errors"] == []
    vet = made["createRole"]["role"]
    assert vet["clearance"] == "SECRET"
    wrong = await app.graphql(create, name="odd", grants=["everything"])
    assert wrong["createRole"]["errors"][0]["path"] == "grants"
    mine = ("guanxi.access", "guanxi.rights", "herd.read:own")
    access = await _reader(app, *mine, clearance=INTERNAL)
    for grants, level, fine in (
        (["herd.read:own"], "INTERNAL", True), (["herd.read"], "INTERNAL", False),
        (["*"], "INTERNAL", False), (["herd.read:own"], "SECRET", False),
    ):  # fmt: skip
        given = {"name": f"r{grants}{level}"[:50], "grants": grants, "level": level}
        answer = await _ask(app, access, create, **given)
        assert ("errors" not in answer) is fine, answer
        access = await _reader(app, *mine, clearance=INTERNAL)
    user = f"user_{access.caller.user_id}"
    answer = await _ask(app, access, GRANT, user=user, role=vet["id"])
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", "not even to oneself"


async def test_the_last_administrator_stays(guanxi: Any) -> None:
    app = await guanxi(Herd())
    pool = app.platform.pool
    first, second = [
        await create_user(pool, app.tenant, name, roles=["admin"]) for name in ("ada", "bob")
    ]
    revoke = (
        "mutation ($user: ID!, $role: ID!) { revokeRole(userId: $user, roleId: $role) "
        "{ user { name } errors { code message } } }"
    )
    admin = (await _roles(app))["admin"]
    token = await create_token(pool, app.tenant, user="bob")
    bob = await app.platform.authenticate(token)
    done = await app.graphql(revoke, user=f"user_{second.id}", role=admin)
    assert done["revokeRole"] == {"user": {"name": "bob"}, "errors": []}
    with pytest.raises(StaleAccess):  # effective at the next request
        await _ask(app, bob, "{ viewer { name } }")
    refused = await app.graphql(revoke, user=f"user_{first.id}", role=admin)
    assert refused["revokeRole"]["errors"][0]["code"] == "REFUSED"
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    refused = await app.graphql(GRANT, user=f"user_{first.id}", role=admin, until=soon)
    assert refused["grantRole"]["errors"][0]["code"] == "REFUSED"
    assert "admin" in await _roles(app)
    async with pool.connection(app.tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT action, actor FROM guanxi_audit WHERE model = 'UserRole'"
        )
    assert [row["action"] for row in rows] == ["guanxi.revoke_role"]
