"""The table of metrics in the documentation is what the code exposes."""

import re
import time
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase

from guanxi_core.telemetry import metrics
from guanxi_core.telemetry.exposing import Observer

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def row(name: str, kind: str, labels: Any, text: str) -> str:
    named = ", ".join(f"`{label}`" for label in labels)
    return f"| `{name}{'_total' * (kind == 'counter')}` | {kind} | {named} | {text} |"


def expected() -> list[str]:
    rows = []
    for value in vars(metrics).values():
        shown = value._shown if isinstance(value, metrics.Timing) else value
        if isinstance(shown, MetricWrapperBase):
            (family,) = shown.describe()
            rows.append(row(family.name, family.type, shown._labelnames, family.documentation))
    observer = Observer(lambda: 0)
    observer._rows, observer._asked = (), time.monotonic()

    class Sealer:
        sealed = 0.0

    observer._sealer = Sealer()  # type: ignore[assignment]
    for family in observer.collect():
        labels = getattr(family, "_labelnames", ())
        rows.append(row(family.name, family.type, labels, family.documentation))
    return rows


def test_the_table_of_metrics_is_complete() -> None:
    told = re.findall(r"^\| `(?:guanxi|process)_.*", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [line for line in told if line.count("|") == 5] == expected()
