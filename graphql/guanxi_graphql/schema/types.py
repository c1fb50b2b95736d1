"""Types that are made as they are needed, once per edition: enums, filters, values, money."""

from collections.abc import Callable, Mapping
from typing import Any

import graphene
from graphene.types.objecttype import ObjectTypeMeta
from msgspec.structs import fields as struct_fields

from guanxi_graphql.schema.annotations import SCALARS, result_of
from guanxi_graphql.schema.bindings import Result
from guanxi_graphql.schema.scalars import Date, DateTime, Decimal
from guanxi_sdk import Choice, PluginError, Value
from guanxi_sdk._docs import attribute_docs, camel, words
from guanxi_sdk.info import FieldInfo


class _Plain(ObjectTypeMeta):
    """Makes classes as Python does: graphene's own way makes a data class of each as well.

    Nobody makes objects of them, and it is half of the work on a schema.
    """

    def __new__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any
    ) -> Any:
        """A class without a constructor of its own."""
        return type.__new__(cls, name, bases, namespace, **options)


class Output(graphene.ObjectType, metaclass=_Plain, abstract=True):
    """What types with fields are made of."""


def make(base: type, name: str, description: str, fields: Mapping[str, Any], **meta: Any) -> Any:
    """A graphene type with the given name and fields."""
    inner = type("Meta", (), {"name": name, "description": description, **meta})
    return type(name, (base,), {**fields, "Meta": inner})


def required_list(of: Any) -> Any:
    """``[of!]!``"""
    return graphene.NonNull(graphene.List(graphene.NonNull(of)))


class Node(graphene.Interface):
    """An object with a global id, fetched again by `node(id)`."""

    id = graphene.ID(required=True, description="Global id: type and UUID.")


class PageInfo(Output):
    """Where a page of a connection stands."""

    hasNextPage = graphene.Boolean(required=True, description="Whether more follow.")  # noqa: N815
    hasPreviousPage = graphene.Boolean(required=True, description="Whether some precede.")  # noqa: N815
    startCursor = graphene.String(description="Cursor of the first edge.")  # noqa: N815
    endCursor = graphene.String(description="Cursor of the last edge.")  # noqa: N815


class UserError(Output):
    """Why a mutation did nothing."""

    code = graphene.String(required=True, description="Stable code, for instance INVALID.")
    path = graphene.String(description="The argument or input field that is wrong, if it is one.")
    message = graphene.String(required=True, description="What is wrong, for people.")


class Money(Output):
    """An amount with its currency."""

    amount = graphene.Field(Decimal, required=True, description="In major units, exact.")
    currency = graphene.String(required=True, description="ISO 4217 code.")


class MoneyInput(graphene.InputObjectType):
    """An amount with its currency."""

    amount = graphene.InputField(Decimal, required=True, description="In major units, exact.")
    currency = graphene.String(required=True, description="ISO 4217 code.")


#: Operators by kind: those that compare, and those that only tell apart.
ORDERED = ("eq", "ne", "in", "notIn", "gt", "gte", "lt", "lte", "isNull")
EXACT = ("eq", "ne", "in", "notIn", "isNull")
_OPERATORS = {
    "eq": "Equal to.", "ne": "Different from, or empty.", "in": "One of.",
    "notIn": "None of, or empty.", "gt": "Greater than.", "gte": "Greater than or equal to.",
    "lt": "Less than.", "lte": "Less than or equal to.", "isNull": "Whether it is empty.",
}  # fmt: skip


def filter_type(name: str, scalar: Any, operators: tuple[str, ...]) -> Any:
    """``StringFilter`` and its siblings; all given operators must hold."""
    fields: dict[str, Any] = {}
    for operator in operators:
        if operator == "isNull":
            of = graphene.Boolean
        elif operator in ("in", "notIn"):
            of = graphene.List(graphene.NonNull(scalar))
        else:
            of = scalar
        fields[operator] = graphene.InputField(of, description=_OPERATORS[operator])
    return make(graphene.InputObjectType, name, f"Conditions on a {words(name)[:-7]}.", fields)


