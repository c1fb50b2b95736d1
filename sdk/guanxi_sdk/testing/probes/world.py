"""One edition on a platform, as many tenants of it as a probe needs, and what they are answered."""

import asyncio
import json
import re
import secrets
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from guanxi_core.access import Access, StaleAccess
from guanxi_core.api_tokens import create_token
from guanxi_core.grants import FIRST_ROLES
from guanxi_core.limits import HIGHEST, set_limits
from guanxi_core.sealing import seal
from guanxi_core.tenancy import create_tenant, set_plugin
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.schema import Schema, schema_of
from guanxi_sdk.access import Confidentiality
from guanxi_sdk.context import Tenant
from guanxi_sdk.testing.probes import fields
from guanxi_sdk.testing.probes.coverage import names_of, names_with
from guanxi_sdk.testing.probes.document import Document
from guanxi_sdk.testing.probes.documents import Documents
from guanxi_sdk.testing.probes.filling import Filled
from guanxi_sdk.testing.probes.findings import Broke, Report
from guanxi_sdk.testing.probes.happening import happen
from guanxi_sdk.testing.probes.sharing import Shared
from guanxi_sdk.testing.probes.values import Values
from guanxi_sdk.testing.telling import told
from guanxi_sdk.testing.tokens import make_token

if TYPE_CHECKING:
    from guanxi_core.platform import Platform

#: The tables with rows of tenants, and the columns that the database does not fill itself.
_COLUMNS: Final = """
    SELECT relname AS table_name, attname AS column_name, typname AS udt_name
    FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
    JOIN pg_type t ON t.oid = atttypid
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attidentity = ''
        AND attgenerated = ''
        AND has_table_privilege(c.oid, 'SELECT')
        AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant_id')
    ORDER BY relname, attnum
"""
#: What decides how a tenant is served; nothing is written there.
_SERVING: Final = {
    "guanxi_plugin", "guanxi_stamp", "guanxi_session", "guanxi_schedule", "guanxi_limits",
}  # fmt: skip
#: What tells of reading, too.
AUDIT: Final = frozenset({"guanxi_audit", "guanxi_audit_link"})
_USER: Final = "reader"
#: Stands in variables for the id of a token of the tenant that is asked.
_IDLE: Final = "token_of_this_tenant"
#: What is answered where code failed instead of refusing.
_BROKEN: Final = {"PLUGIN_FAILED", "INTERNAL", "TIMEOUT"}
#: What the registered operation goes by, to which a token is bound.
_OPERATION: Final = "0" * 64
#: With which values mutations of the core are done.
_CORE_VALUES: Final[dict[str, Any]] = {
    "revokeToken.id": _IDLE,
    "registerOperations.documents": ["query Registered { tenant { name } }"],
    "createToken.operations": [_OPERATION],
    "setRequestRules.only_registered": False,
}
#: What rows of the core must hold for its mutations to be done, by table and number of the row.
_CORE_ROWS: Final[dict[tuple[str, int], dict[str, Any]]] = {
    ("guanxi_delivery", 1): {"status": "dead"},
    ("guanxi_registered_operation", 1): {"sha256": _OPERATION},
    ("guanxi_role", 2): {"permissions": ["*.read:own"]},
    ("guanxi_custom_field", 2): {"archived_at": "2024-01-01T00:00:00+00:00"},
}


@dataclass(frozen=True)
class Answer:
    """What was answered, and by how many statements."""

    text: str
    statements: int

    @property
    def codes(self) -> set[str]:
        """The codes of all errors, also of those in payloads."""
        return set(re.findall(r'"code":"(\w+)"', self.text))


