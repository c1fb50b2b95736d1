"""The gates before validation: what must pass, what must not, and how long either may take."""

import time

import pytest
from graphql import GraphQLError, build_schema, get_introspection_query

from guanxi_graphql.limits import (
    LimitExceeded,
    Limits,
    check_document,
    parse_limited,
    validate_limited,
    writes,
)

SCHEMA = build_schema(
    """
    input Filter { and: [Filter!] name: String }
    type Node { a(x: Int, where: Filter): Node b: Node list: [Node!] name(x: Int): String }
    type Query { a(x: Int, where: Filter): Node b: Node name: String }
    """
)
#: What GraphiQL 3 sends when it opens.
INTROSPECTION = get_introspection_query(
    descriptions=True,
    specified_by_url=True,
    directive_is_repeatable=True,
    schema_description=True,
    input_value_deprecation=True,
)
W2 = """
query W2($first: Int!) { customers(first: $first) { edges { node {
  id name nameZh tier tierScore createdAt
  owner { name }
  persons(first: 10) { edges { node { id name phone email } } }
  activities(first: 10) { edges { node { id kind subject at note person { name } } } }
} } } }
"""


def check(document: str, limits: Limits | None = None) -> None:
    limits = limits or Limits()
    check_document(parse_limited(document, limits), limits)


def binary(depth: int) -> str:
    return "name" if not depth else f"a {{ {binary(depth - 1)} }} a {{ {binary(depth - 1)} }}"


def chain(length: int, spreads: int = 1) -> str:
    links = (f"fragment F{i} on Node {{ {f'...F{i + 1} ' * spreads} }}" for i in range(length))
    return f"{{ b {{ ...F0 }} }} {' '.join(links)} fragment F{length} on Node {{ name }}"


def fan(width: int) -> str:
    spreads = " ".join(f"...F{i}" for i in range(width))
    fragments = " ".join(f"fragment F{i} on Node {{ name }}" for i in range(width))
    return f"{{ a {{ {spreads} }} a {{ {spreads} }} }} {fragments}"


@pytest.mark.parametrize(
    "document",
    [
        "{ name }",
        INTROSPECTION,
        W2,
        "{ ...A ...A ...A } fragment A on Query { a { b { name } } }",
        "query A { name } query B { name } " * 8,
        "{ a { " + " ".join(f"n{i}: name" for i in range(30)) + " } }",
        "{ name " + "@skip(if: true) " * 50 + "}",
        "{ " + "a { " * 11 + "name" + " }" * 12,
        "{ " + "a { edges { node { " * 11 + "name" + " } } }" * 11 + " }",
        "{ ...Missing }",
        chain(5, spreads=2),
    ],
)
def test_ordinary_documents_pass(document: str) -> None:
    check(document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{" + " " * 70_000 + "name}", "limit of 65,536 characters: it has 70,006"),
        ("{ " + "name " * 2_000 + "}", "limit of 2,000 tokens: it has more"),
        ("#\n" * 2_000 + "{ name }", "limit of 1,000 comments: it has more"),
        ("{" + "a{" * 600 + "name" + "}" * 601, "limit of 100 levels of nesting: it has more"),
        ("{ a(x: " + "[" * 900 + "]" * 900 + ") }", "levels of nesting"),
        ("{ " + "a { " * 12 + "name" + " }" * 13, "limit of 12 levels of depth: it has 13"),
        (
            "{ a { ...F } } fragment F on Node { " + "a { " * 11 + "name" + " }" * 12,
            "limit of 12 levels of depth: it has 13",
        ),
        (
            "{ __type(name: \"A\") { " + "ofType { " * 20 + "name" + " }" * 22,
            "limit of 20 levels of introspection: it has 21",
        ),
        ("{ a { " + " ".join(f"n{i}: name" for i in range(31)) + " } }", "30 aliases: it has 31"),
        (
            "{ a { ...F ...G } } fragment F on Node { " + "x: name y: name " * 8 + "}"
            "fragment G on Node { ...F }",
            "30 aliases: it has 32",
        ),
        ("{ " + "name " * 21 + "}", "limit of 20 root fields: it has 21"),
        ("{ ...F } fragment F on Query { " + "name " * 21 + "}", "20 root fields: it has 21"),
        ("{ ... { " + "name " * 21 + "} }", "20 root fields: it has 21"),
        (
            "{ " + "xsAggregate { ...F } " * 11 + "} fragment F on X { a { b } c ... { d e } }",
            "limit of 40 parts of aggregates: it has 44",
        ),
        ("{ name " + "@skip(if: true) " * 51 + "}", "limit of 50 directives: it has 51"),
        ("query " + "@a " * 51 + "{ name }", "limit of 50 directives: it has 51"),
        ("query ($v: Int " + "@a " * 51 + ") { name }", "limit of 50 directives: it has 51"),
        ("{ ...F } fragment F on Query " + "@a " * 51 + "{ name }", "50 directives: it has 51"),
        (chain(20, spreads=2), "limit of 5,000 selected fields and fragments"),
        (chain(60, spreads=2), "it has over a billion"),
        ("{ name } fragment F on Node { " + "name " * 1_900 + "}", "comparisons"),
        ("fragment F on Node { name } fragment F on Node { " + "name " * 900 + "} { b { ...F } }",
         "comparisons"),
        ("{ b { " + "name " * 150 + "} }", "limit of 5,000 comparisons of repeated fields"),
        ("{ " + binary(8) + "}", "comparisons of repeated fields"),
        (fan(120), "comparisons of repeated fields"),
        (chain(200), "levels of nesting"),
    ],
)  # fmt: skip
def test_hostile_documents_are_refused_quickly(document: str, message: str) -> None:
    best = 1.0
    for _ in range(3):  # the best of three: the collector may run in one
        start = time.thread_time()
        with pytest.raises(LimitExceeded) as refused:
            check(document)
        best = min(best, time.thread_time() - start)
    assert message in refused.value.message
    assert refused.value.extensions == {"code": "LIMIT_EXCEEDED"}
    assert "\n" not in refused.value.message
    assert best < 0.5  # what these are made of would take minutes


