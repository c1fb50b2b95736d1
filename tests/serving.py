"""``guanxi serve`` as a process of its own: started, asked, looked at and stopped."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

#: ``-m`` and a pytest that loads none of what these tests do not use: some of it takes seconds.
PYTEST = (
    "-m", "pytest", "-q",
    *(f"-pno:{name}" for name in ("cacheprovider", "faker", "hypothesispytest", "schemathesis")),
)  # fmt: skip
GUANXI = (sys.executable, "-c", "from guanxi_core.cli import main; main()")


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GUANXI_")}
    return {**kept, "GUANXI_HOME": str(home), **more}


def run(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GUANXI, *arguments], env=environment(home, **more), cwd=home.parent, text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(done: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def ps(*options: str) -> list[str]:
    listed = subprocess.run(["ps", *options], capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def processes_of(home: Path) -> dict[int, str]:
    """Processes that the home's server consists of, by their command lines."""
    listed = subprocess.run(
        ["ps", "-wweo", "pid=,args="], capture_output=True, text=True, check=True
    )
    found = {}
    for line in listed.stdout.splitlines():
        pid, _, command = line.strip().partition(" ")
        if str(home) in command:
            found[int(pid)] = command
    return found


def children_of(pid: int) -> list[int]:
    pairs = [line.split() for line in ps("-eo", "pid=,ppid=")]
    return [int(child) for child, parent in pairs if int(parent) == pid]


@dataclass
class Running:
    process: "subprocess.Popen[str]"
    url: str
    token: str
    log: Path

    def ask(self, query: str = "{ tenant { name } }") -> httpx.Response:
        return httpx.post(
            f"{self.url}/graphql",
            json={"query": query},
            headers={"authorization": f"Bearer {self.token}"},
            timeout=10,
        )

    def status(self, path: str = "/health/live") -> int:
        try:
            return httpx.get(f"{self.url}{path}", timeout=10).status_code
        except httpx.TransportError:
            return 0

    def workers(self) -> list[int]:
        return children_of(self.process.pid)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def serving(home: Path, token: str, *arguments: str, **more: str) -> Iterator[Running]:
    port = free_port()
    log = home.parent / f"serve-{port}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*GUANXI, "serve", "--port", str(port), *arguments],
            env=environment(home, **more), cwd=home.parent, text=True, start_new_session=True,
            stdout=output, stderr=output,
        )  # fmt: skip
    running = Running(process, f"http://127.0.0.1:{port}", token, log)
    try:
        wait_for(lambda: running.status() == 200 or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield running
    finally:
        if process.poll() is None:
            running.stop()


def install(folder: Path, name: str, plugin: str, source: str) -> str:
    """Install the plugin ``name``, a class ``plugin`` of ``source``; returns what PYTHONPATH needs.

    The folder must be open to everybody if the server runs as root.
    """
    (folder / f"guanxi_{name}.py").write_text(source)
    info = folder / f"guanxi_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: guanxi-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[guanxi]\n{name} = guanxi_{name}:{plugin}\n")
    return str(folder)


def postmaster(home: Path) -> int:
    """The process id of the home's server; 0 if there is none."""
    try:
        return int((home / "pg" / "postmaster.pid").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return 0


@contextmanager
def new_home() -> Iterator[Path]:
    """Not in pytest's own folder, which is closed to the account that root's server runs under."""
    folder = Path(tempfile.mkdtemp(prefix="guanxi-serve-"))
    folder.chmod(0o755)
    try:
        yield folder / "home"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
