"""Every generated filter of the shipped plugins finds its rows by an index, under row security.

A filter whose operator is not LEAKPROOF would be applied row by row after the policy of the table,
and read the whole tenant; EXPLAIN shows it as a filter instead of an index condition.

GUANXI_EXPLAINED=999999 asks with that many customers.
"""

import base64
import datetime as dt
import json
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import pytest
from graphql import OperationDefinitionNode, get_named_type, parse, validate

from databases import Scratch
from guanxi_core.custom.definitions import CustomValues, column_of
from guanxi_core.discovery import Registry
from guanxi_core.platform import Access, Platform
from guanxi_core.search.keeping import field_name
from guanxi_core.tenancy import create_tenant, set_plugin
from guanxi_customers import Customer, Customers
from guanxi_graphql.compile.binds import Request
from guanxi_graphql.compile.reads import Operation, compile_read
from guanxi_graphql.schema import Schema, schema_of
from guanxi_graphql.schema.bindings import Filterable, Stored, ToMany, ToOne
from guanxi_relationships import Relationships
from guanxi_sdk import Choice, Extension, Model
from guanxi_sdk._docs import camel
from guanxi_sdk.info import FieldInfo
from guanxi_tiers import Tiers
from guanxi_webhooks import Webhooks

pytestmark = [
    pytest.mark.xdist_group("explain"),  # one database of many rows
    pytest.mark.timeout(7200 if "GUANXI_EXPLAINED" in os.environ else 120),
]

#: How many customers there are, and rows of every other model.
CUSTOMERS, OTHERS = int(os.environ.get("GUANXI_EXPLAINED", "20000")), 4_000
#: Operators that an index cannot help, with the reason.
EXEMPT = {
    "ne": "nearly all rows are different",
    "notIn": "nearly all rows are in no short list",
    "isNull: false": "what is not empty is the whole index",
    "isNull: true, of a side table": "rows without a side row are empty as well",
    "isNull: true, of a required attribute": "no row is empty",
    "eq, of a choice of one value": "all rows are equal",
}
#: The custom fields of customers, by kind, each with the type of its values.
CUSTOM: dict[Any, Any] = {
    "text": str, "int": int, "float": float, "bool": bool, "date": dt.date, "datetime": dt.datetime,
    "choice": Choice("Own", {"COMMON": ("COMMON",), "RARE": ("RARE",)}),  # type: ignore[call-overload]
}  # fmt: skip
#: Rows are numbered; the rare ones are those whose number divides by this.
RARE = 101


def _number(model: type[Model] | type[Extension]) -> int:
    return CUSTOMERS if (model.info.of or model) is Customer else OTHERS


def _uuid(number: str) -> str:
    """SQL for the id of a numbered row, the same for every model."""
    return f"('00000000-0000-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid"


def _column(owner: type[Model] | type[Extension], info: FieldInfo) -> dict[str, str]:
    """SQL for the columns of an attribute in row number i: all different, or rare and common."""
    name = info.name
    match info.kind:
        case "text":
            values = {name: "'t' || lpad(i::text, 6, '0')"}
        case "int" | "float":
            values = {name: "i"}
        case "bool":
            values = {name: f"i % {RARE} = 0"}
        case "date":
            values = {name: "'2000-01-01'::date + i"}
        case "datetime":
            values = {name: "'2000-01-01'::timestamptz + i * interval '1 day'"}
        case "choice":
            common, rare = _members(info)
            values = {name: f"CASE WHEN i % {RARE} = 0 THEN '{rare}' ELSE '{common}' END"}
        case "money":
            values = {info.columns[0]: "i", info.columns[1]: "'CNY'"}
        case "reference":
            target = next(r.target for r in owner.info.references.values() if r.column == name)
            values = {name: _uuid(f"(i % {_number(target)} + 1)")}
        case "texts":
            values = {name: "'{}'::text[]"}
        case _:
            values = {name: "'[]'::jsonb"}
    if info.nullable:
        values = {k: f"CASE WHEN i % {RARE} <> 1 THEN {v} END" for k, v in values.items()}
    return values


def _members(info: FieldInfo) -> tuple[str, str]:
    """The common and the rare value of a choice; where there is one value, both are that."""
    members = [member.value for member in info.python]
    return members[0], members[-1]


