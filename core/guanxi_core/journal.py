"""The journal of a transaction: what changed and what was emitted, in the order it happened.

The session adds to it at every flush, while the values before and after are both known; the context
turns it into audit and outbox rows before it commits.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from guanxi_sdk import Event, Money
from guanxi_sdk.info import FieldInfo, ModelInfo

#: Attributes that every change touches; the audit row itself says as much.
_HOUSEKEEPING: Final = frozenset({"id", "created_at", "updated_at", "version"})

Changes = dict[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row and what became of it: create, update, archive, restore or delete."""

    info: ModelInfo
    verb: str
    row_id: UUID
    changes: Changes  # by attribute: before and after


@dataclass(frozen=True, slots=True)
class BulkChange:
    """Many rows written by one statement; the audit keeps one row for all of them."""

    info: ModelInfo
    verb: str
    changes: Changes


@dataclass(frozen=True, slots=True)
class Report:
    """An entry for the outbox; ``event`` is None where the platform itself reports a change."""

    name: str
    payload: Mapping[str, Any]
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """The audit has an entry already, written beside the journal."""


@dataclass(slots=True)
class Journal:
    """Everything that one transaction has to report."""

    entries: list[RowChange | BulkChange | Report | Noted] = field(default_factory=list)
    #: Whether a client's mutation runs, and whether it was given the way outside.
    asked: bool = False
    outside: bool = False

    def rewind(self, length: int) -> None:
        """Forget what was added since the journal was ``length`` long."""
        del self.entries[length:]

    def record_flush(self, session: Session) -> None:
        """Add what ``session`` has just written, before it forgets the former values."""
        self.entries += [_created(row) for row in session.new]
        self.entries += [change for row in session.dirty if (change := _updated(row))]
        self.entries += [_deleted(row) for row in session.deleted]

    def changes(self) -> list[RowChange | BulkChange]:
        """One entry per changed row, and one per statement that wrote many."""
        found: list[RowChange | BulkChange | None] = []
        positions: dict[tuple[str, UUID], int] = {}
        for entry in self.entries:
            if isinstance(entry, RowChange):
                key = (entry.info.table.name, entry.row_id)
                position = positions.setdefault(key, len(found))
                former = found[position] if position < len(found) else None
                if isinstance(former, RowChange):
                    found[position] = _merged(former, entry)
                    if entry.verb == "delete":
                        del positions[key]
                    continue
                positions[key] = len(found)
            if not isinstance(entry, Report | Noted):
                found.append(entry)
        return [entry for entry in found if entry is not None]

    @property
    def leaves_no_trace(self) -> bool:
        """Whether a mutation did something of which no row tells: emitted, or reached outside."""
        return (
            self.asked
            and (self.outside or bool(self.entries))
            and all(isinstance(entry, Report) for entry in self.entries)
        )

    def reports(self) -> Iterator[Report]:
        """What goes to the outbox: a report of each changed row, then what was emitted."""
        for change in self.changes():
            if isinstance(change, RowChange):
                yield _report(change)
        yield from (entry for entry in self.entries if isinstance(entry, Report))


#: How the outbox calls what happened to a row: ``CustomerCreated``.
PAST: Final = {
    "create": "Created", "update": "Updated", "archive": "Archived", "restore": "Restored",
    "delete": "Deleted",
}  # fmt: skip


def extended(info: ModelInfo, *, many: bool = False) -> str:
    """How the outbox calls changes of an extension's rows: `tiers.StandingUpdated`.

    Subscriptions to the extended model tell of them. Handlers do not hear of them, or one that
    keeps an extension up to date would trigger itself for ever.
    """
    return f"{info.plugin}.{info.name}{'Saved' if many else 'Updated'}"


def _report(change: RowChange) -> Report:
    info, payload = change.info, {"id": str(change.row_id)}
    return Report(info.name + PAST[change.verb] if info.of is None else extended(info), payload)


def _created(row: Any) -> RowChange:
    info: ModelInfo = row.info
    changes = {
        name: (None, value)
        for name, one in _fields(info)
        if (value := getattr(row, name)) is not None
    }
    return RowChange(info, "create", row.id, changes)


def _updated(row: Any) -> RowChange | None:
    info: ModelInfo = row.info
    attributes = inspect(row).attrs
    changes: Changes = {}
    for name, one in _fields(info):
        histories = [attributes[column].history for column in one.columns]
        if any(history.has_changes() for history in histories):
            before = [_first(history.deleted or history.unchanged) for history in histories]
            after = [_first(history.added or history.unchanged) for history in histories]
            changes[name] = (_value(one, before), _value(one, after))
    hidden = (c for one in info.private.values() for c in one.columns)
    if not changes and not any(attributes[column].history.has_changes() for column in hidden):
        return None
    return RowChange(info, verb_of(changes), row.id, changes)


def _deleted(row: Any) -> RowChange:
    created = _created(row)
    changes = {name: (value, None) for name, (_, value) in created.changes.items()}
    return RowChange(created.info, "delete", created.row_id, changes)


def verb_of(changes: Mapping[str, tuple[Any, Any]]) -> str:
    """Archiving and restoring are updates of ``archived_at`` with a name of their own."""
    before, after = changes.get("archived_at", (None, None))
    if (before is None) == (after is None):
        return "update"
    return "archive" if before is None else "restore"


def _merged(former: RowChange, later: RowChange) -> RowChange | None:
    if later.verb == "delete" and former.verb == "create":
        return None
    changes = dict(former.changes)
    for name, (before, after) in later.changes.items():
        changes[name] = (changes[name][0] if name in changes else before, after)
    if later.verb == "delete":
        return RowChange(former.info, "delete", former.row_id, changes)
    verb = "create" if former.verb == "create" else verb_of(changes)
    return RowChange(former.info, verb, former.row_id, changes)


def _fields(info: ModelInfo) -> list[tuple[str, FieldInfo]]:
    return [(name, one) for name, one in info.fields.items() if name not in _HOUSEKEEPING]


def _first(values: Any) -> Any:
    return values[0] if values else None


def _value(one: FieldInfo, parts: list[Any]) -> Any:
    if one.kind == "money":
        return None if parts[0] is None else Money(parts[0], parts[1])
    return parts[0]
