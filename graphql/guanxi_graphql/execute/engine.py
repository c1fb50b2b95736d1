"""The engine: answers one GraphQL request."""

import asyncio
import logging
from collections.abc import Coroutine, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError

from guanxi_core.audit import Origin
from guanxi_core.breakers import PluginFailed, timed_out
from guanxi_core.disclosing import disclosed
from guanxi_core.search import readings
from guanxi_core.telemetry import metrics, traces
from guanxi_core.telemetry.activity import CURRENT
from guanxi_graphql.compile.binds import Request, Variables
from guanxi_graphql.compile.reads import ReadPlan, compile_read, stamp_statement
from guanxi_graphql.execute.documents import DOCUMENTS, PLANS, Cache, Document, Refused
from guanxi_graphql.execute.encoding import encode
from guanxi_graphql.execute.errors import TOO_SLOW, StaleAccess, located, refusal, withheld
from guanxi_graphql.execute.following import Following, following
from guanxi_graphql.execute.keyed import keyed
from guanxi_graphql.execute.mutations import Mutations
from guanxi_graphql.execute.registered import is_open, named, names_none, permitted
from guanxi_graphql.execute.splicing import Errors, Splicer
from guanxi_graphql.schema import Schema, schema_of
from guanxi_sdk import Refusal

if TYPE_CHECKING:
    from guanxi_core.editions import Edition
    from guanxi_core.limits import Limits
    from guanxi_core.platform import Access, Platform
    from guanxi_graphql.requests import Request as Sent

_log = logging.getLogger(__name__)
_MAKING = "schema in the making"
_STREAM = "Subscriptions need a WebSocket, or POST with Accept: text/event-stream."


class Reply(msgspec.Struct, frozen=True):
    """A response: its JSON, whether the operation ran (it has ``data``), or had run before.

    One that tells a ``secret``, or may do so, is sent as it is and kept by nobody.
    """

    body: bytes
    ok: bool
    replayed: bool = False
    secret: bool = False


async def prepare(edition: "Edition") -> None:
    """Make the edition's schema and the caches that hang on it.

    Beside the event loop, and once for all who wait for it: each of the first requests would make a
    schema of its own.
    """
    loop = asyncio.get_running_loop()
    making: asyncio.Task[None] | None = edition.attachments.get(_MAKING)
    if making is None or making.get_loop() is not loop:
        making = edition.attachments[_MAKING] = loop.create_task(_make(edition))
        making.add_done_callback(lambda _: edition.attachments.pop(_MAKING, None))
    await asyncio.shield(making)


async def _make(edition: "Edition") -> None:
    if any(model.info.searched for model in edition.models.values()):
        readings.load()
    await asyncio.to_thread(schema_of, edition)
    edition.attachments.setdefault("plans", Cache(PLANS, metrics.PLANS))
    edition.attachments.setdefault("documents", Cache(DOCUMENTS, metrics.DOCUMENTS))