async def _fill(owner: Any, tenant_id: Any, model: type[Model] | type[Extension]) -> None:
    columns = {"tenant_id": f"'{tenant_id}'::uuid", "id": _uuid("i")}
    system = ("id", "created_at", "updated_at", "version", "archived_at", "erased_at")
    for info in (*model.info.fields.values(), *model.info.private.values()):
        if info.name not in system:
            columns |= _column(model, info)
    if issubclass(model, Model):
        columns["created_at"] = "'2000-01-01'::timestamptz + i * interval '1 day'"
    await owner.execute(
        f"INSERT INTO {model.info.table.name} ({', '.join(columns)}) "
        f"SELECT {', '.join(columns.values())} FROM generate_series(1, {_number(model)}) AS i"
    )


async def _fill_custom(owner: Any, tenant_id: Any) -> None:
    """A custom field of each kind, with a value for nearly every customer."""
    for kind, python in CUSTOM.items():
        name = f"own{kind.capitalize()}"
        options = [*python.__members__] if kind == "choice" else []
        await owner.execute(
            "INSERT INTO guanxi_custom_field "
            "(tenant_id, id, model, name, kind, description, options, clearance) "
            "VALUES ($1, gen_random_uuid(), 'Customer', $2, $3, 'Ours.', $4, 'INTERNAL')",
            tenant_id, name, kind, options,
        )  # fmt: skip
        info = FieldInfo(name, kind, True, "", (name,), python)
        value = _column(Customer, info)[name]
        await owner.execute(
            "INSERT INTO guanxi_custom_value "
            f'(tenant_id, field, id, kind, revision, "{column_of(kind)}") '
            f"SELECT $1, $2, {_uuid('i')}, $3, guanxi_custom_revision($3, $4), value FROM "
            f"(SELECT i, {value} AS value FROM generate_series(1, {CUSTOMERS}) AS i) AS made "
            "WHERE value IS NOT NULL",
            tenant_id, f"Customer.{name}", kind, options,
        )  # fmt: skip


def _kept(binding: Stored) -> tuple[str, list[str]]:
    """The table of an attribute, and the columns of its index after the tenant's."""
    if isinstance(binding.owner, CustomValues):
        return "guanxi_custom_value", ["field", binding.owner.definition.column]
    return binding.owner.info.table.name, [*reversed(binding.field.columns)]


@dataclass
class Explained:
    """The edition of the shipped plugins with many rows, and its plans."""

    platform: Platform
    access: Access
    schema: Schema
    indexes: Mapping[str, list[str]]

    async def plan(self, document: str) -> dict[str, Any]:
        """The plan of a document's statement, for the app role."""
        parsed = parse(document)
        assert validate(self.schema.graphql, parsed) == [], document
        operation = parsed.definitions[0]
        assert isinstance(operation, OperationDefinitionNode)
        compiled = compile_read(
            self.schema, Operation(operation, {}), {}, self.access.caller.rights,
            has_token=False,
        )  # fmt: skip
        now = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
        arguments = compiled.statement.arguments({}, Request(self.access, now))
        pool = self.platform.pool
        async with pool.connection(self.access.installation.tenant.id) as connection:
            text = await connection.fetchval(
                f"EXPLAIN (FORMAT JSON) {compiled.statement.sql}", *arguments
            )
        plan: dict[str, Any] = json.loads(text)[0]["Plan"]
        return plan

    async def conditions(self, document: str, table: str) -> list[tuple[list[str], str]]:
        """For each scan of ``table``: the index's columns and the condition; none for no index."""
        found = []
        for node in _nodes(await self.plan(document)):
            if node.get("Relation Name") == table:
                if node["Node Type"] == "Bitmap Heap Scan":
                    below = [n for n in _nodes(node) if n["Node Type"] == "Bitmap Index Scan"]
                else:
                    below = [node]
                found += [
                    (self.indexes.get(one.get("Index Name"), []), one.get("Index Cond", ""))
                    for one in below
                ]
        return found


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _names(condition: str, column: str) -> bool:
    return re.search(rf"\b{column}\b", condition) is not None


