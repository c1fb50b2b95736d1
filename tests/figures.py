"""What the trust suite reached: tests note figures, a long run ends with their table."""

import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import databases as scratch

#: Whether the numbers of the promises are to be reached in full.
LONG: Final = bool(os.environ.get("GUANXI_TRUST"))
_NAME: Final = "trust"

Figure = Callable[[int, str, str], None]


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """``figure(8, "of 100 parallel: 1 effect", "1 effect, 100 equal replies")``.

    Equal figures of several tests, or of one test's parameters, make one line.
    """

    def note(row: int, promised: str, reached: str) -> None:
        record_property(_NAME, [row, promised, reached])

    return note


@pytest.fixture(autouse=True)
def company(request: pytest.FixtureRequest) -> Iterator[None]:
    """In a long run a test that measures time (``@pytest.mark.alone``) runs while no other does."""
    if not LONG:
        yield
        return
    alone = request.node.get_closest_marker("alone") is not None
    with (Path(os.environ[scratch.HOME]) / "company.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def table(reports: list[Any]) -> list[str]:
    """The lines of the table: row, what is promised, what was reached, and how long it took."""
    reached: dict[tuple[int, str], Counter[str]] = {}
    seconds: Counter[tuple[int, str]] = Counter()
    for report in reports:
        noted = [tuple(value) for name, value in report.user_properties if name == _NAME]
        for row, promised, what in noted:
            reached.setdefault((row, promised), Counter())[what] += 1
            seconds[row, promised] += report.duration / len(noted)
    lines = [
        (
            f"{row}", promised, f"{seconds[row, promised]:.0f}",
            "; ".join(f"{n} × {what}" if n > 1 else what for what, n in found.items()),
        )
        for (row, promised), found in sorted(reached.items())
    ]  # fmt: skip
    heads = ("row", "promised", "s", "reached")
    widths = [max(len(line[i]) for line in [heads, *lines]) for i in range(3)]
    return [
        f"{line[0]:>{widths[0]}}  {line[1]:<{widths[1]}}  {line[2]:>{widths[2]}}  {line[3]}"
        for line in [heads, *lines]
    ]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A long run ends with the table."""
    passed = terminalreporter.stats.get("passed", [])
    if LONG and passed:
        terminalreporter.section("what was reached")
        for line in table([report for report in passed if report.when == "call"]):
            terminalreporter.write_line(line)
