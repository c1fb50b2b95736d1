"""How servers whose schema is not ours are asked for the same, and what their answers mean.

Such a server has a document of its own for each workload. It knows neither global ids nor tenants,
so that rows are named by tenant and UUID. Its answer is told in our words before it is compared:
what our schema calls otherwise, or says besides, is put in here, and nothing else.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

_SCALARS = "code name nameEn lifecycle version"
_KINDS = {
    "customer": "customer",
    "customers": "customer",
    "persons": "person",
    "activities": "activity",
    "activity": "activity",
    "createActivity": "activity",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one server is asked, by workload, and how its data becomes ours."""

    documents: Mapping[str, str]
    translated: Callable[[Any], Any]

    def variables(self, ours: Mapping[str, Any], tenant_id: UUID) -> Mapping[str, Any]:
        """Our variables, in the way this module's documents take them."""
        if "input" in ours:
            given = ours["input"]
            own = {"tenantId": str(tenant_id), "status": "PLANNED"}
            return {"activity": {**given, **own, "customerId": _uuid(given["customerId"])}}
        return {"tenant": str(tenant_id), **{name: _uuid(value) for name, value in ours.items()}}


def cursor(*values: str) -> str:
    """A cursor as our schema has it: how a page is ordered and where its last row stands."""
    text = json.dumps(values, ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _uuid(value: str) -> str:
    return value.rpartition("_")[2]


def _with_global_ids(value: Any, kind: str = "") -> Any:
    if isinstance(value, list):
        return [_with_global_ids(each, kind) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: f"{kind}_{inner}" if name == "id" else _with_global_ids(inner, _KINDS.get(name, kind))
        for name, inner in value.items()
    }


def _end_cursor(edges: Sequence[Any]) -> str | None:
    last = edges[-1]["node"] if edges else None
    return cursor("NAME_ASC", last["name"], _uuid(last["id"])) if last else None


def _from_postgraphile(data: Any) -> Any:
    data = _with_global_ids(data)
    page = data.get("customers", {})
    if page.get("pageInfo", {}).get("endCursor"):
        page["pageInfo"]["endCursor"] = _end_cursor(page["edges"])
    if "createActivity" in data:
        data["createActivity"]["errors"] = []
    return data


def _from_strawchemy(data: Any) -> Any:
    total = data.pop("total", None)
    data = _with_global_ids(_with_connections(data))
    if "createActivity" in data:
        data["createActivity"] = {"activity": data["createActivity"], "errors": []}
    if total:  # it pages by offset, and has no cursor
        page, count = data["customers"], total["aggregations"]["count"]
        page["totalCount"] = count
        page["pageInfo"] = {
            "hasNextPage": count > len(page["edges"]), "endCursor": _end_cursor(page["edges"]),
        }  # fmt: skip
    return data


def _with_connections(value: Any) -> Any:
    if isinstance(value, list):
        return {"edges": [{"node": _with_connections(each)} for each in value]}
    if isinstance(value, dict):
        return {name: _with_connections(inner) for name, inner in value.items()}
    return value


#: The names are those that PostGraphile makes of tables and their keys.
POSTGRAPHILE = Dialect(
    {
        "W1": f"""query ($tenant: UUID!, $id: UUID!) {{
            customer: customersCustomerByTenantIdAndRowId(tenantId: $tenant, rowId: $id) {{
                id: rowId {_SCALARS}
            }}
        }}""",
        "W2": f"""query ($tenant: UUID!, $office: UUID!) {{
            customers: allCustomersCustomers(
                first: 50, condition: {{ tenantId: $tenant, officeId: $office, archivedAt: null }}
            ) {{ edges {{ node {{
                id: rowId {_SCALARS}
                office: customersOfficeByTenantIdAndOfficeId {{ name }}
                persons: customersPeopleByTenantIdAndCustomerId(
                    first: 10, condition: {{ archivedAt: null }}
                ) {{ edges {{ node {{
                    id: rowId name title role
                    department: customersDepartmentByTenantIdAndDepartmentId {{ name }}
                }} }} }}
                activities: customersActivitiesByTenantIdAndCustomerId(
                    first: 10, condition: {{ archivedAt: null }}
                ) {{ edges {{ node {{ id: rowId kind subject status plannedOn }} }} }}
            }} }} }}
        }}""",
        "W3": f"""query ($tenant: UUID!, $tier: String!) {{
            customers: allCustomersCustomers(
                first: 100, condition: {{ tenantId: $tenant, archivedAt: null }},
                filter: {{ tiersStandingByTenantIdAndRowId: {{ tier: {{ equalTo: $tier }} }} }},
                orderBy: [NAME_ASC]
            ) {{
                totalCount pageInfo {{ hasNextPage endCursor }}
                edges {{ node {{ id: rowId {_SCALARS} }} }}
            }}
        }}""",
        "W4": """mutation ($activity: CustomersActivityInput!) {
            createActivity: createCustomersActivity(input: { customersActivity: $activity }) {
                activity: customersActivity { id: rowId kind subject status plannedOn }
            }
        }""",
    },
    _from_postgraphile,
)

_OF_TIER = """filter: {
    tenantId: { eq: $tenant }, archivedAt: { isNull: true }, standing: { tier: { eq: $tier } }
}"""

STRAWCHEMY = Dialect(
    {
        "W1": f"""query ($tenant: UUID!, $id: UUID!) {{
            customer(tenantId: $tenant, id: $id) {{ id {_SCALARS} }}
        }}""",
        "W2": f"""query ($tenant: UUID!, $office: UUID!) {{
            customers(
                limit: 50, orderBy: [{{ id: ASC }}],
                filter: {{
                    tenantId: {{ eq: $tenant }}, officeId: {{ eq: $office }},
                    archivedAt: {{ isNull: true }}
                }}
            ) {{
                id {_SCALARS} office {{ name }}
                persons(limit: 10, orderBy: [{{ id: ASC }}]) {{
                    id name title role department {{ name }}
                }}
                activities(limit: 10, orderBy: [{{ id: ASC }}]) {{
                    id kind subject status plannedOn
                }}
            }}
        }}""",
        # A count beside nodes is that of the page, so the total is a field of its own.
        "W3": f"""query ($tenant: UUID!, $tier: String!) {{
            customers(limit: 100, orderBy: [{{ name: ASC }}, {{ id: ASC }}], {_OF_TIER}) {{
                id {_SCALARS}
            }}
            total: countedCustomers(limit: null, {_OF_TIER}) {{ aggregations {{ count }} }}
        }}""",
        "W4": """mutation ($activity: ActivityInput!) {
            createActivity(data: $activity) { id kind subject status plannedOn }
        }""",
    },
    _from_strawchemy,
)
