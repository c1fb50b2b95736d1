"""Operations of clients that stay connected: each goes on until it ends."""

import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import asyncpg
import msgspec
import structlog
from sqlalchemy.exc import DBAPIError

from guanxi_core import feed
from guanxi_core.access import StaleAccess
from guanxi_core.breakers import PluginFailed, timed_out
from guanxi_core.database.outages import DatabaseUnavailable, outage_in
from guanxi_core.issuers import IssuerUnavailable
from guanxi_core.telemetry import metrics
from guanxi_core.telemetry.activity import CURRENT, Activity, request_id_of
from guanxi_graphql.deadlines import Deadlines, Late, Watched
from guanxi_graphql.execute.documents import Refused
from guanxi_graphql.execute.errors import DOUBTFUL, TOO_SLOW, located, refusal
from guanxi_graphql.execute.following import Following
from guanxi_graphql.requests import Request, RequestError
from guanxi_graphql.subscriptions.feeds import Feeds
from guanxi_graphql.subscriptions.subscriber import Subscriber, TooSlow
from guanxi_sdk import Refusal, Unauthenticated

if TYPE_CHECKING:
    from guanxi_core.platform import Access, Platform
    from guanxi_graphql.execute.engine import Engine

_ATTEMPTS: Final = 3
_log = structlog.get_logger("guanxi.subscriptions")

T = TypeVar("T")


class Rejected(Exception):
    """The operation is over; ``errors`` say why, ready for the client."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("rejected")
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many subscriptions, and sockets, one worker keeps open; 0 is any number."""

    connection: int = 50
    token: int = 100
    tenant: int = 1_000


@dataclass(frozen=True, slots=True)
class Client:
    """Who is connected, and what holds for all that they ask."""

    token: str
    host: str
    locale: str = "en"
    reason: str | None = None
    key: bytes | None = None


