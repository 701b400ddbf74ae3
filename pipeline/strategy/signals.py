"""Candidates and signals as frames: a strategy's setups with their sessions, in prices."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market import Instrument
from pipeline.strategy.decisions import checked_setups
from pipeline.strategy.order_columns import TIME_COLUMNS, empty_cells
from pipeline.strategy.rules import TradingRules
from pipeline.strategy.seen import Seen
from pipeline.strategy.setups import NO_PRICE, Setups

__all__ = [
    "candidates_frame",
    "decided_by_close",
    "gate_columns",
    "make_candidates",
    "make_signals",
    "signals_frame",
]

Ints = NDArray[np.int64]


def make_candidates(
    history: pd.DataFrame,
    instrument: Instrument,
    rules: TradingRules | None = None,
    bars: pd.DataFrame | None = None,
    *,
    known_until: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """Return every setup of a strategy, in the order in which it gives them.

    Parameters
    ----------
    history
        As :func:`pipeline.strategy.session_history` makes it under the same rules, shape (n, ...).
    instrument
        What trades.
    rules
        The default strategy where None.
    bars
        Those that the history was made of; a strategy that decides within the session needs them.
    known_until
        Instant up to which the bars are complete, the last bar's end by default: what is decided later has not been
        decided yet. A clock can tell that a decision is due, a missing bar can't.

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
    chosen = rules or TradingRules()
    seen = Seen.of(history, instrument, chosen.history, bars, known_until)
    return candidates_frame(checked_setups(chosen.strategy, seen), seen)


def make_signals(
    history: pd.DataFrame,
    instrument: Instrument,
    rules: TradingRules | None = None,
    bars: pd.DataFrame | None = None,
    *,
    known_until: pd.Timestamp | None = None,
) -> pd.DataFrame:
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
    chosen = rules or TradingRules()
    seen = Seen.of(history, instrument, chosen.history, bars, known_until)
    return signals_frame(checked_setups(chosen.strategy, seen), seen)


def signals_frame(setups: Setups, seen: Seen) -> pd.DataFrame:
    """The frame of :func:`make_signals`."""
    return candidates_frame(setups, seen).assign(**setups.gates, rule_signal=setups.rule_signal)


def decided_by_close(candidates: pd.DataFrame, session: pd.Timestamp) -> NDArray[np.bool_]:
    """Mark the candidates that had been decided at a session's close, shape (m,)."""
    # Those decided within a session are for that session, the others for the one after.
    column = "session" if "decided_at" in candidates.columns else "decided_on"
    return (candidates[column] <= session).to_numpy(np.bool_)


def gate_columns(signals: pd.DataFrame) -> list[str]:
    """Columns of signals that tell of gates: each gate, its measures, and ``rule_signal``."""
    columns = [str(name) for name in signals.columns]
    first, last = columns.index("target_ticks") + 1, columns.index("rule_signal") + 1
    return columns[first:last]


def candidates_frame(setups: Setups, seen: Seen) -> pd.DataFrame:
    """The frame of :func:`make_candidates`."""
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
        days, empty = session.strftime("%F"), empty_cells(values)
        names = [None if no else f"{day} {own}" for day, own, no in zip(days, values, empty, strict=True)]
        return np.array(names, object)
    return _instants(values) if name in TIME_COLUMNS else values


def _instants(values: Ints) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(values.view("M8[ns]"), tz="UTC")


def _where(known: NDArray[np.bool_], values: NDArray) -> NDArray:
    """The values, missing where not known; as they are, whole numbers too, where all are."""
    return values if known.all() else np.where(known, values, np.nan)
