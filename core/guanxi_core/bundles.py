"""Bundles: plugins with settings, custom fields, vocabulary and data, as TOML in a package.

A bundle is an entry point of the group ``guanxi.bundles`` that names a package; the package holds
``<name>.toml`` and its data files.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

from guanxi_core.access import Access, Installation, expand
from guanxi_core.context import TransactionContext
from guanxi_core.custom.checking import check
from guanxi_core.custom.definitions import Definition
from guanxi_core.custom.keeping import store
from guanxi_core.discovery import one_line
from guanxi_core.editions import Edition, compose
from guanxi_core.grants import EVERYTHING
from guanxi_core.importing import (
    Document,
    ImportFailed,
    ImportPlan,
    ImportRun,
    Place,
    plan_step,
    steps_of,
)
from guanxi_core.importing.errors import nearest
from guanxi_core.importing.loading import refused
from guanxi_core.platform import Platform
from guanxi_core.settings import SettingsError, check_settings, settings_of
from guanxi_core.tenancy import create_tenant, record, set_plugin
from guanxi_sdk import Caller, GuanxiError, Invalid, PluginError, Refusal, Tenant

GROUP: Final = "guanxi.bundles"


class BundleFailed(GuanxiError):
    """A bundle cannot be read or applied; nothing of it was written."""


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text in Chinese and in English."""

    zh: str
    en: str


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[[call]]``: a mutation to run when the data is there."""

    mutation: str
    arguments: dict[str, Any] = {}


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[custom_fields.Customer.loyaltyNumber]``: a custom field."""

    kind: Literal["text", "int", "float", "bool", "date", "datetime", "choice"]
    description: str
    options: tuple[str, ...] = ()
    clearance: Literal["INTERNAL", "CONFIDENTIAL", "SECRET"] = "INTERNAL"


class _Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of a bundle's TOML, as far as it does not depend on plugins."""

    name: str
    version: str
    title: Words
    description: str
    currency: str = "CNY"
    plugins: dict[str, dict[str, Any]] = {}
    custom_fields: dict[str, dict[str, Field]] = {}
    vocabulary: dict[str, Words] = {}
    data: list[dict[str, Any]] = []
    call: list[Call] = []


@dataclass(frozen=True, slots=True)
class Bundle:
    """One bundle as its file says it; what it names is checked when it is applied."""

    name: str
    version: str
    title: Words
    description: str
    currency: str
    plugins: Mapping[str, Mapping[str, Any]]  # settings by plugin
    custom_fields: tuple[Definition, ...]
    vocabulary: Mapping[str, Words]
    calls: tuple[Call, ...]
    folder: Path  # where the data files are
    place: Place


@dataclass(frozen=True, slots=True)
class Bundles:
    """The installed bundles by name, and those that cannot be read, each with a reason."""

    found: Mapping[str, Bundle]
    broken: Mapping[str, str]

    def get(self, name: str) -> Bundle:
        """The bundle called ``name``, or an error that says why there is none."""
        if name in self.found:
            return self.found[name]
        if name in self.broken:
            raise BundleFailed(f"bundle '{name}' is installed but broken: {self.broken[name]}")
        raise BundleFailed(f"bundle '{name}' is not installed: {nearest(name, self.found)}")


def discover_bundles(entries: Iterable[EntryPoint] | None = None) -> Bundles:
    """Read every installed bundle; one that is wrong is listed as broken and hides nobody else."""
    found: dict[str, Bundle] = {}
    broken: dict[str, str] = {}
    for entry in entry_points(group=GROUP) if entries is None else entries:
        try:
            folder = Path(str(files(entry.value)))
            found[entry.name] = read_bundle(folder / f"{entry.name}.toml")
        except GuanxiError as error:
            broken[entry.name] = str(error)
        except (Exception, SystemExit) as error:  # the package is imported to find its folder
            broken[entry.name] = one_line(f"{type(error).__name__}: {error}")
    return Bundles(found, broken)


def read_bundle(path: Path) -> Bundle:
    """Read a bundle's file; its data lies beside it."""
    try:
        document = Document.read(path)
        place = Place(document)
        place.check_keys(document.tables, _Form.__struct_fields__)
        form = msgspec.convert(_floats(document.tables), _Form)
    except ImportFailed as error:
        raise BundleFailed(str(error)) from None
    except msgspec.ValidationError as error:
        raise BundleFailed(f"{path.name}: {str(error).replace('`', chr(39))}.") from None
    if form.name != path.stem:
        raise BundleFailed(f"{path.name}: the name is '{form.name}': it must be '{path.stem}'.")
    fields = tuple(
        Definition(model, name, one.kind, one.description, one.options, one.clearance)
        for model, of in sorted(form.custom_fields.items())
        for name, one in sorted(of.items())
    )
    return Bundle(
        form.name, form.version, form.title, form.description, form.currency, form.plugins,
        fields, form.vocabulary, tuple(form.call), path.parent, place,
    )  # fmt: skip


