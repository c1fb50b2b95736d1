"""Subscriptions as root fields, and what each of them tells."""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Final

import graphene

from guanxi_core.editions import Contributed, Edition
from guanxi_core.journal import extended
from guanxi_core.plugin.delivery import Job
from guanxi_graphql.schema.annotations import result_of
from guanxi_graphql.schema.bindings import Changed, Result, Told
from guanxi_graphql.schema.types import Output, make
from guanxi_sdk import (
    Archived,
    Created,
    Deleted,
    Erased,
    Imported,
    Model,
    PluginError,
    Restored,
    Rights,
    Saved,
    Scope,
    Updated,
)
from guanxi_sdk._docs import camel, snake, words
from guanxi_sdk.events import name_of

_CORE: Final = "guanxi"


class ChangeAction(Enum):
    """What happened."""

    CREATED = "It was created."
    UPDATED = "It was changed."
    ARCHIVED = "It was archived: it leaves all lists."
    RESTORED = "It was taken back out of the archive."
    ERASED = "All that was kept about the person was erased."
    RELOAD = "Many were written at once, or some deleted: load what you show anew."


_ACTIONS: Final[dict[Any, str]] = {
    Created: "CREATED", Updated: "UPDATED", Archived: "ARCHIVED", Restored: "RESTORED",
    Erased: "ERASED", Deleted: "RELOAD", Saved: "RELOAD", Imported: "RELOAD",
}  # fmt: skip


def actions_of(edition: Edition, model: type[Model], rights: Rights) -> dict[str, str]:
    """What is told of each event of a model's rows, and of what other plugins add to them.

    An addition is told of where its own permission reaches as far as the model's, to those who are
    cleared for some of it.
    """
    told = {name_of(event, model): action for event, action in _ACTIONS.items()}
    reach = rights.scopes(model.info.read)
    for extension in edition.extensions.get(model, ()):
        levels = [field.confidentiality for field in extension.info.fields.values()]
        own = rights.scopes(extension.info.read, min(levels))
        if own and (Scope.ALL in own or reach <= own):
            told[extended(extension.info)] = "UPDATED"
            told[extended(extension.info, many=True)] = "RELOAD"
    return told


def followed(edition: Edition) -> Iterator[type[Model]]:
    """The models whose changes are told; the core's own logs are not."""
    for model in edition.models.values():
        if not model.info.append_only or model.info.plugin != _CORE or model is Job:
            yield model


def changed_fields(
    edition: Edition, objects: dict[type[Model], Any], wheres: dict[type[Model], Any]
) -> Iterator[tuple[str, Any, Changed]]:
    """``customerChanged`` and its siblings."""
    action = graphene.Enum.from_enum(
        ChangeAction, description=lambda v: ChangeAction.__doc__ if v is None else v.value
    )
    for model in followed(edition):
        name, one = model.info.name, camel(snake(model.info.name))
        told = make(
            Output, f"{name}Changed", f"What became of a {words(name)}.",
            {
                "action": graphene.Field(action, description="What happened; null for nothing."),
                one: graphene.Field(
                    objects[model], description="The object as it is now, as far as you may see it."
                ),
                "position": _position(),
            },
        )  # fmt: skip
        arguments = _after() | {
            "where": graphene.Argument(
                wheres[model], description="Conditions that the object meets when it is told."
            )
        }
        text = f"Changes of {words(model.info.plural)} that you may see, as they are committed."
        field = graphene.Field(graphene.NonNull(told), args=arguments, description=text)
        yield f"{one}Changed", field, Changed(model)


def told_fields(
    edition: Edition,
    output: Callable[[Result], Any],
    arguments: Callable[[Contributed], dict[str, Any]],
    key: Callable[[Result], str],
) -> Iterator[tuple[str, Any, Told]]:
    """What plugins contribute."""
    for attribute, entry in edition.subscriptions.items():
        contribution = entry.contribution
        result = result_of(entry.plugin, attribute, contribution.returns, batch=True)
        if result.kind == "nothing":
            raise PluginError(entry.plugin, f"{attribute}(): a subscription must tell something.")
        if any(argument.name == "after" for argument in contribution.arguments):
            raise PluginError(
                entry.plugin, f"{attribute}(): 'after' is the position to go on from: call the "
                "argument something else.",
            )  # fmt: skip
        name = camel(attribute)
        nullable = Result(result.kind, result.many, result.python, True)
        told = make(
            Output, f"{name[0].upper()}{name[1:]}Payload", f"What `{name}` tells.",
            {
                key(result): graphene.Field(output(nullable), description="What happened."),
                "position": _position(),
            },
        )  # fmt: skip
        field = graphene.Field(
            graphene.NonNull(told), args=_after() | arguments(entry),
            description=contribution.description,
        )  # fmt: skip
        yield name, field, Told(entry, nullable)


def _position() -> Any:
    return graphene.String(
        required=True,
        description="Where this stands: `after` goes on behind it. A message that holds nothing "
        "else says that there was nothing to tell up to here.",
    )


def _after() -> dict[str, Any]:
    return {
        "after": graphene.Argument(
            graphene.String, description="A position that was told: go on behind it."
        )
    }
