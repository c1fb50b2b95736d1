"""Row 12: "injection through filter, sort, custom field name, JSON path, LIKE: 0 row or timing
differences".

Every text that a client or an operator gives, and that comes near SQL, is compared with a harmless
one: it does the same, and takes no longer.
"""

import base64
import csv
import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import doors
from commanding import commanding
from custom_fields import give
from desks import DOORS, LISTED, Desk, door
from figures import LONG, Figure
from guanxi_core.database.embedded import EmbeddedServer
from guanxi_core.importing import Document, import_file, plan_import
from guanxi_core.importing.formulas import unguarded
from guanxi_core.tenancy import create_tenant, find_tenant, list_tenants
from guanxi_customers import Customer, Customers
from guanxi_graphql.asgi import Answer
from guanxi_graphql.execute.engine import Engine
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_graphql.ratelimits import StrangerLimit
from guanxi_sdk import GuanxiError
from guanxi_sdk.testing.tokens import make_token
from guanxi_webhooks import Webhooks
from homes import Home

PROMISE = "through every door 0 row or timing differences"
NAMES = ["Ada", "Bob", "Cleo"]
HARMLESS = "harmless"
SLEEP = 3  # seconds, if it were executed
PAYLOADS = [
    "'", "''", '"', "`", "\\", "\\'", "' OR 1=1 --", "' OR '1'='1", "') OR ('1'='1", '" OR ""="',
    "1 OR 1=1", "1; DROP TABLE customers_customer", "'; DELETE FROM customers_customer; --",
    "' UNION SELECT tenant_id::text FROM guanxi_tenant --", "/*", "*/", "--", "#", "; --", "$1",
    "$$", "$$; SELECT 1; $$", "$x$a$x$", ":name", ":code", "%(name)s", "%s", "%", "%%", "_", "___",
    "A%", "\\%", "[a-z]", ".*", "^", "{0}", "{name}", "{{7*7}}", "${7*7}", "'||'Ada", "Ada'||'",
    "E'\\x41'", "U&'\\0041'", "chr(65)", "\u2019 OR 1=1", "\uff07 OR 1=1", "ʼ OR 1=1",
    "current_user",
    "(SELECT name FROM customers_customer LIMIT 1)", "name", "code", "tenant_id", "NULL", "default",
    "a' AND 1=(SELECT count(*) FROM guanxi_token) --", "->>'name'", "$.name", "'->'x", "null::text",
    "x' COLLATE \"C\" --", "x\r\ny: z", "<script>", "=cmd|'/c calc'!A0", "@SUM(1)",
]  # fmt: skip
SLEEPS = [
    f"pg_sleep({SLEEP})", f"'||pg_sleep({SLEEP})||'", f"'; SELECT pg_sleep({SLEEP}); --",
    f"' OR (SELECT 1 FROM pg_sleep({SLEEP})) IS NOT NULL --", f"1) OR pg_sleep({SLEEP}) IS NULL--",
    f"(SELECT pg_sleep({SLEEP}))", f"$$; SELECT pg_sleep({SLEEP}); $$",
    f'"; SELECT pg_sleep({SLEEP})', f"name; SELECT pg_sleep({SLEEP})",
]  # fmt: skip


@door
async def filtered(desk: Desk, text: str) -> Any:
    """A filter's value, as a variable."""
    return await desk.data(
        "query ($v: String, $vs: [String!]) { "
        "a: customers(where: {name: {eq: $v}}) { totalCount edges { node { name } } } "
        "b: customers(where: {name: {ne: $v}}, orderBy: NAME_ASC) { edges { node { name } } } "
        "c: customers(where: {name: {in: $vs}}) { edges { node { name } } } "
        "d: customers(where: {NOT: {code: {in: $vs}}}, orderBy: NAME_ASC) { totalCount } "
        "e: persons(where: {customer: {name: {eq: $v}}}) { totalCount } "
        "f: customers(where: {persons: {some: {name: {eq: $v}}}}) { totalCount } }",
        {"v": text, "vs": [text, "Ada"]},
    )  # fmt: skip


@door
async def written_into_the_document(desk: Desk, text: str) -> Any:
    """A filter's value, as a literal."""
    return await desk.data(LISTED % f"{{name: {{eq: {json.dumps(text)}}}}}")


@door
async def ordered(desk: Desk, text: str) -> Any:
    """An order, as a variable: an enum's value."""
    _, answer = await desk.ask(
        "query ($o: [CustomerOrderBy!]) { customers(orderBy: $o) { totalCount } }", {"o": [text]}
    )
    return answer["errors"][0]["extensions"], "data" in answer


@door
async def identified(desk: Desk, text: str) -> Any:
    """Ids, whole and in part."""
    return await desk.data(
        "query ($a: ID!, $b: ID!) { a: customer(id: $a) { name } b: customer(id: $b) { name } "
        "c: node(id: $a) { id } d: customers(where: {officeId: {eq: $b}}) { totalCount } }",
        {"a": text, "b": f"customer_{text}"},
    )


