"""Models and contributions as GraphQL types."""

from typing import cast

from graphql import lexicographic_sort_schema, print_schema

from guanxi_core.editions import Edition
from guanxi_core.telemetry import metrics
from guanxi_graphql.schema.bindings import Schema
from guanxi_graphql.schema.build import build

__all__ = ["Schema", "schema_of", "sdl"]


def schema_of(edition: Edition) -> Schema:
    """The schema of an edition, built once."""
    found = edition.attachments.get("schema")
    if found is None:
        with metrics.EDITION_BUILDS.labels("schema").time():
            found = edition.attachments["schema"] = build(edition)
    return cast(Schema, found)


def sdl(edition: Edition) -> str:
    """The schema in GraphQL's schema definition language, everything in alphabetical order."""
    return print_schema(lexicographic_sort_schema(schema_of(edition).graphql))
