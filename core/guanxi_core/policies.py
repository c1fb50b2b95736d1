"""Who may see which rows: the plugins' policies as conditions, the same for every way to a row.

A caller who holds a permission for all rows adds no condition to any statement.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlalchemy.orm.util import LoaderCriteriaOption
from sqlalchemy.sql.util import _deep_deannotate

from guanxi_core.binding import bind
from guanxi_sdk import Extension, Model, Rights, Scope
from guanxi_sdk.contributions import Ambient

if TYPE_CHECKING:
    from guanxi_core.editions import Edition

_NARROW: Final = 3  # parameters of a policy that treats reading and changing alike


def condition(
    edition: "Edition",
    model: type[Model],
    source: Any,
    scopes: frozenset[Scope],
    ambient: Ambient,
    *,
    writes: bool = False,
) -> Any:
    """Which rows of ``source``, a form of the model's table, ``scopes`` take in; None for all."""
    if Scope.ALL in scopes:
        return None
    entry = edition.policies.get(model)
    if entry is not None:
        function = entry.contribution.function
        taken = len(inspect.signature(function).parameters)
        row = aliased(model, source, adapt_on_names=True)
        parts = []
        for scope in sorted(scopes):
            made = function(row, scope, ambient, *([writes] if taken > _NARROW else []))
            # without the ORM's marks the session does not take it for a statement of plugin code
            parts.append(bind(_deep_deannotate(made), source, ambient.tenant_id))
        return sa.or_(sa.false(), *parts)
    if model.info.within is None or not scopes:
        return sa.false()
    reference = model.info.references[model.info.within]
    table = reference.target.info.table.alias()
    inner = condition(edition, reference.target, table, scopes, ambient, writes=writes)
    return _exists(table, ambient, table.c.id == source.c[reference.column], inner)


def visible(
    edition: "Edition",
    model: type[Model],
    identity: Any,
    scopes: frozenset[Scope],
    ambient: Ambient,
) -> Any:
    """Whether ``identity``, an expression, is the id of a row that ``scopes`` take in."""
    table = model.info.table.alias()
    inner = condition(edition, model, table, scopes, ambient)
    return _exists(table, ambient, table.c.id == identity, inner)


def _exists(table: Any, ambient: Ambient, *conditions: Any) -> Any:
    found: Any = sa.select(sa.literal_column("1")).where(
        table.c.tenant_id == ambient.tenant_id, *(c for c in conditions if c is not None)
    )
    return sa.exists(found.select_from(table).correlate_except(table))


class RowPolicies:
    """The policies of one caller, for statements that plugin code writes."""

    def __init__(self, edition: "Edition", rights: Rights, ambient: Ambient) -> None:
        self._edition = edition
        self._rights = rights
        self._ambient = ambient
        self._within: tuple[frozenset[Scope], ...] = ()
        self._options: dict[Any, tuple[Any, ...]] = {}
        self._reached: dict[Any, Any] = {}

    @contextmanager
    def narrowed(self, scopes: frozenset[Scope]) -> Iterator[None]:
        """Let plugin code see, for a while, no more rows than ``scopes`` take in."""
        former = self._within
        self._within = former if Scope.ALL in scopes else (*former, scopes)
        try:
            yield
        finally:
            self._within = former

    def options(self) -> tuple[Any, ...]:
        """What restricts each model, aliases and eager loads included, to the caller's rows."""
        known = self._options.get(self._within)
        if known is None:
            known = tuple(self._made())
            self._options[self._within] = known
        return known

    def reach(self, owner: type[Model] | type[Extension]) -> Any:
        """The ids of the rows of ``owner`` that the caller may see, as a SELECT; None for all."""
        model: type[Model] = owner.info.of or owner  # type: ignore[assignment]
        held = [self._rights.scopes(p) for p in {owner.info.read, model.info.read}]
        scopes = tuple(dict.fromkeys((*(s for s in held if s), *self._within)))
        if (model, scopes) not in self._reached:  # mostly the same for what is beside the model
            self._reached[model, scopes] = self._within_all(model, scopes)
        return self._reached[model, scopes]

    def _within_all(self, model: type[Model], several: tuple[frozenset[Scope], ...]) -> Any:
        """The ids of the rows that each of ``several`` scopes takes in; None for all."""
        table = model.info.table.alias()
        conditions = [
            part
            for scopes in several
            if (part := condition(self._edition, model, table, scopes, self._ambient)) is not None
        ]
        if not conditions:
            return None
        found: Any = sa.select(table.c.id).where(
            table.c.tenant_id == self._ambient.tenant_id, *conditions
        )
        return found

    def _made(self) -> Iterator[Any]:
        owners: list[type[Model] | type[Extension]] = [*self._edition.models.values()]
        owners += [one for several in self._edition.extensions.values() for one in several]
        for owner in owners:
            ids = self.reach(owner)
            if ids is not None:
                yield _Policy(owner, ids)


class _Policy(LoaderCriteriaOption):
    """Criteria that are a SELECT of ids, whatever the model is called in a statement."""

    _traverse_internals = LoaderCriteriaOption._traverse_internals

    def __init__(self, owner: Any, ids: Any) -> None:
        super().__init__(owner, owner.id.in_(ids), include_aliases=True)
        self._ids = ids

    def _resolve_where_criteria(self, ext_info: Any) -> Any:
        return ext_info.entity.id.in_(self._ids)
