"""Types of aggregates: how many rows there are and what they come to, together and in groups."""

from collections.abc import Callable, Iterable
from typing import Any

import graphene

from guanxi_graphql.schema.annotations import SCALARS
from guanxi_graphql.schema.bindings import Groupable
from guanxi_graphql.schema.comparable import Comparable
from guanxi_graphql.schema.scalars import Date, DateTime
from guanxi_graphql.schema.types import Money, Output, Shared, make, required_list
from guanxi_sdk import Confidentiality, Model
from guanxi_sdk._docs import camel, words


class DateBucket(graphene.Enum):
    """How finely dates and times are grouped; times are taken in UTC."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"

    @property
    def description(self) -> str:
        """What one bucket is, and the date that stands for it."""
        name = getattr(self, "value", "").lower()
        first = {"day": "that day", "week": "its Monday, as in ISO 8601"}
        return f"One {name}, by {first.get(name, 'its first day')}." if name else str(self.__doc__)


class GroupOrderBy(graphene.Enum):
    """Ways to sort groups; groups of one count are by key, an empty key comes last."""

    KEY_ASC = "KEY_ASC"
    KEY_DESC = "KEY_DESC"
    COUNT_ASC = "COUNT_ASC"
    COUNT_DESC = "COUNT_DESC"

    @property
    def description(self) -> str:
        """What comes first."""
        by, _, way = getattr(self, "value", "").lower().partition("_")
        return f"By {by}, {'highest' if way == 'desc' else 'lowest'} first." if by else str(
            self.__doc__
        )  # fmt: skip


def _figures(name: str, description: str, **fields: Any) -> Any:
    count = graphene.Int(required=True, description="How many rows have a value.")
    return make(Output, f"{name}Aggregate", description, {"count": count, **fields})


def _extremes(of: Any) -> dict[str, Any]:
    return {
        "min": graphene.Field(of, description="The lowest value; null where there is none."),
        "max": graphene.Field(of, description="The highest value; null where there is none."),
    }


def _average() -> Any:
    return graphene.Float(description="The sum divided by the count.")


def _money(description: str) -> Any:
    return graphene.Field(Money, required=True, description=description)


#: What there is of a field, by its kind. Texts have none: the first and the last are in a list.
_FIGURES: dict[str, Any] = {
    "int": _figures(
        "Int", "Figures of whole numbers.", **_extremes(graphene.Int), avg=_average(),
        sum=graphene.Float(
            description="The exact sum, which may be too large for an Int; null without values."
        ),
    ),
    "float": _figures(
        "Float", "Figures of numbers.", **_extremes(graphene.Float), avg=_average(),
        sum=graphene.Float(
            description="The sum of the decimals as they are shown, whatever their order; null "
            "without values, and beyond what a Float holds."
        ),
    ),
    "date": _figures("Date", "Figures of dates.", **_extremes(Date)),
    "datetime": _figures("DateTime", "Figures of times.", **_extremes(DateTime)),
    "money": _figures(
        "Money", "Figures of amounts in one currency.",
        currency=graphene.String(required=True, description="ISO 4217 code of all of them."),
        sum=_money("The exact sum."),
        avg=_money("The sum divided by the count, rounded to the currency's smallest unit."),
        min=_money("The lowest amount."),
        max=_money("The highest amount."),
    ),
}  # fmt: skip
#: Kinds of which equal values are common.
_GROUPED = ("text", "int", "bool", "choice", "date", "datetime", "reference", "id")
#: What tells about the row itself.
_BOOKKEEPING = ("id", "version")


class Aggregates:
    """Makes the types of each model's aggregate."""

    def __init__(self, shared: Shared, lazy: Callable[[type[Model]], Any]) -> None:
        self._shared = shared
        self._lazy = lazy
        #: What the values of each `…GroupBy` enum stand for, and what the fields of `…Values` do.
        self.groups: dict[str, dict[str, Groupable]] = {}
        self.values: dict[str, dict[str, Any]] = {}
        self._objects: dict[type[Model], Any] = {}
        self._enums: dict[type[Model], Any] = {}

    def add(self, model: type[Model], fields: Iterable[Comparable]) -> None:
        """Make the types of one model, whose comparable ``fields`` are given."""
        fields = [one for one in fields if one.name not in _BOOKKEEPING]
        name, plural = model.info.name, words(model.info.plural)
        values = self._values(name, plural, fields)
        key = self._key(model, fields)
        parts = {
            "count": graphene.Int(required=True, description="How many rows there are."),
            "values": graphene.Field(values, required=True, description="Figures of fields."),
        }
        group = make(
            Output, f"{name}AggregateGroup", f"Some {plural} with one key.",
            {"key": graphene.Field(key, required=True, description="What they share."), **parts},
        )  # fmt: skip
        self._objects[model] = make(
            Output, f"{name}Aggregate", f"What all {plural} asked for come to.",
            {
                **parts,
                "groups": graphene.Field(
                    required_list(group), description="By `groupBy`; none without it."
                ),
                "groupCount": graphene.Int(
                    required=True, description="How many groups there are, also beyond `first`."
                ),
            },
        )  # fmt: skip

    def _values(self, name: str, plural: str, fields: list[Comparable]) -> Any:
        made: dict[str, Any] = {}
        bindings: dict[str, Any] = {}
        for one in fields:
            of = _FIGURES.get(one.kind)
            if of is None:
                continue
            if one.kind == "money":
                of = graphene.List(graphene.NonNull(of))
            binding = one.binding
            kept = binding.needs or binding.confidentiality > Confidentiality.INTERNAL
            description = one.description
            if one.kind == "money":
                description = f"{description} One entry for each currency, by its code."
            made[camel(one.name)] = graphene.Field(
                of if kept else graphene.NonNull(of), description=description
            )
            bindings[camel(one.name)] = binding
        self.values[f"{name}AggregateValues"] = bindings
        return make(Output, f"{name}AggregateValues", f"Figures of fields of {plural}.", made)

    def _key(self, model: type[Model], fields: list[Comparable]) -> Any:
        """The type of keys; the enum of what may be in one is made with it."""
        name, plural = model.info.name, words(model.info.plural)
        known: dict[str, Groupable] = {}
        made: dict[str, Any] = {}
        for one in fields:
            if one.kind not in _GROUPED:
                continue
            of: Any = Date if one.kind in ("date", "datetime") else None
            attribute, reference = one.name, None
            if one.kind == "reference":
                references = getattr(one.binding, "owner").info.references.values()  # noqa: B009
                reference = next(r for r in references if r.column == one.name)
                attribute, of = reference.name, self._lazy(reference.target)
            elif one.kind == "choice":
                of = self._shared.enum(one.python)
            made[camel(attribute)] = graphene.Field(
                of or SCALARS[one.python], description=one.description
            )
            known[attribute.upper()] = Groupable(camel(attribute), one.binding, reference)
        self.groups[f"{name}GroupBy"] = known
        descriptions = {value: made[one.key].description for value, one in known.items()}
        self._enums[model] = graphene.Enum(
            f"{name}GroupBy", [(value, value) for value in known],
            description=lambda value: f"What {plural} may be grouped by."
            if value is None
            else descriptions[str(getattr(value, "value", value))],
        )  # fmt: skip
        return make(
            Output, f"{name}AggregateKey",
            f"What {plural} of a group share; what `groupBy` does not name is null.", made,
        )  # fmt: skip

    def field(self, model: type[Model], where: Any, description: str) -> Any:
        """A field that answers the aggregate of some rows of ``model``."""
        arguments = {
            "where": graphene.Argument(where, description="Conditions on the rows."),
            "groupBy": graphene.Argument(
                graphene.List(graphene.NonNull(self._enums[model])),
                description="What rows of one group have in common; dates by `bucket`.",
            ),
            "bucket": graphene.Argument(
                DateBucket, description="How finely dates and times are grouped; by day when "
                "left out.",
            ),
            "orderBy": graphene.Argument(
                GroupOrderBy, description="How groups are sorted; by key when left out."
            ),
            "first": graphene.Argument(
                graphene.Int, description="How many groups at most, up to 500; 50 when left out."
            ),
        }  # fmt: skip
        if not model.info.append_only:
            arguments["includeArchived"] = graphene.Argument(
                graphene.Boolean,
                default_value=False,  # pyright: ignore[reportArgumentType]
                description="Also take in archived ones.",
            )
        return graphene.Field(self._objects[model], description=description, args=arguments)
