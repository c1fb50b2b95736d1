"""`enumLabels`: what people call the values of enums. The edition knows; no table is read."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from graphql import SelectionSetNode

from guanxi_graphql.compile.arguments import Tree, plain
from guanxi_graphql.compile.binds import Request, Variables
from guanxi_graphql.compile.json_text import JSONText
from guanxi_graphql.compile.selections import Selections
from guanxi_graphql.execute.encoding import encode
from guanxi_sdk import Choice

_LOCALES: Final = ("zh", "en")

Sets = Sequence[SelectionSetNode | None]
#: What is selected: by response key the field, and what is selected below it.
Shape = Mapping[str, tuple[str, Sets]]


def labels(selections: Selections, arguments: Mapping[str, Tree], sets: Sets) -> Any:
    """A bound value: the enums that are asked for, by name, in the language of the request."""
    outer = _shape(selections, "EnumLabels", sets)
    inner = {key: _shape(selections, "EnumValueLabel", below) for key, (_, below) in outer.items()}
    choices = sorted(selections.schema.choices.items())
    texts = {
        locale: {name: _enum(choice, locale, outer, inner) for name, choice in choices}
        for locale in _LOCALES
    }
    asked = arguments.get("names")

    def told(variables: Variables, request: Request) -> str:
        known = texts[request.locale]
        wanted = known if asked is None else set(plain(asked, variables))
        return f"[{','.join(text for name, text in known.items() if name in wanted)}]"

    return selections.binds.late(told, JSONText())


def _shape(selections: Selections, type_name: str, sets: Sets) -> Shape:
    found = selections.collect(type_name, sets).items()
    return {key: (nodes[0].name.value, [n.selection_set for n in nodes]) for key, nodes in found}


def _enum(choice: type[Choice], locale: str, outer: Shape, inner: Mapping[str, Shape]) -> str:
    told: dict[str, Any] = {}
    for key, (name, _) in outer.items():
        if name == "values":
            told[key] = [_value(member, locale, inner[key]) for member in choice]
        else:
            told[key] = "EnumLabels" if name == "__typename" else choice.__name__
    return encode(told).decode()


def _value(member: Choice, locale: str, shape: Shape) -> dict[str, str]:
    forms = {
        "__typename": "EnumValueLabel", "value": member.name, "label": getattr(member, locale),
    }  # fmt: skip
    return {key: forms[name] for key, (name, _) in shape.items()}
