"""Composing: order, requirements, and clashes that name both culprits."""

import itertools
import sys
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Mapped
from with_contacts import Contact, ContactMerged, Contacts
from with_every_kind import Lab
from with_notes import Note, Notes
from with_standing import Standing, StandingPlugin

from guanxi_core.composing import Editions, settle
from guanxi_core.custom.definitions import Definition, FieldClash
from guanxi_core.editions import compose, dependency_order, fingerprint
from guanxi_customers import Customer, Customers
from guanxi_graphql.schema import schema_of
from guanxi_sdk import (
    Choice,
    Context,
    Created,
    Event,
    Extension,
    Model,
    Plugin,
    PluginError,
    Value,
    field,
    hookimpl,
    hookspec,
    mutation,
    on,
    query,
    reference,
    sql_field,
)
from guanxi_tiers import Tiers

NAMES = (f"p{n}" for n in itertools.count())


#: What the core itself brings into every edition.
EMPTY = compose([])


def plugin(name=None, namespace=None, **manifest):
    """A plugin class made on the spot."""
    name = name or next(NAMES)
    members = {"__doc__": "Made for a test.", "__module__": __name__} | (namespace or {})
    return type(Plugin)(name, (Plugin,), members, name=name, **manifest)


def names(plugins):
    return [one.manifest.name for one in plugins]


def test_each_plugin_comes_after_what_it_requires():
    c = plugin("c")
    b = plugin("b", requires=["c"])
    a = plugin("a", requires=["b", "c>=0.1"])
    assert names(dependency_order([a, b, c])) == ["c", "b", "a"]
    assert names(compose([a, c, b]).plugins) == ["c", "b", "a"]


@given(st.data())
def test_the_order_depends_on_the_set_alone(data):
    count = data.draw(st.integers(1, 8))
    plugins = []
    for n in range(count):
        some = data.draw(st.lists(st.integers(0, n - 1), unique=True)) if n else []
        plugins.append(plugin(f"n{n}", requires=[f"n{m}" for m in some]))
    shuffled = data.draw(st.permutations(plugins))
    ordered = dependency_order(shuffled)
    assert ordered == dependency_order(plugins)
    for one in ordered:
        before = names(ordered[: ordered.index(one)])
        assert {name for name, _ in one.manifest.requires} <= set(before)
    assert fingerprint(shuffled) == fingerprint(plugins)


@pytest.mark.parametrize(
    ("plugins", "message"),
    [
        ([plugin("a", requires=["b"])], "plugin 'a': requires 'b', which is not enabled"),
        (
            [plugin("a", requires=["b>=2"]), plugin("b", version="1.9")],
            "plugin 'a': requires 'b>=2', but version 1.9 is installed",
        ),
        (
            [plugin("a", requires=["b"]), plugin("b", requires=["a"])],
            r"circle: (a → b → a|b → a → b)",
        ),
    ],
)
def test_requirements_that_are_not_met(plugins, message):
    with pytest.raises(PluginError, match=message):
        compose(plugins)


def test_the_fingerprint_tells_versions_and_classes_apart():
    one, same_name = plugin("same"), plugin("same", version="0.2.0")
    assert fingerprint([one]) != fingerprint([same_name])
    assert fingerprint([one]) != fingerprint([one, plugin("more")])
    assert compose([one]).fingerprint == fingerprint([one])


async def returns_text(self, ctx: Context) -> str:
    """Some text."""
    return ""


async def texts(self, ctx: Context, contacts: list[Contact]) -> list[str]:
    """Some text each."""
    return [""] * len(contacts)


def expression(contact, ambient) -> str:
    """Some text."""
    return contact.name


class Happened(Event):
    """Something happened."""


class HappenedAgain(Event):
    """Something else happened."""


HappenedAgain.__name__ = "Happened"


class Asks:
    @hookspec("collect")
    def shared_question(self, row: object) -> list[str]:
        """Ask."""
        raise AssertionError


