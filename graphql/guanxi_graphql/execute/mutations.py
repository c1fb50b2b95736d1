"""Mutations: one transaction each, in the document's order."""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
from graphql import FieldNode

from guanxi_core.breakers import PluginFailed, is_not_theirs, timed_out
from guanxi_core.custom.keeping import OUTDATED
from guanxi_core.database.outages import DatabaseUnavailable, outage_in
from guanxi_core.database.violations import refusal_of
from guanxi_core.hooks import ask
from guanxi_core.idempotency import StoredReply
from guanxi_core.telemetry import traces
from guanxi_core.telemetry.activity import CURRENT
from guanxi_graphql.compile.binds import Request, Variables
from guanxi_graphql.compile.custom import VALUES
from guanxi_graphql.compile.reads import Operation
from guanxi_graphql.compile.selections import Selections, Step
from guanxi_graphql.compile.shapes import Arguments
from guanxi_graphql.compile.writes import WritePlan, compile_write
from guanxi_graphql.execute.documents import Document
from guanxi_graphql.execute.encoding import encode
from guanxi_graphql.execute.errors import (
    DOUBTFUL,
    NOT_BEGUN,
    NOT_KEPT,
    TOO_SLOW,
    StaleAccess,
    failed,
    located,
    refusal,
    withheld,
)
from guanxi_graphql.execute.keyed import Keyed, errors_of, rows_of
from guanxi_graphql.execute.payloads import Ids, Payload, ids_of, model_of, payload_name
from guanxi_graphql.execute.splicing import Errors, Splicer
from guanxi_graphql.schema.bindings import Ask, Schema, Write
from guanxi_sdk import Conflict, Forbidden, NotFound, Refusal, Unauthenticated

if TYPE_CHECKING:
    from guanxi_core.platform import Platform

Nodes = Sequence[FieldNode]
_log = logging.getLogger(__name__)


