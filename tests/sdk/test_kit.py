"""The test kit, used the way plugin authors use it."""

import datetime as dt
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from textwrap import dedent

import pytest
from uuid_utils.compat import uuid7
from with_contacts import Address, Contact, ContactHooks, Contacts, Warmth
from with_deliveries import Parcels, Trace
from with_notes import READ, WRITE, Note, NoteAdded, Notes, NotesSettings

import guanxi_sdk
from guanxi_core.tenancy import enabled_plugins
from guanxi_sdk import Money, NotFound, PluginError
from guanxi_sdk.testing import App, Boot, Clock, GraphQLFailed, global_id
from guanxi_sdk.testing.app import _input
from serving import PYTEST

FIXTURES = Path(__file__).parents[1] / "fixtures" / "plugins"
ADD = """
    mutation ($to: ID!, $body: String!) {
      addNote(contactId: $to, body: $body) { note { body } errors { path message } }
    }
"""


async def test_an_overlong_note_is_refused(guanxi: Boot) -> None:
    """The example of the style guide."""
    app = await guanxi(Contacts(), Notes(NotesSettings(max_length=3)))
    ada = await app.add(Contact(name="Ada"))
    refused = await app.graphql(ADD, to=ada, body="Hello", can=[WRITE])
    assert refused["addNote"]["errors"] == [
        {"path": "body", "message": "is longer than 3 characters"}
    ]
    assert app.events == []
    assert await app.all(Note) == []


async def test_events_are_seen_once_committed(guanxi: Boot) -> None:
    app = await guanxi(Contacts(), Notes())
    ada = await app.add(Contact(name="Ada"))
    done = await app.graphql(ADD, to=ada, body="Hi", can=["notes.*", "*.write", "*.read"])
    assert done["addNote"]["errors"] == []
    (note,) = await app.all(Note)
    assert app.events == [NoteAdded(note_id=note.id, contact_id=ada.id)]


async def test_a_caller_without_the_permission(guanxi: Boot) -> None:
    app = await guanxi(Contacts(), Notes())
    ada = await app.add(Contact(name="Ada"))
    with pytest.raises(GraphQLFailed, match=r"notes\.write") as failed:
        await app.graphql(ADD, to=ada, body="Hi", can=[READ])
    assert failed.value.codes == ["FORBIDDEN"]
    answer = await app.execute(ADD, {"to": ada, "body": "Hi"}, can=[])
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_every_boot_is_another_tenant(guanxi: Boot) -> None:
    first, second = await guanxi(Contacts()), await guanxi(Contacts(), currency="EUR")
    ada = await first.add(Contact(name="Ada"))
    assert await second.all(Contact) == []
    with pytest.raises(NotFound):
        await second.get(Contact, ada.id)
    assert (first.tenant.currency, second.tenant.currency) == ("CNY", "EUR")


async def test_settings_are_the_tenants(guanxi: Boot) -> None:
    app = await guanxi(Contacts(), Notes(NotesSettings(max_length=3)))
    assert (await enabled_plugins(app.platform.pool, app.tenant))["notes"] == {"max_length": 3}


async def test_what_does_not_fit_together_is_told_at_once(guanxi: Boot) -> None:
    with pytest.raises(PluginError, match="requires 'contacts'"):
        await guanxi(Notes())


async def test_a_clock_to_move(guanxi: Boot) -> None:
    start = dt.datetime(2024, 2, 28, 23, tzinfo=dt.UTC)
    app = await guanxi(Contacts(), now=start)
    app.clock.advance(hours=1, minutes=30)
    async with app.context() as ctx:
        assert ctx.today() == dt.date(2024, 2, 29)


async def test_asking_hooks(guanxi: Boot) -> None:
    app = await guanxi(Contacts(), Notes())
    contact = Contact(name="Ada")
    warnings = await app.ask(ContactHooks.merge_warnings, contact=contact)
    assert warnings == ["The notes on Ada will move."]


