"""Row 2, in the audit: nobody learns there what the field itself would not tell."""

import json
from typing import Any

import pytest
from with_scopes import Flock, Health, Herd, Sheep, Shepherd

from guanxi_core.tenancy import set_plugin
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.exporting import Wanted, export
from guanxi_sdk import Confidentiality, Money
from guanxi_sdk.testing.app import App, global_id
from guanxi_sdk.testing.tokens import make_token

INTERNAL, CONFIDENTIAL, SECRET = list(Confidentiality)[1:]
CANARIES = ("123.45", "scab")
CHANGES = """query ($rows: [String!]) {
  auditEntries(where: { rowId: { in: $rows } }) {
    edges { node { action rowId reason changes { field before after withheld } } }
  }
}"""


async def _herd(app: App, user: Any) -> list[Flock]:
    """A flock of the user's and one of somebody else's, both with what is confidential."""
    flocks = []
    for name, whose in (("mine", str(user)), ("theirs", None)):
        shepherd = await app.add(Shepherd(name=name, user=whose))
        worth = Money(12_345, "CNY")
        flock = await app.add(
            Flock(name=name, shepherd_id=shepherd.id, worth=worth, illness="scab")
        )
        flocks.append(flock)
    return flocks


async def _auditor(app: App, *patterns: str, clearance: Confidentiality) -> Any:
    token = await make_token(app.platform.pool, app.tenant, patterns, clearance=clearance)
    return await app.platform.authenticate(token)


async def _told(
    app: App, access: Any, rows: list[Any], reason: str | None = None
) -> dict[str, dict[str, Any]]:
    """For each row the fields with the values after, or ``withheld``."""
    given = {"rows": [global_id(row) for row in rows]}
    reply = await Engine(app.platform).execute(access, CHANGES, given, reason=reason)
    answer = json.loads(reply.body)
    assert "errors" not in answer
    found: dict[str, dict[str, Any]] = {}
    for edge in answer["data"]["auditEntries"]["edges"]:
        fields = found.setdefault(edge["node"]["rowId"], {})
        for change in edge["node"]["changes"]:
            if change["withheld"]:
                assert (change["before"], change["after"]) == (None, None)
            fields[change["field"]] = change["withheld"] or change["after"]
    if reason is None and access.caller.rights.scopes("herd.read", CONFIDENTIAL) == frozenset():
        assert not any(canary in reply.body.decode() for canary in CANARIES)
    return {row.name: found[global_id(row)] for row in rows}


async def _secrets(app: App) -> list[Any]:
    async with app.platform.pool.connection(app.tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT reason, changes FROM guanxi_audit"
            " WHERE tenant_id = $1 AND action = 'guanxi.secret.read' ORDER BY id",
            app.tenant.id,
        )
    return [(row["reason"], json.loads(row["changes"])["fields"][1]) for row in rows]


@pytest.mark.parametrize("patterns", [("guanxi.audit", "herd.read"), ("*",)])
async def test_values_follow_the_callers_clearance(guanxi: Any, patterns: tuple[str, ...]) -> None:
    app = await guanxi(Herd())
    flocks = await _herd(app, None)
    worth = '{"amount":"123.45","currency":"CNY"}'
    for clearance, reason, shown in (
        (INTERNAL, None, {"worth": True, "illness": True}),
        (INTERNAL, "curious", {"worth": True, "illness": True}),
        (CONFIDENTIAL, "curious", {"worth": worth, "illness": True}),
        (SECRET, None, {"worth": worth, "illness": True}),
    ):
        access = await _auditor(app, *patterns, clearance=clearance)
        for fields in (await _told(app, access, flocks, reason)).values():
            assert {name: fields[name] for name in shown} == shown
            assert fields["name"] in ('"mine"', '"theirs"'), "what is internal auditors see"
    assert await _secrets(app) == []
    told = await _told(app, access, flocks, "a plague")
    assert {fields["illness"] for fields in told.values()} == {'"scab"'}
    assert await _secrets(app) == [("a plague", ["Flock.illness"])]


