"""``guanxi serve``, ``schema`` and ``demo`` as a user runs them, on embedded servers."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from graphql import build_schema

from commanding import Guanxi, commanding
from guanxi_core.discovery import discover
from guanxi_core.editions import compose
from guanxi_graphql.commands import QUERIES
from guanxi_graphql.limits import check_document, parse_limited, validate_limited
from guanxi_graphql.listening import Address, free_address
from guanxi_graphql.schema import schema_of
from guanxi_sdk import GuanxiError
from serving import (
    GUANXI,
    Running,
    environment,
    free_port,
    home_of,
    new_home,
    postmaster,
    processes_of,
    run,
    serving,
    wait_for,
)

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="no embedded server on Windows"),
    pytest.mark.xdist_group("serve"),  # one home for all
]


@pytest.fixture
def empty_home() -> Iterator[Path]:
    with new_home() as home:
        yield home


@pytest.fixture(scope="module")
def tenant() -> Iterator[tuple[Path, str]]:
    """A home with the tenant acme, and a token for it."""
    with home_of({"acme": ()}) as (home, tokens):
        yield home, tokens["acme"]


@pytest.fixture
def guanxi(
    tenant: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Guanxi:
    """The command in this process, on the tenant's home."""
    return commanding(tmp_path, monkeypatch, capfdbinary, home=tenant[0])


def test_it_serves_and_leaves_nothing_behind(tenant: tuple[Path, str]) -> None:
    home, token = tenant
    with serving(home, token, "--workers", "2") as running:
        answer = running.ask()
        assert answer.json() == {"data": {"tenant": {"name": "acme"}}}
        wrong = Running(running.process, running.url, "gx_" + "x" * 43, running.log)
        assert wrong.ask().status_code == 401
        ready = httpx.get(f"{running.url}/health/ready", verify=False)
        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
        assert run(home, "tenant", "list").returncode == 0  # beside the server, in the same home
        assert processes_of(home)
        assert running.stop() == 0
    assert processes_of(home) == {}
    assert "Traceback" not in running.log.read_text()


def test_a_revoked_token_ends_at_the_next_request(tenant: tuple[Path, str], guanxi: Guanxi) -> None:
    home, _ = tenant
    token = guanxi("token", "create", "--tenant", "acme", "--label", "short").out.strip()
    with serving(home, token) as running:
        assert running.ask().status_code == 200
        listed = json.loads(guanxi("token", "list", "--tenant", "acme", "--json").out)
        (number,) = [entry["id"] for entry in listed if entry["label"] == "short"]
        revoked = guanxi("token", "revoke", number, "--tenant", "acme")
        assert revoked.status == 0, revoked.err
        assert running.ask().status_code == 401


def test_killed_workers_and_postmasters_are_replaced(tenant: tuple[Path, str]) -> None:
    home, token = tenant
    with serving(home, token, "--workers", "2") as running:
        assert running.ask().status_code == 200
        first, second = running.workers()
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: len(set(running.workers()) - {first}) == 2)
        wait_for(lambda: running.status("/health/ready") == 200)
        assert running.ask().status_code == 200
        assert second in running.workers()

        killed = postmaster(home)
        os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + 20
        seen = set()
        while postmaster(home) in (0, killed) or running.ask().status_code != 200:
            seen.add(running.ask().status_code)
            assert time.monotonic() < deadline, running.log.read_text()
        assert seen <= {200, 503}
        assert running.stop() == 0
    assert processes_of(home) == {}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_parent_takes_everything_with_it(tenant: tuple[Path, str]) -> None:
    home, token = tenant
    with serving(home, token) as running:
        workers = running.workers()
        running.process.kill()
        running.process.wait()
        wait_for(lambda: not any(map(_alive, workers)))
        wait_for(lambda: not processes_of(home))
        assert running.status() == 0


def test_ctrl_c_stops_the_whole_group(tenant: tuple[Path, str]) -> None:
    home, token = tenant
    with serving(home, token) as running:
        os.killpg(running.process.pid, signal.SIGINT)
        assert running.process.wait(30) == 0
    assert processes_of(home) == {}
    assert "Traceback" not in running.log.read_text()


