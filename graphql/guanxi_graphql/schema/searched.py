"""By which fields the rows of a model are found, and the root field that finds rows of any."""

from collections.abc import Iterator, Sequence
from typing import Any

import graphene

from guanxi_core.editions import Edition
from guanxi_graphql.schema.bindings import Stored
from guanxi_graphql.schema.types import Node, Output, PageInfo, make, required_list
from guanxi_sdk import Extension, Model


def searched_of(edition: Edition, model: type[Model]) -> Iterator[Stored]:
    """The fields by which rows of a model are found, those of its extensions included."""
    owners: list[tuple[type[Model] | type[Extension], str | None]] = [(model, None)]
    owners += [(one, one.info.read) for one in edition.extensions.get(model, ())]
    for owner, needs in owners:
        for name in owner.info.searched:
            yield Stored(owner.info.fields[name], owner, needs)


def search_field(names: Sequence[str]) -> Any:
    """`search(query, types, first, after)` among the types of these names."""

    def describe(value: Any) -> str:
        return "Types that can be searched." if value is None else f"Type {value.value}."

    types = graphene.Enum("SearchType", [(name, name) for name in names], description=describe)
    edge = make(
        Output, "SearchEdge", "Something that was found.",
        {
            "cursor": graphene.String(required=True, description="Where a page may continue."),
            "node": graphene.Field(Node, required=True, description="What was found."),
        },
    )  # fmt: skip
    connection = make(
        Output, "SearchConnection", "A page of what was found, the best first.",
        {
            "totalCount": graphene.Int(
                required=True, description="How many there are on all pages."
            ),
            "pageInfo": graphene.Field(
                PageInfo, required=True, description="Where the page stands."
            ),
            "edges": graphene.Field(required_list(edge), description="The page."),
        },
    )  # fmt: skip
    arguments = {
        "query": graphene.Argument(
            graphene.NonNull(graphene.String),
            description="What they say: Chinese, its pinyin or initials, beginnings of words.",
        ),
        "types": graphene.Argument(
            graphene.List(graphene.NonNull(types)), description="Types to find; all if left out."
        ),
        "first": graphene.Argument(graphene.Int, description="Page size."),
        "after": graphene.Argument(graphene.String, description="Start behind this cursor."),
    }
    return graphene.Field(
        connection, args=arguments,
        description="What is found among all types that you may read: exact matches, then what "
        "begins so, then what holds it; the shorter first.",
    )  # fmt: skip
