"""Private columns: plugin code reads them, and nobody else learns of them."""

import re

import pytest
import sqlalchemy as sa
import with_strangers
from sqlalchemy.orm import Mapped
from with_strangers import Heard, Listener, Visitor, Visitors

from guanxi_core.editions import compose
from guanxi_core.importing.errors import ImportFailed
from guanxi_core.importing.mapping import Document
from guanxi_core.importing.planning import plan_import
from guanxi_graphql.schema import schema_of
from guanxi_sdk import Invalid, Model, PluginError, column

PIN = "4711-0815"


@pytest.fixture
async def app(guanxi, monkeypatch):
    monkeypatch.setattr(with_strangers, "behaviour", {})
    return await guanxi(Visitors(), Listener())


async def test_plugin_code_reads_and_writes_it(app):
    made = await app.add(Visitor(name="Ada", pin=PIN))
    assert (await app.get(Visitor, made.id)).pin == PIN
    assert (await app.get(Visitor, made.id)).tries == 3
    async with app.context() as ctx:
        assert await ctx.update_where(Visitor, Visitor.pin == PIN, pin="1") == 1
        await ctx.save_many(Visitor, [{"name": "Bob", "pin": "2", "tries": 1}])
    assert {(one.name, one.pin, one.tries) for one in await app.all(Visitor)} == {
        ("Ada", "1", 3), ("Bob", "2", 1),
    }  # fmt: skip
    with pytest.raises(Invalid, match="pin is longer than 500 characters"):
        await app.add(Visitor(name="Eve", pin="x" * 501))


async def test_a_generated_create_takes_its_default(app):
    made = await app.graphql(
        'mutation { createVisitor(input: { name: "Ada" }) { visitor { id version } } }'
    )
    updated = await app.graphql(
        'mutation ($id: ID!) { updateVisitor(id: $id, version: 1, input: { name: "Bob" }) '
        "{ visitor { name } errors { message } } }",
        id=made["createVisitor"]["visitor"]["id"],
    )
    assert updated["updateVisitor"]["errors"] == []
    [visitor] = await app.all(Visitor)
    assert (visitor.name, visitor.pin, visitor.tries) == ("Bob", None, 3)


def test_it_is_in_no_type_of_the_schema():
    from graphql import print_schema

    schema = print_schema(schema_of(compose([Visitors])).graphql)
    visitor = schema[schema.index("type Visitor ") :]
    assert "name: String!" in visitor
    assert "pin" not in visitor.split("type Query")[0].split("}")[0]
    for wrong in ("pin:", "PIN_ASC", "tries:", "TRIES_"):
        assert not re.search(rf"\b{wrong}", schema)
    assert set(Visitor.info.private) == {"pin", "tries"}
    assert not set(Visitor.info.private) & set(Visitor.info.fields)


async def test_the_audit_and_events_tell_of_the_change_alone(app):
    ada = await app.add(Visitor(name="Ada", pin=PIN))
    await app.graphql(
        "mutation ($id: ID!, $pin: String!) { letIn(id: $id, code: $pin) { visitor { id } } }",
        id=ada, pin=PIN * 2,
    )  # fmt: skip
    async with app.context() as ctx:
        await ctx.update_where(Visitor, Visitor.name == "Ada", pin=PIN * 3)
    await app.deliver()
    async with app.platform.pool.connection(app.tenant.id) as connection:
        rows = await connection.fetch(
            "SELECT action, changes::text FROM guanxi_audit "
            "WHERE tenant_id = $1 AND model = 'Visitor' ORDER BY id", app.tenant.id
        )  # fmt: skip
        events = await connection.fetch(
            "SELECT name, payload::text FROM guanxi_outbox WHERE tenant_id = $1", app.tenant.id
        )
    assert len(rows) == 3
    assert "let_in" in rows[1]["action"]
    assert [row["changes"] for row in rows[1:]] == ["{}", "{}"]
    kept = repr([*map(tuple, rows), *map(tuple, events)])
    assert PIN not in kept
    assert "pin" not in kept.replace("visitors.let_in", "")
    names = [one.name for one in await app.all(Heard)]
    assert names == ["VisitorCreated", "VisitorUpdated", "VisitorUpdated"]


async def test_no_value_is_in_an_error_of_the_database(app):
    await app.add(Visitor(name="Ada", pin=PIN))
    nothing = sa.func.length(Visitor.pin) - len(PIN)
    with pytest.raises(Invalid) as failed:
        async with app.context() as ctx:
            await ctx.db.execute(sa.select(1 / nothing).where(Visitor.pin == PIN))
    logged = str(failed.value.__cause__)
    assert "division by zero" in logged
    assert PIN not in logged


def test_an_import_does_not_know_it():
    assert plan_import("visitors", [Visitor], Document.parse("m.toml", '[fields]\nname = "Name"'))
    with pytest.raises(ImportFailed, match="pin"):
        plan_import("visitors", [Visitor], Document.parse("m.toml", '[fields]\npin = "PIN"'))


def test_a_required_one_closes_the_generated_create():
    with pytest.raises(PluginError, match="no generated create can fill 'pin', which is private"):

        class Locked(Model, plugin="locked"):
            """Has a key."""

            pin: Mapped[str] = column(private=True)

    class Safe(Model, plugin="locked", closed=["create"]):
        """Has a key that its plugin gives it."""

        pin: Mapped[str] = column(private=True)

    assert Safe.info.stored("pin").required
