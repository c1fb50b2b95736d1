"""Configuration: ``guanxi.toml`` in the current folder, overridden by ``GUANXI_*`` variables."""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from guanxi_core.issuers import ConfigError, Issuer, read_issuers

__all__ = ["Config", "ConfigError"]

FILE: Final = "guanxi.toml"
_TEXTS: Final = (
    "home", "database_url", "owner_database_url", "metrics_token", "log_level", "log_format",
    "frontend",
)  # fmt: skip
#: Numbers, with the largest that makes sense.
_NUMBERS: Final = {
    "plugin_deadline": 3600, "statement_timeout": 3600, "watchdog": 3600, "rate_limit": 100_000,
    "slow_request": 3600, "request_deadline": 3600,
    "connection_subscriptions": 100_000, "token_subscriptions": 100_000,
    "tenant_subscriptions": 100_000, "idempotency_hours": 8760,
}  # fmt: skip
#: And the smallest, where that is not 0.
_LEAST: Final = {"idempotency_hours": 24}
_CHOICES: Final = {
    "log_level": ("debug", "info", "warning", "error"), "log_format": ("auto", "json", "text"),
}  # fmt: skip
_SHORTEST_TOKEN: Final = 16
_KEYS: Final = (*_TEXTS, *_NUMBERS, "egress_allow", "cors_origins", "limits", "oidc")


@dataclass(frozen=True, slots=True)
class Config:
    """Where the data is kept, what is allowed, and whose tokens are believed.

    ``database_url`` is the app role's address and ``owner_database_url`` that of the tables' owner;
    without them guanxi keeps an embedded server in ``home``. Where 0 is allowed, it means no limit.
    """

    home: Path
    database_url: str | None = field(default=None, repr=False)  # may hold a password
    owner_database_url: str | None = field(default=None, repr=False)
    #: Seconds that asynchronous plugin code may take.
    plugin_deadline: float = 10
    #: Seconds that a statement of a served request may take.
    statement_timeout: float = 30
    #: Seconds that a request may take in all.
    request_deadline: float = 60
    #: Seconds after which a worker that hangs is ended, and replaced.
    watchdog: float = 60
    #: Requests a second of one token that one worker answers.
    rate_limit: float = 0
    #: Seconds after which an answered request is called slow in the log.
    slow_request: float = 1
    #: The folder of a built frontend, served at ``/``.
    frontend: Path | None = None
    #: The bearer token that ``/metrics`` asks for; without one there are no metrics to be had.
    metrics_token: str | None = field(default=None, repr=False)
    #: The least that is logged: ``debug``, ``info``, ``warning`` or ``error``.
    log_level: str = "info"
    #: How: ``json``, ``text``, or ``auto``, which is text on a terminal.
    log_format: str = "auto"
    #: Networks inside that plugins may reach, such as ``10.1.2.0/24``; all others are refused.
    egress_allow: tuple[str, ...] = ()
    #: Subscriptions that one worker keeps open, of one socket, one token, and one tenant.
    connection_subscriptions: float = 50
    token_subscriptions: float = 100
    tenant_subscriptions: float = 1_000
    #: Hours for which replies to requests with an idempotency key are kept.
    idempotency_hours: float = 24
    #: The most that tenants may set as limits of their requests, by name.
    limits: Mapping[str, int] = field(default_factory=dict)
    #: Other origins whose pages may ask, such as ``https://crm.example.com``.
    cors_origins: tuple[str, ...] = ()
    #: Whose tokens are believed besides guanxi's own.
    issuers: tuple[Issuer, ...] = ()

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Self:
        """Read the file and the environment; an empty variable counts as not set."""
        environ = os.environ if environ is None else environ
        folder = Path.cwd() if cwd is None else cwd
        values: dict[str, Any] = _read_file(folder / FILE)
        sources = {key: f"{FILE}: {key}" for key in values}
        for key in _KEYS:
            variable = f"GUANXI_{key.upper()}"
            if environ.get(variable):
                values[key], sources[key] = environ[variable], variable
        for key in ("database_url", "owner_database_url"):
            if key in values:
                _check_address(sources[key], values[key])
        for key, choices in _CHOICES.items():
            if key in values and values[key] not in choices:
                raise ConfigError(f"{sources[key]} must be one of {', '.join(choices)}.")
        if "metrics_token" in values:
            _check_token(sources["metrics_token"], values["metrics_token"])
        if "owner_database_url" in values and "database_url" not in values:
            raise ConfigError(
                f"{sources['owner_database_url']} is set without the app role's address: "
                "set GUANXI_DATABASE_URL too, or neither to use the embedded database."
            )
        return cls(
            home=folder / Path(values.get("home", ".guanxi")).expanduser(),
            database_url=values.get("database_url"),
            owner_database_url=values.get("owner_database_url"),
            frontend=folder / Path(values["frontend"]).expanduser()
            if "frontend" in values else None,
            metrics_token=values.get("metrics_token"),
            log_level=values.get("log_level", "info"),
            log_format=values.get("log_format", "auto"),
            egress_allow=_networks(sources["egress_allow"], values["egress_allow"])
            if "egress_allow" in values else (),
            limits=_limits(sources["limits"], values["limits"]) if "limits" in values else {},
            cors_origins=_origins(sources["cors_origins"], values["cors_origins"])
            if "cors_origins" in values else (),
            issuers=read_issuers(sources["oidc"], values["oidc"]) if "oidc" in values else (),
            **{key: _number(sources[key], values[key], _LEAST.get(key, 0), most)
               for key, most in _NUMBERS.items() if key in values},
        )  # fmt: skip


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise ConfigError(f"{FILE} is not UTF-8 text: save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{FILE} is not valid TOML: {_without_values(error)}.") from None
    except OSError as error:
        raise ConfigError(f"{FILE} cannot be read: {error.strerror}.") from None
    for key, value in content.items():
        if key not in _KEYS:
            raise ConfigError(f"{FILE}: unknown key '{key}'; the keys are {', '.join(_KEYS)}.")
        if key in _TEXTS and (not isinstance(value, str) or not value):
            raise ConfigError(f"{FILE}: {key} must be a text in quotes.")
    return content