class Shared:
    """Types by name for one edition; two different classes under one name are refused."""

    def __init__(self) -> None:
        self.choices: dict[str, type[Choice]] = {}
        self.values: dict[str, type[Value]] = {}
        self.value_results: dict[str, dict[str, Result]] = {}
        self._enums: dict[str, Any] = {}
        self._objects: dict[str, Any] = {}
        self._filters = {
            "id": filter_type("IDFilter", graphene.ID, EXACT),
            "text": filter_type("StringFilter", graphene.String, ORDERED),
            "int": filter_type("IntFilter", graphene.Int, ORDERED),
            "float": filter_type("FloatFilter", graphene.Float, ORDERED),
            "bool": filter_type("BooleanFilter", graphene.Boolean, ("eq", "isNull")),
            "date": filter_type("DateFilter", Date, ORDERED),
            "datetime": filter_type("DateTimeFilter", DateTime, ORDERED),
            "money": filter_type(
                "MoneyFilter", MoneyInput, ("eq", "gt", "gte", "lt", "lte", "isNull")
            ),
        }
        self._filters["reference"] = self._filters["id"]

    def enum(self, choice: type[Choice]) -> Any:
        """The enum of a Choice; labels in both languages describe its values."""
        name = choice.__name__
        if self.choices.setdefault(name, choice) is not choice:
            raise PluginError(
                choice.__module__.split(".")[0].removeprefix("guanxi_"),
                f"claims the type '{name}', which {self.choices[name].__module__} has already.",
            )
        if name not in self._enums:
            made = graphene.Enum(
                name,
                [(member.name, member.value) for member in choice],
                description=_describe_choice(choice),
            )
            self._enums[name] = made
        return self._enums[name]

    def filter(self, kind: str, python: Any) -> Any:
        """The filter input for a kind of field."""
        if kind != "choice":
            return self._filters[kind]
        name = f"{python.__name__}Filter"
        if name not in self._filters:
            self._filters[name] = filter_type(name, self.enum(python), EXACT)
        return self._filters[name]

    def value(self, value: type[Value]) -> Any:
        """The object type of a Value."""
        name = value.__name__
        if self.values.setdefault(name, value) is not value:
            raise PluginError(
                value.__module__.split(".")[0].removeprefix("guanxi_"),
                f"claims the type '{name}', which {self.values[name].__module__} has already.",
            )
        if name not in self._objects:
            docs = attribute_docs(value)
            plugin = value.__module__.split(".")[0].removeprefix("guanxi_")
            results = {}
            fields = {}
            for item in struct_fields(value):
                result = result_of(plugin, f"{name}.{item.name}", item.type)
                results[camel(item.name)] = result
                fields[camel(item.name)] = graphene.Field(
                    self.output(result),
                    description=docs.get(item.name) or f"{words(item.name).capitalize()}.",
                )
            self.value_results[name] = results
            self._objects[name] = make(
                Output, name, (value.__doc__ or f"{words(name)}.").strip(), fields
            )
        return self._objects[name]

    def output(self, result: Result, model: Callable[[Any], Any] | None = None) -> Any:
        """The GraphQL type of a contributed result."""
        if result.kind == "scalar":
            of = SCALARS[result.python]
        elif result.kind == "money":
            of = Money
        elif result.kind == "choice":
            of = self.enum(result.python)
        elif result.kind == "value":
            of = self.value(result.python)
        else:
            assert model is not None  # noqa: S101  values cannot hold models; result_of says so
            of = model(result.python)
        if result.many:
            of = graphene.List(graphene.NonNull(of))
        return of if result.nullable else graphene.NonNull(of)

    def stored(self, field: FieldInfo, *, nullable: bool) -> Any:
        """The GraphQL type of a stored attribute."""
        if field.kind == "values":
            of: Any = graphene.List(graphene.NonNull(self._embedded(_item(field.python))))
        elif field.kind == "texts":
            of = graphene.List(graphene.NonNull(graphene.String))
        elif field.kind == "choice":
            of = self.enum(field.python)
        elif field.kind == "money":
            of = Money
        elif field.kind in ("id", "reference"):
            of = graphene.ID
        else:
            of = SCALARS[field.python]
        return of if nullable else graphene.NonNull(of)

    def _embedded(self, value: type[Value]) -> Any:
        """The type of a Value that a column keeps; SQL reads its fields, so they are simple."""
        made = self.value(value)
        for name, result in self.value_results[value.__name__].items():
            if result.many or result.kind not in ("scalar", "choice"):
                raise PluginError(
                    value.__module__.split(".")[0].removeprefix("guanxi_"),
                    f"{value.__name__}.{name} cannot be kept in a column: let it be a str, int, "
                    "float, bool, date, datetime, UUID or a Choice.",
                )  # fmt: skip
        return made

    def stored_input(self, field: FieldInfo, *, required: bool) -> Any:
        """The same for an input."""
        if field.kind == "money":
            of: Any = MoneyInput
            return graphene.NonNull(of) if required else of
        return self.stored(field, nullable=not required)


def _item(annotation: Any) -> Any:
    return annotation.__args__[0]


def _describe_choice(choice: type[Choice]) -> Callable[[Any], str]:
    doc = (choice.__doc__ or f"{words(choice.__name__).capitalize()}.").strip()
    labels = {member.value: f"{member.zh} · {member.en}" for member in choice}

    def describe(value: Any) -> str:
        return doc if value is None else labels[getattr(value, "value", value)]

    return describe
