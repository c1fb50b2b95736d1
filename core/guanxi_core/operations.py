"""Registered operations: documents that a tenant's clients may ask for by their SHA-256.

Which documents there are is decided by whoever may register them, never by those who ask: a hash
that is unknown stays unknown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from guanxi_core.limits import DEFAULT, Limits
from guanxi_core.services import Described, examiner
from guanxi_core.tenancy import record, transaction
from guanxi_sdk import Invalid, NotFound, Tenant

if TYPE_CHECKING:
    from guanxi_core.editions import Edition

#: How many a tenant may have.
MOST: Final = 5_000


@dataclass(frozen=True, slots=True)
class Registered:
    """One operation of a tenant."""

    id: UUID
    sha256: str
    name: str
    kind: str  # query, mutation or subscription
    document: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A registered operation that the schema does not answer any more, and why."""

    name: str
    sha256: str
    problems: tuple[str, ...]


def digest_of(document: str) -> str:
    """What a document goes by: the SHA-256 of its text, in lower case hexadecimal digits."""
    return sha256(document.encode("utf-8", "surrogatepass")).hexdigest()


def examined(
    edition: "Edition", documents: Iterable[str], limits: Limits = DEFAULT
) -> dict[str, Described]:
    """What each document is, by its SHA-256; raises :class:`Invalid` for one that is wrong.

    This may build the edition's schema: call it beside the event loop.
    """
    describe = examiner()
    found: dict[str, Described] = {}
    for document in documents:
        described = describe(edition, document, limits)
        if described.problems:
            called = f"'{described.name}'" if described.name else f"'{_beginning(document)}'"
            raise Invalid("documents", f"cannot hold {called}: {' '.join(described.problems)}")
        found[digest_of(document)] = described
    return found


def broken(edition: "Edition", registered: Iterable[Registered], limits: Limits) -> list[Broken]:
    """Those that ``edition`` does not answer; to be called beside the event loop, too."""
    describe = examiner()
    found = []
    for one in registered:
        if problems := describe(edition, one.document, limits).problems:
            found.append(Broken(one.name, one.sha256, tuple(problems)))
    return found


async def register(
    connection: Any, tenant: Tenant, described: dict[str, Described], documents: Sequence[str]
) -> list[Registered]:
    """Add documents that were examined, in the caller's transaction; those that were new."""
    await connection.execute("SELECT guanxi_touch($1)", tenant.id)  # takes the tenant's lock
    known = {
        row["sha256"]
        for row in await connection.fetch(
            "SELECT sha256 FROM guanxi_registered_operation WHERE tenant_id = $1", tenant.id
        )
    }
    texts = {digest_of(document): document for document in documents}
    new = [
        Registered(uuid7(), digest, one.name, one.kind, texts[digest])
        for digest, one in described.items()
        if digest not in known
    ]
    if len(known) + len(new) > MOST:
        raise Invalid("documents", f"would be more than {MOST:,}: remove what nobody asks for")
    if new:
        await connection.executemany(
            "INSERT INTO guanxi_registered_operation (tenant_id, id, sha256, name, kind, document) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            [(tenant.id, o.id, o.sha256, o.name, o.kind, o.document) for o in new],
        )
    return new


async def remove(connection: Any, tenant: Tenant, operation_id: UUID) -> None:
    """Take an operation away, in the caller's transaction."""
    await connection.execute("SELECT guanxi_touch($1)", tenant.id)
    await connection.execute(
        "DELETE FROM guanxi_registered_operation WHERE tenant_id = $1 AND id = $2",
        tenant.id,
        operation_id,
    )


async def register_documents(
    source: Any,
    tenant: Tenant,
    described: dict[str, Described],
    documents: Sequence[str],
    *,
    actor: str = "system",
) -> list[Registered]:
    """:func:`register` in a transaction of its own, with the audit's entries."""
    async with transaction(source, tenant.id) as connection:
        new = await register(connection, tenant, described, documents)
        for one in new:
            await record(
                connection, tenant.id, "guanxi.register_operations", changes_of(one),
                row_id=row_id_of(one), actor=actor,
            )  # fmt: skip
    return new


