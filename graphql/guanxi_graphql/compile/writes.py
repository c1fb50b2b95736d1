"""Generated mutations: data, audit, outbox and answer in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from graphql import FieldNode
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from uuid_utils.compat import uuid7

from guanxi_core.audit import action_of, audit_value, row_prefix
from guanxi_core.system_tables import audit_table, outbox_table
from guanxi_graphql.compile.arguments import Leaf, Tree
from guanxi_graphql.compile.binds import Statement, decode_id
from guanxi_graphql.compile.filters import _TYPES
from guanxi_graphql.compile.inputs import InputReader
from guanxi_graphql.compile.json_text import NULL, Parts, constant, in_bytes, object_of
from guanxi_graphql.compile.reads import stamped
from guanxi_graphql.compile.scope import Scope, as_text, literal, money_text
from guanxi_graphql.compile.selections import Columns, Selections, Withheld
from guanxi_graphql.execute.encoding import encode
from guanxi_graphql.schema.bindings import Stored, ToOne, Write
from guanxi_sdk import Confidentiality, Model
from guanxi_sdk._docs import camel, snake
from guanxi_sdk.model import FieldInfo, ReferenceInfo

#: The variable under which a plan finds its checked values, by attribute.
VALUES = "#values"
_PAST = {
    "create": "Created", "update": "Updated", "archive": "Archived", "restore": "Restored",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class WritePlan:
    """A compiled generated mutation.

    The statement answers one row, or none when the caller's stamp is stale: ``found``, whether the
    row to change is there for the caller; ``missing``, the attribute whose reference is not;
    ``allowed``, whether the caller may write what would become of the row; and ``body``. With
    ``payload`` the body is the payload's JSON; without, it is the UUID of the written row, and the
    payload is to be read in the same transaction.
    """

    binding: Write
    statement: Statement
    reader: InputReader | None
    input: Tree | None
    payload: bool
    withheld: tuple[Withheld, ...]
    secrets: tuple[str, ...]


def compile_write(
    selections: Selections,
    binding: Write,
    key: str,
    nodes: Sequence[FieldNode],
    *,
    has_token: bool,
) -> WritePlan:
    """Compile one generated mutation for one form of its input."""
    model, verb = binding.model, binding.verb
    arguments = selections.arguments("Mutation", nodes[0])
    given = arguments.get("input")
    reader = InputReader(model, verb) if verb in ("create", "update") else None
    written = reader.attributes(given) if reader and isinstance(given, dict) else []
    condition = stamped(selections.binds) if has_token else None
    old = None
    references = [r for r in model.info.references.values() if r.column in written]
    restricted = selections.policies.restricted(model, references)
    found: Any = sa.true()
    if verb == "create":
        row = _row(selections, model, written, condition)
        checks = _checks(selections, model, row, references, written) if restricted else None
        data = _insert(model, row, checks)
    else:
        old = _old(selections, model, written, arguments, condition)
        checks = None
        if restricted:
            new = _new(selections, model, written, old)
            checks = _checks(selections, model, new, references, written)
        data = _update(selections, binding, written, arguments, old, checks)
        found = sa.exists(sa.select(sa.literal_column("1")).select_from(old))
    action = action_of(model.info, verb)
    audit = _audit(selections, model, verb, written, action, data, old)
    outbox = _outbox(selections, model, verb, data)
    payload = _answerable(selections, model, f"{verb.capitalize()}{model.info.name}Payload", nodes)
    if payload:
        scope = Scope(model, data, selections.policies)
        columns = _payload(selections, scope, verb, key, nodes)
        body = sa.select(in_bytes(object_of(columns).expression)).select_from(scope.from_())
    else:
        body = sa.select(as_text(data.c.id))
    outcome = (sa.null(), sa.true()) if checks is None else (checks.missing, checks.allowed)
    statement = sa.select(
        found.label("found"), outcome[0].label("missing"), outcome[1].label("allowed"),
        body.scalar_subquery().label("body"),
    )  # fmt: skip
    statement = statement.add_cte(audit.cte("audit"), outbox.cte("outbox"))
    if condition is not None:
        statement = statement.where(condition)
    return WritePlan(
        binding, selections.binds.statement(statement), reader, given, payload,
        tuple(selections.withheld), tuple(selections.policies.secrets),
    )  # fmt: skip


def _bound(selections: Selections, field: FieldInfo) -> dict[str, Any]:
    """Columns and bound values of one attribute."""
    name = field.name

    def value(read: Any, type_: Any) -> Any:
        return selections.binds.value(
            lambda v: None if v[VALUES][name] is None else read(v[VALUES][name]), type_
        )

    if field.kind == "money":
        minor, currency = field.columns
        return {
            minor: value(lambda money: money.minor, sa.BigInteger),
            currency: value(lambda money: money.currency, sa.Text),
        }
    if field.kind == "choice":
        return {name: value(lambda choice: choice.value, sa.Text)}
    if field.kind == "texts":
        return {name: value(list, ARRAY(sa.Text))}
    return {name: value(lambda plain: plain, _TYPES[field.kind])}


def _row(selections: Selections, model: type[Model], written: Sequence[str], condition: Any) -> Any:
    """The row to insert."""
    binds = selections.binds
    fields = model.info.fields
    columns: dict[str, Any] = {
        "tenant_id": binds.context("tenant"),
        "id": binds.late(lambda _v, _r: uuid7(), sa.Uuid),
    }
    for name in written:
        columns |= _bound(selections, fields[name])
    for name, field in fields.items():
        if name not in written and field.default is not None:
            columns |= _default(selections, field)
    row = sa.select(*(value.label(name) for name, value in columns.items()))
    return row if condition is None else row.where(condition)


def _insert(model: type[Model], row: Any, checks: "_Checks | None") -> Any:
    table = model.info.table
    names = [column.name for column in row.selected_columns]
    if checks is not None:
        of = checks.row
        row = sa.select(*(of.c[name] for name in names)).where(checks.pass_)
    return sa.insert(table).from_select(
        names, row, include_defaults=False
    ).returning(*table.c).cte("data")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Checks:
    """What a row that is to be written must meet, for callers who may not write everything."""

    row: Any
    missing: Any
    allowed: Any
    pass_: Any


def _checks(
    selections: Selections,
    model: type[Model],
    row: Any,
    references: Sequence[ReferenceInfo],
    written: Sequence[str],
) -> _Checks:
    policies, table = selections.policies, model.info.table
    given = {column.name for column in row.selected_columns}
    absent = (sa.cast(sa.null(), c.type).label(c.name) for c in table.c if c.name not in given)
    new = row.add_columns(*absent).cte("new")
    level = _level(model, written)
    seen = {
        reference.column: sa.or_(new.c[reference.column].is_(None), known)
        for reference in references
        if (known := policies.known(reference.target, new.c[reference.column])) is not None
    }
    may = sa.and_(sa.true(), *policies.changes(model, new, level))
    unseen = sa.null() if not seen else sa.case(
        *[(sa.not_(one), literal(name)) for name, one in seen.items()]
    )  # fmt: skip
    return _Checks(
        new,
        sa.select(unseen).select_from(new).scalar_subquery(),
        sa.select(may).select_from(new).scalar_subquery(),
        sa.and_(may, *seen.values()),
    )


def _new(selections: Selections, model: type[Model], written: Sequence[str], old: Any) -> Any:
    """The row as it would become."""
    values: dict[str, Any] = {}
    for name in written:
        values |= _bound(selections, model.info.fields[name])
    return sa.select(
        *(values.get(c.name, old.c[c.name]).label(c.name) for c in model.info.table.c)
    ).select_from(old)


def _default(selections: Selections, field: FieldInfo) -> dict[str, Any]:
    default = field.default
    if field.kind == "choice":
        return {field.name: literal(default.value)}
    if field.kind == "texts":
        return {field.name: selections.binds.value(lambda _: list(default), ARRAY(sa.Text))}
    if field.kind == "values":
        text = encode(default).decode()
        return {field.name: sa.cast(selections.binds.value(lambda _: text, sa.Text), JSONB)}
    return {field.name: selections.binds.value(lambda _: default, _TYPES[field.kind])}


def _old(
    selections: Selections,
    model: type[Model],
    written: Sequence[str],
    arguments: Mapping[str, Tree],
    condition: Any,
) -> Any:
    """The row to change, if the caller may see and change it."""
    table = model.info.table
    identity = arguments["id"]
    assert isinstance(identity, Leaf)  # noqa: S101
    prefix = model.info.prefix
    asked = selections.binds.value(lambda v: decode_id(prefix, identity.get(v)), sa.Uuid)
    row = sa.select(table).where(
        table.c.tenant_id == selections.binds.context("tenant"), table.c.id == asked,
        *_mine(selections, model, written, table),
    )  # fmt: skip
    return (row if condition is None else row.where(condition)).cte("old")


def _mine(selections: Selections, model: type[Model], written: Sequence[str], table: Any) -> Any:
    policies = selections.policies
    if model.info.read in policies.rights.permissions:
        yield from policies.rows(model, table)
    yield from policies.changes(model, table, _level(model, written))


def _level(model: type[Model], written: Sequence[str]) -> Confidentiality:
    levels = (model.info.fields[name].confidentiality for name in written)
    return max(levels, default=Confidentiality.INTERNAL)


def _update(
    selections: Selections,
    binding: Write,
    written: Sequence[str],
    arguments: Mapping[str, Tree],
    old: Any,
    checks: _Checks | None,
) -> Any:
    model, verb = binding.model, binding.verb
    table = model.info.table
    values: dict[str, Any] = {"version": table.c.version + 1, "updated_at": sa.func.now()}
    for name in written:
        values |= _bound(selections, model.info.fields[name])
    if verb == "archive":
        values["archived_at"] = sa.func.coalesce(table.c.archived_at, sa.func.now())
    elif verb == "restore":
        values["archived_at"] = sa.null()
    conditions = [
        table.c.tenant_id == selections.binds.context("tenant"), table.c.id == old.c.id
    ]  # fmt: skip
    if checks is not None:
        conditions += [checks.row.c.id == table.c.id, checks.pass_]
    version = arguments.get("version")
    if isinstance(version, Leaf):
        conditions.append(table.c.version == selections.binds.value(version.get, sa.Integer))
    return sa.update(table).where(*conditions).values(values).returning(*table.c).cte("data")


def _audit(
    selections: Selections,
    model: type[Model],
    verb: str,
    written: Sequence[str],
    action: str,
    data: Any,
    old: Any,
) -> Any:
    binds = selections.binds
    if old is None:
        changes: Any = binds.value(lambda v: _created(model, v[VALUES]), JSONB)
        source = data
    else:
        names = list(written) or ["archived_at"]
        changes = _changes(model, names, old, data)
        source = data.join(old, old.c.id == data.c.id)
    columns = {
        "tenant_id": data.c.tenant_id,
        "id": binds.late(lambda _v, _r: uuid7(), sa.Uuid),
        "actor_id": binds.context("caller_id"),
        "actor": binds.context("caller"),
        "action": literal(action),
        "model": literal(model.info.name),
        "row_id": sa.func.concat(literal(row_prefix(model.info) + "_"), data.c.id),
        "changes": changes,
        "reason": binds.context("reason"),
        "origin": binds.context("origin"),
    }
    return sa.insert(audit_table).from_select(
        list(columns), sa.select(*columns.values()).select_from(source), include_defaults=False
    )


def _created(model: type[Model], given: Mapping[str, Any]) -> str:
    defaults = {name: field.default for name, field in model.info.fields.items()}
    values = {**defaults, **given}
    changes = {k: [None, audit_value(v)] for k, v in values.items() if v is not None}
    return encode(changes).decode()


def _changes(model: type[Model], names: Sequence[str], old: Any, data: Any) -> Any:
    """Changed fields as ``{"name": [before, after]}``, money as amount in minor units."""
    joined: Any = sa.literal_column("'{}'::jsonb", JSONB)
    for name in names:
        columns = model.info.fields[name].columns
        differ = sa.or_(*[old.c[c].is_distinct_from(data.c[c]) for c in columns])
        pair = sa.func.jsonb_build_array(
            _audited(model.info.fields[name], old), _audited(model.info.fields[name], data)
        )
        entry = sa.func.jsonb_build_object(literal(name), pair, type_=JSONB)
        nothing = sa.literal_column("'{}'::jsonb", JSONB)
        joined = joined.op("||", return_type=JSONB)(sa.case((differ, entry), else_=nothing))
    return joined


def _audited(field: FieldInfo, row: Any) -> Any:
    if field.kind != "money":
        return row.c[field.columns[0]]
    minor, currency = (row.c[name] for name in field.columns)
    money = sa.func.jsonb_build_object(
        literal("amount"), money_text(minor, currency), literal("currency"), currency
    )
    return sa.case((minor.is_(None), sa.null()), else_=money)


def _outbox(selections: Selections, model: type[Model], verb: str, data: Any) -> Any:
    columns = {
        "tenant_id": data.c.tenant_id,
        "id": selections.binds.late(lambda _v, _r: uuid7(), sa.Uuid),
        "name": literal(f"{model.info.name}{_PAST[verb]}"),
        "payload": sa.func.jsonb_build_object(literal("id"), data.c.id),
    }
    return sa.insert(outbox_table).from_select(
        list(columns), sa.select(*columns.values()).select_from(data), include_defaults=False
    )


def _answerable(
    selections: Selections, model: type[Model], payload: str, nodes: Sequence[FieldNode]
) -> bool:
    """Whether the written row itself and other rows as they were answer the selection."""
    key = camel(snake(model.info.name))
    return all(
        _plain(selections, model, model, same)
        for same in selections.collect(payload, [n.selection_set for n in nodes]).values()
        if same[0].name.value == key
    )


def _plain(
    selections: Selections, written: type[Model], model: type[Model], nodes: Sequence[FieldNode]
) -> bool:
    bindings = selections.schema.fields[model.info.name]
    for same in selections.collect(model.info.name, [n.selection_set for n in nodes]).values():
        if same[0].name.value == "__typename":
            continue
        binding = bindings[same[0].name.value]
        if isinstance(binding, Stored) and binding.owner is model:
            continue
        if not isinstance(binding, ToOne) or binding.owner is not model:
            return False
        target = binding.reference.target
        if target is written or not _plain(selections, written, target, same):
            return False
    return True


def _payload(
    selections: Selections,
    scope: Scope,
    verb: str,
    key: str,
    nodes: Sequence[FieldNode],
) -> Columns:
    model = scope.model
    type_name = f"{verb.capitalize()}{model.info.name}Payload"
    columns: Columns = []
    for name, same in selections.collect(type_name, [n.selection_set for n in nodes]).items():
        field = same[0].name.value
        if field == "__typename":
            columns.append((name, constant(type_name)))
        elif field == "errors":
            columns.append((name, Parts(["[]"])))
        elif selections.withhold(model.info.read, (key, name)):
            columns.append((name, NULL))
        else:
            columns.append((name, object_of(selections.object(scope, same, (key, name)))))
    return columns