def test_clocks():
    clock = Clock(dt.datetime(2024, 1, 1, 8, tzinfo=dt.timezone(dt.timedelta(hours=8))))
    assert clock() == clock() == dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    assert clock().tzinfo is dt.UTC
    clock.set(dt.datetime(2025, 1, 1, tzinfo=dt.UTC))
    clock.advance(days=-1)
    assert clock() == dt.datetime(2024, 12, 31, tzinfo=dt.UTC)
    with pytest.raises(ValueError, match="time zone"):
        clock.set(dt.datetime(2025, 1, 1))  # noqa: DTZ001
    assert abs(Clock()() - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=5)


def test_variables():
    contact = Contact(id=uuid7(), name="Ada")
    assert _input(contact) == global_id(contact) == f"contact_{contact.id}"
    assert _input([contact.id, Decimal("1.5")]) == [str(contact.id), "1.5"]
    assert _input({"at": dt.date(2024, 2, 29)}) == {"at": "2024-02-29"}
    assert _input(dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) == "2024-01-01T00:00:00+00:00"
    assert _input(Money(5, "CNY")) == {"amount": "0.05", "currency": "CNY"}
    assert _input((Address(city="Paris"), Warmth.WARM)) == [{"city": "Paris", "since": 0}, "WARM"]
    assert _input(None) is None


def test_the_error_tells_what_went_wrong():
    failed = GraphQLFailed([{"message": "No."}, {"message": "Never.", "extensions": {"code": "X"}}])
    assert str(failed) == "No.; Never."
    assert failed.codes == [None, "X"]
    assert App.__doc__


def python(*arguments, cwd=None, **env):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True, text=True, cwd=cwd, timeout=100, env={**os.environ, **env},
    )  # fmt: skip


def test_loading_the_pytest_plugin_loads_little():
    """It is loaded by every pytest on a machine where guanxi is installed."""
    code = """
        import sys
        import guanxi_sdk.testing.pytest_plugin
        heavy = {"guanxi_core", "guanxi_graphql", "asyncpg", "alembic", "graphene", "litestar"}
        print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
    """
    done = python("-c", dedent(code))
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_an_author_outside_of_this_project_can_use_it(tmp_path):
    """A plugin and its test in a folder of their own, as the style guide shows them."""
    (tmp_path / "test_notes.py").write_text(
        dedent(
            """
            import pytest
            from guanxi_sdk.testing import Boot
            from with_contacts import Contact, Contacts
            from with_notes import Note, Notes

            @pytest.mark.asyncio
            async def test_notes(guanxi: Boot):
                app = await guanxi(Contacts(), Notes())
                ada = await app.add(Contact(name="Ada"))
                await app.add(Note(contact_id=ada.id, body="x"))
                data = await app.graphql("{ contacts { edges { node { notes { body } } } } }")
                assert data["contacts"]["edges"] == [{"node": {"notes": [{"body": "x"}]}}]

            @pytest.mark.asyncio
            async def test_another(guanxi: Boot):
                app = await guanxi(Contacts())
                assert await app.all(Contact) == []
            """
        ),
        "utf-8",
    )
    done = python(
        *PYTEST, "-W", "error", "-o", "asyncio_default_fixture_loop_scope=function",
        cwd=tmp_path, PYTHONPATH=str(FIXTURES),
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_without_pytest_asyncio_other_tests_still_run(tmp_path):
    (tmp_path / "test_plain.py").write_text("def test_plain(): pass\n", "utf-8")
    (tmp_path / "conftest.py").write_text("", "utf-8")
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "pytest_asyncio.py").write_text("raise ImportError", "utf-8")
    done = python(
        *PYTEST, "-p", "no:asyncio", "test_plain.py",
        cwd=tmp_path, PYTHONPATH=str(tmp_path / "hide"),
    )  # fmt: skip
    assert "1 passed" in done.stdout, done.stdout + done.stderr


async def test_schedules_wait_from_the_beginning(guanxi: Boot) -> None:
    app = await guanxi(Parcels(), now=dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC))
    app.clock.advance(days=1)
    assert await app.deliver() == 1
    assert [trace.handler for trace in await app.all(Trace)] == ["nightly"]


def test_global_ids_are_made_of_model_and_id() -> None:
    row = Contact(name="Ada", id=uuid7())
    assert guanxi_sdk.global_id(Contact, row.id) == global_id(row) == f"contact_{row.id}"
