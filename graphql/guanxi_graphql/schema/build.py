"""Build an edition's GraphQL schema from its models and contributions."""

from functools import partial
from typing import Any

import graphene
from graphql import GraphQLEnumType, GraphQLInputObjectType

from guanxi_core.editions import Contributed, Edition, Owner
from guanxi_graphql.schema.aggregates import Aggregates
from guanxi_graphql.schema.annotations import SCALARS, peel, result_of, where_model
from guanxi_graphql.schema.bindings import (
    About,
    Aggregated,
    AnyNode,
    Anything,
    Ask,
    Batch,
    Expression,
    Filterable,
    Many,
    One,
    Result,
    Schema,
    Sortable,
    Stored,
    ToMany,
    ToOne,
    Write,
)
from guanxi_graphql.schema.comparable import Comparable, comparable_of
from guanxi_graphql.schema.confidentiality import confidentiality_of
from guanxi_graphql.schema.labels import labels_field
from guanxi_graphql.schema.searched import search_field, searched_of
from guanxi_graphql.schema.subscriptions import changed_fields, told_fields
from guanxi_graphql.schema.types import (
    MoneyInput,
    Node,
    Output,
    PageInfo,
    Shared,
    UserError,
    make,
    required_list,
)
from guanxi_sdk import Choice, Confidentiality, Model, PluginError
from guanxi_sdk._docs import camel, snake, words
from guanxi_sdk.contributions import Argument
from guanxi_sdk.info import ModelInfo, Verb

_VERBS: dict[Verb, str] = {
    "create": "Create a {}.",
    "update": "Change a {}; `version` is the one that was read, a stale one is a CONFLICT.",
    "archive": "Archive a {}: it leaves all lists and can be restored.",
    "restore": "Take a {} back out of the archive.",
}


def build(edition: Edition) -> Schema:
    """The schema of an edition, with what every field stands for."""
    return _Builder(edition).build()


