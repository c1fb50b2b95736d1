"""Every known way around a tenant's session is refused or stays within the tenant."""

import os
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    joinedload,
    mapped_column,
    selectinload,
    subqueryload,
)
from uuid_utils.compat import uuid7
from with_contacts import Contact, Contacts
from with_notes import Note, Notes
from with_standing import Standing, StandingPlugin

from guanxi_core.database.scoping import UnscopedStatement
from guanxi_core.platform import Platform
from guanxi_core.session import ForeignTenant, SessionRefused
from guanxi_sdk import Conflict, NotFound

contacts = Contact.__table__
notes = Note.__table__


class OtherBase(DeclarativeBase):
    """What a plugin might map past the SDK."""


class Shadow(OtherBase):
    __tablename__ = "contacts_contact"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]


@pytest.fixture
async def two(guanxi):
    """Two tenants with a contact and a note each: ours and theirs."""
    ours = await guanxi(Contacts(), Notes(), StandingPlugin())
    theirs = await guanxi(Contacts(), Notes(), StandingPlugin())
    for app, name in ((ours, "ours"), (theirs, "theirs")):
        app.contact = await app.add(Contact(name=name, email=f"{name}@example.com"))
        app.friend = await app.add(Contact(name=f"{name}-2", introducer_id=app.contact.id))
        app.note = await app.add(Note(contact_id=app.contact.id, body=f"note of {name}"))
        async with app.context() as ctx:
            await ctx.save_many(Standing, [{"id": app.contact.id, "rank": 7}])
    return ours, theirs


def scoped(ours, theirs):
    """ORM statements that name no tenant, each with what it must find in ours."""
    other = aliased(Contact)
    counted = (
        sa.select(Note.contact_id, sa.func.count().label("n")).group_by(Note.contact_id).subquery()
    )
    names = sa.select(Contact.name).cte("names")
    both = sa.union_all(sa.select(Contact.name), sa.select(Note.body))
    has_note = sa.exists().where(Note.contact_id == Contact.id)
    name = sa.func.min(Contact.name)
    return {
        "entity": (sa.select(Contact.name), {"ours", "ours-2"}),
        "alias": (sa.select(other.name), {"ours", "ours-2"}),
        "count": (sa.select(sa.func.count()).select_from(Contact), {2}),
        "aggregate": (sa.select(name), {"ours"}),
        "join": (
            sa.select(Note.body).join(Contact, Contact.id == Note.contact_id),
            {"note of ours"},
        ),
        "outer join": (
            sa.select(Note.body).outerjoin(other, sa.true()).where(other.name.like("ours%")),
            {"note of ours"},
        ),
        "cross product": (sa.select(other.name).join(Note, sa.true()), {"ours", "ours-2"}),
        "relationship": (
            sa.select(Contact.name).where(Contact.introducer.has(Contact.name != "")),
            {"ours-2"},
        ),
        "subquery": (
            sa.select(counted.c.n).join(Contact, Contact.id == counted.c.contact_id),
            {1},
        ),
        "subquery alone": (sa.select(counted.c.contact_id), {ours.contact.id}),
        "cte": (sa.select(names.c.name), {"ours", "ours-2"}),
        "union": (both, {"ours", "ours-2", "note of ours"}),
        "over union": (
            sa.select(both.subquery().c.name),
            {"ours", "ours-2", "note of ours"},
        ),
        "exists": (sa.select(Contact.name).where(has_note), {"ours"}),
        "exists alone": (
            sa.select(sa.exists().where(Contact.name == "theirs")),
            {False},
        ),
        "scalar": (
            sa.select(sa.select(sa.func.count(Note.id)).scalar_subquery()),
            {1},
        ),
        "lateral": (
            sa.select(
                sa.select(Note.body).where(Note.contact_id == Contact.id).lateral().c.body
            ).select_from(Contact),
            {"note of ours"},
        ),
        "theirs by id": (sa.select(Contact.name).where(Contact.id == theirs.contact.id), set()),
        "theirs by tenant": (
            sa.select(Contact.name).where(Contact.tenant_id == ours.tenant.id),
            {"ours", "ours-2"},
        ),
        "side table": (sa.select(Standing.rank), {7}),
        "from_statement of models": (
            sa.select(Contact.name).from_statement(sa.select(Contact.name)),
            {"ours", "ours-2"},
        ),
        "bare table with its tenant": (
            sa.select(contacts.c.name).where(contacts.c.tenant_id == ours.tenant.id),
            {"ours", "ours-2"},
        ),
        "two bare tables": (
            sa.select(notes.c.body)
            .join(contacts, sa.and_(contacts.c.tenant_id == notes.c.tenant_id,
                                    contacts.c.id == notes.c.contact_id))
            .where(contacts.c.tenant_id == ours.tenant.id),
            {"note of ours"},
        ),
        "bare table beside a model": (
            sa.select(contacts.c.name)
            .join(Note, sa.and_(Note.tenant_id == contacts.c.tenant_id,
                                Note.contact_id == contacts.c.id)),
            {"ours"},
        ),
        "correlated bare table": (
            sa.select(Contact.name).where(
                sa.exists().where(notes.c.tenant_id == Contact.tenant_id,
                                  notes.c.contact_id == Contact.id)
            ),
            {"ours"},
        ),
        "another base, with its tenant": (
            sa.select(Shadow.name).where(Shadow.tenant_id == ours.tenant.id),
            {"ours", "ours-2"},
        ),
    }  # fmt: skip


