"""The questions the core asks plugins. Hooks answer at once and do no I/O.

A plugin adds questions of its own with ``hooks=[…]`` in its manifest.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from guanxi_sdk.contributions import Ambient, hookspec
from guanxi_sdk.erasure import Erasure, Hindrance
from guanxi_sdk.errors import Invalid
from guanxi_sdk.exporting import ExportBar
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

    @hookspec("collect", closed=True)
    def erasures(
        self, subject: type[Model], id: UUID, today: dt.date
    ) -> Sequence[Erasure | Hindrance]:
        """Say which of the plugin's rows and columns hold something about a person.

        Every plugin must answer that has a model with ``subject=True``, or one that refers to or
        extends such a model. Runs in the transaction that erases row ``id`` of the model
        ``subject``, also for a tenant that has switched the plugin off; None or an empty list where
        the plugin keeps nothing about it. The row of the person itself stays, blank and archived,
        so that references remain whole. A :class:`Hindrance` refuses the erasure.
        """
        raise AssertionError("a specification is never called")

    @hookspec("collect", closed=True)
    def export_bars(self, ambient: Ambient) -> Sequence[ExportBar]:
        """Say who may not take rows out, whatever their permissions are.

        Asked by every export as a user, before the first row is read; SQL over ``ambient`` finds
        the user. Whoever is barred exports nothing, and the audit has an entry of the attempt. None
        or an empty list bars nobody.
        """
        raise AssertionError("a specification is never called")
