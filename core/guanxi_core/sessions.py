"""Users who come with an issuer's token: one session each, with the stamp that all its JWTs share.

The session has a row in ``guanxi_token``, whose id follows from tenant, issuer and subject, so that
archiving the user, changing roles or revoking it takes effect as for any other token. The
database's clock decides about times; what it has seen to be over stays so, should it go back.
"""

import datetime as dt
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from typing import Any, Final
from uuid import UUID, uuid5

import asyncpg

from guanxi_core import api_tokens, identity, tenancy
from guanxi_core.database.pool import TenantPool
from guanxi_core.issuers import Issuer
from guanxi_core.oidc import Verifier
from guanxi_sdk import Conflict, GuanxiError, Tenant, Unauthenticated

log = logging.getLogger(__name__)

#: How far an issuer's clock may be from the database's.
SKEW: Final = dt.timedelta(seconds=60)
_SPACE: Final = UUID("3f9c2d0e-6f0a-5b57-9b4b-0b5a3c1f7e21")
_LATEST: Final = dt.datetime(9000, 1, 1, tzinfo=dt.UTC).timestamp()


@dataclass(frozen=True, slots=True)
class _Claims:
    """What of a JWT matters here."""

    subject: str
    name: str
    email: str | None
    roles: frozenset[str] | None  # None where they are given in guanxi alone
    issued_at: dt.datetime
    not_before: dt.datetime
    expires_at: dt.datetime


async def authenticate(
    pool: TenantPool, verifier: Verifier, token: str
) -> tuple[api_tokens.Identity, float]:
    """Who a JWT stands for, and until when by ``time.monotonic()``.

    Raises :class:`Unauthenticated`, with the reason in the log where an operator can mend it.
    """
    issuer, given = await verifier.verify(token)
    claims = _read(issuer, given)
    try:
        tenant = await tenancy.find_tenant(
            pool, issuer.tenant or _text(given, issuer.tenant_claim) or ""
        )
    except GuanxiError:
        log.warning("a token of %s names a tenant that does not exist", issuer.issuer)
        raise Unauthenticated from None
    digest = sha256(f"oidc\0{tenant.id}\0{issuer.issuer}\0{claims.subject}".encode()).digest()
    try:
        async with tenancy.transaction(pool, tenant.id) as connection:
            left = await _Session(connection, tenant, issuer, claims, digest).enter()
    except asyncpg.UniqueViolationError:  # two subjects claim to be the same user
        log.warning("a token of %s names a user who has another subject", issuer.issuer)
        raise Unauthenticated from None
    known = await api_tokens.by_digest(pool, digest)
    if left is None or known is None:
        raise Unauthenticated
    return known, time.monotonic() + left


