"""No way from one tenant to another, and none to what a permission withholds.

The documents are generated from the schema of each edition, so that a new field, argument, filter,
order or mutation is probed as soon as it exists.
"""

import copy
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from uuid import UUID

import pytest
from with_every_kind import Lab

from guanxi_core.access import Access
from guanxi_core.discovery import Registry
from guanxi_core.platform import Platform
from guanxi_core.plugin.audit import Audit
from guanxi_core.tenancy import create_tenant, set_plugin
from guanxi_customers import Customers
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.schema import schema_of
from guanxi_sdk import Plugin, Rights
from guanxi_sdk.testing.databases import ThrowAwayDatabase
from guanxi_sdk.testing.tokens import make_token
from guanxi_tiers import Tiers
from reference.canaries import Changes, Documents, Filled, owners_behind
from reference.worlds import NOW

OURS, THEIRS = Filled("OURS", 0xA), Filled("CANARY", 0xB)
#: The tenant's own random ids, that nobody has.
NOBODY = Filled("NOBODY", 0xC)
#: Other values under our own ids, for rows that are withheld.
HIDDEN = Filled("HIDDEN", 0xA)

#: Of how many documents the fast form asks one for each permission; the long form asks them all.
EVERY = 1 if os.environ.get("GUANXI_TRUST") else 4


@dataclass
class Tenants:
    """One edition and its tenants."""

    platform: Platform
    engine: Engine
    documents: Documents
    ours: Access
    theirs: Access

    async def ask(self, access: Access, document: str, variables: Any = None) -> str:
        """The answer as text."""
        return (await self.engine.execute(access, document, variables or {})).body.decode()

    async def state(self, access: Access) -> list[Any]:
        """Every row that a tenant has anywhere."""
        edition = access.installation.edition
        tenant = access.installation.tenant.id
        tables = [model.info.table.name for model in edition.models.values()]
        tables += [e.info.table.name for es in edition.extensions.values() for e in es]
        tables += ["guanxi_audit", "guanxi_outbox"]
        found: list[Any] = []
        async with self.platform.pool.connection(tenant) as connection:
            for table in tables:
                rows = await connection.fetch(
                    f"SELECT to_jsonb(t)::text AS row FROM {table} t WHERE tenant_id = $1 "
                    "ORDER BY id",
                    tenant,
                )
                found.append((table, [row["row"] for row in rows]))
        return found

    async def settle(self, filled: Filled) -> Access:
        """One more tenant of the same edition."""
        edition = self.ours.installation.edition
        return await _settle(self.platform, [p.manifest.name for p in edition.plugins], filled)


async def _settle(platform: Platform, plugins: list[str], filled: Filled) -> Access:
    name = f"{filled.word.lower()}-{len(plugins)}-{UUID(int=id(filled)).hex[-8:]}"
    tenant = await create_tenant(platform.pool, f"{name}-{await _count(platform)}")
    for plugin in plugins:
        await set_plugin(platform.pool, tenant, plugin, True)
    access = await platform.authenticate(await make_token(platform.pool, tenant, ["*"]))
    async with platform.pool.connection(tenant.id) as connection:
        await filled.store(connection, tenant.id, access.installation.edition)
        await connection.execute(
            "INSERT INTO guanxi_vocabulary (tenant_id, key, zh, en) VALUES ($1, $2, $2, $2)",
            tenant.id, filled.word,
        )  # fmt: skip
    return await platform.authenticate(await make_token(platform.pool, tenant, ["*"]))


async def _count(platform: Platform) -> int:
    rows = await platform.pool.call("SELECT count(*) AS n FROM guanxi_tenants(NULL)")
    return int(rows[0]["n"])


@pytest.fixture(
    scope="module", params=[[Lab], [Customers, Tiers]], ids=["lab", "customers and tiers"]
)
async def tenants(
    request: pytest.FixtureRequest, guanxi_database: ThrowAwayDatabase
) -> AsyncIterator[Tenants]:
    """Two tenants of one edition, ours and theirs."""
    plugins: list[type[Plugin[Any]]] = request.param
    await guanxi_database.prepare(plugins)
    registry = Registry({plugin.manifest.name: plugin for plugin in plugins})
    async with await Platform.open(
        guanxi_database.app_url, registry=registry, pool_size=4, clock=lambda: NOW
    ) as platform:
        names = list(registry.plugins)
        ours, theirs = [await _settle(platform, names, filled) for filled in (OURS, THEIRS)]
        edition = ours.installation.edition
        documents = Documents(schema_of(edition).graphql, edition)
        yield Tenants(platform, Engine(platform), documents, ours, theirs)


@cache
def _rights(kept: frozenset[str]) -> Rights:
    """The same rights for the same permissions: plans are kept for each."""
    return Rights.to_all(kept)


