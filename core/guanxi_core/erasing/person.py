"""The erasure itself: lock, ask, collect, erase the rows, then their traces, and record it."""

from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg
import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.schema import sort_tables

from guanxi_core.audit import row_name
from guanxi_core.custom.keeping import forgotten
from guanxi_core.database.violations import refusal_of
from guanxi_core.erasing.alone import ALONE, ERASING
from guanxi_core.erasing.asking import plugins_to_ask
from guanxi_core.erasing.blanks import blanks
from guanxi_core.erasing.collecting import GLOBAL_ID, Collection
from guanxi_core.erasing.mentions import Mentions
from guanxi_core.erasing.private import rewrite
from guanxi_core.erasing.report import ErasedRows, ErasureReport
from guanxi_core.erasing.traces import Traces
from guanxi_core.erasing.words import Owner, Speaker, field_of, finder
from guanxi_core.journal import Report
from guanxi_core.plugin.giving import only_ones_own
from guanxi_core.plugin.rights import (
    Role,
    User,
    UserRole,
    grants_of,
    keeping_administrators,
)
from guanxi_core.search.keeping import forget_fields, forget_rows
from guanxi_core.system_tables import custom_value_table
from guanxi_sdk import EVERY_ROW, Forbidden, Invalid, Model, NotFound, PluginError, Refusal

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext

#: What the audit's entry does not repeat.
_UNTOLD: Final = ("dry_run", "mentions")


async def erase(ctx: "TransactionContext", id: str, *, dry_run: bool = False) -> ErasureReport:
    """Erase all that is kept about the person whose global id is ``id``.

    The caller must see the person's row; what hangs together with it is erased beyond the caller's
    scopes. ``dry_run`` undoes everything. Without it, the context must have a reason, which does
    not name the person.
    """
    subject, identity = await _find(ctx, id)
    if not dry_run and not (ctx.origin.reason or "").strip():
        raise Invalid(
            None, "An erasure needs a reason: send it in the header Guanxi-Reason, or with "
            "--reason at the command line.",
        )  # fmt: skip
    try:
        async with ctx.db.begin_nested() as savepoint:
            report = await _erase(ctx, subject, identity, dry_run)
            if dry_run:
                await savepoint.rollback()
    except PluginError as error:  # it names the culprit, who is not the core
        raise Refusal(None, str(error), code="PLUGIN_FAILED") from error
    except asyncpg.PostgresError as error:
        raise refusal_of(error) or error from error
    ctx.db.expunge_all()  # rows that are loaded say what they said before
    return report


async def _find(ctx: "TransactionContext", id: str) -> tuple[type[Model], UUID]:
    """The model and UUID of a person whom the caller may see."""
    parts = GLOBAL_ID.fullmatch(id)
    models = {m.info.prefix: m for m in ctx.access.installation.edition.models.values()}
    model = models.get(parts[1]) if parts else None
    if parts is None or model is None or not ctx.caller.may(model.info.read):
        raise NotFound
    identity = UUID(parts[2])
    if await ctx.db.scalar(sa.select(model.id).where(model.id == identity)) is None:
        raise NotFound
    if not model.info.subject:
        names = ", ".join(sorted(m.info.name for m in models.values() if m.info.subject))
        raise Invalid("id", f"is not a person's but that of a {model.info.name}; erased can be "
                      f"{names}")  # fmt: skip
    return model, identity


async def _erase(
    ctx: "TransactionContext", subject: type[Model], identity: UUID, dry_run: bool
) -> ErasureReport:
    for lock in ALONE:
        await (await ctx.raw()).execute(lock, ctx.tenant.id)
    asked = await plugins_to_ask(ctx)
    traces = Traces(ctx)
    found = Collection(ctx, asked, traces)
    await found.add(subject, identity)
    await _check_users(ctx, found.users)
    await found.read_custom()
    await found.read_history()
    _check_reason(ctx, found)
    ids = found.ids
    erased: dict[Speaker, set[UUID]] = {owner: rows.ids for owner, rows in found.rows.items()}
    mentions = Mentions(ctx, [*asked.owners, *asked.custom], erased | found.custom)
    words = found.words - await mentions.shared(found.words)
    names = found.names & words
    entries = await traces.entries_to_erase(found.entries, ids, names)
    async with keeping_administrators(ctx, found.users):
        rows = await _erase_rows(ctx, found)
    counts = Counter[str]()
    counts["events"], events = await traces.events(asked.events, ids, names)
    rows = _together([*rows, *await rewrite(ctx, asked.owners, erased, names)])
    counts["deliveries"] = await traces.deliveries(events, ids, names)
    counts["replies"] = await traces.replies(ids, names)
    counts["jobs"] = await traces.jobs(ids, names, found.user_names)
    counts["tokens"] = await traces.tokens(found.users)
    what, who = await traces.entries_to_blank(entries, found.users, found.user_names)
    left = await mentions.of(found.names, found.names | words, blanked=what)
    counts["audit_entries"] = await traces.audit(what, who)  # last: nobody's is sealed meanwhile
    report = ErasureReport(
        subjects=found.global_ids, dry_run=dry_run, rows=rows, mentions=left, **counts
    )
    _tell(ctx, found)
    await _record(ctx, row_name(subject.info, identity), report)
    return report


