"""Python annotations of contributed fields as results and GraphQL types."""

import datetime as dt
import types
from collections.abc import Sequence
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

import graphene
import sqlalchemy as sa

from guanxi_graphql.schema.bindings import Result
from guanxi_graphql.schema.scalars import Date, DateTime
from guanxi_sdk import Choice, Model, Money, PluginError, Value, Where

SCALARS: dict[Any, Any] = {
    str: graphene.String,
    int: graphene.Int,
    float: graphene.Float,
    bool: graphene.Boolean,
    dt.date: Date,
    dt.datetime: DateTime,
    UUID: graphene.ID,
}


def peel(annotation: Any) -> tuple[Any, bool]:
    """Strip ``Annotated``, ``ColumnElement`` and ``None``: the type inside and its nullability."""
    nullable = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated or (
            isinstance(origin, type) and issubclass(origin, sa.ColumnElement)
        ):
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            members = [a for a in get_args(annotation) if a is not type(None)]
            nullable = nullable or len(members) < len(get_args(annotation))
            if len(members) != 1:
                return annotation, nullable
            annotation = members[0]
        else:
            return annotation, nullable


def result_of(plugin: str, name: str, annotation: Any, *, batch: bool = False) -> Result:
    """Classify a return annotation; a batch field's is the list over its parents."""
    inner, nullable = peel(annotation)
    if batch:
        if not _is_sequence(inner):
            raise PluginError(plugin, f"{name}() must return a list with one entry per parent.")
        inner, nullable = peel(get_args(inner)[0])
    many = _is_sequence(inner)
    if many:
        inner, _ = peel(get_args(inner)[0])
    if inner is None or inner is type(None):
        return Result("nothing", False, None, True)
    if inner in SCALARS:
        return Result("scalar", many, inner, nullable)
    if inner is Money:
        return Result("money", many, inner, nullable)
    if isinstance(inner, type):
        if issubclass(inner, Choice):
            return Result("choice", many, inner, nullable)
        if issubclass(inner, Value):
            return Result("value", many, inner, nullable)
        if issubclass(inner, Model):
            return Result("model", many, inner, nullable)
    raise PluginError(
        plugin, f"{name}() returns {annotation!r}, which has no GraphQL type: use str, int, float, "
        "bool, date, datetime, UUID, Money, a Choice, a Value, a Model, or a list of them.",
    )  # fmt: skip


def _is_sequence(annotation: Any) -> bool:
    origin = get_origin(annotation)
    return origin is list or (isinstance(origin, type) and issubclass(origin, Sequence))


def where_model(annotation: Any) -> type[Model] | None:
    """The model, when the annotation is ``Where[Model]``."""
    inner, _ = peel(annotation)
    if get_origin(inner) is Where:
        model: type[Model] = get_args(inner)[0]
        return model
    return None
