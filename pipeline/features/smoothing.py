"""Averages and running sums of technical analysis on arrays, to the bit those of pandas and pandas-ta-classic.

The libraries spend a hundredth of their time on the sums and the rest on their frames, of which an audit makes tens of
thousands. The recursions here are theirs, step by step; the tests compare every bit.
"""

import numpy as np
from numba import njit
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = [
    "change",
    "exponential_average",
    "rolling_mean",
    "rolling_sum",
    "wilder_average",
    "wilder_sum",
    "windowed",
]

Floats = NDArray[np.float64]


def exponential_average(values: Floats, length: int) -> Floats:
    """Exponential average, 2 / (length + 1) of each value, that begins with the mean of the first ``length`` known."""
    return _seeded(values, length, (length - 1) / 2)


def wilder_average(values: Floats, length: int) -> Floats:
    """Wilder's exponential average, 1 / length of each value, that begins with the mean of the first ``length``."""
    alpha = 1.0 / length
    return _seeded(values, length, (1 - alpha) / alpha)


def wilder_sum(values: Floats, length: int) -> Floats:
    """Wilder's running sum: less its ``length``-th part with each new value; begun with ``length`` − 1 values."""
    known = np.flatnonzero(np.isfinite(values))
    first = max(int(known[0]), 1) if len(known) else len(values)
    if first + length - 1 > len(values):
        return np.full(len(values), np.nan)
    return _wilder_sum(values, length, float(np.nansum(values[first : first + length - 1])), first)


def change(values: Floats, steps: int = 1) -> Floats:
    """Each value less that of so many rows before; missing in the first rows."""
    found = np.full(len(values), np.nan)
    found[steps:] = values[steps:] - values[:-steps]
    return found


def windowed(values: Floats, length: int, reduce: np.ufunc) -> Floats:
    """Reduce each window of ``length`` values by ``np.maximum`` or ``np.minimum``; missing in the first rows."""
    found = np.full(len(values), np.nan)
    if len(values) >= length:
        found[length - 1 :] = reduce.reduce(sliding_window_view(values, length), axis=1)
    return found


def _seeded(values: Floats, length: int, center_of_mass: float) -> Floats:
    known = ~np.isnan(values)
    first = int(np.argmax(known)) if known.any() else len(values)
    if first + length > len(values):
        return np.full(len(values), np.nan)
    window, held = values[first : first + length], known[first : first + length]
    seed = float(np.where(held, window, 0.0).sum() / np.count_nonzero(held))
    return _recursive(values, first + length - 1, seed, 1.0 / (1.0 + center_of_mass))


@njit(cache=True, nogil=True)
def _recursive(values: Floats, first: int, seed: float, alpha: float) -> Floats:
    """As ``Series.ewm(adjust=False).mean()`` of a series that begins with the seed."""
    found = np.full(len(values), np.nan)
    average, weight = seed, 1.0
    found[first] = average
    for row in range(first + 1, len(values)):
        value = values[row]
        weight *= 1.0 - alpha
        if value == value:  # not missing
            if average != value:
                average = weight * average + alpha * value
                average /= weight + alpha
            weight = 1.0
        found[row] = average
    return found


@njit(cache=True, nogil=True)
def _wilder_sum(values: Floats, length: int, seed: float, first: int) -> Floats:
    found = np.full(len(values), np.nan)
    total = seed
    found[first + length - 2] = total
    for row in range(first + length - 1, len(values)):
        value = values[row]
        if value == value:
            total = total - total / length + value
        found[row] = total
    return found


@njit(cache=True, nogil=True)
def rolling_sum(values: Floats, length: int) -> Floats:
    """As ``Series.rolling(length).sum()``: Kahan's sum, and exactly ``length`` times the value where all are one."""
    found = np.full(len(values), np.nan)
    total, added, removed = 0.0, 0.0, 0.0
    known, same, last = 0, 0, values[0] if len(values) else np.nan
    for row in range(len(values)):
        if row >= length:
            old = values[row - length]
            if old == old:
                known -= 1
                step = -old - removed
                after = total + step
                removed = after - total - step
                total = after
        value = values[row]
        if value == value:
            known += 1
            step = value - added
            after = total + step
            added = after - total - step
            total = after
            same = same + 1 if value == last else 1
            last = value
        if known >= length:
            found[row] = last * known if same >= known else total
    return found


@njit(cache=True, nogil=True)
def rolling_mean(values: Floats, length: int) -> Floats:
    """As ``Series.rolling(length).mean()``: Kahan's sum over the count, of the sign that the values have."""
    found = np.full(len(values), np.nan)
    total, added, removed = 0.0, 0.0, 0.0
    known, negative, same, last = 0, 0, 0, values[0] if len(values) else np.nan
    for row in range(len(values)):
        if row >= length:
            old = values[row - length]
            if old == old:
                known -= 1
                step = -old - removed
                after = total + step
                removed = after - total - step
                total = after
                negative -= 1 if np.signbit(old) else 0
        value = values[row]
        if value == value:
            known += 1
            step = value - added
            after = total + step
            added = after - total - step
            total = after
            negative += 1 if np.signbit(value) else 0
            same = same + 1 if value == last else 1
            last = value
        if known >= length:
            mean = total / known
            if same >= known:
                mean = last
            elif (negative == 0 and mean < 0) or (negative == known and mean > 0):
                mean = 0.0
            found[row] = mean
    return found
