"""Who is asked what is kept about a person: every plugin that may have rows of the tenant.

A plugin that is switched off keeps its data, so it is asked as well. One that cannot be asked must
not have any rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

import msgspec
import sqlalchemy as sa

from guanxi_core.custom.definitions import (
    CustomValues,
    Definition,
    custom_values,
    split_option,
)
from guanxi_core.editions import Contributed
from guanxi_core.hooks import HookFailed, ask
from guanxi_core.installing import instantiate
from guanxi_core.plugin import NAME as CORE
from guanxi_core.subjects import HOOK, answer_of, unanswered
from guanxi_sdk import EVERY_ROW, Erasure, Event, Extension, Hindrance, Invalid, Model, Refusal
from guanxi_sdk._docs import snake

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext
    from guanxi_sdk import Plugin

_STORED: Final = (
    "SELECT name, settings::text AS settings FROM guanxi_plugin WHERE tenant_id = $1 ORDER BY name"
)
#: Archived ones, too: their values are there.
_CUSTOM: Final = (
    "SELECT model, name, kind, options FROM guanxi_custom_field "
    "WHERE tenant_id = $1 AND kind IN ('text', 'choice') ORDER BY field"
)
_TABLES: Final = (
    "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace "
    "AND relkind IN ('r', 'p')"
)


@dataclass(frozen=True)
class Asked:
    """The plugins that answer, and the models whose tables are there."""

    plugins: Mapping[str, "Plugin[Any]"]
    owners: Sequence[type[Model] | type[Extension]]
    events: Mapping[str, type[Event]]
    custom: Sequence[CustomValues]  # fields of the enterprise's own that hold texts
    options: Mapping[tuple[str, str], frozenset[str]]  # of those that are choices

    @property
    def models(self) -> dict[str, type[Model]]:
        """The models by name."""
        return {
            owner.info.name: cast(type[Model], owner)
            for owner in self.owners
            if owner.info.of is None
        }


async def plugins_to_ask(ctx: "TransactionContext") -> Asked:
    """All plugins of the tenant, those that are switched off included.

    Raises :class:`Refusal` where one has rows and cannot be asked.
    """
    connection = await ctx.raw()
    stored = {
        row["name"]: msgspec.json.decode(row["settings"])
        for row in await connection.fetch(_STORED, ctx.tenant.id)
    }
    tables = {row[0] for row in await connection.fetch(_TABLES)}
    installation = ctx.access.installation
    order = [plugin.manifest.name for plugin in installation.edition.plugins]
    running = {name: installation.plugins[name] for name in (CORE, *order)}
    resting = {name: stored[name] for name in stored if name not in running}
    instances, silent = instantiate(ctx.registry, resting)
    for name, plugin in instances.items():
        if reason := unanswered(type(plugin)):
            silent[name] = reason
    for name, reason in silent.items():
        if table := await _first_filled(ctx, name, tables, [*running, *stored]):
            raise Refusal(
                None, f"The plugin '{name}' keeps rows in {table} and cannot be asked what they "
                f"say about the person: {reason} Mend or install it, so that nothing is left over.",
                code="PLUGIN_FAILED",
            )  # fmt: skip
    plugins = running | {n: p for n, p in instances.items() if n not in silent}
    manifests = [plugin.manifest for plugin in plugins.values()]
    owners: list[type[Model] | type[Extension]] = []
    for manifest in manifests:
        owners += [*manifest.models, *manifest.extensions]
    present = [owner for owner in owners if owner.info.table.name in tables]
    named = {o.info.name: cast(type[Model], o) for o in present if o.info.of is None}
    defined = await connection.fetch(_CUSTOM, ctx.tenant.id)
    custom = [
        custom_values(
            Definition(row["model"], row["name"], "text", ""), named[row["model"]], ctx.tenant.id
        )
        for row in defined
        if row["kind"] == "text" and row["model"] in named
    ]
    options = {
        (row["model"], snake(row["name"])): frozenset(split_option(o)[0] for o in row["options"])
        for row in defined
    }
    events = {event.__name__: event for manifest in manifests for event in manifest.events}
    return Asked(plugins, present, events, custom, options)


async def _first_filled(
    ctx: "TransactionContext", name: str, tables: set[str], known: Sequence[str]
) -> str | None:
    """The first table of a plugin that has rows of the tenant."""
    longer = tuple(f"{other}_" for other in known if other.startswith(f"{name}_"))
    for table in sorted(tables):
        if table.startswith(f"{name}_") and not (longer and table.startswith(longer)):
            tenant_id: sa.ColumnClause[UUID] = sa.column("tenant_id", sa.Uuid)
            rows = sa.select(sa.literal(1)).select_from(sa.table(table, tenant_id))
            mine = rows.where(tenant_id == ctx.tenant.id).limit(1)
            if (await ctx.db.execute_core(mine)).first():
                return table
    return None


async def answers(
    ctx: "TransactionContext", asked: Asked, subject: type[Model], id: UUID
) -> list[Erasure]:
    """What all plugins say is to be erased; raises what hinders it."""
    edition = ctx.access.installation.edition
    hook = edition.hooks[HOOK]
    arguments = {"subject": subject, "id": id, "today": ctx.today()}
    found: list[Erasure] = []
    for name, plugin in asked.plugins.items():
        contribution = answer_of(type(plugin))
        if contribution is None:
            continue
        alone = replace(
            edition,
            hooks={HOOK: replace(hook, answers=(Contributed(name, contribution),))},
            attachments={},
        )
        given: list[Erasure | Hindrance] = ask(
            alone, {name: plugin}, HOOK, arguments, breakers=ctx.breakers
        )
        for answer in given:
            if answer.model.info.plugin != name:
                raise HookFailed(name, HOOK)  # about rows of others, which they know better
            if answer.model not in asked.owners:
                continue
            if isinstance(answer, Hindrance):
                await _refuse(ctx, answer)
            else:
                found.append(answer)
    return found


async def _refuse(ctx: "TransactionContext", hindrance: Hindrance) -> None:
    """Raise :class:`Invalid` where the rows are there."""
    statement = sa.select(hindrance.model.id).where(hindrance.condition).limit(1)
    if await ctx.db.scalar(statement, execution_options=EVERY_ROW):
        raise Invalid("id", hindrance.message)
