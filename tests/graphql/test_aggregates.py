"""Aggregates: what is added up, in which groups and order, and for whom."""

import datetime as dt
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
import sqlalchemy as sa
from httpx import ASGITransport, AsyncClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from with_every_kind import Badge, Grade, Lab, Researcher, Secret, Site
from with_scopes import Flock, Herd, Shepherd

from guanxi_core.api_tokens import create_token
from guanxi_graphql.asgi import Answer
from guanxi_graphql.compile.figures import _money, _sum
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_sdk import Confidentiality, Money
from guanxi_sdk.testing.app import App, GraphQLFailed
from guanxi_sdk.testing.probes.world import Statements
from guanxi_sdk.testing.tokens import make_token

Boot = Any


async def _hire(app: App, site: Site, name: str, **given: Any) -> Researcher:
    attributes = {
        "born": dt.date(1990, 5, 17), "joined": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        "pay": Money(0, "CNY"),
    }  # fmt: skip
    return await app.add(Researcher(name=name, site_id=site.id, **attributes | given))


@pytest.fixture
async def lab(guanxi: Boot) -> tuple[App, Site]:
    app = await guanxi(Lab())
    return app, await app.add(Site(code="n", name="North", opened=dt.date(2000, 1, 1)))


@pytest.fixture
async def http(lab: tuple[App, Site]) -> AsyncIterator[AsyncClient]:
    """The public door."""
    app, _ = lab
    endpoint = GraphQLEndpoint(Answer(200, (), b"page"))
    endpoint.open(app.platform, Engine(app.platform))
    async with AsyncClient(
        transport=ASGITransport(endpoint), base_url="http://guanxi",
        headers={"authorization": f"Bearer {await app.token()}"},
    ) as client:  # fmt: skip
        yield client


async def test_a_dashboard_is_one_statement(lab: tuple[App, Site], http: AsyncClient) -> None:
    app, site = lab
    pays = [(1001, "CNY"), (1000, "CNY"), (7, "JPY")]
    ada, bob, _ = [
        await _hire(app, site, name, pay=Money(*pay), grade=Grade.A)
        for name, pay in zip(("Ada", "Bob", "Eve"), pays, strict=True)
    ]
    await _hire(app, site, "Kim", grade=Grade.B, pay=Money(1, "KWD"), chief_id=ada.id)
    await app.add(Badge(id=bob.id, score=1.5, deposit=Money(-5, "CNY")))
    document = """
      query ($where: ResearcherWhere) {
        researchersAggregate(where: $where, groupBy: [GRADE, SITE], orderBy: COUNT_DESC) {
          count
          groupCount
          values { pay { currency count sum { amount currency } avg { amount } } }
          groups {
            key { grade site { name } chief { name } }
            count
            values { pay { currency sum { amount } } deposit { max { amount } } age { avg } }
          }
        }
        sites { edges { node { name researchersAggregate(groupBy: CHIEF) {
          groups { key { chief { name } } count }
        } } } }
      }
    """
    statements = Statements(app.platform)
    asked = {"query": document, "variables": {"where": {"name": {"ne": "Nobody"}}}}
    await http.post("/graphql", json=asked)
    before = statements.count
    answer = (await http.post("/graphql", json=asked)).json()
    assert "errors" not in answer, answer
    assert statements.count - before == 1
    found = answer["data"]["researchersAggregate"]
    assert (found["count"], found["groupCount"]) == (4, 2)
    assert found["values"]["pay"] == [
        {"currency": "CNY", "count": 2, "sum": {"amount": "20.01", "currency": "CNY"},
         "avg": {"amount": "10.01"}},
        {"currency": "JPY", "count": 1, "sum": {"amount": "7", "currency": "JPY"},
         "avg": {"amount": "7"}},
        {"currency": "KWD", "count": 1, "sum": {"amount": "0.001", "currency": "KWD"},
         "avg": {"amount": "0.001"}},
    ]  # fmt: skip
    many, one = found["groups"]
    assert many["key"] == {"grade": "A", "site": {"name": "North"}, "chief": None}
    assert many["count"] == 3
    assert many["values"] == {
        "pay": [{"currency": "CNY", "sum": {"amount": "20.01"}},
                {"currency": "JPY", "sum": {"amount": "7"}}],
        "deposit": [{"max": {"amount": "-0.05"}}],
        "age": {"avg": 30},
    }  # fmt: skip
    assert one["values"]["deposit"] == []
    [edge] = answer["data"]["sites"]["edges"]
    assert edge["node"]["researchersAggregate"]["groups"] == [
        {"key": {"chief": {"name": "Ada"}}, "count": 1}, {"key": {"chief": None}, "count": 3},
    ]  # fmt: skip