class _Builder:
    def __init__(self, edition: Edition) -> None:
        self.edition = edition
        self.shared = Shared()
        self.objects: dict[type[Model], Any] = {}
        self.connections: dict[type[Model], Any] = {}
        self.where_types: dict[type[Model], Any] = {}
        self.order_types: dict[type[Model], Any] = {}
        self.list_filters: dict[type[Model], Any] = {}
        self.searched = [m for m in edition.models.values() if any(searched_of(edition, m))]
        self.levels: dict[int, Confidentiality] = {}
        self.fields: dict[str, dict[str, Any]] = {}
        self.wheres: dict[str, dict[str, Filterable]] = {}
        self.orders: dict[str, dict[str, Sortable]] = {}
        self.aggregates = Aggregates(self.shared, self._lazy)

    def build(self) -> Schema:
        models = self.edition.models.values()
        for model in models:
            self.where_types[model] = self._where(model)
            self.order_types[model] = self._order(model)
            self.aggregates.add(model, self._comparable(model))
        for model in models:
            self.objects[model] = self._object(model)
            self.connections[model] = self._connection(model)
        query = make(Output, "Query", "Everything that can be read.", self._query())
        mutations = self._mutations()
        mutation = (
            make(Output, "Mutation", "Everything that can be changed.", mutations)
            if mutations
            else None
        )
        subscription = make(
            Output, "Subscription", "Everything that can be followed.",
            self._subscriptions(),
        )  # fmt: skip
        schema = graphene.Schema(
            query=query,
            mutation=mutation,
            subscription=subscription,
            types=[*self.objects.values()],
            auto_camelcase=False,
        ).graphql_schema
        for type_ in schema.type_map.values():
            if isinstance(type_, GraphQLInputObjectType):
                setattr(type_, "out_type", dict)  # noqa: B010  graphene would wrap it
                for field in type_.fields.values():
                    field.out_name = None
            elif isinstance(type_, GraphQLEnumType) and type_.name in self.orders:
                type_.description = type_.description or "Order."
        return Schema(
            edition=self.edition,
            graphql=schema,
            fields=self.fields | self.aggregates.values,
            wheres=self.wheres,
            orders=self.orders,
            groups=self.aggregates.groups,
            wheres_of={model: f"{model.info.name}Where" for model in models},
            values=self.shared.values,
            choices=self.shared.choices,
            object_of={model: model.info.name for model in models},
        )

    # --- objects -------------------------------------------------------------------------------

    def _object(self, model: type[Model]) -> Any:
        info = model.info
        fields: dict[str, Any] = {}
        bindings: dict[str, Any] = {}
        for owner in self.edition.owners(model):
            needs = None if owner is model else owner.info.read
            self._stored(owner, owner.info, fields, bindings, needs=needs)
        for name, reverse in self.edition.reverses.get(model, {}).items():
            fields[camel(name)] = self._connection_field(
                reverse.model, reverse.reference.reverse_description
            )
            bindings[camel(name)] = ToMany(reverse)
            fields[f"{camel(name)}Aggregate"] = self.aggregates.field(
                reverse.model, self.where_types[reverse.model],
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
                self.shared.output(result, self._lazy),
                args=self._arguments(entry),
                description=contribution.description,
            )
            bindings[camel(name)] = (Batch if batch else Expression)(entry, result, level)
        self.fields[info.name] = bindings
        return make(Output, info.name, info.description, fields, interfaces=(Node,))

    def _level(self, entry: Contributed) -> Confidentiality:
        """How closely a contributed field is kept, worked out once."""
        key = id(entry)
        if key not in self.levels:
            self.levels[key] = confidentiality_of(self.edition, entry.contribution)
        return self.levels[key]

    def _lazy(self, model: type[Model]) -> Any:
        """A thunk: graphene resolves it when the schema is complete."""
        return lambda: self.objects[model]

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
                self._lazy(reference.target), description=reference.description
            )
            bindings[camel(name)] = ToOne(reference, owner, needs)

    def _connection(self, model: type[Model]) -> Any:
        name = model.info.name
        edge = make(
            Output, f"{name}Edge", f"A {words(name)} in a page.",
            {
                "cursor": graphene.String(required=True, description="Where a page may continue."),
                "node": graphene.Field(
                    self.objects[model], required=True, description=f"The {words(name)}."
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

    def _connection_field(self, model: type[Model], description: str) -> Any:
        arguments = {
            "first": graphene.Argument(graphene.Int, description="Page size, from the start."),
            "after": graphene.Argument(graphene.String, description="Start behind this cursor."),
            "last": graphene.Argument(graphene.Int, description="Page size, from the end."),
            "before": graphene.Argument(graphene.String, description="End before this cursor."),
            "where": graphene.Argument(self.where_types[model], description="Conditions."),
            "orderBy": graphene.Argument(
                graphene.List(graphene.NonNull(self.order_types[model])),
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
            lambda: self.connections[model], description=description, args=arguments
        )

    # --- filters and orders --------------------------------------------------------------------

    def _comparable(self, model: type[Model]) -> list[Comparable]:
        return list(comparable_of(self.edition, model, self._level))

    def _where(self, model: type[Model]) -> Any:
        info = model.info
        name = f"{info.name}Where"
        this = lambda: self.where_types[model]  # noqa: E731  graphene resolves functions only
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
        for one in self._comparable(model):
            if not one.indexed:
                continue
            fields[camel(one.name)] = graphene.InputField(
                self.shared.filter(one.kind, one.python), description=one.description
            )
            known[camel(one.name)] = Filterable(
                "stored" if isinstance(one.binding, Stored) else "expression", one.binding
            )
        owners: list[tuple[Any, str | None]] = [(model, None)]
        owners += [(e, e.info.read) for e in self.edition.extensions.get(model, ())]
        for owner, needs in owners:
            for reference in owner.info.references.values():
                fields[camel(reference.name)] = graphene.InputField(
                    partial(self.where_types.__getitem__, reference.target),
                    description=reference.description,
                )
                known[camel(reference.name)] = Filterable("to_one", ToOne(reference, owner, needs))
        for reverse in self.edition.reverses.get(model, {}).values():
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
        if model not in self.list_filters:
            where = self.where_types[model]
            plural = words(model.info.plural)
            self.list_filters[model] = make(
                graphene.InputObjectType, f"{model.info.name}ListFilter",
                f"Conditions on a list of {plural}.",
                {
                    "some": graphene.InputField(where, description="At least one meets this."),
                    "none": graphene.InputField(where, description="None meets this."),
                    "every": graphene.InputField(where, description="All meet this."),
                },
            )  # fmt: skip
        return self.list_filters[model]

    def _order(self, model: type[Model]) -> Any:
        name = f"{model.info.name}OrderBy"
        known: dict[str, Sortable] = {}
        for one in self._comparable(model):
            if one.kind == "reference" or not one.indexed:
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

    # --- roots ---------------------------------------------------------------------------------

    def _query(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "node": graphene.Field(
                Node, id=graphene.ID(required=True), description="Any object by its id."
            ),
            "nodes": graphene.Field(
                graphene.NonNull(graphene.List(Node)),
                args={"ids": graphene.Argument(required_list(graphene.ID), description="Ids.")},
                description="Several objects by their ids, in that order; null for a missing one.",
            ),
            "tenant": graphene.Field(_TENANT, required=True, description="The enterprise."),
            "viewer": graphene.Field(_VIEWER, required=True, description="Who is asking."),
            "vocabulary": graphene.Field(
                required_list(_TERM), description="Terms of the enterprise's trade, by key."
            ),
            "enumLabels": labels_field(),
        }
        bindings: dict[str, Any] = {
            "node": AnyNode(False), "nodes": AnyNode(True), "tenant": About("tenant"),
            "viewer": About("viewer"), "vocabulary": About("vocabulary"),
            "enumLabels": About("labels"),
        }  # fmt: skip
        for model in self.edition.models.values():
            info = model.info
            one, many = camel(snake(info.name)), camel(info.plural)
            fields[one] = graphene.Field(
                self.objects[model], id=graphene.ID(required=True),
                description=f"One {words(info.name)} by its id; null when there is none.",
            )  # fmt: skip
            bindings[one] = One(model)
            fields[many] = self._connection_field(model, f"All {words(info.plural)}.")
            bindings[many] = Many(model)
            fields[f"{many}Aggregate"] = self.aggregates.field(
                model, self.where_types[model],
                f"What {words(info.plural)} come to, together and in groups.",
            )  # fmt: skip
            bindings[f"{many}Aggregate"] = Aggregated(model)
        if self.searched:
            fields["search"] = search_field([model.info.name for model in self.searched])
            bindings["search"] = Anything(tuple(self.searched))
        for name, entry in self.edition.queries.items():
            result = result_of(entry.plugin, name, entry.contribution.returns)
            if result.kind == "nothing":
                raise PluginError(entry.plugin, f"{name}(): a query must return something.")
            result = Result(result.kind, result.many, result.python, True)
            fields[camel(name)] = graphene.Field(
                self.shared.output(result, self._lazy), args=self._arguments(entry),
                description=entry.contribution.description,
            )  # fmt: skip
            bindings[camel(name)] = Ask(entry, result)
        self.fields["Query"] = bindings
        return fields

    def _mutations(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        bindings: dict[str, Any] = {}
        for model in self.edition.models.values():
            for verb, description in _VERBS.items():
                if verb in model.info.closed:
                    continue
                name = f"{verb}{model.info.name}"
                fields[name] = graphene.Field(
                    self._payload(name, {camel(snake(model.info.name)): self.objects[model]}),
                    args=self._verb_arguments(model, verb),
                    description=description.format(words(model.info.name)),
                )
                bindings[name] = Write(model, verb)
        for attribute, entry in self.edition.mutations.items():
            name = camel(attribute)
            result = result_of(entry.plugin, attribute, entry.contribution.returns)
            fields[name] = graphene.Field(
                self._payload(name, self._payload_fields(result)),
                args=self._arguments(entry),
                description=entry.contribution.description,
            )
            bindings[name] = Ask(entry, result)
        self.fields["Mutation"] = bindings
        return fields

    def _subscriptions(self) -> dict[str, Any]:
        found = [
            *changed_fields(self.edition, self.objects, self.where_types),
            *told_fields(
                self.edition, lambda result: self.shared.output(result, self._lazy),
                self._arguments, payload_key,
            ),
        ]  # fmt: skip
        self.fields["Subscription"] = {name: binding for name, _, binding in found}
        return {name: field for name, field, _ in found}

    def _payload(self, name: str, fields: dict[str, Any]) -> Any:
        described = {
            key: graphene.Field(of, description="The result, unless there were errors.")
            for key, of in fields.items()
        }
        described["errors"] = graphene.Field(
            required_list(UserError), description="Why nothing was done; empty after success."
        )
        title = name[0].upper() + name[1:]
        return make(Output, f"{title}Payload", f"What `{name}` answers.", described)

    def _payload_fields(self, result: Result) -> dict[str, Any]:
        if result.kind == "nothing":
            return {}
        nullable = Result(result.kind, result.many, result.python, True)
        return {payload_key(result): self.shared.output(nullable, self._lazy)}

    def _verb_arguments(self, model: type[Model], verb: Verb) -> dict[str, Any]:
        identity = graphene.Argument(graphene.ID, required=True, description="Which one.")
        version = graphene.Argument(
            graphene.Int, required=verb == "update", description="The version that was read."
        )
        if verb in ("archive", "restore"):
            return {"id": identity, "version": version}
        fields = {}
        for field in self.edition.written(model).values():
            if field.readonly or field.kind in ("id", "values"):
                continue
            fields[camel(field.name)] = graphene.InputField(
                self.shared.stored_input(field, required=verb == "create" and field.required),
                description=field.description,
            )
        title = f"{verb.capitalize()}{model.info.name}Input"
        given = make(
            graphene.InputObjectType, title, f"What `{verb}{model.info.name}` takes.", fields
        )
        argument = graphene.Argument(given, required=True, description="The values.")
        return {"input": argument} if verb == "create" else {
            "id": identity, "version": version, "input": argument
        }  # fmt: skip

    def _arguments(self, entry: Contributed) -> dict[str, Any]:
        return {
            camel(argument.name): self._argument(entry, argument)
            for argument in entry.contribution.arguments
        }

    def _argument(self, entry: Contributed, argument: Argument) -> Any:
        inner, nullable = peel(argument.annotation)
        model = where_model(argument.annotation)
        many = getattr(inner, "__origin__", None) is list
        if many:
            inner, _ = peel(inner.__args__[0])
        if model is not None:
            of = self.where_types[model]
        elif inner in SCALARS:
            of = SCALARS[inner]
        elif isinstance(inner, type) and inner.__name__ == "Money":
            of = MoneyInput
        elif isinstance(inner, type) and hasattr(inner, "__members__"):
            of = self.shared.enum(inner)
        else:
            raise PluginError(
                entry.plugin, f"{entry.contribution.name}(): the argument '{argument.name}' has "
                f"the type {argument.annotation!r}, which has no GraphQL input type.",
            )  # fmt: skip
        if many:
            of = graphene.List(graphene.NonNull(of))
        extra: dict[str, Any] = {}
        if isinstance(argument.default, Choice):
            enum = self.shared.enum(type(argument.default))
            extra["default_value"] = enum._meta.enum[argument.default.name]
        elif isinstance(argument.default, str | int | float):
            extra["default_value"] = argument.default
        return graphene.Argument(
            of, required=argument.required and not nullable,
            description=f"{words(argument.name).capitalize()}.", **extra,
        )  # fmt: skip


def payload_key(result: Result) -> str:
    """The payload's field that carries a mutation's result."""
    if result.kind == "model":
        info: ModelInfo = result.python.info
        return camel(info.plural if result.many else snake(info.name))
    return "results" if result.many else "result"


_TENANT = make(
    Output, "Tenant", "One enterprise.",
    {
        "id": graphene.ID(required=True, description="Its id."),
        "name": graphene.String(required=True, description="Its name."),
        "currency": graphene.String(required=True, description="ISO 4217 code it reports in."),
        "plugins": graphene.Field(
            required_list(graphene.String), description="Names of the enabled plugins."
        ),
    },
)  # fmt: skip
_VIEWER = make(
    Output, "Viewer", "Who is asking.",
    {
        "name": graphene.String(required=True, description="Name of the user or the token."),
        "permissions": graphene.Field(
            required_list(graphene.String), description="What the viewer may do."
        ),
    },
)  # fmt: skip
_TERM = make(
    Output, "Term", "A term of the trade in both languages.",
    {
        "key": graphene.String(required=True, description="Its key."),
        "zh": graphene.String(required=True, description="In Chinese."),
        "en": graphene.String(required=True, description="In English."),
    },
)  # fmt: skip
