"""What one caller may do in one tenant, worked out once and kept until the rights change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from guanxi_core.editions import Edition
from guanxi_core.grants import Grant
from guanxi_core.limits import Requests
from guanxi_sdk import (
    Caller,
    Confidentiality,
    GuanxiError,
    Plugin,
    PluginError,
    Rights,
    Scope,
    Settings,
    Tenant,
)

_EXPANDED: Final = "guanxi_core.rights"
_MANY: Final = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Installation:
    """One tenant's edition, and its plugins with that tenant's settings, the core's own too."""

    tenant: Tenant
    edition: Edition
    plugins: Mapping[str, Plugin[Any]]
    #: Plugins the tenant has enabled that cannot run, each with the reason.
    left_out: Mapping[str, str] = field(default_factory=dict)
    requests: Requests = field(default_factory=Requests)
    #: Registered documents that were asked for, by their SHA-256.
    documents: dict[str, str] = field(default_factory=dict)
    _settings: dict[tuple[type[Settings], str], Any] = field(default_factory=dict)

    def setting(self, settings: type[Settings], name: str) -> Any:
        """One of the tenant's settings, as the database takes it; looked up once."""
        key = (settings, name)
        if key in self._settings:
            return self._settings[key]
        for plugin in self.plugins.values():
            if type(plugin.settings) is settings:
                value = getattr(plugin.settings, name)
                self._settings[key] = list(value) if isinstance(value, tuple) else value
                return self._settings[key]
        raise PluginError("", f"no enabled plugin has the settings {settings.__name__}.")


@dataclass(frozen=True, slots=True, eq=False)
class Access:
    """What one token may do now; ``epoch`` tells whether it still may.

    An issuer's token is over at ``until``, by ``time.monotonic()``, whatever its session's stamp
    says, which others share. ``operations`` are the only ones that the token may ask for, by their
    SHA-256, if it is bound to any.
    """

    caller: Caller
    installation: Installation
    epoch: int
    grants: tuple[Grant, ...] = ()
    until: float | None = None
    operations: frozenset[str] | None = None


class StaleAccess(GuanxiError):
    """The caller's rights changed meanwhile: authenticate again and repeat, nothing was done."""


def expand(grants: Iterable[Grant], edition: Edition) -> Rights:
    """The permissions of ``edition`` that ``grants`` match, in which scopes and how cleared.

    Equal answers are the same object, so that comparing them is comparing identities.
    """
    known: dict[Any, Rights] = edition.attachments.setdefault(_EXPANDED, {})
    wanted = frozenset(grants)
    rights = known.get(wanted)
    if rights is None:
        held: dict[str, dict[Scope, Confidentiality]] = {}
        for grant in wanted:
            for name in edition.permissions:
                if grant.matches(name):
                    scopes = held.setdefault(name, {})
                    former = scopes.get(grant.scope, grant.clearance)
                    scopes[grant.scope] = max(grant.clearance, former)
        found = Rights(held)
        if len(known) >= _MANY:
            known.clear()
        same = frozenset((n, s, c) for n, scopes in found.held.items() for s, c in scopes.items())
        rights = known.setdefault(("same", same), found)
        known[wanted] = rights
    return rights
