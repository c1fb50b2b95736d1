"""Hostile documents and variables: refused in plain words, never an internal error, no echo."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, get_named_type, get_nullable_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from with_every_kind import Site

from guanxi_core.access import Access
from guanxi_core.editions import compose
from guanxi_graphql.compile.filters import DEEPEST
from guanxi_graphql.schema import schema_of
from guanxi_sdk import PluginError
from plugin_packages import Packages
from reference.laboratory import Laboratory
from reference.worlds import make_world, uuid_of

#: In every hostile text; no error may hold it.
CANARY = "CANARY"
CODES = {
    "INVALID", "NOT_FOUND", "FORBIDDEN", "LIMIT_EXCEEDED", "GRAPHQL_VALIDATION_FAILED",
    "BAD_REQUEST", "PLUGIN_FAILED",
}  # fmt: skip
SITE = f"site_{uuid_of(Site, 1)}"
FILTERED = "query ($w: ResearcherWhere) { researchers(where: $w) { totalCount } }"


@pytest.fixture(scope="module")
async def caller(laboratory: Laboratory) -> Access:
    """Somebody who may do everything in a world of some rows, which is nobody else's."""
    return await laboratory.settle(make_world(9))


async def _ask(
    laboratory: Laboratory, access: Access, document: str, variables: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The answer, once it is known to tell nothing that it must not."""
    reply = await laboratory.engine.execute(access, document, variables or {})
    answer: dict[str, Any] = json.loads(reply.body)
    errors = answer.get("errors", [])
    assert "data" in answer or errors
    for error in errors:
        assert error["extensions"]["code"] in CODES, error
        assert "Did you mean" not in error["message"]
        assert not any(inside in error["message"] for inside in ("Traceback", "SELECT", "$1"))
    assert CANARY not in json.dumps(errors)
    return answer


async def _code(
    laboratory: Laboratory, access: Access, document: str, variables: dict[str, Any] | None = None
) -> str:
    """The code with which a document is refused as a whole."""
    answer = await _ask(laboratory, access, document, variables)
    assert "data" not in answer, answer
    code: str = answer["errors"][0]["extensions"]["code"]
    return code


# --- texts, numbers, enum values -------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ({"name": {"eq": "CANARY\0"}}, "INVALID"),
        ({"name": {"eq": "CANARY\ud800"}}, "INVALID"),
        ({"name": {"in": ["fine", "CANARY\0"]}}, "INVALID"),
        ({"name": {"notIn": ["CANARY\ud800"]}}, "INVALID"),
        ({"chief": {"nick": {"gt": "CANARY\0"}}}, "INVALID"),
        ({"pay": {"eq": {"amount": "1.005", "currency": "CNY"}}}, "INVALID"),
        ({"pay": {"eq": {"amount": "1", "currency": CANARY}}}, "INVALID"),
        ({"pay": {"gt": {"amount": "9" * 20, "currency": "CNY"}}}, "INVALID"),
        ({"pay": {"gt": {"amount": "1e5CANARY", "currency": "CNY"}}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"pay": {"gt": {"amount": "NaN", "currency": "CNY"}}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"pay": {"gt": {"amount": "١", "currency": "CNY"}}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"age": {"eq": 2**31}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"age": {"eq": 10**400}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"age": {"eq": True}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"age": {"eq": "CANARY"}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"speed": {"eq": float("nan")}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"speed": {"eq": float("inf")}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"speed": {"eq": 10**400}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"colour": {"eq": "CANARY' does not exist in 'x"}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"colour": {"eq": "red"}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"colour": {"eq": ["CANARY; CANARY: "]}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"born": {"eq": "CANARY at 'CANARY'; x"}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"born": {"eq": "2024-02-30"}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"born": {"eq": "20240101"}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"seen": {"eq": "2024-01-01T00:00:00"}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"CANARY": {"eq": 1}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"CANARY; x: y' at 'z'": 1}, "GRAPHQL_VALIDATION_FAILED"),
        ({"name": {"CANARY": 1}}, "GRAPHQL_VALIDATION_FAILED"),
        ({"name": CANARY}, "GRAPHQL_VALIDATION_FAILED"),
        ([{}, {}], "GRAPHQL_VALIDATION_FAILED"),
        (CANARY, "GRAPHQL_VALIDATION_FAILED"),
    ],
    ids=repr,
)
async def test_a_wrong_value_is_refused_without_being_repeated(
    laboratory: Laboratory, caller: Access, where: Any, code: str
) -> None:
    assert await _code(laboratory, caller, FILTERED, {"w": where}) == code


async def test_the_place_of_a_wrong_value_is_told(laboratory: Laboratory, caller: Access) -> None:
    where = {"AND": [{}, {"chief": {"age": {"gte": "CANARY at 'w.name'; 5"}}}]}
    answer = await _ask(laboratory, caller, FILTERED, {"w": where})
    assert [error["message"] for error in answer["errors"]] == [
        "Variable '$w' got an invalid value at 'w.AND[1].chief.age.gte'; "
        "Int cannot represent non-integer value."
    ]


async def test_an_infinite_literal_compares_and_is_not_stored(
    laboratory: Laboratory, caller: Access
) -> None:
    below = "{ researchers(where: {height: {lt: 1e999}}) { totalCount } }"
    everybody = "{ researchers { totalCount } }"
    assert await _ask(laboratory, caller, below) == await _ask(laboratory, caller, everybody)
    made = await _ask(
        laboratory,
        caller,
        'mutation { createExperiment(input: {title: "x", effort: 1e999, leaderId: "x"}) '
        "{ experiment { id } errors { path } } }",
    )
    assert made["data"]["createExperiment"] == {
        "experiment": None, "errors": [{"path": "effort"}, {"path": "leaderId"}]
    }  # fmt: skip


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "0001-01-02"])
async def test_the_first_and_the_last_day_are_days(
    laboratory: Laboratory, caller: Access, day: str
) -> None:
    code = f"limit {day}"
    made = await _ask(
        laboratory,
        caller,
        "mutation ($i: CreateSiteInput!) { createSite(input: $i) { site { opened } "
        "errors { message } } }",
        {"i": {"code": code, "name": "x", "opened": day}},
    )
    assert made["data"]["createSite"] == {"site": {"opened": day}, "errors": []}
    found = await _ask(
        laboratory,
        caller,
        "query ($d: Date, $c: String) { sites(where: {opened: {gte: $d, lte: $d}, "
        "code: {eq: $c}}) { totalCount } }",
        {"d": day, "c": code},
    )
    assert found == {"data": {"sites": {"totalCount": 1}}}


# --- ids -------------------------------------------------------------------------------------

MISSING = "site_01980001-0000-7000-8000-0000ffffffff"
MALFORMED = [
    "", "site", "site_", "_", SITE.upper(), SITE.replace("site_", "Site_"), SITE[5:],
    SITE.replace("-", ""), SITE + " ", " " + SITE, f"site_{{{SITE[5:]}}}", "site_CANARY",
    "researcher_" + SITE[5:], "nothing_" + SITE[5:], "tenant_" + SITE[5:], "site_\0", "x" * 5000,
    "site_" + SITE[5:].replace("-", "")[:32] + "----", "0", "-1", "__typename",
]  # fmt: skip


@pytest.mark.parametrize("identity", MALFORMED, ids=lambda text: repr(text[:24]))
async def test_a_malformed_id_answers_as_a_missing_one(
    laboratory: Laboratory, caller: Access, identity: str
) -> None:
    document = (
        "query ($id: ID!, $ids: [ID!]!) { site(id: $id) { id } node(id: $id) { id } "
        "nodes(ids: $ids) { id } eq: sites(where: {id: {eq: $id}}) { totalCount } "
        "ne: sites(where: {id: {ne: $id}}) { totalCount } "
        "in: sites(where: {id: {in: $ids}}) { totalCount } "
        "notIn: sites(where: {id: {notIn: $ids}}) { totalCount } "
        "by: researchers(where: {siteId: {eq: $id}}) { totalCount } "
        "not: researchers(where: {formerSiteId: {ne: $id}}) { totalCount } }"
    )
    if "\0" in identity:
        document = document.replace("nodes(ids: $ids) { id } ", "")
    answers = [
        await _ask(laboratory, caller, document, {"id": one, "ids": [one]})
        for one in (identity, MISSING)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["data"]["site"] is None


async def test_a_malformed_id_writes_nothing(laboratory: Laboratory, caller: Access) -> None:
    document = (
        "mutation ($id: ID!) { archiveSite(id: $id) { site { id } errors { code path } } "
        "updateSite(id: $id, version: 1, input: {motto: null}) { errors { code path } } "
        "appraise(siteId: $id) { result { code } errors { code path } } "
        'createSite(input: {code: "y", name: "x", opened: "2020-01-01"}) { errors { code } } '
        'again: createSite(input: {code: "y", name: "x", opened: "2020-01-01"}) '
        "{ errors { code path } } }"
    )
    first = await _ask(laboratory, caller, document, {"id": MISSING})
    assert first["data"]["archiveSite"] == {
        "site": None, "errors": [{"code": "NOT_FOUND", "path": "id"}]
    }  # fmt: skip
    assert first["data"]["appraise"]["errors"] == [{"code": "NOT_FOUND", "path": "siteId"}]
    assert first["data"]["again"]["errors"] == [{"code": "ALREADY_EXISTS", "path": "code"}]
    for identity in MALFORMED:
        one = (await _ask(laboratory, caller, document, {"id": identity}))["data"]
        fields = ["archiveSite", "updateSite"]
        if not identity.startswith("researcher_"):  # which model a plugin means cannot be known
            fields.append("appraise")
        for field in fields:
            assert one[field] == first["data"][field], (identity, field)


@pytest.mark.parametrize("count", [500, 501, 5000])
async def test_many_ids(laboratory: Laboratory, caller: Access, count: int) -> None:
    document = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    ids = {"ids": [SITE, MISSING] * (count // 2) + [SITE] * (count % 2)}
    if count > 500:
        assert await _code(laboratory, caller, document, ids) == "LIMIT_EXCEEDED"
    else:
        found = (await _ask(laboratory, caller, document, ids))["data"]["nodes"]
        assert found == [{"id": SITE}, None] * 250


# --- null where it must not be ---------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        'query ($x: ID = "x") { site(id: $x) { id } }',
        'query ($x: ID = "x") { node(id: $x) { id } }',
        'query ($x: [ID!] = ["x"]) { nodes(ids: $x) { id } }',
        'query ($x: ID = "x") { nodes(ids: ["y", $x]) { id } }',
        'query ($x: String = "x") { sites(where: {name: {in: [$x]}}) { totalCount } }',
        "query ($x: SiteWhere = {}) { sites(where: {AND: [$x]}) { totalCount } }",
        "query ($x: SiteOrderBy = NAME_ASC) { sites(orderBy: [$x]) { edges { cursor } } }",
        "query ($x: Boolean = true) { sites { totalCount @skip(if: $x) } }",
        "query ($x: Boolean = true) { sites @include(if: $x) { totalCount } }",
        'query ($x: Decimal = "1") { researchers(where: {pay: {eq: {amount: $x, '
        'currency: "CNY"}}}) { totalCount } }',
        'query ($x: ID = "x") { mottoOf(siteId: $x) }',
        'mutation ($x: ID = "x") { archiveSite(id: $x) { errors { code } } }',
        'mutation ($x: ID = "x") { appraise(siteId: $x) { errors { code } } }',
        'mutation ($x: String = "x") { createSite(input: {code: $x, name: "n", '
        'opened: "2020-01-01"}) { errors { code } } }',
    ],
)
async def test_null_for_a_variable_with_a_default_where_null_must_not_be(
    laboratory: Laboratory, caller: Access, document: str
) -> None:
    answer = await _ask(laboratory, caller, document, {"x": None})
    messages = json.dumps(answer)
    assert "must not be null" in messages or '"INVALID"' in messages, answer
    assert "errors" not in await _ask(laboratory, caller, document)


# --- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [63, 64, 200])
async def test_long_names_stay_apart(laboratory: Laboratory, caller: Access, length: int) -> None:
    """PostgreSQL cuts names after 63 bytes; a response key is none of its names."""
    one, two = "n" * (length - 1) + "1", "n" * (length - 1) + "2"
    document = (
        f"{{ {one}: tenant {{ {one}: name {two}: currency }} {two}: sites(first: 1) "
        f"{{ {one}: totalCount {two}: edges {{ {one}: cursor {two}: node "
        f"{{ {one}: code {two}: payroll {{ {one}: currency }} }} }} }} "
        f"{one}0: roster {{ {one}: name {two}: shout }} }}"
    )
    short = document.replace(one, "one").replace(two, "two")
    long_answer = json.dumps(await _ask(laboratory, caller, document))
    assert json.loads(long_answer.replace(one, "one").replace(two, "two")) == await _ask(
        laboratory, caller, short
    )
    mutation = f'mutation {{ {one}: archiveSite(id: "x") {{ {two}: errors {{ {one}: code }} }} }}'
    assert await _ask(laboratory, caller, mutation) == {"data": {one: {two: [{one: "NOT_FOUND"}]}}}


@pytest.mark.parametrize(
    "document",
    [
        "{ a: __typename a: tenant { name } }",
        "{ a: sites(first: 1) { totalCount } a: sites(first: 2) { totalCount } }",
        "{ sites { totalCount } ... { sites(first: 2) { totalCount } } }",
        "{ node(id: 1) { ... on Site { a: name } ... on Researcher { a: age } } }",
        "{ sitess { totalCount } }",
        "{ sites(frist: 1) { totalCount } }",
        "{ sites(orderBy: NAME_ACS) { totalCount } }",
        "{ sites(where: {nmae: {eq: 1}}) { totalCount } }",
        "query ($w: SiteWher) { sites(where: $w) { totalCount } }",
        "{ sites { totalCount @skp(if: true) } }",
        "{ ...F }",
        "{ sites { totalCount",
        "",
        "{}",
        "query A { __typename } query A { __typename }",
        "subscription { __typename }",
        "mutation { createSite(input: {}) { errors { code } } }",
    ],
)
async def test_an_invalid_document_is_refused_without_guesses(
    laboratory: Laboratory, caller: Access, document: str
) -> None:
    assert await _code(laboratory, caller, document) == "GRAPHQL_VALIDATION_FAILED"


# --- depth and width -------------------------------------------------------------------------


def _nested(key: str, levels: int) -> Any:
    where: Any = {"name": {"eq": CANARY}}
    for _ in range(levels):
        where = {key: {"some": where} if key == "reports" else where}
    return where


@pytest.mark.parametrize("key", ["NOT", "chief", "reports"])
async def test_conditions_nest_to_a_limit(laboratory: Laboratory, caller: Access, key: str) -> None:
    deepest = {"w": _nested(key, DEEPEST - 1)}
    assert "data" in await _ask(laboratory, caller, FILTERED, deepest)
    for levels in (DEEPEST, 60):
        code = await _code(laboratory, caller, FILTERED, {"w": _nested(key, levels)})
        assert code == "LIMIT_EXCEEDED"
    for levels in (300, 5_000):
        code = await _code(laboratory, caller, FILTERED, {"w": _nested(key, levels)})
        assert code in ("LIMIT_EXCEEDED", "GRAPHQL_VALIDATION_FAILED")


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ({"name": {"eq": CANARY}}, 10_000),
        ({"chief": {"name": {"eq": CANARY}}}, 200),
        ({"reports": {"none": {}}}, 200),
        ({}, 10_000),
    ],
    ids=repr,
)
async def test_conditions_are_limited_in_number(
    laboratory: Laboratory, caller: Access, condition: Any, count: int
) -> None:
    for key in ("AND", "OR"):
        some = {"w": {key: [condition] * 20}}
        assert "data" in await _ask(laboratory, caller, FILTERED, some)
        many = {"w": {key: [condition] * count}}
        assert await _code(laboratory, caller, FILTERED, many) == "LIMIT_EXCEEDED"


def _chain(field: str, levels: int) -> str:
    inner = "id"
    for _ in range(levels):
        inner = f"{field} {{ {inner} }}"
    return f"{{ researchers {{ edges {{ node {{ {inner} }} }} }} }}"


@pytest.mark.parametrize("field", ["chief", "boss", "reports(first: 1) { edges { node"])
async def test_selections_nest_to_a_limit(
    laboratory: Laboratory, caller: Access, field: str
) -> None:
    def document(levels: int) -> str:
        closing = " }" * (2 * levels * (field.count("{") // 2))
        return _chain(field, levels).replace("id }", "id }" + closing, 1)

    assert "data" in await _ask(laboratory, caller, document(8))
    for levels in (20, 90):
        assert await _code(laboratory, caller, document(levels)) == "LIMIT_EXCEEDED"


# --- everything at once ----------------------------------------------------------------------

HOSTILE = [
    None, True, 0, -1, 2**31, 2**63, 2**64, 10**400, 1.5, float("nan"), float("-inf"), "", CANARY,
    "CANARY\0", "\ud800CANARY", "CANARY" * 500, [], [CANARY], {}, {"CANARY": 1}, [[[CANARY]]],
    {"eq": CANARY}, "NaN", "1e999", "'; DROP TABLE CANARY; --", "%CANARY%", "\\", SITE, MISSING,
    [SITE, "CANARY"], [None], {"AND": [None]}, {"amount": "1e9", "currency": CANARY}, "9999-12-31",
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999999+00:00",
]  # fmt: skip


#: Values that fit, by type.
FINE = {
    "String": "fine", "Int": 3, "Float": 1.5, "Boolean": True, "ID": SITE, "Date": "2024-01-01",
    "DateTime": "2024-01-01T00:00:00+00:00", "MoneyInput": {"amount": "1", "currency": "CNY"},
    "Grade": "A", "Colour": "RED", "Method": "BY_HAND",
}  # fmt: skip


@settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**32))
async def test_hostile_variables_are_no_internal_errors(laboratory: Laboratory, seed: int) -> None:
    choose = random.Random(seed)
    case = await laboratory.case(choose, focus="lists" if choose.random() < 0.7 else None)
    _, access = await laboratory.world(case.world)
    variables = dict(case.variables[0])
    for name in re.findall(r"\$(\w+):", case.text):
        if choose.random() < 0.4:
            variables[name] = choose.choice(HOSTILE)
    await _ask(laboratory, access, case.text, variables)


@settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**32))
async def test_hostile_inputs_of_mutations_are_no_internal_errors(
    laboratory: Laboratory, caller: Access, seed: int
) -> None:
    choose = random.Random(seed)
    schema = schema_of(caller.installation.edition).graphql
    assert schema.mutation_type is not None
    name, mutation = choose.choice(sorted(schema.mutation_type.fields.items()))
    variables: dict[str, Any] = {}
    for argument, one in mutation.args.items():
        inner = get_nullable_type(one.type)
        variables[argument] = choose.choice(HOSTILE)
        if isinstance(inner, GraphQLInputObjectType):
            variables[argument] = {key: choose.choice(HOSTILE) for key in inner.fields}
            for key, field in inner.fields.items():  # few enough wrong ones that some get through
                if choose.random() < 0.8:
                    variables[argument][key] = FINE.get(get_named_type(field.type).name)
    heads = ", ".join(f"${argument}: {one.type}" for argument, one in mutation.args.items())
    given = ", ".join(f"{argument}: ${argument}" for argument in mutation.args)
    await _ask(
        laboratory,
        caller,
        f"mutation ({heads}) {{ {name}({given}) {{ errors {{ code path message }} }} }}",
        variables,
    )


@pytest.mark.parametrize("field", ["list[str]", "Money", "Inner", "list[Inner]"])
def test_a_column_of_values_that_sql_cannot_read_is_refused(tmp_path: Path, field: str) -> None:
    packages = Packages(tmp_path)
    try:
        plugin = packages.plugin(
            "odd",
            f"""
            class Inner(Value):
                code: str
            class Outer(Value):
                parts: {field}
            class Thing(Model):
                "A thing."
                outers: Mapped[list[Outer]]
            """,
            "Thing",
        )
        with pytest.raises(PluginError, match=r"Outer\.parts cannot be kept in a column"):
            schema_of(compose([plugin]))
    finally:
        packages.close()
