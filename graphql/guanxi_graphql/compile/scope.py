"""One row source in a statement: a model's table under an alias, and its side tables."""

from collections.abc import Hashable
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import Grouping

from guanxi_core.binding import bind
from guanxi_core.breakers import PluginFailed, stops
from guanxi_core.custom.definitions import CustomValues
from guanxi_core.editions import Contributed, Owner
from guanxi_graphql.compile.binds import ambient
from guanxi_graphql.compile.policies import Policies
from guanxi_sdk import Choice, Extension, Model, Money, SQLMoney
from guanxi_sdk.values import MINOR_DIGITS


@lru_cache(256)
def source_of(model: type[Model] | type[Extension], name: str) -> Any:
    """The model's table under an alias; the same object for all plans, with its columns made."""
    return model.info.table.alias(name)


class Scope:
    """Columns of a model as they are reachable from ``source``; other tables join as needed."""

    def __init__(
        self, model: type[Model], source: Any, policies: Policies, *, hits: Any = None
    ) -> None:
        self.model = model
        self.source = source
        self._hits = hits  # of a search, beside which its rows are looked up, or the reverse
        self.policies = policies
        self._joined: dict[Owner, Any] = {}
        #: Side tables, to-ones and what is worked out once, each with what it must meet.
        self._joins: list[tuple[Any, Any]] = []
        self._entity: Any = None
        self._shared: dict[Hashable, Any] = {}
        self._once: dict[Hashable, Any] = {}  # what of these is joined

    def column(self, owner: Owner, name: str) -> Any:
        """A column of the model, or of what is beside it."""
        if owner is self.model:
            return self.source.c[name]
        side = self._joined.get(owner)
        if side is None:
            alias = f"{self.source.name}_{owner.info.table.name}"[:60]
            if isinstance(owner, CustomValues):  # of few tenants, and not kept for all
                side = owner.info.table.alias(alias)
            else:
                side = source_of(owner, alias)
            self._joined[owner] = side
            held = self.policies.held(self.model, self.source, owner.info.read)
            self._join(side, self.id, held)
        return side.c[name]

    def _join(self, table: Any, identity: Any, conditions: list[Any]) -> None:
        mine = table.c.tenant_id == self.tenant
        self._joins.append((table, sa.and_(mine, table.c.id == identity, *conditions)))

    @property
    def id(self) -> Any:
        """The row's UUID."""
        return self.source.c.id

    @property
    def tenant(self) -> Any:
        """The tenant, to look up what belongs to a row: that of the row itself, if it tells it.

        Of a tenant by its id PostgreSQL believes, until it has counted its rows, that it has none;
        then it reads all of them for each row, as an index by anything else is as good to it.
        """
        context = self.policies.binds.context("tenant")
        return self.source.c.get("tenant_id", context)

    def sides(self) -> list[Any]:
        """What stands beside the row so far: side tables, and what is worked out once."""
        return [*self._joined.values(), *self._once.values()]

    def to_one(self, model: type[Model], name: str, identity: Any) -> "Scope":
        """The row of another model that ``identity`` refers to, joined to this one's."""
        other = Scope(model, source_of(model, name), self.policies)
        other._joins = self._joins
        self._join(other.source, identity, self.policies.rows(model, other.source))
        return other

    def from_(self) -> Any:
        """The FROM clause with all tables asked for so far."""
        joined = self.source
        if self._hits is not None:
            lateral = isinstance(self._hits, sa.Lateral)
            first, second = (joined, self._hits) if lateral else (self._hits, joined)
            joined = sa.join(first, second, sa.true())
        for table, condition in self._joins:
            joined = joined.outerjoin(table, condition)
        return joined

    def expression(self, entry: Contributed, arguments: dict[str, Any]) -> Any:
        """An SQL field's expression, every table in it bound to the tenant and to visible rows."""
        if self._entity is None:
            self._entity = aliased(self.model, self.source)
        known = set(self._shared)

        def share(name: Hashable, expression: Any) -> Any:
            return self._share((entry.plugin, name), expression, known)

        try:
            made = entry.contribution.function(
                self._entity, ambient(self.policies.binds, share), **arguments
            )
        except BaseException as error:
            if stops(error):
                raise
            message = f"The plugin '{entry.plugin}' failed."
            raise PluginFailed(entry.plugin, message) from error
        if isinstance(made, SQLMoney):
            return SQLMoney(self._bound(made.minor), self._bound(made.currency))
        return self._bound(made)

    def _share(self, key: Hashable, expression: Any, known: set[Hashable]) -> Any:
        """Join what another field, which is ``known``, is made of as well, and take it from there.

        OFFSET 0 keeps PostgreSQL from working it out wherever it is used.
        """
        if key not in self._shared:
            self._shared[key] = Grouping(expression)
        shared = self._shared[key]
        if key in known and key not in self._once:
            worked_out = sa.select(shared.element.label("value")).offset(sa.literal_column("0"))
            once = worked_out.lateral(f"{self.source.name}_once_{len(self._once)}")
            self._once[key] = once
            self._joins.append((once, sa.true()))
            shared.element = once.c.value
        return shared

    def _bound(self, expression: Any) -> Any:
        narrow = self.policies.inner if self.policies.rights.limited else None
        return bind(expression, self.source, self.tenant, narrow, self._once.values())


def as_text(expression: Any) -> Any:
    """``expression::text``"""
    return sa.cast(expression, sa.Text)


def literal(text: str) -> Any:
    """A text constant of our own in the statement; never a client's."""
    return sa.literal_column("'" + text.replace("'", "''") + "'", sa.Text)


def choice_name(choice: type[Choice], expression: Any, *, stored: bool = True) -> Any:
    """The enum's value name; what is not ``stored``, and so not checked, may be none: then null."""
    if stored and all(member.name == member.value for member in choice):
        return expression
    if stored and all(member.name == member.value.upper() for member in choice):
        return sa.func.upper(expression)
    return sa.case(
        *[(expression == literal(member.value), literal(member.name)) for member in choice]
    )


_WHOLE = tuple(code for code, digits in MINOR_DIGITS.items() if digits == 0)
_THOUSANDTHS = tuple(code for code, digits in MINOR_DIGITS.items() if digits == 3)


def money_text(minor: Any, currency: Any) -> Any:
    """An amount in minor units as the decimal text that :attr:`Money.amount` writes."""
    exact = sa.cast(minor, sa.Numeric)

    def scaled(factor: str) -> Any:
        return as_text(exact * sa.literal_column(factor, sa.Numeric))

    def one_of(codes: tuple[str, ...]) -> Any:
        return currency.in_([literal(code) for code in codes])

    return sa.case(
        (one_of(_WHOLE), as_text(exact)),
        (one_of(_THOUSANDTHS), scaled("0.001")),
        else_=scaled("0.01"),
    )


def minor_units(value: Any) -> Money:
    """A `MoneyInput` as Money; raises Invalid when it is not one."""
    return Money.parse(format(value["amount"], "f"), value["currency"])