def _without(access: Access, *permissions: str) -> Access:
    """Somebody of the same tenant who lacks some permissions."""
    caller = replace(access.caller, rights=_rights(access.caller.permissions - {*permissions}))
    return Access(caller, access.installation, access.epoch)


# --- other tenants ---------------------------------------------------------------------------


async def test_the_canaries_are_there_to_be_seen(tenants: Tenants) -> None:
    """Each tenant sees its own canary in every text, else the rest of this file proves nothing."""
    edition = tenants.ours.installation.edition
    for access, filled in ((tenants.ours, OURS), (tenants.theirs, THEIRS)):
        seen = "".join([await tenants.ask(access, d) for d in tenants.documents.selections()])
        for model in edition.models.values():
            assert filled.global_id(model, 1) in seen
            assert filled.global_id(model, 2) in seen
        texts = {
            f'"{name}":"{filled.word}-1"'
            for model in edition.models.values()
            for name, info in model.info.fields.items()
            if info.kind == "text" and "_" not in name
        }
        assert {text for text in texts if text not in seen} == set()


async def test_nothing_of_theirs_is_in_any_answer(tenants: Tenants) -> None:
    count = 0
    for document in tenants.documents.selections():
        answer = await tenants.ask(tenants.ours, document)
        assert '"data"' in answer, (document, answer[:500])
        assert THEIRS.word not in answer, document
        assert "-000b-" not in answer, document
        count += 1
    assert count > 25


async def test_their_ids_answer_as_those_of_nobody(tenants: Tenants) -> None:
    models = list(tenants.ours.installation.edition.models.values())
    probes = [(model, document) for document in tenants.documents.by_id() for model in models]
    probes += [(meant, document) for meant, document in tenants.documents.filters_by_id()]
    assert len(probes) > 100
    told = 0
    for model, document in probes:
        answers = [
            await tenants.ask(tenants.ours, document, {"id": filled.global_id(model)})
            for filled in (THEIRS, NOBODY)
        ]
        assert answers[0] == answers[1], document
        assert THEIRS.word not in answers[0]
        own = await tenants.ask(tenants.ours, document, {"id": OURS.global_id(model)})
        assert '"data"' in own, (document, own)
        told += own != answers[0] and "where" in document
    assert told > 50, "our own ids do not show either"


async def test_a_cursor_of_theirs_is_only_a_place_in_the_order(tenants: Tenants) -> None:
    for document in [*tenants.documents.orders()][::3]:
        theirs = json.loads(await tenants.ask(tenants.theirs, document))
        edges = next(iter(theirs["data"].values()))["edges"]
        answer = await tenants.ask(tenants.ours, document, {"after": edges[0]["cursor"]})
        assert THEIRS.word not in answer
        assert "errors" not in json.loads(answer), answer


def _with_id(variables: Any, path: tuple[str, ...], identity: str) -> Any:
    """The variables with another id in one place."""
    changed = copy.deepcopy(variables)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = [identity] if isinstance(place[path[-1]], list) else identity
    return changed


async def test_their_ids_in_mutations_change_nothing(tenants: Tenants) -> None:
    before = await tenants.state(tenants.theirs)
    models = {m.info.prefix: m for m in tenants.ours.installation.edition.models.values()}
    count = 0
    for change in Changes(tenants.documents, OURS).all():
        for path in change.ids:
            place: Any = change.variables
            for step in path:
                place = place[step]
            own = place[0] if isinstance(place, list) else place
            model = models[own.rpartition("_")[0]]
            untouched = await tenants.state(tenants.ours)
            answers = []
            for filled in (THEIRS, NOBODY):
                given = _with_id(change.variables, path, filled.global_id(model))
                answers.append(await tenants.ask(tenants.ours, change.document, given))
                assert THEIRS.word not in answers[-1], (change.name, path)
            assert answers[0] == answers[1], (change.name, path)
            answer = json.loads(answers[0])["data"][change.name]
            if path[-1] != "eq":  # a filter that meets nothing is no mistake
                assert [e["code"] for e in answer["errors"]] == ["NOT_FOUND"], (path, answer)
                assert await tenants.state(tenants.ours) == untouched, (change.name, path)
            count += 1
    assert count > 30
    assert await tenants.state(tenants.theirs) == before
    for table, rows in await tenants.state(tenants.ours):
        assert not any(THEIRS.word in row or "-000b-" in row for row in rows), table


async def test_our_mutations_write_our_rows_only(tenants: Tenants) -> None:
    """Each mutation with values that fit: what it writes is ours, whatever it answers."""
    access = await tenants.settle(OURS)
    before = await tenants.state(tenants.theirs)
    first = await tenants.state(tenants.ours)
    done = set()
    for change in Changes(tenants.documents, OURS).all():
        answer = await tenants.ask(access, change.document, change.variables)
        assert THEIRS.word not in answer
        data = json.loads(answer)["data"][change.name]
        if data is not None and not data["errors"]:
            done.add(change.name)
    assert await tenants.state(tenants.theirs) == before
    assert await tenants.state(tenants.ours) == first
    assert len(done) > 6, "too few mutations were done for this to show anything"


