"""One transaction: data, audit and outbox together, or nothing at all."""

import datetime as dt
from contextlib import suppress

import pytest
import sqlalchemy as sa
from uuid_utils.compat import uuid7
from with_contacts import Address, Contact, ContactHooks, ContactMerged, Contacts, Warmth
from with_notes import READ, WRITE, Note, NoteAdded, Notes
from with_standing import Standing, StandingPlugin

from guanxi_core import hooks
from guanxi_core.system_tables import audit_table, outbox_table
from guanxi_sdk import (
    Conflict,
    CoreHooks,
    Event,
    Forbidden,
    Invalid,
    Money,
    NotFound,
    Permission,
    PluginError,
)


@pytest.fixture
async def app(guanxi):
    return await guanxi(Contacts(), Notes(), StandingPlugin())


async def rows(app, table):
    """The audit or outbox rows of the tenant that plugin code caused, oldest first."""
    async with app.context() as ctx:
        found = await ctx.db.execute(
            sa.select(table).where(table.c.tenant_id == ctx.tenant.id).order_by(table.c.id)
        )
        mine = [dict(row) for row in found.mappings()]
    return [row for row in mine if not row.get("action", "").startswith("guanxi.")]


async def changes(app):
    return [(row["action"], row["changes"]) for row in await rows(app, audit_table)]


async def events(app):
    return [(row["name"], row["payload"]) for row in await rows(app, outbox_table)]


async def owner(database, statement):
    from guanxi_core.database.connections import connect

    connection = await connect(database.owner_url)
    await connection.execute(statement)
    await connection.close()


