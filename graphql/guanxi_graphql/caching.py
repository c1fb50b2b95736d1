"""Answers to GET that a client may keep, and ask whether they still hold.

Nothing is remembered here: the query runs with the rights of now, and what is spared is sending an
answer that the client has already. The tag is of the answer itself, so whoever may see less than
before gets another one. Weak, because the same answer is sent compressed or not.
"""

from hashlib import sha256
from typing import Final

from guanxi_graphql.asgi import Answer, Headers

_KEPT: Final[Headers] = (
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"authorization, accept, accept-language, accept-encoding, guanxi-reason, origin"),
    (b"x-content-type-options", b"nosniff"),
)


def kept(body: bytes, content_type: tuple[bytes, bytes], given: bytes | None) -> Answer:
    """An answer with its tag; 304 without a body for a client that has it, by If-None-Match."""
    tag = b'W/"%s"' % sha256(body).hexdigest()[:32].encode("ascii")
    headers = (*_KEPT, (b"etag", tag))
    if given is not None and names_tag(given, tag):
        return Answer(304, headers, b"")
    return Answer(200, (content_type, *headers), body)


def names_tag(given: bytes, tag: bytes) -> bool:
    """Whether If-None-Match lists ``tag``, compared weakly; tags of ours hold no commas."""
    opaque = tag.removeprefix(b"W/")
    return any(
        part == b"*" or part.removeprefix(b"W/") == opaque
        for part in (part.strip() for part in given.split(b","))
    )
