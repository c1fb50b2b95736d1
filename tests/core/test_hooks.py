"""The hook relay: every semantics, every way to fail."""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from uuid import UUID

import pytest
from sqlalchemy.orm import Mapped

from guanxi_core.breakers import Breakers, TenantBreakers
from guanxi_core.editions import compose
from guanxi_core.hooks import HookFailed, ask
from guanxi_sdk import (
    CoreHooks,
    Invalid,
    Model,
    Plugin,
    PluginError,
    Refusal,
    Tenant,
    hookimpl,
    hookspec,
)


class Questions:
    """Questions of every kind."""

    @hookspec("collect")
    def warnings(self, row: Mapping[str, int]) -> Sequence[str]: ...

    @hookspec("first")
    def nickname(self, row: Mapping[str, int]) -> str | None: ...

    @hookspec("chain")
    def price(self, row: Mapping[str, int], former: list[int]) -> list[int]: ...

    @hookspec("veto", closed=True)
    def objections(self, row: Mapping[str, int]) -> Sequence[str]: ...


class Asking(Plugin, name="asking", hooks=[Questions]):
    """Asks."""


def answering(name, requires=("asking",), **methods):
    """A plugin whose methods answer hooks."""
    namespace = {"__doc__": "Answers.", "__module__": __name__}
    namespace |= {hook: hookimpl(method) for hook, method in methods.items()}
    return type(Plugin)(name, (Plugin,), namespace, name=name, requires=requires)


class Failures(TenantBreakers):
    """Breakers that keep what they are told."""

    def __init__(self):
        super().__init__(Breakers(), Tenant(UUID(int=1), "acme", "CNY"))
        self.seen = []

    def failure(self, plugin, name, error):
        self.seen.append((plugin, name, error))
        super().failure(plugin, name, error)


def asked(hook, *plugins, breakers=None, **arguments):
    edition = compose([Asking, *plugins])
    instances = {plugin.manifest.name: plugin() for plugin in edition.plugins}
    return ask(edition, instances, hook, arguments or {"row": {"a": 1}}, breakers=breakers)


def test_collect_joins_in_dependency_order():
    last = answering("a", ["asking", "b"], warnings=lambda self, row: ["last"])
    first = answering("b", warnings=lambda self, row: ("first", "too"))
    silent = answering("c", warnings=lambda self, row: None)
    assert asked(Questions.warnings, last, first, silent) == ["first", "too", "last"]
    assert asked(Questions.warnings) == []


def test_first_asks_no_further():
    calls = []

    def told(name, answer):
        def nickname(self, row):
            calls.append(name)
            return answer

        return answering(name, nickname=nickname)

    plugins = told("a", None), told("b", ""), told("c", "Ada")
    assert asked("nickname", *plugins) == ""
    assert calls == ["a", "b"]
    assert asked("nickname") is None


def test_chain_hands_on_the_former_answer():
    double = answering("a", price=lambda self, former: [2 * n for n in former])
    silent = answering("b", price=lambda self, former: None)
    plus = answering("c", price=lambda self, row, former: [*former, row["a"]])
    arguments = {"row": {"a": 1}, "former": [3]}
    assert asked("price", double, silent, plus, **arguments) == [6, 1]
    assert asked("price", **arguments) == [3]


def test_veto_joins_reasons():
    a = answering("a", objections=lambda self, row: ["too late"])
    b = answering("b", objections=lambda self: [])
    assert asked(Questions.objections, a, b) == ["too late"]


def test_only_the_arguments_named_are_passed():
    plugin = answering("a", warnings=lambda self: ["none needed"])
    assert asked("warnings", plugin) == ["none needed"]


def raising(error):
    def fail(self, **_):
        raise error

    return fail


