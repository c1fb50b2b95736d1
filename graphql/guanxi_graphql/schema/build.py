"""Build an edition's GraphQL schema from its models and contributions."""

import graphene
from graphql import GraphQLEnumType, GraphQLInputObjectType

from guanxi_core.editions import Edition
from guanxi_graphql.schema.bindings import Schema
from guanxi_graphql.schema.objects import Objects
from guanxi_graphql.schema.roots import Roots


def build(edition: Edition) -> Schema:
    """The schema of an edition, with what every field stands for."""
    objects = Objects(edition)
    objects.make()
    schema = graphene.Schema(
        **Roots(objects).make(), types=[*objects.types.values()], auto_camelcase=False
    ).graphql_schema
    conditions, aggregates, shared = objects.conditions, objects.aggregates, objects.shared
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLInputObjectType):
            vars(type_)["out_type"] = dict  # graphene would wrap it
            for field in type_.fields.values():
                field.out_name = None
        elif isinstance(type_, GraphQLEnumType) and type_.name in conditions.orders:
            type_.description = type_.description or "Order."
    return Schema(
        edition=edition,
        graphql=schema,
        fields=objects.fields | aggregates.values,
        wheres=conditions.wheres,
        orders=conditions.orders,
        groups=aggregates.groups,
        wheres_of={model: f"{model.info.name}Where" for model in objects.types},
        values=shared.values,
        choices=shared.choices,
        object_of={model: model.info.name for model in objects.types},
    )
