"""Requests that take too long, or whose client has gone, are ended, and so are their statements.

Nearly all requests are over within milliseconds, so none gets a timer of its own, or listens for
its client: a look around every quarter of a second finds those that are still running.

A cancelled statement is cancelled in the database, too, and its connection is lent again when the
database has said so (:mod:`guanxi_core.database.pool`).
"""

import asyncio
import time
from types import TracebackType
from typing import Any, Final, Self

from guanxi_core.telemetry.activity import Activity
from guanxi_graphql.asgi import Receive

LOOK: Final = 0.25  # seconds between two looks around
_INSIST: Final = 5.0  # seconds until what was cut and goes on is cut again


class Late(Exception):
    """The request took longer than it may."""


class Gone(Exception):
    """Nobody waits for the answer any more."""


class Deadlines:
    """Watches the requests of one worker; each may take ``seconds``, 0 is any time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        #: The oldest first.
        self.running: dict[Watched, None] = {}
        #: Whether it will look around; without requests there is nothing to look for.
        self.looking = False

    def look(self) -> None:
        """End what must not go on, now and then until nothing is running."""
        now = time.perf_counter()
        for watched in self.running:
            age = now - watched.began
            if age < LOOK:
                break
            watched.listen()
            if self._seconds and age >= self._seconds:
                watched.cut(now, Late)
        self.looking = bool(self.running)
        if self.looking:
            asyncio.get_running_loop().call_later(LOOK, self.look)


class Watched:
    """One request, which ``began`` at a time of ``perf_counter``; its task enters the block.

    ::

        with Watched(deadlines, activity, receive, began) as request:
            message = await request.receive()
            …
            request.heard = True

    Raises :class:`Late` or :class:`Gone` where it was ended.
    """

    #: Whether all of the request was read: what comes next says that the client is gone.
    heard = False
    _reason: type[Late | Gone] | None = None
    _cuts = 0
    _last = 0.0
    _listener: asyncio.Task[None] | None = None
    _task: asyncio.Task[Any]

    def __init__(
        self, deadlines: Deadlines, activity: Activity, receive: Receive, began: float
    ) -> None:
        self._deadlines = deadlines
        self._activity = activity
        self.receive = receive
        self.began = began

    def __enter__(self) -> Self:
        """Be watched."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  only tasks answer requests
        self._task = task
        deadlines = self._deadlines
        deadlines.running[self] = None
        if not deadlines.looking:
            deadlines.looking = True
            task.get_loop().call_later(LOOK, deadlines.look)
        return self

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Be watched no more; say why it was ended, unless somebody else did that."""
        del self._deadlines.running[self]
        if self._listener is not None:
            self._listener.cancel()
        if self._reason is None:
            return
        for _ in range(self._cuts):
            self._task.uncancel()
        if isinstance(error, asyncio.CancelledError) and not self._task.cancelling():
            raise self._reason from error

    def listen(self) -> None:
        """Begin to wait for the client's going."""
        if self.heard and self._listener is None:
            self._listener = self._task.get_loop().create_task(self._hear())

    async def _hear(self) -> None:
        message = await self.receive()
        if message["type"] == "http.request":  # the end of the body, which nobody waited for
            message = await self.receive()
        if message["type"] == "http.disconnect":
            self.cut(time.perf_counter(), Gone)

    def cut(self, now: float, reason: type[Late | Gone]) -> None:
        """Cancel whatever the task waits for; again where it has not listened."""
        if self._cuts and now - self._last < _INSIST:
            return
        self._last, self._reason = now, self._reason or reason
        self._activity.late = self._reason is Late
        self._cuts += 1
        self._task.cancel()
