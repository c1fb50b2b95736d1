"""What this task is doing for whom: logs, metrics and traces name it, and nothing passes it on."""

import re
from contextvars import ContextVar
from random import getrandbits
from typing import Final
from uuid import UUID

from guanxi_core.telemetry.redaction import redact

_LONGEST_NAME: Final = 64
_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Activity:
    """One request, or one delivery."""

    __slots__ = ("code", "kind", "late", "name", "request_id", "tenant")

    def __init__(self, kind: str = "none", request_id: str | None = None) -> None:
        #: ``query``, ``mutation``, ``delivery``, or ``none`` while that is not known.
        self.kind = kind
        #: The operation, as its client calls it.
        self.name: str | None = None
        self.request_id = request_id
        self.tenant: UUID | None = None
        #: The code of the error that was answered, if there was one.
        self.code: str | None = None
        #: Whether it is being ended because it took too long.
        self.late = False


CURRENT: Final[ContextVar[Activity | None]] = ContextVar("guanxi_activity", default=None)


def request_id_of(given: bytes | None) -> str:
    """The id that a client or proxy gave the request, if it is a sane one; else a new one."""
    if given is not None and _SANE.fullmatch(given):
        return given.decode("ascii")
    return f"{getrandbits(64):016x}"  # nothing that must not be guessed


def operation_name(given: str | None) -> str | None:
    """A client's name for its operation, as far as it is written down."""
    return redact(given)[:_LONGEST_NAME] if given else None