@pytest.fixture(scope="module")
async def explained(database: Scratch) -> AsyncIterator[Explained]:
    """The shipped plugins, one tenant, many rows, fresh statistics."""
    plugins = {"customers": Customers, "tiers": Tiers, "relationships": Relationships}
    registry = Registry({**plugins, "webhooks": Webhooks})
    async with await Platform.open(database.app_url, registry=registry, pool_size=2) as platform:
        tenant = await create_tenant(platform.pool, "explained")
        for name in registry.plugins:
            await set_plugin(platform.pool, tenant, name, True)
        access = await platform.system_access(tenant)
        edition = access.installation.edition
        owner = await asyncpg.connect(database.owner_url)
        try:
            await owner.execute("SELECT set_config('guanxi.tenant', $1, false)", str(tenant.id))
            models = [
                *edition.models.values(),
                *(e for x in edition.extensions.values() for e in x),
            ]
            for model in models:  # numbered rows meet no rule but those that planning depends on
                await _drop_rules(owner, model.info.table.name)
            for model in models:
                await _fill(owner, tenant.id, model)
                await _make_found(owner, model)
            await _fill_custom(owner, tenant.id)
            await owner.execute("ANALYZE")
            indexes = {
                row["name"]: row["columns"]
                for row in await owner.fetch(
                    "SELECT c.relname AS name, "
                    "ARRAY(SELECT trim('\"' FROM pg_get_indexdef(i.indexrelid, k, true)) "
                    "FROM generate_series(1, i.indnkeyatts) AS k) AS columns "
                    "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
                )
            }
        finally:
            await owner.close()
        access = await platform.system_access(tenant)
        yield Explained(platform, access, schema_of(access.installation.edition), indexes)


async def _make_found(owner: Any, model: type[Model] | type[Extension]) -> None:
    """As many tokens as rows with names have: three for each, of which two are further on."""
    for name in model.info.searched:
        await owner.execute(
            "INSERT INTO guanxi_search (tenant_id, id, field, place, length, token, written) "
            f"SELECT tenant_id, id, $1, place, 7, repeat('x', place) || {name}, '' "
            f"FROM {model.info.table.name}, generate_series(0, 2) AS place "
            f"WHERE {name} IS NOT NULL",
            field_name(model, name),
        )


async def _drop_rules(owner: Any, table: str) -> None:
    for row in await owner.fetch(
        "SELECT format('ALTER TABLE %I DROP CONSTRAINT %I', $1::text, conname) AS statement "
        "FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype IN ('c', 'f') "
        "UNION ALL SELECT format('DROP INDEX %s', indexrelid::regclass) "
        "FROM pg_index WHERE indrelid = $1::text::regclass AND indpred IS NOT NULL",
        table,
    ):
        await owner.execute(row["statement"])


def _operand(info: FieldInfo, prefix: str, operator: str, rows: int) -> str:
    """A literal with which few rows meet the operator."""
    if operator == "isNull":
        return "true"
    low, high = 50, rows - 50
    number = high if operator in ("gt", "gte") else low
    match info.kind:
        case "text":
            one = f'"t{number:06}"'
        case "int" | "float":
            one = str(number)
        case "bool":
            one = "true"
        case "date":
            one = f'"{dt.date(2000, 1, 1) + dt.timedelta(days=number)}"'
        case "datetime":
            one = f'"{dt.date(2000, 1, 1) + dt.timedelta(days=number)}T00:00:00+00:00"'
        case "choice":
            one = list(info.python)[-1].name
        case "money":
            one = f'{{amount: "{number // 100}.{number % 100:02}", currency: "CNY"}}'
        case _:
            one = f'"{prefix}_00000000-0000-7000-8000-{number:012x}"'
    return f"[{one}]" if operator == "in" else one


def _filters(schema: Schema) -> Iterator[tuple[type[Model], str, Stored, str]]:
    """Every operator of every stored attribute that can be filtered by."""
    for model, where in schema.wheres_of.items():
        input_type: Any = schema.graphql.type_map[where]
        for name, entry in schema.wheres[where].items():
            if isinstance(entry.binding, Stored):
                operators: Any = get_named_type(input_type.fields[name].type)
                for operator in operators.fields:
                    yield model, name, entry.binding, operator


def _prefix(model: type[Model], binding: Stored) -> str:
    for reference in binding.owner.info.references.values():
        if reference.column == binding.field.name:
            return reference.target.info.prefix
    return model.info.prefix


def _by_index(scans: list[tuple[list[str], str]], columns: list[str]) -> bool:
    """Whether all scans are by an index of the tenant and the columns, with conditions on each."""
    return bool(scans) and all(
        index[: 1 + len(columns)] == ["tenant_id", *columns]
        and all(_names(condition, column) for column in ["tenant_id", *columns])
        for index, condition in scans
    )