@pytest.mark.parametrize(
    "document",
    [
        "{ a { ...A ...B ...C } } "
        + " ".join(f"fragment {f} on Node {{ {'name b { name } ' * 19} }}" for f in "ABC"),
        "{ a { " + "name(x: 1) " * 95 + "} }",
        "{ " + "nothing " * 20 + "}",
        "{ " + binary(6) + "}",
        fan(34),
        " ".join(f"query Q{i} {{ a {{ b {{ name }} }} }}" for i in range(100)),
        "query (" + " ".join(f"$v{i}: Int" for i in range(450)) + ") { name }",
        "{ a(" + " ".join(f"x: {i}" for i in range(600)) + ") { name } }",
        "{ a(where: { and: [" + '{ name: "x" } ' * 300 + "] }) { name } }",
        "{ a(x: " + "9" * 60_000 + ") { name } }",
    ],
)
def test_validation_stays_quick_for_what_passes(document: str) -> None:
    parsed = parse_limited(document)
    check_document(parsed)
    best = 1.0
    for _ in range(3):
        start = time.thread_time()
        validate_limited(SCHEMA, parsed)
        best = min(best, time.thread_time() - start)
    assert best < 0.1


def test_validation_stops_early_and_suggests_nothing() -> None:
    unknown = " ".join(f"x{i}: nam{i}" for i in range(20))
    errors = validate_limited(SCHEMA, parse_limited(f"{{ {unknown} }}"))
    assert len(errors) == 11  # ten, and one that says that there are more
    assert "Did you mean" not in str(errors)


def test_fragments_in_a_circle_are_named() -> None:
    circle = "{ ...A } fragment A on Query { ...B } fragment B on Query { name ...A }"
    with pytest.raises(GraphQLError, match="A → B → A") as refused:
        check(circle)
    assert not isinstance(refused.value, LimitExceeded)
    with pytest.raises(GraphQLError, match="C → C"):
        check("{ name } fragment C on Query { ...C }")


def test_limits_are_settings() -> None:
    check("{ a { name } }", Limits(depth=2))
    with pytest.raises(LimitExceeded, match="limit of 1 levels of depth: it has 2"):
        check("{ a { name } }", Limits(depth=1))
    with pytest.raises(LimitExceeded, match="limit of 5 tokens"):
        parse_limited("{ a { name } }", Limits(tokens=5))


@pytest.mark.parametrize("text", [r'"\u0000"', r'"a\u{0}"', r'["x", {a: "\u{0000}"}]', '"\0"'])
def test_the_character_nul_is_refused(text: str) -> None:
    with pytest.raises(GraphQLError, match="NUL"):
        parse_limited(f"{{ a(x: {text}) {{ name }} }}")


def test_an_escaped_backslash_is_no_nul() -> None:
    parse_limited(r'{ a(x: "\\u0000") { name } }')


@pytest.mark.parametrize("text", [r'"\ud800"', r'"\udc00"', r'"\u{110000}"', '"\ud800"'])
def test_what_is_not_unicode_is_a_syntax_error(text: str) -> None:
    with pytest.raises(GraphQLError, match="Syntax Error"):
        parse_limited(f"{{ a(x: {text}) {{ name }} }}")


@pytest.mark.parametrize(
    ("document", "operation", "expected"),
    [
        ("{ name }", None, False),
        ("mutation { a }", None, True),
        ("subscription { a }", None, True),
        ("query A { a } mutation B { b }", "A", False),
        ("query A { a } mutation B { b }", "B", True),
        ("query A { a } mutation B { b }", None, True),
        ('{ a(x: "mutation") }', None, False),
        ("mutation {", None, False),
    ],
)
def test_writes_are_recognised(document: str, operation: str | None, expected: bool) -> None:
    assert writes(document, operation) is expected
