"""A large enterprise made inside PostgreSQL: customers, people, and what was done with them."""

import sys
from typing import Any, Final
from uuid import UUID

from guanxi_customers import (
    Activity,
    ActivityKind,
    ActivityParticipant,
    Customer,
    DecisionRole,
    Department,
    Employee,
    Office,
    Person,
    Purchase,
    Stewardship,
)
from guanxi_relationships import (
    ChainSeat,
    Cooperation,
    DecisionChain,
    LevelAssessment,
    LevelClaim,
)
from guanxi_sdk import Choice, Model
from guanxi_tiers import AssessedInput, TierAssessment

#: Ids in the order of their numbers, different for each table.
_KEY: Final = """
    CREATE OR REPLACE FUNCTION pg_temp.key(of text, number bigint) RETURNS uuid IMMUTABLE
    LANGUAGE sql AS $$
        SELECT (lpad(to_hex(number), 12, '0') || '70008' || substr(md5(of || number), 1, 15))::uuid
    $$
"""


def _listed(choice: type[Choice]) -> str:
    """The values of a closed list as an array."""
    return "ARRAY[" + ", ".join(f"'{one.value}'" for one in choice) + "]"


def _id(of: str, number: str) -> str:
    return f"pg_temp.key('{of}', {number})"


_DONE: Final = "now() - make_interval(days => (i * 25 + n % 25)::int)"


