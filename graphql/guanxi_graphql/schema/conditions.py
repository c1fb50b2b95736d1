"""Conditions and sort keys: what lists of a model are filtered and ordered by."""

from functools import partial
from typing import Any

import graphene

from guanxi_core.editions import Edition
from guanxi_graphql.schema.bindings import Filterable, Sortable, Stored, ToMany, ToOne
from guanxi_graphql.schema.comparable import Comparable
from guanxi_graphql.schema.types import Shared, make
from guanxi_sdk import Model
from guanxi_sdk._docs import camel, words


class Conditions:
    """The types of `where` and `orderBy`, and what their parts stand for."""

    def __init__(self, edition: Edition, shared: Shared) -> None:
        self._edition = edition
        self._shared = shared
        self._list_filters: dict[type[Model], Any] = {}
        #: The types by model.
        self.where_types: dict[type[Model], Any] = {}
        self.order_types: dict[type[Model], Any] = {}
        #: Their parts, by the name of the type and of the part.
        self.wheres: dict[str, dict[str, Filterable]] = {}
        self.orders: dict[str, dict[str, Sortable]] = {}

    def add(self, model: type[Model], comparable: list[Comparable]) -> None:
        """Make both types of a model with these fields; their parts may name models added later."""
        indexed = [one for one in comparable if one.indexed]
        self.where_types[model] = self._where(model, indexed)
        self.order_types[model] = self._order(model, indexed)

    def _where(self, model: type[Model], indexed: list[Comparable]) -> Any:
        info = model.info
        name = f"{info.name}Where"
        this = partial(self.where_types.__getitem__, model)
        fields: dict[str, Any] = {
            "AND": graphene.InputField(
                graphene.List(graphene.NonNull(this)), description="All of these hold."
            ),
            "OR": graphene.InputField(
                graphene.List(graphene.NonNull(this)), description="One of these holds."
            ),
            "NOT": graphene.InputField(this, description="This does not hold."),
        }
        known = {"AND": Filterable("and"), "OR": Filterable("or"), "NOT": Filterable("not")}
        for one in indexed:
            fields[camel(one.name)] = graphene.InputField(
                self._shared.filter(one.kind, one.python), description=one.description
            )
            known[camel(one.name)] = Filterable(
                "stored" if isinstance(one.binding, Stored) else "expression", one.binding
            )
        owners: list[tuple[Any, str | None]] = [(model, None)]
        owners += [(e, e.info.read) for e in self._edition.extensions.get(model, ())]
        for owner, needs in owners:
            for reference in owner.info.references.values():
                fields[camel(reference.name)] = graphene.InputField(
                    partial(self.where_types.__getitem__, reference.target),
                    description=reference.description,
                )
                known[camel(reference.name)] = Filterable("to_one", ToOne(reference, owner, needs))
        for reverse in self._edition.reverses.get(model, {}).values():
            fields[camel(reverse.name)] = graphene.InputField(
                partial(self._list_filter, reverse.model),
                description=reverse.reference.reverse_description,
            )
            known[camel(reverse.name)] = Filterable("to_many", ToMany(reverse))
        self.wheres[name] = known
        return make(
            graphene.InputObjectType, name,
            f"Conditions on {words(info.plural)}; all that are given hold.", fields,
        )  # fmt: skip

    def _list_filter(self, model: type[Model]) -> Any:
        if model not in self._list_filters:
            where = self.where_types[model]
            plural = words(model.info.plural)
            self._list_filters[model] = make(
                graphene.InputObjectType, f"{model.info.name}ListFilter",
                f"Conditions on a list of {plural}.",
                {
                    "some": graphene.InputField(where, description="At least one meets this."),
                    "none": graphene.InputField(where, description="None meets this."),
                    "every": graphene.InputField(where, description="All meet this."),
                },
            )  # fmt: skip
        return self._list_filters[model]

    def _order(self, model: type[Model], indexed: list[Comparable]) -> Any:
        name = f"{model.info.name}OrderBy"
        known: dict[str, Sortable] = {}
        for one in indexed:
            if one.kind == "reference":
                continue
            known[f"{one.name.upper()}_ASC"] = Sortable(one.binding, False)
            known[f"{one.name.upper()}_DESC"] = Sortable(one.binding, True)
        self.orders[name] = known

        def describe(value: Any) -> str:
            if value is None:
                return f"Ways to sort {words(model.info.plural)}."
            key = str(getattr(value, "value", value))
            attribute, _, direction = key.rpartition("_")
            by = attribute.replace("_", " ").lower()
            return f"By {by}, {'highest' if direction == 'DESC' else 'lowest'} first."

        return graphene.Enum(name, [(key, key) for key in known], description=describe)
