"""The workloads: GraphQL documents and the variables that clients send with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks.dataset import Dataset
from benchmarks.dialects import Dialect

_SCALARS = "id code name nameEn lifecycle version"
_LISTS = """
    persons(first: 10) { edges { node { id name title role department { name } } } }
    activities(first: 10) { edges { node { id kind subject status plannedOn } } }
"""


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request."""

    name: str
    title: str
    goal: float  # least ratio
    document: str
    connections: int = 16
    of: str = "limit"  # what the ratio is to: the limit, or another workload of guanxi itself
    writes: bool = False

    def variables(self, data: Dataset) -> list[dict[str, Any]]:
        """The variables of subsequent requests; no two neighbours ask for the same rows."""
        return _VARIABLES[self.name](data)

    def bodies(self, data: Dataset, dialect: Dialect | None = None) -> list[bytes]:
        """The bodies of subsequent requests, to a server of ours or one with a dialect."""
        query = " ".join((dialect.documents[self.name] if dialect else self.document).split())
        return [
            msgspec.json.encode(
                {
                    "query": query,
                    "variables": dialect.variables(ours, data.tenant_id) if dialect else ours,
                }
            )
            for ours in self.variables(data)
        ]


WORKLOADS = (
    Workload(
        "W1", "one customer by id, 6 scalars", 0.6,
        f"query ($id: ID!) {{ customer(id: $id) {{ {_SCALARS} }} }}",
    ),
    Workload(
        "W2", "50 customers with office, 10 persons and 10 activities each", 0.9,
        f"""query ($office: ID!) {{
            customers(first: 50, where: {{ officeId: {{ eq: $office }} }}) {{
                edges {{ node {{ {_SCALARS} office {{ name }} {_LISTS} }} }}
            }}
        }}""",
        connections=4,
    ),
    Workload(
        "W3", "page of 100 customers of a tier by name, with totalCount", 0.9,
        f"""query ($tier: Tier!) {{
            customers(first: 100, where: {{ tier: {{ eq: $tier }} }}, orderBy: [NAME_ASC]) {{
                totalCount pageInfo {{ hasNextPage endCursor }} edges {{ node {{ {_SCALARS} }} }}
            }}
        }}""",
    ),
    Workload(
        "W4", "create an activity and select it back", 0.5,
        """mutation ($input: CreateActivityInput!) {
            createActivity(input: $input) {
                activity { id kind subject status plannedOn } errors { path message }
            }
        }""",
        writes=True,
    ),
    Workload(
        "W5", "W2 and one Python field of each customer", 0.6,
        f"""query ($office: ID!) {{
            customers(first: 50, where: {{ officeId: {{ eq: $office }} }}) {{
                edges {{ node {{ {_SCALARS} label office {{ name }} {_LISTS} }} }}
            }}
        }}""",
        connections=4, of="W2",
    ),
    Workload(
        "W6", "50 customers with tier, reasons, three scores and open obligations", 0.5,
        f"""query ($office: ID!) {{
            customers(first: 50, where: {{ officeId: {{ eq: $office }} }}) {{
                edges {{ node {{ {_SCALARS} tier tierReasons {{ code message messageZh }}
                    keyScore generalScore organizationalScore openObligations }} }}
            }}
        }}""",
        connections=4, of="W2",
    ),
)  # fmt: skip


def _by_id(data: Dataset) -> list[dict[str, Any]]:
    return [{"id": f"customer_{customer}"} for customer in data.customers]


def _by_office(data: Dataset) -> list[dict[str, Any]]:
    return [{"office": f"office_{office}"} for office in data.offices]


def _by_tier(_: Dataset) -> list[dict[str, Any]]:
    return [{"tier": tier} for tier in "SABC"]


def _new_activities(data: Dataset) -> list[dict[str, Any]]:
    return [
        {
            "input": {
                "customerId": f"customer_{customer}",
                "kind": "VISIT",
                "subject": f"回访 {number}",
                "plannedOn": "2026-03-01",
            }
        }
        for number, customer in enumerate(data.customers)
    ]


_VARIABLES = {
    "W1": _by_id,
    "W2": _by_office,
    "W3": _by_tier,
    "W4": _new_activities,
    "W5": _by_office,
    "W6": _by_office,
}


def comparable(answer: bytes, dialect: Dialect | None = None) -> Any:
    """An answer in our words, without what differs from request to request: a new row's id."""
    data = msgspec.json.decode(answer)
    if dialect and data.get("data"):
        data["data"] = dialect.translated(data["data"])
    created: Mapping[str, Any] = (data.get("data") or {}).get("createActivity") or {}
    if created.get("activity"):
        created["activity"]["id"] = created["activity"]["id"].partition("_")[0]
    return data


def flaw(answer: bytes, expected: int) -> str | None:
    """What is wrong with an answer, if anything: errors in it, or much less than expected."""
    try:
        data = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        return f"is not JSON: {answer[:200]!r}"
    if errors := _errors(data):
        return f"has errors: {msgspec.json.encode(errors)[:300].decode()}"
    if abs(len(answer) - expected) > expected / 10:
        return f"has {len(answer)} bytes instead of about {expected}"
    return None


def _errors(data: Mapping[str, Any]) -> Sequence[Any]:
    created = (data.get("data") or {}).get("createActivity") or {}
    found: Sequence[Any] = data.get("errors") or created.get("errors") or ()
    return found if found or data.get("data") else ["no data"]
