"""Callers, installations and editions of one process."""

import asyncio
import datetime as dt

import pytest
from with_contacts import Contact, Contacts, ContactSettings
from with_notes import Note, Notes, NotesSettings
from with_standing import StandingPlugin

from guanxi_core import api_tokens, composing, identity
from guanxi_core.access import StaleAccess, expand
from guanxi_core.cli import worker
from guanxi_core.composing import Editions
from guanxi_core.config import Config
from guanxi_core.database.outages import DatabaseUnavailable
from guanxi_core.discovery import Registry
from guanxi_core.editions import compose
from guanxi_core.grants import Grant
from guanxi_core.issuers import Issuer
from guanxi_core.platform import Platform
from guanxi_core.tenancy import create_tenant, set_plugin
from guanxi_sdk import Invalid, NotFound, Plugin, Unauthenticated, hookimpl


async def test_a_token_is_known_after_its_first_use(guanxi):
    app = await guanxi(Contacts())
    platform, token = app.platform, await app.token()
    assert platform.cached(token) is None
    access = await platform.authenticate(token)
    assert platform.cached(token) is access
    assert await platform.authenticate(token) is access
    assert access.caller.token_id is not None
    assert access.caller.name.startswith("token ")
    platform.forget(token)
    assert platform.cached(token) is None
    platform.forget("gx_unheard")


@pytest.mark.parametrize(
    "token", ["", "gx_", "gx_" + "A" * 43, "Bearer x", "é" * 46, "\ud800" * 46, "x" * 100_000]
)
async def test_a_wrong_token_is_refused_and_not_kept(guanxi, token):
    app = await guanxi()
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await app.platform.authenticate(token)
    assert app.platform.cached(token) is None
    assert len(app.platform._accesses) == 0


async def test_only_so_many_accesses_are_kept(guanxi, monkeypatch):
    monkeypatch.setattr("guanxi_core.platform._MOST_ACCESSES", 2)
    app = await guanxi()
    tokens = [await api_tokens.create_token(app.platform.pool, app.tenant) for _ in range(3)]
    for token in tokens[:2]:
        await app.platform.authenticate(token)
    assert app.platform.cached(tokens[0])
    await app.platform.authenticate(tokens[2])
    assert [bool(app.platform.cached(token)) for token in tokens] == [True, False, True]


def own(access):
    """Permissions without those of the core, which every edition has."""
    return {name for name in access.caller.permissions if not name.startswith("guanxi.")}


async def test_permissions_are_expanded_and_shared(guanxi):
    app = await guanxi(Contacts(), Notes())
    everything = (await app.access()).caller.permissions
    assert everything > {"contacts.read", "contacts.write", "notes.read", "notes.write"}
    reading = (await app.access(["*.read"])).caller.rights
    assert reading.permissions == {name for name in everything if name.endswith(".read")}
    named = (await app.access([*reading.permissions, "gone.read"])).caller.rights
    assert named is reading
    assert (await app.access([])).caller.permissions == frozenset()


def test_patterns():
    edition = compose([Contacts, Notes])

    def permissions(*texts: str) -> frozenset[str]:
        return expand([Grant.parse(text) for text in texts], edition).permissions

    assert permissions("*.rea") == permissions("contacts.rea") == frozenset()
    assert permissions("*.write", "notes.read") == {
        "contacts.write", "notes.write", "notes.read",
    }  # fmt: skip


async def test_a_token_without_role_and_user_may_nothing(guanxi):
    app = await guanxi(Contacts())
    token = await api_tokens.create_token(app.platform.pool, app.tenant)
    access = await app.platform.authenticate(token)
    assert access.caller.permissions == frozenset()


async def test_changed_rights_stop_the_next_transaction(guanxi):
    app = await guanxi(Contacts(), Notes())
    token = await app.token()
    access = await app.platform.authenticate(token)
    await set_plugin(app.platform.pool, app.tenant, "notes", False)
    with pytest.raises(StaleAccess):
        async with app.platform.context(access) as ctx:
            await ctx.add(Contact(name="late"))
    app.platform.forget(token)
    access = await app.platform.authenticate(token)
    assert access.installation.edition.names == {"contacts"}
    async with app.platform.context(access) as ctx:
        await ctx.add(Contact(name="in time"))
    assert [contact.name for contact in await app.all(Contact)] == ["in time"]


