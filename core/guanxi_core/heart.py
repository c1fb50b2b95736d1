"""A worker's heartbeat: how long its event loop stood still, and the end of one that hangs.

Plugin code that neither awaits nor returns cannot be interrupted, and nobody else in the process is
served meanwhile. A thread watches, and ends the process when that lasts too long, so that its
parent makes another. Where even threads stand still, because C code keeps the interpreter to
itself, the faulthandler's own timer does the same a little later.
"""

import asyncio
import faulthandler
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from guanxi_core.telemetry import metrics

_BEAT: Final = 0.25
_MEMORY: Final = 60.0  # seconds that a pause is remembered
#: Granian takes a replaced worker that dies sooner for one that cannot start, and gives up.
_SETTLED: Final = 6.0
_STDERR: Final = 2
_NOTABLE: Final = 1.0
_GRACE: Final = 2.0  # by which the faulthandler is later than the thread

_log = structlog.get_logger("guanxi.heart")


class Heart:
    """Beats in the event loop; ``patience`` is how many seconds it may stand still, 0 for ever."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._born = self._last = time.monotonic()
        self._pauses: deque[tuple[float, float]] = deque()
        self._stopped = threading.Event()

    def longest_pause(self) -> float:
        """Seconds for which the event loop stood still at most, within the last minute."""
        now = time.monotonic()
        while self._pauses and self._pauses[0][0] < now - _MEMORY:
            self._pauses.popleft()
        longest = max((pause for _, pause in self._pauses), default=0.0)
        return round(max(longest, now - self._last - _BEAT, 0.0), 3)

    @asynccontextmanager
    async def run(self, *_: object) -> AsyncIterator[None]:
        """Beat while the application runs."""
        self._born = self._last = time.monotonic()
        self._stopped.clear()
        beating = asyncio.get_running_loop().create_task(self._beat())
        if self._patience:
            watched = threading.get_ident()
            threading.Thread(target=self._watch, args=(watched,), daemon=True).start()
        try:
            yield
        finally:
            self._stopped.set()
            beating.cancel()
            if self._patience:
                faulthandler.cancel_dump_traceback_later()

    async def _beat(self) -> None:
        while True:
            if self._patience:
                left = max(self._patience, _SETTLED - (self._last - self._born)) + _GRACE
                faulthandler.dump_traceback_later(left, exit=True, file=_STDERR)
            await asyncio.sleep(_BEAT)
            now = time.monotonic()
            pause = now - self._last - _BEAT
            self._last = now
            if pause > _BEAT:
                self._pauses.append((now, pause))

    def _watch(self, watched: int) -> None:
        """In a thread of its own: end the process when the loop has not turned for too long."""
        woke = time.monotonic()
        while not self._stopped.wait(_BEAT):
            now, before = time.monotonic(), woke
            woke = now
            if now - before > self._patience / 2 + _BEAT:  # the whole process was stopped
                self._last = now
            if now - self._last > _NOTABLE:
                metrics.PAUSE.set(now - self._last)  # nobody else can, then
            if now - self._last <= self._patience or now - self._born <= _SETTLED:
                continue
            frame = sys._current_frames().get(watched)
            where = traceback.format_stack(frame) if frame else ["unknown"]
            _log.critical(
                "the worker hangs and is ended", seconds=round(now - self._last, 1),
                where="".join(where[-8:]),
            )  # fmt: skip
            os._exit(70)