class AsksToo:
    @hookspec("first")
    def shared_question(self, row: object) -> str | None:
        """Ask."""
        raise AssertionError


class Thing(Model, plugin="first"):
    """A thing."""

    label: Mapped[str]


class SecondThing(Model, plugin="second", plural="things"):
    """Another."""

    label: Mapped[str]


class ThingStanding(Extension, of=Contact, plugin="second"):
    """Adds a field that standing adds too."""

    rank: Mapped[int | None]


def choice(name):
    return Choice(name, {"ONE": ("ONE", "一", "One")}, module=__name__)


Colour, OtherColour = choice("Colour"), choice("Colour")


class Report(Value):
    """A report."""

    colour: Colour


def value(name, **fields):
    """A Value made on the spot."""
    members = {"__doc__": "Made for a test.", "__module__": __name__, "__annotations__": fields}
    return type(Value)(name, (Value,), members)


class Painted(Model, plugin="painted"):
    """Something with a colour."""

    colour: Mapped[Colour | None]


class Shade(Extension, of=Contact, plugin="shade"):
    """Adds a colour to contacts."""

    shade: Mapped[OtherColour | None]


class ContactEdge(Model, plugin="edge"):
    """Has the name that a page of contacts needs."""


def asks(result, argument=str):
    """A query with these types."""

    async def asked(self, ctx: Context, given: argument | None = None) -> result:
        """Ask."""

    return query()(asked)


def does(result):
    """A mutation with this result."""

    async def done(self, ctx: Context) -> result:
        """Do."""

    return mutation()(done)


def of_contacts(result):
    """A batch field with this result."""

    async def added(self, ctx: Context, contacts: list[Contact]) -> list[result]:
        """Add."""

    return field(Contact)(added)


def claimed(name, second, first):
    return f"plugin '{second}': claims the type '{name}', which plugin '{first}' has already"


PAINTED = plugin("painted", models=[Painted])
TYPE_CLASHES = {
    "choice of an attribute and of an extension": (
        [PAINTED, plugin("shade", models=[Shade], requires=["contacts"])],
        claimed("Colour", "shade", "painted"),
    ),
    "choice of an argument": (
        [PAINTED, plugin("x", {"seek": asks(str, list[OtherColour])})],
        claimed("Colour", "x", "painted"),
    ),
    "choice of a result": (
        [PAINTED, plugin("x", {"seek": does(OtherColour)})],
        claimed("Colour", "x", "painted"),
    ),
    "choice of a field": (
        [PAINTED, plugin("x", {"seek": of_contacts(list[OtherColour])}, requires=["contacts"])],
        claimed("Colour", "x", "painted"),
    ),
    "choice inside of values": (
        [PAINTED,
         plugin("x", {"seek": asks(value("A", inner=list[value("B", it=OtherColour | None)]))})],
        claimed("Colour", "x", "painted"),
    ),
    "two values": (
        [plugin("x", {"seek": asks(Report)}),
         plugin("y", {"find": asks(list[value("Report", text=str)])})],
        claimed("Report", "y", "x"),
    ),
    "choice and model": (
        [plugin("x", {"seek": asks(choice("Contact"))})], claimed("Contact", "x", "contacts"),
    ),
    "choice and a filter": (
        [PAINTED, plugin("x", {"seek": asks(choice("ColourFilter"))})],
        claimed("ColourFilter", "x", "painted"),
    ),
    "model and an edge": (
        [plugin("edge", models=[ContactEdge])], claimed("ContactEdge", "edge", "contacts"),
    ),
    "payload of a contributed mutation": (
        [plugin("x", {"tidy_up": does(str)}),
         plugin("y", {"seek": asks(value("TidyUpPayload", text=str))})],
        claimed("TidyUpPayload", "y", "x"),
    ),
} | {
    name: ([plugin("x", {"seek": asks(choice(name))})], claimed(name, "x", "contacts"))
    for name in (
        "ContactConnection", "ContactEdge", "ContactWhere", "ContactListFilter", "ContactOrderBy",
        "CreateContactInput", "UpdateContactInput", "CreateContactPayload", "UpdateContactPayload",
        "ArchiveContactPayload", "RestoreContactPayload", "MergeContactsPayload",
    )
}  # fmt: skip


