"""The command ``guanxi``, run in this process as somebody at a terminal would."""

import io
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from guanxi_core import cli

VARIABLES = ("GUANXI_HOME", "GUANXI_DATABASE_URL", "GUANXI_OWNER_DATABASE_URL")


@dataclass(frozen=True)
class Outcome:
    """What one run of the command came to."""

    status: int
    out: str
    err: str


Guanxi = Callable[..., Outcome]


def commanding(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    captured: pytest.CaptureFixture[bytes],
    url: str | None = None,
    home: Path | None = None,
) -> Guanxi:
    """``guanxi("tenant", "list")`` in ``folder``, on the database at ``url`` or in a ``home``.

    ``typed`` is what somebody answers. Captured as bytes, so that line ends stay what they are.
    """
    monkeypatch.chdir(folder)
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    if url is not None:
        monkeypatch.setenv("GUANXI_DATABASE_URL", url)
    if home is not None:
        monkeypatch.setenv("GUANXI_HOME", str(home))

    def call() -> int:
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return int(caught.value.code or 0)

    def run(*arguments: str, typed: str = "") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["guanxi", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        with ThreadPoolExecutor(1) as thread:  # an event loop of its own
            status = thread.submit(call).result()
        out, err = captured.readouterr()
        return Outcome(status, out.decode(), err.decode())

    return run
