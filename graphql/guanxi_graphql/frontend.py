"""A built frontend, served at ``/``: what a folder held when the server started.

Litestar's static files answer no If-None-Match, do not compress, and know no routes of a client.
Here files are read once and served from memory: a path is known or it is not, so that none leads
out of the folder.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from mimetypes import MimeTypes
from pathlib import Path
from typing import Final, Self

from guanxi_core.config import ConfigError
from guanxi_graphql.asgi import Answer, Headers, Receive, Scope, Send
from guanxi_graphql.caching import names_tag
from guanxi_graphql.compression import LEAST
from guanxi_graphql.headers import LONGEST, takes_gzip, wants_page

#: What the server answers itself.
TAKEN: Final = ("graphql", "health", "metrics")
#: Bytes of all files together.
_MOST: Final = 64 * 1024 * 1024
_INDEX: Final = "index.html"
#: Named by their content, as Vite does it: eight characters that are no word.
_LASTING: Final = re.compile(r"assets/(?:.*/)?[^/]*[-.](?=[\w-]*[A-Z\d])[\w-]{8}\.[^/]+", re.ASCII)
_TEXTS: Final = ("text/", "application/json", "application/manifest+json", "image/svg+xml")
_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_SAFE: Final[Headers] = (
    (b"content-security-policy", _POLICY.encode("ascii")),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_ONLY: Final = Answer(405, ((b"allow", b"GET, HEAD"), *_SAFE), b"")
_NONE: Final = Answer(
    404,
    ((b"content-type", b"text/plain"), (b"cache-control", b"no-store"), *_SAFE),
    b"Not found.\n",
)


@dataclass(frozen=True, slots=True)
class File:
    """One file, ready to be sent."""

    tag: bytes
    headers: Headers
    content: bytes
    packed: bytes | None  # in gzip, where that is smaller

    @classmethod
    def of(cls, name: str, content: bytes) -> Self:
        """The file called ``name`` below the folder."""
        tag = b'W/"%s"' % sha256(content).hexdigest()[:32].encode("ascii")
        kind = _TYPES.guess_type(name)[0] or "application/octet-stream"
        text = kind.startswith(_TEXTS)
        lasting = b"public, max-age=31536000, immutable"
        headers = (
            (b"content-type", f"{kind}{'; charset=utf-8' if text else ''}".encode("ascii")),
            (b"cache-control", lasting if _LASTING.fullmatch(name) else b"no-cache"),
            (b"vary", b"accept, accept-encoding" if name == _INDEX else b"accept-encoding"),
            (b"etag", tag),
            *_SAFE,
        )
        packed = zlib.compress(content, 9, 31) if text and len(content) >= LEAST else content
        return cls(tag, headers, content, packed if len(packed) < len(content) else None)


class Frontend:
    """Serves the files of one folder, which holds an ``index.html``.

    Raises :class:`ConfigError` where the folder cannot be served as it is.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {name: File.of(name, content) for name, content in _read(folder)}
        if taken := next((name for name in self._files if not self.answers(name)), None):
            raise ConfigError(
                f"the frontend holds '{taken}', below an address that guanxi answers itself: call "
                "it something else."
            )
        if _INDEX not in self._files:
            raise ConfigError(
                f"the frontend in {folder} has no {_INDEX}: build it, and name the folder that "
                "the build writes."
            )

    @staticmethod
    def answers(path: str) -> bool:
        """Whether a path is the frontend's: the server's own addresses are not."""
        return path.strip("/").partition("/")[0] not in TAKEN

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; browsers get the page for paths that only the page knows."""
        headers = dict(scope["headers"])
        file = self._find(scope["path"].strip("/"), headers.get(b"accept", b""))
        if scope["method"] not in ("GET", "HEAD"):
            answer = _ONLY
        elif file is None:
            answer = _NONE
        else:
            answer = _answer(file, headers)
        await answer.send(send, bare=scope["method"] == "HEAD")

    def _find(self, path: str, accept: bytes) -> File | None:
        found = self._files.get(path) or self._files.get(f"{path}/{_INDEX}".lstrip("/"))
        is_route = "." not in path.rpartition("/")[2] and wants_page(accept[:LONGEST])
        return self._files[_INDEX] if found is None and is_route else found


def _answer(file: File, headers: dict[bytes, bytes]) -> Answer:
    given = headers.get(b"if-none-match")
    if given is not None and names_tag(given, file.tag):
        return Answer(304, file.headers, b"")
    if file.packed is None or not takes_gzip(headers.get(b"accept-encoding", b"")[:LONGEST]):
        return Answer(200, file.headers, file.content)
    return Answer(200, (*file.headers, (b"content-encoding", b"gzip")), file.packed)


def _read(folder: Path) -> Iterator[tuple[str, bytes]]:
    """All files below the folder; those whose names begin with a dot are nobody's business."""
    left = _MOST
    try:
        root = folder.resolve(strict=True)
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if any(part.startswith(".") for part in name.split("/")):
                continue
            if path.is_symlink() and path.is_dir():
                raise ConfigError(f"the frontend's '{name}' is a link to a folder: copy it.")
            if not path.is_file():
                continue
            if not path.resolve().is_relative_to(root):
                raise ConfigError(f"the frontend's '{name}' is a link to outside: copy it.")
            left -= path.stat().st_size
            if left < 0:
                raise ConfigError(
                    f"the frontend in {folder} is larger than {_MOST // 1024 // 1024} MB: name "
                    "the folder of its build alone."
                )
            yield name, path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the frontend in {folder} cannot be read: {error.strerror}.") from None


def _types() -> MimeTypes:
    """What browsers are told, whatever this machine has for its own."""
    types = MimeTypes()
    for kind, ending in (
        ("text/javascript", ".js"), ("text/javascript", ".mjs"), ("font/woff", ".woff"),
        ("font/woff2", ".woff2"), ("image/webp", ".webp"), ("image/avif", ".avif"),
        ("application/json", ".map"), ("application/manifest+json", ".webmanifest"),
    ):  # fmt: skip
        types.add_type(kind, ending)
    return types


_TYPES: Final = _types()
