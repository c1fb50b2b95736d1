"""What the schema says of the arguments of the plugins that come with guanxi."""

import pytest

from guanxi_core.discovery import discover
from guanxi_core.plugin import Guanxi
from guanxi_sdk._docs import words

PLUGINS = {"guanxi": Guanxi, **discover().plugins}


@pytest.mark.parametrize("name", PLUGINS)
def test_every_argument_is_described(name: str) -> None:
    """There is a sentence for each, and not only its name again."""
    bare = [
        f"{contribution.name}({argument.name})"
        for contribution in PLUGINS[name].manifest.contributions
        for argument in contribution.arguments
        if argument.description == f"{words(argument.name).capitalize()}."
    ]
    assert bare == []