class TestAudit:
    async def test_a_new_row_is_recorded_with_its_values(self, app):
        contact = await app.add(
            Contact(
                name="Ada", warmth=Warmth.WARM, born=dt.date(1815, 12, 10), tags=["x", "y"],
                debt=Money(1230, "CNY"), addresses=[Address(city="London", since=1835)],
            )
        )  # fmt: skip
        (row,) = await rows(app, audit_table)
        assert row["action"] == "contacts.contact.create"
        assert (row["model"], row["row_id"]) == ("Contact", f"contact_{contact.id}")
        assert row["actor"].startswith("token ")
        assert row["changes"] == {
            "name": [None, "Ada"],
            "warmth": [None, "WARM"],
            "born": [None, "1815-12-10"],
            "tags": [None, ["x", "y"]],
            "debt": [None, {"amount": "12.30", "currency": "CNY"}],
            "addresses": [None, [{"city": "London", "since": 1835}]],
            "friendly": [None, True],
        }

    async def test_an_update_is_recorded_before_and_after(self, app):
        contact = await app.add(Contact(name="Ada", debt=Money(5, "JPY")))
        async with app.context() as ctx:
            row = await ctx.get(Contact, contact.id)
            row.name = "Augusta"
            row.debt = None
            row.age = 36
            row.warmth = Warmth.COLD  # as it was
        assert (await changes(app))[1:] == [
            (
                "contacts.contact.update",
                {
                    "name": ["Ada", "Augusta"],
                    "debt": [
                        {"amount": "5", "currency": "JPY"},
                        None,
                    ],
                    "age": [None, 36],
                },
            )
        ]

    async def test_archiving_and_restoring_have_names_of_their_own(self, app):
        contact = await app.add(Contact(name="Ada"))
        for when in (app.clock(), None):
            async with app.context() as ctx:
                (await ctx.get(Contact, contact.id)).archived_at = when
        actions = [action for action, _ in await changes(app)]
        assert actions == [f"contacts.contact.{verb}" for verb in ("create", "archive", "restore")]
        assert [name for name, _ in await events(app)] == [
            "ContactCreated", "ContactArchived", "ContactRestored",
        ]  # fmt: skip

    async def test_several_flushes_of_a_row_are_one_record(self, app):
        async with app.context() as ctx:
            ada = await ctx.add(Contact(name="Ada"))
            ada.name = "Augusta"
            await ctx.db.flush()
            gone = await ctx.add(Contact(name="Gone"))
            await ctx.db.delete(gone)
            await ctx.db.flush()
        assert await changes(app) == [
            (
                "contacts.contact.create",
                {"name": [None, "Augusta"], "warmth": [None, "COLD"], "friendly": [None, True]},
            )
        ]
        async with app.context() as ctx:
            row = await ctx.get(Contact, ada.id)
            for name in ("B", "C"):
                row.name = name
                await ctx.db.flush()
        assert (await changes(app))[1:] == [("contacts.contact.update", {"name": ["Augusta", "C"]})]
        async with app.context() as ctx:
            row = await ctx.get(Contact, ada.id)
            row.name = "D"
            await ctx.db.flush()
            await ctx.db.delete(row)
        verb, deleted = (await changes(app))[2]
        assert verb == "contacts.contact.delete"
        assert deleted["name"] == ["C", None]

    async def test_nothing_changed_nothing_recorded(self, app):
        contact = await app.add(Contact(name="Ada"))
        async with app.context() as ctx:
            (await ctx.get(Contact, contact.id)).name = "Ada"
        assert len(await changes(app)) == 1
        assert (await app.get(Contact, contact.id)).version == 1

    async def test_a_mutation_names_all_its_changes(self, app):
        access = await app.access()
        async with app.platform.context(
            access, action="notes.add_note", reason="because", origin="graphql"
        ) as ctx:
            contact = await ctx.add(Contact(name="Ada"))
            await ctx.add(Note(contact_id=contact.id, body="x"))
        found = await rows(app, audit_table)
        assert {row["action"] for row in found} == {"notes.add_note"}
        assert {(row["reason"], row["origin"]) for row in found} == {("because", "graphql")}
        assert {row["model"] for row in found} == {"Contact", "Note"}

    async def test_it_is_undone_with_the_data(self, app):
        with pytest.raises(Invalid):  # noqa: PT012
            async with app.context() as ctx:
                await ctx.add(Contact(name="Ada"))
                ctx.emit(ContactMerged(winner_id=uuid7(), loser_id=uuid7()))
                raise Invalid("name", "is wrong")
        assert await app.all(Contact) == []
        assert await changes(app) == await events(app) == app.events == []

    async def test_a_savepoint_takes_its_records_with_it(self, app):
        async with app.context() as ctx:
            await ctx.add(Contact(name="kept"))
            with pytest.raises(Invalid):  # noqa: PT012
                async with ctx.db.begin_nested():
                    await ctx.add(Contact(name="undone"))
                    ctx.emit(ContactMerged(winner_id=uuid7(), loser_id=uuid7()))
                    raise Invalid("name", "is wrong")
            async with ctx.db.begin_nested():
                await ctx.add(Contact(name="kept too"))
        assert [made["name"][1] for _, made in await changes(app)] == ["kept", "kept too"]
        assert app.events == []

    @pytest.mark.parametrize("leave", ["rollback", "close", "reset"])
    async def test_leaving_the_transaction_early_leaves_no_records(self, app, leave):
        async with app.context() as ctx:
            await ctx.add(Contact(name="undone"))
            await getattr(ctx.db, leave)()
            await ctx.add(Contact(name="kept"))
        assert [made["name"][1] for _, made in await changes(app)] == ["kept"]
        assert [contact.name for contact in await app.all(Contact)] == ["kept"]

    async def test_a_context_without_work_writes_nothing(self, app):
        async with app.context() as ctx:
            assert ctx.ask(CoreHooks.write_errors, model=Contact, verb="create", values={}) == []
        assert await changes(app) == []


