"""Editions: the immutable result of composing one set of plugins.

An edition is shared by all tenants with the same fingerprint. It holds no settings: those belong to
the plugin instances of one tenant's installation.
"""

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from packaging.specifiers import SpecifierSet

from guanxi_core.claims import CORE, VERBS, Claims
from guanxi_core.custom.definitions import (
    Custom,
    CustomValues,
    Definition,
    FieldClash,
    custom_fields,
)
from guanxi_core.plugin import NAME, Guanxi
from guanxi_core.subjects import unanswered
from guanxi_sdk import CoreHooks, Extension, Model, Permission, Plugin, PluginError
from guanxi_sdk._docs import camel, snake
from guanxi_sdk.contributions import Contribution
from guanxi_sdk.events import ROW_EVENTS, AnyEvent, name_of
from guanxi_sdk.info import FieldInfo, ReferenceInfo

#: What has attributes of a model: the model itself, or what is beside it.
Owner = type[Model] | type[Extension] | CustomValues


@dataclass(frozen=True, slots=True)
class Contributed:
    """A contribution and the plugin it comes from."""

    plugin: str
    contribution: Contribution


@dataclass(frozen=True, slots=True)
class Reverse:
    """A to-many relation: the rows of ``model`` whose ``reference`` is this row."""

    name: str
    model: type[Model]
    reference: ReferenceInfo


@dataclass(frozen=True, slots=True)
class Hook:
    """One question: how its answers combine, and who answers, in dependency order."""

    name: str
    semantics: str
    closed: bool
    parameters: tuple[str, ...]  # of the specification, without self
    expected: tuple[type, ...]  # classes that an answer, or an item of it, is one of; any without
    answers: tuple[Contributed, ...]

    def concerns(self, model: type[Model]) -> bool:
        """Whether anybody is to be asked about a model."""
        asked = (entry.contribution.models for entry in self.answers)
        return any(not models or model in models for models in asked)


@dataclass(frozen=True)
class Edition:
    """What one set of plugins amounts to.

    ``attachments`` belongs to the layers above: the GraphQL schema and its plan cache hang there,
    so that they live exactly as long as the edition.
    """

    fingerprint: str
    plugins: tuple[type[Plugin[Any]], ...]  # in dependency order, without the core's own
    models: Mapping[str, type[Model]]  # by GraphQL type name
    extensions: Mapping[type[Model], tuple[type[Extension], ...]]
    reverses: Mapping[type[Model], Mapping[str, Reverse]]  # by attribute name
    fields: Mapping[type[Model], Mapping[str, Contributed]]  # field and sql_field, by name
    policies: Mapping[type[Model], Contributed]
    queries: Mapping[str, Contributed]
    mutations: Mapping[str, Contributed]
    subscriptions: Mapping[str, Contributed]
    handlers: tuple[Contributed, ...]
    schedules: tuple[Contributed, ...]
    permissions: Mapping[str, Permission]
    hooks: Mapping[str, Hook]
    definitions: tuple[Definition, ...] = ()  # of custom fields, by the name of the model
    custom: Custom = field(default_factory=dict)
    attachments: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def names(self) -> frozenset[str]:
        """The plugins' names."""
        return frozenset(p.manifest.name for p in self.plugins)

    def owners(self, model: type[Model]) -> tuple[Owner, ...]:
        """The model and what has further attributes of its rows: extensions, custom fields."""
        custom = self.custom.get(model, {}).values()
        return (model, *self.extensions.get(model, ()), *custom)

    def written(self, model: type[Model]) -> Mapping[str, FieldInfo]:
        """The attributes that the model's generated mutations write, custom fields included."""
        custom = self.custom.get(model)
        if not custom:
            return model.info.fields
        return {**model.info.fields, **{name: one.field for name, one in custom.items()}}


