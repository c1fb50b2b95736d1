"""Rows with a canary in every column, for any edition, from its models and their tables alone."""

import datetime as dt
import json
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from uuid import UUID

import asyncpg
import msgspec
import sqlalchemy as sa
from msgspec.structs import fields as struct_fields

from guanxi_core.custom.definitions import CustomValues
from guanxi_core.editions import Owner
from guanxi_core.search.rebuilding import remake
from guanxi_sdk.info import FieldInfo
from guanxi_sdk.model import Model
from guanxi_sdk.testing.probes import fields
from guanxi_sdk.testing.probes.findings import ProbeFailed
from guanxi_sdk.testing.probes.ordering import in_order
from guanxi_sdk.testing.probes.sharing import Shared
from guanxi_sdk.values import Choice, Value

DAY: Final = dt.date(2024, 1, 2)
TIME: Final = dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
#: What a text may have to look like; tried in turn where a constraint or a rule refuses others.
TEXTS: Final = (
    "Asia/Shanghai", "CNY", "https://example.com/", "ada@example.com", "A", "a", "1", "en",
    "*.read:own", "user_01980000-0000-7000-8000-000000000000", "2024-01-02",
)  # fmt: skip
_TRIES: Final = 60
#: The words of all tenants that probes fill: what is searched for.
WORDS: Final = ("OURS", "CANARY", "HIDDEN")
#: What a row has only when it is gone; one that is gone can be neither referred to nor changed.
_UNSET: Final = ("archived_at", "erased_at")


