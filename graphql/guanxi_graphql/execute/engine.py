"""The engine: answers one GraphQL request."""

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
from sqlalchemy.exc import DBAPIError

from guanxi_core.audit import Origin
from guanxi_core.breakers import PluginFailed, timed_out
from guanxi_core.disclosing import disclosed
from guanxi_graphql.compile.binds import Request, Variables
from guanxi_graphql.compile.reads import ReadPlan, compile_read, stamp_statement
from guanxi_graphql.execute.documents import DOCUMENTS, PLANS, Cache, Document, Refused
from guanxi_graphql.execute.encoding import encode
from guanxi_graphql.execute.errors import TOO_SLOW, StaleAccess, located, refusal, withheld
from guanxi_graphql.execute.keyed import keyed
from guanxi_graphql.execute.mutations import Mutations
from guanxi_graphql.execute.splicing import Errors, Splicer
from guanxi_graphql.schema import Schema, schema_of
from guanxi_sdk import Refusal

if TYPE_CHECKING:
    from guanxi_core.platform import Access, Platform

_log = logging.getLogger(__name__)


class Reply(NamedTuple):
    """A response: its JSON, whether the operation ran (it has ``data``), or had run before."""

    body: bytes
    ok: bool
    replayed: bool = False


class Engine:
    """Executes documents on a platform; holds no state of its own."""

    def __init__(self, platform: "Platform") -> None:
        self._platform = platform

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
    ) -> Reply:
        """Answer one request as ``access`` allows.

        A mutation with the same ``key`` and caller is done once, and answered alike each time.

        Raises :class:`StaleAccess` when the caller's rights changed since they were loaded; nothing
        has been written then. ``read_only`` refuses mutations.
        """
        edition = access.installation.edition
        if "documents" not in edition.attachments:
            await asyncio.to_thread(schema_of, edition)
            edition.attachments.setdefault("plans", Cache(PLANS))
            edition.attachments.setdefault("documents", Cache(DOCUMENTS))
        documents: Cache[Document] = edition.attachments["documents"]
        schema = schema_of(edition)
        try:
            parsed = documents.use((document, operation))
            if parsed is None:
                parsed = Document(schema, document, operation, edition.attachments["plans"])
                documents.keep((document, operation), parsed)
            values = parsed.variables(variables)
        except Refused as refused:
            await self._confirm(access)  # the schema it was held against may be of yesterday
            return _request_error(refused.errors)
        now = self._platform.now()
        request = Request(access, now.date(), now, reason, origin, locale, values)
        try:
            if not parsed.writes:
                return await self._read(schema, parsed, values, request)
            if read_only:
                return _request_error([located("Mutations need POST.", "METHOD_NOT_ALLOWED")])
            once = keyed(key, access, document, operation, variables) if key is not None else None
            mutations = Mutations(self._platform, schema, parsed, values, request, once)
            body = await mutations.run()
            await self._tell(request, document, mutations.secrets)
            reply = _reply(body, mutations.errors)
            return reply if once is None or once.ran else reply._replace(replayed=True)
        except Refusal as error:
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

    async def _read(
        self, schema: Schema, document: Document, variables: Variables, request: Request
    ) -> Reply:
        caller = request.access.caller
        reasoned = request.reason is not None
        key = (document.key(variables), caller.rights, caller.token_id is not None, reasoned)
        plan: ReadPlan | None = document.plan(key)
        if plan is None:
            plan = compile_read(
                schema, document.operation, variables, caller.rights, has_token=key[2],
                reasoned=reasoned,
            )  # fmt: skip
            document.keep(key, plan)
        body = await self._fetch(
            plan.statement.sql, plan.statement.arguments(variables, request), request
        )
        if body is None:
            raise StaleAccess
        if not plan.steps and not plan.withheld and not plan.secrets:
            return Reply(b'{"data":' + body + b"}", True)
        errors = [withheld(w.message, w.path) for w in plan.withheld]
        secrets = dict.fromkeys(plan.secrets)
        if plan.steps:
            async with self._platform.context(
                request.access, locale=request.locale, read_only=True
            ) as context:
                splicer = Splicer(
                    schema, document, variables, request, context,
                    lambda sql, arguments: self._fetch(sql, arguments, request),
                )  # fmt: skip
                body = await splicer.fill(body, plan.steps)
            errors += splicer.errors
            secrets |= splicer.secrets
        await self._tell(request, document.text, secrets)
        return _reply(body, errors)

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
        now = self._platform.now()
        request = Request(access, now.date(), now)
        statement = stamp_statement()
        if not await self._fetch(statement.sql, statement.arguments({}, request), request):
            raise StaleAccess

    async def _fetch(self, sql: str, arguments: list[Any], request: Request) -> Any:
        pool = self._platform.pool
        connection = await pool.take(request.access.installation.tenant.id)
        try:
            return await connection.fetchval(sql, *arguments)
        except Exception as error:
            pool.raise_if_lost(connection, error)
            raise
        finally:
            pool.give(connection)


def _reply(body: bytes, errors: Errors) -> Reply:
    if not errors:
        return Reply(b'{"data":' + body + b"}", True)
    return Reply(b'{"errors":' + encode(errors) + b',"data":' + body + b"}", True)


def _request_error(errors: Errors) -> Reply:
    return Reply(b'{"errors":' + encode(errors) + b"}", False)