@pytest.fixture(params=["app role", "superuser"])
async def serving(request, two, guanxi_database):
    """How to open a context for ours; a superuser passes row-level security, not the session."""
    ours, _ = two
    if request.param == "app role":
        yield ours.context
        return
    async with await Platform.open(superuser_url(guanxi_database), pool_size=1) as platform:
        access = await ours.access()
        yield lambda: platform.context(access)


def superuser_url(database):
    server = os.environ.get("GUANXI_TEST_DATABASE_URL")
    if not server:
        return database.owner_url
    return urlunsplit(urlsplit(server)._replace(path=urlsplit(database.owner_url).path))


async def test_a_superuser_sees_everything_without_the_guards(two, guanxi_database):
    """Else the tests below would show nothing."""
    connection = await asyncpg.connect(superuser_url(guanxi_database))
    assert await connection.fetchval("SELECT count(DISTINCT tenant_id) FROM contacts_contact") > 1
    await connection.close()


async def test_statements_over_models_stay_in_the_tenant(two, serving):
    for name, (statement, expected) in scoped(*two).items():
        async with serving() as ctx:
            assert set(await ctx.db.scalars(statement)) == expected, name


def unscoped(ours, theirs):
    """Statements that forget the tenant, or name another."""
    alias = contacts.alias("c")
    bare = sa.select(contacts.c.name)
    return {
        "table": bare,
        "alias": sa.select(alias.c.name),
        "lightweight table": sa.select(sa.table("contacts_contact", sa.column("name"))),
        "count": sa.select(sa.func.count()).select_from(contacts),
        "other tenant": bare.where(contacts.c.tenant_id == theirs.tenant.id),
        "any tenant": bare.where(
            sa.or_(contacts.c.tenant_id == ours.tenant.id, contacts.c.name != "")
        ),
        "not the tenant": bare.where(~(contacts.c.tenant_id == ours.tenant.id)),
        "in tenants": bare.where(contacts.c.tenant_id.in_([ours.tenant.id, theirs.tenant.id])),
        "itself": bare.where(contacts.c.tenant_id == contacts.c.tenant_id),
        "circle": sa.select(contacts.c.name).where(contacts.c.tenant_id == notes.c.tenant_id),
        "half a join": sa.select(notes.c.body)
        .join(contacts, contacts.c.id == notes.c.contact_id)
        .where(contacts.c.tenant_id == ours.tenant.id),
        "the wrong side of an outer join": sa.select(contacts.c.name).outerjoin(
            notes,
            sa.and_(notes.c.tenant_id == contacts.c.tenant_id,
                    contacts.c.tenant_id == ours.tenant.id),
        ),
        "full join": sa.select(contacts.c.name).outerjoin(
            notes,
            sa.and_(notes.c.tenant_id == ours.tenant.id, contacts.c.tenant_id == ours.tenant.id),
            full=True,
        ),
        "subquery": sa.select(bare.subquery().c.name),
        "cte": sa.select(bare.cte("x").c.name),
        "union": sa.union_all(sa.select(Contact.name), bare),
        "scalar subquery": sa.select(Contact.name, bare.limit(1).scalar_subquery()),
        "in subquery": sa.select(Contact.name).where(
            Contact.id.in_(sa.select(notes.c.contact_id))
        ),
        "exists": sa.select(sa.exists().where(contacts.c.name == "theirs")),
        "model beside a bare table": sa.select(Contact.name, notes.c.body),
        "forged tenant column": sa.select(contacts.c.name).join(
            sa.select(sa.literal(theirs.tenant.id).label("tenant_id")).subquery("t"),
            sa.text("true"),
        ),
        "tenant from a subquery of anything": sa.select(contacts.c.name).where(
            contacts.c.tenant_id
            == sa.select(sa.literal(theirs.tenant.id).label("tenant_id")).scalar_subquery()
        ),
        "another tenant from a subquery": bare.where(
            contacts.c.tenant_id == sa.select(sa.cast(theirs.tenant.id, sa.Uuid)).scalar_subquery()
        ),
        "some tenant from a subquery": bare.where(
            contacts.c.tenant_id
            == sa.select(sa.cast(ours.tenant.id, sa.Uuid)).select_from(notes).scalar_subquery()
        ),
        "two tenants from a subquery": bare.where(
            contacts.c.tenant_id == sa.union(
                sa.select(sa.cast(ours.tenant.id, sa.Uuid)),
                sa.select(sa.cast(theirs.tenant.id, sa.Uuid)),
            ).scalar_subquery()
        ),
        "another base": sa.select(Shadow.name),
        "text": sa.text("SELECT name FROM contacts_contact"),
        "text with columns": sa.text("SELECT 'x' AS name").columns(sa.column("name")),
        "text in a filter": sa.select(Contact.name).where(sa.text("true")),
        "text in a column": sa.select(sa.text("(SELECT min(name) FROM contacts_contact)")),
        "text in an order": sa.select(Contact.name).order_by(sa.text("name")),
        "literal column": sa.select(sa.literal_column("(SELECT min(name) FROM contacts_contact)")),
        "from_statement of text": sa.select(Contact).from_statement(
            sa.text("SELECT * FROM contacts_contact")
        ),
        "from_statement of a table": sa.select(Contact).from_statement(sa.select(contacts)),
        "set_config": sa.select(
            sa.func.set_config("guanxi.tenant", str(theirs.tenant.id), True)
        ),
        "set_config by schema": sa.select(
            sa.func.pg_catalog.set_config("guanxi.tenant", str(theirs.tenant.id), True)
        ),
        "system function": sa.select(sa.func.guanxi_tenants(None)),
        "sql in a function": sa.select(
            sa.func.query_to_xml("SELECT * FROM contacts_contact", True, False, "")
        ),
        "ddl": sa.schema.DropTable(contacts),
    }  # fmt: skip


