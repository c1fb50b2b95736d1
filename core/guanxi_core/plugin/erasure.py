"""What the platform itself answers when a person is erased."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from guanxi_core.plugin.rights import User, UserRole
from guanxi_sdk import Erasure, Model, Permission

ERASE: Final = Permission("guanxi.erase", "Erase what is kept about a person, for good.")


def of_user(subject: type[Model], id: UUID) -> Sequence[Erasure]:
    """A user's name and address, and the roles that the user holds."""
    if subject is not User:
        return []
    return [Erasure.blank(User, User.id == id), Erasure(UserRole, UserRole.user_id == id)]