@pytest.mark.parametrize("clash", TYPE_CLASHES)
def test_a_clash_of_types_names_both(clash):
    plugins, message = TYPE_CLASHES[clash]
    with pytest.raises(PluginError) as refused:
        compose([Contacts, *plugins])
    assert message in str(refused.value)
    assert "Rename one, or enable only one of the two" in str(refused.value)


def test_plugins_may_share_a_choice_and_a_value():
    users = [plugin(name, {f"{name}_seek": asks(Report, Colour)}) for name in ("x", "y")]
    assert compose([PAINTED, *users]).names == {"painted", "x", "y"}


def test_a_closed_mutation_leaves_its_names_free():
    class Sealed(Model, plugin="sealed", closed=("archive",)):
        """A thing that another mutation archives."""

    one = plugin("sealed", {"archive_sealed": does(Sealed)}, models=[Sealed])
    assert compose([one]).mutations.keys() - EMPTY.mutations.keys() == {"archive_sealed"}


def test_every_type_of_a_schema_is_claimed():
    """What the schema is made of and what plugins cannot name is the same."""
    edition = compose([Contacts, Notes, StandingPlugin, Lab])
    made = {name for name in schema_of(edition).graphql.type_map if not name.startswith("__")}
    assert {"UserError", "Term", "NoteEdge", "CreateContactInput"} <= made
    free = set()
    for name in made:
        intruder = plugin("zz_intruder", {"seek": asks(choice(name))})
        try:
            compose([*edition.plugins, intruder])
        except PluginError as error:
            assert f"claims the type '{name}'" in str(error)  # noqa: PT017
        else:
            free.add(name)
    assert free == set()


CLASHES = {
    "field": (
        [plugin("x", {"nickname": field(Contact)(texts)}, requires=["contacts"]),
         plugin("y", {"nickname": sql_field(Contact)(expression)}, requires=["contacts"])],
        "plugin 'y': claims the field of Contact 'nickname', which plugin 'x' has already",
    ),
    "own field": (
        [plugin("x", {"email": field(Contact)(texts)}, requires=["contacts"])],
        "plugin 'x': claims the field of Contact 'email', which plugin 'contacts' has already",
    ),
    "reverse relation": (
        [plugin("x", {"remarks": field(Contact)(texts)}, requires=["contacts", "notes"]), Notes],
        "plugin 'x': claims the field of Contact 'remarks', which plugin 'notes' has already",
    ),
    "side table": (
        [plugin("second", models=[ThingStanding], requires=["contacts"]), StandingPlugin],
        "plugin 'standing': claims the field of Contact 'rank', which plugin 'second' has already",
    ),
    "query": (
        [plugin("x", {"top": query()(returns_text)}), plugin("y", {"top": query()(returns_text)})],
        "plugin 'y': claims the query field 'top', which plugin 'x' has already",
    ),
    "generated query": (
        [plugin("x", {"contacts": query()(returns_text)})],
        "plugin 'x': claims the query field 'contacts', which plugin 'contacts' has already",
    ),
    "aggregate": (
        [plugin("x", {"contacts_aggregate": query()(returns_text)})],
        "plugin 'x': claims the query field 'contactsAggregate', which plugin 'contacts' has",
    ),
    "aggregate of a reverse relation": (
        [plugin("x", {"remarks_aggregate": field(Contact)(texts)}, requires=["contacts", "notes"]),
         Notes],
        "plugin 'x': claims the field of Contact 'remarksAggregate', which plugin 'notes' has",
    ),
    "plural": (
        [plugin("first", models=[Thing]), plugin("second", models=[SecondThing])],
        "plugin 'second': claims the query field 'things', which plugin 'first' has already",
    ),
    "mutation": (
        [plugin("x", {"do": mutation()(returns_text)}),
         plugin("y", {"do": mutation()(returns_text)})],
        "plugin 'y': claims the mutation 'do', which plugin 'x' has already",
    ),
    "generated mutation": (
        [plugin("x", {"create_contact": mutation()(returns_text)})],
        "plugin 'x': claims the mutation 'createContact', which plugin 'contacts' has already",
    ),
    "hook": (
        [plugin("x", hooks=[Asks]), plugin("y", hooks=[AsksToo])],
        "plugin 'y': claims the hook 'shared_question', which plugin 'x' has already",
    ),
    "event": (
        [plugin("x", events=[Happened]), plugin("y", events=[HappenedAgain])],
        "plugin 'y': claims the event 'Happened', which plugin 'x' has already",
    ),
}  # fmt: skip


