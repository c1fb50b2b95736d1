"""Addresses of host names, looked up so that a name server that hangs costs only who asked for it.

The system's resolver knows hosts files, search domains and the rest, but it blocks a thread for as
long as a name server is silent. So each lookup has a thread of its own, one for each name, of which
an owner may have only so many.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Final

from guanxi_core.shares import Shares
from guanxi_sdk import EgressFailed

#: Lookups at a time, for all owners and for each of them; see :class:`Shares`.
MOST: Final = 128
SHARE: Final = 32
#: Seconds after which a lookup counts as hung, and for which its name then does.
PATIENCE: Final = 5.0
SILENCE: Final = 30.0
#: Seconds that are waited for room.
_MOMENT: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Lookup:
    began: float
    found: "asyncio.Future[Sequence[str] | Exception]"


class Lookups:
    """Asks the system's resolver; of one event loop."""

    def __init__(self) -> None:
        self._shares = Shares(MOST, SHARE)
        self._running: dict[str, _Lookup] = {}
        self._hung: dict[str, float] = {}  # until when
        self._ended = asyncio.Event()

    async def find(self, host: str, owner: Hashable) -> Sequence[str]:
        """Addresses of ``host``, or the resolver's error, or :class:`EgressFailed` if it hangs."""
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass
        name = host.lower()
        if self._hung.get(name, 0.0) > time.monotonic():
            raise _hangs(host)
        lookup = self._running.get(name)
        if lookup is None:
            await self._room(host, owner)
            lookup = self._running.get(name) or self._begin(name, owner)
        elif time.monotonic() - lookup.began > PATIENCE:
            raise _hangs(host)
        found = await asyncio.shield(lookup.found)  # others wait for it too
        if isinstance(found, Exception):
            raise found
        return found

    async def _room(self, host: str, owner: Hashable) -> None:
        try:
            async with asyncio.timeout(_MOMENT):
                while not self._shares.room(owner):
                    await self._ended.wait()
        except TimeoutError:
            raise EgressFailed(
                f"{host} was not looked up, because too many other names are and hang."
            ) from None

    def _begin(self, name: str, owner: Hashable) -> _Lookup:
        loop = asyncio.get_running_loop()
        lookup = _Lookup(time.monotonic(), loop.create_future())

        def look() -> None:
            found = _addresses(name)
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(partial(self._end, name, owner, lookup, found))

        # A daemon, so that one that hangs does not keep the process from ending.
        threading.Thread(target=look, name=f"lookup of {name}", daemon=True).start()
        self._running[name] = lookup
        self._shares.take(owner)
        return lookup

    def _end(
        self, name: str, owner: Hashable, lookup: _Lookup, found: Sequence[str] | Exception
    ) -> None:
        del self._running[name]
        self._shares.give(owner)
        now = time.monotonic()
        if isinstance(found, Exception) and now - lookup.began > PATIENCE:
            self._hung = {other: until for other, until in self._hung.items() if until > now}
            self._hung[name] = now + SILENCE
        lookup.found.set_result(found)
        self._ended.set()
        self._ended = asyncio.Event()


def _addresses(name: str) -> Sequence[str] | Exception:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except Exception as error:
        return error
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def _hangs(host: str) -> EgressFailed:
    return EgressFailed(f"the name servers of {host} give no answer.")
