"""Which rows are to be erased with a person, locked, and what they say and said."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from guanxi_core.audit import row_name
from guanxi_core.erasing.asking import Asked, answers
from guanxi_core.erasing.traces import Traces
from guanxi_core.erasing.words import Owner, Speaker, attribute_of, names_people, says, words_in
from guanxi_sdk import EVERY_ROW, Erasure, Invalid, Model, PluginError

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext

#: A global id: what comes before the UUID tells the model.
GLOBAL_ID: Final = re.compile(r"([a-z][a-z0-9_]*)_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


@dataclass(slots=True)
class Found:
    """Rows of one model that are to be erased; those to be blanked by the columns."""

    deleted: set[UUID] = field(default_factory=set)
    blanked: dict[tuple[str, ...], set[UUID]] = field(default_factory=lambda: defaultdict(set))

    @property
    def ids(self) -> set[UUID]:
        """All of them."""
        return self.deleted.union(*self.blanked.values())

    @property
    def columns(self) -> set[str]:
        """Columns that are blanked."""
        return {column for columns in self.blanked for column in columns}


class Collection:
    """All that is to be erased, of one person under all the ids that the person has."""

    def __init__(self, ctx: "TransactionContext", asked: Asked, traces: Traces) -> None:
        self._ctx = ctx
        self._asked = asked
        self._traces = traces
        self.subjects: dict[UUID, type[Model]] = {}
        self.rows: dict[Owner, Found] = {}
        #: Entries of the audit that tell of the rows.
        self.entries: set[UUID] = set()
        #: What the rows say and said.
        self.words: set[str] = set()
        #: Of these, what the person is called or reached by: only this is looked for where no id
        #: says whom a text is about, because other texts, a town for instance, say nothing of that.
        self.names: set[str] = set()
        #: Of these, what erased users are called, under which the audit and jobs know them.
        self.user_names: set[str] = set()

    @property
    def ids(self) -> set[UUID]:
        """The ids of all rows."""
        return {identity for found in self.rows.values() for identity in found.ids}

    @property
    def users(self) -> list[UUID]:
        """The users among the subjects."""
        return [identity for identity, m in self.subjects.items() if m.info.prefix == "user"]

    @property
    def global_ids(self) -> list[str]:
        """The subjects as GraphQL names them."""
        return [row_name(model.info, identity) for identity, model in self.subjects.items()]

    async def add(self, subject: type[Model], identity: UUID) -> None:
        """Lock the person's row and all that hangs together with it, and read it.

        Where an answer says which attribute of the row tells who the same person is, such as the
        user that an employee is, that one is added, too.
        """
        known = {m.info.prefix: m for m in self._asked.models.values() if m.info.subject}
        waiting = [(subject, identity)]
        while waiting:
            model, identity = waiting.pop()
            if identity in self.subjects:
                continue
            if identity == self._ctx.caller.user_id:
                raise Invalid("id", "is yourself: somebody else has to erase you")
            said = await self._lock(model, identity)
            if said is None:
                continue
            self.subjects[identity] = model
            await self._traces.reclaim({identity})
            given = await answers(self._ctx, self._asked, model, identity)
            for erasure in given:
                await self._add_rows(erasure)
            self._check_own_row(model, identity)
            for name in {e.same for e in given if e.model is model and e.same is not None}:
                parts = GLOBAL_ID.fullmatch(said[name] or "")
                if parts and parts[1] in known:
                    waiting.append((known[parts[1]], UUID(parts[2])))

    def gone(self, model: type[Model]) -> set[UUID]:
        """The rows of which nothing is left: people, and what is deleted with them."""
        people = {identity for identity, of in self.subjects.items() if of is model}
        return people | self.rows.get(model, Found()).deleted

    @property
    def custom(self) -> dict[Speaker, set[UUID]]:
        """The values of custom fields that go, by field: the rows that have them."""
        return {one: self.gone(one.info.of) for one in self._asked.custom if one.info.of}

    async def read_custom(self) -> None:
        """Read what custom fields say of the rows of which nothing is left."""
        for owner, ids in self.custom.items():
            table, [name] = owner.info.table, owner.info.fields
            wanted = sa.any_(sa.literal(list(ids), ARRAY(sa.Uuid)))
            mine = (table.c.tenant_id == self._ctx.tenant.id, table.c.id == wanted)
            rows = await self._ctx.db.execute_core(
                sa.select(table.c.id, table.c[name]).where(*mine)
            )
            for identity, value in rows:
                self._keep(owner, identity, name, value)

    async def read_history(self) -> None:
        """Read the audit: what the rows said formerly is as much about the person.

        Of a row that is blanked in part, those entries count that tell of these attributes. Rows
        that were deleted long ago are known by their reference to the person.
        """
        own = set(self.global_ids)
        parts: dict[tuple[str, str], set[str] | None] = {}
        for owner, found in self.rows.items():
            names = {attribute_of(owner, column) for column in found.columns}
            for identity in found.ids:
                key = row_name(owner.info, identity), owner.info.name
                parts[key] = None if identity in found.deleted else names
        for entry in await self._traces.entries_about({*own, *(name for name, _ in parts)}):
            key = entry["row_id"], entry["model"]
            if entry["row_id"] not in own and key not in parts:
                continue
            wanted = None if entry["row_id"] in own else parts[key]
            changes = msgspec.json.decode(entry["changes"])
            if wanted is None or not wanted.isdisjoint(changes):
                self._keep_entry(entry, changes, wanted)
        for entry in await self._traces.entries_naming(self.subjects):
            model = self._asked.models.get(entry["model"])
            if model is None or not await self._is_there(model, UUID(entry["row_id"][-36:])):
                self._keep_entry(entry, msgspec.json.decode(entry["changes"]), None)

    async def _lock(self, model: type[Model], identity: UUID) -> Any:
        """The person's row, which nobody else can change from now on, nor refer to anew."""
        table = model.info.table
        found = await self._ctx.db.execute_core(
            sa.select(table)
            .where(table.c.tenant_id == self._ctx.tenant.id, table.c.id == identity)
            .with_for_update()
        )
        return found.mappings().one_or_none()

    def _check_own_row(self, model: type[Model], identity: UUID) -> None:
        own = self.rows.get(model, Found())
        if identity in own.deleted or identity not in own.ids:
            raise PluginError(
                model.info.plugin,
                f"the hook 'erasures' must blank the row of the {model.info.name} itself, which "
                "stays: answer with Erasure.blank().",
            )

    async def _add_rows(self, erasure: Erasure) -> None:
        """Lock the rows of one answer, and keep their ids and words."""
        model, table = erasure.model, erasure.model.info.table
        names = erasure.columns or [column.name for column in table.c]
        read = [table.c[name] for name in names if says(model, table.c[name])]
        statement = sa.select(model.id, *read).where(erasure.condition).with_for_update(of=model)
        rows = (await self._ctx.db.execute(statement, execution_options=EVERY_ROW)).all()
        found = self.rows.setdefault(model, Found())
        kept = found.deleted if erasure.columns is None else found.blanked[erasure.columns]
        for identity, *values in rows:
            kept.add(identity)
            for column, value in zip(read, values, strict=True):
                self._keep(model, identity, attribute_of(model, column.name), value)

    def _keep(self, owner: Speaker, identity: UUID, name: str, value: Any) -> None:
        found = set(words_in(value))
        self.words |= found
        subject = self.subjects.get(identity)
        if subject is not None and names_people(name):
            self.names |= found
            if owner is subject and (subject.info.prefix, name) == ("user", "name"):
                self.user_names |= found

    def _keep_entry(self, entry: Any, changes: dict[str, Any], wanted: set[str] | None) -> None:
        """Keep an entry of the audit and its words, without choices, dates and numbers.

        What is no attribute of the model's own was a custom field's, which may have held texts,
        whatever it is by now.
        """
        self.entries.add(entry["id"])
        self._traces.moments.add(entry["created_at"])
        name, identity = entry["model"], UUID(entry["row_id"][-36:])
        owner = next((one for one in self._asked.owners if one.info.name == name), None)
        owner = owner or self.subjects.get(identity)
        if owner is None:
            return
        for attribute, pair in changes.items():
            known = owner.info.fields.get(attribute)
            if known is None and owner.info.name == name:
                options = self._asked.options.get((name, attribute), frozenset())
                pair = [one for one in pair if not isinstance(one, str) or one not in options]
            elif known is None or known.kind not in ("text", "texts", "values"):
                continue
            if wanted is None or attribute in wanted:
                self._keep(owner, identity, attribute, pair)

    async def _is_there(self, model: type[Model], identity: UUID) -> bool:
        there = await self._ctx.db.scalar(
            sa.select(model.id).where(model.id == identity), execution_options=EVERY_ROW
        )
        return there is not None
