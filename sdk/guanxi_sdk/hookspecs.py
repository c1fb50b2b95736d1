"""The questions the core asks plugins. Hooks answer at once and do no I/O.

A plugin adds questions of its own with ``hooks=[…]`` in its manifest.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from guanxi_sdk.contributions import hookspec
from guanxi_sdk.errors import Invalid
from guanxi_sdk.model import Model


class CoreHooks:
    """Hooks that every plugin may answer."""

    @hookspec("veto", closed=True)
    def write_errors(
        self,
        model: type[Model],
        verb: Literal["create", "update", "archive", "restore", "import"],
        values: Mapping[str, Any],
    ) -> Sequence[Invalid]:
        """Say what is wrong with a row about to be written; None or an empty list lets it pass.

        Runs before the transaction of a generated mutation and for every row of an import.
        ``values`` holds what the caller gives, by attribute; an update holds the changed ones only.
        """
        raise AssertionError("a specification is never called")
