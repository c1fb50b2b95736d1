"""A resolver that blocks, as the system's does while a name server is silent."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest


class HangingNames:
    """Names below ``hung.example`` hang until the gate is set; all others are loopback."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked: list[str] = []

    def getaddrinfo(self, host: Any, port: Any, *_: Any, **__: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name.endswith(".hung.example"):
            self.asked.append(name)
            self.gate.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port or 0))]


@pytest.fixture
def hanging_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingNames]:
    """Such a resolver in place of the system's; threads that hang go on at the end."""
    names = HangingNames()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    yield names
    names.gate.set()
