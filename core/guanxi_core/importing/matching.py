"""Columns of a file matched to attributes by their names."""

from collections.abc import Sequence

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
from guanxi_sdk.model import ModelInfo


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
    for column in columns:
        squashed = squash(column)
        if squashed in ignored:
            continue
        if squashed in currencies:
            currency_columns[currencies[squashed]] = column
            continue
        try:
            name, lookup = _attribute_of_column(info, column)
        except ImportFailed:
            if column in step.skip_unless:
                continue
            raise
        if name in specs:
            raise ImportFailed(
                f"the columns '{specs[name].column}' and '{column}' are both {name}: leave one out."
            )
        specs[name] = FieldSpec(column=column, lookup=lookup)
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
        raise ImportFailed(
            f"the column '{column}': {error} Otherwise list it under ignore in a mapping."
        ) from None
