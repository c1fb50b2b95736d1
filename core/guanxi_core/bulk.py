"""Writing many rows by one statement, with versions and audit kept."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert
from uuid_utils.compat import uuid7

from guanxi_core.access import Installation
from guanxi_core.audit import Origin, action_of, row_prefix
from guanxi_core.checks import check_values
from guanxi_core.database.scoping import WRITE
from guanxi_core.delivery.queue import status_of
from guanxi_core.journal import PAST, BulkChange, Noted, Report, extended, verb_of
from guanxi_core.json_rows import rows_of_json
from guanxi_core.search.keeping import FORGET, KEEP, forget_rows, given, texts_of
from guanxi_core.session import TenantSession
from guanxi_core.subjects import kept, people_named
from guanxi_core.system_tables import audit_table, outbox_table
from guanxi_sdk import EVERY_ROW, Extension, Invalid, Model, NotFound, PluginError
from guanxi_sdk.contributions import model_extended
from guanxi_sdk.info import FieldInfo, ModelInfo
from guanxi_sdk.values import MINOR_DIGITS

#: Rows per statement of :func:`save_many`.
CHUNK: Final = 2000
#: Rows of an extension in a statement that subscriptions are told of one by one.
SINGLY: Final = 100
_FIXED: Final = frozenset({"id", "tenant_id", "created_at", "updated_at", "version"})


async def update_where(
    session: TenantSession,
    installation: Installation,
    origin: Origin,
    model: type[Model],
    condition: sa.ColumnElement[bool],
    values: Mapping[str, Any],
) -> int:
    """Change the rows that meet ``condition``, with an audit and an outbox row for each."""
    info = model.info
    _refuse_append_only(info)
    if fixed := sorted(_FIXED & values.keys()):
        raise Invalid(fixed[0], "cannot be changed")
    check_values(info, values)
    table = info.table
    columns = {k: v for name, value in values.items() for k, v in _columns(info, name, value)}
    if info.subject:
        condition = sa.and_(condition, table.c.erased_at.is_(None))
    before = (
        sa.select(model.id, *(_labelled(table.c[column], "before") for column in columns))
        .where(condition)
        .with_for_update()
        .cte("before")
    )
    after = (
        sa.update(table)
        .values(columns | {"version": table.c.version + 1, "updated_at": sa.func.now()})
        .where(table.c.tenant_id == origin.tenant_id, table.c.id == before.c.id)
        .returning(
            table.c.id,
            *(_labelled(table.c[column], "after") for column in columns),
            *(before.c[f"before_{column}"] for column in columns),
        )
        .cte("after")
    )
    verb = verb_of({k: (_opposite(v), v) for k, v in values.items() if k == "archived_at"})
    changes = [
        part
        for name in values
        if name in info.fields
        for part in (
            sa.literal(name, sa.Text),
            sa.func.jsonb_build_array(
                _json(after, info.fields[name], "before"), _json(after, info.fields[name], "after")
            ),
        )
    ]
    row = origin.row(action_of(info, verb), info.name, None, {})
    row |= {
        "id": _new_ids(),
        "row_id": sa.func.concat(sa.literal(row_prefix(info) + "_", sa.Text), after.c.id),
        "changes": sa.func.jsonb_build_object(*changes),
    }
    report = {
        "tenant_id": origin.tenant_id,
        "id": _new_ids(),
        "name": (name := info.name + PAST[verb]),
        "status": status_of(installation, name),
        "payload": sa.func.jsonb_build_object(sa.literal("id", sa.Text), after.c.id),
    }
    statement = (
        sa.select(sa.func.array_agg(after.c.id))
        .select_from(after)
        .add_cte(
            _insert_select(audit_table, row, after).cte("audit"),
            _insert_select(outbox_table, report, after).cte("outbox"),
        )
    )
    ids = (await session.execute(statement, execution_options={WRITE: True})).scalar_one() or []
    if ids:
        session.sync_session.journal.entries.append(Noted())
    await _keep_tokens(session, model, values, ids)
    await _refresh(session, model)
    return len(ids)


async def _keep_tokens(
    session: TenantSession, model: type[Model], values: Mapping[str, Any], ids: Sequence[UUID]
) -> None:
    """Have rows found by what they say now; values may be expressions, so they are read again.

    Another statement than the one that wrote, which does not see what it had to wait for.
    """
    names = [name for name in model.info.searched if name in values]
    table = model.info.table
    tenant = session.sync_session.tenant_id
    for start in range(0, len(ids) if names else 0, CHUNK):
        wanted = sa.any_(sa.literal(list(ids[start : start + CHUNK]), ARRAY(sa.Uuid)))
        rows = await session.execute_core(
            sa.select(table.c.id, *(table.c[name] for name in names)).where(
                table.c.tenant_id == tenant, table.c.id == wanted
            )
        )
        await _keep(session, model, [row._asdict() for row in rows])


async def _keep(
    session: TenantSession,
    owner: type[Model] | type[Extension],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    texts = [text for row in rows for text in texts_of(owner, row["id"], row)]
    if texts:
        tokens = {"tenant": session.sync_session.tenant_id, "texts": given(texts)}
        await session.execute_core(FORGET, tokens)
        await session.execute_core(KEEP, tokens)


async def delete_where(
    session: TenantSession, model: type[Model], condition: sa.ColumnElement[bool]
) -> int:
    """Delete the rows that meet ``condition``, with one record of the audit for all of them."""
    table = model.info.table
    old = sa.select(model.id).where(condition).with_for_update().cte("old")
    gone = (
        sa.delete(table)
        .where(table.c.tenant_id == session.sync_session.tenant_id, table.c.id == old.c.id)
        .returning(table.c.id)
        .cte("gone")
    )
    await session.flush()
    statement = sa.select(sa.func.array_agg(gone.c.id)).select_from(gone)
    ids = (await session.execute(statement, execution_options={WRITE: True})).scalar_one() or []
    if ids:
        change = BulkChange(model.info, "delete_where", {"count": (len(ids), None)})
        session.sync_session.journal.entries.append(change)
        await session.execute_core(forget_rows(session.sync_session.tenant_id, model, ids))
    return len(ids)


async def save_many(
    session: TenantSession,
    origin: Origin,
    model: type[Model] | type[Extension],
    rows: Sequence[Mapping[str, Any]],
) -> int:
    """Insert or update ``rows`` by id, a chunk at a time; the audit keeps one row per chunk."""
    if not rows:
        return 0
    info = model.info
    _refuse_append_only(info)
    names = [name for name in rows[0] if name != "id"]
    check_values(info, dict.fromkeys(names))
    if fixed := sorted(_FIXED.intersection(names)):
        raise Invalid(fixed[0], "cannot be given")
    columns = [c for name in names for c in _field(info, name).columns]
    statement = _upsert(info, columns, _given_as_json(info, columns))
    await session.flush()
    await _refuse_hidden(session, model, [row["id"] for row in rows if row.get("id")])
    await _refuse_erased(session, info, rows)
    seen: set[UUID] = set()
    for start in range(0, len(rows), CHUNK):
        fit: set[tuple[str, int]] = set()
        chunk = [_plain(info, row, names, fit) for row in rows[start : start + CHUNK]]
        for row in chunk:
            if row["id"] in seen:
                raise Invalid("id", "occurs more than once")
            seen.add(row["id"])
        values = {"tenant": origin.tenant_id, "rows": msgspec.json.encode(chunk).decode()}
        written = await session.execute_core(statement, values)
        if info.subject and written.rowcount < len(chunk):
            raise NotFound  # one of them was erased
        await _keep(session, model, chunk)
        _note_saved(session, info, "save_many", [row["id"] for row in chunk])
    await _refresh(session, model)
    return len(rows)


async def save_from(
    session: TenantSession,
    model: type[Model] | type[Extension],
    rows: sa.Select[*tuple[Any, ...]],
) -> int:
    """Insert or update by id the rows of a SELECT, which never leave the database."""
    info = model.info
    _refuse_append_only(info)
    if info.subject or info.searched or list(people_named(info)):
        raise PluginError(
            info.plugin, f"rows of {info.name} are read in Python as they are saved: use "
            "ctx.save_many().",
        )  # fmt: skip
    given = rows.cte("given_rows")
    names = [column.key for column in given.c if column.key != "id"]
    if fixed := sorted(_FIXED.intersection(names)):
        raise Invalid(fixed[0], "cannot be given")
    if unknown := sorted(set(names) - set(info.table.c.keys())):
        raise Invalid(unknown[0], f"is not a column of {info.table.name}")
    if session.sync_session.policies and "id" in given.c:
        found = await session.scalars(sa.select(given.c.id))
        await _refuse_hidden(session, model, list(found))
    tenant = sa.literal(session.sync_session.tenant_id, sa.Uuid)
    identity = given.c.id if "id" in given.c else _new_ids()
    source = sa.select(tenant, identity, *(given.c[name] for name in names)).select_from(given)
    written = _upsert(info, names, source).returning(info.table.c.id).cte("written")
    await session.flush()
    statement = sa.select(sa.func.array_agg(written.c.id)).select_from(written)
    ids = (await session.execute(statement, execution_options={WRITE: True})).scalar_one() or []
    if ids:
        _note_saved(session, info, "save_from", ids)
        await _refresh(session, model)
    return len(ids)


def _note_saved(session: TenantSession, info: ModelInfo, verb: str, ids: Sequence[UUID]) -> None:
    """One record of the audit; the outbox tells of few rows of an extension one by one."""
    summary = {"count": len(ids), "first": ids[0], "last": ids[-1]}
    journal = session.sync_session.journal
    journal.entries.append(BulkChange(info, verb, {k: (None, v) for k, v in summary.items()}))
    if info.of is not None and len(ids) <= SINGLY:
        journal.entries += [Report(extended(info), {"id": str(one)}) for one in ids]
    else:
        journal.entries.append(Report(_saved(info), msgspec.to_builtins(summary)))


def _saved(info: ModelInfo) -> str:
    if info.of is not None:
        return extended(info, many=True)
    return "".join(part.capitalize() for part in info.plural.split("_")) + "Saved"


def _refuse_append_only(info: ModelInfo) -> None:
    if info.append_only:
        raise PluginError(
            info.plugin, f"rows of {info.name} are never changed: add new ones with ctx.add()."
        )


async def _refuse_hidden(
    session: TenantSession, model: type[Model] | type[Extension], ids: Sequence[UUID]
) -> None:
    """Let nobody overwrite a row that they may not see."""
    policies = session.sync_session.policies
    reach = policies.reach(model) if policies else None
    if reach is None:
        return
    of = model_extended(model)
    given = of.id == sa.any_(sa.literal(list(ids), sa.ARRAY(sa.Uuid)))
    hidden = sa.select(sa.func.count()).select_from(of).where(given, of.id.not_in(reach))
    if await session.scalar(hidden, execution_options=EVERY_ROW):
        raise NotFound


async def _refuse_erased(
    session: TenantSession, info: ModelInfo, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Let nothing refer anew to a person who was erased, or is being erased at this moment."""
    given = {row.get("id") for row in rows}
    for column, target in people_named(info):
        wanted = {row[column] for row in rows if row.get(column) is not None}
        if target is info:
            wanted -= given  # maybe rows of this very batch
        if wanted:
            lock = kept(target, session.sync_session.tenant_id, wanted)
            if len((await session.execute_core(lock)).all()) < len(wanted):
                raise NotFound(column)


