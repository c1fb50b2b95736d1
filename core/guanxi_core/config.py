"""Configuration: ``guanxi.toml`` in the current folder, overridden by ``GUANXI_*`` variables."""

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
_TEXTS: Final = ("home", "database_url", "owner_database_url")
#: Numbers, with the largest that makes sense.
_NUMBERS: Final = {
    "plugin_deadline": 3600, "statement_timeout": 3600, "watchdog": 3600, "rate_limit": 100_000,
}  # fmt: skip
_KEYS: Final = (*_TEXTS, *_NUMBERS, "egress_allow", "oidc")


@dataclass(frozen=True, slots=True)
class Config:
    """Where the data is kept, what is allowed, and whose tokens are believed.

    ``database_url`` is the app role's address and ``owner_database_url`` that of the tables' owner;
    without them guanxi keeps an embedded server in ``home``. Of the numbers, 0 means no limit.
    """

    home: Path
    database_url: str | None = field(default=None, repr=False)  # may hold a password
    owner_database_url: str | None = field(default=None, repr=False)
    #: Seconds that asynchronous plugin code may take.
    plugin_deadline: float = 10
    #: Seconds that a statement of a served request may take.
    statement_timeout: float = 30
    #: Seconds after which a worker that hangs is ended, and replaced.
    watchdog: float = 60
    #: Requests a second of one token that one worker answers.
    rate_limit: float = 0
    #: Networks inside that plugins may reach, such as ``10.1.2.0/24``; all others are refused.
    egress_allow: tuple[str, ...] = ()
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
        if "owner_database_url" in values and "database_url" not in values:
            raise ConfigError(
                f"{sources['owner_database_url']} is set without the app role's address: "
                "set GUANXI_DATABASE_URL too, or neither to use the embedded database."
            )
        return cls(
            home=folder / Path(values.get("home", ".guanxi")).expanduser(),
            database_url=values.get("database_url"),
            owner_database_url=values.get("owner_database_url"),
            egress_allow=_networks(sources["egress_allow"], values["egress_allow"])
            if "egress_allow" in values else (),
            issuers=read_issuers(sources["oidc"], values["oidc"]) if "oidc" in values else (),
            **{key: _number(sources[key], values[key], most)
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


def _number(source: str, value: Any, most: float) -> float:
    try:
        number = -1 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number <= most:
        raise ConfigError(f"{source} must be a number from 0 to {most}.")
    return number


def _networks(source: str, value: Any) -> tuple[str, ...]:
    texts = value.split(",") if isinstance(value, str) else value
    try:
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError
        return tuple(str(ip_network(text.strip())) for text in texts)
    except ValueError:
        raise ConfigError(f'{source} must list networks such as ["10.1.2.0/24"].') from None


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