SCORES = "keyScore generalScore organizationalScore relationshipScore"
#: What is looked up for each customer.
LOOKED_UP = (
    "tier tierOn", "openObligations overdueObligations", SCORES, *SCORES.split(),
    "persons(first: 3) { edges { node { department { name } effectiveLevel lastContactOn } } }",
    "activitiesAggregate { count }", "office { name openOfficeObligations }",
)  # fmt: skip


@pytest.mark.parametrize("fields", LOOKED_UP)
async def test_of_a_tenant_not_counted_yet_rows_are_looked_up_by_more_than_the_tenant(
    explained: Explained, fields: str
) -> None:
    """To statistics that do not know it the tenant has no rows, and any index of it is as good."""
    platform = explained.platform
    tenant = await create_tenant(platform.pool, f"uncounted-{LOOKED_UP.index(fields)}")
    for name in platform.registry.plugins:
        await set_plugin(platform.pool, tenant, name, True)
    uncounted = replace(explained, access=await platform.system_access(tenant))
    plan = await uncounted.plan(f"{{ customers(first: 50) {{ edges {{ node {{ {fields} }} }} }} }}")
    scans = [node for node in _nodes(plan) if "Relation Name" in node]
    customers, *others = sorted(scans, key=lambda one: one["Relation Name"] != "customers_customer")
    assert customers["Relation Name"] == "customers_customer", "the page"
    assert others
    for one in others:
        condition = one.get("Index Cond", "")
        columns = [c for c in explained.indexes[one["Index Name"]] if _names(condition, c)]
        assert len(columns) > 1, f"{one['Relation Name']}: {one['Index Name']} by {condition}"


async def test_scores_that_are_asked_for_together_are_worked_out_once(explained: Explained) -> None:
    async def times(fields: str) -> int:
        document = f"{{ customers(first: 50) {{ edges {{ node {{ {fields} }} }} }} }}"
        plan = await explained.plan(document)
        scans = [node.get("Relation Name") for node in _nodes(plan)]
        return scans.count("relationships_cooperation")

    assert await times("relationshipScore") == 1
    assert await times(SCORES) == 1
    assert await times(" ".join(reversed(SCORES.split()))) == 1
    assert await times(f'{SCORES} a: organizationalScore(asOf: "2024-01-01")') == 2


async def test_every_filter_uses_an_index_of_its_column(explained: Explained) -> None:
    seen: set[str] = set()
    custom: set[str] = set()
    wrong = []
    for model, name, binding, operator in _filters(explained.schema):
        info, owner = binding.field, binding.owner
        if isinstance(owner, CustomValues):
            custom.add(info.kind)
        if operator in EXEMPT:
            continue
        if operator == "isNull" and (owner is not model or not info.nullable):
            continue
        if info.kind == "choice" and len(info.python) == 1:
            continue
        operand = _operand(info, _prefix(model, binding), operator, _number(model))
        document = (
            f"{{ {camel(model.info.plural)}(where: {{{name}: {{{operator}: {operand}}}}}) "
            "{ totalCount } }"
        )
        table, columns = _kept(binding)
        scans = await explained.conditions(document, table)
        seen.add(operator)
        if not _by_index(scans, columns):
            wrong.append(f"{model.info.name}.{name} {operator}: {scans}")
    assert wrong == []
    assert seen == {"eq", "in", "gt", "gte", "lt", "lte", "isNull"}
    assert custom == set(CUSTOM)


async def test_a_missing_index_is_noticed(explained: Explained, database: Scratch) -> None:
    document = f'{{ customers(where: {{name: {{gt: "t{CUSTOMERS - 50:06}"}}}}) {{ totalCount }} }}'
    index = "ix_customers_customer_tenant_id_name_id"
    assert _by_index(await explained.conditions(document, "customers_customer"), ["name"])
    owner = await asyncpg.connect(database.owner_url)
    try:
        await owner.execute(f"DROP INDEX {index}")
        scans = await explained.conditions(document, "customers_customer")
        await owner.execute(f"CREATE INDEX {index} ON customers_customer (tenant_id, name, id)")
        await owner.execute("ANALYZE customers_customer")
    finally:
        await owner.close()
    assert not _by_index(scans, ["name"])


async def test_the_exempt_operators_are_all_there_is_besides(explained: Explained) -> None:
    operators = {operator for *_, operator in _filters(explained.schema)}
    assert operators == {"eq", "in", "gt", "gte", "lt", "lte", "isNull", "ne", "notIn"}


def _relations(schema: Schema) -> Iterator[tuple[type[Model], str, Filterable]]:
    for model, where in schema.wheres_of.items():
        for name, entry in schema.wheres[where].items():
            if isinstance(entry.binding, ToOne | ToMany):
                yield model, name, entry


