"""How large requests may be: what the operator allows at most, and what a tenant settled for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from guanxi_core.tenancy import record, transaction
from guanxi_sdk import Invalid, Tenant


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a document, and what it asks for, may be; the first six are a tenant's to set."""

    tokens: int = 2_000
    depth: int = 12  # `edges` and `node` are not counted
    aliases: int = 30
    root_fields: int = 20
    cost: int = 50_000  # objects that the answer may hold
    list_size: int = 500  # rows of a page, and items of a list in the variables
    characters: int = 65_536
    comments: int = 1_000
    introspection_depth: int = 20  # within `__schema` and `__type`
    nesting: int = 100  # braces and fragments, whatever they hold; bounds our own recursion
    aggregates: int = 40  # fields right below them, each of which may read all rows
    directives: int = 50
    selections: int = 5_000
    comparisons: int = 5_000  # pairs that validation compares for conflicts, quadratic
    errors: int = 10  # validation stops after so many
    values: int = 10_000  # in the variables


DEFAULT: Final = Limits()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between what a tenant may choose, unless the operator draws the upper bound elsewhere."""

    least: int  # with less, nobody could ask for more any more
    most: int
    means: str


#: What a tenant may set.
SETTABLE: Final[Mapping[str, Bounds]] = {
    "tokens": Bounds(50, 5_000, "lexical tokens of a document"),
    "depth": Bounds(3, 20, "levels of fields, without `edges` and `node`"),
    "aliases": Bounds(1, 100, "aliases"),
    "root_fields": Bounds(1, 50, "fields of the query or mutation itself"),
    "cost": Bounds(100, 500_000, "objects that the answer may hold"),
    "list_size": Bounds(1, 500, "rows of a page, and items of a list in the variables"),
}
#: What an operator may set as the most, at most: parsing and paging bear no more.
HIGHEST: Final[Mapping[str, int]] = {
    "tokens": 20_000, "depth": 50, "aliases": 1_000, "root_fields": 200, "cost": 10_000_000,
    "list_size": 500,
}  # fmt: skip

#: What no document may go beyond, whoever asks.
WIDEST: Final = replace(DEFAULT, **HIGHEST)

Ceiling = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Requests:
    """Which requests a tenant answers."""

    limits: Limits = DEFAULT
    #: Whether only registered operations are.
    only_registered: bool = False
    #: How often operations were registered or removed: another number, other documents.
    registrations: int = 0


def requests_of(stored: Mapping[str, Any] | None, ceiling: Ceiling) -> Requests:
    """What a tenant's row in ``guanxi_limits`` says, if it has one, below the ceiling."""
    row = stored or {}
    values = tuple(
        min(_standard(name) if (own := row.get(name)) is None else own, most(name, ceiling))
        for name in SETTABLE
    )
    return Requests(_limits(values), row.get("only_registered", False), row.get("registrations", 0))


def most(name: str, ceiling: Ceiling) -> int:
    """The most that a tenant may set."""
    return ceiling.get(name, SETTABLE[name].most)


async def stored_requests(source: Any, tenant: Tenant) -> Mapping[str, Any] | None:
    """The tenant's row in ``guanxi_limits``, None where nothing was ever set."""
    async with transaction(source, tenant.id) as connection:
        row = await connection.fetchrow(_STORED, tenant.id)
    return None if row is None else dict(row)


def changed_limits(
    stored: Mapping[str, Any] | None,
    given: Mapping[str, int | bool | None],
    ceiling: Ceiling,
) -> dict[str, list[Any]]:
    """What ``given`` changes, before and after, by name; raises :class:`Invalid`.

    0 takes what everybody has, None stays as it was.
    """
    changes: dict[str, list[Any]] = {}
    for name, value in given.items():
        if value is None:
            continue
        former: Any = (stored or {}).get(name)
        wanted: Any = value
        if name == "only_registered":
            former = bool(former)
        else:
            wanted = _checked(name, value, ceiling)
        if wanted != former:
            changes[name] = [former, wanted]
    return changes


async def store_limits(connection: Any, tenant: Tenant, changes: Mapping[str, list[Any]]) -> None:
    """Write what :func:`changed_limits` found; effective at everybody's next request."""
    names = list(changes)
    places = ", ".join(f"${number}" for number in range(2, len(names) + 2))
    updates = ", ".join(f"{name} = excluded.{name}" for name in names)
    await connection.execute(
        f"INSERT INTO guanxi_limits (tenant_id, {', '.join(names)}) "  # noqa: S608  names are ours
        f"VALUES ($1, {places}) ON CONFLICT (tenant_id) DO UPDATE SET {updates}",
        tenant.id, *(after for _, after in changes.values()),
    )  # fmt: skip


async def set_limits(
    source: Any,
    tenant: Tenant,
    given: Mapping[str, int | bool | None],
    ceiling: Ceiling,
    *,
    actor: str = "system",
) -> dict[str, list[Any]]:
    """Set a tenant's limits as :func:`changed_limits` understands them; what was changed."""
    async with transaction(source, tenant.id) as connection:
        await connection.execute("SELECT guanxi_touch($1)", tenant.id)  # takes the tenant's lock
        row = await connection.fetchrow(_STORED, tenant.id)
        changes = changed_limits(row, given, ceiling)
        if changes:
            await store_limits(connection, tenant, changes)
            await record(connection, tenant.id, "guanxi.set_request_rules", changes, actor=actor)
    return changes


def _checked(name: str, value: int, ceiling: Ceiling) -> int | None:
    bounds, highest = SETTABLE[name], most(name, ceiling)
    if value == 0:
        return None
    least = min(bounds.least, highest)
    if not least <= value <= highest:
        raise Invalid(name, f"must be 0 for the default, or from {least:,} to {highest:,}")
    return value


def _standard(name: str) -> int:
    value: int = getattr(DEFAULT, name)
    return value


@lru_cache(4096)
def _limits(values: tuple[int, ...]) -> Limits:
    """The same object for the same limits, so that comparing them is comparing identities."""
    return replace(DEFAULT, **dict(zip(SETTABLE, values, strict=True)))


_STORED: Final = "SELECT * FROM guanxi_limits WHERE tenant_id = $1"
