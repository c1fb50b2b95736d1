"""The limit: what a server in Python can do at most, one handler per workload written by hand.

Each request is one prepared statement whose answer is the response. There is no GraphQL, no token,
no permission, no row-level security (the connections belong to the owner of the tables), no audit
and no outbox; the tenant is the only one it knows, though the statements name it, because the keys
begin with it. Text is put together in SQL, which takes two thirds of the time of `row_to_json`.
"""

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

CONNECTIONS = 40  # more than requests at a time, even while a run's last ones are still answered

_NODE = """'{"id":"customer_' || c.id || '","code":' || to_json(c.code)
    || ',"name":' || to_json(c.name)
    || ',"nameEn":' || coalesce(to_json(c.name_en)::text, 'null')
    || ',"lifecycle":"' || c.lifecycle || '","version":' || c.version"""

_CUSTOMER = f"""
    SELECT convert_to({_NODE} || '}}', 'UTF8')
    FROM customers_customer c WHERE c.tenant_id = $1 AND c.id = $2
"""

_OFFICE = f"""
    SELECT convert_to(coalesce(string_agg('{{"node":' || {_NODE}
        || ',"office":{{"name":' || to_json(o.name)
        || '}},"persons":{{"edges":[' || coalesce(p.edges, '')
        || ']}},"activities":{{"edges":[' || coalesce(a.edges, '')
        || ']}}}}}}', ',' ORDER BY c.id), ''), 'UTF8')
    FROM (
        SELECT id, code, name, name_en, lifecycle, version, office_id FROM customers_customer
        WHERE tenant_id = $1 AND office_id = $2 AND archived_at IS NULL ORDER BY id LIMIT 50
    ) c
    JOIN customers_office o ON o.tenant_id = $1 AND o.id = c.office_id
    CROSS JOIN LATERAL (
        SELECT string_agg('{{"node":{{"id":"person_' || r.id || '","name":' || to_json(r.name)
            || ',"title":' || coalesce(to_json(r.title)::text, 'null')
            || ',"role":"' || r.role
            || '","department":' || coalesce('{{"name":' || to_json(d.name) || '}}', 'null')
            || '}}}}', ',' ORDER BY r.id) AS edges
        FROM (
            SELECT id, name, title, role, department_id FROM customers_person
            WHERE tenant_id = $1 AND customer_id = c.id AND archived_at IS NULL
            ORDER BY id LIMIT 10
        ) r
        LEFT JOIN customers_department d ON d.tenant_id = $1 AND d.id = r.department_id
    ) p
    CROSS JOIN LATERAL (
        SELECT string_agg('{{"node":{{"id":"activity_' || r.id || '","kind":"' || r.kind
            || '","subject":' || to_json(r.subject)
            || ',"status":"' || r.status
            || '","plannedOn":' || coalesce('"' || r.planned_on || '"', 'null')
            || '}}}}', ',' ORDER BY r.id) AS edges
        FROM (
            SELECT id, kind, subject, status, planned_on FROM customers_activity
            WHERE tenant_id = $1 AND customer_id = c.id AND archived_at IS NULL
            ORDER BY id LIMIT 10
        ) r
    ) a
"""

_TIER = f"""
    WITH met AS MATERIALIZED (
        SELECT c.id, c.code, c.name, c.name_en, c.lifecycle, c.version
        FROM tiers_standing s JOIN customers_customer c ON c.tenant_id = $1 AND c.id = s.id
        WHERE s.tenant_id = $1 AND s.tier = $2 AND c.archived_at IS NULL
    ), page AS MATERIALIZED (SELECT * FROM met ORDER BY name, id LIMIT 100)
    SELECT convert_to('"totalCount":' || met.count
        || ',"pageInfo":{{"hasNextPage":' || (met.count > 100)
        || ',"endCursor":' || coalesce((
            SELECT '"' || translate(encode(convert_to(
                json_build_array('NAME_ASC', name, id)::text, 'UTF8'), 'base64'), E'+/=\\n', '-_')
                || '"'
            FROM (SELECT name, id FROM page ORDER BY name DESC, id DESC LIMIT 1) AS last
        ), 'null') || '}},"edges":[' || coalesce((
            SELECT string_agg('{{"node":' || {_NODE} || '}}}}', ',') FROM page c
        ), '') || ']', 'UTF8')
    FROM (SELECT count(*) FROM met) met
"""

