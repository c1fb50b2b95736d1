"""How Chinese characters are read: pinyin without tones, from pypinyin's dictionaries.

pypinyin itself reads 25,000 names a second. What it knows is put into two tables here, once and
when it is first needed: the usual reading of each character, and the phrases in which one is read
otherwise (重庆 is chongqing, 银行 is yinhang).
"""

import functools
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

#: Characters that are read in a way of their own where a person's name begins with them.
SURNAMES: Final[Mapping[str, str]] = {
    "曾": "zeng", "单": "shan", "單": "shan", "仇": "qiu", "解": "xie", "查": "zha", "区": "ou",
    "區": "ou", "朴": "piao", "盖": "ge", "乐": "yue", "樂": "yue", "种": "chong", "覃": "qin",
    "缪": "miao", "翟": "zhai", "冼": "xian", "尉": "yu",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Readings:
    usual: Mapping[str, str]
    phrases: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]  # by their first two characters


def usual_readings() -> Mapping[str, str]:
    """The reading of each character that stands alone."""
    return _readings().usual


def in_phrases(text: str, syllables: Sequence[str]) -> list[str] | None:
    """How the characters are read in the phrases of a text; None where that is as usual."""
    phrases = _readings().phrases
    found: list[str] | None = None
    done = 0
    for at, pair in enumerate(map(str.__add__, text, text[1:])):
        if pair not in phrases or at < done:
            continue
        for phrase, read in phrases[pair]:
            if text.startswith(phrase, at):
                if found is None:
                    found = list(syllables)
                done = at + len(read)
                found[at:done] = read
                break
    return found if found != syllables else None


def load() -> None:
    """Have the tables made beside the event loop, so that no request waits for them."""
    threading.Thread(target=_readings, name="guanxi-pinyin", daemon=True).start()


_MAKING: Final = threading.Lock()


def _readings() -> _Readings:
    with _MAKING:
        return _made()


@functools.cache
def _made() -> _Readings:
    from pypinyin.constants import PHRASES_DICT, PINYIN_DICT

    usual = {chr(code): _plain(read.partition(",")[0]) for code, read in PINYIN_DICT.items()}
    usual = {character: read for character, read in usual.items() if read}
    phrases: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for phrase, each in PHRASES_DICT.items():
        read = tuple(_plain(one[0]) for one in each)
        if len(read) == len(phrase) and all(read) and read != tuple(map(usual.get, phrase)):
            phrases.setdefault(phrase[:2], []).append((phrase, read))
    return _Readings(
        usual, {p: tuple(sorted(found, key=lambda f: -len(f[0]))) for p, found in phrases.items()}
    )


@functools.lru_cache(maxsize=4096)
def _plain(syllable: str) -> str:
    """A syllable without its tone; ü is written v, as it is typed."""
    parts = unicodedata.normalize("NFD", syllable).replace("u\u0308", "v")
    return "".join(c for c in parts if c.isascii() and c.isalpha())
