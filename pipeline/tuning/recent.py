"""Cache of the most recent results, for trials that need them again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Recent"]

_Made = TypeVar("_Made")


class Recent(Generic[_Made]):
    """The last few things that were made, by key; of more than ``most`` the one unused for longest is given up."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._made: OrderedDict[Hashable, _Made] = OrderedDict()

    def __len__(self) -> int:
        return len(self._made)

    def get(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """Return the result kept for this key, or make it now; a failure is not kept."""
        if key not in self._made:
            self._made[key] = make()
        self._made.move_to_end(key)
        while len(self._made) > self._most:
            self._made.popitem(last=False)
        return self._made[key]