async def test_statements_that_forget_the_tenant_are_refused(two, serving):
    for name, statement in unscoped(*two).items():
        async with serving() as ctx:
            try:
                found = list(await ctx.db.execute(statement))
            except (UnscopedStatement, SessionRefused):
                continue
            pytest.fail(f"{name} was answered: {found}")


async def test_the_error_names_table_and_remedy(two):
    ours, _ = two
    with pytest.raises(
        UnscopedStatement, match=r"'contacts_contact'.*tenant_id.*select from the model"
    ):
        async with ours.context() as ctx:
            await ctx.db.execute(sa.select(contacts.c.name))


async def test_a_cached_statement_is_checked_for_each_tenant(two):
    """The compiled statement is shared; the tenant it names is compared every time."""
    ours, theirs = two
    for app, tenant, allowed in (
        (ours, ours, True), (theirs, theirs, True), (ours, theirs, False), (theirs, ours, False),
    ):  # fmt: skip
        value = sa.cast(tenant.tenant.id, sa.Uuid)
        for named in (tenant.tenant.id, sa.select(value).scalar_subquery()):
            statement = sa.select(contacts.c.name).where(contacts.c.tenant_id == named)
            async with app.context() as ctx:
                if allowed:
                    assert len(list(await ctx.db.scalars(statement))) == 2
                else:
                    with pytest.raises(UnscopedStatement, match="another tenant"):
                        await ctx.db.scalars(statement)


