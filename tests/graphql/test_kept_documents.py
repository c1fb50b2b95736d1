"""What an edition keeps: one schema, and documents and plans, bounded in number and in weight."""

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from with_contacts import Contacts

from guanxi_core.editions import Edition, compose
from guanxi_core.telemetry import metrics
from guanxi_graphql.execute import engine
from guanxi_graphql.execute.documents import Cache
from guanxi_graphql.schema import schema_of
from guanxi_sdk import PluginError

ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), st.integers(0, 9), st.integers(1, 12)),
        st.tuples(st.just("use"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("drop"), st.integers(0, 9), st.just(0)),
    ),
    max_size=60,
)


@given(ACTS)
def test_the_latest_entries_are_kept_as_far_as_there_is_room(
    acts: list[tuple[str, int, int]],
) -> None:
    size, room = 4, 20
    cache: Cache[str] = Cache(size, metrics.PLANS, room)
    model: list[tuple[int, int]] = []  # keys and weights, the least recent first
    for act, key, weight in acts:
        known = [entry for entry in model if entry[0] == key]
        others = [entry for entry in model if entry[0] != key]
        if act == "keep":
            cache.keep(key, f"{key}", weight)
            model = [*others, (key, weight)]
            while len(model) > size or sum(each for _, each in model) > room:
                del model[0]
        elif act == "use":
            assert cache.use(key) == (f"{key}" if known else None)
            model = others + known
        else:
            cache.drop(key)
            model = others
        assert list(cache) == [key for key, _ in model]


async def test_requests_that_come_at_once_make_one_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Edition] = []

    def slowly(edition: Edition) -> Any:
        made.append(edition)
        time.sleep(0.1)
        return schema_of(edition)

    monkeypatch.setattr(engine, "schema_of", slowly)
    edition = compose([Contacts])
    waiting = [asyncio.create_task(engine.prepare(edition)) for _ in range(20)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()  # it was the first: the others go on without it
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in done] == [asyncio.CancelledError, *[type(None)] * 19]
    assert made == [edition]
    assert {"plans", "documents", "schema"} <= edition.attachments.keys()


async def test_a_schema_that_cannot_be_made_fails_for_all_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Edition] = []

    def failing(edition: Edition) -> Any:
        made.append(edition)
        raise PluginError("contacts", "cannot be shown.")

    monkeypatch.setattr(engine, "schema_of", failing)
    edition = compose([Contacts])
    for times in (1, 2):
        waiting = [engine.prepare(edition) for _ in range(5)]
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(one) for one in done} == {PluginError}
        assert len(made) == times