_CREATE = """
    INSERT INTO customers_activity (tenant_id, id, customer_id, kind, subject, planned_on, status)
    VALUES ($1, $2, $3, $4, $5, $6, 'PLANNED')
    RETURNING convert_to('{"id":"activity_' || id || '","kind":"' || kind
        || '","subject":' || to_json(subject) || ',"status":"' || status
        || '","plannedOn":' || coalesce('"' || planned_on || '"', 'null') || '}', 'UTF8')
"""


class _ById(msgspec.Struct):
    id: str


class _ByOffice(msgspec.Struct):
    office: str


class _ByTier(msgspec.Struct):
    tier: str


class _Activity(msgspec.Struct, rename="camel"):
    customer_id: str
    kind: str
    subject: str
    planned_on: dt.date


class _NewActivity(msgspec.Struct):
    input: _Activity


def _created(given: _NewActivity) -> tuple[Any, ...]:
    row = given.input
    return uuid7(), row.customer_id[9:], row.kind, row.subject, row.planned_on


#: By workload: type of the variables, their values for the statement, statement, and what goes
#: before and after its answer.
_HANDLERS: dict[str, tuple[type, Callable[[Any], tuple[Any, ...]], str, bytes, bytes]] = {
    "W1": (
        _ById, lambda given: (given.id[9:],), _CUSTOMER,
        b'{"data":{"customer":', b"}}",
    ),
    "W2": (
        _ByOffice, lambda given: (given.office[7:],), _OFFICE,
        b'{"data":{"customers":{"edges":[', b"]}}}",
    ),
    "W3": (_ByTier, lambda given: (given.tier,), _TIER, b'{"data":{"customers":{', b"}}}"),
    "W4": (
        _NewActivity, _created, _CREATE,
        b'{"data":{"createActivity":{"activity":', b',"errors":[]}}}',
    ),
}  # fmt: skip


class Limit:
    """An ASGI application; each workload has a path."""

    def __init__(self, url: str, tenant_id: UUID) -> None:
        self._url = url
        self._tenant_id = tenant_id
        self._idle: list[dict[str, Callable[..., Awaitable[bytes]]]] = []
        self._connections: list[Any] = []
        self._decoders: dict[str, Callable[[bytes], Any]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or open and close the connections."""
        if scope["type"] == "lifespan":
            await receive()
            await self.open()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        length = int(dict(scope["headers"])[b"content-length"])
        body = b""
        while len(body) < length:  # Granian has an empty message after it: do not wait for that
            body += (await receive())["body"]
        answer = await self.answer(scope["path"][1:], body)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", b"%d" % len(answer)),
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer})

    async def answer(self, workload: str, body: bytes) -> bytes:
        """The response to one request."""
        _, values, _, before, after = _HANDLERS[workload]
        arguments = values(self._decoders[workload](body).variables)
        statements = self._idle.pop()  # the last one back, so that few of them are busy
        try:
            return before + await statements[workload](self._tenant_id, *arguments) + after
        finally:
            self._idle.append(statements)

    async def open(self) -> None:
        """Connect and prepare."""
        for name, (variables, *_) in _HANDLERS.items():
            request = msgspec.defstruct("Request", [("variables", variables)])
            self._decoders[name] = msgspec.json.Decoder(request).decode
        for _ in range(CONNECTIONS):
            connection = await asyncpg.connect(
                self._url, server_settings={"jit": "off", "guanxi.tenant": str(self._tenant_id)}
            )
            self._connections.append(connection)
            self._idle.append(
                {
                    name: (await connection.prepare(handler[2])).fetchval
                    for name, handler in _HANDLERS.items()
                }
            )

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            await connection.close()
