"""Peers are asked the same and left out where they cannot run; what they answer is not polished."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from benchmarks.comparison import Comparison, Effort
from benchmarks.dataset import Dataset
from benchmarks.dialects import POSTGRAPHILE, STRAWCHEMY, Dialect, cursor
from benchmarks.load import Measured
from benchmarks.peers import PEERS, Peer, available
from benchmarks.peers.postgraphile import Node, install, is_recent
from benchmarks.workloads import WORKLOADS

from benchmarks import comparison

ID = UUID(int=7)
DATA = Dataset(UUID(int=1), (UUID(int=2),), (ID, UUID(int=8)))
W1 = WORKLOADS[0]
NAMED = {"code": "C", "name": "客户", "nameEn": None, "lifecycle": "LOST", "version": 1}


@dataclass
class Server:
    """Stands for a server: answers W1 with one customer, and remembers what it was asked."""

    name: str
    id: str = f"customer_{ID}"
    dialect: Dialect | None = None
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[bytes] = field(default_factory=list)

    def url(self, workload: str) -> str:
        return f"http://{self.name}/{workload}"

    def ask(self, workload: str, body: bytes) -> bytes:
        self.asked.append(body)
        return json.dumps({"data": {"customer": {"id": self.id, **NAMED}}}).encode()


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """What the load generator was told to send where."""
    found: list[tuple[str, bytes]] = []

    def measure(url: str, bodies: Path, headers: Any, **_: Any) -> Measured:
        found.append((url.split("/")[2], bodies.read_bytes().splitlines()[0]))
        return Measured(requests=10, seconds=1, bytes=2_500, failures=0)

    monkeypatch.setattr(comparison, "measure", measure)
    return found


def compare(tmp_path: Path, *peers: Server) -> Comparison:
    servers: Any = [Server("limit"), Server("guanxi"), *peers]
    return Comparison(servers, DATA, Effort(rounds=3, peer_rounds=1, seconds=1), tmp_path)


def test_a_peer_is_measured_less_often_but_warm(
    tmp_path: Path, loads: list[tuple[str, bytes]]
) -> None:
    result = compare(tmp_path, Server("slow")).run(W1)
    assert {name: len(rates) for name, rates in result.rates.items()} == {
        "limit": 3, "guanxi": 3, "slow": 1,
    }  # fmt: skip
    assert [name for name, _ in loads].count("slow") == 2
    assert loads[2][0] == "slow"


def test_a_server_with_a_dialect_is_asked_in_it(
    tmp_path: Path, loads: list[tuple[str, bytes]]
) -> None:
    peer = Server("other", str(ID), POSTGRAPHILE)
    compare(tmp_path, peer).run(W1)
    for body in (peer.asked[0], dict(loads)["other"]):
        request = json.loads(body)
        assert "customersCustomerByTenantIdAndRowId" in request["query"]
        assert request["variables"] == {"tenant": str(DATA.tenant_id), "id": str(ID)}


@pytest.mark.parametrize(
    "peer",
    [Server("other", f"customer_{UUID(int=8)}"), Server("other", str(UUID(int=8)), POSTGRAPHILE)],
)
def test_another_row_ends_the_run(tmp_path: Path, peer: Server) -> None:
    with pytest.raises(SystemExit, match="other answers W1 unlike the limit"):
        compare(tmp_path, peer).run(W1)


@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer.dialect], ids=lambda p: p.name)
def test_a_dialect_says_every_workload_that_is_compared(peer: Peer) -> None:
    assert peer.dialect is not None
    assert list(peer.dialect.documents) == [w.name for w in WORKLOADS if w.of == "limit"]


@pytest.mark.parametrize(("count", "more"), [(1, False), (2, True)])
def test_a_page_by_offset_goes_on_where_more_are_counted(count: int, more: bool) -> None:
    theirs = {
        "customers": [{"id": str(ID), "name": "客户"}],
        "total": {"aggregations": {"count": count}},
    }
    assert STRAWCHEMY.translated(theirs)["customers"] == {
        "edges": [{"node": {"id": f"customer_{ID}", "name": "客户"}}],
        "totalCount": count,
        "pageInfo": {"hasNextPage": more, "endCursor": cursor("NAME_ASC", "客户", str(ID))},
    }


def test_a_missing_cursor_stays_missing() -> None:
    page = {"pageInfo": {"endCursor": None}, "edges": [{"node": {"id": str(ID), "name": "客户"}}]}
    assert POSTGRAPHILE.translated({"customers": page})["customers"]["pageInfo"] == {
        "endCursor": None
    }


def test_who_cannot_run_is_left_out_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    here, gone = Peer("here"), Peer("gone", missing=lambda: "needs gone: pip install gone")
    assert available([gone, here]) == [here]
    assert capsys.readouterr().err == "Without gone: it needs gone: pip install gone\n"


@pytest.mark.parametrize(
    ("said", "recent"), [("v20.20.2", False), ("v22.0.0", True), ("v100.1.0", True), ("", False)]
)
def test_an_old_node_is_none(tmp_path: Path, said: str, recent: bool) -> None:
    program = tmp_path / "node"
    program.write_text(f"#!/bin/sh\necho {said}\n")
    program.chmod(0o755)
    assert is_recent(str(program)) is recent


@pytest.fixture
def npm(tmp_path: Path) -> Callable[[str], Node]:
    """Makes an npm that runs a line of Python; the folder has a lock file."""
    (tmp_path / "package-lock.json").write_text("{}")
    return lambda code: Node(sys.executable, (sys.executable, "-c", code))


def test_packages_are_installed_once_for_a_lock_file(
    tmp_path: Path, npm: Callable[[str], Node]
) -> None:
    node = npm(
        "import pathlib, sys; assert sys.argv[1] == 'ci'; "
        "pathlib.Path('node_modules').mkdir(exist_ok=True); open('calls', 'a').write('x')"
    )
    calls = tmp_path / "calls"
    assert [install(node, tmp_path) for _ in range(2)] == [None, None]
    assert calls.read_text() == "x"
    (tmp_path / "package-lock.json").write_text('{"name": "other"}')
    assert install(node, tmp_path) is None
    assert calls.read_text() == "xx"


def test_what_npm_says_is_told(tmp_path: Path, npm: Callable[[str], Node]) -> None:
    node = npm("import sys; sys.exit('npm warn old\\nnpm error code E404\\nnpm error 404')")
    for _ in range(2):
        reason = install(node, tmp_path)
        assert reason is not None
        assert "`npm ci`" in reason
        assert reason.endswith("npm error code E404")