@pytest.mark.parametrize("clash", CLASHES)
def test_a_clash_names_both(clash):
    plugins, message = CLASHES[clash]
    with pytest.raises(PluginError) as refused:
        compose([Contacts, *plugins])
    assert message in str(refused.value)
    assert "Rename one, or enable only one of the two" in str(refused.value)


def test_a_plugin_cannot_claim_a_name_twice():
    both = {"label": field(Thing)(texts), "other": mutation()(returns_text)}
    with pytest.raises(PluginError, match="claims the field of Thing 'label' twice"):
        compose([plugin("first", both, models=[Thing])])


def test_names_of_the_platform_are_taken():
    with pytest.raises(PluginError, match=r"the query field 'viewer', which the core has already"):
        compose([plugin("x", {"viewer": query()(returns_text)})])
    for name in ("Term", "MoneyInput", "DateTime", "Subscription", "IntFilter"):
        with pytest.raises(PluginError, match=f"the type '{name}', which the core has.*Rename it"):
            compose([plugin("x", {"seek": asks(choice(name))})])
    with pytest.raises(PluginError, match=r"the hook 'write_errors', which the core has already"):
        compose([plugin("x", hooks=[type("Asks", (), {"write_errors": Asks.shared_question})])])


def answer(name, function):
    function.__name__ = name
    return {name: hookimpl(function)}


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        (answer("unheard", lambda self: []), "answers the hook 'unheard', which no enabled plugin"),
        (
            answer("merge_warnings", lambda self, contract: []),
            r"merge_warnings\(\) takes 'contract', which the hook does not pass: .*contact",
        ),
        (
            answer("merge_warnings", lambda self, former: []),
            r"takes 'former', which the hook does not pass",
        ),
    ],
)
def test_answers_to_wrong_questions(namespace, message):
    with pytest.raises(PluginError, match=message):
        compose([Contacts, plugin("x", namespace, requires=["contacts"])])


def test_extending_a_model_without_requiring_it():
    with pytest.raises(PluginError, match=r"extends Contact.*add 'contacts' to requires"):
        compose([plugin("x", {"nickname": field(Contact)(texts)})])
    with pytest.raises(PluginError, match=r"extends Contact.*add 'contacts' to requires"):
        compose([plugin("standing", models=[Standing])])
    with pytest.raises(PluginError, match=r"Note\.contact refers to Contact of plugin 'contacts'"):
        compose([plugin("notes", models=[Note])])


class Cousin(Extension, of=Thing, plugin="cousins"):
    """A thing of somebody we know."""

    contact_id: Mapped[UUID | None] = reference(Contact)


async def hear(self, ctx: Context, event) -> None:
    """Do."""


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: plugin("x", {"nickname": field(Contact)(texts)}), "extends Contact"),
        (lambda: plugin("standing", models=[Standing]), "extends Contact"),
        (lambda: plugin("notes", models=[Note]), r"Note\.contact refers to Contact"),
        (
            lambda: plugin("cousins", requires=["first"], models=[Cousin]),
            r"Cousin\.contact refers to Contact",
        ),
        (lambda: plugin("x", {"hear": on(Created[Contact])(hear)}), "handles events of Contact"),
        (lambda: plugin("x", {"hear": on(ContactMerged)(hear)}), "handles ContactMerged"),
    ],
)
def test_what_is_not_required_is_not_there(made, message):
    """Whoever enables both by chance would not notice."""
    needed = rf"plugin '\w+': {message} of plugin 'contacts': add 'contacts' to requires"
    with pytest.raises(PluginError, match=needed):
        compose([Contacts, plugin("first", models=[Thing]), made()])


