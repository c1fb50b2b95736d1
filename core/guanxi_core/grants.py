"""What roles hold: permissions or patterns of them, each with a scope and the role's clearance."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from guanxi_sdk import Confidentiality, Invalid, Scope

_PATTERN: Final = re.compile(r"\*|\*\.[a-z][a-z0-9_]*|[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of a role: ``customers.read``, ``*.read`` or ``*``; with ``:own`` for some rows."""

    pattern: str
    scope: Scope
    clearance: Confidentiality

    @classmethod
    def parse(cls, text: str, clearance: Confidentiality = Confidentiality.INTERNAL) -> Self:
        """Read ``*.read:team``; raises :class:`Invalid`."""
        pattern, colon, scope = text.partition(":")
        if not _PATTERN.fullmatch(pattern) or (colon and scope not in list(Scope)):
            raise Invalid(
                "grants", f"holds {text!r}: write a permission, *.<last part> or *, and a scope "
                "unless it is for all rows, such as customers.read:own",
            )  # fmt: skip
        return cls(pattern, Scope(scope) if colon else Scope.ALL, clearance)

    def __str__(self) -> str:
        """As roles keep it."""
        return self.pattern if self.scope is Scope.ALL else f"{self.pattern}:{self.scope}"

    def matches(self, permission: str) -> bool:
        """Whether it gives ``permission``."""
        pattern = self.pattern
        return pattern in ("*", permission) or (
            pattern[:2] == "*." and permission.endswith(pattern[1:])
        )


def covered(grant: Grant, by: Iterable[Grant]) -> bool:
    """Whether somebody who holds the grants ``by`` holds ``grant`` as well, whatever it matches."""
    return any(
        (own.pattern == grant.pattern or own.matches(grant.pattern))
        and own.scope in (Scope.ALL, grant.scope)
        and own.clearance >= grant.clearance
        for own in by
    )


#: What the system itself holds.
EVERYTHING: Final = (Grant("*", Scope.ALL, Confidentiality.SECRET),)


@dataclass(frozen=True, slots=True)
class FirstRole:
    """A role that every tenant begins with."""

    permissions: tuple[str, ...]
    clearance: Confidentiality
    description: str


#: By name. They are ordinary roles: each tenant may change them.
FIRST_ROLES: Final = {
    "admin": FirstRole(("*",), Confidentiality.SECRET, "Does everything."),
    "manager": FirstRole(
        ("*.read:team", "*.write:team", "*.steward:team", "*.override:team"),
        Confidentiality.SECRET,
        "Leads people: sees and changes what they and their reports look after.",
    ),
    "steward": FirstRole(
        ("*.read:own", "*.write:own"),
        Confidentiality.SECRET,
        "Looks after customers: sees and changes what is theirs.",
    ),
    "finance": FirstRole(
        ("*.read",), Confidentiality.CONFIDENTIAL, "Sees everything that is not secret."
    ),
    "auditor": FirstRole(
        ("*.read", "guanxi.audit", "guanxi.rights"),
        Confidentiality.CONFIDENTIAL,
        "Sees everything that is not secret, and who did what.",
    ),
    "readonly": FirstRole(("*.read",), Confidentiality.INTERNAL, "Sees what is not confidential."),
}


def known_grants(permissions: list[str], clearance: str) -> list[Grant]:
    """The grants of a stored role; what cannot be read gives nothing."""
    level = Confidentiality.__members__.get(clearance, Confidentiality.INTERNAL)
    grants = []
    for text in permissions:
        try:
            grants.append(Grant.parse(text, level))
        except Invalid:
            continue
    return grants
