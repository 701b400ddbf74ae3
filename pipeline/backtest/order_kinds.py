"""The optional columns of an order (contract §6a): how it enters, when it is live, its group, its managed exits."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.backtest.order_columns import OrderError, empty_cells, instants, numbers, refuse, whole_numbers
from pipeline.backtest.replayed import EXIT_COLUMNS, TYPES, WHOLE_GAIN
from pipeline.market import Instrument, session_schedule

__all__ = ["KIND_COLUMNS", "OrderKinds", "read_kinds", "read_types"]

KIND_COLUMNS = ("type", "live_from", "live_until", "group", *EXIT_COLUMNS)

_ALWAYS = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@dataclass(frozen=True)
class OrderKinds:
    """What makes orders more than brackets, shape (m,) each.

    Attributes
    ----------
    type
        LIMIT, STOP_ORDER or MARKET.
    live_from, live_until
        Nanoseconds (UTC); the ends of int64 where none is given.
    group
        Number of the group; −1 for none.
    exits
        EXIT_COLUMNS, 0 for none, the percentage in parts of WHOLE_GAIN, shape (m, 5); None where no order has any.
    """

    type: NDArray[np.int64]
    live_from: NDArray[np.int64]
    live_until: NDArray[np.int64]
    group: NDArray[np.int64]
    exits: NDArray[np.int64] | None


def read_types(orders: pd.DataFrame) -> NDArray[np.int64]:
    """Return each order's type, LIMIT where it names none."""
    empty = empty_cells(orders, "type")
    if empty.all():
        return np.zeros(len(orders), np.int64)
    codes, names = pd.factorize(orders["type"])
    types = np.array([TYPES.index(name) if name in TYPES else -1 for name in names], np.int64)
    found = np.where(empty, 0, types[codes])
    refuse(orders, "type", found < 0, "give limit, stop or market, or leave it empty")
    return found


def read_kinds(
    orders: pd.DataFrame, types: NDArray[np.int64], sessions: pd.DatetimeIndex, instrument: Instrument
) -> OrderKinds | None:
    """Check §6a's columns; None where all orders are brackets.

    Parameters
    ----------
    orders
        With some of ``KIND_COLUMNS``.
    types, sessions
        Of the orders.
    instrument
        Whose sessions the live windows lie in.

    Raises
    ------
    DataError
        For an impossible value: names row and column.
    """
    if not any(name in orders.columns for name in KIND_COLUMNS):
        return None
    live_from, live_until = (
        instants(orders, name, end) for name, end in zip(("live_from", "live_until"), _ALWAYS, strict=True)
    )
    _windows(orders, live_from, live_until, sessions, instrument)
    exits = _exits(orders)
    return OrderKinds(types, live_from, live_until, _groups(orders, sessions), exits if exits.any() else None)


def _windows(
    orders: pd.DataFrame,
    live_from: NDArray[np.int64],
    live_until: NDArray[np.int64],
    sessions: pd.DatetimeIndex,
    instrument: Instrument,
) -> None:
    begins, ends = live_from != _ALWAYS[0], live_until != _ALWAYS[1]
    rows = np.flatnonzero(begins | ends)
    if not len(rows):
        return
    schedule = session_schedule(instrument, sessions[rows].min(), sessions[rows].max())
    place = schedule.index.get_indexer(sessions)
    unknown = (begins | ends) & (place < 0)
    refuse(orders, "session", unknown, f"{instrument.symbol} has no session of that date for the order to be live in")
    opens, closes = (pd.DatetimeIndex(schedule[name]).as_unit("ns").asi8[place] for name in ("open", "close"))
    advice = "give a time within its session, from its open to its close"
    refuse(orders, "live_from", begins & ((live_from < opens) | (live_from >= closes)), advice, beside="session")
    refuse(orders, "live_until", ends & ((live_until <= opens) | (live_until > closes)), advice, beside="session")
    if begins.any() and ends.any():
        wrong = begins & ends & (live_until <= live_from)
        refuse(orders, "live_until", wrong, "it must come after that", beside="live_from")


def _groups(orders: pd.DataFrame, sessions: pd.DatetimeIndex) -> NDArray[np.int64]:
    empty = empty_cells(orders, "group")
    if empty.all():
        return np.full(len(orders), -1)
    codes = np.full(len(orders), -1)
    codes[~empty], names = pd.factorize(orders["group"][~empty])
    first = np.empty(len(names) + 1, np.int64)
    first[codes[::-1]] = sessions.asi8[::-1]  # the last to be written is the first given
    first = first[codes]
    advice = "a group lives in one session; give the groups of each session names of their own"
    refuse(orders, "group", ~empty & (first != sessions.asi8), advice, beside="session")
    return codes


def _exits(orders: pd.DataFrame) -> NDArray[np.int64]:
    units = {name: "bars" if name == "max_bars" else "ticks" for name in EXIT_COLUMNS}
    return np.stack(
        [
            _give_back(orders) if name == "give_back_percent" else whole_numbers(orders, name, unit)
            for name, unit in units.items()
        ],
        axis=1,
    )


def _give_back(orders: pd.DataFrame) -> NDArray[np.int64]:
    """Percentages in parts of WHOLE_GAIN, and that each has its ticks beside it."""
    halves = "give_back_percent", "give_back_from_ticks"
    empty, alone = (empty_cells(orders, name) for name in halves)
    if (half := empty != alone).any():
        row = int(np.argmax(half))
        given, missing = halves if alone[row] else halves[::-1]
        reason = f"{given} is {orders[given].iloc[row]} without {missing}; give both or neither"
        raise OrderError(row, orders.index[row], reason)
    if empty.all():
        return np.zeros(len(orders), np.int64)
    percent = numbers(orders, halves[0])
    parts = np.rint(np.where(percent > 0, percent, 0) * (WHOLE_GAIN / 100))
    wrong = ~empty & ~((parts >= 1) & (parts <= WHOLE_GAIN) & (percent <= 100))
    refuse(orders, halves[0], wrong, "give a percentage above 0, at most 100, or leave it empty")
    return np.where(empty, 0, parts).astype(np.int64)