class TestEvents:
    async def test_they_are_kept_with_the_data_in_order(self, app):
        ids = [uuid7(), uuid7()]
        async with app.context() as ctx:
            contact = await ctx.add(Contact(name="Ada"))
            for loser in ids:
                ctx.emit(ContactMerged(winner_id=contact.id, loser_id=loser))
        expected = [ContactMerged(winner_id=contact.id, loser_id=loser) for loser in ids]
        assert app.events == expected
        assert await events(app) == [
            ("ContactCreated", {"id": str(contact.id)}),
            *(
                ("ContactMerged", {"winner_id": str(contact.id), "loser_id": str(loser)})
                for loser in ids
            ),
        ]
        statuses = {(row["name"], row["status"]) for row in await rows(app, outbox_table)}
        assert statuses == {("ContactCreated", "relayed"), ("ContactMerged", "new")}

    async def test_emitting_alone_is_enough(self, app):
        async with app.context() as ctx:
            ctx.emit(ContactMerged(winner_id=uuid7(), loser_id=uuid7()))
        assert [name for name, _ in await events(app)] == ["ContactMerged"]

    async def test_an_undeclared_event_is_an_error_of_the_author(self, guanxi):
        class Unheard(Event):
            """Never declared."""

        app = await guanxi(Contacts())
        async with app.context() as ctx:
            for event in (Unheard(), NoteAdded(note_id=uuid7(), contact_id=uuid7())):
                with pytest.raises(PluginError, match=rf"{type(event).__name__}.*events=\[…\]"):
                    ctx.emit(event)

    async def test_a_failing_listener_harms_nobody(self, app, caplog):
        app.platform.listeners.insert(0, lambda tenant, events: 1 / 0)
        await app.add(Contact(name="Ada"))
        assert "a listener failed" in caplog.text
        assert len(await app.all(Contact)) == 1


class TestCaller:
    async def test_permissions(self, app):
        async with app.context(can=[READ]) as ctx:
            ctx.require(READ)
            assert ctx.caller.may("notes.read")
            with pytest.raises(Forbidden, match=r"'notes\.write'"):
                ctx.require(WRITE)
            with pytest.raises(Forbidden):
                ctx.require(Permission("notes.unheard", "Nobody has it."))

    async def test_it_knows_tenant_locale_and_time(self, app):
        app.clock.set(dt.datetime(2024, 2, 29, 23, 30, tzinfo=dt.UTC))
        async with app.context(locale="zh") as ctx:
            app.clock.advance(hours=1)
            assert (ctx.tenant, ctx.locale) == (app.tenant, "zh")
            assert ctx.now() == dt.datetime(2024, 2, 29, 23, 30, tzinfo=dt.UTC)
            assert ctx.today() == dt.date(2024, 2, 29)

    async def test_it_asks_the_enabled_plugins(self, app):
        contact = await app.add(Contact(name="Ada"))
        async with app.context() as ctx:
            asked = ctx.ask(ContactHooks.merge_warnings, contact=contact)
            assert asked == ctx.ask("merge_warnings", contact=contact)
        assert asked == ["The notes on Ada will move."]

    async def test_failures_of_hooks_are_counted(self, app, monkeypatch):
        def broken(self, contact):
            raise SystemExit(3)

        edition = (await app.access()).installation.edition
        answer = edition.hooks["merge_warnings"].answers[0].contribution
        monkeypatch.setattr(type(answer), "function", broken, raising=False)
        monkeypatch.setitem(edition.attachments, hooks._PREPARED, {})
        async with app.context() as ctx:
            assert ctx.ask("merge_warnings", contact=Contact(name="x")) == []
        assert app.platform.breakers.failures["notes", "merge_warnings"] == 1


class TestGet:
    async def test_a_missing_row_names_the_argument(self, app):
        with pytest.raises(NotFound) as refused:
            async with app.context() as ctx:
                await ctx.get(Contact, uuid7(), path="contact_id")
        assert refused.value.path == "contact_id"

    async def test_raw_sees_what_was_flushed(self, app):
        async with app.context() as ctx:
            contact = Contact(name="Ada")
            ctx.db.add(contact)
            connection = await ctx.raw()
            found = await connection.fetchval(
                "SELECT name FROM contacts_contact WHERE tenant_id = $1 AND id = $2",
                ctx.tenant.id, contact.id,
            )  # fmt: skip
        assert found == "Ada"