class Operations:
    """Runs them on one platform.

    ``admit`` looks a token up, ``count`` refuses one request too many, ``deadlines`` end what
    takes too long to begin.
    """

    def __init__(
        self,
        platform: "Platform",
        engine: "Engine",
        bounds: Bounds,
        admit: Callable[[str, str], Awaitable["Access"]],
        count: Callable[["Access"], None],
        deadlines: Deadlines,
    ) -> None:
        self.bounds = bounds
        self._platform = platform
        self._engine = engine
        self._admit = admit
        self._count = count
        self._deadlines = deadlines
        self._feeds = Feeds(platform)
        self._open: Counter[Any] = Counter()

    async def access(self, client: Client) -> "Access":
        """What the client may do now, or :class:`Unauthenticated`."""
        return self._platform.cached(client.token) or await self._admit(client.token, client.host)

    async def run(
        self, client: Client, request: Request, cut: Callable[[], None]
    ) -> AsyncGenerator[bytes, None]:
        """The responses of one operation, as JSON.

        Raises :class:`Rejected` where it is wrong or comes to an end by itself, and
        :class:`Unauthenticated` once the token does not hold. ``cut`` is called when it turns out
        that the client does not read what it asked for.
        """
        try:
            following = await self._begin(client, request)
            if isinstance(following, bytes):
                yield following
                return
            with self._counted(following):
                async with aclosing(self._follow(client, request, following, cut)) as bodies:
                    async for body in bodies:
                        metrics.SUBSCRIPTION_MESSAGES.inc()
                        yield body
        except (Rejected, Unauthenticated, TooSlow):
            raise
        except Exception as error:
            raise Rejected(errors_of(error)) from error

    @contextmanager
    def connected(self, access: "Access") -> Iterator[None]:
        """One more socket of a token."""
        with self._within(("socket", access.caller.token_id), self.bounds.token, "connections"):
            yield

    async def _begin(self, client: Client, request: Request) -> Following | bytes:
        """The subscription, or the answer to anything else; counted and ended as requests are."""
        if CURRENT.get() is not None:  # it is one, which came by HTTP
            return await self._begun(client, request)
        activity, began = Activity(request_id=request_id_of(None)), time.perf_counter()
        token = CURRENT.set(activity)
        try:
            with Watched(self._deadlines, activity, _nothing, began):
                return await self._begun(client, request)
        except Late:
            activity.code = "TIMEOUT"
            message = DOUBTFUL if activity.kind == "mutation" else TOO_SLOW
            raise Rejected([located(message, "TIMEOUT")]) from None
        finally:
            CURRENT.reset(token)
            outcome = metrics.outcome_of(activity.code)
            metrics.REQUESTS.observe(time.perf_counter() - began, activity.kind, outcome)

    async def _begun(self, client: Client, request: Request) -> Following | bytes:
        self._count(await self.access(client))

        async def begin(access: "Access") -> Following | bytes:
            following = await self._engine.follow(
                access, request, locale=client.locale, origin=client.host
            )
            if following is not None:
                return following
            reply = await self._engine.answer(
                access, request, locale=client.locale, reason=client.reason, origin=client.host,
                key=client.key,
            )  # fmt: skip
            if not reply.ok:
                raise Rejected(msgspec.json.decode(reply.body)["errors"])
            return reply.body

        return await self._with_access(client, begin)

    async def _with_access(self, client: Client, work: Callable[["Access"], Awaitable[T]]) -> T:
        access = await self.access(client)
        for _ in range(_ATTEMPTS):
            try:
                return await work(access)
            except StaleAccess:
                self._platform.forget(client.token)
            access = await self._platform.authenticate(client.token)
        raise RequestError(503, "UNAVAILABLE", "Your rights are being changed: try again.")

    async def _follow(
        self, client: Client, request: Request, following: Following, cut: Callable[[], None]
    ) -> AsyncGenerator[bytes, None]:
        """Until it ends; whenever the caller's rights change, with those that they have then."""
        pool = self._platform.pool
        tenant_id = following.request.access.installation.tenant.id
        position = following.after
        if position is None:
            position = await feed.now(pool, tenant_id)
        else:
            await feed.check(pool, tenant_id, position, "after")
        while True:
            one = Subscriber(following, position, cut)
            try:
                async with aclosing(self._feeds.follow(one)) as bodies:
                    async for body in bodies:
                        yield body
            except StaleAccess:
                self._platform.forget(client.token)
            again = await self._begin_again(client, request)
            following, position = again, one.position

    async def _begin_again(self, client: Client, request: Request) -> Following:
        async def begin(access: "Access") -> Following | None:
            return await self._engine.follow(
                access, request, locale=client.locale, origin=client.host
            )

        following = await self._with_access(client, begin)
        assert following is not None  # noqa: S101  the document is the same
        return following

    @contextmanager
    def _counted(self, following: Following) -> Iterator[None]:
        access = following.request.access
        metrics.SUBSCRIPTIONS.inc()
        try:
            with (
                self._within(("token", access.caller.token_id), self.bounds.token, _MANY),
                self._within(("tenant", access.installation.tenant.id), self.bounds.tenant, _MANY),
            ):
                yield
        finally:
            metrics.SUBSCRIPTIONS.dec()

    @contextmanager
    def _within(self, key: Any, bound: int, what: str) -> Iterator[None]:
        if bound and self._open[key] >= bound:
            raise Rejected([too_many_of(key[0], bound, what)])
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]


async def _nothing() -> NoReturn:
    """What a request of which nothing more comes receives."""
    raise AssertionError("a socket hears by itself whether its client is gone")


_MANY: Final = "subscriptions"


def too_many_of(whose: str, bound: int, what: str = _MANY) -> dict[str, Any]:
    """The error for one more than a connection, token or tenant may have."""
    whose = "token" if whose == "socket" else whose
    message = f"This {whose} has {bound:,} {what} open, which is the most: end some first."
    return located(message, "LIMIT_EXCEEDED")


def errors_of(error: Exception) -> list[dict[str, Any]]:
    """What a client is told of ``error``."""
    if isinstance(error, Refused):
        return error.errors
    if isinstance(error, Refusal):
        return [refusal(error)]
    if isinstance(error, RequestError):
        found: list[dict[str, Any]] = msgspec.json.decode(error.body)["errors"]
        return found
    if isinstance(error, PluginFailed):
        return [located(error.message, error.code)]
    if isinstance(error, asyncpg.QueryCanceledError | DBAPIError) and timed_out(error):
        return [located(TOO_SLOW, "TIMEOUT")]
    if isinstance(error, asyncpg.DataError | UnicodeEncodeError):
        return [located("A value cannot be used in this query.", "INVALID")]
    if isinstance(error, DatabaseUnavailable) or outage_in(error):
        return [located("The database is unavailable: try again.", "UNAVAILABLE")]
    if isinstance(error, IssuerUnavailable):
        return [located("Your token cannot be checked now.", "UNAVAILABLE")]
    reference = secrets.token_hex(8)
    _log.error("a subscription failed", reference=reference, exc_info=error)
    failed = located("Internal error.", "INTERNAL")
    failed["extensions"]["reference"] = reference
    return [failed]