class Mutations:
    """Runs the mutation fields of one request."""

    def __init__(
        self,
        platform: "Platform",
        schema: Schema,
        document: Document,
        variables: Variables,
        request: Request,
        keyed: Keyed | None = None,
    ) -> None:
        self._keyed = keyed
        self._platform = platform
        self._schema = schema
        self._document = document
        self._operation: Operation = document.operation
        self._variables = variables
        self._form = document.key(variables)
        self._request = request
        self._rights = request.access.caller.rights
        self._reasoned = request.reason is not None
        #: Whether a field was more than refused for want of a permission.
        self.begun = False
        self.errors: Errors = []
        self.secrets: dict[str, None] = {}

    async def run(self) -> bytes:
        """All fields, one after the other, as the bytes of ``data``."""
        parts: list[bytes] = []
        for step, (key, nodes) in enumerate(self._fields().items()):
            name = nodes[0].name.value
            if name == "__typename":
                body = b'"Mutation"'
            elif parts and _is_late():
                self.errors.append(located(NOT_BEGUN, "TIMEOUT", (key,)))
                body = b"null"
            else:
                binding = self._schema.fields["Mutation"][name]
                try:
                    if self._keyed is None:
                        body = await self._field(key, nodes, binding)
                    else:
                        body = await self._once(self._keyed, step, key, nodes, binding)
                except (Exception, asyncio.CancelledError) as error:
                    # All of it may be repeated: nothing has been written, or only once.
                    if not parts or self._keyed is not None:
                        raise
                    if isinstance(error, asyncio.CancelledError) and not _is_late():
                        raise
                    self.errors.append(_located(error, key))
                    body = b"null"
            parts.append(encode(key) + b":" + body)
        return b"{" + b",".join(parts) + b"}"

    def _fields(self) -> dict[str, list[FieldNode]]:
        """The root fields by response key, worked out once for variables of this form."""
        key = ("fields", self._form)
        found: dict[str, list[FieldNode]] | None = self._document.plan(key)
        if found is None:
            root = [self._operation.node.selection_set]
            found = self._selections().collect("Mutation", root)
            self._document.keep(key, found)
        return found

    def _selections(self) -> Selections:
        return Selections(
            self._schema, self._rights, self._operation.fragments, self._variables,
            reasoned=self._reasoned,
        )  # fmt: skip

    async def _once(
        self, keyed: Keyed, step: int, key: str, nodes: Nodes, binding: Write | Ask
    ) -> bytes:
        """A field of a request with a key: done now, or answered as it was the first time."""
        before = len(self.errors)
        told, self.secrets = self.secrets, {}
        try:
            async with keyed.field(step, self._transaction(_action(binding))) as reply:
                if reply is not None:
                    return await self._again(keyed, reply, key, nodes, binding)
                body = await self._field(key, nodes, binding)
                anew = bool(self.secrets) or self._rights.limited
                await keyed.keep(step, body, self.errors[before:], anew=anew)
            return body
        except PluginFailed as error:  # all is undone, the key included: it may be repeated
            self.errors.append(located(error.message, error.code, (key,)))
            return b"null"
        finally:
            self.secrets = told | self.secrets

    async def _again(
        self, keyed: Keyed, reply: StoredReply, key: str, nodes: Nodes, binding: Write | Ask
    ) -> bytes:
        """What was answered; of rows that are kept by their ids, what the caller may see now."""
        if (rows := rows_of(reply)) is not None:
            return await self._read(keyed.context, key, nodes, binding, rows.ids)
        self.errors += errors_of(reply)
        return reply.body

    async def _field(self, key: str, nodes: Nodes, binding: Write | Ask) -> bytes:
        try:
            if isinstance(binding, Write):
                return await self._write(key, nodes, binding)
            return await self._ask(key, nodes, binding)
        except (Forbidden, Unauthenticated) as error:
            self.errors.append(refusal(error, (key,)))
            return b"null"
        except PluginFailed as error:  # its own, or of a field of its result: nothing was done
            if self._keyed is not None:
                raise
            self.errors.append(located(error.message, error.code, (key,)))
            return b"null"
        except Refusal as error:
            return self._payload(nodes).refused([error])

    # --- generated -----------------------------------------------------------------------------

    async def _write(self, key: str, nodes: Nodes, binding: Write) -> bytes:
        permission = binding.model.info.write
        if permission not in self._rights.permissions:
            raise Forbidden(permission)
        self.begun = True
        plan = self._plan(key, nodes, binding)
        variables = self._variables
        values: dict[str, Any] = {}
        if plan.reader is not None:
            values, wrong = plan.reader.read(plan.input(variables))
            wrong = [*plan.forbidden] or wrong
            if plan.asked is not None and not wrong:
                wrong = self._vetoes(binding, {name: values[name] for name in plan.asked})
            if wrong:
                return self._payload(nodes).refused(wrong)
            variables = {**variables, VALUES: values}
        arguments = plan.statement.arguments(variables, self._request)
        self.errors += [withheld(w.message, w.path) for w in plan.withheld]
        self.secrets |= dict.fromkeys(plan.secrets)
        if plan.payload and self._keyed is None:
            pool, tenant = self._platform.pool, self._request.access.installation.tenant.id
            connection = pool.ready(tenant) or await pool.take(tenant)
            try:
                row = await connection.answer(plan.statement.sql, arguments)
            except Exception as error:
                pool.raise_if_lost(connection, error)
                raise self._violation(error, binding) from error
            finally:
                pool.give(connection)
            body = bytes(self._outcome(row)["body"])
            self._platform.bell.ring(self._request.access.installation, plan.event)
            return body
        async with self._context(binding) as ctx:
            try:
                connection = await ctx.raw()
                row = await connection.fetchrow(plan.statement.sql, *arguments)
            except asyncpg.PostgresError as error:
                raise self._violation(error, binding) from error
            outcome = self._outcome(row)
            identity = UUID(outcome["id"])
            if self._keyed is not None:
                self._keyed.shows(identity)
            if plan.payload:
                return bytes(outcome["body"])
            return await self._read(ctx, key, nodes, binding, identity)

    def _plan(self, key: str, nodes: Nodes, binding: Write) -> WritePlan:
        has_token = self._request.access.caller.token_id is not None
        cached = (key, self._form, self._rights, has_token, self._reasoned)
        plan = self._document.plan(cached)
        if plan is None:
            with traces.span("compile"):
                plan = compile_write(self._selections(), binding, key, nodes, has_token=has_token)
            self._document.keep(cached, plan)
        found: WritePlan = plan
        return found

    def _vetoes(self, binding: Write, values: dict[str, Any]) -> list[Refusal]:
        installation = self._request.access.installation
        found: list[Refusal] = ask(
            installation.edition, installation.plugins, "write_errors",
            {"model": binding.model, "verb": binding.verb, "values": values},
            breakers=self._platform.breakers.of(installation.tenant),
        )  # fmt: skip
        return found

    def _violation(self, error: Exception, binding: Write) -> Exception:
        if getattr(error, "constraint_name", None) == OUTDATED:
            return StaleAccess()
        return refusal_of(error, [binding.model]) or error

    @staticmethod
    def _outcome(row: Any) -> Any:
        if row is None:
            raise StaleAccess
        if row["id"] is None:
            if not row["found"]:
                raise NotFound
            if row["missing"]:
                raise NotFound(row["missing"])
            if not row["allowed"]:
                raise Refusal(None, "This is beyond what you may write.", code="FORBIDDEN")
            raise Conflict
        return row

    # --- contributed ---------------------------------------------------------------------------

    async def _ask(self, key: str, nodes: Nodes, binding: Ask) -> bytes:
        entry = binding.contributed
        contribution = entry.contribution
        needs = contribution.needs
        if needs is not None and needs.name not in self._rights.permissions:
            raise Forbidden(needs.name)
        self.begun = True
        selections = self._selections()
        trees = selections.arguments("Mutation", nodes[0])
        plugin = self._request.access.installation.plugins[entry.plugin]
        given = Arguments(binding, trees).values(selections, self._variables, self._request)
        self.secrets |= selections.policies.secrets
        errors: Errors = []
        breakers = self._platform.breakers.of(self._request.access.installation.tenant)
        name = contribution.name
        try:
            async with self._context(binding) as ctx:
                with (
                    breakers.guard(entry.plugin, name, ctx.deadline, settled=False),
                    ctx.within(contribution.needs),
                ):
                    ctx.asked()
                    result = await contribution.function(plugin, ctx, **given)
                body = await self._result(ctx, key, nodes, binding, result, errors)
        except (StaleAccess, DatabaseUnavailable, PluginFailed):
            raise
        except Refusal:
            breakers.success(entry.plugin, name)
            raise
        except Exception as error:
            if timed_out(error) or is_not_theirs(error):
                breakers.release(entry.plugin)
                raise
            breakers.failure(entry.plugin, name, error)
            self.errors.append(failed(entry.plugin, name, error, (key,)))
            if self._keyed is not None:
                self._keyed.failed = True
            return b"null"
        breakers.success(entry.plugin, name)
        self.errors += errors
        return body

    async def _result(
        self, ctx: Any, key: str, nodes: Nodes, binding: Ask, result: Any, errors: Errors
    ) -> bytes:
        splicer = self._splicer(ctx)

        async def shown(part: str, same: Nodes) -> Any:
            step = Step((), part, binding, {}, (), tuple(same))
            [value] = await splicer.shaped(step, [result], (key, part))
            if self._keyed is not None:
                self._keyed.shows(ids_of(binding, result))
            return value

        body = await self._payload(nodes).filled(payload_name(binding), shown)
        errors += splicer.errors
        self.secrets |= splicer.secrets
        return body

    # --- payloads ------------------------------------------------------------------------------

    def _payload(self, nodes: Nodes) -> Payload:
        return Payload(self._selections(), nodes)

    async def _read(
        self, ctx: Any, key: str, nodes: Nodes, binding: Write | Ask, ids: Ids
    ) -> bytes:
        """The payload of a mutation whose answer needs the rows as they are now."""
        splicer = self._splicer(ctx)
        model = model_of(binding)

        async def shown(part: str, same: Nodes) -> Any:
            if model is None:
                self.errors.append(located(NOT_KEPT, "NOT_KEPT", (key, part)))
                return None
            asked = ids if isinstance(ids, list) else [] if ids is None else [ids]
            rows = await splicer.rows(model, same, asked, (key, part))
            found = [rows[name] for one in asked if (name := str(one)) in rows]
            return found if isinstance(ids, list) else found[0] if found else None

        body = await self._payload(nodes).filled(payload_name(binding), shown)
        self.errors += splicer.errors
        self.secrets |= splicer.secrets
        return body

    def _context(self, binding: Write | Ask) -> Any:
        """A transaction, or the part of the running one that is undone when the field fails."""
        return self._transaction(_action(binding)) if self._keyed is None else self._keyed.work()

    def _transaction(self, action: str | None) -> Any:
        request = self._request
        return self._platform.context(
            request.access, locale=request.locale, reason=request.reason, origin=request.origin,
            action=action,
        )  # fmt: skip

    def _splicer(self, ctx: Any) -> Splicer:
        async def fetch(sql: str, arguments: Sequence[Any]) -> Any:
            connection = await ctx.raw()
            return await connection.fetchval(sql, *arguments)

        return Splicer(self._schema, self._document, self._variables, self._request, ctx, fetch)


def _action(binding: Write | Ask) -> str | None:
    """What the audit calls a plugin's mutation; generated ones are called by model and verb."""
    if isinstance(binding, Write):
        return None
    return f"{binding.contributed.plugin}.{binding.contributed.contribution.name}"


def _is_late() -> bool:
    """Whether the request is being ended because it took too long."""
    activity = CURRENT.get()
    return activity is not None and activity.late


def _located(error: BaseException, key: str) -> dict[str, Any]:
    """What a later field of a mutation reports when earlier ones have been written."""
    if isinstance(error, asyncio.CancelledError):
        return located(DOUBTFUL, "TIMEOUT", (key,))
    if isinstance(error, StaleAccess):
        return refusal(Unauthenticated(), (key,))
    if isinstance(error, DatabaseUnavailable) or outage_in(error):
        return located("The database is unavailable: try again.", "UNAVAILABLE", (key,))
    if timed_out(error):
        return located(TOO_SLOW, "TIMEOUT", (key,))
    _log.error("a mutation failed", exc_info=error)
    return located("Internal error.", "INTERNAL", (key,))