class Statements:
    """Counts the statements that a platform sends for a request.

    Those that set a connection's tenant, the bell, and what the driver learns once of a new
    connection's types are not counted.
    """

    def __init__(self, platform: "Platform") -> None:
        from sqlalchemy import event

        self.count = 0
        pool: Any = platform.pool
        for connection in pool._all:
            connection.add_query_logger(self._log)
        connect = pool._connect

        async def connected() -> Any:
            connection = await connect()
            connection.add_query_logger(self._log)
            return connection

        pool._connect = connected

        @event.listens_for(platform._engine.sync_engine, "connect")
        def listen(connection: Any, _: Any) -> None:
            connection.driver_connection.add_query_logger(self._log)

    def _log(self, record: Any) -> None:
        beside = ("set_config('guanxi.tenant'", "pg_notify(", "typeinfo_tree")
        if not any(one in record.query for one in beside):
            self.count += 1


class Caller:
    """Somebody of one tenant, by a token of theirs."""

    def __init__(self, world: "World", settled: "Settled", name: str, token: str) -> None:
        self.world = world
        self.settled = settled
        self.name = name
        self.token = token

    async def access(self) -> Access:
        """What the token allows now."""
        return await self.world.platform.authenticate(self.token)

    async def ask(
        self, document: Document | str, variables: Mapping[str, Any] | None = None,
        reason: str | None = "probing",
    ) -> Answer:  # fmt: skip
        """Ask once, with rights as they are now."""
        text = document if isinstance(document, str) else document.text
        given = document.variables if variables is None and isinstance(document, Document) else (
            variables
        )  # fmt: skip
        given = {
            name: self.settled.token if value == _IDLE else value
            for name, value in (given or {}).items()
        }
        world = self.world
        world.report.requests += 1
        await asyncio.sleep(0)
        for _ in range(3):
            before = world.statements.count
            try:
                body = await self._answer(text, given, reason)
            except StaleAccess:
                world.platform.forget(self.token)
                continue
            await asyncio.sleep(0)  # the counters are told in the next turn of the loop
            answer = Answer(body.decode(), world.statements.count - before)
            if broken := answer.codes & _BROKEN:
                raise Broke(
                    f"an answer is {', '.join(sorted(broken))}, and the log tells why: "
                    f"{answer.text[:500]}\nasked by {self.name}: {text}\nwith {json.dumps(given)}"
                )
            return answer
        raise StaleAccess("the caller's rights change all the time.")

    async def _answer(self, text: str, given: dict[str, Any], reason: str | None) -> bytes:
        """The response; to a subscription all that it tells of what has happened."""
        world, access = self.world, await self.access()
        if not text.startswith("subscription"):
            return (await world.engine.execute(access, text, given, reason=reason)).body
        bodies = await told(world.platform, access, text, given)
        return _POSITION.sub(b'"position":"\xe2\x80\xa6"', b"[" + b",".join(bodies) + b"]")

    async def plain(
        self, document: Document | str, variables: Mapping[str, Any] | None = None,
        reason: str | None = "probing",
    ) -> str:  # fmt: skip
        """The answer without what differs between any two tenants."""
        text = (await self.ask(document, variables, reason)).text
        for word in self.settled.own_words:
            text = text.replace(word, "…")
        return without_made(text)


