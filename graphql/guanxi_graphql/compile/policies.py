"""What one caller may see, as conditions: which rows, and which values on them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from guanxi_core.editions import Edition
from guanxi_core.policies import condition, visible
from guanxi_graphql.compile.binds import Binds, ambient
from guanxi_sdk import Confidentiality, Forbidden, Model, Rights, Scope
from guanxi_sdk.info import ReferenceInfo

NO_REASON = "Secret values are shown to those who say why: send the header Guanxi-Reason."


class Policies:
    """The rights of one caller in one plan.

    Callers whose permissions reach all rows, and who are cleared for what they ask, add nothing to
    the statement.
    """

    def __init__(self, edition: Edition, rights: Rights, binds: Binds, *, reasoned: bool) -> None:
        self.rights = rights
        self.binds = binds
        #: Secret values that the statement shows or compares, as `Type.field`.
        self.secrets: dict[str, None] = {}
        self._edition = edition
        self._reasoned = reasoned
        self._models = {model.info.table: model for model in edition.models.values()}

    def rows(self, model: type[Model], source: Any) -> list[Any]:
        """Conditions on rows that the caller may see; none where that is all of them."""
        return self._in_scopes(model, source, model.info.read)

    def changes(self, model: type[Model], source: Any, level: Confidentiality) -> list[Any]:
        """Conditions on rows where the caller may write values up to ``level``."""
        return self._in_scopes(model, source, model.info.write, level, writes=True)

    def restricted(self, model: type[Model], references: Sequence[ReferenceInfo]) -> bool:
        """Whether writing rows of ``model`` with these references takes any conditions."""
        needed = {model.info.read, model.info.write, *(r.target.info.read for r in references)}
        return any(
            Scope.ALL not in self.rights.scopes(permission)
            for permission in needed & self.rights.permissions
        )

    def known(self, target: type[Model], identity: Any) -> Any:
        """Whether a caller may name ``identity``, the id of a row of ``target``; None for any."""
        scopes = self.rights.scopes(target.info.read)
        if not scopes or Scope.ALL in scopes:
            return None
        return visible(self._edition, target, identity, scopes, ambient(self.binds))

    def held(self, model: type[Model], source: Any, permission: str) -> list[Any]:
        """Conditions on rows that the caller may see, for which another permission is held too."""
        if self.rights.scopes(permission) >= self.rights.scopes(model.info.read):
            return []
        return self._in_scopes(model, source, permission)

    def inner(self, table: Any) -> list[Any]:
        """Conditions on a table in a plugin's subquery: what the caller may see of it."""
        plain: Any = table
        while isinstance(plain, sa.Alias):
            plain = plain.element
        model = self._models.get(plain)
        if model is None or model.info.read not in self.rights.permissions:
            return []
        return self.rows(model, table)

    def reference(self, target: type[Model], identity: Any) -> Any:
        """``identity`` where it is that of a row that the caller may see, else NULL."""
        seen = self.known(target, identity)
        return identity if seen is None else sa.case((seen, identity))

    def shown(
        self,
        model: type[Model],
        source: Any,
        permission: str,
        level: Confidentiality,
        name: str,
    ) -> Any:
        """On which rows the value called ``name`` is shown; None for all that the caller may see.

        Raises :class:`Forbidden` where it is shown on none.
        """
        if level is Confidentiality.SECRET and not self._reasoned:
            raise Forbidden(permission, NO_REASON)
        scopes = self.rights.scopes(permission, level)
        if not scopes and permission in self.rights.permissions:
            raise Forbidden(permission, f"This needs the clearance {level.name}.")
        if not scopes:
            raise Forbidden(permission)
        if level is Confidentiality.SECRET:
            self.secrets[name] = None
        if Scope.ALL in scopes or scopes >= self.rights.scopes(model.info.read):
            return None
        return condition(self._edition, model, source, scopes, ambient(self.binds))

    def _in_scopes(
        self,
        model: type[Model],
        source: Any,
        permission: str,
        level: Confidentiality = Confidentiality.INTERNAL,
        *,
        writes: bool = False,
    ) -> list[Any]:
        scopes = self.rights.scopes(permission, level)
        if Scope.ALL in scopes:
            return []
        found = condition(self._edition, model, source, scopes, ambient(self.binds), writes=writes)
        return [] if found is None else [found]
