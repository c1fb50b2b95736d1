"""What does not grow with the number of customers: ``python -m benchmarks.growth``.

Tenants of 1,000 to 1,000,000 customers share the tables. Each is asked for one customer, for a page
of 100 of a tier by name, and for how many there are of a tier; the last takes time in proportion to
what it counts and is told apart. Then the memory of the worker is looked at over 100,000 requests.
"""

import argparse
import asyncio
import shlex
import statistics
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec

from benchmarks.dataset import CUSTOMERS, Dataset
from benchmarks.installation import METRICS_TOKEN, PLUGINS, Installation, Server, installed
from benchmarks.load import generator, measure
from benchmarks.report import columns, machine
from benchmarks.workloads import WORKLOADS, Workload, flaw
from guanxi_core.api_tokens import create_token
from guanxi_core.database.pool import TenantPool
from guanxi_core.tenancy import create_tenant, set_plugin

SIZES = (1_000, 10_000, 100_000, 1_000_000)
#: How many times as long a request may take at the largest size.
GOAL = 1.5
_REQUESTS = 100_000
_SAMPLE = 2_000  # ids that are asked for
_ROUNDS = 5
_SECONDS = 2.0
_BATCH = 100_000  # rows of one INSERT

_W1, _, _W3 = WORKLOADS[:3]
ASKED = (
    replace(_W1, title="one by id"),
    replace(_W3, title="page of 100", document=_W3.document.replace("totalCount", "")),
    replace(
        _W3, title="totalCount", connections=4,
        document="query ($tier: Tier!) { customers(where: { tier: { eq: $tier } }) "
        "{ totalCount } }",
    ),
)  # fmt: skip
_COUNT = ASKED[2].title