def test_a_port_in_use_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for command in ("serve", "demo"):
            refused = run(tmp_path / "home", command, "--port", str(port))
            assert refused.returncode == 1
            assert refused.stdout == ""
            assert refused.stderr == (
                f"guanxi: port {port} on 127.0.0.1 is in use: "
                "stop what listens there, or give another --port.\n"
            )
    assert not (tmp_path / "home").exists()


def test_a_port_shared_by_another_server_is_in_use_too() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(GuanxiError, match="in use"):
            free_address("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "message"),
    [("no.such.host.invalid", "is not a host"), ("192.0.2.1", "not an address of this machine"),
     ("x" * 300, "is not a host")],
)  # fmt: skip
def test_a_wrong_host_is_explained(host: str, message: str) -> None:
    with pytest.raises(GuanxiError, match=message):
        free_address(host, free_port())


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:8000"), ("0.0.0.0", "http://127.0.0.1:8000"),
     ("::", "http://[::1]:8000"), ("::1", "http://[::1]:8000"), ("crm.test", "http://crm.test:8000")],
)  # fmt: skip
def test_the_address_can_be_opened_in_a_browser(host: str, url: str) -> None:
    assert Address("", host, 8000).url == url


@pytest.mark.parametrize("command", [("serve",), ("schema", "--tenant", "acme"), ("demo",)])
def test_an_unreachable_database_is_one_line(tmp_path: Path, command: Sequence[str]) -> None:
    url = f"postgresql://someone:secret@127.0.0.1:{free_port()}/nothing"
    port = () if command[0] == "schema" else ("--port", str(free_port()))
    failed = run(tmp_path / "home", *command, *port, GUANXI_DATABASE_URL=url)
    assert failed.returncode == 1
    assert re.fullmatch(r"guanxi: the database .* does not answer.*\n", failed.stderr)
    assert "secret" not in failed.stderr + failed.stdout


def test_the_log_holds_neither_local_variables_nor_texts_of_errors() -> None:
    script = """
import structlog
from guanxi_core.telemetry import logs
logs.configure()
def fail(token):
    raise RuntimeError("broken")
try:
    fail("gx_" + "s" * 43)
except RuntimeError:
    structlog.get_logger("guanxi.http").error("request failed", reference="12ab", exc_info=True)
"""
    logged = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    entry = json.loads(logged.stderr)
    assert (entry["event"], entry["level"], entry["reference"]) == (
        "request failed",
        "error",
        "12ab",
    )
    assert entry["exception"].endswith("RuntimeError")
    assert "gx_s" not in logged.stderr


def test_schema_prints_what_the_tenant_can_ask(guanxi: Guanxi) -> None:
    printed = guanxi("schema", "--tenant", "acme")
    assert printed.status == 0, printed.err
    assert build_schema(printed.out).query_type is not None
    assert printed.out.endswith("}\n")
    missing = guanxi("schema", "--tenant", "nobody")
    assert (missing.status, missing.out) == (1, "")
    assert missing.err.startswith("guanxi: tenant 'nobody' does not exist")
    assert missing.err.count("\n") == 1


@pytest.mark.parametrize("title", QUERIES)
def test_the_queries_of_the_demonstration_fit_the_schema(title: str) -> None:
    document = parse_limited(QUERIES[title])
    check_document(document)
    schema = schema_of(compose(discover().plugins.values()))
    assert validate_limited(schema.graphql, document) == []
    assert "'" not in QUERIES[title]  # they are shown in single quotes, for the shell


def test_the_demonstration(empty_home: Path) -> None:
    home = empty_home
    port = free_port()
    log = home.parent / "demo.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*GUANXI, "demo", "--port", str(port)], env=environment(home), cwd=home.parent,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(lambda: "Ctrl-C stops it." in log.read_text() or process.poll() is not None, 60)
        shown = log.read_text()
        assert process.poll() is None, shown
        (token,) = set(re.findall(r"gx_[\w-]{43}", shown))
        bodies = re.findall(r"-d '(.*)'", shown)
        assert len(bodies) == len(QUERIES) == 3
        running = Running(process, f"http://127.0.0.1:{port}", token, log)
        wait_for(lambda: running.status() == 200)
        for body in bodies:
            answer = running.ask(json.loads(body)["query"]).json()
            assert "errors" not in answer
            edges = answer["data"]["customers"]["edges"]
            assert edges
            assert all(edge["node"]["name"] for edge in edges)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
    assert log.read_text().endswith("Stopped; nothing is left running.\n")
    assert processes_of(home) == {}
