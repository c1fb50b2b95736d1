"""One export: compiled, counted, written down in the audit, then row after row."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa
from graphql.execution.values import get_variable_values

from guanxi_core.audit import Origin
from guanxi_core.disclosing import barred, disclosed, exported
from guanxi_core.telemetry import metrics
from guanxi_graphql.compile.binds import Request
from guanxi_graphql.compile.exports import ExportPlan, compile_export
from guanxi_graphql.compile.selections import IN_PART, Withheld
from guanxi_graphql.execute.documents import PLANS, Cache, Document, Refused
from guanxi_graphql.execute.splicing import Splicer
from guanxi_graphql.exporting.errors import ExportFailed
from guanxi_graphql.exporting.fields import Field, choose, find_model, selection
from guanxi_graphql.exporting.formats import Csv, Format, JsonLines
from guanxi_graphql.schema import Schema, schema_of
from guanxi_graphql.schema.bindings import Expression, Stored
from guanxi_sdk import EVERY_ROW, Caller, Confidentiality, CoreHooks, Model

if TYPE_CHECKING:
    from guanxi_core.context import TransactionContext
    from guanxi_core.platform import Access, Platform

#: Rows that travel together at most, and about how many bytes of them.
PAGE: Final = 1_000
BYTES: Final = 2_000_000
_FIRST: Final = 20  # rows, whose size is not known yet

#: Told while rows are written: how many of how many.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be taken out; ``fields`` are all stored and SQL fields when None."""

    model: str
    fields: Sequence[str] | None = None
    where: Mapping[str, Any] | None = None
    archived: bool = False
    format: Literal["jsonl", "csv"] = "jsonl"
    marked: bool = False  # a byte order mark, for CSV


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and what the caller may not read: on any row, or on some."""

    model: str
    rows: int
    fields: tuple[str, ...]
    left_out: dict[str, str]
    empty_in_part: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Prepared:
    list_: str
    model: type[Model]
    fields: list[Field]
    document: Document
    variables: Mapping[str, Any]
    plan: ExportPlan
    left_out: dict[str, str]


async def export(
    platform: "Platform",
    access: "Access",
    wanted: Wanted,
    write: Callable[[bytes], Any],
    *,
    actor: str,
    reason: str | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write all rows that ``access`` shows of what is ``wanted``, as they are at one moment.

    ``actor`` is who does it, by the audit, which has an entry before the first byte is written.
    Memory stays the same however many rows there are. What goes wrong midway raises, after some
    bytes were written.
    """
    began = time.perf_counter()
    schema = await asyncio.to_thread(schema_of, access.installation.edition)
    prepared = _prepare(schema, access, wanted, reasoned=reason is not None)
    plan = prepared.plan
    now = platform.now()
    request = Request(access, now, reason, variables=prepared.variables)
    caller = Caller(None, actor, access.caller.rights)
    tenant_id = access.installation.tenant.id
    origin = Origin(tenant_id, caller, None, reason, "administration")
    format_ = _format(wanted, prepared.fields)
    done, told = 0, set[str]()

    async def tell(secrets: Iterable[str]) -> None:
        if new := sorted(set(secrets) - told):
            told.update(new)
            await disclosed(platform.pool, origin, new, prepared.document.text, wanted.where)

    async with platform.context(access, reason=reason, read_only=True, snapshot=True) as context:
        await _refuse_barred(platform, context, origin, prepared)
        connection = await context.raw()
        arguments = plan.count.arguments(prepared.variables, request)
        total = await connection.fetchval(plan.count.sql, *arguments)
        await _record(platform, origin, schema, prepared, wanted, total)

        async def fetch(sql: str, arguments: Sequence[Any]) -> Any:
            return await connection.fetchval(sql, *arguments)

        splicer = Splicer(schema, prepared.document, prepared.variables, request, context, fetch)
        await tell(plan.secrets)
        write(format_.header())
        arguments = plan.rows.arguments(prepared.variables, request)
        cursor = await connection.cursor(plan.rows.sql, *arguments)
        size = min(_FIRST, PAGE)
        while rows := await cursor.fetch(size):
            lines = b"\n".join([row[0] for row in rows])
            size = max(1, min(PAGE, 4 * size, len(rows) * BYTES // len(lines)))
            if plan.steps:
                lines = await _filled(splicer, lines, plan)
                await tell(splicer.secrets)
            write(format_.page(lines))
            done += len(rows)
            if progress:
                progress(done, total)
    return Exported(
        prepared.list_, done, tuple(field.name for field in prepared.fields), prepared.left_out,
        tuple(_name(one) for one in plan.withheld), round(time.perf_counter() - began, 3),
    )  # fmt: skip


def _prepare(schema: Schema, access: "Access", wanted: Wanted, *, reasoned: bool) -> _Prepared:
    """Compile what the caller may read of what is wanted."""
    list_, model = find_model(schema, wanted.model)
    fields = choose(schema, model, wanted.fields)
    left_out: dict[str, str] = {}
    while True:
        document = _document(schema, list_, model, fields, archived=wanted.archived)
        variables = _variables(schema, document, wanted.where)
        rights = access.caller.rights
        plan = compile_export(schema, document.operation, variables, rights, reasoned=reasoned)
        hidden = [one for one in plan.withheld if one.message != IN_PART]
        if not hidden:
            return _Prepared(list_, model, fields, document, variables, plan, left_out)
        left_out |= {_name(one): one.message for one in hidden}
        paths = [one.path for one in hidden]
        fields = [f for f in fields if all(f.path[: len(path)] != path for path in paths)]
        if not fields:
            told = "; ".join(f"{name}: {message}" for name, message in left_out.items())
            raise ExportFailed(f"nothing of what is asked for may be read. {told}")


def _name(withheld: Withheld) -> str:
    return ".".join(withheld.path)


def _document(
    schema: Schema, list_: str, model: type[Model], fields: Sequence[Field], *, archived: bool
) -> Document:
    shown = "" if model.info.append_only or not archived else ", includeArchived: true"
    where = schema.wheres_of[model]
    text = (
        f"query Export($where: {where}) {{ {list_}(where: $where{shown}) "
        f"{{ edges {{ node {selection(fields)} }} }} }}"
    )
    try:
        return Document(schema, text, None, Cache(PLANS, metrics.PLANS))
    except Refused as refused:
        raise ExportFailed(refused.errors[0]["message"]) from None


def _variables(
    schema: Schema, document: Document, where: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    """The filter, coerced; unlike a client, whoever sits at the terminal is told what was meant."""
    given = {} if where is None else {"where": dict(where)}
    definitions = document.operation.node.variable_definitions
    values = get_variable_values(schema.graphql, definitions, given)
    if isinstance(values, list):
        raise ExportFailed(values[0].message.replace("Variable '$where'", "the filter"))
    return values


def _format(wanted: Wanted, fields: Sequence[Field]) -> Format:
    if wanted.format == "jsonl":
        return JsonLines()
    columns = [column for field in fields for column in field.columns]
    return Csv(columns, marked=wanted.marked)


async def _refuse_barred(
    platform: "Platform", context: "TransactionContext", origin: Origin, prepared: _Prepared
) -> None:
    """Ask the plugins who exports nothing; whoever does not act as a user is nobody of them."""
    if context.caller.user_id is None:
        return
    for bar in context.ask(CoreHooks.export_bars, ambient=context.ambient()):
        if await context.db.scalar(sa.select(bar.condition), execution_options=EVERY_ROW):
            fields = [field.name for field in prepared.fields]
            model = prepared.model.info.name
            await barred(platform.pool, origin, model, fields, bar.because)
            raise ExportFailed(f"nothing is exported: {bar.because}.")


async def _record(
    platform: "Platform",
    origin: Origin,
    schema: Schema,
    prepared: _Prepared,
    wanted: Wanted,
    total: int,
) -> None:
    """The audit: that so many rows leave."""
    where = wanted.where and _masked(schema, schema.wheres_of[prepared.model], wanted.where)
    fields = [field.name for field in prepared.fields]
    await exported(platform.pool, origin, prepared.model.info.name, fields, where, total)


def _masked(schema: Schema, type_name: str, where: Any) -> Any:
    """A filter without the values that are compared with confidential ones."""
    if isinstance(where, list):
        return [_masked(schema, type_name, one) for one in where]
    if not isinstance(where, Mapping):
        return where
    known = schema.wheres[type_name]
    masked = {}
    for name, given in where.items():
        entry = known[name]
        binding: Any = entry.binding
        if entry.kind in ("and", "or", "not"):
            masked[name] = _masked(schema, type_name, given)
        elif isinstance(binding, Stored | Expression):
            hidden = binding.confidentiality > Confidentiality.INTERNAL
            masked[name] = dict.fromkeys(given or ()) if hidden else given
        elif entry.kind == "to_one":
            masked[name] = _masked(schema, schema.wheres_of[binding.reference.target], given)
        else:
            inner = schema.wheres_of[binding.reverse.model]
            masked[name] = {key: _masked(schema, inner, one) for key, one in (given or {}).items()}
    return masked


async def _filled(splicer: Splicer, lines: bytes, plan: ExportPlan) -> bytes:
    """The lines with the results of Python fields; a result that is not there fails the export."""
    filled = await splicer.fill(lines, plan.steps)
    if splicer.errors:
        error = splicer.errors[0]
        raise ExportFailed(f"{'.'.join(error.get('path', ()))}: {error['message']}")
    return filled