async def test_without_reading_the_model_what_is_confidential_stays_hidden(guanxi: Any) -> None:
    app = await guanxi(Herd())
    flocks = await _herd(app, None)
    access = await _auditor(app, "guanxi.audit", clearance=SECRET)
    for fields in (await _told(app, access, flocks, "why")).values():
        assert (fields["worth"], fields["illness"]) == (True, True)
    assert await _secrets(app) == []


async def test_a_scope_counts_as_it_does_for_the_field(guanxi: Any) -> None:
    """Clearance for one's own rows opens the values of no other."""
    app = await guanxi(Herd())
    make = (app.platform.pool, app.tenant, ["guanxi.audit", "herd.read"])
    await make_token(*make, clearance=INTERNAL, user="ada")
    token = await make_token(
        app.platform.pool, app.tenant, ["herd.read:own"], clearance=SECRET, user="ada"
    )
    access = await app.platform.access_as(app.tenant, user="ada")
    flocks = await _herd(app, access.caller.user_id)
    told = await _told(app, access, flocks, "why")
    assert {name: fields["illness"] for name, fields in told.items()} == {
        "mine": '"scab"', "theirs": True
    }  # fmt: skip
    assert token
    assert await _secrets(app) == [("why", ["Flock.illness"])]


async def test_what_the_edition_does_not_know_is_secret(guanxi: Any) -> None:
    app = await guanxi(Herd())
    flocks = await _herd(app, None)
    await set_plugin(app.platform.pool, app.tenant, "herd", False)
    auditor = await _auditor(app, "*", clearance=CONFIDENTIAL)
    for fields in (await _told(app, auditor, flocks, "why")).values():
        assert set(fields.values()) == {True}
    admin = await _auditor(app, "*", clearance=SECRET)
    for reason, names in ((None, {True}), ("why", {'"mine"', '"theirs"'})):
        told = await _told(app, admin, flocks, reason)
        assert {fields["name"] for fields in told.values()} == names
    [(_, fields)] = await _secrets(app)
    assert set(fields) == {"Flock.name", "Flock.worth", "Flock.illness", "Flock.shepherdId"}


async def test_what_says_nothing_of_a_row_is_shown(guanxi: Any) -> None:
    """Administration, and the numbers of rows that were written together."""
    app = await guanxi(Herd())
    [flock, _] = await _herd(app, None)
    sheep = await app.add(Sheep(name="a", flock_id=flock.id))
    async with app.context() as ctx:
        await ctx.save_many(Health, [{"id": sheep.id, "pulse": 60}])
    access = await _auditor(app, "guanxi.audit", clearance=INTERNAL)
    document = """{ auditEntries { edges { node { action changes { field withheld } } } } }"""
    answer = json.loads((await Engine(app.platform).execute(access, document)).body)
    nodes = [edge["node"] for edge in answer["data"]["auditEntries"]["edges"]]
    by_action = {node["action"]: node["changes"] for node in nodes}
    for action in ("guanxi.tenant.create", "herd.health.save_many", "herd.sheep.create"):
        assert by_action[action], action
        assert not any(change["withheld"] for change in by_action[action])


async def test_an_export_of_the_audit_withholds_and_records_alike(guanxi: Any) -> None:
    app = await guanxi(Herd())
    await _herd(app, None)
    wanted = Wanted("auditEntries", ["action", "changes"], {"action": {"eq": "herd.flock.create"}})
    for clearance, reason, seen in ((INTERNAL, "why", 0), (SECRET, None, 1), (SECRET, "why", 2)):
        access = await _auditor(app, "*", clearance=clearance)
        parts: list[bytes] = []
        await export(app.platform, access, wanted, parts.append, actor="x", reason=reason)
        body = b"".join(parts).decode()
        assert sum(canary in body for canary in CANARIES) == seen
    assert await _secrets(app) == [("why", ["Flock.illness"])]


async def test_changes_are_no_filter(guanxi: Any) -> None:
    app = await guanxi(Herd())
    for where in ('{changes: {eq: "scab"}}', '{changes: {some: {after: {eq: "scab"}}}}'):
        answer = await app.execute(f"{{ auditEntries(where: {where}) {{ totalCount }} }}")
        assert answer["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        assert "data" not in answer
