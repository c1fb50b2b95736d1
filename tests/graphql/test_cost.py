"""What documents cost: by the sizes of their lists, with their variables, against the limit."""

import json
from typing import Any

import pytest
from graphql import (
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
    get_introspection_query,
    parse,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from with_every_kind import Lab

from guanxi_core.editions import compose
from guanxi_core.limits import DEFAULT, Limits
from guanxi_customers import Customers
from guanxi_graphql.cost import ASSUMED, WRITE, Price
from guanxi_graphql.schema import schema_of
from guanxi_tiers import Tiers
from guanxi_webhooks import Webhooks

SCHEMA = schema_of(compose([Customers, Tiers]))
#: What GraphiQL sends when it opens.
INTROSPECTION = get_introspection_query(
    descriptions=True, specified_by_url=True, directive_is_repeatable=True,
    schema_description=True, input_value_deprecation=True,
)  # fmt: skip


def price(document: str, schema: Any = SCHEMA) -> Price:
    definitions = parse(document).definitions
    (operation,) = (d for d in definitions if isinstance(d, OperationDefinitionNode))
    fragments = {d.name.value: d for d in definitions if isinstance(d, FragmentDefinitionNode)}
    return Price(schema, operation, fragments)


def edges(inner: str) -> str:
    return f"{{ edges {{ node {{ {inner} }} }} }}"


@pytest.mark.parametrize(
    ("document", "cost"),
    [
        ("{ tenant { name currency } }", 1),
        ("{ customer(id: 1) { id name } }", 1),
        ("{ person(id: 1) { id customer { id office { name } } } }", 3),
        (f"{{ customers {edges('id')} }}", 50),
        (f"{{ customers(first: 7) {edges('id')} }}", 7),
        (f"{{ customers(last: 3) {edges('id')} }}", 3),
        (f"{{ customers(first: null) {edges('id')} }}", 50),
        (f"{{ customers(first: -1) {edges('id')} }}", 0),
        ("{ customers(first: 7) { totalCount pageInfo { hasNextPage } edges { cursor } } }", 1),
        (f"{{ customers(first: 7) {edges('id office { name }')} }}", 14),
        (f"{{ customers(first: 7) {edges('persons(first: 3) ' + edges('name'))} }}", 7 * 4),
        (f"{{ customers(first: 7) {edges('persons(first: 3) { totalCount }')} }}", 7 * 2),
        (f"{{ customers(first: 2) {edges('tierReasons { code }')} }}", 2 * (1 + ASSUMED)),
        (f'{{ search(query: "x", first: 4) {edges("id")} }}', 4),
        ("{ customersAggregate { count } }", 1),
        ("{ customersAggregate(groupBy: [TIER]) { groups { count } } }", 1 + 50),
        ("{ customersAggregate(groupBy: [TIER], first: 3) { groups { key { tier } } } }", 1 + 6),
        ('{ nodes(ids: ["a", "b", "c"]) { id } }', 3),
        ('{ nodes(ids: "a") { id } }', 1),
        ('{ nodes(ids: ["a"]) { ... on Customer { office { id } } ... on Node { id } } }', 2),
        (f"{{ a: customers(first: 2) {edges('id')} b: customers(first: 3) {edges('id')} }}", 5),
        (f"{{ customers(first: 2) {edges('id')} customers(first: 2) {edges('name')} }}", 2),
        ("{ ...T ...T } fragment T on Query { tenant { name } }", 1),
        (f"{{ customers(first: 2) {edges('... on Customer { office { id } }')} }}", 4),
        (f"{{ customers(first: 2) {edges('... on Node { id }')} }}", 2),
        ("{ tenant @skip(if: true) { name } viewer @include(if: false) { name } }", 0),
        ("{ tenant @skip(if: false) { name } ... @include(if: true) { viewer { name } } }", 2),
        ("{ __typename __schema { types { name } } }", 0),
        ('mutation { archiveCustomer(id: 1) { customer { id } errors { code } } }',
         WRITE + 1 + ASSUMED),
    ],
)  # fmt: skip
def test_the_cost_is_the_number_of_objects(document: str, cost: int) -> None:
    made = price(document)
    assert not made.varies
    assert made.cost({}) == cost


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 600), min_size=1, max_size=4),
    shown=st.booleans(), given=st.booleans(),
)  # fmt: skip
def test_variables_cost_what_literals_do(sizes: list[int], shown: bool, given: bool) -> None:
    def nest(level: int, written: Any) -> str:
        inner = "name" if level == len(sizes) - 1 else f"customer {{ {nest(level + 1, written)} }}"
        switch = f"@include(if: {written('shown', shown)})"
        size = f"(first: {written(f'n{level}', sizes[level])})" if given else ""
        return f"persons{size} {switch} {edges(inner)}"

    literal = f"{{ customer(id: 1) {{ {nest(0, lambda _, value: json.dumps(value))} }} }}"
    varying = f"query Q {{ customer(id: 1) {{ {nest(0, lambda name, _: f'${name}')} }} }}"
    variables = {f"n{n}": size for n, size in enumerate(sizes)} | {"shown": shown}
    expected = 0
    for size in reversed(sizes):
        expected = (size if given else 50) * (1 + (1 + expected if size is not sizes[-1] else 0))
    assert price(varying).varies
    assert price(varying).cost(variables) == price(literal).cost({})


