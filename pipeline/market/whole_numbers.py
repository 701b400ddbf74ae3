"""Ordinary columns of bars as whole numbers, each checked and converted in one compiled pass.

Ordinary is what can't be wrong, nor needs to be counted: times that rise, finite prices on the tick, lows up to their
highs, volumes of whole steps, and all of it within 32 bits. A pass says whether all of its values are; what is not goes
through :func:`pipeline.market.bars.bar_columns` and :class:`pipeline.market.Instrument`, which find out what it is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from pipeline.market.frames import times_are_index
from pipeline.market.instruments import Instrument

__all__ = [
    "all_finite",
    "all_rise",
    "nearest_ticks",
    "ordinary_columns",
    "whole_prices",
    "whole_range",
    "whole_volumes",
]

_CHUNK = 1 << 15  # rows worked on at a time, so that what is between two steps stays in the cache
_FITS = 2.0**31 - 2
# In ticks or steps. Instrument.off_tick allows twice as much, so that what is nearer than this is not off the grid,
# whatever the roundings of the floats between.
_NEAR = 5e-7


def ordinary_columns(bars: pd.DataFrame, columns: Sequence[str]) -> dict[str, NDArray[Any]] | None:
    """The columns as arrays to be read only, without a copy where they are in the right form already.

    Returns
    -------
    dict or None
        ``timestamp`` as int64 nanoseconds (UTC), ``volume`` as int64 or float64, the others as float64; None where a
        column is missing, twice there or of another kind.
    """
    if not isinstance(bars, pd.DataFrame) or not bars.columns.is_unique:
        return None
    found = {}
    for name in columns:
        if name in bars.columns:
            values = bars[name]
        elif name == "timestamp" and times_are_index(bars):
            values = bars.index
        else:
            return None
        if name == "timestamp":
            if not isinstance(values.dtype, pd.DatetimeTZDtype):
                return None
            try:
                times = values.array
                values = times.asi8 if times.unit == "ns" else times.as_unit("ns").asi8
            except pd.errors.OutOfBoundsDatetime:
                return None
        elif values.dtype == np.float64 or (name == "volume" and values.dtype == np.int64):
            values = values.to_numpy()
        else:
            return None
        # One kind of array for the compiler, whoever made the frame.
        found[name] = np.ascontiguousarray(values).view()
        found[name].flags.writeable = False
    return found


def all_rise(instants: NDArray[np.int64]) -> bool:
    """Return True if every instant is later than the one before, and all are times."""
    return bool(_rise(instants)) and (len(instants) == 0 or instants[0] > np.iinfo(np.int64).min)


def all_finite(values: NDArray[np.float64]) -> bool:
    """Return True if no value is missing or infinite."""
    return bool(_finite(values))


def whole_prices(prices: NDArray[np.float64], instrument: Instrument, ticks: NDArray[np.integer[Any]]) -> bool:
    """Write prices as ticks, int32 or int64; return True if they are ordinary."""
    return bool(_whole(prices, *instrument.tick_scale, -_FITS, ticks))


def nearest_ticks(
    columns: Sequence[NDArray[np.float64]], instrument: Instrument, ticks: NDArray[np.integer[Any]]
) -> int:
    """Write prices of any kind, finite, as the nearest ticks, shape (columns, rows); count the rows off the tick."""
    off_rows = 0
    for first in range(0, ticks.shape[1], _CHUNK):
        rows = slice(first, first + _CHUNK)
        off: NDArray[np.bool_] | None = None
        for found, prices in zip(ticks, columns, strict=True):
            found[rows] = whole = instrument.to_ticks(prices[rows])
            if not np.array_equal(instrument.to_prices(whole), prices[rows]):
                here = instrument.off_tick(prices[rows])
                off = here if off is None else off | here
        off_rows += 0 if off is None else int(off.sum())
    return off_rows


def whole_volumes(volumes: NDArray[Any], instrument: Instrument, steps: NDArray[np.integer[Any]]) -> bool:
    """Write volumes as steps; return True if they are ordinary."""
    return bool(_whole(volumes, 1.0, instrument.volume_step, 0.0, steps))


def whole_range(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    instrument: Instrument,
    bottoms: NDArray[np.integer[Any]],
    tops: NDArray[np.integer[Any]],
) -> bool:
    """Write lows and highs as ticks; return True if they are ordinary, and no high is below its low."""
    return bool(_whole_range(low, high, *instrument.tick_scale, bottoms, tops))


# Each loop has one condition a value and no branch, so that the compiler makes vector code of it.


@njit(cache=True, nogil=True)
def _rise(instants):  # type: ignore[no-untyped-def]
    wrong = np.int64(0)
    for i in range(1, instants.size):
        wrong |= np.int64(instants[i] <= instants[i - 1])
    return wrong == 0


@njit(cache=True, nogil=True)
def _finite(values):  # type: ignore[no-untyped-def]
    wrong = np.int64(0)
    for i in range(values.size):
        wrong |= np.int64(not (abs(values[i]) < np.inf))
    return wrong == 0


@njit(cache=True, nogil=True, error_model="numpy")
def _whole(values, factor, unit, least, found):  # type: ignore[no-untyped-def]
    wrong = np.int64(0)
    for i in range(values.size):
        scaled = values[i] * factor if unit == 1.0 else values[i] / unit
        whole = np.rint(scaled)
        wrong |= np.int64(not ((abs(scaled - whole) <= _NEAR) & (scaled >= least) & (scaled < _FITS)))
        found[i] = whole
    return wrong == 0


@njit(cache=True, nogil=True, error_model="numpy")
def _whole_range(low, high, factor, unit, bottoms, tops):  # type: ignore[no-untyped-def]
    wrong = np.int64(0)
    for i in range(low.size):
        bottom = low[i] * factor if unit == 1.0 else low[i] / unit
        top = high[i] * factor if unit == 1.0 else high[i] / unit
        lower = np.rint(bottom)
        upper = np.rint(top)
        near = (abs(bottom - lower) <= _NEAR) & (abs(top - upper) <= _NEAR)
        wrong |= np.int64(not (near & (bottom > -_FITS) & (low[i] <= high[i]) & (top < _FITS)))
        bottoms[i] = lower
        tops[i] = upper
    return wrong == 0
