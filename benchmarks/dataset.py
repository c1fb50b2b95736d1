"""The data of every workload: customers with ten persons and ten activities each."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from benchmarks import relating
from guanxi_customers import Activity, Customer, Department, Office, Person
from guanxi_customers.choices import ActivityKind, ActivityStatus, DecisionRole, Lifecycle
from guanxi_sdk import Extension, Model
from guanxi_tiers.choices import Tier
from guanxi_tiers.models import Standing

CUSTOMERS = 1_000
EACH = 10  # persons and activities of a customer
_OF_OFFICE = 50  # customers
#: Scores look at what was done of late, so that it is done from today backwards.
_NOW, _APART = dt.datetime.now(dt.UTC), dt.timedelta(days=20)
_DEPARTMENTS = ("采购部", "技术部", "财务部")
_TABLES: tuple[type[Model] | type[Extension], ...] = (
    Office, Customer, Department, Person, Activity, Standing, *relating.TABLES,
)  # fmt: skip
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Dataset:
    """What the workloads ask for."""

    tenant_id: UUID
    offices: tuple[UUID, ...]
    customers: tuple[UUID, ...]


async def load(connection: Any, tenant_id: UUID, customers: int = CUSTOMERS) -> Dataset:
    """Copy a tenant's rows in; ``connection`` is that of the tables' owner."""
    rows = _rows(customers)
    async with connection.transaction():
        await connection.execute("SELECT set_config('guanxi.tenant', $1, true)", str(tenant_id))
        for model in _TABLES:
            await _copy(connection, model, tenant_id, rows[model])
    return Dataset(
        tenant_id,
        tuple(row["id"] for row in rows[Office]),
        tuple(row["id"] for row in rows[Customer]),
    )


async def analyze(connection: Any) -> None:
    """Let the planner know the loaded rows, and leave nothing for autovacuum to do meanwhile.

    And let the database make the ids of new activities, as PostGraphile expects of it; later, other
    servers have statements prepared that keep the table from being altered.
    """
    own = await connection.fetchval("SELECT to_regprocedure('uuidv7()') IS NOT NULL")
    made = "uuidv7()" if own else "gen_random_uuid()"
    await connection.execute(f"ALTER TABLE customers_activity ALTER id SET DEFAULT {made}")
    for model in _TABLES:
        await connection.execute(f"VACUUM ANALYZE {model.info.table.name}")


async def _copy(
    connection: Any,
    model: type[Model] | type[Extension],
    tenant_id: UUID,
    rows: Sequence[Mapping[str, Any]],
) -> None:
    defaults = {
        field.name: field.default
        for field in model.info.fields.values()
        if field.default is not None and field.name not in rows[0]
    }
    names = ["tenant_id", *rows[0], *defaults]
    columns = ", ".join(f'"{name}"' for name in names)
    table = model.info.table.name
    # COPY does not go into a table with row-level security, unless a superuser does it.
    await connection.execute(
        f"CREATE TEMPORARY TABLE staging ON COMMIT DROP AS SELECT {columns} FROM {table} LIMIT 0"
    )
    await connection.copy_records_to_table(
        "staging",
        columns=names,
        records=[(tenant_id, *row.values(), *defaults.values()) for row in rows],
    )
    await connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM staging")
    await connection.execute("DROP TABLE staging")


def _rows(customers: int) -> dict[type, list[Row]]:
    rows: dict[type, list[Row]] = {model: [] for model in _TABLES}
    for number in range(-(-customers // _OF_OFFICE)):
        rows[Office].append(
            {"id": uuid7(), "code": f"O{number:03}", "name": f"第{number + 1}办事处"}
        )
    for number in range(customers):
        office = rows[Office][number % len(rows[Office])]
        rows[Customer].append(_customer(number, office["id"]))
    lifecycles, tiers = list(Lifecycle), list(Tier)
    for number, customer in enumerate(rows[Customer]):
        customer["lifecycle"] = lifecycles[number // 7 % len(lifecycles)]
        rows[Standing].append(
            {
                "id": customer["id"],
                "tier": tiers[number // 3 % len(tiers)],
                "tier_score": 40 + number * 7919 % 600 / 10,
                "tier_confidence": 1.0,
                "tier_reasons": relating.REASONS,
            }
        )
        departments = [
            {"id": uuid7(), "customer_id": customer["id"], "name": name} for name in _DEPARTMENTS
        ]
        rows[Department] += departments
        for index in range(EACH):
            department = departments[index % len(departments)]
            rows[Person].append(_person(number, index, customer["id"], department["id"]))
            rows[Activity].append(_activity(number, index, customer["id"]))
        people, done = rows[Person][-EACH:], rows[Activity][-EACH:]
        relating.relate(rows, customer["id"], people, done)
    return rows


def _customer(number: int, office_id: UUID) -> Row:
    return {
        "id": uuid7(),
        "code": f"C{number:06}",
        "name": f"客户{number * 7919 % 100_000:05}有限公司",
        "name_en": f"Customer {number} Ltd.",
        "office_id": office_id,
        "country": "中国",
        "city": "深圳",
        "address": f"科技园路{number}号",
        "phone": f"+86 755 {number:08}",
    }


def _person(number: int, index: int, customer_id: UUID, department_id: UUID) -> Row:
    roles = list(DecisionRole)
    return {
        "id": uuid7(),
        "code": f"P{number:06}-{index}",
        "customer_id": customer_id,
        "department_id": department_id,
        "name": f"人员{number * EACH + index}",
        "name_en": f"Person {number * EACH + index}",
        "title": "经理",
        "rank": index % 5 + 1,
        "role": roles[index % len(roles)],
        "phone": f"+86 138 {number * EACH + index:08}",
    }


def _activity(number: int, index: int, customer_id: UUID) -> Row:
    kinds = list(ActivityKind)
    planned = dt.date(2025, 1, 1) + dt.timedelta(days=(number * 13 + index * 29) % 500)
    done = index % 2 == 0
    return {
        "id": uuid7(),
        "customer_id": customer_id,
        "kind": kinds[(number + index) % len(kinds)],
        "subject": f"第{index + 1}次拜访客户{number}",
        "status": ActivityStatus.DONE if done else ActivityStatus.PLANNED,
        "planned_on": planned,
        "done_at": _NOW - index * _APART if done else None,
        "cost_minor": 12_300 + number,
        "cost_currency": "CNY",
        "outcome": "双方同意继续。" if done else None,
    }
