"""What a mapping's names refer to: models, attributes, lookups. Nothing is read from data files."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import structs

from guanxi_core.custom.definitions import Custom, CustomValues
from guanxi_core.importing.errors import BadValue, ImportFailed, nearest, squash
from guanxi_core.importing.mapping import (
    Document,
    FieldSpec,
    FileSpec,
    Place,
    StepSpec,
    read_mapping,
    text_of,
)
from guanxi_core.importing.values import LOOKUP_KINDS, Format, money, parser
from guanxi_core.plugin import NAME as CORE
from guanxi_sdk import Model
from guanxi_sdk.info import FieldInfo, ModelInfo, ReferenceInfo

#: Options of a field and the kinds of attribute they are for.
_OPTION_KINDS: Mapping[str, frozenset[str]] = {
    "lookup": frozenset({"reference"}),
    "within": frozenset({"reference"}),
    "currency": frozenset({"money"}),
    "currency_column": frozenset({"money"}),
    "sum_of": frozenset({"money", "float", "int"}),
    "format": frozenset({"date", "datetime"}),
    "timezone": frozenset({"datetime"}),
    "decimal": frozenset({"money", "float", "int"}),
    "thousands": frozenset({"money", "float", "int"}),
    "separator": frozenset({"texts"}),
}


@dataclass(frozen=True, slots=True)
class Lookup:
    """A reference given by an attribute of the row it points to."""

    reference: ReferenceInfo
    attribute: FieldInfo  # of the target
    #: Columns that must agree: this row's, and the target's.
    within: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """One attribute and where its value comes from."""

    info: FieldInfo
    spec: FieldSpec
    spelled: Format
    lookup: Lookup | None
    place: Place
    key: str  # as the mapping spells the attribute

    def failure(self, message: str) -> ImportFailed:
        """An error about this entry of the mapping."""
        return self.place.failure(f"{self.key}: {message}", self.key)


@dataclass(frozen=True, slots=True)
class Step:
    """Rows of one model from one file."""

    model: type[Model]
    info: ModelInfo  # of the model, with its custom fields among the attributes
    custom: Mapping[str, CustomValues]  # these, by name
    file: FileSpec
    key: tuple[FieldInfo, ...]  # what tells whether a row is there already
    constrained: bool  # whether the database keeps that key unique: it is the natural key
    skip_unless: tuple[str, ...]
    fields: tuple[FieldPlan, ...]
    match: bool  # whether the other columns are matched to attributes by their names
    place: Place


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """All that one import does, in order."""

    steps: tuple[Step, ...]


def find_model(name: str, models: Iterable[type[Model]]) -> type[Model]:
    """The model whose plural is ``name``, as in GraphQL or in Python, if rows may be written."""
    by_name = {
        model.info.plural: model
        for model in models
        if not model.info.append_only and model.info.plugin != CORE
    }
    for plural, model in by_name.items():
        if squash(name) in (squash(plural), squash(model.info.name)):
            return model
    raise ImportFailed(f"'{name}' is nothing that can be imported: {nearest(name, by_name)}")


def attributes(info: ModelInfo) -> dict[str, FieldInfo]:
    """What can be written, by every spelling that is accepted (squashed)."""
    found = {squash(name): field for name, field in info.fields.items() if not field.readonly}
    found.pop("id", None)
    for name, reference in info.references.items():
        if not info.fields[reference.column].readonly:
            found.setdefault(squash(name), info.fields[reference.column])
    return found


def find_attribute(info: ModelInfo, name: str) -> FieldInfo:
    """The attribute of that name; raises :class:`ImportFailed` with a hint."""
    known = attributes(info)
    if squash(name) in known:
        return known[squash(name)]
    if squash(name) in {squash(field) for field in info.fields}:
        raise ImportFailed(f"'{name}' of {info.plural} is set by guanxi and cannot be imported.")
    names = dict.fromkeys(field.name for field in known.values())
    raise ImportFailed(f"{info.plural} have no attribute '{name}': {nearest(name, names)}")


def default_lookup(reference: ReferenceInfo) -> FieldInfo:
    """The target's natural key, or else its id."""
    target = reference.target.info
    return target.fields[target.key or "id"]


def reference_of(info: ModelInfo, field: FieldInfo) -> ReferenceInfo:
    """The relation whose column ``field`` is."""
    return next(r for r in info.references.values() if r.column == field.name)


def _lookup(info: ModelInfo, field: FieldInfo, spec: FieldSpec) -> Lookup | None:
    if field.kind != "reference":
        return None
    reference = reference_of(info, field)
    target = reference.target.info
    within = None
    if spec.within:
        sides = [find_attribute(side, spec.within) for side in (info, target)]
        if any(side.kind != "reference" for side in sides) or sides[0] is field:
            raise ImportFailed(f"'within' must be a reference of both, not '{spec.within}'.")
        within = (sides[0].name, sides[1].name)
    if spec.lookup is None:
        return Lookup(reference, default_lookup(reference), within)
    usable = {
        squash(name): other for name, other in target.fields.items() if other.kind in LOOKUP_KINDS
    }
    found = usable.get(squash(spec.lookup))
    if found is None:
        names = [other.name for other in usable.values()]
        raise ImportFailed(
            f"{target.plural} cannot be looked up by '{spec.lookup}': {nearest(spec.lookup, names)}"
        )
    return Lookup(reference, found, within)


