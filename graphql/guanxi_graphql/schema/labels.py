"""The root field that tells what people call the values of enums."""

from typing import Any

import graphene

from guanxi_graphql.schema.types import Output, make, required_list

_VALUE = make(
    Output, "EnumValueLabel", "What people call a value of an enum.",
    {
        "value": graphene.String(required=True, description="The value, as answers have it."),
        "label": graphene.String(
            required=True,
            description="Its label in Chinese or English, whichever `Accept-Language` prefers.",
        ),
    },
)  # fmt: skip
_ENUM = make(
    Output, "EnumLabels", "What people call the values of an enum.",
    {
        "name": graphene.String(required=True, description="Name of the enum."),
        "values": graphene.Field(
            required_list(_VALUE), description="Its values, in the order of the schema's author."
        ),
    },
)  # fmt: skip


def labels_field() -> Any:
    """`enumLabels(names)`."""
    names = graphene.Argument(
        graphene.List(graphene.NonNull(graphene.String)),
        description="Names of enums; all that have labels if left out. Others are left out.",
    )
    return graphene.Field(
        required_list(_ENUM), args={"names": names},
        description="What people call the values of enums, in the language of the request.",
    )  # fmt: skip
