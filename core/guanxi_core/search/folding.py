"""Texts as they are compared: without case, accents, width, spaces and punctuation."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

_WORDS: Final = re.compile(r"[^\W_]+")


def words_of(text: str) -> list[str]:
    """The words of a text, folded; Chinese characters that stand together are one of them."""
    if not text.isascii():
        if not unicodedata.is_normalized("NFKD", text):
            text = unicodedata.normalize("NFKD", text)
        if any(map(unicodedata.combining, text)):
            text = "".join(c for c in text if not unicodedata.combining(c))
    return _WORDS.findall(text.casefold())


class Letters(dict[str, bool]):
    """Whether a character stands for itself, as Chinese ones do, so that a search may begin at it.

    Letters of alphabets do not: words are searched for from their beginning.
    """

    def __missing__(self, character: str) -> bool:
        """Look it up once."""
        found = self[character] = unicodedata.category(character) == "Lo"
        return found


STANDS: Final[Mapping[str, bool]] = Letters()
