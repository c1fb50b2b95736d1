"""Values of variables come out as graphql-core has them, or are left to it."""

from typing import Any

import pytest
from graphql import GraphQLError, OperationDefinitionNode, build_schema, parse
from graphql.execution.values import get_variable_values
from hypothesis import given
from hypothesis import strategies as st

from guanxi_graphql.execute.coercing import Coercion, Unusual

SCHEMA = build_schema(
    """
    enum Colour { RED GREEN }
    scalar Text
    input Inner { a: Int!, b: [String!], c: Colour, again: Inner }
    input Outer { id: ID!, inner: Inner, many: [Inner!]!, flag: Boolean, size: Float = 1.5 }
    input One @oneOf { a: Int, b: String }
    type Query { x: Int }
    """
)
TYPES = (
    "Int", "Int!", "String!", "ID", "Boolean", "Float", "Colour", "Text", "[Int!]", "[[String]!]!",
    "Inner", "Outer!", "One", "[Outer]",
)  # fmt: skip


def _upper(value: Any) -> str:
    if not isinstance(value, str):
        raise GraphQLError("no text")
    return value.upper()


SCHEMA.type_map["Text"].parse_value = _upper  # type: ignore[attr-defined]

_names = st.sampled_from(["id", "inner", "many", "flag", "size", "a", "b", "c", "again", "other"])
_leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([2**31, -(2**31), 1.0, 0.5]),
    st.sampled_from(["RED", "GREEN", "BLUE", "", "7"]),
)  # fmt: skip
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=8,
)
#: Mostly right, so that what is coerced here is seen, too.
_inner = st.fixed_dictionaries(
    {"a": st.integers(0, 9)},
    optional={"b": st.lists(st.text(max_size=2)), "c": st.sampled_from(["RED", "GREEN"])},
)
_outer = st.fixed_dictionaries(
    {"id": st.text(max_size=2), "many": st.lists(_inner, max_size=2), "size": st.just(0.5)},
    optional={"inner": _inner | st.none(), "flag": st.booleans()},
)


def both(type_: str, variables: dict[str, Any], default: str = "") -> tuple[Any, Any]:
    """What is coerced here (None for what is left to graphql-core), and what graphql-core says."""
    node = parse(f"query ($v: {type_}{default}) {{ x }}").definitions[0]
    assert isinstance(node, OperationDefinitionNode)
    definitions = node.variable_definitions
    try:
        found = Coercion(SCHEMA, definitions, {}).values(variables)
    except Unusual:
        found = None
    return found, get_variable_values(SCHEMA, definitions, variables)


@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(["v", "v", "w"]), _values | _outer))
def test_what_is_coerced_is_as_graphql_core_has_it(type_: str, variables: dict[str, Any]) -> None:
    found, expected = both(type_, variables)
    if found is not None:
        assert repr(found) == repr(expected)  # 1 and true are not the same


@given(_outer)
def test_plain_values_are_coerced_here(value: dict[str, Any]) -> None:
    found, expected = both("Outer!", {"v": value})
    assert found == expected == {"v": value}


@pytest.mark.parametrize(
    ("type_", "value"),
    [("Int", 2**31), ("Int", 1.0), ("[Int]", 1), ("Colour", "BLUE"), ("Inner", {}), ("ID", 7),
     ("One", {"a": 1, "b": "x"}), ("One", {"a": None}), ("Inner", {"a": 1, "x": 2}),
     ("Int!", None), ("Boolean", "true"), ("Text", 1), ("Outer", {"id": "1", "many": []})],
)  # fmt: skip
def test_everything_else_is_left_to_graphql_core(type_: str, value: Any) -> None:
    assert both(type_, {"v": value})[0] is None


def test_defaults_and_unknown_variables_are_left_to_graphql_core() -> None:
    assert both("Int", {}, " = 3") == (None, {"v": 3})
    assert both("Int", {"v": 1}, " = 3") == ({"v": 1}, {"v": 1})
    assert both("Int", {"w": 1}) == (None, {})
    assert both("Int!", {})[0] is None
