"""A strategy asked at each of its decision times, and what it answers checked."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.strategy.seen import Seen
from pipeline.strategy.setups import NO_PRICE, Setups

__all__ = ["decide"]


class Decider(Protocol):
    """The part of a strategy that decides."""

    name: ClassVar[str]
    gates: ClassVar[Mapping[str, str]]

    def decision_minutes(self) -> tuple[int, ...]:
        """When, in minutes after the open; none for the close before."""

    def setups(self, seen: Seen) -> Setups:
        """Every setup decided at one time."""


def decide(strategy: Decider, seen: Seen) -> Setups:
    """Return a strategy's setups, each of a session there is and with a stop on its losing side.

    Raises
    ------
    DataError
        For the first that can't be an order: names strategy and session, and says what is wrong.
    """
    minutes = strategy.decision_minutes()
    if not minutes:
        found = _checked(strategy, seen, strategy.setups(seen))
        return found if (found.entry != NO_PRICE).all() else replace(found, last=seen.ticks("close")[found.row])
    return Setups.joined([_decided(strategy, seen.at(minute)) for minute in minutes])


def _decided(strategy: Decider, seen: Seen) -> Setups:
    found = _checked(strategy, seen, strategy.setups(seen))
    at = seen.today.decided_at[found.row]
    live = found.columns.get("live_from", at)
    _refuse(strategy, seen, found, live < at, "is live before it was decided")
    last = seen.today.last[found.row]
    return replace(found, columns={**found.columns, "live_from": live}, decided_at=at, last=last)


def _checked(strategy: Decider, seen: Seen, found: Setups) -> Setups:
    count = len(found.row)
    if absent := [gate for gate in strategy.gates if gate not in found.gates]:
        if count:
            raise DataError(f"strategy {strategy.name} declares the gate {absent[0]}, but its setups don't have it")
        found = replace(found, gates=dict.fromkeys(strategy.gates, np.empty(0, np.bool_)))
    parts = {"side": found.side, "entry": found.entry, "stop": found.stop, "target": found.target}
    for name, values in {**parts, **found.columns, **found.gates, "taken": found.rule_signal}.items():
        if values.shape != (count,):
            raise DataError(
                f"strategy {strategy.name} gives {count} setups but {name} of shape {values.shape}; give one value each"
            )
    for name, values in {"row": found.row, **parts}.items():
        if values.dtype.kind != "i":
            raise DataError(f"strategy {strategy.name} gives {name} as {values.dtype}; give whole numbers (ticks)")
    outside = (found.row < 0) | (found.row >= len(seen))
    if outside.any():
        row = found.row[int(np.argmax(outside))]
        raise DataError(f"strategy {strategy.name} decides on row {row}, but the history has rows 0 to {len(seen) - 1}")
    _refuse(strategy, seen, found, np.diff(found.row, prepend=0) < 0, "comes after later sessions; give them in order")
    _refuse(strategy, seen, found, ~np.isin(found.side, (1, -1)), "has a side that is neither 1 nor -1")
    _refuse(strategy, seen, found, found.stop == NO_PRICE, "has no stop; every order needs one")
    entered, aimed = found.entry != NO_PRICE, found.target != NO_PRICE
    wrong = entered & (found.side * (found.entry - found.stop) <= 0)
    _refuse(strategy, seen, found, wrong, "has its stop at or beyond the entry, on the winning side")
    wrong = aimed & entered & (found.side * (found.target - found.entry) <= 0)
    _refuse(strategy, seen, found, wrong, "has its target at or beyond the entry, on the losing side")
    wrong = aimed & ~entered & (found.side * (found.target - found.stop) <= 0)
    _refuse(strategy, seen, found, wrong, "has its target beyond its stop")
    return found


def _refuse(strategy: Decider, seen: Seen, setups: Setups, wrong: NDArray[np.bool_], why: str) -> None:
    if not wrong.any():
        return
    number = int(np.argmax(wrong))
    session = seen.upcoming[setups.row[number]]
    raise DataError(f"strategy {strategy.name}: setup {number}, for session {session:%F}, {why}")
