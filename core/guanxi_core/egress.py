"""The egress client: what plugins reach the outside with, and nothing inside.

A name is resolved once for each connection, every address it stands for is checked, and the
connection goes to a checked address: a name that resolves differently a moment later changes
nothing. How a number is spelt (octal, decimal, in another script) does not matter, because the
check looks at what it resolves to.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

import httpcore
import httpx

from guanxi_core.lookups import Lookups
from guanxi_sdk import Egress, EgressFailed, EgressRefused, Response

#: Addresses of a host name, as texts.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

#: For whom a request is sent.
_OWNER: Final[ContextVar[Hashable]] = ContextVar("egress_owner", default=None)
_LARGEST: Final = 65_536
_LONGEST: Final = 2_000
_HOST: Final = re.compile(rb"[\w.:-]+(?:%\w+)?")
#: Ranges that carry IPv4 addresses or lead elsewhere, although some pass for public.
_DENIED: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "100.64.0.0/10", "192.88.99.0/24", "198.18.0.0/15",
        "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48",
        "100::/64", "2001::/32", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16",
        "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip


class EgressClient:
    """Implements :class:`guanxi_sdk.Egress`; ``allowed`` are networks that count as outside.

    An operator names there what stands inside and shall be reached, such as ``10.1.2.0/24``.
    """

    def __init__(self, allowed: Iterable[str] = (), resolve: Resolve | None = None) -> None:
        self._allowed = tuple(ip_network(text) for text in allowed)
        self._pool = httpcore.AsyncConnectionPool(
            max_keepalive_connections=0,  # the next request resolves and checks anew
            max_connections=None,
            network_backend=_Checked(self._denied, resolve or self._resolve),
        )
        self._lookups = Lookups()

    def of(self, owner: Hashable) -> Egress:
        """The same for one owner, such as a tenant: the names that hang are counted as theirs."""
        return _Owned(self, owner)

    async def close(self) -> None:
        """End what is still open."""
        await self._pool.aclose()

    def check(self, url: str) -> None:
        """Raise :class:`EgressRefused` for what can be known without asking anybody."""
        host = _parsed(url).host
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            name = host.rstrip(".").lower()
            if name == "localhost" or name.endswith((".localhost", ".local", ".internal")):
                raise _refused(host) from None
            return
        if self._denied(address):
            raise _refused(host)

    async def send(
        self,
        method: str,
        url: str,
        *,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109  the whole exchange has one deadline
    ) -> Response:
        """Send one request and return the answer, whatever its status."""
        self.check(url)
        target = _parsed(url)
        given = {
            "host": target.netloc.decode("ascii"), "content-length": str(len(content)),
            "user-agent": "guanxi",
        }  # fmt: skip
        given |= {name.lower(): value for name, value in (headers or {}).items()}
        try:
            async with asyncio.timeout(timeout):
                return await self._exchange(method, target, given, content)
        except TimeoutError:
            raise EgressFailed(f"{target.host} took longer than {timeout:g} seconds.") from None
        except (
            httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException,
            OSError,  # a TLS record that makes no sense, for instance
        ) as error:  # fmt: skip
            raise EgressFailed(f"{target.host} gave no answer: {_reason(error)}.") from error

    async def _exchange(
        self, method: str, target: httpx.URL, headers: Mapping[str, str], content: bytes
    ) -> Response:
        url = httpcore.URL(
            scheme=target.raw_scheme, host=target.raw_host, port=target.port,
            target=target.raw_path,
        )  # fmt: skip
        async with self._pool.stream(
            method, url, headers=list(headers.items()), content=content
        ) as answer:
            body = bytearray()
            async for chunk in answer.aiter_stream():
                body += chunk
                if len(body) >= _LARGEST:
                    break
            found = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in answer.headers}
            return Response(answer.status, found, bytes(body[:_LARGEST]))

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        return await self._lookups.find(host, _OWNER.get())

    def _denied(self, address: IPv4Address | IPv6Address) -> bool:
        if any(address in network for network in self._allowed):
            return False
        special = address.is_multicast or any(address in network for network in _DENIED)
        return special or not address.is_global


class _Owned:
    """The client for one owner."""

    def __init__(self, client: EgressClient, owner: Hashable) -> None:
        self._client = client
        self._owner = owner
        self.check = client.check

    async def send(self, method: str, url: str, **given: Any) -> Response:
        """Send one request and return the answer, as the client does."""
        token = _OWNER.set(self._owner)
        try:
            return await self._client.send(method, url, **given)
        finally:
            _OWNER.reset(token)


class _Checked(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, never to names."""

    def __init__(
        self, denied: Callable[[IPv4Address | IPv6Address], bool], resolve: Resolve
    ) -> None:
        self._denied = denied
        self._resolve = resolve
        self._inner: Any = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await self._resolve(host, port)
            addresses = [ip_address(text.partition("%")[0]) for text in found]
        except (OSError, UnicodeError, ValueError):
            raise EgressFailed(f"{host} has no address: is it spelt right?") from None
        if not addresses:
            raise EgressFailed(f"{host} has no address: is it spelt right?")
        if any(self._denied(address) for address in addresses):
            raise _refused(host)
        last: Exception | None = None
        for address in addresses:
            try:
                stream: httpcore.AsyncNetworkStream = await self._inner.connect_tcp(
                    str(address), port, timeout
                )
            except httpcore.NetworkError as error:
                last = error
            else:
                return stream
        raise last or httpcore.ConnectError

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise EgressRefused("sockets of this machine are not asked.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url) if len(url) <= _LONGEST else None
    except (httpx.InvalidURL, UnicodeError, TypeError, ValueError):
        parsed = None
    if parsed is None or not _HOST.fullmatch(parsed.raw_host) or (parsed.port or 1) > 65_535:
        raise EgressRefused("this is no address: write https://HOST/PATH.")
    if parsed.scheme not in ("http", "https"):
        raise EgressRefused(f"'{parsed.scheme}' is not asked: use https.")
    if parsed.userinfo:
        raise EgressRefused("the address holds a password: leave it out, and send a header.")
    return parsed


def _refused(host: str) -> EgressRefused:
    return EgressRefused(
        f"{host} is not an address of the public internet: an operator may allow its network."
    )


def _reason(error: Exception) -> str:
    return {
        httpcore.ConnectError: "it does not accept connections",
        httpcore.ConnectTimeout: "it does not accept connections in time",
    }.get(type(error), "the connection broke off")
