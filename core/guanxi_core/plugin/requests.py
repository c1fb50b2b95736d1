"""Which requests are answered, as administrators decide it: limits and registered operations."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, cast
from uuid import UUID

from sqlalchemy.orm import Mapped

from guanxi_core import limits, operations
from guanxi_core.plugin.giving import require_all
from guanxi_sdk import Choice, Context, Invalid, Model, Permission, Value, column
from guanxi_sdk._docs import camel

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext

DECIDE_REQUESTS: Final = Permission(
    "guanxi.requests", "Set the limits of requests, and register operations."
)
#: How many documents a request registers; more of them by the command line.
_MOST: Final = 100


class OperationKind(Choice):
    """What an operation does."""

    QUERY = "query", "查询", "Query"
    MUTATION = "mutation", "变更", "Mutation"
    SUBSCRIPTION = "subscription", "订阅", "Subscription"


class RegisteredOperation(
    Model, plugin="guanxi", append_only=True, read=DECIDE_REQUESTS.name,
    write=DECIDE_REQUESTS.name,
):  # fmt: skip
    """A document that clients may ask for by its SHA-256."""

    sha256: Mapped[str] = column(indexed=True)
    """The SHA-256 of the document, in hexadecimal digits."""
    name: Mapped[str] = column(indexed=True)
    """Name of the operation; several documents may have operations of one name."""
    kind: Mapped[OperationKind]
    """What it does."""
    document: Mapped[str]
    """The document with its fragments."""


class RequestLimit(Value):
    """One limit of requests."""

    name: str
    """Which one: `tokens`, `depth`, `aliases`, `rootFields`, `cost` or `listSize`."""
    description: str
    """What it limits."""
    value: int
    """What holds now."""
    own: bool
    """Whether the enterprise set it; it has the default otherwise."""
    most: int
    """The most that it may be set to."""


class RequestRules(Value):
    """Which requests the enterprise answers."""

    limits: list[RequestLimit]
    """How large documents, and what they ask for, may be."""
    only_registered: bool
    """Whether only registered operations are answered."""


async def rules(ctx: Context) -> RequestRules:
    """What holds now."""
    require_all(ctx, DECIDE_REQUESTS)
    core = cast("TransactionContext", ctx)
    stored = await limits.stored_requests(await core.raw(), ctx.tenant)
    return _shown(stored, core.ceiling)


async def set_rules(ctx: Context, given: Mapping[str, int | bool | None]) -> RequestRules:
    """Change what is given, effective at everybody's next request."""
    require_all(ctx, DECIDE_REQUESTS)
    core = cast("TransactionContext", ctx)
    connection = await core.raw()
    await connection.execute("SELECT guanxi_touch($1)", ctx.tenant.id)  # changes queue
    stored = await limits.stored_requests(connection, ctx.tenant)
    changes = limits.changed_limits(stored, given, core.ceiling)
    if changes:
        await limits.store_limits(connection, ctx.tenant, changes)
        await core.note("guanxi.set_request_rules", None, changes)
    return _shown(await limits.stored_requests(connection, ctx.tenant), core.ceiling)


async def register(ctx: Context, documents: Sequence[str]) -> list[RegisteredOperation]:
    """Register documents that the schema answers; those that are registered already stay."""
    require_all(ctx, DECIDE_REQUESTS)
    if len(documents) > _MOST:
        raise Invalid("documents", f"holds more than {_MOST}: send them by turns")
    core = cast("TransactionContext", ctx)
    connection = await core.raw()  # whose stamp tells that the access is of now
    installation = core.access.installation
    described = await asyncio.to_thread(
        operations.examined, installation.edition, documents, installation.requests.limits
    )
    for one in await operations.register(connection, ctx.tenant, described, documents):
        changes = operations.changes_of(one)
        await core.note("guanxi.register_operations", operations.row_id_of(one), changes)
    known = {one.sha256: one.id for one in await operations.list_operations(connection, ctx.tenant)}
    return [await ctx.get(RegisteredOperation, known[digest]) for digest in described]


async def remove(ctx: Context, id: UUID) -> str:
    """Take an operation away; its SHA-256."""
    require_all(ctx, DECIDE_REQUESTS)
    one = await ctx.get(RegisteredOperation, id)
    digest, name, kind = one.sha256, one.name, one.kind.value
    core = cast("TransactionContext", ctx)
    await operations.remove(await core.raw(), ctx.tenant, id)
    row = operations.Registered(id, digest, name, kind, "")
    changes = {key: [before, None] for key, (_, before) in operations.changes_of(row).items()}
    await core.note("guanxi.remove_operation", operations.row_id_of(row), changes)
    return digest


def _shown(stored: Mapping[str, object] | None, ceiling: limits.Ceiling) -> RequestRules:
    requests = limits.requests_of(stored, ceiling)
    shown = [
        RequestLimit(
            name=camel(name), description=bounds.means, value=getattr(requests.limits, name),
            own=(stored or {}).get(name) is not None, most=limits.most(name, ceiling),
        )
        for name, bounds in limits.SETTABLE.items()
    ]  # fmt: skip
    return RequestRules(limits=shown, only_registered=requests.only_registered)