def writes(ours, theirs):
    """Writes that would pass by versions, audit or tenant."""
    row = {"tenant_id": ours.tenant.id, "id": ours.contact.id, "name": "changed"}
    return {
        "orm update": (sa.update(Contact).values(name="changed"), None),
        "bulk update by primary key": (sa.update(Contact), [row]),
        "orm delete": (sa.delete(Contact), None),
        "orm insert": (sa.insert(Contact), [{**row, "id": uuid7()}]),
        "insert from select": (
            sa.insert(Contact).from_select(["name"], sa.select(Contact.name)),
            None,
        ),
        "table update": (
            contacts.update().where(contacts.c.tenant_id == ours.tenant.id).values(name="changed"),
            None,
        ),
        "table insert": (contacts.insert().values(**{**row, "tenant_id": theirs.tenant.id}), None),
        "table delete": (contacts.delete(), None),
        "write in a cte": (
            sa.select(
                sa.update(Contact)
                .where(Contact.tenant_id == ours.tenant.id)
                .values(name="changed")
                .returning(Contact.name)
                .cte("w")
                .c.name
            ),
            None,
        ),
        "returning through from_statement": (
            sa.select(Contact).from_statement(
                sa.update(Contact).values(name="changed").returning(Contact)
            ),
            None,
        ),
    }


async def test_bulk_writes_are_refused(two):
    ours, theirs = two
    for name, (statement, parameters) in writes(ours, theirs).items():
        message = "it was carried out"
        async with ours.context() as ctx:
            try:
                await ctx.db.execute(statement, parameters)
            except (UnscopedStatement, SessionRefused) as refused:
                message = str(refused)
        assert "ctx.update_where" in message, name
    assert {contact.name for contact in await ours.all(Contact)} == {"ours", "ours-2"}


def elsewhere(session, work):
    with session.get_bind().connect() as connection:
        work(connection)


async def test_what_the_synchronous_session_offers_is_refused_too(two):
    ours, _ = two
    attempts = [
        lambda s: s.connection(),
        lambda s: s.bulk_save_objects([Contact(name="x")]),
        lambda s: s.bulk_insert_mappings(Contact, [{"name": "x"}]),
        lambda s: s.bulk_update_mappings(Contact, [{"id": ours.contact.id, "name": "x"}]),
        lambda s: s.execute(sa.text("SELECT 1")),
        lambda s: s.execute(sa.select(contacts.c.name)),
        lambda s: s.query(Contact).update({"name": "x"}),
        lambda s: s.query(Contact).delete(),
        lambda s: elsewhere(s, lambda c: c.execute(sa.select(contacts.c.name))),
        lambda s: elsewhere(s, lambda c: c.execute(sa.text("SELECT 1"))),
        lambda s: elsewhere(s, lambda c: c.exec_driver_sql("SELECT 1")),
        lambda s: s.execute(sa.select(contacts.c.name), bind_arguments={"bind": s.get_bind()}),
        lambda s: s.commit(),
    ]
    for attempt in attempts:
        with pytest.raises((UnscopedStatement, SessionRefused)):
            async with ours.context() as ctx:
                await ctx.db.run_sync(attempt)
    async with ours.context() as ctx:
        names = await ctx.db.run_sync(lambda s: {c.name for c in s.query(Contact)})
    assert names == {"ours", "ours-2"}


async def test_connections_and_engines_are_not_handed_out(two):
    ours, _ = two
    with pytest.raises(SessionRefused, match=r"ctx\.db\.execute"):
        async with ours.context() as ctx:
            await ctx.db.connection()
    async with ours.context() as ctx:
        with pytest.raises(SessionRefused, match="engines"):
            ctx.db.get_bind()
        assert ctx.db.bind is None


async def test_another_engine_is_not_used_instead(two, guanxi_database):
    ours, _ = two
    other = sa.ext.asyncio.create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(guanxi_database.owner_url)
    )
    async with ours.context() as ctx:
        ctx.db.bind = other
        found = await ctx.db.execute(
            sa.select(sa.func.current_user()), bind_arguments={"bind": other.sync_engine}
        )
        assert found.scalar_one() == guanxi_database.app_role
    await other.dispose()


async def test_commit_is_left_to_the_context(two):
    ours, _ = two
    with pytest.raises(SessionRefused, match="leave commit"):  # noqa: PT012
        async with ours.context() as ctx:
            await ctx.add(Contact(name="early"))
            await ctx.db.commit()
    with pytest.raises(SessionRefused, match="leave commit"):
        async with ours.context() as ctx, ctx.db.begin():
            ctx.db.add(Contact(name="early"))
    assert "early" not in {contact.name for contact in await ours.all(Contact)}


async def test_get_finds_nothing_of_another_tenant(two):
    ours, theirs = two
    key = (theirs.tenant.id, theirs.contact.id)
    async with ours.context() as ctx:
        with pytest.raises(UnscopedStatement, match="another tenant"):
            await ctx.db.get(Contact, key)
        assert await ctx.db.get(Contact, (ours.tenant.id, theirs.contact.id)) is None
        assert (await ctx.db.get(Contact, (ours.tenant.id, ours.contact.id))).name == "ours"
        with pytest.raises(NotFound):
            await ctx.get(Contact, theirs.contact.id)


async def test_their_rows_cannot_enter_the_session(two):
    """Neither as they are nor merged, so the identity map cannot hand them out either."""
    ours, theirs = two

    async def add(ctx):
        ctx.db.add(theirs.contact)

    async def merge(ctx):
        await ctx.db.merge(theirs.contact)
        await ctx.db.flush()

    async def merge_without_loading(ctx):
        await ctx.db.merge(theirs.contact, load=False)

    async def new(ctx):
        await ctx.add(Contact(name="x", tenant_id=theirs.tenant.id))

    async def move(ctx):
        contact = await ctx.get(Contact, ours.contact.id)
        contact.tenant_id = theirs.tenant.id
        await ctx.db.flush()

    async def related(ctx):
        contact = await ctx.get(Contact, ours.contact.id)
        contact.introducer = theirs.contact
        await ctx.db.flush()

    for attempt in (add, merge, merge_without_loading, new, move, related):
        with pytest.raises((ForeignTenant, UnscopedStatement), match="another tenant"):
            async with ours.context() as ctx:
                await attempt(ctx)
    assert (await theirs.get(Contact, theirs.contact.id)).name == "theirs"


async def test_naming_the_own_tenant_is_allowed(two):
    ours, _ = two
    made = await ours.add(Contact(name="x", tenant_id=ours.tenant.id))
    async with ours.context() as ctx:
        contact = await ctx.get(Contact, made.id)
        contact.tenant_id, contact.name = ours.tenant.id, "y"
    assert (await ours.get(Contact, made.id)).name == "y"


async def test_only_models_enter_the_session(two):
    ours, _ = two
    with pytest.raises(SessionRefused, match="Shadow is not a Model"):
        async with ours.context() as ctx:
            ctx.db.add(Shadow(tenant_id=ours.tenant.id, id=uuid7(), name="x"))


async def test_a_reference_to_another_tenant_leads_nowhere(two):
    ours, theirs = two
    for missing in (theirs.contact.id, uuid7()):
        with pytest.raises(NotFound) as refused:
            async with ours.context() as ctx:
                await ctx.add(Note(contact_id=missing, body="x"))
        assert (refused.value.path, refused.value.message) == ("contact_id", "does not exist")


@pytest.mark.parametrize("load", [selectinload, joinedload, subqueryload])
async def test_eager_loads_stay_in_the_tenant(two, serving, load):
    async with serving() as ctx:
        statement = sa.select(Contact).options(load(Contact.introducer)).order_by(Contact.name)
        loaded = (await ctx.db.scalars(statement)).unique().all()
        assert [c.introducer and c.introducer.name for c in loaded] == [None, "ours"]


