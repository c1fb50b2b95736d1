"""The probes of the test kit find what is planted, and say who did it."""

import copy
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from with_contacts import Contacts
from with_leaks import (
    SEEN,
    Breaking,
    Caching,
    Counting,
    Gaping,
    Gifts,
    Keeper,
    Muttering,
    Odd,
    Overhearing,
    Peeking,
    Secret,
    Sound,
    Spelling,
    Telling,
    TooOpen,
    Trusting,
    Whispering,
)
from with_notes import Notes

from guanxi_graphql.compile import searching
from guanxi_graphql.compile.aggregates import Aggregate
from guanxi_graphql.compile.filters import Filters
from guanxi_graphql.compile.policies import Policies
from guanxi_graphql.schema.searched import searched_of
from guanxi_sdk import Confidentiality, Context, Plugin
from guanxi_sdk.testing import Boot
from guanxi_sdk.testing.probes import Broke, Changed, Distinguished, Leaked, NotCovered, Report
from guanxi_sdk.testing.probes.findings import difference, place_of


@pytest.fixture(autouse=True)
def _forgetful() -> None:
    SEEN.clear()


async def test_without_a_leak_nothing_is_found(guanxi: Boot) -> None:
    report = await guanxi.probe_tenants(Sound())
    assert report.known <= report.used
    assert report.done >= {"createSecret", "updateSecret", "archiveKeeper", "restoreKeeper"}
    assert "Query.secrets(where)" in report.known
    assert "SecretWhere.words.gte" in report.known
    assert "SecretGroupBy.KEEPER" in report.known
    assert {"Subscription.secretChanged(where)", "SecretChanged.secret"} <= report.known
    assert "Customer.name" not in report.known
    assert "mutations 8/8" in str(report)
    hidden = await guanxi.probe_hidden_fields(Sound())
    assert hidden.hidden == {
        "leaks.read", "the clearance INTERNAL", "the clearance CONFIDENTIAL",
        "no reason for what is SECRET", "the scope own",
    }  # fmt: skip
    fields = ("Text", "Int", "Float", "Bool", "Date", "Datetime", "Choice")
    for kind in fields:  # custom ones, on one model after the other
        assert {f"Keeper.probed{kind}", f"Secret.probed{kind}"} & report.known & hidden.used
    assert hidden.unscoped is None


async def test_a_plugin_with_its_requirements(guanxi: Boot) -> None:
    report = await guanxi.probe_tenants(Contacts(), Notes())
    assert "addNote" in report.done


async def test_a_cache_for_all_tenants_is_found(guanxi: Boot) -> None:
    with pytest.raises(Leaked, match=r"'CANARY'.*'data\.allWords\.0'") as found:
        await guanxi.probe_tenants(Caching())
    assert "{ allWords  }" in str(found.value)


async def test_a_value_less_confidential_than_its_column_is_found(guanxi: Boot) -> None:
    with pytest.raises(Distinguished, match="the clearance INTERNAL can tell") as found:
        await guanxi.probe_hidden_fields(TooOpen())
    assert "hint" in str(found.value)


@pytest.mark.parametrize(
    ("plugin", "who"), [(Spelling, "the clearance INTERNAL"), (Counting, "the scope own")]
)
async def test_a_mutation_that_tells_what_is_hidden_is_found(
    guanxi: Boot, plugin: type[Plugin], who: str
) -> None:
    with pytest.raises(Distinguished, match=f"{who} can tell") as found:
        await guanxi.probe_hidden_fields(plugin())
    assert {Spelling: "spell", Counting: "recount"}[plugin] in str(found.value)


@pytest.mark.parametrize(
    ("plugin", "who", "asked"),
    [
        (Gaping, "somebody without leaks.read", "howMany"),
        (Muttering, "somebody without leaks.read", "mutters"),
        (Whispering, "the scope own", "whispers"),
    ],
)
async def test_an_answer_of_a_plugin_that_tells_what_is_hidden_is_found(
    guanxi: Boot, plugin: type[Plugin], who: str, asked: str
) -> None:
    with pytest.raises(Distinguished, match=f"{who} can tell") as found:
        await guanxi.probe_hidden_fields(plugin())
    assert f"{asked} " in str(found.value)


async def test_a_mutation_that_knows_foreign_ids_is_found(guanxi: Boot) -> None:
    prefix = f"0198{zlib.crc32(b'Secret') & 0xFFFF:04x}"
    SEEN["ids"] = [f"{prefix}-000b-7000-8000-{number:012x}" for number in (1, 2)]
    with pytest.raises(Distinguished, match=r"secretId: an id of another tenant's Secret") as found:
        await guanxi.probe_tenants(Telling())
    assert "guess" in str(found.value)
    assert "data.guess.errors.0.message" in str(found.value)


async def test_an_sql_field_that_reads_past_the_policy_is_found(guanxi: Boot) -> None:
    with pytest.raises(Distinguished, match="the scope own can tell") as found:
        await guanxi.probe_hidden_fields(Peeking())
    assert "longest" in str(found.value) or "LONGEST" in str(found.value)


