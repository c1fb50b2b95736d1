"""What the headers of a request say; each answer is worked out once and remembered."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from guanxi_graphql.asgi import Headers
from guanxi_graphql.requests import malformed
from guanxi_sdk import Unauthenticated

#: Longer headers are cut before they are remembered.
LONGEST: Final = 512
_LONGEST_TOKEN: Final = 8_192  # issuers write all sorts of claims into theirs
_REASON_LIMIT: Final = 500

COMMON: Final[Headers] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
JSON: Final[Headers] = ((b"content-type", b"application/json; charset=utf-8"), *COMMON)
RESPONSE: Final[Headers] = (
    (b"content-type", b"application/graphql-response+json; charset=utf-8"),
    *COMMON,
)


def token_of(headers: Mapping[bytes, bytes]) -> str:
    """The bearer token, or Unauthenticated."""
    value = headers.get(b"authorization", b"")
    if value[:7].lower() != b"bearer " or not value.isascii() or len(value) > _LONGEST_TOKEN:
        raise Unauthenticated
    return value[7:].strip().decode("ascii")


def reason_of(value: bytes) -> str:
    """The text of ``Guanxi-Reason``, percent-encoded UTF-8 or plain."""
    try:
        reason = unquote_to_bytes(value).decode().strip()
    except UnicodeDecodeError:
        raise malformed("Guanxi-Reason is not valid UTF-8.") from None
    if len(reason) > _REASON_LIMIT:
        raise malformed(f"Guanxi-Reason is longer than {_REASON_LIMIT} characters.")
    if not reason.isprintable():
        raise malformed("Guanxi-Reason holds characters that cannot be printed.")
    return reason


def _preferences(header: bytes) -> list[tuple[str, float]]:
    """The choices of an Accept header and their weights, the favourite first."""
    found = []
    for part in header.decode("latin-1").lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if name and weight > 0:
            found.append((name, weight))
    return sorted(found, key=lambda choice: -choice[1])


@lru_cache(256)
def media_of(accept: bytes) -> Headers | None:
    """The headers of the media type that the client likes best; None if it accepts neither."""
    if not accept.strip():
        return JSON
    for name, _ in _preferences(accept):
        if name == "application/graphql-response+json":
            return RESPONSE
        if name in ("application/json", "application/*", "*/*", "text/html"):
            return JSON
    return None


def is_stream(accept: bytes) -> bool:
    """Whether the client wants a stream of events."""
    return any(name == "text/event-stream" for name, _ in _preferences(accept))


@lru_cache(256)
def wants_page(accept: bytes) -> bool:
    """Whether the client is a browser."""
    for name, _ in _preferences(accept):
        if name in ("application/json", "application/graphql-response+json"):
            return False
        if name == "text/html":
            return True
    return False


@lru_cache(256)
def is_json(content_type: bytes) -> bool:
    """Whether a body of this type is JSON in UTF-8: nothing that a plain HTML form can send."""
    pieces = content_type.decode("latin-1").lower().split(";")
    name, *parameters = (piece.strip() for piece in pieces)
    charsets = [p[8:].strip('"') for p in parameters if p.startswith("charset=")]
    return name == "application/json" and all(c in ("utf-8", "utf8") for c in charsets)


@lru_cache(256)
def takes_gzip(accept_encoding: bytes) -> bool:
    """Whether the client names gzip among what it can unpack."""
    return any(name == "gzip" for name, _ in _preferences(accept_encoding))


@lru_cache(256)
def locale_of(accept_language: bytes) -> str:
    """``zh`` or ``en``, whichever the client prefers; ``en`` if neither is named."""
    for name, _ in _preferences(accept_language):
        if name.split("-")[0] in ("zh", "en"):
            return name[:2]
    return "en"