class TestUpdateWhere:
    async def test_versions_audit_and_outbox_are_kept(self, app):
        ada = await app.add(Contact(name="Ada", debt=Money(-5, "CNY"), tags=["a"]))
        bob = await app.add(Contact(name="Bob", debt=Money(1005, "KWD")))
        await app.add(Contact(name="Eve", warmth=Warmth.WARM))
        access = await app.access()
        async with app.platform.context(access, action="contacts.forgive", reason="jubilee") as ctx:
            loaded = await ctx.get(Contact, ada.id)
            count = await ctx.update_where(
                Contact, Contact.warmth == Warmth.COLD, debt=Money(0, "JPY"), warmth=Warmth.WARM
            )
            assert (loaded.version, loaded.debt) == (2, Money(0, "JPY"))
        assert count == 2
        forgiven = [r for r in await rows(app, audit_table) if r["action"] == "contacts.forgive"]
        assert {r["reason"] for r in forgiven} == {"jubilee"}
        nothing = {"amount": "0", "currency": "JPY"}
        assert {r["row_id"]: r["changes"] for r in forgiven} == {
            f"contact_{ada.id}": {
                "debt": [{"amount": "-0.05", "currency": "CNY"}, nothing],
                "warmth": ["COLD", "WARM"],
            },
            f"contact_{bob.id}": {
                "debt": [{"amount": "1.005", "currency": "KWD"}, nothing],
                "warmth": ["COLD", "WARM"],
            },
        }
        updated = [payload["id"] for name, payload in await events(app) if name == "ContactUpdated"]
        assert sorted(updated) == sorted([str(ada.id), str(bob.id)])
        assert [c.version for c in await app.all(Contact)] == [2, 2, 1]

    async def test_it_takes_expressions_and_conditions_on_other_models(self, app):
        ada = await app.add(Contact(name="Ada", age=36))
        await app.add(Contact(name="Bob", age=1))
        await app.add(Note(contact_id=ada.id, body="x"))
        async with app.context() as ctx:
            has_note = Contact.id.in_(sa.select(Note.contact_id))
            assert await ctx.update_where(Contact, has_note, age=Contact.age + 1) == 1
        assert (await app.get(Contact, ada.id)).age == 37
        assert (await changes(app))[-1] == ("contacts.contact.update", {"age": [36, 37]})

    async def test_it_sees_what_was_not_flushed_yet(self, app):
        async with app.context() as ctx:
            ctx.db.add(Contact(name="Ada"))
            assert await ctx.update_where(Contact, Contact.name == "Ada", age=1) == 1

    async def test_archiving(self, app):
        await app.add(Contact(name="Ada"))
        async with app.context() as ctx:
            await ctx.update_where(Contact, sa.true(), archived_at=ctx.now())
            await ctx.update_where(Contact, sa.true(), archived_at=None)
        assert {action for action, _ in await changes(app)} == {
            f"contacts.contact.{verb}" for verb in ("create", "archive", "restore")
        }

    async def test_other_tenants_keep_theirs(self, app, guanxi):
        other = await guanxi(Contacts())
        await other.add(Contact(name="Ada"))
        async with app.context() as ctx:
            assert await ctx.update_where(Contact, Contact.name == "Ada", age=1) == 0

    async def test_what_does_not_fit_is_refused(self, app):
        for values, path in (
            ({"name": "x" * 41}, "name"),
            ({"age": -1}, "age"),
            ({"unheard": 1}, "unheard"),
            ({"version": 7}, "version"),
            ({"id": uuid7()}, "id"),
            ({"tenant_id": uuid7()}, "tenant_id"),
        ):
            with pytest.raises(Invalid) as refused:
                async with app.context() as ctx:
                    await ctx.update_where(Contact, sa.true(), **values)
            assert refused.value.path == path


