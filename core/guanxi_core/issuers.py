"""Issuers of OpenID Connect whose tokens are believed, as the configuration names them."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from guanxi_sdk import GuanxiError


class ConfigError(GuanxiError):
    """A setting is wrong; the message names the key and the remedy, never a password."""


class IssuerUnavailable(GuanxiError):
    """An issuer's keys cannot be had; the message says why."""


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issuer, and who its tokens stand for here."""

    #: Its address, exactly as its tokens name it.
    issuer: str
    #: What its tokens for guanxi name as their audience.
    audience: str
    #: The tenant that all its users belong to …
    tenant: str | None = None
    #: … or the claim that names the tenant.
    tenant_claim: str | None = None
    #: The claim that names the user.
    user_claim: str = "sub"
    #: Whether users are made at first sight, or only those are let in who exist already.
    users: Literal["create", "existing"] = "existing"
    #: The claim that lists groups; without it roles are given in guanxi alone.
    roles_claim: str | None = None
    #: Which role each group has; other groups mean nothing.
    roles: Mapping[str, str] = {}


_DECODER: Final = msgspec.json.Decoder(Any)


def read_issuers(source: str, given: Any) -> tuple[Issuer, ...]:
    """The issuers of ``[[oidc]]`` tables, or of a variable that holds the same as JSON."""
    if isinstance(given, str):
        try:
            given = _DECODER.decode(given)
        except (msgspec.DecodeError, RecursionError):
            raise ConfigError(f"{source} is not valid JSON.") from None
    try:
        issuers = msgspec.convert(given if isinstance(given, list) else [given], tuple[Issuer, ...])
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}.") from None
    for issuer in issuers:
        if reason := _flaw(issuer):
            raise ConfigError(f"{source}: {reason}.")
    if len({issuer.issuer for issuer in issuers}) < len(issuers):
        raise ConfigError(f"{source} names an issuer twice.")
    return issuers


def _flaw(issuer: Issuer) -> str | None:
    if not is_secure(issuer.issuer):
        return f"the issuer '{issuer.issuer}' must be an https:// address"
    if not issuer.audience:
        return "audience must not be empty: tokens for other services would be believed"
    if (issuer.tenant is None) == (issuer.tenant_claim is None):
        return "name either tenant or tenant_claim"
    if issuer.roles and issuer.roles_claim is None:
        return "roles needs roles_claim"
    return None


def is_secure(url: str) -> bool:
    """Whether nobody on the way can read or change what ``url`` answers."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    if parts.scheme != "http":
        return False
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