async def test_sums_are_exact_beyond_an_int_and_null_beyond_a_float(lab: tuple[App, Site]) -> None:
    app, site = lab
    largest = 2**31 - 1
    for name, speed in (("a", 0.1), ("b", 0.2), ("c", 0.3)):
        await _hire(app, site, name, rank=largest, height=1.7e308, speed=speed)
    document = """{ researchersAggregate { values {
      rank { sum avg max } speed { sum avg } height { sum avg max }
    } } }"""
    values = (await app.graphql(document))["researchersAggregate"]["values"]
    assert values["rank"] == {"sum": 3 * largest, "avg": largest, "max": largest}
    assert values["speed"] == {"sum": 0.6, "avg": 0.6 / 3}
    assert values["height"] == {"sum": None, "avg": None, "max": 1.7e308}


async def test_times_lie_in_the_bucket_of_their_utc_date(lab: tuple[App, Site]) -> None:
    app, site = lab
    late = dt.datetime.fromisoformat("2024-12-29T23:30:00-05:00")  # Monday in UTC
    await _hire(app, site, "late", joined=late, born=dt.date(2024, 12, 29))
    document = """query ($by: DateBucket) {
      researchersAggregate(groupBy: [JOINED, BORN], bucket: $by) { groups { key { joined born } } }
    }"""
    wanted = {
        None: ("2024-12-30", "2024-12-29"),
        "DAY": ("2024-12-30", "2024-12-29"),
        "WEEK": ("2024-12-30", "2024-12-23"),
        "MONTH": ("2024-12-01", "2024-12-01"),
        "QUARTER": ("2024-10-01", "2024-10-01"),
        "YEAR": ("2024-01-01", "2024-01-01"),
    }
    for bucket, (joined, born) in wanted.items():
        answer = await app.graphql(document, by=bucket)
        [group] = answer["researchersAggregate"]["groups"]
        assert group["key"] == {"joined": joined, "born": born}, bucket


async def test_groups_are_in_order_and_counted_beyond_the_first(lab: tuple[App, Site]) -> None:
    app, site = lab
    for name, nick in (("a", "x"), ("b", None), ("c", "x"), ("d", "y"), ("e", "w"), ("f", None)):
        await _hire(app, site, name, nick=nick)
    document = """query ($by: [ResearcherGroupBy!], $order: GroupOrderBy, $first: Int) {
      researchersAggregate(groupBy: $by, orderBy: $order, first: $first) {
        groupCount groups { key { nick name } count }
      }
    }"""

    async def keys(order: str | None, first: int | None = None) -> Any:
        answer = await app.graphql(document, by=["NICK"], order=order, first=first)
        found = answer["researchersAggregate"]
        assert found["groupCount"] == 4
        return [group["key"]["nick"] for group in found["groups"]]

    assert await keys(None) == ["w", "x", "y", None]
    assert await keys("KEY_DESC") == ["y", "x", "w", None]
    assert await keys("COUNT_DESC") == ["x", None, "w", "y"]
    assert await keys("COUNT_ASC", 3) == ["w", "y", "x"]
    assert await keys("COUNT_DESC", 0) == []
    for by, count, nick in ((["NICK", "NAME", "NICK"], 6, "w"), ([], 0, None), (None, 0, None)):
        found = (await app.graphql(document, by=by, order=None))["researchersAggregate"]
        assert found["groupCount"] == len(found["groups"]) == count
        assert not found["groups"] or found["groups"][0]["key"] == {"nick": nick, "name": "e"}


