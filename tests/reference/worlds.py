"""Worlds: one tenant's rows of the plugin `lab`, in memory and in the database.

A world follows from its number alone. All worlds use the same ids, so that a row of another tenant
would be found by every statement that forgot the tenant.
"""

import datetime as dt
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
from with_every_kind import (
    Badge,
    Colour,
    Entry,
    Experiment,
    Grade,
    Method,
    Rating,
    Remark,
    Researcher,
    Secret,
    Site,
)

from guanxi_sdk import Extension, Model, Money
from guanxi_sdk.info import FieldInfo

#: Models in the order in which their rows can be inserted, and how many rows there are at most.
MODELS: tuple[tuple[type[Model], int], ...] = (
    (Site, 4), (Researcher, 12), (Experiment, 10), (Secret, 4), (Entry, 4),
)  # fmt: skip
EXTENSIONS: tuple[type[Extension], ...] = (Badge, Rating)

NAMES = (
    "Ada", "ada", "Zoë", "Zoe", "华为", "华", "O'Neil", 'say "hi"', "back\\slash", "%_", "<b>&amp;",
    "🎉 party", "\uffee wide", "tab\tline\nend", "a" * 40, "null", "ﬁ", "\x7f\x01", "\u2028", "1",
)  # fmt: skip
NICKS = ("", " ", *NAMES[:8])
DAYS = tuple(
    dt.date.fromisoformat(day)
    for day in ("1999-12-31", "2000-02-29", "2024-01-01", "2024-01-02", "0001-01-01", "9999-12-31")
)
TIMES = tuple(
    dt.datetime.fromisoformat(time)
    for time in (
        "2024-01-01T00:00:00+00:00", "2024-01-01T00:00:00.5+00:00",
        "2024-01-01T00:00:00.120000+00:00", "2024-01-01T00:00:00.000001+00:00",
        "1969-12-31T23:59:59.999999+00:00", "2024-06-30T12:34:56+00:00",
    )
)  # fmt: skip
FLOATS = (0.0, 0.1, -2.5, 1.5, 1e-07, 123456789.25, 1e20, 3.0, 1 / 3)
INTEGERS = (0, 1, 7, 30, 40, 41, 999)
MONEY = tuple(
    Money(minor, currency)
    for minor, currency in (
        (0, "CNY"), (5, "CNY"), (-1234, "CNY"), (1234, "CNY"), (1234, "JPY"), (0, "JPY"),
        (1234, "KWD"), (-5, "KWD"), (10**17, "CNY"), (999, "USD"),
    )
)  # fmt: skip
WORDS = ("a", "b b", "ü,{}", '"', "NULL", "\\")
#: The request's clock stands still.
NOW = dt.datetime(2024, 3, 1, 8, 30, tzinfo=dt.UTC)
VOCABULARY = (("customer", "客户", "client"), ("Zz", "…", "…"), ("deal", "订单", "order"))


class Row:
    """One row: its model and its attributes' values."""

    __slots__ = ("model", "values")

    def __init__(self, model: type[Model], values: dict[str, Any]) -> None:
        self.model = model
        self.values = values

    def __getitem__(self, attribute: str) -> Any:
        return self.values[attribute]

    @property
    def id(self) -> UUID:
        return self.values["id"]

    @property
    def global_id(self) -> str:
        return f"{self.model.info.prefix}_{self.id}"


