"""Room for what tenants have waiting, shared so that none of them can use it up."""

from collections import Counter
from collections.abc import Hashable


class Shares:
    """Room for ``most`` at a time, and for one owner for ``share`` at most.

    An owner gets no more than half of what others leave, so that room is halved and not used up by
    those who come first. The first one of an owner needs any room at all.
    """

    def __init__(self, most: int, share: int) -> None:
        self._most = most
        self._share = share
        self._taken: Counter[Hashable] = Counter()
        #: How much is taken by all.
        self.total = 0

    def room(self, owner: Hashable) -> bool:
        """Whether ``owner`` may take one more."""
        mine = self._taken[owner]
        left = self._most - self.total
        return left > 0 and mine < min(self._share, max(1, (left + mine) // 2))

    def take(self, owner: Hashable) -> None:
        """Take one; ask :meth:`room` first."""
        self._taken[owner] += 1
        self.total += 1

    def give(self, owner: Hashable) -> None:
        """Give one back."""
        self.total -= 1
        self._taken[owner] -= 1
        if not self._taken[owner]:
            del self._taken[owner]
