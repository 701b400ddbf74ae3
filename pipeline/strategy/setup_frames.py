"""Candidates and signals as frames: a strategy's setups with their sessions, in prices."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.strategy.protocol import Strategy
from pipeline.strategy.seen import Seen
from pipeline.strategy.setups import NO_PRICE, Setups

__all__ = ["checked_setups", "make_candidates", "make_signals"]

Ints = NDArray[np.int64]


def make_candidates(strategy: Strategy, seen: Seen) -> pd.DataFrame:
    """Return every setup of a strategy, in the order in which it gives them.

    Returns
    -------
    DataFrame
        The last session of the history gives those of the coming session.

        session
            The next of the exchange's calendar, when the setup may trade.
        decided_on
            The session at whose close it was decided.
        side
            +1 long, −1 short.
        entry, stop, target
            Prices on the tick; NaN for an order without entry (market) or target.
        …
            The strategy's other columns of contract §6a.
        contract
            Of ``decided_on``, where the history has one.
        stop_ticks, target_ticks
            Distances from the entry; missing where entry or target is.

    Raises
    ------
    DataError
        For impossible setups: names strategy and session.
    """
    return _candidates(checked_setups(strategy, seen), seen)


def make_signals(strategy: Strategy, seen: Seen) -> pd.DataFrame:
    """Return the candidates of :func:`make_candidates` with what each gate says, and ``rule_signal``.

    Returns
    -------
    DataFrame
        The candidates, row by row; a column a gate, in the strategy's order (bool; a gate whose value is missing is
        shut), its measures beside them; ``rule_signal`` (bool).

    Raises
    ------
    DataError
        For impossible setups: names strategy and session.
    """
    setups = checked_setups(strategy, seen)
    return _candidates(setups, seen).assign(**setups.gates, rule_signal=setups.rule_signal)


def checked_setups(strategy: Strategy, seen: Seen) -> Setups:
    """Return a strategy's setups, each of a session there is and with a stop on its losing side.

    Raises
    ------
    DataError
        For the first that can't be an order: names strategy and session, and says what is wrong.
    """
    found = strategy.setups(seen)
    count = len(found.row)
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


def _refuse(strategy: Strategy, seen: Seen, setups: Setups, wrong: NDArray[np.bool_], why: str) -> None:
    if not wrong.any():
        return
    number = int(np.argmax(wrong))
    session = seen.upcoming[setups.row[number]]
    raise DataError(f"strategy {strategy.name}: setup {number}, for session {session:%F}, {why}")


def _candidates(setups: Setups, seen: Seen) -> pd.DataFrame:
    row, prices = setups.row, seen.instrument.to_prices
    entered, aimed = setups.entry != NO_PRICE, setups.target != NO_PRICE
    frame = pd.DataFrame(
        {
            "session": seen.upcoming[row],
            "decided_on": seen.sessions[row],
            "side": setups.side,
            "entry": _where(entered, prices(np.where(entered, setups.entry, 0))),
            "stop": prices(setups.stop),
            "target": _where(aimed, prices(np.where(aimed, setups.target, 0))),
            **setups.columns,
        }
    )
    if (contracts := seen.columns.contracts) is not None:
        frame["contract"] = pd.array(contracts[row], dtype="str")
    frame["stop_ticks"] = _where(entered, np.abs(setups.entry - setups.stop))
    frame["target_ticks"] = _where(entered & aimed, np.abs(setups.target - setups.entry))
    return frame


def _where(known: NDArray[np.bool_], values: NDArray) -> NDArray:
    """The values, missing where not known; as they are, whole numbers too, where all are."""
    return values if known.all() else np.where(known, values, np.nan)