def dependency_order(plugins: Iterable[type[Plugin[Any]]]) -> tuple[type[Plugin[Any]], ...]:
    """Sort plugins so that each comes after what it requires; by name where order is free.

    Raises :class:`PluginError` for a missing or outdated requirement and for a cycle.
    """
    by_name = {p.manifest.name: p for p in plugins}
    graph: dict[str, list[str]] = {}
    for name in sorted(by_name):
        needed = []
        for other, versions in by_name[name].manifest.requires:
            if other not in by_name:
                raise PluginError(
                    name, f"requires '{other}', which is not enabled: enable it first."
                )
            present = by_name[other].manifest.version
            if versions and present not in SpecifierSet(versions):
                raise PluginError(
                    name, f"requires '{other}{versions}', but version {present} is installed."
                )
            needed.append(other)
        graph[name] = sorted(needed)
    try:
        return tuple(by_name[name] for name in TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise PluginError(error.args[1][0], f"the requirements form a circle: {circle}.") from None


def fingerprint(
    plugins: Iterable[type[Plugin[Any]]], definitions: Iterable[Definition] = ()
) -> str:
    """Equal for equal sets of plugins and versions, and equal custom fields."""
    lines = sorted(
        f"{p.manifest.name}=={p.manifest.version}@{p.__module__}.{p.__qualname__}" for p in plugins
    )
    lines += sorted(msgspec.json.encode(one).decode() for one in definitions)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def compose(
    plugins: Iterable[type[Plugin[Any]]], definitions: Iterable[Definition] = ()
) -> Edition:
    """Compose an edition, or raise :class:`PluginError` naming the culprits and the remedy.

    What the core's own plugin contributes is part of every edition. Custom fields of models that it
    does not have are not part of it.
    """
    ordered = dependency_order(plugins)
    claims = Claims()
    models: dict[str, type[Model]] = {}
    extensions: dict[type[Model], tuple[type[Extension], ...]] = {}
    reverses: dict[type[Model], dict[str, Reverse]] = {}
    fields: dict[type[Model], dict[str, Contributed]] = {}
    policies: dict[type[Model], Contributed] = {}
    queries: dict[str, Contributed] = {}
    mutations: dict[str, Contributed] = {}
    subscriptions: dict[str, Contributed] = {}
    handlers: list[Contributed] = []
    schedules: list[Contributed] = []
    permissions: dict[str, Permission] = {}
    specifications: dict[str, tuple[str, bool, tuple[str, ...], tuple[type, ...]]] = {}
    answers: dict[str, list[Contributed]] = {}

    def specify(plugin: str, holder: type) -> None:
        for name, member in vars(holder).items():
            if hasattr(member, "__guanxi_hook__"):
                claims.claim("hook", name, plugin)
                parameters = tuple(inspect.signature(member).parameters)[1:]
                specifications[name] = (
                    *member.__guanxi_hook__, parameters, _expected(member),
                )  # fmt: skip

    def attribute(plugin: str, model: type[Model], name: str) -> None:
        need_model(plugin, model, "extends")
        claims.claim(f"field of {model.info.name}", camel(name), plugin)

    everything: tuple[type[Plugin[Any]], ...] = (Guanxi, *ordered)
    required = {p.manifest.name: {name for name, _ in p.manifest.requires} for p in everything}

    def need(plugin: str, other: str, why: str) -> None:
        if other not in (plugin, NAME, *required[plugin]):
            raise PluginError(plugin, f"{why} of plugin '{other}': add '{other}' to requires.")

    def need_model(plugin: str, model: type[Model], why: str) -> None:
        need(plugin, model.info.plugin, f"{why} {model.info.name}")
        if models.get(model.info.name) is not model:
            raise PluginError(
                plugin, f"{why} {model.info.name}, which plugin '{model.info.plugin}' does not "
                "have: name it in models=[…] there.",
            )  # fmt: skip

    specify(CORE, CoreHooks)
    for plugin in everything:
        manifest = plugin.manifest
        for permission in manifest.permissions:
            claims.claim("permission", permission.name, manifest.name)
            permissions[permission.name] = permission
        for event in manifest.events:
            claims.claim("event", event.__name__, manifest.name)
        for holder in manifest.hooks:
            specify(manifest.name, holder)
        for model in manifest.models:
            info = model.info
            claims.claim("type", info.name, manifest.name)
            claims.claim("query field", camel(snake(info.name)), manifest.name)
            for name in (info.plural, f"{info.plural}_aggregate"):
                claims.claim("query field", camel(name), manifest.name)
            claims.claim("subscription field", camel(snake(info.name)) + "Changed", manifest.name)
            for row_event in ROW_EVENTS:
                claims.claim("event", name_of(row_event, model), manifest.name)
            for verb in VERBS:
                if verb not in info.closed:
                    claims.claim("mutation", verb + info.name, manifest.name)
            models[info.name] = model
            for name in (*info.fields, *info.references):
                claims.claim(f"field of {info.name}", camel(name), manifest.name)
        for model in manifest.models:
            for relation in model.info.references.values():
                refers = f"{model.__name__}.{relation.name} refers to"
                need_model(manifest.name, relation.target, refers)
                if relation.reverse:
                    for name in (relation.reverse, f"{relation.reverse}_aggregate"):
                        attribute(manifest.name, relation.target, name)
                    reverses.setdefault(relation.target, {})[relation.reverse] = Reverse(
                        relation.reverse, model, relation
                    )
        for extension in manifest.extensions:
            target = extension.info.of
            assert target is not None  # noqa: S101  an Extension always has one
            for name in (*extension.info.fields, *extension.info.references):
                attribute(manifest.name, target, name)
            for relation in extension.info.references.values():
                refers = f"{extension.__name__}.{relation.name} refers to"
                need_model(manifest.name, relation.target, refers)
            extensions[target] = (*extensions.get(target, ()), extension)
        for contribution in manifest.contributions:
            entry = Contributed(manifest.name, contribution)
            if contribution.kind in ("field", "sql_field"):
                assert contribution.model is not None  # noqa: S101  the decorators demand it
                attribute(manifest.name, contribution.model, contribution.name)
                fields.setdefault(contribution.model, {})[contribution.name] = entry
            elif contribution.kind == "policy":
                for model in contribution.models:
                    if model.info.plugin != manifest.name or model.info.within is not None:
                        raise PluginError(
                            manifest.name, f"{contribution.name}() decides about "
                            f"{model.info.name}, which is another plugin's or `within` another "
                            "model: a policy is for one's own models that stand by themselves.",
                        )  # fmt: skip
                    claims.claim("policy of", model.info.name, manifest.name)
                    policies[model] = entry
            elif contribution.kind == "query":
                claims.claim("query field", camel(contribution.name), manifest.name)
                queries[contribution.name] = entry
            elif contribution.kind == "mutation":
                claims.claim("mutation", camel(contribution.name), manifest.name)
                mutations[contribution.name] = entry
            elif contribution.kind == "subscription":
                claims.claim("subscription field", camel(contribution.name), manifest.name)
                subscriptions[contribution.name] = entry
            elif contribution.kind == "on":
                handlers.append(entry)
            elif contribution.kind == "schedule":
                schedules.append(entry)
            else:
                answers.setdefault(contribution.name, []).append(entry)
        if silence := unanswered(plugin):
            raise PluginError(manifest.name, silence)
        claims.claim_types(plugin)
    for name, given in answers.items():
        if name not in specifications:
            raise PluginError(
                given[0].plugin, f"answers the hook '{name}', which no enabled plugin asks: "
                "check the spelling, or add the asking plugin to requires.",
            )  # fmt: skip
        semantics, _, parameters, _ = specifications[name]
        known = {*parameters, "former"} if semantics == "chain" else {*parameters}
        for answer in given:
            taken = tuple(inspect.signature(answer.contribution.function).parameters)[1:]
            if wrong := [parameter for parameter in taken if parameter not in known]:
                raise PluginError(
                    answer.plugin, f"{name}() takes '{wrong[0]}', which the hook does not pass: "
                    f"it may take {', '.join(sorted(known)) or 'nothing'}.",
                )  # fmt: skip
            if answer.contribution.models and "model" not in known:
                raise PluginError(
                    answer.plugin, f"{name}() is about some models, but the hook passes no model: "
                    "leave about= out.",
                )  # fmt: skip
    declared = {event: p.manifest.name for p in everything for event in p.manifest.events}
    for entry in (*handlers, *subscriptions.values()):
        heard, about = entry.contribution.event, entry.contribution.model
        assert heard is not None  # noqa: S101  the decorator demands it
        if about is not None:
            need_model(entry.plugin, about, "handles events of")
        elif heard in declared:
            need(entry.plugin, declared[heard], f"handles {heard.__name__}")
        elif heard is not AnyEvent or entry.contribution.kind == "subscription":
            raise PluginError(
                entry.plugin, f"handles {heard.__name__}, which none of the enabled "
                "plugins emits: name it in the events=[…] of the plugin that does, and that plugin "
                "in requires.",
            )  # fmt: skip
    hooks = {
        name: Hook(name, *specification, tuple(answers.get(name, ())))
        for name, specification in specifications.items()
    }
    defined = tuple(definitions)
    custom = custom_fields(defined, models)
    for several in custom.values():
        for one in several.values():
            _claim_custom(claims, one.definition)
    return Edition(
        fingerprint=fingerprint(ordered, defined), plugins=ordered, models=models,
        extensions=extensions, definitions=defined, custom=custom,
        reverses=reverses, fields=fields, policies=policies, queries=queries, mutations=mutations,
        subscriptions=subscriptions, handlers=tuple(handlers), schedules=tuple(schedules),
        permissions=permissions, hooks=hooks,
    )  # fmt: skip


def _claim_custom(claims: Claims, definition: Definition) -> None:
    names = [(f"field of {definition.model}", definition.name)]
    if definition.kind == "choice":
        names += [("type", definition.type_name + end) for end in ("", "Filter")]
    for what, name in names:
        if (owner := claims.owner(what, name)) is not None:
            raise FieldClash(definition, owner, f"{what} '{name}'")
        claims.claim(what, name, CORE)


def _expected(specification: Callable[..., Any]) -> tuple[type, ...]:
    """The classes that a hook's annotation promises; none where it cannot be checked."""
    try:
        promised = get_type_hints(specification).get("return", Any)
    except (NameError, TypeError):  # names that only type checkers see
        return ()
    semantics, _ = specification.__guanxi_hook__  # type: ignore[attr-defined]
    if semantics in ("collect", "veto"):
        promised = next(iter(get_args(promised)), Any)
    choices = get_args(promised) if get_origin(promised) in (Union, UnionType) else (promised,)
    classes: list[Any] = [get_origin(c) or c for c in choices if c is not type(None)]
    if not all(isinstance(c, type) and c is not object for c in classes):
        return ()
    return (*classes, int) if float in classes else tuple(classes)