def _number(source: str, value: Any, least: float, most: float) -> float:
    try:
        number = -1 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = -1
    if not least <= number <= most:
        raise ConfigError(f"{source} must be a number from {least} to {most}.")
    return number


def _networks(source: str, value: Any) -> tuple[str, ...]:
    try:
        return tuple(str(ip_network(text)) for text in _listed(value))
    except ValueError:
        raise ConfigError(f'{source} must list networks such as ["10.1.2.0/24"].') from None


def _limits(source: str, value: Any) -> Mapping[str, int]:
    from guanxi_core.limits import HIGHEST

    try:
        given = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise ConfigError(f"{source} must be a table such as {{ cost = 100000 }}, or as JSON.")
    for name, most in given.items():
        if name not in HIGHEST:
            raise ConfigError(f"{source}.{name} is unknown; the limits are {', '.join(HIGHEST)}.")
        if type(most) is not int or not 1 <= most <= HIGHEST[name]:
            raise ConfigError(f"{source}.{name} must be a whole number from 1 to {HIGHEST[name]}.")
    return given


def _origins(source: str, value: Any) -> tuple[str, ...]:
    try:
        return tuple(_origin(text) for text in _listed(value))
    except ValueError:
        raise ConfigError(
            f'{source} must list origins such as ["https://crm.example.com"]: a scheme, a host, '
            "a port if there is one, and nothing after it."
        ) from None


def _origin(text: str) -> str:
    """An origin as browsers spell it: in lower case, without the port that its scheme implies."""
    parts = urlsplit(text.lower())
    port = parts.port
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    place = host if port is None else f"{host}:{port}"
    whole = f"{parts.scheme}://{place}"
    plain = all(c.isascii() and (c.isalnum() or c in ".-:[]") for c in place)
    if parts.scheme not in ("http", "https") or not host or not plain or whole != text.lower():
        raise ValueError
    return whole.removesuffix(":443" if parts.scheme == "https" else ":80")


def _listed(value: Any) -> list[str]:
    """The texts of a list, or of a variable that separates them by commas."""
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError
    return [text.strip() for text in texts]


def _check_token(source: str, token: str) -> None:
    if len(token) < _SHORTEST_TOKEN or not (token.isascii() and token.isprintable()):
        raise ConfigError(
            f"{source} must have at least {_SHORTEST_TOKEN} printable ASCII characters, for "
            "instance of `openssl rand -hex 32`."
        )


def _without_values(error: tomllib.TOMLDecodeError) -> str:
    """Only the position: the parser's message may quote a piece of an address."""
    message = str(error)
    return message[message.rindex("(") + 1 : -1] if message.endswith(")") else "syntax error"


def _check_address(source: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ConfigError(
            f"{source} is not an address: write postgresql://ROLE:PASSWORD@HOST:PORT/DATABASE "
            "(special characters in the password as %XX)."
        ) from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise ConfigError(f"{source} must begin with postgresql://.")
    if not parts.path.strip("/") and "dbname=" not in parts.query:
        raise ConfigError(f"{source} names no database: end it with /DATABASE.")
