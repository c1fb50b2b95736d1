"""Whoever leaves takes nothing along: bulk exports (domain rule C4, invariant 2; C5, 24 and 25)."""

import json
from typing import Any

import pytest
from with_profiles import FamilyNote, Profile, Profiles

from guanxi_customers import Customer, Employee
from guanxi_graphql.exporting import ExportFailed, Wanted, export
from guanxi_sdk import Invalid
from guanxi_sdk.testing import Boot
from guanxi_tiers import Tier
from relating import TODAY, World, world

GRANTS = ("customers.read", "profiles.read:own", "guanxi.export:own")
LINK = """mutation ($e: ID!, $user: String) { linkEmployee(employeeId: $e, userId: $user) {
    errors { message } } }"""
VERSION = "query ($id: ID!) { employee(id: $id) { version } }"
FILE = """mutation ($id: ID!, $version: Int!, $filed: Boolean!) {
    updateEmployee(id: $id, version: $version, input: { noticeFiled: $filed }) {
        errors { message } } }"""


async def with_a_secret(guanxi: Boot) -> tuple[World, Customer, Employee, Employee]:
    """A customer with a family note, the steward, who is a user, and an heir, who is one, too."""
    w = await world(guanxi, None, Profiles())
    customer = await w.customer(Tier.S)
    leaver, heir = await w.employee(), await w.employee()
    await w.steward(customer, leaver)
    person = await w.person(customer)
    await w.app.add(FamilyNote(person_id=person.id, note="two children"))
    await w.app.add(
        Profile(customer_id=customer.id, macro="a", industry="b", competition="c", strategy="d")
    )
    for name, employee in (("leaver", leaver), ("heir", heir)):
        user = (await w.access(name, *GRANTS)).caller.user_id
        linked = await w.app.graphql(LINK, e=employee, user=f"user_{user}")
        assert linked["linkEmployee"]["errors"] == []
    return w, customer, leaver, heir


async def exported(w: World, user: str) -> list[Any]:
    """The family notes that a user takes out."""
    access = await w.app.platform.access_as(w.app.tenant, user=user)
    parts: list[bytes] = []
    wanted = Wanted("familyNotes", ["note"])
    await export(w.app.platform, access, wanted, parts.append, actor="a test", reason="a test")
    return [json.loads(line)["note"] for line in b"".join(parts).splitlines()]


async def file_notice(w: World, of: Employee, *, filed: bool = True) -> None:
    """Note that an employee has filed notice, or has not."""
    version = (await w.app.graphql(VERSION, id=of))["employee"]["version"]
    done = await w.app.graphql(FILE, id=of, version=version, filed=filed)
    assert done["updateEmployee"]["errors"] == []


async def audited(w: World, action: str) -> list[Any]:
    """What the audit has of an action."""
    document = """query ($action: String) { auditEntries(where: { action: { eq: $action } }) {
        edges { node { actor changes { field after } } } } }"""
    answer = await w.app.graphql(document, action=action)
    return [edge["node"] for edge in answer["auditEntries"]["edges"]]


@pytest.mark.parametrize("how", ["notice", "archived"])
async def test_whoever_has_filed_notice_exports_nothing_and_it_is_written_down(
    guanxi: Boot, how: str
) -> None:
    w, customer, leaver, heir = await with_a_secret(guanxi)
    assert await exported(w, "leaver") == ["two children"]
    if how == "notice":
        await file_notice(w, leaver)
    else:
        await w.done("ada", "assignSteward", customerId=customer, employeeId=heir)
        await w.done("ada", "archiveEmployee", id=leaver)
    with pytest.raises(ExportFailed, match="whoever has filed notice, or has left, takes no rows"):
        await exported(w, "leaver")
    (entry,) = await audited(w, "guanxi.export.barred")
    assert entry["actor"] == "a test"
    assert "FamilyNote" in str(entry["changes"])
    assert "two children" not in str(entry["changes"])
    assert len(await audited(w, "guanxi.export")) == 1
    await exported(w, "heir")
    if how == "notice":
        await file_notice(w, leaver, filed=False)
        assert await exported(w, "leaver") == ["two children"]


async def test_scenario_25_after_the_handover_the_old_steward_exports_no_family_note(
    guanxi: Boot,
) -> None:
    w, customer, leaver, heir = await with_a_secret(guanxi)
    made = await w.done(
        "ada", "proposeHandover", "handover { id }", customerId=customer, toEmployeeId=heir,
        reason="leaves",
    )  # fmt: skip
    handover = made["handover"]["id"]
    await w.done("bo", "approveHandover", handoverId=handover)
    await w.done("ada", "startHandover", handoverId=handover)
    for _ in range(2):
        await w.activity(customer, TODAY, [leaver, heir])
    w.app.clock.advance(days=30)
    assert (await exported(w, "leaver"), await exported(w, "heir")) == (["two children"],) * 2
    await w.done("ada", "completeHandover", handoverId=handover)
    assert (await exported(w, "leaver"), await exported(w, "heir")) == ([], ["two children"])


async def test_a_user_who_is_archived_exports_nothing(guanxi: Boot) -> None:
    w, *_ = await with_a_secret(guanxi)
    user = (await w.access("leaver", *GRANTS)).caller.user_id
    archive = "mutation ($id: ID!) { archiveUser(userId: $id) { errors { message } } }"
    await w.app.graphql(archive, id=f"user_{user}")
    with pytest.raises(Invalid, match="is archived"):
        await exported(w, "leaver")
