"""Restarts for what is recursive, so that its memory is finite and does not depend on where the data starts.

An average that never forgets (RSI, MACD, an exponential average, a GARCH filter) depends on all that came before. Here
its value at session t is worked out from a slice that begins at an **anchor**: the first session of the calendar
quarter two before t's. All sessions of a quarter share one slice, so it is cheap; batch, online and cut-off data hold
the same slice up to t, so the values agree to the last bit.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market import Instrument

__all__ = ["anchor_warmup", "anchored", "chain_contracts"]

# The most sessions a calendar quarter can hold.
_QUARTER_SESSIONS = {True: 92, False: 66}
_PRICES = ("open", "high", "low", "close")


def anchor_warmup(instrument: Instrument, before: int = 2) -> int:
    """Sessions that a value of :func:`anchored` can depend on: ``before + 1`` of the longest quarters.

    198 for an exchange with weekends, 276 around the clock. Hand it to ``feature(warmup=...)`` as it is.
    """
    return (before + 1) * _QUARTER_SESSIONS[instrument.always_open]


def anchored(
    frame: pd.DataFrame,
    compute: Callable[..., Any],
    *,
    before: int = 2,
    fit: Callable[[pd.DataFrame], Any] | None = None,
) -> pd.DataFrame:
    """Values of a recursive computation, restarted at an anchor for each calendar quarter.

    Parameters
    ----------
    frame
        Rows in order of time: indexed by session, or with a column ``session`` (several rows per session).
    compute
        From a slice of ``frame`` (whole sessions from the anchor on) to a Series, a DataFrame or an array with its
        rows. Must be causal: a row's values depend on that row and those before.
    before
        Whole quarters before the row's own that the slice reaches back.
    fit
        From the slice's rows before the quarter itself to whatever ``compute`` then gets as second argument: parameters
        estimated on the past alone, the same for the whole quarter. May be given an empty frame.

    Returns
    -------
    DataFrame
        The rows of ``frame``, in its index, float64; each from the slice of its own quarter. A Series or
        one-dimensional array becomes the column ``value``. Missing in the first ``before`` quarters, whose slice the
        frame does not hold whole; :func:`anchor_warmup` covers them.
    """
    blocks = _quarters(frame)
    numbers = np.unique(blocks)
    whole = numbers[numbers - before >= blocks[:1]]
    made: list[tuple[int, pd.DataFrame]] = []
    for begin, first, stop in zip(
        np.searchsorted(blocks, whole - before),
        np.searchsorted(blocks, whole),
        np.searchsorted(blocks, whole, side="right"),
        strict=True,
    ):
        part = frame.iloc[begin:stop]
        extra = () if fit is None else (fit(frame.iloc[begin:first]),)
        made.append((first, _table(compute(part, *extra), part).iloc[first - begin :]))
    if not made:
        # For the names of the columns.
        extra = () if fit is None else (fit(frame.iloc[:0]),)
        made.append((len(frame), _table(compute(frame, *extra), frame).iloc[:0]))
    columns = made[0][1].columns
    values = np.full((len(frame), len(columns)), np.nan)
    for first, piece in made:
        values[first : first + len(piece)] = piece.to_numpy(np.float64)
    return pd.DataFrame(values, index=frame.index, columns=columns)


def chain_contracts(frame: pd.DataFrame, instrument: Instrument) -> pd.DataFrame:
    """Open, high, low and close without the steps between contracts: each goes on where the one before ended.

    The first contract of the frame keeps its prices; every later one is shifted by whole ticks so that its first open
    is the last close before it. What the market did between those two is left out, not guessed. Nothing later is used.
    Levels thus depend on where the frame starts: call it within a slice of :func:`anchored`, or use differences only.

    Parameters
    ----------
    frame
        Columns open, high, low, close and, where the series is continuous, contract; in order of time.

    Returns
    -------
    DataFrame
        The frame with these four columns shifted.
    """
    if "contract" not in frame.columns or len(frame) == 0:
        return frame
    names = frame["contract"].to_numpy(object)
    rolls = np.flatnonzero(names[1:] != names[:-1]) + 1
    if len(rolls) == 0:
        return frame
    ticks = {name: instrument.to_ticks(frame[name].to_numpy(np.float64)) for name in _PRICES}
    steps = np.zeros(len(frame), np.int64)
    steps[rolls] = ticks["close"][rolls - 1] - ticks["open"][rolls]
    shift = np.cumsum(steps)
    return frame.assign(**{name: instrument.to_prices(values + shift) for name, values in ticks.items()})


def _quarters(frame: pd.DataFrame) -> NDArray[np.int64]:
    sessions = pd.DatetimeIndex(frame["session"] if "session" in frame.columns else frame.index)
    return np.asarray(sessions.year * 4 + sessions.quarter, dtype=np.int64)


def _table(values: Any, part: pd.DataFrame) -> pd.DataFrame:
    if len(values) != len(part):
        raise DataError(f"an anchored computation gave {len(values)} values for {len(part)} rows; give one per row")
    if isinstance(values, pd.DataFrame):
        return values.set_axis(part.index)
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 1:
        return pd.DataFrame({"value": array}, index=part.index)
    return pd.DataFrame(array, index=part.index)