FAULTS = {
    "raises": RuntimeError("secret"), "exits": SystemExit(1), "refuses": Invalid("a", "b"),
    "recurses": RecursionError(), "asserts": AssertionError(),
    "groups": BaseExceptionGroup("x", [SystemExit()]),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_plugin_is_left_out(fault, caplog):
    def fail(self, row):
        raise FAULTS[fault]

    failures = Failures()
    bad = answering("bad", warnings=fail)
    good = answering("good", warnings=lambda self, row: ["heard"])
    assert asked("warnings", bad, good, breakers=failures) == ["heard"]
    assert failures.seen == [("bad", "warnings", FAULTS[fault])]
    assert "plugin 'bad' failed to answer 'warnings'" in caplog.text


def test_a_failing_plugin_breaks_no_chain():
    def fail(self, former):
        former.append(99)
        raise RuntimeError

    bad = answering("bad", price=fail)
    good = answering("good", price=lambda self, former: [*former, 2])
    assert asked("price", bad, good, row={}, former=[1]) == [1, 2]


@pytest.mark.parametrize("answer", ["text", b"bytes", 7, {"a": 1}, True, ["a", 7], [None]])
def test_an_answer_that_was_not_promised_counts_as_a_failure(answer):
    failures = Failures()
    bad = answering("bad", warnings=lambda self, row: answer)
    assert asked("warnings", bad, breakers=failures) == []
    (failure,) = failures.seen
    assert isinstance(failure[2], TypeError)


@pytest.mark.parametrize(("hook", "answer"), [("nickname", 7), ("price", "dear")])
def test_one_answer_of_a_wrong_type_is_left_out(hook, answer):
    failures = Failures()
    bad = answering("bad", **{hook: lambda self: answer})
    arguments = {"row": {}} | ({"former": [1]} if hook == "price" else {})
    kept = asked(hook, bad, breakers=failures, **arguments)
    assert kept == arguments.get("former")
    assert len(failures.seen) == 1


def test_an_answer_that_breaks_midway_counts_as_a_failure():
    def half(self, row):
        yield "half"
        raise RuntimeError

    bad = answering("bad", warnings=half)
    good = answering("good", warnings=lambda self, row: (word for word in ["whole"]))
    assert asked("warnings", bad, good) == ["whole"]


def test_a_closed_hook_fails_whoever_asked():
    def fail(self, row):
        raise RuntimeError("secret")

    with pytest.raises(HookFailed) as failed:
        asked("objections", answering("bad", objections=fail))
    assert isinstance(failed.value, Refusal)
    assert (failed.value.plugin, failed.value.code) == ("bad", "PLUGIN_FAILED")
    assert "bad" in str(failed.value)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_a_plugin_that_pretends_to_be_stopped_has_failed(error, monkeypatch):
    """Inside a server, which handles SIGINT itself; nothing cancels synchronous code."""

    def stop(self, row):
        raise error

    monkeypatch.setattr("guanxi_core.breakers.signal.getsignal", lambda number: print)
    assert asked("warnings", answering("a", warnings=stop)) == []


def test_ctrl_c_is_not_swallowed(monkeypatch):
    def stop(self, row):
        raise KeyboardInterrupt

    monkeypatch.setattr(
        "guanxi_core.breakers.signal.getsignal", lambda number: signal.default_int_handler
    )
    with pytest.raises(KeyboardInterrupt):
        asked("warnings", answering("a", warnings=stop))


def test_rows_and_what_arguments_hold_cannot_be_changed():
    class Card(Model, plugin="asking"):
        """A card."""

        title: Mapped[str]

    def change(self, row):
        row["card"].title = "changed"
        row["names"].append("changed")
        row["cards"][0].title = "changed"
        return ["changed"]

    card, names = Card(title="kept"), ["kept"]
    row = {"card": card, "names": names, "cards": [card]}
    asked("warnings", answering("a", warnings=change), row=row)
    assert names == ["kept"]

    class Direct:
        """Hands a row over."""

        @hookspec("collect")
        def opinions(self, card: Card) -> Sequence[str]: ...

    class Asker(Plugin, name="asker", hooks=[Direct]):
        """Asks."""

    def rename(self, card):
        card.title = "changed"
        return ["changed"]

    failures = Failures()
    plugin = answering("a", ["asker"], opinions=rename)
    edition = compose([Asker, plugin])
    instances = {p.manifest.name: p() for p in edition.plugins}
    card = Card(title="kept")
    assert ask(edition, instances, "opinions", {"card": card}, breakers=failures) == []
    assert card.title == "kept"
    assert len(failures.seen) == 1


def test_changing_an_argument_changes_nothing_for_others():
    def change(self, row):
        row["a"] = 2
        return ["changed"]

    bad = answering("bad", warnings=change)
    good = answering("good", warnings=lambda self, row: [str(row["a"])])
    row = {"a": 1}
    assert asked("warnings", bad, good, row=row) == ["1"]
    assert row == {"a": 1}


def test_the_answers_of_a_plugin_are_its_own():
    """A list that a plugin keeps does not grow by what others answer."""
    kept = ["kept"]
    plugin = answering("a", warnings=lambda self, row: kept)
    other = answering("b", warnings=lambda self, row: ["other"])
    asked("warnings", plugin, other).append("more")
    assert kept == ["kept"]


def test_each_tenant_is_answered_by_its_own_instance():
    class Counting(Plugin, name="counting", requires=["asking"]):
        """Counts."""

        def __init__(self, settings=None):
            super().__init__(settings)
            self.count = 0

        @hookimpl
        def nickname(self):
            self.count += 1
            return str(self.count)

    edition = compose([Asking, Counting])
    first, second = ({"asking": Asking(), "counting": Counting()} for _ in range(2))
    answers = [ask(edition, who, "nickname", {"row": {}}) for who in (first, first, second)]
    assert answers == ["1", "2", "1"]


def test_wrong_questions():
    with pytest.raises(PluginError, match="no enabled plugin declares the hook 'unheard'"):
        asked("unheard")
    with pytest.raises(TypeError, match="takes row; got nothing"):
        ask(compose([Asking]), {}, "warnings", {})
    with pytest.raises(TypeError, match="takes row; got raw"):
        asked("warnings", raw={})


def test_the_cores_own_hook():
    def write_errors(self, model, verb, values):
        return [Invalid("name", "is taken")] if verb == "create" else None

    plugin = answering("a", (), write_errors=write_errors)
    edition = compose([plugin])
    instances = {"a": plugin()}
    for verb, count in (("create", 1), ("update", 0)):
        arguments = {"model": object, "verb": verb, "values": {}}
        assert len(ask(edition, instances, CoreHooks.write_errors, arguments)) == count


def test_whoever_is_about_some_models_is_asked_about_those_alone():
    class One:
        """A model, as far as hooks care."""

    class Other:
        """Another."""

    calls = []

    class Careful(Plugin, name="careful"):
        """Answers about one model."""

        @hookimpl(about=(One,))
        def write_errors(self, model):
            calls.append(model)
            return [Invalid("name", "is taken")]

    edition = compose([Careful])
    hook = edition.hooks["write_errors"]
    assert (hook.concerns(One), hook.concerns(Other)) == (True, False)
    for model, count in ((One, 1), (Other, 0)):
        arguments = {"model": model, "verb": "create", "values": {}}
        assert len(ask(edition, {"careful": Careful()}, CoreHooks.write_errors, arguments)) == count
    assert calls == [One]


def test_an_answer_about_models_needs_a_hook_that_passes_one():
    class Careless(Plugin, name="careless", requires=["asking"]):
        """Answers about one model where none is passed."""

        @hookimpl(about=(Plugin,))
        def warnings(self, row):
            return []

    with pytest.raises(PluginError, match="the hook passes no model: leave about= out"):
        compose([Asking, Careless])