async def _check_users(ctx: "TransactionContext", users: list[UUID]) -> None:
    """Nobody ends a user who may do more than themselves."""
    held = (
        sa.select(Role)
        .join(UserRole, UserRole.role_id == Role.id)
        .join(User, User.id == UserRole.user_id)
        .where(
            User.id.in_(users),
            User.archived_at.is_(None),
            sa.or_(UserRole.expires_at.is_(None), UserRole.expires_at > ctx.now()),
        )
    )
    for role in await ctx.db.scalars(held, execution_options=EVERY_ROW):
        try:
            only_ones_own(ctx, grants_of(role))
        except Forbidden as error:
            raise Forbidden(
                error.permission, "You cannot erase a user who may do more than you: somebody who "
                f"may do as much has to, or to take the role '{role.name}' away first.",
            ) from error  # fmt: skip


def _check_reason(ctx: "TransactionContext", found: Collection) -> None:
    """The reason stays in the audit for good."""
    pattern = finder(found.names)
    if pattern and pattern.search(ctx.origin.reason or ""):
        raise Invalid(
            None, "The reason names the person, and it is kept for good: give one that does not, "
            "such as the number of the request.",
        )  # fmt: skip


async def _erase_rows(ctx: "TransactionContext", found: Collection) -> list[ErasedRows]:
    """Delete and blank what was collected, rows that refer to others first."""
    report: list[ErasedRows] = []
    tables = sort_tables([owner.info.table for owner in found.rows])
    for owner in sorted(found.rows, key=lambda owner: -tables.index(owner.info.table)):
        rows = found.rows[owner]
        blanked: set[UUID] = set()
        for columns, ids in rows.blanked.items():
            ids -= rows.deleted
            await _write(ctx, owner, _blanking(owner, columns), ids)
            tokens = forget_fields(ctx.tenant.id, owner, columns, ids)
            if tokens is not None:
                await ctx.db.execute_core(tokens)
            blanked |= ids
        await _write(ctx, owner, sa.delete(owner.info.table), rows.deleted)
        if rows.deleted:
            await ctx.db.execute_core(forget_rows(ctx.tenant.id, owner, rows.deleted))
        if blanked or rows.deleted:
            report.append(
                ErasedRows(
                    model=owner.info.name, deleted=len(rows.deleted), blanked=len(blanked),
                    fields=sorted({field_of(owner, c) for c in rows.columns}) if blanked else [],
                )
            )  # fmt: skip
    for identity, model in found.subjects.items():
        forget = forgotten(ctx.tenant.id, model.info.name, {identity})
        values = custom_value_table.c.field
        given = [*(await ctx.db.execute_core(forget.returning(values))).scalars()]
        names = sorted(field.partition(".")[2] for field in given)
        report.append(ErasedRows(model=model.info.name, deleted=0, blanked=0, fields=names))
        table = model.info.table
        stub = sa.update(table).values(
            archived_at=sa.func.coalesce(table.c.archived_at, sa.func.now()),
            erased_at=sa.func.coalesce(table.c.erased_at, sa.func.now()),
        )
        await _write(ctx, model, stub, {identity})
    return report


def _together(parts: list[ErasedRows]) -> list[ErasedRows]:
    """One account for each model."""
    found: dict[str, ErasedRows] = {}
    for part in sorted(parts, key=lambda rows: rows.model):
        known = found.get(part.model)
        if known is not None:
            part = ErasedRows(
                model=part.model,
                deleted=known.deleted + part.deleted,
                blanked=known.blanked + part.blanked,
                fields=sorted({*known.fields, *part.fields}),
            )
        found[part.model] = part
    return list(found.values())


def _blanking(owner: Owner, columns: tuple[str, ...]) -> Any:
    table = owner.info.table
    values = blanks(owner, columns)
    if "updated_at" in table.c:
        values["updated_at"] = sa.func.now()
    if "version" in table.c:
        values["version"] = table.c.version + 1
    return sa.update(table).values(values)


async def _write(ctx: "TransactionContext", owner: Owner, statement: Any, ids: set[UUID]) -> None:
    if not ids:
        return
    table = owner.info.table
    wanted = sa.any_(sa.literal(list(ids), ARRAY(sa.Uuid)))
    try:
        await ctx.db.execute_core(
            statement.where(table.c.tenant_id == ctx.tenant.id, table.c.id == wanted)
        )
    except Refusal as error:
        raise Refusal(
            None, f"The plugin '{owner.info.plugin}' would leave {owner.info.name} in a state that "
            f"the database refuses ({error}): its hook 'erasures' has to be corrected.",
            code="PLUGIN_FAILED",
        ) from error  # fmt: skip


def _tell(ctx: "TransactionContext", found: Collection) -> None:
    """Let handlers know what became of which rows, as of any change."""
    entries = ctx.db.sync_session.journal.entries
    for owner, rows in found.rows.items():
        if owner.info.of is None:
            for identity in rows.ids:
                verb = "Deleted" if identity in rows.deleted else "Updated"
                entries.append(Report(owner.info.name + verb, {"id": str(identity)}))
    for identity, model in found.subjects.items():
        entries.append(Report(f"{model.info.name}Erased", {"id": str(identity)}))


async def _record(ctx: "TransactionContext", row_id: str, report: ErasureReport) -> None:
    told = {k: v for k, v in msgspec.to_builtins(report).items() if k not in _UNTOLD}
    await ctx.note(ERASING, row_id, {name: (None, value) for name, value in told.items()})