def _format(spec: FieldSpec, file: FileSpec) -> Format:
    try:
        ZoneInfo(spec.timezone or "UTC")
    except (KeyError, OSError, ValueError):
        raise ImportFailed(f"'{spec.timezone}' is no time zone such as Asia/Shanghai.") from None
    if spec.separator == "":
        raise ImportFailed("'separator' must not be empty.")
    if spec.currency is not None:
        try:
            money("0", spec.currency)
        except BadValue as error:
            raise ImportFailed(f"currency: {error}.") from None
    return Format(
        dates=spec.format,
        timezone=spec.timezone or "UTC",
        decimal=file.decimal if spec.decimal is None else spec.decimal,
        thousands=file.thousands if spec.thousands is None else spec.thousands,
        separator=spec.separator or ";",
        currency=spec.currency,
    )


def plan_field(
    info: ModelInfo, name: str, spec: FieldSpec, file: FileSpec, place: Place
) -> FieldPlan:
    """Settle one entry; raises :class:`ImportFailed` naming the place."""
    try:
        field = find_attribute(info, name)
        for option, kinds in _OPTION_KINDS.items():
            if getattr(spec, option) and field.kind not in kinds:
                raise ImportFailed(f"'{option}' is not for a {field.kind} such as '{name}'.")
        spelled = _format(spec, file)
        plan = FieldPlan(field, spec, spelled, _lookup(info, field, spec), place, name)
        for source in ("constant", "default"):
            _check_constant(plan, getattr(spec, source), source)
        for value in spec.values.values():
            _check_constant(plan, value, "values", spelled)
    except ImportFailed as error:
        raise place.failure(f"{name}: {error}", name) from None
    return plan


def _check_constant(
    plan: FieldPlan, value: Any, option: str, spelled: Format | None = None
) -> None:
    """A value written in the mapping must be right before any row is read."""
    if value is None:
        return
    text = text_of(value)
    if text is None or (option == "constant" and not text.strip()):
        raise ImportFailed(f"'{option}' must be a text, a number, a date or a boolean.")
    if text:
        try:
            parse_constant(plan, text, plan.spec.currency or "XXX", spelled)
        except BadValue as error:
            raise ImportFailed(f"'{option}' {error}.") from None


def parse_constant(
    plan: FieldPlan, text: str, currency: str | None, spelled: Format | None = None
) -> Any:
    """A constant as the column stores it; written plainly, whatever the file's spelling."""
    if spelled is None:
        spelled = Format(timezone=plan.spelled.timezone, separator=plan.spelled.separator)
    if plan.info.kind == "money":
        return money(text, currency, spelled)
    if plan.lookup is not None:
        return parser(plan.lookup.attribute)(text)
    return parser(plan.info, spelled)(text)


def check_complete(step: Step, fields: Sequence[FieldPlan]) -> None:
    """Every attribute that a new row needs, and the key, must come from somewhere."""
    given: dict[str, str] = {}
    for plan in fields:
        other = given.setdefault(plan.info.name, plan.key)
        if other != plan.key:
            raise plan.failure(f"'{other}' gives {plan.info.name} already: keep one of the two.")
    for plan in fields:
        within = plan.lookup.within if plan.lookup else None
        if within and within[0] not in given:
            raise plan.failure(f"'within' needs '{within[0]}' among the fields.")
    missing = [
        name
        for name, field in step.info.fields.items()
        if field.required and not field.readonly and name != "id" and name not in given
    ]
    missing += [f.name for f in step.key if f.name not in given and f.name not in missing]
    if missing:
        names = " and ".join(f"'{name}'" for name in missing)
        raise step.place.failure(f"{step.info.plural} need {names}: say which column gives it.")


def plan_step(spec: StepSpec, models: Iterable[type[Model]], custom: Custom | None = None) -> Step:
    """Settle one step; raises :class:`ImportFailed` naming the place."""
    try:
        model = find_model(spec.model, models)
    except ImportFailed as error:
        raise spec.place.failure(str(error), "model") from None
    own = (custom or {}).get(model, {})
    fields_of = {**model.info.fields, **{name: one.field for name, one in own.items()}}
    info = dataclasses.replace(model.info, fields=fields_of)
    key: tuple[FieldInfo, ...] = ()
    if spec.key:
        try:
            key = tuple(find_attribute(info, name) for name in spec.key)
        except ImportFailed as error:
            raise spec.place.failure(f"key: {error}", "key") from None
        for field in key:
            if field.kind in ("float", "texts", "values") or field.name in own:
                raise spec.place.failure(f"key: '{field.name}' tells nothing apart.", "key")
    elif info.key:
        key = (info.fields[info.key],)
    else:
        raise spec.place.failure(
            f"{info.plural} have no natural key, so that a second run would double them: say "
            f"key = [attributes that tell {info.plural} apart] in the mapping."
        )
    here = spec.place.into("fields")
    fields = tuple(
        plan_field(info, name, field, spec.file, here) for name, field in spec.fields.items()
    )
    natural = info.key is not None and [f.name for f in key] == [info.key]
    step = Step(
        model, info, own, spec.file, key, natural, spec.skip_unless, fields, spec.match, spec.place
    )
    if not spec.match:
        check_complete(step, fields)
    return step


def plan_import(
    name: str,
    models: Iterable[type[Model]],
    mapping: Document | None = None,
    *,
    custom: Custom | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> ImportPlan:
    """The plan for ``guanxi import NAME FILE``; the options win over the mapping's.

    ``custom`` are the custom fields of the edition.
    """
    models = list(models)
    find_model(name, models)
    specs = read_mapping(name, mapping or Document("", "", {}))
    first = specs[0]
    if encoding or delimiter:
        file = first.file
        file = structs.replace(
            file, encoding=encoding or file.encoding, delimiter=delimiter or file.delimiter
        )
        specs[0] = dataclasses.replace(first, file=file)
    return ImportPlan(tuple(plan_step(spec, models, custom) for spec in specs))