@door
async def paged(desk: Desk, text: str) -> Any:
    """Cursors: the text, and the text in a cursor's place for an id."""
    key = ["NAME_ASC", "Ada", text]
    inner = base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")
    return [
        await desk.ask(
            "query ($c: String) { customers(first: 2, orderBy: NAME_ASC, after: $c) "
            "{ edges { node { name } } } }", {"c": cursor},
        )
        for cursor in (text, inner)
    ]  # fmt: skip


@door
async def named(desk: Desk, text: str) -> Any:
    """Names of operations and their variables, beside those that the document has."""
    status, answer = await desk.ask(
        "query A { customers { totalCount } }", {text: text}, operationName=text
    )
    return status, answer["errors"][0]["extensions"]


@door
async def headed(desk: Desk, text: str) -> Any:
    """Headers of a read."""
    given = text.encode().replace(b"\r\n", b" ")
    kept = {
        "accept-language": given,
        "guanxi-reason": quote(given).encode(),
        "x-forwarded-for": given,
    }
    return await desk.data(LISTED % "{}", headers=kept)


@door
async def authorised(desk: Desk, text: str) -> Any:
    """A token; guessing would slow down at some point."""
    desk.endpoint._strangers = StrangerLimit()
    headers = {"authorization": f"Bearer {quote(text, safe=' =;')}".encode()}
    got = await desk.post(LISTED % "{}", headers=headers)
    return got.status, got.body if got.status == 401 else got


@door
async def stored(desk: Desk, text: str) -> Any:
    """Texts that are kept: they come back as they were, found by themselves alone."""
    desk.made += 1
    create = (
        "mutation ($c: String!, $n: String!) { createCustomer(input: {code: $c, name: $n, "
        "remarks: $n}) { customer { id name remarks version } errors { code path } } }"
    )
    reason = text.replace("\r\n", " ")
    key = f"{desk.made} {reason}".encode("ascii", "replace")
    made = await desk.data(
        create, {"c": f"new {desk.made}", "n": text},
        headers={"guanxi-reason": quote(reason).encode(), "idempotency-key": key},
    )  # fmt: skip
    customer = made["createCustomer"]["customer"]
    assert (customer["name"], customer["remarks"], customer["version"]) == (text, text, 1)
    identity = customer["id"]
    found = await desk.data(
        "query ($n: String) { customers(where: {name: {eq: $n}}) { edges { node { id } } } }",
        {"n": text},
    )
    assert found["customers"]["edges"] == [{"node": {"id": identity}}]
    told = await desk.data(
        "query ($r: String) { auditEntries(where: {rowId: {eq: $r}}) "
        "{ edges { node { reason action } } } }", {"r": identity},
    )  # fmt: skip
    (entry,) = told["auditEntries"]["edges"]
    assert entry["node"] == {"reason": reason.strip(), "action": "customers.customer.create"}
    async with desk.app.platform.pool.connection(desk.app.tenant.id) as connection:
        uuid = identity.removeprefix("customer_")
        await connection.execute("DELETE FROM customers_customer WHERE id = $1", uuid)
    return len(customer)


@door
async def imported(desk: Desk, text: str) -> Any:
    """Names of columns in a file and its mapping, and what the cells hold."""
    column = text.replace("\r\n", " ") + " column"
    path = Path(desk.app.folder) / "customers.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["code", column], ["imported", column]])
    access = await desk.app.access()
    models = access.installation.edition.models.values()
    mapping = f'[fields]\ncode = "code"\nname = {json.dumps(column, ensure_ascii=False)}\n'
    plan = plan_import("customers", models, Document.parse("map.toml", mapping))
    result = await import_file(desk.app.platform, access, plan, path)
    (made,) = [c for c in await desk.app.all(Customer) if c.code == "imported"]
    assert made.name == unguarded(column.strip())
    async with desk.app.platform.pool.connection(desk.app.tenant.id) as connection:
        await connection.execute("DELETE FROM customers_customer WHERE code = 'imported'")
    return [result.total(what) for what in ("created", "updated", "unchanged", "rejected")]


@door
async def administered(desk: Desk, text: str) -> Any:
    """Names of tenants, of plugins and of types, where they are looked for or made."""
    pool, outcome = desk.app.platform.pool, []
    before = len(await list_tenants(pool))
    for attempt in (find_tenant(pool, f"x {text}"), create_tenant(pool, f"x {text}")):
        with pytest.raises(GuanxiError) as refused:
            await attempt
        outcome.append(type(refused.value))
    assert len(await list_tenants(pool)) == before
    return outcome


@pytest.fixture
async def desk(guanxi: Any, tmp_path: Path) -> Desk:
    app = await guanxi(Customers(), Webhooks())
    app.folder = tmp_path
    await give(app, motto="TEXT", metal="CHOICE")
    for number, name in enumerate(NAMES):
        await app.add(Customer(code=f"C{number}", name=name))
    endpoint = GraphQLEndpoint(Answer(200, (), b""))
    endpoint.open(app.platform, Engine(app.platform))
    token = await make_token(app.platform.pool, app.tenant, ["*"], user="ada")
    return Desk(app, token, endpoint)


