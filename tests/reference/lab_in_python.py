"""What the plugin `lab` computes in SQL, and by queries of its own, once more in Python."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

from with_every_kind import Experiment, Grade, Method, Remark, Researcher, Secret, Site

from guanxi_sdk import Money
from reference.oracle import Computed, Oracle
from reference.worlds import Row

_functions: dict[tuple[str, str], Callable[..., Any]] = {}


def _computes(type_name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _functions[type_name, function.__name__] = function
        return function

    return register


def _by_id(rows: Any) -> list[Row]:
    return sorted(rows, key=lambda row: row.id)


@_computes("Site")
def head_count(oracle: Oracle, site: Row, min_age: int | None = None) -> int:
    return sum(
        row["site_id"] == site.id and (min_age is None or row["age"] >= min_age)
        for row in oracle.world.all(Researcher)
    )


@_computes("Site")
def payroll(oracle: Oracle, site: Row, currency: str | None = None) -> Money:
    unit = oracle.tenant.currency if currency is None else currency
    pays = [row["pay"] for row in oracle.world.all(Researcher) if row["site_id"] == site.id]
    return Money(sum(pay.minor for pay in pays if pay.currency == unit), unit)


@_computes("Researcher")
def chief_name(oracle: Oracle, researcher: Row) -> str | None:
    chief = oracle.world.find(Researcher, researcher["chief_id"])
    return chief and chief["name"]


@_computes("Researcher")
def days_alive(oracle: Oracle, researcher: Row) -> int:
    return int((oracle.today - researcher["born"]).days)


@_computes("Researcher")
def next_due(oracle: Oracle, researcher: Row, title: str = "") -> dt.date | None:
    due = [
        row["due"]
        for row in oracle.world.all(Experiment)
        if row["leader_id"] == researcher.id and row["due"] and row["title"] >= title
    ]
    return min(due, default=None)


@_computes("Researcher")
def merit(oracle: Oracle, researcher: Row) -> float:
    return float(researcher["height"] * 2 + (researcher["rank"] or 0))


@_computes("Researcher")
def mood(oracle: Oracle, researcher: Row, calm: bool = False) -> Method | None:
    if calm:
        return Method.UNKNOWN
    if researcher["active"]:
        return Method.BY_HAND
    return Method.BY_MACHINE if researcher["remote"] else None


@_computes("Researcher")
def senior(oracle: Oracle, researcher: Row) -> bool:
    return bool(researcher["age"] > 40)


@_computes("Researcher")
def last_seen(oracle: Oracle, researcher: Row) -> dt.datetime | None:
    return researcher["seen"] or researcher["joined"]


@_computes("Experiment")
def leader_pay(oracle: Oracle, experiment: Row, at_least: Grade = Grade.C) -> Money | None:
    leader = oracle.world.find(Researcher, experiment["leader_id"])
    return leader["pay"] if leader and leader["grade"].value <= at_least.value else None


@_computes("Researcher")
def peers(oracle: Oracle, researcher: Row, limit: int = 2) -> list[Row]:
    rows = [
        row
        for row in oracle.world.all(Researcher)
        if row["site_id"] == researcher["site_id"] and row.id != researcher.id
    ]
    rows.sort(key=lambda row: (row["name"], row.id))
    return rows[:limit]


@_computes("Researcher")
def boss(oracle: Oracle, researcher: Row) -> Row | None:
    return oracle.world.find(Researcher, researcher["chief_id"])


@_computes("Researcher")
def kept(oracle: Oracle, researcher: Row) -> list[Row]:
    rows = oracle.world.all(Secret)
    return _by_id(row for row in rows if row["keeper_id"] == researcher.id)


@_computes("Researcher")
def tasks(oracle: Oracle, researcher: Row, where: Callable[[Row], bool] | None = None) -> list[Row]:
    rows = oracle.world.all(Experiment)
    return _by_id(
        row for row in rows if row["leader_id"] == researcher.id and (where is None or where(row))
    )


@_computes("Query")
def motto_of(oracle: Oracle, root: None, site_id: UUID) -> str | None:
    site = oracle.world.find(Site, site_id)
    return site and site["motto"]


@_computes("Query")
def roster(
    oracle: Oracle, root: None, where: Callable[[Row], bool] | None = None, limit: int = 3
) -> list[Row]:
    rows = oracle.world.all(Researcher)
    return _by_id(row for row in rows if where is None or where(row))[: max(limit, 0)]


@_computes("Query")
def sample(oracle: Oracle, root: None, count: int = 1) -> list[Remark]:
    return [Remark(code=f"r{i}", weight=float(Decimal(i) / 2)) for i in range(min(count, 100))]


LAB = Computed(_functions)
