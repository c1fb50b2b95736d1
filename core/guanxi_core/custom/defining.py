"""Defining custom fields, changing and removing them: what the core's mutations do."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast
from uuid import UUID

import sqlalchemy as sa
from msgspec.structs import replace

from guanxi_core.custom import converting
from guanxi_core.custom.checking import check, check_options
from guanxi_core.custom.definitions import Definition
from guanxi_core.plugin.fields import (
    DEFINE,
    CustomField,
    CustomFieldChange,
    CustomFieldKind,
)
from guanxi_core.plugin.giving import require_all
from guanxi_core.plugin.rights import Clearance
from guanxi_core.tenancy import custom_definitions
from guanxi_core.vetting import vet
from guanxi_sdk import (
    Confidentiality,
    Context,
    Forbidden,
    Invalid,
    Model,
    PluginError,
    Refusal,
    Scope,
)
from guanxi_sdk.info import Kind

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext

NO_REASON: Final = "Secret values are told to those who say why: send the header Guanxi-Reason."
#: How many custom fields a model may have, and all models of an enterprise together.
MOST: Final = 100
MOST_OF_ALL: Final = 500
#: How many bytes the options of all choices of an enterprise may have.
MOST_OPTIONS: Final = 256 * 1024
_OTHERS: Final = """
    SELECT count(*) AS fields,
        coalesce(sum((SELECT sum(octet_length(one)) FROM unnest(options) AS one)), 0) AS options
    FROM guanxi_custom_field WHERE tenant_id = $1 AND id IS DISTINCT FROM $2
"""


async def define(
    ctx: Context,
    model: str,
    name: str,
    kind: CustomFieldKind,
    description: str,
    options: Sequence[str],
    clearance: Clearance,
) -> CustomField:
    """Add a field to a model, effective at everybody's next request."""
    core = await _begin(ctx)
    of = cast(Kind, kind.value)
    given = Definition(model, name, of, description.strip(), tuple(options), clearance.value)
    check(given, core.access.installation.edition.models)
    known = sa.select(CustomField).where(CustomField.model == model)
    others = list(await ctx.db.scalars(known))
    if any(one.name == name for one in others):
        raise Invalid(
            "name", "is that of a custom field already: change that one, or restore it if it is "
            "archived",
        )  # fmt: skip
    if len(others) >= MOST:
        raise Invalid("model", f"has {MOST} custom fields, and cannot have more")
    await _check_room(core, options)
    field = await ctx.add(
        CustomField(
            model=model, name=name, kind=kind, description=given.description,
            options=list(options), clearance=clearance,
        )
    )  # fmt: skip
    await _examine(core, field)
    return field


async def update(
    ctx: Context, field_id: UUID, description: str | None, clearance: Clearance | None
) -> CustomField:
    """Describe a field otherwise, or let others read it."""
    core = await _begin(ctx)
    field = await ctx.get(CustomField, field_id, path="field_id")
    if clearance is not None and clearance is not field.clearance:
        _model(core, field)
        for level in (field.clearance, clearance):
            _require_clearance(core, field, _level(level))
        field.clearance = clearance
    if description is not None:
        edition = core.access.installation.edition
        check(replace(definition_of(field), description=description), edition.models)
        field.description = description.strip()
    await ctx.db.flush()
    return field


async def archive(ctx: Context, field_id: UUID) -> CustomField:
    """Hide a field with its values."""
    core = await _begin(ctx)
    field = await ctx.get(CustomField, field_id, path="field_id")
    _require_clearance(core, field, _level(field.clearance))
    field.archived_at = field.archived_at or ctx.now()
    await ctx.db.flush()
    return field


async def restore(ctx: Context, field_id: UUID) -> CustomField:
    """Show an archived field again."""
    core = await _begin(ctx)
    field = await ctx.get(CustomField, field_id, path="field_id")
    field.archived_at = None
    await ctx.db.flush()
    await _examine(core, field)
    return field


async def purge(ctx: Context, field_id: UUID) -> int:
    """Delete an archived field for good; how many values went with it."""
    core = await _begin(ctx)
    field = await ctx.get(CustomField, field_id, path="field_id")
    _require_clearance(core, field, _level(field.clearance))
    if field.archived_at is None:
        raise Invalid("field_id", "is in use: archive the field first")
    count = await converting.count(await core.raw(), ctx.tenant.id, definition_of(field))
    await core.note("guanxi.purge_custom_values", f"custom_field_{field_id}",
                    {"count": (count, None)})  # fmt: skip
    await ctx.db.delete(field)
    await ctx.db.flush()
    return count


async def plan(
    ctx: Context, field_id: UUID, kind: CustomFieldKind, options: Sequence[str]
) -> CustomFieldChange:
    """What would become of a field's values if they were of another kind."""
    require_all(ctx, DEFINE)
    core = cast("TransactionContext", ctx)
    field = await ctx.get(CustomField, field_id, path="field_id")
    before, after = definition_of(field), _changed(field, kind, options)
    return await _converted(core, field, before, after, write=False)


