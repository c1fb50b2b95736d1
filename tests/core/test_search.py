"""Tokens: whatever part of a name is searched for finds it, and nothing else does."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Mapped

from guanxi_core.search.asking import wanted
from guanxi_core.search.tokens import SPOKEN, TAILS, tokens_of
from guanxi_sdk import Confidentiality, Invalid, Model, PluginError, column

HAN = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5)
#: Words and how they are read, whatever stands beside them.
READ = {
    "重庆": "chongqing", "银行": "yinhang", "华为": "huawei", "长沙": "changsha", "厦门": "xiamen",
    "通信": "tongxin", "机械": "jixie", "绿地": "lvdi", "中国": "zhongguo", "朝阳": "chaoyang",
}  # fmt: skip
INITIALS = {
    "重庆": "cq", "银行": "yh", "华为": "hw", "长沙": "cs", "厦门": "xm", "通信": "tx",
    "机械": "jx", "绿地": "ld", "中国": "zg", "朝阳": "zy",
}  # fmt: skip


def finds(search: str, text: str) -> bool:
    """What the statement does, on one text."""
    want, tokens = wanted(search), tokens_of(text)
    held = list(zip(tokens.token, tokens.written, strict=True))
    ranges = zip(*want[1:], strict=True)
    numbers = {
        number
        for number, token, token_end, written, written_end in ranges
        for spoken, as_written in held
        if token <= spoken < token_end and written <= as_written < written_end
    }
    return 0 in numbers or len(numbers - {0}) == want.words


@settings(deadline=None)
@given(st.text(HAN, min_size=1, max_size=12), st.sampled_from(["", *TAILS]), st.data())
def test_every_part_of_a_chinese_name_finds_it(name: str, tail: str, data: st.DataObject) -> None:
    name += tail
    start = data.draw(st.integers(0, len(name) - 1))
    end = data.draw(st.integers(start + 1, len(name)))
    assert finds(name[start:end], name), name[start:end]


@settings(deadline=None)
@given(st.text(HAN, min_size=1, max_size=8), st.text(HAN, min_size=1, max_size=3))
def test_what_is_not_in_a_chinese_name_does_not(name: str, other: str) -> None:
    assert finds(other, name) is (other in name)


WORDS = st.lists(st.sampled_from(sorted(set(READ) - {"朝阳"})), min_size=1, max_size=5)


@settings(deadline=None)
@given(WORDS, st.data())
def test_every_beginning_of_the_pinyin_and_of_the_initials_does(
    words: list[str], data: st.DataObject
) -> None:
    name = "".join(words)
    for readings in (READ, INITIALS):
        whole = "".join(readings[word] for word in words)
        end = data.draw(st.integers(1, len(whole)))
        assert finds(whole[:end], name), whole[:end]
    inner = data.draw(st.integers(0, len(words) - 1))  # pinyin also from within, unlike initials
    spoken = "".join(READ[word] for word in words[inner:])
    assert finds(spoken[: data.draw(st.integers(1, len(spoken)))], name)


@settings(deadline=None)
@given(st.lists(st.from_regex(r"[A-Za-z0-9]{1,12}", fullmatch=True), min_size=1, max_size=6))
def test_words_are_found_by_how_they_begin_in_any_order(words: list[str]) -> None:
    text = " ".join(words)
    for word in words:
        assert finds(word[: len(word) // 2 + 1].upper(), text)
    assert finds(" ".join(reversed(words)), text)


@pytest.mark.parametrize(
    ("search", "text"),
    [
        ("cafe", "Café São Paulo"), ("são p", "CAFE SAO PAULO"), ("5g", "华为5G"),
        ("5g", "華為 5G"),
        ("ＨＷ", "华为"), ("zeng", "曾国藩"), ("shan xiong", "单雄信"), ("sxx", "单雄信"),
        ("zhongqing", "重庆"), ("3gmenhu", "3G门户"), ("o'b", "O'Brien"), ("huawei", "深圳华为"),
        ("限公司", "星辰有限公司"), ("司", "星辰有限公司"), ("技有", "星辰科技有限公司"),
    ],
)  # fmt: skip
def test_as_people_write_it(search: str, text: str) -> None:
    assert finds(search, text)


@pytest.mark.parametrize(
    ("search", "text"),
    [
        ("afe", "Café"),
        ("为华", "华为"),
        ("花", "华为"),
        ("华为 银行", "华为"),
        ("", "华"),
        ("-", "-"),
    ],
)
def test_as_nobody_means_it(search: str, text: str) -> None:
    assert not finds(search, text)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_tokens_of_anything_can_be_stored(text: str) -> None:
    tokens = tokens_of(text)
    assert sorted(tokens.place) == list(
        range(min(tokens.place, default=0), max(tokens.place, default=-1) + 1)
    )
    lines = [line.split("\t") for line in tokens.lines.split("\n")] if tokens.place else []
    assert [int(place) for place, _, _ in lines] == tokens.place
    assert all(token and len(token) <= SPOKEN for _, token, _ in lines)
    assert not any("\x00" in part for part in itertools.chain.from_iterable(lines))


def test_a_search_is_short() -> None:
    for search, reason in (("x" * 201, "longer than 200"), ("a b c d e f g h i", "more than 8")):
        with pytest.raises(Invalid, match=reason):
            wanted(search)


@pytest.mark.parametrize(
    ("annotation", "options"),
    [(int, {}), (str, {"private": True}), (str, {"confidentiality": Confidentiality.SECRET})],
)
def test_what_cannot_be_searched_is_refused_to_the_author(annotation: type, options: dict) -> None:
    with pytest.raises(PluginError, match="search=True is for texts"):
        type(
            "Unsearchable",
            (Model,),
            {
                "__doc__": "No.",
                "__module__": "guanxi_x",
                "__annotations__": {"it": Mapped[annotation]},
                "it": column(search=True, default="x", **options),
            },
            plugin="x",
        )
