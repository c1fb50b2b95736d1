"""Names in the one namespace of an edition: who has which, and which the platform keeps."""

from collections.abc import Iterator
from typing import Any, Final, get_args

from msgspec.structs import fields as struct_fields

from guanxi_core.plugin import NAME
from guanxi_sdk import Choice, Plugin, PluginError, Value
from guanxi_sdk._docs import camel
from guanxi_sdk.contributions import SHOWN
from guanxi_sdk.info import Verb

CORE: Final = "the core"
VERBS: Final[tuple[Verb, ...]] = ("create", "update", "archive", "restore")
#: Names the platform's own types and root fields take.
RESERVED: Final = {
    "type": {
        "Node", "PageInfo", "UserError", "Money", "MoneyInput", "Query", "Mutation",
        "Subscription", "Tenant", "Viewer", "Term", "DateTime", "Date", "Decimal", "ID", "String",
        "Int", "Float", "Boolean", "IDFilter", "StringFilter", "IntFilter", "FloatFilter",
        "BooleanFilter", "DateFilter", "DateTimeFilter", "MoneyFilter", "Search",
        "SearchConnection", "SearchEdge", "SearchType",
        "IntAggregate", "FloatAggregate", "DateAggregate", "DateTimeAggregate",
        "MoneyAggregate", "DateBucket",
        "GroupOrderBy", "ChangeAction", "EnumLabels", "EnumValueLabel",
    },
    "query field": {
        "node", "nodes", "search", "tenant", "viewer", "vocabulary", "enumLabels",
    },
}  # fmt: skip
#: What the names of the types that a model has besides its own end with.
_OF_MODELS: Final = (
    "Connection", "Edge", "Where", "ListFilter", "OrderBy", "Aggregate", "AggregateGroup",
    "AggregateKey", "AggregateValues", "GroupBy", "Changed",
)  # fmt: skip


class Claims:
    """Who claimed a name first; a second claim names both."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], tuple[str, Any]] = {}
        for what, names in RESERVED.items():
            for name in names:
                self.claim(what, name, CORE)

    def claim(self, what: str, name: str, plugin: str, meant: type | None = None) -> bool:
        """Whether the name is new; it may be claimed again for ``meant``, the same class."""
        if (what, name) not in self._owners:
            self._owners[what, name] = plugin, meant
            return True
        first, known = self._owners[what, name]
        if meant is not None and meant is known:
            return False
        if first == plugin:
            raise PluginError(plugin, f"claims the {what} '{name}' twice. Rename one of the two.")
        owner, remedy = f"plugin '{first}'", "Rename one, or enable only one of the two."
        if first in (CORE, NAME):
            owner, remedy = CORE, "Rename it."
        raise PluginError(
            plugin, f"claims the {what} '{name}', which {owner} has already. {remedy}"
        )

    def owner(self, what: str, name: str) -> str | None:
        """Who has the name, for people to read; None for nobody."""
        found = self._owners.get((what, name))
        if found is None:
            return None
        return CORE if found[0] in (CORE, NAME) else f"plugin '{found[0]}'"

    def claim_types(self, plugin: type[Plugin[Any]]) -> None:
        """All GraphQL types that derive from a plugin's models and contributions."""
        manifest = plugin.manifest
        for model in manifest.models:
            name = model.info.name
            for suffix in _OF_MODELS:
                self.claim("type", name + suffix, manifest.name)
            for verb in VERBS:
                if verb not in model.info.closed:
                    self.claim("type", f"{verb.capitalize()}{name}Payload", manifest.name)
                    if verb in ("create", "update"):
                        self.claim("type", f"{verb.capitalize()}{name}Input", manifest.name)
        for contribution in manifest.contributions:
            if contribution.kind in ("mutation", "subscription"):
                name = camel(contribution.name)
                self.claim("type", f"{name[0].upper()}{name[1:]}Payload", manifest.name)
        for annotation in _annotations(plugin):
            self._claim_classes(annotation, manifest.name)

    def _claim_classes(self, annotation: Any, plugin: str) -> None:
        """The Choices and Values inside an annotation, and inside those Values."""
        for inner in get_args(annotation):
            self._claim_classes(inner, plugin)
        if not isinstance(annotation, type) or get_args(annotation):
            return
        name = annotation.__name__
        if issubclass(annotation, Choice):
            self.claim("type", name, plugin, annotation)
            self.claim("type", f"{name}Filter", plugin, annotation)
        elif issubclass(annotation, Value) and self.claim("type", name, plugin, annotation):
            try:
                inside = [item.type for item in struct_fields(annotation)]
            except NameError as error:
                raise PluginError(plugin, f"{name}: {error}. Import it at run time.") from None
            for inner in inside:
                self._claim_classes(inner, plugin)


def _annotations(plugin: type[Plugin[Any]]) -> Iterator[Any]:
    """The types of all attributes, arguments and results, as they are written."""
    manifest = plugin.manifest
    for model in (*manifest.models, *manifest.extensions):
        yield from (field.python for field in model.info.fields.values())
    for contribution in manifest.contributions:
        if contribution.kind in SHOWN:
            yield from (argument.annotation for argument in contribution.arguments)
            yield contribution.returns
