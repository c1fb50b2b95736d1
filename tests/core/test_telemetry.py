"""Logs, metrics and request ids by themselves: what is written, counted, hidden and shared."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from databases import Scratch
from guanxi_core.config import Config, ConfigError
from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_core.telemetry import logs, metrics, sharing
from guanxi_core.telemetry.activity import CURRENT, Activity, operation_name, request_id_of
from guanxi_core.telemetry.errors import describe, render
from guanxi_core.telemetry.exposing import is_permitted
from guanxi_core.telemetry.redaction import HIDDEN, redact, redacted
from guanxi_sdk import Invalid

CANARY = "canary-4711"
TOKEN = "gx_" + "Ab0-_" * 8
SECRETS = [
    TOKEN, f"Bearer {CANARY}", f"bearer  {CANARY}", f"authorization: Bearer {CANARY}",
    f"whsec_{CANARY}+/=", f"postgresql://app:{CANARY}@db.example.com:5432/crm",
    f"host=db password={CANARY} dbname=crm", f"https://x.example/?token={CANARY}&y=1",
    f"eyJhbGciOiJFUzI1NiJ9.{CANARY}.c2ln", f"Basic {CANARY}",
    f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----",
]  # fmt: skip


# --- secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", SECRETS)
@given(before=st.text(" \n:=,'\"([{", max_size=3), after=st.sampled_from(["", " ", "'", '"', ")"]))
def test_what_looks_like_a_secret_is_hidden(text: str, before: str, after: str) -> None:
    told = redact(f"{before}{text}{after}")
    assert CANARY not in told
    assert TOKEN not in told
    assert HIDDEN in told
    assert redact(told) == told


@pytest.mark.parametrize(
    "text",
    ["plugin 'tiers' failed in 'score'", "customer_0198c6e4-0000-7000-8000-000000000000",
     "the database crm at db.example.com:5432 does not answer", "gx_short", "token stale",
     "http://127.0.0.1:8000/graphql"],
)  # fmt: skip
def test_what_is_none_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "key",
    ["password", "db_password", "token", "access_token", "Authorization", "api-key", "secret",
     "client_secret", "cookie", "variables", "private_key"],
)  # fmt: skip
def test_what_goes_by_a_secrets_name_is_hidden(key: str) -> None:
    assert redacted({"a": [{key: [CANARY], "count": 1}]}) == {"a": [{key: HIDDEN, "count": 1}]}


# --- lines ---------------------------------------------------------------------------------------


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """Lines on stderr, under logs as `serve` has them."""
    logs.configure()
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_each_line_is_an_object_with_the_same_beginning(written: Any) -> None:
    logging.getLogger("guanxi_core.x").info("started %d", 2)
    structlog.get_logger("guanxi.http").warning("slow request", milliseconds=1200)
    logging.getLogger("acme_plugin").warning("over\nlines 华为")
    logging.getLogger("_granian").error("Unexpected exit from worker-1")
    for hidden in ("httpx", "httpcore", "asyncpg", "acme_plugin"):
        logging.getLogger(hidden).info("GET https://x.example/?key=1")
    lines = written()
    assert [list(line)[:4] for line in lines] == [["time", "level", "logger", "event"]] * 4
    assert [line["level"] for line in lines] == ["info", "warning", "warning", "error"]
    assert lines[0]["event"] == "started 2"
    assert lines[1]["milliseconds"] == 1200
    assert lines[2]["event"] == "over\nlines 华为"


def test_a_line_names_its_request_and_tenant(written: Any) -> None:
    activity = Activity(request_id="r-1")
    activity.tenant = "t-1"  # type: ignore[assignment]
    token = CURRENT.set(activity)
    logging.getLogger("guanxi_core.x").warning("within")
    CURRENT.reset(token)
    logging.getLogger("guanxi_core.x").warning("without")
    within, without = written()
    assert (within["request_id"], within["tenant"]) == ("r-1", "t-1")
    assert not {"request_id", "tenant"} & without.keys()


class PluginError(Exception):
    """As a plugin has them."""


def fail(secret: str) -> None:
    try:
        raise KeyError(secret)
    except KeyError as error:
        raise ExceptionGroup(secret, [PluginError(secret), Invalid("name", secret)]) from error


def test_exceptions_are_told_by_class_and_place(written: Any) -> None:
    log = logging.getLogger("guanxi_core.x")
    try:
        fail(CANARY)
    except ExceptionGroup as error:
        log.exception("failed: %s", error)
        log.error("failed", exc_info=error)
        structlog.get_logger("guanxi.x").error("failed", error=error, exc_info=error)
    lines = written()
    assert CANARY not in str(lines)
    for line in lines:
        told = line["exception"]
        for name in ("KeyError", "ExceptionGroup", "PluginError", "Invalid", "in fail"):
            assert name in told
    assert lines[0]["event"] == "failed: ExceptionGroup"
    assert lines[2]["error"] == "ExceptionGroup"


def test_debug_tells_messages_but_no_secrets(written: Any) -> None:
    logs.configure("debug")
    try:
        fail(f"{CANARY} {TOKEN}")
    except ExceptionGroup as error:
        logging.getLogger("guanxi_core.x").error("failed", exc_info=error)
    (line,) = written()
    assert CANARY in line["exception"]
    assert TOKEN not in line["exception"]


async def test_a_task_that_nobody_awaits_is_told_without_its_message(written: Any) -> None:
    async def broken() -> None:
        raise PluginError(CANARY)

    task = asyncio.get_running_loop().create_task(broken())
    await asyncio.sleep(0)
    del task
    logging.getLogger("_granian.utils").error("It raised\nTraceback …\nValueError: %s", CANARY)
    line, other = written()
    assert line["logger"] == "asyncio"
    assert "PluginError" in line["exception"]
    assert CANARY not in str(line)
    assert other["event"] == "It raised"


async def test_what_postgresql_says_of_rows_is_not_told(database: Scratch, written: Any) -> None:
    connection = await asyncpg.connect(database.app_url)
    try:
        await connection.execute("CREATE TEMPORARY TABLE t (name text CONSTRAINT only_one UNIQUE)")
        await connection.execute("INSERT INTO t VALUES ($1)", CANARY)
        with pytest.raises(asyncpg.UniqueViolationError) as raised:
            await connection.execute("INSERT INTO t VALUES ($1)", CANARY)
        assert CANARY in str(raised.value)
        with pytest.raises(asyncpg.DataError) as cast:
            await connection.execute(f"SELECT '{CANARY}'::uuid")
    finally:
        await connection.close()
    for error in (raised.value, cast.value):
        logging.getLogger("guanxi_core.x").error("failed: %s", error, exc_info=error)
    assert CANARY not in str(written())
    assert describe(raised.value) == "UniqueViolationError 23505 (t only_one)"


def test_our_own_messages_are_told() -> None:
    error = DatabaseUnavailable("the database crm at db:5432 does not answer.")
    assert describe(error) == str(error)
    assert describe(Invalid("name", CANARY)) == "Invalid"
    assert describe(ConnectionRefusedError(111, "Connection refused")).endswith("refused")
    assert describe(OSError(CANARY)) == "OSError"
    assert render(error, whole=False).endswith(str(error))


def test_everything_that_a_process_says_is_in_one_form() -> None:
    script = (
        "from guanxi_core.telemetry import logs; import logging; logs.configure(%r, %r)\n"
        "logging.getLogger('guanxi').info('hello'); logging.getLogger('guanxi').error('bye'); "
        "import warnings; warnings.warn('old'); import threading; "
        "t = threading.Thread(target=lambda: {}['canary-4711']); t.start(); t.join(); "
        "raise LookupError('canary-4711')"
    )
    for level, form, count in (("info", "text", None), ("error", "json", 3), ("info", "auto", 5)):
        ran = subprocess.run(
            [sys.executable, "-c", script % (level, form)], capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert ran.returncode == 1
        assert "canary-4711" not in ran.stderr
        assert "LookupError" in ran.stderr
        assert "old" in ran.stderr or level == "error"
        lines = ran.stderr.splitlines()
        if count is None:
            assert not any(line.startswith("{") for line in lines)
        else:
            assert [json.loads(line)["level"] for line in lines][-2:] == ["error", "critical"]
            assert len(lines) == count


# --- requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", [b"a", b"0af7651916cd43dd8448eb211c80319c", b"A-b_c.9", b"x" * 64]
)
def test_a_sane_request_id_is_kept(given: bytes) -> None:
    assert request_id_of(given) == given.decode()


@pytest.mark.parametrize("given", [None, b"", b"a b", b"a\n", b"x" * 65, "é".encode(), b'{"a":1}'])
def test_others_are_replaced(given: bytes | None) -> None:
    made = request_id_of(given)
    assert made != request_id_of(given)
    assert request_id_of(made.encode()) == made


def test_the_name_of_an_operation_is_bounded() -> None:
    assert operation_name("Customers") == "Customers"
    assert operation_name(None) is None
    assert len(operation_name("x" * 1000) or "") == 64
    assert operation_name(TOKEN.replace("-", "_")) == HIDDEN


# --- metrics -------------------------------------------------------------------------------------

SECONDS = st.floats(0, 100) | st.sampled_from([0.01, 0.05, 0.1])


@given(rounds=st.lists(st.lists(SECONDS, max_size=20), max_size=4))
def test_buffered_histograms_equal_the_librarys(rounds: list[list[float]]) -> None:
    """Whatever was observed, and however often it was flushed in between."""
    theirs = CollectorRegistry()
    plain = Histogram("one", "x", ("kind",), buckets=metrics._SLOW, registry=theirs)
    before = metrics.REGISTRY
    ours = CollectorRegistry()
    try:
        metrics.REGISTRY = ours  # type: ignore[misc]
        timing = metrics.Timing("one", "x", ("kind",), metrics._SLOW)
    finally:
        metrics.REGISTRY = before  # type: ignore[misc]
    for seconds in rounds:
        for one in seconds:
            plain.labels("a").observe(one)
            timing.observe(one, "a")
        timing.flush()

    def samples(registry: CollectorRegistry) -> dict[Any, float]:
        (family,) = registry.collect()
        return {
            (s.name, *s.labels.items()): pytest.approx(s.value)
            for s in family.samples
            if not s.name.endswith("_created")
        }

    assert samples(ours) == samples(theirs)


@pytest.mark.parametrize(
    ("header", "token", "allowed"),
    [(b"Bearer abc", "abc", True), (b"bearer abc", "abc", True), (b"Bearer abc", None, False),
     (b"Bearer abd", "abc", False), (b"Basic abc", "abc", False), (b"abc", "abc", False),
     (b"", "abc", False), (b"Bearer ", "abc", False), (b"Bearer abc ", "abc", True),
     (b"Bearer None", None, False)],
)  # fmt: skip
def test_who_may_see_metrics(header: bytes, token: str | None, allowed: bool) -> None:
    assert is_permitted(header, token) is allowed


@pytest.mark.parametrize(
    ("given", "wrong"),
    [({"GUANXI_METRICS_TOKEN": "short"}, "GUANXI_METRICS_TOKEN"),
     ({"GUANXI_METRICS_TOKEN": "x" * 15 + "\x7f"}, "GUANXI_METRICS_TOKEN"),
     ({"GUANXI_LOG_LEVEL": "loud"}, "debug, info, warning, error"),
     ({"GUANXI_LOG_FORMAT": "xml"}, "auto, json, text"),
     ({"GUANXI_SLOW_REQUEST": "-1"}, "GUANXI_SLOW_REQUEST")],
)  # fmt: skip
def test_wrong_settings_are_refused(given: dict[str, str], wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=wrong) as refused:
        Config.load(given, tmp_path)
    assert "x" * 15 not in str(refused.value)


def test_settings_are_read_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "guanxi.toml").write_text(
        f'metrics_token = "{CANARY}-long-enough"\nlog_level = "error"\nslow_request = 0.5\n'
    )
    config = Config.load({"GUANXI_LOG_FORMAT": "json"}, tmp_path)
    assert config.metrics_token == f"{CANARY}-long-enough"
    assert (config.log_level, config.log_format, config.slow_request) == ("error", "json", 0.5)
    assert CANARY not in repr(config)


def test_the_shared_folder_goes_and_what_was_left_behind_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(sharing.tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv(sharing.VARIABLE, raising=False)
    left = tmp_path / "guanxi-metrics-left"
    left.mkdir()
    (left / "lock").touch()
    (left / "counter_1.db").touch()
    with sharing.sharing_metrics():
        assert not left.exists()
        folder = Path(os.environ[sharing.VARIABLE])
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        with sharing.sharing_metrics():  # another server's, which leaves this one in peace
            assert folder.exists()
            assert os.environ[sharing.VARIABLE] != str(folder)
        assert os.environ[sharing.VARIABLE] == str(folder)
    assert list(tmp_path.iterdir()) == []
    assert sharing.VARIABLE not in os.environ
    with sharing.sharing_metrics(False):
        assert list(tmp_path.iterdir()) == []
