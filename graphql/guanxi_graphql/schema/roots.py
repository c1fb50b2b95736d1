"""Root fields: what can be read, changed and followed, and the payloads of mutations."""

from typing import Any

import graphene

from guanxi_graphql.schema.annotations import result_of
from guanxi_graphql.schema.bindings import (
    About,
    Aggregated,
    AnyNode,
    Anything,
    Ask,
    Many,
    One,
    Result,
    Write,
)
from guanxi_graphql.schema.labels import labels_field
from guanxi_graphql.schema.objects import Objects
from guanxi_graphql.schema.searched import search_field
from guanxi_graphql.schema.subscriptions import changed_fields, told_fields
from guanxi_graphql.schema.types import Node, Output, UserError, make, required_list
from guanxi_sdk import Model, PluginError
from guanxi_sdk._docs import camel, snake, words
from guanxi_sdk.info import ModelInfo, Verb

_VERBS: dict[Verb, str] = {
    "create": "Create a {}.",
    "update": "Change a {}; `version` is the one that was read, a stale one is a CONFLICT.",
    "archive": "Archive a {}: it leaves all lists and can be restored.",
    "restore": "Take a {} back out of the archive.",
}


class Roots:
    """The three root types over the models' ``objects``, which come to know their bindings."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._edition = objects.edition
        self._shared = objects.shared
        self._types = objects.types
        self._where_types = objects.conditions.where_types

    def make(self) -> dict[str, Any]:
        """The types by what they are called in a schema; there may be no mutations."""
        mutations = self._mutations()
        return {
            "query": make(Output, "Query", "Everything that can be read.", self._query()),
            "mutation": make(Output, "Mutation", "Everything that can be changed.", mutations)
            if mutations
            else None,
            "subscription": make(
                Output, "Subscription", "Everything that can be followed.", self._subscriptions()
            ),
        }

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
        for model in self._edition.models.values():
            info = model.info
            one, many = camel(snake(info.name)), camel(info.plural)
            fields[one] = graphene.Field(
                self._types[model], id=graphene.ID(required=True),
                description=f"One {words(info.name)} by its id; null when there is none.",
            )  # fmt: skip
            bindings[one] = One(model)
            fields[many] = self._objects.connection_field(model, f"All {words(info.plural)}.")
            bindings[many] = Many(model)
            fields[f"{many}Aggregate"] = self._objects.aggregates.field(
                model, self._where_types[model],
                f"What {words(info.plural)} come to, together and in groups.",
            )  # fmt: skip
            bindings[f"{many}Aggregate"] = Aggregated(model)
        if self._objects.searched:
            fields["search"] = search_field([model.info.name for model in self._objects.searched])
            bindings["search"] = Anything(tuple(self._objects.searched))
        for name, entry in self._edition.queries.items():
            result = result_of(entry.plugin, name, entry.contribution.returns)
            if result.kind == "nothing":
                raise PluginError(entry.plugin, f"{name}(): a query must return something.")
            result = Result(result.kind, result.many, result.python, True)
            fields[camel(name)] = graphene.Field(
                self._shared.output(result, self._objects.lazy),
                args=self._objects.arguments(entry),
                description=entry.contribution.description,
            )  # fmt: skip
            bindings[camel(name)] = Ask(entry, result)
        self._objects.fields["Query"] = bindings
        return fields

    def _mutations(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        bindings: dict[str, Any] = {}
        for model in self._edition.models.values():
            for verb, description in _VERBS.items():
                if verb in model.info.closed:
                    continue
                name = f"{verb}{model.info.name}"
                fields[name] = graphene.Field(
                    self._payload(name, {camel(snake(model.info.name)): self._types[model]}),
                    args=self._verb_arguments(model, verb),
                    description=description.format(words(model.info.name)),
                )
                bindings[name] = Write(model, verb)
        for attribute, entry in self._edition.mutations.items():
            name = camel(attribute)
            result = result_of(entry.plugin, attribute, entry.contribution.returns)
            fields[name] = graphene.Field(
                self._payload(name, self._payload_fields(result)),
                args=self._objects.arguments(entry),
                description=entry.contribution.description,
            )
            bindings[name] = Ask(entry, result)
        self._objects.fields["Mutation"] = bindings
        return fields

    def _subscriptions(self) -> dict[str, Any]:
        found = [
            *changed_fields(self._edition, self._types, self._where_types),
            *told_fields(
                self._edition, lambda result: self._shared.output(result, self._objects.lazy),
                self._objects.arguments, payload_key,
            ),
        ]  # fmt: skip
        self._objects.fields["Subscription"] = {name: binding for name, _, binding in found}
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
        return {payload_key(result): self._shared.output(nullable, self._objects.lazy)}

    def _verb_arguments(self, model: type[Model], verb: Verb) -> dict[str, Any]:
        identity = graphene.Argument(graphene.ID, required=True, description="Which one.")
        version = graphene.Argument(
            graphene.Int, required=verb == "update", description="The version that was read."
        )
        if verb in ("archive", "restore"):
            return {"id": identity, "version": version}
        fields = {}
        for field in self._edition.written(model).values():
            if field.readonly or field.kind in ("id", "values"):
                continue
            fields[camel(field.name)] = graphene.InputField(
                self._shared.stored_input(field, required=verb == "create" and field.required),
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
