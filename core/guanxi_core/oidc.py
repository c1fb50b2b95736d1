"""Tokens of OpenID Connect issuers: whose they are, and whether the signature holds.

Keys are fetched when they are first needed, again when they have grown old, and again when a token
names one that is not known yet, which is how issuers rotate them; never more often than every few
seconds, so that made-up tokens make no traffic. While an issuer does not answer, the keys that
are known go on, and who comes with one of them waits for no attempt but the first. Times are
checked by the database's clock, see :mod:`guanxi_core.sessions`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx
import jwt
import msgspec

from guanxi_core.issuers import Issuer, IssuerUnavailable, is_secure
from guanxi_sdk import Unauthenticated

log = logging.getLogger(__name__)

#: Signatures that need a key that only the issuer has; and the kind of key.
ALGORITHMS: Final = {
    "RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA",
    "PS512": "RSA", "ES256": "EC", "ES384": "EC", "ES512": "EC", "EdDSA": "OKP",
}  # fmt: skip
LIFETIME: Final = 600.0  # seconds until keys are fetched again
PAUSE: Final = 10.0  # seconds between two fetches at least
_LARGEST: Final = 1 << 20
_CLAIMS: Final = ("iss", "aud", "exp", "iat")


class Verifier:
    """Checks tokens of the configured issuers."""

    def __init__(
        self, issuers: Sequence[Issuer], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._keys = {one.issuer: Keys(one.issuer, now) for one in issuers}
        self._issuers = {one.issuer: one for one in issuers}

    async def verify(self, token: str) -> tuple[Issuer, dict[str, Any]]:
        """The issuer and the claims of a token whose signature and audience are right.

        Raises :class:`Unauthenticated` for any other, :class:`IssuerUnavailable` if nobody knows.
        """
        try:
            header = jwt.get_unverified_header(token)
            unverified = jwt.decode(token, options={"verify_signature": False})
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise Unauthenticated from None
        name, algorithm = unverified.get("iss"), header.get("alg")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None or algorithm not in ALGORITHMS:
            raise Unauthenticated
        key = await self._keys[issuer.issuer].find(header.get("kid"), algorithm)
        if key is None:
            raise Unauthenticated
        try:
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms=[algorithm], audience=issuer.audience, issuer=issuer.issuer,
                options={"require": list(_CLAIMS), "verify_exp": False, "verify_nbf": False,
                         "verify_iat": False},
            )  # fmt: skip
        except (jwt.PyJWTError, ValueError, TypeError):
            raise Unauthenticated from None
        return issuer, claims


class Keys:
    """The public keys of one issuer."""

    def __init__(self, issuer: str, now: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._now = now
        self._known: list[Mapping[str, Any]] = []
        self._made: dict[tuple[int, str], Any] = {}
        self._fetched = float("-inf")  # with success
        self._tried = float("-inf")
        self._away = False
        self._fetching: asyncio.Task[bool] | None = None

    async def find(self, kid: object, algorithm: str) -> Any:
        """The key that a token names, or None; a token that names none means the only one."""
        if self._now() - self._fetched > LIFETIME:
            fetching = self._refresh()
            if not (self._known and self._away):
                await asyncio.shield(fetching)
        found = self._choose(kid, algorithm)
        if found is None and await asyncio.shield(self._refresh()):
            found = self._choose(kid, algorithm)
        return found

    def _choose(self, kid: object, algorithm: str) -> Any:
        fitting = [
            (at, key) for at, key in enumerate(self._known)
            if key.get("kty") == ALGORITHMS[algorithm] and key.get("alg") in (None, algorithm)
            and (kid is None or key.get("kid") == kid)
        ]  # fmt: skip
        if len(fitting) != 1:
            return None
        at, key = fitting[0]
        if (at, algorithm) not in self._made:
            try:
                self._made[at, algorithm] = jwt.PyJWK(dict(key), algorithm).key
            except (jwt.PyJWTError, ValueError, TypeError):
                log.warning("issuer %s publishes a key that cannot be used", self._issuer)
                self._made[at, algorithm] = None
        return self._made[at, algorithm]

    def _refresh(self) -> asyncio.Task[bool]:
        """Fetch the keys unless that was tried just now; tells whether there are new ones.

        One at a time, for all who wait, so it goes on where the one who began it is given up.
        """
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.get_running_loop().create_task(self._fetched_anew())
        return self._fetching

    async def _fetched_anew(self) -> bool:
        if self._now() - self._tried > PAUSE:
            self._tried = self._now()
            try:
                keys = await fetch_keys(self._issuer)
            except IssuerUnavailable as error:
                self._tried, self._away = self._now(), True
                log.warning("%s", error)
            else:
                self._known, self._made, self._fetched = keys, {}, self._now()
                self._away = False
                return True
        if not self._known:
            raise IssuerUnavailable(f"the keys of the issuer {self._issuer} cannot be had.")
        return False


async def fetch_keys(issuer: str) -> list[Mapping[str, Any]]:
    """The issuer's signing keys, found by its discovery document."""
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        discovery = await _fetch(client, issuer.rstrip("/") + "/.well-known/openid-configuration")
        if discovery.get("issuer") != issuer:
            raise IssuerUnavailable(
                f"the issuer {issuer} calls itself {discovery.get('issuer')!r}: configure that."
            )
        address = discovery.get("jwks_uri")
        if not isinstance(address, str) or not is_secure(address):
            raise IssuerUnavailable(f"the issuer {issuer} names no https:// address of its keys.")
        keys = (await _fetch(client, address)).get("keys")
    if not isinstance(keys, list):
        raise IssuerUnavailable(f"the issuer {issuer} publishes no list of keys.")
    found: list[Mapping[str, Any]] = [
        key for key in keys
        if isinstance(key, dict) and key.get("use") in (None, "sig")
        and key.get("kty") in set(ALGORITHMS.values())
    ]  # fmt: skip
    if not found:
        raise IssuerUnavailable(f"the issuer {issuer} publishes no key that can be used.")
    return found


async def _fetch(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    body = b""
    try:
        async with client.stream("GET", url, headers={"accept": "application/json"}) as response:
            if response.status_code != 200:
                raise IssuerUnavailable(f"{url} answers with status {response.status_code}.")
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST:
                    raise IssuerUnavailable(f"{url} answers more than a megabyte.")
        decoded = msgspec.json.decode(body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise IssuerUnavailable(f"{url} does not answer ({type(error).__name__}).") from None
    except (msgspec.DecodeError, RecursionError):
        raise IssuerUnavailable(f"{url} does not answer JSON.") from None
    if not isinstance(decoded, dict):
        raise IssuerUnavailable(f"{url} does not answer a JSON object.")
    return decoded
