"""The last look at an edition before a tenant gets it, by those who will serve it.

Each entry point of the group ``guanxi.editions`` is a function that takes a composed edition and
raises where it could not be served.
"""

from importlib.metadata import entry_points
from typing import Final

from guanxi_core.discovery import one_line
from guanxi_core.editions import Edition
from guanxi_sdk import PluginError

GROUP: Final = "guanxi.editions"


def vet(edition: Edition, plugin: str) -> None:
    """Raise :class:`PluginError` where ``edition``, new by ``plugin``, could not be served."""
    for entry in entry_points(group=GROUP):
        try:
            entry.load()(edition)
        except PluginError:
            raise
        except Exception as error:
            raise PluginError(
                plugin, f"cannot be served beside the plugins that are enabled ({entry.name}): "
                f"{one_line(str(error)) or type(error).__name__}",
            ) from error  # fmt: skip
