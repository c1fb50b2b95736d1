"""What custom fields say of a person is erased with the person, wherever it was left."""

from typing import Any

from custom_fields import define, give
from guanxi_customers import Customer, Customers
from guanxi_graphql.execute.engine import Engine
from guanxi_sdk.testing import App, Boot, global_id

NICK, OLD = "Zyxocanary Countess", "Qwertzcanary Madame"
CREATE = """mutation ($input: CreatePersonInput!) {
  createPerson(input: $input) { person { id nick shoe } errors { message } } }"""
UPDATE = """mutation ($id: ID!, $input: UpdatePersonInput!) {
  updatePerson(id: $id, version: 1, input: $input) { person { nick } errors { message } } }"""
ERASE = """mutation ($id: String!) { erasePerson(id: $id) {
  result { rows { model fields } mentions { model id field } } errors { message } } }"""


async def told(app: App, document: str, **given: Any) -> Any:
    """Answered, and kept for whoever repeats it."""
    reply = await Engine(app.platform).execute(
        await app.access(), document, given, reason="a request", key=document.encode()[:32]
    )
    return reply.body


async def hits(app: App, word: str) -> list[str]:
    """The tables in which a word stands."""
    found = []
    async with app.platform.pool.connection(app.tenant.id) as connection:
        for row in await connection.fetch(
            "SELECT c.relname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace "
            "AND a.attname = 'tenant_id' AND has_table_privilege(c.oid, 'SELECT')"
        ):
            rows = await connection.fetch(f'SELECT to_jsonb(t)::text AS t FROM "{row["name"]}" t')
            texts = [one["t"] for one in rows]
            if row["name"] == "guanxi_idempotency":
                texts = [
                    one["t"]
                    for one in await connection.fetch(
                        "SELECT convert_from(body, 'UTF8') AS t FROM guanxi_idempotency"
                    )
                ]
            if any(word in text for text in texts):
                found.append(row["name"])
    return sorted(found)


async def test_values_go_with_the_person_and_from_all_traces(guanxi: Boot) -> None:
    app = await guanxi(Customers())
    await give(app, "Person", nick="TEXT", shoe="INT")
    await give(app, "Customer", remark="TEXT")
    old = await define(app, "title2", model="Person")
    customer = await app.add(Customer(code="A", name="A"))
    given = {"customerId": global_id(customer), "name": "Ada", "nick": OLD, "shoe": 41,
             "title2": OLD}  # fmt: skip
    body = await told(app, CREATE, input=given)
    identity = body.split(b'"id":"')[1].split(b'"')[0].decode()
    assert NICK.encode() in await told(app, UPDATE, id=identity, input={"nick": NICK})
    archive = """mutation ($id: ID!) { archiveCustomField(fieldId: $id) { errors { path } } }"""
    await app.graphql(archive, id=old)
    other = await app.graphql(
        "mutation ($input: CreatePersonInput!) { createPerson(input: $input) "
        "{ person { id } errors { message } } }",
        input={"customerId": global_id(customer), "name": "Bea", "nick": "Bumble", "shoe": 38},
    )
    assert await hits(app, NICK) == ["guanxi_audit", "guanxi_custom_value", "guanxi_idempotency"]
    assert len(await hits(app, OLD)) == 3
    await app.execute(ERASE, {"id": identity}, reason="request 7")
    assert await hits(app, "canary") == []
    stays = other["createPerson"]["person"]["id"]
    kept = await app.graphql("query ($id: ID!) { person(id: $id) { nick shoe } }", id=stays)
    assert kept["person"] == {"nick": "Bumble", "shoe": 38}


async def test_what_fields_said_that_were_converted_or_purged_is_erased_too(guanxi: Boot) -> None:
    """Also from replies that name nobody, and where the field takes no texts any more."""
    app = await guanxi(Customers())
    await give(app, "Person", nick="TEXT", shoe="INT")
    fields = [await define(app, name, model="Person") for name in ("eMail", "petName")]
    await define(app, "phoneKind", "CHOICE", model="Person", options=["MOBILE", "DESK"])
    customer = await app.add(Customer(code="A", name="A"))
    given = {"customerId": global_id(customer), "name": "Ada", "nick": "Countess",
             "eMail": "canary@example.org", "petName": OLD, "phoneKind": "MOBILE"}  # fmt: skip
    made = await app.graphql(CREATE, input=given)
    words = ["canary@example.org", OLD, "MOBILE"]
    for version, word in enumerate(words, 1):
        rename = f"""mutation M{version}($id: ID!, $name: String!) {{
          updateCustomer(id: $id, version: {version}, input: {{ name: $name }}) {{
            customer {{ name }} errors {{ message }} }} }}"""
        assert word.encode() in await told(app, rename, id=global_id(customer), name=word)
    change = """mutation ($id: ID!) { changeCustomField(fieldId: $id, kind: INT, lose: 1) {
      result { lost examples { value reason } } errors { message } } }"""
    assert b'"lost":1,"examples":[]}' in await told(app, change, id=fields[0])
    for verb in ("archive", "purge"):
        await app.graphql(
            f"mutation ($id: ID!) {{ {verb}CustomField(fieldId: $id) {{ errors {{ path }} }} }}",
            id=fields[1],
        )
    assert await hits(app, "canary") == ["guanxi_audit", "guanxi_idempotency"]
    identity = made["createPerson"]["person"]["id"]
    erased = await app.execute(ERASE, {"id": identity}, reason="request 9")
    assert erased["data"]["erasePerson"]["errors"] == []
    assert [("guanxi_idempotency" in await hits(app, word)) for word in words] == [
        False, False, True,
    ]  # fmt: skip


async def test_the_report_names_fields_and_other_rows_that_say_the_name(guanxi: Boot) -> None:
    app = await guanxi(Customers())
    await give(app, "Person", nick="TEXT")
    await give(app, "Customer", remark="TEXT")
    answer = await app.graphql(
        'mutation { createCustomer(input: { code: "A", name: "A", remark: "ask Adalbertina" }) '
        "{ customer { id } } }"
    )
    customer = answer["createCustomer"]["customer"]["id"]
    made = await app.graphql(
        "mutation ($input: CreatePersonInput!) { createPerson(input: $input) { person { id } } }",
        input={"customerId": customer, "name": "Adalbertina", "nick": "Berta"},
    )
    identity = made["createPerson"]["person"]["id"]
    erased = await app.execute(ERASE, {"id": identity}, reason="request 8")
    result = erased["data"]["erasePerson"]["result"]
    [person] = [rows for rows in result["rows"] if rows["model"] == "Person"]
    assert "nick" in person["fields"]
    assert result["mentions"] == [{"model": "Customer", "id": customer, "field": "remark"}]
