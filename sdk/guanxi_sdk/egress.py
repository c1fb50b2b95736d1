"""Requests to the outside, for plugins that notify other systems."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from guanxi_sdk.errors import GuanxiError


class EgressRefused(GuanxiError):
    """The address must not be asked, now or later; the message says why."""


class EgressFailed(GuanxiError):
    """No answer came: unreachable, broken off or too slow. Trying again may help."""


@dataclass(frozen=True, slots=True)
class Response:
    """What another system answered."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes  # its beginning, up to 64 KB


class Egress(Protocol):
    """The only way out: ``ctx.egress``.

    It reaches public addresses only, whatever a name resolves to and however a number is spelt,
    follows no redirects, uses no proxy of the environment, and is done within ``timeout``.
    """

    def check(self, url: str) -> None:
        """Raise :class:`EgressRefused` for what can be known without asking anybody.

        Meant for the moment in which somebody enters an address.
        """
        ...

    async def send(
        self,
        method: str,
        url: str,
        *,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109  part of what authors see
    ) -> Response:
        """Send one request and return the answer, whatever its status; a redirect is an answer.

        ``timeout`` is in seconds, for all of it. Raises :class:`EgressRefused` or
        :class:`EgressFailed`. Call it outside of long transactions: it waits for strangers.
        """
        ...