def _neutral(outcome: Any, text: str) -> Any:
    """The outcome with a mark where the text itself came back."""
    if isinstance(outcome, dict):
        return {key: _neutral(value, text) for key, value in outcome.items()}
    if isinstance(outcome, list | tuple):
        return [_neutral(item, text) for item in outcome]
    return "…" if outcome == text else outcome


async def test_no_text_does_more_than_a_harmless_one(desk: Desk, figure: Figure) -> None:
    """The fast form tries a sixth of the texts, other ones each time, at doors that take longer."""
    before = await desk.state()
    tried = 0
    for turn, (name, ask) in enumerate(DOORS.items()):
        expected = _neutral(await ask(desk, HARMLESS), HARMLESS)
        every = 1 if LONG or ask.__module__ != doors.__name__ else 6
        for text in (PAYLOADS + SLEEPS)[turn % every :: every]:
            assert _neutral(await ask(desk, text), text) == expected, (name, text)
            tried += 1
        assert await desk.state() == before, name
    figure(12, PROMISE, f"{len(DOORS)} doors, {tried} texts, 0 rows differ")


#: How often each is timed in the long form.
ROUNDS = 25
NAMES_OF_GRAPHQL = [
    "select",
    "pg_sleep",
    "tenant_id",
    "_0",
    "drop_table",
    "name",
    "x" * 300,
    "data",
]


async def test_aliases_are_keys_and_nothing_else(desk: Desk, figure: Figure) -> None:
    """An alias comes near SQL: as the key of an object that the database writes."""
    for alias in NAMES_OF_GRAPHQL:
        asked = await desk.ask(
            f"query {alias} {{ {alias}: customers(orderBy: NAME_ASC) "
            f"{{ {alias}: edges {{ {alias}: node {{ {alias}: name }} }} }} }}"
        )
        rows = [{alias: {alias: name}} for name in NAMES]
        assert asked == (200, {"data": {alias: {alias: rows}}})
    for wrong in PAYLOADS:
        if not re.fullmatch(r"[_A-Za-z]\w*", wrong, re.ASCII) and wrong not in ("#",):
            status, answer = await desk.ask(f"{{ {wrong}: customers {{ totalCount }} }}")
            assert (status, "data" in answer) == (200, False), (wrong, answer)
            assert answer["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    figure(12, PROMISE, f"{len(NAMES_OF_GRAPHQL)} aliases, keys of the answer and nothing else")


@pytest.mark.alone
async def test_no_text_takes_longer_than_a_harmless_one(desk: Desk, figure: Figure) -> None:
    """The fast form sees a sleep that is executed, the long one anything that costs."""
    worst = 0.0
    for name, ask in DOORS.items():
        for text in SLEEPS:
            if await _time(desk, ask, text) >= SLEEP:  # or the machine did something else
                assert await _time(desk, ask, text) < SLEEP, (name, text)
            if LONG:
                harmless = re.sub(r"[^a-z]", "x", text)  # as long, and as like to what is known
                times: dict[str, list[float]] = {harmless: [], text: []}
                await ask(desk, harmless)
                for _ in range(ROUNDS):
                    for tried, taken in times.items():
                        taken.append(await _time(desk, ask, tried))
                ratio = _quick(times[text]) / _quick(times[harmless])
                worst = max(worst, ratio)
                assert ratio < 1.5, (name, text, ratio)
    tries = f"{ROUNDS} × {len(SLEEPS)} sleeps at each door, quartiles ≤ {worst:.2f} ×"
    figure(12, PROMISE, tries if LONG else f"{len(SLEEPS)} sleeps at each door, none of them done")


async def _time(desk: Desk, ask: Any, text: str) -> float:
    began = time.perf_counter()
    await ask(desk, text)
    return time.perf_counter() - began


def _quick(taken: list[float]) -> float:
    """What the quicker ones took: the machine does other things, too."""
    return sorted(taken)[len(taken) // 4]


@pytest.mark.xdist_group("home")
def test_nor_does_the_command_line(
    home: Home,
    figure: Figure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    texts = [
        f"x {text}" for text in (PAYLOADS[::4] if LONG else ["'; DROP TABLE guanxi_tenant; --"])
    ]
    with EmbeddedServer(home.path) as server:
        guanxi = commanding(tmp_path, monkeypatch, capfdbinary, server.url("app"))
        listed = guanxi("tenant", "list")
        assert listed.status == 0
        for text in texts:
            for command in (("tenant", "create", text), ("schema", "--tenant", text)):
                refused = guanxi(*command)
                assert (refused.status, refused.out) == (1, ""), (command, refused)
                assert refused.err.startswith("guanxi: "), refused.err
        assert guanxi("tenant", "list") == listed
    figure(12, PROMISE, f"{len(texts)} names on the command line, all refused")
