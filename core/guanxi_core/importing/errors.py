"""What stops an import as a whole, and what is wrong with one value."""

import difflib
import re
from collections.abc import Iterable

from guanxi_sdk import GuanxiError


class ImportFailed(GuanxiError):
    """The import cannot be done; nothing of it was written. One line: what, and how to mend it."""


class BadValue(ValueError):
    """One cell cannot be read; the message continues a sentence that begins with its name."""


def squash(name: str) -> str:
    """A name without case, blanks and punctuation: ``Customer ID`` and ``customer_id`` agree."""
    return re.sub(r"[\W_]+", "", name).casefold()


def nearest(wrong: str, valid: Iterable[str]) -> str:
    """A hint: the valid name most like ``wrong``, or else all of them."""
    names, sought = list(valid), squash(wrong)
    best = max(names, key=lambda name: _likeness(sought, squash(name)), default=None)
    if best is not None and _likeness(sought, squash(best)) >= 0.55:
        return f"did you mean '{best}'?"
    return f"there are {', '.join(names)}." if names else "there are none."


def _likeness(one: str, other: str) -> float:
    """0 to 1; the beginning of a longer name counts nearly as much as the whole."""
    whole = difflib.SequenceMatcher(None, one, other).ratio()
    return max(whole, 0.95 * difflib.SequenceMatcher(None, one, other[: len(one)]).ratio())
