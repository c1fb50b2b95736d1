"""Which plugins are installed, found by the entry point group ``guanxi``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import Any, Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from sqlalchemy import Table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapper, configure_mappers

from guanxi_sdk import Model, Plugin, PluginError

GROUP: Final = "guanxi"


@dataclass(frozen=True, slots=True)
class Registry:
    """The installed plugins by name, and those that cannot be used, each with a one-line reason."""

    plugins: Mapping[str, type[Plugin[Any]]]
    broken: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> type[Plugin[Any]]:
        """The plugin called ``name``, or a :class:`PluginError` that says why there is none."""
        if name in self.plugins:
            return self.plugins[name]
        if name in self.broken:
            raise PluginError(name, f"is installed but broken: {self.broken[name]}")
        installed = ", ".join(sorted(self.plugins)) or "none"
        raise PluginError(
            name, f"is not installed: install it, or check the spelling. Installed: {installed}."
        )


def unsatisfied(registry: Registry, plugin: type[Plugin[Any]]) -> str | None:
    """The first requirement of ``plugin`` that is not installed, and what to do; None if all are.

    Such a plugin is installed but can be enabled for nobody.
    """
    for name, versions in plugin.manifest.requires:
        other = registry.plugins.get(name)
        if other is None:
            if name in registry.broken:
                return f"requires '{name}', which is broken: install it anew."
            return f"requires '{name}', which is not installed: install it."
        present = other.manifest.version
        if versions and not SpecifierSet(versions).contains(present, prereleases=True):
            return f"requires '{name}{versions}', but version {present} is installed."
    return None


def core_version() -> str:
    """The version of the installed core, which plugins state a range for with ``core=``."""
    try:
        return version("guanxi")
    except PackageNotFoundError:  # run from the sources, without installation
        return "0"


def discover(extra: Iterable[type[Plugin[Any]]] = ()) -> Registry:
    """Load every installed plugin; ``extra`` classes join them, as tests need it.

    A plugin that fails to load, for whatever reason, is listed as broken and hides nobody else.
    """
    plugins: dict[str, type[Plugin[Any]]] = {}
    broken: dict[str, str] = {}
    offered: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        if entry.value not in {other.value for other in offered.get(entry.name, ())}:
            offered.setdefault(entry.name, []).append(entry)
    for name, entries in sorted(offered.items()):
        if len(entries) > 1:
            broken[name] = (
                "several distributions call a plugin so: "
                f"{' and '.join(sorted(_distribution(e) for e in entries))}. Uninstall all but one."
            )
            continue
        try:
            plugins[name] = _load(entries[0])
        except PluginError as error:
            broken[name] = one_line(str(error).removeprefix(f"plugin '{name}': "))
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # SystemExit too: a plugin may not end the process
            broken[name] = f"{type(error).__name__}: {one_line(str(error))}".removesuffix(": ")
    for plugin in extra:
        reason = _unfit(plugin)
        if reason:
            broken[plugin.manifest.name] = reason
        else:
            plugins[plugin.manifest.name] = plugin
    return Registry(plugins, broken)


def one_line(text: str, longest: int = 300) -> str:
    """``text`` as one line that fits into a list."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} ({entry.value})" if entry.dist else entry.value


def _load(entry: EntryPoint) -> type[Plugin[Any]]:
    before = _mappers()
    try:
        plugin = entry.load()
        configure_mappers()
    except BaseException as error:
        package = entry.module.partition(".")[0]
        new = _mappers() - before
        _forget(m for m in new if m.class_.__module__.partition(".")[0] == package)
        if isinstance(error, SQLAlchemyError):
            raise PluginError(entry.name, f"its models do not fit together: {error}") from error
        raise
    if not (isinstance(plugin, type) and issubclass(plugin, Plugin) and plugin is not Plugin):
        raise PluginError(
            entry.name, f"'{entry.value}' is not a plugin: let it name a subclass of Plugin."
        )
    if plugin.manifest.name != entry.name:
        raise PluginError(
            entry.name, f"the class calls itself '{plugin.manifest.name}': "
            "let entry point and manifest agree.",
        )  # fmt: skip
    if reason := _unfit(plugin):
        raise PluginError(entry.name, reason)
    return plugin


def _unfit(plugin: type[Plugin[Any]]) -> str | None:
    """Why this core cannot run ``plugin``, if so."""
    wanted, present = plugin.manifest.core, core_version()
    try:
        if not wanted or SpecifierSet(wanted).contains(present, prereleases=True):
            return None
    except InvalidSpecifier:
        return f"core='{wanted}' is no version range: write it like '>=1,<2'."
    return f"needs the core{wanted}, but version {present} is installed: upgrade one of the two."


def _mappers() -> set[Mapper[Any]]:
    return set(Model.registry.mappers)


def _forget(mappers: Iterable[Mapper[Any]]) -> None:
    """Unmap the classes of a plugin that failed, else they would break everybody's queries."""
    registry = Model.registry  # shared by the models and extensions of all plugins
    for mapper in mappers:
        manager = mapper.class_manager
        registry._managers.pop(manager, None)
        registry._dispose_manager_and_mapper(manager)
        if isinstance(mapper.local_table, Table):
            registry.metadata.remove(mapper.local_table)
