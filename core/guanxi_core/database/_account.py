"""The OS account that runs the embedded server, and running commands as that account."""

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import pwd

# PGPORT, PGOPTIONS and their like would change the server; secrets are none of its business.
ENVIRONMENT = {
    **{k: os.environ[k] for k in ("PATH", "LD_LIBRARY_PATH") if k in os.environ},
    "LC_ALL": "C",
    "TZ": "UTC",
    # Answers are built in buffers of some 100 KB. The GNU C library would give each of them back to
    # the system at once and have the next one filled with zeros: a fifth of a large statement.
    "MALLOC_MMAP_THRESHOLD_": "4194304",
    "MALLOC_TRIM_THRESHOLD_": "4194304",
    "MALLOC_TOP_PAD_": "1048576",
}


class EmbeddedError(Exception):
    """The embedded server cannot serve; one line names the culprit and the remedy."""


@dataclass(frozen=True)
class Account:
    """The OS account that runs the server."""

    name: str
    uid: int
    gid: int

    def run(self, *command: object, feed: str = "", **how: Any) -> subprocess.CompletedProcess[str]:
        """Run a command as this account, away from folders that it may not enter."""
        if os.geteuid() == 0:
            how |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        try:
            return subprocess.run(  # noqa: S603
                [str(part) for part in command],
                input=feed,
                capture_output=True,
                check=False,
                encoding="utf-8",
                errors="replace",
                cwd="/",
                env=ENVIRONMENT,
                umask=0o077,
                **how,
            )
        except PermissionError as error:
            raise EmbeddedError(
                f"cannot run {command[0]} as {self.name} ({error.strerror}): allow that, "
                "or set GUANXI_DATABASE_URL to a server of your own"
            ) from error

    def can_use(self, path: Path) -> bool:
        """Whether the account may enter this folder, or run this file."""
        return self.run("/bin/sh", "-c", 'test -x "$0"', path).returncode == 0


def account_name(uid: int) -> str:
    """Return the name of an account, or its number when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def server_account(data: Path) -> Account:
    """Choose the account that runs the server: oneself, or for root one without privileges.

    PostgreSQL refuses to run as root. Data that exist stay with their account. Else the account
    must be nobody's login and own as little as possible, since it can read every row: `guanxi`,
    made for this; `postgres`, which is there to run PostgreSQL and need not be created; a new
    `guanxi`; at last `nobody`, which other services may share, where no account can be created.
    """
    if uid := os.geteuid():
        try:
            return _account(pwd.getpwuid(uid))
        except KeyError:
            raise EmbeddedError(
                f"the account {uid} has no name, which PostgreSQL needs: "
                "add it to /etc/passwd, or set GUANXI_DATABASE_URL to a server of your own"
            ) from None
    if data.exists():
        owner = data.stat().st_uid
        if owner == 0:
            raise EmbeddedError(
                f"{data} belongs to root, which PostgreSQL refuses: give it back to the account "
                "that ran the server (chown -R)"
            )
        with suppress(KeyError):
            return _account(pwd.getpwuid(owner))
    for name in ("guanxi", "postgres", "_postgres"):
        with suppress(KeyError):
            return _account(pwd.getpwnam(name))
    with suppress(OSError):
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin"]
        subprocess.run([*command, "guanxi"], capture_output=True, check=False)  # noqa: S603
    for name in ("guanxi", "nobody"):
        with suppress(KeyError):
            return _account(pwd.getpwnam(name))
    raise EmbeddedError(
        "PostgreSQL refuses to run as root and there is no other account: "
        "create one (useradd --system guanxi)"
    )


def _account(entry: "pwd.struct_passwd") -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
