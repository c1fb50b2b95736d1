"""Several servers under the same load, in alternation."""

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.dataset import Dataset
from benchmarks.installation import Server
from benchmarks.load import measure
from benchmarks.workloads import WORKLOADS, Workload, comparable, flaw

_HEADERS = 400  # bytes of a response's headers, at most
_ANSWERS = 3  # of each connection, at least, if it takes no longer than …
_LONGEST = 8.0  # seconds


@dataclass(frozen=True, slots=True)
class Effort:
    """How often and how long to measure."""

    rounds: int
    peer_rounds: int
    seconds: float


FULL = Effort(rounds=7, peer_rounds=2, seconds=2)
QUICK = Effort(rounds=2, peer_rounds=1, seconds=1)


@dataclass(slots=True)
class Result:
    """Requests per second of one workload, round by round."""

    workload: Workload
    rates: dict[str, list[float]] = field(default_factory=dict)

    def rate(self, name: str) -> float | None:
        """The median of a server, or of guanxi with another workload."""
        return statistics.median(self.rates[name]) if name in self.rates else None

    def ratio(self, name: str) -> float | None:
        """How fast a server is as a share of what this workload is compared with.

        The median of the rounds' own ratios: what else the machine did in a round slowed both.
        """
        return self.times(name, self.workload.of)

    def times(self, name: str, other: str) -> float | None:
        """How many times as fast as another a server is, in the rounds that both ran."""
        pairs = zip(self.rates.get(name, []), self.rates.get(other, []))  # noqa: B905  peers run fewer rounds
        shares = [rate / reference for rate, reference in pairs]
        return statistics.median(shares) if shares else None


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server with the workload that it gets; W5 and W6 compete with guanxi's own W2."""

    name: str
    server: Server
    workload: Workload
    size: int  # of an answer, in bytes
    seconds: float  # that one answer takes


class Comparison:
    """Measures workload by workload; anything but correct answers ends it."""

    def __init__(
        self, servers: Sequence[Server], data: Dataset, effort: Effort, folder: Path
    ) -> None:
        self._servers = {server.name: server for server in servers}
        self._data = data
        self._effort = effort
        self._folder = folder

    def run(self, workload: Workload) -> Result:
        """Measure one workload."""
        contestants = self._contestants(workload)
        result = Result(workload)
        rounds = self._effort.rounds
        for number in range(-1, rounds):  # the first round warms up
            for contestant in contestants:
                is_peer = contestant.name not in ("guanxi", workload.of)
                if is_peer and number >= self._effort.peer_rounds:
                    continue
                rate = self._round(contestant, 1 if number < 0 else self._effort.seconds)
                if number >= 0:
                    result.rates.setdefault(contestant.name, []).append(rate)
            if number >= 0:
                last = (f"{name} {rates[-1]:.0f}/s" for name, rates in result.rates.items())
                print(f"{workload.name} round {number + 1}/{rounds} ", *last, file=sys.stderr)
        return result

    def _contestants(self, workload: Workload) -> list[Contestant]:
        """Who competes, after making sure that all give the same answer."""
        guanxi = self._servers["guanxi"]
        for other in WORKLOADS:
            if other.name == workload.of:
                return [
                    self._introduced(other.name, guanxi, other)[0],
                    self._introduced("guanxi", guanxi, workload)[0],
                ]
        found = [self._introduced(name, on, workload) for name, on in self._servers.items()]
        for contestant, answer in found:
            if answer != found[0][1]:
                raise SystemExit(
                    f"benchmarks: {contestant.name} answers {workload.name} unlike the limit."
                )
        return [contestant for contestant, _ in found]

    def _introduced(self, name: str, server: Server, on: Workload) -> tuple[Contestant, Any]:
        body = on.bodies(self._data, server.dialect)[0]
        server.ask(on.name, body)  # plans are made
        began = time.perf_counter()
        answer = server.ask(on.name, body)
        contestant = Contestant(name, server, on, len(answer), time.perf_counter() - began)
        _check(contestant, answer)
        return contestant, comparable(answer, server.dialect)

    def _round(self, contestant: Contestant, seconds: float) -> float:
        server, workload = contestant.server, contestant.workload
        bodies = workload.bodies(self._data, server.dialect)
        path = self._folder / f"{workload.name}.jsonl"
        path.write_bytes(b"".join(body + b"\n" for body in bodies))
        enough = _ANSWERS * workload.connections * contestant.seconds  # for the slowest, too
        found = measure(
            server.url(workload.name), path, server.headers,
            connections=workload.connections, seconds=max(seconds, min(enough, _LONGEST)),
        )  # fmt: skip
        what = f"benchmarks: {contestant.name} with {workload.name}"
        if found.failures or not found.requests:
            raise SystemExit(f"{what}: {found.failures} of {found.requests} requests failed.")
        if abs(found.size - contestant.size) > contestant.size / 10 + _HEADERS:
            raise SystemExit(f"{what}: {found.size:.0f} bytes an answer, not {contestant.size}.")
        _check(contestant, server.ask(workload.name, bodies[-1]))
        return found.rate


def _check(contestant: Contestant, answer: bytes) -> None:
    if reason := flaw(answer, contestant.size):
        workload = contestant.workload.name
        raise SystemExit(f"benchmarks: {contestant.name}'s answer to {workload} {reason}.")
