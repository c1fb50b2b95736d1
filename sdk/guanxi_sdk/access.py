"""Rights: which rows a permission reaches, and how confidential a value may be."""

from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum
from typing import Self


class Scope(StrEnum):
    """How far a permission reaches; the plugin that owns a model says what each means there."""

    OWN = "own"
    TEAM = "team"
    OFFICE = "office"
    ALL = "all"


class Confidentiality(IntEnum):
    """How closely a value is kept; also a clearance, the most confidential value one may read.

    Whoever has a token is inside the enterprise, so no clearance is below ``INTERNAL``.
    """

    PUBLIC = 0
    INTERNAL = 1
    CONFIDENTIAL = 2
    SECRET = 3


class Rights:
    """What a caller may do: for each permission the scopes in which it is held.

    Each scope has the clearance of the role that it comes from, so that the clearance of one role
    never opens the rows of another. Compared by identity: equal rights of an edition are one
    object.
    """

    __slots__ = ("held", "limited", "permissions")

    def __init__(self, held: Mapping[str, Mapping[Scope, Confidentiality]]) -> None:
        #: By permission and scope; what a wider scope makes superfluous is left out.
        self.held = {name: _essential(scopes) for name, scopes in held.items() if scopes}
        self.permissions = frozenset(self.held)
        #: Whether some permission does not reach all rows.
        self.limited = any(Scope.ALL not in scopes for scopes in self.held.values())

    @classmethod
    def to_all(
        cls, permissions: Iterable[str], clearance: Confidentiality = Confidentiality.SECRET
    ) -> Self:
        """``permissions`` for all rows."""
        return cls({name: {Scope.ALL: clearance} for name in permissions})

    def scopes(
        self, permission: str, level: Confidentiality = Confidentiality.INTERNAL
    ) -> frozenset[Scope]:
        """Where ``permission`` is held with a clearance for ``level``; empty where it is not."""
        held = self.held.get(permission, {})
        return frozenset(scope for scope, clearance in held.items() if clearance >= level)


def _essential(scopes: Mapping[Scope, Confidentiality]) -> dict[Scope, Confidentiality]:
    everywhere = scopes.get(Scope.ALL)
    return {
        scope: clearance
        for scope, clearance in sorted(scopes.items())
        if scope is Scope.ALL or everywhere is None or clearance > everywhere
    }
