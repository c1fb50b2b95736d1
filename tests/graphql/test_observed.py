"""A real server with two workers, observed from outside: its log, its metrics and its traces."""

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from serving import Running, free_port, home_of, serving, wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no embedded server on Windows")

METRICS_TOKEN = "watching-the-metrics-4711"
VALUE = "Ada-Canary-4711"  # what customers wrote
SECRETS = {
    "a wrong token": "gx_" + "w" * 43,
    "a webhook's secret": "whsec_canary4711canary4711",
    "a password": "pw-canary-4711",
}
PLUGIN = '''
"""Raises what it was given."""
import asyncio
import logging
import warnings

import guanxi_sdk
from guanxi_customers import Customer


class Leak(guanxi_sdk.Plugin, name="leak", requires=["customers"]):
    """Raises what it was given."""

    @guanxi_sdk.query()
    async def leak(self, ctx: guanxi_sdk.Context, text: str) -> str:
        """Raise it."""
        raise RuntimeError(text)

    @guanxi_sdk.query()
    async def slow(self, ctx: guanxi_sdk.Context, text: str) -> str:
        """Take a while, and leave a task behind that fails."""

        async def fail() -> None:
            raise KeyError(text)

        asyncio.get_running_loop().create_task(fail())
        await asyncio.sleep(0.3)
        return text

    @guanxi_sdk.mutation()
    async def say(self, ctx: guanxi_sdk.Context, text: str) -> str:
        """Log secrets, and warn."""
        logging.getLogger("leak").warning("it is whsec_canary4711canary4711", extra={"x": text})
        logging.getLogger("leak").warning("postgresql://app:pw-canary-4711@db/crm")
        warnings.warn("an old way", DeprecationWarning, stacklevel=1)
        return "said"

    @guanxi_sdk.hookimpl
    def write_errors(self, values: object) -> list[object]:
        if "veto" in str(values):
            raise ValueError(values)
        return []

    @guanxi_sdk.on(guanxi_sdk.Created[Customer])
    async def greet(self, ctx: guanxi_sdk.Context, event: guanxi_sdk.Created[Customer]) -> None:
        """Fail."""
        customer = await ctx.get(Customer, event.id)
        raise RuntimeError(customer.name)
'''


@contextmanager
def collecting() -> Iterator[tuple[str, list[bytes]]]:
    """A collector of traces; its address, and what was sent."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            bodies.append(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", bodies
        finally:
            server.shutdown()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder for PYTHONPATH in which the plugin is installed."""
    place = tmp_path_factory.mktemp("leak")
    (place / "guanxi_leak.py").write_text(PLUGIN)
    info = place / "guanxi_leak-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guanxi-leak\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[guanxi]\nleak = guanxi_leak:Leak\n")
    return str(place)


def counted(running: Running) -> dict[str, float]:
    answer = httpx.get(
        f"{running.url}/metrics",
        headers={"authorization": f"Bearer {METRICS_TOKEN}"},
        timeout=10,
        verify=False,
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert VALUE not in answer.text
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if line[0] != "#"]
    return {name: float(number) for name, _, number in lines}


def ask(running: Running, query: str, token: str | None = None, **variables: Any) -> Any:
    return httpx.post(
        f"{running.url}/graphql", json={"query": query, "variables": variables},
        headers={"authorization": f"Bearer {token or running.token}"}, timeout=20,
        verify=False,
    ).json()  # fmt: skip


OK = 'guanxi_request_seconds_count{operation="query",outcome="ok"}'
CREATE = """mutation Create($code: String!, $name: String!) {
  createCustomer(input: { code: $code, name: $name }) { customer { id } errors { code } }
}"""
TENANT = "query Tenant { tenant { name } }"


