"""Generated mutations: data, audit, outbox and answer in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from graphql import FieldNode
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from guanxi_core.audit import action_of
from guanxi_core.editions import Edition
from guanxi_graphql.compile.arguments import Leaf, Tree, reading
from guanxi_graphql.compile.binds import Getter, Statement, spelled_id
from guanxi_graphql.compile.custom import VALUES, custom_of
from guanxi_graphql.compile.filters import _TYPES
from guanxi_graphql.compile.inputs import InputReader
from guanxi_graphql.compile.json_text import NULL, Parts, constant, in_bytes, object_of
from guanxi_graphql.compile.reads import stamped
from guanxi_graphql.compile.records import audit_of, event_of, outbox_of, tokens_of
from guanxi_graphql.compile.scope import Scope, as_text, literal
from guanxi_graphql.compile.selections import Columns, Selections, Withheld
from guanxi_graphql.execute.encoding import encode
from guanxi_graphql.schema.bindings import Stored, ToOne, Write
from guanxi_sdk import Confidentiality, Model, Refusal
from guanxi_sdk._docs import camel, snake
from guanxi_sdk.info import FieldInfo, ReferenceInfo


@dataclass(frozen=True, slots=True)
class WritePlan:
    """A compiled generated mutation.

    The statement answers one row, or none when the caller's stamp is stale: ``found``, whether the
    row to change is there for the caller; ``missing``, the attribute whose reference is not;
    ``allowed``, whether the caller may write what would become of the row; ``id``, the UUID of the
    written row; and ``body``. With ``payload`` the body is the payload's JSON; without, the payload
    is to be read in the same transaction.
    """

    binding: Write
    event: str
    asked: tuple[str, ...] | None  # attributes about which a plugin is asked; None: none asks
    statement: Statement
    reader: InputReader | None
    input: Getter
    forbidden: tuple[Refusal, ...]  # attributes of the input that the caller may not even read
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
    edition = selections.schema.edition
    asking = edition.hooks["write_errors"].concerns(model)
    reader = InputReader(edition, model, verb) if verb in ("create", "update") else None
    attributes = reader.attributes(given) if reader and isinstance(given, dict) else []
    written = [name for name in attributes if name in model.info.fields]
    level = _level(edition, model, attributes)
    condition = stamped(selections.binds) if has_token else None
    old = None
    references = [r for r in model.info.references.values() if r.column in written]
    restricted = selections.policies.restricted(model, references)
    restricted |= any(reference.target.info.subject for reference in references)
    found: Any = sa.true()
    if verb == "create":
        row = _row(selections, model, written, condition)
        checks = _checks(selections, model, row, references, level) if restricted else None
        data = _insert(model, row, checks)
    else:
        old = _old(selections, model, level, arguments, condition)
        checks = None
        if restricted:
            new = _new(selections, model, written, old)
            checks = _checks(selections, model, new, references, level)
        data = _update(selections, binding, written, arguments, old, checks)
        found = sa.exists(sa.select(sa.literal_column("1")).select_from(old))
    action = action_of(model.info, verb)
    audit = audit_of(selections, model, attributes, action, data, old)
    event = event_of(model, verb)
    outbox = outbox_of(selections, event, data)
    beside = tokens_of(selections, model, written, data, new=verb == "create")
    beside += custom_of(selections, model, attributes, data, new=verb == "create")
    if verb in ("archive", "restore"):
        data = _with_same(selections, verb, arguments, data, old)
    body: Any = sa.null()
    source = data
    payload = _answerable(selections, model, f"{verb.capitalize()}{model.info.name}Payload", nodes)
    if payload:
        scope = Scope(model, data, selections.policies)
        columns = _payload(selections, scope, verb, key, nodes)
        body, source = in_bytes(object_of(columns).expression), scope.from_()
    outcome = (sa.null(), sa.true()) if checks is None else (checks.missing, checks.allowed)
    told = [as_text(data.c.id), body]
    certain = verb == "create" and checks is None  # only a stale stamp keeps it from being written
    if not certain:
        told = [sa.select(one).select_from(source).scalar_subquery() for one in told]
    statement = sa.select(
        found.label("found"), outcome[0].label("missing"), outcome[1].label("allowed"),
        told[0].label("id"), told[1].label("body"),
    )  # fmt: skip
    if certain:
        statement = statement.select_from(source)
    elif condition is not None:
        statement = statement.where(condition)
    statement = statement.add_cte(audit.cte("audit"), outbox.cte("outbox"), *beside)
    return WritePlan(
        binding, event, tuple(written) if asking else None, selections.statement(statement),
        reader, reading(nodes[0], "input", given), _forbidden(selections, model, attributes),
        payload, tuple(selections.withheld), tuple(selections.policies.secrets),
    )  # fmt: skip


def _forbidden(
    selections: Selections, model: type[Model], attributes: Sequence[str]
) -> tuple[Refusal, ...]:
    """Nobody writes what they may not read."""
    rights, fields = selections.policies.rights, selections.schema.edition.written(model)
    return tuple(
        Refusal(name, f"needs the clearance {level.name}", code="FORBIDDEN")
        for name in attributes
        if (level := fields[name].confidentiality) > Confidentiality.INTERNAL
        and not rights.scopes(model.info.write, level)
    )


def _bound(selections: Selections, field: FieldInfo) -> dict[str, Any]:
    """Columns and bound values of one attribute."""
    name, value = field.name, selections.binds.value
    if field.kind == "money":
        minor, currency = field.columns
        return {
            minor: value(_part(name, "minor"), sa.BigInteger),
            currency: value(_part(name, "currency"), sa.Text),
        }
    type_ = ARRAY(sa.Text) if field.kind == "texts" else _TYPES[field.kind]
    return {name: value(lambda v: v[VALUES][name], type_)}


def _part(name: str, part: str) -> Getter:
    return lambda v: None if (money := v[VALUES][name]) is None else getattr(money, part)


def _row(selections: Selections, model: type[Model], written: Sequence[str], condition: Any) -> Any:
    """The row to insert."""
    binds = selections.binds
    fields = model.info.fields
    columns: dict[str, Any] = {
        "tenant_id": binds.context("tenant"),
        "id": binds.new_id(),
    }
    for name in written:
        columns |= _bound(selections, fields[name])
    for name, field in (*fields.items(), *model.info.private.items()):
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
    level: Confidentiality,
) -> _Checks:
    policies, table = selections.policies, model.info.table
    given = {column.name for column in row.selected_columns}
    absent = (sa.cast(sa.null(), c.type).label(c.name) for c in table.c if c.name not in given)
    new = row.add_columns(*absent).cte("new")
    seen = {}
    for reference in references:
        target, identity = reference.target, new.c[reference.column]
        known = [] if (one := policies.known(target, identity)) is None else [one]
        if target.info.subject:
            known.append(_kept(selections, target, identity))
        if known:
            seen[reference.column] = sa.or_(identity.is_(None), sa.and_(*known))
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


def _kept(selections: Selections, model: type[Model], identity: Any) -> Any:
    """Whether a person was not erased; somebody who does so at this moment is waited for."""
    table = model.info.table.alias()
    row: Any = sa.select(sa.literal_column("1")).where(
        table.c.tenant_id == selections.binds.context("tenant"), table.c.id == identity,
        table.c.erased_at.is_(None),
    )  # fmt: skip
    return sa.exists(
        row.select_from(table).correlate_except(table).with_for_update(read=True, key_share=True)
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
    level: Confidentiality,
    arguments: Mapping[str, Tree],
    condition: Any,
) -> Any:
    """The row to change, if the caller may see and change it."""
    table = model.info.table
    identity = arguments["id"]
    assert isinstance(identity, Leaf)  # noqa: S101
    prefix = model.info.prefix
    asked = selections.binds.value(lambda v: spelled_id(prefix, identity.get(v)), sa.Uuid)
    row = sa.select(table).where(
        table.c.tenant_id == selections.binds.context("tenant"), table.c.id == asked,
        *_mine(selections, model, level, table),
    )  # fmt: skip
    return (row if condition is None else row.where(condition)).cte("old")


def _mine(selections: Selections, model: type[Model], level: Confidentiality, table: Any) -> Any:
    policies = selections.policies
    if model.info.subject:
        yield table.c.erased_at.is_(None)
    if model.info.read in policies.rights.permissions:
        yield from policies.rows(model, table)
    yield from policies.changes(model, table, level)


def _level(edition: Edition, model: type[Model], names: Sequence[str]) -> Confidentiality:
    fields = edition.written(model)
    levels = (fields[name].confidentiality for name in names)
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
    conditions = [
        table.c.tenant_id == selections.binds.context("tenant"), table.c.id == old.c.id,
        *_current(selections, arguments, table),
    ]  # fmt: skip
    if verb == "archive":
        values["archived_at"] = sa.func.now()
        conditions.append(table.c.archived_at.is_(None))
    elif verb == "restore":
        values["archived_at"] = sa.null()
        conditions.append(table.c.archived_at.is_not(None))
    if model.info.subject:  # looked at again when somebody who erases the row is waited for
        conditions.append(table.c.erased_at.is_(None))
    if checks is not None:
        conditions += [checks.row.c.id == table.c.id, checks.pass_]
    return sa.update(table).where(*conditions).values(values).returning(*table.c).cte("data")


def _current(selections: Selections, arguments: Mapping[str, Tree], row: Any) -> list[Any]:
    """That ``row`` has the version that was read, if the caller names one."""
    version = arguments.get("version")
    if not isinstance(version, Leaf):
        return []
    return [row.c.version == selections.binds.value(version.get, sa.Integer)]


def _with_same(
    selections: Selections, verb: str, arguments: Mapping[str, Tree], data: Any, old: Any
) -> Any:
    """The row that was archived or restored, or the one that was so already, as it is."""
    before = old.c.archived_at
    already = before.is_not(None) if verb == "archive" else before.is_(None)
    same = sa.select(*old.c).where(already, *_current(selections, arguments, old))
    return sa.union_all(sa.select(*data.c), same).cte("now")


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
