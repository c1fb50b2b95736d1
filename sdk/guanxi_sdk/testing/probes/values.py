"""Values for arguments and inputs, as variables and as literals, that fit what tenants hold."""

import json
from collections.abc import Iterator
from typing import Any, Final

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    get_named_type,
)

from guanxi_sdk._docs import camel, snake
from guanxi_sdk.model import Model
from guanxi_sdk.testing.probes.filling import DAY, TEXTS, TIME, Filled
from guanxi_sdk.testing.probes.findings import NotCovered
from guanxi_sdk.testing.probes.ordering import model_called
from guanxi_sdk.testing.probes.sharing import Shared

#: One value for each scalar that guanxi has; the first matches rows, the second none.
_SCALARS: Final[dict[str, tuple[Any, Any]]] = {
    "Int": (1, 77), "Float": (0.01, 77.5), "Boolean": (False, True),
    "Date": (DAY.isoformat(), "2031-05-06"),
    "DateTime": (TIME.isoformat(), "2031-05-06T07:08:09+00:00"), "Decimal": ("1.00", "77.00"),
}  # fmt: skip
#: What a scalar of a plugin may look like.
_GUESSES: Final[tuple[Any, ...]] = (
    "text", 1, 1.5, True, DAY.isoformat(), TIME.isoformat(), "1.00", [], {},
    "01980000-0000-7000-8000-000000000000", *TEXTS,
)  # fmt: skip


class Values:
    """Makes values for one filling."""

    def __init__(self, filled: Filled, shared: Shared) -> None:
        self.filled = filled
        self._shared = shared
        self._models = shared.edition.models

    def of(self, where: str, name: str, type_: Any, about: type[Model] | None = None) -> Any:
        """A value for an argument or input field called ``name``, as JSON has it.

        ``where`` is what takes it, a mutation for instance; ``about`` the model that it is about.
        """
        inner = _nullable(type_)
        owner = about.info.name if about else where
        if example := self._shared.example(where, snake(name)) or self._shared.example(
            owner, snake(name)
        ):
            return example[0]
        if isinstance(inner, GraphQLList):
            return [self.of(where, name, inner.of_type, about)]
        if isinstance(inner, GraphQLInputObjectType):
            if inner.name.endswith("Where"):
                model = self._models[inner.name.removesuffix("Where")]
                return {"id": {"eq": self.filled.global_id(model)}}
            if inner.name == "MoneyInput":
                return {"amount": "1.00", "currency": "CNY"}
            return {n: self.of(where, n, f.type, about) for n, f in inner.fields.items()}
        if isinstance(inner, GraphQLEnumType):
            return next(iter(inner.values))
        if inner.name == "ID":
            meant = self.meant(name, about)
            below = name != "id" and meant is about  # nobody is their own superior
            return self.filled.global_id(meant, 2 if below else 1)
        if inner.name == "String":
            return f"GIVEN-{where}-{name}"[:40]  # no tenant's own, for it may be echoed
        return self.scalar(inner, where, name)

    def scalar(self, type_: Any, where: str, name: str, *, matching: bool = True) -> Any:
        """A value of a scalar."""
        if type_.name in _SCALARS:
            return _SCALARS[type_.name][0 if matching else 1]
        assert isinstance(type_, GraphQLScalarType)
        for guess in _GUESSES:
            try:
                type_.parse_value(guess)
            except (GraphQLError, TypeError, ValueError):
                continue
            return guess
        raise NotCovered(
            f"{where}({name}) takes the scalar {type_.name}, of which the probe knows no value: "
            f"name one with examples={{'{snake(name)}': …}}."
        )

    def meant(self, name: str, about: type[Model] | None) -> type[Model]:
        """The model whose id an argument takes, by its name or by what it is about."""
        if name == "id" and about is not None:
            return about
        stem = snake(name).removesuffix("s").removesuffix("_id")
        if about is not None and stem in about.info.references:
            return about.info.references[stem].target
        return (
            model_called(self._shared.edition, stem) or about or next(iter(self._models.values()))
        )

    def others(self, type_: Any, name: str, about: type[Model] | None = None) -> Iterator[Any]:
        """Values to try where :meth:`of` was refused, as none or as others would not be."""
        inner = get_named_type(type_)
        if inner.name == "ID":
            meant = self.meant(name, about)  # its other row may be in a state that fits
            for model in (meant, *(one for one in self._models.values() if one is not meant)):
                yield from (self._listed(type_, self.filled.global_id(model, n)) for n in (1, 2))
        elif inner.name == "String":
            subjects = [m for m in self._models.values() if m.info.subject]
            ids = [self.filled.global_id(model) for model in subjects]
            texts = (*ids, *TEXTS) if f"_{snake(name)}".endswith("_id") else TEXTS
            yield from (self._listed(type_, text) for text in texts)
        elif inner.name == "Int":
            yield from (self._listed(type_, number) for number in (0, 2, 3, 5, 100))
        elif inner.name in _SCALARS:
            yield self._listed(type_, _SCALARS[inner.name][1])
        elif isinstance(inner, GraphQLEnumType):
            yield from (self._listed(type_, name) for name in inner.values)

    @staticmethod
    def _listed(type_: Any, value: Any) -> Any:
        return [value] if isinstance(_nullable(type_), GraphQLList) else value

    def compared(self, type_: Any, *, matching: bool) -> str:
        """A literal to compare a field with: one that rows of the tenant have, or that none has."""
        inner = get_named_type(type_)
        if isinstance(inner, GraphQLInputObjectType):
            amount = "1.00" if matching else "77.00"
            found = f'{{amount: "{amount}", currency: "CNY"}}'
        elif isinstance(inner, GraphQLEnumType):
            names = list(inner.values)
            found = names[0] if matching else names[-1]
        elif inner.name == "String":
            found = json.dumps(self.filled.text(1) if matching else "B")
        else:
            found = json.dumps(self.scalar(inner, inner.name, "value", matching=matching))
        return f"[{found}]" if isinstance(_nullable(type_), GraphQLList) else found


def literal(value: Any, type_: Any) -> str:
    """A JSON value written into a document."""
    inner = _nullable(type_)
    if isinstance(inner, GraphQLList):
        items = value if isinstance(value, list) else [value]
        return f"[{', '.join(literal(item, inner.of_type) for item in items)}]"
    if isinstance(inner, GraphQLInputObjectType):
        parts = [f"{name}: {literal(v, inner.fields[name].type)}" for name, v in value.items()]
        return f"{{{', '.join(parts)}}}"
    if isinstance(inner, GraphQLEnumType):
        return str(value)
    return _untyped(value)


def _untyped(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{camel(k)}: {_untyped(v)}' for k, v in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def _nullable(type_: Any) -> Any:
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_
