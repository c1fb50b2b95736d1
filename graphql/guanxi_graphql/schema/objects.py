"""Types of models: their fields, and pages of them."""

from typing import Any

import graphene

from guanxi_core.editions import Contributed, Edition, Owner
from guanxi_graphql.schema.aggregates import Aggregates
from guanxi_graphql.schema.annotations import result_of
from guanxi_graphql.schema.arguments import arguments_of
from guanxi_graphql.schema.bindings import (
    Aggregated,
    Batch,
    Expression,
    Result,
    Stored,
    ToMany,
    ToOne,
)
from guanxi_graphql.schema.comparable import comparable_of
from guanxi_graphql.schema.conditions import Conditions
from guanxi_graphql.schema.confidentiality import confidentiality_of
from guanxi_graphql.schema.searched import searched_of
from guanxi_graphql.schema.types import Node, Output, PageInfo, Shared, make, required_list
from guanxi_sdk import Confidentiality, Model, PluginError
from guanxi_sdk._docs import camel, words
from guanxi_sdk.info import ModelInfo


class Objects:
    """The types of an edition's models, and what their fields stand for."""

    def __init__(self, edition: Edition) -> None:
        self.edition = edition
        self.shared = Shared()
        self.types: dict[type[Model], Any] = {}
        self.fields: dict[str, dict[str, Any]] = {}
        self.searched = [m for m in edition.models.values() if any(searched_of(edition, m))]
        self.conditions = Conditions(edition, self.shared)
        self.aggregates = Aggregates(self.shared, self.lazy)
        self._connections: dict[type[Model], Any] = {}
        self._levels: dict[int, Confidentiality] = {}

    def make(self) -> None:
        """Make the types of all models."""
        models = self.edition.models.values()
        for model in models:
            comparable = list(comparable_of(self.edition, model, self._level))
            self.conditions.add(model, comparable)
            self.aggregates.add(model, comparable)
        for model in models:
            self.types[model] = self._object(model)
            self._connections[model] = self._connection(model)

    def lazy(self, model: type[Model]) -> Any:
        """A thunk: graphene resolves it when the schema is complete."""
        return lambda: self.types[model]

    def connection_field(self, model: type[Model], description: str) -> Any:
        """A list of a model's rows, in pages."""
        conditions = self.conditions
        arguments = {
            "first": graphene.Argument(graphene.Int, description="Page size, from the start."),
            "after": graphene.Argument(graphene.String, description="Start behind this cursor."),
            "last": graphene.Argument(graphene.Int, description="Page size, from the end."),
            "before": graphene.Argument(graphene.String, description="End before this cursor."),
            "where": graphene.Argument(conditions.where_types[model], description="Conditions."),
            "orderBy": graphene.Argument(
                graphene.List(graphene.NonNull(conditions.order_types[model])),
                description="Sort keys; empty values come last. By id when left out.",
            ),
        }
        if model in self.searched:
            arguments["search"] = graphene.Argument(
                graphene.String,
                description="What they say: Chinese, its pinyin or initials, beginnings of words. "
                "Without `orderBy` the best come first.",
            )
        if not model.info.append_only:
            arguments["includeArchived"] = graphene.Argument(
                graphene.Boolean,
                default_value=False,  # pyright: ignore[reportArgumentType]
                description="Also list archived ones.",
            )
        return graphene.Field(
            lambda: self._connections[model], description=description, args=arguments
        )

    def arguments(self, entry: Contributed) -> dict[str, Any]:
        """The arguments of a contributed field."""
        return arguments_of(entry, self.shared, self.conditions.where_types)

    def _object(self, model: type[Model]) -> Any:
        info = model.info
        fields: dict[str, Any] = {}
        bindings: dict[str, Any] = {}
        for owner in self.edition.owners(model):
            needs = None if owner is model else owner.info.read
            self._stored(owner, owner.info, fields, bindings, needs=needs)
        for name, reverse in self.edition.reverses.get(model, {}).items():
            fields[camel(name)] = self.connection_field(
                reverse.model, reverse.reference.reverse_description
            )
            bindings[camel(name)] = ToMany(reverse)
            fields[f"{camel(name)}Aggregate"] = self.aggregates.field(
                reverse.model, self.conditions.where_types[reverse.model],
                f"What these {words(name)} come to, together and in groups.",
            )  # fmt: skip
            bindings[f"{camel(name)}Aggregate"] = Aggregated(reverse.model, reverse)
        for name, entry in self.edition.fields.get(model, {}).items():
            contribution = entry.contribution
            batch = contribution.kind == "field"
            result = result_of(entry.plugin, name, contribution.returns, batch=batch)
            if not batch and (result.many or result.kind not in ("scalar", "money", "choice")):
                raise PluginError(entry.plugin, f"{name}(): an SQL field is one scalar or Money.")
            level = self._level(entry)
            if batch or contribution.needs is not None or level > Confidentiality.INTERNAL:
                # may fail or be withheld: then it is null
                result = Result(result.kind, result.many, result.python, True)
            fields[camel(name)] = graphene.Field(
                self.shared.output(result, self.lazy),
                args=self.arguments(entry),
                description=contribution.description,
            )
            bindings[camel(name)] = (Batch if batch else Expression)(entry, result, level)
        self.fields[info.name] = bindings
        return make(Output, info.name, info.description, fields, interfaces=(Node,))

    def _level(self, entry: Contributed) -> Confidentiality:
        """How closely a contributed field is kept, worked out once."""
        key = id(entry)
        if key not in self._levels:
            self._levels[key] = confidentiality_of(self.edition, entry.contribution)
        return self._levels[key]

    def _stored(
        self,
        owner: Owner,
        info: ModelInfo,
        fields: dict[str, Any],
        bindings: dict[str, Any],
        *,
        needs: str | None,
    ) -> None:
        for name, field in info.fields.items():
            if field.kind == "reference":
                continue
            fields[camel(name)] = graphene.Field(
                self.shared.stored(
                    field,
                    nullable=field.nullable
                    or needs is not None
                    or field.confidentiality > Confidentiality.INTERNAL,
                ),
                description=field.description,
            )
            bindings[camel(name)] = Stored(field, owner, needs)
        for name, reference in info.references.items():
            fields[camel(name)] = graphene.Field(
                self.lazy(reference.target), description=reference.description
            )
            bindings[camel(name)] = ToOne(reference, owner, needs)

    def _connection(self, model: type[Model]) -> Any:
        name = model.info.name
        edge = make(
            Output, f"{name}Edge", f"A {words(name)} in a page.",
            {
                "cursor": graphene.String(required=True, description="Where a page may continue."),
                "node": graphene.Field(
                    self.types[model], required=True, description=f"The {words(name)}."
                ),
            },
        )  # fmt: skip
        return make(
            Output, f"{name}Connection", f"A page of {words(model.info.plural)}.",
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