@dataclass
class World:
    """All rows of one tenant, by model and id, and the side tables' rows by the same id."""

    number: int
    rows: defaultdict[type[Model], dict[UUID, Row]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    sides: dict[type[Extension], dict[UUID, Mapping[str, Any]]] = field(default_factory=dict)

    def all(self, model: type[Model]) -> Iterator[Row]:
        """Rows of a model, in no particular order."""
        yield from self.rows.get(model, {}).values()

    def find(self, model: type[Model], identity: UUID | None) -> Row | None:
        """The row with an id, if there is one."""
        return None if identity is None else self.rows.get(model, {}).get(identity)


def uuid_of(model: type[Model], number: int) -> UUID:
    """The id of a model's row with a number, the same in every world."""
    kind = [one for one, _ in MODELS].index(model) + 1
    return UUID(f"0198{kind:04x}-0000-7000-8000-{number:012x}")


def make_world(number: int, *, times: int | None = None) -> World:
    """The world with a number; the first two are empty or as good as.

    ``times`` makes it that many times as large as the others are at most.
    """
    choose = random.Random(number)
    world = World(number)
    for model, usual in MODELS:
        most = usual * (times or 1)
        least = most if times else 0 if model is Secret else 1
        count = {0: 0, 1: 1}.get(number, choose.randint(least, most))
        numbers = choose.sample(range(1, most + 1), count)
        world.rows[model] = {}
        for one in numbers:
            identity = uuid_of(model, one)
            values = {
                "id": identity,
                "created_at": choose.choice(TIMES),
                "updated_at": choose.choice(TIMES),
                "version": choose.randint(1, 3),
                "archived_at": choose.choice(TIMES) if choose.random() < 0.2 else None,
            }
            world.rows[model][identity] = Row(model, values)
    for model, _ in MODELS:
        narrow = choose.random() < 0.5  # few different values: many ties
        for position, row in enumerate(list(world.all(model))):
            for info in model.info.fields.values():
                if info.name not in row.values:
                    row.values[info.name] = _value(choose, world, model, info, narrow, position)
    for extension in EXTENSIONS:
        of = extension.info.of
        assert of is not None
        world.sides[extension] = {
            row.id: {
                info.name: _value(choose, world, extension, info, False, 0)
                for info in extension.info.fields.values()
            }
            for row in world.all(of)
            if choose.random() < 0.6
        }
    return world


def _value(
    choose: random.Random,
    world: World,
    owner: type[Model] | type[Extension],
    info: FieldInfo,
    narrow: bool,
    position: int,
) -> Any:
    if info.nullable and choose.random() < 0.35:
        return None
    few = 2 if narrow else 99
    if info.name == getattr(owner.info, "key", None):
        return f"{WORDS[position % len(WORDS)]}{position}"
    match info.kind:
        case "text":
            pool = NICKS if info.nullable else NAMES
            return choose.choice(pool[:few])
        case "int":
            return choose.choice(INTEGERS[:few])
        case "float":
            return choose.choice(FLOATS[:few])
        case "bool":
            return choose.random() < 0.5
        case "date":
            return choose.choice(DAYS[:few])
        case "datetime":
            return choose.choice(TIMES[:few])
        case "choice":
            return choose.choice(list(info.python)[:few])
        case "money":
            return choose.choice(MONEY[:few] if narrow else MONEY)
        case "texts":
            return [choose.choice(WORDS) for _ in range(choose.randint(0, 3))]
        case "values":
            return [_remark(choose) for _ in range(choose.randint(0, 2))]
    target = next(r.target for r in owner.info.references.values() if r.column == info.name)
    ids = sorted(world.rows[target])
    return choose.choice(ids) if ids else None


def _remark(choose: random.Random) -> Remark:
    maybe = choose.random() < 0.5
    return Remark(
        code=choose.choice(NAMES),
        weight=choose.choice(FLOATS) if maybe else None,
        colour=choose.choice(list(Colour)) if maybe else None,
        method=choose.choice(list(Method)),
        noted_on=choose.choice(DAYS) if choose.random() < 0.5 else None,
        noted_at=choose.choice(TIMES) if choose.random() < 0.5 else None,
        firm=maybe,
        seen_by=choose.choice(INTEGERS),
    )


async def store(world: World, connection: Any, tenant_id: UUID) -> None:
    """Write a world's rows as they are, past all checks but the database's own."""
    async with connection.transaction():
        for model, _ in MODELS:
            rows = [row.values for row in world.all(model)]
            await _insert(connection, tenant_id, model, rows)
        for extension in EXTENSIONS:
            rows = [
                {"id": identity, "updated_at": NOW, **values}
                for identity, values in world.sides[extension].items()
            ]
            await _insert(connection, tenant_id, extension, rows)
        await connection.executemany(
            "INSERT INTO guanxi_vocabulary (tenant_id, key, zh, en) VALUES ($1, $2, $3, $4)",
            [(tenant_id, *term) for term in VOCABULARY],
        )


async def _insert(
    connection: Any,
    tenant_id: UUID,
    owner: type[Model] | type[Extension],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    table = owner.info.table.name
    records = json.dumps(
        [{"tenant_id": str(tenant_id), **_columns(owner, row)} for row in rows], default=str
    )
    await connection.execute(
        f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, $1)", records
    )


def _columns(owner: type[Model] | type[Extension], row: Mapping[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, value in row.items():
        info = owner.info.fields.get(name)
        if info is not None and info.kind == "money":
            columns[info.columns[0]] = value and value.minor
            columns[info.columns[1]] = value and value.currency
        elif info is not None and info.kind == "values":
            columns[name] = msgspec.to_builtins(value)
        elif isinstance(value, Grade | Colour | Method):
            columns[name] = value.value
        else:
            columns[name] = value
    return columns


#: Where a caller may point and find nothing, or nothing of that kind.
WRONG_IDS = (
    "", "researcher_", "researcher_nonsense", "site", "0", "researcher_" + "0" * 36,
    str(uuid_of(Site, 1)), f"researcher_{uuid_of(Researcher, 10)}".replace("a", "A"),
    f"researcher_{uuid_of(Researcher, 10).hex}----", f"nothing_{uuid_of(Site, 1)}",
    f"{uuid_of(Entry, 1)}_researcher",
)  # fmt: skip
