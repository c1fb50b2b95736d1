"""Switching plugins on and off: planned before anything is written."""

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from with_contacts import Contacts
from with_notes import Notes
from with_standing import StandingPlugin

from guanxi_core.discovery import Registry
from guanxi_core.enabling import EnablingError, disable, enable
from guanxi_core.platform import Platform
from guanxi_core.settings import SettingsError
from guanxi_core.system_tables import audit_table
from guanxi_core.tenancy import enabled_plugins
from guanxi_sdk import NotFound, Plugin, PluginError, query


class Copy(Plugin, name="copy"):
    """Claims a name that contacts has."""

    @query()
    async def contacts(self, ctx) -> str:
        """Clash."""
        return ""


class Far(Plugin, name="far", requires=["notes"]):
    """Requires what requires more."""


class Lost(Plugin, name="lost", requires=["nowhere"]):
    """Requires what is not installed."""


class Shapeless(Plugin, name="shapeless"):
    """Answers what has no GraphQL type, which only the schema can tell."""

    @query()
    async def shapes(self, ctx) -> dict[str, int]:
        """Shapes."""
        return {}


REGISTRY = Registry(
    {p.manifest.name: p for p in (Contacts, Notes, StandingPlugin, Copy, Far, Lost, Shapeless)},
    {"broken": "SyntaxError: never closed"},
)


@pytest.fixture
async def app(guanxi):
    return await guanxi()


def on(app, name, settings=None, **options):
    return enable(app.platform.pool, REGISTRY, app.tenant, name, settings, **options)


def off(app, name, **options):
    return disable(app.platform.pool, REGISTRY, app.tenant, name, **options)


async def state(app):
    return await enabled_plugins(app.platform.pool, app.tenant)


async def test_enabling_tells_what_it_adds(app):
    change = await on(app, "contacts", {"limit": 5})
    assert (change.verb, change.plugin, change.tenant) == ("enable", "contacts", app.tenant.name)
    assert change.added == {
        "permissions": ["contacts.read", "contacts.write"],
        "types": ["Contact"],
        "queries": ["contact", "contacts"],
        "mutations": [
            "archiveContact", "createContact", "mergeContacts", "restoreContact", "updateContact",
        ],
        "subscriptions": ["contactChanged"],
    }  # fmt: skip
    assert (change.removed, change.settings) == ({}, {"limit": 5})
    assert (await on(app, "notes")).added["fields"] == ["Contact.notes", "Contact.remarks"]
    assert (await on(app, "standing")).added["fields"] == ["Contact.rank", "Contact.worth"]
    assert await state(app) == {"contacts": {"limit": 5}, "notes": {}, "standing": {}}


async def test_disabling_tells_what_it_removes_and_keeps_the_settings(app):
    await on(app, "contacts", {"limit": 5})
    change = await off(app, "contacts")
    assert (change.verb, change.added) == ("disable", {})
    assert change.removed["types"] == ["Contact"]
    assert await state(app) == {}
    await on(app, "contacts", {"title": "People"})
    assert await state(app) == {"contacts": {"limit": 5, "title": "People"}}


async def test_doing_it_twice_changes_nothing(app):
    await on(app, "contacts")
    access = await app.access()
    assert (await on(app, "contacts")).verb == "nothing"
    assert (await off(app, "notes")).verb == "nothing"
    assert (await app.access()).epoch == access.epoch


async def test_settings_alone_can_be_changed(app):
    await on(app, "contacts", {"limit": 5})
    change = await on(app, "contacts", {"limit": 6})
    assert (change.verb, change.added, change.removed) == ("configure", {}, {})
    assert await state(app) == {"contacts": {"limit": 6}}


async def test_a_dry_run_writes_nothing(app):
    assert (await on(app, "contacts", dry_run=True)).added["types"] == ["Contact"]
    assert await state(app) == {}
    await on(app, "contacts")
    assert (await off(app, "contacts", dry_run=True)).removed["types"] == ["Contact"]
    assert await state(app) == {"contacts": {}}


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("notes", EnablingError,
         "plugin 'notes' requires 'contacts', which is not enabled for tenant '.*': enable "
         "'contacts' first"),
        ("far", EnablingError,
         "plugin 'far' requires 'contacts', 'notes', not enabled for tenant '.*': enable "
         "'contacts', 'notes' first, in this order"),
        ("lost", PluginError, "'lost': requires 'nowhere', and plugin 'nowhere': is not installed"),
        ("unheard", PluginError, "'unheard': is not installed: .* Installed: contacts, copy"),
        ("broken", PluginError, "plugin 'broken': is installed but broken: SyntaxError"),
    ],
)  # fmt: skip
async def test_a_missing_requirement_changes_nothing(app, name, error, message):
    with pytest.raises(error, match=message):
        await on(app, name)
    assert await state(app) == {}


async def test_a_clash_names_both_and_changes_nothing(app):
    await on(app, "contacts")
    with pytest.raises(PluginError) as refused:
        await on(app, "copy")
    assert "'copy'" in str(refused.value)
    assert "'contacts'" in str(refused.value)
    assert await state(app) == {"contacts": {}}