@pytest.mark.parametrize("part", ["count", "__typename", "groups { count }", "groupCount"])
async def test_wrong_sizes_are_refused_whatever_is_asked(lab: tuple[App, Site], part: str) -> None:
    app, _ = lab
    inline = f"{{ researchersAggregate(groupBy: NAME, first: 501) {{ {part} }} }}"
    variable = inline.replace("{", "query ($n: Int) {", 1).replace("501", "$n")
    for document, message in (
        (inline, "'first' must be at most 500: narrow the groups with `where`."),
        (variable, "'first' must not be negative."),
    ):
        answer = await app.execute(document, {"n": -1} if document is variable else {})
        assert [error["message"] for error in answer["errors"]] == [message]
        assert answer["errors"][0]["extensions"]["code"] == "INVALID"


async def test_what_one_may_not_read_is_neither_grouped_by_nor_added_up(
    lab: tuple[App, Site],
) -> None:
    app, site = lab
    ada = await _hire(app, site, "Ada", age=41)
    await app.add(Badge(id=ada.id, score=1.5, deposit=Money(1, "CNY")))
    await app.add(Secret(label="s", worth=Money(1, "CNY"), keeper_id=ada.id))
    for by in ("TIER", "ISSUED", "SPONSOR"):
        document = f"{{ researchersAggregate(groupBy: {by}) {{ count }} }}"
        with pytest.raises(GraphQLFailed) as refused:
            await app.graphql(document, can=["lab.read"])
        assert refused.value.codes == ["FORBIDDEN"]
        assert (await app.graphql(document))["researchersAggregate"]["count"] == 1
    keepers = "{ secretsAggregate(groupBy: KEEPER) { groupCount } }"
    with pytest.raises(GraphQLFailed) as refused:
        await app.graphql(keepers, can=["lab.secrets"])
    assert refused.value.codes == ["FORBIDDEN"]
    assert (await app.graphql(keepers))["secretsAggregate"] == {"groupCount": 1}
    document = """{
      researchersAggregate { values { age { sum } merit { max } deposit { count } } }
      secretsAggregate { count }
      researchers { edges { node { secretsAggregate { count } } } }
    }"""
    answer = await app.execute(document, can=["lab.read"])
    values = {"age": {"sum": 41}, "merit": None, "deposit": None}
    assert answer["data"]["researchersAggregate"] == {"values": values}
    assert answer["data"]["secretsAggregate"] is None
    assert answer["data"]["researchers"]["edges"] == [{"node": {"secretsAggregate": None}}]
    assert {".".join(error["path"]) for error in answer["errors"]} == {
        "researchersAggregate.values.merit", "researchersAggregate.values.deposit",
        "secretsAggregate", "researchers.edges.node.secretsAggregate",
    }  # fmt: skip
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"FORBIDDEN"}


