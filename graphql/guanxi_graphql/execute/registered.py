"""Registered operations at the door: which document is meant, and whether it may be asked for.

A document is named by its SHA-256, as ``documentId`` or in Apollo's ``persistedQuery``. Nobody
registers one by asking for it.
"""

import re
from typing import TYPE_CHECKING, Any, Final

from guanxi_core.operations import digest_of, document_of
from guanxi_graphql.execute.documents import Refused
from guanxi_graphql.execute.errors import located

if TYPE_CHECKING:
    from guanxi_core.platform import Access, Platform
    from guanxi_graphql.requests import Request

_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})", re.ASCII)
#: Documents that are kept for a tenant.
_KEPT: Final = 1_000


def is_open(access: "Access") -> bool:
    """Whether the caller may ask for any document."""
    return access.operations is None and not access.installation.requests.only_registered


def names_none(request: "Request") -> bool:
    """Whether a request brings its document along and asks for nothing else."""
    return request.query is not None and request.document_id is None and request.extensions is None


async def permitted(platform: "Platform", access: "Access", text: str) -> None:
    """Raise :class:`Refused` for a document that a caller who may not ask for any asks for."""
    digest = digest_of(text)
    _bound(access, digest)
    if await _registered(platform, access, digest) is None:
        raise _refused("OPERATION_NOT_REGISTERED", "Only registered operations are answered here.")


async def named(platform: "Platform", access: "Access", request: "Request") -> str:
    """The document that a request brings along or names; raises :class:`Refused`."""
    digest, text = _named_by(request), request.query
    if text is not None:
        if digest not in (None, digest_of(text)):
            raise _refused("BAD_REQUEST", "The SHA-256 is not that of the document beside it.")
        return text
    if digest is None:
        raise _refused("BAD_REQUEST", "'query' must be a string that holds a GraphQL document.")
    _bound(access, digest)
    found = await _registered(platform, access, digest)
    if found is None:
        raise _refused("PERSISTED_QUERY_NOT_FOUND", "No document of this SHA-256 is registered.")
    return found


def _bound(access: "Access", digest: str) -> None:
    if access.operations is not None and digest not in access.operations:
        raise _refused("FORBIDDEN", "This token may ask for the operations it is bound to alone.")


def _named_by(request: "Request") -> str | None:
    """The SHA-256 by which a request names its document, if it does."""
    given: Any = request.document_id
    if given is None and request.extensions is not None:
        persisted = request.extensions.get("persistedQuery")
        if persisted is None:
            return None
        given = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
    elif given is None:
        return None
    match = _DIGEST.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise _refused("BAD_REQUEST", "A document is named by its SHA-256 in hexadecimal digits.")
    return match[1].lower()


async def _registered(platform: "Platform", access: "Access", digest: str) -> str | None:
    """A registered document, asked of the database once.

    What is kept hangs on the tenant's installation, which is another one after each registration.
    """
    installation = access.installation
    known = installation.documents
    text = known.get(digest)
    if text is None:
        text = await document_of(platform.pool, installation.tenant, digest)
        if text is not None:
            if len(known) >= _KEPT:
                known.clear()
            known[digest] = text
    return text


def _refused(code: str, message: str) -> Refused:
    return Refused([located(message, code)])