def _floats(value: Any) -> Any:
    """TOML's exact numbers as settings and arguments want them."""
    if isinstance(value, dict):
        return {key: _floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_floats(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


async def create_tenant_with_bundle(
    platform: Platform,
    name: str,
    bundle: Bundle,
    currency: str | None = None,
    *,
    actor: str = "system",
) -> Tenant:
    """Make a tenant with everything in the bundle, in one transaction: whole, or not at all."""
    tenant = Tenant(uuid7(), name, currency or bundle.currency)
    with _naming(bundle):
        installation = await asyncio.to_thread(_install, platform, bundle, tenant)
        rights = expand(EVERYTHING, installation.edition)
        access = Access(Caller(None, actor, rights), installation, 0)
        plan = _plan(bundle, installation.edition)
        calls = [_prepare(bundle, call, installation) for call in bundle.calls]
        run = await asyncio.to_thread(
            lambda: ImportRun(access, plan, bundle.folder / f"{bundle.name}.toml")
        )
    async with platform.context(access, origin=f"bundle {bundle.name}") as ctx:
        connection = await ctx.raw()
        await create_tenant(connection, name, tenant.currency, actor=actor, id=tenant.id)
        with _naming(bundle):
            await _furnish(connection, bundle, installation, actor)
            await _load(connection, run)
            for call, (function, arguments) in zip(bundle.calls, calls, strict=True):
                await _run(call, function, ctx, arguments)
            await ctx.raw()  # flush, so that what is refused is refused here
    return tenant


@contextmanager
def _naming(bundle: Bundle) -> Iterator[None]:
    """Put the bundle's name before what is wrong with it."""
    try:
        yield
    except (ImportFailed, PluginError, Refusal, SettingsError) as error:
        raise BundleFailed(f"bundle '{bundle.name}': {error}") from error
    except asyncpg.PostgresError as error:
        raise BundleFailed(f"bundle '{bundle.name}': {refused(error)}") from error


def _install(platform: Platform, bundle: Bundle, tenant: Tenant) -> Installation:
    """The plugins that the bundle names, composed, with its settings."""
    plugins, instances = [], {}
    for name, settings in bundle.plugins.items():
        try:
            plugin = platform.registry.get(name)
            check_settings(plugin, settings)
            instances[name] = plugin(settings_of(plugin, settings))
        except (PluginError, SettingsError) as error:
            raise bundle.place.into("plugins", name).failure(str(error)) from None
        plugins.append(plugin)
    edition = compose(plugins, bundle.custom_fields)
    for one in bundle.custom_fields:
        try:
            check(one, edition.models)
        except Invalid as error:
            place = bundle.place.into("custom_fields", one.model, one.name)
            raise place.failure(str(error)) from None
    return Installation(tenant, edition, instances)


def _plan(bundle: Bundle, edition: Edition) -> ImportPlan:
    specs = steps_of(bundle.place.document.tables.get("data", []), "data", bundle.place)
    for spec in specs:
        if spec.file.path is None:
            raise spec.place.failure('needs file = "…", which lies beside this file.')
    models = edition.models.values()
    return ImportPlan(tuple(plan_step(spec, models, edition.custom) for spec in specs))


def _prepare(
    bundle: Bundle, call: Call, installation: Installation
) -> tuple[Callable[..., Awaitable[Any]], dict[str, Any]]:
    """A mutation bound to its plugin, and the arguments as it wants them."""
    place, mutations = bundle.place.into("call"), installation.edition.mutations
    if call.mutation not in mutations:
        hint = nearest(call.mutation, mutations)
        raise place.failure(f"'{call.mutation}' is no mutation: {hint}", "mutation")
    found = mutations[call.mutation]
    known = {argument.name: argument for argument in found.contribution.arguments}
    arguments = {}
    for name, value in call.arguments.items():
        if name not in known:
            raise place.failure(f"{call.mutation} has no argument '{name}': {nearest(name, known)}")
        try:
            arguments[name] = msgspec.convert(value, known[name].annotation)
        except (msgspec.ValidationError, TypeError) as error:
            raise place.failure(f"{call.mutation}: {name}: {error}", name) from None
    for name, argument in known.items():
        if argument.required and name not in arguments:
            raise place.failure(f"{call.mutation} needs the argument '{name}'.", "mutation")
    function = partial(found.contribution.function, installation.plugins[found.plugin])
    return function, arguments


async def _furnish(connection: Any, bundle: Bundle, installation: Installation, actor: str) -> None:
    """Switch the plugins on; write custom fields, vocabulary and which bundle it was."""
    tenant = installation.tenant
    for plugin in installation.edition.plugins:
        manifest = plugin.manifest
        settings = check_settings(plugin, bundle.plugins[manifest.name])
        await set_plugin(
            connection, tenant, manifest.name, True, settings, version=manifest.version,
            actor=actor,
        )  # fmt: skip
    await store(connection, tenant.id, bundle.custom_fields)
    await connection.executemany(
        "INSERT INTO guanxi_vocabulary (tenant_id, key, zh, en) VALUES ($1, $2, $3, $4)",
        [(tenant.id, key, words.zh, words.en) for key, words in bundle.vocabulary.items()],
    )
    await connection.execute(
        "INSERT INTO guanxi_bundle (tenant_id, name, version) VALUES ($1, $2, $3)",
        tenant.id, bundle.name, bundle.version,
    )  # fmt: skip
    changes = {
        "bundle": [None, bundle.name],
        "version": [None, bundle.version],
        "vocabulary": [None, sorted(bundle.vocabulary)],
        "custom_fields": [None, [one.key for one in bundle.custom_fields]],
    }
    await record(connection, tenant.id, "guanxi.bundle.apply", changes, actor=actor)


async def _load(connection: Any, run: ImportRun) -> None:
    result = await run.run(connection)
    rejected = result.total("rejected")
    if rejected:
        others = f" ({rejected - 1} more rows are wrong)" if rejected > 1 else ""
        raise ImportFailed(f"{result.first_rejection}{others}")
    for warning in result.warnings:
        raise ImportFailed(warning)


async def _run(
    call: Call,
    function: Callable[..., Awaitable[Any]],
    ctx: TransactionContext,
    arguments: Mapping[str, Any],
) -> None:
    try:
        await function(ctx, **arguments)
    except Refusal as error:
        raise Refusal(None, f"the call of {call.mutation} was refused: {error}") from error
    except Exception as error:
        reason = one_line(f"{type(error).__name__}: {error}")
        raise PluginError("", f"the call of {call.mutation} failed: {reason}") from error
