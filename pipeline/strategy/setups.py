"""Setups: what a strategy returns, the orders it would place and what its gates say of each, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_PRICE", "Setups"]

Ints = NDArray[np.int64]

NO_PRICE = np.iinfo(np.int64).min
"""In place of an entry or a target in ticks that an order doesn't have."""


@dataclass(frozen=True)
class Setups:
    """Orders for coming sessions, in the order in which they are looked at, shape (m,) each.

    Attributes
    ----------
    row
        Session of the history that each is decided on, by position; it trades in the one after. Not falling.
    side
        +1 long, −1 short.
    entry, stop, target
        Ticks; an order without entry (market) or target has ``NO_PRICE`` there.
    columns
        The order's other columns of contract §6a (``type``, ``group``, ``trail_ticks``, …), by name.
    gates
        What each gate says, by name, in the order shown: bools, and measures beside them (a confidence).
    taken
        Whether the rules trade it; all gates together where None.
    """

    row: Ints
    side: Ints
    entry: Ints
    stop: Ints
    target: Ints
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    gates: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    taken: NDArray[np.bool_] | None = None

    @property
    def rule_signal(self) -> NDArray[np.bool_]:
        """Return True where the rules trade the setup, shape (m,)."""
        if self.taken is not None:
            return self.taken
        passed = np.ones(len(self.row), np.bool_)
        for values in self.gates.values():
            if values.dtype == np.bool_:
                passed &= values
        return passed
