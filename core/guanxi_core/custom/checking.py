"""What makes a definition of a custom field a good one."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from guanxi_core.custom.definitions import Definition, split_option, takes_fields
from guanxi_core.importing.errors import nearest
from guanxi_sdk import Invalid, Model
from guanxi_sdk._docs import camel, snake
from guanxi_sdk.columns import DEFAULT_MAX_LENGTH

#: The longest name, in snake case: tables of the statement are called by it.
_LONGEST: Final = 40
_NAME: Final = re.compile(r"[a-z][A-Za-z0-9]*")
_OPTION: Final = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
_MOST_OPTIONS: Final = 200


def check(definition: Definition, models: Mapping[str, type[Model]]) -> None:
    """Refuse a definition that is wrong in itself, or about none of ``models``."""
    fitting = [name for name, model in models.items() if takes_fields(model.info)]
    if definition.model not in fitting:
        raise Invalid("model", f"takes no custom fields: {nearest(definition.model, fitting)}")
    _check_name(definition.name)
    if snake(definition.name) in models[definition.model].info.table.c:
        raise Invalid("name", f"is that of a column of {definition.model}: choose another name")
    check_options(definition.kind, definition.options)
    text = definition.description.strip()
    if not text or len(text) > DEFAULT_MAX_LENGTH or not text.isprintable():
        raise Invalid("description", f"must be up to {DEFAULT_MAX_LENGTH} printable characters")


def _check_name(name: str) -> None:
    """Refuse what cannot be the name of a field in GraphQL and of an attribute."""
    if not _NAME.fullmatch(name):
        raise Invalid("name", "must begin with a small letter and hold letters and digits alone")
    if camel(snake(name)) != name:
        raise Invalid("name", f"must be written '{camel(snake(name))}'")
    if len(snake(name)) > _LONGEST:
        raise Invalid("name", f"is too long: {_LONGEST} characters at most")


def check_options(kind: str, options: Sequence[str]) -> None:
    """Refuse options that make no enum; a choice has some, and nothing else has."""
    if (kind == "choice") != bool(options):
        raise Invalid("options", "are what a CHOICE has, and nothing else")
    if len(options) > _MOST_OPTIONS:
        raise Invalid("options", f"are more than {_MOST_OPTIONS}")
    values = [split_option(option) for option in options]
    for value, zh, en in values:
        if not _OPTION.fullmatch(value):
            raise Invalid(
                "options", f"'{value[:60]}' is no value: write 'GOLD' or 'GOLD|金|Gold', the value "
                "in capital letters, digits and _",
            )  # fmt: skip
        if not all(len(label) <= 100 and label.isprintable() for label in (zh, en)):
            raise Invalid("options", f"the labels of '{value}' must be short and printable")
    if len({value for value, *_ in values}) < len(values):
        raise Invalid("options", "name a value twice")