async def test_a_revoked_token_stops_at_once(guanxi):
    app = await guanxi(Contacts())
    token = await app.token()
    access = await app.platform.authenticate(token)
    await api_tokens.revoke_token(app.platform.pool, app.tenant, access.caller.token_id)
    with pytest.raises(StaleAccess):
        async with app.platform.context(access) as ctx:
            await ctx.raw()
    app.platform.forget(token)
    with pytest.raises(Unauthenticated):
        await app.platform.authenticate(token)


async def test_an_expired_token_stops_at_once(guanxi):
    app = await guanxi(Contacts())
    token = await api_tokens.create_token(
        app.platform.pool, app.tenant, role="admin", expires_in=dt.timedelta(milliseconds=300)
    )
    access = await app.platform.authenticate(token)
    await asyncio.sleep(0.35)
    with pytest.raises(StaleAccess):
        async with app.platform.context(access) as ctx:
            await ctx.raw()


async def test_a_stale_context_gives_its_connection_back(guanxi):
    """More of them than the pool has connections."""
    app = await guanxi(Contacts())
    access = await app.platform.authenticate(await app.token())
    await set_plugin(app.platform.pool, app.tenant, "contacts", True, {"limit": 7})
    for _ in range(10):
        with pytest.raises(StaleAccess):
            async with app.platform.context(access) as ctx:
                await ctx.raw()
    await app.add(Contact(name="there is one left"))


async def test_cancelled_contexts_give_their_connections_back(guanxi):
    app = await guanxi(Contacts())

    async def slow():
        async with app.context() as ctx:
            await ctx.add(Contact(name="undone"))
            await asyncio.sleep(30)

    for _ in range(3):
        tasks = [asyncio.create_task(slow()) for _ in range(4)]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert await app.all(Contact) == []


async def test_the_system_may_everything_without_a_token(guanxi):
    app = await guanxi(Contacts())
    access = await app.platform.system_access(app.tenant, "importer")
    assert (access.caller.name, access.caller.token_id) == ("importer", None)
    assert access.caller.permissions == access.installation.edition.permissions.keys()
    async with app.platform.context(access) as ctx:
        await ctx.add(Contact(name="Ada"))
    assert len(await app.all(Contact)) == 1


async def test_two_tenants_two_editions_one_process(guanxi, guanxi_database):
    """A plugin enabled later serves its tenant alone, without a restart."""
    both = await guanxi(Contacts(), Notes(NotesSettings(max_length=3)))
    plain = await guanxi(Contacts())
    async with await Platform.open(
        guanxi_database.app_url, registry=both.platform.registry
    ) as platform:
        first, second = [await platform.installation(app.tenant) for app in (both, plain)]
        assert (first.edition.names, second.edition.names) == ({"contacts", "notes"}, {"contacts"})
        assert first.plugins["notes"].settings == NotesSettings(max_length=3)
        await set_plugin(platform.pool, plain.tenant, "notes", True)
        second = await platform.installation(plain.tenant)
        assert second.edition is first.edition
        assert second.plugins["notes"] is not first.plugins["notes"]
        assert second.plugins["notes"].settings == NotesSettings()


async def test_tokens_of_a_tenant_share_its_installation(guanxi):
    app = await guanxi(Contacts())
    assert (await app.access()).installation is (await app.access(["*.read"])).installation
    await set_plugin(app.platform.pool, app.tenant, "contacts", True, {"limit": 7})
    changed = (await app.access()).installation
    assert changed.plugins["contacts"].settings == ContactSettings(limit=7)


class Unwilling(Plugin, name="unwilling"):
    """Does not start."""

    def __init__(self, settings=None):
        raise SystemExit("not today")


class Clashing(Plugin, name="clashing", requires=["contacts"]):
    """Answers what nobody asks."""

    @hookimpl
    def unheard(self) -> None: ...


