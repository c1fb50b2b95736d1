"""What a generated mutation leaves behind besides its row: an audit entry, an event, tokens."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from guanxi_core.audit import audit_value, row_prefix
from guanxi_core.delivery.queue import status_of
from guanxi_core.journal import PAST
from guanxi_core.json_rows import rows_in
from guanxi_core.search import keeping
from guanxi_core.system_tables import audit_table, outbox_table
from guanxi_graphql.compile.binds import Getter, Variables
from guanxi_graphql.compile.custom import VALUES, custom_change
from guanxi_graphql.compile.scope import literal, money_text
from guanxi_graphql.compile.selections import Selections
from guanxi_graphql.execute.encoding import encode
from guanxi_sdk import Model, Money
from guanxi_sdk.info import FieldInfo


def audit_of(
    selections: Selections,
    model: type[Model],
    written: Sequence[str],
    action: str,
    data: Any,
    old: Any,
) -> Any:
    """The audit's entry about the row ``data``, which was ``old``."""
    binds = selections.binds
    if old is None:
        changes: Any = binds.value(_creation(model), JSONB)
        source = data
    else:
        names = list(written) or ["archived_at"]
        changes = _changes(selections, model, names, old, data)
        source = data.join(old, old.c.id == data.c.id)
    columns = {
        "tenant_id": data.c.tenant_id,
        "id": binds.new_id(),
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


def _creation(model: type[Model]) -> Getter:
    """What the audit tells of a new row."""
    defaults = _defaults(model)

    def told(variables: Variables) -> str:
        changes: dict[str, Any] = dict(defaults)
        for name, value in variables[VALUES].items():
            if value is None:
                changes.pop(name, None)
            else:  # all but money is JSON as it is
                changes[name] = (None, audit_value(value) if type(value) is Money else value)
        return encode(changes).decode()

    return told


@lru_cache(512)
def _defaults(model: type[Model]) -> dict[str, list[Any]]:
    """What a new row has before anything is said of it, as the audit tells of it."""
    fields = model.info.fields.items()
    return {
        name: [None, audit_value(field.default)]
        for name, field in fields
        if field.default is not None
    }


def _changes(
    selections: Selections, model: type[Model], names: Sequence[str], old: Any, data: Any
) -> Any:
    """Changed fields as ``{"name": [before, after]}``, money as amount in minor units."""
    joined: Any = sa.literal_column("'{}'::jsonb", JSONB)
    custom = selections.schema.edition.custom.get(model, {})
    for name in names:
        if name in custom:
            before, after = custom_change(selections, custom[name], data)
            differ = before.is_distinct_from(after)
            pair = sa.func.jsonb_build_array(before, after)
        else:
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


def event_of(model: type[Model], verb: str) -> str:
    """What the outbox calls it when a row of a model was written."""
    return f"{model.info.name}{PAST[verb]}"


def outbox_of(selections: Selections, event: str, data: Any) -> Any:
    """The ``event`` of the row ``data``."""
    status = selections.binds.late(lambda _, r: status_of(r.access.installation, event), sa.Text)
    columns = {
        "tenant_id": data.c.tenant_id,
        "id": selections.binds.new_id(),
        "name": literal(event),
        "payload": sa.func.jsonb_build_object(literal("id"), data.c.id),
        "status": status,
    }
    return sa.insert(outbox_table).from_select(
        list(columns), sa.select(*columns.values()).select_from(data), include_defaults=False
    )


def tokens_of(
    selections: Selections, model: type[Model], written: Sequence[str], data: Any, *, new: bool
) -> list[Any]:
    """What makes the row ``data`` found by what it says; nothing where that stays as it was."""
    info = model.info
    names = [n for n in info.searched if n in written or (new and info.fields[n].default)]
    if not names:
        return []
    named = [(name, keeping.field_name(model, name)) for name in names]

    def given(variables: Mapping[str, Any]) -> str:
        values = variables[VALUES]
        texts = (values.get(name, info.fields[name].default) for name, _ in named)
        return keeping.given(
            (None, field, text) for (_, field), text in zip(named, texts, strict=True)
        )

    binds = selections.binds
    tenant = binds.context("tenant")
    text = rows_in(binds.value(given, sa.Text), keeping.GIVEN, selections.alias())
    if not new:
        removed, changed = keeping.changes(tenant, data, text)
        return [removed.cte("unsearched"), changed.cte("searched")]
    rows = sa.join(data, text, sa.true())
    made = keeping.insertion(tenant, data.c.id, text.c.field, text.c.length, text.c.lines, rows)
    return [made.cte("searched")]
