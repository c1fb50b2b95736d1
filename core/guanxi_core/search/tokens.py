"""Tokens: what follows each place of a text at which a search may begin, as it is spoken.

A search for what a text holds is then one for what begins with something: a range of an index.
Words are spoken as they are written, Chinese is in pinyin. A character has one token, in its usual
reading, so that what is searched for in Chinese is found by the same reading, and compared as it
is written. Further tokens stand for other readings, and for the initials.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from guanxi_core.search.folding import STANDS, words_of
from guanxi_core.search.readings import SURNAMES, in_phrases, usual_readings

#: How many characters of a text can be found, and how long what is compared may be.
LONGEST: Final = 200
SPOKEN, WRITTEN = 32, 24
#: Counts the forms that tokens have had: another one has them made anew by `guanxi migrate`.
FORM: Final = 1

#: What so many names end with that nothing inside it begins a token: see :func:`openings`.
TAILS: Final = tuple(
    trade + form
    for trade in ("", "科技", "集团", "贸易", "实业", "技术", "发展", "控股")
    for form in ("股份有限公司", "有限责任公司", "有限公司")
)
_TAIL: Final = re.compile("|".join(sorted(TAILS, key=len, reverse=True)))


class Tokens(NamedTuple):
    """The tokens of a text, side by side, and how long it is without spaces and punctuation.

    Places are numbers without gaps. Those up to 0 are the text's beginning: 0 itself, and below it
    its initials and other readings.
    ``written`` is what stands there, and empty for what is spoken as it is written.
    """

    length: int
    place: list[int]
    token: list[str]
    written: list[str]

    @property
    def lines(self) -> str:
        """A line for each token, its parts with tabs between them, as the database takes it."""
        each = zip(self.place, self.token, self.written, strict=True)
        return "\n".join([f"{place}\t{token}\t{written}" for place, token, written in each])


def tokens_of(text: str | None) -> Tokens:
    """All tokens of a text."""
    words = words_of(text) if text else []
    whole = "".join(words)
    length = min(len(whole), 32_767)
    whole = whole[:LONGEST]
    starts = _starts(words) if len(words) > 1 else {0}
    if whole.isascii() or not any(map(STANDS.__getitem__, whole)):
        token = [whole[at : at + SPOKEN] for at in sorted(starts) if at < len(whole)]
        return Tokens(length, list(range(len(token))), token, [""] * len(token))
    usual = usual_readings()
    syllables = [usual.get(character, character) for character in whole]
    inside = in_phrases(whole, syllables)
    places = _places(whole, starts)
    token = _spoken(syllables, places)
    written = [whole[at : at + WRITTEN] for at in places]
    place = list(range(len(places)))
    below = 0
    for other in _others(whole, syllables, inside):
        if other != token[0]:
            below -= 1
            place.append(below)
            token.append(other)
            written.append("")
    if inside is not None:
        above = len(places)
        for number, other in enumerate(_spoken(inside, places)):
            if number and other != token[number]:
                place.append(above)
                token.append(other)
                written.append("")
                above += 1
    return Tokens(length, place, token, written)


def _starts(words: list[str]) -> set[int]:
    """Where words begin, when nothing is between them."""
    at = 0
    found = set()
    for word in words:
        found.add(at)
        at += len(word)
    return found


def _places(whole: str, starts: set[int]) -> list[int]:
    """Where tokens begin: at the characters that stand for themselves, and at words."""
    inside: set[int] = set()
    if "公司" in whole:
        for tail in _TAIL.finditer(whole):
            inside.update(range(tail.start() + 1, tail.end()))
    found = []
    before = True
    for at, character in enumerate(whole):
        stands = STANDS[character]
        if (at not in inside) if stands else (before or at in starts):
            found.append(at)
        before = stands
    return found


def _spoken(syllables: list[str], places: list[int]) -> list[str]:
    spoken = "".join(syllables)
    found = []
    at = position = 0
    for place in places:
        while position < place:
            at += len(syllables[position])
            position += 1
        found.append(spoken[at : at + SPOKEN])
    return found


def _others(whole: str, syllables: list[str], inside: list[str] | None) -> Iterable[str]:
    """What else a search for the text's beginning may be for."""
    found = {_initials(syllables): None}
    surname = SURNAMES.get(whole[0])
    for reading in (inside, [surname, *syllables[1:]] if surname else None):
        if reading is not None:
            found["".join(reading)[:SPOKEN]] = found[_initials(reading)] = None
    return found


def _initials(syllables: list[str]) -> str:
    return "".join([syllable[0] for syllable in syllables])[:SPOKEN]


def openings(part: str) -> list[str]:
    """How what follows a token's place may begin where a text holds ``part``.

    With the part itself; and, where the part begins within one of the tails, with that tail.
    """
    found = {part: None}
    for tail in TAILS:
        for at in range(1, len(tail)):
            rest = tail[at:]
            if part.startswith(rest) or rest.startswith(part):
                found[tail[:at] + part] = None
    return list(found)