@pytest.mark.parametrize("dry_run", [True, False])
async def test_an_edition_whose_schema_cannot_be_built_is_refused(app, dry_run):
    await on(app, "contacts")
    with pytest.raises(PluginError, match=r"'shapeless': shapes\(\) returns .* no GraphQL type"):
        await on(app, "shapeless", dry_run=dry_run)
    assert await state(app) == {"contacts": {}}


async def test_any_failure_of_those_who_would_serve_it_is_a_refusal(app, monkeypatch):
    def refuse(edition):
        raise TypeError("two\nlines")

    entry = SimpleNamespace(name="checker", load=lambda: refuse)
    monkeypatch.setattr("guanxi_core.vetting.entry_points", lambda group: [entry])
    with pytest.raises(PluginError, match=r"'contacts': cannot be served .*\(checker\): two lines"):
        await on(app, "contacts")
    assert await state(app) == {}


async def test_what_others_stand_on_stays(app):
    for name in ("contacts", "notes", "far", "standing"):
        await on(app, name)
    expected = "'contacts' is required by 'far', 'notes', 'standing' .*: disable 'far', 'notes', "
    with pytest.raises(EnablingError, match=expected):
        await off(app, "contacts")
    for name in ("far", "notes", "standing", "contacts"):
        await off(app, name)
    assert await state(app) == {}


async def test_a_plugin_whose_code_is_gone_can_be_switched_off(app):
    await on(app, "contacts")
    change = await disable(
        app.platform.pool, Registry({}, {"contacts": "SyntaxError"}), app.tenant, "contacts"
    )
    assert change.verb == "disable"
    assert await state(app) == {}


async def test_an_enabled_plugin_that_cannot_run_is_named_as_the_cause(app):
    pool = app.platform.pool
    await on(app, "contacts")
    async with pool.connection(app.tenant.id) as connection:
        await connection.execute(
            "UPDATE guanxi_plugin SET settings = '{\"limit\": 0}' WHERE tenant_id = $1",
            app.tenant.id,
        )
    with pytest.raises(
        EnablingError, match=r"'contacts', which is enabled .* but left out: setting"
    ):
        await on(app, "notes")
    await on(app, "contacts", {"limit": 1})
    await on(app, "notes")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limits": 5}, "plugin 'contacts' has no setting 'limits'; it has limit, ratios, title"),
        (
            {"limit": "many"},
            "setting 'limit' of plugin 'contacts' does not fit: expected int, got str",
        ),
        ({"limit": 0}, "setting 'limit' of plugin 'contacts' does not fit: expected int >= 1"),
        ({"ratios": {"a": "x"}}, r"setting 'ratios\[\.\.\.\]' .*: expected float, got str"),
    ],
)
async def test_wrong_settings_are_named(app, settings, message):
    with pytest.raises(SettingsError, match=message):
        await on(app, "contacts", settings)
    assert await state(app) == {}


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ({"limit": "5"}, {"limit": 5}),
        ({"title": "5"}, {"title": "5"}),
        ({"title": "true"}, {"title": "true"}),
        ({"title": "a=b"}, {"title": "a=b"}),
        ({"ratios": '{"a": 1.5}'}, {"ratios": {"a": 1.5}}),
    ],
)
async def test_settings_as_they_are_typed(app, text, stored):
    await on(app, "contacts", text, as_text=True)
    assert await state(app) == {"contacts": stored}


async def test_typed_settings_that_are_wrong(app):
    for text in ({"limit": "many"}, {"ratios": "{"}, {"ratios": "[1]"}):
        with pytest.raises(SettingsError, match="does not fit"):
            await on(app, "contacts", text, as_text=True)


async def test_it_is_audited_with_who_did_it(app, guanxi):
    await on(app, "contacts", {"limit": 5}, actor="ada")
    await on(app, "contacts", {"limit": 6}, actor="ada")
    await off(app, "contacts", actor="eve")
    async with app.context() as ctx:
        found = await ctx.db.execute(
            sa.select(audit_table.c.action, audit_table.c.actor).where(
                audit_table.c.tenant_id == app.tenant.id,
                audit_table.c.action.like("guanxi.plugin.%"),
            )
        )
        assert sorted(tuple(row) for row in found) == [
            ("guanxi.plugin.configure", "ada"),
            ("guanxi.plugin.disable", "eve"),
            ("guanxi.plugin.enable", "ada"),
        ]


async def test_running_servers_follow(app, guanxi_database):
    """Another process's platform serves the plugin at the next authentication."""
    token = await app.token()
    async with await Platform.open(guanxi_database.app_url, registry=REGISTRY) as other:
        before = await other.authenticate(token)
        assert before.installation.edition.names == set()
        await on(app, "contacts")
        other.forget(token)
        after = await other.authenticate(token)
        assert after.installation.edition.names == {"contacts"}
        assert after.epoch > before.epoch