#: Customers like those of the other workloads, in the order of their ids.
_CUSTOMERS = """
    INSERT INTO customers_customer (tenant_id, id, code, name, name_en, country, city, address,
        phone, industry_class, lifecycle, credit, version, created_at, updated_at)
    SELECT $1::uuid, (
            lpad(to_hex(n), 12, '0') || '70008000' || substr(md5($1::uuid::text || n), 1, 12)
        )::uuid,
        'C' || n, '客户' || lpad((n * 7919 % 1000003)::text, 7, '0') || '有限公司',
        'Customer ' || n || ' Ltd.', '中国', '深圳', '科技园路' || n || '号',
        '+86 755 ' || lpad(n::text, 8, '0'), 'TRADE', 'ACTUAL', 'GOOD', 1, now(), now()
    FROM generate_series($2::bigint, $3::bigint) n
"""
_STANDINGS = """
    INSERT INTO tiers_standing (tenant_id, id, tier, tier_score, tier_confidence)
    SELECT tenant_id, id, (ARRAY['S', 'A', 'B', 'C'])[1 + row_number() OVER (ORDER BY id) % 4],
        50, 1
    FROM customers_customer WHERE tenant_id = $1
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if something grows that must not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="customers of tenants")
    given = parser.parse_args(arguments)
    with installed(CUSTOMERS) as here:
        tenants = asyncio.run(_grow(here, sorted(given.sizes)))
        with here.serving() as (_, guanxi):
            rates = _measure(here, guanxi, tenants)
            before, after = _memory(here, guanxi, tenants[0])
        made_with = machine(here.postgresql, generator())
    slower = {
        (one.title, size): rates[one.title, min(given.sizes)] / rates[one.title, size]
        for one in ASKED for size in given.sizes
    }  # fmt: skip
    head = ["customers", *(part for one in ASKED for part in (f"{one.title} /s", "longer"))]
    rows = [
        [f"{size:,}", *(part for one in ASKED for part in (
            f"{rates[one.title, size]:.0f}", f"{slower[one.title, size]:.2f}×"
        ))]
        for size in sorted(given.sizes)
    ]  # fmt: skip
    print("\n" + columns([head, *rows]))
    print(f"\nmemory of the worker: {before:.0f} MB, {after:.0f} MB {_REQUESTS:,} requests later")
    command = shlex.join(["python", "-m", "benchmarks.growth", *(arguments or sys.argv[1:])])
    print(f"\n{made_with}\n{command}")
    grown = [key for key, times in slower.items() if times > GOAL and key[0] != _COUNT]
    for title, size in grown:
        print(f"{title}: {slower[title, size]:.2f} times as long at {size:,}.", file=sys.stderr)
    return 1 if grown or after > before * 1.1 else 0


class _Grown(msgspec.Struct, frozen=True):
    """A tenant of one size."""

    size: int
    token: str
    data: Dataset


async def _grow(here: Installation, sizes: Sequence[int]) -> list[_Grown]:
    """A tenant for each size, filled."""
    owner: Any = await asyncpg.connect(here.owner_url)
    pool = await TenantPool.open(here.owner_url, size=1)
    found = []
    try:
        for size in sizes:
            tenant = await create_tenant(pool, f"of-{size}")
            for plugin in PLUGINS:
                await set_plugin(pool, tenant, plugin, True)
            await owner.execute("SELECT set_config('guanxi.tenant', $1, false)", str(tenant.id))
            for first in range(1, size + 1, _BATCH):
                last = min(size, first + _BATCH - 1)
                await owner.execute(_CUSTOMERS, tenant.id, first, last)
                print(f"\rtenant of {size:,}: {last:,} customers", end="", file=sys.stderr)
            await owner.execute(_STANDINGS, tenant.id)
            print(file=sys.stderr)
            step = max(1, size // _SAMPLE)
            ids = await owner.fetch(
                "SELECT id FROM customers_customer WHERE tenant_id = $1 "
                "AND substr(code, 2)::int % $2 = 0", tenant.id, step,
            )  # fmt: skip
            token = await create_token(pool, tenant, role="admin")
            found.append(
                _Grown(size, token, Dataset(tenant.id, (), tuple(row["id"] for row in ids)))
            )
        for table in ("customers_customer", "tiers_standing"):
            await owner.execute(f"VACUUM ANALYZE {table}")
        await owner.execute("CHECKPOINT")
    finally:
        await pool.close()
        await owner.close()
    return found


def _measure(
    here: Installation, guanxi: Server, tenants: Sequence[_Grown]
) -> dict[tuple[str, int], float]:
    """Requests per second by what is asked and size, the sizes in alternation."""
    found: dict[tuple[str, int], list[float]] = {}
    for one in ASKED:
        for number in range(-1, _ROUNDS):  # the first round warms up
            for tenant in tenants:
                rate = _round(here, guanxi, tenant, one, _SECONDS)
                if number >= 0:
                    found.setdefault((one.title, tenant.size), []).append(rate)
            print(f"{one.title}: round {number + 1}/{_ROUNDS}", file=sys.stderr)
    return {key: statistics.median(rates) for key, rates in found.items()}


def _round(
    here: Installation, guanxi: Server, tenant: _Grown, one: Workload, seconds: float
) -> float:
    server = replace(guanxi, headers={**guanxi.headers, "Authorization": f"Bearer {tenant.token}"})
    bodies = one.bodies(tenant.data)
    answer = server.ask(one.name, bodies[0])
    if reason := flaw(answer, len(answer)):
        raise SystemExit(f"benchmarks: the answer to {one.title} {reason}.")
    path = here.home / "growth.jsonl"
    path.write_bytes(b"".join(body + b"\n" for body in bodies))
    found = measure(
        server.url(one.name), path, server.headers, connections=one.connections, seconds=seconds
    )
    if found.failures or not found.requests:
        raise SystemExit(f"benchmarks: {found.failures} of {found.requests} requests failed.")
    return found.rate


def _memory(here: Installation, guanxi: Server, tenant: _Grown) -> tuple[float, float]:
    """Megabytes of the worker, when it has settled and after many more requests."""
    sizes = []
    for requests in (_REQUESTS // 4, _REQUESTS):
        left = float(requests)
        while left > 0:
            left -= 4 * _round(here, guanxi, tenant, _W1, 4)
        sizes.append(_resident(guanxi) / 1e6)
    return sizes[0], sizes[1]


def _resident(guanxi: Server) -> float:
    request = urllib.request.Request(
        f"http://127.0.0.1:{guanxi.port}/metrics",
        headers={"Authorization": f"Bearer {METRICS_TOKEN}"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        lines: list[str] = response.read().decode().splitlines()
    [found] = [line for line in lines if line.startswith("process_resident_memory_bytes")]
    return float(found.split()[-1])


if __name__ == "__main__":
    sys.exit(main())
