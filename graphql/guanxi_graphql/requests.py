"""What a client sends: bodies and query strings, read so that nothing in them does harm."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from guanxi_graphql.asgi import Receive

BODY_LIMIT = 256 * 1024
_NESTING_LIMIT = 64  # of variables
_TOO_DEEP = "The body is nested too deeply."


class RequestError(Exception):
    """The HTTP request itself is refused, before GraphQL sees it."""

    def __init__(
        self, status: int, code: str, message: str, *headers: tuple[bytes, bytes], **more: str
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers
        error = {"message": message, "extensions": {"code": code, **more}}
        self.body = msgspec.json.encode({"errors": [error]})


class Request(msgspec.Struct):
    """What a client may send, by the GraphQL over HTTP specification."""

    query: str | None = None
    variables: dict[str, Any] | None = None
    operation: str | None = msgspec.field(default=None, name="operationName")
    extensions: dict[str, Any] | None = None
    document_id: str | None = msgspec.field(default=None, name="documentId")


_decode = msgspec.json.Decoder(Request).decode


def is_whole(message: Mapping[str, Any], body: bytes, headers: Mapping[bytes, bytes]) -> bool:
    """Whether ``message`` holds all of the body.

    Granian says that more follows, and sends an empty message: waiting for that one takes longer
    than everything else here, so a body as long as announced is taken as it is.
    """
    if len(body) > BODY_LIMIT or message["type"] != "http.request":
        return False
    return not message.get("more_body") or headers.get(b"content-length") == b"%d" % len(body)


async def read_rest(message: Mapping[str, Any], receive: Receive) -> bytes:
    """The whole body that begins with ``message``, refused as soon as it grows too large."""
    chunks: list[bytes] = []
    size = 0
    while True:
        if message["type"] != "http.request":
            raise malformed("The body ends before it is complete.")  # if anybody still listens
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > BODY_LIMIT:
            raise RequestError(
                413, "PAYLOAD_TOO_LARGE", f"The body is larger than {BODY_LIMIT // 1024} KB."
            )
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)
        message = await receive()


def malformed(message: str) -> RequestError:
    """A 400 with this message."""
    return RequestError(400, "BAD_REQUEST", message)


def decode(body: bytes) -> Request:
    """Read a JSON body; every flaw is a RequestError that says what is wrong."""
    try:
        if not body.isascii():
            body.decode()
        request = _decode(body)
    except UnicodeDecodeError:
        raise malformed("The body is not valid UTF-8.") from None
    except RecursionError:
        raise malformed(_TOO_DEEP) from None
    except msgspec.ValidationError:
        raise malformed(_flaw(body)) from None
    except msgspec.DecodeError:
        raise malformed("The body is not valid JSON.") from None
    if (
        request.query is None
        and request.document_id is None
        and (not request.extensions or "persistedQuery" not in request.extensions)
    ):
        raise malformed(_flaw(body))
    # Both are rare, and counting bytes is quicker than walking through values.
    if request.variables and (
        b"\\u0000" in body or body.count(b"{") + body.count(b"[") > _NESTING_LIMIT
    ):
        _check_value(request.variables, _NESTING_LIMIT)
    return request


def decode_query_string(query_string: bytes) -> Request:
    """Read the parameters of a GET request."""
    try:
        given = dict(
            parse_qsl(
                query_string.decode("ascii"), keep_blank_values=True, errors="strict",
                max_num_fields=32,
            )
        )  # fmt: skip
    except ValueError:
        raise malformed("The query string is not valid percent-encoded UTF-8.") from None
    if len(query_string) > BODY_LIMIT:
        raise RequestError(
            414, "URI_TOO_LONG", f"The query string is larger than {BODY_LIMIT // 1024} KB."
        )
    parts: dict[str, Any] = {}
    for name in ("query", "operationName", "documentId"):
        if given.get(name):
            parts[name] = given[name]
    for name in ("variables", "extensions"):
        if given.get(name):
            try:
                parts[name] = msgspec.json.decode(given[name])
            except (ValueError, RecursionError):
                raise malformed(f"'{name}' is not valid JSON.") from None
    return decode(msgspec.json.encode(parts))


def _flaw(body: bytes) -> str:
    """What exactly is wrong with a well-formed body."""
    try:
        given = msgspec.json.decode(body)
    except RecursionError:
        return _TOO_DEEP
    except ValueError:
        return "A number in the body is too large."
    if isinstance(given, list):
        return "Batches are not supported: send one request per operation."
    if not isinstance(given, dict):
        return "The body must be a JSON object."
    if not isinstance(given.get("documentId"), str | None):
        return "'documentId' must be a string or null."
    query, extensions = given.get("query"), given.get("extensions")
    persisted = isinstance(extensions, dict) and "persistedQuery" in extensions
    named = persisted or given.get("documentId") is not None
    if not isinstance(query, str) and not (named and query is None):
        return "'query' must be a string that holds a GraphQL document."
    if not isinstance(given.get("operationName"), str | None):
        return "'operationName' must be a string or null."
    name = "variables" if not isinstance(given.get("variables"), dict | None) else "extensions"
    return f"'{name}' must be an object or null."


def _check_value(value: Any, levels: int) -> None:
    """Refuse NUL, which PostgreSQL cannot store, and nesting that would exhaust the stack."""
    if isinstance(value, str):
        if "\0" in value:
            raise malformed("A variable holds the character NUL, which cannot be stored.")
    elif isinstance(value, dict | list):
        if not levels:
            raise malformed(f"Variables are nested more than {_NESTING_LIMIT} levels deep.")
        if isinstance(value, dict):
            _check_value(list(value), levels)
            value = value.values()
        for item in value:
            _check_value(item, levels - 1)
