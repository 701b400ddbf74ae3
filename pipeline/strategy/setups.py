"""Setups: what a strategy returns, the orders it would place and what its gates say of each, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

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
        The order's other columns of contract §6a (``type``, ``group``, ``trail_ticks``, …), by name. A group holds
        within its session; ``live_from`` and ``live_until`` are UTC nanoseconds.
    gates
        What each gate says, by name, in the order shown: bools, and measures beside them (a confidence).
    taken
        Whether the rules trade it; all gates together where None.
    decided_at
        When each was decided, UTC nanoseconds; None for what is decided at the close before. Not the strategy's to set.
    last
        Last price known at the decision, ticks; None where every setup has an entry. Not the strategy's to set.
    """

    row: Ints
    side: Ints
    entry: Ints
    stop: Ints
    target: Ints
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    gates: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    taken: NDArray[np.bool_] | None = None
    decided_at: Ints | None = None
    last: Ints | None = None

    @classmethod
    def none(cls) -> Self:
        """Return no setups."""
        nothing = np.empty(0, np.int64)
        return cls(nothing, nothing, nothing, nothing, nothing)

    @classmethod
    def joined(cls, parts: Sequence["Setups"]) -> Self:
        """Put together what was decided at several times of a session, in the order of sessions and times."""
        parts = [part for part in parts if len(part.row)] or parts[:1]
        row = np.concatenate([part.row for part in parts])
        order = np.argsort(row, kind="stable")

        def together(values: Sequence[NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate(values)[order]

        return cls(
            row=row[order],
            side=together([part.side for part in parts]),
            entry=together([part.entry for part in parts]),
            stop=together([part.stop for part in parts]),
            target=together([part.target for part in parts]),
            columns={name: together([part.columns[name] for part in parts]) for name in parts[0].columns},
            gates={name: together([part.gates[name] for part in parts]) for name in parts[0].gates},
            taken=together([part.rule_signal for part in parts]),
            decided_at=together([part.decided_at for part in parts if part.decided_at is not None]),
            last=together([part.last for part in parts if part.last is not None]),
        )

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
