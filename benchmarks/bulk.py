"""What is worked out for every customer of a large enterprise: ``python -m benchmarks.bulk``.

A tenant of 100,000 customers with people, chains, levels and a million activities is classified,
its obligations are kept, and its scores and findings are asked for. Each is told with the seconds
it took and with those for which processors worked for PostgreSQL.
"""

import argparse
import asyncio
import math
import os
import shlex
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.dataset import CUSTOMERS
from benchmarks.installation import PLUGINS, Installation, installed
from benchmarks.peopling import fill
from benchmarks.report import columns, machine
from guanxi_core.discovery import discover
from guanxi_core.platform import Platform
from guanxi_core.tenancy import create_tenant, set_plugin
from guanxi_sdk.testing import App, Clock
from guanxi_tiers import TierSettings
from guanxi_tiers.classify import classify
from guanxi_tiers.keeping import keep_all_obligations

SIZE = 100_000
_HOUR = 3600.0
_PROCESSES = Path("/proc")
_AVERAGE = "query {{ {plural}Aggregate {{ values {{ {fields} }} }} }}"
_FINDINGS = "query { relationshipFindings { code } }"
_ENGAGEMENTS = "query { nextEngagements(first: 20) { score personName employeeName } }"
_PAGE = """query { customers(first: 50) { edges { node {
    keyScore generalScore organizationalScore relationshipScore openObligations } } } }"""
_Work = Callable[[App], Awaitable[Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk", description=__doc__)
    parser.add_argument("--customers", type=int, default=SIZE, help="of the enterprise")
    given = parser.parse_args(arguments)
    with installed(CUSTOMERS) as here:
        rows = asyncio.run(_measured(here, given.customers))
        made_with = machine(here.postgresql, "one caller")
    command = shlex.join(["python", "-m", "benchmarks.bulk", *(arguments or sys.argv[1:])])
    head = [f"{given.customers:,} customers", "seconds", "of processors for PostgreSQL"]
    print("\n" + columns([head, *rows], left=(0,)))
    print(f"\n{made_with}\n{command}")
    return 0


def _average(plural: str, *fields: str) -> _Work:
    inner = " ".join(f"{field} {{ avg }}" for field in fields)
    document = _AVERAGE.format(plural=plural, fields=inner)
    return lambda app: app.graphql(document)


def _asking(document: str) -> _Work:
    return lambda app: app.graphql(document)


async def _classify(app: App) -> None:
    async with app.context() as ctx:
        await classify(ctx, TierSettings(), None, ctx.today())


async def _oblige(app: App) -> None:
    async with app.context() as ctx:
        await keep_all_obligations(ctx, TierSettings())


_SCORES = ("keyScore", "generalScore", "organizationalScore", "relationshipScore")
WORK: tuple[tuple[str, _Work], ...] = (
    ("classification, the first", _classify),
    ("classification, again", _classify),
    ("obligations, the first", _oblige),
    ("obligations, again", _oblige),
    ("effective levels of all persons (F3)", _average("persons", "effectiveLevel")),
    ("key scores (F4)", _average("customers", _SCORES[0])),
    ("general scores (F5)", _average("customers", _SCORES[1])),
    ("organizational scores (F6)", _average("customers", _SCORES[2])),
    ("composite scores (F7)", _average("customers", _SCORES[3])),
    ("all four scores", _average("customers", *_SCORES)),
    ("open obligations", _average("customers", "openObligations")),
    ("a page of 50 with scores and obligations", _asking(_PAGE)),
    ("relationshipFindings", _asking(_FINDINGS)),
    ("nextEngagements", _asking(_ENGAGEMENTS)),
)


async def _measured(here: Installation, size: int) -> list[list[str]]:
    """What each took, in seconds."""
    async with _enterprise(here.owner_url, size) as (app, owner):
        rows = []
        for title, work in WORK:
            if title.endswith("again"):
                await owner.execute("VACUUM ANALYZE")
            print(f"{title} …", file=sys.stderr)
            rows.append([title, *await timed(app, owner, work)])
        return rows


async def timed(app: App, owner: Any, work: _Work) -> list[str]:
    """Seconds that passed, and those that PostgreSQL's processes worked."""
    backend = await owner.fetchval("SELECT pg_backend_pid()")
    began, before = time.perf_counter(), _worked(backend)
    await work(app)
    return [f"{time.perf_counter() - began:.1f}", f"{_worked(backend) - before:.1f}"]


@asynccontextmanager
async def _enterprise(owner_url: str, size: int) -> AsyncIterator[tuple[App, Any]]:
    """A tenant of its own, filled; and a connection of the tables' owner."""
    owner: Any = await asyncpg.connect(owner_url)
    url = owner_url.replace("guanxi_owner", "guanxi_app")
    try:
        async with await Platform.open(url, registry=discover(), deadline=_HOUR) as platform:
            tenant = await create_tenant(platform.pool, "large")
            for plugin in PLUGINS:
                await set_plugin(platform.pool, tenant, plugin, True)
            await fill(owner, tenant.id, size)
            yield App(platform, tenant, Clock()), owner
    finally:
        await owner.close()


def _stat(process: int) -> tuple[int, int, int]:
    """Of a process: its own ticks, its parent, and the ticks of children that have ended."""
    fields = (_PROCESSES / f"{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]), int(fields[1]), int(fields[13]) + int(fields[14])


def _worked(backend: int) -> float:
    """Seconds that the server's processes worked so far, also those that ended; Linux tells it."""
    if sys.platform != "linux":
        return math.nan
    server = _stat(backend)[1]  # the first process, which started all others
    own, _, ended = _stat(server)
    ticks = own + ended
    for place in _PROCESSES.glob("[0-9]*"):
        try:
            worked, parent, _ = _stat(int(place.name))
        except OSError:  # it has just ended
            continue
        ticks += worked if parent == server else 0
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
