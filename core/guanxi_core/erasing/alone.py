"""What stands still in a tenant while somebody is erased: nobody takes up what is about to go.

These are advisory locks, which cost next to nothing where nobody is erased.
"""

from typing import Final

_KEY: Final = "hashtextextended('guanxi.erasing.' || ($1::uuid)::text, 0)"
_REPLIES: Final = "hashtextextended('guanxi.erasing.replies.' || ($1::uuid)::text, 0)"

#: What a transaction is called that erases a person, and its entry in the audit.
ERASING: Final = "guanxi.erase_person"
#: Taken by an erasure before it locks any row, so that nobody whom it waits for waits for it: those
#: whose reply will be kept first, while all others go on.
ALONE: Final = (
    f"SELECT pg_advisory_xact_lock({_REPLIES})",
    f"SELECT pg_advisory_xact_lock({_KEY})",
)
#: Taken by whoever will keep a reply, before they read anything: it would tell what they have read.
REPLYING: Final = f"pg_advisory_xact_lock_shared({_REPLIES})"
#: True where nobody is being erased, nor will be before the transaction ends. Never waits: whoever
#: hands on and claims deliveries holds locks that others wait for, and comes again in a second.
NOBODY_ERASED: Final = f"(SELECT pg_try_advisory_xact_lock_shared({_KEY}))"
