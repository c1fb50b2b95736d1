"""Every promise has a test that names it, and the documentation tells which."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "security.md"
#: Of the promises; 3 and 16 come with what they are about.
ROWS = {1, 2, *range(4, 16), *range(17, 21)}


def named() -> dict[str, set[int]]:
    """The rows that the docstrings of each module name, as ``Row 7: …`` or ``Rows 8 and 4``."""
    found: dict[str, set[int]] = {}
    for path in HERE.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef):
                for rows in re.findall(
                    r"\bRows? (\d+(?:(?:, | and |, and )\d+)*)", ast.get_docstring(node) or ""
                ):
                    found.setdefault(path.name, set()).update(map(int, re.findall(r"\d+", rows)))
    return found


def test_every_row_is_named_by_a_test() -> None:
    rows: set[int] = set().union(*named().values())
    assert rows - ROWS == set()
    assert ROWS - rows == set()


def test_the_documentation_tells_how_to_check_each_row() -> None:
    text = DOCS.read_text("utf-8")
    table = re.findall(r"^\| (\d+) \| .* \| ([^|]*`test_[^|]*) \|$", text, re.MULTILINE)
    told = {int(row): set(re.findall(r"`(test_\w+\.py)`", tests)) for row, tests in table}
    assert told.keys() == ROWS
    naming = named()
    for row, tests in told.items():
        assert all((HERE / test).exists() for test in tests), row
        assert any(row in naming.get(test, ()) for test in tests), row
