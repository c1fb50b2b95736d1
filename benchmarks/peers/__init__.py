"""Other ways to serve the same data, and whether this machine has what they need."""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.dialects import POSTGRAPHILE, STRAWCHEMY, Dialect
from benchmarks.peers import postgraphile

_EXTRA = "pip install --constraint constraints.txt --editable '.[bench]'"


def _present() -> str | None:
    return None


def _module(name: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        return None if importlib.util.find_spec(name) else f"needs {name}: {_EXTRA}"

    return missing


@dataclass(frozen=True, slots=True)
class Peer:
    """A server to compare with; one without a dialect answers our documents."""

    name: str
    dialect: Dialect | None = None
    missing: Callable[[], str | None] = _present
    """Says what the peer needs and how to get it, if it is not there."""


PEERS = (
    Peer("graphene_stack"),
    Peer("strawberry_stack", missing=_module("strawberry")),
    Peer("strawchemy", STRAWCHEMY, _module("strawchemy")),
    Peer("postgraphile", POSTGRAPHILE, postgraphile.missing),
)


def available(peers: Sequence[Peer] = PEERS) -> list[Peer]:
    """Those that can run here; of the others it is said what they need."""
    found = []
    for peer in peers:
        if reason := peer.missing():
            print(f"Without {peer.name}: it {reason}", file=sys.stderr, flush=True)
        else:
            found.append(peer)
    return found