async def test_those_who_enable_at_once_take_turns(app):
    """Of two plugins that clash, one is refused, whoever is first."""
    for _ in range(5):
        done = await asyncio.gather(on(app, "contacts"), on(app, "copy"), return_exceptions=True)
        assert sum(isinstance(one, PluginError) for one in done) == 1
        (name,) = await state(app)
        await off(app, name)


class TestCommands:
    @pytest.fixture
    def guanxi_cli(self, app, monkeypatch):
        """The commands, run on the test's database and plugins, in a thread as they need a loop."""
        from guanxi_core.cli import opening, plugins

        @asynccontextmanager
        async def opened():
            async with await Platform.open(app.platform.pool.url, registry=REGISTRY) as platform:
                yield SimpleNamespace(
                    pool=platform.pool, registry=REGISTRY,
                    database=SimpleNamespace(app_url=platform.pool.url),
                )  # fmt: skip

        monkeypatch.setattr(opening, "opened", opened)
        monkeypatch.setattr("guanxi_core.discovery.discover", lambda: REGISTRY)

        async def run(command, *arguments):
            def invoke():
                return CliRunner().invoke(
                    getattr(plugins, command), arguments, catch_exceptions=True
                )

            return await asyncio.to_thread(invoke)

        return run

    async def test_enable_and_disable(self, app, guanxi_cli):
        tenant = ("--tenant", app.tenant.name)
        done = await guanxi_cli("enable", "contacts", *tenant, "--set", "limit=5")
        assert done.output.splitlines() == [
            f"Plugin 'contacts' enabled for tenant '{app.tenant.name}'.",
            "  + permissions: contacts.read, contacts.write",
            "  + types: Contact",
            "  + queries: contact, contacts",
            "  + mutations: archiveContact, createContact, mergeContacts, restoreContact, "
            "updateContact",
            "  + subscriptions: contactChanged",
            "  limit = 5",
        ]
        assert (done.exit_code, await state(app)) == (0, {"contacts": {"limit": 5}})
        again = await guanxi_cli("enable", "contacts", *tenant)
        assert "nothing changed" in again.output
        planned = await guanxi_cli("disable", "contacts", *tenant, "--dry-run")
        assert "would be disabled" in planned.output
        done = await guanxi_cli("disable", "contacts", *tenant, "--json")
        assert json.loads(done.output)["removed"]["types"] == ["Contact"]
        assert await state(app) == {}

    async def test_failures(self, app, guanxi_cli):
        tenant = ("--tenant", app.tenant.name)
        for arguments, error in (
            (("notes", *tenant), EnablingError),
            (("unheard", *tenant), PluginError),
            (("contacts", *tenant, "--set", "limit=many"), SettingsError),
            (("contacts", "--tenant", "nobody"), NotFound),
        ):
            failed = await guanxi_cli("enable", *arguments)
            assert isinstance(failed.exception, error)
            assert failed.exit_code != 0
        usage = await guanxi_cli("enable", "contacts", *tenant, "--set", "limit")
        assert usage.exit_code == 2
        assert "is not like KEY=VALUE" in " ".join(usage.output.split())
        assert (await guanxi_cli("enable", "contacts")).exit_code == 2
        assert await state(app) == {}

    async def test_the_list(self, app, guanxi_cli):
        listed = (await guanxi_cli("plugins")).output.splitlines()
        assert listed[0].split() == ["NAME", "VERSION", "REQUIRES", "STATE"]
        assert listed[1].split() == ["broken", "broken"]
        assert ["contacts", "1.2.0", "installed"] in [line.split() for line in listed]
        assert ["notes", "0.1.0", "contacts>=1,<2", "installed"] in [x.split() for x in listed]
        assert "broken: SyntaxError: never closed" in listed
        assert "lost: requires 'nowhere', which is not installed: install it." in listed

    async def test_the_list_of_a_tenant(self, app, guanxi_cli):
        await on(app, "contacts", {"limit": 5})
        await on(app, "notes")
        async with app.platform.pool.connection(app.tenant.id) as connection:
            await connection.execute(
                "UPDATE guanxi_plugin SET settings = '{\"max_length\": 0}' "
                "WHERE tenant_id = $1 AND name = 'notes'",
                app.tenant.id,
            )
        listed = await guanxi_cli("plugins", "--tenant", app.tenant.name, "--json")
        states = {row["name"]: row for row in json.loads(listed.output)}
        assert {name: row["state"] for name, row in states.items()} == {
            "broken": "broken", "contacts": "enabled", "copy": "not enabled", "far": "not enabled",
            "lost": "not enabled", "notes": "left out", "shapeless": "not enabled",
            "standing": "not enabled",
        }  # fmt: skip
        assert states["contacts"]["settings"] == {"limit": 5}
        assert "max_length" in states["notes"]["reason"]

    @pytest.mark.parametrize("command", ["plugins", "enable", "disable"])
    async def test_help_has_an_example(self, guanxi_cli, command):
        shown = await guanxi_cli(command, "--help")
        assert f"guanxi {command}" in shown.output
