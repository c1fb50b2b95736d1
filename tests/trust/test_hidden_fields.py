"""Row 2: a hidden field used as an oracle (filter, sort, search, group): 0 distinguishable answers.

Rows 1 and 14 say the same of rows that are out of a caller's scope: they answer as those that do
not exist, and no caller sees with the rights of another. The documents are generated from the
schema of each edition.
"""

import copy
import json
import os
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from with_scopes import Herd

from guanxi_core.access import Access
from guanxi_core.discovery import Registry
from guanxi_core.platform import Platform
from guanxi_core.tenancy import create_tenant, set_plugin
from guanxi_customers import Customers
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.schema import schema_of
from guanxi_sdk import Confidentiality, Model, Plugin
from guanxi_sdk._docs import camel
from guanxi_sdk.testing.databases import ThrowAwayDatabase
from guanxi_sdk.testing.tokens import make_token
from guanxi_tiers import Tiers
from reference.canaries import Changes, Documents, Filled
from reference.worlds import NOW

OURS, NOBODY = Filled("OURS", 0xA), Filled("NOBODY", 0xC)
OTHER = Filled("HIDDEN", 0xA)  # other values under the same ids

#: How the user `$1` comes to own what hangs on the first rows.
OWNING = {
    "herd": ('UPDATE herd_shepherd SET "user" = $1::text WHERE id = $2',),
    "customers": (
        "UPDATE customers_employee SET user_id = 'user_' || $1 WHERE id = $2",
        "UPDATE customers_stewardship SET ends_on = NULL",
    ),
}
OWNER = {"herd": "Shepherd", "customers": "Employee"}


#: Of how many documents of a kind the fast form asks one; the long form asks them all.
EVERY = 1 if os.environ.get("GUANXI_TRUST") else 11


def part(probes: Iterable[Any]) -> list[Any]:
    """What of the probes is tried."""
    return list(probes)[::EVERY]


@dataclass
class House:
    """One edition and as many tenants of it as a test needs."""

    platform: Platform
    engine: Engine
    plugins: list[str]
    documents: Documents
    count: int = 0
    tokens: dict[str, str] = field(default_factory=dict)

    async def settle(self) -> Access:
        """A tenant full of canaries; the access may see all of it."""
        self.count += 1
        pool = self.platform.pool
        tenant = await create_tenant(pool, f"{self.plugins[0]}-{self.count}")
        for plugin in self.plugins:
            await set_plugin(pool, tenant, plugin, True)
        patterns = self.permissions(await self.platform.system_access(tenant))
        token = await make_token(pool, tenant, patterns)
        access = await self.platform.authenticate(token)
        async with pool.connection(tenant.id) as connection:
            await OURS.store(connection, tenant.id, access.installation.edition)
        self.tokens[tenant.name] = token
        self.platform.forget(token)
        return await self.platform.authenticate(token)

    async def fresh(self, access: Access) -> Access:
        """The same access after rights of its tenant changed."""
        token = self.tokens[access.installation.tenant.name]
        self.platform.forget(token)
        return await self.platform.authenticate(token)

    @staticmethod
    def permissions(access: Access) -> list[str]:
        """Everything but what decides about the callers themselves."""
        return sorted(p for p in access.caller.permissions if not p.startswith("guanxi."))

    async def reader(self, access: Access, scope: str, clearance: Confidentiality) -> Access:
        """Somebody of the same tenant who holds everything in one scope."""
        pool, tenant = self.platform.pool, access.installation.tenant
        patterns = [f"{name}:{scope}" for name in self.permissions(access)]
        async with pool.connection(tenant.id) as connection:  # of one id, wherever it may show
            await connection.execute(
                "INSERT INTO guanxi_user (tenant_id, id, name) VALUES ($1, $2, 'reader') "
                "ON CONFLICT DO NOTHING", tenant.id, UUID(int=7),
            )  # fmt: skip
        token = await make_token(pool, tenant, patterns, clearance=clearance, user="reader")
        reader = await self.platform.authenticate(token)
        plugin = self.plugins[0]
        owner = access.installation.edition.models[OWNER[plugin]]
        async with pool.connection(tenant.id) as connection:
            for number, statement in enumerate(OWNING[plugin]):
                given = (str(reader.caller.user_id), OURS.uuid(owner, 1)) if not number else ()
                await connection.execute(statement, *given)
        return reader

    async def ask(
        self, access: Access, document: str, variables: Any = None, reason: str | None = None
    ) -> str:
        """The answer as text, without what differs between any two tenants."""
        reply = await self.engine.execute(access, document, variables or {}, reason=reason)
        tenant, text = access.installation.tenant, reply.body.decode()
        for name in (tenant.name, str(tenant.id), str(access.caller.user_id), access.caller.name):
            text = text.replace(name, "…")
        return text

    async def hidden(self, reader: Access) -> list[tuple[type[Model], int]]:
        """The rows that a reader does not get from any list."""
        found = []
        for model in reader.installation.edition.models.values():
            if model.info.plugin == "guanxi":
                continue
            name = camel(model.info.plural)
            answer = await self.ask(reader, f"{{ {name} {{ edges {{ node {{ id }} }} }} }}")
            found += [(model, n) for n in (1, 2) if OURS.global_id(model, n) not in answer]
        return found

    async def state(self, access: Access) -> list[str]:
        """Every row of the plugins' tables."""
        edition, tenant = access.installation.edition, access.installation.tenant.id
        owners: list[Any] = [m for m in edition.models.values() if m.info.plugin != "guanxi"]
        owners += [e for several in edition.extensions.values() for e in several]
        async with self.platform.pool.connection(tenant) as connection:
            return [
                row["row"]
                for owner in owners
                for row in await connection.fetch(
                    f"SELECT to_jsonb(t)::text AS row FROM {owner.info.table.name} t "
                    "WHERE tenant_id = $1 ORDER BY id", tenant,
                )
            ]  # fmt: skip

    def queries(self) -> list[str]:
        """Everything that can be asked; a part of it in the fast form."""
        selections = list(self.documents.selections())
        return [
            *(selections if self.plugins == ["herd"] else part(selections)),
            *part(self.documents.filters()),
            *part(self.documents.orders()),
        ]


