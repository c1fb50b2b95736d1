"""What an erasure did, or would do."""

from guanxi_sdk import Value


class ErasedRows(Value):
    """What became of the rows of one model."""

    model: str
    """The model, for instance `Person`."""

    deleted: int
    """How many rows were deleted."""

    blanked: int
    """How many rows were kept without what they said."""

    fields: list[str]
    """The fields that were blanked."""


class ErasureMention(Value):
    """A text that still holds a name, an address or a number of the person."""

    model: str
    """The model, for instance `Activity`."""

    id: str
    """The id of the object."""

    field: str
    """The field, for instance `outcome`."""


class ErasureReport(Value):
    """What was erased of a person, and where somebody has to look."""

    subjects: list[str]
    """The ids that were erased: the one that was given, and those that are the same person, for
    instance the user that an employee is.
    """

    dry_run: bool
    """Whether all of it was undone."""

    rows: list[ErasedRows]
    """Rows of plugins, by model."""

    audit_entries: int
    """Entries of the audit whose content was blanked."""

    events: int
    """Events whose texts were blanked."""

    deliveries: int
    """Deliveries whose error was blanked."""

    replies: int
    """Stored replies of mutations that say `ERASED` from now on."""

    jobs: int
    """Jobs whose texts were blanked."""

    tokens: int
    """API tokens and sessions that were ended."""

    mentions: list[ErasureMention]
    """Texts of others in which the person still occurs, at most 100: a person has to read them."""
