"""Candidates and signals as frames: a strategy's setups with their sessions, in prices."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.strategy.protocol import Strategy
from pipeline.strategy.seen import Seen
from pipeline.strategy.setups import NO_PRICE, Setups

__all__ = ["checked_setups", "make_candidates", "make_signals"]

Ints = NDArray[np.int64]

_TIMES = ("live_from", "live_until")


def make_candidates(strategy: Strategy, seen: Seen) -> pd.DataFrame:
    """Return every setup of a strategy, in the order in which it gives them.

    Returns
    -------
    DataFrame
        The last session of the history gives those of the coming session.

        session
            The next of the exchange's calendar, when the setup may trade.
        decided_on
            The session whose history it was decided on, the one before.
        decided_at
            When, UTC; only for a strategy that decides within the session.
        side
            +1 long, −1 short.
        entry, stop, target
            Prices on the tick; NaN for an order without entry (market) or target.
        …
            The strategy's other columns of contract §6a; ``live_from`` is ``decided_at`` where it gives none.
        contract
            Of ``decided_on``, where the history has one.
        stop_ticks, target_ticks
            Distances from the entry, or where there is none (market) from the last price known when it was decided;
            no ``target_ticks`` where there is no target.

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
    minutes = strategy.decision_minutes()
    if not minutes:
        found = _checked(strategy, seen, strategy.setups(seen))
        return found if (found.entry != NO_PRICE).all() else replace(found, last=seen.ticks("close")[found.row])
    return Setups.joined([_decided(strategy, seen.at(minute)) for minute in minutes])


def _decided(strategy: Strategy, seen: Seen) -> Setups:
    found = _checked(strategy, seen, strategy.setups(seen))
    at = seen.today.decided_at[found.row]
    live = found.columns.get("live_from", at)
    _refuse(strategy, seen, found, live < at, "is live before it was decided")
    last = seen.today.last[found.row]
    return replace(found, columns={**found.columns, "live_from": live}, decided_at=at, last=last)


def _checked(strategy: Strategy, seen: Seen, found: Setups) -> Setups:
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
            **({} if setups.decided_at is None else {"decided_at": _instants(setups.decided_at)}),
            "side": setups.side,
            "entry": _where(entered, prices(np.where(entered, setups.entry, 0))),
            "stop": prices(setups.stop),
            "target": _where(aimed, prices(np.where(aimed, setups.target, 0))),
            **{name: _written(name, values, seen.upcoming[row]) for name, values in setups.columns.items()},
        }
    )
    if (contracts := seen.columns.contracts) is not None:
        frame["contract"] = pd.array(contracts[row], dtype="str")
    base = setups.entry if setups.last is None else np.where(entered, setups.entry, setups.last)
    frame["stop_ticks"] = np.abs(base - setups.stop)
    frame["target_ticks"] = _where(aimed, np.abs(np.where(aimed, setups.target, base) - base))
    return frame


def _written(name: str, values: NDArray[Any], session: pd.DatetimeIndex) -> Any:
    """A column as orders have it: a group's name tells its session."""
    if name == "group":
        return np.char.add(np.char.add(session.strftime("%F").to_numpy(str), " "), values.astype(str)).astype(object)
    return _instants(values) if name in _TIMES else values


def _instants(values: Ints) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(values.view("M8[ns]"), tz="UTC")


def _where(known: NDArray[np.bool_], values: NDArray) -> NDArray:
    """The values, missing where not known; as they are, whole numbers too, where all are."""
    return values if known.all() else np.where(known, values, np.nan)