class TestSaveMany:
    async def test_it_inserts_and_updates_by_id(self, app):
        ada = await app.add(Contact(name="Ada", age=1, friendly=False))
        new = uuid7()
        rows_ = [
            {"id": ada.id, "name": "Augusta", "debt": Money(3, "CNY"), "tags": ["a", "b"],
             "warmth": Warmth.WARM, "addresses": [Address(city="巴黎")],
             "met_at": dt.datetime(2020, 1, 1, tzinfo=dt.UTC), "born": dt.date(2000, 1, 1)},
            {"id": new, "name": "Bob", "debt": None, "tags": None, "warmth": Warmth.COLD,
             "addresses": None, "met_at": None, "born": None},
        ]  # fmt: skip
        async with app.context() as ctx:
            loaded = await ctx.get(Contact, ada.id)
            assert await ctx.save_many(Contact, rows_) == 2
            assert loaded.name == "Augusta"
        first, second = await app.get(Contact, ada.id), await app.get(Contact, new)
        assert (first.name, first.version, first.age, first.friendly) == ("Augusta", 2, 1, False)
        assert (first.debt, first.tags) == (Money(3, "CNY"), ["a", "b"])
        assert first.addresses == [Address(city="巴黎")]
        assert (first.met_at, first.born) == (rows_[0]["met_at"], rows_[0]["born"])
        assert (second.name, second.version, second.friendly) == ("Bob", 1, True)
        summary = {"count": 2, "first": str(ada.id), "last": str(new)}
        assert (await changes(app))[1:] == [
            ("contacts.contact.save_many", {k: [None, v] for k, v in summary.items()})
        ]
        assert (await events(app))[1:] == [("ContactsSaved", summary)]

    async def test_each_chunk_has_one_record(self, app, monkeypatch):
        monkeypatch.setattr("guanxi_core.bulk.CHUNK", 2)
        async with app.context() as ctx:
            assert await ctx.save_many(Contact, [{"name": str(i)} for i in range(5)]) == 5
        assert [c["count"] for _, c in await changes(app)] == [[None, 2], [None, 2], [None, 1]]

    async def test_side_tables(self, app):
        ada = await app.add(Contact(name="Ada"))
        for rank in (1, 2):
            async with app.context() as ctx:
                row = {"id": ada.id, "rank": rank, "worth": Money(9, "CNY")}
                await ctx.save_many(Standing, [row])
        async with app.context() as ctx:
            (standing,) = await ctx.db.scalars(sa.select(Standing))
        assert (standing.rank, standing.worth) == (2, Money(9, "CNY"))
        assert (await events(app))[1:] == [("standing.StandingUpdated", {"id": str(ada.id)})] * 2
        with pytest.raises(Invalid, match="id is required"):
            async with app.context() as ctx:
                await ctx.save_many(Standing, [{"rank": 1}])

    async def test_many_of_a_side_table_are_reported_as_one(self, app, monkeypatch):
        monkeypatch.setattr("guanxi_core.bulk.SINGLY", 2)
        ids = [(await app.add(Contact(name=str(i)))).id for i in range(3)]
        async with app.context() as ctx:
            await ctx.save_many(Standing, [{"id": one, "rank": 1} for one in ids])
        summary = {"count": 3, "first": str(ids[0]), "last": str(ids[2])}
        assert (await events(app))[3:] == [("standing.StandingSaved", summary)]

    async def test_what_does_not_fit_is_refused_whole(self, app):
        same = uuid7()
        for wrong, path in (
            ([{"name": "a"}, {"name": "x" * 41}], "name"),
            ([{"name": "a", "score": float("nan")}], "score"),
            ([{"name": "nul\x00"}], "name"),
            ([{"name": "half\ud800"}], "name"),
            ([{"name": "a", "debt": Money(10**18, "CNY")}], "debt"),
            ([{"id": same, "name": "a"}, {"id": same, "name": "b"}], "id"),
            ([{"name": "a", "unheard": 1}], "unheard"),
            ([{"name": "a", "version": 1}], "version"),
        ):
            with pytest.raises(Invalid) as refused:
                async with app.context() as ctx:
                    await ctx.save_many(Contact, wrong)
            assert refused.value.path == path
        with pytest.raises(ValueError, match="same attributes"):
            async with app.context() as ctx:
                await ctx.save_many(Contact, [{"name": "a"}, {"name": "b", "age": 1}])
        assert await app.all(Contact) == []

    async def test_a_foreign_row_with_the_same_id_is_another_row(self, app, guanxi):
        other = await guanxi(Contacts())
        theirs = await other.add(Contact(name="theirs"))
        async with app.context() as ctx:
            await ctx.save_many(Contact, [{"id": theirs.id, "name": "mine"}])
        assert (await other.get(Contact, theirs.id)).name == "theirs"
        assert (await app.get(Contact, theirs.id)).name == "mine"

    async def test_nothing_to_save(self, app):
        async with app.context() as ctx:
            assert await ctx.save_many(Contact, []) == 0


