"""Plugin: one class whose keywords are its manifest."""

import inspect
import re
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic

import typing_extensions

from guanxi_sdk._docs import attribute_docs
from guanxi_sdk.contributions import Contribution, contributions_of
from guanxi_sdk.errors import PluginError
from guanxi_sdk.model import Extension, Model
from guanxi_sdk.values import Event, Permission, Settings


class NoSettings(Settings):
    """Nothing to adjust."""


S = typing_extensions.TypeVar("S", bound=Settings, default=NoSettings)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_REQUIREMENT = re.compile(r"([a-z][a-z0-9_]*)\s*((?:[<>=!~]=?|===)\s*[0-9].*)?")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a plugin declares, as checked when its class is made."""

    name: str
    version: str
    description: str
    requires: tuple[tuple[str, str], ...]  # (plugin, version range such as ">=1,<2" or "")
    core: str
    models: tuple[type[Model], ...]
    extensions: tuple[type[Extension], ...]
    events: tuple[type[Event], ...]
    permissions: tuple[Permission, ...]
    hooks: tuple[type, ...]
    settings: type[Settings]
    contributions: tuple[Contribution, ...]
    package: str  # import package, where migrations are found


class Plugin(Generic[S]):
    """Base of every plugin: ``class Notes(Plugin[NotesSettings], name="notes", …)``.

    Keywords: ``version``, ``requires`` (``["contacts>=1,<2"]``), ``core`` (range of the core's
    version), ``models`` (models and extensions), ``events``, ``permissions``, ``hooks`` (classes of
    hook specifications). The permissions ``<name>.read`` and ``<name>.write`` come by themselves
    when the plugin has models and does not describe them itself.

    A plugin with many methods is made of several classes: ``class Notes(Fields, Verbs, Plugin[…])``
    has what is marked in any of them.
    """

    manifest: ClassVar[Manifest]

    def __init__(self, settings: S | None = None) -> None:
        self.settings: S = settings if settings is not None else self.manifest.settings()  # type: ignore[assignment]

    def __init_subclass__(
        cls,
        *,
        name: str,
        version: str = "0.1.0",
        requires: Sequence[str] = (),
        core: str = "",
        models: Sequence[type[Model] | type[Extension]] = (),
        events: Sequence[type[Event]] = (),
        permissions: Sequence[Permission] = (),
        hooks: Sequence[type] = (),
    ) -> None:
        """Check the manifest, so that a mistake fails at import."""
        super().__init_subclass__()
        if not _NAME.fullmatch(name):
            raise PluginError(name, "is no plugin name: use lower case letters, digits and _.")
        if (name == "guanxi" or name.startswith("guanxi_")) and not _is_core(cls):
            raise PluginError(name, "is the core's name: choose another, without 'guanxi'.")
        if not cls.__doc__:
            raise PluginError(
                name, f"class {cls.__name__} needs a docstring: it is shown to users."
            )
        parsed = []
        for requirement in requires:
            match = _REQUIREMENT.fullmatch(requirement)
            if not match:
                raise PluginError(name, f"requires={requirement!r} is not like 'contacts>=1,<2'.")
            parsed.append((match[1], match[2] or ""))
        for model in models:
            if model.info.plugin != name:
                raise PluginError(
                    name,
                    f"model {model.__name__} has the table {model.__tablename__}: give the model "
                    f"plugin='{name}', or call its package guanxi_{name}.",
                )
        own = [m for m in models if issubclass(m, Model)]
        catalogue = {p.name: p for p in permissions}
        for wrong in (p for p in catalogue if not p.startswith(f"{name}.")):
            raise PluginError(name, f"'{wrong}' must start with '{name}.'")
        if models and not _is_core(cls):
            for verb, what in (("read", "See"), ("write", "Change")):
                catalogue.setdefault(
                    f"{name}.{verb}", Permission(f"{name}.{verb}", f"{what} what '{name}' keeps.")
                )
        for model in models:
            for permission in (model.info.read, model.info.write):
                if permission not in catalogue:
                    raise PluginError(
                        name, f"model {model.__name__} needs '{permission}', which the manifest "
                        "does not declare in permissions=[…].",
                    )  # fmt: skip
        for event in events:
            if not event.__doc__:
                raise PluginError(name, f"event {event.__name__} needs a docstring.")
        settings = _settings_class(cls)
        docs = attribute_docs(settings)
        for key, annotation in typing.get_type_hints(settings, include_extras=True).items():
            metas = getattr(annotation, "__metadata__", ())
            if key not in docs and not any(getattr(m, "description", None) for m in metas):
                raise PluginError(
                    name, f"setting '{key}' needs a description: Meta(description=…)."
                )
        cls.manifest = Manifest(
            name=name,
            version=version,
            description=inspect.cleandoc(cls.__doc__),
            requires=tuple(parsed),
            core=core,
            models=tuple(own),
            extensions=tuple(m for m in models if issubclass(m, Extension)),
            events=tuple(events),
            permissions=tuple(catalogue.values()),
            hooks=tuple(hooks),
            settings=settings,
            contributions=contributions_of(name, cls),
            package=cls.__module__.split(".")[0],
        )


def _is_core(cls: type) -> bool:
    return cls.__module__.split(".")[0] == "guanxi_core"


def _settings_class(cls: type) -> type[Settings]:
    for base in getattr(cls, "__orig_bases__", ()):
        for argument in typing.get_args(base):
            if isinstance(argument, type) and issubclass(argument, Settings):
                return argument
    return NoSettings
