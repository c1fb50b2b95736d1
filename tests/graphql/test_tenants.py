"""Tenants with different plugins on one running server, changed from outside while it answers."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from commanding import commanding
from serving import Running, home_of, serving

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="no embedded server on Windows"),
    pytest.mark.xdist_group("tenants"),  # one home for all
]

PLAIN = "{ tenant { name } customers(first: 1) { totalCount edges { node { code } } } }"
TIER = "{ customers(first: 1) { totalCount edges { node { code tier } } } }"
NO_FIELD = "Cannot query field 'tier' on type 'Customer'"
#: What each tenant has from the beginning; `late` gets tiers later, `never` does not.
PLUGINS = {"full": ("customers", "tiers"), "late": ("customers",), "never": ("customers",)}


@dataclass(frozen=True)
class Site:
    """A server of two workers, and a client with each tenant's token."""

    home: Path
    running: Running
    tenants: dict[str, httpx.Client]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with ExitStack() as stack:
        home, tokens = stack.enter_context(home_of(PLUGINS))
        running = stack.enter_context(serving(home, "", "--workers", "2"))
        tenants = {
            name: stack.enter_context(client_of(running, token, connections_kept=0))
            for name, token in tokens.items()
        }
        yield Site(home, running, tenants)


@pytest.fixture
def cli(
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Callable[..., str]:
    """``cli("tenant", "list")`` on the site, beside its server."""
    guanxi = commanding(tmp_path, monkeypatch, capfdbinary, home=site.home)

    def run(*arguments: str) -> str:
        done = guanxi(*arguments)
        assert done.status == 0, done.err
        return done.out.strip()

    return run


def client_of(running: Running, token: str, *, connections_kept: int) -> httpx.Client:
    """Without kept connections each request makes a new one, so that all workers get some."""
    return httpx.Client(
        base_url=running.url,
        headers={"authorization": f"Bearer {token}"},
        limits=httpx.Limits(max_keepalive_connections=connections_kept),
        timeout=10,
        verify=False,
    )


def ask(client: httpx.Client, query: str) -> httpx.Response:
    return client.post("/graphql", json={"query": query})


def has_tier(answer: httpx.Response) -> bool:
    """Whether the tenant has the field; an answer that is neither yes nor no fails the test."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    if "errors" not in body:
        assert body == {"data": {"customers": {"totalCount": 0, "edges": []}}}
        return True
    assert "data" not in body
    (error,) = body["errors"]
    assert error["message"].startswith(NO_FIELD)
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    return False


@dataclass
class Load:
    """Requests of all tenants, one after the other, until the block ends; keeps what failed."""

    site: Site
    answers: dict[str, int] = field(default_factory=dict)
    seen: dict[str, list[bool]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=[name]) for name in PLUGINS]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, name: str) -> None:
        tenant = self.site.tenants[name]
        expected = {"tenant": {"name": name}, "customers": {"totalCount": 0, "edges": []}}
        seen = self.seen.setdefault(name, [])
        while not self._over.wait(0.01):
            try:
                answer = ask(tenant, PLAIN)
                assert answer.status_code == 200, answer.text
                assert answer.json() == {"data": expected}
                seen.append(has_tier(ask(tenant, TIER)))
            except (AssertionError, httpx.HTTPError, ValueError) as error:
                self.failures.append(f"{name}: {error!r}")
            else:
                self.answers[name] = self.answers.get(name, 0) + 2

    def more(self, count: int = 20) -> None:
        """Wait until every tenant has been answered ``count`` times more."""
        goals = {name: self.answers.get(name, 0) + count for name in PLUGINS}
        deadline = time.monotonic() + 30
        while any(self.answers.get(name, 0) < goal for name, goal in goals.items()):
            assert not self.failures
            assert time.monotonic() < deadline, "the server hardly answers"
            time.sleep(0.01)


def test_tiers_come_and_go_for_one_tenant_while_the_server_answers(
    site: Site, cli: Callable[..., str]
) -> None:
    shown = {name: has_tier(ask(tenant, TIER)) for name, tenant in site.tenants.items()}
    assert shown == {"full": True, "late": False, "never": False}

    with Load(site) as load:
        load.more()
        cli("enable", "tiers", "--tenant", "late")
        enabled = [has_tier(ask(site.tenants["late"], TIER)) for _ in range(20)]
        load.more()
        cli("disable", "tiers", "--tenant", "late")
        disabled = [has_tier(ask(site.tenants["late"], TIER)) for _ in range(20)]
        load.more()

    assert load.failures == []
    assert all(enabled)  # at once, whichever worker answers
    assert not any(disabled)
    assert set(load.seen["full"]) == {True}
    assert set(load.seen["never"]) == {False}
    late = load.seen["late"]
    changes = [now for before, now in pairwise(late) if before != now]
    assert (late[0], changes) == (False, [True, False])  # nobody saw it flicker
    assert "Traceback" not in site.running.log.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells which worker has a connection")
def test_a_revoked_token_ends_at_the_next_request_on_every_worker(
    site: Site, cli: Callable[..., str]
) -> None:
    token = cli("token", "create", "--tenant", "full", "--label", "short")
    listed = json.loads(cli("token", "list", "--tenant", "full", "--json"))
    (number,) = [entry["id"] for entry in listed if entry["label"] == "short"]
    with ExitStack() as stack:
        by_worker = connections(site.running, token, stack)
        cli("token", "revoke", number, "--tenant", "full")
        for client in by_worker.values():
            assert ask(client, TIER).status_code == 401
    assert ask(site.tenants["full"], TIER).status_code == 200  # the tenant's other token


def connections(running: Running, token: str, stack: ExitStack) -> dict[int, httpx.Client]:
    """A client with a connection kept alive to each worker, by the worker's process id."""
    workers = set(running.workers())
    assert len(workers) == 2
    found: dict[int, httpx.Client] = {}
    for _ in range(200):
        client = stack.enter_context(client_of(running, token, connections_kept=1))
        answer = ask(client, TIER)
        assert answer.status_code == 200, answer.text
        _, port = answer.extensions["network_stream"].get_extra_info("client_addr")
        found.setdefault(worker_of(port, workers), client)
        if set(found) == workers:
            return found
    raise AssertionError(f"200 connections went to {set(found)} only, of {workers}")


def worker_of(port: int, workers: set[int]) -> int:
    """Which worker has the other end of the connection from ``port`` on this machine."""
    for worker in workers:
        folder = Path("/proc", str(worker))
        held = {str(file.readlink()) for file in (folder / "fd").iterdir() if file.is_symlink()}
        for line in (folder / "net" / "tcp").read_text().splitlines()[1:]:
            cells = line.split()
            if cells[2].endswith(f":{port:04X}") and f"socket:[{cells[9]}]" in held:
                return worker
    raise AssertionError(f"no worker has the connection from port {port}")