async def change(
    ctx: Context, field_id: UUID, kind: CustomFieldKind, options: Sequence[str], lose: int
) -> CustomFieldChange:
    """Give a field another kind, and convert its values; ``lose`` is how many may be lost."""
    core = await _begin(ctx)
    field = await ctx.get(CustomField, field_id, path="field_id")
    before, after = definition_of(field), _changed(field, kind, options)
    connection = await core.raw()
    await _check_room(core, options, field_id)
    await connection.execute(converting.DEFER)
    field.kind, field.options = kind, list(options)
    await ctx.db.flush()  # from now on nobody writes values of either kind
    done = await _converted(core, field, before, after, write=True)
    if done.lost > lose:
        raise Refusal(
            "lose", f"is {lose}, but {done.lost} values do not fit: look at customFieldChange, and "
            "say that so many may be lost",
            code="INVALID",
        )  # fmt: skip
    await connection.execute(converting.CHECK)
    counts = {"converted": (None, done.converted), "lost": (None, done.lost)}
    await core.note("guanxi.convert_custom_values", f"custom_field_{field_id}", counts)
    await _examine(core, field)
    return replace(done, examples=[])  # replies are kept, and would tell of erased persons


def definition_of(field: CustomField) -> Definition:
    """The definition that a row holds."""
    kind = cast(Kind, field.kind.value)
    return Definition(
        field.model, field.name, kind, field.description, tuple(field.options),
        field.clearance.value,
    )  # fmt: skip


async def _begin(ctx: Context) -> "TransactionContext":
    """The caller may define fields; changes of a tenant's fields come one after the other."""
    require_all(ctx, DEFINE)
    core = cast("TransactionContext", ctx)
    await (await core.raw()).execute("SELECT guanxi_touch($1)", ctx.tenant.id)
    return core


async def _check_room(
    core: "TransactionContext", options: Sequence[str], field_id: UUID | None = None
) -> None:
    """All that a tenant defines is part of its schema: refuse more than can be served well."""
    others = await (await core.raw()).fetchrow(_OTHERS, core.tenant.id, field_id)
    if field_id is None and others["fields"] >= MOST_OF_ALL:
        raise Invalid(
            "model", f"takes no more: there are {MOST_OF_ALL} custom fields of all models already, "
            "archived ones included; purge those that nobody needs",
        )  # fmt: skip
    if options and others["options"] + sum(len(one.encode()) for one in options) > MOST_OPTIONS:
        raise Invalid(
            "options", f"are too long: those of all custom fields may have {MOST_OPTIONS // 1024} "
            "KiB together, archived ones included",
        )  # fmt: skip


async def _examine(core: "TransactionContext", field: CustomField) -> None:
    """Refuse a field that the enterprise could not be served with, before it is written.

    The edition is ready then for the requests to come.
    """
    plugins = core.access.installation.edition.plugins
    definitions = await custom_definitions(await core.raw(), core.tenant)
    composed = await core.editions.of(plugins, definitions)
    if reason := composed.hidden.get(definition_of(field).key):
        raise Invalid("name", f"is taken: {reason}")
    try:
        await asyncio.to_thread(vet, composed.edition, "")
    except PluginError as error:
        raise Invalid("name", f"cannot be served: {error}") from error


async def _converted(
    core: "TransactionContext",
    field: CustomField,
    before: Definition,
    after: Definition,
    *,
    write: bool,
) -> CustomFieldChange:
    """For whoever may read the field: what fits some options tells about the values."""
    level = _level(field.clearance)
    _require_clearance(core, field, level)
    model = _model(core, field)
    if level is Confidentiality.SECRET:
        if core.reason is None:
            raise Forbidden(model.info.read, NO_REASON)
        core.secrets[before.key] = None
    connection = await core.raw()
    return await converting.convert(connection, core.tenant.id, before, after, model, write=write)


def _changed(field: CustomField, kind: CustomFieldKind, options: Sequence[str]) -> Definition:
    check_options(kind.value, options)
    if kind is field.kind and list(options) == field.options:
        raise Invalid("kind", "is what it is already")
    found = definition_of(field)
    return replace(found, kind=cast(Kind, kind.value), options=tuple(options))


def _model(core: "TransactionContext", field: CustomField) -> type[Model]:
    model = core.access.installation.edition.models.get(field.model)
    if model is None:
        raise Invalid("field_id", f"is a field of {field.model}, whose plugin is switched off")
    return model


def _require_clearance(
    core: "TransactionContext", field: CustomField, level: Confidentiality
) -> None:
    """Nobody lets others, or themselves, read what they may not read, nor makes away with it.

    Where the model's plugin is switched off, the clearance of whoever defines fields counts.
    """
    model = core.access.installation.edition.models.get(field.model)
    read = DEFINE.name if model is None else model.info.read
    if Scope.ALL not in core.caller.rights.scopes(read, level):
        raise Forbidden(
            read, f"This needs the permission '{read}' for all rows and the clearance {level.name}."
        )


def _level(clearance: Clearance) -> Confidentiality:
    return Confidentiality[clearance.value]
