"""The hook relay: asks plugins a question and combines their answers.

Each implementation is called by itself, guarded, in dependency order, with copies of what could be
changed, so that a bad plugin costs its own answer and nothing else. One that keeps failing is
switched off for the tenant, see :mod:`guanxi_core.breakers`.
"""

import inspect
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from guanxi_core.breakers import TenantBreakers, stops
from guanxi_core.editions import Edition
from guanxi_core.shielding import Rows, own, shield
from guanxi_core.telemetry import traces
from guanxi_sdk import Plugin, PluginError, Refusal

log = logging.getLogger(__name__)

#: Nothing can interrupt an answer; one that takes longer, in seconds, counts as a failure.
SLOW: Final = 1.0
_PREPARED: Final = "guanxi_core.hooks"


class HookFailed(Refusal):
    """A plugin that must be heard could not answer, so what was asked for is not done."""

    code = "PLUGIN_FAILED"

    def __init__(self, plugin: str, hook: str) -> None:
        super().__init__(
            None, f"The plugin '{plugin}' failed to answer '{hook}', so nothing was done."
        )
        self.plugin = plugin
        self.hook = hook


@dataclass(frozen=True, slots=True)
class _Answer:
    plugin: str
    function: Callable[..., Any]
    parameters: tuple[str, ...]
    about: frozenset[Any]  # models; none for all


@dataclass(frozen=True, slots=True)
class _Question:
    name: str
    semantics: str
    closed: bool
    parameters: frozenset[str]
    expected: tuple[type, ...]  # classes of an answer or of its items; any without
    answers: tuple[_Answer, ...]


def ask(
    edition: Edition,
    instances: Mapping[str, Plugin[Any]],
    hook: Callable[..., Any] | str,
    arguments: Mapping[str, Any],
    *,
    breakers: TenantBreakers | None = None,
) -> Any:
    """Ask the edition's plugins, answered by one tenant's ``instances``.

    ``hook`` is the specification's function or its name. What comes back depends on the semantics
    (see :func:`guanxi_sdk.hookspec`): a list for collect and veto, one answer or None for first,
    and for chain the last answer, which is the argument ``former`` when nobody answers.
    """
    question = _question(edition, hook if isinstance(hook, str) else hook.__name__)
    if arguments.keys() != question.parameters:
        raise TypeError(
            f"the hook '{question.name}' takes {', '.join(sorted(question.parameters))}; "
            f"got {', '.join(sorted(arguments)) or 'nothing'}"
        )
    joined: list[Any] = []
    former = arguments.get("former")
    for answer in question.answers:
        if answer.about and arguments["model"] not in answer.about:
            continue
        if breakers is not None and not breakers.allows(answer.plugin):
            if question.closed:
                raise HookFailed(answer.plugin, question.name)
            continue
        given = {
            name: own(former) if name == "former" else shield(arguments[name])
            for name in answer.parameters
        }
        rows = Rows(given)
        began = time.perf_counter()
        try:
            try:
                with traces.answering(answer.plugin, question.name):
                    value = answer.function(instances[answer.plugin], **given)
            finally:
                changed = rows.restore()
            if changed:
                raise TypeError("an answer may not change the rows that it is given")
            if value is not None:
                value = _checked(value, question)
        except BaseException as error:  # SystemExit too: a plugin may not end the process
            if stops(error):
                raise
            log.error(
                "plugin '%s' failed to answer '%s'", answer.plugin, question.name, exc_info=error
            )
            if breakers is not None:
                breakers.failure(answer.plugin, question.name, error)
            if question.closed:
                raise HookFailed(answer.plugin, question.name) from error
            continue
        if breakers is not None:
            if time.perf_counter() - began < SLOW:
                breakers.success(answer.plugin, question.name)
            else:
                breakers.failure(answer.plugin, question.name, TimeoutError())
        if value is None:
            continue
        if question.semantics == "first":
            return value
        if question.semantics == "chain":
            former = value
        else:
            joined.extend(value)
    if question.semantics == "first":
        return None
    return former if question.semantics == "chain" else joined


def _question(edition: Edition, name: str) -> _Question:
    prepared: dict[str, _Question] = edition.attachments.setdefault(_PREPARED, {})
    question = prepared.get(name)
    if question is None:
        hook = edition.hooks.get(name)
        if hook is None:
            raise PluginError(
                "", f"no enabled plugin declares the hook '{name}': enable the one that asks it."
            )
        answers = tuple(
            _Answer(
                entry.plugin, entry.contribution.function,
                tuple(inspect.signature(entry.contribution.function).parameters)[1:],
                frozenset(entry.contribution.models),
            )
            for entry in hook.answers
        )  # fmt: skip
        question = prepared[name] = _Question(
            name, hook.semantics, hook.closed, frozenset(hook.parameters), hook.expected, answers
        )
    return question


def _checked(value: Any, question: _Question) -> Any:
    """The answer, a list where lists are joined; :class:`TypeError` if the asker could not use it.

    A list is copied: one that a plugin keeps does not grow by what others answer.
    """
    items: Sequence[Any] = [value]
    if question.semantics in ("collect", "veto"):
        if type(value) is not list and (
            isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__")
        ):
            raise TypeError(f"the answer must be a list, not {type(value).__name__}")
        items = value = list(value)
    if question.expected:
        for item in items:
            if not isinstance(item, question.expected):
                names = " or ".join(sorted(kind.__name__ for kind in question.expected))
                raise TypeError(f"an answer must be {names}, not {type(item).__name__}")
    return value
