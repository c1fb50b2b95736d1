"""Errors as a log may tell of them.

The message of an exception may hold anything: a customer's name, a row that PostgreSQL shows in a
DETAIL, a token. Only guanxi's own messages are known to hold none of that; of all others the class
and the place are told, which is what somebody who mends a program needs.
"""

import re
import traceback
from typing import Any, Final

import asyncpg

from guanxi_core.telemetry.redaction import redact
from guanxi_sdk import GuanxiError, PluginError, Refusal

_DEEPEST: Final = 8  # causes of causes
_FRAMES: Final = 40  # of each, the innermost
_CODE: Final = re.compile("[A-Z_]{1,40}")  # a plugin may call anything one


def describe(error: BaseException) -> str:
    """One line about ``error``, without what it was about."""
    kind = type(error).__qualname__
    if isinstance(error, GuanxiError) and not isinstance(error, Refusal) and _is_ours(error):
        return redact(f"{error}")
    if isinstance(error, asyncpg.PostgresError):
        known: Any = error
        where = (known.table_name, known.column_name, known.constraint_name)
        named = " ".join(part for part in where if part)
        return f"{kind} {known.sqlstate}{f' ({named})' if named else ''}"
    if isinstance(error, OSError) and error.strerror and error.errno is not None:
        return f"{kind}: {error.strerror}"
    return kind


def kind_of(error: BaseException) -> str:
    """The class of ``error``, and the code of a refusal: nothing of what it was about."""
    kind = type(error).__qualname__
    if isinstance(error, Refusal) and _CODE.fullmatch(error.code):
        return f"{kind} ({error.code})"
    return kind


def render(error: BaseException, *, whole: bool) -> str:
    """The traceback of ``error`` and of its causes; with their messages if it is to be ``whole``.

    Lines of source code are shown, values of variables never.
    """
    if whole:
        return "".join(traceback.format_exception(error)).rstrip()
    return "\n".join(_parts(error, _DEEPEST))


def _parts(error: BaseException, depth: int) -> list[str]:
    parts = []
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and depth:
        how = "was the cause of this:" if error.__cause__ else "was being handled when this came:"
        parts = [*_parts(before, depth - 1), f"… {how}"]
    parts.append("Traceback (most recent call last):")
    parts.append("".join(traceback.format_tb(error.__traceback__, -_FRAMES)).rstrip())
    parts.append(describe(error))
    if isinstance(error, BaseExceptionGroup) and depth:
        for inner in error.exceptions:
            parts += ["… of the group:", *_parts(inner, depth - 1)]
    return [part for part in parts if part]


def _is_ours(error: BaseException) -> bool:
    """Whether the class, and so the message, is the platform's, not a plugin's."""
    ours = type(error).__module__.partition(".")[0] in ("guanxi_core", "guanxi_graphql")
    return ours or isinstance(error, PluginError)  # which is about code, never about rows