@pytest.fixture(scope="module", params=[[Herd], [Customers, Tiers]], ids=["herd", "customers"])
async def house(
    request: pytest.FixtureRequest, guanxi_database: ThrowAwayDatabase
) -> AsyncIterator[House]:
    plugins: list[type[Plugin[Any]]] = request.param
    await guanxi_database.prepare(plugins)
    registry = Registry({plugin.manifest.name: plugin for plugin in plugins})
    async with await Platform.open(
        guanxi_database.app_url, registry=registry, pool_size=4, clock=lambda: NOW
    ) as platform:
        made = House(platform, Engine(platform), list(registry.plugins), None)  # type: ignore[arg-type]
        access = await made.settle()
        edition = access.installation.edition
        made.documents = Documents(schema_of(edition).graphql, edition)
        yield made


async def test_rows_out_of_scope_make_no_difference(house: House) -> None:
    """Of two tenants that differ in rows out of the caller's scope alone, all answers are equal."""
    full, other = [await house.settle() for _ in range(2)]
    readers = [await house.reader(a, "own", Confidentiality.CONFIDENTIAL) for a in (full, other)]
    full, other = [await house.fresh(access) for access in (full, other)]
    hidden = await house.hidden(readers[0])
    models = full.installation.edition.models.values()
    shown = {m.info.name for m in models if m.info.plugin != "guanxi" and (m, 1) not in hidden}
    assert shown >= {"Flock", "Sheep"} or shown >= {"Customer", "Person", "Purchase", "Activity"}
    everybodys = {"Office", "Employee", "Supplier"}
    assert {m.info.name for m, n in hidden if n == 2} >= shown - everybodys
    tenant = other.installation.tenant.id
    async with house.platform.pool.connection(tenant) as connection:
        for model, number in reversed(hidden):
            assert await OTHER.disguise_row(connection, tenant, model, number) > 0
        for model, number in hidden:
            for extension in other.installation.edition.extensions.get(model, ()):
                await OTHER.disguise_row(connection, tenant, extension, number)
    told = 0
    for document in house.queries():
        answers = [await house.ask(reader, document) for reader in readers]
        assert answers[0] == answers[1], document
        assert '"data"' in answers[0] or "FORBIDDEN" in answers[0], (document, answers[0])
        assert "HIDDEN" not in answers[1]
        assert "PLUGIN_FAILED" not in answers[0], document
        told += await house.ask(full, document) != await house.ask(other, document)
    assert told, "there was nothing to be seen anyway"