def _given_as_json(info: ModelInfo, columns: list[str]) -> Any:
    given = rows_of_json("rows", [info.table.c[column] for column in ("id", *columns)])
    tenant = sa.bindparam("tenant", type_=sa.Uuid)
    return sa.select(tenant, *(given.c[c] for c in ("id", *columns)))


def _upsert(info: ModelInfo, columns: list[str], source: sa.Select[Any]) -> Any:
    """Insert ``source``, a SELECT of tenant, id and ``columns``, or update what is there."""
    table = info.table
    statement = insert(table).from_select(["tenant_id", "id", *columns], source)
    changed: dict[str, Any] = {column: statement.excluded[column] for column in columns}
    changed["updated_at"] = sa.func.now()
    if "version" in table.c:
        changed["version"] = table.c.version + 1
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "id"],
        set_=changed,
        where=table.c.erased_at.is_(None) if info.subject else None,
    )


def _plain(
    info: ModelInfo, row: Mapping[str, Any], names: list[str], fit: set[tuple[str, int]]
) -> dict[str, Any]:
    """A row by column, ready to be encoded as JSON.

    ``fit`` knows the objects that were checked already, by attribute: rows share most of theirs.
    """
    values = dict(row)
    identity = values.pop("id", None) or (uuid7() if info.of is None else None)
    if identity is None:
        raise Invalid("id", "is required")
    if values.keys() != set(names):
        raise ValueError(f"all rows must give the same attributes: {', '.join(names)}")
    known = {(name, id(value)) for name, value in values.items()}
    if new := known - fit:
        check_values(info, {name: values[name] for name, _ in new})
        fit |= new
    for name in names:
        if _field(info, name).kind == "money":
            values |= _columns(info, name, values.pop(name))
    values["id"] = identity
    return values


