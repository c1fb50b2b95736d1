"""What a probe raises, and what it reports when nothing was found."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


class ProbeFailed(AssertionError):
    """Something that must not be; the message says where, for whom, and what to do."""


class Leaked(ProbeFailed):
    """An answer holds what belongs to another tenant."""


class Changed(ProbeFailed):
    """A request of one tenant changed rows of another, or rows that it must not reach."""


class Distinguished(ProbeFailed):
    """Two answers differ that must be alike, so that one learns from them what one may not see."""


class NotCovered(ProbeFailed):
    """Part of the schema was not tried, or could not show what it would give away."""


class Broke(ProbeFailed):
    """Something failed that should have answered, or refused with a reason."""


@dataclass
class Report:
    """What a probe tried. As text it is one line with the figures."""

    plugins: tuple[str, ...]
    #: Names of the schema, such as ``Query.notes(where)``, that the documents used.
    used: set[str] = field(default_factory=set)
    #: Those that they were to use.
    known: set[str] = field(default_factory=set)
    documents: int = 0
    requests: int = 0
    callers: set[str] = field(default_factory=set)
    #: Mutations that were done, and those that were refused with all values the probe thought of.
    done: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    #: Mutations that the author says cannot be done here, each with the reason.
    undone: Mapping[str, str] = field(default_factory=dict)
    #: Permissions, clearances and scopes whose hidden fields were tried.
    hidden: set[str] = field(default_factory=set)
    #: Why row scopes were not tried, where they were not.
    unscoped: str | None = None

    def __str__(self) -> str:
        """The figures."""
        kinds = Counter(kind_of(name) for name in self.known)
        used = Counter(kind_of(name) for name in self.used & self.known)
        shares = ", ".join(f"{kind} {used[kind]}/{kinds[kind]}" for kind in sorted(kinds))
        parts = [
            f"{self.documents} documents", f"{self.requests} requests",
            f"{len(self.callers)} callers", shares,
        ]  # fmt: skip
        if self.done or self.refused:
            parts.append(f"mutations done {len(self.done)}, refused {len(self.refused)}")
        if self.hidden:
            parts.append(f"hidden by {', '.join(sorted(self.hidden))}")
        if self.unscoped:
            parts.append(f"row scopes were not probed: {self.unscoped}")
        return f"{' + '.join(self.plugins) or 'the core'}: {'; '.join(parts)}; 0 findings"

    def check_coverage(self) -> None:
        """Raise :class:`NotCovered` unless everything that there is was used."""
        if missing := sorted(self.known - self.used):
            raise NotCovered(
                f"{len(missing)} of {len(self.known)} names of the schema were used by no "
                f"document: {', '.join(missing[:20])}. Where an argument has a type that the probe "
                "cannot make up, name a value: examples={'argument_name': …}."
            )

    def check_done(self, wanted: Collection[str]) -> None:
        """Raise :class:`NotCovered` unless each wanted mutation was done, or is said not to be."""
        if unknown := sorted(self.undone.keys() - self.done - self.refused.keys()):
            raise NotCovered(f"undone= names {', '.join(unknown)}, which is no mutation here.")
        if done := sorted(self.undone.keys() & self.done):
            raise NotCovered(f"undone= names {', '.join(done)}, which was done: leave it out.")
        never = sorted(self.refused.keys() & set(wanted) - self.undone.keys())
        if never:
            told = "; ".join(f"{name} ({self.refused[name]})" for name in never)
            raise NotCovered(
                f"never done: {told}. A mutation that is always refused shows nothing: name values "
                f"with which it is done, examples={{'{never[0]}.argument': …}}, or say why there "
                f"are none: undone={{'{never[0]}': 'why'}}."
            )


def kind_of(name: str) -> str:
    """What a name of the schema stands for, in the plural."""
    owner, _, rest = name.partition(".")
    if owner == "Mutation" and "(" not in rest:
        return "mutations"
    if "(" in rest:
        return "arguments"
    if owner.endswith("OrderBy"):
        return "orders"
    if owner.endswith("GroupBy"):
        return "groups"
    if owner.endswith("Where"):
        return "filters"
    return "input fields" if owner.endswith("Input") else "fields"


def difference(one: str, other: str) -> str:
    """Where two answers part, in words."""
    try:
        return _difference("", json.loads(one), json.loads(other)) or "in nothing but their form"
    except ValueError:
        return f"{one[:300]} against {other[:300]}"


def _difference(path: str, one: object, other: object) -> str | None:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            if key not in one or key not in other:
                return f"'{path}{key}' is in one answer only"
            if found := _difference(f"{path}{key}.", one[key], other[key]):
                return found
        return None
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return next((d for n, (a, b) in pairs if (d := _difference(f"{path}{n}.", a, b))), None)
    if one == other:
        return None
    return f"at '{path[:-1]}': {json.dumps(one)[:300]} against {json.dumps(other)[:300]}"


def place_of(secret: str, answer: str) -> str:
    """Where in an answer a secret stands: the path of the first value that holds it."""
    try:
        return _place("", secret, json.loads(answer)) or "in its text"
    except ValueError:
        return "in its text"


def _place(path: str, secret: str, value: object) -> str | None:
    items: Collection[tuple[object, object]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = list(enumerate(value))
    elif secret in json.dumps(value, ensure_ascii=False):
        return f"at '{path[:-1]}': {json.dumps(value, ensure_ascii=False)[:300]}"
    return next((f for key, inner in items if (f := _place(f"{path}{key}.", secret, inner))), None)