def test_events_that_nobody_declares():
    class Unheard(Event):
        """Nobody lists it."""

    with pytest.raises(PluginError, match=r"handles Unheard, which none of the enabled plugins"):
        compose([plugin("x", {"hear": on(Unheard)(hear)})])


def own_models(edition):
    """Without those of the core, which every edition has."""
    return {name for name, model in edition.models.items() if model.info.plugin != "guanxi"}


def test_what_an_edition_holds():
    edition = compose([Notes, StandingPlugin, Contacts])
    assert edition.names == {"contacts", "notes", "standing"}
    assert edition.models.keys() - EMPTY.models.keys() == {"Contact", "Note"}
    assert edition.extensions == {Contact: (Standing,)}
    assert set(edition.reverses[Contact]) == {"introduced", "remarks"}
    assert set(edition.fields[Contact]) == {"notes"}
    assert edition.mutations.keys() - EMPTY.mutations.keys() == {"merge_contacts", "add_note"}
    assert [entry.contribution.name for entry in edition.handlers] == ["follow_merge"]
    assert edition.permissions.keys() - EMPTY.permissions.keys() == {
        f"{name}.{verb}" for name in ("contacts", "notes", "standing") for verb in ("read", "write")
    }
    hook = edition.hooks["merge_warnings"]
    assert (hook.semantics, hook.closed, hook.parameters) == ("collect", False, ("contact",))
    assert [entry.plugin for entry in hook.answers] == ["notes"]


def test_composing_nothing():
    edition = compose([])
    assert edition.names == frozenset()
    assert {model.info.plugin for model in edition.models.values()} <= {"guanxi"}
    assert set(edition.hooks) == {"erasures", "export_bars", "write_errors"}


def test_composing_many_plugins_does_not_recurse():
    chain = [plugin("link0")]
    for n in range(1, 2 * sys.getrecursionlimit() // 10):
        chain.append(plugin(f"link{n}", requires=[f"link{n - 1}"]))
    assert len(compose(chain).plugins) == len(chain)


def test_a_custom_field_gives_way_to_a_plugin_and_is_named():
    fields = (
        Definition("Customer", "tier", "text", "Ours."),
        Definition("Customer", "level", "int", "Ours."),
        Definition("Nothing", "level", "int", "Of a plugin that is switched off."),
    )
    alone = settle([Customers], fields)
    assert [*alone.edition.custom[Customer]] == ["tier", "level"]
    both = settle([Customers, Tiers], fields)
    assert [*both.edition.custom[Customer]] == ["level"]
    assert both.left_out == {}
    assert "plugin 'tiers', which has the field of Customer 'tier'" in both.hidden["Customer.tier"]
    with pytest.raises(FieldClash):
        compose([Customers, Tiers], fields)


def test_the_fingerprint_tells_custom_fields_apart():
    one, other = (Definition("Customer", "level", kind, "Ours.") for kind in ("int", "text"))
    prints = {fingerprint([Customers], fields) for fields in ((), (one,), (other,), (one, other))}
    assert len(prints) == 4
    assert fingerprint([Customers], (one, other)) == fingerprint([Customers], (other, one))


async def test_fields_of_models_that_are_gone_make_no_edition_of_their_own():
    editions = Editions()
    kept = Definition("Customer", "level", "int", "Ours.")
    left = Definition("Visit", "length", "int", "Of a plugin that is off.")
    shared = await editions.of([Customers], (kept,))
    assert await editions.of([Customers], (left, kept)) is shared
    assert await editions.of([Customers]) is not shared