@pytest.mark.parametrize(
    ("registry", "enabled", "serves", "reasons"),
    [
        (Registry({"contacts": Contacts}), {"gone": {}}, {"contacts"},
         {"gone": "it is not installed any more."}),
        (Registry({"contacts": Contacts}, {"gone": "SyntaxError"}), {"gone": {}}, {"contacts"},
         {"gone": "SyntaxError"}),
        (Registry({"contacts": Contacts, "notes": Notes}), {"notes": {"max_length": "long"}},
         {"contacts"},
         {"notes": "setting 'max_length' of plugin 'notes' does not fit: expected int, got str."}),
        (Registry({"contacts": Contacts, "unwilling": Unwilling}), {"unwilling": {}}, {"contacts"},
         {"unwilling": "it does not start: SystemExit: not today"}),
        (Registry({"contacts": Contacts, "clashing": Clashing}), {"clashing": {}}, {"contacts"},
         {"clashing": "answers the hook 'unheard'"}),
        (Registry({"notes": Notes, "standing": StandingPlugin}), {"notes": {}, "standing": {}},
         set(), {"contacts": "it is not installed", "notes": "requires 'contacts'",
                 "standing": "requires 'contacts'"}),
    ],
)  # fmt: skip
async def test_what_cannot_run_is_left_out_and_the_others_serve(
    guanxi, guanxi_database, caplog, registry, enabled, serves, reasons
):
    app = await guanxi(Contacts())
    for name, settings in enabled.items():
        await set_plugin(app.platform.pool, app.tenant, name, True, settings)
    async with await Platform.open(guanxi_database.app_url, registry=registry) as platform:
        installation = await platform.installation(app.tenant)
    assert installation.edition.names == set(installation.plugins) - {"guanxi"} == serves
    assert installation.left_out.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert reason in installation.left_out[name]
        assert f"goes without plugin '{name}'" in caplog.text


async def test_an_edition_is_composed_once_whoever_asks(monkeypatch):
    composed = []

    def counting(plugins, definitions):
        composed.append(1)
        return compose(plugins, definitions)

    monkeypatch.setattr(composing, "compose", counting)
    editions = Editions(most=2)
    found = await asyncio.gather(*(editions.of([Contacts, Notes]) for _ in range(50)))
    assert len(composed) == 1
    assert len({id(one.edition) for one in found}) == 1
    assert (await editions.of([Notes, Contacts])).edition is found[0].edition
    await editions.of([Contacts])
    await editions.of([Contacts, Notes])
    await editions.of([])
    await editions.of([Contacts, Notes])
    assert len(composed) == 3
    await editions.of([Contacts])
    assert len(composed) == 4


async def test_editions_that_are_not_kept_are_held_by_nobody(guanxi):
    """However often a tenant changes what it has, and however many tenants there are."""
    app = await guanxi(Contacts())
    platform, pool = app.platform, app.platform.pool
    platform.editions = Editions(most=2)
    others = [await create_tenant(pool, f"{app.tenant.name}-{n}", "CNY") for n in range(2)]
    await set_plugin(pool, others[0], "contacts", True)
    tokens = [await api_tokens.create_token(pool, one) for one in (app.tenant, *others)]
    for number in range(4):
        await set_plugin(pool, app.tenant, "contacts", number % 2 == 0)
        for token in (tokens[0], await api_tokens.create_token(pool, app.tenant)):
            platform.forget(token)
            await platform.authenticate(token)
        assert (len(platform._installations), len(platform._accesses)) == (1, 2)

    await set_plugin(pool, app.tenant, "contacts", True)
    platform.forget(tokens[0])
    for token in tokens:
        await platform.authenticate(token)
    assert all(platform.cached(token) for token in tokens)
    platform.editions = Editions(most=1)  # as if so many others had been composed since
    await platform.authenticate(await api_tokens.create_token(pool, others[1]))
    await set_plugin(pool, others[1], "contacts", True)
    await platform.authenticate(await api_tokens.create_token(pool, others[1]))
    assert not any(platform.cached(token) for token in tokens)
    assert [(await platform.authenticate(t)).installation.edition.names for t in tokens] == [
        {"contacts"}, {"contacts"}, {"contacts"}
    ]  # fmt: skip


async def test_who_gives_up_waiting_for_an_edition_stops_nobody_else():
    editions = Editions()
    first = asyncio.create_task(editions.of([Contacts]))
    second = asyncio.create_task(editions.of([Contacts]))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).edition.names == {"contacts"}


async def test_a_broken_plugin_is_named_at_the_start(guanxi_database, caplog):
    registry = Registry({}, {"broken": "SyntaxError"})
    async with await Platform.open(guanxi_database.app_url, registry=registry):
        assert "plugin 'broken' is broken: SyntaxError" in caplog.text


async def test_an_unreachable_database_is_one_line():
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:1/none.*does not answer"):
        await Platform.open("postgresql://x@127.0.0.1:1/none", registry=Registry({}))