async def test_ids_out_of_scope_answer_as_those_of_nobody(house: House) -> None:
    access = await house.settle()
    reader = await house.reader(access, "own", Confidentiality.CONFIDENTIAL)
    hidden = await house.hidden(reader)
    access = await house.fresh(access)
    probes = [(m, n, d) for d in house.documents.by_id() for m, n in hidden]
    probes += [(m, n, d) for of, d in house.documents.filters_by_id() for m, n in hidden if m is of]
    told = 0
    for model, number, document in part(probes):
        answers = [
            await house.ask(reader, document, {"id": identity})
            for identity in (OURS.global_id(model, number), NOBODY.global_id(model))
        ]
        assert answers[0] == answers[1], (document, number)
        own = await house.ask(access, document, {"id": OURS.global_id(model, number)})
        told += own != answers[0]
    assert told


def _with_id(variables: Any, path: tuple[str, ...], identity: str) -> Any:
    changed = copy.deepcopy(variables)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = [identity] if isinstance(place[path[-1]], list) else identity
    return changed


async def test_ids_out_of_scope_in_mutations_change_nothing(house: House) -> None:
    """A row out of the scope is as good as none, as the one to change and as one referred to."""
    access = await house.settle()
    reader = await house.reader(access, "own", Confidentiality.SECRET)
    hidden = await house.hidden(reader)
    access = await house.fresh(access)
    by_prefix = {m.info.prefix: m for m in access.installation.edition.models.values()}
    count = 0
    before = await house.state(access)
    changes = list(Changes(house.documents, OURS).all())
    for change in changes if house.plugins == ["herd"] else part(changes):
        for path in change.ids:
            place: Any = change.variables
            for step in path:
                place = place[step]
            model = by_prefix[(place[0] if isinstance(place, list) else place).rpartition("_")[0]]
            if model.info.plugin == "guanxi" or (model, 2) not in hidden:
                continue
            answers = []
            for identity in (OURS.global_id(model, 2), NOBODY.global_id(model)):
                given = _with_id(change.variables, path, identity)
                answers.append(await house.ask(reader, change.document, given))
            assert answers[0] == answers[1], (change.name, path)
            count += 1
            if path[-1] != "eq":
                assert await house.state(access) == before, (change.name, path)
            else:
                before = await house.state(access)
    assert count > 2


@pytest.mark.parametrize(
    ("clearance", "reason"),
    [
        (Confidentiality.INTERNAL, "audit"),
        (Confidentiality.CONFIDENTIAL, "audit"),
        (Confidentiality.SECRET, None),
    ],
    ids=["internal", "confidential", "secret without a reason"],
)
async def test_values_above_the_clearance_make_no_difference(
    house: House, clearance: Confidentiality, reason: str | None
) -> None:
    """Of two tenants that differ in such values alone, all answers are equal."""
    full, other = [await house.settle() for _ in range(2)]
    readers = [await house.reader(access, "all", clearance) for access in (full, other)]
    full, other = [await house.fresh(access) for access in (full, other)]
    cleared = clearance if reason else Confidentiality.CONFIDENTIAL
    tenant, changed = other.installation.tenant.id, 0
    async with house.platform.pool.connection(tenant) as connection:
        for model in other.installation.edition.models.values():
            columns = {f.name for f in model.info.fields.values() if f.confidentiality > cleared}
            for number in (1, 2) if columns else ():
                changed += await OTHER.disguise_row(connection, tenant, model, number, columns)
    refused = told = 0
    persons = [d for d in house.documents.selections() if d.startswith("{ persons")]
    for document in [*house.queries(), *persons]:
        answers = [await house.ask(reader, document, None, reason) for reader in readers]
        assert answers[0] == answers[1], document
        codes = [e["extensions"]["code"] for e in json.loads(answers[0]).get("errors", ())]
        assert set(codes) <= {"FORBIDDEN"}, (document, answers[0])
        refused += bool(codes)
        told += await house.ask(full, document, None, "x") != await house.ask(
            other, document, None, "x"
        )
    assert changed or house.plugins != ["herd"]
    if changed:
        assert refused
        assert told, "there was nothing to be seen anyway"


async def test_many_errors_of_one_place_are_one(house: House) -> None:
    """One FORBIDDEN error for each path, however many rows there are, and no index in it."""
    access = await house.settle()
    reader = await house.reader(access, "all", Confidentiality.INTERNAL)
    for document in part(house.documents.selections()):
        errors = json.loads(await house.ask(reader, document)).get("errors", [])
        paths = [tuple(error["path"]) for error in errors]
        assert len(paths) == len(set(paths)), document
        assert not re.search(r"\d", json.dumps(paths)), document