async def test_filters_through_relations_use_the_index_of_the_foreign_key(
    explained: Explained,
) -> None:
    wrong, count = [], 0
    for model, name, entry in _relations(explained.schema):
        binding = entry.binding
        rows = camel(model.info.plural)
        if isinstance(binding, ToMany):
            table, column = binding.reverse.model.info.table.name, binding.reverse.reference.column
            identity = _operand(model.info.fields["id"], model.info.prefix, "eq", OTHERS)
            where = f"{{id: {{eq: {identity}}}, {name}: {{some: {{}}}}}}"
        else:
            assert isinstance(binding, ToOne)
            table, column = binding.owner.info.table.name, binding.reference.column
            target = binding.reference.target
            identity = _operand(target.info.fields["id"], target.info.prefix, "eq", OTHERS)
            where = f"{{{name}: {{id: {{eq: {identity}}}}}}}"
        scans = await explained.conditions(f"{{ {rows}(where: {where}) {{ totalCount }} }}", table)
        count += 1
        if not any(
            index[:2] == ["tenant_id", column] and _names(condition, column)
            for index, condition in scans
        ):
            wrong.append(f"{model.info.name}.{name}: {scans}")
    assert wrong == []
    assert count > 30


async def test_nested_lists_use_the_index_of_the_foreign_key(explained: Explained) -> None:
    wrong = []
    for model, name, entry in _relations(explained.schema):
        if not isinstance(entry.binding, ToMany):
            continue
        reverse = entry.binding.reverse
        identity = _operand(model.info.fields["id"], model.info.prefix, "eq", OTHERS)
        one = model.info.name[0].lower() + model.info.name[1:]
        document = (
            f"{{ {one}(id: {identity}) {{ {name}(first: 5) {{ edges {{ node {{ id }} }} }} }} }}"
        )
        scans = await explained.conditions(document, reverse.model.info.table.name)
        column = reverse.reference.column
        if not any(index[:2] == ["tenant_id", column] for index, _ in scans):
            wrong.append(f"{model.info.name}.{name}: {scans}")
    assert wrong == []


async def test_aggregates_find_their_rows_by_the_index_of_the_filter(explained: Explained) -> None:
    wrong, count = [], 0
    for model, name, binding, operator in _filters(explained.schema):
        info = binding.field
        if operator != "eq" or (info.kind == "choice" and len(info.python) == 1):
            continue
        operand = _operand(info, _prefix(model, binding), operator, _number(model))
        document = (
            f"{{ {camel(model.info.plural)}Aggregate(where: {{{name}: {{{operator}: {operand}}}}}, "
            "groupBy: CREATED_AT, bucket: MONTH) "
            "{ count values { createdAt { max } } groups { count } groupCount } }"
        )
        table, columns = _kept(binding)
        scans = await explained.conditions(document, table)
        count += 1
        if not _by_index(scans, columns):
            wrong.append(f"{model.info.name}.{name} {operator}: {scans}")
    assert wrong == []
    assert count > 50


async def test_aggregates_of_lists_use_the_index_of_the_foreign_key(explained: Explained) -> None:
    wrong = []
    for model, name, entry in _relations(explained.schema):
        if not isinstance(entry.binding, ToMany):
            continue
        reverse = entry.binding.reverse
        identity = _operand(model.info.fields["id"], model.info.prefix, "eq", OTHERS)
        one = model.info.name[0].lower() + model.info.name[1:]
        parts = "{ count groups { count } groupCount }"
        document = f"{{ {one}(id: {identity}) {{ {name}Aggregate(groupBy: CREATED_AT) {parts} }} }}"
        scans = await explained.conditions(document, reverse.model.info.table.name)
        column = reverse.reference.column
        used = [index for index, _ in scans if index[:2] == ["tenant_id", column]]
        if len(used) < 3:  # for the count, for the groups, and for their number
            wrong.append(f"{model.info.name}.{name}: {scans}")
    assert wrong == []


