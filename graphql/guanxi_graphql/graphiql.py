"""The page that a browser gets at ``/graphql``: GraphiQL, served from this machine alone.

GraphiQL itself comes from the wheel graphene-django-graphiql-static, whose files are read without
importing the package (it would want Django). The page around it is ours.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs

from guanxi_graphql.asgi import Answer, Receive, Scope, Send
from guanxi_sdk import GuanxiError

STATIC = "/graphql/static/"
_WHEEL = "graphene_django_graphiql_static"
_VENDORED = (
    "graphiql-plugin-explorer.umd.js",
    "graphiql.min.css",
    "graphiql.min.js",
    "react-dom.production.min.js",
    "react.production.min.js",
    "style.css",
)
_OWN = ("page.css", "page.js")
_TYPES = {".css": b"text/css; charset=utf-8", ".js": b"text/javascript; charset=utf-8"}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src data:",
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_NOSNIFF = (b"x-content-type-options", b"nosniff")


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file; its address carries ``version``, so that browsers may keep it for good."""

    content: bytes
    content_type: bytes
    version: str


def load_assets() -> Mapping[str, Asset]:
    """All static files by name."""
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise GuanxiError(
            "GraphiQL is not installed: run `pip install graphene-django-graphiql-static==0.8`."
        )
    vendored = Path(spec.origin).parent / "static" / _WHEEL
    own = Path(__file__).parent / "page"
    assets = {}
    for folder, names in ((vendored, _VENDORED), (own, _OWN)):
        for name in names:
            content = (folder / name).read_bytes()
            version = hashlib.sha256(content).hexdigest()[:12]
            assets[name] = Asset(content, _TYPES[Path(name).suffix], version)
    return assets


def build_page(assets: Mapping[str, Asset]) -> Answer:
    """The page, with the addresses of its files filled in."""
    html = (Path(__file__).parent / "page" / "index.html").read_text("utf-8")
    for name, asset in assets.items():
        html = html.replace(f"{{{name}}}", f"{STATIC}{name}?v={asset.version}")
    headers = (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", _POLICY.encode()),
        (b"cache-control", b"no-cache"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-frame-options", b"DENY"),
        _NOSNIFF,
    )
    return Answer(200, headers, html.encode())


class StaticFiles:
    """Serves the files of the page from memory: a name is known or it is not."""

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        self._assets = assets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for ``/graphql/static/<name>``."""
        asset = self._assets.get(scope["path"].strip("/"))
        if scope["method"] not in ("GET", "HEAD"):
            answer = Answer(405, ((b"allow", b"GET, HEAD"),), b"")
        elif asset is None:
            answer = Answer(404, ((b"content-type", b"text/plain"), _NOSNIFF), b"Not found.\n")
        else:
            wanted = parse_qs(scope["query_string"].decode("latin-1")).get("v")
            lasting = wanted == [asset.version]
            cache = b"public, max-age=31536000, immutable" if lasting else b"no-cache"
            headers = ((b"content-type", asset.content_type), (b"cache-control", cache), _NOSNIFF)
            answer = Answer(200, headers, asset.content)
        await answer.send(send)
