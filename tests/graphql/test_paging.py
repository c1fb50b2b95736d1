"""Pages: every row once, in either direction, in every order, whatever is inserted meanwhile."""

import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guanxi_core.access import Access
from guanxi_graphql.compile import connections
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.schema import schema_of
from guanxi_sdk._docs import camel
from reference.laboratory import Laboratory
from reference.worlds import NAMES, World, make_world

Settled = tuple[World, Access]

#: Enough to last for many pages; without a limit, those who insert are never caught up with.
MOST_INSERTED = 150


async def _nothing() -> None:
    pass


@pytest.fixture(scope="module")
async def crowded(laboratory: Laboratory) -> Settled:
    """Twice the usual rows, with many ties and nulls."""
    world = make_world(100, times=2)
    return world, await laboratory.settle(world)


async def _page(
    laboratory: Laboratory, access: Access, rows: str, order: str, size: int, **given: Any
) -> dict[str, Any]:
    document = (
        "query ($first: Int, $after: String, $last: Int, $before: String) { "
        f"page: {rows}(orderBy: {order}, first: $first, after: $after, last: $last, "
        "before: $before) { pageInfo { hasNextPage hasPreviousPage } "
        "edges { cursor node { id } } } }"
    )
    end = "last" if "before" in given else "first"
    answer = await laboratory.ask(access, document, **{end: size, **given})
    assert "errors" not in answer, answer
    page: dict[str, Any] = answer["data"]["page"]
    return page


def _ids(page: dict[str, Any]) -> list[str]:
    return [edge["node"]["id"] for edge in page["edges"]]


async def _forward(
    laboratory: Laboratory, access: Access, rows: str, order: str, size: int,
    meanwhile: Callable[[], Awaitable[None]] = _nothing,
) -> list[str]:  # fmt: skip
    found: list[str] = []
    cursor = None
    while True:
        page = await _page(laboratory, access, rows, order, size, after=cursor)
        assert page["pageInfo"]["hasPreviousPage"] is (cursor is not None)
        found += _ids(page)
        if not page["pageInfo"]["hasNextPage"]:
            return found
        cursor = page["edges"][-1]["cursor"]
        await meanwhile()


async def _backward(
    laboratory: Laboratory, access: Access, rows: str, order: str, size: int,
    meanwhile: Callable[[], Awaitable[None]] = _nothing,
) -> list[str]:  # fmt: skip
    found: list[str] = []
    cursor = None
    while True:
        page = await _page(laboratory, access, rows, order, size, before=cursor)
        assert page["pageInfo"]["hasNextPage"] is (cursor is not None)
        found = _ids(page) + found
        if not page["pageInfo"]["hasPreviousPage"]:
            return found
        cursor = page["edges"][0]["cursor"]
        await meanwhile()


def _orders(access: Access) -> Iterator[tuple[str, str]]:
    """Every order of every list, alone and after another key that has ties."""
    edition = access.installation.edition
    for model in edition.models.values():
        if model.info.plugin == "guanxi":  # the core's own, of which the world has none
            continue
        values = sorted(schema_of(edition).orders[f"{model.info.name}OrderBy"])
        for value in values:
            yield camel(model.info.plural), value
        if model.info.name == "Researcher":
            yield from (("researchers", f"[COLOUR_DESC, {value}]") for value in values[::7])


async def test_every_row_comes_once_in_every_order(
    laboratory: Laboratory, crowded: Settled
) -> None:
    _, access = crowded
    count = 0
    for rows, order in _orders(access):
        whole = _ids(await _page(laboratory, access, rows, order, 500, after=None))
        assert len(set(whole)) == len(whole)
        assert len(whole) > 3
        size = 2 + len(whole) // 4 + count % 2
        assert await _forward(laboratory, access, rows, order, size) == whole, (rows, order)
        assert await _backward(laboratory, access, rows, order, size) == whole, (rows, order)
        count += 1
    assert count > 90


@pytest.mark.parametrize("page", ["first: 3", "last: 3", "first: 0", "last: 0", "first: 500"])
async def test_page_info_holds_the_cursors_of_the_ends(
    laboratory: Laboratory, crowded: Settled, page: str
) -> None:
    answer = await laboratory.ask(
        crowded[1],
        f"{{ researchers({page}, orderBy: [COLOUR_DESC, BONUS_ASC]) "
        "{ pageInfo { startCursor endCursor } edges { cursor } } }",
    )
    cursors = [edge["cursor"] for edge in answer["data"]["researchers"]["edges"]] or [None]
    info = answer["data"]["researchers"]["pageInfo"]
    assert info == {"startCursor": cursors[0], "endCursor": cursors[-1]}