# --- what a permission withholds -------------------------------------------------------------


def _hiding(access: Access) -> Iterator[str]:
    edition = access.installation.edition
    # rows of roles decide what the readers themselves may do
    hidden = sorted(edition.permissions.keys() - {"guanxi.rights"})
    return (p for p in hidden if owners_behind(edition, p))


async def test_what_is_withheld_makes_no_difference(tenants: Tenants) -> None:
    """Of two tenants that differ in withheld rows alone, all answers are equal."""
    edition = tenants.ours.installation.edition
    selections = list(tenants.documents.selections())
    conditions = [*tenants.documents.filters(), *tenants.documents.orders()]
    changes = list(Changes(tenants.documents, OURS).all())
    for turn, permission in enumerate(_hiding(tenants.ours)):
        full, other = [await tenants.settle(OURS) for _ in range(2)]
        tenant = other.installation.tenant.id
        async with tenants.platform.pool.connection(tenant) as connection:
            for owner in reversed(owners_behind(edition, permission)):
                changed = await HIDDEN.disguise(connection, tenant, owner)
                assert changed > 0 or owner is Audit
        # what the core keeps, what was done and ids of roles, is never the same in two tenants
        core = [p for p in edition.permissions if p.startswith("guanxi.") and p != permission]
        full, other = (_without(access, *core) for access in (full, other))
        readers = [_without(access, permission) for access in (full, other)]
        seen, told = 0, False
        for document in (*selections, *conditions[turn % EVERY :: EVERY]):
            answers = [await _answer(tenants, a, document, {}) for a in readers]
            assert answers[0] == answers[1], (permission, document)
            if "FORBIDDEN" in answers[0]:
                seen += 1
                if not told:
                    answers = [await _answer(tenants, a, document, {}) for a in (full, other)]
                    told = answers[0] != answers[1]
        assert seen > 3
        assert told, f"without {permission} there was nothing to be seen anyway"
        for change in changes[turn % EVERY :: EVERY]:
            if "Where" in change.document.partition(")")[0] and (change.name, permission) != (
                "classifyCustomers",
                "tiers.read",
            ):  # who may classify is told the outcome
                answers = [
                    await _answer(tenants, a, change.document, change.variables) for a in readers
                ]
                now = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00")
                assert now.sub("", answers[0]) == now.sub("", answers[1]), change.name


async def _answer(tenants: Tenants, access: Access, document: str, variables: Any) -> str:
    """The answer without what differs between any two tenants."""
    tenant = access.installation.tenant
    text = await tenants.ask(access, document, variables)
    for name in (tenant.name, str(tenant.id), access.caller.name):
        text = text.replace(name, "…")
    return text


async def test_without_any_permission_nothing_is_told(tenants: Tenants) -> None:
    """No rows, no numbers, and ids that exist answer as those that do not."""
    nobody = _without(tenants.ours, *tenants.ours.caller.permissions)
    for document in tenants.documents.selections():
        answer = await tenants.ask(nobody, document)
        assert OURS.word not in answer.replace(f'"key":"{OURS.word}"', "").replace(
            f'"zh":"{OURS.word}","en":"{OURS.word}"', ""
        ), document
        assert '"totalCount"' not in answer
    for document in (*tenants.documents.filters(), *tenants.documents.orders()):
        answer = json.loads(await tenants.ask(nobody, document))
        assert {e["extensions"]["code"] for e in answer["errors"]} == {"FORBIDDEN"}, document
        assert set((answer.get("data") or {}).values()) <= {None}, document
    models = tenants.ours.installation.edition.models.values()
    for document in tenants.documents.by_id():
        for model in models:
            answers = [
                await tenants.ask(nobody, document, {"id": filled.global_id(model)})
                for filled in (OURS, THEIRS, NOBODY)
            ]
            assert answers == [answers[0]] * 3, document
    before = dict(await tenants.state(tenants.ours))
    for change in Changes(tenants.documents, OURS).all():
        answer = json.loads(await tenants.ask(nobody, change.document, change.variables))
        if change.name in FREE:
            continue
        assert answer["data"] == {change.name: None}, answer
        assert [e["extensions"]["code"] for e in answer["errors"]] == ["FORBIDDEN"]
    after = dict(await tenants.state(tenants.ours))
    changed = {table for table in before if before[table] != after[table]}
    assert changed <= {"lab_rating", "guanxi_audit"} if "lab_rating" in before else not changed


#: Mutations of the fixture plugin that need no permission, on purpose.
FREE = {"appraise", "refuse", "explode"}