def _columns(info: ModelInfo, name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """An attribute's value as columns; money has two."""
    field = _field(info, name)
    if field.kind != "money":
        yield field.columns[0], value
    else:
        yield field.columns[0], None if value is None else value.minor
        yield field.columns[1], None if value is None else value.currency


def _field(info: ModelInfo, name: str) -> FieldInfo:
    found = info.stored(name)
    assert found is not None, name  # noqa: S101  check_values() says so before
    return found


def _labelled(column: sa.ColumnElement[Any], when: str) -> sa.Label[Any]:
    return column.label(f"{when}_{column.key}")


def _json(rows: sa.CTE, field: FieldInfo, when: str) -> sa.ColumnElement[Any]:
    """A field's value as the audit keeps it: ``audit_value`` in SQL."""
    parts = [rows.c[f"{when}_{column}"] for column in field.columns]
    if field.kind != "money":
        return sa.func.to_jsonb(parts[0])
    minor, currency = parts
    by_digits = {
        digits: [c for c, d in MINOR_DIGITS.items() if d == digits]
        for digits in sorted(set(MINOR_DIGITS.values()))
    }
    amount = sa.case(
        *((currency.in_(codes), _decimal(minor, digits)) for digits, codes in by_digits.items()),
        else_=_decimal(minor, 2),
    )
    money = sa.func.jsonb_build_object(
        sa.literal("amount", sa.Text), amount, sa.literal("currency", sa.Text), currency
    )
    return sa.case((minor.is_not(None), money), else_=sa.null())


def _decimal(minor: sa.ColumnElement[Any], digits: int) -> sa.ColumnElement[Any]:
    scaled = sa.cast(minor, sa.Numeric) / sa.literal(10**digits, sa.Numeric)
    return sa.cast(sa.func.round(scaled, digits), sa.Text)


def _insert_select(table: sa.Table, row: dict[str, Any], rows: sa.CTE) -> sa.Insert:
    source = sa.select(
        *(
            value if isinstance(value, sa.ColumnElement) else sa.literal(value, table.c[name].type)
            for name, value in row.items()
        )
    ).select_from(rows)
    return sa.insert(table).from_select(list(row), source, include_defaults=False)


def _new_ids() -> sa.ColumnElement[Any]:
    """A new id for each row, with the time in front as UUIDv7 has it."""
    time, rest = str(uuid7())[:18], sa.cast(sa.func.gen_random_uuid(), sa.Text)
    return sa.cast(sa.func.concat(sa.literal(time, sa.Text), sa.func.substr(rest, 19)), sa.Uuid)


def _opposite(value: Any) -> Any:
    return True if value is None else None


async def _refresh(session: TenantSession, model: type[Model] | type[Extension]) -> None:
    """Bring loaded rows of ``model`` up to date with what a statement did behind their back."""
    ids = [row.id for row in session.identity_map.values() if isinstance(row, model)]
    if ids:
        wanted = sa.any_(sa.literal(ids, ARRAY(sa.Uuid)))  # IN has a bound of its own for each
        statement = sa.select(model).where(model.id == wanted)
        await session.execute(statement, execution_options={"populate_existing": True})