@pytest.mark.parametrize("page", ["first: 3", "last: 3", "first: 2, after: $at", "first: 500"])
async def test_many_rows_are_counted_apart_and_few_together(
    laboratory: Laboratory, crowded: Settled, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    """The answer is the same; where there are too many, that is found out once."""
    where = "where: {colour: {isNull: false}}" if page == "first: 500" else "includeArchived: true"
    document = (
        "query %s { researchers(%s, %s, orderBy: [COLOUR_DESC, BONUS_ASC]) "
        "{ totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } "
        "edges { cursor node { id name reports(first: 1) { totalCount edges { cursor } } } } } }"
    )
    given = {}
    if "$at" in page:
        some = await laboratory.ask(
            crowded[1], "{ researchers(first: 1, includeArchived: true, "
            "orderBy: [COLOUR_DESC, BONUS_ASC]) { pageInfo { endCursor } } }",
        )  # fmt: skip
        given = {"at": some["data"]["researchers"]["pageInfo"]["endCursor"]}
    variables = "($at: String!)" if given else ""
    few = await laboratory.ask(crowded[1], document % ("Few" + variables, page, where), **given)
    assert "errors" not in few
    monkeypatch.setattr(connections, "MOST_TOGETHER", 1)
    sent: list[str] = []
    fetch = Engine._fetch

    async def counted(self: Engine, sql: str, *arguments: Any, **options: Any) -> Any:
        sent.append(sql)
        return await fetch(self, sql, *arguments, **options)

    monkeypatch.setattr(Engine, "_fetch", counted)
    text = document % ("Many" + variables, page, where)
    for statements in (2, 1, 1):
        sent.clear()
        assert await laboratory.ask(crowded[1], text, **given) == few
        assert len(sent) == statements


@pytest.mark.parametrize("order", ["NAME_ASC", "MOTTO_DESC", "CREATED_AT_ASC", "[VERDICT_ASC]"])
async def test_rows_inserted_meanwhile_hide_and_repeat_none(
    laboratory: Laboratory, order: str
) -> None:
    access = await laboratory.settle(make_world(101, times=4))
    before = _ids(await _page(laboratory, access, "sites", order, 500))
    names = [name for name in NAMES if name.strip()]
    inserted = 0

    async def insert() -> None:
        """One more, after a page: some land before the next page, some on it, some behind it."""
        nonlocal inserted
        inserted += 1
        if inserted > MOST_INSERTED:
            return
        answer = await laboratory.ask(
            access,
            "mutation ($input: CreateSiteInput!) { createSite(input: $input) "
            "{ errors { message } } }",
            input={
                "code": f"new {inserted}",
                "name": names[inserted % len(names)],
                "motto": names[-inserted % len(names)] if inserted % 3 else None,
                "opened": "2020-01-01",
            },
        )
        assert answer["data"]["createSite"]["errors"] == [], answer

    for walk in (_forward, _backward):
        found = await walk(laboratory, access, "sites", order, 2, insert)
        assert len(set(found)) == len(found)
        assert [one for one in found if one in set(before)] == before
    assert inserted > len(before)


async def _refusal(laboratory: Laboratory, access: Access, arguments: str) -> dict[str, Any]:
    """The only error of a page that is refused, whatever is selected from it."""
    found = []
    for selection in ("totalCount", "__typename", "edges { cursor }", "pageInfo { hasNextPage }"):
        answer = await laboratory.ask(access, f"{{ sites({arguments}) {{ {selection} }} }}")
        assert "data" not in answer, (selection, answer)
        assert len(answer["errors"]) == 1
        found.append(answer["errors"][0])
    assert found == [found[0]] * len(found)
    assert found[0]["extensions"] == {"code": "INVALID"}
    error: dict[str, Any] = found[0]
    return error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("first: -1", "'first' must not be negative."),
        ("last: -1", "'last' must not be negative."),
        ("first: -2147483648", "'first' must not be negative."),
        ("first: 501", "'first' must be at most 500: page with cursors."),
        ("last: 2147483647", "'last' must be at most 500: page with cursors."),
        (
            "first: 1, last: 1",
            "'last' cannot be combined with `first`: ask for one end of the list.",
        ),
    ],
)
async def test_a_wrong_page_size_is_an_error(
    laboratory: Laboratory, crowded: Settled, arguments: str, message: str
) -> None:
    assert (await _refusal(laboratory, crowded[1], arguments))["message"] == message


async def test_a_cursor_of_another_order_is_an_error(
    laboratory: Laboratory, crowded: Settled
) -> None:
    _, access = crowded
    page = await _page(laboratory, access, "sites", "NAME_ASC", 1)
    cursor = page["edges"][0]["cursor"]
    for end in ("after", "before"):
        for order in ("NAME_DESC", "[NAME_ASC, CODE_ASC]", "[]", "ID_ASC"):
            error = await _refusal(laboratory, access, f'{end}: "{cursor}", orderBy: {order}')
            assert error["message"] == (
                f"'{end}' is not a cursor of this list in this order: take one from `edges`."
            )


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text()
    | st.text(st.characters())
    | st.sampled_from(
        ["\x00", "\ud800", "2024-01-01", "2024-13-01", "0000-00-00", "infinity", "now", "NaN",
         "9999-12-31T23:59:59-23:59", "2024-01-01T00:00:00", "0" * 32, "{}", "A" * 5000]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)  # fmt: skip


def _encode(content: Any) -> str:
    text = json.dumps(content)  # surrogates as escapes, as a client would have to send them
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@settings(
    max_examples=250,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
async def test_tampered_cursors_are_no_server_errors(
    laboratory: Laboratory, crowded: Settled, data: st.DataObject
) -> None:
    _, access = crowded
    orders = sorted(schema_of(access.installation.edition).orders["ResearcherOrderBy"])
    order = data.draw(st.sampled_from(orders))
    identity = st.just("01980002-0000-7000-8000-000000000001")
    key = data.draw(_JSON)
    cursor = data.draw(
        st.one_of(
            st.tuples(st.just(order), st.just(key), identity | _JSON).map(_encode),
            st.tuples(st.just(order), st.just(key), identity).map(_encode),
            _JSON.map(_encode),
            st.text(max_size=40),
            st.binary(max_size=40).map(lambda b: base64.urlsafe_b64encode(b).decode()),
        )
    )
    answer = await laboratory.ask(
        access,
        f"query ($at: String) {{ researchers(orderBy: {order}, first: 2, after: $at) "
        "{ edges { cursor } } }",
        at=cursor,
    )
    if "errors" in answer:
        assert "data" not in answer
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["INVALID"]
        assert (
            "cursor" in answer["errors"][0]["message"] or "value" in answer["errors"][0]["message"]
        )