async def test_a_search_by_what_may_not_be_read_is_found(
    guanxi: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(edition: Any, model: Any) -> Any:
        for one in searched_of(edition, model):
            open_ = replace(one.field, confidentiality=Confidentiality.INTERNAL)
            yield replace(one, field=open_)

    monkeypatch.setattr(searching, "searched_of", careless)
    with pytest.raises(Distinguished, match="the clearance INTERNAL can tell") as found:
        await guanxi.probe_hidden_fields(Sound())
    assert 'search: "HIDDEN"' in str(found.value) or 'query: "HIDDEN"' in str(found.value)


def _rows_of_others_counted(patch: pytest.MonkeyPatch) -> None:
    made = Aggregate.__init__

    def without_policies(self: Aggregate, *given: Any, **named: Any) -> None:
        made(self, *given, **named)
        policies = self._rows._policies = copy.copy(self._rows._policies)
        policies.rows = lambda *_: []  # type: ignore[method-assign]

    patch.setattr(Aggregate, "__init__", without_policies)


def _hidden_fields_grouped_by(patch: pytest.MonkeyPatch) -> None:
    def key(self: Aggregate, scope: Any, one: Any) -> Any:
        kind, value, _ = self._selections.filters._comparable(scope, one.binding)
        return self._bucket(kind, value) if kind in ("date", "datetime") else value

    patch.setattr(Aggregate, "_key", key)


def _hidden_fields_added_up(patch: pytest.MonkeyPatch) -> None:
    values = Aggregate._values

    def all_values(self: Aggregate, *given: Any) -> Any:
        with pytest.MonkeyPatch.context() as here:
            here.setattr(Filters, "comparable", Filters._comparable)
            here.setattr(Policies, "shown", lambda *_: None)
            return values(self, *given)

    patch.setattr(Aggregate, "_values", all_values)


@pytest.mark.parametrize(
    ("plant", "what"),
    [
        (_rows_of_others_counted, "the scope own can tell"),
        (_hidden_fields_grouped_by, "the clearance INTERNAL"),
        (_hidden_fields_added_up, "the clearance INTERNAL can tell"),
    ],
)
async def test_an_aggregate_of_what_is_hidden_is_found(
    guanxi: Boot,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
    what: str,
) -> None:
    plant(monkeypatch)
    with pytest.raises(Distinguished, match=what) as found:
        await guanxi.probe_hidden_fields(Sound())
    assert "Aggregate" in str(found.value)


async def test_a_subscription_to_rows_of_others_is_found(guanxi: Boot) -> None:
    with pytest.raises(Distinguished, match="the scope own") as found:
        await guanxi.probe_hidden_fields(Overhearing())
    assert "gossip" in str(found.value)


async def test_an_id_that_was_not_looked_up_is_found(guanxi: Boot) -> None:
    with pytest.raises(Changed, match=r"handOver.*keeperId.*leaks_keeper: look it up"):
        await guanxi.probe_tenants(Trusting())


async def test_what_cannot_be_made_up_is_named(guanxi: Boot) -> None:
    with pytest.raises(AssertionError, match=r"row of odd_unfillable.*examples=\{'Unfillable"):
        await guanxi.probe_tenants(Odd())
    report = await guanxi.probe_tenants(Odd(), examples={"Unfillable.sum": 4711})
    assert "createUnfillable" in report.done


async def test_a_mutation_that_is_never_done_is_found(guanxi: Boot) -> None:
    never = r"never done: openGift \(INVALID at password: is another\).*examples=\{'openGift\."
    for probe in (guanxi.probe_tenants, guanxi.probe_hidden_fields):
        with pytest.raises(NotCovered, match=never):
            await probe(Gifts())
    report = await guanxi.probe_tenants(Gifts(), examples={"openGift.password": "sesame"})
    assert report.done >= {"giveGift", "openGift"}
    report = await guanxi.probe_tenants(Gifts(), undone={"openGift": "needs the word"})
    assert report.refused.keys() & {"giveGift", "openGift"} == {"openGift"}


@pytest.mark.parametrize(("name", "what"), [("giveGift", "was done"), ("giftGive", "no mutation")])
async def test_what_is_said_to_be_undone_must_be(guanxi: Boot, name: str, what: str) -> None:
    given = {"openGift": "why", name: "why"}
    with pytest.raises(NotCovered, match=f"undone= names {name}, which .*{what}"):
        await guanxi.probe_tenants(Gifts(), undone=given)


async def test_what_fails_instead_of_answering_is_found(guanxi: Boot) -> None:
    for probe in (guanxi.probe_tenants, guanxi.probe_hidden_fields):
        with pytest.raises(Broke, match=r"PLUGIN_FAILED.*leaks") as found:
            await probe(Breaking())
        assert "shout" in str(found.value)


async def test_whose_rows_are_whose_may_be_said(guanxi: Boot) -> None:
    owned: list[UUID] = []

    async def nobody_owns_anything(ctx: Context, user_id: UUID) -> None:
        owned.append(user_id)

    report = await guanxi.probe_hidden_fields(Sound(), owning=nobody_owns_anything)
    assert owned
    assert "owning=" in (report.unscoped or "")
    assert "row scopes were not probed" in str(report)

    async def the_first_is_mine(ctx: Context, user_id: UUID) -> None:
        from sqlalchemy import select

        first = await ctx.db.scalar(select(Keeper).order_by(Keeper.id).limit(1))
        assert first is not None
        first.user = str(user_id)

    report = await guanxi.probe_hidden_fields(Sound(), owning=the_first_is_mine)
    assert "the scope own" in report.hidden
    assert Secret.info.within == "keeper"


def test_what_was_used_by_no_document_is_named() -> None:
    report = Report(("notes",), used={"Note.body"}, known={"Note.body", "Query.note(id)"})
    with pytest.raises(NotCovered, match=r"1 of 2 names.*Query\.note\(id\).*examples="):
        report.check_coverage()
    assert "fields 1/1" in str(report)
    assert "arguments 0/1" in str(report)


def test_findings_say_where() -> None:
    assert difference('{"a": [{"b": 1}]}', '{"a": [{"b": 2}]}') == "at 'a.0.b': 1 against 2"
    assert difference('{"a": 1}', '{"b": 1}') in (
        "'a' is in one answer only", "'b' is in one answer only",
    )  # fmt: skip
    assert place_of("CANARY", '{"a": ["x", "a CANARY"]}') == "at 'a.1': \"a CANARY\""
