"""Inputs of generated mutations: checked before anything is written."""

from collections.abc import Callable, Mapping
from typing import Any

from guanxi_core.checks import Check, check_of
from guanxi_core.editions import Edition
from guanxi_graphql.compile.binds import decode_id
from guanxi_graphql.compile.scope import minor_units
from guanxi_sdk import Invalid, Model, Money, NotFound, Refusal
from guanxi_sdk._docs import camel
from guanxi_sdk.info import FieldInfo, Verb


class InputReader:
    """Reads the ``input`` of one model's create or update."""

    def __init__(self, edition: Edition, model: type[Model], verb: Verb) -> None:
        self._verb = verb
        targets = {r.column: r.target for r in model.info.references.values()}
        self._fields: dict[str, tuple[FieldInfo, Callable[[Any], Any], Check]] = {
            camel(field.name): (field, _reader(field, targets.get(field.name)), check_of(field))
            for field in edition.written(model).values()
            if not field.readonly and field.kind not in ("id", "values")
        }
        self._model = model

    def attributes(self, given: Mapping[str, Any]) -> list[str]:
        """The attributes that an input of these keys writes."""
        return [self._fields[name][0].name for name in given]

    def read(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Refusal]]:
        """Values by attribute, and everything that is wrong with them."""
        values: dict[str, Any] = {}
        problems: list[Refusal] = []
        for name, value in given.items():
            field, read, check = self._fields[name]
            if value is None:
                if not field.nullable:
                    problems.append(Invalid(field.name, "must not be null"))
                values[field.name] = None
                continue
            try:
                found = values[field.name] = read(value)
            except Refusal as error:
                problems.append(error)
                continue
            if reason := check(field, found):
                problems.append(Invalid(field.name, reason))
        return values, problems


def _reader(field: FieldInfo, target: type[Model] | None) -> Callable[[Any], Any]:
    if field.kind == "reference":
        assert target is not None  # noqa: S101  every reference has one
        prefix = target.info.prefix

        def reference(value: Any) -> Any:
            found = decode_id(prefix, value)
            if found is None:
                raise NotFound(field.name)
            return found

        return reference
    if field.kind == "choice":
        members: dict[Any, Any] = dict(field.python._value2member_map_)
        return lambda value: members[getattr(value, "_value_", value)]
    if field.kind == "money":

        def money(value: Any) -> Money:
            try:
                return minor_units(value)
            except Invalid as error:
                raise Invalid(field.name, error.message) from None

        return money
    if field.kind == "float":
        return float
    return lambda value: value