@pytest.mark.parametrize(
    ("order", "column"),
    [
        ("NAME_ASC", "name"), ("NAME_DESC", "name"), ("CODE_ASC", "code"),
        ("CREATED_AT_DESC", "created_at"), ("ID_ASC", "id"),
    ],
)  # fmt: skip
async def test_a_page_is_read_in_order_from_the_index(
    explained: Explained, order: str, column: str
) -> None:
    page = "{ pageInfo { hasNextPage endCursor } edges { node { id name } } }"
    pool, tenant = explained.platform.pool, explained.access.installation.tenant
    first = f"{{ customers(first: 50, orderBy: {order}) {page} }}"
    async with pool.connection(tenant.id) as connection:
        middle = await connection.fetchrow(
            "SELECT * FROM customers_customer WHERE tenant_id = $1"
            " ORDER BY id OFFSET 10000 LIMIT 1",
            tenant.id,
        )
    next_ = first.replace("orderBy", f'after: "{_cursor(order, column, middle)}", orderBy')
    for document in (first, next_):
        plan = await explained.plan(document)
        limits = [node for node in _nodes(plan) if node["Node Type"] == "Limit"]
        scans = [
            node
            for limit in limits
            for node in _nodes(limit)
            if node.get("Relation Name") == "customers_customer"
        ]
        assert scans, plan
        for scan in scans:
            columns = explained.indexes[scan["Index Name"]]
            assert columns[:2] == ["tenant_id", column], (document, scan)
            assert document is first or _names(scan["Index Cond"], column), scan
        for limit in limits:
            below = [node["Node Type"] for node in _nodes(limit)]
            assert "customers_customer" not in str(limit) or "Sort" not in below, plan


@pytest.mark.parametrize("condition", ["gte: 5", "isNull: false"])
async def test_a_custom_field_with_a_condition_is_read_in_order_from_its_index(
    explained: Explained, condition: str
) -> None:
    plan = await explained.plan(
        f"{{ customers(first: 50, where: {{ ownInt: {{ {condition} }} }}, orderBy: [OWN_INT_ASC]) "
        "{ edges { node { ownInt ownText } } } }"
    )
    assert [node for node in _nodes(plan) if node["Node Type"] == "Sort"] == []
    scans = [node for node in _nodes(plan) if node.get("Relation Name") == "guanxi_custom_value"]
    indexes = [explained.indexes[scan["Index Name"]] for scan in scans]
    assert ["tenant_id", "field", "int", "id"] in indexes
    assert indexes.count(["tenant_id", "field", "id"]) == 2  # to show both, for 50 rows


def _cursor(order: str, column: str, row: Any) -> str:
    value = row[column]
    key = value.isoformat() if isinstance(value, dt.datetime) else str(value)
    keys = [order, key] if column == "id" else [order, key, str(row["id"])]
    return base64.urlsafe_b64encode(json.dumps(keys).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "document",
    [
        '{ customers(search: "t00012") { totalCount } }',
        '{ customers(search: "t00012", first: 5) { edges { cursor node { name } } } }',
        '{ customers(search: "t000123 xt000123", orderBy: [NAME_ASC]) { edges { node { id } } } }',
        '{ search(query: "t00012", first: 5) { totalCount edges { node { id } } } }',
    ],
)
async def test_a_search_is_a_range_of_the_tokens_index(explained: Explained, document: str) -> None:
    scans = await explained.conditions(document, "guanxi_search")
    assert scans
    for index, condition in scans:
        assert index == ["tenant_id", "field", "token"]
        assert all(_names(condition, column) for column in index)
        assert ">=" in condition
        assert "<" in condition
    for index, condition in await explained.conditions(document, "customers_customer"):
        assert index[:2] == ["tenant_id", "id"]
        assert _names(condition, "id")


LISTED = """{ customers(first: 50) { edges { node {
    code tier tierReasons { code message } openObligations
    keyScore generalScore organizationalScore relationshipScore } } } }"""


async def test_scores_and_obligations_of_a_list_are_looked_up_by_indexes(
    explained: Explained,
) -> None:
    """Each table of the plan is reached by an id of the row beside it, and none is read whole."""
    wrong, tables = [], set()
    for node in _nodes(await explained.plan(LISTED)):
        if table := node.get("Relation Name"):
            tables.add(table)
            columns = explained.indexes.get(node.get("Index Name"), [])
            named = [one for one in columns if _names(node.get("Index Cond", ""), one)]
            if table != "customers_customer" and len(named) < 2:
                wrong.append(f"{table}: {node['Node Type']} {columns} {node.get('Index Cond')}")
    assert wrong == []
    assert {
        "tiers_standing", "tiers_tier_obligation", "relationships_chain_seat",
        "relationships_level_assessment", "customers_department", "customers_activity_participant",
        "customers_activity", "relationships_cooperation",
    } <= tables  # fmt: skip