class TestSaveFrom:
    async def test_it_inserts_and_updates_what_a_select_finds(self, app):
        ids = [
            (await app.add(Contact(name=name, age=age))).id for name, age in (("A", 1), ("B", 2))
        ]
        wanted = sa.select(Contact.id, Contact.age.label("rank"))
        async with app.context() as ctx:
            assert await ctx.save_from(Standing, wanted.where(Contact.age == 1)) == 1
            loaded = await ctx.db.scalar(sa.select(Standing).where(Standing.id == ids[0]))
            again = sa.select(Contact.id, (Contact.age * 10).label("rank")).order_by(Contact.age)
            assert await ctx.save_from(Standing, again) == 2
            assert loaded.rank == 10
        async with app.context() as ctx:
            found = await ctx.db.execute(sa.select(Standing.id, Standing.rank))
        assert {row.id: row.rank for row in found} == dict(zip(ids, (10, 20), strict=True))
        summary = {"count": 2, "first": str(ids[0]), "last": str(ids[1])}
        assert (await changes(app))[-1] == (
            "standing.standing.save_from",
            {k: [None, v] for k, v in summary.items()},
        )
        assert (await events(app))[-2:] == [
            ("standing.StandingUpdated", {"id": str(one)}) for one in ids
        ]

    async def test_without_an_id_every_row_is_a_new_one(self, app):
        ada = await app.add(Contact(name="Ada"))
        wanted = sa.select(
            Contact.id.label("contact_id"), sa.literal("x", sa.Text).label("body")
        )  # fmt: skip
        async with app.context() as ctx:
            assert await ctx.save_from(Note, wanted) == 1
            assert await ctx.save_from(Note, wanted) == 1
            assert await ctx.save_from(Note, wanted.where(sa.false())) == 0
        notes = await app.all(Note)
        assert [(note.contact_id, note.body, note.version) for note in notes] == [
            (ada.id, "x", 1)
        ] * 2
        assert len({note.id for note in notes}) == 2
        assert [name for name, _ in await events(app)][1:] == ["NotesSaved"] * 2

    async def test_the_rows_of_others_are_no_part_of_it(self, app, guanxi):
        other = await guanxi(Contacts(), Notes(), StandingPlugin())
        await app.add(Contact(name="Ada"))
        await other.add(Contact(name="Bob"))
        async with app.context() as ctx:
            wanted = sa.select(Contact.id, sa.literal(1).label("rank"))
            assert await ctx.save_from(Standing, wanted) == 1
        async with other.context() as ctx:
            assert await ctx.db.scalar(sa.select(sa.func.count()).select_from(Standing)) == 0

    @pytest.mark.parametrize("name", ["rnak", "tenant_id", "updated_at"])
    async def test_what_is_no_column_of_it_is_refused(self, app, name):
        with pytest.raises(Invalid):
            async with app.context() as ctx:
                await ctx.save_from(Standing, sa.select(Contact.id, sa.literal(1).label(name)))


