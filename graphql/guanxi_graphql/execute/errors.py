"""Errors as a client may see them."""

import logging
import re
from collections.abc import Iterable, Sequence
from typing import Any

from graphql import GraphQLError

from guanxi_core.access import StaleAccess
from guanxi_sdk import Refusal
from guanxi_sdk._docs import camel

_log = logging.getLogger(__name__)

#: What the caller is told of a statement that the database gave up.
TOO_SLOW = "The database took too long: ask for less at once."
#: What is told of a mutation that was ended, perhaps at the moment of its commit.
DOUBTFUL = (
    "It took too long and may have been done or not: repeat it with its Idempotency-Key to learn."
)
#: What is told of a mutation field whose turn did not come.
NOT_BEGUN = "What came before took too long: this was not begun."
#: What is told instead of a result that cannot be read anew, where the caller does not see all.
NOT_KEPT = "This was done; what it answered is not kept for those who do not see everything."

__all__ = [
    "DOUBTFUL",
    "NOT_BEGUN",
    "NOT_KEPT",
    "TOO_SLOW",
    "StaleAccess",
    "failed",
    "invalid",
    "located",
    "refusal",
    "withheld",
]


def refusal(error: Refusal, path: Sequence[str] = ()) -> dict[str, Any]:
    """A refusal as a top-level error."""
    message = f"'{camel(error.path)}' {error.message}" if error.path else error.message
    return located(message, error.code, path)


def located(message: str, code: str, path: Sequence[str] = ()) -> dict[str, Any]:
    """A top-level error; ``path`` holds response keys only."""
    found: dict[str, Any] = {"message": message, "extensions": {"code": code}}
    if path:
        found["path"] = list(path)
    return found


def withheld(message: str, path: Sequence[str]) -> dict[str, Any]:
    """The error of a field that the caller may not see."""
    return located(message, "FORBIDDEN", path)


def failed(plugin: str, name: str, error: BaseException, path: Sequence[str]) -> dict[str, Any]:
    """The error of a plugin's function that raised what it should not; the log has the rest."""
    _log.error("plugin '%s' failed in '%s'", plugin, name, exc_info=error)
    return located(f"The plugin '{plugin}' failed.", "PLUGIN_FAILED", path)


def invalid(errors: Iterable[GraphQLError]) -> list[dict[str, Any]]:
    """Errors of parsing, validation and variables; values and guesses are left out."""
    found = []
    for error in errors:
        entry: dict[str, Any] = {"message": _masked(error).partition(" Did you mean")[0]}
        if error.locations:
            entry["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
        code = (error.extensions or {}).get("code", "GRAPHQL_VALIDATION_FAILED")
        entry["extensions"] = {"code": code}
        found.append(entry)
    return found


_PLACE = re.compile(r" at '[\w.\[\]]+'\Z", re.ASCII)


def _masked(error: GraphQLError) -> str:
    """The message without the value that a variable had.

    Only what graphql-core itself put into it is kept: a value may look like any part of a message.
    """
    reason = error.original_error
    if not isinstance(reason, GraphQLError) or not error.message.startswith("Variable '$"):
        return error.message
    place = _PLACE.search(error.message.removesuffix(f"; {reason.message}"))
    variable = error.message.partition(" got invalid value ")[0]
    return f"{variable} got an invalid value{place[0] if place else ''}; {_reason(reason.message)}"


def _reason(message: str) -> str:
    """Why a value does not fit: ``Int cannot represent non-integer value.``"""
    for echoed, rest in (
        ("Value ", " does not exist in "),
        ("Field ", " is not defined by type "),
    ):
        if message.startswith(echoed) and rest in message:
            named = re.match(r"'\w+'( enum)?", message.rpartition(rest)[2], re.ASCII)
            return f"{echoed.rstrip()}{rest}{named[0] if named else 'its type'}."
    if message.startswith("Expected type '"):  # and what the scalar's own code raised
        return re.split(r"(?<=')\. ", message)[0].rstrip(".") + "."
    return message.partition(": ")[0].rstrip(".") + "."
