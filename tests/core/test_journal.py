"""The journal tells the net effect of a transaction, whatever happened in between."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from with_contacts import Contact
from with_standing import Standing

from guanxi_core.journal import BulkChange, Journal, Report, RowChange, verb_of

INFO = Contact.info


def replay(steps):
    """Carry out ``steps`` (row, name to write; None deletes) on a model of the table."""
    before = {0: "a", 1: "b"}
    rows = dict(before)
    journal = Journal()
    for number, name in steps:
        row_id, former = UUID(int=number), rows.get(number)
        if name is None and former is None:
            continue
        if name is None:
            verb = "delete"
            del rows[number]
        else:
            verb = "create" if former is None else "update"
            rows[number] = name
        journal.entries.append(RowChange(INFO, verb, row_id, {"name": (former, name)}))
    return before, rows, journal


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", "c", None]))))
def test_the_changes_lead_from_before_to_after(steps):
    before, after, journal = replay(steps)
    told = dict(before)
    for change in journal.changes():
        number = change.row_id.int
        assert (number in told) == (change.verb != "create")
        former, later = change.changes["name"]
        assert told.pop(number, None) == former
        if change.verb != "delete":
            told[number] = later
    assert told == after


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", None]))), st.data())
def test_rewinding_forgets_exactly_what_came_later(steps, data):
    length = data.draw(st.integers(0, len(steps)))
    _, _, some = replay(steps[:length])
    _, _, everything = replay(steps)
    everything.rewind(len(some.entries))
    assert everything.changes() == some.changes()


def test_archiving_has_its_own_verb():
    when = object()
    assert verb_of({"name": ("a", "b")}) == "update"
    assert verb_of({"name": ("a", "b"), "archived_at": (None, when)}) == "archive"
    assert verb_of({"archived_at": (when, None)}) == "restore"
    assert verb_of({"archived_at": (when, object())}) == "update"
    journal = Journal()
    for change in ((None, when), (when, None)):
        entry = RowChange(
            INFO, verb_of({"archived_at": change}), UUID(int=1), {"archived_at": change}
        )
        journal.entries.append(entry)
    (merged,) = journal.changes()
    assert merged.verb == "update"


def test_reports_of_rows_come_before_events():
    event = Report("Happened", {})
    row = RowChange(INFO, "create", UUID(int=1), {})
    side = RowChange(Standing.info, "create", UUID(int=1), {})
    bulk = BulkChange(INFO, "save_many", {"count": (None, 2)})
    journal = Journal([event, row, side, bulk])
    assert list(journal.reports()) == [
        Report("ContactCreated", {"id": str(UUID(int=1))}),
        Report("standing.StandingUpdated", {"id": str(UUID(int=1))}), event,
    ]  # fmt: skip
    assert journal.changes() == [row, side, bulk]
