"""What observing one small query costs, in microseconds: ``python -m benchmarks.instruments``."""

import statistics
import time
from collections.abc import Callable

from guanxi_core.database.connections import Timed
from guanxi_core.telemetry import metrics, traces
from guanxi_core.telemetry.activity import CURRENT, Activity, request_id_of

_HEADERS = {b"accept": b"*/*", b"authorization": b"Bearer x", b"content-type": b"application/json"}


def request() -> None:
    """All that a query with a known token and plan goes through besides its work."""
    request_id = request_id_of(_HEADERS.get(b"x-request-id"))
    activity = Activity(request_id=request_id)
    token, began = CURRENT.set(activity), time.perf_counter()
    with traces.request(_HEADERS, "POST", "http") as span:
        current = CURRENT.get()
        assert current is activity
        current.kind, current.name = "query", "Customers"
        metrics.DOCUMENTS.hits += 1
        metrics.PLANS.hits += 1
        with Timed("SELECT 1"):
            pass
        seconds = time.perf_counter() - began
        assert span is traces.OFF
        _ = (b"x-request-id", request_id.encode("ascii"))
    metrics.REQUESTS.observe(seconds, activity.kind, metrics.outcome_of(activity.code))
    CURRENT.reset(token)


def cost(work: Callable[[], None], times: int = 50_000, rounds: int = 9) -> float:
    """The median of some rounds."""
    found = []
    for _ in range(rounds):
        began = time.process_time()  # others may use the machine as well
        for _ in range(times):
            work()
        found.append((time.process_time() - began) / times * 1e6)
    return statistics.median(found)


if __name__ == "__main__":
    print(f"a request: {cost(request):.2f} µs")
    print(f"one scrape's flush: {cost(metrics.flush, 2_000):.2f} µs")