async def test_scopes_and_clearances_narrow_what_is_counted_and_added(guanxi: Boot) -> None:
    app = await guanxi(Herd())
    make = (app.platform.pool, app.tenant)
    await make_token(*make, ["herd.read:own"], clearance=Confidentiality.SECRET, user="ada")
    own = await create_token(*make, user="ada")
    access = await app.platform.authenticate(own)
    for name, user, illness in (("mine", str(access.caller.user_id), "scab"), ("x", None, "flu")):
        shepherd = await app.add(Shepherd(name=name, user=user))
        for minor in (100, 200):
            worth = Money(minor, "CNY")
            flock = Flock(name=name, shepherd_id=shepherd.id, worth=worth, illness=illness)
            await app.add(flock)
    document = """{ flocksAggregate(groupBy: %s) {
      count groupCount values { worth { count sum { amount } } } groups { key { illness } count }
    } }"""

    async def ask(by: str, reason: str | None = "why") -> Any:
        app.platform.forget(own)
        access = await app.platform.authenticate(own)
        reply = await Engine(app.platform).execute(access, document % by, {}, reason=reason)
        return json.loads(reply.body)

    mine = [{"count": 2, "sum": {"amount": "3.00"}}]
    answer = await ask("ILLNESS")
    assert answer == {"data": {"flocksAggregate": {
        "count": 2, "groupCount": 1, "values": {"worth": mine},
        "groups": [{"key": {"illness": "scab"}, "count": 2}],
    }}}  # fmt: skip
    async with app.platform.pool.connection(app.tenant.id) as connection:
        told = await connection.fetchval(
            "SELECT changes::text FROM guanxi_audit WHERE tenant_id = $1 ORDER BY id DESC LIMIT 1",
            app.tenant.id,
        )
    assert "Flock.illness" in told
    refused = await ask("ILLNESS", None)
    assert [error["extensions"]["code"] for error in refused["errors"]] == ["FORBIDDEN"]
    assert "data" not in refused
    # with all rows at a lower clearance, hidden values are left out, and are no group of their own
    await make_token(*make, ["herd.read"], clearance=Confidentiality.INTERNAL, user="ada")
    answer = await ask("ILLNESS")
    found = answer["data"]["flocksAggregate"]
    assert (found["count"], found["values"]) == (4, {"worth": mine})
    assert found["groups"] == [
        {"key": {"illness": "scab"}, "count": 2}, {"key": {"illness": None}, "count": 2},
    ]  # fmt: skip
    [error] = answer["errors"]
    assert error["path"] == ["flocksAggregate", "values", "worth"]
    assert "left out" in error["message"]
    assert (await ask("SHEPHERD"))["data"]["flocksAggregate"]["groupCount"] == 2


# --- formulas ------------------------------------------------------------------------------------


async def _computed(app: App, column: Any, expressions: list[Any]) -> Any:
    """What SQL makes of expressions over the rows of an array."""
    compiled = sa.select(*expressions).select_from(column.table).compile(
        dialect=dialect(), compile_kwargs={"literal_binds": True}  # type: ignore[no-untyped-call]
    )  # fmt: skip
    async with app.platform.pool.connection(app.tenant.id) as connection:
        return tuple(await connection.fetchrow(str(compiled)))


def _rows(values: list[Any], type_: Any) -> Any:
    return sa.values(sa.column("v", type_), name="rows").data([(v,) for v in values]).c.v


_FEW = settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@_FEW
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9), min_size=1, max_size=9))
async def test_average_amounts_are_rounded_half_away_from_zero(
    lab: tuple[App, Site], minors: list[int]
) -> None:
    column = _rows(minors, sa.BigInteger)
    forms = _money(column, sa.literal_column("'CNY'"))
    total, average = await _computed(
        lab[0], column, [forms["sum"].expression, forms["avg"].expression]
    )
    exact = Fraction(sum(minors), len(minors))
    assert total == sum(minors)
    assert average == (int(abs(exact) + Fraction(1, 2)) if exact >= 0 else -int(
        abs(exact) + Fraction(1, 2)
    ))  # fmt: skip


@_FEW
@given(
    st.lists(
        # beyond 2^53 PostgreSQL shows some with a digit more than Python does
        st.floats(-(2.0**53), 2.0**53) | st.sampled_from([1.7e308, -1e308, 5e-324, 1e20, 0.1]),
        min_size=1,
        max_size=9,
    )
)
async def test_floats_are_added_as_the_decimals_they_are_shown_as(
    lab: tuple[App, Site], values: list[float]
) -> None:
    exact = sum(Fraction(Decimal(repr(value))) for value in values)
    try:
        wanted: float | None = float(exact) if abs(exact) >= Fraction(1, 10**300) else 0
    except OverflowError:
        wanted = None
    for order in (values, values[::-1]):
        column = _rows([sa.literal(repr(v)).cast(sa.Float(53)) for v in order], sa.Float(53))
        count = sa.cast(sa.func.count(column), sa.Float(53))
        total = _sum("float", column)[0]
        found, average = await _computed(lab[0], column, [total, total / count])
        assert found == wanted
        assert average == (None if wanted is None else wanted / len(values))
