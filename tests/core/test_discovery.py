"""Plugins found by entry points; a broken one is listed and hides nobody else."""

import sys
from importlib.metadata import EntryPoint, entry_points
from textwrap import dedent

import pytest
from sqlalchemy.orm import configure_mappers

from guanxi_core import discovery
from guanxi_core.discovery import Registry, discover
from guanxi_sdk import Model, Plugin, PluginError


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install plugins by source text: ``install(name="source", …)``."""
    monkeypatch.syspath_prepend(str(tmp_path))
    installed: list[EntryPoint] = []
    modules: list[str] = []
    monkeypatch.setattr(discovery, "entry_points", lambda group: list(installed))

    def install(name: str, source: str, value: str = "{}:It") -> str:
        module = f"found_{len(modules)}_{tmp_path.name}"
        (tmp_path / f"{module}.py").write_text(dedent(source), "utf-8")
        installed.append(EntryPoint(name, value.format(module), "guanxi"))
        modules.append(module)
        return module

    yield install
    for module in modules:
        sys.modules.pop(module, None)


GOOD = '''
from guanxi_sdk import Plugin
class It(Plugin, name="{name}"{more}):
    """Fine."""
'''


def good(name: str, more: str = "") -> str:
    return GOOD.format(name=name, more=more)


def test_plugins_are_found(install):
    install("one", good("one"))
    install("two", good("two"))
    registry = discover()
    assert sorted(registry.plugins) == ["one", "two"]
    assert registry.broken == {}
    assert registry.get("one").manifest.name == "one"


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("raises", "raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("exits", "raise SystemExit(3)", "SystemExit: 3"),
        ("quits", "import sys; sys.exit()", "SystemExit"),
        ("syntax", "class It(", "SyntaxError: '(' was never closed"),
        ("imports", "import no_such", "ModuleNotFoundError: No module named 'no_such'"),
        ("empty", "", "AttributeError: module"),
        ("plain", "class It: pass", "is not a plugin: let it name a subclass of Plugin."),
        ("base", "from guanxi_sdk import Plugin as It", "is not a plugin"),
        ("instance", good("instance") + "It = It()", "is not a plugin"),
        ("named", good("other"), "calls itself 'other': let entry point and manifest agree."),
        ("bare", "from guanxi_sdk import Plugin\nclass It(Plugin, name='bare'): pass",
         "class It needs a docstring: it is shown to users."),
        ("future", good("future", ", core='>=99'"), "needs the core>=99, but version"),
        ("range", good("range", ", core='soon'"), "core='soon' is no version range"),
    ],
)  # fmt: skip
def test_a_broken_plugin_hides_nobody(install, name, source, reason):
    install("before", good("before"))
    install(name, source)
    install("zz_after", good("zz_after"))
    registry = discover()
    assert sorted(registry.plugins) == ["before", "zz_after"]
    assert list(registry.broken) == [name]
    assert reason in registry.broken[name]
    assert "\n" not in registry.broken[name]
    with pytest.raises(PluginError, match="is installed but broken: "):
        registry.get(name)


def test_an_interrupt_is_not_swallowed(install):
    install("stopped", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discover()


def test_two_distributions_with_one_name(install):
    install("twice", good("twice"))
    install("twice", good("twice"))
    install("other", good("other"))
    registry = discover()
    assert list(registry.plugins) == ["other"]
    assert "several distributions call a plugin so: found_0" in registry.broken["twice"]
    assert " and found_1" in registry.broken["twice"]


def test_one_entry_point_seen_twice_is_one(install, monkeypatch):
    """An editable installation may be listed twice."""
    install("twice", good("twice"))
    (entry,) = discovery.entry_points(group="guanxi")
    monkeypatch.setattr(discovery, "entry_points", lambda group: [entry, entry])
    assert list(discover().plugins) == ["twice"]


MODEL = '''
from sqlalchemy.orm import Mapped, relationship
from guanxi_sdk import Model, Plugin, column
class Thing(Model, plugin="{name}"):
    """A thing."""
    label: Mapped[str]
    {more}
class It(Plugin, name="{name}", models=[Thing]):
    """Things."""
'''


def test_broken_models_break_no_other_plugins_queries(install):
    install("sound", MODEL.format(name="sound", more=""))
    install("lost", MODEL.format(name="lost", more="others = relationship('Nowhere')"))
    install("thrown", MODEL.format(name="thrown", more="") + "\nraise ValueError('late')")
    registry = discover()
    assert list(registry.plugins) == ["sound"]
    assert "do not fit together" in registry.broken["lost"]
    assert registry.broken["thrown"] == "ValueError: late"
    configure_mappers()
    assert "sound_thing" in Model.metadata.tables
    assert not {"lost_thing", "thrown_thing"} & Model.metadata.tables.keys()


def test_a_broken_plugin_spares_the_models_of_those_it_imports(install):
    """It may be the first to import them."""
    base = install("zz_base", MODEL.format(name="zz_base", more=""))
    install("broken", f"import {base}\n" + MODEL.format(name="broken", more="") + "\n1 / 0")
    registry = discover()
    assert list(registry.plugins) == ["zz_base"]
    assert "zz_base_thing" in Model.metadata.tables
    configure_mappers()
    (thing,) = registry.plugins["zz_base"].manifest.models
    assert thing(label="x").label == "x"


def test_a_plugin_that_is_not_installed(install):
    install("one", good("one"))
    with pytest.raises(PluginError, match=r"plugin 'noes': is not installed.*Installed: one\."):
        discover().get("noes")


def test_extra_plugins_join(install):
    class Mine(Plugin, name="mine"):
        """For a test."""

    class TooNew(Plugin, name="too_new", core=">=99"):
        """For a test."""

    registry = discover([Mine, TooNew])
    assert registry == Registry({"mine": Mine}, registry.broken)
    assert "needs the core" in registry.broken["too_new"]


def test_what_this_project_ships_is_found():
    """Through the same door as anybody's."""
    shipped = {entry.name for entry in entry_points(group="guanxi") if entry.dist.name == "guanxi"}
    registry = discover()
    assert shipped <= registry.plugins.keys(), registry.broken