def test_a_server_tells_of_itself_and_keeps_secrets(installed: str) -> None:
    tenants = {"acme": ("customers", "leak")}
    with home_of(tenants) as (home, tokens), collecting() as (collector, traces):
        token = tokens["acme"]
        given = {
            "PYTHONPATH": installed, "GUANXI_METRICS_TOKEN": METRICS_TOKEN,
            "GUANXI_SLOW_REQUEST": "0.25", "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
            "OTEL_BSP_SCHEDULE_DELAY": "200", "PYTHONWARNINGS": "default",
            "GUANXI_OIDC": json.dumps(
                {"issuer": f"http://127.0.0.1:{free_port()}", "audience": "x", "tenant": "acme"}
            ),
        }  # fmt: skip
        claims = {"iss": json.loads(given["GUANXI_OIDC"])["issuer"], "aud": "x", "sub": VALUE}
        foreign = jwt.encode(claims, "k" * 32, "HS256")
        with serving(home, token, "--workers", "2", **given) as running:
            wait_for(lambda: running.status("/health/ready") == 200)
            _all_workers_are_counted(running)
            assert len(traces) >= 1
            _say_secrets(running, foreign)
            wait_for(lambda: running.log.read_text().count('"leak.greet') >= 1)
            assert running.stop() == 0
        log = running.log.read_text()
        sent = b"".join(traces)

    lines = [json.loads(line) for line in log.splitlines()]
    assert all({"time", "level", "logger", "event"} <= line.keys() for line in lines)
    secrets = {**SECRETS, "a value": VALUE, "the token": token, "an issuer's token": foreign,
               "the metrics' token": METRICS_TOKEN}  # fmt: skip
    for name, secret in secrets.items():
        assert secret not in log, name
        assert secret.encode() not in sent, name
    assert foreign.split(".")[1] not in log

    told = [line for line in lines if line["event"] == "slow request"]
    (slow,) = [line for line in told if line["operation"] == "Slow"]
    assert (slow["kind"], slow["outcome"]) == ("query", "ok")
    assert 300 <= slow["milliseconds"] < 20_000
    assert re.fullmatch(r"[0-9a-f-]{36}", slow["tenant"])
    assert re.fullmatch(r"[0-9a-f]{32}", slow["trace_id"])
    assert slow["request_id"] == "chosen-by-the-proxy"
    for event, error in (
        ("plugin 'leak' failed in 'leak'", "RuntimeError"),
        ("plugin 'leak' failed to answer 'write_errors'", "ValueError"),
        ("leak.greet failed at attempt 1", "RuntimeError"),
        ("Task exception was never retrieved", "KeyError"),
    ):
        found = [line for line in lines if line["event"].startswith(event)]
        assert found, event
        assert found[0]["exception"].rstrip().endswith(error)
        assert "guanxi_leak.py" in found[0]["exception"]
    assert any(line["logger"] == "py.warnings" for line in lines)
    assert any(line["logger"] == "_granian" for line in lines)
    assert b"leak.greet" in sent


def _all_workers_are_counted(running: Running) -> None:
    """Whoever answers a scrape tells of both workers, and of one that was killed."""
    wait_for(lambda: counted(running)["guanxi_processes"] == 2)
    before = counted(running).get(OK, 0)
    for _ in range(40):
        assert ask(running, TENANT)["data"]
    wait_for(lambda: counted(running)[OK] - before == 40)
    first, _ = running.workers()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(set(running.workers()) - {first}) == 2)
    wait_for(lambda: running.status("/health/ready") == 200)
    wait_for(lambda: counted(running)["guanxi_processes"] == 2)
    assert counted(running)[OK] - before == 40
    assert httpx.get(f"{running.url}/metrics", verify=False).status_code == 404
    wrong = {"authorization": f"Bearer {METRICS_TOKEN}x"}
    assert httpx.get(f"{running.url}/metrics", headers=wrong, verify=False).status_code == 404


def _say_secrets(running: Running, foreign: str) -> None:
    for wrong in (SECRETS["a wrong token"], foreign, VALUE):
        assert ask(running, TENANT, wrong)["errors"]
    failed = ask(running, "query ($t: String!) { leak(text: $t) }", t=f"{VALUE} {running.token}")
    assert failed["errors"][0]["extensions"]["code"] == "PLUGIN_FAILED"
    assert ask(running, "mutation ($t: String!) { say(text: $t) { result } }", t=VALUE)["data"]
    for code in (f"veto {VALUE}", VALUE, VALUE):
        ask(running, CREATE, code=code, name=VALUE)
    httpx.post(
        f"{running.url}/graphql", timeout=20, verify=False,
        json={"query": "query Slow($t: String!) { slow(text: $t) }", "variables": {"t": VALUE}},
        headers={"authorization": f"Bearer {running.token}", "x-request-id": "chosen-by-the-proxy"},
    ).raise_for_status()  # fmt: skip
    time.sleep(0.5)


def test_without_a_token_there_are_no_metrics(tmp_path: Path) -> None:
    with home_of({}) as (home, _), serving(home, "") as running:
        for value in ("Bearer", "Bearer None", "Bearer x"):
            answer = httpx.get(f"{running.url}/metrics", headers={"authorization": value})
            assert answer.status_code == 404
            missing = httpx.get(f"{running.url}/nothing")
            assert (answer.text, answer.status_code) == (missing.text, missing.status_code)