def test_one_switch_that_is_on_is_enough() -> None:
    made = price(
        "query ($a: Boolean!, $b: Boolean!) { tenant @include(if: $a) { name } "
        "tenant @skip(if: $b) { name } ... @include(if: $a) { viewer @skip(if: $b) { name } } }"
    )
    costs = {(a, b): made.cost({"a": a, "b": b}) for a in (True, False) for b in (True, False)}
    assert costs == {(True, True): 1, (True, False): 2, (False, True): 0, (False, False): 1}


def test_lists_are_as_long_as_a_tenant_lets_them_be() -> None:
    limits = Limits(list_size=20)
    price("{ customers(first: 20) { totalCount } }").check(limits, {})
    for document, variables in (
        ("{ customers(first: 21) { totalCount } }", {}),
        ("{ customers { totalCount } }", {}),  # 50, because nothing is said
        ("query ($n: Int) { customers(last: $n) { totalCount } }", {"n": 21}),
        ("query ($n: Int) { customers(first: $n) { totalCount } }", {}),
    ):
        with pytest.raises(GraphQLError, match="must be at most 20: page with cursors"):
            price(document).check(limits, variables)
    ids = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    price(ids).check(limits, {"ids": ["x"] * 20})
    with pytest.raises(GraphQLError, match="more than 20 ids"):
        price(ids).check(limits, {"ids": ["x"] * 21})


@pytest.mark.parametrize("plugins", [[], [Customers], [Customers, Tiers, Webhooks], [Lab]])
def test_tools_may_look_at_the_whole_schema(plugins: list[Any]) -> None:
    schema = schema_of(compose(plugins))
    price(INTROSPECTION, schema).check(DEFAULT, {})
    one = '{ __type(name: "Query") { fields { name args { name type { name } } type { name } } } }'
    price(one, schema).check(DEFAULT, {})
    twice = "{ " + " ".join(f"a{n}: __schema {{ ...S }}" for n in range(3)) + " } "
    part = "types { name fields { name args { name } } inputFields { name } enumValues { name } }"
    with pytest.raises(GraphQLError, match="introspected elements"):
        price(f"{twice} fragment S on __Schema {{ {part} }}", schema).check(DEFAULT, {})


async def test_the_cost_is_told_to_those_who_ask(guanxi: Any) -> None:
    from guanxi_graphql.execute.engine import Engine
    from guanxi_graphql.requests import Request

    app = await guanxi(Lab())
    engine, access = Engine(app.platform), await app.access()
    document = "query ($n: Int) { sites(first: $n) { edges { node { id } } } }"

    async def ask(extensions: Any, text: str = document, **variables: Any) -> Any:
        request = Request(query=text, variables=variables, extensions=extensions)
        return json.loads((await engine.answer(access, request)).body)

    for nothing in (None, {}, {"cost": False}, {"cost": 1}, {"cost": None}, {"other": True}):
        assert "extensions" not in await ask(nothing, n=9)
    told = {"requested": 9, "limit": DEFAULT.cost}
    assert (await ask({"cost": True}, n=9))["extensions"] == {"cost": told}
    dear = "{ " + " ".join(f"a{n}: sites(first: 500) {{ edges {{ node {{ id }} }} }}"
                           for n in range(20)) + " }"  # fmt: skip
    answer = await ask({"cost": True}, dear)
    assert answer["extensions"]["cost"]["requested"] == 10_000
    refused = await ask({"cost": True}, "{ nothing }")
    assert "extensions" not in refused
