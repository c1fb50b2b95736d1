"""Texts that a spreadsheet would run as formulas, and the apostrophe that keeps it from that.

Both ways fit: what :func:`guarded` adds is what :func:`unguarded` takes away, and nothing else.
"""

import re
from typing import Final

#: What spreadsheets begin formulas with, in full width, too, behind any number of apostrophes.
_FORMULA: Final = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")


def guarded(text: str) -> str:
    """``text`` as a cell of a CSV file: with an apostrophe where it looks like a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """The text that :func:`guarded` made ``cell`` of."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell
