"""Mistakes of authors fail when the class is made, naming culprit and remedy."""

import datetime as dt
import types
from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy.orm import Mapped
from with_contacts import Contact, ContactMerged, Contacts, ContactSettings
from with_notes import READ, WRITE, Note, NoteAdded, Notes

from guanxi_sdk import (
    SQL,
    Ambient,
    Context,
    Event,
    Extension,
    Model,
    Money,
    NoSettings,
    Outside,
    Permission,
    Plugin,
    PluginError,
    Settings,
    column,
    field,
    hookimpl,
    mutation,
    on,
    query,
    reference,
    sql_field,
)


class Thing(Model, plugin="things"):
    """A thing."""

    label: Mapped[str]


class Guarded(Model, plugin="guarded", read="guarded.see"):
    """A thing with a permission of its own."""

    label: Mapped[str]


class Undocumented(Event):
    pass


class Mute(Settings):
    volume: int = 1


def make(name="things", doc="Made for a test.", namespace=None, base=Plugin, **manifest):
    members = {"__module__": __name__} | (namespace or {})
    if doc:
        members["__doc__"] = doc
    keywords = {"name": name, **manifest}
    return types.new_class("Made", (base,), keywords, lambda body: body.update(members))


def test_a_manifest_holds_what_was_declared():
    manifest = Notes.manifest
    assert (manifest.name, manifest.version) == ("notes", "0.1.0")
    assert manifest.description == "Remarks on a contact, newest first."
    assert manifest.requires == (("contacts", ">=1,<2"),)
    assert (manifest.models, manifest.extensions) == ((Note,), ())
    assert manifest.events == (NoteAdded,)
    assert manifest.permissions == (READ, WRITE)
    assert manifest.package == "with_notes"
    kinds = {one.name: one.kind for one in manifest.contributions}
    assert kinds == {
        "notes": "field", "add_note": "mutation", "follow_merge": "on",
        "merge_warnings": "hookimpl",
    }  # fmt: skip


def test_contributions_say_their_signature_once():
    by_name = {one.name: one for one in Notes.manifest.contributions}
    added = by_name["add_note"]
    assert (added.description, added.needs) == ("Add a note to a contact.", WRITE)
    assert [(a.name, a.annotation, a.required) for a in added.arguments] == [
        ("contact_id", UUID, True), ("body", str, True),
    ]  # fmt: skip
    assert added.returns is Note
    assert (by_name["notes"].model, by_name["notes"].returns) == (Contact, list[list[Note]])
    assert by_name["follow_merge"].event is ContactMerged


def test_permissions_come_with_models():
    assert [p.name for p in Contacts.manifest.permissions] == ["contacts.read", "contacts.write"]
    assert make("bare").manifest.permissions == ()


def test_settings_default_and_are_typed():
    assert Contacts().settings == ContactSettings()
    assert Contacts(ContactSettings(limit=3)).settings.limit == 3
    assert make("bare").manifest.settings is NoSettings


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: make("Things"), "'Things': is no plugin name: use lower case letters"),
        (lambda: make("1st"), "is no plugin name"),
        (lambda: make("x" * 32), "is no plugin name"),
        (lambda: make(doc=None), "class Made needs a docstring: it is shown to users"),
        (lambda: make(requires=["contacts >"]),
         "requires='contacts >' is not like 'contacts>=1,<2'"),
        (lambda: make(requires=["Contacts"]), "requires='Contacts' is not like"),
        (lambda: make("other", models=[Thing]),
         "model Thing has the table things_thing: give the model plugin='other'"),
        (lambda: make(permissions=[Permission("note.read", "x")]),
         "'note.read' must start with 'things.'"),
        (lambda: make("guarded", models=[Guarded]),
         "model Guarded needs 'guarded.see', which the manifest does not declare in permissions"),
        (lambda: make(events=[Undocumented]), "event Undocumented needs a docstring"),
        (lambda: make(base=Plugin[Mute]),
         "setting 'volume' needs a description: Meta(description=…)"),
    ],
)  # fmt: skip
def test_mistakes_in_a_manifest(mistake, message):
    with pytest.raises(PluginError) as refused:
        mistake()
    assert message in str(refused.value)
    assert str(refused.value).startswith("plugin '")


def test_a_docstring_below_a_setting_describes_it():
    class Loud(Settings):
        volume: int = 1
        """How loud, in decibels."""

    assert make(base=Plugin[Loud]).manifest.settings is Loud


async def undocumented(self, ctx: Context) -> str:
    return ""


async def without_result(self, ctx: Context):
    """Do."""


async def without_annotation(self, ctx: Context, what) -> str:
    """Do."""


def blocking(self, ctx: Context) -> str:
    """Do."""


async def finding(self, ctx: Context) -> list[UUID | None]:
    """Find."""


async def counting(self, ctx: Context) -> int:
    """Count."""


async def told_of_another(self, ctx: Context, most: int) -> int:
    """Count.

    Args:
        most: How many are counted.
        least: How few.
    """


async def told_anyhow(self, ctx: Context, most: int) -> int:
    """Count.

    Args:
        How many are counted.
    """


async def told_at_length(self, ctx: Context, most: int, least: int = 0) -> int:
    """Count.

    And more about it.

    Args:
        ctx: As ever.
        most (int): How many
            are counted.
        least:
            How few.

    Returns:
        A number.
    """


async def short(self) -> str:
    """Do."""


async def waiting(row, ambient) -> str:
    """Do."""


def with_self(self, row: object, ambient: Ambient) -> SQL[str]:
    """Do."""


async def answering(self) -> list[str]:
    """Do."""


async def batch(self, ctx: Context, contacts: Sequence[Contact]) -> list[str]:
    """Do."""


async def within_a_transaction(self, ctx: Context, event: ContactMerged) -> None:
    """Do."""


async def outside_any(self, ctx: Outside, event: ContactMerged) -> None:
    """Do."""


@pytest.mark.parametrize(
    ("decorate", "function", "message"),
    [
        (mutation(), undocumented, "needs a docstring: it becomes the description"),
        (query(), without_result, "needs a return annotation: it is the GraphQL type"),
        (mutation(), without_annotation, "annotate the argument 'what'"),
        (mutation(), blocking, "does I/O: declare it with `async def`"),
        (query(), blocking, "does I/O"),
        (field(Contact), blocking, "does I/O"),
        (on(ContactMerged), blocking, "does I/O"),
        (query(), short, "must take (self, ctx, …)"),
        (
            query(),
            finding,
            "returns a UUID, by which clients find no row: return the row, or a str that",
        ),
        (query(), told_of_another, "tells of 'least' under Args:, which is none of its arguments"),
        (query(), told_anyhow, "the line 'How many are counted.' under Args: is not 'name: what"),
        (
            query(needs="contacts.read"),
            counting,
            "has needs='contacts.read', which is no permission: import the one that a plugin "
            "declares, or write Permission(",
        ),
        (
            on(ContactMerged, outside=True),
            within_a_transaction,
            "is called outside any transaction: annotate ctx as Outside",
        ),
        (on(ContactMerged), outside_any, "takes an Outside: say outside=True, or annotate ctx as"),
        (
            field(Contact, columns=("name", "nick")),
            batch,
            "columns= names 'nick', which Contact does not have: it has id, name, email",
        ),
        (field(Contact), undocumented, "needs a docstring"),
        (sql_field(Contact), waiting, "answers at once: declare it with plain `def`"),
        (sql_field(Contact), with_self, "must take (row, ambient, …) without self"),
        (hookimpl, answering, "answers at once: declare it with plain `def`"),
    ],
)
def test_mistakes_in_a_contribution(decorate, function, message):
    with pytest.raises(PluginError) as refused:
        make(namespace={"thing": decorate(function)})
    assert f"thing() {message}" in str(refused.value).replace("thing(): ", "thing() ")


def test_handlers_take_what_they_are_given():
    makes = {"here": on(ContactMerged)(within_a_transaction)}
    makes["there"] = on(ContactMerged, outside=True)(outside_any)
    assert [one.outside for one in make(namespace=makes).manifest.contributions] == [False, True]


def nothing() -> None:
    """Do."""


def test_a_contribution_without_parameters():
    for decorate in (hookimpl, sql_field(Contact)):
        with pytest.raises(PluginError, match=r"must take \("):
            make(namespace={"thing": decorate(nothing)})


def test_static_methods_may_hold_sql_fields():
    def shout(contact, ambient: Ambient) -> SQL[str]:
        """Say it loudly."""
        return contact.name

    made = make(namespace={"shout": staticmethod(sql_field(Contact)(shout))})
    (contribution,) = made.manifest.contributions
    assert (contribution.kind, contribution.arguments) == ("sql_field", ())


def test_a_plugin_is_made_of_several_classes():
    class Fields:
        @staticmethod
        @sql_field(Contact)
        def shout(contact, ambient: Ambient) -> SQL[str]:
            """Say it loudly."""
            return contact.name

        @query()
        async def loudness(self, ctx: Context) -> int:
            """How loud."""
            return 1

    class Louder(Fields):
        @query()
        async def loudness(self, ctx: Context) -> int:
            """How very loud."""
            return 2

    class Shouting(Louder, Plugin, name="shouting", requires=["contacts"]):
        """Shouts."""

        @query()
        async def silence(self, ctx: Context) -> int:
            """None."""
            return 0

    found = {one.name: one for one in Shouting.manifest.contributions}
    assert found.keys() == {"shout", "loudness", "silence"}
    assert found["loudness"].description == "How very loud."
    assert found["loudness"].function is Louder.__dict__["loudness"]


class TestModels:
    def test_what_a_model_declares(self):
        info = Contact.info
        assert (info.name, info.plugin, info.plural) == ("Contact", "contacts", "contacts")
        assert (info.prefix, info.key, info.table.name) == ("contact", "email", "contacts_contact")
        assert info.description == "Somebody we know."
        kinds = {name: one.kind for name, one in info.fields.items()}
        assert kinds == {
            "id": "id", "name": "text", "email": "text", "warmth": "choice", "age": "int",
            "score": "float", "born": "date", "met_at": "datetime", "friendly": "bool",
            "debt": "money", "tags": "texts", "addresses": "values", "introducer_id": "reference",
            "created_at": "datetime", "updated_at": "datetime", "version": "int",
            "archived_at": "datetime",
        }  # fmt: skip
        name, age, debt = (info.fields[one] for one in ("name", "age", "debt"))
        assert (name.max_length, name.indexed, name.required) == (40, True, True)
        assert (age.minimum, age.maximum, age.required) == (0, 150, False)
        assert debt.columns == ("debt_minor", "debt_currency")
        assert info.fields["version"].readonly

    def test_what_a_reference_declares(self):
        (relation,) = Note.info.references.values()
        assert (relation.name, relation.column, relation.target) == (
            "contact", "contact_id", Contact,
        )  # fmt: skip
        assert relation.reverse == "remarks"
        (introducer,) = Contact.info.references.values()
        assert introducer.target is Contact

    def test_keys_and_indexes_carry_the_tenant(self):
        for table in (Contact.__table__, Note.__table__):
            assert [column.name for column in table.primary_key] == ["tenant_id", "id"]
            for index in table.indexes:
                assert index.columns[0].name == "tenant_id"
            for constraint in table.foreign_key_constraints:
                assert constraint.column_keys[0] == "tenant_id"

    def test_plurals(self):
        class Company(Model, plugin="plurals"):
            """A company."""

        class Branch(Model, plugin="plurals"):
            """A branch."""

        class Person(Model, plugin="plurals", plural="people"):
            """A person."""

        plurals = [model.info.plural for model in (Company, Branch, Person)]
        assert plurals == ["companies", "branches", "people"]

    def mistakes():
        def undocumented():
            class M(Model, plugin="m1"):
                label: Mapped[str]

        def a_type():
            class M(Model, plugin="m2"):
                """Doc."""

                label: Mapped[bytes]

        def a_dict():
            class M(Model, plugin="m3"):
                """Doc."""

                label: Mapped[dict[str, str]]

        def a_reference_by_another_name():
            class M(Model, plugin="m4"):
                """Doc."""

                contact: Mapped[UUID] = reference(Contact)

        def a_uuid():
            class M(Model, plugin="m5"):
                """Doc."""

                contact_id: Mapped[UUID]

        def a_key():
            class M(Model, plugin="m6", key="code"):
                """Doc."""

                label: Mapped[str]

        def a_column_of_sqlalchemy():
            from sqlalchemy.orm import mapped_column

            class M(Model, plugin="m7"):
                """Doc."""

                label: Mapped[str] = mapped_column()

        def a_confidentiality():
            class M(Model, plugin="m9"):
                """Doc."""

                label: Mapped[str] = column(confidentiality="CONFIDENTIAL")

        def a_column_to_be_within():
            class M(Model, plugin="m10", within="contact_id"):
                """Doc."""

                contact_id: Mapped[UUID] = reference(Contact)

        def nothing_to_be_within():
            class M(Model, plugin="m11", within="nobody_id"):
                """Doc."""

                label: Mapped[str]

        def a_postponed_annotation():
            members = {"__doc__": "Doc.", "__module__": __name__}
            members["__annotations__"] = {"label": "Mapped[str]"}
            type(Model)("M", (Model,), members, plugin="m8")

        yield undocumented, "model M needs a docstring: it describes the GraphQL type"
        yield a_type, "M.label has the type <class 'bytes'>; use str, int, float, bool"
        yield a_dict, "M.label has the type dict[str, str]; use str"
        yield a_reference_by_another_name, "M.contact is a reference: call it contact_id"
        yield a_uuid, "M.contact_id is a UUID: declare it with reference(Model)"
        yield a_key, "key='code' is not one of its attributes"
        yield a_column_of_sqlalchemy, "M.label: use column() or reference() from the SDK"
        yield (
            a_confidentiality,
            (
                "column(confidentiality='CONFIDENTIAL') is no level: write one of "
                "Confidentiality.PUBLIC, Confidentiality.INTERNAL"
            ),
        )
        yield a_column_to_be_within, "no reference to another model: write 'contact'."
        yield nothing_to_be_within, "within='nobody_id' is no reference to another model."
        yield a_postponed_annotation, "remove `from __future__ import annotations`"

    @pytest.mark.parametrize(("mistake", "message"), list(mistakes()))
    def test_mistakes(self, mistake, message):
        with pytest.raises(PluginError) as refused:
            mistake()
        assert message in str(refused.value)

    def test_a_side_table_belongs_to_a_model(self):
        class Rank(Extension, of=Contact, plugin="ranks"):
            """A rank."""

            since: Mapped[dt.date | None]
            worth: Mapped[Money | None] = column()

        assert Rank.info.of is Contact
        assert [column.name for column in Rank.__table__.primary_key] == ["tenant_id", "id"]
        assert set(Rank.info.fields) == {"since", "worth"}
        with pytest.raises(TypeError, match="of"):

            class Orphan(Extension, plugin="ranks"):
                """No model."""


def test_a_docstring_tells_of_arguments_in_a_section() -> None:
    [contribution] = make(namespace={"told": query()(told_at_length)}).manifest.contributions
    assert contribution.description == "Count.\n\nAnd more about it.\n\nReturns:\n    A number."
    told = {one.name: one.description for one in contribution.arguments}
    assert told == {"most": "How many are counted.", "least": "How few."}
