"""Pages of other origins that may ask: those that are configured, and no others.

Nothing here goes by cookies, so no page is ever let in with credentials: it has to hold a token.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from guanxi_graphql.asgi import Answer, Headers

_EXPOSED: Final = (
    b"access-control-expose-headers",
    b"etag, idempotent-replayed, ratelimit, ratelimit-policy, retry-after, x-request-id",
)
_PREFLIGHT: Final[Headers] = (
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (
        b"access-control-allow-headers",
        b"accept, accept-language, authorization, content-type, guanxi-reason, idempotency-key, "
        b"if-none-match, traceparent, tracestate, x-request-id",
    ),
    (b"access-control-max-age", b"7200"),
    (b"vary", b"origin"),
)


class Origins:
    """The origins that may ask, as browsers name them: ``https://crm.example.com``."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed: dict[bytes, Headers] = {
            origin.encode("ascii"): (
                (b"access-control-allow-origin", origin.encode("ascii")),
                _EXPOSED,
            )
            for origin in allowed
        }

    def headers(self, origin: bytes) -> Headers:
        """What lets a page of ``origin`` read the answer; nothing for one that is not allowed."""
        return self._allowed.get(origin, ())

    def admit(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a WebSocket may be opened: by any program, and by pages of these or of its own.

        Only browsers say where they are.
        """
        origin = headers.get(b"origin")
        if origin is None or origin.lower() in self._allowed:
            return True
        host = headers.get(b"host", b"").lower()
        return bool(host) and origin.lower() in (b"https://" + host, b"http://" + host)

    def preflight(self, headers: Mapping[bytes, bytes]) -> Answer | None:
        """The answer to a browser that asks whether it may ask; None where it may not."""
        known = headers.get(b"origin") in self._allowed
        if not known or b"access-control-request-method" not in headers:
            return None
        return Answer(204, _PREFLIGHT, b"")