class Engine:
    """Executes documents on a platform; holds no state of its own."""

    def __init__(self, platform: "Platform") -> None:
        self._platform = platform

    def answer(
        self, access: "Access", request: "Sent", **options: Any
    ) -> Coroutine[Any, Any, Reply]:
        """Answer what a client sent: its own document, or a registered one that it names.

        ``options`` are those of :meth:`execute`, and what it raises is raised here.
        """
        if request.query is not None and names_none(request):  # and asks for nothing else
            return self.execute(
                access, request.query, request.variables, request.operation or None, **options
            )
        return self._answer_named(access, request, options)

    async def _answer_named(
        self, access: "Access", request: "Sent", options: dict[str, Any]
    ) -> Reply:
        document = request.query
        if document is None or not names_none(request):
            try:
                document = await named(self._platform, access, request)
            except Refused as refused:
                await self._confirm(access)  # it may have been registered since
                return _request_error(refused.errors)
        reply = await self.execute(
            access, document, request.variables, request.operation or None, **options
        )
        asked = request.extensions is not None and request.extensions.get("cost") is True
        if asked and (reply.ok or is_open(access)):
            return self._priced(reply, access, document, request)
        return reply

    def _priced(self, reply: Reply, access: "Access", document: str, request: "Sent") -> Reply:
        """The reply and what it cost, where the document is good for an answer at all."""
        attachments = access.installation.edition.attachments
        parsed: Document | None = attachments["documents"].get(
            (document, request.operation or None)
        )
        if parsed is None:
            return reply
        limits = access.installation.requests.limits
        try:
            cost = parsed.price.cost(parsed.variables(request.variables, limits))
        except Refused:
            return reply
        told = encode({"cost": {"requested": cost, "limit": limits.cost}})
        return replace(reply, body=reply.body[:-1] + b',"extensions":' + told + b"}")

    async def execute(
        self,
        access: "Access",
        document: str,
        variables: dict[str, Any] | None = None,
        operation: str | None = None,
        *,
        locale: str = "en",
        reason: str | None = None,
        origin: str | None = None,
        read_only: bool = False,
        key: bytes | None = None,
        internal: bool = False,
    ) -> Reply:
        """Answer one request as ``access`` allows.

        A mutation with the same ``key`` and caller is done once, and answered alike each time.
        An ``internal`` document is one that no client sent, so that it need not be registered.

        Raises :class:`StaleAccess` when the caller's rights changed since they were loaded; nothing
        has been written then. ``read_only`` refuses mutations.
        """
        activity = CURRENT.get()
        if activity is not None:
            activity.tenant = access.installation.tenant.id
        edition = access.installation.edition
        if "documents" not in edition.attachments:
            await self._prepare(edition)
        documents: Cache[Document] = edition.attachments["documents"]
        schema = schema_of(edition)
        limits = access.installation.requests.limits
        try:
            if not (internal or is_open(access)):
                await permitted(self._platform, access, document)
            parsed = documents.use((document, operation))
            if parsed is None:
                parsed = _parse(schema, edition, document, operation, limits)
            if activity is not None:
                activity.kind = parsed.kind
                activity.name = parsed.name
            values = parsed.variables(variables, limits)
            if parsed.admitted is not limits:
                parsed.admit(limits, values)
        except Refused as refused:
            _drop(documents, (document, operation))
            await self._confirm(access)  # the schema it was held against may be of yesterday
            return _request_error(refused.errors)
        now = self._platform.now()
        request = Request(access, now, reason, origin, locale, values)
        try:
            if parsed.reads:
                reply = await self._read(schema, parsed, values, request)
                parsed.answered = True
                return reply
            if parsed.kind == "subscription":
                return _request_error([located(_STREAM, "METHOD_NOT_ALLOWED")])
            if read_only:
                return _request_error([located("Mutations need POST.", "METHOD_NOT_ALLOWED")])
            once = (
                keyed(self._platform.turns, key, access, document, operation, variables)
                if key is not None
                else None
            )
            mutations = Mutations(self._platform, schema, parsed, values, request, once)
            body = await mutations.run()
            parsed.answered = True
            if not mutations.begun:
                await self._confirm(access)  # what was refused may be allowed since
            if mutations.secrets:
                await self._tell(request, document, mutations.secrets)
            reply = _reply(body, mutations.errors, secret=True)
            return reply if once is None or once.ran else replace(reply, replayed=True)
        except Refusal as error:
            _drop(documents, (document, operation))
            if parsed.reads:
                await self._confirm(access)  # what was refused may be allowed since
            return _request_error([refusal(error)])
        except PluginFailed as error:  # its SQL could not be made
            _log.error("plugin '%s' failed in an SQL field", error.plugin, exc_info=error)
            return _request_error([located(error.message, error.code)])
        except (asyncpg.QueryCanceledError, DBAPIError) as error:
            if not timed_out(error):
                raise
            return _request_error([located(TOO_SLOW, "TIMEOUT")])
        except (asyncpg.DataError, UnicodeEncodeError):
            return _request_error([located("A value cannot be used in this query.", "INVALID")])

    async def follow(
        self, access: "Access", request: "Sent", *, locale: str = "en", origin: str | None = None
    ) -> Following | None:
        """What a subscription tells ``access``; None for any other operation.

        Raises :class:`Refused` or a :class:`Refusal` for one that is wrong, or not allowed.
        """
        try:
            return await self._following(access, request, locale, origin)
        except (Refused, Refusal):
            await self._confirm(access)  # what was refused may be allowed since
            raise

    async def _following(
        self, access: "Access", request: "Sent", locale: str, origin: str | None
    ) -> Following | None:
        edition = access.installation.edition
        if "documents" not in edition.attachments:
            await self._prepare(edition)
        document, operation = request.query, request.operation or None
        if document is None or not names_none(request):
            document = await named(self._platform, access, request)
        if not is_open(access):
            await permitted(self._platform, access, document)
        schema, limits = schema_of(edition), access.installation.requests.limits
        parsed: Document = edition.attachments["documents"].use((document, operation)) or _parse(
            schema, edition, document, operation, limits
        )
        if parsed.kind != "subscription":
            return None
        values = parsed.variables(request.variables, limits)
        parsed.admit(limits, values)
        now = self._platform.now()
        asked = Request(access, now, None, origin, locale, values)
        return following(self._platform, schema, parsed, values, asked, self._fetch)

    async def _prepare(self, edition: "Edition") -> None:
        """Make the schema; a plugin that keeps it from being made is left out from then on."""
        try:
            await prepare(edition)
        except Exception as error:
            if await self._platform.leave_out(edition, error):
                raise StaleAccess from error
            raise

    async def _read(
        self, schema: Schema, document: Document, variables: Variables, request: Request
    ) -> Reply:
        tenant = request.access.installation.tenant.id
        plan = self._plan(schema, document, variables, request)
        crowded = plan.crowded
        if crowded and tenant in crowded:
            plan = self._plan(schema, document, variables, request, apart=True)
        body = await self._answer(plan, variables, request)
        if body is None and plan.crowded is not None:
            plan = self._plan(schema, document, variables, request, apart=True)
            body = await self._answer(plan, variables, request)
            if crowded is not None and body is not None:
                crowded.add(tenant)
        if body is None:
            raise StaleAccess
        if not plan.steps and not plan.withheld and not plan.secrets:
            return Reply(b'{"data":' + body + b"}", True)
        errors = [withheld(w.message, w.path) for w in plan.withheld]
        secrets = dict.fromkeys(plan.secrets)
        if plan.steps:
            async with self._platform.context(
                request.access, locale=request.locale, reason=request.reason,
                origin=request.origin, read_only=True,
            ) as context:  # fmt: skip
                splicer = Splicer(
                    schema, document, variables, request, context,
                    lambda sql, arguments: self._fetch(sql, arguments, request),
                )  # fmt: skip
                body = await splicer.fill(body, plan.steps)
            errors += splicer.errors
            secrets |= splicer.secrets
        await self._tell(request, document.text, secrets)
        return _reply(body, errors, secret=bool(secrets))

    def _plan(
        self,
        schema: Schema,
        document: Document,
        variables: Variables,
        request: Request,
        *,
        apart: bool = False,
    ) -> ReadPlan:
        """The plan for variables of this form and a caller with these rights, made once."""
        caller, reasoned = request.access.caller, request.reason is not None
        key = (document.key(variables), caller.rights, caller.token_id is not None, reasoned, apart)
        plan: ReadPlan | None = document.plan(key)
        if plan is None:
            with traces.span("compile"):
                plan = compile_read(
                    schema, document.operation, variables, caller.rights, has_token=key[2],
                    reasoned=reasoned, apart=apart,
                )  # fmt: skip
            document.keep(key, plan)
        return plan

    def _answer(
        self, plan: ReadPlan, variables: Variables, request: Request
    ) -> Coroutine[Any, Any, Any]:
        statement = plan.statement
        arguments = statement.arguments(variables, request)
        return self._fetch(statement.sql, arguments, request, in_turn=plan.lists)

    async def _tell(self, request: Request, document: str, secrets: Iterable[str]) -> None:
        """Write down which secret values are about to be shown, before they are."""
        if told := sorted(secrets):
            pool, access = self._platform.pool, request.access
            origin = Origin(
                access.installation.tenant.id, access.caller, None, request.reason, request.origin
            )
            await disclosed(pool, origin, told, document, request.variables)

    async def _confirm(self, access: "Access") -> None:
        """Raise :class:`StaleAccess` unless the caller's rights and plugins are still these."""
        if access.caller.token_id is None:
            return
        request = Request(access, self._platform.now())
        statement = stamp_statement()
        if not await self._fetch(statement.sql, statement.arguments({}, request), request):
            raise StaleAccess

    async def _fetch(
        self, sql: str, arguments: Sequence[Any], request: Request, *, in_turn: bool = False
    ) -> Any:
        pool, tenant = self._platform.pool, request.access.installation.tenant.id
        connection = pool.ready(tenant, in_turn=in_turn) or await pool.take(tenant, in_turn=in_turn)
        try:
            row = await connection.answer(sql, arguments)
        except Exception as error:
            pool.raise_if_lost(connection, error)
            raise
        else:
            return None if row is None else row[0]
        finally:
            pool.give(connection)


def _parse(
    schema: Schema, edition: "Edition", text: str, operation: str | None, limits: "Limits"
) -> Document:
    """A document that is not in the edition's cache yet."""
    with traces.span("parse and validate", Refused):
        parsed = Document(schema, text, operation, edition.attachments["plans"], limits)
    edition.attachments["documents"].keep((text, operation), parsed, len(text))
    return parsed


def _drop(documents: Cache[Document], key: Hashable) -> None:
    """Keep nothing of a document that was refused, unless it is also answered."""
    parsed = documents.get(key)
    if parsed is not None and not parsed.answered:
        documents.drop(key)
        parsed.forget()


def _reply(body: bytes, errors: Errors, *, secret: bool) -> Reply:
    if not errors:
        return Reply(b'{"data":' + body + b"}", True, secret=secret)
    _note(errors)
    return Reply(b'{"errors":' + encode(errors) + b',"data":' + body + b"}", True, secret=secret)


def _request_error(errors: Errors) -> Reply:
    _note(errors)
    return Reply(b'{"errors":' + encode(errors) + b"}", False)


def _note(errors: Errors) -> None:
    """What the request is counted as: its first error."""
    if (activity := CURRENT.get()) is not None:
        activity.code = errors[0]["extensions"]["code"]