async def test_sessions_survive_the_loss_of_their_connections(guanxi, guanxi_database):
    app = await guanxi(Contacts(), Notes())
    contact = await app.add(Contact(name="Ada"))
    access = await app.access()
    async with app.platform.context(access) as ctx:
        connection = await ctx.raw()
        pid = await connection.fetchval("SELECT pg_backend_pid()")
    await terminate(guanxi_database, pid)
    await app.add(Note(contact_id=contact.id, body="again"))
    with pytest.raises(DatabaseUnavailable):  # noqa: PT012
        async with app.platform.context(access) as ctx:
            connection = await ctx.raw()
            await terminate(guanxi_database, await connection.fetchval("SELECT pg_backend_pid()"))
            await ctx.add(Contact(name="lost"))
    assert [contact.name for contact in await app.all(Contact)] == ["Ada"]


async def terminate(database, pid):
    from guanxi_core.database.connections import connect

    connection = await connect(database.app_url)
    await connection.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
    await connection.close()
    await asyncio.sleep(0.05)


async def test_access_by_name_is_what_a_token_gives(guanxi):
    app = await guanxi(Contacts(), Notes())
    platform, tenant = app.platform, app.tenant
    ada = await identity.create_user(platform.pool, tenant, "ada", roles=["readonly", "admin"])
    async with platform.pool.connection(tenant.id) as connection:
        await connection.execute(
            "UPDATE guanxi_user_role SET expires_at = now() - interval '1 s' WHERE role_id ="
            " (SELECT id FROM guanxi_role WHERE tenant_id = $1 AND name = 'admin')", tenant.id
        )  # fmt: skip
    for named in ({"user": "ada"}, {"role": "steward"}, {"user": "ada", "role": "readonly"}):
        token = await api_tokens.create_token(platform.pool, tenant, **named)
        by_token = await platform.authenticate(token)
        by_name = await platform.access_as(tenant, **named)
        assert by_name.caller.rights is by_token.caller.rights
        assert by_name.caller.user_id == by_token.caller.user_id
        assert set(by_name.grants) == set(by_token.grants) != set()
    assert not by_name.caller.may("contacts.write"), "what has ended gives nothing"
    async with platform.pool.connection(tenant.id) as connection:
        await connection.execute(
            "UPDATE guanxi_user SET archived_at = now() WHERE tenant_id = $1 AND id = $2",
            tenant.id, ada.id,
        )  # fmt: skip
    for named, wrong in (({"user": "ada"}, Invalid), ({"user": "eve"}, NotFound), ({}, NotFound)):
        with pytest.raises(wrong):
            await platform.access_as(tenant, **(named or {"role": "eve"}))


async def test_what_serves_and_what_works_is_opened_as_configured(guanxi, monkeypatch, tmp_path):
    app = await guanxi()
    issuer = Issuer(issuer="https://id.example.com", audience="guanxi", tenant="acme")
    config = Config(
        tmp_path, plugin_deadline=0, statement_timeout=7, egress_allow=("10.1.0.0/16",),
        issuers=(issuer,),
    )  # fmt: skip
    url, registry = app.platform.pool.url, Registry({})
    async with await Platform.serving(config, url, registry=registry) as platform:
        assert platform.deadline is None
        assert platform._verifier is not None
        assert platform._egress_allow == ("10.1.0.0/16",)
        async with platform.pool.connection(None) as connection:
            assert await connection.fetchval("SHOW statement_timeout") == "7s"

    opened = []

    async def serving(given, *_, **options):
        opened.append((given.statement_timeout, options["pool_size"]))
        raise DatabaseUnavailable("enough seen")

    monkeypatch.setattr(Platform, "serving", serving)
    monkeypatch.setenv("GUANXI_DATABASE_URL", url)
    monkeypatch.setenv("GUANXI_STATEMENT_TIMEOUT", "9")
    with pytest.raises(DatabaseUnavailable, match="enough seen"):
        await worker._work(3, None)
    assert opened == [(9, 7)]


async def test_tests_of_the_same_plugins_share_their_edition(guanxi):
    apps = [await guanxi(Contacts()), await guanxi(Contacts()), await guanxi(Contacts(), Notes())]
    first, second, third = [(await app.access()).installation.edition for app in apps]
    assert first is second
    assert first is not third
    assert len({app.platform for app in apps}) == 3
