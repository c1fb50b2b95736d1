"""Arguments of the fields that plugins contribute."""

from collections.abc import Mapping
from typing import Any

import graphene

from guanxi_core.editions import Contributed
from guanxi_graphql.schema.annotations import SCALARS, peel, where_model
from guanxi_graphql.schema.types import MoneyInput, Shared
from guanxi_sdk import Choice, Model, PluginError
from guanxi_sdk._docs import camel
from guanxi_sdk.contributions import Argument


def arguments_of(
    entry: Contributed, shared: Shared, where_types: Mapping[type[Model], Any]
) -> dict[str, Any]:
    """The arguments by name; raises :class:`PluginError` for one that GraphQL has no type for."""
    return {
        camel(argument.name): _argument(entry, argument, shared, where_types)
        for argument in entry.contribution.arguments
    }


def _argument(
    entry: Contributed, argument: Argument, shared: Shared, where_types: Mapping[type[Model], Any]
) -> Any:
    inner, nullable = peel(argument.annotation)
    model = where_model(argument.annotation)
    many = getattr(inner, "__origin__", None) is list
    if many:
        inner, _ = peel(inner.__args__[0])
    if model is not None:
        of = where_types[model]
    elif inner in SCALARS:
        of = SCALARS[inner]
    elif isinstance(inner, type) and inner.__name__ == "Money":
        of = MoneyInput
    elif isinstance(inner, type) and hasattr(inner, "__members__"):
        of = shared.enum(inner)
    else:
        raise PluginError(
            entry.plugin, f"{entry.contribution.name}(): the argument '{argument.name}' has "
            f"the type {argument.annotation!r}, which has no GraphQL input type.",
        )  # fmt: skip
    if many:
        of = graphene.List(graphene.NonNull(of))
    extra: dict[str, Any] = {}
    if isinstance(argument.default, Choice):
        enum = shared.enum(type(argument.default))
        extra["default_value"] = enum._meta.enum[argument.default.name]
    elif isinstance(argument.default, str | int | float):
        extra["default_value"] = argument.default
    return graphene.Argument(
        of, required=argument.required and not nullable,
        description=argument.description, **extra,
    )  # fmt: skip
