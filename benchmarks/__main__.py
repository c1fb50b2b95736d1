"""Compare guanxi with the limit and peers: ``python -m benchmarks [--quick]``."""

import argparse
import json
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from benchmarks import importing
from benchmarks.comparison import FULL, QUICK, Comparison, Effort, Result
from benchmarks.dataset import CUSTOMERS
from benchmarks.installation import Installation, installed
from benchmarks.load import generator
from benchmarks.peers import Peer, available
from benchmarks.report import as_json, machine, ratios, regressions, table
from benchmarks.workloads import WORKLOADS, Workload
from guanxi_sdk import GuanxiError

BASELINE = Path(__file__).with_name("baseline.json")
_NAMES = [*(workload.name for workload in WORKLOADS), importing.NAME]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, compare with the baseline; the exit status."""
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    chosen = [w for w in WORKLOADS if not given.only or w.name in given.only]
    peers = available() if any(workload.of == "limit" for workload in chosen) else []
    began = time.monotonic()
    print("Preparing a database and two tenants …", file=sys.stderr, flush=True)
    with installed(CUSTOMERS) as here:
        results = _compare(here, peers, chosen, QUICK if given.quick else FULL)
        imported = importing.measure(here) if importing.NAME in (given.only or _NAMES) else None
        made_with = machine(here.postgresql, generator())
    command = shlex.join(["python", "-m", "benchmarks", *(arguments or sys.argv[1:])])
    for part in (table(results) if results else None, imported):
        if part:
            print(f"\n{part}")
    print(f"\n{made_with}\n{command}  ({time.monotonic() - began:.0f} s)")
    if given.json:
        figures = as_json(results, imported, command, made_with)
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    found = ratios(results)
    kept = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    if given.update_baseline:
        BASELINE.write_text(json.dumps({**kept, **found}, indent=2) + "\n")
        print(f"{BASELINE.name} is up to date.")
        return 0
    slower = regressions(kept, found)
    for line in slower:
        print(line, file=sys.stderr)
    return 1 if slower else 0


def _compare(
    here: Installation, peers: Sequence[Peer], chosen: Sequence[Workload], effort: Effort
) -> list[Result]:
    if not chosen:
        return []
    with here.serving(*peers) as servers:
        comparison = Comparison(servers, here.data, effort, here.home)
        in_turn = sorted(chosen, key=lambda workload: workload.writes)  # the others find no more
        results = {workload.name: comparison.run(workload) for workload in in_turn}
        return [results[workload.name] for workload in chosen]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file")
    parser.add_argument("--only", nargs="+", choices=_NAMES, help="some workloads")
    parser.add_argument(
        "--update-baseline", action="store_true", help="make this run's ratios the baseline"
    )
    return parser


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except GuanxiError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        sys.exit(1)