async def test_a_condition_on_a_relationship_asks_nothing_of_other_tenants(two, serving):
    """A reference that exists in both tenants, as an import of the same file makes it."""
    ours, theirs = two
    same = uuid7()
    for app, name in ((ours, "mine"), (theirs, "secret")):
        await app.add(Contact(id=same, name=name))
        await app.add(Contact(name="child", introducer_id=same))
    by_has = sa.select(Contact.name).where(Contact.introducer.has(Contact.name == "secret"))
    parent = aliased(Contact)
    by_join = sa.select(parent.name).select_from(Contact).join(Contact.introducer.of_type(parent))
    async with serving() as ctx:
        assert list(await ctx.db.scalars(by_has)) == []
        assert set(await ctx.db.scalars(by_join)) == {"ours", "mine"}


async def test_refresh_and_populate_existing_stay_in_the_tenant(two):
    ours, _ = two
    async with ours.context() as ctx:
        contact = await ctx.get(Contact, ours.contact.id)
        await ctx.db.refresh(contact)
        await ctx.db.refresh(contact, ["introducer"])
        ctx.db.expire(contact)
        await ctx.db.refresh(contact)
        assert contact.name == "ours"


async def test_relationships_are_never_loaded_by_accident(two):
    ours, _ = two
    async with ours.context() as ctx:
        contact = await ctx.get(Contact, ours.friend.id)
        with pytest.raises(sa.exc.InvalidRequestError, match="lazy='raise'"):
            _ = contact.introducer


async def test_an_old_version_is_a_conflict(two):
    ours, _ = two
    with pytest.raises(Conflict) as refused:  # noqa: PT012
        async with ours.context() as ctx:
            contact = await ctx.get(Contact, ours.contact.id)
            async with ours.context() as other:
                (await other.get(Contact, ours.contact.id)).name = "faster"
            contact.name = "slower"
            await ctx.db.flush()
    assert refused.value.path == "version"
    assert (await ours.get(Contact, ours.contact.id)).name == "faster"


async def test_a_session_keeps_its_tenant_after_a_rollback(two):
    ours, _ = two
    async with ours.context() as ctx:
        await ctx.add(Contact(name="undone"))
        await ctx.db.rollback()
        assert set(await ctx.db.scalars(sa.select(Contact.name))) == {"ours", "ours-2"}


async def test_no_tenant_survives_its_transaction(two, guanxi_database):
    """The pool of the sessions hands out connections without any tenant."""
    ours, _ = two
    async with ours.context() as ctx:
        await ctx.db.scalars(sa.select(Contact.name))
    async with ours.platform._engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert await driver.fetchval("SELECT current_setting('guanxi.tenant', true)") in ("", None)
        assert await driver.fetchval("SELECT count(*) FROM contacts_contact") == 0


async def test_row_level_security_alone_holds(two, guanxi_database):
    """The second line: what the app role can do with plain SQL."""
    ours, theirs = two
    connection = await asyncpg.connect(guanxi_database.app_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM contacts_contact") == 0
        await connection.execute("SELECT set_config('guanxi.tenant', '', false)")
        assert await connection.fetchval("SELECT count(*) FROM contacts_contact") == 0
        await connection.execute(
            "SELECT set_config('guanxi.tenant', $1, false)", str(ours.tenant.id)
        )
        assert await connection.fetchval("SELECT count(*) FROM contacts_contact") == 2
        assert await connection.fetchval(
            "SELECT count(*) FROM contacts_contact WHERE tenant_id = $1", theirs.tenant.id
        ) == 0  # fmt: skip
        changed = await connection.execute("UPDATE contacts_contact SET name = 'x' WHERE true")
        assert changed == "UPDATE 2"
        gone = await connection.execute(
            "DELETE FROM notes_note WHERE tenant_id = $1", theirs.tenant.id
        )
        assert gone == "DELETE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "INSERT INTO contacts_contact (tenant_id, id, name, warmth, friendly) "
                "VALUES ($1, $2, 'x', 'COLD', true)",
                theirs.tenant.id, uuid7(),
            )  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE contacts_contact SET tenant_id = $1", theirs.tenant.id)
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await connection.execute(
                "INSERT INTO notes_note (tenant_id, id, contact_id, body) VALUES ($1, $2, $3, 'x')",
                ours.tenant.id, uuid7(), theirs.contact.id,
            )  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("ALTER TABLE contacts_contact NO FORCE ROW LEVEL SECURITY")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM guanxi_token")
    finally:
        await connection.close()
    assert (await theirs.get(Contact, theirs.contact.id)).name == "theirs"
