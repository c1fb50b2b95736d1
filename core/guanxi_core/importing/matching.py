"""Columns of a file matched to attributes by their names."""

import json
from collections.abc import Mapping, Sequence

from guanxi_core.importing.errors import ImportFailed, squash
from guanxi_core.importing.mapping import FieldSpec
from guanxi_core.importing.planning import (
    FieldPlan,
    Step,
    check_complete,
    find_attribute,
    plan_field,
)
from guanxi_core.importing.values import LOOKUP_KINDS
from guanxi_sdk.info import ModelInfo


def match_columns(step: Step, columns: Sequence[str]) -> tuple[FieldPlan, ...]:
    """The step's fields, and for the columns they leave over the attributes of the same names."""
    info = step.info
    ignored = {squash(name) for name in step.file.ignore}
    for plan in step.fields:
        spec = plan.spec
        used = (spec.column, spec.key, spec.currency_column, *spec.join)
        ignored |= {squash(name) for name in used if name}
    if tuple(columns[:2]) == ("line", "reason"):  # a report of rejected rows, mended
        ignored |= {"line", "reason"}
    currencies = {squash(f"{n}_currency"): n for n, f in info.fields.items() if f.kind == "money"}
    currency_columns: dict[str, str] = {}
    specs: dict[str, FieldSpec] = {}
    unknown: dict[str, str] = {}  # columns, each with what is wrong
    twins: dict[str, str] = {}  # those that another one says better
    for column in columns:
        squashed = squash(column)
        if squashed in ignored:
            continue
        if squashed in currencies:
            currency_columns[currencies[squashed]] = column
            continue
        try:
            name, lookup = _attribute_of_column(info, column)
        except ImportFailed as error:
            if column not in step.skip_unless:
                unknown[column] = str(error)
            continue
        if name in specs:
            both = f"the columns '{specs[name].column}' and '{column}' are both {name}"
            twins[column if lookup == "id" else specs[name].column or ""] = both
        specs[name] = FieldSpec(column=column, lookup=lookup)
    if twins and not unknown:
        raise ImportFailed(f"{next(iter(twins.values()))}: leave one out.")
    if unknown:
        raise ImportFailed(_told(unknown | twins))
    for name, column in currency_columns.items():
        if name not in specs:
            raise ImportFailed(f"the column '{column}' needs a column '{name}' beside it.")
        specs[name] = FieldSpec(column=specs[name].column, currency_column=column)
    matched = (plan_field(info, name, spec, step.file, step.place) for name, spec in specs.items())
    plans = (*step.fields, *matched)
    check_complete(step, plans)
    return plans


def _attribute_of_column(info: ModelInfo, column: str) -> tuple[str, str | None]:
    """``office``, ``office_id`` or ``office_code``: the attribute, and by what to look it up."""
    try:
        return find_attribute(info, column).name, None
    except ImportFailed as error:
        for name, reference in info.references.items():
            for attribute in reference.target.info.fields.values():
                same = squash(f"{name}_{attribute.name}") == squash(column)
                if same and attribute.kind in LOOKUP_KINDS:
                    return reference.column, attribute.name
        raise error from None


def _told(unknown: Mapping[str, str]) -> str:
    """All columns that have no attribute, so that one mapping is enough."""
    if len(unknown) == 1:
        [(column, wrong)] = unknown.items()
        return f"the column '{column}': {wrong} Otherwise list it under ignore in a mapping."
    close = [wrong.rstrip("?") for wrong in unknown.values() if "did you mean" in wrong]
    listed = json.dumps(list(unknown), ensure_ascii=False)
    return (
        f"{len(unknown)} columns are nothing that can be imported. "
        + "".join(f"{wrong[:1].upper()}{wrong[1:]}? " for wrong in close)
        + f"A mapping leaves them out that has match = true and, in [file], ignore = {listed}"
    )
