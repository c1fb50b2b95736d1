"""Where else in the tenant's tables a person's words stand."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, array

from guanxi_core.audit import row_name
from guanxi_core.erasing.report import ErasureMention
from guanxi_core.erasing.words import Speaker, field_of, finder, says, text_of

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext

#: How many are told.
MOST: Final = 100
#: What the platform keeps about rows, by table its free texts: whatever stands there does not make
#: a word somebody else's.
_TRACES: Final = {
    "guanxi_audit": ("reason",),
    "guanxi_delivery": ("entity", "error"),
    "guanxi_job": ("title", "message"),
}


class Mentions:
    """Looks through all texts of the tenant but those that are erased."""

    def __init__(
        self,
        ctx: "TransactionContext",
        owners: Sequence[Speaker],
        erased: Mapping[Speaker, set[UUID]],
    ) -> None:
        self._ctx = ctx
        self._owners = owners
        self._erased = erased

    async def shared(self, words: set[str]) -> set[str]:
        """Those of ``words`` that another row has as a value: they do not tell who is meant."""
        found: set[str] = set()
        for owner, columns in self._texts():
            left = words - found
            if left and owner.info.table.name not in _TRACES:
                source, texts = _source(owner, columns)
                value = sa.func.btrim(texts.c.value, type_=sa.Text)
                statement = self._others(owner, sa.select(value).distinct().select_from(source))
                rows = await self._ctx.db.execute_core(statement.where(value.in_(sorted(left))))
                found.update(rows.scalars())
        return found

    async def of(
        self, names: set[str], words: set[str], *, blanked: set[UUID]
    ) -> list[ErasureMention]:
        """Rows in which one of ``names`` stands; of what the platform keeps, one of ``words``.

        Entries of the audit that are to be ``blanked`` do not count.
        """
        found: list[ErasureMention] = []
        for owner, columns in self._texts():
            sought = words if owner.info.table.name in _TRACES else names
            pattern = finder(sought)
            if pattern is None:
                continue
            source, texts = _source(owner, columns)
            table, value = owner.info.table, texts.c.value
            statement = self._others(
                owner, sa.select(table.c.id, texts.c.name, value).select_from(source)
            ).where(sa.or_(*(sa.func.strpos(value, word) > 0 for word in sorted(sought))))
            if table.name == "guanxi_audit":
                kept = sa.literal(sorted(blanked), ARRAY(sa.Uuid))
                statement = statement.where(table.c.id != sa.all_(kept))
            rows = await self._ctx.db.execute_core(statement.order_by(table.c.id, texts.c.name))
            for row in rows:
                if pattern.search(row.value):
                    of = owner.info.of.info.name if owner.info.of else owner.info.name
                    found.append(
                        ErasureMention(
                            model=of, id=row_name(owner.info, row.id),
                            field=field_of(owner, row.name),
                        )
                    )  # fmt: skip
                    if len(found) == MOST:
                        return found
        return found

    def _texts(self) -> Iterator[tuple[Speaker, list[str]]]:
        for owner in self._owners:
            table = owner.info.table
            wanted = _TRACES.get(table.name, tuple(c.name for c in table.c if says(owner, c)))
            if wanted:
                yield owner, list(wanted)

    def _others(self, owner: Speaker, statement: Any) -> Any:
        """Rows of the tenant that are not erased."""
        table = owner.info.table
        erased = sa.literal(list(self._erased.get(owner, ())), ARRAY(sa.Uuid))
        return statement.where(
            table.c.tenant_id == self._ctx.tenant.id, table.c.id != sa.all_(erased)
        )


def _source(owner: Speaker, columns: Sequence[str]) -> tuple[Any, Any]:
    """A table, each row with its texts as rows ``(name, value)``."""
    table = owner.info.table
    # not VALUES, with which SQLAlchemy would compile the statement anew each time
    names, values = array(columns, type_=sa.Text), array([text_of(table.c[c]) for c in columns])
    texts = (
        sa.func.unnest(names, values)
        .table_valued(sa.column("name", sa.Text), sa.column("value", sa.Text), name="texts")
        .render_derived()
        .lateral()
    )
    return table.join(texts, sa.true()), texts
