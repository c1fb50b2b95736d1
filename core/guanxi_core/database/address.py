"""Addresses of databases, taken apart without ever showing a password."""

from urllib.parse import parse_qs, unquote, urlsplit


def role_of(url: str) -> str:
    """The role that ``url`` connects as; empty where it does not say."""
    user = urlsplit(url).username
    return unquote(user) if user else parse_qs(urlsplit(url).query).get("user", [""])[0]


def place_of(url: str) -> str:
    """Server and database of ``url`` for messages: ``127.0.0.1:5432/guanxi``, no password."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    host = parts.hostname or query.get("host", ["localhost"])[0]
    try:
        port = parts.port
    except ValueError:  # asyncpg will refuse it with a reason
        port = None
    name = unquote(parts.path.lstrip("/")) or query.get("dbname", [""])[0]
    return f"{host}{f':{port}' if port else ''}/{name}"