#: Where a subscription stands, which differs at any two moments.
_POSITION: Final = re.compile(rb'"position":"[\w-]+"')
#: Ids and times that are made while a mutation runs.
_MADE: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-(?!7000-8000-)[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_NOW: Final = re.compile(r"20(?!24-01)\d\d-\d\d-\d\dT[\d:.]+\+00:00")


def without_made(text: str) -> str:
    """An answer without ids and times that are new each time."""
    return _NOW.sub("…", _MADE.sub("…", text))


@dataclass
class Settled:
    """A tenant full of canaries."""

    world: "World"
    tenant: Tenant
    filled: Filled
    user_id: UUID
    token: str  # id of one that nobody uses

    @property
    def own_words(self) -> list[str]:
        """What differs between any two tenants, whatever they are filled with."""
        return [self.tenant.name, str(self.tenant.id), self.token]

    async def caller(
        self,
        name: str,
        patterns: Collection[str],
        clearance: Confidentiality = Confidentiality.SECRET,
    ) -> Caller:
        """Somebody with these grants; it is always the same user."""
        pool = self.world.platform.pool
        token = await make_token(pool, self.tenant, patterns, clearance=clearance, user=_USER)
        return Caller(self.world, self, name, token)

    async def everything(self) -> Caller:
        """Somebody who may do everything, as no user at all."""
        token = await make_token(self.world.platform.pool, self.tenant, ["*"])
        return Caller(self.world, self, "somebody with all permissions", token)

    async def user(self) -> Caller:
        """The user, with everything that may be done."""
        return await self.caller("a user with all permissions", ["*"])

    async def roles(self) -> list[Caller]:
        """One caller for each role that tenants begin with."""
        pool = self.world.platform.pool
        async with pool.connection(self.tenant.id) as connection:
            await connection.execute(
                "INSERT INTO guanxi_user_role (tenant_id, user_id, role_id) "
                "SELECT tenant_id, $2, id FROM guanxi_role WHERE tenant_id = $1 AND name = ANY($3) "
                "ON CONFLICT DO NOTHING",
                self.tenant.id, self.user_id, list(FIRST_ROLES),
            )  # fmt: skip
        return [
            Caller(
                self.world, self, f"the role {role}",
                await create_token(pool, self.tenant, role=role, user=_USER),
            )
            for role in FIRST_ROLES
        ]  # fmt: skip

    async def secrets(self) -> list[str]:
        """What nobody else may see: the canary, and every id, the core's own too."""
        model_ids = set()
        async with self.world.platform.pool.connection(self.tenant.id) as connection:
            for table, columns in self.world.tables.items():
                if "id" in columns:
                    rows = await connection.fetch(
                        f"SELECT id::text FROM {table} WHERE tenant_id = $1",
                        self.tenant.id,
                    )
                    model_ids |= {row["id"] for row in rows}
        marked = self.filled.trace
        others = sorted(i for i in model_ids if marked not in i)
        return [self.filled.word, marked, str(self.tenant.id), self.tenant.name, *others]

    async def state(self) -> dict[str, list[str]]:
        """Every row that the tenant has anywhere, by table; all of the audit is sealed then."""
        await seal(self.world.platform.pool)  # or whoever seals next would change any tenant
        parts = [
            f"SELECT '{table}' AS name, to_jsonb(t)::text AS row FROM {table} t "
            "WHERE tenant_id = $1"
            for table in self.world.tables
        ]
        async with self.world.platform.pool.connection(self.tenant.id) as connection:
            rows = await connection.fetch(
                " UNION ALL ".join(parts) + " ORDER BY 1, 2", self.tenant.id
            )
        found: dict[str, list[str]] = {}
        for row in rows:
            found.setdefault(row["name"], []).append(row["row"])
        return found


class World:
    """Where a probe takes place."""

    def __init__(self, platform: "Platform", plugins: Mapping[str, Any], report: Report) -> None:
        self.platform = platform
        self.engine = Engine(platform)
        self.statements = Statements(platform)
        self.report = report
        self.plugins = plugins  # settings by plugin
        self.tables: dict[str, dict[str, str]] = {}
        self.shared: Shared
        self.schema: Schema
        self.documents: Documents
        self.to_be_done: set[str] = set()

    async def prepare(
        self, ours: Filled, examples: Mapping[str, Any], of: Collection[str], *, thorough: bool
    ) -> None:
        """Look at the edition and its tables.

        Unless it is to be ``thorough``, no more is covered than what the plugins ``of`` add to the
        others; without any, what the core has.
        """
        tenant = await self._tenant()
        edition = (await self.platform.installation(tenant)).edition
        defined = fields.fields_for(edition, of, thorough=thorough)
        edition = (await self.platform.editions.of(edition.plugins, defined)).edition
        edition.attachments.pop("documents", None)  # each probe compiles anew
        self.schema = await asyncio.to_thread(schema_of, edition)
        async with self.platform.pool.connection(tenant.id) as connection:
            rows = await connection.fetch(_COLUMNS)
        for row in rows:
            self.tables.setdefault(row["table_name"], {})[row["column_name"]] = row["udt_name"]
        tables = {model.info.table.name: model.info.table for model in edition.models.values()}
        tables |= {
            e.info.table.name: e.info.table for es in edition.extensions.values() for e in es
        }
        here = {name for name in self.tables if name in tables or name.startswith("guanxi_")}
        self.tables = {name: c for name, c in self.tables.items() if name in here}
        self.shared = Shared(
            edition, {**_CORE_VALUES, **fields.examples_for(edition, ours), **examples},
            fixes={place: fix.copy() for place, fix in _CORE_ROWS.items()},
            unmapped={
                name: {
                    column: type_
                    for column, type_ in columns.items()
                    if name not in tables or column not in tables[name].c
                }
                for name, columns in self.tables.items()
            },
            tables=tuple(n for n in self.tables if n not in tables and n not in _SERVING),
        )  # fmt: skip
        self.report.known = names_of(self.schema.graphql)
        own = self.report.known - (await self._without(set(of)) if of else set())
        self.to_be_done = {name.removeprefix("Mutation.") for name in own}
        if not thorough:
            self.report.known = own
        self.documents = Documents(
            self.schema.graphql, self.shared, Values(ours, self.shared),
            wanted=self.report.known, thorough=thorough,
        )  # fmt: skip

    async def _without(self, plugins: set[str]) -> Set[str]:
        """The names of the schema that there are without these plugins."""
        others = [p for p in self.shared.edition.plugins if p.manifest.name not in plugins]
        return await asyncio.to_thread(names_with, frozenset(others))

    async def _tenant(self) -> Tenant:
        tenant = await create_tenant(self.platform.pool, f"probed-{secrets.token_hex(8)}")
        await set_limits(
            self.platform.pool,
            tenant,
            {"cost": HIGHEST["cost"], "aliases": HIGHEST["aliases"]},
            HIGHEST,
        )
        for plugin, settings in self.plugins.items():
            await set_plugin(self.platform.pool, tenant, plugin, True, settings)
        return tenant

    async def settle(self, filled: Filled, mutation: str = "") -> Settled:
        """A tenant full of canaries, with rows for a mutation if one is named."""
        tenant = await self._tenant()
        user_id = UUID(f"01980007-{filled.mark:04x}-7000-8000-000000000007")
        token_id = uuid4()  # unlike those of rows it must be unique among all tenants
        async with self.platform.pool.connection(tenant.id) as connection:
            await filled.store(connection, tenant.id, self.shared.of(mutation))
            await happen(connection, tenant.id, filled, self.shared.edition)
            await connection.execute(
                "INSERT INTO guanxi_user (tenant_id, id, name) VALUES ($1, $2, $3)",
                tenant.id, user_id, _USER,
            )  # fmt: skip
            await connection.execute(
                "SELECT guanxi_create_token($1, $2, $3, NULL, $4, $5, NULL)",
                token_id, tenant.id, user_id, filled.text(1), secrets.token_bytes(32),
            )  # fmt: skip
        return Settled(self, tenant, filled, user_id, f"token_{token_id}")

    def wanted(self, documents: Iterable[Document]) -> list[Document]:
        """Those that use something that is to be covered; all of them are counted."""
        found = []
        for document in documents:
            names = document.names(self.schema.graphql)
            if names & self.report.known:
                self.report.used |= names
                self.report.documents += 1
                found.append(document)
        return found


def changed(before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> list[str]:
    """The tables in which two states differ."""
    return sorted(t for t in before.keys() | after.keys() if before.get(t) != after.get(t))


def with_id(variables: Mapping[str, Any], path: tuple[str, ...], identity: str) -> dict[str, Any]:
    """The variables with another id in one place."""
    copied: dict[str, Any] = json.loads(json.dumps(variables))
    place = copied
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = [identity] if isinstance(place[path[-1]], list) else identity
    return copied