async def remove_operations(
    source: Any, tenant: Tenant, wanted: Sequence[str], *, actor: str = "system"
) -> list[Registered]:
    """Remove operations by name or SHA-256, as :func:`find` understands them."""
    async with transaction(source, tenant.id) as connection:
        found = [await find(connection, tenant, one) for one in wanted]
        for one in found:
            await remove(connection, tenant, one.id)
            before_and_after = {name: [b, a] for name, (a, b) in changes_of(one).items()}
            await record(
                connection, tenant.id, "guanxi.remove_operation", before_and_after,
                row_id=row_id_of(one), actor=actor,
            )  # fmt: skip
    return found


def changes_of(one: Registered) -> dict[str, list[Any]]:
    """What the audit says of a new one."""
    return {"name": [None, one.name], "kind": [None, one.kind], "sha256": [None, one.sha256]}


def row_id_of(one: Registered) -> str:
    """The id of an operation in GraphQL."""
    return f"registered_operation_{one.id}"


async def list_operations(source: Any, tenant: Tenant) -> list[Registered]:
    """All registered operations by name, and of one name the oldest first."""
    async with transaction(source, tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT id, sha256, name, kind, document FROM guanxi_registered_operation "
            "WHERE tenant_id = $1 ORDER BY name, created_at, id", tenant.id,
        )  # fmt: skip
    return [Registered(**row) for row in rows]


async def document_of(source: Any, tenant: Tenant, digest: str) -> str | None:
    """The registered document of this SHA-256."""
    async with transaction(source, tenant.id) as connection:
        found: str | None = await connection.fetchval(
            "SELECT document FROM guanxi_registered_operation WHERE tenant_id = $1 AND sha256 = $2",
            tenant.id, digest,
        )  # fmt: skip
    return found


async def find(source: Any, tenant: Tenant, wanted: str) -> Registered:
    """The operation of this name or SHA-256; :class:`NotFound` or :class:`Invalid` otherwise."""
    everything = await list_operations(source, tenant)
    digest = wanted.removeprefix("sha256:").lower()
    found = [one for one in everything if digest == one.sha256 or wanted == one.name]
    if not found:
        raise NotFound(
            "operation", f"'{wanted}' is not registered for tenant '{tenant.name}': "
            f"see guanxi operations list --tenant {tenant.name}.",
        )  # fmt: skip
    if len(found) > 1:
        hashes = ", ".join(one.sha256 for one in found)
        raise Invalid("operation", f"'{wanted}' is registered in {len(found)} forms: say {hashes}.")
    return found[0]


def from_manifest(text: str) -> list[str]:
    """The documents of a manifest that a client's build wrote.

    That is an object from SHA-256 to document, or Apollo's with a list of ``operations``.
    """
    try:
        given = msgspec.json.decode(text)
    except ValueError:
        raise Invalid("manifest", "is not valid JSON.") from None
    entries: Any = given
    if isinstance(given, dict) and isinstance(given.get("operations"), list):
        bodies = [one for one in given["operations"] if isinstance(one, dict)]
        entries = {one.get("id"): one.get("body") for one in bodies}
    if not isinstance(entries, dict) or not all(
        isinstance(key, str) and isinstance(document, str) for key, document in entries.items()
    ):
        raise Invalid("manifest", 'must be an object such as {"<SHA-256>": "query …"}.')
    for key, document in entries.items():
        if key.removeprefix("sha256:").lower() != digest_of(document):
            raise Invalid(
                "manifest", f"says '{key[:70]}' for a document whose SHA-256 is "
                f"{digest_of(document)}: let the build hash its documents with SHA-256.",
            )  # fmt: skip
    return list(entries.values())


def _beginning(document: str) -> str:
    text = " ".join(document.split())
    return text if len(text) <= 40 else f"{text[:39]}…"