class TestRefusals:
    """What the database refuses names the attribute, and nothing of the database."""

    @pytest.mark.parametrize(
        ("values", "path", "code"),
        [
            ({"introducer_id": uuid7()}, "introducer_id", "NOT_FOUND"),
            ({"email": "taken@example.com"}, "email", "ALREADY_EXISTS"),
            ({"name": None}, "name", "INVALID"),
            ({"name": "nobody"}, "name", "INVALID"),
        ],
    )
    async def test_constraints(self, app, values, path, code):
        await app.add(Contact(name="Ada", email="taken@example.com"))
        for how in ("add", "save_many", "update"):
            with pytest.raises((Invalid, NotFound)) as refused:  # noqa: PT012
                async with app.context() as ctx:
                    if how == "add":
                        await ctx.add(Contact(**{"name": "Bob"} | values))
                    elif how == "save_many":
                        await ctx.save_many(Contact, [{"name": "Bob"} | values])
                    else:
                        bob = await ctx.add(Contact(name="Bob"))
                        await ctx.update_where(Contact, Contact.id == bob.id, **values)
            assert (refused.value.path, refused.value.code) == (path, code), how
            assert "contacts_contact" not in str(refused.value)

    async def test_a_row_in_use_is_not_deleted(self, app):
        ada = await app.add(Contact(name="Ada"))
        await app.add(Note(contact_id=ada.id, body="x"))
        with pytest.raises(Invalid, match="still used by a note") as refused:  # noqa: PT012
            async with app.context() as ctx:
                await ctx.db.delete(await ctx.get(Contact, ada.id))
                await ctx.db.flush()
        assert refused.value.code == "IN_USE"

    @pytest.mark.parametrize(
        ("values", "path"),
        [
            ({"name": "x" * 41}, "name"),
            ({"name": "nul\x00"}, "name"),
            ({"name": "half\ud800"}, "name"),
            ({"name": 7}, "name"),
            ({"age": 151}, "age"),
            ({"age": -1}, "age"),
            ({"age": 1.5}, "age"),
            ({"score": float("inf")}, "score"),
            ({"warmth": "HOT"}, "warmth"),
            ({"born": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, "born"),
            ({"met_at": dt.datetime(2020, 1, 1)}, "met_at"),  # noqa: DTZ001
            ({"debt": Money(10**18, "CNY")}, "debt"),
            ({"debt": Money(1, "cny")}, "debt"),
            ({"tags": ["ok", "nul\x00"]}, "tags"),
            ({"addresses": [Address(city="nul\x00")]}, "addresses"),
        ],
    )
    async def test_values(self, app, values, path):
        with pytest.raises(Invalid) as refused:
            async with app.context() as ctx:
                await ctx.add(Contact(**{"name": "Ada"} | values))
        assert refused.value.path == path

    async def test_numbers_that_a_query_cannot_hold(self, app):
        with pytest.raises(Invalid, match="does not fit"):
            async with app.context() as ctx:
                await ctx.db.scalars(sa.select(Contact).where(Contact.age == 2**40))
        with pytest.raises(Invalid, match="cannot be stored"):
            async with app.context() as ctx:
                await ctx.db.scalars(sa.select(Contact).where(Contact.name == "nul\x00"))

    async def test_a_swallowed_refusal_still_undoes_everything(self, app):
        await app.add(Contact(name="Ada", email="taken@example.com"))
        with pytest.raises(Invalid, match="already taken"):  # noqa: PT012
            async with app.context() as ctx:
                await ctx.add(Contact(name="Bob"))
                with suppress(Invalid):
                    await ctx.add(Contact(name="Eve", email="taken@example.com"))
        with pytest.raises(NotFound) as refused:  # noqa: PT012
            async with app.context() as ctx:
                await ctx.update_where(Contact, sa.true(), age=1)
                with suppress(NotFound):
                    await ctx.update_where(Contact, sa.true(), introducer_id=uuid7())
        assert refused.value.path == "introducer_id"
        assert [(c.name, c.age) for c in await app.all(Contact)] == [("Ada", None)]

    async def test_a_savepoint_makes_good_what_was_refused(self, app):
        await app.add(Contact(name="Ada", email="taken@example.com"))
        async with app.context() as ctx:
            with suppress(Invalid):
                async with ctx.db.begin_nested():
                    await ctx.add(Contact(name="Eve", email="taken@example.com"))
            await ctx.add(Contact(name="Bob"))
        assert {contact.name for contact in await app.all(Contact)} == {"Ada", "Bob"}

    async def test_what_is_refused_at_the_commit(self, app, guanxi_database):
        """A plugin's migration may defer a constraint."""
        await owner(
            guanxi_database,
            "ALTER TABLE contacts_contact ADD CONSTRAINT late EXCLUDE USING btree "
            "(tenant_id WITH =, name WITH =) WHERE (name = 'late') DEFERRABLE INITIALLY DEFERRED",
        )
        try:
            await app.add(Contact(name="late"))
            with pytest.raises(Invalid) as refused:
                await app.add(Contact(name="late"))
            assert refused.value.code == "ALREADY_EXISTS"
            assert len(await app.all(Contact)) == 1
        finally:
            await owner(guanxi_database, "ALTER TABLE contacts_contact DROP CONSTRAINT late")

    async def test_a_deadlock_is_a_conflict(self, app):
        import asyncio

        ada = await app.add(Contact(name="Ada"))
        bob = await app.add(Contact(name="Bob"))
        ready = asyncio.Barrier(2)

        async def change(first, second):
            async with app.context() as ctx:
                await ctx.update_where(Contact, Contact.id == first.id, age=1)
                await ready.wait()
                await ctx.update_where(Contact, Contact.id == second.id, age=1)

        done = await asyncio.gather(change(ada, bob), change(bob, ada), return_exceptions=True)
        assert [type(one) for one in done if one is not None] == [Conflict]
