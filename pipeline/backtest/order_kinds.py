"""The optional columns of an order (contract §6a): how it enters, when it is live, its group, its managed exits."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.backtest.order_columns import instants, numbers, refuse, words
from pipeline.backtest.replayed import EXIT_COLUMNS, LIMIT, WHOLE_GAIN
from pipeline.market import Instrument, session_schedule
from pipeline.strategy.order_columns import TIME_COLUMNS, Fault, number_faults, type_code, window_faults
from pipeline.strategy.setups import NO_PRICE

__all__ = ["KIND_COLUMNS", "OrderKinds", "read_kinds", "read_quantity", "read_types"]

KIND_COLUMNS = ("type", *TIME_COLUMNS, "group", *EXIT_COLUMNS)


@dataclass(frozen=True)
class OrderKinds:
    """What makes orders more than brackets, shape (m,) each.

    Attributes
    ----------
    type
        LIMIT, STOP_ORDER or MARKET.
    live_from, live_until
        Nanoseconds (UTC); ``NO_PRICE`` where none is given.
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
    """Return each order's type, LIMIT where it names none, −1 where it names what is none."""
    codes, names = words(orders, "type")
    return np.array([*(type_code(name) for name in names), LIMIT], np.int64)[codes]


def read_quantity(orders: pd.DataFrame) -> NDArray[np.int64]:
    """Return each order's fixed contracts; 0 where it names none."""
    return _whole(_numbers(orders, "quantity").get("quantity"), len(orders))


def _numbers(orders: pd.DataFrame, *names: str) -> dict[str, NDArray[np.float64]]:
    """Read those of the columns that there are, each held to its rule; NaN where a cell is empty."""
    read = {name: numbers(orders, name) for name in names if name in orders.columns}
    for fault in number_faults(read):
        refuse(orders, fault)
    return read


def _whole(values: NDArray[np.float64] | None, count: int) -> NDArray[np.int64]:
    return np.zeros(count, np.int64) if values is None else np.where(np.isnan(values), 0, values).astype(np.int64)


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
    live_from, live_until = (instants(orders, name) for name in TIME_COLUMNS)
    _check_windows(orders, live_from, live_until, sessions, instrument)
    exits = _exits(orders)
    return OrderKinds(types, live_from, live_until, _groups(orders, sessions), exits if exits.any() else None)


def _check_windows(
    orders: pd.DataFrame,
    live_from: NDArray[np.int64],
    live_until: NDArray[np.int64],
    sessions: pd.DatetimeIndex,
    instrument: Instrument,
) -> None:
    given = (live_from != NO_PRICE) | (live_until != NO_PRICE)
    if not given.any():
        return
    days = sessions.asi8[given]
    schedule = session_schedule(instrument, pd.Timestamp(days.min()), pd.Timestamp(days.max()))
    place = schedule.index.get_indexer(sessions)
    advice = f"{instrument.symbol} has no session of that date for the order to be live in"
    refuse(orders, Fault("session", given & (place < 0), advice))
    opens, closes = (pd.DatetimeIndex(schedule[end]).as_unit("ns").asi8[place] for end in ("open", "close"))
    for fault in window_faults(live_from, live_until, opens, closes):
        refuse(orders, fault)


def _groups(orders: pd.DataFrame, sessions: pd.DatetimeIndex) -> NDArray[np.int64]:
    codes, names = words(orders, "group")
    if len(names):
        first = np.empty(len(names) + 1, np.int64)
        first[codes[::-1]] = sessions.asi8[::-1]  # the last to be written is the first given
        advice = "a group lives in one session; give the groups of each session names of their own"
        wrong = (codes >= 0) & (first[codes] != sessions.asi8)
        refuse(orders, Fault("group", wrong, advice, beside="session"))
    return codes


def _exits(orders: pd.DataFrame) -> NDArray[np.int64]:
    read = _numbers(orders, *EXIT_COLUMNS)
    if "give_back_percent" in read:
        read["give_back_percent"] = np.rint(read["give_back_percent"] * (WHOLE_GAIN / 100))
    return np.stack([_whole(read.get(name), len(orders)) for name in EXIT_COLUMNS], axis=1)
