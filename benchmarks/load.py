"""Load: many requests at once, by wrk if it is installed, else by a small client of our own."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

_SCRIPT = Path(__file__).with_suffix(".lua")
_PATIENCE = 60.0  # seconds


class Measured(msgspec.Struct, frozen=True):
    """What came of one run."""

    requests: int
    seconds: float
    bytes: int  # received, with headers
    failures: int

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def size(self) -> float:
        """Bytes of one response."""
        return self.bytes / max(self.requests, 1)


def generator() -> str:
    """Which program makes the load."""
    return "wrk" if shutil.which("wrk") else "benchmarks.client"


def measure(
    url: str,
    bodies: Path,
    headers: Mapping[str, str],
    *,
    connections: int,
    seconds: float,
) -> Measured:
    """Post the lines of ``bodies`` in turn, as fast as ``connections`` get answers."""
    flat = [part for header in headers.items() for part in header]
    if shutil.which("wrk"):
        command = [
            "wrk", "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "--timeout=60s",
            f"-s{_SCRIPT}", url, "--", str(bodies), *flat,
        ]  # fmt: skip
    else:
        numbers = [str(connections), str(seconds)]
        command = [sys.executable, "-m", "benchmarks.client", url, *numbers, str(bodies), *flat]
    return _run(command, seconds + _PATIENCE)


def _run(command: Sequence[str], timeout: float) -> Measured:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=_SCRIPT.parent.parent,
            timeout=timeout,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise SystemExit("benchmarks: the load does not end: a server has gone silent.") from None
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise SystemExit(f"benchmarks: the load failed: {(done.stdout + done.stderr)[-500:]}")
    return msgspec.json.decode(lines[-1], type=Measured)
