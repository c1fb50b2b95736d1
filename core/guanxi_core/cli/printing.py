"""Output of commands: aligned columns for people, JSON for scripts."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import rich_click as click


def print_json(value: Any) -> None:
    """Print ``value`` as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows in columns; None is empty. Chinese characters count twice, as they are drawn."""
    cells = [[_text(value) for value in row] for row in (headings, *rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        )
        click.echo("  ".join(padded).rstrip())


class Bar:
    """A progress bar on stderr: one line for each name it is told of."""

    def __init__(self, shown: Any) -> None:
        self._shown = shown
        self._tasks: dict[str, Any] = {}

    def tell(self, name: str, done: int, size: int, rows: int) -> None:
        """``done`` of ``size`` steps of ``name``, which were ``rows`` rows."""
        if name not in self._tasks:
            self._tasks[name] = self._shown.add_task(name, total=size)
        self._shown.update(
            self._tasks[name], completed=done, total=size, description=f"{name} {rows:,} rows"
        )

    def counting(self, name: str) -> Callable[[int, int, int], None]:
        """:meth:`tell` for one name."""
        return lambda done, size, rows: self.tell(name, done, size, rows)


@contextmanager
def progress_bar() -> Iterator[Bar | None]:
    """A bar while somebody watches, else None."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), Remaining())
    with Progress(*columns, console=console, transient=True) as shown:
        yield Bar(shown)


def _text(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "FW" else 1
        for c in text
    )
