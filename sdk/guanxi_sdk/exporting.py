"""What plugins answer when rows are about to be exported."""

from dataclasses import dataclass

import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class ExportBar:
    """Who exports nothing, and what they are told.

    ``ExportBar(exists(select(Guest.id).where(Guest.id == ambient.user_id)), "guests export
    nothing")``.
    """

    #: True for whoever is barred: an expression over who asks. Rows beyond the caller's count, too.
    condition: sa.ColumnElement[bool]
    because: str
