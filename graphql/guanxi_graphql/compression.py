"""Answers in gzip, for clients that take it, where that is worth the time.

An answer that tells secrets is sent as it is, see `docs/security.md`.
"""

import asyncio
import zlib
from collections.abc import Mapping
from typing import Final

from guanxi_graphql.asgi import Answer
from guanxi_graphql.headers import LONGEST, takes_gzip

#: Shorter bodies are three packets at most: nobody waits for those.
LEAST: Final = 4_096
_LEVEL: Final = 1  # a tenth larger than with the usual 6, in half the time
_BESIDE: Final = 65_536  # larger ones are compressed beside the event loop
_GZIP: Final = 31
_ENCODING: Final = (b"content-encoding", b"gzip")


async def packed(answer: Answer, headers: Mapping[bytes, bytes]) -> Answer:
    """The answer as small as the client takes it; ``headers`` are the request's."""
    body = answer.body
    if len(body) < LEAST or not takes_gzip(headers.get(b"accept-encoding", b"")[:LONGEST]):
        return answer
    if len(body) < _BESIDE:
        smaller = zlib.compress(body, _LEVEL, _GZIP)
    else:
        smaller = await asyncio.to_thread(zlib.compress, body, _LEVEL, _GZIP)
    return Answer(answer.status, (*answer.headers, _ENCODING), smaller)
