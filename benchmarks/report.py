"""The table of results, and what became slower than it was."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.comparison import Result
from benchmarks.importing import Imported

#: How much of a ratio may be lost before it counts as a regression.
TOLERANCE = 0.15
#: Ratios that must be reached whatever the baseline says.
FLOORS = {"W1": 0.5, "W4": 0.4}
_OURS = ("limit", "guanxi")


def machine(postgresql: str, load: str) -> str:
    """What the figures were made with."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{cores} cores, Python {platform.python_version()}, PostgreSQL {postgresql} (embedded), "
        f"load by {load}"
    )


def table(results: Sequence[Result]) -> str:
    """Requests per second; below, guanxi as a share of the limit and of its peers.

    W5 and W6 are shares of guanxi's own W2.
    """
    names = list(dict.fromkeys(name for result in results for name in result.rates))
    names = [name for name in names if not name.startswith("W")]
    peers = [name for name in names if name not in _OURS]
    rates = [["requests/s", *names, ""]]
    shares = [["guanxi", "ratio", "of", "goal", *(f"times {name}" for name in peers)]]
    for result in results:
        workload = result.workload
        measured = (_number(result.rate(name)) for name in names)
        rates.append([workload.name, *measured, workload.title])
        shares.append(
            [
                workload.name,
                _share(result.ratio("guanxi")),
                workload.of,
                f"{workload.goal:.2f}",
                *(_times(result, name) for name in peers),
            ]
        )
    return f"{columns(rates, left=(0, len(names) + 1))}\n\n{columns(shares, left=(0,))}"


def columns(rows: Sequence[Sequence[str]], left: Sequence[int] = ()) -> str:
    """Rows with their cells below each other, numbers to the right."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_json(
    results: Sequence[Result], imported: Imported | None, command: str, made_with: str
) -> dict[str, Any]:
    """Everything measured, for `--json`."""
    return {
        "command": command,
        "machine": made_with,
        "workloads": {
            result.workload.name: {
                "title": result.workload.title,
                "ratio_to": result.workload.of,
                "ratios": {name: result.ratio(name) for name in result.rates},
                "requests_per_second": result.rates,
            }
            for result in results
        },
        "import": asdict(imported) if imported else None,
    }


def ratios(results: Sequence[Result]) -> dict[str, float]:
    """guanxi's ratio by workload: what a baseline keeps."""
    found = {result.workload.name: result.ratio("guanxi") for result in results}
    return {name: round(ratio, 3) for name, ratio in found.items() if ratio is not None}


def regressions(baseline: Mapping[str, float], now: Mapping[str, float]) -> list[str]:
    """A line for each workload whose ratio fell too far below the baseline's, or a floor."""
    low = [
        f"{name}: the ratio {now[name]:.2f} is below {floor:.2f}, which has to be reached."
        for name, floor in FLOORS.items()
        if name in now and now[name] < floor
    ]
    return low + [
        f"{name}: the ratio fell from {before:.2f} to {now[name]:.2f}, "
        f"more than {TOLERANCE:.0%} below benchmarks/baseline.json."
        for name, before in sorted(baseline.items())
        if name in now and now[name] < before * (1 - TOLERANCE)
    ]


def _times(result: Result, peer: str) -> str:
    times = result.times("guanxi", peer)
    if times is None:
        return "-"
    return f"{times:.0f}×" if times >= 10 else f"{times:.1f}×"


def _number(rate: float | None) -> str:
    if rate is None:
        return "-"
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"


def _share(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"
