"""What imported rows are found by: the tokens of their texts, staged beside them as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Insert

from guanxi_core.importing.columns import Converter, StagedColumn, stored_default
from guanxi_core.importing.planning import Step
from guanxi_core.search import keeping
from guanxi_core.search.keeping import field_name
from guanxi_core.search.tokens import tokens_of
from guanxi_core.system_tables import search_table
from guanxi_sdk.info import FieldInfo

_PARTS: Final[tuple[tuple[str, Any], ...]] = (("length", sa.SmallInteger()), ("lines", sa.Text()))


@dataclass(frozen=True, slots=True)
class Searched:
    """One attribute that is found by what it says; ``at`` is where its values stand in a record.

    Without one the file does not give it, and new rows have its default.
    """

    field: FieldInfo
    at: int | None

    @property
    def columns(self) -> tuple[StagedColumn, ...]:
        """The staging columns."""
        return tuple(StagedColumn(f"{self.field.name}__{part}", type_) for part, type_ in _PARTS)

    def convert(self, values: Sequence[Sequence[Any]], count: int) -> list[Sequence[Any]]:
        """The staging columns' values for a chunk."""
        if self.at is None:
            tokens = tokens_of(stored_default(self.field.default))
            return [[tokens.length] * count, [tokens.lines] * count]
        lengths, lines = [], []
        for text in values[self.at]:  # kept no longer than needed, which spares the collector
            tokens = tokens_of(text)
            lengths.append(tokens.length)
            lines.append(tokens.lines)
        return [lengths, lines]


def searched(step: Step, converters: Sequence[Converter]) -> tuple[Searched, ...]:
    """The attributes of a step that are found by what they say."""
    places: dict[str, int] = {}
    at = 0
    for made in converters:
        places[made.plan.info.name] = at
        at += len(made.columns)
    fields = [step.info.fields[name] for name in step.info.searched]
    return tuple(
        Searched(field, places.get(field.name))
        for field in fields
        if field.name in places or field.default is not None
    )


def insertion(
    step: Step, one: Searched, tenant_id: UUID, staged: sa.FromClause, rows: Any, same: Any
) -> Insert:
    """Insert the tokens of one attribute for ``rows``, which are ``staged``."""
    length, lines = (staged.c[column.name] for column in one.columns)
    return keeping.insertion(
        sa.literal(tenant_id, sa.Uuid),
        rows.c.id,
        sa.literal(field_name(step.model, one.field.name), sa.Text),
        length,
        lines,
        sa.join(rows, staged, same),
    )


def removal(step: Step, one: Searched, tenant_id: UUID, ids: Any) -> sa.Delete:
    """Delete the tokens of one attribute of the rows ``ids``."""
    table = search_table.c
    return sa.delete(search_table).where(
        table.tenant_id == tenant_id,
        table.id == sa.any_(ids),
        table.field == field_name(step.model, one.field.name),
    )