class _Session:
    """Lets one JWT in."""

    def __init__(
        self, connection: Any, tenant: Tenant, issuer: Issuer, claims: _Claims, digest: bytes
    ) -> None:
        self._connection = connection
        self._tenant = tenant
        self._issuer = issuer
        self._claims = claims
        self._digest = digest
        self._actor = f"issuer {issuer.issuer}"
        self._token = uuid5(_SPACE, digest.hex())

    async def enter(self) -> float | None:
        """Make or prolong the session; how many seconds are left, None for no admission."""
        claims, ids = self._claims, (self._tenant.id, self._token)
        await self._connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", self._token.hex
        )
        now: dt.datetime = await self._connection.fetchval("SELECT now()")
        row = await self._connection.fetchrow(
            "SELECT user_id, issued_at, seen_at, "
            "guanxi_token_revoked_at(tenant_id, token_id) AS revoked_at "
            "FROM guanxi_session WHERE tenant_id = $1 AND token_id = $2", *ids,
        )  # fmt: skip
        newer = row is None or claims.issued_at > row["issued_at"]
        if row is not None and not newer:
            now = max(now, row["seen_at"])
        if claims.expires_at + SKEW <= now:
            await self._note(now)
            return None
        if max(claims.issued_at, claims.not_before) - SKEW > now:
            return None
        if row is None:
            if not await self._begin(now):
                return None
        elif row["revoked_at"] is not None and not (
            newer and claims.issued_at > row["revoked_at"]  # nor one of a clock that is ahead
        ):
            return None
        elif newer:
            await self._note(row["seen_at"])
            await self._synchronise(row["user_id"])
        await self._connection.execute(
            "SELECT guanxi_extend_token($1, $2, $3)", *ids, claims.expires_at + SKEW
        )
        return float((claims.expires_at + SKEW - now).total_seconds())

    async def _note(self, now: dt.datetime) -> None:
        """Remember the newest JWT, and the latest time at which one was seen to be over."""
        await self._connection.execute(
            "UPDATE guanxi_session SET issued_at = greatest(issued_at, $3), "
            "seen_at = greatest(seen_at, $4) WHERE tenant_id = $1 AND token_id = $2",
            self._tenant.id, self._token, self._claims.issued_at, now,
        )  # fmt: skip

    async def _begin(self, now: dt.datetime) -> bool:
        """The user's first JWT of this issuer."""
        claims = self._claims
        if self._issuer.users == "create":
            try:
                user = await identity.create_user(
                    self._connection,
                    self._tenant,
                    claims.name,
                    email=claims.email,
                    actor=self._actor,
                )
            except GuanxiError as error:  # Conflict: a user of another origin is not taken over
                why = "exists already" if isinstance(error, Conflict) else "cannot be made"
                log.warning("the user of a token of %s %s", self._issuer.issuer, why)
                return False
            user_id = user.id
        else:
            found = await self._connection.fetchval(
                "SELECT u.id FROM guanxi_user u WHERE u.tenant_id = $1 AND u.name = $2 "
                "AND NOT EXISTS (SELECT FROM guanxi_session s "
                "WHERE s.tenant_id = u.tenant_id AND s.user_id = u.id)",
                self._tenant.id, claims.name,
            )  # fmt: skip
            if found is None:
                log.warning("a token of %s names a user who may not enter", self._issuer.issuer)
                return False
            user_id = found
        await self._connection.execute(
            "SELECT guanxi_create_token($1, $2, $3, NULL, $4, $5, $6)", self._token,
            self._tenant.id, user_id, f"session of {self._issuer.issuer}"[:200], self._digest,
            claims.expires_at + SKEW,
        )  # fmt: skip
        await self._connection.execute(
            "INSERT INTO guanxi_session "
            "(tenant_id, token_id, user_id, issuer, subject, issued_at, seen_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7)",
            self._tenant.id, self._token, user_id, self._issuer.issuer, claims.subject,
            claims.issued_at, now,
        )  # fmt: skip
        await self._synchronise(user_id)
        return True

    async def _synchronise(self, user_id: UUID) -> None:
        """The roles of the newest JWT hold."""
        if self._claims.roles is not None:
            await identity.set_roles(
                self._connection, self._tenant, user_id, self._claims.roles, actor=self._actor
            )


def _read(issuer: Issuer, given: Mapping[str, Any]) -> _Claims:
    name, subject = _text(given, issuer.user_claim), _text(given, "sub")
    issued, expires = _time(given, "iat"), _time(given, "exp")
    if not (name and subject and issued and expires):
        raise Unauthenticated
    roles = None
    if issuer.roles_claim is not None:
        groups = given.get(issuer.roles_claim)
        named = groups if isinstance(groups, list) else [groups]
        roles = frozenset(
            issuer.roles[g] for g in named if isinstance(g, str) and g in issuer.roles
        )
    not_before = _time(given, "nbf") if "nbf" in given else issued
    if not_before is None:
        raise Unauthenticated
    email = _text(given, "email")
    if email is not None and not identity.EMAIL.fullmatch(email):
        email = None
    return _Claims(subject, name, email, roles, issued, not_before, expires)


def _text(given: Mapping[str, Any], claim: str | None) -> str | None:
    value = given.get(claim) if claim else None
    return value if isinstance(value, str) and value.isprintable() and len(value) <= 200 else None


def _time(given: Mapping[str, Any], claim: str) -> dt.datetime | None:
    value = given.get(claim)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return dt.datetime.fromtimestamp(value, dt.UTC) if 0 <= value <= _LATEST else None
