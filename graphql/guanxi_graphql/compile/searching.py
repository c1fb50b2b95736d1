"""Searches as SQL: ranges of tokens of the fields that the caller may read, ranked."""

from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from guanxi_core.editions import Edition
from guanxi_core.search.asking import wanted
from guanxi_core.search.keeping import field_name
from guanxi_core.system_tables import search_table
from guanxi_graphql.compile.arguments import Leaf
from guanxi_graphql.compile.policies import Policies
from guanxi_graphql.compile.scope import literal, source_of
from guanxi_graphql.schema.searched import searched_of
from guanxi_sdk import Forbidden, Model

#: A rank is one number: what was found weighs more than how long the text is.
_WEIGHT: Final = 65_536
_ARRAYS: Final[tuple[tuple[str, Any], ...]] = (
    ("number", sa.Integer), ("token", sa.Text), ("token_end", sa.Text), ("written", sa.Text),
    ("written_end", sa.Text),
)  # fmt: skip


class Search:
    """One search: the ranges that are bound, for as many models as are searched."""

    def __init__(
        self, edition: Edition, policies: Policies, alias: Callable[[], str], text: Leaf
    ) -> None:
        self._edition = edition
        self._policies = policies
        self._alias = alias
        binds = policies.binds
        self._bound = [
            binds.value(lambda v, name=name: getattr(wanted(text.get(v)), name), ARRAY(type_))  # type: ignore[misc]
            for name, type_ in _ARRAYS
        ]
        self._words = binds.value(lambda v: wanted(text.get(v)).words, sa.Integer)

    def hits(self, model: type[Model], of: Any = None) -> Any:
        """The rows that are found, ``id`` and ``rank``, before policies of rows.

        With ``of``, the id of a row, it is asked whether that one is: LATERAL to its table.

        Raises :class:`Forbidden` where the caller may read none of the fields.
        """
        fields: list[str] = []
        others: list[Any] = []
        refused: Forbidden | None = None
        for binding in searched_of(self._edition, model):
            table = source_of(model, self._alias())
            permission = binding.needs or model.info.read
            try:
                shown = self._policies.shown(
                    model, table, permission, binding.confidentiality, binding.name
                )
            except Forbidden as error:
                refused = refused or error
                continue
            name = field_name(binding.owner, binding.field.name)
            if shown is None:
                fields.append(name)
            else:
                others.append(self._found([name], of, table, shown))
        if refused is not None and not fields and not others:
            raise refused
        if fields:
            others.insert(0, self._found(fields, of))
        ranked = self._ranked(sa.union_all(*others) if len(others) > 1 else others[0])
        return ranked.subquery(self._alias()) if of is None else ranked.lateral(self._alias())

    def rows(self, model: type[Model], hits: Any) -> Any:
        """The rows of ``hits``, looked up one by one.

        The planner does not know how few they are, and would read the whole table to join it.
        """
        table = source_of(model, self._alias())
        tenant = self._policies.binds.context("tenant")
        one = sa.select(table).where(table.c.tenant_id == tenant, table.c.id == hits.c.id)
        return one.offset(sa.literal_column("0")).lateral(self._alias())

    def _found(self, fields: list[str], of: Any, table: Any = None, shown: Any = None) -> Any:
        """What is found by some fields, on the rows of ``table`` that show them."""
        tenant = self._policies.binds.context("tenant")
        want = (
            sa.func.unnest(*self._bound)
            .table_valued(*(sa.column(n, t) for n, t in _ARRAYS), name=self._alias())
            .render_derived()
        )
        held = search_table.alias(self._alias())
        kind = sa.case(
            (sa.or_(want.c.number > sa.literal_column("0"), held.c.place > sa.literal_column("0")),
             sa.literal_column("2")),
            (held.c.token == want.c.token, sa.literal_column("0")),
            else_=sa.literal_column("1"),
        )  # fmt: skip
        rank = kind * sa.literal_column(str(_WEIGHT)) + held.c.length
        named = held.c.field.in_([literal(field) for field in fields])
        rows: Any = sa.join(
            want, held,
            sa.and_(
                held.c.tenant_id == tenant, named,
                held.c.token >= want.c.token, held.c.token < want.c.token_end,
            ),
        )  # fmt: skip
        conditions = [held.c.written >= want.c.written, held.c.written < want.c.written_end]
        if table is not None:
            same = sa.and_(table.c.tenant_id == tenant, table.c.id == held.c.id)
            rows = rows.join(table, same)
            conditions.append(shown)
        found: Any = (
            sa.select(held.c.id, want.c.number, sa.cast(rank, sa.Integer).label("rank"))
            .select_from(rows)
            .where(*conditions)
        )
        return found if of is None else found.where(held.c.id == of).correlate(of.table)

    def _ranked(self, found: Any) -> Any:
        """One row for each row that is found: as a whole, or by all words."""
        each = found.subquery(self._alias())
        zero: Any = sa.literal_column("0")
        words = sa.func.count(each.c.number.distinct()).filter(each.c.number > zero)
        return (
            sa.select(each.c.id, sa.func.min(each.c.rank).label("rank"))
            .group_by(each.c.id)
            .having(sa.or_(sa.func.bool_or(each.c.number == zero), words == self._words))
        )
