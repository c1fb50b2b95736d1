"""What somebody searches for, as ranges of tokens."""

import functools
from typing import Final, NamedTuple

from guanxi_core.search.folding import STANDS, words_of
from guanxi_core.search.readings import usual_readings
from guanxi_core.search.tokens import SPOKEN, WRITTEN, openings
from guanxi_sdk import Invalid

#: How long a search may be, and of how many words.
LONGEST: Final = 200
MOST: Final = 8
#: Behind everything that begins alike.
_END: Final = "\U0010ffff"


class Wanted(NamedTuple):
    """Ranges side by side, each with the number of what it is for.

    Number 0 is the search as a whole. Those from 1 on are its ``words``, all of which must be
    found where the whole is not; there are none where there is one word only.
    """

    words: int
    number: list[int]
    token: list[str]
    token_end: list[str]
    written: list[str]
    written_end: list[str]


@functools.lru_cache(maxsize=256)
def wanted(search: str) -> Wanted:
    """The ranges of a search; none where it holds neither letters nor digits."""
    if len(search) > LONGEST:
        raise Invalid("search", f"is longer than {LONGEST} characters")
    words = list(dict.fromkeys(words_of(search)))
    if len(words) > MOST:
        raise Invalid("search", f"has more than {MOST} words")
    found = Wanted(len(words) if len(words) > 1 else -1, [], [], [], [], [])
    parts = ["".join(words_of(search)), *(words if len(words) > 1 else ())]
    for number, part in enumerate(parts if words else ()):
        for opening in openings(part):
            token = _spoken(opening)[:SPOKEN]
            written = _written(opening)[:WRITTEN]
            found.number.append(number)
            found.token.append(token)
            found.token_end.append(token + _END)
            found.written.append(written)
            found.written_end.append(written + _END)
    return found


def _spoken(part: str) -> str:
    if part.isascii():
        return part
    usual = usual_readings()
    return "".join([usual.get(character, character) for character in part])


def _written(part: str) -> str:
    """What must be written as it is: up to the last character that stands for itself."""
    end = next((at for at in range(len(part), 0, -1) if STANDS[part[at - 1]]), 0)
    return part[:end]