def _rows(customers: int, ours: int) -> tuple[tuple[type[Model], str, dict[str, str]], ...]:
    """Rows of each table: from what they are made, and their columns. We are ``ours``."""
    #: Who looks after the customer with the number n, and who is above them.
    employee, head = f"(1 + n % {ours})", f"(1 + n % {ours} / 10 * 10)"

    def each(many: int) -> str:
        return f"generate_series(1, {customers}::bigint) n, generate_series(0, {many - 1}) i"

    return (
        (Office, "generate_series(0, 49) n", {
            "id": _id("office", "n"), "code": "'O' || n", "name": "'办事处' || n",
            "time_zone": "'Asia/Shanghai'",
        }),
        (Employee, f"generate_series(1, {ours}::bigint) n", {
            "id": _id("employee", "n"), "code": "'E' || n", "name": "'员工' || n",
            "office_id": _id("office", "n % 50"), "expertise": "'{}'", "notice_filed": "false",
            "hosting_load": "0",
            "level": "CASE WHEN n = 1 THEN 5 WHEN n % 10 = 1 THEN 3 ELSE 1 END",
            "supervisor_id": f"CASE WHEN n % 10 <> 1 THEN {_id('employee', 'n - (n - 1) % 10')} "
            f"WHEN n > 1 THEN {_id('employee', '1')} END",
        }),
        (Customer, each(1), {
            "id": _id("customer", "n"), "code": "'C' || n",
            "name": "'客户' || lpad((n * 7919 % 1000003)::text, 7, '0') || '有限公司'",
            "industry_class": "'TRADE'", "lifecycle": "'ACTUAL'", "credit": "'GOOD'",
            "arrears_days": "n % 120", "office_id": _id("office", "n % 50"),
        }),
        (Department, each(3), {
            "id": _id("department", "n * 3 + i"), "customer_id": _id("customer", "n"),
            "name": "'部门' || i", "in_scope": "true",
        }),
        (Person, each(5), {
            "id": _id("person", "n * 5 + i"), "customer_id": _id("customer", "n"),
            "department_id": _id("department", "n * 3 + i % 3"), "name": "'人员' || n || '-' || i",
            "rank": "1 + i", "role": "'NONE'", "public_official": "false",
        }),
        (Stewardship, each(1), {
            "id": _id("stewardship", "n"), "customer_id": _id("customer", "n"),
            "employee_id": _id("employee", employee), "line": "'CUSTOMER'", "is_primary": "true",
            "starts_on": "current_date - 800",
        }),
        (Activity, each(10), {
            "id": _id("activity", "n * 10 + i"), "customer_id": _id("customer", "n"),
            "kind": f"({_listed(ActivityKind)})[1 + (n + i) % {len(ActivityKind)}]",
            "subject": "'活动' || i", "status": "CASE WHEN i < 8 THEN 'DONE' ELSE 'PLANNED' END",
            "planned_on": "current_date + 10 - (i * 25 + n % 25)::int",
            "done_at": f"CASE WHEN i < 8 THEN {_DONE} END",
        }),
        (ActivityParticipant, each(10), {
            "id": _id("person", "n * 10 + i"), "activity_id": _id("activity", "n * 10 + i"),
            "person_id": _id("person", "n * 5 + i % 5"),
        }),
        (ActivityParticipant, each(10), {
            "id": _id("employee", "n * 10 + i"), "activity_id": _id("activity", "n * 10 + i"),
            "employee_id": _id("employee", employee),
        }),
        (ActivityParticipant, f"{each(1)} WHERE n % 10 <> 0 AND n % {ours} % 10 <> 0", {
            "id": _id("head", "n"), "activity_id": _id("activity", "n * 10 + 1"),
            "employee_id": _id("employee", head),
        }),
        (Purchase, each(3), {
            "id": _id("purchase", "n * 3 + i"), "customer_id": _id("customer", "n"),
            "code": "'P' || n * 3 + i", "ordered_on": "current_date - (i * 200 + n % 150)::int",
            "amount_minor": "n * 7919 % 1000003 * 100", "amount_currency": "'CNY'",
            "employee_id": _id("employee", employee),
        }),
        (TierAssessment, f"{each(3)} WHERE n % 3 <> 0", {
            "id": _id("assessment", "n * 3 + i"), "customer_id": _id("customer", "n"),
            "input": f"({_listed(AssessedInput)})[1 + i]", "value": "(n * 7 + i * 3) % 11",
            "assessed_on": "current_date - 200",
        }),
        (DecisionChain, each(1), {
            "id": _id("chain", "n"), "customer_id": _id("customer", "n"), "kind": "'OVERALL'",
        }),
        (ChainSeat, each(3), {
            "id": _id("seat", "n * 3 + i"), "chain_id": _id("chain", "n"),
            "person_id": _id("person", "n * 5 + i"), "role": f"({_listed(DecisionRole)})[1 + i]",
            "starts_on": "current_date - 500",
        }),
        (LevelClaim, each(3), {
            "id": _id("claim", "n * 3 + i"), "person_id": _id("person", "n * 5 + i"),
            "state": "'RECORDED'", "claimed_by": "'user_x'", "level": "(n + i) % 5 - 1",
            "claimed_on": "current_date - 300",
        }),
        (LevelAssessment, each(3), {
            "id": _id("level", "n * 3 + i"), "person_id": _id("person", "n * 5 + i"),
            "level": "(n + i) % 5 - 1", "assessed_on": "current_date - 300", "assessor": "'user_x'",
            "claim_id": _id("claim", "n * 3 + i"),
        }),
        (Cooperation, f"{each(1)} WHERE n % 4 = 0", {
            "id": _id("cooperation", "n"), "customer_id": _id("customer", "n"),
            "kind": "'AGREEMENT'", "subject": "'框架协议'", "starts_on": "current_date - 400",
        }),
    )  # fmt: skip


async def fill(owner: Any, tenant_id: UUID, customers: int) -> None:
    """Make a tenant's rows; ``owner`` is a connection of the tables' owner, a superuser.

    Foreign keys are not checked, which would take most of the time.
    """
    await owner.execute(_KEY)
    await owner.execute("SELECT set_config('guanxi.tenant', $1, false)", str(tenant_id))
    await owner.execute("SET session_replication_role = replica")
    for model, source, values in _rows(customers, max(10, customers // 100)):
        table = model.info.table
        values = values | {"created_at": "now()"}
        if "version" in table.columns:
            values |= {"updated_at": "now()", "version": "1"}
        print(f"{table.name} …", file=sys.stderr)
        await owner.execute(
            f"INSERT INTO {table.name} (tenant_id, {', '.join(values)}) "
            f"SELECT $1::uuid, {', '.join(values.values())} FROM {source}",
            tenant_id,
        )
    await owner.execute("RESET session_replication_role")
    await owner.execute("VACUUM ANALYZE")
    await owner.execute("CHECKPOINT")
