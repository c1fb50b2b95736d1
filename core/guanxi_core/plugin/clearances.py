"""Which values in the audit a caller may see: those of fields that the caller may read."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

import sqlalchemy as sa

from guanxi_core.policies import condition
from guanxi_sdk import Confidentiality, Extension, Model, Permission, Scope
from guanxi_sdk._docs import camel, snake
from guanxi_sdk.contributions import model_extended
from guanxi_sdk.info import FieldInfo

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext

READ_AUDIT: Final = Permission("guanxi.audit", "See who changed what, when and why.")

#: What an entry about many rows has in place of their fields.
_SUMMARY: Final = frozenset({"count", "first", "last"})
#: Custom fields, and those that were purged: where they are unknown by now, until when values may
#: be theirs.
_FORMER: Final = """
    SELECT model, name, created_at,
        CASE WHEN archived_at IS NULL THEN now() + interval '1 day' ELSE updated_at END AS until
    FROM guanxi_custom_field WHERE tenant_id = $1
    UNION ALL SELECT changes #>> '{model,0}', changes #>> '{name,0}', NULL, created_at
    FROM guanxi_audit
    WHERE tenant_id = $1 AND action = 'guanxi.purge_custom_field' AND model = 'CustomField'
    AND changes #>> '{name,0}' IS NOT NULL
"""
_Scopes = frozenset[Scope]
#: The scopes within all of which a row must be.
_Within = tuple[type[Model], frozenset[_Scopes]]


class Clearances:
    """Asked about all entries first, so that rows are looked up together.

    Fields that the edition does not know, of a plugin that was switched off for instance, are
    secret; so are values that are older than the custom field, or that were a custom field's of the
    same name, which may have been more confidential. What is shown and secret is noted in the
    context, to be written down.
    """

    @classmethod
    async def of(cls, ctx: "TransactionContext") -> Self:
        """Clearances of the caller."""
        connection = await ctx.raw()
        return cls(ctx, await connection.fetch(_FORMER, ctx.tenant.id))

    def __init__(self, ctx: "TransactionContext", former: Iterable[Any]) -> None:
        self._ctx = ctx
        edition = ctx.access.installation.edition
        owners: list[type[Model] | type[Extension]] = [*edition.models.values()]
        owners += [one for several in edition.extensions.values() for one in several]
        self._owners = {owner.info.name: owner for owner in owners}
        self._custom = {
            (one.definition.model, name): one.field
            for several in edition.custom.values()
            for name, one in several.items()
        }
        #: Until when values were not those of the field that has the name now.
        self._former: dict[tuple[str, str], dt.datetime] = {}
        for one in former:
            key = one["model"], snake(one["name"])
            known = key in self._custom and one["created_at"] is not None
            until = one["created_at"] if known else one["until"]
            self._former[key] = max(until, self._former.get(key, until))
        self._asked: dict[_Within, set[UUID]] = defaultdict(set)
        self._reached: dict[_Within, set[UUID]] = {}

    def ask(self, entry: Any) -> None:
        """Be ready for :meth:`shows` with the fields of an entry."""
        for name in entry.changes:
            within = self._within(entry, name)
            if isinstance(within, tuple) and entry.row_id is not None:
                self._asked[within].add(_uuid(entry.row_id))

    async def settle(self) -> None:
        """Find out which of the rows asked for are within the caller's scopes."""
        for within, ids in self._asked.items():
            self._reached[within] = await self._reach(within, ids)

    def shows(self, entry: Any, name: str) -> bool:
        """Whether the caller may see the values of a field that an entry tells."""
        within = self._within(entry, name)
        if isinstance(within, tuple):
            within = entry.row_id is not None and _uuid(entry.row_id) in self._reached[within]
        if within and self._level(entry, name) is Confidentiality.SECRET:
            owner = self._owners.get(entry.model or "")
            of = entry.model if owner is None else model_extended(owner).info.name
            self._ctx.secrets[f"{of}.{camel(name)}"] = None
        return within

    def _level(self, entry: Any, name: str) -> Confidentiality:
        if entry.model is None or (entry.row_id is None and name in _SUMMARY):
            return Confidentiality.INTERNAL
        field = self._field(entry, name)
        return field.confidentiality if field else Confidentiality.SECRET

    def _field(self, entry: Any, name: str) -> FieldInfo | None:
        key = entry.model, name
        if key in self._former and entry.created_at < self._former[key]:
            return None
        owner = self._owners.get(entry.model)
        found = owner.info.fields.get(name) if owner else None
        return found or self._custom.get(key)

    def _within(self, entry: Any, name: str) -> bool | _Within:
        """Yes, no, or for rows within certain scopes."""
        level = self._level(entry, name)
        if level <= Confidentiality.INTERNAL:
            return True
        if level is Confidentiality.SECRET and self._ctx.reason is None:
            return False
        rights = self._ctx.caller.rights
        owner = self._owners.get(entry.model or "")
        if owner is None or self._field(entry, name) is None:
            return Scope.ALL in rights.scopes(READ_AUDIT.name, level)
        extended = model_extended(owner)
        held = {rights.scopes(owner.info.read, level), rights.scopes(extended.info.read)}
        if not all(held):
            return False
        narrow = frozenset(scopes for scopes in held if Scope.ALL not in scopes)
        return (extended, narrow) if narrow else True

    async def _reach(self, within: _Within, ids: set[UUID]) -> set[UUID]:
        model, narrow = within
        table = model.info.table.alias()
        edition, ambient = self._ctx.access.installation.edition, self._ctx.ambient()
        conditions = [condition(edition, model, table, scopes, ambient) for scopes in narrow]
        found = await self._ctx.db.scalars(
            sa.select(table.c.id).where(
                table.c.tenant_id == self._ctx.tenant.id, table.c.id.in_(ids), *conditions
            )
        )
        return set(found)


def _uuid(row_id: str) -> UUID:
    return UUID(row_id.rpartition("_")[2])