@dataclass(frozen=True)
class Filled:
    """How a tenant is filled: the word in its texts, and the bits in its ids."""

    word: str
    mark: int
    rows: int = 2

    def uuid(self, model: type[Model], number: int) -> UUID:
        """The id of a model's row with a number, from 1 on."""
        kind = zlib.crc32(model.info.name.encode()) & 0xFFFF
        return UUID(f"0198{kind:04x}-{self.mark:04x}-7000-8000-{number:012x}")

    def global_id(self, model: type[Model], number: int = 1) -> str:
        """The same as GraphQL writes it."""
        return f"{model.info.prefix}_{self.uuid(model, number)}"

    @property
    def trace(self) -> str:
        """What all ids have in common, and those of no other tenant."""
        return f"-{self.mark:04x}-7000-8000-"

    def text(self, number: int) -> str:
        """The canary in texts."""
        return f"{self.word}-{number}"

    async def store(self, connection: Any, tenant_id: UUID, shared: Shared) -> None:
        """Write the rows of every model, what is beside them, and one row of every other table."""
        async with connection.transaction():
            for row in fields.define(shared.edition, self, tenant_id):
                await _write(connection, "guanxi_custom_field", row)
            for owner in in_order(shared.edition):
                for number in range(1, self.rows + 1):
                    await self._insert(connection, tenant_id, owner, number, shared)
                await _make_found(connection, tenant_id, owner)
            for table in shared.tables:
                await self._insert_unmapped(connection, tenant_id, table, shared)

    async def _insert(
        self, connection: Any, tenant_id: UUID, owner: Owner, number: int, shared: Shared
    ) -> None:
        """Write one row, with other values where constraints refuse the first ones."""
        if isinstance(owner, CustomValues):
            row = fields.value(owner, self, tenant_id, number)
            await _write(connection, "guanxi_custom_value", row)
            return
        table = owner.info.table.name
        fixes = shared.fixes.setdefault((table, number if number < 3 else 2), {})
        tried: list[dict[str, Any]] = []
        waiting, refused = [fixes.copy()], ""
        while waiting and len(tried) < _TRIES:
            fix = waiting.pop(0)
            tried.append(fix)
            row = self._row(owner, tenant_id, number, shared) | fix
            try:
                async with connection.transaction():
                    await _write(connection, table, row)
            except asyncpg.IntegrityConstraintViolationError as error:
                refused = str(error)
                for other in await self._others(connection, owner, error, row, fix, number):
                    if other not in tried and other not in waiting:
                        waiting.append(other)
            else:
                fixes |= fix
                return
        raise ProbeFailed(
            f"a row of {table} could not be made: {refused}. Name values that fit: "
            f"examples={{'{owner.info.name}.column': …}}."
        )

    async def _others(
        self,
        connection: Any,
        owner: Owner,
        error: asyncpg.IntegrityConstraintViolationError,
        row: Mapping[str, Any],
        fix: dict[str, Any],
        number: int,
    ) -> list[dict[str, Any]]:
        """What else could be tried, the least change first."""
        told: Any = error
        if isinstance(error, asyncpg.NotNullViolationError):
            names = [told.column_name]
        else:
            text = await connection.fetchval(
                "SELECT string_agg(pg_get_constraintdef(oid), ' ') FROM pg_constraint "
                "WHERE conname = $1",
                told.constraint_name,
            )
            names = [name for name in row if re.search(rf"\b{name}\b", text or "")]
        found = []
        for name in reversed(names):
            column = owner.info.table.c[name]
            if column.nullable:
                found.append(fix | {name: None})
        for name in reversed(names):
            if name not in ("tenant_id", "id"):
                found += [fix | {name: value} for value in self._candidates(owner, name, number)]
        return found

    def _candidates(self, owner: Owner, name: str, number: int) -> list[Any]:
        """Other values for a column."""
        info = next((f for f in owner.info.fields.values() if name in f.columns), None)
        type_ = owner.info.table.c[name].type
        if info is not None and info.kind == "choice":
            return [member.value for member in info.python]
        if isinstance(type_, sa.Text | sa.String):
            return list(TEXTS)
        if isinstance(type_, sa.Boolean):
            return [True, False]
        if isinstance(type_, sa.Integer | sa.Float | sa.Numeric):
            return [0, number + 10, 5, 100]
        if isinstance(type_, sa.DateTime):
            return [str(TIME + dt.timedelta(days=days)) for days in (-number, number + 10)]
        if isinstance(type_, sa.Date):
            return [str(DAY + dt.timedelta(days=days)) for days in (-number, number + 10)]
        return []

    async def _insert_unmapped(
        self, connection: Any, tenant_id: UUID, table: str, shared: Shared
    ) -> None:
        """Write a row of a table without a model, where what it refers to allows it."""
        row: dict[str, Any] = {"tenant_id": str(tenant_id)}
        for name, type_ in shared.unmapped[table].items():
            value = self._plain(type_)
            if value is not None and name not in row:
                row[name] = value
        try:
            async with connection.transaction():
                await _write(connection, table, row)
        except asyncpg.PostgresError:
            return  # the core alone can write it

    def _plain(self, type_: str) -> Any:
        canary = self.text(1)
        plain: dict[str, Any] = {
            "text": canary, "varchar": canary, "_text": [canary], "bytea": _bytes(canary),
            "jsonb": {"canary": [canary, canary]}, "json": {"canary": [canary, canary]},
            "int4": 1, "int8": 1, "bool": False, "timestamptz": str(TIME), "date": str(DAY),
            "uuid": f"01980000-{self.mark:04x}-7000-8000-000000000001", "float8": 1.0,
        }  # fmt: skip
        return plain.get(type_)

    def _row(self, owner: Owner, tenant_id: UUID, number: int, shared: Shared) -> dict[str, Any]:
        of = cast(type[Model], owner.info.of or owner)
        row: dict[str, Any] = {
            "tenant_id": str(tenant_id), "id": str(self.uuid(of, number)), "version": 1,
            "created_at": str(TIME), "updated_at": str(TIME),
        }  # fmt: skip
        table = owner.info.table
        row = {name: value for name, value in row.items() if name in table.c}
        for info in owner.info.fields.values():
            if info.name not in (*row, *_UNSET):
                row |= self.columns(owner, info, number, shared)
        for column in table.c:
            if column.name not in row and column.name not in _UNSET:
                value = self._private(owner, column, number, shared)
                if value is not None:
                    row[column.name] = value
        for name, type_ in shared.unmapped.get(table.name, {}).items():
            if name not in row and type_ in ("text", "jsonb", "_text"):
                row[name] = self._plain(type_)
        return row

    def columns(self, owner: Owner, info: FieldInfo, number: int, shared: Shared) -> dict[str, Any]:
        """The columns of one attribute."""
        name = info.name
        if example := shared.example(owner.info.name, name):
            value = msgspec.to_builtins(example[0])
            if info.kind == "reference" and isinstance(value, int):  # the number of a row
                target = next(r.target for r in owner.info.references.values() if r.column == name)
                value = str(self.uuid(target, value))
            if isinstance(value, str) and name == getattr(owner.info, "key", None):
                value = f"{value}{number}"
            return {name: value}
        if info.kind == "reference":
            target = next(r.target for r in owner.info.references.values() if r.column == name)
            if target is owner:  # the second stands below the first
                return {name: str(self.uuid(target, 1)) if number == 2 else None}
            return {name: str(self.uuid(target, number))}
        if info.kind == "money":
            return {info.columns[0]: 100 * number, info.columns[1]: "CNY"}
        return {name: msgspec.to_builtins(self.value(info.python, number, info.maximum))}

    def value(self, python: Any, number: int, maximum: float | None = None) -> Any:
        """What a row with a number has where a value of this type is wanted."""
        inner: tuple[Any, ...] = getattr(python, "__args__", ())
        if getattr(python, "__origin__", None) is list:
            return [self.value(inner[0], number)]
        if inner:  # of a union, what is not None
            return self.value(next(part for part in inner if part is not type(None)), number)
        if issubclass(python, Choice):
            return list(python)[(number - 1) % len(python)]
        if issubclass(python, Value):
            parts = struct_fields(python)
            return python(**{part.name: self.value(part.type, number) for part in parts})
        figure = number if maximum is None else min(number, int(maximum))
        simple: dict[type, Any] = {
            str: self.text(number), int: figure, float: figure / 100, bool: number % 2 == 0,
            dt.date: DAY + dt.timedelta(days=number - 1),
            dt.datetime: TIME + dt.timedelta(days=number - 1),
            UUID: UUID(f"01980000-{self.mark:04x}-7000-8000-{number:012x}"),
        }  # fmt: skip
        return simple[python]

    def _private(self, owner: Owner, column: sa.Column[Any], number: int, shared: Shared) -> Any:
        """The value of a column that is no attribute of the schema; None leaves it to itself."""
        if example := shared.example(owner.info.name, column.name):
            return msgspec.to_builtins(example[0])
        for key in column.foreign_keys:
            target = next(
                (m for m in shared.edition.models.values() if m.info.table is key.column.table),
                None,
            )
            if target is not None and key.column.name == "id":
                return str(self.uuid(target, number))
        type_ = column.type
        if isinstance(type_, sa.TypeDecorator):
            item = getattr(type_, "item", None)
            if item is not None:
                return msgspec.to_builtins([self.value(item, number)])
            type_ = type_.impl_instance
        canary = self.text(number)
        if isinstance(type_, sa.Enum):
            return type_.enums[(number - 1) % len(type_.enums)]
        if isinstance(type_, sa.String):
            return canary
        if isinstance(type_, sa.LargeBinary):
            return _bytes(canary)
        if isinstance(type_, sa.ARRAY):
            return [canary] if isinstance(type_.item_type, sa.String) else []
        if isinstance(type_, sa.JSON):
            return {"canary": [canary, canary]}
        if isinstance(type_, sa.Uuid):
            return f"01980000-{self.mark:04x}-7000-8000-{number:012x}"
        if column.nullable or column.server_default is not None:
            return None
        if isinstance(type_, sa.Boolean):
            return number % 2 == 0
        if isinstance(type_, sa.DateTime):
            return str(TIME)
        return str(DAY) if isinstance(type_, sa.Date) else number

    # --- other values --------------------------------------------------------------------------

    async def disguise(
        self,
        connection: Any,
        tenant_id: UUID,
        owner: Owner,
        shared: Shared,
        *,
        number: int | None = None,
        columns: Collection[str] | None = None,
    ) -> set[str]:
        """Change whatever constraints and rights let; returns the columns, ``*`` for a row gone.

        Of the row with ``number``, or of all, of which the last one goes; ``columns`` are
        attributes.
        """
        if isinstance(owner, CustomValues):
            return await fields.disguise(connection, owner, self, tenant_id, number)
        table = owner.info.table.name
        of = cast(type[Model], owner.info.of or owner)
        one = "" if number is None else f" AND id = '{self.uuid(of, number)}'"
        if of.info.name == "CustomField":  # those that are in use make a schema, which all may see
            one = f" AND id <= '{self.uuid(of, self.rows)}'"
        statements: list[tuple[str, str]] = []
        if columns is None:
            last = f"(SELECT max(id::text) FROM {table} WHERE tenant_id = $1{one})::uuid"
            statements.append(("*", f"DELETE FROM {table} WHERE tenant_id = $1 AND id = {last}"))
        for info in owner.info.fields.values():
            if info.name != "id" and (columns is None or info.name in columns):
                narrow = info.name if number is not None else None
                for assignment in self._assignments(
                    owner, info, shared, one_row=narrow is not None
                ):
                    statements.append(
                        (info.name, f"UPDATE {table} SET {assignment} WHERE tenant_id = $1{one}")
                    )
        changed = set()
        for name, statement in statements:
            try:
                async with connection.transaction():
                    done = await connection.execute(statement, tenant_id)
                    if not done.endswith(" 0"):
                        changed.add(name)
            except (
                asyncpg.IntegrityConstraintViolationError,
                asyncpg.InsufficientPrivilegeError,
                asyncpg.RaiseError,
            ):
                continue  # the core's own rows stay as they are
        await _make_found(connection, tenant_id, owner)
        return changed

    def _assignments(
        self, owner: Owner, info: FieldInfo, shared: Shared, *, one_row: bool
    ) -> Iterator[str]:
        """What an attribute may be set to."""
        if info.kind in ("reference", "values", "texts") or (one_row and info.kind == "datetime"):
            if info.nullable and not one_row:
                yield f'"{info.columns[0]}" = NULL'
            return
        other = self.columns(owner, info, 7 if one_row else 2, shared)
        if info.kind == "choice":
            other = {info.name: list(info.python)[-1].value}
        for column, value in other.items():
            if column.endswith("_currency") or value is None:
                continue
            text = json.dumps(value, ensure_ascii=False).strip('"').replace("'", "''")
            yield f"\"{column}\" = '{text}'"
        if info.nullable and not one_row:
            yield ", ".join(f'"{column}" = NULL' for column in info.columns)


async def _make_found(connection: Any, tenant_id: UUID, owner: Owner) -> None:
    """Let rows that were written past the model layer be found by what they say."""
    for name in owner.info.searched:
        async for _ in remake(connection, tenant_id, owner, name):
            pass


async def _write(connection: Any, table: str, row: Mapping[str, Any]) -> None:
    columns = ", ".join(f'"{name}"' for name in row)
    await connection.execute(
        f"INSERT INTO {table} ({columns}) "
        f"SELECT {columns} FROM json_populate_record(NULL::{table}, $1)",
        json.dumps(row),
    )


def _bytes(text: str) -> str:
    return f"\\x{text.encode().hex()}"
