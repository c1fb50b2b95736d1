"""The stamp of a caller's rights: a transaction of plugin code fails where it holds no more."""

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from guanxi_core.access import Access, StaleAccess
from guanxi_core.database.scoping import first_row

_STAMP: Final = (
    "SELECT epoch FROM guanxi_stamp "
    "WHERE tenant_id = $1 AND token_id = $2 AND epoch = $3 AND expires_at > now()"
)


def on_begin(access: Access, read_only: bool) -> Callable[[sa.Connection], None] | None:
    """What every transaction of a context begins with."""
    check = _stamp_check(access)
    if not read_only:
        return check

    def begin(connection: sa.Connection) -> None:
        first_row(connection, "SELECT set_config('transaction_read_only', 'on', true)")
        if check is not None:
            check(connection)

    return begin


def _stamp_check(access: Access) -> Callable[[sa.Connection], None] | None:
    """What makes a transaction with outdated rights fail at its first statement."""
    token_id = access.caller.token_id
    if token_id is None:
        return None
    values = (access.installation.tenant.id, token_id, access.epoch)

    def check(connection: sa.Connection) -> None:
        if first_row(connection, _STAMP, *values) is None:
            raise StaleAccess("the caller's rights have changed: authenticate again and repeat.")

    return check
