"""Mutations: what they write, what they leave behind, what they answer and what they refuse."""

import asyncio
import json
import random
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from with_every_kind import Entry, Rating, Researcher, Site

from guanxi_core.access import Access, StaleAccess
from guanxi_sdk import Rights
from guanxi_sdk.testing.tokens import make_token
from reference.laboratory import Laboratory
from reference.worlds import NAMES, World, make_world, uuid_of

RESEARCHER = {
    "name": "Ada", "born": "1990-01-01", "joined": "2020-01-01T08:00:00+08:00",
    "pay": {"amount": "12.30", "currency": "CNY"},
}  # fmt: skip


class Desk:
    """One world of its own, its caller, and what is found in its tables."""

    def __init__(self, laboratory: Laboratory, world: World, access: Access) -> None:
        self.laboratory = laboratory
        self.world = world
        self.access = access

    async def ask(self, document: str, /, **variables: Any) -> dict[str, Any]:
        return await self.laboratory.ask(self.access, document, **variables)

    async def data(self, document: str, /, **variables: Any) -> Any:
        answer = await self.ask(document, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    def may(self, *permissions: str) -> "Desk":
        """The same desk for somebody who may do less."""
        caller = replace(self.access.caller, rights=Rights.to_all(permissions))
        access = Access(caller, self.access.installation, self.access.epoch)
        return Desk(self.laboratory, self.world, access)

    async def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        tenant = self.access.installation.tenant.id
        async with self.laboratory.platform.pool.connection(tenant) as connection:
            return [dict(row) for row in await connection.fetch(query, tenant, *arguments)]

    async def audit(self) -> list[dict[str, Any]]:
        found = await self.rows(
            "SELECT actor, action, model, row_id, changes, reason, origin FROM guanxi_audit "
            "WHERE tenant_id = $1 AND action LIKE 'lab.%' ORDER BY created_at, id"
        )
        return [{**row, "changes": json.loads(row["changes"])} for row in found]

    async def outbox(self) -> list[tuple[str, Any]]:
        found = await self.rows(
            "SELECT name, payload FROM guanxi_outbox WHERE tenant_id = $1 ORDER BY at, id"
        )
        return [(row["name"], json.loads(row["payload"])) for row in found]

    async def state(self) -> Any:
        """Everything that the plugin keeps for this tenant, the audit and the outbox."""
        tables = [m.info.table.name for m in self.access.installation.edition.models.values()]
        tables += ["lab_badge", "lab_rating"]
        kept = [
            await self.rows(f"SELECT * FROM {t} WHERE tenant_id = $1 ORDER BY id") for t in tables
        ]
        return kept, await self.audit(), await self.outbox()

    def site(self, position: int = 0) -> str:
        return sorted(row.global_id for row in self.world.all(Site))[position]


@pytest.fixture
async def desk(laboratory: Laboratory) -> Desk:
    """A world with all its rows, for one test."""
    world = make_world(102, times=1)
    for row in world.all(Researcher):
        row.values["archived_at"] = None
    for row in world.all(Site):
        row.values["archived_at"] = None
    return Desk(laboratory, world, await laboratory.settle(world))


CREATE = (
    "mutation ($input: CreateResearcherInput!) { createResearcher(input: $input) "
    "{ researcher { %s } errors { code path message } } }"
)
UPDATE = (
    "mutation ($id: ID!, $version: Int!, $input: UpdateResearcherInput!) { made: "
    "updateResearcher(id: $id, version: $version, input: $input) "
    "{ researcher { %s } errors { code path message } } }"
)


async def _create(desk: Desk, selection: str = "id", **given: Any) -> Any:
    values = {**RESEARCHER, "siteId": desk.site(), **given}
    made = (await desk.data(CREATE % selection, input=values))["createResearcher"]
    assert made["errors"] == [], made
    return made["researcher"]


def _uuid(identity: str) -> UUID:
    return UUID(identity.rpartition("_")[2])


# --- what is written -------------------------------------------------------------------------


async def test_create_writes_row_audit_and_outbox(desk: Desk) -> None:
    values = {**RESEARCHER, "siteId": desk.site(), "colour": "DARK_GREEN", "tags": ["a", "b"]}
    reply = await desk.laboratory.engine.execute(
        desk.access, CREATE % "id name version archivedAt colour tags pay { amount currency } "
        "site { id } height grade", {"input": values}, reason="because", origin="a test",
    )  # fmt: skip
    made = json.loads(reply.body)["data"]["createResearcher"]
    identity = made["researcher"].pop("id")
    assert made == {
        "researcher": {
            "name": "Ada", "version": 1, "archivedAt": None, "colour": "DARK_GREEN",
            "tags": ["a", "b"], "pay": {"amount": "12.30", "currency": "CNY"},
            "site": {"id": desk.site()}, "height": 1.5, "grade": "C",
        },
        "errors": [],
    }  # fmt: skip
    row = _uuid(identity)
    assert row.version == 7
    assert await desk.audit() == [
        {
            "actor": desk.access.caller.name,
            "action": "lab.researcher.create",
            "model": "Researcher",
            "row_id": identity,
            "changes": {
                "name": [None, "Ada"],
                "born": [None, "1990-01-01"],
                "joined": [None, "2020-01-01T08:00:00+08:00"],
                "pay": [None, {"amount": "12.30", "currency": "CNY"}],
                "site_id": [None, str(_uuid(desk.site()))],
                "colour": [None, "dark_green"],
                "tags": [None, ["a", "b"]],
                "age": [None, 30],
                "height": [None, 1.5],
                "active": [None, True],
                "grade": [None, "C"],
                "remarks": [None, []],
            },
            "reason": "because",
            "origin": "a test",
        }
    ]
    assert await desk.outbox() == [("ResearcherCreated", {"id": str(row)})]


async def test_update_writes_what_changed_and_nothing_else(desk: Desk) -> None:
    made = await _create(desk, "id updatedAt", nick="x", rank=3)
    other = desk.site(1)
    changed = {
        "name": "Ada", "nick": None, "siteId": other, "bonus": {"amount": "5", "currency": "JPY"},
        "pay": {"amount": "12.30", "currency": "CNY"}, "labels": ["l"],
    }  # fmt: skip
    answer = await desk.data(
        UPDATE % "name nick rank version updatedAt bonus { amount currency } labels site { id }",
        id=made["id"], version=1, input=changed,
    )  # fmt: skip
    found = answer["made"]["researcher"]
    assert found.pop("updatedAt") > made["updatedAt"]
    assert found == {
        "name": "Ada", "nick": None, "rank": 3, "version": 2, "labels": ["l"],
        "bonus": {"amount": "5", "currency": "JPY"}, "site": {"id": other},
    }  # fmt: skip
    entry = (await desk.audit())[-1]
    assert entry["action"] == "lab.researcher.update"
    assert entry["row_id"] == made["id"]
    assert entry["changes"] == {
        "nick": ["x", None],
        "site_id": [str(_uuid(desk.site())), str(_uuid(other))],
        "bonus": [None, {"amount": "5", "currency": "JPY"}],
        "labels": [None, ["l"]],
    }
    assert (await desk.outbox())[-1] == ("ResearcherUpdated", {"id": str(_uuid(made["id"]))})


async def test_archive_and_restore(desk: Desk) -> None:
    made = await _create(desk)
    listed = "query ($id: ID!) { researchers(where: {id: {eq: $id}}) { totalCount } }"
    document = (
        "mutation ($id: ID!, $version: Int) { %sResearcher(id: $id, version: $version) "
        "{ researcher { version archivedAt } errors { code path } } }"
    )
    stale = [{"code": "CONFLICT", "path": "version"}]
    for verb, version, count in (("archive", 1, 0), ("restore", 2, 1), ("archive", None, 0)):
        key = f"{verb}Researcher"
        wrong = await desk.data(document % verb, id=made["id"], version=77)
        assert wrong[key] == {"researcher": None, "errors": stale}
        answer = await desk.data(document % verb, id=made["id"], version=version)
        assert answer[key]["errors"] == []
        assert (answer[key]["researcher"]["archivedAt"] is None) is (verb == "restore")
        assert (await desk.data(listed, id=made["id"]))["researchers"]["totalCount"] == count
        entry = (await desk.audit())[-1]
        assert entry["action"] == f"lab.researcher.{verb}"
        assert list(entry["changes"]) == ["archived_at"]
    names = [name for name, _ in await desk.outbox()]
    assert names == [
        "ResearcherCreated", "ResearcherArchived", "ResearcherRestored", "ResearcherArchived"
    ]  # fmt: skip
    assert len(await desk.audit()) == len(names)


@pytest.mark.parametrize("selection", ["version name", "version name daysAlive"])
async def test_what_is_archived_already_stays_as_it_is(desk: Desk, selection: str) -> None:
    """Without a version, a record or an event; `daysAlive` is read in another statement."""
    made = await _create(desk)
    document = (
        "mutation ($id: ID!, $version: Int) { made: %sResearcher(id: $id, version: $version) "
        f"{{ researcher {{ {selection} archivedAt updatedAt }} errors {{ code }} }} }}"
    )
    for first, *again in (("restore",), ("archive", "archive"), ("restore", "restore")):
        answer = await desk.data(document % first, id=made["id"])
        before = await desk.state()
        for verb in again:
            assert await desk.data(document % verb, id=made["id"]) == answer
            version = answer["made"]["researcher"]["version"]
            assert await desk.data(document % verb, id=made["id"], version=version) == answer
            stale = await desk.data(document % verb, id=made["id"], version=version + 1)
            assert stale["made"] == {"researcher": None, "errors": [{"code": "CONFLICT"}]}
        assert await desk.state() == before
    assert answer["made"]["researcher"]["version"] == 3
    assert len(await desk.outbox()) == 3


async def test_closed_verbs_do_not_exist(desk: Desk) -> None:
    for verb in ("create", "update", "archive"):
        answer = await desk.ask(f"mutation {{ {verb}Entry {{ errors {{ code }} }} }}")
        assert answer["errors"][0]["message"] == (
            f"Cannot query field '{verb}Entry' on type 'Mutation'."
        )
    entry = next(desk.world.all(Entry)).global_id
    restored = await desk.data(
        "mutation ($id: ID!) { restoreEntry(id: $id) { entry { archivedAt } } }", id=entry
    )
    assert restored == {"restoreEntry": {"entry": {"archivedAt": None}}}


# --- what is answered ------------------------------------------------------------------------


async def test_the_payload_shows_the_written_state(desk: Desk) -> None:
    """Also through relations, SQL fields, Python fields, and other rows of the same table."""
    site = "query ($id: ID!) { site(id: $id) { headCount payroll { currency amount } } }"
    before = (await desk.data(site, id=desk.site()))["site"]
    made = await _create(
        desk,
        "id chiefName shout income { amount } days: daysAlive chief { reports { totalCount } } "
        'site { headCount payroll { currency amount } researchers(where: {name: {eq: "New"}}) '
        "{ totalCount edges { node { name } } } }",
        name="New",
        nick="n",
        chiefId=f"researcher_{uuid_of(Researcher, 1)}",
        bonus={"amount": "0.70", "currency": "CNY"},
    )
    chief = desk.world.rows[Researcher][uuid_of(Researcher, 1)]
    reports = [r for r in desk.world.all(Researcher) if r["chief_id"] == chief.id]
    made.pop("id")
    payroll = made["site"].pop("payroll")
    assert float(payroll["amount"]) > float(before["payroll"]["amount"])
    assert made == {
        "chiefName": chief["name"], "shout": "NEWn!", "income": {"amount": "13.00"},
        "days": 12478, "chief": {"reports": {"totalCount": len(reports) + 1}},
        "site": {
            "headCount": before["headCount"] + 1,
            "researchers": {"totalCount": 1, "edges": [{"node": {"name": "New"}}]},
        },
    }  # fmt: skip


async def test_any_selection_of_a_payload_answers_as_a_query_does_afterwards(
    desk: Desk,
) -> None:
    one = await _create(desk, "id")
    version = 1
    for seed in range(40):
        choose = random.Random(seed)
        generator = await desk.laboratory.generator(9, choose)
        selection = generator.selection("Researcher")
        given = {
            "name": choose.choice([name for name in NAMES if name.strip()]),
            "nick": choose.choice([None, "nick", ""]),
            "siteId": desk.site(seed % 2),
            "chiefId": choose.choice([None, one["id"], f"researcher_{uuid_of(Researcher, 2)}"]),
        }
        written = await desk.ask(
            selection.within(
                "mutation { u: updateResearcher(id: $i, version: $v, input: $g) "
                "{ errors { code } researcher %s } }",
                "$i: ID!", "$v: Int!", "$g: UpdateResearcherInput!",
            ),
            i=one["id"], v=version, g=given, **selection.values,
        )  # fmt: skip
        version += 1
        assert written["data"]["u"]["errors"] == [], written
        read = await desk.ask(
            selection.within("query { researcher(id: $i) %s }", "$i: ID!"),
            i=one["id"],
            **selection.values,
        )
        assert written["data"]["u"]["researcher"] == read["data"]["researcher"], selection.text
        errors = [
            [[(tuple(e["path"][skip:]), e["extensions"]["code"]) for e in answer.get("errors", ())]]
            for answer, skip in ((written, 2), (read, 1))
        ]
        assert errors[0] == errors[1], selection.text


async def test_mutation_fields_run_one_after_the_other(desk: Desk) -> None:
    made = await _create(desk)
    answer = await desk.data(
        "mutation ($id: ID!) {"
        ' a: updateResearcher(id: $id, version: 1, input: {nick: "1"}) { ...R }'
        " b: updateResearcher(id: $id, version: 2, input: {rank: 2}) { ...R }"
        ' c: updateResearcher(id: $id, version: 2, input: {nick: "3"}) { ...R }'
        " __typename"
        " d: archiveResearcher(id: $id) { __typename researcher { nick } }"
        ' e: renameResearcher(researcherId: $id, name: "5") { researcher { name version } }'
        ' f: updateResearcher(id: $id, version: 5, input: {nick: "6"}) { ...R } }'
        " fragment R on UpdateResearcherPayload "
        "{ researcher { nick rank version } errors { code } }",
        id=made["id"],
    )
    assert answer == {
        "a": {"researcher": {"nick": "1", "rank": None, "version": 2}, "errors": []},
        "b": {"researcher": {"nick": "1", "rank": 2, "version": 3}, "errors": []},
        "c": {"researcher": None, "errors": [{"code": "CONFLICT"}]},
        "__typename": "Mutation",
        "d": {"__typename": "ArchiveResearcherPayload", "researcher": {"nick": "1"}},
        "e": {"researcher": {"name": "5", "version": 5}},
        "f": {"researcher": {"nick": "6", "rank": 2, "version": 6}, "errors": []},
    }
    assert list(answer) == ["a", "b", "c", "__typename", "d", "e", "f"]
    assert [entry["action"].rpartition(".")[2] for entry in await desk.audit()] == [
        "create", "update", "update", "archive", "rename_researcher", "update"
    ]  # fmt: skip


# --- what is refused -------------------------------------------------------------------------


async def _refused(desk: Desk, document: str, /, **variables: Any) -> list[dict[str, Any]]:
    """The errors of a mutation called `made`, after which everything is as before."""
    before = await desk.state()
    made = (await desk.data(document, **variables))["made"]
    errors: list[dict[str, Any]] = made.pop("errors")
    assert set(made.values()) <= {None}
    assert await desk.state() == before
    return errors


MADE = CREATE.replace("{ createResearcher", "{ made: createResearcher") % "id name"


async def test_everything_that_is_wrong_is_told_at_once(desk: Desk) -> None:
    wrong = {
        **RESEARCHER, "name": "n" * 41, "nick": "a\0b", "age": -11, "siteId": "site_none",
        "chiefId": desk.site(), "pay": {"amount": "1.001", "currency": "CNY"},
        "bonus": {"amount": "1", "currency": "cny"}, "labels": ["fine", "a\0b"],
        "grade": None, "quiet": "\ud800",
    }  # fmt: skip
    errors = await _refused(desk, MADE, input=wrong)
    assert {(e["path"], e["code"]) for e in errors} == {
        ("name", "INVALID"), ("nick", "INVALID"), ("age", "INVALID"), ("siteId", "NOT_FOUND"),
        ("chiefId", "NOT_FOUND"), ("pay", "INVALID"), ("bonus", "INVALID"),
        ("labels", "INVALID"), ("grade", "INVALID"), ("quiet", "INVALID"),
    }  # fmt: skip
    assert all(e["message"] and "n" * 41 not in e["message"] for e in errors)


async def test_a_hook_vetoes_with_all_its_reasons(desk: Desk) -> None:
    vetoed = {**RESEARCHER, "siteId": desk.site(), "name": "vetoed", "nick": "vetoed"}
    reasons = [
        {"code": "INVALID", "path": "name", "message": "is vetoed"},
        {"code": "INVALID", "path": "nick", "message": "is vetoed as well"},
    ]
    assert await _refused(desk, MADE, input=vetoed) == reasons
    made = await _create(desk)
    update = {"id": made["id"], "version": 1, "input": {"nick": "vetoed"}}
    assert await _refused(desk, UPDATE % "id", **update) == reasons[1:]


async def test_what_the_database_refuses_is_told_with_its_path(desk: Desk) -> None:
    fine = {**RESEARCHER, "siteId": desk.site()}
    missing = "researcher_01980002-0000-7000-8000-0000ffffffff"
    for selection in ("id", "id chiefName"):  # in one statement, and in a transaction
        create = MADE.replace("id name", selection)
        assert await _refused(desk, create, input={**fine, "chiefId": missing}) == [
            {"code": "NOT_FOUND", "path": "chiefId", "message": "does not exist"}
        ]
        assert await _refused(desk, create, input={**fine, "name": "nobody"}) == [
            {"code": "INVALID", "path": "name", "message": "is not allowed"}
        ]
        made = await _create(desk)
        update = {"id": made["id"], "version": 1}
        for wrong, path, code in (
            ({"chiefId": missing}, "chiefId", "NOT_FOUND"),
            ({"name": "nobody"}, "name", "INVALID"),
        ):
            errors = await _refused(desk, UPDATE % selection, **update, input=wrong)
            assert [(e["path"], e["code"]) for e in errors] == [(path, code)]
    site = {"code": next(desk.world.all(Site))["code"], "name": "x", "opened": "2020-01-01"}
    for selection in ("id", "headCount"):
        assert await _refused(
            desk,
            "mutation ($input: CreateSiteInput!) { made: createSite(input: $input) "
            f"{{ site {{ {selection} }} errors {{ code path message }} }} }}",
            input=site,
        ) == [{"code": "ALREADY_EXISTS", "path": "code", "message": "is already taken"}]


async def test_of_64_updates_of_one_version_one_wins(desk: Desk) -> None:
    for selection in ("version nick", "version nick chiefName"):
        made = await _create(desk)
        answers = await asyncio.gather(
            *(
                desk.data(
                    UPDATE % selection, id=made["id"], version=1, input={"nick": f"writer {i}"}
                )
                for i in range(64)
            )
        )
        won = [a["made"]["researcher"] for a in answers if not a["made"]["errors"]]
        lost = [a["made"]["errors"] for a in answers if a["made"]["errors"]]
        conflict = {
            "code": "CONFLICT",
            "path": "version",
            "message": "is no longer current: read the object again and repeat",
        }
        assert len(won) == 1
        assert lost == [[conflict]] * 63
        found = await desk.data(
            "query ($id: ID!) { researcher(id: $id) { version nick } }", id=made["id"]
        )
        assert {**won[0], "chiefName": None} == {**found["researcher"], "chiefName": None}
        written = [e for e in await desk.audit() if e["row_id"] == made["id"]]
        assert [e["action"] for e in written] == [
            "lab.researcher.create", "lab.researcher.update"
        ]  # fmt: skip


# --- rights ----------------------------------------------------------------------------------


@pytest.mark.parametrize("selection", ["id", "id chiefName"])
async def test_without_permission_nothing_is_written(desk: Desk, selection: str) -> None:
    made = await _create(desk)
    before = await desk.state()
    reader = desk.may("lab.read")
    values = {**RESEARCHER, "siteId": desk.site()}
    for document, variables in (
        (MADE.replace("id name", selection), {"input": values}),
        (UPDATE % selection, {"id": made["id"], "version": 1, "input": {"nick": "x"}}),
        (
            "mutation ($id: ID!) { made: archiveResearcher(id: $id) { errors { code } } }",
            {"id": made["id"]},
        ),
        (
            "mutation ($id: ID!) { made: mendResearcher(researcherId: $id) { errors { code } } }",
            {"id": made["id"]},
        ),
    ):
        answer = await reader.ask(document, **variables)
        needed = "lab.run" if "mend" in document else "lab.write"
        assert answer == {
            "data": {"made": None},
            "errors": [
                {
                    "message": f"This needs the permission '{needed}'.",
                    "path": ["made"],
                    "extensions": {"code": "FORBIDDEN"},
                }
            ],
        }
    assert await desk.state() == before


@pytest.mark.parametrize("selection", ["id quiet", "id quiet chiefName"])
async def test_who_may_write_and_not_read_sees_nothing(desk: Desk, selection: str) -> None:
    made = await _create(desk, quiet="secret")
    writer = desk.may("lab.write")
    answer = await writer.ask(
        UPDATE % selection, id=made["id"], version=1, input={"nick": "changed"}
    )
    assert answer["data"]["made"] == {"researcher": None, "errors": []}
    assert [(e["path"], e["extensions"]["code"]) for e in answer["errors"]] == [
        (["made", "researcher"], "FORBIDDEN")
    ]
    found = await desk.data("query ($id: ID!) { researcher(id: $id) { nick } }", id=made["id"])
    assert found == {"researcher": {"nick": "changed"}}


async def test_a_payload_withholds_what_a_query_withholds(desk: Desk) -> None:
    made = await _create(desk)
    writer = desk.may("lab.write", "lab.read")
    for selection in ("merit nick", "nick badge: score secrets { totalCount } gossip"):
        version = (await desk.data(
            "query ($id: ID!) { researcher(id: $id) { version } }", id=made["id"]
        ))["researcher"]["version"]  # fmt: skip
        answer = await writer.ask(
            UPDATE % selection, id=made["id"], version=version, input={"nick": "changed"}
        )
        found = answer["data"]["made"]["researcher"]
        assert found.pop("nick") == "changed"
        assert set(found.values()) == {None}
        assert {tuple(e["path"]) for e in answer["errors"]} == {
            ("made", "researcher", key) for key in found
        }


@pytest.mark.parametrize("selection", ["id", "id chiefName"])
async def test_a_revoked_token_writes_nothing(desk: Desk, selection: str) -> None:
    platform, tenant = desk.laboratory.platform, desk.access.installation.tenant
    token = await make_token(platform.pool, tenant, ["*"])
    access = await platform.authenticate(token)
    await platform.pool.call(
        "SELECT guanxi_revoke_token($1, $2)", tenant.id, access.caller.token_id
    )
    before = await desk.state()
    values = {"input": {**RESEARCHER, "siteId": desk.site()}}
    with pytest.raises(StaleAccess):
        await desk.laboratory.engine.execute(access, MADE.replace("id name", selection), values)
    with pytest.raises(StaleAccess):
        await desk.laboratory.engine.execute(
            access,
            "mutation ($id: ID!) { appraise(siteId: $id) { errors { code } } }",
            {"id": desk.site()},
        )
    assert await desk.state() == before


# --- verbs of plugins ------------------------------------------------------------------------


async def test_a_verb_is_audited_by_its_name_and_emits(desk: Desk) -> None:
    researcher = f"researcher_{uuid_of(Researcher, 1)}"
    await desk.data(
        "mutation ($id: ID!) { "
        'a: renameResearcher(researcherId: $id, name: "Renamed") { researcher { name } } '
        "b: mendResearcher(researcherId: $id) { errors { code } __typename } "
        "c: gradeResearchers(researcherIds: [$id], grade: A, "
        'bonus: {amount: "7", currency: "JPY"}) { result errors { code } } }',
        id=researcher,
    )
    audit = await desk.audit()
    assert [(e["action"], e["model"], e["row_id"]) for e in audit] == [
        ("lab.rename_researcher", "Researcher", researcher),
        ("lab.mend_researcher", None, None),  # it emits, and changes no row
        ("lab.grade_researchers", "Researcher", researcher),
    ]
    assert audit[0]["changes"]["name"][1] == "Renamed"
    assert audit[2]["changes"]["bonus"][1] == {"amount": "7", "currency": "JPY"}
    assert [name for name, _ in await desk.outbox()] == [
        "ResearcherUpdated", "ResearcherMended", "ResearcherUpdated"
    ]  # fmt: skip
    assert (await desk.outbox())[1][1] == {"researcher_id": str(_uuid(researcher))}


async def test_a_verb_takes_filters_and_answers_rows(desk: Desk) -> None:
    target = desk.site(2)
    rows = list(desk.world.all(Researcher))
    wanted = [row for row in rows if row["age"] >= rows[0]["age"]]
    answer = await desk.data(
        "mutation ($site: ID!, $age: Int) { moveResearchers(siteId: $site, "
        "where: {age: {gte: $age}, NOT: {site: {id: {isNull: true}}}}) "
        "{ researchers { id site { id headCount } shout } errors { code } } }",
        site=target,
        age=rows[0]["age"],
    )
    moved = answer["moveResearchers"]["researchers"]
    assert [row["id"] for row in moved] == sorted(row.global_id for row in wanted)
    assert {row["site"]["id"] for row in moved} == {target}
    assert len({row["site"]["headCount"] for row in moved}) == 1
    audit = await desk.audit()
    assert len(audit) == len(wanted) > 0
    assert {e["action"] for e in audit} == {"lab.move_researchers"}


async def test_a_verb_that_refuses_or_fails_undoes_everything(desk: Desk) -> None:
    both = [f"researcher_{uuid_of(Researcher, 1)}", "researcher_" + "0" * 36]
    before = await desk.state()
    answer = await desk.ask(
        "mutation ($site: ID!, $ids: [ID!]!) { "
        "refuse(siteId: $site) { site { id } errors { code path message } } "
        "explode(siteId: $site) { site { id } errors { code } } "
        "gradeResearchers(researcherIds: $ids) { result errors { code path } } "
        'renameResearcher(researcherId: "x", name: "y") { errors { code path } } }',
        site=desk.site(),
        ids=both,
    )
    assert answer == {
        "data": {
            "refuse": {
                "site": None,
                "errors": [
                    {"code": "INVALID", "path": "siteId", "message": "is never good enough"}
                ],
            },
            "explode": None,
            "gradeResearchers": {
                "result": None,
                "errors": [{"code": "NOT_FOUND", "path": "researcherIds"}],
            },
            "renameResearcher": {"errors": [{"code": "NOT_FOUND", "path": "researcherId"}]},
        },
        "errors": [
            {
                "message": "The plugin 'lab' failed.",
                "path": ["explode"],
                "extensions": {"code": "PLUGIN_FAILED"},
            }
        ],
    }
    assert await desk.state() == before


async def test_a_verb_is_held_to_the_limits_of_the_model(desk: Desk) -> None:
    document = (
        "mutation ($id: ID!, $name: String!) { made: renameResearcher(researcherId: $id, "
        "name: $name) { researcher { id } errors { code path } } }"
    )
    researcher = f"researcher_{uuid_of(Researcher, 1)}"
    for name in ("n" * 41, "a\0b", "nobody"):
        errors = await _refused(desk, document, id=researcher, name=name)
        assert errors == [{"code": "INVALID", "path": "name"}], name


async def test_models_without_reverse_relations_and_side_tables(desk: Desk) -> None:
    """An experiment names two researchers and a site that knows nothing of it."""
    leader, reviewer = (f"researcher_{uuid_of(Researcher, n)}" for n in (1, 2))
    answer = await desk.data(
        "mutation ($input: CreateExperimentInput!) { createExperiment(input: $input) "
        "{ experiment { title leader { id } reviewer { id } site { id stars } "
        "leaderPay { currency } cost { amount } } errors { code } } }",
        input={
            "title": "t", "leaderId": leader, "reviewerId": reviewer, "siteId": desk.site(),
            "cost": {"amount": "-0.05", "currency": "CNY"},
        },
    )  # fmt: skip
    stars = next(
        (side["stars"] for identity, side in desk.world.sides[Rating].items()
         if identity == _uuid(desk.site())), None,
    )  # fmt: skip
    assert answer["createExperiment"] == {
        "experiment": {
            "title": "t", "leader": {"id": leader}, "reviewer": {"id": reviewer},
            "site": {"id": desk.site(), "stars": stars},
            "leaderPay": {
                "currency": desk.world.rows[Researcher][_uuid(leader)]["pay"].currency
            },
            "cost": {"amount": "-0.05"},
        },
        "errors": [],
    }  # fmt: skip
