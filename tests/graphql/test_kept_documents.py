"""What an edition keeps of documents and plans: bounded in number and in weight."""

from hypothesis import given
from hypothesis import strategies as st

from guanxi_core.telemetry import metrics
from guanxi_graphql.execute.documents import Cache

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
