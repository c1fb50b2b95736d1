"""Documents that ask for as much as they can with as little as they can, by what they abuse.

Each is refused by a limit, or by validation within one: none of them may reach a resolver. Those
called by a CVE are of the kind that brought the system of that CVE down.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple


class Attack(NamedTuple):
    """A document with its variables, and the codes that refuse it."""

    document: str
    variables: Mapping[str, Any] = MappingProxyType({})
    codes: tuple[str, ...] = ("LIMIT_EXCEEDED",)


INVALID: Final = ("GRAPHQL_VALIDATION_FAILED", "LIMIT_EXCEEDED")


def aliased(count: int, field: str) -> str:
    return " ".join(f"a{n}: {field}" for n in range(count))


def nested(levels: int, around: str, inside: str) -> str:
    return f"{around} {{ " * levels + inside + " }" * levels


def pages(levels: int, size: str = "(first: 500)") -> str:
    """Customers with their persons, with their customer, with its persons …"""
    inner = "id"
    for _ in range(levels):
        inner = f"id customer {{ persons{size} {{ edges {{ node {{ {inner} }} }} }} }}"
    persons = f"persons{size} {{ edges {{ node {{ {inner} }} }} }}"
    return f"customers{size} {{ edges {{ node {{ id {persons} }} }} }}"


def doubling(levels: int, leaf: str = "name", on: str = "Customer") -> str:
    """Fragments that each spread the next one twice."""
    links = (f"fragment F{n} on {on} {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels))
    return f"{' '.join(links)} fragment F{levels} on {on} {{ {leaf} }}"


def binary(levels: int) -> str:
    """Two equal fields at each level, whose merging validation has to prove."""
    if not levels:
        return "name"
    inner = binary(levels - 1)
    return f"parent {{ {inner} }} parent {{ {inner} }}"


def conflicting(count: int) -> str:
    """One response key, asked for in many ways."""
    return " ".join(f'x: node(id: "{n}") {{ id }}' for n in range(count))


def where(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {"name": {"eq": "x"}}
    for _ in range(levels):
        found = {"AND": [found, found]} if levels < 12 else {"NOT": found}
    return found


ONE: Final = "{ edges { node { id } } }"
FULL: Final = "types { name fields { name args { name type { name } } type { name } } }"
QUERY: Final = '__type(name: "Query") { fields { args { name } type { fields { name } } } }'
AGAIN: Final[dict[str, Any]] = {"customer": {"persons": {"some": {}}}}
FILTERED: Final = "query ($w: CustomerWhere) { customers(where: $w) { totalCount } }"
ATTACKS: Final[dict[str, Attack]] = {
    # aliases and nesting: CVE-2026-33756, CVE-2026-35401
    "aliases": Attack(f"{{ {aliased(500, 'tenant { name }')} }}"),
    "aliases of a mutation": Attack(
        f"mutation {{ {aliased(100, 'archiveCustomer(id: 1) { errors { code } }')} }}"
    ),
    "aliases within": Attack(
        f"{{ customers {{ edges {{ node {{ {aliased(200, 'owner { name }')} }} }} }} }}"
    ),
    "root fields": Attack("{ " + "tenant { name } " * 200 + "}"),
    "depth": Attack(f"{{ customers {{ edges {{ node {{ {nested(40, 'parent', 'id')} }} }} }} }}"),
    "braces": Attack("{" + "a{" * 900 + "b" + "}" * 901),
    "pages in pages": Attack(f"{{ {pages(2)} }}"),
    "pages in pages by variables": Attack(
        f"query ($n: Int) {{ {pages(2, '(first: $n)')} }}", {"n": 500}
    ),
    "pages in pages without sizes": Attack(f"{{ {pages(2, '')} }}"),
    "aliased pages": Attack(f"{{ {aliased(20, pages(0, '(first: 60)'))} }}"),
    "a page too long": Attack(f"{{ customers(first: 501) {ONE} }}", {}, ("INVALID",)),
    "a page too long by a variable": Attack(
        f"query ($n: Int) {{ customers(first: $n) {ONE} }}", {"n": 2**31 - 1}, ("INVALID",)
    ),
    # fragments
    "a circle": Attack("{ ...A } fragment A on Query { ...A }", {}, INVALID),
    "a long circle": Attack(
        "{ ...F0 } "
        + " ".join(f"fragment F{n} on Query {{ ...F{(n + 1) % 60} }}" for n in range(60)),
        {}, INVALID,
    ),
    "a circle through fields": Attack(
        "{ customers { edges { node { ...A } } } } fragment A on Customer { parent { ...A } }",
        {}, INVALID,
    ),
    "a circle that nobody spreads": Attack(
        "{ tenant { name } } fragment A on Query { ...B } fragment B on Query { ...A }", {}, INVALID
    ),
    "doubling fragments": Attack(
        f"{{ customers {{ edges {{ node {{ ...F0 }} }} }} }} {doubling(40)}"
    ),
    "doubling fragments that nobody spreads": Attack(f"{{ tenant {{ name }} }} {doubling(40)}"),
    "many fragments": Attack(
        "{ " + " ".join(f"...F{n}" for n in range(300)) + " } "
        + " ".join(f"fragment F{n} on Query {{ __typename }}" for n in range(300))
    ),
    "a chain of fragments": Attack(
        "{ ...F0 } " + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(250))
        + " fragment F250 on Query { __typename }"
    ),
    # validation that is quadratic: overlapping fields
    "equal fields": Attack("{ customers { edges { node { " + "name " * 1_500 + "} } } }"),
    "equal fields with arguments": Attack(f"{{ {conflicting(150)} }}"),
    "a tree of equal fields": Attack(f"{{ customers {{ edges {{ node {{ {binary(7)} }} }} }} }}"),
    "equal inline fragments": Attack(
        "{ customers { edges { node { " + "... { name } ... on Customer { name } " * 150 + "} } } }"
    ),
    # directives
    "directives": Attack("{ tenant { name " + "@include(if: true) " * 300 + "} }"),
    "unknown directives": Attack("{ tenant { name " + "@a@b@c" * 200 + "} }"),
    "directives of an operation": Attack(
        "query " + "@skip(if: false) " * 200 + "{ tenant { id } }"
    ),
    "directives of fragments": Attack(
        "{ " + "...F @include(if: true) " * 120 + "} fragment F on Query { __typename }"
    ),
    # text
    "tokens": Attack("{ " + "tenant{name}" * 2_000 + "}"),
    "characters": Attack("{ tenant { name } }" + " " * 70_000),
    "comments": Attack("#\n" * 20_000 + "{ tenant { name } }"),
    "commas": Attack("{ tenant { name" + "," * 66_000 + "} }"),
    "a string": Attack('{ node(id: "' + "x" * 70_000 + '") { id } }'),
    "a block string": Attack('{ node(id: """' + "\\n " * 30_000 + '""") { id } }'),
    "a list in the document": Attack(
        "{ nodes(ids: [" + '"a" ' * 1_950 + "]) { id } }", {}, ("LIMIT_EXCEEDED",)
    ),
    "lists in lists": Attack("{ node(id: " + "[" * 900 + "]" * 900 + ") { id } }"),
    "variables that are declared": Attack(
        "query (" + " ".join(f"$v{n}: Int = {n}" for n in range(600)) + ") { tenant { name } }"
    ),
    "unknown fields": Attack(
        "{ tenant { " + " ".join(f"nam{n}" for n in range(600)) + " } }", {}, INVALID
    ),
    "operations": Attack(" ".join(f"query Q{n} {{ tenant {{ name }} }}" for n in range(400))),
    # variables
    "ids": Attack("query ($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": ["x"] * 20_000}),
    "values of a filter": Attack(FILTERED, {"w": {"code": {"in": ["x"] * 20_000}}}),
    "conditions": Attack(FILTERED, {"w": {"OR": [{}] * 20_000}}),
    "conditions in conditions": Attack(FILTERED, {"w": where(11)}),
    "deep conditions": Attack(FILTERED, {"w": where(28)}),
    "relations in relations": Attack(
        FILTERED, {"w": {"OR": [{"persons": {"some": AGAIN}}] * 400}}
    ),
    "many lists": Attack(FILTERED, {"w": {"AND": [{"code": {"in": ["x"] * 400}}] * 60}}),
    "orders": Attack(
        "query ($o: [CustomerOrderBy!]) { customers(orderBy: $o) { totalCount } }",
        {"o": ["NAME_ASC"] * 10_000},
    ),
    # introspection
    "introspection in circles": Attack(
        "{ __schema { types { " + "fields { type { " * 4 + "name" + " } }" * 4 + " } } }",
        {}, INVALID,
    ),
    "introspection several times": Attack(f"{{ {aliased(8, f'__schema {{ {FULL} }}')} }}"),
    "introspection within, several times": Attack(f"{{ __schema {{ {aliased(8, FULL)} }} }}"),
    "introspection by fragments": Attack(
        f"{{ {aliased(15, '__schema { ...S }')} }} fragment S on __Schema {{ {FULL} }}"
    ),
    "introspection of a type": Attack(
        f"{{ {aliased(20, QUERY)} }}", {}, INVALID
    ),
    "introspection of possible types": Attack(
        "{ __schema { types { possibleTypes { possibleTypes { possibleTypes { name } } } } } }",
        {}, INVALID,
    ),
    "types of types": Attack(
        "{ __schema { queryType { fields { type { " + nested(24, "ofType", "name") + " } } } } }"
    ),
}  # fmt: skip
